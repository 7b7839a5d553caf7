"""Files for model hubs: the model-index block, and YAML that holds any name."""

from typing import Any

import pytest
import yaml

from effconvert.report.contents.network import Network
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.document import published_report
from effconvert.report.renderings.model_index import build_model_index, model_index_file
from effconvert.report.renderings.text import yaml_text
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed


def indexed(network: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the block of one network of plain values."""
    return build_model_index([from_plain(Network, network)])


def test_measured_accuracies_are_shares_of_one_on_imagenet() -> None:
    network = made_document(1)["networks"][0]
    (found,) = indexed(network)
    (result,) = found["results"]
    assert found["name"] == network["name"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"] == {
        "type": "imagenet-1k",
        "name": "ImageNet-1k",
        "split": "validation",
        "args": {"images": 50_000, "preprocessing": "tf-official", "size": 224},
    }
    assert [(metric["type"], metric["name"], metric["args"]) for metric in result["metrics"]] == [
        ("accuracy", "Top 1 Accuracy", {"k": 1}),
        ("accuracy", "Top 5 Accuracy", {"k": 5}),
    ]
    assert [metric["value"] for metric in result["metrics"]] == [
        network["accuracy"][key]["hits"] / 50_000 for key in ("top1", "top5")
    ]


def test_no_published_accuracy_is_passed_off_as_ours() -> None:
    assert model_index_file(typed(published_report().to_dict())) is None
    assert model_index_file(typed(made_document(2, accuracy=False))) is None
    text = model_index_file(typed(made_document(1)))
    assert text is not None
    assert "0.771\n" not in text  # what the sources say
    assert "77.1" not in text


def test_a_sample_of_imagenet_says_how_large_it_is() -> None:
    network = made_document(1)["networks"][0]
    network["accuracy"]["images"] = 2000
    network["dataset"] |= {"evaluated": 2000, "chosen": "limit"}
    assert indexed(network)[0]["results"][0]["dataset"]["name"] == "ImageNet-1k (2,000 of 50,000 images)"


@pytest.mark.parametrize(("images", "entries"), [(55, 0), (999, 0), (1000, 1)])
def test_an_accuracy_of_a_few_images_is_not_published(images: int, entries: int) -> None:
    network = made_document(1)["networks"][0]
    network["accuracy"]["top1"] |= {"images": images, "hits": images // 2}
    assert len(indexed(network)) == entries


@pytest.mark.parametrize(
    ("dataset", "verdict"),
    [
        ({"path": "/data/imagenet", "imagenet_validation": False}, "not judged"),
        ({"labels": "labels/real.json"}, "not judged"),
        ({"chosen": "subset"}, "not judged"),
    ],
)
def test_an_accuracy_of_other_images_or_labels_is_not_published(dataset: dict[str, Any], verdict: str) -> None:
    network = made_document(1)["networks"][0]
    network["dataset"] |= dataset
    network["accuracy"]["verdict"] = verdict
    assert indexed(network) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_comes_back_equal_and_shows_every_character(name: str) -> None:
    text = model_index_file(typed(made_document(2, name=name)))
    assert text is not None
    assert yaml.safe_load(text)["model-index"][0]["name"] == name
    assert text.replace("\n", "").isprintable()


def test_yaml_keeps_the_order_of_keys_and_writes_letters_as_they_are() -> None:
    assert yaml_text({"b": "Größe 模型", "a": 1}) == "b: Größe 模型\na: 1\n"
