"""Targets: PyTorch's files of both forms, and the pickle in them."""

import pickle
from collections.abc import Sequence

import numpy as np

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.torch.tensors import PickleError
from helpers.formats import pickles
from helpers.formats.building import make_torch
from helpers.fuzzing import zips
from helpers.fuzzing.checkpoint_files import ARRAYS, METADATA, read_file
from helpers.fuzzing.target import Target, made


def _torch_seeds() -> Sequence[bytes]:
    state = {"state_dict": {}, "epoch": 3, "args": ("b0", 0.1)}
    return [
        made(make_torch, ARRAYS, METADATA),
        made(pickles.write, pickles.state_dict(pickles.tensor())),
        made(pickles.write, pickle.dumps(state, 2)),
    ]


def _legacy_seeds() -> Sequence[bytes]:
    two = pickles.state_dict(pickles.tensor(), behind=pickles.text("y") + pickles.tensor() + b"s")
    return [made(pickles.write_legacy, one) for one in (pickles.state_dict(pickles.tensor()), two)]


def _read_pickle(content: bytes) -> None:
    try:
        pickles.load(content)
    except PickleError as error:
        raise UnreadableCheckpoint(str(error)) from error


def _pickle_seeds() -> Sequence[bytes]:
    whole = {"x": [1, 2.5, None, True, ("a", -1), b"bytes", 1 << 70], "y": {}, "z": {3}}
    arrays = {"array": np.arange(3), "long": list(range(40))}
    counter = (
        b"\x80\x02"
        + pickles.found("collections", "OrderedDict")
        + b")R}"
        + pickles.text("x")
        + pickles.integer(1)
        + b"s."
    )
    return [
        *(pickle.dumps(whole, protocol) for protocol in (2, 3, 4)),
        pickle.dumps(arrays, 2),
        pickles.state_dict(pickles.tensor()),
        counter,
    ]


TORCH = [
    Target("torch_zip", read_file, _torch_seeds, mutate=zips.mutate_zip()),
    Target("torch_legacy", read_file, _legacy_seeds),
    Target("pickle", _read_pickle, _pickle_seeds),
]
