"""Lists the message of every `raise`: `python tests/list_messages.py [FOLDER …]`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("nas", "search_spaces", "compress", "kernels", "policies")


def messages(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the exception and the message of each `raise` in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            texts = [a for a in node.exc.args if isinstance(a, (ast.Constant, ast.JoinedStr))]
            if texts:
                yield node.lineno, ast.unparse(node.exc.func), ast.unparse(texts[0])


def main() -> None:
    for folder in sys.argv[1:] or PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for line, kind, text in sorted(messages(path)):
                print(f"{path.relative_to(ROOT)}:{line}: {kind}: {text}")


if __name__ == "__main__":
    main()
