"""The command line as a user types and reads it."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.cli import COMMANDS
from effconvert.cli.click_classes import module_of
from helpers.checkpoints import write_checkpoint
from helpers.mirror import put_archive, serving
from helpers.running import Ran


@pytest.fixture
def converted(lite0: Path, tmp_path: Path) -> Path:
    effconvert.convert(lite0, tmp_path / "lite0.safetensors")
    return tmp_path / "lite0.safetensors"


@pytest.fixture
def mirror(lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The Lite0 archive, which can be downloaded."""
    site = tmp_path / "site"
    archive = put_archive(site, "efficientnet/lite/efficientnet-lite0.tar.gz", lite0)
    with serving(site, monkeypatch):
        yield archive


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(run: Callable[..., Ran], command: str) -> None:
    ran = run(command, "--help")
    assert ran.exit_code == 0
    assert f"effconvert {command}" in ran.out
    assert "Example" in ran.out


def test_a_command_is_one_file_and_one_line_in_the_table() -> None:
    folder = Path(effconvert.__file__).parent / "cli" / "commands"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    parts = {name for name in files if name.startswith("map_")}  # each a command of the group `map`
    assert {module_of(command, "") for command in COMMANDS} == files - parts


def test_help_lists_every_command(run: Callable[..., Ran]) -> None:
    ran = run("--help")
    assert all(command in ran.out for command in COMMANDS)


def test_an_unknown_command_or_option_is_a_usage_error(run: Callable[..., Ran]) -> None:
    assert run("tf2onnx").exit_code == 2
    assert run("inspect", "--colour").exit_code == 2


