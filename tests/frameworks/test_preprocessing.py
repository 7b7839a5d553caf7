"""Each recipe gives the pixels of its library's own pipeline, on 72 images of random sizes, four of each kind."""

import dataclasses
import io
import warnings

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import keras
import numpy as np
import pytest
import tensorflow as tf
import timm
import torch
from mmengine.dataset import Compose
from mmpretrain import get_model
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.data.model_config import resolve_input_data_config
from torchvision.models import efficientnet
from torchvision.transforms import functional
from transformers import EfficientNetImageProcessor
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from effconvert.preprocessing.decoding import Window, decode
from effconvert.preprocessing.pipeline import pixels, preprocess
from effconvert.preprocessing.recipes import official_recipe, recipe_for
from helpers.frameworks.figures import record
from helpers.pictures import JPEGS, KINDS, PICTURES, file, random_files


def compared(case, recipe, theirs, kinds):
    """Assert that every pixel is the same and, where they are given, that the normalised values agree.

    theirs: from a file's bytes to pixels [H, W, 3] and to normalised values [3, H, W] or None.
    """
    wrong, furthest = [], 0.0
    for description, data in random_files(PICTURES, kinds):
        reference, normalised = theirs(data)
        found = pixels(data, recipe)
        if found.dtype != reference.dtype or not np.array_equal(found, reference):
            wrong.append(description)
        if normalised is not None:
            distance = np.abs(preprocess(data, recipe) - normalised).max() / np.ptp(normalised)
            furthest = max(furthest, float(distance))
    record(case, f"images of {PICTURES} with another pixel", len(wrong), "0")
    record(case, f"normalised, {PICTURES} images, max / range", furthest, "<= 1e-06")
    assert not wrong
    assert furthest <= 1e-6


def opened(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


# ---- TensorFlow --------------------------------------------------------------------------------------------------


def official(recipe):
    """Return the official evaluation, of TensorFlow's own operations."""
    resize = getattr(tf.compat.v1.image, recipe.resize.replace("tf1-", "resize_"))

    def pipeline(data):
        height, width = tf.unstack(tf.image.extract_jpeg_shape(data)[:2])
        share = recipe.size / (recipe.size + recipe.crop_padding)
        side = tf.cast(share * tf.cast(tf.minimum(height, width), tf.float32), tf.int32)
        window = tf.stack([(height - side + 1) // 2, (width - side + 1) // 2, side, side])
        image = tf.image.decode_and_crop_jpeg(data, window, channels=3)
        image = resize([image], [recipe.size, recipe.size])[0]
        normalised = (image - tf.constant(recipe.mean)) / tf.constant(recipe.std)
        return image.numpy(), normalised.numpy().transpose(2, 0, 1)

    return pipeline


@pytest.mark.parametrize("variant", ["b0", "b3", "b5", "lite2", "edgetpu-m"])
def test_the_official_tensorflow_pipeline(variant):
    recipe = official_recipe(variant)
    compared(f"TensorFlow {variant}", recipe, official(recipe), JPEGS)


@pytest.mark.parametrize("kind", JPEGS)
def test_tensorflows_decode_of_any_window(kind):
    random, edges = np.random.default_rng(3), 0
    for number in range(25):
        height, width = (int(length) for length in random.integers(40, 200, 2))
        data = file(kind, height, width, number)
        whole = decode(data, "tf-integer-fast", lambda height, width: Window(0, 0, height, width))
        for left in (16, int(random.integers(0, 20))):  # a block begins at 16
            wide = int(random.integers(12, width - left + 1))
            window = Window(int(random.integers(0, 20)), left, 20, wide)
            theirs = tf.image.decode_and_crop_jpeg(data, window, channels=3).numpy()
            assert np.array_equal(decode(data, "tf-integer-fast", lambda *_, window=window: window), theirs), window
            edges += not np.array_equal(window.of(whole), theirs)
    assert bool(edges) == (kind not in ("4:4:4", "4:4:0", "4:1:1", "gray", "CMYK", "YCCK", "RGB"))


@pytest.mark.parametrize("kind", ["4:2:0", "4:2:2", "gray"])
def test_tensorflows_decode_of_a_narrow_window(kind):
    """libjpeg interpolates neither in an image of up to four columns nor in a window of one sample of chroma."""
    for width in (1, 2, 4, 5, 40):
        data = file(kind, 20, width, width)
        for window in (Window(3, left, 9, wide) for left in (0, 1, 15, 16, 32) for wide in (1, 2, 3, 4)):
            if window.left + window.width <= width:
                theirs = tf.image.decode_and_crop_jpeg(data, window, channels=3).numpy()
                assert np.array_equal(decode(data, "tf-integer-fast", lambda *_, window=window: window), theirs), window


def test_a_png_is_what_tensorflow_makes_a_jpeg_of():
    recipe = official_recipe("b0")
    for description, data in random_files(20, ["PNG", "gray PNG", "palette PNG", "transparent PNG"]):
        jpeg = tf.io.encode_jpeg(tf.io.decode_png(data, channels=3), format="rgb", quality=100).numpy()
        assert np.array_equal(pixels(data, recipe), official(recipe)(jpeg)[0]), description


# ---- PyTorch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("b0", "tf_efficientnet_b0.ns_jft_in1k"),
        ("b3", "tf_efficientnet_b3.ap_in1k"),
        ("b1", "efficientnet_b1.ra4_e3600_r240_in1k"),
        ("lite4", "tf_efficientnet_lite4.in1k"),
        ("edgetpu-s", "tf_efficientnet_es.in1k"),
    ],
)
def test_timms_transform(variant, name):
    options = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict(), use_test_size=True)
    rounded = create_transform(**options, is_training=False, use_prefetcher=True)
    normalised = create_transform(**options, is_training=False)

    def theirs(data):
        image = opened(data)
        return np.asarray(rounded(image)).transpose(1, 2, 0), normalised(image).numpy()

    compared(f"timm {name}", recipe_for("timm", variant, name), theirs, KINDS)


