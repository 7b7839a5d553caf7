"""A converted file is verified against its source: verdict, tensors of the first diverging layer, cause, warnings.

A canonical source is run by the canonical network, so that no framework is needed; where one is, a program plays it that
gives a run made before.
"""

import json
import shlex
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import effconvert
from effconvert.cli import main
from effconvert.errors import LayoutMismatch, MissingPath
from effconvert.hashing import file_sha256
from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.option_words import typed_options
from effconvert.options import Options
from effconvert.verification.comparison import ISOLATED, TOLERANCES
from effconvert.verification.inputs import Images
from effconvert.verification.procedure import Verification, verify
from effconvert.verification.record import describe_verification
from effconvert.verification.rounding import Rounding, judge
from effconvert.verification.runs import compare_runs, open_run
from effconvert.verification.trials import fixing_commands
from effconvert.verification.verdict import DIFFERENT, NOT_VERIFIABLE, RELAXED, SAME
from helpers.verification.fake_pythons import told
from helpers.verification.procedures import ASSUMED, IMAGES, WRONG, State, saved, state_of
from helpers.verification.running_here import canonical_network_in_this_process

pytestmark = pytest.mark.xdist_group("procedure")


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    with canonical_network_in_this_process():
        yield


@pytest.fixture(scope="module")
def converted(source: Path) -> Path:
    effconvert.convert(source, source.with_name("converted.safetensors"))
    return source.with_name("converted.safetensors")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "runs"


@pytest.fixture(scope="module")
def same(source: Path, converted: Path, kept: Path) -> Verification:
    return verify(converted, source, images=IMAGES, keep=kept)


@pytest.fixture(scope="module")
def different(source: Path, state: State) -> Verification:
    other = saved(source.with_name("other.pth"), state | {WRONG: state[WRONG] * 1.001})
    return verify(other, source, images=IMAGES)


def test_the_same_network_is_the_same_to_the_last_bit(same: Verification) -> None:
    assert same.same
    assert same.verdict.sentence == f"same: every layer is equal bit for bit{ASSUMED}"
    assert same.verdict.sensitivity > 0.1
    assert (same.tensors, same.judgement, same.trials, same.rounding_cost) == ({}, "", (), None)


def test_every_layer_is_compared_in_both_modes(same: Verification) -> None:
    (pair,) = same.verdict.pairs
    layers = ["stem", *(f"blocks.{index}" for index in range(16)), "head", "pooled", "logits"]
    assert [(row.layer, row.mode) for row in pair.comparison.rows] == [
        (name, mode) for name in layers for mode in ("accumulated", ISOLATED)
    ]


def test_each_sides_rounding_is_measured_against_float64(same: Verification) -> None:
    assert [rounding.framework.split()[0] for rounding in same.roundings] == ["canonical", "canonical"]
    assert all(0 < rounding.outputs <= rounding.worst < TOLERANCES["float32"].end_to_end for rounding in same.roundings)


def test_the_runs_are_kept_for_comparing_later(same: Verification, kept: Path, source: Path) -> None:
    assert sorted(path.name for path in kept.iterdir()) == ["converted-canonical.npz", "source.npz"]
    with open_run(kept / "source.npz") as one, open_run(kept / "converted-canonical.npz") as other:
        assert one.record["file"] == str(source)
        assert other.record["settings"]["follows"] == file_sha256(kept / "source.npz")
        assert compare_runs(one, other, TOLERANCES["float32"]).of(ISOLATED) == same.verdict.pairs[0].comparison.of(
            ISOLATED
        )


def test_the_first_layer_that_differs_is_named_with_its_tensors(different: Verification) -> None:
    assert different.verdict.word == DIFFERENT
    assert different.verdict.sentence.startswith("different: blocks.3 is the first layer that differs: max |Δ| is ")
    assert " times its tolerance of 5.0e-06)" in different.verdict.sentence
    assert {name for name, (_, differs) in different.tensors.items() if differs} == {WRONG}
    assert {name for name in different.tensors if not name.startswith("blocks.3.")} == set()
    assert all(source == name for name, (source, _) in different.tensors.items())


def test_layers_before_and_after_the_diverging_one_do_not_differ_in_isolation(different: Verification) -> None:
    rows = different.verdict.pairs[0].comparison.of(ISOLATED)
    assert [row.layer for row in rows if not row.passed] == ["blocks.3"]


