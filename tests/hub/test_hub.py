"""Published weights are found, cached, and checked each time they are used."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch, OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.formats import TensorInfo
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.hub.addresses import address
from effconvert.hub.cache import cache_folder, fetch
from effconvert.reference_tables.published_weights import choose, published
from helpers.hub.serving import QUICK, Server, make_tar, serve, status
from helpers.hub.serving import make_archive as archive_of
from helpers.library_files import library_tensors


def official(variant: str, classes: int = 1000) -> dict[str, bytes]:
    """Return the files of a checkpoint as TensorFlow's are, of zeros."""
    tensors = library_tensors("tf-official", variant, classes=classes)
    infos = [TensorInfo(name, tensors[name].shape, np.dtype(np.float16)) for name in sorted(tensors, key=str.encode)]
    data, index = io.BytesIO(), io.BytesIO()
    write_bundle(data, index, infos, (np.zeros(info.shape, info.dtype) for info in infos))
    return {
        "checkpoint": b'model_checkpoint_path: "model.ckpt"\n',
        "model.ckpt.index": index.getvalue(),
        "model.ckpt.data-00000-of-00001": data.getvalue(),
    }


CHECKPOINT = official("b0")


def make_archive(inner: str = "efficientnet-b0") -> bytes:
    """Return a .tar.gz of B0 in the folder `inner`."""
    return archive_of(inner, CHECKPOINT)


BODY = make_archive()
B0 = choose("b0", "aa")


def get(**options: object) -> Path:
    return fetch(B0, patience=QUICK, **options).path  # type: ignore[arg-type]


def test_the_default_weights_of_every_variant() -> None:
    expected = {f"b{number}": "aa" for number in range(8)} | {"b8": "advprop", "l2": "ns"}
    assert {name: choose(name).weights for name in VARIANTS} == {name: expected.get(name, "base") for name in VARIANTS}


def test_names_are_taken_as_users_write_them() -> None:
    assert choose("EfficientNet_B0", "AA") == B0


def test_the_newest_weights_come_last() -> None:
    assert [row.weights for row in published("b7")] == ["aa", "ra", "advprop", "ns"]
    assert [row.weights for row in published("l2")] == ["ns-475", "ns"]


@pytest.mark.parametrize(
    ("variant", "weights", "words"),
    [
        ("b8", "ns", ["has ra, advprop", "only b0, b1, b2, b3, b4, b5, b6, b7, l2 have them"]),
        ("b0", "imagenet", ["has base, aa, advprop, ns", "known are base, aa, ra, advprop, ns, ns-475"]),
    ],
)
def test_weights_that_were_not_published_are_refused_with_those_that_were(
    variant: str, weights: str, words: list[str]
) -> None:
    with pytest.raises(LayoutMismatch) as failure:
        choose(variant, weights)
    assert all(word in str(failure.value) for word in words)


def test_a_mirror_replaces_host_and_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFCONVERT_MIRROR", "https://mirror.example/weights/")
    assert address(B0) == "https://mirror.example/weights/efficientnet/ckptsaug/efficientnet-b0.tar.gz"


def test_a_mirror_that_is_no_http_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFCONVERT_MIRROR", "file:///etc")
    with pytest.raises(Unavailable, match="http"):
        address(B0)


@pytest.mark.parametrize(
    "inner", ["efficientnet-b0", "noisy-student-efficientnet-b1", "noisy_student_efficientnet_l2", "."]
)
def test_fetch_returns_the_folder_of_the_checkpoint_whatever_its_name(server: Server, cache: Path, inner: str) -> None:
    server.answers = [serve(make_archive(inner))]
    folder = get()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CHECKPOINT
    assert folder.is_relative_to(cache)
    assert server.requests[0][0] == "/efficientnet/ckptsaug/efficientnet-b0.tar.gz"


def test_a_cached_copy_needs_no_network(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), status(404)]
    assert get() == get() == get(offline=True)
    assert len(server.requests) == 1


