"""Passwords and tokens of URLs are in no line and in no file of a run."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.core.errors import BadInput
from nas.core.masking import masked, only_scheme, remember_secrets
from nas.core.settings import RunSettings
from tests.jobs.command import TOY, nas
from tests.toys import FirstWeight

SECRET = "sword-fish 1"
ENCODED = "sword-fish%201"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at postgresql://me:pw@db:5/x: no", "at postgresql://***@db:5/x: no"),
        ("at https://ghp_1@host/a", "at https://***@host/a"),
        ("https:/me:p@w@host/a", "https:/***@host/a"),  # as Path writes it
        ("redis://:pw@h?a=1&api_key=k&b=2", "redis://***@h?a=1&api_key=***&b=2"),
        ("x?sig=abc'", "x?sig=***'"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("mail me@example.org: 3:1", "mail me@example.org: 3:1"),
    ],
)
def test_users_and_tokens_of_urls_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_a_password_is_hidden_where_it_stands_alone() -> None:
    remember_secrets("mysql://me:tulip%40wing@host/x?token=mango-lily")
    said = masked("login as me with tulip@wing or tulip%40wing failed (mango-lily)")
    assert said == "login as me with *** or *** failed (***)"
    assert only_scheme("mysql://me:tulip@host/x") == "mysql://***"


def test_errors_in_python_are_masked_as_well() -> None:
    RunSettings(storage="postgresql://me:orchid-elm@host/x")
    assert "orchid-elm" not in str(BadInput("the database said orchid-elm"))


class Telling(FirstWeight):
    """A score that fails with its database's URL."""

    name = "telling"

    def __call__(self, *_: Any) -> dict[str, float]:
        raise RuntimeError(f"no answer from mysql://me:{SECRET}@host/x")


def test_a_whole_run_keeps_and_prints_no_secret(tmp_path: Path) -> None:
    database = tmp_path / "team.db"
    url = f"sqlite:///file:{database}?uri=true&token={ENCODED}"
    run = tmp_path / "run"
    small = ["--candidates", 2, "--survivors", 1, "--executor", "serial", "--run"]
    search = ["search", *TOY, *small, run]
    telling = ["search", *TOY, "--score", "tests.jobs.test_secrets:Telling", *small]
    ended = [
        nas(*search, "--storage", url),
        nas(*search, "--storage", url, "--json"),  # continues
        nas(*search, "--set", f"storage='{url}'"),
        nas(*search, NAS_STORAGE=url),
        nas("report", run),
        nas("export", run, "--to", tmp_path / "exported", "--trust"),
        nas(*telling, tmp_path / "telling", "--storage", url.replace("team", "other")),
    ]
    assert [e.returncode for e in ended] == [0, 0, 0, 0, 0, 0, 1], [e.stderr for e in ended]
    for wrong in (
        f"postgresql://me:{ENCODED}@127.0.0.1:1/x",
        f"postgresql://me:{ENCODED}@127.0.0.1:port/x",
        f"nodatabase://me:{SECRET}@host/x",
        f"me:{SECRET}@host",
    ):
        ended.append(nas("search", *TOY, *small, tmp_path / "none", "--storage", wrong))
        assert ended[-1].returncode == 2 and ended[-1].stderr.count("\n") == 1, ended[-1].stderr
    assert not (tmp_path / "none").exists()
    assert json.loads((run / "run.json").read_text())["settings"]["storage"] == "sqlite://***"
    said = [e.stdout + e.stderr for e in ended]
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".db"]
    assert len(files) > 20
    for text in said + [p.read_bytes().decode(errors="replace") for p in files]:
        assert "sword-fish" not in text
