"""A map is data: whatever the language does not know is refused with a sentence that names the line or key."""

from pathlib import Path

import pytest

from effconvert.errors import BadMap, LayoutMismatch
from effconvert.maps.layouts import find_layout, known_layouts, parse_layout

TEXT = (Path(__file__).parents[2] / "mappings" / "tf_official.toml").read_text()

# (what stands in the good map, what stands in the bad one, what the message must say)
BROKEN = [
    ("schema    = 1", "schema    = 2", "schema: must be 1, is 2"),
    ("schema    = 1", "schema    = ", "line 2"),
    ('layout    = "tf-official"', "layout    = 7", "layout: must be a string, is 7"),
    ('layout    = "tf-official"', 'colour    = "red"', "colour: unknown key"),
    ('layout    = "tf-official"', 'layout = ""', "layout: must not be empty"),
    ('"efficientnet-{variant}/"', '"efficientnet-{size}/"', "root: placeholder {size} is unknown"),
    ('"{name}/ExponentialMovingAverage"', '"ExponentialMovingAverage"', "average: 'ExponentialMovingAverage' must hold {name} once"),
    ('same = ["b0"', 'same = ["b9"', "variants: 'b9' is unknown"),
    ('same = ["b0"', 'same = ["b0", "b0"', "variants: duplicate name"),
    ("same = [", "sane = [", "variants.sane: unknown key"),
    ("bn_eps       = 1e-3", 'bn_eps       = "big"', "facts: facts: bn_eps=big: must be a number, e.g. 0.001"),
    ("bn_eps       = 1e-3", "epsilon = 1e-3", "epsilon unknown"),
    ('padding      = "tf-same"', 'padding = "tf-same"\n[facts.b11]\nbn_eps = 1e-5', "facts.b11: the map does not cover the variant 'b11'"),
    ('conv = ["conv2d", "conv2d_{n}"]', "conv = []", "series.conv: must be a list of 1 or more, is []"),
    ('conv = ["conv2d", "conv2d_{n}"]', 'conv = ["conv2d_{n}", "conv2d"]', "series.conv: only the last name may have {n}"),
    ('conv = ["conv2d", "conv2d_{n}"]', 'conv = ["conv2d", "conv2d"]', "series.conv: duplicate name"),
    ('conv = ["conv2d", "conv2d_{n}"]', 'conv = ["conv2d", "conv2d_{m}"]', "series.conv: placeholder {m} is unknown"),
    ("[series] ", 'extra = ["x"]\n[series] ', "facts"),
    ("cond = [", 'idle = ["x_{n}"]\ncond = [', "series.idle: no layer draws from it"),
    ('series = ["cond", "dcond"]', 'series = ["cond", "none"]', "network.series: 'none' is not a series"),
    ('series = ["cond", "dcond"]', 'names = ["cond"]', "network.names: unknown key"),
    ('conv      = "HWIO -> OIHW"', 'conv      = "HWIO -> OIHX"', "axes.conv: 'HWIO -> OIHX' must have the same axes"),
    ('dense     = "IO -> OI"', 'dense = "IO -> OI"\nlonely = "OI -> IO"', "axes.lonely: no kind uses it"),
    ('kernel = "weight : conv" }\nbiased', 'kernel = "weight : cnov" }\nbiased', "kinds.conv.kernel: axes 'cnov' are not in [axes]"),
    ('gamma = "weight", beta = "bias"', 'gamma = "weight", beta = "weight"', "kinds.bn: 'weight' is filled twice"),
    ("unused    = {}", "unused    = {}\nspare = {}", "kinds.spare: no layer uses it"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "convv", "stem/<conv>"]', "layers.stem row 1: kind 'convv' is not in [kinds]"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv"]', "layers.stem row 1: must be [canonical layer, kind, source layer, flags"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv", "stem/<konv>"]', "layers.stem row 1: <konv> draws from 'konv'"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv", "stem/<conv>", "se"]', "layers.stem row 1: flag 'se' is unknown"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv", "stem/{index}/<conv>"]', "layers.stem row 1: placeholder {index} is unknown"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv", "stem/<conv:0>"]', "<conv:0> must read <series:number>"),
    ('["conv",           "conv",      "stem/<conv>"]', '["conv", "conv", "stem/<conv><bn>"]', "layers.stem row 1: draws more than one name"),
    ('["", ', '["", "conv", "x/<conv>"],\n         ["", ', "kind 'conv' holds tensors; name a canonical layer"),
    ('"blocks_{index}/<bn>",             "separable"]', '"blocks_{index}/<bn>",             "seperable"]', "layers.block row 8: flag 'seperable' is unknown"),
    ('"blocks_{index}/<bn>",             "separable"]', '"blocks_{index-1}/<bn>",             "separable"]', "placeholder {index-1} is unknown"),
    ("head  = [[", "tail  = [[", "layers.tail: unknown key"),
    ('["beta1_power", "beta2_power"]', '"beta1_power"', "ignore.optimizer state: must be a list, is 'beta1_power'"),
    ('["beta1_power", "beta2_power"]', "[]", "ignore.optimizer state: must be a list of 1 or more, is []"),
    ('dtype = "int64"', 'dtype = "int65"', "fill.global_step.dtype: must be one of int64, int32, float32, is 'int65'"),
    ("value = 0,", 'value = "0",', "fill.global_step.value: must be a number or 'mean' or 'variance', is '0'"),
    ("value = 0,", "", "fill.global_step.value: is missing"),
    ("[[preprocessings]] ", "[[preprocessings]]\nsize = 3\n#", "preprocessings 1.size: unknown key; did you mean resize?"),
    ('crop   = "tf-center"', 'crop   = "tf-center"\ngray   = "gray"', 'preprocessings 1: gray needs decode "pil" and code with {gray}'),
    ("{channels}builder", "builder", "builds 1: its code lacks {channels}, which `channels` replaces"),
    ("images [N, H, W, {in_channels}]", "images [N, H, W, {colors}]", "channels: placeholder {colors} is unknown; known are in_channels, size"),
    ("facts = { fused_stride = \"any\" }", "facts = { fused_stride = \"any\" }\nchannels = \"{colors}\"", "builds 1: placeholder {colors} is unknown"),
    ('decode = "tf-integer-fast"', 'decode = "fast"', "preprocessings 1: decode 'fast' is unknown; known are cv2, mindspore, pil, tf-integer-fast"),
    ('crop   = "tf-center"', 'crop   = "corner"', "preprocessings 1: crop 'corner' is unknown"),
    ('tf1-bilinear = "bilinear"', 'lanczos = "lanczos"', "preprocessings 1: resize 'lanczos' is unknown"),
    ('tf1-bilinear = "bilinear"', 'tf1-bilinear = ""', "preprocessings 1.resize.tf1-bilinear: must not be empty"),
    ("tf.constant({std})", "tf.constant({spread})", "preprocessings 1: placeholder {spread} is unknown"),
    ("[series] ", '[aliases]\nnothing = ["b0"]\n[series] ', "aliases: no build names 'nothing'"),
    ("[series] ", '[same_tensors]\nb0 = ""\n[series] ', "same_tensors.b0: must be a list, is ''"),
    ("[network] ", "[sieries]\n[network] ", "sieries: unknown key"),
    ("[network] ", '[synonyms]\nweights = "kernal"\n[network] ', "synonyms.weights: 'kernal' is not a tensor of any kind"),
    ("[network] ", '[synonyms]\nkernel = "bias"\n[network] ', "synonyms.kernel: is the name of a tensor itself"),
    ("[words] ", '[words.builder]\nb0 = 1\n[more] ', "words.builder: must be a string or a table"),
    ('conv      = "HWIO -> OIHW"', 'conv = ["HWIO -> OIHW", "HWOI -> OIHW"]', "axes.conv: is not decided: leave the right one of ['HWIO -> OIHW', 'HWOI -> OIHW'], as a string"),
    ("[words] ", '[words.size]\nb0 = "1"\n[words] ', "words.size: {size} already has a meaning"),
    ("builder = \'\'\'", "idle = 'x'\nbuilder = \'\'\'", "words.idle: no code holds {idle}"),
    ("builder = \'\'\'", "by = { b99 = 'x' }\nbuilder = \'\'\'", "words.by: the variant 'b99' is unknown"),
    ("{builder}logits", "{bilder}logits", "builds 1: placeholder {bilder} is unknown"),
    ('runner   = "tensorflow"', 'rumner   = "tensorflow"', "library.rumner: unknown key; did you mean runner?"),
    ('folder   = "tensorflow"', 'folder   = "caffe"', "library.folder: must be one of tensorflow, huggingface, is 'caffe'"),
    ('layout    = "tf-official"', 'layout    = "tf-official"\ninclude = ["pytorhc"]', "include: 'pytorhc' is not a file beside the map, nor one of keras, mindspore, pytorch"),
    ('layout    = "tf-official"', 'layout    = "tf-official"\ninclude = "pytorch"', "include: must be a list of strings"),
    ('"head/<conv>"],', '"head/dense"],', "goes to both head.conv.weight and head.fc.weight"),
    ('separator = "/"', 'average_read = "x"\nseparator = "/"', "average_read: 'x' must hold {name} once"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "words"), BROKEN, ids=[words for _, _, words in BROKEN])
