"""Warnings of a conversion: what was assumed, which set of weights was taken, what was rounded."""

from collections.abc import Iterator

import numpy as np

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import has_fused_strides
from effconvert.conversion.remedies import ways_to_tell
from effconvert.conversion.targets import Target
from effconvert.formats.checkpoint import Checkpoint
from effconvert.identify.candidates import own_root
from effconvert.identify.coverage import Coverage, left_inside
from effconvert.identify.identification import Identity
from effconvert.identify.library_builds import HISTORY_OF_STRIDES, differing_facts
from effconvert.identify.preprocessing import assumed_recipe, has_trainings, preparation_cautions
from effconvert.identify.weight_sets import RAW
from effconvert.maps.language import ANY, Layout
from effconvert.option_words import flag, option
from effconvert.options import Options
from effconvert.preprocessing.recipes import official_recipe


def cautions(
    checkpoint: Checkpoint, identity: Identity, coverage: Coverage, facts: Facts, target: Target, options: Options
) -> list[str]:
    """Return the warnings of a conversion, in sentences."""
    return [
        *checkpoint.remarks,
        *_set_cautions(identity, coverage, target.layout, options),
        *_withheld_cautions(checkpoint, coverage),
        *_leaving_cautions(checkpoint, identity, coverage),
        *_assumption_cautions(identity, coverage.taken, facts, target.layout, options),
        *_consequence_cautions(identity, target),
        *_rounding_cautions(checkpoint, coverage, target.layout),
    ]


def _set_cautions(identity: Identity, coverage: Coverage, target: Layout | None, options: Options) -> Iterator[str]:
    """Yield a warning if it is not clear which set of weights was taken, or how it will be read."""
    layout, before = identity.layout, identity.description
    if coverage.taken == RAW and options.raw:
        yield f"raw weights were taken, as {flag('raw')} asked; published accuracies belong to the averages"
    elif layout and layout.average and coverage.taken == RAW and before is None:
        yield (
            "the file holds one set under the raw names: these are averages if it is a SavedModel of the official "
            "exporter, else raw weights, which have a lower accuracy than the published averages"
        )
    if target and target.average and before and before.taken == RAW:
        if options.names in (None, "raw"):
            both = option("names", "both")
            yield f"the weights are raw ones, so only raw names were written; {both} gives them the averages' too"
        else:
            asked = option("names", options.names)
            yield f"the weights are raw ones, and were written under the names of averages, as {asked} asked"


def _withheld_cautions(checkpoint: Checkpoint, coverage: Coverage) -> Iterator[str]:
    """Yield a warning for each unread object with as many tensors as a network: it may hold averages of the weights."""
    for name, held in checkpoint.withheld.items():
        if held.whole and 2 * held.tensors >= len(coverage.moves):
            yield (
                f"{name!r} is {held.words}, and was not read; if these are averages of the weights and you want them, "
                f"save them where its class exists: {held.remedy}"
            )


def _leaving_cautions(checkpoint: Checkpoint, identity: Identity, coverage: Coverage) -> Iterator[str]:
    """Yield a warning if tensors stayed behind that the network in the file may use."""
    inside = left_inside(checkpoint, identity, coverage)
    if inside:
        name, where = next(iter(inside.items()))
        more = f", and {len(inside) - 1:,} more" if len(inside) > 1 else ""
        yield (
            f"{name} ({where}){more} stayed behind, as {option('leave')} asked: if the network in the file uses "
            "them, the written file gives other outputs"
        )


def _assumption_cautions(
    identity: Identity, taken: str, facts: Facts, target: Layout | None, options: Options
) -> Iterator[str]:
    """Yield a warning for each assumption that neither the file nor the user confirms."""
    layout, before = identity.layout, identity.description
    if identity.assumption:
        yield identity.assumption
    yield from identity.companion.cautions
    yield from preparation_cautions(identity, options.weights)
    if (words := assumed_head(identity, taken)) and words not in identity.companion.cautions:
        yield f"{words} ({flag('backbone')} leaves it out)"
    unknown_training = (layout is None or layout.library.official) and options.weights is None and not options.recipe
    training = list(_training_cautions(identity)) if unknown_training and facts.in_channels == 3 else []
    yield from training
    if not training and not options.recipe and (words := assumed_recipe(identity, options.weights)):
        yield f"{words} ({option('weights')} names the training)"
    root = identity.sets.roots.get(taken, "")
    expected = own_root(layout, identity.variant) if layout else ""
    if root != expected and before is None:
        yield f"the tensors are under {root!r} instead of {expected!r}"
    if has_fused_strides(identity.variant):
        yield from _stride_cautions(identity, facts, target, options)


def assumed_head(identity: Identity, taken: str) -> str:
    """Return the assumption about the classifier that the file does not confirm; "" if there is none."""
    classifier = identity.reading.classifier.get(taken)
    if classifier and not identity.companion.tells_head:
        return (
            f"the layer {classifier!r} is taken for the classifier: the file does not say that it "
            "reads the mean of the features, with nothing between"
        )
    return identity.companion.assumed_head


def _consequence_cautions(identity: Identity, target: Target) -> Iterator[str]:
    """Yield a warning for each result that depends on assumed facts: a folded epsilon, a measured difference."""
    doubt = identity.doubt
    if target.eps_shift and "bn_eps" in doubt.names:
        yield (
            f"{flag('fold_eps')} started from bn_eps {identity.facts.bn_eps}, which is only assumed: if the weights "
            f"need another, the written variances are wrong (give it with {option('facts', {'bn_eps': '…'})})"
        )
    given_up = target.given_up
    if target.layout and given_up and (doubtful := doubt.of(differing_facts(given_up, target.facts))):
        ways = "; ".join(ways_to_tell(target.layout, target.variant, given_up, doubt))
        yield f"the measured difference depends on facts that are not known: {doubtful.words} ({ways})"


def _training_cautions(identity: Identity) -> Iterator[str]:
    before = identity.description
    if (before is None or before.weights is None) and has_trainings(identity.variant):
        recipe = before.recipe if before else official_recipe(identity.variant.name)
        yield (
            f"unknown training: the usual recipe is assumed, {recipe.size} pixels and mean {recipe.mean[0]}; give "
            f"{option('weights', 'advprop')} (mean 127.5), ns, … if that is wrong"
        )


def _stride_cautions(identity: Identity, facts: Facts, target: Layout | None, options: Options) -> Iterator[str]:
    """Yield a warning for EdgeTPU's files: names and shapes are the same for every place of the stride."""
    layout = identity.layout
    if target and _leaves_stride_open(target):
        said = f"a {target.library.title} file does not record fused_stride, which is {facts.fused_stride} here"
        yield f"{said}; {HISTORY_OF_STRIDES}"
    elif layout is None or identity.description or "fused_stride" in (options.facts or {}):
        return
    elif not _leaves_stride_open(layout):
        told = option("facts", {"fused_stride": "project"})
        yield (
            f"fused_stride is {facts.fused_stride}, as in {layout.name}'s network; weights that were ported from "
            f"TensorFlow's published ones were trained with 'project' (give {told} for them)"
        )


def _leaves_stride_open(layout: Layout) -> bool:
    return any(build.facts.get("fused_stride") == ANY for build in layout.builds)


def _rounding_cautions(checkpoint: Checkpoint, coverage: Coverage, target: Layout | None) -> Iterator[str]:
    wide = sum(checkpoint.tensors[move.source].dtype == np.float64 for move in coverage.moves)
    if wide and target and target.library.dtypes:
        yield f"{wide:,} tensors were rounded from float64 to float32, which is what the layout's network has"
