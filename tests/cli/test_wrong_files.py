"""A file of the wrong kind is named by its bytes, with the command that takes it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import effconvert
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.file_kinds import kind_of
from helpers.running import Ran

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def files(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind, all with the same suffix, which tells nothing."""
    folder = tmp_path_factory.mktemp("kinds")
    found = {
        name: folder / f"{name}.x" for name in ("run", "predictions", "features", "verification", "report", "image")
    }
    for kind, record in (("run", "run"), ("predictions", "validation"), ("features", "record")):
        with found[kind].open("wb") as file:
            np.savez(file, **{record: np.array("{}")}, allow_pickle=False)
    for kind in ("verification", "report"):
        found[kind].write_text(json.dumps({"a": 1, "schema": f"effconvert/{kind}/1"}))
    Image.new("RGB", (8, 8)).save(found["image"], "png")
    found["map"] = folder / "map.x"
    found["map"].write_text('# mine\nlayout = "mine"\n[library]\ntitle = "Mine"\n')
    found["images"] = folder / "images"
    (found["images"] / "cats").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(found["images"] / "cats" / "a.jpg")
    effconvert.convert(lite0, folder / "weights.safetensors")
    return {**found, "weights": folder / "weights.safetensors", "tensorflow": lite0}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("diff run run", "not a checkpoint but a run of `effconvert run`; `effconvert compare`"),
        ("diff predictions predictions", "not a checkpoint but the predictions of `effconvert validate`; `effconvert compare`"),
        ("inspect features", "the features of `effconvert features`; numpy.load reads them"),
        ("inspect verification", "the result of `effconvert verify --json`; `effconvert report --verify`"),
        ("inspect report", "the report.json of `effconvert report`; report.html"),
        ("inspect map", "a map; `--map` adds it"),
        ("verify run --against weights", "a run of `effconvert run`; `effconvert compare`"),
        ("compare weights weights", "not a saved run but weights; `effconvert diff`"),
        ("compare tensorflow run", "not a saved run but weights; `effconvert diff`"),
        ("compare verification run", "the result of `effconvert verify --json`; `effconvert report --verify`"),
        ("report weights", "weights; a report needs runs of `effconvert validate`"),
        ("report run", "a run of `effconvert run`; a report needs runs of `effconvert validate`"),
        ("chart layers --verify weights -o x.svg", "weights; a report needs"),
        ("predict image weights", "an image; `effconvert predict FILE IMAGE` takes it after the checkpoint"),
        ("predict images weights", "`effconvert predict FILE FOLDER` takes them after the checkpoint"),
        ("validate --data weights weights", "weights, and not images; give it as a file to measure"),
        ("validate --data weights images", "a folder of images; `effconvert validate --data FOLDER`"),
    ],
)  # fmt: skip
def test_the_refusal_names_the_kind_and_its_command(run: Run, files: dict[str, Path], command: str, words: str) -> None:
    name, *words_of = command.split()
    ran = run(name, *(files.get(word, word) for word in words_of))
    assert ran.exit_code in (3, 7)
    assert words in ran.err


def test_a_checkpoint_is_of_no_other_kind(files: dict[str, Path]) -> None:
    kinds = {name: kind_of(path) for name, path in files.items()}
    assert kinds["weights"] == kinds["tensorflow"]
    assert len(set(kinds.values())) == len(kinds) - 1
    assert None not in kinds.values()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{", b"[1]", b"{}", b"\x89PN", b"layout", b"\xff" * 99])
def test_what_has_no_sign_of_a_kind_has_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert kind_of(tmp_path / "x") is None


def test_a_folder_of_weights_with_a_picture_is_not_one_of_images(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors", "curve.png"):
        (tmp_path / name).touch()
    assert kind_of(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("predictions", "effconvert.validate.read_predictions reads them"),
        ("verification", "json.load reads it"),
        ("map", "effconvert.add_maps adds it"),
        ("image", "effconvert.preprocess prepares it"),
        ("images", "effconvert.validate.measure_accuracy measures with them"),
    ],
)
def test_in_python_the_function_that_takes_a_file_is_named(files: dict[str, Path], name: str, words: str) -> None:
    with pytest.raises(UnreadableCheckpoint, match=words):
        effconvert.inspect(files[name])
