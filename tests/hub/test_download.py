"""A download is whole and right, or it says in one sentence why not."""

import hashlib
import io
import socket
import urllib.request
from base64 import b64encode
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import OutputProblem, Unavailable
from effconvert.hub.downloads import Patience, _Redirections, download
from helpers.hub.serving import QUICK, Answer, Server, make_archive, serve, status, write

BODY = make_archive()
HALF = len(BODY) // 2


def get(server: Server, folder: Path, **options: Any) -> Path:
    target = folder / "b0.tar.gz"
    sha256 = download(f"{server.url}/b0.tar.gz", target, **{"patience": QUICK, **options})  # type: ignore[arg-type]
    assert sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    return target


def refused(server: Server, folder: Path, **options: Any) -> str:
    """Return the sentence with which the download is given up; nothing then stands where the archive would."""
    with pytest.raises(Unavailable) as failure:
        get(server, folder, **options)
    assert not (folder / "b0.tar.gz").exists()
    text = str(failure.value)
    assert text.startswith(f"{server.url}/b0.tar.gz: ")
    assert "give its path to effconvert.convert" in text
    assert "\n" not in text
    return text


def test_a_download_has_the_bytes_of_the_server_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["b0.tar.gz"]


def test_progress_ends_with_all_bytes_of_all_bytes(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), serve(BODY)]
    seen: list[tuple[int, int | None]] = []
    get(server, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)


def test_a_broken_download_resumes_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY
    headers = server.requests[1][1]
    assert headers["Range"] == f"bytes={HALF}-"
    assert headers["If-Range"] == '"one"'


def test_a_download_that_a_run_gave_up_is_resumed_by_the_next_run(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), status(503), status(503), status(503), serve(BODY)]
    refused(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.requests[-1][1]["Range"] == f"bytes={HALF}-"


def test_a_part_that_was_whole_when_the_run_died_needs_no_request(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), status(404)]
    refused(server, tmp_path)
    (tmp_path / "b0.tar.gz.part").write_bytes(BODY)
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_server_that_ignores_range_starts_the_file_anew(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), serve(BODY, ranges=False)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_file_that_changes_between_attempts_is_never_joined_from_two(server: Server, tmp_path: Path) -> None:
    other = make_archive("other")
    server.answers = [serve(BODY, stop=HALF), serve(other, etag='"two"')]
    assert get(server, tmp_path).read_bytes() == other


def test_a_server_that_resumes_another_file_regardless_is_asked_again(server: Server, tmp_path: Path) -> None:
    other = make_archive("other")

    def careless(handler: object) -> None:
        content_range = f"bytes {HALF}-{len(other) - 1}/{len(other)}"
        headers = {"ETag": '"two"', "Content-Range": content_range, "Content-Length": len(other) - HALF}
        write(handler, 206, headers, other[HALF:])  # type: ignore[arg-type]

    server.answers = [serve(BODY, stop=HALF), careless, serve(other, etag='"two"')]
    assert get(server, tmp_path).read_bytes() == other
    assert "Range" not in server.requests[2][1]


def test_a_file_whose_total_changes_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    def other(handler: object) -> None:
        headers = {"Content-Range": f"bytes {HALF}-{len(BODY)}/{len(BODY) + 1}"}
        write(handler, 206, headers, b"?" * (len(BODY) - HALF))  # type: ignore[arg-type]

    server.answers = [serve(BODY, stop=HALF), other, serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_part_from_another_byte_than_asked_for_is_not_joined(server: Server, tmp_path: Path) -> None:
    def shifted(handler: object) -> None:
        headers = {"ETag": '"one"', "Content-Range": f"bytes {HALF - 1}-{len(BODY) - 2}/{len(BODY)}"}
        write(handler, 206, headers, BODY[HALF - 1 : -1])  # type: ignore[arg-type]

    server.answers = [serve(BODY, stop=HALF), shifted, serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_part_of_another_address_is_not_resumed(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), status(404), serve(BODY)]
    refused(server, tmp_path)
    download(f"{server.url}/elsewhere/b0.tar.gz", tmp_path / "b0.tar.gz", patience=QUICK)
    assert "Range" not in server.requests[2][1]


def test_without_a_validator_nothing_is_resumed(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF, etag='W/"weak"'), serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert "Range" not in server.requests[1][1]


def test_a_file_that_never_stays_the_same_is_given_up(server: Server, tmp_path: Path) -> None:
    numbers = iter(range(100))
    server.answers = [lambda handler: serve(BODY, stop=HALF, etag=f'"{next(numbers)}"')(handler)]
    assert "the connection ended after" in refused(server, tmp_path)
    assert len(server.requests) < 10


def test_a_stalled_connection_is_dropped_and_resumed(server: Server, tmp_path: Path) -> None:
    server.answers = [server.stall(BODY, HALF), serve(BODY)]
    assert get(server, tmp_path, patience=Patience(timeout=0.3, waits=(0,))).read_bytes() == BODY
    assert server.requests[1][1]["Range"] == f"bytes={HALF}-"


def test_a_server_that_only_stalls_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers = [server.stall(BODY, 0)]
    assert "no answer for 0.2 s" in refused(server, tmp_path, patience=Patience(timeout=0.2, waits=(0,)))


def test_a_body_shorter_than_announced_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF, ranges=False)]
    assert f"ended after {HALF:,} of {len(BODY):,} bytes" in refused(server, tmp_path)
    assert len(server.requests) == 1 + 1 + len(QUICK.waits) - 1


