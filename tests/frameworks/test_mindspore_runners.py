"""The runners of mindvision and MindCV give every layer of the real networks, and report unsupported files."""

import json
from types import SimpleNamespace

import mindspore
import numpy as np
import pytest
import torch

from effconvert.model import create_model
from effconvert.model.calibration import synthetic_images
from helpers import mindspore_weights
from helpers.deep import deep_but
from helpers.frameworks.figures import distance, record
from helpers.frameworks.running_runners import (
    TOLERANCE,
    assert_same_layers,
    called,
    canonical_fed,
    canonical_layers,
    part,
    ran_runner,
    run,
    settings_of,
)
from helpers.frameworks.torch_libraries import calibrated, write

EVEN = (96, 96)
ODD_AND_EVEN = (97, 110)
SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
SAME = {"padding": "tf-same", "bn_eps": 1e-5}
FACTS = {"mindvision": SYMMETRIC, "mindcv": SAME}
OTHER_PADDING = {"mindvision": {"padding": "tf-same"}, "mindcv": {"padding": "symmetric"}}
LIBRARIES = pytest.mark.parametrize("library", FACTS)
CASES = [
    ("mindvision", "b0", SYMMETRIC),
    ("mindvision", "b2", SYMMETRIC | {"classes": 7}),
    ("mindvision", "b5", SYMMETRIC | {"bn_eps": 1e-3}),
    ("mindvision", "b5", SYMMETRIC | {"classes": 0}),  # as the wheel builds it from a YAML config
    ("mindcv", "b0", SAME),
    ("mindcv", "b0", SAME | {"classes": 0}),
    ("mindcv", "b0", SAME | {"in_channels": 4}),
    ("mindcv", "b5", SAME | {"bn_eps": 1e-3, "classes": 7}),
]


def images_of(size, seed=3, channels=3):
    return np.asarray(synthetic_images(2, *size, seed=seed, channels=channels), np.float32)


def parameters_in(file):
    return {name: value.asnumpy() for name, value in mindspore.load_checkpoint(str(file)).items()}


def save(file, arrays, **options):
    rows = [{"name": name, "data": mindspore.Tensor(array)} for name, array in arrays.items()]
    mindspore.save_checkpoint(rows, str(file), **options)
    return file


@pytest.fixture(scope="module", params=FACTS)
def b0(request, tmp_path_factory):
    """A calibrated network of the library, its file and settings, and a run of it."""
    folder = tmp_path_factory.mktemp(request.param)
    network = calibrated("b0", EVEN, **FACTS[request.param])
    file, settings = folder / "model.ckpt", settings_of(network)
    write(network, file, request.param)
    _, arrays = run(request.param, folder, file, settings, images_of(EVEN))
    return SimpleNamespace(library=request.param, network=network, file=file, settings=settings, arrays=arrays)


def run_b0(b0, folder, file, **options):
    """Run the library on another file with the settings and the images of `b0`; return record and arrays."""
    return run(b0.library, folder, file, b0.settings, images_of(EVEN), **options)


def failed_b0(b0, folder, file, changes, **options):
    """Return the exit code and the last line of a run that fails; `changes` are those of the settings."""
    ran = ran_runner(b0.library, folder, file, b0.settings | changes, images_of(EVEN), **options)
    return ran.exit_code, ran.err.splitlines()[-1]


@pytest.mark.parametrize(("library", "variant", "facts"), deep_but(CASES, lambda case: case[1] == "b0"), ids=str)
def test_every_layer_is_that_of_the_canonical_network(tmp_path, library, variant, facts):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    write(network, tmp_path / "model.ckpt", library)
    for size in (ODD_AND_EVEN, EVEN):
        images = images_of(size, channels=network.facts.in_channels)
        said, arrays = run(library, tmp_path, tmp_path / "model.ckpt", settings_of(network), images)
        expected = canonical_layers(network, images)
        assert said["loader"] == "mindspore.load_checkpoint"
        assert said["layers"] == list(expected)
        assert_same_layers(f"runner of {library}, {variant} {facts}, {size}", part(arrays, "layer"), expected)


