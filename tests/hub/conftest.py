"""A server that the hub takes for the mirror of the published weights, and an empty cache."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers.hub.serving import Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that the hub takes for the mirror of the published weights."""
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = len(told.requests)
            told.requests.append((self.path, dict(self.headers)))
            told.answers[min(number, len(told.answers) - 1)](self)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # the client went away, as some tests mean it to
            pass

    with Quiet(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told.url = f"http://127.0.0.1:{http_server.server_port}"
        monkeypatch.setenv("EFFCONVERT_MIRROR", told.url)
        monkeypatch.setenv("no_proxy", "*")
        yield told
        told.closing.set()
        http_server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EFFCONVERT_CACHE", str(folder))
    return folder
