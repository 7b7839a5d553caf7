"""metafile.yml lists the networks in OpenMMLab's format."""

from typing import Any

import pytest
import yaml

from effconvert.report.document import published_report
from effconvert.report.renderings.metafile import render_metafile
from effconvert.report.renderings.model_index import model_index_file
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed


def models(document: dict[str, Any]) -> list[dict[str, Any]]:
    text = render_metafile(typed(document), {})
    assert text is not None
    return yaml.safe_load(text)["Models"]


def of_mmpretrain(variant: str, **recipe: Any) -> dict[str, Any]:
    """Return a document of one network whose file has mmpretrain's layout."""
    document = made_document(1)
    network = document["networks"][0]
    network["variant"], network["model"]["layout"] = variant, "mmpretrain"
    network["recipe"] |= recipe
    return document


def test_a_network_is_listed_with_its_source_as_converted() -> None:
    document = made_document(1)
    network = document["networks"][0]
    (found,) = models(document)
    assert (found["Name"], found["Alias"], found["In Collection"]) == ("b0-aa", "efficientnet-b0 (aa)", "EfficientNet")
    assert found["Weights"] == "b0-aa.safetensors"
    assert found["Converted From"] == {
        "Weights": network["conversion"]["url"],
        "Code": "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
        "SHA256": network["conversion"]["source_sha256"],
    }


def test_results_are_the_measured_ones_in_percent() -> None:
    document = made_document(1)
    accuracy = document["networks"][0]["accuracy"]
    assert models(document)[0]["Results"] == [
        {
            "Dataset": "ImageNet-1k",
            "Metrics": {
                "Top 1 Accuracy": accuracy["top1"]["percent"],
                "Top 5 Accuracy": accuracy["top5"]["percent"],
            },
            "Task": "Image Classification",
        }
    ]
    assert "Results" not in models(made_document(1, accuracy=False))[0]
    assert render_metafile(typed(published_report().to_dict()), {}) is None


def test_a_network_that_failed_a_check_says_so() -> None:
    document = made_document(2)
    document["networks"][1]["summary"] |= {"verdict": "failed", "words": "failed: layers; passed 6 of 7"}
    said = [found["Metadata"]["Checks"] for found in models(document)]
    assert said == ["passed 7 of 7", "failed: layers; passed 6 of 7"]


def test_results_are_those_that_model_index_has_too() -> None:
    document = made_document(2)
    few, elsewhere = document["networks"]
    few["accuracy"]["top1"] |= {"images": 20, "hits": 1, "percent": 5.0}
    elsewhere["dataset"] |= {"path": "photos/imagenet", "imagenet_validation": False}
    assert not [model for model in models(document) if "Results" in model]
    assert model_index_file(typed(document)) is None


@pytest.mark.parametrize("url", [None, "https://example.org/own.tar.gz"])
def test_weights_of_unknown_origin_are_not_said_to_be_trained_on_imagenet(url: str | None) -> None:
    document = made_document(1)
    assert models(document)[0]["Metadata"]["Training Data"] == "ImageNet-1k"
    document["networks"][0]["conversion"]["url"] = url
    text = render_metafile(typed(document), {})
    assert text is not None
    assert "Training Data" not in text


def test_operations_are_counted_as_mmpretrains_own_table_does_where_it_has_the_network() -> None:
    document = made_document(1)
    document["networks"][0]["cost"]["operations"]["mmpretrain-table"] = 420_592_480
    assert models(document)[0]["Metadata"] == {
        "FLOPs": 420_592_480,
        "FLOPs Convention": "mmpretrain-table",
        "Parameters": 5_288_548,
        "Checks": "passed 7 of 7",
        "Training Data": "ImageNet-1k",
    }
    assert models(made_document(1))[0]["Metadata"]["FLOPs Convention"] == "multiply-adds"


@pytest.mark.parametrize(
    ("variant", "recipe", "config"),
    [
        ("b0", {}, "efficientnet-b0_8xb32_in1k"),
        ("b0", {"mean": [127.5] * 3, "std": [127.5] * 3}, "efficientnet-b0_8xb32-01norm_in1k"),
        ("l2", {"size": 475}, "efficientnet-l2_8xb32_in1k-475px"),
        ("l2", {"size": 800}, "efficientnet-l2_8xb8_in1k-800px"),
        ("edgetpu-s", {}, "efficientnet-es_8xb32-01norm_in1k"),
    ],
)
def test_a_file_in_mmpretrains_layout_names_its_config(variant: str, recipe: dict[str, Any], config: str) -> None:
    document = of_mmpretrain(variant, **({"mean": [123.675, 116.28, 103.53]} | recipe))
    assert models(document)[0]["Config"] == f"configs/efficientnet/{config}.py"


def test_a_file_of_another_layout_or_a_size_that_mmpretrain_has_no_config_for_names_none() -> None:
    assert "Config" not in models(made_document(1))[0]
    assert "Config" not in models(of_mmpretrain("l2", size=600))[0]


def test_nothing_is_null_or_empty() -> None:
    document = made_document(2, accuracy=False)
    document["networks"][0]["conversion"] = None

    def check(value: Any) -> None:
        assert value not in (None, "", [], {})
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(each)

    check(models(document))


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_comes_back_equal(name: str) -> None:
    document = made_document(2, name=name)
    document["networks"][0]["conversion"] |= {"url": None, "source_sha256": {name: "0" * 64}}
    found = models(document)[0]
    assert (found["Alias"], found["Converted From"]["Weights"]) == (name, name)
    assert "/" not in found["Weights"]
