"""A report's files for model hubs are read by huggingface_hub and by OpenMMLab's model index."""

from pathlib import Path

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import mmpretrain
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from mmpretrain.apis.model import ModelHub
from modelindex.load_model_index import load

from effconvert.report.renderings.card import card_names, cards
from effconvert.report.renderings.metafile import render_metafile
from effconvert.report.renderings.model_index import build_model_index, model_index_file
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed

CONFIGS = Path(mmpretrain.__file__).parent / ".mim"
HOSTILE = "".join(name for name in NAMES if len(name) < 200)


@pytest.mark.parametrize("name", [None, *NAMES])
def test_hugging_face_reads_the_model_index_and_would_write_the_same(name):
    (entry,) = yaml.safe_load(model_index_file(typed(made_document(1, name=name))))["model-index"]
    model, results = model_index_to_eval_results([entry])
    assert eval_results_to_model_index(model, results) == [entry]
    assert [(result.metric_name, result.metric_value) for result in results] == [
        ("Top 1 Accuracy", 0.77086),
        ("Top 5 Accuracy", 0.9427),
    ]


@pytest.mark.parametrize("name", [None, *NAMES])
def test_hugging_face_reads_a_card(name):
    document = made_document(1, name=name)
    read = ModelCard(cards(typed(document))["card.md"])
    expected = build_model_index(typed(document).networks)
    assert read.data.model_name == expected[0]["name"]
    assert eval_results_to_model_index(read.data.model_name, read.data.eval_results) == expected
    assert (read.data.license, read.data.pipeline_tag) == ("apache-2.0", "image-classification")
    assert ModelCard(str(read)).data.to_dict() == read.data.to_dict()


def written(folder, document):
    """Write metafile.yml and the cards that it names, and return its path."""
    for name, text in cards(typed(document)).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "metafile.yml").write_text(
        render_metafile(typed(document), card_names(typed(document))), encoding="utf-8"
    )
    return folder / "metafile.yml"


@pytest.mark.parametrize("name", [None, HOSTILE], ids=["plain", "hostile"])
def test_openmmlabs_model_index_finds_no_error_in_the_metafile(tmp_path, name):
    document = made_document(3, name=name)
    index = load(str(written(tmp_path, document)))
    index.build_models_with_collections()
    assert index.check(silent=True) == []
    assert [model.name for model in index.models] == [network["id"] for network in document["networks"]]
    first, network = index.models[0], document["networks"][0]
    assert first.metadata.data["FLOPs"] == network["cost"]["operations"]["multiply-adds"]
    assert first.data["Converted From"]["Weights"] == network["conversion"]["url"]
    assert first.results.data[0].metrics["Top 1 Accuracy"] == network["accuracy"]["top1"]["percent"]


def test_mmpretrain_registers_the_networks_with_its_own_configs(tmp_path):
    document = made_document(3)
    for network in document["networks"]:
        network["model"]["layout"] = "mmpretrain"
        network["recipe"] |= {"mean": [123.675, 116.28, 103.53]}
    ModelHub.register_model_index(written(tmp_path, document), config_prefix=CONFIGS)
    found = ModelHub.get("b1-aa")
    assert found.config.model.backbone.arch == "b1"
    assert found.weights == "b1-aa.safetensors"