@LIBRARIES
def test_it_gives_what_the_library_gave_when_the_golden_outputs_were_made(tmp_path, library):
    file = save(tmp_path / "model.ckpt", mindspore_weights.parameters(library))
    golden = mindspore_weights.golden(library)
    settings = settings_of(create_model("b0", **FACTS[library]))
    _, arrays = run(library, tmp_path, file, settings, golden["x"])
    for name in ("pooled", "logits"):
        error = distance(arrays[f"layer/{name}"], golden[name])
        assert record(f"runner of {library}, golden b0", name, error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def test_fed_with_the_layers_of_other_images_each_gives_what_the_canonical_one_gives_for_them(tmp_path, b0):
    feed = canonical_layers(b0.network, images_of(EVEN, seed=4))
    _, arrays = run_b0(b0, tmp_path, b0.file, feed=feed)
    found, expected = part(arrays, "fed"), canonical_fed(b0.network, feed)
    assert np.array_equal(found.pop("stem"), arrays["layer/stem"])
    assert_same_layers(f"runner of {b0.library}, fed", found, expected)
    assert all(distance(arrays[f"layer/{name}"], expected[name]) > 0.1 for name in expected)


def test_a_fault_in_one_block_shows_in_that_block_alone_when_fed(tmp_path, b0):
    faulty = create_model("b0", **FACTS[b0.library])
    faulty.load_state_dict(b0.network.state_dict())
    with torch.no_grad():
        faulty.blocks[5].depthwise.conv.weight.mul_(1.2)
    write(faulty, tmp_path / "model.ckpt", b0.library)
    right = canonical_layers(b0.network, images_of(EVEN))
    _, arrays = run_b0(b0, tmp_path, tmp_path / "model.ckpt", feed=right)
    errors = {name: distance(array, right[name]) for name, array in part(arrays, "fed").items()}
    assert [name for name, error in errors.items() if not error <= TOLERANCE] == ["blocks.5"]
    assert errors["blocks.5"] > 1e-2
    assert distance(arrays["layer/logits"], right["logits"]) > 1e-2


def test_the_wrong_padding_would_be_noticed_from_the_stem_on(b0):
    other = create_model("b0", **(FACTS[b0.library] | OTHER_PADDING[b0.library]))
    other.load_state_dict(b0.network.state_dict())
    expected = canonical_layers(other, images_of(EVEN))
    assert distance(b0.arrays["layer/stem"], expected["stem"]) > 1e-2
    assert distance(b0.arrays["layer/logits"], expected["logits"]) > 1e-2


def test_given_tensors_are_loaded_in_place_of_a_file_that_is_not_read(tmp_path, b0):
    said, arrays = run_b0(b0, tmp_path, tmp_path / "absent.pth", tensors=parameters_in(b0.file))
    assert said["loader"] == "load_param_into_net of given tensors"
    assert arrays.keys() == b0.arrays.keys()
    assert all(np.array_equal(arrays[name], b0.arrays[name]) for name in arrays)


def test_the_same_run_is_the_same_file(tmp_path, b0):
    run_b0(b0, tmp_path, b0.file)
    assert (tmp_path / "run.npz").read_bytes() == b0.file.with_name("run.npz").read_bytes()


def test_what_training_adds_to_a_file_is_no_hindrance(tmp_path, b0):
    weights = parameters_in(b0.file)
    slots = {f"{slot}.{name}": value + 1 for slot in ("moment", "mean_square") for name, value in weights.items()}
    step = {"global_step": np.array([7], np.int32)}
    file = save(tmp_path / "trained.ckpt", slots | weights | step, append_dict={"epoch_num": 3, "note": "x"})
    _, arrays = run_b0(b0, tmp_path, file)
    assert all(np.array_equal(arrays[name], b0.arrays[name]) for name in b0.arrays)


def test_safetensors_are_loaded(tmp_path, b0):
    write(b0.network, tmp_path / "model.safetensors", b0.library)
    said, arrays = run_b0(b0, tmp_path, tmp_path / "model.safetensors")
    assert said["loader"] == "mindspore.load_checkpoint"
    assert all(np.array_equal(arrays[name], b0.arrays[name]) for name in b0.arrays)


def cut(path, weights):
    save(path, weights)
    path.write_bytes(path.read_bytes()[:3_000_000])
    return path


def encrypted(path, weights):
    return save(path, weights, enc_key=b"0123456789abcdef")


def of_another_name(path, weights):
    return save(path, weights).rename(path.with_suffix(".bin"))


def of_half_precision(path, weights):
    return save(path, {name: value.astype(np.float16) for name, value in weights.items()})


def incomplete(path, weights):
    return save(path, dict(list(weights.items())[:-2]))


def of_a_deeper_network(path, weights):
    name = next(iter(weights)).split(".")[0] + ".6.9.gamma"
    return save(path, weights | {name: np.ones(3, np.float32)})


def with_averages(path, weights):
    return save(path, weights | {f"ema.{name}": value for name, value in weights.items()})


UNLOADABLE = [
    (cut, "mindspore.load_checkpoint: Failed to read the checkpoint file"),
    (encrypted, "mindspore.load_checkpoint: Failed to read the checkpoint file"),
    (of_another_name, "model.bin"),
    (of_half_precision, "should have the same type"),
    (incomplete, "2 parameters do not fit: "),
    (of_a_deeper_network, "6.9.gamma is not in the network"),
    (with_averages, "311 parameters do not fit: ema."),
]


@pytest.mark.parametrize(("made", "words"), UNLOADABLE, ids=[made.__name__ for made, _ in UNLOADABLE])
def test_a_file_that_the_loader_does_not_take_is_told_from_other_failures(tmp_path, b0, made, words):
    file = made(tmp_path / "model.ckpt", parameters_in(b0.file))
    exit_code, said = failed_b0(b0, tmp_path, file, {})
    assert exit_code == 10
    assert said.startswith(f"{b0.library}: ")
    assert words in said


def test_raw_weights_are_loaded_from_beside_their_averages(tmp_path, b0):
    file = with_averages(tmp_path / "model.ckpt", parameters_in(b0.file))
    _, arrays = run(b0.library, tmp_path, file, b0.settings | {"raw": True}, images_of(EVEN))
    assert all(np.array_equal(arrays[name], b0.arrays[name]) for name in b0.arrays)


def test_given_tensors_that_do_not_fit_are_refused_all_at_once(tmp_path, b0):
    tensors = parameters_in(b0.file)
    reshaped, removed = list(tensors)[-2:]  # the classifier's weight and bias
    del tensors[removed]
    tensors |= {reshaped: np.ones(3, np.float32), "unknown.gamma": np.ones(3, np.float32)}
    assert failed_b0(b0, tmp_path, b0.file, {}, tensors=tensors) == (
        4,
        f"{b0.library}: 3 parameters do not fit: {removed} is missing; {reshaped} has the shape [3], "
        "expected [1000, 1280]; unknown.gamma is not in the network",
    )


def test_facts_that_the_library_cannot_build_are_refused_all_at_once(tmp_path, b0):
    wrong = {"name": "b8", "bn_eps": 1e-3, "activation": "relu6", "head_conv": False, "normalization": "keras"}
    wrong |= OTHER_PADDING[b0.library]
    exit_code, said = failed_b0(b0, tmp_path, b0.file, wrong)
    assert exit_code == 4
    assert said.startswith(f"{b0.library}: {b0.library} cannot build an EfficientNet with ")
    assert [f"{fact}={value} (it has " in said for fact, value in wrong.items()] == [True] * 6


def test_mindcv_builds_its_wide_networks_with_one_eps_only(tmp_path):
    settings = settings_of(create_model("b5", **SAME))
    ran = ran_runner("mindcv", tmp_path, tmp_path / "absent.ckpt", settings, images_of(EVEN))
    assert (ran.exit_code, ran.err.splitlines()[-1]) == (
        4,
        "mindcv: mindcv cannot build an EfficientNet with bn_eps=1e-05 (it has 0.001)",
    )


@LIBRARIES
def test_check_prints_the_versions(tmp_path, library):
    ran = called(library, "--check", folder=tmp_path)
    assert ran.exit_code == 0
    said = json.loads(ran.out.splitlines()[-1])
    assert said.keys() == {"python", "numpy", library, "mindspore"}
    assert (said["mindspore"], said["numpy"]) == (mindspore.__version__, np.__version__)


FAILS_TO_MULTIPLY = """
PYNATIVE_MODE = 1
def set_context(**options): pass
class Tensor:
    def __init__(self, values): pass
    def __mul__(self, other): raise SystemError("__mul__ returned a result with an exception set")
"""


@LIBRARIES
@pytest.mark.parametrize(
    ("module", "words"),
    [("raise ImportError('libgomp.so.1')", "libgomp.so.1"), (FAILS_TO_MULTIPLY, "install numpy<2")],
    ids=["broken", "beside NumPy 2"],
)
def test_a_mindspore_that_does_not_work_is_a_missing_framework(tmp_path, monkeypatch, library, module, words):
    (tmp_path / "mindspore.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = called(library, "--check", folder=tmp_path)
    assert ran.exit_code == 9
    assert ran.err.splitlines()[-1].startswith(f"{library}: {library} cannot be imported: ")
    assert words in ran.err.splitlines()[-1]