def test_where_each_side_computes_its_own_file_the_weights_were_changed(different: Verification) -> None:
    assert different.judgement == (
        "float64: each side agrees with its own file, and the files differ: the values of 1 of 311 tensors"
    )
    assert all(rounding.worst < TOLERANCES["float32"].end_to_end for rounding in different.roundings)


def test_a_run_that_does_not_agree_with_its_file_is_the_wrong_side(
    source: Path, converted: Path, state: State, tmp_path: Path, player: Callable[..., Path]
) -> None:
    wrong = saved(tmp_path / "wrong.pth", state | {WRONG: state[WRONG] * 1.1})
    effconvert.convert(source, tmp_path / "timm.pth", to="timm")
    found = verify(converted, tmp_path / "timm.pth", images=IMAGES, pythons={"timm": str(player(wrong, "timm"))})
    assert found.verdict.word == DIFFERENT
    assert "timm does not agree with the source's tensors and facts as effconvert reads them" in found.judgement


WELL, BADLY = Rounding("timm (timm 1.0.31)", 1e-7, 1e-6, "stem"), Rounding("keras (keras 3.15)", 1e-3, 2e-3, "blocks.4")
WELL_ENOUGH = Rounding("mindcv (mindcv 0.3.0)", 1e-6, 3e-5, "blocks.9")


@pytest.mark.parametrize("changes", [[], ["bn_eps 0.001 and 1e-05"]], ids=["equal files", "other facts"])
@pytest.mark.parametrize(
    ("roundings", "words"),
    [
        ((BADLY, WELL), "keras (keras 3.15) does not agree with the source's tensors and facts as effconvert reads them (0.002 off at blocks.4)"),
        ((BADLY, BADLY), "keras (keras 3.15) does not agree with the source's tensors"),
        ((WELL, BADLY), "keras (keras 3.15) does not agree with the converted file's tensors and facts (0.002 off at blocks.4)"),
        ((WELL, WELL, BADLY), "does not agree with the converted file's tensors"),
    ],
)  # fmt: skip
def test_float64_says_which_side_is_wrong(roundings: tuple[Rounding, ...], words: str, changes: list[str]) -> None:
    assert words in judge(roundings, changes)


def test_where_neither_side_is_wrong_the_files_differ_and_it_is_said_in_what() -> None:
    assert judge((WELL, WELL), ["the values of 2 of 311 tensors", "bn_eps 0.001 and 1e-05"]) == (
        "float64: each side agrees with its own file, and the files differ: the values of 2 of 311 tensors, "
        "bn_eps 0.001 and 1e-05"
    )


def test_where_the_files_do_not_differ_either_rounding_is_what_is_left() -> None:
    assert judge((WELL, WELL_ENOUGH, WELL), []) == (
        "float64: the files have the same weights and facts, and each side agrees with them within rounding; the "
        "largest difference is 3.0e-05 at blocks.9 in mindcv (mindcv 0.3.0)"
    )


def test_in_what_two_files_differ_is_counted_and_named(source: Path, tmp_path: Path) -> None:
    effconvert.convert(source, tmp_path / "converted.safetensors", facts={"padding": "symmetric"})
    found = verify(tmp_path / "converted.safetensors", source, images=IMAGES)
    assert found.judgement.endswith("and the files differ: padding tf-same and symmetric")
    assert found.unlike == {}


@pytest.fixture(scope="module")
def unseen(source: Path, state: State) -> Verification:
    """A gate whose kernel is wrong by less than its layer shows."""
    wrong = {name: state[name] * 1.00001 for name in ("blocks.9.se.reduce.weight", "blocks.3.se.expand.weight")}
    return verify(saved(source.with_name("unseen.pth"), state | wrong), source, images=IMAGES, causes=True)


def test_tensors_that_differ_by_less_than_a_layer_shows_are_a_difference(unseen: Verification) -> None:
    assert all(row.passed for row in unseen.verdict.pairs[0].comparison.rows)
    assert (unseen.verdict.word, unseen.same, unseen.verdict.first) == (DIFFERENT, False, None)
    assert list(unseen.unlike) == ["blocks.3.se.expand.weight", "blocks.9.se.reduce.weight"]
    assert unseen.verdict.sentence == (
        "different: every layer is within its tolerance, but 2 of the file's tensors have other values than the source's; "
        f"blocks.3.se.expand.weight differs by 1.0e-05 of its largest value (allowed 1.0e-06){ASSUMED}"
    )


