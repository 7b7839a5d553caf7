"""Networks of keras.applications as people save them are moved, refused by the layer's name, or said.

Whole models are refused where their graph computes otherwise; files of weights alone say what is assumed of them.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import effconvert
from effconvert.errors import LayoutMismatch
from effconvert.formats import Array
from helpers import golden_moves
from helpers.checkpoints import AVERAGE, random_checkpoint, read_all, same, write_checkpoint
from helpers.formats.keras_files import make
from helpers.formats.keras_graphs import Config, behind, called, chain, functional, layer, network, sequential

POOL, MOST = ("GlobalAveragePooling2D", "pool"), ("GlobalMaxPooling2D", "most")
WEIGHTS = [".h5", ".weights.h5"]
CLASSES = 5


def weights(seed: int = 0, head: str = "predictions", classes: int = CLASSES) -> dict[str, Array]:
    """Return random weights of B0 under Keras's names, the classifier called `head`; "" leaves it out."""
    random = np.random.default_rng(seed)
    listed = json.loads(gzip.decompress((golden_moves.GOLDEN.parent / "keras_layout.json.gz").read_bytes()))["b0"]
    arrays = {}
    for name, shape, dtype in listed:
        if name.startswith("predictions/"):
            if not head:
                continue
            name, shape = name.replace("predictions", head), [*shape[:-1], classes]
        arrays[name] = random.uniform(0.5, 1.5, shape).astype(dtype)
    return arrays


def weights_file(path: Path, arrays: Mapping[str, Array], *unweighted: tuple[str, str]) -> Path:
    """Write a file of weights that lists layers (class, name) without weights as well, as Keras does."""
    make(path, arrays, {})
    with h5py.File(path, "r+") as file:
        for kind, name in unweighted:
            if path.name.endswith(".weights.h5"):
                file.create_group(f"layers/{kind}/vars").attrs["name"] = name
            else:
                file.create_group(name).attrs["weight_names"] = np.array([], np.float64)
                listed = [*file.attrs["layer_names"], name.encode()]
                file.attrs["layer_names"] = [one if isinstance(one, bytes) else one.encode() for one in listed]
    return path


def whole_file(path: Path, arrays: Mapping[str, Array], config: Config) -> Path:
    """Write a whole model with `config`, whose weights lie in no model within it: `.keras`, or `.h5`."""
    if path.suffix == ".h5":
        make(path, arrays, {})
        with h5py.File(path) as file:
            names, groups = list(file.attrs["layer_names"]), list(file)
        with h5py.File(path, "r+") as file:
            held = file.create_group("model_weights")
            held.attrs["layer_names"] = names
            for group in groups:
                file.move(group, f"model_weights/{group}")
            file.attrs["model_config"] = json.dumps(config)
        return path
    inner = make(path.with_suffix(".weights.h5"), arrays, {})
    return archive(path, inner.read_bytes(), config)


def archive(path: Path, content: bytes, config: Config) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", json.dumps(config))
        file.writestr("model.weights.h5", content)
    return path


def head(*layers: tuple[str, str], name: str = "predictions") -> Config:
    return behind(network(), *chain("top_activation", *layers, ("Dense", name)))


def convert(path: Path, **options: Any) -> Any:
    return effconvert.convert(path, path.with_name("out.safetensors"), force=True, **options)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(LayoutMismatch) as error:
        convert(path, **options)
    return str(error.value)


def assumed(path: Path, **options: Any) -> list[str]:
    return [caution for caution in convert(path, **options).cautions if "weights and no graph" in caution]


# Whole models


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_max_pooling_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    said = refusal(whole_file(tmp_path / f"x{suffix}", weights(), head(MOST)))
    assert "most (GlobalMaxPooling2D): is between top_activation and the classifier predictions" in said
    own = whole_file(tmp_path / f"y{suffix}", weights(head="dense"), head(MOST, name="dense"))
    assert "the classifier dense" in refusal(own)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_network_under_such_a_head_is_taken_alone(tmp_path: Path, suffix: str) -> None:
    report = convert(whole_file(tmp_path / f"x{suffix}", weights(), head(MOST)), backbone=True)
    assert report.facts["classes"] == 0
    assert any("most (GlobalMaxPooling2D)" in caution for caution in report.cautions)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_mean_pooling_is_taken_without_a_word(tmp_path: Path, suffix: str) -> None:
    report = convert(whole_file(tmp_path / f"x{suffix}", weights(head="dense"), head(POOL, name="dense")))
    assert (report.moved, report.facts["classes"]) == (311, CLASSES)
    assert not [caution for caution in report.cautions if "classifier" in caution]


