"""Serves a run's page on the loopback interface, and makes it again when the run has changed."""

import hashlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from nas.core.errors import BadInput, NasError
from nas.core.files import reason_of
from nas.reporting.html import policy

LOOPBACK = "127.0.0.1"
PATIENCE = 10  # seconds for a request to arrive


class Live:
    """A page that is made again when the files of a run have changed.

    folder: the run's folder. make: returns the page; raises `NasError` if it cannot be made.
    """

    def __init__(self, folder: Path, make: Callable[[], str]) -> None:
        self._folder, self._make, self._lock = folder, make, Lock()
        self._state: object = None
        self._page, self.mark = b"", ""

    def page(self) -> tuple[bytes, str]:
        """Return the page, and a mark that changes with it."""
        with self._lock:
            state = self._files()
            if state != self._state:
                self._page = self._make().encode(errors="backslashreplace")
                self.mark = f'"{hashlib.sha256(self._page).hexdigest()[:32]}"'
                self._state = state
            return self._page, self.mark

    def _files(self) -> list[tuple[str, int]]:
        """Return the run's results and when each was written."""
        results = [self._folder / "run.json", *self._folder.glob("trials/*/result.json")]
        return [(str(file), file.stat().st_mtime_ns) for file in sorted(results) if file.exists()]


def server_of(live: Live, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of one page, for this machine only; 0 chooses a free port.

    It answers GET for `/` under its own address, changes nothing, and refuses requests for other
    hosts' names, by which a page from elsewhere could reach it (DNS rebinding).
    Raises `BadInput` if the port is in use.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_GET(self) -> None:
            own = self.server.server_port  # type: ignore[attr-defined]
            if self.headers.get("Host") not in (f"{LOOPBACK}:{own}", f"localhost:{own}"):
                self._answer(403, b"this page is only for this machine\n")
            elif self.path != "/":
                self._answer(404, b"there is one page, /\n")
            else:
                self._answer_page()

        def _answer_page(self) -> None:
            try:
                page, mark = live.page()
            except (NasError, OSError) as error:
                self._answer(500, f"{reason_of(error)}\n".encode(errors="backslashreplace"))
                return
            if self.headers.get("If-None-Match") == mark:
                self._answer(304, b"", ETag=mark)
            else:
                self._answer(200, page, "text/html; charset=utf-8", ETag=mark)

        def _answer(
            self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8", **more: str
        ) -> None:
            self.send_response(code)
            headers = {
                "Content-Type": kind,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "Content-Security-Policy": f"{policy(served=True)}; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                **more,
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"--port {port} cannot be used ({reason_of(error)}): pass another one, or none"
        ) from None
    server.daemon_threads = True
    return server
