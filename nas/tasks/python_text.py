"""Language modelling on the text of the installed Python's standard library: no download."""

import sysconfig
from pathlib import Path

from nas.core.task import BadData
from nas.tasks.options import at_least
from nas.tasks.text import LanguageModelling, language_modelling


def load_python_text(
    *,
    batch: int = 32,
    window: int = 64,
    limit_bytes: int = 2_000_000,
    score_batch: int = 50,
    score_window: int = 70,
) -> LanguageModelling:
    """Return byte-level language modelling on the library's top-level modules, alphabetically.

    One file in twenty is validation text and one is test text. `batch`, `window`, `score_batch`
    and `score_window` are as in `load_language_model`.
    limit_bytes: stop adding modules once their total size reaches this limit.
    Raises `BadData` if this Python has no source files, or if the limit leaves a part empty.
    """
    at_least(1, limit_bytes=limit_bytes)
    folder = Path(sysconfig.get_path("stdlib"))
    parts: dict[str, list[bytes]] = {"train": [], "valid": [], "test": []}
    taken = 0
    for i, path in enumerate(_modules(folder)):
        text = path.read_bytes()
        parts[{9: "valid", 19: "test"}.get(i % 20, "train")].append(text)
        taken += len(text)
        if taken >= limit_bytes:
            break
    if not all(parts.values()):
        raise BadData(
            f"{folder}: {taken} bytes of .py files are not enough text: raise limit_bytes, "
            "or use --task language-model --data PATH"
        )
    return language_modelling(
        "python-text",
        {part: b"\n".join(texts) for part, texts in parts.items()},
        where=str(folder),
        level="byte",
        batch=batch,
        window=window,
        score_batch=score_batch,
        score_window=score_window,
    )


def _modules(folder: Path) -> list[Path]:
    """Return the modules, without two that differ between machines."""
    own = ("_sysconfigdata", "sitecustomize")
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith(own))
