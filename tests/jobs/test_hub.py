"""A pushed network arrives with its model card, at an endpoint that speaks the Hub's protocol."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from nas.core.errors import BadInput, NasError
from nas.core.job import Objective
from nas.jobs.hub import check_hub, push
from nas.loop.run_file import RunFile, keep_run_file

constants = pytest.importorskip(
    "huggingface_hub.constants", reason="huggingface_hub is not installed"
)


class Hub:
    """Keeps the files of one commit. asked: the paths of all requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.made: dict[str, Any] = {}
        self.refuses = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hub.asked.append(self.path)
                code, answer = (401, {}) if hub.refuses else (200, hub.answer(self.path, body))
                data = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        if path == "/api/repos/create":
            self.made = json.loads(body)
            return {"url": f"{self.url}/me/small", "id": "me/small"}
        if "/preupload/" in path:
            asked = json.loads(body)["files"]
            modes = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
            return {"files": [{"path": file["path"], **modes} for file in asked]}
        if "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return {"commitUrl": f"{self.url}/me/small/commit/1", "commitOid": "1", "success": True}
        return {"errors": [], "warnings": []}  # of the card's first lines


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield served
    served.server.shutdown()
    served.server.server_close()


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A run, and an export of it beside a file that is not the export's."""
    run, to = tmp_path / "run", tmp_path / "to"
    settings = {"task": {"name": "reber"}, "space": {"name": "rnn-cell"}}
    about = RunFile("search", settings, 0, Objective("loss"), "accuracy", True)
    run.mkdir()
    with keep_run_file(run, about):
        pass
    to.mkdir()
    for name in ("model.safetensors", "model.pt2", "notes.txt"):
        (to / name).write_bytes(name.encode())
    files = ["model.safetensors", "model.pt2"]
    return run, {"folder": str(to), "files": files, "candidate": 7, "digest": "b1ab7bed"}


def test_a_push_brings_the_exports_files_and_a_card(hub: Hub, exported) -> None:
    run, facts = exported
    assert push(run, facts, "me/small") == f"{hub.url}/me/small/commit/1"
    assert set(hub.files) == {"model.safetensors", "model.pt2", "README.md"}
    assert hub.files["model.pt2"] == b"model.pt2"
    card = hub.files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: pytorch\ntags: [nas, search]\n---\n# small\n")
    assert "- digest: b1ab7bed" in card and "- task: reber" in card
    assert "torch.export.load('model.pt2')" in card
    assert hub.made.get("visibility") == "private" or hub.made.get("private") is True


def test_a_card_that_the_run_wrote_is_kept(hub: Hub, exported) -> None:
    run, facts = exported
    Path(facts["folder"], "README.md").write_text("# my student\n")
    push(run, {**facts, "files": [*facts["files"], "README.md"]}, "me/small")
    assert hub.files["README.md"] == b"# my student\n"


def test_a_refusal_is_one_line_with_a_remedy(hub: Hub, exported) -> None:
    run, facts = exported
    hub.refuses = True
    with pytest.raises(NasError, match=r"not pushed to me/small .* log in with `hf auth login`"):
        push(run, facts, "me/small")
    assert hub.files == {}


@pytest.mark.parametrize("name", ["a/b/c", "me/--", "", "me/sp ace"])
def test_an_id_that_cannot_be_one_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(BadInput, match="--push-to"):
        check_hub(name)
