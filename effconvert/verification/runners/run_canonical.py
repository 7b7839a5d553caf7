"""Runner of effconvert's own network: it runs a file of weights and saves the output of every layer.

It runs in effconvert's own interpreter and is the only runner that imports effconvert.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import EffconvertError, LayoutMismatch
from effconvert.model.capture import capture
from effconvert.options import Options
from effconvert.verification.launching import KEY_VARIABLE
from effconvert.verification.network_files import examine, network_of
from effconvert.verification.runners.base import (
    Arrays,
    Network,
    Refusal,
    Runner,
    Settings,
    parse_arguments,
    read_settings,
    write_run,
)
from effconvert.verification.runners.torch_base import start_torch
from effconvert.version import VERSION


def make_network(file: str, tensors: Arrays | None, settings: Settings, inputs: Arrays) -> Network:
    """Return the canonical network with the weights of the file, read and rounded by the settings.

    Raises LayoutMismatch for a changed file, and the errors of `examine`.
    """
    options = Options(facts=settings["facts"], **settings["reading"])
    key = os.environ.get(KEY_VARIABLE)
    examined = examine(file, options, key.encode() if key else None)
    if dict(examined.sha256) != settings["sha256"]:
        raise LayoutMismatch(f"{file}: has changed since it was examined; run the command again")
    network, images = network_of(replace(examined, rounded=settings["rounded"])), torch.from_numpy(inputs["images"])
    return Network(
        f"effconvert.load_model({file!r})",
        "effconvert's own reader",
        lambda feed: {**capture(network, images, feed)},
        {"effconvert": VERSION, "torch": torch.__version__},
    )


RUNNER = Runner(
    framework=CANONICAL,
    packages=("effconvert", "torch"),
    description=__doc__,
    start=start_torch,
    make_network=make_network,
)


def main(command: Sequence[str] | None = None) -> int:
    """Run the network, write the run, and return the exit code; errors keep effconvert's own message."""
    arguments = parse_arguments(RUNNER.description, command)
    RUNNER.start()
    try:
        write_run(RUNNER, arguments, read_settings(arguments))
    except (EffconvertError, Refusal) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
