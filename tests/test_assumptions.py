"""Facts that no file records are said, hinted at, or assumed with a word that decides."""

import json
from pathlib import Path

import pytest

import effconvert
from effconvert.conversion.steps import Report
from helpers.library_files import library_tensors, save


def taken(source: Path, **options: object) -> tuple[Report, str]:
    """The report, and its words about the network that the file is for."""
    report = effconvert.convert(source, source.with_name("out.safetensors"), force=True, **options)  # type: ignore[arg-type]
    words = [caution for caution in report.cautions if "taken for" in caution or caution.startswith("ambiguous")]
    return report, " ".join(words)


@pytest.fixture
def timm(tmp_path: Path) -> Path:
    return save(tmp_path / "model.pth", library_tensors("timm"))


def test_a_timm_file_that_says_nothing_is_ambiguous(timm: Path) -> None:
    report, words = taken(timm)
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("tf-same", 1e-3)
    assert (
        "tf_efficientnet_b0 (bn_eps=0.001, padding=tf-same), or efficientnet_b0 (bn_eps=1e-05, padding=symmetric)"
        in words
    )
    assert 'choose another with facts={"bn_eps": 1e-05, "padding": "symmetric"}' in words


def test_one_fact_that_is_given_decides(timm: Path) -> None:
    report, words = taken(timm, facts={"padding": "symmetric"})
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("symmetric", 1e-5)
    assert words == "taken for efficientnet_b0, as the given facts say"


def test_facts_of_no_usual_network_are_taken_as_they_are_given(timm: Path) -> None:
    report, _ = taken(timm, facts={"padding": "symmetric", "bn_eps": "1e-3"})
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("symmetric", 1e-3)


@pytest.mark.parametrize(
    ("name", "padding"),
    [
        ("tf_efficientnet_b0_aa-827b6e33.pth", "tf-same"),
        ("efficientnet_b0_ra-3dd342df.pth", "symmetric"),
        ("my-efficientnet-b0.pth", "symmetric"),
    ],
)
def test_the_name_of_the_file_is_a_hint(tmp_path: Path, name: str, padding: str) -> None:
    report, words = taken(save(tmp_path / name, library_tensors("timm")))
    assert report.facts["padding"] == padding
    assert words.endswith("as its name says")


def test_the_arch_that_a_training_saved_is_a_better_hint(tmp_path: Path) -> None:
    content = {"arch": "efficientnet_b0", "state_dict": library_tensors("timm")}
    report, words = taken(save(tmp_path / "tf_efficientnet_b0.pth", content))
    assert (report.facts["padding"], words) == ("symmetric", "taken for efficientnet_b0, as its arch says")


@pytest.mark.parametrize("arch", ["efficientnet_b0.ra_in1k", "hf_hub:timm/efficientnet_b0.ra_in1k"])
def test_timms_spellings_of_an_arch_are_understood(tmp_path: Path, arch: str) -> None:
    report, words = taken(save(tmp_path / "last.pth.tar", {"arch": arch, "state_dict": library_tensors("timm")}))
    assert (report.facts["padding"], words) == ("symmetric", "taken for efficientnet_b0, as its arch says")


def test_an_arch_that_is_unknown_is_told_and_decides_nothing(tmp_path: Path) -> None:
    content = {"arch": "my_network", "state_dict": library_tensors("timm")}
    _, words = taken(save(tmp_path / "efficientnet_b0.pth", content))
    assert words.startswith("ambiguous: its arch says 'my_network', which does not decide")


def test_texts_that_disagree_decide_nothing(tmp_path: Path) -> None:
    content = {"arch": "efficientnet_b0", "model": "tf_efficientnet_b0", "state_dict": library_tensors("timm")}
    assert taken(save(tmp_path / "x.pth", content))[1].startswith("ambiguous")


def test_other_texts_are_no_hint(tmp_path: Path) -> None:
    content = {"teacher": "efficientnet_b0", "state_dict": library_tensors("timm")}
    assert taken(save(tmp_path / "x.pth", content))[1].startswith("ambiguous: the file does not say")


