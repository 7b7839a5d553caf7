"""`convert --to onnx`: the network as a graph, from any layout; what effconvert wrote is read back as weights."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import effconvert
from effconvert.errors import LayoutMismatch, NumericMismatch, OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.graphs import onnx_writing
from effconvert.graphs.onnx_graph import build_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from helpers.checkpoints import read_all, same
from helpers.formats.building import make_safetensors
from helpers.running import Ran


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of timm's names, from which every conversion here starts."""
    folder = tmp_path_factory.mktemp("lite0")
    network = calibrate(random_weights(effconvert.create_model("lite0")), synthetic_images(8, 64, 64))
    made = make_safetensors(folder / "made.safetensors", {k: v.numpy() for k, v in network.state_dict().items()})
    effconvert.convert(made, folder / "canonical.safetensors", weights="base", facts={"bn_eps": 1e-3})
    effconvert.convert(folder / "canonical.safetensors", folder / "timm.pth", to="timm")
    return folder / "timm.pth"


@pytest.fixture(scope="module")
def written(lite0: Path) -> Path:
    effconvert.convert(lite0, lite0.with_name("lite0.onnx"), to="onnx", size=64)
    return lite0.with_name("lite0.onnx")


def computed(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def test_the_file_is_checked_and_run_before_it_gets_its_name(lite0: Path, tmp_path: Path) -> None:
    report = effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64)
    onnx.checker.check_model(str(tmp_path / "x.onnx"), full_check=True)
    assert report.execution.startswith(f"run by onnxruntime {onnxruntime.__version__}: within ")
    assert report.graph["size"] == 64


def test_it_computes_the_network(lite0: Path, written: Path) -> None:
    images = synthetic_images(2, 64, 64, seed=1)
    with torch.no_grad():
        expected = effconvert.load_model(lite0, facts={"bn_eps": 1e-3})(images).numpy()
    assert np.abs(computed(written, images.numpy()) - expected).max() < 2e-5 * np.abs(expected).max()


def test_the_same_input_gives_the_same_bytes_which_are_those_of_onnx(
    lite0: Path, written: Path, tmp_path: Path
) -> None:
    effconvert.convert(lite0, tmp_path / "again.onnx", to="onnx", size=64)
    content = written.read_bytes()
    assert (tmp_path / "again.onnx").read_bytes() == content
    model = onnx.load(str(written))
    assert model.SerializeToString(deterministic=True) == content
    network = effconvert.load_model(written)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    words = {one.key: one.value for one in model.metadata_props}
    built = build_model(network.variant, network.facts, tensors, image_size=64, metadata=words)
    assert built.SerializeToString(deterministic=True) == content


def test_weights_come_back_bit_for_bit_in_any_layout(lite0: Path, written: Path, tmp_path: Path) -> None:
    effconvert.convert(written, tmp_path / "back.pth", to="timm")
    effconvert.convert(lite0, tmp_path / "direct.pth", to="timm", facts={"bn_eps": 1e-3})
    assert same(read_all(tmp_path / "back.pth"), read_all(tmp_path / "direct.pth"))


def test_variant_facts_recipe_and_origin_are_in_the_file(lite0: Path, written: Path) -> None:
    found = effconvert.inspect(written)
    assert (found.format, found.layout, found.variant) == ("ONNX", "canonical", "lite0")
    assert found.description is not None
    assert found.description.layout == "tf-official" or found.description.layout == "canonical"
    words = onnxruntime.InferenceSession(str(written)).get_modelmeta().custom_metadata_map
    assert json.loads(words["graph"])["size"] == 64
    assert json.loads(words["source"])[lite0.name]


@pytest.mark.parametrize("softmax", [False, True])
def test_a_folded_graph_of_any_size_computes_the_same(lite0: Path, tmp_path: Path, softmax: bool) -> None:
    report = effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", fold=True, free_size=True, with_softmax=softmax)
    assert report.tensors == len(onnx.load(str(tmp_path / "x.onnx")).graph.initializer)
    images = synthetic_images(2, 75, 98, seed=1)
    with torch.no_grad():
        expected = effconvert.load_model(lite0, facts={"bn_eps": 1e-3})(images)
        wanted = (expected.softmax(1) if softmax else expected).numpy()
    assert np.abs(computed(tmp_path / "x.onnx", images.numpy()) - wanted).max() < 2e-5 * np.abs(wanted).max()


def test_a_graph_that_normalises_takes_pixels(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64, with_normalisation=True)
    recipe = effconvert.load_model(lite0, facts={"bn_eps": 1e-3}).recipe
    assert recipe
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.float32)
    mean, std = (np.array(numbers, np.float32).reshape(3, 1, 1) for numbers in (recipe.mean, recipe.std))
    with torch.no_grad():
        expected = effconvert.load_model(lite0, facts={"bn_eps": 1e-3})(torch.from_numpy((pixels - mean) / std)).numpy()
    assert np.abs(computed(tmp_path / "x.onnx", pixels) - expected).max() < 2e-5 * np.abs(expected).max()


def test_a_folded_graph_is_refused_as_weights(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64, fold=True)
    with pytest.raises(
        UnreadableCheckpoint, match="is folded into the kernels, so that it holds no weights; give the checkp"
    ):
        effconvert.convert(tmp_path / "x.onnx", tmp_path / "y.pth", to="timm")


