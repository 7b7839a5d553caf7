"""A server that has archives where the official ones are."""

import http.server
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def put_archive(site: Path, address: str, checkpoint: Path) -> Path:
    """Put `checkpoint` as an archive to `address`, counted from the bucket; return the archive."""
    archive = site / address
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(checkpoint, archive.name.removesuffix(".tar.gz"))
    return archive


@contextmanager
def serving(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve `site`, and have effconvert download from it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site))

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("EFFCONVERT_MIRROR", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
