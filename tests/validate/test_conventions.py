"""Each convention, and no other, gives the figures measured with its tool."""

import dataclasses

import pytest

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.conventions import CONVENTIONS
from effconvert.costs.quantities import compute_quantities

# Of mmpretrain 1.2.0 and mmengine 0.10.7: (variant, size) to get_flops.py's figure and the same in training mode.
MMPRETRAIN = {
    ("b0", 224): (400379392, 420592480),
    ("b1", 240): (711452416, 744059920),
    ("b2", 260): (1025171120, 1066620392),
    ("b3", 300): (1882367568, 1953798216),
    ("b4", 380): (4510703200, 4659080176),
    ("b5", 456): (10503024320, 10799472560),
    ("b6", 528): (19469758160, 19971777560),
    ("b7", 600): (38446877600, 39316473392),
    ("b8", 672): (63671440560, 64999827816),
    ("l2", 475): (172374649104, 174203533416),
    ("l2", 800): (479862709280, 484984099280),
    ("edgetpu-s", 224): (1804962432, 1831135488),
    ("edgetpu-m", 240): (3040805664, 3083829648),
}
# Of the model index in timm's documents.
TIMM_DOCUMENTS = {
    ("b0", 224): 488688572,
    ("b3", 300): 2275247568,
    ("l2", 475): 217795669644,
    ("cc-b0-4e", 224): 224153788,
    ("cc-b0-8e", 224): 224158524,
    ("cc-b1-8e", 240): 370427824,
    ("edgetpu-l", 300): 9356616096,
    ("lite4", 380): 5164802912,
}
# Measured with fvcore 0.1.5 on timm 1.0.31, and with torch 2.13's flop counter.
FVCORE_TIMM = {("b0", 224): 399352864, ("b0", 225): 464148640, ("cc-b0-4e", 225): 474990528, ("lite0", 224): 398725664}
TORCH = {("b0", 224): 771629504, ("b3", 300): 3654282784, ("cc-b1-8e", 240): 1446565408, ("edgetpu-s", 225): 3854792896}


def figure(convention: str, name: str, size: int) -> int:
    variant, chosen = VARIANTS[name], CONVENTIONS[convention]
    facts = dataclasses.replace(default_facts(variant), classes=1000)  # as all these libraries build EdgeTPU's
    return chosen.count(compute_quantities(variant, facts, *chosen.image(size)))


@pytest.mark.parametrize(("name", "size"), MMPRETRAIN)
def test_mmpretrains_figures_to_the_last_digit(name: str, size: int) -> None:
    found = tuple(figure(convention, name, size) for convention in ("mmpretrain-get-flops", "mmpretrain-table"))
    assert found == MMPRETRAIN[name, size]


def test_the_whole_model_of_mmpretrain_has_its_classifier_besides() -> None:
    assert figure("fvcore-mmpretrain", "b0", 224) == 401659392


@pytest.mark.parametrize(("name", "size"), TIMM_DOCUMENTS)
def test_the_figures_of_timms_documents_to_the_last_digit(name: str, size: int) -> None:
    assert figure("timm-documents", name, size) == TIMM_DOCUMENTS[name, size]


@pytest.mark.parametrize(("name", "size"), FVCORE_TIMM)
def test_fvcore_on_timm_to_the_last_digit(name: str, size: int) -> None:
    assert figure("fvcore-timm", name, size) == FVCORE_TIMM[name, size]


@pytest.mark.parametrize(("name", "size"), TORCH)
def test_torchs_flop_counter_to_the_last_digit(name: str, size: int) -> None:
    assert figure("torch-flop-counter", name, size) == TORCH[name, size]


@pytest.mark.parametrize("name", ["b0", "cc-b0-4e"])
def test_no_two_conventions_agree(name: str) -> None:
    found = [figure(each.name, name, 224) for each in CONVENTIONS.values() if each.covers(name)]
    assert len(set(found)) == len(found)


def test_a_tool_covers_only_the_networks_that_it_has() -> None:
    assert [name for name in VARIANTS if not CONVENTIONS["mmpretrain-table"].covers(name)] == [
        "cc-b0-4e", "cc-b0-8e", "cc-b1-8e", "edgetpu-l", "lite0", "lite1", "lite2", "lite3", "lite4",
    ]  # fmt: skip
    assert all(CONVENTIONS["fvcore-timm"].covers(name) for name in VARIANTS)
