"""A server on this machine that answers as it is told, and archives to serve."""

import gzip
import io
import random
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from effconvert.hub.downloads import Patience

DATA = random.Random(7).randbytes(300_000)
CHECKPOINT = {
    "checkpoint": b'model_checkpoint_path: "model.ckpt"\n',
    "model.ckpt.index": b"an index",
    "model.ckpt.data-00000-of-00001": DATA,
}
QUICK = Patience(timeout=5, waits=(0, 0, 0))

Answer = Callable[[BaseHTTPRequestHandler], None]


def make_tar(members: dict[str, bytes]) -> bytes:
    """Return a tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make_archive(inner: str = "efficientnet-b0", members: dict[str, bytes] | None = None) -> bytes:
    """Return a .tar.gz of a checkpoint in the folder `inner`."""
    files = CHECKPOINT if members is None else members
    return gzip.compress(make_tar({f"{inner}/{name}": content for name, content in files.items()}), 1, mtime=0)


def write(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, object], body: bytes) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, str(value))
    handler.end_headers()
    handler.wfile.write(body)


def serve(
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    etag: str = '"one"',
    stop: int | None = None,
    ranges: bool = True,
) -> Answer:
    """Answer with `body` or the range asked for, breaking off before byte `stop`, with more `headers`."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        fitting = handler.headers.get("If-Range") == etag
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and fitting and ranges else 0
        answered: dict[str, object] = {"Content-Length": len(body) - start, "ETag": etag, **(headers or {})}
        if start:
            answered["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        write(handler, 206 if start else 200, answered, body[start:stop])

    return answer


def status(code: int) -> Answer:
    """Answer with a status and no body."""
    return lambda handler: write(handler, code, {"Content-Length": 0}, b"")


@dataclass
class Server:
    """answers: one a request, in order; the last stays. requests: what was asked for, (path, headers)."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def stall(self, body: bytes, stop: int) -> Answer:
        """Answer with the beginning of `body`, and then with nothing until the test ends."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            serve(body, stop=stop)(handler)
            handler.wfile.flush()
            self.closing.wait(20)

        return answer
