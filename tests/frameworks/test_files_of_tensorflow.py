"""Files that TensorFlow wrote are read by effconvert: every tensor, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf

import effconvert
from effconvert.errors import LayoutMismatch
from helpers import official_weights
from helpers.frameworks.tensorflow_files import (
    BLOCK,
    differences,
    many_tensors,
    read_with_effconvert,
    read_with_tensorflow,
    run,
    save,
)
from helpers.frameworks.training_graph import export_saved_model, train_and_save, v1

SMALL = {"efficientnet-b0/stem/conv2d/kernel": (3, 3, 3, 32), "efficientnet-b0/head/dense/bias": (1000,)}
READABLE = """float32 float64 float16 bfloat16 float8_e5m2 float8_e4m3fn int8 int16 int32 int64 uint8 uint16 uint32
uint64 bool complex64 complex128""".split()


def dtype(name: str) -> tf.DType:
    return tf.as_dtype(name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, what the session held) of a whole b0 that TensorFlow trained one step and saved."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, train_and_save(folder, official_weights.all_shapes()["efficientnet-b0"])


def test_a_training_checkpoint_is_read_bit_for_bit(trained):
    folder, held = trained
    assert len(held) == 2 * 311 + 2 * 213 + 1
    assert differences(read_with_effconvert(folder), held) == []


def test_a_training_checkpoint_becomes_the_averages_and_nothing_else(trained, tmp_path):
    folder, held = trained
    report = effconvert.convert(folder, tmp_path / "b0.safetensors")
    assert (report.variant, report.taken, report.moved) == ("b0", "averages", 311)
    assert report.left_behind["optimizer slot"] == 2 * 213
    network = effconvert.load_model(tmp_path / "b0.safetensors")
    kernel = held["efficientnet-b0/head/dense/kernel/ExponentialMovingAverage"]
    assert np.array_equal(network.head.fc.weight.detach().numpy(), kernel.T)


@pytest.mark.parametrize("name", READABLE)
def test_every_dtype_is_read_bit_for_bit(tmp_path, name):
    values = np.random.RandomState(0).randint(0, 2**31, (5, 7)).astype(np.float64) / 2**24
    array = tf.cast(tf.constant(values), dtype(name)).numpy()
    save(tmp_path, {"scope/tensor": array})
    assert differences(read_with_effconvert(tmp_path), {"scope/tensor": array}) == []


def test_values_that_are_no_numbers_keep_their_bits(tmp_path):
    bits = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], np.uint32)
    save(tmp_path, {"scope/tensor": bits.view(np.float32)})
    assert read_with_effconvert(tmp_path)["scope/tensor"].view(np.uint32).tolist() == bits.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1, 1, 1)], ids=str)
def test_scalars_and_empty_tensors_are_read(tmp_path, shape):
    tensors = {"a/before": np.ones(3, np.float32), "b": np.full(shape, 2.5, np.float32), "c": np.array(7, np.int64)}
    save(tmp_path, tensors)
    assert differences(read_with_effconvert(tmp_path), tensors) == []


def test_text_is_skipped_and_named(tmp_path):
    tensors = {"names": np.array([b"tench", b"a" * 300]), "weight": np.ones((2, 2), np.float32)}
    save(tmp_path, tensors)
    with effconvert.open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.skipped == {"names": "string tensor"}
        assert checkpoint.read("weight").tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("shards", [2, 3, 12])
def test_a_checkpoint_of_several_shards_is_read_bit_for_bit(tmp_path, shards):
    random = np.random.RandomState(1)
    tensors = {f"scope/tensor_{n}": random.normal(size=(n + 1, 5)).astype(np.float32) for n in range(30)}
    parts = [tmp_path / "parts" / f"part_{number}" for number in range(shards)]
    for number, part in enumerate(parts):
        save(part, {name: tensors[name] for name in sorted(tensors)[number::shards]})
    prefixes = [str(part / "model.ckpt") for part in parts]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "merged/model.ckpt"))
    assert len(list((tmp_path / "merged").glob("*.data-*"))) == shards
    assert differences(read_with_effconvert(tmp_path / "merged"), tensors) == []


# The offsets in the keys of slices take one byte, two and three.
@pytest.mark.parametrize(
    ("shape", "axis", "parts"),
    [((7, 5, 3, 11), 0, 3), ((7, 5, 3, 11), 1, 2), ((3, 3, 2, 500), 3, 4), ((2, 40000), 1, 3), ((300000,), 0, 2)],
    ids=str,
)
def test_a_partitioned_variable_is_put_together(tmp_path, shape, axis, parts):
    with tf.Graph().as_default(), v1.Session() as session:
        partitioner = v1.fixed_size_partitioner(parts, axis)
        kernel = v1.get_variable("scope/kernel", shape, partitioner=partitioner, use_resource=False)
        bias = v1.get_variable("scope/bias", (11,), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        held = dict(zip(["scope/kernel", "scope/bias"], session.run([kernel.as_tensor(), bias]), strict=True))
    assert len(list(kernel)) == parts
    assert differences(read_with_effconvert(tmp_path), held) == []


def test_an_index_of_several_blocks_is_read_bit_for_bit(tmp_path):
    save(tmp_path, many_tensors())
    assert (tmp_path / "model.ckpt.index").stat().st_size > 3 * BLOCK
    assert differences(read_with_effconvert(tmp_path), many_tensors()) == []


def test_a_saved_model_with_the_official_names_is_converted(tmp_path):
    held = export_saved_model(tmp_path / "exported", official_weights.all_shapes()["efficientnet-lite0"])
    assert differences(read_with_effconvert(tmp_path / "exported"), held) == []
    report = effconvert.convert(tmp_path / "exported", tmp_path / "lite0.safetensors")
    assert (report.variant, report.taken, report.moved) == ("lite0", "raw", len(held))


def test_an_object_graph_checkpoint_is_read_bit_for_bit(tmp_path):
    layers = {"kernel": tf.Variable(tf.random.normal((3, 3, 4, 8))), "step": tf.Variable(5, dtype=tf.int64)}
    prefix = tf.train.Checkpoint(**layers).save(str(tmp_path / "model"))
    expected = read_with_tensorflow(prefix)
    del expected["_CHECKPOINTABLE_OBJECT_GRAPH"]
    with effconvert.open_checkpoint(prefix) as checkpoint:
        assert checkpoint.skipped == {"_CHECKPOINTABLE_OBJECT_GRAPH": "string tensor"}
    assert differences(read_with_effconvert(prefix), expected) == []


def test_an_object_graph_checkpoint_is_refused_as_such(tmp_path):
    prefix = tf.train.Checkpoint(kernel=tf.Variable([1.0])).save(str(tmp_path / "model"))
    with pytest.raises(LayoutMismatch, match="object-graph checkpoint"):
        effconvert.convert(prefix, tmp_path / "out.safetensors")


@pytest.mark.parametrize("given", ["model.ckpt", "."], ids=["file", "folder"])
def test_a_version_1_checkpoint_is_refused_by_name(tmp_path, given):
    train_and_save(tmp_path, SMALL, version=v1.train.SaverDef.V1)
    refused = run("tf2pt", "--checkpoint", tmp_path / given, "--out", tmp_path / "out.safetensors")
    assert refused.returncode == 3
    assert "TensorFlow V1 checkpoint" in refused.stderr
    assert not (tmp_path / "out.safetensors").exists()
