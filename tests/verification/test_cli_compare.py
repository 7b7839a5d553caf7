"""`effconvert compare` on saved runs of TensorFlow: its output and its exit code."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.verification.runs import open_run
from helpers.checkpoints import write_checkpoint
from helpers.running import Ran
from helpers.verification.running_here import followed
from helpers.verification.saved_runs import B0, RUNS, changed_run, checkpoint_of
from helpers.verification.strict_json import parsed

pytestmark = pytest.mark.xdist_group("compare")
AVERAGED, RAW, OTHER = (RUNS / f"{name}.npz" for name in ("b0", "b0-raw", "edgetpu-s"))
FRAMEWORKS = {"torch", "tensorflow", "keras", "mindspore", "timm", "torchvision", "transformers", "mmpretrain"}


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The canonical network's run of the same checkpoint, on the same images; do not change it."""
    folder = tmp_path_factory.mktemp("canonical")
    effconvert.convert(write_checkpoint(folder / "b0", checkpoint_of(B0)), folder / "b0.safetensors")
    return followed(folder / "b0.safetensors", AVERAGED, folder / "b0.npz")


def logits_of(run: Path) -> np.ndarray:
    with open_run(run) as opened:
        return opened.layer("logits")


def test_the_same_function_is_0(run: Callable[..., Ran], canonical: Path) -> None:
    ran = run("compare", AVERAGED, canonical)
    assert ran.exit_code == 0, ran.err
    assert ran.out.startswith("✓ SAME NETWORK: worst layer ")
    assert "measured  logits differ by" in ran.out
    assert "canonical (effconvert " in ran.out
    assert "against tensorflow (tensorflow" in ran.out


def test_a_run_is_the_same_as_itself_bit_for_bit(run: Callable[..., Ran]) -> None:
    ran = run("compare", AVERAGED, AVERAGED)
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ SAME NETWORK: every layer is equal bit for bit")


def test_another_function_is_5_with_the_first_layer_and_its_tensors(run: Callable[..., Ran]) -> None:
    ran = run("compare", AVERAGED, RAW)
    assert ran.exit_code == 5
    assert ran.out.startswith("✗ DIFFERENT NETWORK: stem is the first layer that differs, ")
    assert "measured  stem is the first layer that differs: max |Δ| is" in ran.out
    assert " times its tolerance of " in ran.out
    assert "  stem.conv.weight <- efficientnet-b0/stem/conv2d/kernel/ExponentialMovingAverage" in ran.out
    assert "blocks.0" not in ran.out.splitlines()[0] + ran.out.rpartition("verdict)")[2]


def test_another_variant_is_5_with_the_shapes(run: Callable[..., Ran]) -> None:
    ran = run("compare", AVERAGED, OTHER)
    assert ran.exit_code == 5
    assert "another shape" in ran.out
    assert "not compared: blocks.16 (only the converted has it)" in ran.out


def test_the_agreement_of_the_best_classes_is_shown_and_no_test(run: Callable[..., Ran], tmp_path: Path) -> None:
    stretched = changed_run(AVERAGED, tmp_path / "stretched.npz", logits=logits_of(AVERAGED) * np.float32(1.5))
    ran = run("compare", AVERAGED, stretched)
    assert "top-1 agrees on 100% of the images, top-5 on 100% (for information, not part of the verdict)" in ran.out
    assert ran.exit_code == 5


def test_a_blind_network_is_not_verifiable_which_is_5(run: Callable[..., Ran], tmp_path: Path) -> None:
    blind = changed_run(AVERAGED, tmp_path / "blind.npz", logits=np.tile(logits_of(AVERAGED)[:1], (2, 1)))
    ran = run("compare", blind, blind)
    assert ran.exit_code == 5
    assert ran.out.startswith("? NOT VERIFIABLE: the reference hardly reacts to its input (sensitivity 0, needed 0.1)")
    assert "not judged" in ran.out
    assert not [line for line in ran.out.splitlines() if line.endswith("passed")]


def test_values_that_are_no_numbers_are_counted(run: Callable[..., Ran], tmp_path: Path) -> None:
    logits = logits_of(AVERAGED)
    logits[1, 3] = np.nan
    ran = run("compare", AVERAGED, changed_run(AVERAGED, tmp_path / "nan.npz", logits=logits))
    assert ran.exit_code == 5
    assert "it has 1 NaN or infinite values, the reference's has 0" in ran.out


def test_runs_on_other_images_are_refused_with_the_way_out(run: Callable[..., Ran], tmp_path: Path) -> None:
    other = changed_run(AVERAGED, tmp_path / "other.npz", {"inputs_sha256": "0" * 64})
    ran = run("compare", AVERAGED, other)
    assert ran.exit_code == 5
    assert f"{other}: its images are not those of {AVERAGED}" in ran.err
    assert f"--follow {AVERAGED}" in ran.err


