"""The JSON Schema of report.json is that of the document's types."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from effconvert.report.contents.generated_schema import schema_of
from effconvert.report.contents.plain_values import from_plain, to_plain
from effconvert.report.contents.report import Report
from effconvert.report.contents.rules import Rule
from effconvert.report.document import published_report
from effconvert.report.schema import REPORT, problems, schema_text
from helpers.report.made_documents import made_document


def test_the_shipped_schema_is_that_of_the_types() -> None:
    shipped = json.loads(schema_text(REPORT))
    assert shipped == schema_of(Report, "effconvert/report/1"), "run `python scripts/report_schema.py`"


def test_documents_read_back_equal_and_conform() -> None:
    for plain in (made_document(2), published_report().to_dict()):
        assert problems(plain, REPORT) == []
        assert from_plain(Report, plain).to_dict() == plain


@dataclass(frozen=True)
class Inner:
    """An inner thing."""

    name: Annotated[str, Rule("its name", pattern="^a")]


@dataclass(frozen=True)
class Outer:
    """A thing of every kind."""

    word: Literal["yes", "no"]
    number: Annotated[int | None, Rule("how many", minimum=0)]
    pair: tuple[float, float]
    inner: Inner | None
    others: Annotated[tuple[Inner, ...], Rule(fewest_items=1)]
    anything: Annotated[Any, Rule("as it is")]


def test_a_schema_says_types_limits_and_words() -> None:
    found = schema_of(Outer, "made")
    assert found["required"] == ["word", "number", "pair", "inner", "others", "anything"]
    assert found["properties"] == {
        "word": {"enum": ["yes", "no"]},
        "number": {"type": ["integer", "null"], "description": "how many", "minimum": 0},
        "pair": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "inner": {"anyOf": [{"$ref": "#/$defs/inner"}, {"type": "null"}]},
        "others": {"type": "array", "items": {"$ref": "#/$defs/inner"}, "minItems": 1},
        "anything": {"description": "as it is"},
    }
    assert found["$defs"]["inner"]["properties"]["name"]["pattern"] == "^a"


def test_a_type_that_json_does_not_have_is_a_fault() -> None:
    with pytest.raises(TypeError, match="no JSON Schema"):
        schema_of(dataclass(type("Odd", (), {"__annotations__": {"things": set[int]}})), "made")


def test_plain_values_become_types_and_back() -> None:
    plain: dict[str, Any] = {
        "word": "yes",
        "number": None,
        "pair": [1.5, 2.0],
        "inner": None,
        "others": [{"name": "a"}],
    }
    plain |= {"anything": {"as": ["it", 1]}}
    found = from_plain(Outer, plain)
    assert (found.pair, found.others) == ((1.5, 2.0), (Inner("a"),))
    assert to_plain(found) == plain