def test_offline_without_a_cached_copy_is_one_sentence(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    with pytest.raises(Unavailable, match="give its path to effconvert.convert") as failure:
        get(offline=True)
    assert address(B0) in str(failure.value)
    assert "\n" not in str(failure.value)
    assert not server.requests


def test_the_record_says_where_the_archive_came_from(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    get()
    record = json.loads((cache / "b0-aa" / "efficientnet-b0.tar.gz.json").read_text())
    assert record["url"] == address(B0)
    assert record["size"] == len(BODY)
    assert len(record["sha256"]) == 64


def test_an_archive_that_changed_in_the_cache_is_refused(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    get()
    archive = cache / "b0-aa" / "efficientnet-b0.tar.gz"
    archive.write_bytes(make_archive("changed"))
    with pytest.raises(UnreadableCheckpoint, match="it was changed later") as failure:
        get()
    record = json.loads(archive.with_name(archive.name + ".json").read_text())
    assert record["sha256"] in str(failure.value)
    assert f"delete {archive.parent}" in str(failure.value)


def test_an_archive_that_changed_on_the_server_is_refused_and_not_kept(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), serve(make_archive("changed"))]
    folder = get()
    archive = cache / "b0-aa" / "efficientnet-b0.tar.gz"
    archive.unlink()
    (folder / "checkpoint").unlink()
    with pytest.raises(UnreadableCheckpoint, match="the file now has SHA-256"):
        get()
    assert not archive.exists()


def test_an_archive_without_the_published_sha256_is_refused(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match="as published"):
        fetch(replace(B0, sha256="0" * 64), patience=QUICK)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["lost", "emptied"])
def test_a_folder_that_is_not_whole_is_extracted_again_without_the_network(
    server: Server, cache: Path, damage: Callable[[Path], object]
) -> None:
    server.answers = [serve(BODY), status(404)]
    damage(get() / "model.ckpt.index")
    assert (get() / "model.ckpt.index").read_bytes() == CHECKPOINT["model.ckpt.index"]


def test_what_a_killed_run_left_behind_is_removed(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    (cache / "b0-aa" / ".checkpoint-dead").mkdir(parents=True)
    get()
    assert not (cache / "b0-aa" / ".checkpoint-dead").exists()


def test_an_extracted_folder_serves_when_the_archive_was_deleted_to_save_room(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY), status(404)]
    folder = get()
    (cache / "b0-aa" / "efficientnet-b0.tar.gz").unlink()
    assert get(offline=True) == folder


@pytest.mark.parametrize(
    "change",
    [
        lambda record: [],
        lambda record: record | {"folder": 7},
        lambda record: record | {"folder": "../../other"},
        lambda record: record | {"folder": "/etc"},
        lambda record: record | {"files": {"../a": [1, "x"]}},
        lambda record: record | {"files": {"a": [float("inf"), "x"]}},
        lambda record: record | {"more": 1},
    ],
)
def test_a_record_that_is_not_one_is_refused_in_words(
    server: Server, cache: Path, change: Callable[[dict[str, object]], object]
) -> None:
    server.answers = [serve(BODY)]
    get()
    notes = cache / "b0-aa" / "efficientnet-b0.tar.gz.json"
    notes.write_text(json.dumps(change(json.loads(notes.read_text()))))
    with pytest.raises(UnreadableCheckpoint, match="not the record of a download"):
        get()


def test_a_lock_that_is_a_link_is_not_followed(server: Server, cache: Path, tmp_path: Path) -> None:
    server.answers = [serve(BODY)]
    get()
    (cache / "b0-aa" / ".lock").unlink()
    (cache / "b0-aa" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputProblem):
        get()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("body", [BODY[:-2000], make_tar({"../escape": b"x"}), archive_of(members={"readme": b""})])
def test_an_archive_that_cannot_be_used_is_not_cached(server: Server, cache: Path, body: bytes) -> None:
    server.answers = [serve(body), serve(BODY)]
    with pytest.raises(UnreadableCheckpoint, match="was not kept"):
        get()
    assert [path.name for path in (cache / "b0-aa").iterdir()] == [".lock"]
    assert get().is_dir()


@pytest.mark.parametrize(("variant", "classes"), [("b1", 1000), ("b0", 7)])
def test_an_archive_of_another_network_is_named_and_not_kept(
    server: Server, cache: Path, variant: str, classes: int
) -> None:
    server.answers = [serve(archive_of(members=official(variant, classes))), serve(BODY)]
    with pytest.raises(
        UnreadableCheckpoint, match=f"is {variant} with {classes} classes, expected b0 with 1000"
    ) as failure:
        get()
    assert f"it was downloaded from {address(B0)} and was not kept" in str(failure.value)
    assert [path.name for path in (cache / "b0-aa").iterdir()] == [".lock"]
    assert get().is_dir()


def test_two_processes_download_an_archive_once(server: Server, cache: Path) -> None:
    server.answers = [serve(BODY)]
    program = "from effconvert.reference_tables.published_weights import choose; from effconvert.hub.cache import fetch; print(fetch(choose('b0', 'aa')).path)"
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ.copy())
        for _ in range(3)
    ]
    folders = {run.communicate(timeout=60)[0] for run in runs}
    assert {run.returncode for run in runs} == {0}
    assert len(folders) == 1
    assert len(server.requests) == 1


def test_a_cache_that_cannot_be_made_is_an_output_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFFCONVERT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputProblem, match="EFFCONVERT_CACHE"):
        get(offline=True)


def test_the_cache_is_the_users_own_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EFFCONVERT_CACHE", raising=False)
    assert cache_folder().name == "effconvert"