def test_s8_a_broken_map_is_refused_by_key_or_line(good: str, bad: str, words: str) -> None:
    assert good in TEXT
    with pytest.raises(BadMap) as caught:
        parse_layout(TEXT.replace(good, bad, 1).encode(), "broken.toml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("broken.toml: ")


def test_all_problems_of_a_map_are_told_at_once() -> None:
    broken = TEXT.replace("schema    = 1", "schema = 2").replace('same = ["b0"', 'same = ["b9"')
    with pytest.raises(BadMap, match=r"(?s)schema: must be 1.*'b9' is unknown"):
        parse_layout(broken.encode(), "broken.toml")


def test_a_duplicate_row_is_refused() -> None:
    row = '["expand.bn",      "bn",        "blocks_{index}/<bn>",             "expanded"],'
    with pytest.raises(BadMap, match="repeats an earlier row"):
        parse_layout(TEXT.replace(row, row + row).encode(), "broken.toml")


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(BadMap, match="not TOML"):
        parse_layout(b"\xff\xfe", "broken.toml")


def test_every_map_of_the_package_is_good() -> None:
    assert "tf-official" in [layout.name for layout in known_layouts()]


def test_an_unknown_layout_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LayoutMismatch, match="layout 'caffe' is unknown; known are .*tf-official"):
        find_layout("caffe")
