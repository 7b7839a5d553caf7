"""A model card for each network: the hub's metadata, and instructions for using and checking it."""

import re
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from effconvert.report.document import published_report
from effconvert.report.renderings.card import card_names, cards
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def card(document: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the front matter and the text of the first network's card."""
    text = next(iter(cards(typed(document)).values()))
    found = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    assert found
    return yaml.safe_load(found[1]), found[2]


def test_the_front_matter_is_what_a_hub_reads() -> None:
    document = made_document(1)
    matter, _ = card(document)
    assert matter["license"] == "apache-2.0"
    assert matter["pipeline_tag"] == "image-classification"
    assert matter["tags"] == ["efficientnet", "efficientnet-b0", "effconvert"]
    assert matter["datasets"] == ["imagenet-1k"]
    assert matter["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.77086
    assert "library_name" not in matter


def test_the_library_is_named_that_loads_the_file() -> None:
    document = made_document(1)
    document["networks"][0]["model"]["layout"] = "timm"
    matter, text = card(document)
    assert matter["library_name"] == "timm"
    assert 'timm.create_model("tf_efficientnet_b0"' in text


def test_no_licence_is_claimed_for_weights_that_nobody_published() -> None:
    document = made_document(1)
    document["networks"][0]["conversion"]["url"] = None
    matter, text = card(document)
    assert matter["license"] == "unknown"
    assert "The publisher and the licence of the weights are unknown" in text


def test_torchvisions_weights_keep_torchvisions_licence() -> None:
    document = made_document(1)
    url = next(file["url"] for file in document["published"]["files"] if file["framework"] == "torchvision")
    document["networks"][0]["conversion"] |= {"url": url, "layout": "torchvision"}
    assert card(document)[0]["license"] == "bsd-3-clause"


def test_a_card_says_where_it_comes_from_and_what_was_checked() -> None:
    document = made_document(1)
    network = document["networks"][0]
    _, text = card(document)
    for word in (
        network["conversion"]["url"],
        network["conversion"]["map_sha256"],
        *network["model"]["sha256"].values(),
    ):
        assert word in text
    assert "- 213 tensors moved; left behind: 213 raw weights; their averages are taken; 2 of the optimiser\n" in text
    assert f"Measured on ImageNet-1k, fingerprint `{network['dataset']['fingerprint']}`, with dtype float32" in text
    assert "| logits | ✅ passed | 1.2e-6 | 2.0e-5 |" in text
    assert "- the file's weights are rounded to float16; the published ones are not" in text


def test_a_card_says_how_to_load_the_file_and_what_to_type_to_do_it_again() -> None:
    _, text = card(made_document(1))
    blocks = [token.content for token in PARSER.parse(text) if token.type == "fence"]
    assert 'effconvert.load_model("b0-aa.safetensors")' in blocks[0]
    assert blocks[1] == (
        "effconvert validate --data imagenet/val --framework tensorflow --variant b0 --weights aa "
        "--recipe tf-official --size 224\n"
    )


def test_a_file_of_the_users_own_is_measured_again_as_it_is() -> None:
    document = made_document(1)
    document["networks"][0]["conversion"]["options"] = {"dtype": "float16"}
    assert "effconvert validate --data imagenet/val b0-aa.safetensors --recipe" in card(document)[1]


def test_what_to_type_again_names_the_images_that_were_measured() -> None:
    document = made_document(1)
    document["networks"][0]["dataset"] |= {
        "imagenet_validation": False,
        "path": "my images",
        "chosen": "limit",
        "evaluated": 7,
    }
    assert "effconvert validate --data 'my images' --limit 7 --framework" in card(document)[1]


def test_what_was_not_done_is_said_and_no_result_is_written() -> None:
    matter, text = card(made_document(1, verification=False, accuracy=False))
    assert not {"model-index", "metrics"} & set(matter)
    assert "It was not verified against its source in the source's own framework." in text
    assert "Its accuracy was not measured" in text
    assert "## Layers" not in text


def test_an_accuracy_of_other_images_is_said_but_not_listed() -> None:
    document = made_document(1)
    document["networks"][0]["dataset"] |= {"imagenet_validation": False, "path": "photos"}
    matter, text = card(document)
    assert "model-index" not in matter
    assert "Its accuracy was not measured on ImageNet's validation images, so the lists of models leave it out." in text


def test_several_networks_have_a_card_each_and_what_was_published_has_none() -> None:
    document = made_document(3)
    assert list(cards(typed(document))) == ["card-b0-aa.md", "card-b1-aa.md", "card-b2-aa.md"]
    assert card_names(typed(document))["b1-aa"] == "card-b1-aa.md"
    assert list(cards(typed(made_document(1)))) == ["card.md"]
    assert cards(typed(published_report().to_dict())) == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_in_every_part(name: str) -> None:
    document = made_document(1, name=name)
    network = document["networks"][0]
    network["conversion"] |= {"url": name, "source_sha256": {name: "0" * 64}, "left_behind": {name: 1}}
    network["recipe"]["name"] = name
    matter, text = card(document)
    assert matter["model-index"][0]["name"] == name
    tokens = PARSER.parse(text)
    html = {token.content for token in tokens if token.type == "html_block"}
    assert {line for block in html for line in block.split("\n")} <= {
        "<details>", "<summary>Published figures that differ</summary>", "</details>", "",
    }  # fmt: skip
    children = [child for token in tokens for child in token.children or ()]
    inline = {child.content for child in children if child.type == "html_inline"}
    assert inline <= {"<!-- -->", "<code>", "</code>", "<span>", "</span>"}
    assert {child.type for child in children} <= {
        "text", "text_special", "code_inline", "html_inline", "strong_open", "strong_close",
    }  # fmt: skip
    assert len([token for token in tokens if token.type == "fence"]) == 2
