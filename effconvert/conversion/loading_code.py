"""Python code that builds the network of a target, loads its file and prepares images by the recipe.

Parts of a recipe that the target's library does not have are named.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.variants import head_channels
from effconvert.conversion.targets import Target
from effconvert.graphs.graph_options import SUFFIX
from effconvert.maps.language import Preprocessing
from effconvert.preprocessing.recipes import UNKNOWN, Recipe

CROP_FIRST = ("tf-center", "mmpretrain-center")
WHOLE = "none"
# Decoders that give the same pixels, according to reference/recipes.toml.
_SAME_PIXELS = ({"pil", "cv2"},)


@dataclass(frozen=True)
class PrintedCode:
    """Python code to copy. network: builds and loads `network`. transform: makes `transform`, "" without a recipe.

    not_carried: {part of the recipe: (wanted, what `transform` does)}. done: the recipe that `transform` has; None if
    it is not known. library: the library of the code.
    """

    network: str
    transform: str = ""
    not_carried: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    done: Recipe | None = None
    library: str = CANONICAL

    @property
    def text(self) -> str:
        """The whole code."""
        return "\n".join(part for part in (self.network, self.transform) if part)

    @property
    def remark(self) -> str:
        """One line with the missing parts of the recipe; "" if there are none."""
        parts = [f"{part} {wanted} (here {found})" for part, (wanted, found) in self.not_carried.items()]
        return f"{self.library}'s preprocessing differs from the recipe: {', '.join(parts)}" if parts else ""


def printed_code(target: Target, file: str, recipe: Recipe | None, size: int) -> PrintedCode:
    """Return the Python code that loads `file`, and prepares images by `recipe` if it is known.

    It is not known for images with unknown channels. size: image size in pixels, for networks with a padding for a
    fixed size.
    """
    layout = target.layout
    if file.endswith(SUFFIX):
        return _graph(file, recipe)
    containers = layout.library.containers if layout else ()
    if layout is None or (containers and not file.endswith(containers)):
        words = f"  # {target.name} itself loads {', '.join(containers)}" if layout else ""
        return _canonical(file, recipe, words)
    network = _filled(_network_text(target, file), _network_values(target, file, size))
    if recipe is None or recipe.channels == UNKNOWN:
        return PrintedCode(network, library=layout.name)
    ways = [way for way in layout.preprocessings if recipe.channels != "gray" or way.gray is not None]
    way = _nearest(ways, recipe)
    if way is None:
        unable = {"channels": (recipe.channels, "none")} if layout.preprocessings else {}
        return PrintedCode(network, not_carried=unable, library=layout.name)
    done = _done(way, recipe)
    values = _network_values(target, file, size) | _recipe_values(way, done)
    return PrintedCode(network, _filled(way.code.strip(), values), _differences(recipe, done), done, layout.name)


def _canonical(file: str, recipe: Recipe | None, words: str) -> PrintedCode:
    """Return the code with effconvert itself, which has every known recipe."""
    network = f'import effconvert\nnetwork = effconvert.load_model("{_quoted(file)}"){words}'
    if recipe is None or recipe.channels == UNKNOWN:
        return PrintedCode(network)
    steps = (
        "from functools import partial\n"
        "from effconvert.preprocessing.pipeline import preprocess\n"
        "transform = partial(preprocess, recipe=network.recipe)"
    )
    return PrintedCode(network, steps, done=recipe)


def _graph(file: str, recipe: Recipe | None) -> PrintedCode:
    """Return the code that opens a graph, which has the recipe in it, and how it is run."""
    opened = f'import onnxruntime\nsession = onnxruntime.InferenceSession("{_quoted(file)}")'
    run = '# outputs = session.run(None, {"images": images})[0], for images float32 [N, channels, height, width]'
    if recipe is None or recipe.channels == UNKNOWN:
        return PrintedCode(f"{opened}\n{run}")
    steps = (
        "import json\n"
        "from functools import partial\n"
        "from effconvert.preprocessing.pipeline import preprocess\n"
        "from effconvert.preprocessing.recipes import Recipe\n"
        'recipe = json.loads(session.get_modelmeta().custom_metadata_map["recipe"])\n'
        "transform = partial(preprocess, recipe=Recipe.from_dict(recipe))"
    )
    return PrintedCode(f"{opened}\n{run}", steps, done=recipe)


def _nearest(ways: Sequence[Preprocessing], recipe: Recipe) -> Preprocessing | None:
    """Return a library's preprocessing nearest to `recipe`: first by crop, then by order of steps, then by filter."""

    def distance(way: Preprocessing) -> tuple[bool, bool, bool, bool]:
        whole = (way.crop == WHOLE) != (recipe.crop == WHOLE)
        order = (way.crop in CROP_FIRST) != (recipe.crop in CROP_FIRST)
        return whole, way.crop != recipe.crop, order, _resize(way, recipe) != recipe.resize

    return min(ways, key=distance, default=None)


