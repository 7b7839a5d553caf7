"""The engine of a run, for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any


def engine_pairs(engine: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was chosen and why, as (label, text); nothing where nothing but torch was considered."""
    name, check, rates = engine["name"], engine["check"], engine["images_per_second"]
    chosen = f"{name} {engine['version']}"
    if check:
        chosen += (
            f": the logits of {check['images']} images differ from torch's by {check['difference']:.1e} of the largest "
            f"(allowed: {check['tolerance']:g})"
        )
    if rates.keys() - {name}:
        chosen += f"; images/s of these: {', '.join(f'{rate:g} by {each}' for each, rate in rates.items())}"
    if check or engine["refused"]:
        yield "engine", chosen
    for words in engine["refused"].values():
        yield "", f"not taken: {words}"
