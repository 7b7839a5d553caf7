"""A table with errors is refused with every wrong cell."""

import pytest

from effconvert.reference_tables import reading
from effconvert.reference_tables.reading import is_count, is_name, is_number, one_of, optional, read_rows

RULES = {"name": is_name, "value": is_number, "step": optional(is_count), "decides": one_of("yes", "no")}
HEADER = "name,value,step,decides\n"


def read(monkeypatch: pytest.MonkeyPatch, text: str) -> list[dict[str, str]]:
    monkeypatch.setattr(reading, "read_text", lambda name: text)
    return read_rows("table.csv", RULES)


def test_rows_are_read_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read(monkeypatch, HEADER + 'b0,77.10,,yes\n"b1, too",5,1,no\n')
    assert [row["value"] for row in rows] == ["77.10", "5"]
    assert rows[1]["name"] == "b1, too"


def test_all_wrong_cells_are_named_with_their_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"reference/table\.csv: ") as failure:
        read(monkeypatch, HEADER + "b0,high,,yes\nb1,5,0.5,maybe\nb2,5\n ,-1,,no\n")
    for problem in (
        "line 2: value='high'",
        "line 3: step='0.5'",
        "line 3: decides='maybe'",
        "line 4: does not have 4 cells",
        "line 5: name=' '",
        "line 5: value='-1'",
    ):
        assert problem in str(failure.value)


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-5", "", "1e999"])
def test_a_number_is_finite_and_above_0(value: str) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("header", ["name,value,step\n", "name,value,step,decides,more\n", "value,name,step,decides\n"])
def test_other_columns_are_refused(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    with pytest.raises(ValueError, match="has the columns"):
        read(monkeypatch, header)
