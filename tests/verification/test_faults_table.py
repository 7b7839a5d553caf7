"""The table of seeded faults has a hundred faults of thirteen kinds, and each changes something."""

from collections import Counter

from effconvert.verification.causes import CAUSES
from helpers.faults import faults, some_of_each

FAULTS = faults()


def test_there_are_a_hundred_faults_and_no_two_are_the_same() -> None:
    assert len(FAULTS) == len({str(fault) for fault in FAULTS}) == 100


def test_there_are_thirteen_kinds_with_at_least_seven_of_each() -> None:
    kinds = Counter(fault.kind for fault in FAULTS)
    assert len(kinds) == 13
    assert min(kinds.values()) >= 7


def test_nine_kinds_are_the_nine_known_causes_and_four_have_none() -> None:
    causes = {fault.kind: fault.cause for fault in FAULTS}
    assert sorted(filter(None, causes.values())) == sorted(CAUSES)
    assert sorted(kind for kind, cause in causes.items() if not cause) == ["blocks", "channel", "classes", "scaled"]


def test_a_few_of_each_kind_are_of_every_kind() -> None:
    few = some_of_each(FAULTS, 2)
    assert Counter(fault.kind for fault in few) == dict.fromkeys((fault.kind for fault in FAULTS), 2)
