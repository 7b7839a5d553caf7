"""Which of a library's networks a file is for, when names and shapes leave it open: said, hinted at, or assumed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.facts import Facts, changed
from effconvert.formats.checkpoint import Checkpoint
from effconvert.map_language import ANY, Build, Layout
from effconvert.variants import Variant

# These follow from the tensors.
_IN_THE_SHAPES = ("classes", "head_conv")
# These do not change what the canonical network computes.
_NOT_COMPUTED = (*_IN_THE_SHAPES, "normalization")


@dataclass(frozen=True)
class Assumption:
    """Facts that the file does not record, what speaks for them in words, and whether anything does."""

    facts: Facts
    words: str = ""
    certain: bool = True


def assume(
    checkpoint: Checkpoint, layout: Layout, variant: Variant, plain: Facts, given: Mapping[str, Any]
) -> Assumption:
    """Return the facts of the network that `checkpoint` is for; `plain` are the layout's usual ones.

    Among the layout's networks of the same names and shapes the one is taken that agrees with the `given` facts, that
    a text in the file or its name calls by its name, or else the first, and then the words say what would tell.
    """
    builds = [build for build in _usual(layout, variant) if not build.facts or build.facts.keys() - set(_NOT_COMPUTED)]
    if len(builds) < 2:
        return Assumption(plain)
    differing = sorted({name for build in builds for name in build.facts})
    if given.keys() & set(differing):
        wanted = {name: getattr(changed(plain, given), name) for name in given if name in differing}
        fitting = [b for b in builds if all(getattr(_facts(plain, b), n) == value for n, value in wanted.items())]
        return Assumption(_facts(plain, (fitting or builds)[0]))
    hint = _hint(checkpoint, layout, variant, builds)
    if hint:
        build, where = hint
        return Assumption(_facts(plain, build), f"taken for {build_name(layout, variant, build)}, as {where} says")
    others = "; ".join(_in_words(layout, variant, plain, build, builds) for build in builds[1:])
    first = _in_words(layout, variant, plain, builds[0], builds)
    options = " ".join(
        f"--facts {name}={getattr(_facts(plain, builds[1]), name)}"
        for name in differing
        if getattr(_facts(plain, builds[1]), name) != getattr(_facts(plain, builds[0]), name)
    )
    words = f"ambiguous: the file does not say for which network it is: {first}, or {others}; the first is assumed"
    return Assumption(_facts(plain, builds[0]), f"{words} ({options} says otherwise)", certain=False)


def fitting_build(layout: Layout, variant: Variant, plain: Facts, facts: Facts) -> tuple[Build | None, list[str]]:
    """Return the first of the layout's networks that has `facts`, or None and what stands against each of them.

    `plain` are the layout's usual facts.
    """
    problems = []
    for build in _builds(layout, variant):
        if any(getattr(facts, name) != build.facts.get(name, getattr(facts, name)) for name in _IN_THE_SHAPES):
            continue  # made for another head
        if not facts.head_conv and "head_conv" not in build.facts:
            problems.append("head_conv is False, its network has the head's convolution")
            continue
        differences = list(_differences(plain, build, facts))
        if not differences:
            return build, []
        problems.append(", ".join(differences))
    return None, list(dict.fromkeys(problems))


def nearest_facts(layout: Layout, variant: Variant, plain: Facts, facts: Facts) -> Facts:
    """Return the facts of the layout's network that differs least from `facts`."""
    found = [_facts(plain, build) for build in _usual(layout, variant)]
    return min(found, key=lambda candidate: sum(True for _ in differing_facts(candidate, facts)))


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


def _hint(checkpoint: Checkpoint, layout: Layout, variant: Variant, builds: list[Build]) -> tuple[Build, str] | None:
    """Return the build that the file's texts, the config beside it, or its name call by its name."""
    own = layout.variants[variant.name]
    named = {name.replace("{variant}", own): build for build in builds for name in build.names}
    for key, text in (*checkpoint.metadata.items(), *_config(checkpoint.path)):
        if text in named:
            return named[text], f"its {key.rpartition('/')[2]}"
    shown = checkpoint.path.name.replace("-", "_")
    found = [name for name in named if name in shown]
    return (named[max(found, key=len)], "its name") if found else None


def _config(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what the config.json beside a file says of its architecture, as timm's repositories have it."""
    try:
        text = (path if path.is_dir() else path.parent).joinpath("config.json").read_text()
        content = json.loads(text) if len(text) < 1 << 20 else {}
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(content, dict) and isinstance(content.get("architecture"), str):
        yield "config.json", content["architecture"]
