"""`effconvert verify` on the command line: its output and its exit code.

A canonical source is run by the canonical network, so that no framework is needed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import effconvert
from effconvert.verification.causes import CAUSES
from helpers.running import Ran
from helpers.verification.running_here import canonical_network_in_this_process
from helpers.verification.strict_json import parsed

pytestmark = pytest.mark.xdist_group("verify")
LAYERS = ["stem", *(f"blocks.{index}" for index in range(16)), "head", "pooled", "logits"]
Change = Callable[[dict[str, torch.Tensor]], object]


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    with canonical_network_in_this_process():
        yield


@pytest.fixture(scope="module")
def source(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical Lite0; do not change it."""
    path = tmp_path_factory.mktemp("source") / "source.safetensors"
    effconvert.convert(lite0, path)
    return path


@pytest.fixture
def changed(source: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write the source's weights with a change."""

    def write(change: Change, name: str = "changed.pth") -> Path:
        state = effconvert.load_model(source).state_dict()
        change(state)
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def other(changed: Callable[..., Path]) -> Path:
    """The same network but for one kernel."""
    return changed(lambda state: state["blocks.3.depthwise.conv.weight"].mul_(1.001))


@pytest.fixture
def verify(run: Callable[..., Ran]) -> Callable[..., Ran]:
    """Verify on images of 64 pixels."""
    return lambda converted, source, *options: run("verify", converted, "--against", source, "--size", 64, *options)


def the_document(folder: Path) -> dict[str, Any]:
    return parsed((folder / "report.json").read_text())


def test_the_same_network_is_0(verify: Callable[..., Ran], source: Path, changed: Callable[..., Path]) -> None:
    ran = verify(changed(lambda state: None), source)
    assert (ran.exit_code, ran.err) == (0, "")
    assert ran.out.startswith("✓ SAME NETWORK: every layer is equal bit for bit")
    assert "images     2 synthetic images (seed 0), 64 px; sensitivity 0." in ran.out


def test_details_are_printed_only_when_asked_for_or_after_a_mismatch(
    verify: Callable[..., Ran], source: Path, other: Path
) -> None:
    assert not {"rounding", "stem", "computed"} & {
        word for line in verify(source, source).out.splitlines() for word in line.split()[:1]
    }
    for ran in (verify(source, source, "--layers"), verify(other, source)):
        assert "rounding   canonical (effconvert" in ran.out
        assert "isolated: each layer gets the source's input" in ran.out


def test_another_network_is_5_with_the_first_layer_and_its_tensors(
    verify: Callable[..., Ran], source: Path, other: Path
) -> None:
    ran = verify(other, source)
    assert ran.exit_code == 5
    assert ran.out.startswith("✗ DIFFERENT NETWORK: blocks.3 is the first layer that differs, 180 times its tolerance")
    assert "measured   blocks.3 is the first layer that differs: max |Δ| is" in ran.out
    assert " times its tolerance of 5.0e-06)" in ran.out
    marked = [line.strip() for line in ran.out.splitlines() if "values differ" in line]
    assert marked == ["blocks.3.depthwise.conv.weight <- blocks.3.depthwise.conv.weight: values differ"]
    assert "float64: each side agrees with its own file, and the files differ: the values of 1 of " in ran.out


def test_a_blind_network_is_not_verifiable_which_is_5(verify: Callable[..., Ran], changed: Callable[..., Path]) -> None:
    blind = changed(lambda state: state["head.fc.weight"].zero_())
    ran = verify(blind, blind)
    assert ran.exit_code == 5
    assert ran.out.startswith("? NOT VERIFIABLE: the reference hardly reacts to its input (sensitivity 0, needed 0.1)")
    rows = [line.split() for line in ran.out.splitlines() if {"isolated", "end"} & set(line.split()[1:2])]
    assert rows
    assert {tuple(row[-2:]) for row in rows} == {("not", "judged")}


def test_another_variant_is_4(verify: Callable[..., Ran], source: Path, b0: Path) -> None:
    ran = verify(b0, source)
    assert ran.exit_code == 4
    assert f"{b0}: is b0, but {source} is lite0; give two files of the same network" in ran.err


def test_a_layout_that_the_framework_does_not_load_is_4(verify: Callable[..., Ran], source: Path) -> None:
    ran = verify(source, source, "--framework", "timm")
    assert ran.exit_code == 4
    assert f"{source}: has the layout canonical, which timm cannot load; timm loads timm" in ran.err


def test_what_is_no_checkpoint_or_is_damaged_is_3(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("weights: heavy")
    (tmp_path / "half").write_bytes(source.read_bytes()[:1_000_000])
    for file in (tmp_path / "text", tmp_path / "half"):
        for pair in ((file, source), (source, file)):
            ran = verify(*pair)
            assert ran.exit_code == 3
            assert str(file) in ran.err


def test_a_path_that_is_not_there_is_2(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    for pair in ((tmp_path / "none", source), (source, tmp_path / "none")):
        ran = verify(*pair)
        assert ran.exit_code == 2
        assert f"{tmp_path / 'none'}: no such file or directory" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--count", "1"], "x>=2"),
        (["--recipe", "timm"], "give --images too"),
        (["--python", "timm"], "must read FRAMEWORK=PATH"),
        (["--python", "timm="], "must read FRAMEWORK=PATH"),
        (
            ["--python", "caffe=/usr/bin/python"],
            "must read FRAMEWORK=PATH, or a path alone; frameworks are huggingface, keras",
        ),
        (["--framework", "caffe"], "'caffe' is unknown; known are auto, huggingface"),
        (
            ["--framework", "timm", "--python", "timm=/no/such/python"],
            "--python timm=/no/such/python: is not an executable file",
        ),
        (["--size", "16"], "32<=x<=4096"),
        (["--tolerance", "0"], "0<x<=1"),
        (["--facts", "eps=1"], "eps unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_2(verify: Callable[..., Ran], source: Path, options: list[str], said: str) -> None:
    ran = verify(source, source, *options)
    assert ran.exit_code == 2
    assert said in ran.err


def test_without_a_source_it_is_a_usage_error(run: Callable[..., Ran], source: Path) -> None:
    ran = run("verify", source)
    assert ran.exit_code == 2
    assert "--against" in ran.err


def test_a_missing_framework_is_9_and_the_way_to_it_is_named(
    verify: Callable[..., Ran], source: Path, lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libtensorflow.so: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = verify(source, lite0)
    assert ran.exit_code == 9
    assert "tensorflow cannot be imported: libtensorflow.so: cannot open" in ran.err
    assert "nothing was run" in ran.err
    assert "install it there: pip install 'tensorflow>=" in ran.err
    assert "--python tensorflow=PATH, or EFFCONVERT_PYTHON_TENSORFLOW=PATH" in ran.err
    assert sys.executable in ran.err


def test_the_interpreter_of_a_framework_is_that_of_its_variable(
    verify: Callable[..., Ran], source: Path, lite0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFCONVERT_PYTHON_TENSORFLOW", "/no/such/python")
    ran = verify(source, lite0)
    assert ran.exit_code == 2
    assert "EFFCONVERT_PYTHON_TENSORFLOW=/no/such/python: is not an executable file" in ran.err


def test_an_output_that_cannot_be_written_is_8_before_any_network_is_run(
    verify: Callable[..., Ran], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effconvert.verification.sides.run_file", None)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("mine")
    nowhere, folder, file = tmp_path / "none", tmp_path / "folder.json", tmp_path / "file"
    for option, path in (
        ("--json", nowhere / "a.json"),
        ("--keep", nowhere / "a"),
        ("--json", folder),
        ("--keep", file),
    ):
        ran = verify(source, source, option, path)
        assert (ran.exit_code, ran.out) == (8, "")
        assert str(path) in ran.err
    assert file.read_text() == "mine"


@pytest.mark.parametrize("content", [b"\x93NUMPY", b"PK\x03\x04", b"[1, 2]", b"my notes"], ids=repr)
def test_a_report_replaces_nothing_but_a_report(
    verify: Callable[..., Ran], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("effconvert.verification.sides.run_file", None)
    (tmp_path / "mine.json").write_bytes(content)
    ran = verify(source, source, "--json", tmp_path / "mine.json")
    assert (ran.exit_code, ran.out) == (8, "")
    assert f"{tmp_path / 'mine.json'}: exists and was not written by --json; give another name" in ran.err
    assert (tmp_path / "mine.json").read_bytes() == content


def test_a_report_is_a_file_and_takes_no_devices_place(
    verify: Callable[..., Ran], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effconvert.verification.sides.run_file", None)
    os.mkfifo(tmp_path / "pipe.json")
    ran = verify(source, source, "--json", tmp_path / "pipe.json")
    assert ran.exit_code == 8
    assert f"{tmp_path / 'pipe.json'}: is not a file; give the name of a file" in ran.err
    assert (tmp_path / "pipe.json").is_fifo()


def test_an_empty_file_may_become_a_report(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").touch()
    assert verify(source, source, "--no-float64", "--json", tmp_path / "report.json").exit_code == 0
    assert the_document(tmp_path)["verdict"] == "same"


def test_kept_runs_are_compared_later_and_never_replaced(
    verify: Callable[..., Ran], run: Callable[..., Ran], source: Path, other: Path, tmp_path: Path
) -> None:
    assert verify(other, source, "--keep", tmp_path / "runs").exit_code == 5
    kept = {file.name: file.read_bytes() for file in (tmp_path / "runs").iterdir()}
    assert kept.keys() == {"source.npz", "converted-canonical.npz"}
    ran = run("compare", tmp_path / "runs" / "source.npz", tmp_path / "runs" / "converted-canonical.npz")
    assert ran.exit_code == 5
    assert "blocks.3 is the first layer that differs" in ran.out
    again = verify(source, source, "--keep", tmp_path / "runs")
    assert again.exit_code == 8
    assert f"{tmp_path / 'runs' / 'source.npz'}: exists; choose another folder with --keep" in again.err
    assert {file.name: file.read_bytes() for file in (tmp_path / "runs").iterdir()} == kept


def test_every_layer_is_printed_only_when_asked_for(verify: Callable[..., Ran], source: Path, other: Path) -> None:
    def rows(*options: str) -> list[list[str]]:
        lines = [line.split() for line in verify(other, source, *options).out.splitlines()]
        modes = {"isolated": "isolated", "end": "end to end"}
        return [[words[0], modes[words[1]]] for words in lines if len(words) > 3 and words[0] in LAYERS]

    assert rows("--layers") == [[layer, mode] for layer in LAYERS for mode in ("end to end", "isolated")]
    few = rows()
    assert ["blocks.3", "isolated"] in few
    assert ["logits", "isolated"] in few
    assert len(few) <= 5


def test_explain_tries_the_nine_causes(verify: Callable[..., Ran], source: Path, changed: Callable[..., Path]) -> None:
    channels = changed(lambda state: state.update({"stem.conv.weight": state["stem.conv.weight"].flip(1)}))
    ran = verify(channels, source, "--explain", "--layers")
    assert ran.exit_code == 5
    assert all(words in ran.out for words, _ in CAUSES.values())
    assert len(CAUSES) == 9
    assert [line.split("  ")[0] for line in ran.out.splitlines() if "it vanishes" in line] == [CAUSES["channels"][0]]


def test_the_cause_and_the_fix_stand_right_below_the_verdict(
    verify: Callable[..., Ran], source: Path, changed: Callable[..., Path]
) -> None:
    channels = changed(lambda state: state.update({"stem.conv.weight": state["stem.conv.weight"].flip(1)}))
    first, cause, fix, command = verify(channels, source, "--explain").out.splitlines()[:4]
    assert first.startswith("✗ DIFFERENT NETWORK: stem is the first layer that differs")
    assert cause == f"Cause:  {CAUSES['channels'][0]} in stem; with the fix the difference vanishes"
    assert fix.startswith("Fix:    reverse the input channels of stem.conv.weight")
    assert fix.endswith("; convert again:")
    assert command.startswith(f"effconvert convert {source} --to canonical --out ")


def test_explain_says_nothing_where_there_is_no_difference(verify: Callable[..., Ran], source: Path) -> None:
    ran = verify(source, source, "--explain")
    assert ran.exit_code == 0
    assert "cause" not in ran.out


def test_quiet_prints_nothing(verify: Callable[..., Ran], source: Path, other: Path) -> None:
    assert verify(source, source, "--quiet") == Ran(0, "", "")
    assert verify(other, source, "--quiet", "--explain") == Ran(5, "", "")


def test_the_document_says_everything_and_is_the_same_every_time(
    verify: Callable[..., Ran], source: Path, other: Path, tmp_path: Path
) -> None:
    documents = []
    for _ in range(2):
        assert verify(other, source, "--json", tmp_path / "report.json", "--explain").exit_code == 5
        documents.append(the_document(tmp_path))
    document = documents[0]
    assert document["schema"] == "effconvert/verification/1"
    assert document["verdict"] == "different"
    assert len(document["comparisons"][0]["rows"]) == 2 * len(LAYERS)
    assert document["comparisons"][0]["first"]["layer"] == "blocks.3"
    assert len(document["causes"]) == 9
    assert document["inputs"]["kind"] == "synthetic"
    assert [each.pop("run").keys() for each in documents] == 2 * [{"effconvert", "date", "seconds", "machine"}]
    assert documents[0] == documents[1]


def test_the_document_has_no_nan(
    verify: Callable[..., Ran], source: Path, changed: Callable[..., Path], tmp_path: Path
) -> None:
    wrong = changed(lambda state: state["blocks.5.project.conv.weight"][3].fill_(float("nan")))
    for pair, verdict in (((wrong, source), "different"), ((source, wrong), "not verifiable")):
        ran = verify(*pair, "--json", tmp_path / "report.json", "--explain")
        assert (ran.exit_code, ran.err) == (5, "")
        assert "NaN" in ran.out
        assert the_document(tmp_path)["verdict"] == verdict


def test_a_document_is_replaced_and_survives_a_failure(
    verify: Callable[..., Ran], source: Path, other: Path, b0: Path, tmp_path: Path
) -> None:
    assert verify(source, source, "--json", tmp_path / "report.json").exit_code == 0
    before = (tmp_path / "report.json").read_bytes()
    assert verify(b0, source, "--json", tmp_path / "report.json").exit_code == 4
    assert (tmp_path / "report.json").read_bytes() == before
    assert verify(other, source, "--json", tmp_path / "report.json").exit_code == 5
    assert the_document(tmp_path)["verdict"] == "different"


def test_control_characters_do_not_steer_the_terminal(
    verify: Callable[..., Ran], source: Path, changed: Callable[..., Path]
) -> None:
    evil = changed(lambda state: state["stem.conv.weight"].mul_(1.01), "red\r.pth")
    for pair in ((evil, source), (source, evil)):
        ran = verify(*pair, "--explain")
        assert ran.exit_code == 5
        assert "red\\r.pth" in ran.out
        assert "\r" not in ran.out + ran.err


def test_a_given_tolerance_shows_in_the_verdict(verify: Callable[..., Ran], source: Path, other: Path) -> None:
    ran = verify(other, source, "--tolerance", "1e-2")
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ SAME NETWORK within the tolerance 0.01 that you gave: worst layer ")


def test_a_looser_tolerance_is_another_word_in_the_document(
    verify: Callable[..., Ran], source: Path, other: Path, tmp_path: Path
) -> None:
    assert verify(other, source, "--tolerance", "1e-2", "--json", tmp_path / "report.json").exit_code == 0
    document = the_document(tmp_path)
    assert document["verdict"] == "same within the given tolerance"
    assert document["tolerance"] == {"accumulated": 1e-2, "fed": 1e-2, "relaxed": True, "rounded": ""}


def test_half_precision_says_what_it_costs(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    effconvert.convert(source, tmp_path / "half.safetensors", dtype="float16")
    ran = verify(tmp_path / "half.safetensors", source, "--json", tmp_path / "report.json")
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ SAME NETWORK except for the rounding to float16: every layer is equal bit for bit")
    (line,) = [line for line in ran.out.splitlines() if "of the weights to float16 moves the outputs" in line]
    document = the_document(tmp_path)
    assert f"by {document['rounding_cost']:.1e} of the largest" in line
    assert document["tolerance"] == {"accumulated": 2e-5, "fed": 5e-6, "relaxed": False, "rounded": "float16"}


def test_what_no_other_library_has_run_is_told(verify: Callable[..., Ran], source: Path) -> None:
    assert f"warning    {source} is already canonical, so no other framework took part" in verify(source, source).out


def test_real_images_are_said_with_their_number(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(3):
        small = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8))
        small.resize((120, 100)).save(tmp_path / f"{number}.png")
    options = ("--images", tmp_path, "--count", 2, "--recipe", "timm", "--json", tmp_path / "report.json")
    ran = verify(source, source, *options)
    assert ran.exit_code == 0
    assert "images     2 of 3 images, 64 px" in ran.out
    inputs = the_document(tmp_path)["inputs"]
    assert (inputs["files"], inputs["recipe"]["name"]) == (["0.png", "1.png"], "timm")


def test_a_folder_without_images_is_7(verify: Callable[..., Ran], source: Path, tmp_path: Path) -> None:
    assert verify(source, source, "--images", tmp_path).exit_code == 7


def test_it_works_in_processes_of_their_own(source: Path, other: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "effconvert", "verify", other, "--against", source, "--size", "64", "--no-float64"]
    command += ["--json", tmp_path / "report.json"]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (5, "")
    assert "blocks.3 is the first layer that differs" in ran.stdout
    assert json.loads((tmp_path / "report.json").read_text())["roundings"] == []
