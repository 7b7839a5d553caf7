"""Published weights are asked for as users call them: framework, variant and weights, or a network's own name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import effconvert
from effconvert.errors import LayoutMismatch, nearest_first
from effconvert.hub.published_names import read_name
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published, weights_table
from helpers.hub.published_files import body_of, true_row
from helpers.hub.serving import Server, serve
from helpers.running import Ran

TORCHVISION = choose("b0", None, "torchvision")


@pytest.fixture
def torchvision(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A server with torchvision's b0, and this folder empty."""
    body = body_of(TORCHVISION)
    true = true_row(TORCHVISION, body)
    rows = tuple(true if row == TORCHVISION else row for row in weights_table())
    monkeypatch.setattr("effconvert.reference_tables.published_weights.weights_table", lambda: rows)
    monkeypatch.setenv("EFFCONVERT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    server.answers = [serve(body)]
    return server


def asked(name: str) -> Published:
    wanted = read_name(name)
    return choose(wanted.variant, wanted.weights, wanted.framework)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("torchvision/b0", "torchvision/b0/imagenet1k_v1"),
        ("TorchVision/B1", "torchvision/b1/imagenet1k_v2"),
        ("pytorch/vision/efficientnet_b1/imagenet1k_v1", "torchvision/b1/imagenet1k_v1"),
        ("tf/EfficientNet_B0/NS", "tensorflow/b0/ns"),
        ("tf/condconv-b0-8e-depth", "tensorflow/cc-b1-8e/base"),
        ("tensorflow/tpu/l2", "tensorflow/l2/ns"),
        ("ms/b0/mindcv", "mindspore/b0/mindcv"),
        ("openmmlab/b3/advprop", "mmpretrain/b3/advprop"),
        ("open-mmlab/mmpretrain/b3", "mmpretrain/b3/aa"),
        ("mmpretrain/efficientnet-b0_3rdparty_8xb32-aa_in1k", "mmpretrain/b0/aa"),
        ("timm/b0", "timm/b0/aa_in1k"),
        ("timm/b0/ns", "timm/b0/ns_jft_in1k"),
        ("timm/efficientnet_b0", "timm/b0/ra_in1k"),
        ("timm/efficientnet_b0.ra4_e3600_r224_in1k", "timm/b0/ra4_e3600_r224_in1k"),
        ("timm/tf_efficientnet_b0/ns", "timm/b0/ns_jft_in1k"),
        ("timm/tf_efficientnet_b0_ns", "timm/b0/ns_jft_in1k"),
        ("tf_efficientnet_l2_ns_475", "timm/l2/ns_jft_in1k_475"),
        ("mindcv/b0", "mindspore/b0/mindcv"),
        ("mindvision/b1", "mindspore/b1/mindvision"),
        ("tf/b0/noisy_student", "tensorflow/b0/ns"),
        ("tf/b0/AutoAugment", "tensorflow/b0/aa"),
        ("timm/efficientnet_es", "timm/edgetpu-s/ra_in1k"),
        ("lukemelas/EfficientNet-PyTorch/b4", "lukemelas/b4/aa"),
        ("efficientnet_pytorch/efficientnet-b8", "lukemelas/b8/advprop"),
        ("keras/EfficientNetB3", "keras/b3/imagenet"),
        ("hf/b3", "huggingface/b3/imagenet"),
        ("google/efficientnet-b3", "huggingface/b3/imagenet"),
        ("huggingface/google/efficientnet-b3/", "huggingface/b3/imagenet"),
    ],
)
def test_a_name_is_taken_as_users_write_it(name: str, meant: str) -> None:
    assert asked(name).name == meant


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torchvison/b0", r"framework 'torchvison' is unknown; did you mean torchvision\? known are tensorflow"),
        ("b0", "framework 'b0' is unknown; known are tensorflow, .* write FRAMEWORK/VARIANT"),
        ("", "framework '' is unknown"),
        ("torchvision", "torchvision: the variant is missing; it published b0, b1"),
        ("tf/lite5", r"variant 'lite5' is unknown; did you mean lite[0-4]\? tensorflow published b0, b1"),
        ("torchvision/b8", "torchvision published no weights of b8; it published weights of b0, b1"),
        ("torchvision/b1/imagenet", "which has imagenet1k_v1, imagenet1k_v2; no variant"),
        ("timm/b0/ra4", "'ra4' were not published for b0 .* which has ra4_e3600_r224_in1k, ra_in1k"),
        ("timm/efficientnet_b0/ns", "'efficientnet_b0.ns' were not published for b0"),
        ("tensorflow/b0/a/b", "weights 'a/b' were not published"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is_there(name: str, words: str) -> None:
    with pytest.raises(LayoutMismatch, match=words):
        asked(name)


def test_the_nearest_of_names_are_those_that_a_word_begins_and_then_its_misspellings() -> None:
    assert nearest_first("lit1", ["b0", "lite1", "lit10"]) == ["lit10", "lite1", "b0"]
    assert nearest_first("jax", ["b", "a"]) == ["b", "a"]


def test_published_weights_become_a_file_of_another_library(
    torchvision: Server, run: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = run("convert", "--published", "torchvision/b0/imagenet1k_v1", "--to", "timm", "--out", "x.pth", "--json")
    report = json.loads(ran.out)
    assert (report["output_layout"], report["weights"], report["facts"]["padding"]) == (
        "timm",
        "imagenet1k_v1",
        "symmetric",
    )
    assert run("inspect", "x.pth").exit_code == 0


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ([], "torchvision-b0.safetensors"),
        (["--to", "timm"], "torchvision-b0-timm.safetensors"),
        (["--to", "timm", "--weights", "imagenet1k_v1"], "torchvision-b0-imagenet1k_v1-timm.safetensors"),
        (["--to", "onnx", "--size", "64"], "torchvision-b0.onnx"),
        (["--to", "mindcv", "--allow-inexact"], "torchvision-b0-mindcv.ckpt"),
        (["--to", "tf-official", "--allow-inexact"], "torchvision-b0-tf-official"),
    ],
)  # fmt: skip
def test_without_out_the_file_says_what_it_holds(
    torchvision: Server, run: Callable[..., Ran], options: list[str], output: str
) -> None:
    ran = run("convert", "--published", "torchvision/b0", *options)
    assert ran.exit_code == 0, ran.err
    assert [path.name for path in Path().iterdir()] == [output]


