"""A conversion records what it did and what it assumed; options that change values are honoured and remembered."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import effconvert
from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch, NumericMismatch, UnreadableCheckpoint
from helpers.checkpoints import AVERAGE, LAYOUT, Tensors, random_checkpoint, read_all, same, write_checkpoint
from helpers.running import Ran


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_r4_the_same_input_gives_the_same_bytes(lite0: Path, tmp_path: Path, suffix: str) -> None:
    shutil.copytree(lite0, tmp_path / "elsewhere")
    effconvert.convert(lite0, tmp_path / f"one{suffix}")
    effconvert.convert(tmp_path / "elsewhere" / "model.ckpt", tmp_path / f"two{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_a_file_describes_itself(lite0: Path, tmp_path: Path) -> None:
    report = effconvert.convert(lite0, tmp_path / "x.safetensors")
    with safetensors.safe_open(tmp_path / "x.safetensors", "np") as file:
        texts = file.metadata()
    assert (texts["format"], texts["variant"], texts["layout"], texts["taken"]) == (
        "pt",
        "lite0",
        "tf-official",
        "averages",
    )
    assert json.loads(texts["facts"]) == report.facts == default_facts(VARIANTS["lite0"]).to_dict()
    assert json.loads(texts["recipe"])["resize"] == "tf1-bilinear"
    assert json.loads(texts["source"]) == report.source_sha256
    assert json.loads(texts["coverage"]) == {"moved": report.moved, "left_behind": report.left_behind}
    assert texts["map_sha256"] == LAYOUT.sha256
    assert texts["effconvert"] == effconvert.__version__
    assert len(texts["digest"]) == 64


def test_another_container_keeps_what_the_file_says_of_its_origin(lite0: Path, tmp_path: Path) -> None:
    first = effconvert.convert(lite0, tmp_path / "x.safetensors", weights="base", dtype="bfloat16")
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "x.pth")
    with effconvert.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        texts = checkpoint.metadata
    assert (texts["layout"], texts["taken"], texts["weights"]) == ("tf-official", "averages", "base")
    assert (texts["map_sha256"], json.loads(texts["options"])) == (LAYOUT.sha256, {"earlier": [{"dtype": "bfloat16"}]})
    source = json.loads(texts["source"])
    assert source.keys() == {"earlier", "x.safetensors"}
    assert source["earlier"] == [first.source_sha256]
    assert json.loads(texts["coverage"])["earlier"] == [{"moved": first.moved, "left_behind": first.left_behind}]
    assert same(read_all(tmp_path / "x.pth"), read_all(tmp_path / "x.safetensors"))


def test_the_recipe_follows_the_weights(b0: Path, tmp_path: Path) -> None:
    usual = effconvert.convert(b0, tmp_path / "ra.safetensors", weights="ra").recipe  # which nobody published of b0
    advprop = effconvert.convert(b0, tmp_path / "advprop.safetensors", weights="advprop").recipe
    assert usual["mean"] == [123.675, 116.28, 103.53]
    assert advprop["mean"] == [127.5, 127.5, 127.5]


@pytest.mark.parametrize(("dtype", "type_"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_a_smaller_dtype_is_rounded_as_numpy_does_and_recorded(
    lite0: Path, tmp_path: Path, dtype: str, type_: type
) -> None:
    effconvert.convert(lite0, tmp_path / "full.safetensors")
    report = effconvert.convert(lite0, tmp_path / "small.safetensors", dtype=dtype)
    full = read_all(tmp_path / "full.safetensors")
    assert same(read_all(tmp_path / "small.safetensors"), {n: t.astype(type_) for n, t in full.items()})
    assert report.options == {"dtype": dtype}


def test_a_small_dtype_comes_back_as_float32(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "small.safetensors", dtype="bfloat16")
    effconvert.convert(tmp_path / "small.safetensors", tmp_path / "back", to="tf-official", names="average")
    returned = read_all(tmp_path / "back")
    assert {tensor.dtype for name, tensor in returned.items() if name != "global_step"} == {np.dtype(np.float32)}


def test_rounding_stays_on_record_after_going_back_to_float32(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "small.safetensors", dtype="float16")
    report = effconvert.convert(tmp_path / "small.safetensors", tmp_path / "large.safetensors", dtype="float32")
    assert report.options == {"dtype": "float32", "earlier": [{"dtype": "float16"}]}


def test_values_that_vanish_in_a_small_dtype_are_warned_of(lite0_tensors: Tensors, tmp_path: Path) -> None:
    name = "efficientnet-lite0/blocks_4/conv2d/kernel" + AVERAGE
    folder = write_checkpoint(tmp_path / "tiny", lite0_tensors | {name: lite0_tensors[name] * np.float32(1e-10)})
    report = effconvert.convert(folder, tmp_path / "x.safetensors", dtype="float16")
    size = lite0_tensors[name].size
    assert report.strange == (f"blocks.4.expand.conv.weight: {size:,} of {size:,} values became 0 in float16",)
    lost = report.zeroed["blocks.4.expand.conv.weight"]
    assert (lost.values, lost.of, lost.dtype) == (size, size, "float16")
    assert lost.largest == np.abs(lite0_tensors[name] * np.float32(1e-10)).max()


def test_values_that_vanish_are_one_line_with_their_number_and_size(
    run: Callable[..., Ran], lite0_tensors: Tensors, tmp_path: Path
) -> None:
    names = [f"efficientnet-lite0/blocks_{number}/conv2d/kernel{AVERAGE}" for number in (4, 6)]
    tiny = {name: np.full_like(lite0_tensors[name], 2e-8) * np.sign(lite0_tensors[name]) for name in names}
    folder = write_checkpoint(tmp_path / "tiny", lite0_tensors | tiny)
    lines = run("tf2pt", folder, "--dtype", "float16", "-o", tmp_path / "x.pth").out.splitlines()
    (line,) = [line for line in lines if "became 0" in line]
    count, _, rest = line.removeprefix("warning").partition(" values became 0 in float16, ")
    assert int(count.replace(",", "")) >= sum(np.count_nonzero(array) for array in tiny.values())
    assert rest.startswith("the largest of them 2.0e-08; 2 tensors lost more than 1 % of the values")
    document = json.loads(run("tf2pt", folder, "--dtype", "float16", "-o", tmp_path / "y.pth", "--json").out)
    assert len(document["strange"]) == 2
    assert {words.partition(": ")[0] for words in document["strange"]} <= document["zeroed"].keys()


def test_float64_is_rounded_for_tensorflow_with_a_caution(lite0_tensors: Tensors, tmp_path: Path) -> None:
    wide = {name: tensor.astype(np.float64) for name, tensor in lite0_tensors.items()}
    effconvert.convert(write_checkpoint(tmp_path / "wide", wide), tmp_path / "x.safetensors")
    report = effconvert.convert(tmp_path / "x.safetensors", tmp_path / "back", to="tf-official", names="average")
    assert "247 tensors were rounded from float64 to float32, which is what the layout's network has" in report.cautions
    returned = read_all(tmp_path / "back")
    del returned["global_step"]
    assert same(returned, lite0_tensors)


def test_a_value_beyond_float16_is_an_error(lite0_tensors: Tensors, tmp_path: Path) -> None:
    name = "efficientnet-lite0/head/dense/bias" + AVERAGE
    folder = write_checkpoint(tmp_path / "large", lite0_tensors | {name: np.linspace(0, 1e5, 1000, dtype=np.float32)})
    with pytest.raises(NumericMismatch, match=r"head.fc.bias: 100000.0 does not fit float16; bfloat16"):
        effconvert.convert(folder, tmp_path / "x.safetensors", dtype="float16")
    assert not (tmp_path / "x.safetensors").exists()


def test_the_background_class_is_dropped_on_request(tmp_path: Path) -> None:
    folder, tensors = random_checkpoint(tmp_path / "edge", "edgetpu-s")
    report = effconvert.convert(folder, tmp_path / "x.safetensors", drop_background_class=True)
    bias = tensors["efficientnet-edgetpu-S/head/dense/bias" + AVERAGE]
    assert np.array_equal(read_all(tmp_path / "x.safetensors")["head.fc.bias"], bias[1:])
    assert report.facts["classes"] == 1000
    assert report.options == {"drop_background_class": True, "assumed": ["fused_stride"]}
    with pytest.warns(UserWarning, match="fused_stride"):
        assert effconvert.load_model(tmp_path / "x.safetensors").facts.classes == 1000


def test_a_classifier_without_background_has_none_to_drop(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="is for classifiers of 1001 classes; this has 1000"):
        effconvert.convert(lite0, tmp_path / "x.safetensors", drop_background_class=True)


def test_facts_that_a_user_gives_are_recorded(tmp_path: Path) -> None:
    folder, _ = random_checkpoint(tmp_path / "edge", "edgetpu-s")
    report = effconvert.convert(folder, tmp_path / "x.safetensors", facts={"fused_stride": "expand"})
    assert report.facts["fused_stride"] == "expand"
    assert effconvert.load_model(tmp_path / "x.safetensors").facts.fused_stride == "expand"


def test_the_stride_that_no_edgetpu_file_records_is_told_unless_it_is_given(tmp_path: Path) -> None:
    folder, _ = random_checkpoint(tmp_path / "edge", "edgetpu-s")

    def told(number: int, **options: object) -> bool:
        report = effconvert.convert(folder, tmp_path / f"{number}.safetensors", **options)  # type: ignore[arg-type]
        return any("fused_stride is assumed to be project" in caution for caution in report.cautions)

    assert told(1)
    assert not told(2, facts={"fused_stride": "project"})
    assert not told(3, weights="base")


def test_facts_cannot_gainsay_the_tensors(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="its tensors tell classes=1000"):
        effconvert.convert(lite0, tmp_path / "x.safetensors", facts={"classes": "10"})


def test_facts_that_tensorflows_network_cannot_have_are_refused(lite0: Path, tmp_path: Path) -> None:
    facts = {"padding": "symmetric", "bn_eps": "1e-5", "activation": "silu"}
    effconvert.convert(lite0, tmp_path / "x.safetensors", facts=facts)
    with pytest.raises(LayoutMismatch) as caught:
        effconvert.convert(tmp_path / "x.safetensors", tmp_path / "back", to="tf-official")
    assert "padding is symmetric, its network has tf-same" in str(caught.value)
    assert "activation is silu, its network has relu6" in str(caught.value)
    assert "bn_eps is 1e-05, its network has 0.001" in str(caught.value)


def test_r7_constant_kernels_are_warned_of(lite0_tensors: Tensors, tmp_path: Path) -> None:
    name = "efficientnet-lite0/blocks_4/conv2d/kernel" + AVERAGE
    folder = write_checkpoint(tmp_path / "odd", lite0_tensors | {name: np.zeros_like(lite0_tensors[name])})
    report = effconvert.convert(folder, tmp_path / "x.safetensors")
    assert report.strange == (f"blocks.4.expand.conv.weight <- {name}: every value is 0.0",)


@pytest.mark.parametrize("position", [-1, 600, 1000])
def test_r3_a_converted_file_that_was_changed_is_refused(lite0: Path, tmp_path: Path, position: int) -> None:
    path = tmp_path / "x.safetensors"
    effconvert.convert(lite0, path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises((UnreadableCheckpoint, LayoutMismatch)):
        effconvert.convert(path, tmp_path / "back", to="tf-official")
    with pytest.raises((UnreadableCheckpoint, LayoutMismatch)):
        effconvert.load_model(path)
