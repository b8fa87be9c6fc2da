"""The README's example of plugging in your own runs as it is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECTION = "Plug in your own"
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """The language and the text of each block of the section that is code."""
    text = (ROOT / "README.md").read_text()
    section = text.split(f"\n## {SECTION}\n")[1].split("\n## ")[0]
    return [(language, code) for language, code in BLOCK.findall(section)]


def test_what_the_readme_plugs_in_is_sound_and_runs(tmp_path: Path) -> None:
    commands = ""
    for language, code in blocks():
        if language == "python":
            name = re.match(r"# (\w+\.py)", code)
            assert name, f"a block says no file: {code[:40]}"
            with (tmp_path / name[1]).open("a") as file:
                file.write(code)
        else:
            commands += code
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "check_mine.py"}
    assert "check_mine.py" in commands and "nas search" in commands and "nas compress" in commands
    here = f'python() {{ {sys.executable} "$@"; }}; nas() {{ python -m nas "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-ec", here + commands],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 candidates" in done.stdout and "times fewer parameters" in done.stdout
