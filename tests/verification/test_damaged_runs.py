"""A damaged run, or a file that is not a run, is refused with its path; images and references are never mixed up."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import safetensors.numpy

from effconvert.errors import MissingPath, NumericMismatch, UnreadableCheckpoint
from effconvert.verification.comparison import END_TO_END, ISOLATED, TOLERANCES, Comparison
from effconvert.verification.runs import compare_runs, open_run
from helpers.verification.small_runs import changed, record_of, values, write_arrays, write_run

IMAGES = np.zeros((2, 3, 8, 8), np.float32)
TOLERANCE = TOLERANCES["float32"]


def read(path: Path) -> None:
    """Read all that there is in a run."""
    with open_run(path) as run:
        assert run.images.size
        assert [run.layer(name).size for name in run.layers]


def refused(path: Path) -> str:
    """Read the run, and return what is said of it; the path always is."""
    with pytest.raises(UnreadableCheckpoint) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def compared(reference: Path, found: Path) -> Comparison:
    with open_run(reference) as one, open_run(found) as other:
        return compare_runs(one, other, TOLERANCE)


NO_RUNS: dict[str, Callable[[BinaryIO], object]] = {
    "nothing": lambda file: None,
    "text": lambda file: file.write(b"top-1 77.1\n"),
    "array": lambda file: np.save(file, IMAGES),
    "objects": lambda file: np.savez(file, run=np.array([{}])),
    "header": lambda file: file.write(b"\x93NUMPY\x01\x00\x08\x00{'''\n\n\n\n"),
    "safetensors": lambda file: file.write(safetensors.numpy.save({"stem": IMAGES})),
    "zip": lambda file: np.savez(file, images=IMAGES),
}


@pytest.mark.parametrize("kind", NO_RUNS)
def test_what_is_no_run_is_called_so(tmp_path: Path, kind: str) -> None:
    with open(tmp_path / "run.npz", "wb") as file:
        NO_RUNS[kind](file)
    words = "not a saved run but weights" if kind == "safetensors" else "not a saved run, as `effconvert run` writes it"
    assert words in refused(tmp_path / "run.npz")


def test_python_objects_are_called_so_and_not_by_an_option_of_numpy(tmp_path: Path) -> None:
    with open(tmp_path / "run.npz", "wb") as file:
        NO_RUNS["objects"](file)
    assert "'run' contains Python objects" in refused(tmp_path / "run.npz")


def test_a_folder_is_no_run(tmp_path: Path) -> None:
    assert "(it is a folder)" in refused(tmp_path)


def test_a_path_without_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingPath, match=r"run\.npz: no such file"):
        read(tmp_path / "run.npz")


def test_a_truncated_run_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    content = write_run(tmp_path / "run.npz").read_bytes()
    for end in range(0, len(content), 97):
        (tmp_path / "cut.npz").write_bytes(content[:end])
        refused(tmp_path / "cut.npz")


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_a_run_with_wrong_bytes_is_read_or_refused_and_never_breaks(tmp_path: Path, compressed: bool) -> None:
    with np.load(write_run(tmp_path / "run.npz")) as arrays:
        (np.savez_compressed if compressed else np.savez)(tmp_path / "right.npz", **arrays)
    content, path = (tmp_path / "right.npz").read_bytes(), tmp_path / "wrong.npz"
    draw, refusals = random.Random(0), []
    for _ in range(300):
        wrong = bytearray(content)
        wrong[draw.randrange(len(wrong))] ^= draw.randrange(1, 256)
        path.write_bytes(wrong)
        try:
            read(path)
        except UnreadableCheckpoint as error:
            refusals.append(str(error))
    assert len(refusals) > 150
    assert all(str(path) in refusal for refusal in refusals)


def with_record(path: Path, record: object) -> Path:
    return write_arrays(path, record, values(), {}, IMAGES)


@pytest.mark.parametrize("record", [[], "run", 7, None, {}])
def test_a_record_that_is_no_table_of_this_schema_is_refused(tmp_path: Path, record: object) -> None:
    assert "has the schema None; this version of effconvert reads 'effconvert/run/1'" in refused(
        with_record(tmp_path / "r.npz", record)
    )


def test_a_record_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    record = record_of(IMAGES, values()) | {"schema": "effconvert/run/2"}
    assert "has the schema 'effconvert/run/2'" in refused(with_record(tmp_path / "run.npz", record))


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000])
def test_a_record_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "run.npz", run=np.array(text))
    assert "not a saved run" in refused(tmp_path / "run.npz")


@pytest.mark.parametrize("key", [name for name in record_of(IMAGES, {}) if name != "schema"])
@pytest.mark.parametrize("value", ["absent", 7])
def test_a_record_without_a_key_names_it(tmp_path: Path, key: str, value: object) -> None:
    record = record_of(IMAGES, values()) | {key: value}
    if value == "absent":
        del record[key]
    assert f"its record lacks {key}" in refused(with_record(tmp_path / "run.npz", record))


@pytest.mark.parametrize("key", ["dtype", "tensors", "inputs"])
@pytest.mark.parametrize("value", [None, [["float32"]]], ids=["null", "list"])
def test_settings_that_are_no_settings_name_the_key(tmp_path: Path, key: str, value: object) -> None:
    record = record_of(IMAGES, values(), **{key: value})
    assert f"its record lacks settings.{key}" in refused(with_record(tmp_path / "run.npz", record))


@pytest.mark.parametrize("layers", [[], [7], ["stem", None]], ids=str)
def test_a_record_without_names_of_layers_is_refused(tmp_path: Path, layers: list[Any]) -> None:
    record = record_of(IMAGES, values()) | {"layers": layers}
    assert "its record lacks layers" in refused(with_record(tmp_path / "run.npz", record))


def test_a_layer_that_is_recorded_and_missing_is_named(tmp_path: Path) -> None:
    record = record_of(IMAGES, values()) | {"layers": ["stem", "blocks.7"]}
    assert "'layer/blocks.7' is missing" in refused(with_record(tmp_path / "run.npz", record))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 10)),
        np.zeros((2, 10), np.float16),
        np.zeros((2, 10), np.int32),
        np.zeros((2, 10), np.complex64),
        np.zeros((2, 0), np.float32),
        np.zeros((0, 10), np.float32),
        np.zeros(10, np.float32),
        np.zeros((2, 3, 4), np.float32),
        np.array(0, np.float32),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_an_array_that_no_layer_gives_is_named_with_what_it_is(tmp_path: Path, array: np.ndarray) -> None:
    said = refused(write_run(tmp_path / "run.npz", values() | {"logits": array}))
    assert f"'layer/logits' is {array.dtype} {list(array.shape)}, which is not the output of a layer" in said


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    record = json.dumps(record_of(IMAGES, {"logits": IMAGES}))
    np.savez(
        tmp_path / "run.npz", run=np.array(record), images=IMAGES, **dict[str, Any]({"layer/logits": np.array([{}])})
    )
    assert "'layer/logits' contains Python objects" in refused(tmp_path / "run.npz")


def test_a_run_that_is_whole_is_read(tmp_path: Path) -> None:
    layers = values()
    with open_run(write_run(tmp_path / "run.npz", layers)) as run:
        assert run.layers == list(layers)
        assert all(np.array_equal(run.layer(name), array) for name, array in layers.items())
        assert run.words == "timm (timm 1.0.31)"
        assert np.array_equal(run.outputs, layers["logits"])


def test_other_images_are_refused_with_the_option_that_helps(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one.npz"), write_run(tmp_path / "other.npz", seed_of_images=1)
    with pytest.raises(NumericMismatch) as caught:
        compared(one, other)
    assert str(other) in str(caught.value)
    assert f"--follow {one}" in str(caught.value)


def test_runs_without_a_common_layer_are_refused(tmp_path: Path) -> None:
    one, other = write_run(tmp_path / "one.npz", {"stem": values()["stem"]}), {"blocks.0": values()["blocks.0"]}
    with pytest.raises(NumericMismatch, match="no layer in common, so nothing was compared"):
        compared(one, write_run(tmp_path / "other.npz", other))


def test_equal_runs_are_the_same_in_every_layer(tmp_path: Path) -> None:
    found = compared(write_run(tmp_path / "one.npz"), write_run(tmp_path / "other.npz"))
    assert [row.layer for row in found.rows] == list(values())
    assert {(row.mode, row.largest, row.passed) for row in found.rows} == {(END_TO_END, 0.0, True)}


def test_layers_of_one_run_alone_are_told_with_their_side(tmp_path: Path) -> None:
    layers = values()
    one = {name: array for name, array in layers.items() if name != "head"}
    other = {name: array for name, array in layers.items() if name != "blocks.0"}
    found = compared(write_run(tmp_path / "one.npz", one), write_run(tmp_path / "other.npz", other))
    assert found.only == {"blocks.0": "reference", "head": "converted"}
    assert not found.same
    assert all(row.passed for row in found.rows)


def test_layers_are_compared_from_the_references_input_where_the_run_followed_it(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one.npz")
    other = write_run(tmp_path / "other.npz", fed=changed(values(), "head", 1e-3), follows=one)
    found = compared(one, other)
    assert [row.layer for row in found.of(ISOLATED)] == list(values())
    assert found.first is not None
    assert (found.first.layer, found.first.mode) == ("head", ISOLATED)


@pytest.mark.parametrize("followed", ["another", "nothing"])
def test_what_was_fed_by_another_reference_is_not_compared(tmp_path: Path, followed: str) -> None:
    one, another = write_run(tmp_path / "one.npz"), write_run(tmp_path / "another.npz", values(seed=1))
    follows = another if followed == "another" else None
    other = write_run(tmp_path / "other.npz", fed=values(seed=2), follows=follows)
    assert compared(one, other).of(ISOLATED) == []


@pytest.mark.parametrize(("by", "same"), [(1e-6, True), (1e-3, False)])
def test_agreeing_classes_never_decide(tmp_path: Path, by: float, same: bool) -> None:
    found = compared(
        write_run(tmp_path / "one.npz"), write_run(tmp_path / "other.npz", changed(values(), "logits", by))
    )
    assert (found.top1, found.top5, found.same) == (1.0, 1.0, same)


def test_classes_that_do_not_agree_never_decide_either(tmp_path: Path) -> None:
    logits = values()["logits"]
    largest = np.sort(np.abs(logits), 1)[:, -1:]
    near = np.broadcast_to(largest, logits.shape) * np.float32(1)
    near[:, 0] += np.float32(1e-6)
    other = near.copy()
    other[:, 1] += np.float32(2e-6)
    found = compared(
        write_run(tmp_path / "one.npz", values() | {"logits": near}),
        write_run(tmp_path / "other.npz", values() | {"logits": other}),
    )
    assert (found.top1, found.same) == (0.0, True)


def test_networks_without_classifier_have_no_share_of_classes(tmp_path: Path) -> None:
    layers = {name: array for name, array in values().items() if name != "logits"}
    found = compared(write_run(tmp_path / "one.npz", layers), write_run(tmp_path / "other.npz", layers))
    assert (found.top1, found.top5, found.same) == (None, None, True)


def test_the_tensors_of_a_layer_are_named_as_in_the_runs_file(tmp_path: Path) -> None:
    tensors = {
        "blocks.1.se.reduce.bias": "b.1",
        "blocks.10.se.reduce.bias": "b.10",
        "head.bn.bias": "bn",
        "head.fc.bias": "fc",
    }
    with open_run(write_run(tmp_path / "run.npz", tensors=tensors)) as run:
        named = {layer: list(run.tensors_of(layer).values()) for layer in ("blocks.1", "head", "logits", "pooled")}
    assert named == {"blocks.1": ["b.1"], "head": ["bn"], "logits": ["fc"], "pooled": []}
