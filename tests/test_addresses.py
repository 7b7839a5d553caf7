"""An address in place of a path is named, with the command that makes a path of it, and exits with 2."""

from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.errors import MissingPath
from effconvert.formats import open_checkpoint
from effconvert.hub.published_names import read_name
from effconvert.paths import require_path
from effconvert.reference_tables.weights import weights_table
from helpers.running import Ran

TIMM = "efficientnet_b0.ra_in1k"
ITSELF = "effconvert downloads it itself: effconvert convert --published"
URL = "https://example.com/some/b0.pth"

CASES = {
    URL: f"{URL}: an address, not a path; download it first: curl -LO {URL}",
    "http://x.org/a.pth?b=1&c": "download it first: curl -LO 'http://x.org/a.pth?b=1&c'",
    "https://github.com/me/x/blob/main/b0.pth": "curl -LO https://github.com/me/x/raw/main/b0.pth",
    "https://huggingface.co/me/x/blob/main/b0.pth": "curl -LO https://huggingface.co/me/x/resolve/main/b0.pth",
    f"https://huggingface.co/timm/{TIMM}": f"a repository on the Hugging Face hub, not a path; {ITSELF} timm/b0/ra_in1k",
    "https://huggingface.co/me/x/tree/main": "download it first: hf download me/x --local-dir x, and give x",
    f"hf://timm/{TIMM}": f"{ITSELF} timm/b0/ra_in1k",
    f"hf-hub:timm/{TIMM}": f"{ITSELF} timm/b0/ra_in1k",
    f"hf_hub:timm/{TIMM}": f"{ITSELF} timm/b0/ra_in1k",
    "hf://me/x/b0.safetensors": "hf download me/x --local-dir x, and give x",
    f"timm/{TIMM}": "a network of this name is published: effconvert convert --published timm/b0/ra_in1k",
    "timm/efficientnet_b0": "a network of this name is published: effconvert convert --published timm/b0/ra_in1k",
    "google/efficientnet-b0": "effconvert convert --published huggingface/b0/imagenet",
    "tf_efficientnet_b7": "a network of this name is published: effconvert convert --published timm/b7/",
    "me/my-efficientnet": "if it is a repository on the Hugging Face hub: download it first: hf download me/my-efficientnet",
    "s3://bucket/b0.pth": "aws s3 cp s3://bucket/b0.pth .",
    "gs://bucket/b0.tar.gz": "gcloud storage cp gs://bucket/b0.tar.gz .",
    "file:///tmp/nowhere/b0.pth": "an address, not a path; give /tmp/nowhere/b0.pth",
    "-": "standard input cannot be read, since a checkpoint is read by position: give a file",
    "~/no such folder/b0.pth": "the shell does not expand ~ in quotes: give '",
    "~no-such-user/b0.pth": "the shell does not expand ~ in quotes",
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), CASES.items())
def test_an_address_says_how_to_get_the_file(run: Callable[..., Ran], given: str, words: str) -> None:
    ran = run("inspect", given)
    assert ran.exit_code == 2
    assert words in ran.err
    assert ran.err.startswith(f"effconvert: {given.replace('file:///', 'file://')}: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "given", ["nothing.pth", "a/b/c.pth", "C:/x.pth", "a:b", "x://", "efficientnet_b0.pth", "~x" * 50]
)
def test_a_path_is_just_not_there(given: str) -> None:
    with pytest.raises(MissingPath, match="no such file or directory"):
        open_checkpoint(given)


def test_every_published_address_is_known_by_the_name_that_downloads_it() -> None:
    for row in weights_table():
        with pytest.raises(MissingPath) as caught:
            require_path(row.url)
        asked = read_name(str(caught.value).rpartition('convert_published("')[2].removesuffix('")'))
        assert (asked.framework, asked.variant, asked.weights) == (row.framework, row.variant, row.weights)


def test_a_path_that_looks_like_an_address_is_taken_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("timm").mkdir()
    Path("timm/efficientnet_b0").touch()
    assert require_path("timm/efficientnet_b0") == Path("timm/efficientnet_b0")
