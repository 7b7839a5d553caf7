"""Files beside Hugging Face's weights are fetched too; a mirror may lack them, and the conversion then says so."""

from pathlib import Path

import pytest

from effconvert.errors import Unavailable
from effconvert.hub.addresses import address
from effconvert.hub.cache import fetch
from effconvert.hub.published_conversion import convert_published
from effconvert.reference_tables.published_weights import choose
from helpers.hub.published_files import beside, body_of
from helpers.hub.serving import QUICK, Answer, Server, serve, status

ROW = choose("b0", None, "huggingface")
BODY, BESIDE = body_of(ROW), beside(ROW)
WITH_ALL = [serve(BODY), *map(serve, BESIDE.values())]
SAID = "there is no config.json beside the file"


@pytest.mark.usefixtures("cache")
def test_config_and_preprocessor_config_are_fetched_once_with_the_weights(server: Server) -> None:
    server.answers = [*WITH_ALL, status(500)]
    fetched = fetch(ROW, patience=QUICK)
    assert {name: (fetched.path.parent / name).read_bytes() for name in BESIDE} == BESIDE
    assert fetch(ROW, patience=QUICK) == fetch(ROW, offline=True) == fetched
    assert [f"{server.url}{path}" for path, _ in server.requests] == [address(ROW), *(address(ROW, n) for n in BESIDE)]


@pytest.mark.usefixtures("cache")
def test_what_they_say_is_taken(server: Server, tmp_path: Path) -> None:
    server.answers = WITH_ALL
    report = convert_published("huggingface/b0", tmp_path / "b0", to="huggingface")
    assert SAID not in " ".join(report.cautions)
    assert '"class 999"' in (tmp_path / "b0" / "config.json").read_text()


@pytest.mark.parametrize("answer", [status(404), status(403), serve(BODY)], ids=["missing", "hidden", "another file"])
@pytest.mark.usefixtures("cache")
def test_a_mirror_without_them_is_enough_and_the_report_says_what_is_assumed(
    server: Server, tmp_path: Path, answer: Answer
) -> None:
    server.answers = [serve(BODY), answer]
    report = convert_published("huggingface/b0", tmp_path / "b0.safetensors")
    assert SAID in " ".join(report.cautions)


def test_a_server_that_fails_meanwhile_is_no_mirror_without_them(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), status(500)]
    with pytest.raises(Unavailable, match="config.json: the server answered 500"):
        fetch(ROW, patience=QUICK)
    server.answers = [*[status(500)] * len(server.requests), *map(serve, BESIDE.values())]
    assert fetch(ROW, patience=QUICK).path.read_bytes() == BODY


@pytest.mark.usefixtures("cache")
def test_files_that_were_lost_from_the_cache_are_fetched_again_but_not_offline(server: Server) -> None:
    server.answers = [*WITH_ALL, *map(serve, BESIDE.values())]
    config = fetch(ROW, patience=QUICK).path.parent / "config.json"
    config.unlink()
    fetch(ROW, patience=QUICK)
    assert config.read_bytes() == BESIDE["config.json"]
    config.unlink()
    requests = len(server.requests)
    fetch(ROW, offline=True)
    assert len(server.requests) == requests
