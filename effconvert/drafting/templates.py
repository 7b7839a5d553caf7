"""Templates for names of blocks in the map language, such as `blocks.{stage}.{repeat}`."""

from collections.abc import Callable, Mapping

from effconvert.architecture.variants import Block
from effconvert.drafting.names import Mark, pattern, split

_NUMBERS: dict[str, Callable[[Block], int]] = {
    "index": lambda block: block.index,
    "stage": lambda block: block.stage,
    "repeat": lambda block: block.repeat,
    "group": lambda block: block.group,
    "member": lambda block: block.member,
}


def template_of(texts: Mapping[Block, str]) -> str | None:
    """Return a block's name with placeholders that gives all `texts`; None if no placeholders do."""
    parts = {block: split(text) for block, text in texts.items()}
    if len({pattern(each) for each in parts.values()}) != 1:
        return None
    first = next(iter(parts.values()))
    written = []
    for place, part in enumerate(first):
        if isinstance(part, str):
            written.append(part)
            continue
        marks = {block: each[place] for block, each in parts.items()}
        placeholder = _placeholder({block: mark for block, mark in marks.items() if isinstance(mark, Mark)})
        if placeholder is None:
            return None
        written.append(placeholder)
    return "".join(written)


def _placeholder(marks: Mapping[Block, Mark]) -> str | None:
    """Return the text that gives every mark: the mark itself if all are equal, else a placeholder."""
    raws = {mark.raw for mark in marks.values()}
    if len(raws) == 1 and len(marks) > 1:
        return raws.pop()
    if all(mark.is_letter for mark in marks.values()):
        return "{letter}" if all(mark.order == block.repeat for block, mark in marks.items()) else None
    for name, number in _NUMBERS.items():
        added = {mark.order - number(block) for block, mark in marks.items()}
        if len(added) == 1 and min(added) >= 0 and all(mark.raw == str(mark.order) for mark in marks.values()):
            more = added.pop()
            return f"{{{name}+{more}}}" if more else f"{{{name}}}"
    return None


def is_plain(text: str) -> bool:
    """Return whether `text` has no braces or angle brackets, which have a meaning in a row."""
    return not set(text) & set("{}<>")
