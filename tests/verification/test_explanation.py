"""On a mismatch the real cause is named, and no other cause."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import VARIANTS
from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from effconvert.verification import causes, explanation
from effconvert.verification.comparison import TOLERANCES
from effconvert.verification.explanation import explain
from effconvert.verification.numpy_network import compute
from effconvert.verification.trials import Trial, in_words

Tensors = dict[str, np.ndarray]
CLASSIFIER = ("head.fc.weight", "head.fc.bias")
CAUSES = {
    "bn_eps", "padding", "weights", "channels", "background", "fused_stride", "activation", "transposed_kernels",
    "swapped_statistics",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A network whose weights are right, and images; `outputs` is what another framework's network gives of them."""

    tensors: Tensors
    facts: Facts
    variant: str
    images: np.ndarray

    def outputs(self, tensors: Tensors | None = None, **facts: Any) -> Tensors:
        layers = compute(tensors or self.tensors, VARIANTS[self.variant], changed(self.facts, facts), self.images)
        return {name: array.astype(np.float32) for name, array in layers.items()}

    def explained(self, tensors: Tensors, reference: Tensors | None = None, **options: Any) -> tuple[Trial, ...]:
        facts = changed(self.facts, {"classes": len(tensors["head.fc.bias"])})
        return explain(reference or self.outputs(), self.images, tensors, VARIANTS[self.variant], facts, **options)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def source_of(variant: str, **facts: Any) -> Source:
    network: EfficientNet = random_weights(create_model(variant, **facts))
    channels = network.facts.in_channels
    calibrate(network, synthetic_images(8, 64, 64, channels=channels))
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    source = Source(tensors, network.facts, variant, synthetic_images(2, 64, 64, seed=1, channels=channels).numpy())
    assert sensitivity(torch.from_numpy(source.outputs()["logits"])) > 0.1
    return source


@pytest.fixture(scope="module")
def b0() -> Source:
    return source_of("b0")


@pytest.fixture(scope="module")
def edgetpu() -> Source:
    return source_of("edgetpu-s")


def the_cause(trials: tuple[Trial, ...]) -> Trial:
    """The one trial that makes the difference vanish."""
    assert {trial.cause for trial in trials} == CAUSES
    found = [trial for trial in trials if trial.vanishes]
    assert [trial.cause for trial in found] == [trials[0].cause]
    assert found[0].difference <= TOLERANCES["float32"].end_to_end < found[0].before
    assert found[0].effect
    assert found[0].change in in_words(trials)
    return found[0]


def transposed(tensors: Tensors, *names: str) -> Tensors:
    return tensors | {name: np.swapaxes(tensors[name], -1, -2) for name in names}


def exchanged(tensors: Tensors, *layers: str) -> Tensors:
    weights = {f"{layer}.weight": tensors[f"{layer}.running_var"] for layer in layers}
    return tensors | weights | {f"{layer}.running_var": tensors[f"{layer}.weight"] for layer in layers}


def shifted(tensors: Tensors, count: int) -> Tensors:
    return tensors | {name: np.roll(tensors[name], count, 0) for name in CLASSIFIER}


def part(tensors: Tensors, rows: slice) -> Tensors:
    return tensors | {name: tensors[name][rows] for name in CLASSIFIER}


def kernels(tensors: Tensors) -> list[str]:
    return [name for name, array in tensors.items() if array.ndim >= 4 and array.shape[-1] > 1]


def norms(tensors: Tensors) -> list[str]:
    return [name.removesuffix(".weight") for name in tensors if name.endswith(".bn.weight")]


def test_each_known_cause_is_a_step_with_its_name(b0: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "_best_trial", lambda _, cause: Trial(cause, "", 1, 1, False, False, "", ""))
    steps: list[str] = []
    b0.explained(b0.tensors | {"head.fc.bias": b0.tensors["head.fc.bias"] + 9}, progress=steps.append)
    assert steps == [f"trying a known cause: {words}" for words, _ in causes.CAUSES.values()]


def test_without_a_difference_there_is_nothing_to_explain(b0: Source) -> None:
    assert b0.explained(b0.tensors) == ()
    assert in_words(()) == "there is no difference to explain"


