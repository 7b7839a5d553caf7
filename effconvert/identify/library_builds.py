"""A library's network for a file, if names and shapes do not decide it: recorded, suggested by a name, or assumed."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import Facts, changed, only_assumed
from effconvert.architecture.variants import Variant, has_fused_strides
from effconvert.formats.checkpoint import Checkpoint
from effconvert.identify.network_names import (
    Saying,
    build_name,
    recorded_epsilon,
    recorded_sayings,
    require_known_network,
    saying_of_the_name,
)
from effconvert.maps.language import ANY, Build, Layout
from effconvert.maps.layouts import known_layouts
from effconvert.option_words import option

# Facts that follow from the tensors.
IN_THE_SHAPES = ("classes", "head_conv", "in_channels")
HISTORY_OF_STRIDES = (
    "tensorflow/tpu computed 'project' until 2020-12-27, as for the published weights, and 'expand' since then"
)
# Facts that do not change the outputs of the canonical network.
_NOT_COMPUTED = (*IN_THE_SHAPES, "normalization")


@dataclass(frozen=True)
class Assumption:
    """Facts of the network that a file is for.

    words: the evidence for them, or the options that would decide. assumed: the names of facts without evidence.
    network: the library's name of the network; "" if it has none. others: (name in words, its facts) for each other
    network that the file may be for.
    """

    facts: Facts
    words: str = ""
    assumed: frozenset[str] = frozenset()
    network: str = ""
    others: tuple[tuple[str, Facts], ...] = ()


@dataclass(frozen=True)
class Doubt:
    """The names of assumed facts; and (name in words, its facts) for each other network that the file may be for.

    False if no fact is assumed.
    """

    names: frozenset[str] = frozenset()
    others: tuple[tuple[str, Facts], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names)

    def of(self, names: Iterable[str]) -> "Doubt":
        """Return the doubt about the facts `names`."""
        return Doubt(self.names.intersection(names), self.others)

    @property
    def words(self) -> str:
        """The assumed facts in words."""
        return only_assumed(self.names)


def assume(
    checkpoint: Checkpoint, layout: Layout, variant: Variant, plain: Facts, given: Mapping[str, Any]
) -> Assumption:
    """Return the facts of the network that `checkpoint` is for; `plain` are the layout's usual ones.

    Several networks of the layout may have these names and shapes. The one is taken that agrees with the `given` facts;
    else the one that a string in the file names; else the one in the file's own name; else the first. A file's name
    proves little, so that facts of the others stay possible. Raises LayoutMismatch if a string names a network with
    other facts than all of them, and no fact is given.
    """
    builds = [build for build in _usual(layout, variant) if not build.facts or build.facts.keys() - set(_NOT_COMPUTED)]
    found = _chosen(checkpoint, layout, variant, plain, builds, given) if len(builds) > 1 else Assumption(plain)
    for epsilon in recorded_epsilon(checkpoint):
        found = replace(found, facts=replace(found.facts, bn_eps=epsilon), assumed=found.assumed - {"bn_eps"})
    return found if "fused_stride" in given else _with_stride(found, layout, variant)


def _with_stride(found: Assumption, layout: Layout, variant: Variant) -> Assumption:
    """Return the assumption with the stride of EdgeTPU's blocks, if the library itself had both."""
    strides = {build.facts.get("fused_stride") for build in _usual(layout, variant)}
    if strides != {ANY} or not has_fused_strides(variant):
        return found
    other = replace(found.facts, fused_stride="expand" if found.facts.fused_stride == "project" else "project")
    words = (
        f"fused_stride is assumed to be {found.facts.fused_stride} ({option('facts')}); "
        f"no file records it: {HISTORY_OF_STRIDES}"
    )
    return replace(
        found,
        words="; ".join(filter(None, (found.words, words))),
        assumed=found.assumed | {"fused_stride"},
        others=(*found.others, ("a training since 2020-12-27", other)),
    )