def test_what_makes_a_head_unknown_is_named(tmp_path: Path) -> None:
    arrays = weights(head="dense") | {"dense/kernel": np.ones((2560, 5), np.float32)}
    tops = [
        *chain("top_activation", POOL),
        *chain("top_activation", MOST),
        layer("Concatenate", "both", "pool", "most"),
    ]
    config = behind(network(), *tops, layer("Dense", "dense", "both"))
    said = refusal(whole_file(tmp_path / "x.keras", arrays, config))
    assert "both (Concatenate): takes pool (GlobalAveragePooling2D), most (GlobalMaxPooling2D)" in said


def test_a_graph_that_cannot_be_followed_is_refused(tmp_path: Path) -> None:
    config = head(POOL)
    config["config"]["layers"][40]["inbound_nodes"] = [[["nowhere", 0, 0, {}]]]
    assert "its graph cannot be interpreted" in refusal(whole_file(tmp_path / "x.keras", weights(), config))


def test_a_model_of_a_users_own_class_is_a_file_of_weights(tmp_path: Path) -> None:
    config = {"class_name": "Own", "config": {}}
    path = whole_file(tmp_path / "x.keras", weights(head="head"), config)
    assert "'head'" in assumed(path)[0]


def test_every_scale_before_the_network_counts(tmp_path: Path) -> None:
    """(pixel / 127.5 - 1) / 255 and then the network's own mean and deviation."""
    arrays = weights() | {
        "normalization/mean": np.full(3, 0.25, np.float32), "normalization/variance": np.full(3, 4, np.float32)
    }  # fmt: skip
    first = layer("Rescaling", "first", scale=1 / 127.5, offset=-1.0)
    config = sequential(first, head(POOL))
    report = convert(whole_file(tmp_path / "x.keras", arrays, config))
    assert np.allclose(report.recipe["std"], 127.5 * 255 * 2)
    assert np.allclose(report.recipe["mean"], 127.5 * (1 + 255 * 0.25))


def test_a_normalization_with_numbers_of_its_own_counts(tmp_path: Path) -> None:
    first = layer("Normalization", "first", axis=[-1], mean=[[[[1.0, 2.0, 3.0]]]], variance=[4.0, 9.0, 16.0])
    arrays = weights() | {
        "normalization/mean": np.zeros(3, np.float32), "normalization/variance": np.ones(3, np.float32)
    }  # fmt: skip
    report = convert(whole_file(tmp_path / "x.keras", arrays, sequential(first, head(POOL))))
    assert np.allclose(report.recipe["mean"], [1, 2, 3])
    assert np.allclose(report.recipe["std"], [510, 765, 1020])