def test_a_file_that_is_there_is_kept_and_nothing_is_downloaded(torchvision: Server, run: Callable[..., Ran]) -> None:
    Path("torchvision-b0.safetensors").write_text("mine")
    assert run("convert", "--published", "torchvision/b0").exit_code == 8
    assert Path("torchvision-b0.safetensors").read_text() == "mine"
    assert not torchvision.requests


def test_python_has_the_same(torchvision: Server) -> None:
    report = effconvert.convert_published("torchvision/b0", to="lukemelas", allow_inexact=True, dtype="float16")
    assert (report.output, report.output_layout) == ("torchvision-b0-lukemelas.safetensors", "lukemelas")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        ([], 2, "either FILE"),
        (["x.pth", "--published", "torchvision/b0"], 2, "either FILE"),
        (["x.pth", "--out", "y.pth"], 2, "--to"),
        (["x.pth", "--to", "timm"], 2, "--out"),
        (["--published", "torchvision/b0", "--variant", "b0"], 2, "has the variant in its name"),
        (["--published", "torchvision/b1/imagenet1k_v1", "--weights", "imagenet1k_v2"], 4, "has weights in its name"),
        (["--published", "b0"], 2, "framework 'b0' is unknown"),
    ],
)
def test_contradicting_or_missing_arguments_are_refused(
    run: Callable[..., Ran], arguments: list[str], exit_code: int, words: str
) -> None:
    ran = run("convert", *arguments)
    assert ran.exit_code == exit_code
    assert words in ran.err


def test_lists_and_tables_show_what_to_ask_for(run: Callable[..., Ran]) -> None:
    rows = json.loads(run("list", "--json").out)["weights"]
    assert {row["published"] for row in rows} == {row.name for row in weights_table()}
    assert "torchvision/b0/imagenet1k_v1 " in run("list", "--framework", "torchvision").out
    shown = run("tables", "--variant", "b0", "--source", "torchvision", "--quantity", "files").out
    assert "effconvert convert --published torchvision/b0/imagenet1k_v1\n" in shown
