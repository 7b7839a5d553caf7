"""Remedies if a target cannot hold the facts of a file; the first is to give the facts that are only assumed."""

from collections.abc import Iterator
from dataclasses import replace

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.identify.library_builds import (
    Doubt,
    differing_facts,
    fitting_build,
    nearest_facts,
    usual_facts,
)
from effconvert.maps.language import Layout
from effconvert.option_words import flag, option
from effconvert.options import Options


def find_remedies(layout: Layout, variant: Variant, facts: Facts, doubt: Doubt, options: Options) -> Iterator[str]:
    """Yield remedies if `layout` cannot hold `facts`; doubt: the facts that are only assumed."""
    plain = usual_facts(layout, variant, facts)
    wanted = replace(facts, bn_eps=plain.bn_eps) if options.fold_eps else facts
    doubtful = doubt.of(differing_facts(wanted, nearest_facts(layout, variant, plain, wanted)))
    if doubtful:
        told = "it" if len(doubtful.names) == 1 else "them"
        yield f"({doubtful.words}: nothing in or beside the file says {told}, except perhaps its name)"
        yield from (f"({way})" for way in ways_to_tell(layout, variant, wanted, doubt))
    wrong = list(differing_facts(facts, plain))
    if wrong == ["bn_eps"] and not options.fold_eps:
        yield f"({flag('fold_eps')} absorbs another bn_eps into the variances, exactly)"
    elif not options.allow_inexact:
        yield f"({flag('allow_inexact')} converts anyway and measures the error of the result)"


def ways_to_tell(layout: Layout, variant: Variant, facts: Facts, doubt: Doubt) -> list[str]:
    """Return options for all assumed facts of `facts` with which `layout` can hold the weights without loss.

    If no possible network of the file fits the layout, this is one option for the facts that do not fit.
    """
    plain, ways = usual_facts(layout, variant, facts), []
    for words, other in doubt.others:
        told = {name: getattr(other, name) for name in differing_facts(facts, other) if name in doubt.names}
        if told and fitting_build(layout, variant, plain, replace(facts, **told))[0]:
            ways.append(f"{option('facts', told)} converts without loss, if the file is for {words}")
    if ways:
        return ways
    in_the_way = doubt.of(differing_facts(facts, nearest_facts(layout, variant, plain, facts)))
    return [f"{option('facts', dict.fromkeys(sorted(in_the_way.names), '…'))} gives the real value"]