def test_a_body_longer_than_announced_is_refused(server: Server, tmp_path: Path) -> None:
    def longer(handler: object) -> None:
        write(handler, 206, {"Content-Range": f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"}, BODY[HALF:] + b"!")  # type: ignore[arg-type]

    server.answers = [serve(BODY, stop=HALF), longer, status(404)]
    refused(server, tmp_path)
    assert not (tmp_path / "b0.tar.gz.part").exists()


def test_what_is_already_longer_than_the_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), status(404)]
    refused(server, tmp_path)
    (tmp_path / "b0.tar.gz.part").write_bytes(BODY + b"more")
    server.answers[1:] = [status(404), status(416), serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_the_md5_that_google_announces_is_checked(server: Server, tmp_path: Path) -> None:
    right = {"x-goog-hash": f"crc32c=AAAAAA==, md5={b64encode(hashlib.md5(BODY).digest()).decode()}"}
    server.answers = [serve(b"\x1f\x8b" + bytes(len(BODY) - 2), right), serve(BODY, right)]
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(server.requests) == 2


def test_404_is_final(server: Server, tmp_path: Path) -> None:
    server.answers = [status(404), serve(BODY)]
    assert "404" in refused(server, tmp_path)
    assert len(server.requests) == 1


def test_503_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.answers = [status(503), serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_connection_that_is_refused_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Server(f"http://127.0.0.1:{free.getsockname()[1]}")
        assert "Connection refused" in refused(server, tmp_path)


@pytest.mark.parametrize(("kind", "copies"), [("text/html; charset=utf-8", 1), ("application/gzip", 20)])
def test_a_login_page_is_not_taken_for_an_archive(server: Server, tmp_path: Path, kind: str, copies: int) -> None:
    page = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
    server.answers = [serve(page * copies, {"Content-Type": kind})]
    assert "login page" in refused(server, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_login_page_does_not_cost_what_was_downloaded(server: Server, tmp_path: Path) -> None:
    page = serve(b"<html>" * 200, {"Content-Type": "text/html"}, ranges=False)
    server.answers = [serve(BODY, stop=HALF), page, serve(BODY)]
    refused(server, tmp_path)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.requests[2][1]["Range"] == f"bytes={HALF}-"


def test_a_disk_that_cannot_be_written_is_not_taken_for_the_network(server: Server, tmp_path: Path) -> None:
    server.answers = [serve(BODY)]
    (tmp_path / "b0.tar.gz.part.json").mkdir()
    with pytest.raises(OutputProblem, match="EFFCONVERT_CACHE"):
        get(server, tmp_path)


def test_without_a_network_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    with pytest.raises(Unavailable, match="no internet access, or the server's name is not known .*effconvert.convert"):
        download("http://no-such-host.invalid/x.tar.gz", tmp_path / "x.tar.gz")


def redirect(target: str) -> Answer:
    return lambda handler: write(handler, 302, {"Location": target, "Content-Length": 0}, b"")


@pytest.mark.parametrize("target", ["http://[::1", f"http://{'x' * 70}.example/", "http://host:port/", "file:///etc/passwd", "ftp://x/y"])  # fmt: skip
def test_a_redirection_that_leads_nowhere_is_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.answers = [redirect(target)]
    refused(server, tmp_path)


def test_a_redirection_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://example.org/b0.tar.gz")
    with pytest.raises(Unavailable, match="redirects to 'http://example.org/', which is not followed"):
        _Redirections().redirect_request(request, io.BytesIO(), 302, "", {}, "http://example.org/")


def test_a_number_that_python_cannot_read_is_refused(server: Server, tmp_path: Path) -> None:
    digits = "9" * 5000
    server.answers = [
        serve(BODY, stop=HALF),
        lambda handler: write(handler, 206, {"Content-Range": f"bytes {digits}-{digits}/{digits}"}, b""),
    ]
    assert "cannot be read" in refused(server, tmp_path)


@pytest.mark.parametrize("notes", ["[]", "[" * 100_000, "7", '{"url": "URL", "validator": "a\\nb"}', '{"url": "URL", "total": "1"}', '{"url": 1}'])  # fmt: skip
def test_notes_of_an_unfinished_download_that_are_damaged_are_left(server: Server, tmp_path: Path, notes: str) -> None:
    (tmp_path / "b0.tar.gz.part").write_bytes(BODY[:HALF])
    (tmp_path / "b0.tar.gz.part.json").write_text(notes.replace("URL", f"{server.url}/b0.tar.gz"))
    server.answers = [serve(BODY)]
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server: Server, tmp_path: Path) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        write(handler, 200, {"Content-Length": len(BODY), "ETag": '"one"'}, BODY[:600])
        while not server.closing.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    server.answers = [drip]
    assert "bytes arrived in" in refused(server, tmp_path, patience=Patience(timeout=0.3, waits=(0,)))
    assert len(server.requests) == 2