@pytest.mark.parametrize("arguments", ["--help", "tf2pt --help", "list --json", "tables --variant b0", "report --published --out REPORT", "validate --help", "predict --help", "cost --variant b0", "report --schema report-1", "inspect FILE", "tf2pt --checkpoint CHECKPOINT --out OUT --quiet", "pt2tf FILE --out BACK --quiet", "convert FILE --to timm --out OUT --quiet", "diff FILE FILE"])  # fmt: skip
def test_r13_commands_that_run_no_network_do_not_import_torch(
    lite0: Path, converted: Path, tmp_path: Path, arguments: str
) -> None:
    names = {
        "FILE": converted,
        "CHECKPOINT": lite0,
        "OUT": tmp_path / "new.pth",
        "BACK": tmp_path / "back",
        "REPORT": tmp_path / "report",
    }
    words = [str(names.get(word, word)) for word in arguments.split()]
    script = (
        "import sys; from effconvert.cli import main; main(sys.argv[1:]); "
        "sys.exit(bool({'torch', 'tensorflow', 'mindspore'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_r13_help_imports_no_numpy() -> None:
    script = "import sys; from effconvert.cli import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_python_m_effconvert_is_effconvert() -> None:
    ran = subprocess.run([sys.executable, "-m", "effconvert", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"effconvert, version {effconvert.__version__}\n"


def test_tf2pt_tells_what_it_did(run: Callable[..., Ran], b0: Path, tmp_path: Path) -> None:
    ran = run("tf2pt", "--checkpoint", b0, "--out", tmp_path / "b0.safetensors")
    assert ran.exit_code == 0
    assert "311 tensors, averages" in ran.out
    assert "311 raw weights; their averages are taken" in ran.out
    assert "5,288,548 parameters" in ran.out
    assert ran.err == ""


def test_tf2pt_names_the_output_after_the_variant(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("tf2pt", "--checkpoint", lite0).exit_code == 0
    assert (tmp_path / "lite0.safetensors").exists()


def test_quiet_prints_nothing(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    ran = run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "x.pth", "--quiet")
    assert (ran.exit_code, ran.out, ran.err) == (0, "", "")


def test_json_is_the_report(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    ran = run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "x.safetensors", "--json")
    report = json.loads(ran.out)
    assert report["variant"] == "lite0"
    assert report["moved"] == report["tensors"] == 247
    assert report["recipe"]["size"] == 224


def test_facts_are_given_as_assignments(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    assert run("tf2pt", "--checkpoint", lite0, "--out", output, "--facts", "bn_eps=1e-5").exit_code == 0
    assert "bn_eps 1e-05" in run("inspect", output).out
    ran = run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "y.safetensors", "--facts", "eps=1e-5")
    assert ran.exit_code == 2
    assert "eps unknown; did you mean bn_eps? known are bn_eps" in ran.err


def test_inspect_tells_what_a_checkpoint_holds(run: Callable[..., Ran], b0: Path) -> None:
    ran = run("inspect", b0)
    assert "TensorFlow V2 checkpoint" in ran.out
    assert "tf-official, under efficientnet-b0/" in ran.out
    assert "311 averages (21.3 MB), 311 raw (21.3 MB)" in ran.out
    assert "… and 615 more" in ran.out
    assert len(run("inspect", b0, "--tensors").out.splitlines()) > 623


def test_inspect_tells_what_a_converted_file_says_of_itself(run: Callable[..., Ran], converted: Path) -> None:
    ran = run("inspect", converted)
    assert "canonical" in ran.out
    assert "tf-official: weights not named, averages" in ran.out


def test_inspect_json_has_every_tensor(run: Callable[..., Ran], b0: Path) -> None:
    found = json.loads(run("inspect", b0, "--json").out)
    held = {"tensors": 311, "nbytes": 4 * 5330564}
    assert (found["variant"], found["sets"], len(found["tensors"])) == ("b0", {"averages": held, "raw": held}, 623)
    assert {"name": "global_step", "shape": [], "dtype": "int64"} in found["tensors"]


def test_inspect_shows_a_checkpoint_of_no_known_layout(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("inspect", write_checkpoint(tmp_path / "other", {"conv1/kernel": np.ones(3, np.float32)}))
    assert ran.exit_code == 0
    assert "layout   unknown" in ran.out
    assert "conv1/kernel" in ran.out


def test_inspect_names_what_is_missing_and_unknown(
    run: Callable[..., Ran], lite0_tensors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    tensors = dict(list(lite0_tensors.items())[1:]) | {"efficientnet-lite0/more": np.ones(1, np.float32)}
    ran = run("inspect", write_checkpoint(tmp_path / "near", tensors))
    assert "1 tensor missing or of another shape" in ran.out
    assert "efficientnet-lite0/more, perhaps before the features are pooled" in ran.out


def test_list_has_every_variant_with_its_numbers(run: Callable[..., Ran]) -> None:
    rows = json.loads(run("list", "--json").out)["weights"]
    assert {row["variant"] for row in rows} == VARIANTS.keys()
    (row,) = [row for row in rows if (row["framework"], row["variant"], row["weights"]) == ("tensorflow", "b7", "aa")]
    assert (row["size"], row["parameters"], round(row["macs"] / 1e6), row["top1"]) == (600, 66347960, 37746, 84.3)
    assert row["url"].endswith("ckptsaug/efficientnet-b7.tar.gz")
    assert len(run("list").out.splitlines()) == len(rows) + 2


def test_list_has_one_variant_when_it_is_asked_for(run: Callable[..., Ran]) -> None:
    rows = json.loads(run("list", "--variant", "lite4", "--json").out)["weights"]
    assert rows
    assert {row["variant"] for row in rows} == {"lite4"}


def test_a_published_checkpoint_is_downloaded_converted_and_then_cached(
    run: Callable[..., Ran], mirror: Path, tmp_path: Path
) -> None:
    first = run("tf2pt", "--variant", "lite0", "--out", tmp_path / "one.safetensors", "--json")
    assert first.exit_code == 0, first.err
    mirror.unlink()
    second = run("tf2pt", "--variant", "lite0", "--weights", "base", "--out", tmp_path / "two.safetensors")
    assert second.exit_code == 0, second.err
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    report = json.loads(first.out)
    assert (report["weights"], report["cautions"]) == ("base", [])
    with effconvert.open_checkpoint(tmp_path / "one.safetensors") as checkpoint:
        assert json.loads(checkpoint.metadata["source"])["url"].startswith("http://127.0.0.1:")


def test_a_cached_checkpoint_that_was_changed_is_refused(
    run: Callable[..., Ran], mirror: Path, lite0_tensors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    assert run("tf2pt", "--variant", "lite0", "--out", tmp_path / "one.safetensors").exit_code == 0
    (index,) = (tmp_path / "cache").rglob("model.ckpt.index")
    write_checkpoint(index.parent, {name: tensor * np.float32(2) for name, tensor in lite0_tensors.items()})
    ran = run("tf2pt", "--variant", "lite0", "--out", tmp_path / "two.safetensors")
    assert ran.exit_code == 3
    assert "it was changed after it was recorded" in ran.err
    assert not (tmp_path / "two.safetensors").exists()


def test_without_a_network_one_sentence_tells_the_way_out(run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("tf2pt", "--variant", "lite0", "--out", tmp_path / "x.safetensors")
    assert ran.exit_code == 9
    assert "efficientnet-lite0.tar.gz" in ran.err
    assert "download it elsewhere and give its path as FILE" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["ms2pt", "mm2pt", "timm2pt"])
def test_every_library_is_asked_at_its_own_address(run: Callable[..., Ran], tmp_path: Path, command: str) -> None:
    ran = run(command, "--variant", "b0", "--out", tmp_path / "x.safetensors")
    assert ran.exit_code == 9
    words = {
        "ms2pt": "efficientnet_b0_1_1_224_0.2.ckpt",
        "mm2pt": "efficientnet-b0_3rdparty_8xb32-aa_in1k",
        "timm2pt": "tf_efficientnet_b0_aa-827b6e33.pth",
    }
    assert words[command] in ran.err


def test_weights_that_were_not_published_are_refused_with_those_that_were(run: Callable[..., Ran]) -> None:
    ran = run("tf2pt", "--variant", "b1", "--weights", "ra")
    assert ran.exit_code == 2
    assert "b1 (tensorflow), which has base, aa, advprop, ns" in ran.err


def test_an_archive_is_a_checkpoint(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "own.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(lite0, "noisy-student-efficientnet-lite0")
    ran = run("tf2pt", "--checkpoint", tmp_path / "own.tar.gz", "--out", tmp_path / "one.safetensors")
    assert ran.exit_code == 0, ran.err
    run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_a_broken_pipe_is_no_failure_of_ours(b0: Path) -> None:
    script = f"{sys.executable} -m effconvert inspect --tensors {b0} | head -1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.startswith("format")
    assert ran.returncode in (0, 1)  # 0 when all was written before `head` went away


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_standard_output_is_one_message() -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "effconvert", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 8
    assert ran.stderr == "effconvert: standard output: No space left on device\n"


def test_an_unexpected_failure_has_no_traceback(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("effconvert.identify.inspection.inspect", lambda path, key: 1 / 0)
    ran = run("inspect", tmp_path)
    assert ran.exit_code == 1
    assert ran.err.startswith("effconvert: internal error, please report it: ZeroDivisionError")
