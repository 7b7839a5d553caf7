"""Names that users type: other names of a thing, misspelled names, completion."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from effconvert.architecture.facts import CHOICES, Facts
from effconvert.cli import COMMANDS, cli
from effconvert.cli.options import names
from effconvert.cli.options.running import given_pythons
from effconvert.errors import close_name, known_names
from effconvert.maps.layouts import known_layouts, layout_called
from effconvert.reference_tables.publishers import publisher_called, read_publishers
from effconvert.reference_tables.trainings import training_called
from effconvert.reference_tables.weights import weights_table
from helpers.running import Ran

Run = Callable[..., Ran]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("tensorflow", "tf-official"),
        ("tf", "tf-official"),
        ("TF_official", "tf-official"),
        ("mindspore", "mindspore"),
        ("ms", "mindspore"),
        ("hf", "huggingface"),
        ("efficientnet-pytorch", "lukemelas"),
        ("EfficientNet_PyTorch", "lukemelas"),
        ("pytorch", "canonical"),
        ("mm", "mmpretrain"),
        ("openmmlab", "mmpretrain"),
        ("timm", "timm"),
        ("no-such", "no-such"),
    ],
)
def test_a_layout_is_known_by_the_names_that_users_type(name: str, layout: str) -> None:
    assert layout_called(name) == layout


@pytest.mark.parametrize("name", ["tensorflow", "tf", "mindspore", "ms", "hf", "efficientnet-pytorch", "mm", "openmmlab", "keras", "timm", "torchvision"])  # fmt: skip
def test_a_name_of_a_layout_is_also_one_of_its_publisher(name: str) -> None:
    assert publisher_called(name) in read_publishers()


def test_other_names_are_in_lower_case_and_of_one_layout_or_one_family() -> None:
    of_name: dict[str, set[str]] = {}
    for layout in known_layouts():
        for name in layout.library.names:
            assert name == name.lower()
            of_name.setdefault(name, set()).add(layout.library.family or layout.name)
    assert all(len(meant) == 1 for meant in of_name.values()), of_name


def test_a_training_is_known_by_the_names_that_users_type() -> None:
    known = {row.short for row in weights_table()}
    for name in ("NoisyStudent", "noisy-student", "noisy_student", "ns"):
        assert training_called(name) == "ns"
    assert {training_called(name) for name in ("autoaugment", "RandAugment", "AdvProp", "baseline")} <= known
    assert training_called("ra4_e3600_r224_in1k") == "ra4_e3600_r224_in1k"


def test_a_layout_is_written_by_another_name(run: Run, lite0: Path, tmp_path: Path) -> None:
    assert run("convert", lite0, "--to", "efficientnet-pytorch", "-o", tmp_path / "a.pth", "-q").exit_code == 0
    assert run("convert", lite0, "--to", "lukemelas", "-o", tmp_path / "b.pth", "-q").exit_code == 0
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    assert "layout     lukemelas" in run("inspect", tmp_path / "a.pth").out


def test_pytorch_is_canonical_and_the_output_says_whose_network_that_is(run: Run, lite0: Path, tmp_path: Path) -> None:
    ran = run("convert", lite0, "--to", "pytorch", "-o", tmp_path / "a.safetensors")
    assert "canonical (effconvert's own PyTorch network)" in ran.out


def test_one_interpreter_serves_every_library_of_a_family() -> None:
    assert given_pythons(("ms=/py", "tf=/tf")) == {"mindcv": "/py", "mindvision": "/py", "tensorflow": "/tf"}


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("verfy", "verify"),
        ("tf2torch", "tf2pt"),
        ("map chek", "check"),
        ("inspect FILE --tensor-list", "--tensors"),
        ("convert FILE --to tensorfow -o x.pth", "tensorflow"),
        ("convert FILE --to timmm -o x.pth", "timm"),
        ("convert FILE --to timm -o x.pth --dtype float61", "float16"),
        ("convert FILE --to timm -o x.pth --variant lite00", "lite0"),
        ("convert FILE --to timm -o x.pth --recipe timmm", "timm"),
        ("convert FILE --to timm -o x.pth --facts bnn_eps=1", "bn_eps"),
        ("convert FILE --to timm -o x.pth --facts padding=symetric", "symmetric"),
        ("convert --published torchvison/b0", "torchvision"),
        ("verify FILE --against FILE --framework mindvison", "mindvision"),
        ("run FILE -o x.npz --framework cannonical", "canonical"),
        ("frameworks --python tensorflo=/py", "tensorflow"),
        ("list --framework mindspor", "mindspore"),
        ("tables --source timmm", "timm"),
        ("tables --dataset imagenet-reel", "imagenet-real"),
        ("chart acuracy --published -o x.svg", "accuracy"),
        ("map moves tim", "timm"),
        ("tf2pt --variant b0 --weights nss", "ns"),
        ("tf2pt --variant bo", "b0"),
        ("tf2pt --variant bl", "b1"),
    ],
)
def test_a_misspelled_name_is_a_usage_error_that_says_what_was_meant(
    run: Run, lite0: Path, arguments: str, meant: str
) -> None:
    ran = run(*(lite0 if word == "FILE" else word for word in arguments.split()))
    assert ran.exit_code == 2
    assert "did you mean" in ran.err.lower()
    assert meant in ran.err.lower().rpartition("did you mean")[2]


@pytest.mark.parametrize("option", ["--variant", "--recipe", "--facts"])
def test_an_unknown_name_is_a_usage_error_that_lists_the_known(run: Run, lite0: Path, option: str) -> None:
    ran = run("predict", lite0, "x.jpg", option, "qqqq=1")
    assert ran.exit_code == 2
    assert "known are " in ran.err


def test_a_misspelled_file_is_met_with_the_one_beside_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b0.safetensors").touch()
    ran = run("inspect", tmp_path / "b0.safetensor")
    assert ran.exit_code == 2
    assert f"did you mean {tmp_path / 'b0.safetensors'}?" in ran.err


def test_a_file_that_only_has_the_same_suffix_is_not_suggested(run: Run, tmp_path: Path) -> None:
    for name in ("lite2.pth", "lite1.pth", "lite1.safetensors"):
        (tmp_path / name).touch()
    assert "did you mean" not in run("inspect", tmp_path / "nofile.pth").err
    assert f"did you mean {tmp_path / 'lite2.pth'}?" in run("inspect", tmp_path / "lit2.pth").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("convert b0.pth timm", "the command takes FILE; did you mean --to timm?"),
        (
            "convert b0.pth out.pth",
            "out.pth is one argument too many: the command takes FILE; did you mean --out out.pth?",
        ),
        ("tables b0", "the command takes only options; did you mean --variant b0?"),
        ("list timm", "did you mean --framework timm?"),
        ("diff a b c", "c is one argument too many: the command takes A B"),
    ],
)
def test_an_argument_too_many_is_met_with_its_option(run: Run, arguments: str, words: str) -> None:
    ran = run(*arguments.split())
    assert ran.exit_code == 2
    assert words in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("verify own.pth", "'--against'.\nExample: effconvert verify own.safetensors --against efficientnet-b0"),
        ("validate own.pth", "'--data'.\nExample: effconvert validate --data imagenet/val b0.safetensors"),
        ("convert own.pth", "'--to'.\nExample: effconvert convert b0.safetensors --to timm --out b0-timm.pth"),
        ("diff own.pth", "'B'.\nExample: effconvert diff "),
        (
            "chart",
            "Choose from: accuracy, cost, layers, agreement, differences, throughput.\nExample: effconvert chart",
        ),
    ],
)
def test_what_is_missing_is_shown_in_an_example(run: Run, arguments: str, words: str) -> None:
    ran = run(*arguments.split())
    assert ran.exit_code == 2
    assert words in ran.err


def test_nothing_is_suggested_that_is_not_close() -> None:
    assert close_name("jax", ["timm", "keras"]) is None
    assert known_names("jax", ["timm", "keras"]) == "known are timm, keras"


@pytest.mark.parametrize(
    ("command", "option", "incomplete", "expected"),
    [
        ("tf2pt", "--variant", "lite", {"lite0", "lite1", "lite2", "lite3", "lite4"}),
        ("tf2pt", "--weights", "adv", {"advprop"}),
        ("convert", "--to", "tim", {"timm"}),
        ("convert", "--to", "minds", {"mindspore"}),
        ("convert", "--published", "torchvision/b0", {"torchvision/b0/imagenet1k_v1"}),
        ("convert", "--recipe", "timm-h", {"timm-half", "timm-half-bilinear"}),
        ("convert", "--facts", "padding=", {"padding=tf-same", "padding=symmetric"}),
        ("verify", "--framework", "mind", {"mindcv", "mindvision"}),
        ("verify", "--python", "hu", {"huggingface="}),
        ("validate", "--framework", "mind", {"mindspore"}),
        ("tables", "--source", "tim", {"timm"}),
        ("tables", "--dataset", "imagenet-r", {"imagenet-r", "imagenet-real"}),
        ("list", "--framework", "ten", {"tensorflow"}),
    ],
)
def test_an_option_with_known_values_completes(command: str, option: str, incomplete: str, expected: set[str]) -> None:
    assert expected <= set(_completed(command, option, incomplete))


def test_trainings_complete_for_the_variant_that_was_given() -> None:
    found = _completed("tf2pt", "--weights", "", "--variant", "l2")
    assert {"ns", "ns-475"} <= set(found)
    assert "advprop" not in found


def test_the_commands_complete_behind_help() -> None:
    assert _offered(["help"], "ver") == ["verify"]
    assert _offered(["help", "map"], "") == ["check", "moves", "draft"]


# Texts that a user chooses freely.
_FREE = {"--root", "--classifier", "--leave", "--key", "--network", "--name"}


def test_every_option_that_takes_a_text_completes_or_is_free() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command
        for param in command.params:
            if isinstance(param, click.Option) and type(param.type) is type(click.STRING):
                assert set(param.opts) & _FREE, f"{name} {param.opts}"


def test_the_help_explains_every_fact() -> None:
    rows = dict(names.FACT.help_rows())
    assert list(rows) == list(Facts().to_dict())
    assert all(value in rows[name] for name, values in CHOICES.items() for value in values)


def _completed(command: str, option: str, incomplete: str, *given: str) -> list[str]:
    """Return what a shell offers for `effconvert COMMAND GIVEN… OPTION INCOMPLETE`."""
    return _offered([command, *given, option], incomplete)


def _offered(words: list[str], incomplete: str) -> list[str]:
    """Return what a shell offers for `effconvert WORDS… INCOMPLETE`."""
    from click.shell_completion import ShellComplete

    completer = ShellComplete(cli, {}, "effconvert", "_EFFCONVERT_COMPLETE")
    return [item.value for item in completer.get_completions(words, incomplete)]
