"""Layers of a Keras model before its network, and between the network's end and the classifier."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import chain

from effconvert.formats.keras.graph import Call, Graph
from effconvert.formats.keras.graph_comparison import LAST, STEM, Comparison
from effconvert.formats.keras.graph_decisions import Size
from effconvert.formats.keras.plain_graph import ACTIVATION, POOLING, WEIGHTED
from effconvert.option_words import flag

_OUTPUTS = ("softmax", "sigmoid")
_PIXELS = ("Rescaling", "Normalization")
_SIZES = ("Resizing", "CenterCrop", "RandomCrop")
_SHAPING = ("Reshape", "Flatten")
_POOLED = (POOLING, "GlobalMaxPooling2D")
_JOINING = "Concatenate"


def _needed() -> str:
    return (
        "(a classifier must read the mean over the feature map, GlobalAveragePooling2D, and nothing else; "
        f"{flag('backbone')} takes the network without its classifier)"
    )


@dataclass(frozen=True)
class Surroundings:
    """The layers around a network: problems, and warnings."""

    problems: tuple[str, ...]
    cautions: tuple[str, ...]


def entry(graph: Graph, scope: str) -> list[Call] | None:
    """Return the calls from the input to the first convolution, in order; None if they are not a simple chain.

    graph: a simplified one. scope: that of the network's layers; "" for any.
    """
    passed: list[Call] = []
    stems = [call for call in graph.calls if call.name == STEM and call.scope.startswith(scope)]
    if len(stems) != 1:
        return None
    call = stems[0]
    while call.inputs:
        if len(call.inputs) > 1 or call.further:
            return None
        call = call.inputs[0]
        passed.append(call)
    return [call for call in passed[::-1] if call.kind != "InputLayer"]


def behind_pooling(graph: Graph) -> frozenset[str]:
    """Return the layers that use only the pooled features of the one network in `graph`, directly or not."""
    users = graph.users()
    ends = [call for call in graph.calls if call.name == LAST]
    if len(ends) != 1:
        return frozenset()
    unpooled = set(_following(users, ends[0], until=_POOLED))
    behind = [call for call in _following(users, ends[0]) if call not in unpooled]
    return frozenset(call.name for call in behind) - {call.name for call in {*graph.calls} - {*behind}}


def before(compared: Comparison) -> Surroundings:
    """Check the layers before the network: only scaling of pixels and augmentation may be there."""
    problems, cautions = [], []
    call = compared.found.get(STEM)
    while call is not None and call.inputs:
        if len(call.inputs) > 1:
            problems.append(f"{call}: takes {call.taken()}, before the first convolution")
            break
        call = call.inputs[0]
        if call.kind in _SIZES:
            words = "is left out: give images in the size of its output"
            cautions.append(f"its layer {call}, before the network, {words}")
        elif call.inputs and (call.kind not in _PIXELS or call.settings.get("invert") or call.further):
            problems.append(f"{call}: is before the first convolution, and is not a known layer")
    if problems:
        problems.append(
            "(only Rescaling, Normalization and augmentation may be there; save the model without the others)"
        )
    return Surroundings(tuple(problems), tuple(cautions))


def after(graph: Graph, compared: Comparison, classifier: str, whole: bool, size: Size) -> Surroundings:
    """Check the layers after the network, up to the classifier and after it.

    Layers that join the network with others in the file are left out. classifier: the layer; "" if there is none, or if
    it is not known. whole: whether every weight is explained; else a classifier that reads something else than the mean
    is named. size: that of the last feature map; None if it is open.
    """
    users = graph.users()
    last = compared.found.get(LAST)
    if last is None:
        return Surroundings((), ())
    ends = [call for call in users.get(last, []) if call.kind == ACTIVATION]
    if len(ends) != 1:
        followers = ", ".join(str(call) for call in users.get(last, [])) or "nothing"
        return Surroundings((f"{last}: {followers} follows, expected one activation",), ())
    end = ends[0]
    compared.activation(end)
    if not classifier:
        heads = [call for call in _following(users, end, WEIGHTED) if call.kind == "Dense"]
        if not whole:
            odd = [list(_between(end, head, size)) for head in heads]
            return Surroundings(tuple(dict.fromkeys([*chain(*odd), _needed()])) if odd and all(odd) else (), ())
        left = [call for call in _following(users, end, WEIGHTED) if call.kind not in (POOLING, *WEIGHTED)]
        words = "everything after its last activation is left out, and with it "
        return Surroundings((), (words + _listed(left),) if left else ())
    return _classifying(graph, compared, end, classifier, size)


def _classifying(graph: Graph, compared: Comparison, end: Call, classifier: str, size: Size) -> Surroundings:
    found = [call for call in graph.calls if call.kind == "Dense" and call.name == classifier]
    found = [call for call in found if call.scope.startswith(compared.scope)] or found
    if len(found) != 1:
        times = f"is called {len(found)} times" if found else "is not a layer Dense of its graph"
        return Surroundings((f"{classifier}: the classifier {times}",), ())
    problems = [*_between(end, found[0], size)]
    if problems:
        problems.append(_needed())
    behind = [*_behind(graph.users(), found[0])]
    if compared.scope:
        words = "everything after its classifier is left out, and with it "
        return Surroundings(tuple(problems), (words + _listed(behind),) if behind else ())
    words = "which joins the output of its classifier with others, is left out"
    cautions = tuple(f"{call}, {words}" for call in behind if call.kind == _JOINING)
    for call in behind:
        if call.kind == ACTIVATION:
            applied = f"activation {call.settings['activation']}"
            problems.append(f"{call.name}: {applied}, expected one {' or '.join(_OUTPUTS)}, or none, of a classifier")
        elif call.kind != _JOINING:
            problems.append(f"{call}: is after the classifier {classifier}, and changes its output")
    return Surroundings(tuple(problems), cautions)


def _between(end: Call, classifier: Call, size: Size) -> Iterator[str]:
    """Yield the problems between the last activation of the network and the classifier: one mean must be there."""
    passed: list[Call] = []
    call = classifier
    while call is not end:
        if len(call.inputs) != 1 or call.further:
            if call.inputs:
                yield f"{call}: takes {call.taken()}, before the classifier {classifier.name}"
            else:
                yield f"{classifier}: does not follow {end}"
            return
        call = call.inputs[0]
        passed.append(call)
    between = passed[-2::-1]
    if between and _is_mean(between[0], size):
        between = [call for call in between[1:] if call.kind not in _SHAPING]
    elif not between:
        yield f"{classifier}: follows {end} without {POOLING}"
    yield from (f"{call}: is between {end.name} and the classifier {classifier.name}" for call in between)


def _is_mean(call: Call, size: Size) -> bool:
    """Return whether a call computes the mean over the whole feature map, which has `size`."""
    if call.kind != "AveragePooling2D":
        return call.kind == POOLING
    window, strides = call.settings.get("pool_size"), call.settings.get("strides")
    return window == list(size) and (call.settings.get("padding") == "valid" or strides in (None, window))


def _behind(users: dict[Call, list[Call]], classifier: Call) -> Iterator[Call]:
    """Yield the calls after the classifier, except its one softmax or sigmoid."""
    ended = False
    for call in _following(users, classifier):
        if call.kind == ACTIVATION and call.settings["activation"] in _OUTPUTS and not ended:
            ended = True
        elif call.kind not in _SHAPING:
            yield call


def _following(users: dict[Call, list[Call]], start: Call, until: Container[str] = ()) -> list[Call]:
    """Return every call that uses the output of `start`, directly or not, up to the classes `until`."""
    found = dict.fromkeys(users.get(start, []))
    remaining = list(found)
    while remaining:
        call = remaining.pop()
        further = [] if call.kind in until else [user for user in users.get(call, []) if user not in found]
        found.update(dict.fromkeys(further))
        remaining += further
    return list(found)


def _listed(calls: list[Call]) -> str:
    shown = ", ".join(str(call) for call in calls[:5])
    return f"{shown} and {len(calls) - 5} more" if len(calls) > 5 else shown
