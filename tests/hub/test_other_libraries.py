"""The files of torchvision, EfficientNet-PyTorch, Keras and Hugging Face are fetched and converted like any other's."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.numpy

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import TensorInfo, open_checkpoint
from effconvert.formats.keras.writers import write_legacy
from effconvert.hub.cache import fetch
from effconvert.hub.published_conversion import convert_published
from effconvert.identify.network_names import recorded_training
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published
from helpers.hub.serving import QUICK, Server, serve
from helpers.library_files import library_tensors

FACTS = {
    "torchvision": ("symmetric", 1e-5),
    "lukemelas": ("tf-same", 1e-3),
    "keras": ("tf-same", 1e-3),
    "huggingface": ("tf-same", 1e-3),
}


def library_file(framework: str) -> bytes:
    """Return B0 under the names that the library gives its tensors; of Keras as HDF5."""
    tensors = library_tensors(framework, "b0", classes=1000)
    if framework != "keras":
        return safetensors.numpy.save(tensors)
    file = io.BytesIO()
    write_legacy(
        file,
        [TensorInfo(name, array.shape, array.dtype) for name, array in tensors.items()],
        tensors.values(),
        {},
        dict,
    )
    return file.getvalue()


def published(framework: str, body: bytes) -> Published:
    """Return the row of B0 with the hash of `body` where the library publishes one."""
    row = choose("b0", None, framework)
    if row.md5:
        return replace(row, md5=hashlib.md5(body).hexdigest())
    beginning, separator, _ = row.url.rpartition("-")
    if row.url.endswith(".pth"):
        return replace(row, url=f"{beginning}{separator}{hashlib.sha256(body).hexdigest()[:8]}.pth")
    return row


@pytest.mark.parametrize("framework", FACTS)
@pytest.mark.usefixtures("cache")
def test_a_file_is_converted_with_the_facts_of_its_library(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, framework: str
) -> None:
    body = library_file(framework)
    row = published(framework, body)
    monkeypatch.setattr("effconvert.hub.published_conversion.choose", lambda *_: row)
    server.answers = [serve(body)]
    report = convert_published("b0", tmp_path / "b0.safetensors", framework=framework)
    assert (report.layout, report.weights) == (framework, row.weights)
    assert (report.facts["padding"], report.facts["bn_eps"]) == FACTS[framework]


@pytest.mark.parametrize("framework", ["torchvision", "lukemelas", "keras"])
def test_a_file_that_is_not_the_published_one_is_refused_and_not_kept(
    server: Server, cache: Path, framework: str
) -> None:
    server.answers = [serve(library_file(framework))]
    row = choose("b0", None, framework)
    with pytest.raises(UnreadableCheckpoint, match="expected [0-9a-f]+, .*; it was not kept"):
        fetch(row, patience=QUICK)
    assert [path.name for path in (cache / f"{framework}-b0-{row.weights}").iterdir()] == [".lock"]


def test_the_md5_that_keras_publishes_is_compared(server: Server, cache: Path) -> None:
    body = library_file("keras")
    row = published("keras", body)
    server.answers = [serve(body), serve(body + b"\0")]
    path = fetch(row, patience=QUICK).path
    assert path.read_bytes() == body
    path.unlink()
    with pytest.raises(UnreadableCheckpoint, match=f"has MD5 [0-9a-f]{{32}}, expected {row.md5}, as published"):
        fetch(row, patience=QUICK)


@pytest.mark.parametrize(
    ("framework", "name", "said"),
    [
        ("huggingface", "pytorch_model.bin", None),
        ("timm", "model.safetensors", None),
        ("timm", "tf_efficientnet_b0_aa-827b6e33.pth", "aa_in1k"),
        ("torchvision", "efficientnet_b0_rwightman-7f5810bc.pth", "imagenet1k_v1"),
    ],
)
def test_only_a_name_that_one_file_has_says_the_training(
    tmp_path: Path, framework: str, name: str, said: str | None
) -> None:
    (tmp_path / name).write_bytes(library_file(framework))
    with open_checkpoint(tmp_path / name) as checkpoint:
        assert recorded_training(checkpoint, framework, "b0") == (said and (said, "name"))