def test_a_model_that_another_program_folded_is_refused_as_weights(written: Path, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "x.onnx")
    onnxruntime.InferenceSession(str(written), options, providers=["CPUExecutionProvider"])
    with pytest.raises(UnreadableCheckpoint, match="holds no weights"):
        effconvert.convert(tmp_path / "x.onnx", tmp_path / "y.pth", to="timm")


def test_a_changed_value_is_noticed(written: Path, tmp_path: Path) -> None:
    model = onnx.load(str(written))
    tensor = next(one for one in model.graph.initializer if one.name == "stem.conv.weight")
    tensor.raw_data = tensor.raw_data[:-1] + bytes([tensor.raw_data[-1] ^ 1])
    onnx.save(model, str(tmp_path / "x.onnx"))
    with pytest.raises(UnreadableCheckpoint, match="was changed after it was written"):
        effconvert.convert(tmp_path / "x.onnx", tmp_path / "y.pth", to="timm")


def test_a_model_that_computes_otherwise_is_not_kept(
    lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnx_writing.write_onnx

    def with_another_padding(file, network, *rest):
        stem = next(node for node in network.graph.node if node.op_type == "Conv")
        pads = next(one for one in stem.attribute if one.name == "pads")
        pads.ints[:] = [1, 1, 0, 0]
        real(file, network, *rest)

    monkeypatch.setattr(onnx_writing, "write_onnx", with_another_padding)
    with pytest.raises(NumericMismatch, match="it was not kept"):
        effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_too_large_for_one_file_is_refused(
    lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writing, "MOST_BYTES", 1 << 20)
    with pytest.raises(OutputProblem, match="one message of protocol buffers, which has at most 1,048,576"):
        effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64)
    assert list(tmp_path.iterdir()) == []


def test_without_onnxruntime_the_report_says_that_nothing_was_run(
    lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    report = effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx", size=64)
    assert report.execution == "not run: the package onnxruntime is not installed"


def test_without_onnx_the_extra_is_named(lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Unavailable, match=r'pip install "effconvert\[onnx\]"'):
        effconvert.convert(lite0, tmp_path / "x.onnx", to="onnx")


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        ("x.pth", {"to": "timm", "fold": True}, 'fold=True is for a graph, which to="onnx" writes; timm is a file'),
        ("x.pth", {"to": "timm", "size": 64}, "size=… is for a graph"),
        ("x.onnx", {"to": "onnx", "size": 64, "free_size": True}, "give only one of free_size=True and size=…"),
        ("x.onnx", {"to": "onnx", "dtype": "float16"}, "written in float32, not float16"),
        ("x.onnx", {"to": "onnx", "batch": 0}, "must be 1 or more"),
        ("x.onnx", {"to": "onnx", "backbone": True, "with_softmax": True}, "a softmax needs a classifier"),
    ],
)
def test_options_that_do_not_fit_are_refused(lite0: Path, tmp_path: Path, out: str, options: dict, words: str) -> None:
    with pytest.raises(LayoutMismatch) as failure:
        effconvert.convert(lite0, tmp_path / out, **options)
    assert words in str(failure.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "to", "words"),
    [
        ("x.onnx", "canonical", 'x.onnx: .onnx is a graph of ONNX, which convert writes with to="onnx"'),
        ("x.pth", "onnx", "x.pth: the file that is written ends in .onnx"),
    ],
)
def test_the_suffix_and_the_target_must_agree(lite0: Path, tmp_path: Path, out: str, to: str, words: str) -> None:
    with pytest.raises(OutputProblem) as failure:
        effconvert.convert(lite0, tmp_path / out, to=to)
    assert words in str(failure.value)


def test_inspect_says_what_a_model_takes_and_gives(lite0: Path, written: Path, tmp_path: Path) -> None:
    own = effconvert.inspect(written)
    assert own.graph is not None
    needs = own.graph.needs
    assert (needs.input, needs.layout, needs.height, needs.batch) == ("images", "NCHW", 64, None)
    assert (needs.normalization, needs.ends, own.graph.variants) == (None, "", ("lite0",))
    effconvert.convert(
        lite0, tmp_path / "x.onnx", to="onnx", size=64, fold=True, with_normalisation=True, with_softmax=True
    )
    folded = effconvert.inspect(tmp_path / "x.onnx")
    assert folded.graph is not None
    assert (folded.layout, folded.variant, folded.graph.needs.ends) == (None, "lite0", "softmax")
    assert folded.graph.needs.normalization is not None
    assert folded.graph.needs.normalization.mean == (127, 127, 127)
    assert "no weights" in folded.line
    assert json.loads(json.dumps(folded.to_dict()))["graph"]["output"]["ends"] == "softmax"


def test_inspect_describes_a_model_of_another_exporter(tmp_path: Path, run: Callable[..., Ran]) -> None:
    node = onnx.helper.make_node("Conv", ["x", "conv_stem.weight"], ["y"])
    ends = [onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in "xy"]
    kernel = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "conv_stem.weight")
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [kernel])
    model = onnx.helper.make_model(graph, producer_name="tf2onnx", producer_version="1.17.0 None")
    onnx.save(model, str(tmp_path / "x.onnx"))
    shown = run("inspect", tmp_path / "x.onnx").out
    for words in ("written by tf2onnx 1.17.0, opset", "x: float32 [N, 3, 8, 8], NCHW", "weights  none to convert: "):
        assert words in shown
