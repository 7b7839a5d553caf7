"""A file of any layout is identified, and its tensors are given in the library's or the canonical layout."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch

import effconvert
from effconvert.architecture.canonical import tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import EffconvertError, LayoutMismatch, MissingPath, UnreadableCheckpoint
from effconvert.hashing import file_sha256
from effconvert.options import Options
from effconvert.verification.execution import prepare_run, run_file, settings_of
from effconvert.verification.inputs import Images, synthetic_inputs
from effconvert.verification.launching import LoaderRefused, run_network
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.verification.runs import open_run
from helpers.checkpoints import AVERAGE
from helpers.library_files import canonical_values, library_tensors, save
from helpers.verification.fake_pythons import fake_python, told
from helpers.verification.running_here import canonical_network_in_this_process
from helpers.verification.small_runs import write_run

INPUTS = synthetic_inputs(2, 32, 0)
# What a library keeps beside the weights of its network, and sets itself.
BESIDE = ("num_batches_tracked", "normalization/", "global_step")
WRITES = 'open(options["--out"], "wb").write(b"run")'


def weights(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: tensor for name, tensor in tensors.items() if not any(words in name for words in BESIDE)}


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Return whether names, shapes and values equal those of the other file, as float32."""
    return one.keys() == other.keys() and all(
        one[name].dtype == np.float32 and np.array_equal(one[name], other[name]) for name in one
    )


@pytest.fixture(scope="module")
def file_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., NetworkFile]:
    """Give a B0 of two classes as `layout` has it."""

    def written(layout: str, **changes: object) -> NetworkFile:
        path = tmp_path_factory.mktemp(layout) / "b0.pth"
        return examine(save(path, library_tensors(layout, **changes)))  # type: ignore[arg-type]

    return written


@pytest.fixture(scope="module")
def timm(file_of: Callable[..., NetworkFile]) -> NetworkFile:
    return file_of("timm")


@pytest.mark.parametrize("layout", ["timm", "mindcv", "mindvision", "lukemelas", "mmpretrain", "torchvision", "keras"])
def test_a_library_gets_its_own_names_and_axes(layout: str, file_of: Callable[..., NetworkFile]) -> None:
    found = file_of(layout)
    assert found.identity.layout_name == layout
    assert equal(found.library_tensors(), weights(library_tensors(layout)))


def test_a_keras_file_that_names_nothing_gets_the_names_of_the_network(file_of: Callable[..., NetworkFile]) -> None:
    found = file_of("keras-positional")
    assert (found.identity.layout_name, found.framework) == ("keras-positional", "keras")
    assert equal(found.library_tensors(), weights(library_tensors("keras")))


def test_transformers_without_a_classifier_gets_the_names_of_its_bare_network(
    file_of: Callable[..., NetworkFile],
) -> None:
    found = file_of("huggingface", bare=True, classes=0)
    expected = weights(library_tensors("huggingface", bare=True, classes=0))
    assert not any(name.startswith("efficientnet.") for name in expected)
    assert equal(found.library_tensors(), expected)


