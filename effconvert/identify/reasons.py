"""Reasons why tensors stay behind or are added, with their number."""

import re

# The nouns that reasons begin with; `optimizer state` has no plural.
_NOUN = re.compile(r"^((?:[a-z]+ ){0,2}(?:counter|slot|value|tensor))(?= of | that |$)")
_PLURAL = r"\1s"


def several(count: int, reason: str) -> str:
    """Return a number of tensors with the reason why they stay behind or are added: `2 optimizer slots`."""
    if reason == "optimizer state":
        return f"{count:,} tensor{'s' * (count != 1)} of the optimizer's state"
    return f"{count:,} {reason if count == 1 else _NOUN.sub(_PLURAL, reason)}"
