"""The canonical network equals saved runs of the real TensorFlow, unless a fault is seeded."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

import effconvert
from effconvert.preprocessing.synthetic import sensitivity
from effconvert.verification.comparison import END_TO_END, ISOLATED
from effconvert.verification.explanation import explain
from effconvert.verification.network_files import examine
from effconvert.verification.runs import open_run
from effconvert.verification.verdict import DIFFERENT, SAME, Verdict, reach_verdict
from helpers.checkpoints import read_all, write_checkpoint
from helpers.deep import deep_but
from helpers.faults import Fault, faults, some_of_each
from helpers.verification.running_here import followed
from helpers.verification.saved_runs import B0, CHECKPOINTS, EDGETPU, RUNS, checkpoint_of

pytestmark = pytest.mark.xdist_group("saved runs")
FAULTS = faults()
SEEDED, FIRST = some_of_each(FAULTS, 2), some_of_each(FAULTS, 1)
KNOWN = some_of_each([fault for fault in FAULTS if fault.cause], 1)
UNKNOWN = some_of_each([fault for fault in FAULTS if not fault.cause], 1)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The checkpoints that TensorFlow ran, {variant: folder}."""
    folder = tmp_path_factory.mktemp("sources")
    return {variant: write_checkpoint(folder / variant, checkpoint_of(variant)) for variant in (B0, EDGETPU)}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def saved(run: str) -> Path:
    return RUNS / f"{run}.npz"


def wrong_file(fault: Fault, source: Path, folder: Path) -> Path:
    """Convert `source` with the fault."""
    output = folder / "wrong.safetensors"
    effconvert.convert(source, output, facts=fault.facts, raw=fault.raw)
    if fault.facts or fault.raw:
        return output
    right = read_all(output)
    wrong = {name: torch.from_numpy(np.array(tensor)) for name, tensor in fault.change(right).items()}
    torch.save(wrong, folder / "wrong.pth")
    return folder / "wrong.pth"


def verdict_on(file: Path, reference: Path, out: Path) -> Verdict:
    with ExitStack() as stack:
        runs = [stack.enter_context(open_run(path)) for path in (reference, followed(file, reference, out))]
        return reach_verdict(runs[0], runs[1:])


def causes_found(fault: Fault, checkpoint: Path, folder: Path) -> list[str]:
    """The causes whose remedy makes the difference from TensorFlow vanish."""
    source, wrong = examine(checkpoint), examine(wrong_file(fault, checkpoint, folder))
    sets = {"averages": source.canonical_tensors(), "raw": source.canonical_tensors(other=True)} if source.other else {}
    with open_run(saved(fault.variant)) as run:
        layers = {name: run.layer(name) for name in run.layers}
        trials = explain(
            layers, run.images, wrong.canonical_tensors(), wrong.identity.variant, wrong.identity.facts, sets=sets
        )
    assert len(trials) == 9
    return [trial.cause for trial in trials if trial.vanishes]


@pytest.mark.parametrize("run", CHECKPOINTS)
def test_the_saved_networks_react_to_their_input(run: str) -> None:
    with open_run(saved(run)) as opened:
        assert sensitivity(opened.outputs) >= 0.2


@pytest.mark.parametrize("run", CHECKPOINTS)
def test_the_right_conversion_is_what_tensorflow_ran(sources: dict[str, Path], tmp_path: Path, run: str) -> None:
    variant, raw = CHECKPOINTS[run]
    effconvert.convert(sources[variant], tmp_path / "right.safetensors", raw=raw)
    verdict = verdict_on(tmp_path / "right.safetensors", saved(run), tmp_path / "right.npz")
    assert verdict.word == SAME, verdict.sentence
    rows = verdict.pairs[0].comparison.rows
    with open_run(saved(run)) as opened:
        modes = [(layer, mode) for layer in opened.layers for mode in (END_TO_END, ISOLATED)]
    assert [(row.layer, row.mode) for row in rows] == modes


@pytest.mark.parametrize("fault", deep_but(SEEDED, lambda fault: fault in FIRST), ids=str)
def test_a_fault_is_found_in_the_layer_where_it_is(sources: dict[str, Path], tmp_path: Path, fault: Fault) -> None:
    file = wrong_file(fault, sources[fault.variant], tmp_path)
    verdict = verdict_on(file, saved(fault.variant), tmp_path / "wrong.npz")
    assert verdict.word == DIFFERENT
    assert verdict.first is not None
    assert verdict.first.layer == fault.first
    assert verdict.first.layer in verdict.sentence


@pytest.mark.parametrize("fault", KNOWN, ids=str)
def test_the_cause_of_a_fault_is_named(sources: dict[str, Path], tmp_path: Path, fault: Fault) -> None:
    assert causes_found(fault, sources[fault.variant], tmp_path) == [fault.cause]


@pytest.mark.parametrize("fault", UNKNOWN, ids=str)
def test_no_cause_is_claimed_of_another_fault(sources: dict[str, Path], tmp_path: Path, fault: Fault) -> None:
    assert causes_found(fault, sources[fault.variant], tmp_path) == []