def test_a_run_that_is_not_there_is_2(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("compare", AVERAGED, tmp_path / "none.npz")
    assert ran.exit_code == 2
    assert f"{tmp_path / 'none.npz'}: no such file" in ran.err


def test_what_is_no_run_or_is_damaged_is_3(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("a run of five miles")
    (tmp_path / "half.npz").write_bytes(AVERAGED.read_bytes()[:300_000])
    for name in ("text.npz", "half.npz"):
        ran = run("compare", AVERAGED, tmp_path / name)
        assert ran.exit_code == 3
        assert f"{tmp_path / name}: not a saved run, as `effconvert run` writes it" in ran.err


def test_every_layer_is_printed_only_when_asked_for(run: Callable[..., Ran], canonical: Path) -> None:
    with open_run(AVERAGED) as opened:
        layers = list(opened.layers)
    few, all_rows = (run("compare", AVERAGED, canonical, *more).out.splitlines() for more in ((), ("--layers",)))
    rows = [line.split()[:2] for line in all_rows if line.split()[:1] and line.split()[0] in layers]
    assert rows == [[layer, mode] for layer in layers for mode in ("end", "isolated")]
    assert 1 <= sum(line.split()[0] in layers for line in few if line) <= 4


def test_quiet_prints_nothing(run: Callable[..., Ran], canonical: Path) -> None:
    assert run("compare", AVERAGED, canonical, "--quiet") == Ran(0, "", "")
    assert run("compare", AVERAGED, RAW, "--quiet") == Ran(5, "", "")


def test_a_given_tolerance_shows_in_the_verdict(run: Callable[..., Ran], tmp_path: Path) -> None:
    near = changed_run(AVERAGED, tmp_path / "near.npz", logits=logits_of(AVERAGED) * np.float32(1.001))
    assert run("compare", AVERAGED, near).exit_code == 5
    ran = run("compare", AVERAGED, near, "--tolerance", "1e-2")
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ SAME NETWORK within the tolerance 0.01 that you gave: worst layer logits")
    assert run("compare", AVERAGED, near, "--tolerance", "0").exit_code == 2


def test_json_is_the_same_every_time(run: Callable[..., Ran], canonical: Path) -> None:
    first, second = (run("compare", AVERAGED, canonical, "--json") for _ in range(2))
    assert first == second
    document = parsed(first.out)
    assert (document["schema"], document["verdict"]) == ("effconvert/comparison/1", "same")
    (pair,) = document["comparisons"]
    assert len(pair["rows"]) == 40


def test_json_has_no_nan(run: Callable[..., Ran], tmp_path: Path) -> None:
    nan = changed_run(AVERAGED, tmp_path / "nan.npz", logits=np.full((2, 1000), np.nan, np.float32))
    for pair in ((AVERAGED, nan), (nan, AVERAGED), (AVERAGED, OTHER)):
        ran = run("compare", *pair, "--json")
        assert ran.exit_code == 5
        assert parsed(ran.out)["verdict"] in ("different", "not verifiable")


@pytest.mark.parametrize("option", [[], ["--json"], ["--layers"]], ids=str)
def test_it_imports_no_framework(canonical: Path, option: list[str]) -> None:
    script = (
        "import sys\n"
        "from effconvert.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    for other, code in ((canonical, 0), (RAW, 5)):
        command = [sys.executable, "-c", script, "compare", str(AVERAGED), str(other), *option]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stderr
        assert not FRAMEWORKS & set(ran.stderr.split())


def test_a_runs_words_do_not_steer_the_terminal(run: Callable[..., Ran], tmp_path: Path) -> None:
    evil = "\x1b[31mred\r"
    with open_run(AVERAGED) as opened:
        settings = dict(opened.record["settings"])
    settings["tensors"] = {f"stem.{evil}": evil}
    record = {
        "framework": evil,
        "network": evil,
        "loader": evil,
        "layers": [evil, "stem", "logits"],
        "settings": settings,
    }
    with np.load(AVERAGED) as arrays:
        stem = arrays["layer/stem"]
    one = changed_run(AVERAGED, tmp_path / "one.npz", record, **{evil: stem})
    two = changed_run(RAW, tmp_path / "two.npz", record, **{evil: stem})
    for options in ((), ("--layers",), ("--json",)):
        ran = run("compare", one, two, *options)
        assert ran.exit_code == 5
        assert "red" in ran.out
        assert not {"\x1b", "\r"} & set(ran.out + ran.err)
