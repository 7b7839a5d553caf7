"""The command line: one file for each command, imported when it is called."""

import io
import os
import signal
import sys
import threading
from importlib import import_module

import click

from effconvert.cli.memory import return_large_buffers
from effconvert.errors import EffconvertError, OutputProblem, Unavailable
from effconvert.version import VERSION

# One line of help for each command, here so that `effconvert --help` imports no command.
COMMANDS = {
    "convert": "Convert a file of any layout to any other layout.",
    "tf2pt": "Convert a TensorFlow checkpoint, a published one or your own, to PyTorch.",
    "ms2pt": "Convert a MindSpore checkpoint, a published one or your own, to PyTorch.",
    "mm2pt": "Convert an OpenMMLab checkpoint, a published one or your own, to PyTorch.",
    "timm2pt": "Convert a timm checkpoint, a published one or your own, to PyTorch.",
    "pt2tf": "Convert a file to a TensorFlow checkpoint.",
    "pt2ms": "Convert a file to a MindSpore checkpoint.",
    "pt2mm": "Convert a file to an OpenMMLab checkpoint.",
    "pt2timm": "Convert a file to a timm checkpoint.",
    "diff": "Compare two files of any layouts, tensor by tensor.",
    "validate": "Measure top-1 and top-5 on ImageNet, and compare them with every published value.",
    "report": "Write a page, tables and pictures of runs and verifications beside published numbers.",
    "verify": "Check that a converted file is the same network as its source, by running the real framework.",
    "run": "Run one network on images and save the output of every layer.",
    "compare": "Compare two saved runs, without their frameworks.",
    "frameworks": "Show which frameworks are usable here, and how to install the others.",
    "cost": "Show parameters, multiply-adds and FLOPs beside every published table.",
    "tables": "Show every published number with its source, and where sources disagree.",
    "chart": "Draw one picture: accuracy, cost, layers, agreement, differences, throughput.",
    "map": "Check, show and draft maps, which describe how a library names the tensors of EfficientNet.",
    "inspect": "Show what a checkpoint holds: format, layout, variant, sets of weights, tensors.",
    "predict": "Predict the classes of images.",
    "features": "Write the feature maps or pooled features of images.",
    "list": "List the published weights with their size, cost and accuracy.",
    "demo": "Show conversion, proof and validation on a small example; works offline.",
}
_MODULES = {"inspect": "inspect_", "list": "list_"}


def module_of(command: str) -> str:
    """Return the module of a command."""
    return f"effconvert.cli.commands.{_MODULES.get(command, command)}"


class _Commands(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(module_of(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See `effconvert COMMAND --help` for each command. Exit codes: 2 usage, 3 unreadable checkpoint, "
    "4 layout mismatch, 5 numeric mismatch, 6 not as published, 7 images, 8 output problem, 9 unavailable.",
)
@click.version_option(VERSION, prog_name="effconvert")
def cli() -> None:
    """Move EfficientNet weights between frameworks, and prove that they are still the same network.

    Example: effconvert tf2pt --variant b0
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every failure ends with one message on standard error and its exit code."""
    return_large_buffers()
    if threading.current_thread() is threading.main_thread():  # so that a killed command cleans up
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        cli.main(arguments, standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EffconvertError as error:
        _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was changed", 130)
    except MemoryError:  # of something large that is sound; readers refuse small files that ask for much
        _fail("memory is too small for this; nothing was changed", Unavailable.exit_code)
    except OSError as error:  # not reported by the outputs of a command: standard output is full
        sys.stdout = io.StringIO()  # else Python reports the full output again when it ends
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", OutputProblem.exit_code)
    except Exception as error:
        if os.environ.get("EFFCONVERT_DEBUG"):
            raise
        _fail(f"internal error, please report it: {type(error).__name__}: {error} (EFFCONVERT_DEBUG=1 shows where)", 1)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"effconvert: {message}", err=True)
    sys.exit(exit_code)
