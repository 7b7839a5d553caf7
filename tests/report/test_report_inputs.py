"""Inputs of a report are checked first: one that breaks its schema is refused with the place of the error."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.errors import EffconvertError, MissingPath, UnreadableCheckpoint
from effconvert.report.document import build_report
from effconvert.report.given_files import read_inputs
from effconvert.report.schema import SCHEMAS, problems, schema_text
from helpers.report.made_inputs import run_record, verification, write_run, write_verification
from helpers.report.measured import Real
from helpers.running import Ran

OTHER_VALUES = (None, 5, -1.5, "text", [None], {"a": None})


def read_record(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        record: dict[str, Any] = json.loads(str(arrays["validation"]))
    return record


def rewritten(path: Path, to: Path, record: Any = None, **changes: Any) -> Path:
    """Write the run at `path` with another record, any text, or with other arrays; None leaves one out."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    if record is not None:
        arrays["validation"] = np.array(record if isinstance(record, str) else json.dumps(record))
    np.savez(to, **{name: array for name, array in arrays.items() if array is not None})
    return to


def mutations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the document with every field deleted, and with every field of another type or size."""
    text = json.dumps(document)
    for place in places(document):
        for value in (..., *OTHER_VALUES):
            changed = json.loads(text)
            *way, last = place
            table = changed
            for step in way:
                table = table[step]
            if value is ...:
                del table[last]
            else:
                table[last] = value
            yield changed


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every field; of a list only its first two entries."""
    entries = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))[:2]
        if isinstance(value, list)
        else []
    )
    for name, each in entries:
        yield (*before, name)
        yield from places(each, (*before, name))


def report_or_words(*paths: Path) -> None:
    """Make a report that keeps its own schema, or fail in words."""
    document, failure = None, None
    try:
        document = build_report(paths).to_dict()
    except EffconvertError as error:
        failure = error
    if document is None:
        assert failure is not None
        assert failure.exit_code == 3
        assert str(paths[0]) in str(failure)
    else:
        assert problems(document, "report-1") == []
        json.dumps(document, allow_nan=False)


