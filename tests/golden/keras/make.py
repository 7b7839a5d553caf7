"""Wrote the files beside it, with the real Keras: `python make.py keras` (Keras 3), `python make.py tf_keras` (Keras 2).

Two small networks: `plain`, and `nested`, where `plain` without its last layer is a layer itself, as in transfer
learning. The values of a variable follow from its name and shape (`tests/helpers/formats/keras_files.py` has the same rule).
"""

import importlib
import os
import sys
import zlib

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
keras = importlib.import_module(sys.argv[1])
LIBRARY = "keras3" if int(keras.__version__.split(".")[0]) > 2 else "keras2"


def plain(classes):
    layers = keras.layers
    x = inputs = layers.Input((8, 8, 3))
    x = layers.Normalization(axis=3)(layers.Rescaling(1 / 255)(x))
    x = layers.Conv2D(4, 3, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    for number in range(11):  # so that the tenth is called conv2d_10, which is sorted before conv2d_2
        x = layers.Conv2D(4 + number, 1, name=f"wide{number}_conv")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="block1a_dwconv")(x)
    x = layers.GlobalAveragePooling2D()(layers.Dropout(0.5)(x))
    outputs = layers.Dense(classes, name="predictions")(x) if classes else x
    return keras.Model(inputs, outputs, name="plain")


def fill(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            fill(layer)
            continue
        for weight in layer.weights:
            name = f"{layer.name}/{weight.name.split('/')[-1].removesuffix(':0').removeprefix('depthwise_')}"
            if "seed_generator" not in name:
                random = np.random.RandomState(zlib.crc32(name.encode()))
                weight.assign(random.uniform(1, 2, weight.shape).astype(weight.numpy().dtype))
    return model


def save(model, name):
    model.save_weights(f"{LIBRARY}_{name}.weights.h5")
    model.save(f"{LIBRARY}_{name}.keras")
    model.save(f"{LIBRARY}_{name}_model.h5")
    if LIBRARY == "keras2":
        model.save_weights(f"{LIBRARY}_{name}.h5")
    else:
        import h5py
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

        with h5py.File(f"{LIBRARY}_{name}.h5", "w") as file:
            save_weights_to_hdf5_group(file, model)


save(fill(plain(5)), "plain")
keras.backend.clear_session()
save(fill(keras.Sequential([plain(0), keras.layers.Dense(3, name="new_head")])), "nested")
keras.backend.clear_session()
trained = fill(plain(5))
trained.compile(keras.optimizers.SGD(momentum=0.9), "mse")
trained.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 5)), verbose=0)
fill(trained)
trained.save(f"{LIBRARY}_trained.keras")
trained.save(f"{LIBRARY}_trained_model.h5")