def test_the_layer_of_the_first_tensor_that_differs_is_the_first_layer(unseen: Verification) -> None:
    assert unseen.verdict.first_layer == "blocks.3"
    assert {name for name, (_, differs) in unseen.tensors.items() if differs} == {"blocks.3.se.expand.weight"}
    assert all(name.startswith("blocks.3.") for name in unseen.tensors)
    assert unseen.judgement.endswith("and the files differ: the values of 2 of 311 tensors")
    assert unseen.trials == ()
    json.dumps(describe_verification(unseen, 1.0), allow_nan=False)


def test_a_looser_tolerance_goes_for_the_tensors_too(source: Path, unseen: Verification) -> None:
    found = verify(unseen.converted.path, source, images=IMAGES, tolerance=1e-4, in_float64=False)
    assert found.verdict.word == RELAXED
    assert found.same
    assert len(found.unlike) == 2


@pytest.fixture(scope="module")
def alone(source: Path, state: State, player: Callable[..., Path]) -> Verification:
    """A file for timm, of which the canonical network is the source's, and timm gives something else."""
    effconvert.convert(source, source.with_name("timm.pth"), to="timm")
    wrong = saved(source.with_name("wrong.pth"), state | {WRONG: state[WRONG] * 1.1})
    python = player(wrong, "timm")
    found = verify(source.with_name("timm.pth"), source, images=IMAGES, pythons={"timm": str(python)}, causes=True)
    assert told(python)[0]["options"]["--feed"].endswith("source.npz")
    return found


def test_a_file_in_a_librarys_layout_is_run_by_that_library_too(alone: Verification) -> None:
    assert [pair.comparison.same for pair in alone.verdict.pairs] == [True, False]
    assert alone.verdict.sentence.startswith(
        "different: only timm differs, not the canonical network of the same file; blocks.3 is the first layer"
    )


def test_where_only_the_library_differs_no_tensors_are_named_and_it_is_the_wrong_side(alone: Verification) -> None:
    assert alone.library_alone
    assert alone.tensors == {}
    assert alone.judgement.startswith("float64: timm does not agree with the converted file's tensors and facts ")


def test_where_the_canonical_network_differs_too_the_library_is_not_alone(
    different: Verification, same: Verification
) -> None:
    assert (different.library_alone, same.library_alone) == (False, False)


def test_what_a_library_does_otherwise_is_searched_for_on_the_canonical_network(
    source: Path, tmp_path: Path, player: Callable[..., Path]
) -> None:
    effconvert.convert(source, tmp_path / "timm.pth", to="timm")
    python = str(player(tmp_path / "timm.pth", "timm", padding="symmetric"))
    found = verify(tmp_path / "timm.pth", source, images=IMAGES, pythons={"timm": python}, causes=True)
    assert found.library_alone
    assert [(trial.cause, trial.change) for trial in found.trials if trial.vanishes] == [
        ("padding", "padding: tf-same -> symmetric")
    ]
    assert not any(trial.command for trial in found.trials)  # the file is right, so another one does not help


def test_a_wrong_fact_has_a_command_that_converts_again_and_then_verify_passes(source: Path, tmp_path: Path) -> None:
    wrong, images = tmp_path / "my b0.safetensors", Images(size=64)
    effconvert.convert(source, wrong, facts={"padding": "symmetric"}, dtype="float32")
    with typed_options():
        found = verify(wrong, source, images=images, in_float64=False, causes=True)
    fixed = tmp_path / "my b0-fixed.safetensors"
    options = f"--to canonical --dtype float32 --facts padding=tf-same --out '{fixed}'"
    assert fixing_commands(found.trials) == (f"effconvert convert {source} {options}",)
    main([*shlex.split(fixing_commands(found.trials)[0])[1:], "--quiet"])
    assert verify(fixed, source, images=images, in_float64=False).same
    assert found.to_dict()["causes"][0]["command"] == found.trials[0].command


def test_in_python_the_fix_is_a_call(source: Path, tmp_path: Path) -> None:
    effconvert.convert(source, tmp_path / "wrong.safetensors", facts={"padding": "symmetric"})
    found = verify(tmp_path / "wrong.safetensors", source, images=IMAGES, in_float64=False, causes=True)
    files = f'"{source}", "{tmp_path}/wrong-fixed.safetensors"'
    call = f'effconvert.convert({files}, to="canonical", facts={{"padding": "tf-same"}})'
    assert fixing_commands(found.trials) == (call,)
    eval(call)
    assert (tmp_path / "wrong-fixed.safetensors").is_file()


