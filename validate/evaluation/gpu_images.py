"""Fast pipeline on a GPU: images decoded by nvJPEG (through torchvision or DALI) and resized there."""

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from effconvert.errors import DatasetProblem
from effconvert.preprocessing.decoding import Pixels, image_package
from effconvert.preprocessing.fast import fast_pixels, is_plain_jpeg
from effconvert.preprocessing.pipeline import geometry, pixel_type
from effconvert.preprocessing.recipes import Recipe
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.image_hashes import HASH_BYTES, UNREADABLE, image_hash
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation.feeding import Batch
from effconvert.validate.evaluation.image_loader import Clock

# From bytes of files to uint8 [3, H, W] on the GPU.
Decode = Callable[[Sequence[bytes]], Sequence[Tensor]]

_BATCHES_AHEAD = 3


def gpu_decoder(device: str, images: int = 1) -> tuple[str, Decode] | None:
    """Return name and function of a decoder of up to `images` JPEGs at once on `device`; None without one."""
    for name, make in (("torchvision", _torchvision), ("DALI", _dali)):
        try:
            return name, make(device, images)
        except (ImportError, RuntimeError, OSError, AttributeError):  # each library fails in its own way
            continue
    return None


@contextmanager
def images_on_gpu(
    locations: Sequence[Location],
    ids: Sequence[int],
    recipe: Recipe,
    *,
    decode: Decode,
    device: str,
    images: int,
    threads: int,
    clock: Clock,
) -> Iterator[Iterator[Batch]]:
    """Give the images `ids`, approximately as `recipe` prepares them, in batches; `threads` read files ahead."""
    parts = [np.array(ids[start : start + images], np.int64) for start in range(0, len(ids), images)]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        yield _batches(parts, locations, recipe, pool, decode, device, clock)


def resized(image: Tensor, recipe: Recipe) -> Tensor:
    """Resize and crop `image` uint8 [3, H, W] by `recipe` to uint8 [size, size, 3]; only Pillow's resizes antialias.

    Raises DatasetProblem for an image that is too small.
    """
    place = geometry(recipe, *image.shape[1:])
    crop, window = place.crop, place.window
    part = image[:, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width][None].float()
    whole = _interpolated(part, place.height, place.width, recipe.resize)
    kept = whole[:, window.top : window.top + window.height, window.left : window.left + window.width]
    return kept.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def _interpolated(image: Tensor, height: int, width: int, resize: str) -> Tensor:
    """Return `image` [1, 3, H, W] resized to [3, height, width], approximately as the recipe's `resize` does."""
    library, _, mode = resize.partition("-")
    if library == "tf1":
        return _from_corners(image, height, width, mode)
    if mode == "nearest":
        return F.interpolate(image, (height, width), mode="nearest-exact")[0]
    return F.interpolate(image, (height, width), mode=mode, antialias=library == "pil")[0]


def _from_corners(image: Tensor, height: int, width: int, mode: str) -> Tensor:
    """Resize as TensorFlow 1, where pixel x is at x * in / out of the source (no half-pixel centers)."""
    rows, columns = (
        torch.arange(new, device=image.device) * (old / new) * (2 / max(1, old - 1)) - 1
        for new, old in ((height, image.shape[2]), (width, image.shape[3]))
    )
    grid = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], -1)[None]
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)[0]


def _batches(
    parts: Sequence[np.ndarray[Any, Any]],
    locations: Sequence[Location],
    recipe: Recipe,
    pool: ThreadPoolExecutor,
    decode: Decode,
    device: str,
    clock: Clock,
) -> Iterator[Batch]:
    coming: deque[list[Future[tuple[bytes, bytes]]]] = deque()
    waiting = iter(parts)
    for ids in parts:
        while len(coming) < _BATCHES_AHEAD and (part := next(waiting, None)) is not None:
            coming.append([pool.submit(_read, locations[number]) for number in part])
        begin = time.perf_counter()
        files: dict[int, bytes] = {}
        hashes: list[bytes] = []
        failures: dict[int, str] = {}
        for number, future in zip(ids.tolist(), coming.popleft(), strict=True):
            try:
                files[number], found = future.result()
            except DatasetProblem as error:
                failures[number], found = str(error), UNREADABLE
            hashes.append(found)
        clock.waiting += time.perf_counter() - begin
        begin = time.perf_counter()
        pixels = _prepared(files, recipe, decode, device, failures)
        empty = torch.zeros((recipe.size, recipe.size, 3), dtype=torch.uint8, device=device)
        batch = torch.stack([pixels.get(number, empty) for number in ids.tolist()])
        clock.preparing += time.perf_counter() - begin
        clock.images += len(ids)
        yield Batch(ids, batch, failures, np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES))


def _read(location: Location) -> tuple[bytes, bytes]:
    """Return the encoded image and its hash."""
    data = read_image(location)
    return data, image_hash(data)


def _prepared(
    files: dict[int, bytes], recipe: Recipe, decode: Decode, device: str, failures: dict[int, str]
) -> dict[int, Tensor]:
    """Return {id: pixels}, and add unreadable images to `failures`."""
    plain = [number for number, data in files.items() if is_plain_jpeg(data, recipe)]
    found: dict[int, Tensor] = {}
    try:
        decoded = decode([files[number] for number in plain]) if plain else []
        found = {number: resized(image, recipe) for number, image in zip(plain, decoded, strict=True)}
    except (RuntimeError, DatasetProblem):  # one broken image fails the whole batch; it is found below
        found = {}
    for number in files.keys() - found.keys():
        out: Pixels = np.empty((recipe.size, recipe.size, 3), pixel_type(recipe))
        try:
            exact = torch.from_numpy(fast_pixels(files[number], recipe, out))
            found[number] = exact.round().clamp(0, 255).to(device, torch.uint8)
        except DatasetProblem as error:
            failures[number] = str(error)
    return found


def _torchvision(device: str, images: int) -> Decode:
    io: Any = importlib.import_module("torchvision.io")

    def decode(files: Sequence[bytes]) -> Sequence[Tensor]:
        data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
        images: list[Tensor] = io.decode_jpeg(data, mode=io.ImageReadMode.RGB, device=device)
        return images

    decode([_probe()])
    return decode


def _dali(device: str, images: int) -> Decode:
    dali: Any = importlib.import_module("nvidia.dali")
    fn, types = dali.fn, dali.types
    on_cpu = device == "cpu"
    place = None if on_cpu else torch.device(device).index or 0
    # No prefetch: each run is fed its own batch.
    pipeline = dali.Pipeline(images, 2, place, prefetch_queue_depth=1, exec_async=False, exec_pipelined=False)
    with pipeline:
        encoded = fn.external_source(name="files", dtype=types.UINT8, ndim=1)
        where = "cpu" if on_cpu else "mixed"
        options = {"output_type": types.RGB, "adjust_orientation": False}  # as in the recipes
        pipeline.set_outputs(fn.decoders.image(encoded, device=where, **options))
    pipeline.build()

    def decode(files: Sequence[bytes]) -> Sequence[Tensor]:
        pipeline.feed_input("files", [np.frombuffer(file, np.uint8) for file in files])
        (decoded,) = pipeline.run()
        return [torch.as_tensor(image, device=device).permute(2, 0, 1).clone() for image in decoded]

    decode([_probe()])
    return decode


def _probe() -> bytes:
    """Return a small JPEG, to try whether an installed library can really decode on the GPU."""
    encoded: bytes = image_package("simplejpeg").encode_jpeg(np.full((16, 16, 3), 127, np.uint8), 90)
    return encoded
