"""Bad input ends in its exit code and one clear message, and nothing is written."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.conversion.transfer import check_digest
from helpers.checkpoints import write_checkpoint
from helpers.deep import deep_but
from helpers.running import Ran

AVERAGE = "/ExponentialMovingAverage"
STEM = "efficientnet-lite0/stem/conv2d/kernel" + AVERAGE
VARIANCE = "efficientnet-lite0/stem/tpu_batch_normalization/moving_variance" + AVERAGE
Tensors = dict[str, np.ndarray]


@pytest.fixture
def refused(run: Callable[..., Ran], tmp_path: Path) -> Callable[..., str]:
    """Convert a bad checkpoint; return the message after checking the exit code and that nothing was written."""

    def convert(checkpoint: Path, exit_code: int, *options: str) -> str:
        output = tmp_path / "out" / "x.safetensors"
        output.parent.mkdir()
        ran = run("tf2pt", "--checkpoint", checkpoint, "--out", output, *options)
        assert ran.exit_code == exit_code, ran.err
        assert ran.out == ""
        assert ran.err.startswith("effconvert: ")
        assert list(output.parent.iterdir()) == []
        return ran.err

    return convert


@pytest.fixture
def copy(lite0: Path, tmp_path: Path) -> Path:
    """A Lite0 checkpoint to be spoilt."""
    return Path(shutil.copytree(lite0, tmp_path / "spoilt"))


def data_file(folder: Path) -> Path:
    return folder / "model.ckpt.data-00000-of-00001"


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_missing_data_file_is_named(refused: Callable[..., str], copy: Path) -> None:
    data_file(copy).unlink()
    assert "model.ckpt.data-00000-of-00001: missing" in refused(copy, 3)


def test_a_truncated_data_file_is_named_with_its_sizes(refused: Callable[..., str], copy: Path) -> None:
    size = data_file(copy).stat().st_size
    os.truncate(data_file(copy), size - 1)
    message = refused(copy, 3)
    assert f"ends at byte {size:,} of model.ckpt.data-00000-of-00001, which has {size - 1:,} bytes" in message


def test_a_flipped_bit_in_the_index_is_found(refused: Callable[..., str], copy: Path) -> None:
    flip(copy / "model.ckpt.index", 1000)
    assert "the index is damaged" in refused(copy, 3)


def test_a_flipped_bit_in_a_tensor_is_found_and_the_tensor_named(refused: Callable[..., str], copy: Path) -> None:
    flip(data_file(copy), -1)
    message = refused(copy, 3)
    assert "tensor efficientnet-lite0/stem/tpu_batch_normalization/moving_variance" in message
    assert "CRC32C stored" in message


def test_a_missing_tensor_is_named_with_its_target(
    refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path
) -> None:
    folder = write_checkpoint(tmp_path / "bad", {n: t for n, t in lite0_tensors.items() if n != STEM})
    assert f"stem.conv.weight <- {STEM}: missing" in refused(folder, 4)


def test_a_tensor_too_many_is_named(refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path) -> None:
    extra = {"efficientnet-lite0/blocks_3/se/conv2d/bias": np.zeros(4, np.float32)}
    folder = write_checkpoint(tmp_path / "bad", lite0_tensors | extra)
    assert "efficientnet-lite0/blocks_3/se/conv2d/bias: unknown" in refused(folder, 4)


def test_a_wrong_shape_is_named_with_both(refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "bad", lite0_tensors | {STEM: np.ones((3, 3, 3, 40), np.float32)})
    assert f"{STEM}: shape (3, 3, 3, 40), expected (3, 3, 3, 32)" in refused(folder, 4)


def test_an_integer_weight_is_refused(refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "bad", lite0_tensors | {VARIANCE: np.ones(32, np.int32)})
    assert "dtype int32, expected a floating-point one" in refused(folder, 4)


def test_all_problems_are_told_at_once(refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path) -> None:
    tensors = {n: t for n, t in lite0_tensors.items() if n != STEM}
    tensors |= {VARIANCE: np.ones(40, np.float32), "efficientnet-lite0/surprise": np.ones(1, np.float32)}
    message = refused(write_checkpoint(tmp_path / "bad", tensors), 4)
    assert "missing" in message
    assert "shape (40,)" in message
    assert "surprise: unknown" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_r7_a_value_that_is_not_finite_is_named_with_its_place(
    refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path, value: float
) -> None:
    kernel = lite0_tensors[STEM].copy()
    kernel[1, 2, 0, 5] = value
    folder = write_checkpoint(tmp_path / "bad", lite0_tensors | {STEM: kernel})
    message = refused(folder, 3)
    assert f"tensor {STEM} (stem.conv.weight): 1 values are not finite" in message
    assert "at (1, 2, 0, 5)" in message


def test_r7_a_negative_variance_is_named(refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path) -> None:
    variance = lite0_tensors[VARIANCE].copy()
    variance[3] = -1e-3
    folder = write_checkpoint(tmp_path / "bad", lite0_tensors | {VARIANCE: variance})
    assert "(stem.bn.running_var): a variance is negative: -0.00" in refused(folder, 3)


def test_the_wrong_variant_is_told_the_right_one(refused: Callable[..., str], lite0: Path) -> None:
    message = refused(lite0, 4, "--variant", "b3")
    assert "is lite0 (247 of its 247 tensors match), not b3, for which 485 of 496 tensors are missing" in message
    assert "give --variant lite0 if that is right" in message


def test_an_unknown_variant_is_told_the_known_ones(run: Callable[..., Ran], lite0: Path) -> None:
    ran = run("tf2pt", lite0, "--variant", "b9")
    assert ran.exit_code == 2
    assert "variant 'b9' is unknown; known are b0" in ran.err


def test_a_keras_file_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    assert "not a file that Keras wrote whole" in refused(tmp_path / "model.h5", 3)


@pytest.mark.parametrize("name", ["noise.bin", "noise.index", "noise.safetensors", "noise.tar.gz"])
def test_a_random_file_is_refused(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    assert name in refused(tmp_path / name, 3)


def test_an_object_graph_checkpoint_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    tensors = {f"model/layer-{n}/kernel/.ATTRIBUTES/VARIABLE_VALUE": np.ones((3, 3), np.float32) for n in range(5)}
    message = refused(write_checkpoint(tmp_path / "keras", tensors), 4)
    assert "an object-graph checkpoint (tf.train.Checkpoint, Keras or a TensorFlow 2 SavedModel)" in message


def test_names_of_no_known_layout_are_shown(refused: Callable[..., str], tmp_path: Path) -> None:
    message = refused(write_checkpoint(tmp_path / "other", {"resnet/conv1/kernel": np.ones(3, np.float32)}), 4)
    assert "'resnet/conv1/kernel'" in message


def test_an_empty_folder_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no checkpoint: it is empty" in refused(tmp_path / "empty", 3)


def test_a_folder_with_two_checkpoints_names_both(
    refused: Callable[..., str], lite0_tensors: Tensors, tmp_path: Path
) -> None:
    for prefix in ("model.ckpt-1", "model.ckpt-2"):
        write_checkpoint(tmp_path / "two", lite0_tensors, prefix)
    message = refused(tmp_path / "two", 3)
    assert "holds 2 checkpoints" in message
    assert f"{tmp_path}/two/model.ckpt-1" in message
    assert f"{tmp_path}/two/model.ckpt-2" in message


def test_a_path_that_does_not_exist_is_a_usage_error(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "no such file or directory" in refused(tmp_path / "nowhere", 2)


@pytest.mark.parametrize("command", ["tf2pt --checkpoint", "inspect", "pt2tf --out x"])
def test_an_empty_path_does_not_mean_the_current_folder(run: Callable[..., Ran], command: str) -> None:
    ran = run(*command.split(), "")
    assert ran.exit_code == 2
    assert "the path is empty" in ran.err


def test_neither_variant_nor_checkpoint_is_a_usage_error(run: Callable[..., Ran]) -> None:
    ran = run("tf2pt")
    assert ran.exit_code == 2
    assert "--variant" in ran.err


@pytest.mark.parametrize(("command", "name"), [("tf2pt", "precious.safetensors"), ("pt2tf", "precious")])
def test_s9_an_output_that_exists_is_not_touched(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path, command: str, name: str
) -> None:
    output = tmp_path / name
    output.write_text("precious")
    ran = run(command, lite0, "--out", output)
    assert ran.exit_code == 8
    for nameless in (".", ".."):
        assert run(command, lite0, "--out", nameless, "--force").exit_code == 8
    assert "exists; give --force" in ran.err
    assert output.read_text() == "precious"


def test_a_failed_run_with_force_leaves_the_old_output(run: Callable[..., Ran], copy: Path, tmp_path: Path) -> None:
    output = tmp_path / "precious.safetensors"
    output.write_text("precious")
    flip(data_file(copy), -1)
    assert run("tf2pt", "--checkpoint", copy, "--out", output, "--force").exit_code == 3
    assert output.read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir() if "part" in entry.name] == []


def test_an_output_into_a_folder_that_does_not_exist_is_refused(
    run: Callable[..., Ran], lite0: Path, tmp_path: Path
) -> None:
    ran = run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "no" / "x.safetensors")
    assert ran.exit_code == 8
    assert "does not exist" in ran.err


def test_an_output_of_unknown_format_is_refused(run: Callable[..., Ran], lite0: Path, tmp_path: Path) -> None:
    ran = run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "x.tflite")
    assert ran.exit_code == 8
    assert "must be one of .safetensors, .pth" in ran.err


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "effconvert", *(str(argument) for argument in arguments)]


def limit_file_size() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))


@pytest.mark.parametrize("output", ["x.safetensors", "x.pth"])
def test_a_file_that_the_system_does_not_let_grow_is_an_output_problem(
    lite0: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "out").mkdir()
    command = program("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "out" / output)
    ran = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit_file_size, check=False)
    assert ran.returncode == 8, ran.stderr
    assert "cannot be written: File too large; nothing was changed" in ran.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("command", ["tf2pt --checkpoint CHECKPOINT --out DISK/x.safetensors", "pt2tf CONVERTED --out DISK/x"])  # fmt: skip
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a user a file system of his own")
def test_r5_a_full_disk_is_an_output_problem(lite0: Path, tmp_path: Path, command: str) -> None:
    converted = tmp_path / "lite0.safetensors"
    effconvert.convert(lite0, converted)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = command.replace("CHECKPOINT", str(lite0)).replace("CONVERTED", str(converted))
    words = command.replace("DISK", str(disk)).split()
    # A file system of 10 MB, in a name space of its own so that the user needs no rights.
    script = f'mount -t tmpfs -o size=10m none {disk} && "$@"; code=$?; ls -A {disk} >&2; exit $code'
    isolated = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    ran = subprocess.run([*isolated, *program(*words)], capture_output=True, text=True, check=False)
    assert ran.returncode == 8, ran.stderr
    message, *left = ran.stderr.splitlines()
    assert "No space left on device" in message
    assert "bytes are free" in message
    assert left == []


@pytest.mark.parametrize("round_", deep_but(range(12), lambda round_: round_ % 4 == 1))
def test_r5_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(
    b0: Path, tmp_path: Path, run: Callable[..., Ran], round_: int
) -> None:
    output = tmp_path / "x.safetensors"
    output.write_text("old")
    process = subprocess.Popen(program("tf2pt", "--quiet", "--force", "--checkpoint", b0, "--out", output))

    def parts() -> list[Path]:
        return [*tmp_path.glob(".effconvert-*.part")]

    while not parts() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(0.01 * round_)
    process.kill()
    process.wait()
    if output.read_bytes() != b"old":
        with effconvert.open_checkpoint(output) as checkpoint:
            check_digest(checkpoint)
    assert run("tf2pt", "--force", "--checkpoint", b0, "--out", output).exit_code == 0
    assert parts() == []
