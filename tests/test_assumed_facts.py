"""A result that rests on assumed facts says so, and how to tell them comes before every other remedy."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import effconvert
from effconvert.errors import LayoutMismatch
from effconvert.model import create_model
from effconvert.verification.network_files import examine
from helpers.library_files import library_tensors, save
from helpers.running import Ran

TYPED = "--facts bn_eps=1e-05 --facts padding=symmetric"
TOLD = 'facts={"bn_eps": 1e-05, "padding": "symmetric"}'
LOSSLESS = f"({TOLD} converts without loss, if the file is for timm's efficientnet_b0)"


@pytest.fixture
def ambiguous(tmp_path: Path) -> Path:
    """A file of timm's whose network nothing tells."""
    return save(tmp_path / "model.pth", library_tensors("timm"))


def refusal(source: Path, to: str, **options: object) -> list[str]:
    with pytest.raises(LayoutMismatch) as caught:
        effconvert.convert(source, source.with_name("out.pth"), to=to, **options)  # type: ignore[arg-type]
    return [line.strip() for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("to", ["torchvision", "mindvision"])
def test_a_refusal_names_what_is_assumed_and_first_how_to_tell_it(ambiguous: Path, to: str) -> None:
    heading, problem, doubt, first, *others = refusal(ambiguous, to)
    assert heading.endswith(f"{to} cannot hold the facts of this b0:")
    assert problem == "bn_eps is 0.001, its network has 1e-05, padding is tf-same, its network has symmetric"
    assert (
        doubt
        == "(bn_eps and padding are only assumed: nothing in or beside the file says them, except perhaps its name)"
    )
    assert first == LOSSLESS
    assert others == ["(allow_inexact=True converts anyway and measures the error of the result)"]


def test_what_the_refusal_offers_converts_without_loss(ambiguous: Path) -> None:
    facts = {"bn_eps": "1e-05", "padding": "symmetric"}
    report = effconvert.convert(ambiguous, ambiguous.with_name("x.pth"), to="torchvision", facts=facts)
    assert (report.inexact, report.assumed) == (None, ())


def test_only_what_stands_in_the_way_is_named(ambiguous: Path) -> None:
    lines = refusal(ambiguous, "mindcv")
    assert lines[1] == "bn_eps is 0.001, its network has 1e-05"
    assert lines[2] == "(bn_eps is only assumed: nothing in or beside the file says it, except perhaps its name)"
    assert lines[3] == '(facts={"bn_eps": …} gives the real value)'  # none of timm's networks fits
    assert lines[4] == "(fold_eps=True absorbs another bn_eps into the variances, exactly)"


def test_what_a_file_says_is_not_called_assumed(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", {"arch": "tf_efficientnet_b0", "state_dict": library_tensors("timm")})
    assert not any("assumed" in line for line in refusal(source, "torchvision"))


def test_what_a_files_name_says_is_still_assumed(tmp_path: Path) -> None:
    source = save(tmp_path / "tf_efficientnet_b0.pth", library_tensors("timm"))
    assert LOSSLESS in refusal(source, "torchvision")


def test_a_state_dict_of_our_own_names_may_be_of_any_librarys_network(tmp_path: Path) -> None:
    torch.save(create_model("b0").state_dict(), tmp_path / "state.pth")
    lines = refusal(tmp_path / "state.pth", "torchvision")
    words = "(bn_eps and padding are only assumed: nothing in or beside the file says them, except perhaps its name)"
    remedy = f"({TOLD} converts without loss, if the file is for a network as mindvision, timm, torchvision has it)"
    assert lines[2:4] == [words, remedy]


def test_a_file_that_was_converted_under_an_assumption_keeps_the_remedy(ambiguous: Path) -> None:
    effconvert.convert(ambiguous, ambiguous.with_name("own.safetensors"))
    assert LOSSLESS in refusal(ambiguous.with_name("own.safetensors"), "torchvision")


def test_official_edgetpu_weights_may_be_of_either_stride(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("tf-official", "edgetpu-s", classes=1001))
    lines = refusal(source, "timm")
    assert "(fused_stride is only assumed: nothing in or beside the file says it, except perhaps its name)" in lines
    assert any(line.startswith('(facts={"fused_stride": "expand"} converts without loss') for line in lines)


def test_an_epsilon_that_only_the_library_tells_is_assumed(tmp_path: Path) -> None:
    source = save(tmp_path / "pytorch_model.bin", library_tensors("huggingface"))
    lines = refusal(source, "mindcv")
    assert "(bn_eps is only assumed: nothing in or beside the file says it, except perhaps its name)" in lines


def test_a_measured_difference_says_what_it_rests_on(ambiguous: Path, run: Callable[..., Ran]) -> None:
    out = ambiguous.with_name("x.pth")
    ran = run("convert", ambiguous, "--to", "torchvision", "--allow-inexact", "--out", out)
    assert ran.exit_code == 0
    assert "of the largest, but bn_eps and padding are only assumed" in ran.out
    caution = f"the measured difference depends on facts that are not known: bn_eps and padding are only assumed ({LOSSLESS[1:-1].replace(TOLD, TYPED)})"  # fmt: skip
    assert f"warning  {caution}" in ran.out
    with effconvert.open_checkpoint(out) as checkpoint:
        assert json.loads(checkpoint.metadata["options"])["inexact"]["assumed"] == ["bn_eps", "padding"]
    as_json = run("convert", ambiguous, "--to", "torchvision", "--allow-inexact", "--out", out, "--force", "--json")
    said = json.loads(as_json.out)
    assert said["assumed"] == ["bn_eps", "padding"]
    assert caution in said["cautions"]


def test_a_folded_epsilon_says_that_it_was_assumed(ambiguous: Path) -> None:
    report = effconvert.convert(ambiguous, ambiguous.with_name("x.ckpt"), to="mindcv", fold_eps=True)
    assert any(caution.startswith("fold_eps=True started from bn_eps 0.001, which is only assumed") for caution in report.cautions)  # fmt: skip


def test_facts_that_are_assumed_are_marked_wherever_facts_are_shown(ambiguous: Path, run: Callable[..., Ran]) -> None:
    marked = "bn_eps 0.001 (assumed), padding tf-same (assumed), activation silu,"
    assert marked in run("inspect", ambiguous).out
    own = ["convert", ambiguous, "--to", "canonical", "--out"]
    assert marked in run(*own, ambiguous.with_name("own.safetensors")).out
    assert marked in run("inspect", ambiguous.with_name("own.safetensors")).out
    assert json.loads(run("inspect", ambiguous, "--json").out)["assumed"] == ["bn_eps", "padding"]
    told = ["--facts", "padding=symmetric"]
    assert "(assumed)" not in run(*own, ambiguous.with_name("b.safetensors"), *told).out


def test_a_loaded_network_warns_of_what_is_assumed(ambiguous: Path) -> None:
    with pytest.warns(UserWarning, match="ambiguous: the file does not say for which network it is"):
        effconvert.load_model(ambiguous)


def test_a_network_that_is_run_says_what_was_assumed(ambiguous: Path) -> None:
    file = examine(ambiguous)
    assert file.identity.assumed == {"bn_eps", "padding"}
    assert file.identity.doubts == (file.identity.assumption,)


def test_a_backbone_of_a_layout_with_classes_of_its_own_can_be_assumed(tmp_path: Path) -> None:
    """timm's EdgeTPU has a thousand classes, whatever the head of the file."""
    network = create_model("edgetpu-s", classes=0, head_conv=False)
    torch.save(network.state_dict(), tmp_path / "x.pth")
    assert effconvert.convert(tmp_path / "x.pth", tmp_path / "y.pth").facts["head_conv"] is False