@pytest.mark.parametrize(
    ("fact", "value"), [("bn_eps", 1e-5), ("bn_eps", 1e-4), ("padding", "symmetric"), ("activation", "hswish")]
)
def test_a_fact_that_is_another_is_found_with_its_value(b0: Source, fact: str, value: Any) -> None:
    cause = the_cause(b0.explained(b0.tensors, b0.outputs(**{fact: value})))
    present = getattr(b0.facts, fact)
    assert (cause.cause, cause.where) == (fact, "")
    assert (cause.change, cause.options) == (f"{fact}: {present} -> {value}", {"facts": {fact: value}})


def test_an_order_of_colors_is_no_cause_where_there_are_not_three() -> None:
    depth = source_of("lite0", in_channels=4)
    trials = depth.explained(depth.tensors, depth.outputs(bn_eps=1e-5))
    assert next(trial for trial in trials if trial.cause == "channels").effect is False
    assert the_cause(trials).cause == "bn_eps"


@pytest.mark.parametrize(("there", "here"), [("project", "expand"), ("expand", "project")])
def test_the_place_of_a_stride_is_found(edgetpu: Source, there: str, here: str) -> None:
    reference = edgetpu.outputs(fused_stride=there)
    facts = changed(edgetpu.facts, {"fused_stride": here})
    trials = explain(reference, edgetpu.images, edgetpu.tensors, VARIANTS["edgetpu-s"], facts)
    cause = the_cause(trials)
    assert cause.cause == "fused_stride"
    assert f"{here} -> {there}" in cause.change


@pytest.fixture(scope="module")
def raw(b0: Source) -> Tensors:
    random = np.random.RandomState(0)
    return {name: (a * random.uniform(0.98, 1.02, a.shape)).astype(np.float32) for name, a in b0.tensors.items()}


def test_raw_weights_in_place_of_averages_are_found(b0: Source, raw: Tensors) -> None:
    cause = the_cause(b0.explained(raw, sets={"raw": raw, "averages": b0.tensors}))
    assert cause.cause == "weights"
    assert cause.change == "311 of 311 tensors are the source's raw weights: convert it without raw=True"


def test_averages_in_place_of_raw_weights_are_found(b0: Source, raw: Tensors) -> None:
    cause = the_cause(b0.explained(b0.tensors, b0.outputs(raw), sets={"averages": b0.tensors, "raw": raw}))
    assert cause.cause == "weights"
    assert cause.change == "311 of 311 tensors are the source's averages: convert it with raw=True"


def test_a_mixture_of_both_sets_is_found(b0: Source, raw: Tensors) -> None:
    statistics = {name: array for name, array in raw.items() if "running" in name}
    cause = the_cause(b0.explained(b0.tensors | statistics, sets={"raw": raw, "averages": b0.tensors}))
    assert cause.change == "98 of 311 tensors are the source's raw weights: convert it without raw=True"


def test_raw_weights_are_known_when_they_were_rounded(b0: Source, raw: Tensors) -> None:
    rounded = {name: array.astype(ml_dtypes.bfloat16).astype(np.float32) for name, array in raw.items()}
    cause = the_cause(b0.explained(rounded, sets={"raw": raw, "averages": b0.tensors}))
    assert cause.cause == "weights"


def test_raw_weights_without_the_background_are_known(edgetpu: Source) -> None:
    raw = {name: array * np.float32(1.01) for name, array in edgetpu.tensors.items()}
    cause = the_cause(edgetpu.explained(part(raw, slice(1, None)), sets={"raw": raw, "averages": edgetpu.tensors}))
    assert cause.cause == "weights"


def test_weights_of_neither_set_are_not_called_the_other_set(b0: Source, raw: Tensors) -> None:
    damaged = raw | {"stem.conv.weight": raw["stem.conv.weight"] * np.float32(1.01)}
    trials = b0.explained(damaged, sets={"raw": raw, "averages": b0.tensors})
    assert not any(trial.vanishes for trial in trials)


def test_reversed_colours_are_found(b0: Source) -> None:
    reversed_ = b0.tensors | {"stem.conv.weight": b0.tensors["stem.conv.weight"][:, ::-1]}
    cause = the_cause(b0.explained(reversed_))
    assert (cause.cause, cause.where) == ("channels", "stem")


def test_a_background_class_left_out_is_no_difference(edgetpu: Source) -> None:
    assert edgetpu.explained(part(edgetpu.tensors, slice(1, None))) == ()


