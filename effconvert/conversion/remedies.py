"""What a user can do where a target cannot hold the facts of a file; first of all, tell those that are only assumed."""

from collections.abc import Iterator
from dataclasses import replace

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.identify.library_builds import (
    Doubt,
    as_options,
    differing_facts,
    fitting_build,
    nearest_facts,
    usual_facts,
)
from effconvert.maps.language import Layout
from effconvert.options import Options


def find_remedies(layout: Layout, variant: Variant, facts: Facts, doubt: Doubt, options: Options) -> Iterator[str]:
    """Yield what helps where `layout` cannot hold `facts`; doubt: what of them is only assumed."""
    plain = usual_facts(layout, variant, facts)
    wanted = replace(facts, bn_eps=plain.bn_eps) if options.fold_eps else facts
    doubtful = doubt.of(differing_facts(wanted, nearest_facts(layout, variant, plain, wanted)))
    if doubtful:
        told = "it" if len(doubtful.names) == 1 else "them"
        yield f"({doubtful.words}: nothing in or beside the file says {told}, its name at most)"
        yield from (f"({way})" for way in ways_to_tell(layout, variant, wanted, doubt))
    wrong = list(differing_facts(facts, plain))
    if wrong == ["bn_eps"] and not options.fold_eps:
        yield "(--fold-eps absorbs another bn_eps into the variances, exactly)"
    elif not options.allow_inexact:
        yield "(--allow-inexact converts anyway and measures how far off the result is)"


def ways_to_tell(layout: Layout, variant: Variant, facts: Facts, doubt: Doubt) -> list[str]:
    """Return the options that tell all that is only assumed of `facts` and with which `layout` holds it without loss.

    Where no network that the file may be for fits the layout, it is the one option that tells what stands in the way.
    """
    plain, ways = usual_facts(layout, variant, facts), []
    for words, other in doubt.others:
        told = {name: getattr(other, name) for name in differing_facts(facts, other) if name in doubt.names}
        if told and fitting_build(layout, variant, plain, replace(facts, **told))[0]:
            ways.append(f"{as_options(told)} converts without loss, if the file is of {words}")
    if ways:
        return ways
    in_the_way = doubt.of(differing_facts(facts, nearest_facts(layout, variant, plain, facts)))
    return [f"{' '.join(f'--facts {name}=…' for name in sorted(in_the_way.names))} tells what its network has"]