def _chosen(
    checkpoint: Checkpoint,
    layout: Layout,
    variant: Variant,
    plain: Facts,
    builds: list[Build],
    given: Mapping[str, Any],
) -> Assumption:
    differing = frozenset(name for build in builds for name in build.facts)

    def taken(build: Build, words: str, assumed: frozenset[str] = frozenset()) -> Assumption:
        name, facts = build_name(layout, variant, build), _facts(plain, build)
        others = other_networks(layout, variant, plain, facts, assumed)
        return Assumption(facts, words.replace("NAME", name), assumed, name if build.names else "", others)

    said = {name: getattr(changed(plain, given), name) for name in given if name in differing}
    if said:
        fitting = [b for b in builds if all(getattr(_facts(plain, b), n) == value for n, value in said.items())]
        if len(fitting) == 1:
            return taken(fitting[0], "taken for NAME, as the given facts say")
        others = _alternatives(layout, variant, plain, fitting or builds)
        return taken((fitting or builds)[0], f"ambiguous: {others}", differing - said.keys())
    recorded = recorded_sayings(checkpoint, layout, variant, builds)
    require_known_network(checkpoint.path, layout, recorded)
    found = {saying.build.code: (saying.where, saying.build) for saying in recorded if saying.build}
    if len(found) == 1:
        ((where, build),) = found.values()
        return taken(build, f"taken for NAME, as its {where} says")
    if not recorded and (hint := saying_of_the_name(checkpoint.path, layout, variant, builds)):
        require_known_network(checkpoint.path, layout, [hint])
        if hint.build:
            return taken(hint.build, "taken for NAME, as its name says", differing)
        recorded = [hint]
    words = _undecided(recorded) or "the file does not say for which network it is: "
    return taken(builds[0], f"ambiguous: {words}{_alternatives(layout, variant, plain, builds)}", differing)


def other_networks(
    layout: Layout, variant: Variant, plain: Facts, facts: Facts, assumed: Container[str]
) -> tuple[tuple[str, Facts], ...]:
    """Return (name in words, its facts) for each network of the layout that differs from `facts` in `assumed` facts."""
    found = [(build_name(layout, variant, build), _facts(plain, build)) for build in _usual(layout, variant)]
    return tuple(
        (f"{layout.name}'s {name.removeprefix(f'{layout.name} ')}", candidate)
        for name, candidate in found
        if (differing := set(differing_facts(candidate, facts))) and all(fact in assumed for fact in differing)
    )


def usual_facts(layout: Layout, variant: Variant, facts: Facts) -> Facts:
    """Return the facts of the layout's usual network, with the head and the input channels of `facts`."""
    plain = layout.facts_of(variant.name, default_facts(variant))
    return replace(plain, **{name: getattr(facts, name) for name in IN_THE_SHAPES})


def assumed_without_description(variant: Variant, facts: Facts, given: Mapping[str, Any]) -> Assumption:
    """Return the assumption for a canonical file without a description: the official facts.

    The weights may have been trained in any library's network.
    """
    doubtful = ("bn_eps", "padding", *(["fused_stride"] if has_fused_strides(variant) else []))
    assumed = frozenset(name for name in doubtful if name not in given)
    known = [layout for layout in known_layouts() if layout.write and variant.name in layout.variants]
    builders: dict[Facts, list[str]] = {}
    for layout in known:
        for _, other in other_networks(layout, variant, usual_facts(layout, variant, facts), facts, assumed):
            builders.setdefault(replace(other, normalization=facts.normalization), []).append(layout.name)
    others = tuple((f"a network as {', '.join(sorted(set(names)))} has it", other) for other, names in builders.items())
    words = (
        f"the file has no facts; assumed are {changed(facts, given).in_words()} (change them with {option('facts')})"
    )
    return Assumption(facts, words, assumed, others=others)


def assumed_when_converted(name: str, variant: Variant, facts: Facts, assumed: frozenset[str]) -> Assumption:
    """Return the facts that were `assumed` when a file was converted from the layout `name`, and still are."""
    if not assumed:
        return Assumption(facts)
    words = (
        f"{', '.join(sorted(assumed))} were assumed when the file was converted (change them with {option('facts')})"
    )
    layout = next(
        (layout for layout in known_layouts() if layout.name == name and variant.name in layout.variants), None
    )
    if layout is None:
        return replace(assumed_without_description(variant, facts, {}), words=words, assumed=assumed)
    plain = usual_facts(layout, variant, facts)
    return Assumption(facts, words, assumed, others=other_networks(layout, variant, plain, facts, assumed))


def _undecided(sayings: list[Saying]) -> str:
    """Return a sentence on each string that names a network but does not decide."""
    first = {saying.text: saying for saying in reversed(sayings)}
    return "".join(
        f"its {saying.where} says {saying.text!r}{', a network of other tensors' if saying.foreign else ''}, "
        "which does not decide: "
        for saying in first.values()
    )


