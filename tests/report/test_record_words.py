"""Records of files stand in words, without what Python and JSON put around them."""

from typing import Any

import pytest

from effconvert.report.contents.verification import Tolerance
from effconvert.report.renderings.record_words import engine_text, options_words, settings, tolerance_text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ""),
        ({"raw": True}, "raw weights"),
        ({"leave": ["a.*", "b"]}, "left behind: a.*, b"),
        ({"assumed": ["bn_eps", "padding"]}, "assumed: bn_eps, padding"),
        ({"fold_eps": {"from": 1e-5, "to": 1e-3}}, "bn_eps 1.0e-5 folded into 0.001"),
        ({"inexact": {"difference": 2.3257402062881738e-05, "network": {}}}, "inexact: outputs differ by 2.3e-5 of the largest"),
        ({"dtype": "float16", "earlier": [{"raw": True}, {}]}, "written as float16; before: raw weights"),
        ({"of_a_later_version": {"a": [1, 2]}}, "of_a_later_version a 1 2"),
        ({"earlier": "damaged", "facts": {"bn_eps": 0.001, "head_conv": True}}, "facts given: bn_eps 0.001, head_conv"),
    ],
)  # fmt: skip
def test_options_of_a_conversion_are_words(options: dict[str, Any], words: str) -> None:
    assert options_words(options) == words


def test_settings_leave_out_what_is_empty_and_keep_zero() -> None:
    assert settings({"workers": 0, "cached": False, "note": "", "exact": True, "mean": [0.5, 0.5]}) == (
        "workers 0, exact, mean 0.5 0.5"
    )


def test_a_tolerance_says_what_weakens_it() -> None:
    assert tolerance_text(Tolerance(2e-5, 5e-6, False, "")) == "2.0e-5 end to end, 5.0e-6 isolated"
    assert tolerance_text(Tolerance(0.1, 5e-6, True, "float16")) == (
        "0.1 end to end, 5.0e-6 isolated, looser than usual, for weights rounded to float16"
    )


def test_an_engine_stands_with_what_its_check_measured() -> None:
    check = {"images": 16, "difference": 1.4e-6, "tolerance": 2e-5}
    engine = {"name": "onnxruntime", "version": "1.32.0", "check": check, "refused": {"openvino": "openvino is gone"}}
    assert engine_text(engine) == (
        "onnxruntime 1.32.0: the logits of 16 images differ from torch's by 1.4e-6 of the largest (allowed: 2.0e-5); "
        "not taken: openvino is gone"
    )
    assert engine_text({"name": "torch", "version": "2.13.0", "check": None, "refused": {}}) == "torch 2.13.0"