def test_a_file_with_the_values_of_another_program_is_converted_again_without_an_option(
    source: Path, state: State, tmp_path: Path
) -> None:
    kernel = {"stem.conv.weight": state["stem.conv.weight"].flip(1)}
    other = saved(tmp_path / "other.pth", state | kernel)
    found = verify(other, source, images=IMAGES, in_float64=False, causes=True)
    call = f'effconvert.convert("{source}", "{tmp_path}/other-fixed.pth", to="canonical")'
    assert fixing_commands(found.trials) == (call,)


def test_a_file_that_says_what_its_library_does_otherwise_is_not_searched(
    source: Path, tmp_path: Path, player: Callable[..., Path]
) -> None:
    inexact = tmp_path / "torchvision.pth"
    effconvert.convert(source, inexact, to="torchvision", allow_inexact=True)
    python = str(player(inexact, "torchvision", padding="symmetric", bn_eps=1e-5))
    found = verify(inexact, source, images=IMAGES, pythons={"torchvision": python}, causes=True)
    assert (found.verdict.word, found.library_alone, found.trials, found.tensors) == (DIFFERENT, True, (), {})
    words = "its library's network has bn_eps 1e-05, padding symmetric, but the weights need 0.001, tf-same"
    assert f"{inexact} was converted inexactly: {words}" in found.cautions
    assert found.judgement == f"{inexact} was converted inexactly: {words}"


def test_each_run_of_an_inexact_file_is_measured_against_the_network_that_it_is_for(
    source: Path, tmp_path: Path, player: Callable[..., Path]
) -> None:
    inexact = tmp_path / "torchvision.pth"
    effconvert.convert(source, inexact, to="torchvision", allow_inexact=True)
    python = str(player(inexact, "torchvision", padding="symmetric", bn_eps=1e-5))
    found = verify(inexact, source, images=IMAGES, pythons={"torchvision": python})
    assert [rounding.framework.split()[0] for rounding in found.roundings] == ["canonical", "canonical", "torchvision"]
    assert all(rounding.worst < TOLERANCES["float32"].end_to_end for rounding in found.roundings)


def test_float64_may_be_left_out(source: Path, converted: Path) -> None:
    assert verify(converted, source, images=IMAGES, in_float64=False).roundings == ()


def test_one_image_is_not_verifiable(source: Path, converted: Path) -> None:
    found = verify(converted, source, images=Images(size=64, count=1), in_float64=False)
    assert (found.verdict.word, found.same, found.trials) == (NOT_VERIFIABLE, False, ())


def test_another_variant_is_refused_before_anything_is_run(converted: Path, lite0: Path, kept: Path) -> None:
    with pytest.raises(LayoutMismatch) as caught:
        verify(converted, lite0, keep=kept / "refused")
    assert str(caught.value) == f"{converted}: is b0, but {lite0} is lite0; give two files of the same network"
    assert not (kept / "refused").exists()