def _alternatives(layout: Layout, variant: Variant, plain: Facts, builds: list[Build]) -> str:
    """Return the possible networks of a file in words, and the options that decide."""
    shown = [_in_words(layout, variant, plain, build, builds) for build in builds]
    if len(builds) < 2:
        return f"{shown[0]}; facts that you did not set are assumed"
    first, other = (_facts(plain, build) for build in builds[:2])
    options = option("facts", {name: getattr(other, name) for name in differing_facts(first, other)})
    return f"{shown[0]}, or {'; '.join(shown[1:])}; the first is assumed (choose another with {options})"


def fitting_build(layout: Layout, variant: Variant, plain: Facts, facts: Facts) -> tuple[Build | None, list[str]]:
    """Return the first network of the layout with `facts`; or None, and the differences from the nearest one.

    `plain` are the layout's usual facts.
    """
    problems: list[list[str]] = [["its network has another head"]]
    for build in _builds(layout, variant):
        if any(getattr(facts, name) != build.facts.get(name, getattr(facts, name)) for name in IN_THE_SHAPES):
            continue  # made for another head, or other channels
        if not facts.head_conv and "head_conv" not in build.facts:
            problems.append(["head_conv is False, its network has the head's convolution"])
            continue
        differences: list[str] = list(_differences(plain, build, facts))
        if not differences:
            return build, []
        problems.append(differences)
    nearest: list[str] = min(problems[1:] or problems, key=len)
    return None, [", ".join(nearest)]


def nearest_facts(layout: Layout, variant: Variant, plain: Facts, facts: Facts) -> Facts:
    """Return the facts of the layout's network that is nearest to `facts`."""
    found = []
    for build in _builds(layout, variant):
        if all(getattr(facts, name) == build.facts.get(name, getattr(facts, name)) for name in IN_THE_SHAPES):
            free = {name: getattr(facts, name) for name, value in build.facts.items() if value == ANY}
            found.append(changed(_facts(plain, build), free))

    def distance(candidate: Facts) -> tuple[int, bool]:
        return sum(True for _ in differing_facts(candidate, facts)), candidate.normalization != facts.normalization

    return min(found, key=distance)


def usual_values(layout: Layout, variant: Variant, plain: Facts, name: str) -> set[Any]:
    """Return the values of the fact `name` in the networks that the library builds by default."""
    return {getattr(_facts(plain, build), name) for build in _usual(layout, variant)}


def differing_facts(one: Facts, other: Facts) -> Iterator[str]:
    """Yield the names of the facts that differ and change the outputs."""
    for name, value in one.to_dict().items():
        if name not in _NOT_COMPUTED and getattr(other, name) != value:
            yield name


def _builds(layout: Layout, variant: Variant) -> list[Build]:
    """Return the library's networks of `variant`; those for a special head come first."""
    builds = [build for build in layout.builds if not build.variants or variant.name in build.variants]
    return sorted(builds, key=lambda build: not _is_for_a_head(build)) or [Build({}, (), (), "")]


def _usual(layout: Layout, variant: Variant) -> list[Build]:
    """Return the networks that the library builds by default."""
    builds = [build for build in _builds(layout, variant) if not _is_for_a_head(build)]
    return [build for build in builds if ANY not in build.facts.values()] or builds[:1]


def _is_for_a_head(build: Build) -> bool:
    return any(name in build.facts for name in IN_THE_SHAPES)


def _facts(plain: Facts, build: Build) -> Facts:
    return changed(plain, {name: value for name, value in build.facts.items() if value != ANY})


def _differences(plain: Facts, build: Build, facts: Facts) -> Iterator[str]:
    had = _facts(plain, build)
    for name, value in facts.to_dict().items():
        if name not in IN_THE_SHAPES and value != getattr(had, name) and build.facts.get(name) != ANY:
            yield f"{name} is {getattr(facts, name)}, its network has {getattr(had, name)}"


def _in_words(layout: Layout, variant: Variant, plain: Facts, build: Build, builds: list[Build]) -> str:
    names = sorted({name for other in builds for name in other.facts})
    facts = ", ".join(f"{name}={getattr(_facts(plain, build), name)}" for name in names)
    return f"{build_name(layout, variant, build)} ({facts})"
