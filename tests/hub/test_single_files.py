"""A published file that is not an archive is fetched, cached and checked like one, and held against its name."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from effconvert.errors import LayoutMismatch, Unavailable, UnreadableCheckpoint
from effconvert.hub.addresses import address
from effconvert.hub.cache import fetch
from effconvert.reference_tables.file_names import check_name_sha8, name_sha8
from effconvert.reference_tables.published_weights import choose, published
from effconvert.reference_tables.weights import Published
from helpers.hub.serving import QUICK, Server, serve, status
from helpers.library_files import library_tensors


def timm_file(variant: str = "b0", classes: int = 1000, seed: int = 0) -> bytes:
    """Return a file as timm writes it, in half precision."""
    tensors = library_tensors("timm", variant, classes=classes, seed=seed)
    return safetensors.numpy.save({name: tensor.astype(np.float16) for name, tensor in tensors.items()})


BODY, OTHER = timm_file(), timm_file(seed=1)
HALF = len(BODY) // 2
SHA256 = hashlib.sha256(BODY).hexdigest()
NAMED = replace(
    choose("b0", "aa", "mmpretrain"),
    url=f"https://download.openmmlab.com/mmclassification/v0/efficientnet/efficientnet-b0_20220119-{SHA256[:8]}.pth",
)
UNNAMED = choose("b0", "ra4_e3600_r224_in1k", "timm")
PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"


def get(row: Published = NAMED, **options: Any) -> Path:
    return fetch(row, patience=QUICK, **options).path  # type: ignore[arg-type]


def test_a_file_is_downloaded_once(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), status(404)]
    path = get()
    assert path == get(offline=True) == cache / "mmpretrain-b0-aa" / NAMED.file_name
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1


def test_what_was_fetched_says_its_address_and_sha256(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    fetched = fetch(NAMED, patience=QUICK)
    assert (fetched.url, fetched.sha256) == (address(NAMED), {NAMED.file_name: SHA256})


def test_a_broken_download_is_resumed(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY, stop=HALF), serve(BODY)]
    assert get().read_bytes() == BODY
    assert server.requests[1][1]["Range"] == f"bytes={HALF}-"


@pytest.mark.parametrize(
    ("row", "path"),
    [
        (choose("b0", "aa"), "/efficientnet/ckptsaug/efficientnet-b0.tar.gz"),
        (NAMED, f"/mmclassification/v0/efficientnet/{NAMED.file_name}"),
        (UNNAMED, "/timm/efficientnet_b0.ra4_e3600_r224_in1k/resolve/main/model.safetensors"),
        (choose("b0", None, "mindspore"), "/vision/classification/efficientnet_b0_1_1_224_0.2.ckpt"),
        (
            choose("b0", None, "timm"),
            "/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_efficientnet_b0_aa-827b6e33.pth",
        ),
    ],
    ids=lambda value: value.framework if isinstance(value, Published) else "",
)
def test_a_mirror_has_the_path_of_each_host(monkeypatch: pytest.MonkeyPatch, row: Published, path: str) -> None:
    monkeypatch.setenv("EFFCONVERT_MIRROR", "https://mirror.example/weights/")
    assert address(row) == f"https://mirror.example/weights{path}"


def test_no_two_files_share_a_place_in_a_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    from effconvert.reference_tables.weights import weights_table

    monkeypatch.setenv("EFFCONVERT_MIRROR", "https://mirror.example")
    assert len({address(row) for row in weights_table()}) == len(weights_table())


def test_a_download_that_is_not_what_its_name_says_is_refused_and_not_kept(server: Server, cache: Path) -> None:
    server.answers = [serve(OTHER), serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match=f"expected {SHA256[:8]}, .* as in its name; it was not kept"):
        get()
    assert [path.name for path in (cache / "mmpretrain-b0-aa").iterdir()] == [".lock"]
    assert get().read_bytes() == BODY


def test_a_file_that_was_damaged_in_the_cache_is_refused_and_fetched_anew_by_the_next_run(
    server: Server, cache: Path
) -> None:
    server.answers = [serve(BODY)]
    path = get()
    path.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(UnreadableCheckpoint, match="it was not kept") as failure:
        get()
    assert str(failure.value).startswith(f"{path}: ")
    assert get().read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_file_without_a_hash_in_its_name_is_compared_with_its_first_download(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), serve(OTHER)]
    path = get(UNNAMED)
    assert json.loads(path.with_name(path.name + ".json").read_text())["sha256"] == SHA256
    path.write_bytes(OTHER)
    with pytest.raises(UnreadableCheckpoint, match=f"was changed later; delete {path.parent}"):
        get(UNNAMED)
    path.unlink()
    with pytest.raises(UnreadableCheckpoint, match="the file now has SHA-256"):
        get(UNNAMED)
    assert not path.exists()


def test_a_file_that_is_no_checkpoint_is_not_kept(server: Server, cache: Path) -> None:
    server.answers = [serve(b"no such file" * 100), serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match="was not kept"):
        get(UNNAMED)
    assert get(UNNAMED).read_bytes() == BODY


@pytest.mark.parametrize(
    ("variant", "classes", "found"),
    [("b1", 1000, "is b1 with 1000 classes"), ("b0", 1, "is b0 with 1 classes"), ("b0", 0, "is b0 with 0 classes")],
)
def test_a_checkpoint_of_another_network_is_named_and_not_kept(
    server: Server, cache: Path, variant: str, classes: int, found: str
) -> None:
    server.answers = [serve(timm_file(variant, classes)), serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match=f"{found}, expected b0 with 1000 classes") as failure:
        get(UNNAMED)
    assert f"it was downloaded from {address(UNNAMED)} and was not kept" in str(failure.value)
    assert [path.name for path in (cache / f"timm-b0-{UNNAMED.weights}").iterdir()] == [".lock"]
    assert get(UNNAMED).read_bytes() == BODY


def test_a_checkpoint_of_no_known_network_is_not_kept(server: Server, cache: Path) -> None:
    resnet = {"conv1.weight": np.zeros((64, 3, 7, 7), np.float32), "fc.bias": np.zeros(1000, np.float32)}
    server.answers = [serve(safetensors.numpy.save(resnet)), serve(BODY)]
    with pytest.raises(
        UnreadableCheckpoint, match=r"conv1.weight.* of no known layout .*; expected b0 .* was not kept"
    ):
        get(UNNAMED)
    assert get(UNNAMED).read_bytes() == BODY


def test_a_checkpoint_that_lacks_tensors_is_not_kept(server: Server, cache: Path) -> None:
    tensors = safetensors.numpy.load(BODY)
    del tensors["blocks.1.0.conv_pw.weight"]
    server.answers = [serve(safetensors.numpy.save(tensors)), serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match="but 1 of its 311 tensors are missing .* was not kept"):
        get(UNNAMED)
    assert get(UNNAMED).read_bytes() == BODY


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_login_page_is_not_taken_for_a_file(server: Server, cache: Path, kind: str) -> None:
    server.answers = [serve(PAGE, {"Content-Type": kind})]
    with pytest.raises(Unavailable, match="login page"):
        get()
    assert [path.name for path in (cache / "mmpretrain-b0-aa").iterdir()] == [".lock"]


def test_offline_without_a_cached_file_is_one_sentence(server: Server, cache: Path) -> None:
    with pytest.raises(Unavailable, match="give its path to effconvert.convert") as failure:
        get(offline=True)
    assert address(NAMED) in str(failure.value)
    assert not server.requests


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [
        ("aa_in1k", "tf_efficientnet_b0.aa_in1k"),
        ("AA", "tf_efficientnet_b0.aa_in1k"),
        ("base", "tf_efficientnet_b0.in1k"),
        ("advprop", "tf_efficientnet_b0.ap_in1k"),
        ("ns", "tf_efficientnet_b0.ns_jft_in1k"),
        ("ra", "efficientnet_b0.ra_in1k"),
        ("tf_efficientnet_b0", "tf_efficientnet_b0.aa_in1k"),
        ("efficientnet_b0.ra_in1k", "efficientnet_b0.ra_in1k"),
    ],
)
def test_timms_tags_have_short_names(weights: str, chosen: str) -> None:
    row = choose("b0", weights, "timm")
    assert f"{row.network}.{row.weights}" == chosen


def test_a_short_name_means_one_training_of_a_variant() -> None:
    for variant in ("b0", "b5", "lite0", "edgetpu-s", "l2"):
        names = [row.short for row in published(variant, "timm")]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("variant", "weights", "framework", "words"),
    [
        (
            "edgetpu-s",
            None,
            "mmpretrain",
            "mmpretrain published no weights of edgetpu-s; it published weights of b0, b1",
        ),
        ("b8", None, "mindspore", "mindspore published no weights of b8; it published weights of b0"),
        ("b2", "mindcv", "mindspore", "b2 (mindspore), which has mindvision; only b0, b1 have them"),
        (
            "b6",
            "ra",
            "timm",
            "aa_in1k, ap_in1k, ns_jft_in1k; only b0, b2, b5, b7, b8, edgetpu-s, edgetpu-l, lite0 have",
        ),
        (
            "b0",
            None,
            "jax",
            "framework 'jax' is unknown; known are tensorflow, mindspore, mmpretrain, timm, torchvision",
        ),
    ],
)
def test_what_was_not_published_is_refused_with_what_was(
    variant: str, weights: str | None, framework: str, words: str
) -> None:
    with pytest.raises(LayoutMismatch) as failure:
        choose(variant, weights, framework)
    assert words in str(failure.value)


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("tf_efficientnet_b0_aa-827b6e33.pth", "827b6e33"),
        ("efficientnet_lite0_ra-37913777.pth", "37913777"),
        ("efficientnet-b0_3rdparty_8xb32_in1k_20220119-a7e2a0b1.pth", "a7e2a0b1"),
        ("efficientnet_b0-f8d7aa2a-910v2.ckpt", None),
        ("model-827B6E33.pth", None),
        ("827b6e33.pth", None),
        ("epoch_100.pth", None),
    ],
)
def test_a_name_promises_a_hash_as_openmmlab_and_timm_write_it(name: str, promised: str | None) -> None:
    assert name_sha8(name) == promised


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"b0-{SHA256[:8]}.pth", f"its SHA-256 begins with {SHA256[:8]}, as its name says"),
        ("b0-00c0ffee.pth", f"begins with {SHA256[:8]}, but its name says 00c0ffee"),
    ],
)
def test_a_users_own_file_is_held_against_its_name(name: str, words: str) -> None:
    assert words in str(check_name_sha8(Path("somewhere") / name, SHA256))


@pytest.mark.parametrize("name", ["b0.pth", "b0-20220119.pth"])
def test_a_name_without_a_hash_or_with_a_date_says_nothing(name: str) -> None:
    assert check_name_sha8(Path(name), SHA256) is None