def test_networks_of_other_channels_are_refused_before_anything_is_run(source: Path, tmp_path: Path) -> None:
    depth = saved(tmp_path / "depth.pth", effconvert.create_model("b0", classes=10, in_channels=4).state_dict())
    with pytest.raises(LayoutMismatch, match="depth.pth: takes images with 4 channels, but .* takes 3; give two files"):
        verify(depth, source, keep=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_of_other_channels_is_shown_images_that_have_them(tmp_path: Path, channels: int) -> None:
    network = random_weights(create_model("lite0", classes=10, in_channels=channels))
    calibrate(network, synthetic_images(8, 64, 64, channels=channels))
    file = saved(tmp_path / "source.pth", network.state_dict())
    effconvert.convert(file, tmp_path / "converted.safetensors")
    found = verify(tmp_path / "converted.safetensors", file, images=IMAGES)
    assert found.inputs.images.shape == (2, channels, 64, 64)
    assert (found.verdict.word, found.verdict.sensitivity > 0.1) == (SAME, True)
    with pytest.raises(LayoutMismatch, match="channel.* is not known"):
        verify(tmp_path / "converted.safetensors", file, images=Images(tmp_path))


def test_an_interpreter_that_is_missing_is_told_before_anything_is_run(converted: Path, b0: Path, kept: Path) -> None:
    with pytest.raises(MissingPath, match='python={"tensorflow": "/none"}: is not an executable file'):
        verify(converted, b0, pythons={"tensorflow": "/none"}, keep=kept / "refused")
    assert not (kept / "refused").exists()


def test_raw_weights_against_averages_are_told_and_the_cause_is_named(
    b0: Path, tmp_path: Path, player: Callable[..., Path]
) -> None:
    effconvert.convert(b0, tmp_path / "raw.safetensors", raw=True)
    effconvert.convert(b0, tmp_path / "averages.safetensors")
    python = str(player(tmp_path / "averages.safetensors", "tensorflow"))
    found = verify(tmp_path / "raw.safetensors", b0, images=IMAGES, pythons={"tensorflow": python}, causes=True)
    assert found.verdict.word == DIFFERENT
    assert found.cautions == (
        "the converted file has the raw weights, but the source ran with its averages; raw=True runs its raw weights",
    )
    assert [trial.cause for trial in found.trials if trial.vanishes] == ["weights"]
    assert found.tensors["stem.conv.weight"] == ("efficientnet-b0/stem/conv2d/kernel/ExponentialMovingAverage", True)


def test_a_background_that_was_left_out_is_told_and_each_side_is_measured_with_its_own_classes(tmp_path: Path) -> None:
    source = saved(tmp_path / "source.pth", state_of("edgetpu-s"))
    effconvert.convert(source, tmp_path / "converted.safetensors", drop_background_class=True)
    found = verify(tmp_path / "converted.safetensors", source, images=IMAGES)
    assert found.same
    assert (
        "the converted file does not have the source's class 0, the background class; it is not compared"
        in found.cautions
    )
    assert all(0 < rounding.worst < TOLERANCES["float32"].end_to_end for rounding in found.roundings)


def test_a_backbone_is_compared_to_its_end(tmp_path: Path) -> None:
    source = saved(tmp_path / "source.pth", state_of("lite0", classes=0, head_conv=False))
    effconvert.convert(source, tmp_path / "converted.safetensors")
    found = verify(tmp_path / "converted.safetensors", source, images=IMAGES)
    assert found.same
    assert found.verdict.pairs[0].comparison.rows[-1].layer == "blocks.15"


def test_nothing_is_left_behind(source: Path, converted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    verify(converted, source, images=IMAGES, in_float64=False)
    assert list(tmp_path.iterdir()) == []


def test_the_document_is_the_same_every_time_but_for_its_run_block(
    source: Path, converted: Path, same: Verification
) -> None:
    one, other = describe_verification(same, 1.0), describe_verification(verify(converted, source, images=IMAGES), 2.0)
    assert one.pop("run") != other.pop("run")
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_the_document_says_what_was_verified_and_holds_no_nan(different: Verification, source: Path) -> None:
    said = json.loads(json.dumps(describe_verification(different, 1.0), allow_nan=False))
    assert (said["schema"], said["verdict"]) == ("effconvert/verification/1", "different")
    assert said["source"]["sha256"] == {"source.pth": file_sha256(source)}
    assert said["inputs"]["sha256"] == different.inputs.sha256
    assert [row["canonical"] for row in said["tensors_of_first"] if row["values_differ"]] == [WRONG]
    assert set(said["run"]) == {"effconvert", "date", "seconds", "machine"}


def test_weights_that_give_no_number_differ_from_the_source_and_break_nothing(
    source: Path, state: State, tmp_path: Path
) -> None:
    broken = saved(
        tmp_path / "broken.pth", state | {"head.bn.weight": torch.full_like(state["head.bn.weight"], torch.nan)}
    )
    found = verify(broken, source, images=IMAGES, causes=True)
    assert found.verdict.word == DIFFERENT
    assert found.verdict.sentence.startswith("different: head is the first layer that differs: ")
    assert "NaN or infinite values, the reference's has 0" in found.verdict.sentence
    json.dumps(describe_verification(found, 1.0), allow_nan=False)


def test_reading_options_are_for_the_source(source: Path, tmp_path: Path) -> None:
    effconvert.convert(source, tmp_path / "converted.safetensors", facts={"padding": "symmetric"})
    as_it_was = verify(tmp_path / "converted.safetensors", source, images=IMAGES, in_float64=False)
    reading = Options(facts={"padding": "symmetric"})
    as_it_is = verify(tmp_path / "converted.safetensors", source, images=IMAGES, reading=reading, in_float64=False)
    assert (as_it_was.verdict.word, as_it_is.verdict.word) == (DIFFERENT, SAME)
