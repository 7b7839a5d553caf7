"""Download of one file over HTTP: resumed after an interruption, checked, and put in place only when complete."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.errors import NotThere, OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.formats.archive import looks_like_archive
from effconvert.hub.addresses import elsewhere
from effconvert.version import VERSION

Progress = Callable[[int, int | None], None]

_BLOCK = 1 << 18
_SLOWEST = 1 << 10  # bytes a second; a server that sends less for as long as the timeout is given up
_PROGRESS = 1 << 20  # what must arrive for the waits to start again
_WORTH_A_RETRY = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_THERE = frozenset({403, 404, 410})  # storage that does not list its files answers 403
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml)", re.IGNORECASE)


@dataclass(frozen=True)
class Patience:
    """Time limits of a download from a server that does not answer.

    timeout: seconds without a byte before a connection is given up. waits: seconds before each new attempt; the list
    starts again when more of the file than ever before has arrived.
    """

    timeout: float = 30.0
    waits: tuple[float, ...] = (1.0, 2.0, 4.0)


class _Interrupted(Exception):
    """A failed attempt; another attempt may succeed."""


def download(url: str, target: Path, *, progress: Progress | None = None, patience: Patience | None = None) -> str:
    """Download `url` to `target` and return its SHA-256 in hexadecimal.

    An unfinished download stays beside `target` as `.part`. The next attempt, also in another run, resumes it if the
    server still has the same file.

    Raises Unavailable in one sentence, NotThere if the server does not have the file, OutputProblem if the file cannot
    be written.
    """
    patience = patience or Patience()
    part = _Part(url, target)
    attempts, furthest, waits = 0, part.size, iter(patience.waits)
    while True:
        attempts += 1
        try:
            if not part.is_whole():
                _receive(url, part, progress, patience.timeout)
            return part.finish()
        except _Interrupted as problem:
            # If the file changes between attempts, this must not go on forever: only new bytes reset the waits.
            if part.size >= furthest + _PROGRESS or (part.size > furthest and part.is_whole()):
                furthest, waits = part.size, iter(patience.waits)
            wait = next(waits, None)
            if wait is None:
                raise _unavailable(url, f"{problem} ({attempts} attempts)") from problem
            time.sleep(wait)


class _Part:
    """The `.part` file of a download, with a file beside it that identifies the file on the server."""

    def __init__(self, url: str, target: Path) -> None:
        from effconvert.formats.strict_json import read_json_object  # imports numpy

        self.target = target
        self.path = target.with_name(target.name + ".part")
        self.notes = target.with_name(target.name + ".part.json")
        self.url = url
        self.state: dict[str, Any] = {}
        with contextlib.suppress(ValueError, UnreadableCheckpoint):
            self.state = _sound_state(read_json_object(self.notes))
        if self.state.get("url") != url or not self.path.is_file():
            self.discard()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def total(self) -> int | None:
        return self.state.get("total")

    @property
    def validator(self) -> str | None:
        """The server's identifier of these bytes; without it, the download is not resumed."""
        return self.state.get("validator")

    def is_whole(self) -> bool:
        return self.total is not None and self.size == self.total

    def restart(self, state: dict[str, Any]) -> None:
        self.discard()
        with _writing(self.path):
            self.state = {"url": self.url, **state}
            self.path.touch()
            self.notes.write_text(json.dumps(self.state), encoding="utf-8")

    def discard(self) -> None:
        with _writing(self.path):
            self.state = {}
            self.path.unlink(missing_ok=True)
            self.notes.unlink(missing_ok=True)

    def append(self, block: bytes) -> None:
        # Unbuffered, so that a full disk raises an error here and not when the file is closed.
        with _writing(self.path), open(self.path, "ab", buffering=0) as file:
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]

    def finish(self) -> str:
        """Move the file in place and return its SHA-256."""
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with open(self.path, "rb") as file:
            while block := file.read(_BLOCK):
                sha256.update(block)
                md5.update(block)
            os.fsync(file.fileno())
        announced, found = self.state.get("md5"), b64encode(md5.digest()).decode()
        if announced and announced != found:
            self.discard()
            raise _Interrupted(f"arrived damaged: its MD5 is {found}, the server announced {announced}")
        self.path.replace(self.target)
        self.discard()
        return sha256.hexdigest()


