"""Values of a map that differ by variant, and strings that several pieces of its code share."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar

OTHERS = "others"
_DEEPEST = 4  # words within words
T = TypeVar("T", bound=Hashable)


def split_variants(key: str) -> tuple[str, ...]:
    """Return the variants in a key: `b5 b6 b7` are three."""
    return tuple(key.split())


def value_for(variant: str, value: Any) -> Any:
    """Return `value` for a variant: itself, or the variant's entry of a table, None if it has none."""
    if not isinstance(value, Mapping):
        return value
    named = (entry for key, entry in value.items() if variant in split_variants(key))
    return next(named, value.get(OTHERS))


def grouped(variants: Iterable[str], make: Callable[[str], T]) -> dict[T, tuple[str, ...]]:
    """Return {result of `make`: the variants with this result}, in the order of the variants."""
    groups: dict[T, tuple[str, ...]] = {}
    for variant in variants:
        made = make(variant)
        groups[made] = (*groups.get(made, ()), variant)
    return groups


def expanded(text: str, words: Mapping[str, Any], variant: str = OTHERS) -> str:
    """Return `text` with each `{word}` replaced by its value, for `variant` if it differs by variant."""
    for _ in range(_DEEPEST):
        before = text
        for name, value in words.items():
            if (said := value_for(variant, value)) is not None:
                text = text.replace(f"{{{name}}}", said)
        if text == before:
            break
    return text


def held_words(texts: Iterable[Any]) -> set[str]:
    """Return the names in braces in any of `texts`; values that are not strings are skipped."""
    return {name for text in texts if isinstance(text, str) for name in re.findall(r"\{(\w+)\}", text)}
