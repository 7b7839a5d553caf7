"""Messages name an option as the one who reads them gives it."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

import effconvert
from effconvert.cli import cli
from effconvert.errors import EffconvertError, LayoutMismatch, OutputProblem
from effconvert.option_words import either, flag, option, typed_options
from helpers.library_files import library_tensors, save
from helpers.running import Ran

SOURCES = [path for folder in ("effconvert", "validate") for path in Path(folder).rglob("*.py")]
FUNCTIONS = (
    effconvert.convert,
    effconvert.diff,
    effconvert.verify,
    effconvert.verify_deployed,
    effconvert.load_model,
    effconvert.validate.measure_accuracy,
)


@pytest.mark.parametrize(
    ("named", "typed", "written"),
    [
        (lambda: flag("fold_eps"), "--fold-eps", "fold_eps=True"),
        (lambda: option("root"), "--root", "root=…"),
        (lambda: option("variant", "b0"), "--variant b0", 'variant="b0"'),
        (lambda: option("facts", {"bn_eps": 1e-3}), "--facts bn_eps=0.001", 'facts={"bn_eps": 0.001}'),
        (
            lambda: option("facts", {"padding": "…", "bn_eps": "…"}),
            "--facts padding=… --facts bn_eps=…",
            'facts={"padding": …, "bn_eps": …}',
        ),
        (lambda: option("leave", ["aux.*", "fc"]), "--leave 'aux.*' --leave fc", 'leave=["aux.*", "fc"]'),
        (lambda: either("--map FILE", "add_maps"), "--map FILE", "add_maps"),
    ],
)
def test_an_option_is_named_as_it_is_given(named: Callable[[], str], typed: str, written: str) -> None:
    assert named() == written
    with typed_options():
        assert named() == typed
    assert named() == written


def test_after_a_failed_command_python_has_its_own_words_again(run: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").touch()
    source = save(tmp_path / "b0.pth", library_tensors("timm"))
    ran = run("convert", source, "--to", "canonical", "--out", tmp_path / "x.safetensors")
    assert "give --force to replace it, or another name with --out" in ran.err
    with pytest.raises(OutputProblem, match="give force=True to replace it, or another name with out=…"):
        effconvert.convert(source, tmp_path / "x.safetensors")


def refusals(source: Path, folder: Path) -> Iterator[Callable[[], object]]:
    tensors = library_tensors("timm") | {"aux.weight": library_tensors("timm")["conv_stem.weight"]}
    strange = save(folder / "strange.pth", tensors)
    yield lambda: effconvert.convert(strange, folder / "x.safetensors")
    yield lambda: effconvert.convert(source, folder / "x.safetensors", variant="b1")
    yield lambda: effconvert.convert(source, folder / "x.pth", to="torchvision", facts={"padding": "tf-same"})
    yield lambda: effconvert.convert(source, folder / "x.safetensors", raw=True)
    yield lambda: effconvert.convert(source, folder / "x.safetensors", leave=["nothing"])
    yield lambda: effconvert.convert(source, folder / "x.safetensors", fold_eps=True)


def test_python_is_never_told_to_type_an_option(tmp_path: Path) -> None:
    source = save(tmp_path / "b0.pth", library_tensors("timm"))
    for refused in refusals(source, tmp_path):
        with pytest.raises(EffconvertError) as caught:
            refused()
        assert " --" not in str(caught.value).replace("(", " ")


def options_in(source: Path) -> Iterator[tuple[str, str]]:
    """Yield (`flag` or `option`, its name) for each option that a message of the module names."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("flag", "option"):
            (name, *_) = node.args
            assert isinstance(name, ast.Constant)
            yield node.func.id, str(name.value)


def commands(group: click.Group = cli) -> Iterator[click.Command]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command
        yield command


def test_an_option_that_a_message_names_exists_in_a_command_and_in_python() -> None:
    typed = {
        (spelled, isinstance(parameter, click.Option) and parameter.is_flag)
        for command in commands()
        for parameter in command.params
        for spelled in parameter.opts
    }
    written = {name for function in FUNCTIONS for name in inspect.signature(function).parameters}
    named = {found for source in SOURCES if source.parts[1] != "cli" for found in options_in(source)}
    assert len(named) > 20
    for kind, name in named:
        assert (f"--{name.replace('_', '-')}", kind == "flag") in typed, name
        assert name in written, name


def test_the_remedy_of_a_message_is_what_python_takes(tmp_path: Path) -> None:
    source, facts = save(tmp_path / "b0.pth", library_tensors("torchvision")), {"bn_eps": 2e-3}
    with pytest.raises(LayoutMismatch, match=r"fold_eps=True absorbs"):
        effconvert.convert(source, tmp_path / "x.ckpt", to="mindvision", facts=facts)
    effconvert.convert(source, tmp_path / "x.ckpt", to="mindvision", facts=facts, fold_eps=True)


# Who reads these typed a command, or reads a document: `run --prepare`, the runners, the demo, reports.
ONLY_TYPED = ("cli", "demo", "report", "runners")
COMMAND = re.compile(r"`[^`]*`|--[a-z-]+$|\b(?:effconvert|hf|pip) [^;]*")
# Options of other programs, in commands that are pieced together.
OF_OTHERS = {
    "effconvert/paths.py": [" --local-dir "],  # hf download
    "effconvert/hub/addresses.py": [" --force-reinstall --no-deps"],  # pip install
}


def spelled_options(source: Path) -> Iterator[str]:
    """Yield the texts of a module, but for docstrings and commands, that spell an option."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    chosen = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "either"
        for argument in node.args
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told | chosen
    ]
    yield from (text for text in texts if re.search(r"(?<![\w-])--[a-z]", COMMAND.sub("", text)))


def test_no_message_spells_an_option_itself() -> None:
    messages = [path for path in SOURCES if not {*ONLY_TYPED} & {*path.parts}]
    found = {str(path): list(spelled_options(path)) for path in messages}
    assert {path: texts for path, texts in found.items() if texts} == OF_OTHERS