def test_an_epsilon_that_a_training_was_told_is_taken(tmp_path: Path) -> None:
    content = {"arch": "efficientnet_b0", "args": {"bn_eps": 0.001}, "state_dict": library_tensors("timm")}
    report, _ = taken(save(tmp_path / "x.pth", content))
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("symmetric", 1e-3)


def test_the_preprocessing_follows_the_network(tmp_path: Path) -> None:
    tf = taken(save(tmp_path / "tf_efficientnet_lite0.pth", library_tensors("timm", "lite0")))[0].recipe
    own = taken(save(tmp_path / "efficientnet_lite0.pth", library_tensors("timm", "lite0")))[0].recipe
    assert (tf["mean"][0], own["mean"][0]) == (127.5, 123.675)


def test_the_preprocessing_in_timms_config_is_taken(timm: Path) -> None:
    said = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    timm.with_name("config.json").write_text(json.dumps({"architecture": "tf_efficientnet_b0", "pretrained_cfg": said}))
    recipe = taken(timm)[0].recipe
    assert (recipe["mean"], recipe["size"], recipe["shorter_side"]) == ([127.5] * 3, 224, 256)


def test_the_config_beside_the_file_is_a_hint(timm: Path) -> None:
    timm.with_name("config.json").write_text(json.dumps({"architecture": "efficientnet_b0"}))
    report, words = taken(timm)
    assert (report.facts["padding"], words) == ("symmetric", "taken for efficientnet_b0, as its config.json says")


@pytest.mark.parametrize("text", ["[]", "{", '{"architecture": 3}', '{"architecture": "resnet50"}'])
def test_a_config_of_something_else_is_no_hint(timm: Path, text: str) -> None:
    timm.with_name("config.json").write_text(text)
    assert taken(timm)[1].startswith("ambiguous")


def test_a_mindvision_b5_is_ambiguous_and_its_epsilon_decides(tmp_path: Path) -> None:
    source = save(tmp_path / "b5.pth", library_tensors("mindvision", "b5"))
    report, words = taken(source)
    assert report.facts["bn_eps"] == 1e-3
    assert words.startswith("ambiguous")
    assert 'choose another with facts={"bn_eps": 1e-05}' in words
    report, words = taken(source, facts={"bn_eps": "1e-5"})
    assert (report.facts["bn_eps"], words) == (1e-5, "taken for mindvision b5, as the given facts say")


def test_a_mindvision_b0_is_not_ambiguous(tmp_path: Path) -> None:
    report, words = taken(save(tmp_path / "b0.pth", library_tensors("mindvision")))
    assert (report.facts["bn_eps"], report.facts["padding"], words) == (1e-5, "symmetric", "")


def test_a_guess_stays_a_guess_after_the_conversion(timm: Path) -> None:
    report, _ = taken(timm)
    assert report.options["assumed"] == ["bn_eps", "padding"]
    converted = timm.with_name("out.safetensors").rename(timm.with_name("converted.safetensors"))
    report, _ = taken(converted, facts={"bn_eps": "1e-5"})
    assert "padding were assumed when the file was converted (change them with facts=…)" in report.cautions
    with pytest.warns(UserWarning, match="padding were assumed"):
        effconvert.load_model(timm.with_name("out.safetensors"))


def test_a_converted_file_records_its_facts_and_is_not_ambiguous(timm: Path) -> None:
    effconvert.convert(timm, timm.with_name("tf_efficientnet_b0.pth"), to="timm", facts={"padding": "symmetric"})
    report, words = taken(timm.with_name("tf_efficientnet_b0.pth"))
    assert (report.facts["padding"], report.facts["bn_eps"], words) == ("symmetric", 1e-5, "")


def test_edgetpu_of_timm_computes_as_timm_does_with_a_caution(tmp_path: Path) -> None:
    source = save(tmp_path / "tf_efficientnet_es.pth", library_tensors("timm", "edgetpu-s"))
    report, _ = taken(source)
    assert report.facts["fused_stride"] == "expand"
    assert any('give facts={"fused_stride": "project"} for them' in caution for caution in report.cautions)
    report, _ = taken(source, facts={"fused_stride": "project"})
    assert report.facts["fused_stride"] == "project"
    assert not any('give facts={"fused_stride": "project"} for them' in caution for caution in report.cautions)