@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_the_window_of_lite_resized_by_pillow(variant):
    recipe = recipe_for("lukemelas", variant)

    def theirs(data):
        image, share = opened(data), recipe.size / (recipe.size + 32)
        side = int(np.float32(share) * np.float32(min(image.size)))
        left, top = ((length - side + 1) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side)).resize((recipe.size,) * 2, Image.Resampling.BILINEAR)
        return np.asarray(image), (np.asarray(image, np.float32).transpose(2, 0, 1) - 127) / 128

    compared(f"EfficientNet-Lite of PyTorch, {variant}", recipe, theirs, KINDS)


@pytest.mark.parametrize(
    ("variant", "name"), [("b0", "tf_efficientnet_b0.ns_jft_in1k"), ("lite0", "tf_efficientnet_lite0.in1k")]
)
def test_timms_transform_of_gray_images(variant, name):
    """As timm's own scripts prepare them for a network of one channel: converted to L before anything else."""
    options = resolve_input_data_config(timm.create_model(name, in_chans=1), use_test_size=True)
    rounded = create_transform(**options, is_training=False, use_prefetcher=True)
    normalised = create_transform(**options, is_training=False)

    def theirs(data):
        image = Image.open(io.BytesIO(data)).convert("L")
        return np.repeat(np.asarray(rounded(image)).transpose(1, 2, 0), 3, axis=-1), normalised(image).numpy()

    compared(f"timm {name}, gray", recipe_for("timm", variant, name, in_channels=1), theirs, KINDS)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_timms_transform_of_extreme_proportions(interpolation):
    """Of the tall ones, Pillow 13 and later resize the rows first; ImageNet has images of every kind here."""
    recipe = dataclasses.replace(recipe_for("timm", "b0"), resize=f"pil-{interpolation}")
    transform = create_transform(recipe.size, interpolation=interpolation, is_training=False, use_prefetcher=True)
    for height, width in [
        (1400, 500),
        (700, 300),
        (2500, 260),
        (300, 900),
        (260, 2500),
        (1, 40),
        (40, 1),
        (3000, 2000),
    ]:
        data = file("4:2:0", height, width)
        theirs = np.asarray(transform(opened(data))).transpose(1, 2, 0)
        assert np.array_equal(pixels(data, recipe), theirs), (height, width)


