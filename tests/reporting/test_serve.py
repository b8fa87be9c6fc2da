"""A served page follows its run, for this machine only."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from nas.core.errors import BadInput
from nas.reporting.serve import Live, server_of
from tests.jobs.command import TOY, nas, start, wait_for


class Server:
    """A served run whose page is the number of its results, or a fault."""

    def __init__(self, run: Path) -> None:
        self.run, self.made, self.fault = run, 0, ""
        self.server = server_of(Live(run, self.page))
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def page(self) -> str:
        if self.fault:
            raise BadInput(self.fault)
        self.made += 1
        return f"{len(list(self.run.glob('trials/*/result.json')))} results"

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        return connection.getresponse()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    result = tmp_path / "trials" / "0000" / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    server = Server(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_the_page_is_made_again_only_when_a_result_has_changed(served: Server) -> None:
    first = served.ask()
    assert (first.status, first.read()) == (200, b"1 results")
    mark = first.headers["ETag"]
    again = served.ask(If_None_Match=mark)
    assert (again.status, again.read(), served.made) == (304, b"", 1)
    (served.run / "trials" / "0001").mkdir()
    (served.run / "trials" / "0001" / "result.json").write_text("{}")
    newer = served.ask(If_None_Match=mark)
    assert (newer.status, newer.read(), served.made) == (200, b"2 results", 2)


@pytest.mark.parametrize(
    "host", ["example.org", "127.0.0.1", "127.0.0.1:1", "localhost.example.org", ""]
)
def test_other_hosts_names_are_refused(served: Server, host: str) -> None:
    answer = served.ask(Host=host)
    assert answer.status == 403 and b"results" not in answer.read()


def test_the_own_name_is_accepted(served: Server) -> None:
    assert served.ask(Host=f"localhost:{served.port}").status == 200


@pytest.mark.parametrize("path", ["/run.json", "/../run.json", "/trials/0000/result.json", "/?x"])
def test_there_is_one_page(served: Server, path: str) -> None:
    assert served.ask(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_reading_is_possible(served: Server, method: str) -> None:
    assert served.ask(method=method).status == 501


def test_the_policy_allows_only_this_server(served: Server) -> None:
    policy = served.ask().headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy


def test_only_the_loopback_interface_listens(served: Server) -> None:
    assert served.server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match=r"--port \d+ cannot be used"):
            server_of(Live(tmp_path, str), taken.getsockname()[1])


def test_the_answer_for_a_damaged_run_says_what_is_wrong(served: Server) -> None:
    served.fault = "run.json is damaged"
    answer = served.ask()
    assert (answer.status, answer.read()) == (500, b"run.json is damaged\n")
    served.fault = ""
    assert served.ask().status == 200


def test_the_command_serves_a_run_until_it_is_interrupted(tmp_path: Path) -> None:
    run = tmp_path / "run"
    searched = nas("search", *TOY, "--candidates", 4, "--executor", "serial", "--run", run)
    assert searched.returncode == 0, searched.stderr
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start("report", run, "--serve", "--port", port, "--trust")

    def page() -> bytes | None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            return connection.getresponse().read()
        except ConnectionRefusedError:
            return None

    pages: list[bytes] = []
    wait_for(process, lambda: (found := page()) and not pages.append(found))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and err == "" and f"http://127.0.0.1:{port}/" in out
    assert b'data-follow="5"' in pages[0] and b'class="explorer"' in pages[0]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert json.loads((run / "run.json").read_text())["finished"]
