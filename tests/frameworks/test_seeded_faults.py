"""A hundred faults, seeded into right conversions of TensorFlow's checkpoints: found, placed, and explained.

TensorFlow runs each source once; every wrong file then goes through the whole verification, but for starting processes.
"""

import importlib
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

import effconvert
from effconvert.architecture.canonical import CANONICAL
from effconvert.hashing import file_sha256
from effconvert.verification import execution
from effconvert.verification.comparison import ISOLATED
from effconvert.verification.inputs import Images
from effconvert.verification.procedure import Verification, verify
from effconvert.verification.runners.base import main
from effconvert.verification.verdict import DIFFERENT, SAME
from helpers.deep import deep_but
from helpers.faults import Fault, faults, some_of_each
from helpers.frameworks.calibrated_checkpoint import calibrated_state, write_checkpoint
from helpers.frameworks.figures import record
from helpers.verification.waiting import wait_for_the_other

MODELS = {"b0": "efficientnet-b0", "edgetpu-s": "efficientnet-edgetpu-S"}
SIZES = (64, 80, 96, 112, 128, 72, 104)
FAULTS = faults()
NETWORKS = sorted({f"{fault.variant} {fault.network}" for fault in FAULTS})
FEW = some_of_each(FAULTS, 1)  # found every time; all hundred are deep
# Trying all causes takes five times as long as finding the fault.
KNOWN = some_of_each([fault for fault in FAULTS if fault.cause], 3)
UNKNOWN = some_of_each([fault for fault in FAULTS if not fault.cause], 1)


class Results:
    """What verification says of the wrong files and of the right ones, each asked once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cache  # noqa: B019  it lives as long as the module's tests
    def source(self, variant: str, number: int) -> Path:
        """Return the checkpoint of a network."""
        return source_of(self._folder, variant, number)

    @cache  # noqa: B019  it lives as long as the module's tests
    def right(self, variant: str, number: int) -> Verification:
        """Return what is said of a right conversion."""
        source = self.source(variant, number)
        return check(right_file(source), source, number)

    @cache  # noqa: B019  it lives as long as the module's tests
    def wrong(self, fault: str) -> Verification:
        """Return what is said of the wrong file with the fault."""
        (seeded,) = [one for one in FAULTS if str(one) == fault]
        source = self.source(seeded.variant, seeded.network)
        return check(wrong_file(seeded, source), source, seeded.network, seeded in KNOWN or seeded in UNKNOWN)


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """What verification says, as far as it is asked for."""
    with TemporaryDirectory(prefix="effconvert-test-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "run_network", in_this_process)
        yield Results(Path(folder))


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


def in_this_process(name, python, file, settings, inputs, out, follow=None, **options) -> None:
    """Run a network as `run_network` does, without a process; TensorFlow's is run once for each source."""
    wait_for_the_other(options.pop("together", None))
    kept = file / "run.npz"
    if name != CANONICAL and kept.exists():
        shutil.copyfile(kept, out)
        return
    if follow:  # which was not yet written when the settings were made
        settings = {**settings, "follows": file_sha256(follow)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "effconvert.verification.launching._start",
            lambda name, python, folder, arguments, *rest: start(name, arguments),
        )
        REAL_RUN_NETWORK(name, python, file, settings, inputs, out, follow, **options)
    if name != CANONICAL:
        shutil.copyfile(out, kept)


REAL_RUN_NETWORK = execution.run_network


def start(name: str, arguments: list[str]) -> None:
    runner = importlib.import_module(f"effconvert.verification.runners.run_{name}")
    code = runner.main(arguments) if name == CANONICAL else main(runner.RUNNER, arguments)
    assert code == 0


@pytest.mark.parametrize("network", deep_but(NETWORKS, lambda network: network.endswith(" 0")))
def test_r8_the_right_conversion_is_the_same(results, network):
    variant, number = network.split()
    verdict = results.right(variant, int(number)).verdict
    worst = max(row.relative for pair in verdict.pairs for row in pair.comparison.rows)
    record(f"faults: {network}, right", "worst layer", worst, "<= 2e-05")
    assert verdict.word == SAME, verdict.sentence


@pytest.mark.parametrize("faults", deep_but(["few", "all"], lambda faults: faults == "few"))
def test_the_smallest_fault_is_well_above_the_rounding_of_one_layer(results, faults):
    tried = FEW if faults == "few" else FAULTS
    firsts = [first for fault in tried if (first := results.wrong(str(fault)).verdict.first)]
    assert (
        len(firsts) >= len(tried) - 1
    )  # one kernel of a gate moves its layer by less than rounding does: its values tell
    smallest = min(row.relative / row.allowed for row in firsts if row.relative == row.relative)
    right = [results.right(fault.variant, fault.network).verdict for fault in tried]
    rounding = max(row.relative / row.allowed for verdict in right for row in verdict.pairs[0].comparison.of(ISOLATED))
    record("faults: smallest, when fed", "of the tolerance", smallest, "> 1")
    record("faults: right ones, when fed", "of the tolerance", rounding, "< 1")
    assert smallest > 2 * rounding


@pytest.mark.parametrize("fault", deep_but(FAULTS, lambda fault: fault in FEW), ids=str)
def test_r9_the_fault_is_found(results, fault):
    assert results.wrong(str(fault)).verdict.word == DIFFERENT


def wrongly_named(results: Results, tried: list[Fault]) -> dict[str, str]:
    """Return {fault: layer named} of those faults whose first layer is another."""
    named = [(fault, results.wrong(str(fault)).verdict.first_layer) for fault in tried]
    return {str(fault): layer for fault, layer in named if layer != fault.first}


def test_the_first_layer_named_is_the_right_one_in_all_but_one_of_the_few(results):
    wrong = wrongly_named(results, FEW)
    assert record("faults: layer named wrongly", f"of {len(FEW)}", len(wrong), "<= 1") <= 1, wrong


@pytest.mark.deep
def test_the_first_layer_named_is_the_right_one_in_95_of_100(results):
    wrong = wrongly_named(results, FAULTS)
    assert record("faults: layer named wrongly", "of 100", len(wrong), "<= 5") <= 5, wrong


@pytest.mark.parametrize("fault", deep_but(KNOWN, lambda fault: fault in FEW), ids=str)
def test_the_known_cause_is_named(results, fault):
    vanishing = [trial.cause for trial in results.wrong(str(fault)).trials if trial.vanishes]
    assert vanishing == [fault.cause]


@pytest.mark.parametrize("fault", UNKNOWN, ids=str)
def test_no_cause_is_claimed_where_it_is_none_of_the_known_ones(results, fault):
    assert [trial.cause for trial in results.wrong(str(fault)).trials if trial.vanishes] == []