@pytest.mark.parametrize(
    ("variant", "weights"),
    [
        ("b0", efficientnet.EfficientNet_B0_Weights.IMAGENET1K_V1),
        ("b1", efficientnet.EfficientNet_B1_Weights.IMAGENET1K_V1),
        ("b1", efficientnet.EfficientNet_B1_Weights.IMAGENET1K_V2),
        ("b3", efficientnet.EfficientNet_B3_Weights.IMAGENET1K_V1),
    ],
)
def test_torchvisions_transforms(variant, weights):
    transform = weights.transforms()

    def theirs(data):
        image = opened(data)
        resized = functional.resize(image, transform.resize_size, transform.interpolation, antialias=True)
        cropped = functional.pil_to_tensor(functional.center_crop(resized, transform.crop_size))
        return cropped.numpy().transpose(1, 2, 0), transform(image).numpy()

    compared(f"torchvision {variant} {weights.name}", recipe_for("torchvision", variant, weights.name), theirs, KINDS)


@pytest.mark.parametrize(
    ("variant", "weights", "name"),
    [
        ("b0", "aa", "efficientnet-b0_3rdparty_8xb32-aa_in1k"),
        ("b4", "advprop", "efficientnet-b4_3rdparty_8xb32-aa-advprop_in1k"),
        ("b7", "ns", "efficientnet-b7_3rdparty-ra-noisystudent_in1k"),
    ],
)
def test_mmpretrains_pipeline(tmp_path, variant, weights, name):
    network = get_model(name, pretrained=False)
    steps = network._config.test_dataloader.dataset.pipeline
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    path = tmp_path / "image.jpg"

    def theirs(data):
        path.write_bytes(data)
        packed = pipeline({"img_path": str(path)})
        prepared = network.data_preprocessor({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]})
        return packed["inputs"].numpy().transpose(1, 2, 0)[..., ::-1], prepared["inputs"][0].numpy()

    with torch.no_grad():
        compared(f"mmpretrain {name}", recipe_for("mmpretrain", variant, weights), theirs, KINDS)


# ---- Hugging Face, Keras -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processor", "resize"),
    [(EfficientNetImageProcessor, "torch-nearest"), (EfficientNetImageProcessorPil, "pil-nearest")],
)
@pytest.mark.parametrize("variant", ["b0", "b5"])
def test_transformers_image_processor(processor, resize, variant):
    recipe = dataclasses.replace(recipe_for("huggingface", variant), resize=resize)
    size = {"height": recipe.size, "width": recipe.size}
    # As preprocessor_config.json of google/efficientnet-b0 to -b7 says.
    published = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.47853944, 0.4732864, 0.47434163], "resample": 0}
    whole = processor(size=size, rescale_offset=False, include_top=True, **published)
    rounded = processor(size=size, resample=0, do_rescale=False, do_normalize=False, include_top=False)

    def theirs(data):
        image = opened(data)
        values, reference = (
            np.asarray(step(image, return_tensors="pt")["pixel_values"][0]) for step in (whole, rounded)
        )
        return reference.transpose(1, 2, 0), values

    compared(f"transformers {processor.__name__} {variant}", recipe, theirs, KINDS)


@pytest.mark.parametrize("variant", ["b0", "b3"])
def test_keras_load_img(tmp_path, variant):
    recipe = recipe_for("keras", variant)
    path = tmp_path / "image.jpg"

    def theirs(data):
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = keras.utils.load_img(path, target_size=(recipe.size, recipe.size))
        return np.asarray(image), None

    compared(f"Keras {variant}", recipe, theirs, KINDS)
