"""Every rendering writes the same number in the same digits."""

import json

import pytest

from effconvert.report.contents.accuracy import Proportion
from effconvert.report.renderings import numbers_text as text
from effconvert.report.renderings.json_text import json_text
from effconvert.report.renderings.text import address, shortened, visible


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text.percent(84.4239999, 50_000), "84.424 %"),
        (text.percent(85.0, 20), "85 %"),
        (text.proportion(Proportion(771, 1000, 77.1, (76.7, 77.5))), "77.1 % (95 %: 76.7 to 77.5 %)"),
        (text.published(77.1, 0.01), "77.10"),
        (text.published(5288548, 1), "5,288,548"),
        (text.published(84.3), "84.3"),
        (text.published("bicubic"), "bicubic"),
        (text.signed(0.0241), "+0.024"),
        (text.signed(-1.05), "\N{MINUS SIGN}1.050"),
        (text.signed(-0.0001), "0.000"),
        (text.signed(-42016, 0), "\N{MINUS SIGN}42,016"),
        (text.count(5288548), "5,288,548"),
        (text.error(1.234e-6), "1.2e-6"),
        (text.error(0.0), "0"),
        (text.error(12.0), "12"),
        (text.error(1.234), "1.2"),
        (text.error(0.91), "0.91"),
        (text.error(0.0091), "9.1e-3"),
        (text.error(1234.5), "1.2e3"),
        (text.giga(386_000_000), "0.386 G"),
        (text.seconds(0.02154), "0.0215 s"),
        (text.seconds(59.96), "1 min 0 s"),
        (text.seconds(125.2), "2 min 5 s"),
        (text.rate(1234.5), "1,234"),
        (text.size(21_312_000), "21.3 MB"),
        (text.size(999), "999 bytes"),
    ],
)
def test_numbers_are_written_with_unit_sign_and_separators(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(
    "write", [text.decimals, text.count, text.error, text.giga, text.seconds, text.rate, text.size]
)
def test_what_was_not_finite_or_is_not_known_is_a_dash(write) -> None:
    assert write(None) == text.NONE


def test_an_accuracy_without_images_is_a_dash() -> None:
    assert text.percent(None, 0) == text.NONE


def test_marks_that_hide_or_turn_text_are_written_out() -> None:
    assert visible("a\n\x1b[2J\u202eb\u200b\ufeff\ud800") == ("a{U+000A}{U+001B}[2J{U+202E}b{U+200B}{U+FEFF}{U+D800}")


def test_letters_of_any_script_stay() -> None:
    assert visible("Größe 模型 الشبكة") == "Größe 模型 الشبكة"


def test_a_long_name_keeps_its_ends() -> None:
    assert shortened("a" * 500 + "b" * 500, 11) == "aaaaa…bbbbb"


@pytest.mark.parametrize(
    "text", ["javascript:alert(1)", "https://a b", "file:///etc/passwd", "https://a\u202eb", None, 5]
)
def test_only_addresses_of_the_web_are_links(text) -> None:
    assert address(text) is None


def test_an_address_of_the_web_is_a_link() -> None:
    assert address("https://example.org/a?b=c#d") == "https://example.org/a?b=c#d"


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "yes"), (5288548, "5,288,548"), (6.999999e-7, "7e-07"), (77.1, "77.1"), (None, text.NONE), ("b0", "b0")],
)
def test_a_value_of_any_kind_can_be_written(value: object, written: str) -> None:
    assert text.plain(value) == written


def test_a_large_whole_number_has_all_its_digits() -> None:
    assert text.published(174_203_533_416.0) == "174,203,533,416"


def test_s7_json_for_people_controls_no_terminal_and_reads_back_equal() -> None:
    value = {"\x1b[2J": ["\u202e\x9b\u2028\ud800\U000e0001", "\xe4\u4e2d\n"], "a": 1.5}
    text = json_text(value)
    assert text.replace("\n", "").isprintable()
    assert json.loads(text) == value
    assert "\xe4\u4e2d" in text


@pytest.mark.parametrize(
    ("images", "decimals"), [(0, 0), (1, 0), (20, 0), (100, 0), (101, 1), (1000, 1), (1001, 2), (10_001, 3), (10**6, 3)]
)
def test_an_accuracy_has_the_decimals_that_one_image_changes(images: int, decimals: int) -> None:
    assert text.places(images) == decimals
