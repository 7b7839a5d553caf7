"""A hundred faults, seeded into right conversions of TensorFlow's checkpoints: found, placed, and explained.

TensorFlow runs each source once; every wrong file then goes through the whole verification, but for starting processes.
"""

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from calibrated_checkpoint import calibrated_state, write_checkpoint
from faults import Fault, faults, some_of_each
from figures import record

import effconvert
from effconvert.architecture.canonical import CANONICAL
from effconvert.verification import execution
from effconvert.verification.comparison import ISOLATED
from effconvert.verification.inputs import Images
from effconvert.verification.procedure import Verification, verify
from effconvert.verification.runners.base import main
from effconvert.verification.verdict import DIFFERENT, SAME

MODELS = {"b0": "efficientnet-b0", "edgetpu-s": "efficientnet-edgetpu-S"}
SIZES = (64, 80, 96, 112, 128, 72, 104)
FAULTS = faults()
# Trying all causes takes five times as long as finding the fault.
KNOWN = some_of_each([fault for fault in FAULTS if fault.cause], 3)
UNKNOWN = some_of_each([fault for fault in FAULTS if not fault.cause], 1)


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Verification]]:
    """Return the verdict of every wrong file, by fault, and of the right files, by variant and number."""
    with TemporaryDirectory(prefix="effconvert-test-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "run_network", in_this_process)
        networks = {(fault.variant, fault.network): None for fault in FAULTS}
        sources = {key: source_of(Path(folder), *key) for key in networks}
        found = {f"{variant} {number}": check(right_file(sources[variant, number]), sources[variant, number], number)
                 for variant, number in networks}  # fmt: skip
        for fault in FAULTS:
            source = sources[fault.variant, fault.network]
            explained = fault in KNOWN or fault in UNKNOWN
            found[str(fault)] = check(wrong_file(fault, source), source, fault.network, explained)
        yield found


def source_of(folder: Path, variant: str, number: int) -> Path:
    size = SIZES[number]
    states = [calibrated_state(variant, (size, size), seed) for seed in (number, 50 + number)]
    return write_checkpoint(folder / f"{variant}-{number}", MODELS[variant], *states)


def right_file(source: Path) -> Path:
    output = source.with_suffix(".safetensors")
    effconvert.convert(source, output, force=True)
    return output


def wrong_file(fault: Fault, source: Path) -> Path:
    if fault.facts or fault.raw:
        output = source.with_name("wrong.safetensors")
        effconvert.convert(source, output, facts=fault.facts, raw=fault.raw, force=True)
        return output
    right = {name: tensor.numpy() for name, tensor in effconvert.load_model(right_file(source)).state_dict().items()}
    output = source.with_name("wrong.pth")
    torch.save({name: torch.from_numpy(np.array(tensor)) for name, tensor in fault.change(right).items()}, output)
    return output


def check(converted: Path, source: Path, number: int, explained: bool = False) -> Verification:
    images = Images(size=SIZES[number], seed=number)
    return verify(converted, source, images=images, in_float64=False, causes=explained)


def in_this_process(name, python, file, settings, inputs, out, **options) -> None:
    """Run a network as `run_network` does, without a process; TensorFlow's is run once for each source."""
    kept = file / "run.npz"
    if name != CANONICAL and kept.exists():
        shutil.copyfile(kept, out)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "effconvert.verification.launching._start",
            lambda name, python, folder, arguments, variables: start(name, arguments),
        )
        REAL_RUN_NETWORK(name, python, file, settings, inputs, out, **options)
    if name != CANONICAL:
        shutil.copyfile(out, kept)


REAL_RUN_NETWORK = execution.run_network


def start(name: str, arguments: list[str]) -> None:
    runner = importlib.import_module(f"effconvert.verification.runners.run_{name}")
    code = runner.main(arguments) if name == CANONICAL else main(runner.RUNNER, arguments)
    assert code == 0


@pytest.mark.parametrize("network", sorted({f"{fault.variant} {fault.network}" for fault in FAULTS}))
def test_the_right_conversion_is_the_same(results, network):
    verdict = results[network].verdict
    worst = max(row.relative for pair in verdict.pairs for row in pair.comparison.rows)
    record(f"faults: {network}, right", "worst layer", worst, "<= 2e-05")
    assert verdict.word == SAME, verdict.sentence


def test_the_smallest_fault_is_well_above_the_rounding_of_one_layer(results):
    firsts = [first for fault in FAULTS if (first := results[str(fault)].verdict.first)]
    assert len(firsts) >= 99  # one kernel of a gate moves its layer by less than rounding does: its values tell
    smallest = min(row.relative / row.allowed for row in firsts if row.relative == row.relative)
    right = [results[f"{fault.variant} {fault.network}"].verdict for fault in FAULTS]
    rounding = max(row.relative / row.allowed for verdict in right for row in verdict.pairs[0].comparison.of(ISOLATED))
    record("faults: smallest, when fed", "of the tolerance", smallest, "> 1")
    record("faults: right ones, when fed", "of the tolerance", rounding, "< 1")
    assert smallest > 2 * rounding


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_fault_is_found(results, fault):
    assert results[str(fault)].verdict.word == DIFFERENT


def test_the_first_layer_named_is_the_right_one_in_95_of_100(results):
    wrong = {str(fault): results[str(fault)].verdict.first_layer for fault in FAULTS}
    wrong = {words: layer for words, layer in wrong.items() if layer != {str(f): f.first for f in FAULTS}[words]}
    assert record("faults: layer named wrongly", "of 100", len(wrong), "<= 5") <= 5, wrong


@pytest.mark.parametrize("fault", KNOWN, ids=str)
def test_the_known_cause_is_named(results, fault):
    vanishing = [trial.cause for trial in results[str(fault)].trials if trial.vanishes]
    assert vanishing == [fault.cause]


@pytest.mark.parametrize("fault", UNKNOWN, ids=str)
def test_no_cause_is_claimed_where_it_is_none_of_the_known_ones(results, fault):
    assert [trial.cause for trial in results[str(fault)].trials if trial.vanishes] == []
