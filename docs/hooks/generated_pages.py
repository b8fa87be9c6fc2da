"""A hook of MkDocs that adds the pages which are generated from the code."""

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[2]))

from docs.hooks import command_line, settings

PAGES = {
    "reference/settings.md": settings.page,
    "reference/command-line.md": command_line.page,
}
DATE = re.compile(r"<td>(\d{4}-\d\d-\d\d)</td>")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages to the files of the site."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Keep dates in tables on one line."""
    return DATE.sub(r'<td class="date">\1</td>', html)