def test_one_of_two_heads_is_taken_where_it_is_named(tmp_path: Path) -> None:
    heads = {f"other/{name}": np.ones(shape, np.float32) for name, shape in (("kernel", (1280, 3)), ("bias", (3,)))}
    tops = [*chain("top_activation", POOL, ("Dense", "dense")), *chain("pool", ("Dense", "other"))]
    config = behind(network(), *tops, layer("Concatenate", "joined", "dense", "other"))
    path = whole_file(tmp_path / "x.keras", weights(head="dense") | heads, config)
    assert "classifier=" in refusal(path)
    report = convert(path, classifier="dense", leave=["other/*"])
    assert report.facts["classes"] == CLASSES
    assert any("joined (Concatenate)" in caution for caution in report.cautions)
    assert convert(path, classifier="other", leave=["dense/*"]).facts["classes"] == 3


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_graph_tells_that_a_norm_stands_behind_the_pooling(tmp_path: Path, suffix: str) -> None:
    norm = {f"norm/{name}": np.ones(1280, np.float32) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    graph = head(POOL, ("BatchNormalization", "norm"), name="dense")
    held = whole_file(tmp_path / f"x{suffix}", weights(head="dense") | norm, graph)
    assert "norm/gamma: unknown, after the pooled features" in refusal(held)
    report = convert(held, backbone=True)
    assert {*norm, "dense/kernel", "dense/bias"} == report.left.keys()


# Files of weights alone


@pytest.mark.parametrize("suffix", WEIGHTS)
def test_what_keras_itself_writes_is_taken_without_a_word(tmp_path: Path, suffix: str) -> None:
    listed = [("input_layer", "input_layer_3"), ("rescaling", "rescaling_3"), ("activation", "top_activation"),
              ("dropout", "top_dropout"), ("global_average_pooling2d", "avg_pool")]  # fmt: skip
    assert assumed(weights_file(tmp_path / f"x{suffix}", weights(), *listed)) == []
    assert assumed(weights_file(tmp_path / f"y{suffix}", weights(head=""), *listed[:3], ("mean", "avg_pool"))) == []


@pytest.mark.parametrize("suffix", WEIGHTS)
def test_a_users_classifier_is_said_to_be_assumed_to_read_the_mean(tmp_path: Path, suffix: str) -> None:
    (caution,) = assumed(weights_file(tmp_path / f"x{suffix}", weights(head="dense_1")))
    assert "its classifier 'dense_1' reads the mean over the feature map (GlobalAveragePooling2D)" in caution
    assert "lists" not in caution


@pytest.mark.parametrize("suffix", WEIGHTS)
@pytest.mark.parametrize("own", ["dense", "predictions"])
def test_layers_that_keras_does_not_have_are_named(tmp_path: Path, suffix: str, own: str) -> None:
    listed = [("global_max_pooling2d", "global_max_pooling2d_1"), ("dropout", "dropout")]
    (caution,) = assumed(weights_file(tmp_path / f"x{suffix}", weights(head=own), *listed))
    assert "it lists global_max_pooling2d_1: before its classifier" in caution


def test_layers_outside_of_an_unnamed_network_are_named_where_its_classifier_lies_there(tmp_path: Path) -> None:
    """As Keras before 3.6 wrote it: no names, only classes."""
    head = {name: array for name, array in weights().items() if name.startswith("predictions/")}
    (tmp_path / "x.weights.h5").write_bytes(numbered(tmp_path, {"first": weights(head="")}))
    with h5py.File(tmp_path / "x.weights.h5", "r+") as file:
        for name, array in zip(("0", "1"), (head["predictions/kernel"], head["predictions/bias"]), strict=True):
            file.create_dataset(f"layers/dense/vars/{name}", data=array)
        file.create_group("layers/global_max_pooling2d/vars")
        file.visititems(lambda _, one: [one.attrs.pop(name) for name in list(one.attrs)] and None)
    (caution,) = assumed(tmp_path / "x.weights.h5")
    assert "it lists global_max_pooling2d: before its classifier" in caution


def test_a_classifier_outside_of_the_network_is_a_users(tmp_path: Path) -> None:
    head = {name: array for name, array in weights().items() if name.startswith("predictions/")}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_legacy(file, {"efficientnetb0": weights(head=""), "predictions": head})
    assert "'predictions'" in assumed(tmp_path / "x.h5")[0]


# Several networks in one file


def write_legacy(file: Any, models: Mapping[str, Mapping[str, Array]]) -> None:
    file.attrs["layer_names"] = [name.encode() for name in models]
    for model, arrays in models.items():
        group = file.create_group(model)
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, array in arrays.items():
            group.create_dataset(name, data=array)


def numbered(folder: Path, models: Mapping[str, Mapping[str, Array]]) -> bytes:
    """Return a `.weights.h5` with every model in a model."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for number, (model, arrays) in enumerate(models.items()):
            inner = make(folder / f"{model}.weights.h5", arrays, {})
            path = "layers/functional" + (f"_{number}" if number else "")
            with h5py.File(inner) as source:
                source.copy("layers", file, f"{path}/layers")
            file.create_group(f"{path}/vars").attrs["name"] = model
    return content.getvalue()


def two_networks(path: Path) -> Path:
    """Write a model with two networks, as weights or as a whole."""
    models = {"first": weights(1), "second": weights(2)}
    networks = [called(head(POOL), name, "entrance") for name in models]
    config = functional("both", *networks, layer("Average", "average", "first", "second"))
    if path.suffix == ".keras":
        return archive(path, numbered(path.parent, models), config)
    if path.name.endswith(".weights.h5"):
        path.write_bytes(numbered(path.parent, models))
        return path
    with h5py.File(path, "w") as file:
        if path.name.startswith("whole"):
            file.attrs["model_config"] = json.dumps(config)
            write_legacy(file.create_group("model_weights"), models)
        else:
            write_legacy(file, models)
    return path


TWO = pytest.mark.parametrize("name", ["x.keras", "whole.h5", "x.weights.h5", "x.h5"])


@TWO
def test_several_networks_are_listed(tmp_path: Path, name: str) -> None:
    said = refusal(two_networks(tmp_path / name))
    assert "holds several networks; choose one with root=" in said
    assert "'first/'" in said
    assert "'second/'" in said


@TWO
def test_the_root_chooses_one(tmp_path: Path, name: str) -> None:
    report = convert(two_networks(tmp_path / name), root="second/")
    assert (report.moved, report.left_behind["the network's own normalization"]) == (311, 3)
    alone = make(tmp_path / "alone.h5", weights(2), {})
    effconvert.convert(alone, tmp_path / "alone.safetensors")
    assert same(read_all(tmp_path / "out.safetensors"), read_all(tmp_path / "alone.safetensors"))
    assert np.allclose(report.recipe["mean"], 255 * weights(2)["normalization/mean"])


@pytest.mark.parametrize("name", ["x.keras", "whole.h5"])
def test_what_joins_the_networks_is_said_to_be_left_out(tmp_path: Path, name: str) -> None:
    report = convert(two_networks(tmp_path / name), root="first/")
    assert any("average (Average)" in caution for caution in report.cautions)


# V1 checkpoints of a Keras graph


def saved_by_v1(folder: Path, arrays: Mapping[str, Array], scope: str = "") -> Path:
    names = {name: name.replace("dwconv/kernel", "dwconv/depthwise_kernel") for name in arrays}
    return write_checkpoint(folder, {scope + names[name]: array for name, array in arrays.items()})


def slots(arrays: Mapping[str, Array], scope: str = "") -> dict[str, Array]:
    """Return what optimizers keep beside a network: of TensorFlow, and of Keras."""
    kernel = arrays["block2a_dwconv/kernel"]
    names = [f"{scope}block2a_dwconv/depthwise_kernel/{slot}" for slot in ("Adam", "Adam_1", "Momentum", "RMSProp")]
    names += [f"{optimizer}/{scope}block2a_dwconv/depthwise_kernel/m" for optimizer in ("training/Adam", "Adam")]
    names += [f"Adam/m/{scope}stem_conv/kernel"]
    alone = {name: np.float32(1) for name in ("beta1_power", "beta2_power", "total", "count", "Adam/lr", "total_1")}
    return dict.fromkeys(names, kernel) | {"global_step": np.int64(1), "Adam/iterations": np.int64(1)} | alone


@pytest.mark.parametrize("scope", ["", "efficientnetb0/"])
def test_a_v1_checkpoint_of_a_keras_graph_is_read(tmp_path: Path, scope: str) -> None:
    report = convert(saved_by_v1(tmp_path / "v1", weights(), scope))
    assert (report.layout, report.moved) == ("keras", 311)
    effconvert.convert(make(tmp_path / "x.h5", weights(), {}), tmp_path / "same.safetensors")
    assert same(read_all(tmp_path / "out.safetensors"), read_all(tmp_path / "same.safetensors"))


def test_the_state_of_its_training_is_left_behind_with_a_reason(tmp_path: Path) -> None:
    scope = "efficientnetb0/"
    held = saved_by_v1(tmp_path / "v1", weights(), scope)
    tensors = read_all(held) | slots(weights(), scope)
    report = convert(write_checkpoint(tmp_path / "v1", tensors))
    assert report.moved == 311
    assert report.left_behind["optimizer slot"] == 4
    assert report.left_behind["training step counter"] == 1
    assert report.left_behind["a metric"] == 3


def test_its_averages_are_taken_where_they_are_there(tmp_path: Path) -> None:
    arrays, averages = weights(1), weights(2)
    counted = {name: array for name, array in averages.items() if not name.startswith("normalization")}
    tensors = read_all(saved_by_v1(tmp_path / "raw", arrays))
    tensors |= {name + AVERAGE: array for name, array in read_all(saved_by_v1(tmp_path / "ema", counted)).items()}
    held = write_checkpoint(tmp_path / "both", tensors)
    for raw, wanted in ((True, arrays), (False, averages)):
        report = convert(held, raw=raw)
        assert report.moved == 311
        effconvert.convert(make(tmp_path / "x.h5", wanted, {}), tmp_path / "same.safetensors", force=True)
        assert same(read_all(tmp_path / "out.safetensors"), read_all(tmp_path / "same.safetensors"))


def test_a_users_classifier_in_it_is_taken_and_said_to_be_assumed_to_read_the_mean(tmp_path: Path) -> None:
    (caution,) = assumed(saved_by_v1(tmp_path / "v1", weights(head="dense")))
    assert "its classifier 'dense' reads the mean" in caution


def test_it_lists_no_layers_so_that_even_the_librarys_own_classifier_is_assumed_to_read_the_mean(
    tmp_path: Path,
) -> None:
    (caution,) = assumed(saved_by_v1(tmp_path / "v1", weights()))
    assert "its classifier 'predictions' reads the mean" in caution


def test_averages_of_some_tensors_are_never_mixed_with_raw_ones(tmp_path: Path) -> None:
    averages = {name: array for name, array in weights(2).items() if "moving" not in name and "normal" not in name}
    tensors = read_all(saved_by_v1(tmp_path / "raw", weights(1)))
    tensors |= {name + AVERAGE: array for name, array in read_all(saved_by_v1(tmp_path / "ema", averages)).items()}
    assert "sets are never mixed" in refusal(write_checkpoint(tmp_path / "both", tensors))


# What Keras does not have


@pytest.mark.parametrize("variant", ["lite0", "edgetpu-s", "cc-b0-4e"])
def test_networks_that_keras_does_not_have_are_refused_with_the_reason(tmp_path: Path, variant: str) -> None:
    folder, _ = random_checkpoint(tmp_path / "tf", variant)
    with pytest.raises(LayoutMismatch, match=f"layout keras cannot hold {variant}: keras.applications"):
        effconvert.convert(folder, tmp_path / "x.keras", to="keras")
