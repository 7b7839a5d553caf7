"""`effconvert run` on the command line: its file, its output and its exit code."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.verification.runner_archive import write_runner
from effconvert.verification.runs import open_run
from helpers.library_files import library_tensors, save, under
from helpers.running import Ran
from helpers.verification.fake_pythons import shell
from helpers.verification.running_here import canonical_network_in_this_process

pytestmark = pytest.mark.xdist_group("run")
NO_RUN = "not a saved run, as `effconvert run` writes it"


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    with canonical_network_in_this_process():
        yield


@pytest.fixture(scope="module")
def converted(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical Lite0; do not change it."""
    path = tmp_path_factory.mktemp("converted") / "lite0.safetensors"
    effconvert.convert(lite0, path)
    return path


@pytest.fixture
def saved(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> Path:
    """A run on images of 64 pixels."""
    assert run("run", converted, "--size", 64, "--out", tmp_path / "saved.npz").exit_code == 0
    return tmp_path / "saved.npz"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_what_every_layer_gave_and_says_so(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    ran = run("run", converted, "--size", 64, "--out", tmp_path / "own.npz")
    assert (ran.exit_code, ran.err) == (0, "")
    assert "canonical (effconvert " in ran.out
    assert "2 synthetic, 64 px; sensitivity 0." in ran.out
    assert f"{tmp_path / 'own.npz'}: 20 layers, " in ran.out
    with open_run(tmp_path / "own.npz") as opened:
        assert opened.layer("stem").shape == (2, 32, 32, 32)
        assert opened.layer("logits").shape == (2, 1000)
        assert not opened.has("stem", "fed")
        assert opened.record["settings"]["inputs"] == {"kind": "synthetic", "count": 2, "size": 64, "seed": 0}
    assert names_in(tmp_path) == ["own.npz"]


def test_the_images_are_those_of_the_seed_and_the_count(
    run: Callable[..., Ran], converted: Path, tmp_path: Path
) -> None:
    images = {}
    for name, options in {"a": (), "b": (), "other": ("--seed", 1), "more": ("--count", 3)}.items():
        assert run("run", converted, "--size", 64, "--out", tmp_path / f"{name}.npz", *options).exit_code == 0
        with open_run(tmp_path / f"{name}.npz") as opened:
            images[name] = opened.images
    assert np.array_equal(images["a"], images["b"])
    assert not np.array_equal(images["a"], images["other"])
    assert images["more"].shape == (3, 3, 64, 64)


def test_quiet_prints_nothing(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    assert run("run", converted, "--size", 64, "--out", tmp_path / "own.npz", "--quiet") == Ran(0, "", "")


def test_a_run_that_exists_is_replaced_only_with_force(run: Callable[..., Ran], converted: Path, saved: Path) -> None:
    before = saved.read_bytes()
    ran = run("run", converted, "--size", 64, "--seed", 1, "--out", saved)
    assert ran.exit_code == 8
    assert f"{saved}: exists; give --force to replace it" in ran.err
    assert saved.read_bytes() == before
    assert run("run", converted, "--size", 64, "--seed", 1, "--out", saved, "--force").exit_code == 0
    assert saved.read_bytes() != before


def test_a_run_that_exists_survives_a_failure(
    run: Callable[..., Ran], converted: Path, lite0: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tensorflow.py").write_text("raise ImportError('libtensorflow.so: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    for file, framework, code in ((lite0, "tensorflow", 9), (converted, "timm", 4)):
        assert run("run", file, "--framework", framework, "--out", saved, "--force").exit_code == code
        assert saved.read_bytes() == before
    assert names_in(tmp_path) == ["broken", "saved.npz"]


def test_what_is_read_is_not_replaced_even_with_force(
    run: Callable[..., Ran], converted: Path, saved: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(converted.read_bytes())
    (tmp_path / "link.npz").symlink_to(saved)
    before = {path: path.read_bytes() for path in (file, saved)}
    for out in (file, saved, tmp_path / "link.npz"):
        ran = run("run", file, "--follow", saved, "--out", out, "--force")
        assert ran.exit_code == 8
        assert f"{out}: is an input of this command; give another name with --out" in ran.err
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_of_another_variant_is_not_followed(
    run: Callable[..., Ran], b0: Path, saved: Path, tmp_path: Path
) -> None:
    for option in ("--out", "--prepare"):
        ran = run("run", b0, "--follow", saved, option, tmp_path / ("output.npz" if option == "--out" else "output"))
        assert ran.exit_code == 4
        assert f"{b0}: is b0, but {saved} is a run of lite0" in ran.err
    assert names_in(tmp_path) == ["saved.npz"]


@pytest.mark.parametrize("option", ["--out", "--prepare"])
def test_a_folder_that_does_not_exist_is_8(run: Callable[..., Ran], lite0: Path, tmp_path: Path, option: str) -> None:
    ran = run("run", lite0, "--size", 64, option, tmp_path / "none" / "output")
    assert (ran.exit_code, ran.out) == (8, "")
    assert f"the folder {tmp_path / 'none'} does not exist" in ran.err


def test_following_takes_the_images_and_feeds_every_layer(
    run: Callable[..., Ran], converted: Path, saved: Path, tmp_path: Path
) -> None:
    ran = run("run", converted, "--follow", saved, "--out", tmp_path / "following.npz")
    assert ran.exit_code == 0, ran.err
    with open_run(saved) as followed, open_run(tmp_path / "following.npz") as following:
        assert np.array_equal(followed.images, following.images)
        assert all(np.array_equal(followed.layer(name), following.layer(name, "fed")) for name in followed.layers)
    assert run("compare", saved, tmp_path / "following.npz").exit_code == 0


def test_following_takes_no_other_images(run: Callable[..., Ran], converted: Path, saved: Path, tmp_path: Path) -> None:
    for options in (("--images", tmp_path), ("--count", 5), ("--seed", 3), ("--size", 96)):
        ran = run("run", converted, "--follow", saved, "--out", tmp_path / "following.npz", *options)
        assert ran.exit_code == 2
        assert "--follow uses the images of that run" in ran.err


def test_what_is_followed_must_be_a_run(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("follow me")
    for name, code, said in (("none.npz", 2, "no such file"), ("text.npz", 3, NO_RUN)):
        ran = run("run", converted, "--follow", tmp_path / name, "--out", tmp_path / "out.npz")
        assert ran.exit_code == code
        assert f"{tmp_path / name}: {said}" in ran.err
        assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("options", [(), ("--out", "a.npz", "--prepare", "b")], ids=["neither", "both"])
def test_it_is_either_run_or_prepared(run: Callable[..., Ran], converted: Path, options: tuple[str, ...]) -> None:
    ran = run("run", converted, *options)
    assert ran.exit_code == 2
    assert "give --out to run it here, or --prepare to run it elsewhere" in ran.err


def test_preparing_writes_what_is_needed_elsewhere(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    ran = run("run", lite0, "--size", 64, "--prepare", tmp_path / "there")
    assert (ran.exit_code, ran.err) == (0, "")
    assert names_in(tmp_path / "there") == ["inputs.npz", "run_tensorflow.pyz", "settings.json"]
    runner = write_runner("tensorflow", tmp_path)
    assert (tmp_path / "there" / "run_tensorflow.pyz").read_bytes() == runner.read_bytes()
    settings = json.loads((tmp_path / "there" / "settings.json").read_text())
    assert (settings["name"], settings["activation"], settings["size"]) == ("lite0", "relu6", 64)
    with np.load(tmp_path / "there" / "inputs.npz") as inputs:
        assert inputs["images"].shape == (2, 3, 64, 64)
        assert inputs["mean"].shape == inputs["std"].shape == (3,)
    command = "python run_tensorflow.pyz efficientnet-lite0 --settings settings.json --inputs inputs.npz --out run.npz"
    assert ran.out.splitlines() == [
        f"{tmp_path / 'there'} is ready: copy it to the other machine, put efficientnet-lite0 there, and type:",
        command,
    ]


@pytest.mark.parametrize("content", ["plain", "nested", "encrypted"])
def test_what_the_librarys_loader_would_not_take_is_taken_along_as_tensors(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    tensors = library_tensors("timm")
    nested = {"state_dict": under("detector.backbone.", tensors)}
    file = save(tmp_path / "b0.pth", nested if content == "nested" else tensors)
    if content == "encrypted":  # as far as is known before a file is read that the key is not for
        monkeypatch.setenv("EFFCONVERT_KEY", "0123456789abcdef")
    ran = run("run", file, "--size", 64, "--prepare", tmp_path / "there")
    assert ran.exit_code == 0, ran.err
    taken = content != "plain"
    assert ("--tensors tensors.npz" in ran.out.splitlines()[-1]) is taken
    assert ("tensors.npz" in names_in(tmp_path / "there")) is taken
    if taken:
        with np.load(tmp_path / "there" / "tensors.npz") as given:
            assert all(np.array_equal(given[name], tensors[name]) for name in given.files)
            assert "conv_stem.weight" in given.files
    assert not any(b"0123456789abcdef" in path.read_bytes() for path in (tmp_path / "there").iterdir())


def test_preparing_with_a_run_to_follow_takes_it_along(
    run: Callable[..., Ran], lite0: Path, saved: Path, tmp_path: Path
) -> None:
    ran = run("run", lite0, "--follow", saved, "--prepare", tmp_path / "there")
    assert ran.exit_code == 0, ran.err
    assert "--feed feed.npz" in ran.out
    assert (tmp_path / "there" / "feed.npz").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("name", ["two words", "it's $HOME", "-x; ls", 'ü"*'])
def test_the_command_can_be_pasted_into_a_shell(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).symlink_to(lite0)
    ran = run("run", tmp_path / name, "--size", 64, "--prepare", tmp_path / "there")
    assert ran.exit_code == 0, ran.err
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "python"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    pasted = subprocess.run(
        ["sh", "-c", ran.out.splitlines()[-1]],
        env={"PATH": f"{stand_in.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pasted.stdout.splitlines()[:3] == [
        "run_tensorflow.pyz",
        f"./{name}" if name[0] == "-" else name,
        "--settings",
    ]


def test_a_folder_named_by_a_dot_is_called_by_its_name(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lite0)
    ran = run("run", ".", "--size", 64, "--prepare", tmp_path / "there")
    assert ran.exit_code == 0, ran.err
    assert shlex.split(ran.out.splitlines()[-1])[2] == lite0.name


def test_a_prepared_folder_that_exists_is_replaced_only_with_force(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path
) -> None:
    assert run("run", lite0, "--size", 64, "--prepare", tmp_path / "there").exit_code == 0
    assert run("run", lite0, "--size", 96, "--prepare", tmp_path / "there").exit_code == 8
    (tmp_path / "there" / "run.npz").write_text("years of work")
    assert run("run", lite0, "--size", 96, "--prepare", tmp_path / "there", "--force").exit_code == 8
    (tmp_path / "there" / "run.npz").unlink()
    assert run("run", lite0, "--size", 96, "--prepare", tmp_path / "there", "--force").exit_code == 0
    assert json.loads((tmp_path / "there" / "settings.json").read_text())["size"] == 96


def test_the_canonical_network_is_not_run_elsewhere(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    ran = run("run", converted, "--prepare", tmp_path / "there")
    assert ran.exit_code == 4
    assert "effconvert itself runs the canonical network; run it here, with --out" in ran.err
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--framework", "caffe"], "'caffe' is unknown; known are auto, canonical, huggingface"),
        (["--count", "1"], "x>=2"),
        (["--recipe", "timm"], "give --images too"),
        (["--python", "timm"], "must read FRAMEWORK=PATH"),
        (["--out", ""], "the path is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_are_2(
    run: Callable[..., Ran], converted: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    ran = run("run", converted, "--out", tmp_path / "own.npz", *options)
    assert ran.exit_code == 2
    assert said in ran.err


def test_what_is_no_checkpoint_is_3_and_what_is_not_there_2(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("weights: heavy")
    assert run("run", tmp_path / "text", "--out", tmp_path / "own.npz").exit_code == 3
    assert run("run", tmp_path / "none", "--out", tmp_path / "own.npz").exit_code == 2


def test_a_files_name_does_not_steer_the_terminal(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    (tmp_path / "red\r.safetensors").symlink_to(converted)
    ran = run("run", tmp_path / "red\r.safetensors", "--size", 64, "--out", tmp_path / "red\r.npz")
    assert ran.exit_code == 0
    assert "red\\r.npz" in ran.out
    assert "\r" not in ran.out


def test_a_command_that_is_asked_to_end_ends_its_framework_and_cleans_up(converted: Path, tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    file = save(tmp_path / "b0.pth", library_tensors("timm"))
    python = shell(tmp_path / "python", f"echo $$ > '{tmp_path}/pid.part'; mv '{tmp_path}/pid.part' '{tmp_path}/pid'\n"
                   "exec sleep 60")  # fmt: skip
    command = [sys.executable, "-m", "effconvert", "run", file, "--size", "64", "--out", tmp_path / "run.npz"]
    command += ["--python", f"timm={python}"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE) as started:
        waited_for(lambda: (tmp_path / "pid").exists())
        framework = int((tmp_path / "pid").read_text())
        assert names_in(tmp_path / "temporary") != []
        started.terminate()
        _, said = started.communicate(timeout=30)
    assert started.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in said
    waited_for(lambda: not Path(f"/proc/{framework}").exists())
    assert names_in(tmp_path / "temporary") == []
    assert names_in(tmp_path) == ["b0.pth", "pid", "python", "temporary"]


def waited_for(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("it never happened")
