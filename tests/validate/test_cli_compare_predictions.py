"""`effconvert compare` on saved predictions: its output and its exit code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effconvert.validate.predictions import write_predictions
from helpers.running import Ran
from helpers.validate.made_predictions import predictions, record

RUN_OF_LAYERS = Path(__file__).parents[1] / "golden" / "runs" / "b0.npz"
LABELS = [[281], [282], [1]]


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Write predictions as `saved("a", [1, 2, 3])` and return their path."""

    def save(name: str, top1: list[int], labels: list[list[int]] = LABELS, **more: Any) -> Path:
        path = tmp_path / f"{name}.npz"
        write_predictions(path, predictions(top1, labels, **more))
        return path

    return save


def test_the_same_top1_of_every_image_is_0(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    ran = run("compare", saved("a", [281, 282, 1]), saved("b", [281, 282, 1], margin=[2, 2, 2]))
    assert ran.exit_code == 0, ran.err
    assert "same answers: top-1 is the same for all 3 images" in ran.out
    assert "margin 1 (ILSVRC2012_val_00000001)" in ran.out


def test_another_top1_is_5_with_the_image_and_both_classes(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    ran = run("compare", saved("a", [281, 282, 1]), saved("b", [281, 281, 1]))
    assert ran.exit_code == 5
    (row,) = (line for line in ran.out.splitlines() if line.startswith("ILSVRC2012_val_00000002"))
    assert "282 tiger cat" in row
    assert "281 tabby" in row
    assert "correct only in A 1, only in B 0" in ran.out
    assert "00000001" not in ran.out.split("McNemar")[1]


def test_both_sides_are_named_with_their_weights_and_preprocessing(
    run: Callable[..., Ran], saved: Callable[..., Path]
) -> None:
    ran = run("compare", saved("a", [281, 282, 1]), saved("b", [281, 282, 1], said=record() | {"complete": False}))
    assert "A" in ran.out.split()
    assert ran.out.count("b0.safetensors: b0 aa, tf-official 224, 3 images") == 2
    assert ran.out.count("not complete") == 1


def test_only_the_surest_changes_are_printed_and_json_has_all(
    run: Callable[..., Ran], saved: Callable[..., Path]
) -> None:
    labels = [[1]] * 40
    a, b = saved("a", [1] * 40, labels), saved("b", [2] * 40, labels, margin=[float(place) for place in range(40)])
    ran = run("compare", a, b)
    assert "ILSVRC2012_val_00000040" in ran.out
    assert "ILSVRC2012_val_00000005" not in ran.out
    assert "… and 30 more images" in ran.out
    found = run("compare", a, b, "--json")
    assert found.exit_code == 5
    document = json.loads(found.out)
    assert len(document["changed"]) == 40
    assert document["schema"] == "effconvert/prediction-comparison/1"
    assert document["a"]["model"]["variant"] == document["b"]["model"]["variant"] == "b0"


def test_what_only_one_has_and_other_labels_are_said(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    a = saved("a", [281, 282, 1], names=["x", "y", "z"])
    b = saved("b", [281, 282], [[281], [285]], names=["x", "y"])
    ran = run("compare", a, b)
    assert "2 in both, 1 only in A, 0 only in B" in ran.out
    assert "differ of 1 images (y); both are judged by A's" in ran.out


def test_nothing_in_common_is_5(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    ran = run("compare", saved("a", [1], [[1]], names=["x"]), saved("b", [1], [[1]], names=["y"]))
    assert ran.exit_code == 5
    assert "nothing was compared" in ran.err


def test_quiet_prints_nothing(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    assert run("compare", saved("a", [281, 282, 1]), saved("b", [281, 282, 2]), "-q") == Ran(5, "", "")


@pytest.mark.parametrize("option", [["--layers"], ["--tolerance", "0.1"]], ids=str)
def test_what_only_fits_layers_is_refused(
    run: Callable[..., Ran], saved: Callable[..., Path], option: list[str]
) -> None:
    path = saved("a", [281, 282, 1])
    ran = run("compare", path, path, *option)
    assert ran.exit_code == 2
    assert "these files hold predictions" in ran.err


def test_one_of_each_kind_is_a_usage_error(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    path = saved("a", [281, 282, 1])
    for pair in ((path, RUN_OF_LAYERS), (RUN_OF_LAYERS, path)):
        ran = run("compare", *pair)
        assert ran.exit_code == 2
        assert f"{path} holds predictions, but {RUN_OF_LAYERS} layers" in " ".join(ran.err.split())


def test_predictions_beside_what_is_neither_say_what_is_wrong_with_that(
    run: Callable[..., Ran], saved: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved("a", [281, 282, 1])
    (tmp_path / "text.npz").write_text("no answers")
    for name, code, words in (("text.npz", 3, "not a saved run"), ("none.npz", 2, "no such file")):
        ran = run("compare", path, tmp_path / name)
        assert ran.exit_code == code
        assert f"{tmp_path / name}: {words}" in ran.err


def test_predictions_of_a_later_schema_are_3(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    path = saved("a", [281, 282, 1])
    later = saved("b", [281, 282, 1], said=record() | {"schema": "effconvert/validation/9"})
    ran = run("compare", path, later)
    assert ran.exit_code == 3
    assert "effconvert/validation/9" in ran.err


def test_a_files_words_do_not_steer_the_terminal(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    evil = "\x1b[31mred\r"
    said = record(
        model={"file": evil, "weights": evil},
        recipe={"name": evil, "size": 1},
        dataset={"classes": evil, "class_names": [evil, evil]},
    )
    names = [f"x{evil}", f"y{evil}"]
    a = saved("a", [0, 1], [[0], [1]], names=names, said=said)
    b = saved("b", [0, 0], [[0], [0]], names=names, said=said)
    for options in ((), ("--json",)):
        ran = run("compare", a, b, *options)
        assert ran.exit_code == 5
        assert "red" in ran.out
        assert not {"\x1b", "\r"} & set(ran.out + ran.err)


@pytest.mark.parametrize("option", [[], ["--json"]], ids=str)
def test_it_imports_no_framework(saved: Callable[..., Path], option: list[str]) -> None:
    script = (
        "import json, sys\n"
        "from effconvert.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(json.dumps(list(sys.modules)), file=sys.stderr)\n"
    )
    a, b = saved("a", [281, 282, 1]), saved("b", [281, 281, 1])
    command = [sys.executable, "-c", script, "compare", str(a), str(b), *option]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 5, ran.stderr
    assert not {"torch", "tensorflow", "timm", "PIL", "cv2"} & set(json.loads(ran.stderr))


def test_a_run_that_is_not_finished_is_called_so(run: Callable[..., Ran], saved: Callable[..., Path]) -> None:
    journal = saved("b", [1, 1, 1]).with_name("b.npz.part-0")
    journal.write_bytes(b"{}\n")
    ran = run("compare", saved("a", [281, 282, 1]), journal)
    assert ran.exit_code == 3
    assert "an unfinished run of `validate`; finish it with --resume" in ran.err