def test_names_under_another_scope_become_the_librarys(tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    nested = {"state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()}, "epoch": 3}
    assert equal(examine(save(tmp_path / "x.pth", nested)).library_tensors(), weights(tensors))


def test_the_averages_of_tensorflow_get_the_names_of_its_variables(b0: Path, b0_tensors: dict[str, np.ndarray]) -> None:
    found = examine(b0)
    averages = {name.removesuffix(AVERAGE): tensor for name, tensor in b0_tensors.items() if name.endswith(AVERAGE)}
    assert found.coverage.taken == "averages"
    assert equal(found.library_tensors(), averages)


def test_either_set_of_a_file_is_given_as_canonical(b0: Path, b0_tensors: dict[str, np.ndarray]) -> None:
    name, variable = "stem.bn.weight", "efficientnet-b0/stem/tpu_batch_normalization/gamma"
    averages, raw = examine(b0), examine(b0, Options(raw=True))
    sets = [
        file.canonical_tensors(only={name}, other=other)[name]
        for file, other in ((averages, False), (averages, True), (raw, False), (raw, True))
    ]
    average, plain = b0_tensors[variable + AVERAGE], b0_tensors[variable]
    assert not np.array_equal(average, plain)
    assert [
        np.array_equal(found, expected) for found, expected in zip(sets, (average, plain, plain, average), strict=True)
    ] == [True] * 4


def test_a_file_with_one_set_has_no_other(timm: NetworkFile, lite0: Path) -> None:
    assert timm.other == {}
    assert examine(lite0).other == {}


def test_canonical_tensors_are_those_of_the_network(timm: NetworkFile) -> None:
    tensors = timm.canonical_tensors()
    assert {name: tensor.shape for name, tensor in tensors.items()} == tensor_shapes(VARIANTS["b0"], timm.facts)
    assert equal(tensors, canonical_values("b0", 2))


def test_only_what_is_asked_for_is_read(timm: NetworkFile) -> None:
    assert list(timm.canonical_tensors(only={"head.fc.bias"})) == ["head.fc.bias"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_becomes_float32_value_by_value(tmp_path: Path, dtype: str) -> None:
    tensors = weights(library_tensors("timm"))
    halved = {name: torch.from_numpy(tensor).to(getattr(torch, dtype)) for name, tensor in tensors.items()}
    torch.save(halved, tmp_path / "half.pth")
    found = examine(tmp_path / "half.pth")
    assert found.dtype == dtype
    rounded = {name: tensor.float().numpy() for name, tensor in halved.items()}
    assert equal(found.library_tensors(), rounded)
    assert found.canonical_tensors()["stem.conv.weight"].dtype == np.float32


@pytest.fixture
def halved(tmp_path: Path) -> Callable[..., NetworkFile]:
    """Give timm's B0 with the tensors that begin as given in half precision."""

    def written(dtype: str, begin: str = "") -> NetworkFile:
        tensors = {name: torch.from_numpy(tensor) for name, tensor in weights(library_tensors("timm")).items()}
        half = {name: tensor.to(getattr(torch, dtype)) for name, tensor in tensors.items() if name.startswith(begin)}
        torch.save(tensors | half, tmp_path / f"{dtype}.pth")
        return examine(tmp_path / f"{dtype}.pth")

    return written


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_source_is_rounded_tensor_by_tensor_as_the_converted_file_holds_it(
    timm: NetworkFile, halved: Callable[..., NetworkFile], dtype: str
) -> None:
    half = halved(dtype, "conv_stem")
    rounded = timm.rounded_like(half)
    assert (rounded.rounded, rounded.dtype, rounded.sha256) == ({"stem.conv.weight": dtype}, dtype, timm.sha256)
    assert equal(rounded.canonical_tensors(), half.canonical_tensors())
    assert equal(rounded.library_tensors(), half.library_tensors())
    assert not equal(rounded.canonical_tensors(), timm.canonical_tensors())


def test_what_is_as_coarse_already_or_finer_in_the_converted_file_is_not_rounded(
    timm: NetworkFile, halved: Callable[..., NetworkFile]
) -> None:
    half, coarse = halved("float16"), halved("bfloat16")
    assert [one.rounded_like(other).rounded for one, other in ((timm, timm), (half, timm), (half, half))] == [{}] * 3
    assert set(half.rounded_like(coarse).rounded.values()) == {"bfloat16"}


def test_a_rounded_source_is_run_from_its_tensors(
    timm: NetworkFile, halved: Callable[..., NetworkFile], tmp_path: Path
) -> None:
    half = halved("float16")
    python = fake_python(tmp_path / "python", f'{WRITES}\nshutil.copy(options["--tensors"], __file__ + ".npz")')
    run_file(timm.rounded_like(half), "timm", str(python), INPUTS, tmp_path / "run.npz")
    (call,) = told(python)
    assert json.loads(call["settings"])["rounded"]["stem.conv.weight"] == "float16"
    with np.load(tmp_path / "python.py.npz") as given:
        assert equal(dict(given), half.library_tensors())


@pytest.mark.parametrize(
    ("coarsest", "dtype"), [(np.float32, "float32"), (np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")]
)
def test_the_dtype_of_a_file_is_that_of_its_coarsest_weight(tmp_path: Path, coarsest: type, dtype: str) -> None:
    tensors = weights(library_tensors("timm")) | {"classifier.bias": np.zeros(2, np.float64)}
    tensors["conv_stem.weight"] = tensors["conv_stem.weight"].astype(coarsest)
    safetensors.numpy.save_file(tensors, tmp_path / "x.safetensors")
    assert examine(tmp_path / "x.safetensors").dtype == dtype


@pytest.mark.parametrize(
    ("layer", "scopes"),
    [
        ("stem", {"conv_stem", "bn1"}),
        ("blocks.1", {"blocks.1.0.conv_pw", "blocks.1.0.bn1", "blocks.1.0.conv_dw", "blocks.1.0.bn2", "blocks.1.0.se.conv_reduce",
                      "blocks.1.0.se.conv_expand", "blocks.1.0.conv_pwl", "blocks.1.0.bn3"}),
        ("head", {"conv_head", "bn2"}),
        ("pooled", set()),
        ("logits", {"classifier"}),
    ],
)  # fmt: skip
def test_the_tensors_of_a_layer_are_named_in_both_worlds(timm: NetworkFile, layer: str, scopes: set[str]) -> None:
    tensors = timm.tensors_of(layer)
    assert {source.rpartition(".")[0] for source in tensors.values()} == scopes
    assert all(name.startswith("head." if layer == "logits" else f"{layer}.") for name in tensors)


def test_every_tensor_belongs_to_one_layer(timm: NetworkFile) -> None:
    layers = ["stem", *(f"blocks.{index}" for index in range(16)), "head", "pooled", "logits"]
    named = [name for layer in layers for name in timm.tensors_of(layer)]
    assert sorted(named) == sorted(timm.canonical_tensors())


def test_the_settings_say_what_is_run_and_are_plain_values(timm: NetworkFile) -> None:
    settings = settings_of(timm, "timm", INPUTS, None)
    assert json.loads(json.dumps(settings)) == settings
    said = {
        name: settings[name]
        for name in ("variant", "name", "classes", "padding", "size", "raw", "taken", "dtype", "follows")
    }
    assert said == {
        "variant": "b0", "name": "b0", "classes": 2, "padding": "tf-same", "size": 32, "raw": False, "taken": "weights",
        "dtype": "float32", "follows": None,
    }  # fmt: skip
    assert settings["sha256"] == {"b0.pth": file_sha256(timm.path)}
    assert settings["inputs_sha256"] == INPUTS.sha256


def test_the_facts_that_are_the_librarys_own_are_not_told_to_it(tmp_path: Path, timm: NetworkFile) -> None:
    """So that its own network shows a mistake in the map."""
    converted = tmp_path / "converted.pth"
    effconvert.convert(timm.path, converted, to="timm")
    kinds = {
        "as it came": timm,
        "symmetric": examine(timm.path, Options(facts={"padding": "symmetric"})),
        "another epsilon": examine(timm.path, Options(facts={"bn_eps": 1e-4})),
        "converted": examine(converted),
    }
    usual = {kind: settings_of(file, "timm", INPUTS, None)["usual"] for kind, file in kinds.items()}
    assert usual == {"as it came": True, "symmetric": False, "another epsilon": False, "converted": False}


def test_the_run_that_is_followed_is_known_by_its_hash(timm: NetworkFile, tmp_path: Path) -> None:
    reference = write_run(tmp_path / "run.npz")
    assert settings_of(timm, "timm", INPUTS, reference)["follows"] == file_sha256(reference)


def test_raw_is_what_was_taken_where_there_are_averages(b0: Path, lite0: Path) -> None:
    files = (examine(b0), examine(b0, Options(raw=True)), examine(lite0))
    assert [settings_of(file, "tensorflow", INPUTS, None)["raw"] for file in files] == [False, True, False]


def test_another_frameworks_file_is_refused_with_what_it_loads(timm: NetworkFile) -> None:
    with pytest.raises(LayoutMismatch) as caught:
        settings_of(timm, "keras", INPUTS, None)
    assert str(caught.value) == (
        f"{timm.path}: has the layout timm, which keras cannot load; keras loads keras and keras-positional"
    )


def test_a_file_that_was_converted_inexactly_is_for_another_network(tmp_path: Path) -> None:
    source = save(tmp_path / "tf_efficientnet_b0.pth", library_tensors("timm"))
    effconvert.convert(source, tmp_path / "x.pth", to="torchvision", allow_inexact=True)
    found = examine(tmp_path / "x.pth")
    assert (found.facts.padding, found.network_facts.padding) == ("tf-same", "symmetric")
    paddings = {name: settings_of(found, name, INPUTS, None)["padding"] for name in ("canonical", "torchvision")}
    assert paddings == {"canonical": "tf-same", "torchvision": "symmetric"}


def test_a_library_whose_loader_refuses_the_file_is_given_its_tensors(timm: NetworkFile, tmp_path: Path) -> None:
    python = fake_python(
        tmp_path / "python",
        f'if "--tensors" not in options: sys.exit(10)\n{WRITES}\nshutil.copy(options["--tensors"], __file__ + ".npz")',
    )
    run_file(timm, "timm", str(python), INPUTS, tmp_path / "run.npz")
    first, second = told(python)
    assert "--tensors" not in first["options"]
    assert second["arguments"][1] == str(timm.path)
    with np.load(tmp_path / "python.py.npz") as given:
        assert equal(dict(given), weights(library_tensors("timm")))
    assert sorted(path.name for path in tmp_path.glob("run*")) == ["run.npz"]


def test_a_library_that_refuses_the_tensors_too_has_the_last_word(timm: NetworkFile, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", 'print("timm: no", file=sys.stderr); sys.exit(10)')
    with pytest.raises(LoaderRefused, match="timm: no"):
        run_file(timm, "timm", str(python), INPUTS, tmp_path / "run.npz")
    assert len(told(python)) == 2


def canonical_run(file: NetworkFile, out: Path) -> None:
    with canonical_network_in_this_process():
        run_file(file, "canonical", "python", INPUTS, out)


def test_the_canonical_network_refuses_a_file_that_was_changed_since_it_was_looked_at(tmp_path: Path) -> None:
    file = examine(save(tmp_path / "b0.pth", library_tensors("timm")))
    save(file.path, library_tensors("timm", seed=1))
    with pytest.raises(LayoutMismatch, match=r"b0\.pth: has changed since it was examined"):
        canonical_run(file, tmp_path / "run.npz")
    assert not (tmp_path / "run.npz").exists()


def test_the_canonical_network_rounds_as_it_is_told(
    timm: NetworkFile, halved: Callable[..., NetworkFile], tmp_path: Path
) -> None:
    half = halved("bfloat16")
    for name, file in {"plain": timm, "rounded": timm.rounded_like(half), "half": half}.items():
        canonical_run(file, tmp_path / f"{name}.npz")
    with open_run(tmp_path / "rounded.npz") as rounded, open_run(tmp_path / "half.npz") as expected:
        assert all(np.array_equal(rounded.layer(name), expected.layer(name)) for name in expected.layers)
        with open_run(tmp_path / "plain.npz") as plain:
            assert not np.array_equal(plain.layer("stem"), rounded.layer("stem"))


def test_the_canonical_network_records_the_images_that_it_was_given(timm: NetworkFile, tmp_path: Path) -> None:
    told_of = dataclasses.replace(INPUTS, images=INPUTS.images[::-1].copy())
    settings = settings_of(timm, "canonical", told_of, None)
    with canonical_network_in_this_process():
        run_network("canonical", "python", timm.path, settings, {"images": INPUTS.images}, tmp_path / "run.npz")
    with open_run(tmp_path / "run.npz") as run:
        assert run.record["inputs_sha256"] == INPUTS.sha256 != told_of.sha256


def test_a_runner_that_fails_otherwise_is_not_started_again(timm: NetworkFile, tmp_path: Path) -> None:
    python = fake_python(tmp_path / "python", "sys.exit(1)")
    with pytest.raises(EffconvertError):
        run_file(timm, "timm", str(python), INPUTS, tmp_path / "run.npz")
    assert len(told(python)) == 1


def test_the_key_of_an_encrypted_file_is_in_no_settings(timm: NetworkFile, tmp_path: Path) -> None:
    key = b"0123456789abcdef"
    assert key.decode() not in json.dumps(settings_of(examine(timm.path, key=key), "canonical", INPUTS, None))
    prepare_run(timm.path, "auto", tmp_path / "elsewhere", Options(), key, Images(size=32), None, False)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == [
        "inputs.npz",
        "run_timm.pyz",
        "settings.json",
        "tensors.npz",
    ]
    assert not any(key in path.read_bytes() for path in (tmp_path / "elsewhere").iterdir())


def test_the_network_normalises_by_the_files_own_recipe(file_of: Callable[..., NetworkFile], tmp_path: Path) -> None:
    found, python = (
        file_of("mindcv"),
        fake_python(tmp_path / "python", f'{WRITES}\nshutil.copy(options["--inputs"], __file__ + ".npz")'),
    )
    run_file(found, "mindcv", str(python), INPUTS, tmp_path / "run.npz")
    with np.load(tmp_path / "python.py.npz") as given:
        assert np.array_equal(given["images"], INPUTS.images)
        assert (tuple(given["mean"]), tuple(given["std"])) == (found.recipe.mean, found.recipe.std)


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPath):
        examine(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UnreadableCheckpoint):
        examine(tmp_path / "text.pth")
    with pytest.raises(LayoutMismatch, match="of no known layout"):
        examine(save(tmp_path / "resnet.pth", {"conv1.weight": np.ones((64, 3, 7, 7), np.float32)}))


def test_a_file_that_lost_a_tensor_is_refused(tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    del tensors["conv_head.weight"]
    with pytest.raises(LayoutMismatch, match=r"head\.conv\.weight <- conv_head\.weight: missing"):
        examine(save(tmp_path / "x.pth", tensors))
