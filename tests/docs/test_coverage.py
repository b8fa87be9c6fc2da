"""Every option, setting and public function is in the documentation, and every link leads on."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import nas
from docs.hooks import command_line, settings
from nas.cli.main import BENCHES
from nas.cli.pages import PAGES
from nas.core.registry import BUILT_IN
from tests.docs.blocks import ROOT, pages
from tests.list_messages import PACKAGES, messages

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
TEXT = "\n".join(page.read_text() for page in pages())
GENERATED = {"settings.md": settings.page(), "command-line.md": command_line.page()}


def test_every_option_of_every_command_is_on_its_page() -> None:
    text = GENERATED["command-line.md"]
    for name, command in command_line.commands():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                for option in command_line.option_names(parameter):
                    assert f"`{option}" in section, (name, option)
                assert parameter.help, (name, parameter.name)


def test_every_setting_has_a_row_that_says_what_it_means() -> None:
    text = GENERATED["settings.md"]
    for name, config in settings.CONFIGS.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        shared = text.split("\n## Every job\n")[1].split("\n## ")[0]
        sizes = text.split("\n## Size of a model\n")[1]
        for key in settings.keys(config):
            prefix, _, last = key.rpartition(".")
            where = sizes if prefix in settings.SIZES else section + shared
            (row, *_) = re.findall(rf"^\| `{last if where is sizes else key}` .*$", where, re.M)
            assert len(row.split(" | ")[-1]) > 5, row


def test_commands_and_components_are_shown_in_use_or_listed() -> None:
    for name, _ in command_line.commands():
        assert re.search(rf"{name}\b", TEXT), name
    for kind in ("controllers", "spaces"):
        for name in BUILT_IN[kind]:
            assert name in TEXT, name
    assert {f"nas bench {bench.__name__}" for bench in BENCHES} <= set(
        re.findall(r"nas bench \w+", TEXT)
    )


def test_the_help_of_every_command_names_its_page_and_the_page_of_errors() -> None:
    for name, command in command_line.commands():
        for page in (PAGES[name], "how-to/errors.md"):
            assert f"docs/{page}" in command.epilog and (ROOT / "docs" / page).exists(), name


def test_the_messages_that_the_reference_lists_are_raised() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    raised = [text for path in files for _, _, text in messages(path)]
    rows = re.findall(r"^\| (`.*`) \| \[", (ROOT / "docs/reference/messages.md").read_text(), re.M)
    assert len(rows) > 20
    for message in (message for row in rows for message in re.findall(r"`(.*?)`", row)):
        parts = [part for part in message.split("…") if part]
        assert any(all(part in text for part in parts) for text in raised), message


def documented() -> dict[str, set[str] | None]:
    """Return the modules that the reference shows, with the names it is limited to."""
    found: dict[str, set[str] | None] = {}
    text = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    for match in re.finditer(
        r"^::: ([\w.]+)\n(?:    options:\n      members: \[(.*)\])?", text, re.M
    ):
        found[match[1]] = set(re.split(r",\s*", match[2])) if match[2] else None
    return found


PUBLIC = (
    *("nas.api", "nas.core.errors", "nas.core.score", "nas.core.task", "kernels.layers"),
    *("kernels.cell.layer", "kernels.cell.traced", "kernels.mixer.layer", "kernels.mixer.spec"),
    *("search_spaces.decisions", "search_spaces.genome", "search_spaces.architecture"),
    *("search_spaces.space", "search_spaces.output", "policies.path_sampler"),
    *("search_spaces.rnn_cell.torch_layers", "search_spaces.seeding", "nas.tasks.classification"),
)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_of_a_module_is_in_the_reference(name: str) -> None:
    module = importlib.import_module(name)
    assert documented().get(name, "absent") is None, f"no `::: {name}` in docs/reference"
    for attribute, thing in vars(module).items():
        ours = getattr(thing, "__module__", None) == name and not attribute.startswith("_")
        if ours and (inspect.isfunction(thing) or inspect.isclass(thing)):
            assert inspect.getdoc(thing), f"{name}.{attribute} has no docstring to show"


def test_the_checks_and_the_verbs_are_in_the_reference() -> None:
    from nas import testing
    from nas.tasks import LoaderTask

    for check in testing.__all__:
        module = getattr(testing, check).__module__
        assert check in (documented()[module] or {check})
    assert set(nas.VERBS) <= set(dir(importlib.import_module("nas.api")))
    assert documented()[LoaderTask.__module__] == {"LoaderTask"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target and Path(target).name not in GENERATED:
            assert (page.parent / target).exists(), target


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_a_how_to_is_short() -> None:
    for page in (ROOT / "docs" / "how-to").glob("*.md"):
        shown = [line for line in page.read_text().splitlines() if not line.startswith("<!--")]
        assert page.stem == "index" or len(shown) <= 40, page


def test_files_that_pages_name_exist() -> None:
    for name in set(re.findall(r"`(tests/benchmarks/[\w./]+?\.(?:py|md))", TEXT)):
        assert (ROOT / name).exists(), name
    for name in set(re.findall(r"`(results/[\w.]+\.md)", TEXT)):
        assert (ROOT / "tests" / "benchmarks" / name).exists(), name