def _sound_state(state: Any) -> dict[str, Any]:
    """Return the notes of an unfinished download; {} if they are not as this module writes them."""
    if not isinstance(state, dict) or not isinstance(state.get("total"), int | None):
        return {}
    texts = [state.get(name) for name in ("url", "validator", "md5")]
    sound = all(text is None or (isinstance(text, str) and text.isprintable()) for text in texts)
    return state if sound else {}


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows the server to http and https only, and never from https to http."""

    def http_error_302(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:  # an address that Python cannot read
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            fp.close()
            raise _unavailable(req.full_url, f"the server redirects to {newurl[:200]!a}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(url: str, part: _Part, progress: Progress | None, timeout: float) -> None:
    headers = {"User-Agent": f"effconvert/{VERSION}", "Accept-Encoding": "identity"}
    if part.size and part.validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.build_opener(_Redirections).open(request, timeout=timeout) as response:
            first = _accept(url, response, part)
            _copy(response, first, part, progress, timeout)
    except urllib.error.HTTPError as error:
        _refuse_status(url, error, part)
    except (TimeoutError, http.client.HTTPException, OSError) as error:
        raise _described(url, error, timeout) from error
    except (ValueError, RecursionError) as error:  # an address or a number that Python cannot read
        raise _unavailable(url, f"the server's answer cannot be read ({str(error)[:200]})") from error


def _accept(url: str, response: http.client.HTTPResponse, part: _Part) -> bytes:
    """Decide whether the answer continues `part` or starts again; return its first bytes."""
    validator = _validator(response)
    if response.status == 206:
        first, total = _range(response)
        known = part.validator if validator is None else validator
        if first != part.size or known != part.validator or (part.total is not None and total != part.total):
            before = part.total
            part.discard()
            raise _Interrupted(f"changed on the server while it was downloaded (from {before} to {total} bytes)")
        return b""
    if response.status != 200:
        raise _unavailable(url, f"the server answered {response.status} {response.reason}")
    total, block = response.length, response.read1(_BLOCK)
    while len(block) < 512 and (more := response.read1(_BLOCK)):
        block += more
    kind = response.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml") or not _plausible(part.target.name, block):
        raise _unavailable(
            url,
            f"the server sent something else than the file ({kind}), perhaps a login page of your internet access",
        )
    part.restart({"validator": validator, "total": total, "md5": _announced_md5(response)})
    return block


def _plausible(name: str, block: bytes) -> bool:
    """Return whether a file with this `name` may begin with `block`."""
    if name.endswith(".tar.gz"):
        return len(block) < 512 or looks_like_archive(block)
    return not _PAGE.match(block)


def _copy(
    response: http.client.HTTPResponse, block: bytes, part: _Part, progress: Progress | None, timeout: float
) -> None:
    total, size = part.total, part.size
    looked, seen = time.monotonic(), size
    while block := block or response.read1(_BLOCK):
        size += len(block)
        if (seconds := time.monotonic() - looked) > timeout:
            if size - seen < _SLOWEST * seconds:
                part.append(block)
                raise _Interrupted(f"only {size - seen:,} bytes arrived in {seconds:.0f} s")
            looked, seen = time.monotonic(), size
        if total is not None and size > total:
            part.discard()
            raise _Interrupted(f"the server sent more than the {total:,} bytes that it announced")
        part.append(block)
        block = b""
        if progress:
            progress(size, total)
    if total is not None and size != total:
        raise _Interrupted(f"the connection ended after {size:,} of {total:,} bytes")


def _range(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the first byte and the size of the whole file, from Content-Range."""
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match:
        raise _Interrupted("the server sent a part of the file without saying which")
    return int(match[1]), None if match[3] == "*" else int(match[3])


def _validator(response: http.client.HTTPResponse) -> str | None:
    """Return a value for If-Range: a strong ETag, or else the date."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _announced_md5(response: http.client.HTTPResponse) -> str | None:
    """Return the MD5 of the whole file that Google's storage announces, in base64."""
    announced = ",".join(response.headers.get_all("x-goog-hash") or [])
    values = [text.strip().removeprefix("md5=") for text in announced.split(",") if text.strip().startswith("md5=")]
    return values[0] if values else None


def _refuse_status(url: str, error: urllib.error.HTTPError, part: _Part) -> None:
    with error:
        words = f"the server answered {error.code} {error.reason}"
    if error.code == 416:  # the local part is longer than the file on the server
        part.discard()
    if error.code == 416 or error.code in _WORTH_A_RETRY:
        raise _Interrupted(words) from error
    kind = NotThere if error.code in _NOT_THERE else Unavailable
    raise kind(f"{url}: {words}; {elsewhere()}") from error


def _described(url: str, error: Exception, timeout: float) -> Exception:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _unavailable(url, f"the server's certificate is not trusted ({reason.verify_message})")
    if isinstance(reason, socket.gaierror):  # waiting does not help
        return _unavailable(url, f"no internet access, or the server's name is not known ({reason.strerror})")
    if isinstance(reason, TimeoutError):
        return _Interrupted(f"no answer for {timeout:g} s")
    if isinstance(reason, http.client.IncompleteRead):
        return _Interrupted("the connection ended before the file did")
    return _Interrupted(str(getattr(reason, "strerror", None) or reason or type(reason).__name__))


def _unavailable(url: str, what: str) -> Unavailable:
    return Unavailable(f"{url}: {what}; {elsewhere()}")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise OutputProblem for an error of the disk; an error of the connection is an OSError too."""
    try:
        yield
    except OSError as error:
        raise OutputProblem(f"{path}: {error.strerror or error}; set EFFCONVERT_CACHE to another folder") from error
