"""The command line: one file for each command, imported when it is called."""

import io
import os
import sys
from typing import NoReturn

import click

from effconvert.cli.click_classes import CommandGroup
from effconvert.cli.interruption import in_words, signals_handled, was_interrupted
from effconvert.cli.memory import return_large_buffers
from effconvert.errors import EffconvertError, OutputProblem, Unavailable
from effconvert.option_words import typed_options
from effconvert.version import VERSION

# One line of help for each command, here so that `effconvert --help` imports no command.
SECTIONS = {
    "Convert": {
        "convert": "Convert a file of any layout to any other layout.",
        "tf2pt": "Convert a TensorFlow checkpoint, a published one or your own, to PyTorch.",
        "ms2pt": "Convert a MindSpore checkpoint, a published one or your own, to PyTorch.",
        "mm2pt": "Convert an OpenMMLab checkpoint, a published one or your own, to PyTorch.",
        "timm2pt": "Convert a timm checkpoint, a published one or your own, to PyTorch.",
        "pt2tf": "Convert a file to a TensorFlow checkpoint.",
        "pt2ms": "Convert a file to a MindSpore checkpoint.",
        "pt2mm": "Convert a file to an OpenMMLab checkpoint.",
        "pt2timm": "Convert a file to a timm checkpoint.",
        "map": "Check, show and draft maps, which describe how a library names the tensors of EfficientNet.",
    },
    "Check": {
        "inspect": "Show what a checkpoint holds: format, layout, variant, sets of weights, tensors.",
        "diff": "Compare two files of any layouts, tensor by tensor.",
        "verify": "Check that a converted file is the same network as its source, by running the real framework.",
        "run": "Run one network on images and save the output of every layer.",
        "compare": "Compare two saved runs, without their frameworks.",
    },
    "Measure": {
        "validate": "Measure top-1 and top-5 on ImageNet, and compare them with every published value.",
        "report": "Write a page, tables and pictures of runs and verifications beside published numbers.",
        "chart": "Draw one picture: accuracy, cost, layers, agreement, differences, throughput.",
        "predict": "Predict the classes of images.",
        "features": "Write the feature maps or pooled features of images.",
    },
    "Look up": {
        "list": "List the published weights with their size, cost and accuracy.",
        "tables": "Show every published number with its source, and where sources disagree.",
        "cost": "Show parameters, multiply-adds and FLOPs beside every published table.",
        "frameworks": "Show which frameworks are usable here, and how to install the others.",
        "demo": "Show conversion, proof and validation on a small example; works offline.",
        "help": "Show the help of a command.",
    },
}
COMMANDS = {name: words for commands in SECTIONS.values() for name, words in commands.items()}
_ROOM = "effconvert.cli.commands."


def _conversion_meant(name: str) -> str:
    """Return what converts, if `name` reads like a command that does (`tf2keras`); else ""."""
    from effconvert.architecture.canonical import CANONICAL
    from effconvert.maps.layouts import layout_called
    from effconvert.maps.map_names import family_members, target_names

    source, _, target = name.partition("2")
    layout = layout_called(target) if source and target else ""
    if layout == CANONICAL and f"{source}2pt" in COMMANDS:
        return f"did you mean {source}2pt?"
    known = layout in target_names() or family_members(layout) if layout else ()
    return f"`effconvert convert FILE --to {target}` converts a file of any layout" if known else ""


@click.group(
    cls=CommandGroup,
    sections=SECTIONS,
    room=_ROOM,
    meant=_conversion_meant,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See `effconvert help COMMAND` for each command. Exit codes: 2 usage, 3 unreadable checkpoint, "
    "4 layout mismatch, 5 numeric mismatch, 6 not as published, 7 images, 8 output problem, 9 unavailable.",
)
@click.version_option(VERSION, prog_name="effconvert")
def cli() -> None:
    """Move EfficientNet weights between frameworks, and prove that they are still the same network.

    Example: effconvert tf2pt --variant b0
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every failure ends with one message on standard error and its exit code."""
    try:
        with typed_options(), signals_handled():
            return_large_buffers()
            cli.main(arguments, standalone_mode=False)
            if sys.stdout:
                sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say_error(shown.getvalue().rstrip())
        sys.exit(error.exit_code)
    except EffconvertError as error:
        _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail_interrupted()
    except MemoryError:  # of something large that is sound; readers refuse small files that ask for much
        _fail("memory is too small for this", Unavailable.exit_code)
    except OSError as error:  # not reported by the outputs of a command: standard output is full
        sys.stdout = io.StringIO()  # else Python reports the full output again when it ends
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", OutputProblem.exit_code)
    except Exception as error:
        if os.environ.get("EFFCONVERT_DEBUG"):
            raise
        _fail(f"internal error, please report it: {type(error).__name__}: {error} (EFFCONVERT_DEBUG=1 shows where)", 1)


def _fail(message: str, exit_code: int) -> NoReturn:
    if was_interrupted():
        _fail_interrupted()
    _say_error(f"effconvert: {message}")
    sys.exit(exit_code)


def _fail_interrupted() -> NoReturn:
    _say_error(f"effconvert: {in_words()}")
    sys.exit(130)


def _say_error(text: str) -> None:
    from effconvert.cli.display.terminal import say_error  # not for `--help`

    say_error(text)