def test_the_wrong_end_of_the_classes_left_out_is_found(edgetpu: Source) -> None:
    cause = the_cause(edgetpu.explained(part(edgetpu.tensors, slice(None, -1))))
    assert (cause.cause, cause.where) == ("background", "logits")
    assert cause.change == "the source's last class was dropped: drop its first (drop_background_class=True)"


def test_a_first_class_left_out_that_was_no_background_is_found(b0: Source) -> None:
    cause = the_cause(b0.explained(part(b0.tensors, slice(1, None))))
    assert (cause.cause, cause.where) == ("background", "logits")
    assert cause.change == "the source's first class was dropped: drop its last, or none"


@pytest.mark.parametrize(("count", "remedy"), [(1, "down, the first to the end"), (-1, "up, the last to the front")])
def test_r9_classes_shifted_by_one_are_found(edgetpu: Source, count: int, remedy: str) -> None:
    cause = the_cause(edgetpu.explained(shifted(edgetpu.tensors, count)))
    assert (cause.cause, cause.where) == ("background", "logits")
    assert cause.change.endswith(remedy)


@pytest.mark.parametrize(("rows", "end"), [(slice(1, None), "first"), (slice(None, -1), "last")])
def test_a_class_too_many_is_found(edgetpu: Source, rows: slice, end: str) -> None:
    reference = edgetpu.outputs()
    cause = the_cause(edgetpu.explained(edgetpu.tensors, reference | {"logits": reference["logits"][:, rows]}))
    assert cause.cause == "background"
    assert cause.change == f"the file has one class more than the source: drop its {end} class"
    assert cause.before == np.inf


def test_r9_one_transposed_kernel_is_found_where_it_is(b0: Source) -> None:
    cause = the_cause(b0.explained(transposed(b0.tensors, "blocks.1.depthwise.conv.weight")))
    assert (cause.cause, cause.where) == ("transposed_kernels", "blocks.1")
    assert cause.change == "exchange the last two axes of blocks.1.depthwise.conv.weight"


def test_some_transposed_kernels_are_found_where_they_are(edgetpu: Source) -> None:
    names = ["stem.conv.weight", "blocks.3.expand.conv.weight", "blocks.10.depthwise.conv.weight"]
    cause = the_cause(edgetpu.explained(transposed(edgetpu.tensors, *names)))
    assert (cause.cause, cause.where) == ("transposed_kernels", "stem, blocks.3, blocks.10")


def test_all_kernels_transposed_are_found(b0: Source) -> None:
    cause = the_cause(b0.explained(transposed(b0.tensors, *kernels(b0.tensors))))
    assert (cause.cause, cause.where) == ("transposed_kernels", "stem, blocks.0, blocks.1 and 14 more")


def test_transposed_experts_are_found() -> None:
    routed = source_of("cc-b0-4e")
    cause = the_cause(routed.explained(transposed(routed.tensors, "blocks.12.depthwise.conv.weight")))
    assert (cause.cause, cause.where) == ("transposed_kernels", "blocks.12")


def test_r9_gamma_and_variance_exchanged_in_one_layer_are_found(b0: Source) -> None:
    cause = the_cause(b0.explained(exchanged(b0.tensors, "blocks.5.depthwise.bn")))
    assert (cause.cause, cause.where) == ("swapped_statistics", "blocks.5")
    assert cause.change == "exchange weight and running_var of blocks.5.depthwise.bn"


def test_gamma_and_variance_exchanged_in_some_layers_are_found(b0: Source) -> None:
    layers = ["blocks.2.expand.bn", "blocks.2.project.bn", "head.bn"]
    cause = the_cause(b0.explained(exchanged(b0.tensors, *layers)))
    assert (cause.cause, cause.where) == ("swapped_statistics", "blocks.2, head")
    assert cause.change == f"exchange weight and running_var of {', '.join(layers)}"


def test_gamma_and_variance_exchanged_everywhere_are_found(b0: Source) -> None:
    cause = the_cause(b0.explained(exchanged(b0.tensors, *norms(b0.tensors))))
    assert (cause.cause, cause.where) == ("swapped_statistics", "stem, blocks.0, blocks.1 and 15 more")


def test_a_negative_variance_stops_nothing(b0: Source) -> None:
    gamma = "blocks.3.project.bn.weight"
    right = b0.tensors | {gamma: -b0.tensors[gamma]}
    cause = the_cause(b0.explained(exchanged(right, "blocks.3.project.bn"), b0.outputs(right)))
    assert (cause.cause, cause.where, cause.before) == ("swapped_statistics", "blocks.3", np.inf)


