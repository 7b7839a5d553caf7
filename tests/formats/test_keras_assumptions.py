"""A Keras file of weights alone lists layers that tell where its network may be another one."""

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.formats.keras.check import assumed_of_weights
from effconvert.formats.keras.names import Unweighted


def assumed(*listed: tuple[str, str], classifier: str = "predictions", own: bool = False) -> str:
    layers = [Unweighted("", name, kind) for name, kind in listed]
    return assumed_of_weights(VARIANTS["b0"], classifier, own, layers)


def test_the_librarys_own_classifier_is_nothing_to_assume() -> None:
    assert assumed() == ""
    assert assumed(classifier="") == ""


def test_a_users_classifier_is_assumed_to_read_the_mean() -> None:
    assert "its classifier 'dense' reads the mean" in assumed(classifier="dense", own=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("global_max_pooling2d", "global_max_pooling2d"), ("global_max_pooling2d_3", ""), ("flatten", "flatten"),
        ("lambda", ""), ("re_lu", "re_lu"), ("leaky_re_lu_1", ""), ("add", "add"), ("concatenate", ""),
        ("tf.math.multiply", "tf_op_lambda"), ("activation", "activation"), ("", "unit_normalization"), ("gap", ""),
    ],
)  # fmt: skip
def test_a_layer_that_keras_does_not_have_is_named(name: str, kind: str) -> None:
    said = assumed((name, kind))
    assert "its layers are in the order of keras.applications" in said
    assert f"it lists {name or kind}: before its classifier" in said


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("input_1", ""), ("input_layer_7", "input_layer"), ("dropout_1", "dropout"), ("random_flip", "random_flip"),
        ("gaussian_noise", ""), ("global_average_pooling2d", ""), ("data_augmentation", "sequential"), ("sequential", ""),
        ("block2b_add", "add"), ("top_activation", ""), ("avg_pool", "global_average_pooling2d"), ("", "activation"),
        ("rescaling_4", "rescaling"), ("gap", "global_average_pooling2d"),
    ],
)  # fmt: skip
def test_what_keras_has_or_does_nothing_is_not(name: str, kind: str) -> None:
    assert assumed((name, kind)) == ""


def test_a_further_rescaling_is_named() -> None:
    assert "it lists rescaling_1" in assumed(("rescaling", "rescaling"), ("rescaling_1", "rescaling"))


def test_a_network_without_a_classifier_that_is_pooled_by_the_maximum_is_said() -> None:
    assert "it lists max_pool: before its features" in assumed(("max_pool", "global_max_pooling2d"), classifier="")
    assert assumed(("avg_pool", "global_average_pooling2d"), classifier="") == ""