@pytest.fixture
def _nothing_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out of reports what was published, which is much and tested elsewhere."""
    nothing: dict[str, list[Any]] = {
        name: [] for name in ("sources", "accuracy", "cost", "files", "disagreements", "variants")
    }
    monkeypatch.setattr("effconvert.report.document.published_block", lambda: nothing)


def test_what_validate_and_verify_write_is_as_the_schemas_say(real: Real) -> None:
    assert problems(read_record(real.run), "validation-1") == []
    assert problems(json.loads(real.verification.read_text()), "verification-1") == []
    found = build_report([real.run], [real.verification]).to_dict()
    assert problems(found, "report-1") == []
    (network,) = found["networks"]
    assert {row["check"]: row["verdict"] for row in network["verdicts"]} == {
        "coverage": "passed", "tensors": "passed", "layers": "passed", "logits": "passed",
        "accuracy": "not judged", "parameters": "passed", "operations": "passed",
    }  # fmt: skip


@pytest.mark.usefixtures("_nothing_published")
def test_a_damaged_record_of_a_run_ends_in_words_or_in_a_sound_report(real: Real, tmp_path: Path) -> None:
    whole = read_record(real.run)
    del whole["settings"]  # which nobody reads
    for record in mutations(whole):
        report_or_words(rewritten(real.run, tmp_path / "changed.npz", record))


@pytest.mark.usefixtures("_nothing_published")
def test_a_damaged_verification_ends_in_words_or_in_a_sound_report(real: Real, tmp_path: Path) -> None:
    whole = json.loads(real.verification.read_text())
    whole["comparisons"][0]["rows"] = whole["comparisons"][0]["rows"][-2:]
    for document in mutations(whole):
        report_or_words(write_verification(tmp_path / "changed.json", document))


ARRAYS: list[dict[str, Any]] = [
    {"labels": np.full((3, 1), -7, np.int32)},
    {"labels": np.full((3, 1), 2**31 - 1, np.int32)},
    {"labels": np.zeros((3, 0), np.int32)},
    {"labels": np.array([[-2, 5], [-2, -2], [1, 2]], np.int32)},
    {"names": np.full((3, 1), 0x110000, np.uint32).view("U1")[:, 0]},
    {"names": np.array(["", "", ""])},
    {"names": np.array(["/", "/.", "a/"])},
    {"names": np.arange(3)},
    {"top5": np.zeros((3, 4), np.int32)},
    {"ids": np.zeros(3, np.int64)},
    {"ids": None},
    {"validation": None},
    {"confidence": np.full(3, np.inf, np.float32)},
    {"confidence": np.full(2, 0.5, np.float32)},
]


@pytest.mark.parametrize("number", range(len(ARRAYS)))
def test_damaged_answers_end_in_words_or_in_a_sound_report(real: Real, tmp_path: Path, number: int) -> None:
    report_or_words(rewritten(real.run, tmp_path / "changed.npz", **ARRAYS[number]), real.run)


WRONG_RECORDS = [
    ({"model": {"variant": 5}}, "$.model.variant: 5 is not one of"),
    ({"model": {"variant": "b99"}}, "$.model.variant: 'b99' is not one of ['b0', "),
    ({"model": {"weights": 5}}, "$.model.weights: 5 is not of type 'string', 'null'"),
    ({"model": {"sha256": {"b0": "1234"}}}, "$.model.sha256.b0: '1234' does not match"),
    ({"recipe": {"channels": "grey"}}, "$.recipe.channels: 'grey' is not one of ['rgb', 'bgr', 'gray', 'unknown']"),
    ({"recipe": {"size": 10**9}}, "$.recipe.size: 1000000000 is greater than the maximum"),
    ({"run": {"seconds": float("nan")}}, "$.run.seconds: nan is not a finite number"),
    ({"run": {"seconds": float("inf")}}, "$.run.seconds: inf is not a finite number"),
    ({"dataset": {"images": 10**30}}, "$.dataset.images: has 31 digits"),
    ({"dataset": {"images": 1.0}}, "$.dataset.images: 1.0 is not of type 'integer'"),
    ({"dataset": {"skipped": []}}, "$.dataset.skipped: [] is not of type 'object'"),
    ({"cautions": "none"}, "$.cautions: 'none' is not of type 'array'"),
    ({"complete": False}, "$.complete: True was expected"),
    ({"dataset": {"evaluated": 7}}, "$.dataset.evaluated: is 7, but there are predictions for 10 images"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), WRONG_RECORDS, ids=[words for _, words in WRONG_RECORDS])
def test_what_is_wrong_with_a_record_is_said_with_its_place(
    run: Callable[..., Ran], tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    path = write_run(tmp_path / "b0.npz", 5, 10, record=run_record(**changes))
    ran = run("report", path, "--out", tmp_path / "out")
    assert ran.exit_code == 3
    assert f"{path}: {words}" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_verification_that_contradicts_its_layers_is_refused(tmp_path: Path) -> None:
    wrong = verification()
    wrong["comparisons"][0]["rows"][0]["passed"] = False
    with pytest.raises(
        UnreadableCheckpoint, match=r"\$.verdict: 'same', but \$.comparisons\[0\] differs, in 1 of its rows"
    ):
        build_report([], [write_verification(tmp_path / "v.json", wrong)]).to_dict()


def test_a_damaged_cause_is_refused_with_its_place(tmp_path: Path) -> None:
    path = write_verification(tmp_path / "v.json", verification(causes=[{"words": "another epsilon"}]))
    with pytest.raises(UnreadableCheckpoint, match=r"\$.causes\[0\]: 'before' is a required property"):
        build_report([path])


def test_facts_that_no_network_has_are_refused(tmp_path: Path) -> None:
    facts = run_record()["model"]["facts"] | {"head_conv": False}
    path = write_run(tmp_path / "b0.npz", 5, 10, record=run_record(model={"facts": facts}))
    with pytest.raises(UnreadableCheckpoint, match=r"b0.npz: \$.model.facts: facts: head_conv=False with classes=1000"):
        build_report([path]).to_dict()


def test_all_problems_of_all_inputs_are_said_at_once(tmp_path: Path) -> None:
    wrong = write_run(tmp_path / "a.npz", 5, 10, record=run_record(model={"variant": 5, "taken": 6}))
    other = write_verification(tmp_path / "b.json", verification(verdict="maybe"))
    with pytest.raises(UnreadableCheckpoint) as caught:
        build_report([wrong, tmp_path / "missing.npz"], [other]).to_dict()
    message = str(caught.value)
    for words in (
        "a.npz: $.model.variant",
        "a.npz: $.model.taken",
        "missing.npz: no such file",
        "b.json: $.verdict: 'maybe'",
    ):
        assert words in message


def test_inputs_that_are_not_there_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(MissingPath, match=r"(?s)one.npz: no such.*two.npz: no such"):
        read_inputs([tmp_path / "one.npz", tmp_path / "two.npz"])


OTHER_FILES = [
    ("a.json", b"{", "neither a run nor JSON"),
    ("a.json", b"[" * 100_000, "neither a run nor JSON"),
    ("a.json", b"\xff\xfe", "neither a run nor JSON"),
    ("a.json", b"[1]", "$: must be an object, is list"),
    ("a.json", b"{}", "its schema is None, not 'effconvert/verification/1'"),
    ("a.json", b'{"schema": "effconvert/validations/1"}', "is 'effconvert/validations/1', not"),
    ("a.json", b'{"schema": "effconvert/verification/1", "x": %s}' % (b"[" * 60 + b"]" * 60), "is nested more than 40 deep"),
    ("a.json", b'{"schema": "effconvert/verification/1", "x": 1%s}' % (b"0" * 5000), "neither a run nor JSON"),
    ("a.npz", b"PK\x03\x04", "has no predictions"),
    ("a.npz", b"", "neither a run nor JSON"),
    ("b0.npz.part-0", b"", "is an unfinished run of `validate`; finish it with resume=True"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), OTHER_FILES)
def test_a_file_that_is_something_else_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableCheckpoint) as caught:
        build_report([path]).to_dict()
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match="is not a file; give the runs in it"):
        build_report([tmp_path]).to_dict()


def test_what_steers_a_terminal_is_written_out(tmp_path: Path) -> None:
    record = run_record(dataset={"skipped": {"\x1b[2J": 5}})
    with pytest.raises(UnreadableCheckpoint) as caught:
        build_report([write_run(tmp_path / "b0.npz", 5, 10, record=record)]).to_dict()
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["validation-1", "verification-1"])
def test_the_schemas_know_every_variant(name: str) -> None:
    assert json.loads(schema_text(name))["$defs"]["variant"]["enum"] == list(VARIANTS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one_by_its_own_standard_and_is_printed(run: Callable[..., Ran], name: str) -> None:
    from jsonschema import Draft202012Validator

    ran = run("report", "--schema", name)
    Draft202012Validator.check_schema(json.loads(ran.out))
    assert json.loads(ran.out)["$id"] == f"effconvert/{name.removesuffix('-1')}/1"