def two_blocks_exchanged(tensors: Tensors) -> Tensors:
    other = {"blocks.6.": "blocks.7.", "blocks.7.": "blocks.6."}
    return {name.replace(name[:9], other.get(name[:9], name[:9])): array for name, array in tensors.items()}


def scaled(name: str, tensors: Tensors) -> Tensors:
    return tensors | {name: tensors[name] * np.float32(1.001)}


@pytest.mark.parametrize(
    "fault",
    [
        two_blocks_exchanged,
        lambda tensors: scaled("blocks.3.project.conv.weight", tensors),
        lambda tensors: scaled("blocks.9.depthwise.bn.weight", tensors),
        lambda tensors: tensors | {name: tensors[name][[1, 0, *range(2, 1000)]] for name in CLASSIFIER},
        lambda tensors: (
            tensors | {"blocks.4.depthwise.conv.weight": np.roll(tensors["blocks.4.depthwise.conv.weight"], 1, 0)}
        ),
    ],
    ids=["blocks", "kernel", "gamma", "classes", "channels of a depthwise kernel"],
)
def test_no_cause_is_claimed_of_another_fault(b0: Source, fault) -> None:
    trials = b0.explained(fault(b0.tensors), sets={"averages": b0.tensors})
    assert {trial.cause for trial in trials} == CAUSES
    assert [trial for trial in trials if trial.vanishes] == []
    assert in_words(trials).startswith("no known cause alone explains the")


def test_of_two_causes_the_one_that_helps_most_comes_first_and_is_not_called_the_cause(b0: Source) -> None:
    reversed_ = b0.tensors | {"stem.conv.weight": b0.tensors["stem.conv.weight"][:, ::-1]}
    trials = b0.explained(reversed_, b0.outputs(bn_eps=1e-5))
    assert not any(trial.vanishes for trial in trials)
    assert trials[0].cause == "channels"
    assert trials[0].difference < trials[0].before
    assert "the best one is RGB instead of BGR" in in_words(trials)


def test_a_transposed_kernel_beside_another_epsilon_still_comes_first(b0: Source) -> None:
    reference = b0.outputs(bn_eps=1e-5)
    trials = b0.explained(transposed(b0.tensors, "blocks.3.depthwise.conv.weight"), reference)
    assert (trials[0].cause, trials[0].where, trials[0].vanishes) == ("transposed_kernels", "blocks.3", False)


def test_what_the_variant_has_not_has_no_effect(b0: Source) -> None:
    trials = {trial.cause: trial for trial in b0.explained(scaled("stem.conv.weight", b0.tensors))}
    for cause in ("fused_stride", "weights"):
        assert (trials[cause].effect, trials[cause].change, trials[cause].vanishes) == (False, "", False)
        assert trials[cause].difference == trials[cause].before


def test_padding_has_no_effect_where_no_size_is_even(b0: Source) -> None:
    odd = Source(b0.tensors, b0.facts, "b0", synthetic_images(2, 65, 65, seed=1).numpy())
    trials = {trial.cause: trial for trial in odd.explained(scaled("stem.conv.weight", b0.tensors))}
    assert not trials["padding"].effect
    assert trials["activation"].effect


def test_a_difference_that_only_shows_from_the_same_input_is_one(b0: Source) -> None:
    loose = TOLERANCES["bfloat16"]
    fault = scaled("blocks.3.project.conv.weight", b0.tensors)
    assert b0.explained(fault, tolerance=loose) == ()
    assert b0.explained(fault, tolerance=type(loose)(loose.end_to_end, TOLERANCES["float32"].isolated)) != ()


def test_a_network_without_classifier_is_explained(b0: Source) -> None:
    tensors = {name: array for name, array in b0.tensors.items() if name not in CLASSIFIER}
    facts = changed(default_facts(VARIANTS["b0"]), {"classes": 0})
    layers = compute(tensors, VARIANTS["b0"], changed(facts, {"bn_eps": 1e-5}), b0.images)
    reference = {name: array.astype(np.float32) for name, array in layers.items()}
    cause = the_cause(explain(reference, b0.images, tensors, VARIANTS["b0"], facts))
    assert cause.cause == "bn_eps"
