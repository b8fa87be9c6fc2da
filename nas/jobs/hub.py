"""Pushes an exported network to the Hugging Face Hub, with a model card."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nas.core.errors import BadInput, NasError
from nas.core.files import reason_of, write_atomically
from nas.loop.run_file import RunFile, read_run_file
from nas.models.description import HOW_TO, file_lines

CARD = "README.md"


def check_hub(repository: str) -> None:
    """Raise `BadInput` if `huggingface_hub` is not installed, or the id cannot be one."""
    if find_spec("huggingface_hub") is None:
        raise BadInput('--push-to needs huggingface_hub: pip install ".[hub]"')
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise BadInput(
            f"--push-to {repository} is not a model id: write OWNER/NAME ({reason_of(error)})"
        ) from None


def push(run: Path, facts: Mapping[str, Any], repository: str) -> str:
    """Upload the files that an export wrote; returns the address of the commit.

    run: the run's folder. facts: what `nas.api.export` returned.
    A repository that does not exist is made, and is private. Files of the folder that the export
    did not write stay here. Without a model card among the files, one is written.
    Raises `NasError` if the Hub refuses.
    """
    from huggingface_hub import HfApi

    folder, files = Path(facts["folder"]), list(facts["files"])
    if CARD not in files:
        text = card(read_run_file(run), facts, files, repository.rpartition("/")[2])
        write_atomically(folder / CARD, text)
    try:
        hub = HfApi()
        hub.create_repo(repository, private=True, exist_ok=True)
        pushed = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[*files, CARD],
            commit_message="Add what nas export wrote",
        )
    except Exception as error:  # of the package, the network or the Hub
        raise NasError(
            f"{folder} is written, but not pushed to {repository} ({reason_of(error)}): log in "
            "with `hf auth login` and run the same command again"
        ) from error
    return str(pushed.commit_url)


def card(about: RunFile, facts: Mapping[str, Any], files: Sequence[str], title: str) -> str:
    """Return a model card: where the network comes from, and how to load each file."""
    known = {"candidate": facts.get("candidate"), "digest": facts.get("digest")}
    settings = about.settings
    task = settings.get("task") or {}
    known["task"] = task.get("name") if isinstance(task, Mapping) else task
    space = settings.get("space")
    known["space"] = space.get("name") if isinstance(space, Mapping) else None
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    lines = [
        "---",
        "library_name: pytorch",
        f"tags: [nas, {about.kind}]",
        "---",
        f"# {title}",
        "",
        f"A network that `nas {about.kind}` found.",
        "",
        *(f"- {name}: {value}" for name, value in known.items() if value not in (None, "")),
        f"- made with: {versions}",
        *(f"- {line}" for line in file_lines(facts)),
        "",
        *(f"{HOW_TO[file]}\n" for file in files if file in HOW_TO),
        "With nas: `nas.models.model_files.load_model(folder)`.",
        "",
        "```",
        about.command,
        "```",
        "",
    ]
    return "\n".join(lines)
