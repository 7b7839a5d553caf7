"""Networks of other than three input channels: recognised, moved bit for bit, or refused by the library that has none."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.architecture.facts import Facts, changed, complete
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.loading_code import printed_code
from effconvert.conversion.targets import choose_target
from effconvert.errors import LayoutMismatch
from effconvert.identify.identification import identify
from effconvert.identify.inspection import inspect
from effconvert.maps.layouts import known_layouts
from effconvert.options import Options
from helpers.checkpoints import read_all, write_checkpoint
from helpers.deep import deep_but
from helpers.library_files import facts_of, library_tensors, save, under
from helpers.running import Ran

# Where each layout has the kernel of a network of C channels, and its shape.
STEMS = {
    "timm": ("conv_stem.weight", "OCHW"),
    "lukemelas": ("_conv_stem.weight", "OCHW"),
    "monai": ("_conv_stem.weight", "OCHW"),
    "torchvision": ("features.0.0.weight", "OCHW"),
    "huggingface": ("efficientnet.embeddings.convolution.weight", "OCHW"),
    "mmpretrain": ("backbone.layers.0.conv.weight", "OCHW"),
    "mindvision": ("backbone.features.0.features.0.weight", "OCHW"),
    "mindcv": ("features.0.weight", "OCHW"),
    "keras": ("stem_conv/kernel", "HWCO"),
    "keras-positional": ("conv2d/kernel", "HWCO"),
    "tf-official": ("efficientnet-b0/stem/conv2d/kernel", "HWCO"),
    "mindspore-zoo-b0": ("conv_stem.weight", "OCHW"),
}
HOLDING = {layout.name for layout in known_layouts() if layout.write and layout.channels is not None}
THREE_ONLY = {"mmpretrain", "mindvision"}
SUFFIXES = {"huggingface": "", "tf-official": "", "keras": ".weights.h5", "mindcv": ".ckpt"}
# What a library's own network cannot be without, said by the file or the user.
SYMMETRIC = {"bn_eps": 1e-5, "padding": "symmetric"}
FACTS: dict[str, dict[str, object]] = {"torchvision": SYMMETRIC, "mindvision": SYMMETRIC, "mindcv": {"bn_eps": 1e-5}}
CODE = {
    "timm": 'timm.create_model("tf_efficientnet_b0", in_chans=4, num_classes=2',
    "lukemelas": '"efficientnet-b0", in_channels=4, image_size=224',
    "torchvision": "    4, network.features[0][0].out_channels, 3, stride=2, padding=1, bias=False",
    "mindcv": 'mindcv.create_model("efficientnet_b0", in_channels=4, num_classes=2)',
    "keras": "input_shape=(224, 224, 4)",
    "huggingface": "from_pretrained(",
    "tf-official": "# images [N, H, W, 4]: the graph takes the channels that they have",
}


def shape_of(axes: str, channels: int) -> tuple[int, ...]:
    return tuple({"O": 32, "C": channels}.get(axis, 3) for axis in axes)


def own_file(folder: Path, layout: str, channels: int) -> Path:
    """A B0 of two classes under the names of `layout`."""
    tensors = library_tensors(layout, in_channels=channels)
    if layout == "tf-official":
        del tensors["global_step"]
        return write_checkpoint(folder / "tf", tensors)
    return save(folder / f"{layout}.pth", tensors)


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Path]:
    """Give a canonical B0 of two classes and so many channels, with the facts of a layout; do not change it."""
    folder, made = tmp_path_factory.mktemp("canonical"), {}

    def file(channels: int, layout: str = "timm") -> Path:
        facts = {"bn_eps": 1e-3, "padding": "tf-same", **FACTS.get(layout, {})}
        key = f"{channels}-{facts['bn_eps']}-{facts['padding']}.safetensors"
        if key not in made:
            source = save(folder / "timm.pth", library_tensors("timm", in_channels=channels))
            effconvert.convert(source, folder / key, facts={name: str(value) for name, value in facts.items()})
            made[key] = folder / key
        return made[key]

    return file


def test_the_layouts_that_hold_any_number_of_channels_are_these() -> None:
    assert CODE.keys() == HOLDING
    assert {layout.name for layout in known_layouts() if layout.write} - HOLDING == THREE_ONLY


@pytest.mark.parametrize("channels", deep_but([1, 4, 6], lambda channels: channels != 6))
@pytest.mark.parametrize("layout", STEMS)
def test_the_tensors_tell_the_channels_in_every_layout(tmp_path: Path, layout: str, channels: int) -> None:
    file = own_file(tmp_path, layout, channels)
    name, axes = STEMS[layout]
    with effconvert.open_checkpoint(file) as checkpoint:
        assert checkpoint.tensors[name].shape == shape_of(axes, channels)
        identity = identify(checkpoint)
    assert (identity.layout_name, identity.variant.name, identity.facts.in_channels) == (layout, "b0", channels)
    assert identity.reading.exact


@pytest.mark.parametrize("channels", [1, 2, 3, 32, 242])
def test_a_stem_is_a_stem_with_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    file = save(tmp_path / "x.pth", under("model.", library_tensors("timm", in_channels=channels)))
    found = inspect(file)
    assert (found.layout, found.root, found.missing, found.unknown) == ("timm", "model.", 0, 0)
    assert found.facts is not None
    assert found.facts["in_channels"] == channels


@pytest.mark.parametrize("channels", deep_but([1, 4, 6], lambda channels: channels != 6))
@pytest.mark.parametrize("layout", sorted(HOLDING))
def test_there_and_back_is_bit_for_bit(
    canonical: Callable[..., Path], tmp_path: Path, layout: str, channels: int
) -> None:
    source = canonical(channels, layout)
    written, back = tmp_path / f"to{SUFFIXES.get(layout, '.safetensors')}", tmp_path / "back.safetensors"
    report = effconvert.convert(source, written, to=layout)
    name, axes = STEMS[layout]
    file = written / "model.safetensors" if layout == "huggingface" else written
    shapes = {stored: tensor.shape for stored, tensor in read_all(file).items()}
    assert shapes[name] == shape_of(axes, channels)
    assert report.facts["in_channels"] == channels
    effconvert.convert(file, back, to="canonical")
    expected, found = read_all(source), read_all(back)
    assert found.keys() == expected.keys()
    assert all(found[key].tobytes() == expected[key].tobytes() for key in expected)
    assert inspect(back).facts == inspect(source).facts | {"normalization": report.facts["normalization"]}


@pytest.mark.parametrize("layout", sorted(THREE_ONLY))
@pytest.mark.parametrize("allow", [False, True])
def test_a_library_that_builds_its_stem_for_three_channels_is_no_target(
    canonical: Callable[..., Path], tmp_path: Path, layout: str, allow: bool
) -> None:
    with pytest.raises(LayoutMismatch, match=f"{layout} cannot hold in_channels=4: its library builds the first"):
        effconvert.convert(canonical(4, layout), tmp_path / "x.ckpt", to=layout, allow_inexact=allow)
    assert not (tmp_path / "x.ckpt").exists()


@pytest.mark.parametrize("classes", [0, 2])
def test_the_code_of_lite_replaces_the_first_convolution(classes: int) -> None:
    """Which its package makes too wide for lite3 and lite4 where it is told in_channels."""
    texts = []
    for channels in (4, 3):
        facts = facts_of("lukemelas", "lite3", classes=classes, in_channels=channels)
        target = choose_target("lukemelas", VARIANTS["lite3"], facts, Options(), "x")
        texts.append(printed_code(target, "x.pth", None, 280).text)
    assert "    4, network._conv_stem.out_channels, 3, stride=2, image_size=280, bias=False\n" in texts[0]
    assert "in_channels=" not in texts[0]
    assert "_conv_stem" not in texts[1]
    for text in texts:
        compile(text, "lite3", "exec")


@pytest.mark.parametrize("layout", sorted(HOLDING))
def test_the_code_builds_a_network_of_so_many_channels_and_says_nothing_of_three(layout: str) -> None:
    texts = []
    for channels in (4, 3):
        facts = facts_of(layout, "b0", classes=2, in_channels=channels)
        target = choose_target(layout, VARIANTS["b0"], facts, Options(), "x")
        texts.append(printed_code(target, "x" + SUFFIXES.get(layout, ".pth"), None, 224).text)
    assert CODE[layout] in texts[0]
    assert not any(set(text) & {"{", "}"} for text in texts)
    if layout != "huggingface":  # whose config.json says it
        assert CODE[layout] not in texts[1]
        assert not re.search("in_chan|Conv2d|images \\[N", texts[1])


@pytest.mark.parametrize("layout", ["timm", "torchvision", "mindcv", "lukemelas", "mmpretrain"])
@pytest.mark.parametrize("channels", [1, 4])
def test_a_network_of_colors_and_one_of_depth_are_told_apart(tmp_path: Path, layout: str, channels: int) -> None:
    colors, depth = library_tensors(layout, seed=1), library_tensors(layout, seed=2, in_channels=channels)
    file = save(tmp_path / "two.pth", under("rgb.", colors) | under("depth.", depth))
    with pytest.raises(LayoutMismatch) as caught:
        effconvert.convert(file, tmp_path / "x.safetensors")
    assert str(caught.value).endswith("holds several networks; choose one with root=…:\n  'rgb.'\n  'depth.'")
    for root, expected in (("rgb.", 3), ("depth.", channels)):
        report = effconvert.convert(file, tmp_path / f"{root}safetensors", root=root)
        assert report.facts["in_channels"] == expected
        assert read_all(tmp_path / f"{root}safetensors")["stem.conv.weight"].shape[1] == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_a_depthwise_kernel_is_no_stem_of_one_channel(tmp_path: Path, channels: int) -> None:
    """mindvision calls the first depthwise kernel `….features.0.weight`, as MindCV calls its stem."""
    tensors = library_tensors("mindvision", in_channels=channels)
    kernel = "backbone.features.1.0.block.0.features.0.weight"
    assert tensors[kernel].shape == (32, 1, 3, 3)
    found = inspect(save(tmp_path / "x.pth", tensors))
    assert (found.layout, found.root, found.missing, found.unknown) == ("mindvision", "", 0, 0)


@pytest.mark.parametrize("shape", [(32, 4, 5, 5), (32, 4, 3, 1), (16, 4, 3, 3), (32, 2000, 3, 3)])
def test_another_first_convolution_is_refused_with_its_shape(
    run: Callable[..., Ran], tmp_path: Path, shape: tuple[int, ...]
) -> None:
    tensors = library_tensors("timm")
    tensors["conv_stem.weight"] = np.zeros(shape, np.float32)
    file = save(tmp_path / "x.pth", tensors)
    with pytest.raises(LayoutMismatch) as caught:
        effconvert.convert(file, tmp_path / "y.safetensors")
    assert f"stem.conv.weight <- conv_stem.weight: shape {shape}, expected (32, 3, 3, 3)" in str(caught.value)
    said = run("inspect", file).out
    assert "timm; 1 tensor missing or of another shape\n" in said


def test_facts_do_not_change_what_the_tensors_tell(tmp_path: Path) -> None:
    file = save(tmp_path / "x.pth", library_tensors("timm", in_channels=4))
    with pytest.raises(
        LayoutMismatch, match="its tensors tell classes=2, head_conv=True, in_channels=4; facts=… cannot"
    ):
        effconvert.convert(file, tmp_path / "y.safetensors", facts={"in_channels": "3"})
    assert effconvert.convert(file, tmp_path / "y.safetensors", facts={"in_channels": "4"}).facts["in_channels"] == 4


def test_facts_that_were_written_before_there_were_other_channels_are_of_three() -> None:
    old = {name: value for name, value in Facts(classes=7).to_dict().items() if name != "in_channels"}
    assert complete(old) == Facts(classes=7)
    assert complete(old).in_channels == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_channels": 0}, "in_channels=0: must be 1 to 1,024"),
        ({"in_channels": 1025}, "in_channels=1025: must be 1 to 1,024"),
        ({"in_channels": "many"}, "in_channels=many: must be a whole number"),
        ({"in_channels": 1, "normalization": "keras-imagenet"}, "normalization=keras-imagenet needs 3 channels"),
    ],
)
def test_what_no_network_has_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(LayoutMismatch, match=words):
        changed(Facts(), changes)


def test_three_channels_are_not_remarked_on(run: Callable[..., Ran], tmp_path: Path) -> None:
    for channels, said in ((3, False), (4, True)):
        file = save(tmp_path / "x.pth", library_tensors("timm", in_channels=channels))
        assert ("in_channels 4" in run("inspect", file).out) is said
        assert (", in_channels 4" in Facts(in_channels=channels).in_words()) is said


def test_a_converted_file_says_its_channels_and_is_read_by_what_it_says(
    canonical: Callable[..., Path], tmp_path: Path
) -> None:
    first = canonical(6)
    with effconvert.open_checkpoint(first) as checkpoint:
        assert json.loads(checkpoint.metadata["facts"])["in_channels"] == 6
    effconvert.convert(first, tmp_path / "x.safetensors", to="lukemelas")
    network = effconvert.load_model(tmp_path / "x.safetensors")
    assert (network.facts.in_channels, tuple(network.stem.conv.weight.shape)) == (6, (32, 6, 3, 3))
