"""Which of a library's networks a file is for, when names and shapes leave it open: said, hinted at, or assumed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from effconvert.facts import Facts, changed
from effconvert.formats.checkpoint import Checkpoint
from effconvert.hints import named_in, recorded_epsilon, recorded_names
from effconvert.map_language import ANY, Build, Layout
from effconvert.variants import Variant

# These follow from the tensors.
_IN_THE_SHAPES = ("classes", "head_conv")
# These do not change what the canonical network computes.
_NOT_COMPUTED = (*_IN_THE_SHAPES, "normalization")


@dataclass(frozen=True)
class Assumption:
    """Facts of the network that a file is for.

    words: what speaks for them, or what would tell. assumed: the names of those that nothing but a guess speaks for.
    network: how the library calls the network, "" where it has no name.
    """

    facts: Facts
    words: str = ""
    assumed: frozenset[str] = frozenset()
    network: str = ""


def assume(
    checkpoint: Checkpoint, layout: Layout, variant: Variant, plain: Facts, given: Mapping[str, Any]
) -> Assumption:
    """Return the facts of the network that `checkpoint` is for; `plain` are the layout's usual ones.

    Among the layout's networks of the same names and shapes the one is taken that agrees with the `given` facts, that
    a text in the file calls by its name, or that the file's own name does, or else the first. A file's name proves
    little: what differs from the other networks is then still an assumption.
    """
    builds = [build for build in _usual(layout, variant) if not build.facts or build.facts.keys() - set(_NOT_COMPUTED)]
    found = _chosen(checkpoint, layout, variant, plain, builds, given) if len(builds) > 1 else Assumption(plain)
    for epsilon in recorded_epsilon(checkpoint):
        found = replace(found, facts=replace(found.facts, bn_eps=epsilon), assumed=found.assumed - {"bn_eps"})
    return found


def _chosen(
    checkpoint: Checkpoint,
    layout: Layout,
    variant: Variant,
    plain: Facts,
    builds: list[Build],
    given: Mapping[str, Any],
) -> Assumption:
    differing = frozenset(name for build in builds for name in build.facts)
    named = {build_name(layout, variant, build): build for build in builds if build.names}

    def taken(build: Build, words: str, assumed: frozenset[str] = frozenset()) -> Assumption:
        name = build_name(layout, variant, build)
        return Assumption(_facts(plain, build), words.replace("NAME", name), assumed, name if build.names else "")

    said = {name: getattr(changed(plain, given), name) for name in given if name in differing}
    if said:
        fitting = [b for b in builds if all(getattr(_facts(plain, b), n) == value for n, value in said.items())]
        if len(fitting) == 1:
            return taken(fitting[0], "taken for NAME, as the given facts say")
        others = _alternatives(layout, variant, plain, fitting or builds)
        return taken((fitting or builds)[0], f"ambiguous: {others}", differing - said.keys())
    recorded = recorded_names(checkpoint)
    found = {named[name].code: (key, named[name]) for key, name in recorded.items() if name in named}
    if len(found) == 1:
        ((key, build),) = found.values()
        return taken(build, f"taken for NAME, as its {key.rpartition('/')[2]} says")
    where = {name: key.rpartition("/")[2] for key, name in reversed(recorded.items())}
    strangers = [f"its {key} says {name!r}, which decides nothing: " for name, key in where.items()]
    hint = named_in(checkpoint.path, named)
    if hint and not strangers:
        return taken(named[hint], "taken for NAME, as its name says", differing)
    words = "".join(strangers) or "the file does not say for which network it is: "
    return taken(builds[0], f"ambiguous: {words}{_alternatives(layout, variant, plain, builds)}", differing)


def _alternatives(layout: Layout, variant: Variant, plain: Facts, builds: list[Build]) -> str:
    """Say what a file may be for, and which options decide."""
    shown = [_in_words(layout, variant, plain, build, builds) for build in builds]
    if len(builds) < 2:
        return f"{shown[0]}, of which the facts that are not given are assumed"
    first, other = (_facts(plain, build) for build in builds[:2])
    options = " ".join(f"--facts {name}={getattr(other, name)}" for name in differing_facts(first, other))
    return f"{shown[0]}, or {'; '.join(shown[1:])}; the first is assumed ({options} says otherwise)"


def fitting_build(layout: Layout, variant: Variant, plain: Facts, facts: Facts) -> tuple[Build | None, list[str]]:
    """Return the first of the layout's networks that has `facts`, or None and what stands against the nearest of them.

    `plain` are the layout's usual facts.
    """
    problems: list[list[str]] = [["its network has another head"]]
    for build in _builds(layout, variant):
        if any(getattr(facts, name) != build.facts.get(name, getattr(facts, name)) for name in _IN_THE_SHAPES):
            continue  # made for another head
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
    """Return the facts of the layout's network that differs least from `facts`."""
    found = []
    for build in _builds(layout, variant):
        if all(getattr(facts, name) == build.facts.get(name, getattr(facts, name)) for name in _IN_THE_SHAPES):
            free = {name: getattr(facts, name) for name, value in build.facts.items() if value == ANY}
            found.append(changed(_facts(plain, build), free))
    return min(found, key=lambda candidate: sum(True for _ in differing_facts(candidate, facts)))


def usual_values(layout: Layout, variant: Variant, plain: Facts, name: str) -> set[Any]:
    """Return what the fact `name` is in the networks that the library builds without being told facts."""
    return {getattr(_facts(plain, build), name) for build in _usual(layout, variant)}


def differing_facts(one: Facts, other: Facts) -> Iterator[str]:
    """Yield the names of the facts in which two networks compute differently."""
    for name, value in one.to_dict().items():
        if name not in _NOT_COMPUTED and getattr(other, name) != value:
            yield name


def build_name(layout: Layout, variant: Variant, build: Build) -> str:
    """Return how the library calls the network that `build` makes."""
    own = layout.variants[variant.name]
    return build.names[0].replace("{variant}", own) if build.names else f"{layout.name} {own}"


def _builds(layout: Layout, variant: Variant) -> list[Build]:
    """Return the library's networks of `variant`; those that are for one head only come first."""
    builds = [build for build in layout.builds if not build.variants or variant.name in build.variants]
    return sorted(builds, key=lambda build: not _is_for_a_head(build)) or [Build({}, (), (), "")]


def _usual(layout: Layout, variant: Variant) -> list[Build]:
    """Return the networks that the library builds without being told facts."""
    builds = [build for build in _builds(layout, variant) if not _is_for_a_head(build)]
    return [build for build in builds if ANY not in build.facts.values()] or builds[:1]


def _is_for_a_head(build: Build) -> bool:
    return any(name in build.facts for name in _IN_THE_SHAPES)


def _facts(plain: Facts, build: Build) -> Facts:
    return changed(plain, {name: value for name, value in build.facts.items() if value != ANY})


def _differences(plain: Facts, build: Build, facts: Facts) -> Iterator[str]:
    had = _facts(plain, build)
    for name, value in facts.to_dict().items():
        if name not in _IN_THE_SHAPES and value != getattr(had, name) and build.facts.get(name) != ANY:
            yield f"{name} is {getattr(facts, name)}, its network has {getattr(had, name)}"


def _in_words(layout: Layout, variant: Variant, plain: Facts, build: Build, builds: list[Build]) -> str:
    names = sorted({name for other in builds for name in other.facts})
    facts = ", ".join(f"{name}={getattr(_facts(plain, build), name)}" for name in names)
    return f"{build_name(layout, variant, build)} ({facts})"
