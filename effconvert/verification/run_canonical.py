"""The runner of the canonical network: the same arguments and the same file as those of the real frameworks."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import EffconvertError, LayoutMismatch
from effconvert.model.capture import capture
from effconvert.model.network import EfficientNet
from effconvert.options import Options
from effconvert.verification.inputs import Inputs
from effconvert.verification.launching import CANONICAL, KEY_VARIABLE, save_arrays
from effconvert.verification.network_files import examine, network_of
from effconvert.verification.runs import SCHEMA, open_run
from effconvert.version import VERSION


def main(command: Sequence[str] | None = None) -> int:
    """Run the network of a file on the inputs, write the run, and return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    for option in ("--settings", "--inputs", "--out", "--feed"):
        parser.add_argument(option, type=Path)
    arguments = parser.parse_args(command)
    settings = json.loads(arguments.settings.read_text())
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        options = Options(facts=settings["facts"], **settings["reading"])
        key = os.environ.get(KEY_VARIABLE)
        file = examine(arguments.file, options, key.encode() if key else None)
        if dict(file.sha256) != settings["sha256"]:
            raise LayoutMismatch(f"{arguments.file}: was changed since it was looked at")
        _write(network_of(replace(file, rounded=settings["rounded"])), settings, arguments)
    except EffconvertError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    return 0


def _write(network: EfficientNet, settings: dict[str, Any], arguments: argparse.Namespace) -> None:
    with np.load(arguments.inputs) as held:
        inputs = {name: held[name] for name in held.files}
    images = torch.from_numpy(inputs["images"])
    layers = capture(network, images)
    arrays = {f"layer/{name}": array for name, array in layers.items()}
    if arguments.feed:
        fed = capture(network, images, _entering(arguments.feed))
        arrays |= {f"fed/{name}": array for name, array in fed.items()}
    record = {
        "schema": SCHEMA,
        "framework": CANONICAL,
        "network": f"effconvert.load_model({arguments.file!r})",
        "loader": "effconvert's own reader",
        "file": arguments.file,
        "settings": settings,
        "layers": list(layers),
        "inputs_sha256": Inputs(inputs["images"], {}).sha256,
        "computing": {"dtype": "float32", "tf32": False, "autocast": False},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "effconvert": VERSION,
            "torch": torch.__version__,
        },
    }
    save_arrays(arguments.out, {**arrays, **inputs, "run": np.array(json.dumps(record, sort_keys=True))})


def _entering(feed: Path) -> dict[str, NDArray[np.float32]]:
    """Return {layer: what entered it} in another run: what the layer before gave."""
    with open_run(feed) as other:
        return {name: other.layer(before) for before, name in zip(other.layers, other.layers[1:], strict=False)}


if __name__ == "__main__":
    sys.exit(main())
