"""A file of labels gives the labels that were written, however it was written, or is refused with its path."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effconvert.errors import DatasetProblem
from effconvert.validate.data.containers.contents import Contents
from effconvert.validate.data.label_files import labelled, read_label_file, read_real
from effconvert.validate.data.locations import Location
from effconvert.validate.data.text_lines import is_json
from helpers.formats.building import examples

# What a name or a class may hold in any of the forms; a name in plain text has no blanks.
_letters = st.characters(categories=["L", "N", "P", "S"], exclude_characters="\"',\\#")
names = st.text(_letters, min_size=1, max_size=12).map(lambda name: f"{name}.JPEG")
classes = st.text(_letters, min_size=1, max_size=12) | st.integers(0, 999).map(str)
tables = st.dictionaries(names, classes, min_size=1, max_size=6)


def written(rows: dict[str, str], separator: str, newline: str, mark: bool) -> bytes:
    """Return the lines `name label`, quoted where the separator asks for it."""
    if separator == " ":
        text = newline.join(f"{name} {label}" for name, label in rows.items())
    else:
        out = io.StringIO()
        csv.writer(out, delimiter=separator, lineterminator=newline).writerows(rows.items())
        text = out.getvalue()
    return ("﻿" * mark + text).encode()


@examples(150)
@given(
    rows=tables,
    separator=st.sampled_from(["\t", ",", " "]),
    newline=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_labels_are_read_as_they_were_written(
    tmp_path: Path, rows: dict[str, str], separator: str, newline: str, mark: bool
) -> None:
    (tmp_path / "labels").write_bytes(written(rows, separator, newline, mark))
    found = read_label_file(tmp_path / "labels")
    assert [(name, str(label)) for _, name, label in found.pairs] == [
        (name, str(int(label)) if label.isascii() and label.isdigit() else label) for name, label in rows.items()
    ]


@examples(250)
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_labels_or_refused_with_the_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    problem = ""
    try:
        labelled(images(), read_label_file(path))
    except DatasetProblem as error:
        problem = str(error)
    assert not problem or str(path) in problem


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@examples(150)
@given(value=st.lists(json_values, max_size=4) | st.dictionaries(st.text(max_size=6), json_values, max_size=4))
def test_any_json_is_refused_with_the_path(tmp_path: Path, value: object) -> None:
    """Only real.json is JSON with labels, and it has 50,000 lists."""
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(value))
    assert is_json(path, "labels")
    with pytest.raises(DatasetProblem, match="labels.json: "):
        read_real(path)


def images() -> Contents:
    contents = Contents("a folder")
    for name in ("a.JPEG", "b/c.png", "ILSVRC2012_val_00000001.JPEG"):
        contents.add(name, None, Location("file", name, 0, 0))
    return contents