def _resize(way: Preprocessing, recipe: Recipe) -> str:
    """Return the filter to use: the recipe's own, or else one of its kind, or else the first."""
    kind = recipe.resize.rpartition("-")[2]
    alike = (name for name in way.resize if name.rpartition("-")[2] == kind)
    return recipe.resize if recipe.resize in way.resize else next(alike, next(iter(way.resize)))


def _done(way: Preprocessing, recipe: Recipe) -> Recipe:
    """Return the recipe that `way` really does for `recipe`; if it crops, with the same part of the image."""
    decode, channels = (f"{way.decode}-gray", "gray") if recipe.channels == "gray" else (way.decode, "rgb")
    done = replace(recipe, decode=decode, crop=way.crop, resize=_resize(way, recipe), channels=channels)
    scaled = recipe.shorter_side or recipe.size + recipe.crop_padding
    if way.crop == WHOLE:
        return replace(done, shorter_side=0, crop_padding=0)
    if way.crop in CROP_FIRST:
        return replace(done, shorter_side=0, crop_padding=max(0, scaled - recipe.size))
    return replace(done, shorter_side=scaled, crop_padding=0)


def _differences(recipe: Recipe, done: Recipe) -> dict[str, tuple[str, str]]:
    found = {
        name: (str(getattr(recipe, name)), str(getattr(done, name)))
        for name in ("decode", "resize", "channels")
        if getattr(recipe, name) != getattr(done, name)
        and not any({getattr(recipe, name), getattr(done, name)} <= alike for alike in _SAME_PIXELS)
    }
    crops = [(each.crop, each.crop_padding, each.shorter_side) for each in (recipe, done)]
    return found | ({"crop": (_crop_words(recipe), _crop_words(done))} if crops[0] != crops[1] else {})


def _crop_words(recipe: Recipe) -> str:
    if recipe.crop == WHOLE:
        return "none, the whole image is resized"
    if recipe.crop in CROP_FIRST:
        return f"{recipe.crop} before resizing, {recipe.crop_padding} pixels less"
    return f"{recipe.crop} of a shorter side of {recipe.shorter_side}"


def _network_text(target: Target, file: str) -> str:
    text = target.build.code.strip() if target.build else ""
    text = text.replace("{channels}", _channels(target))
    return f"from safetensors.torch import load_file\n{text}" if _is_flat(file) and "{state}" in text else text


def _channels(target: Target) -> str:
    """Return the code of a build for another number of channels than three; "" for three."""
    if target.facts.in_channels == 3 or target.layout is None:
        return ""
    own = target.build.channels if target.build else None
    return own if own is not None else target.layout.channels or ""


def _network_values(target: Target, file: str, size: int) -> dict[str, Any]:
    assert target.layout
    flat = _is_flat(file)
    return {
        "state": 'load_file("{file}")' if flat else 'torch.load("{file}")',
        "format": ', format="safetensors"' if flat else "",
        "variant": target.layout.variants[target.variant.name],
        "width": target.variant.width,
        "depth": target.variant.depth,
        "features": head_channels(target.variant),
        "dropout": target.variant.dropout,
        "classes": target.facts.classes,
        "bn_eps": target.facts.bn_eps,
        "size": size,
        "top": target.facts.classes > 0,
        "in_channels": target.facts.in_channels,
        "file": _quoted(file),
    }


def _recipe_values(way: Preprocessing, done: Recipe) -> dict[str, Any]:
    units = {name: tuple(round(value / 255, 9) for value in getattr(done, name)) for name in ("mean", "std")}
    return {
        "size": done.size,
        "shorter_side": done.shorter_side,
        "crop_padding": done.crop_padding,
        "crop_pct": crop_share(done.size, done.shorter_side or done.size),
        "interpolation": way.resize[done.resize],
        "gray": (way.gray or "") if done.channels == "gray" else "",
        "mean": list(done.mean),
        "std": list(done.std),
        "unit_mean": units["mean"],
        "unit_std": units["std"],
    }


def crop_share(size: int, shorter_side: int) -> float:
    """Return the shortest number for which floor(size / number) is `shorter_side`, as in timm and MindCV."""
    for digits in range(3, 16):
        share = round(size / (shorter_side + 0.5 if digits > 6 else shorter_side), digits)
        if math.floor(size / share) == shorter_side:
            return share
    raise AssertionError(f"{size} / {shorter_side}")


def _filled(text: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _is_flat(file: str) -> bool:
    return file.endswith(".safetensors")


def _quoted(file: str) -> str:
    """Return a path as it is written between quotes in Python."""
    return json.dumps(file, ensure_ascii=False)[1:-1]
