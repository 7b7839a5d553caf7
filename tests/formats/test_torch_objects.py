"""Objects beside the weights are never made: the weights are read, and what the objects hold is said."""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import random
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from effconvert.formats import open_checkpoint
from helpers.formats.building import expected, read_all, refusal
from helpers.formats.pickles import found, integer, state_dict, tensor, text, write
from helpers.formats.torch_files import FORMS, PROTOCOLS, read_metadata, save


class Phase(enum.Enum):
    TRAIN = 1


@dataclasses.dataclass
class Config:
    arch: str = "tf_efficientnet_b0"
    weights: object = None


class Point(collections.namedtuple("Point", "x y")):
    pass


class Meter:
    class Kind(enum.Enum):
        MEAN = 1

    def __init__(self) -> None:
        self._sum = 1.0
        self.kind = Meter.Kind.MEAN

    def add(self) -> None:
        pass


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1


class AttributeDict(dict[str, Any]):
    pass


class Numbers(list[int]):
    pass


class Named:
    """Its constructor takes names."""

    def __new__(cls, *, key: int) -> "Named":
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"key": 1}


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)


class Learner:
    def __init__(self) -> None:
        self.model = Model()
        self.epoch = 3


def make_cycle() -> Meter:
    one, other = Meter(), Meter()
    one.other, other.other = other, one  # type: ignore[attr-defined]
    return one


MODEL = Model()
WEIGHTS = {name: value.numpy() for name, value in MODEL.state_dict().items()}
OPTIMIZER = torch.optim.AdamW(MODEL.parameters())

EVERYDAY: dict[str, Any] = {
    "a class": Meter,
    "a function": make_cycle,
    "a method": Meter().add,
    "a class of torch": torch.optim.AdamW,
    "a function of numpy": np.mean,
    "the type of integers": int,
    "a range": range(3),
    "an enum": Phase.TRAIN,
    "an enum within a class": Meter.Kind.MEAN,
    "a dataclass": Config(),
    "a named tuple": Point(1, 2),
    "an object": Meter(),
    "objects that hold each other": make_cycle(),
    "an object with slots": Slotted(),
    "an object made with names": Named(key=1),
    "a dict with dots": AttributeDict(lr=0.1, nested=AttributeDict(a=1)),
    "a list of its own class": Numbers([1, 2]),
    "a namespace": types.SimpleNamespace(lr=1),
    "a partial function": functools.partial(torch.optim.AdamW, lr=1e-3),
    "a deque": collections.deque([1.0], maxlen=5),
    "a decimal number": decimal.Decimal("1.5"),
    "a fraction": fractions.Fraction(1, 2),
    "a UUID": uuid.UUID(int=1 << 100),
    "a time zone": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "an exception": ValueError("x"),
    "a loss": torch.nn.CrossEntropyLoss(label_smoothing=0.1),
    "an activation": torch.nn.SiLU(),
    "a schedule": torch.optim.lr_scheduler.OneCycleLR(OPTIMIZER, 0.1, total_steps=10),
    "random states": [random.getstate(), np.random.get_state(), torch.get_rng_state()],
    "a generator": np.random.default_rng(0),
    "keys that are classes": {Meter: 1, Phase.TRAIN: 2, (1, "a"): 3, np.int64(3): 4, frozenset([1]): 5},
}


@PROTOCOLS
@FORMS
@pytest.mark.parametrize("value", EVERYDAY.values(), ids=EVERYDAY.keys())
def test_an_object_beside_the_weights_is_passed_over(
    tmp_path: Path, value: object, zipped: bool, protocol: int
) -> None:
    path = save(tmp_path / "x.pth", {"epoch": 3, "state_dict": MODEL.state_dict(), "extra": value}, zipped, protocol)
    read = read_all(path)
    weights = {name: bits for name, bits in read.items() if name.startswith("state_dict/")}
    assert weights == expected({f"state_dict/{name}": value for name, value in WEIGHTS.items()})
    assert read.keys() - weights.keys() <= {"extra/1/1", "extra/2"}  # the random states are arrays


def read_skipped(path: Path) -> dict[str, str]:
    with open_checkpoint(path) as checkpoint:
        return dict(checkpoint.skipped)


def test_what_is_not_read_is_said_by_its_class(tmp_path: Path) -> None:
    module = __name__
    beside = {
        "meter": Meter(),
        "phase": [Phase.TRAIN],
        "optimizer": torch.optim.AdamW,
        "partial": functools.partial(make_cycle),
        "hparams": AttributeDict(lr=1),
        "config": Config(weights=torch.ones(2)),
        "loss": torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)),
        "generator": np.random.default_rng(0),
        "path": Path("x"),
    }
    skipped = read_skipped(save(tmp_path / "x.pth", {"x": torch.ones(1), **beside}))
    assert skipped.pop("generator").endswith("with 1 array of numpy inside")
    inside = skipped.pop("(inside of objects)").removeprefix("not read: ").split(", ")
    assert {f"{module}.make_cycle", f"{module}.Meter.Kind"} <= {*inside}
    assert skipped == {
        "meter": f"not read: an object of {module}.Meter",
        "phase/0": f"not read: an object of {module}.Phase",
        "optimizer": "not read: torch.optim.adamw.AdamW",
        "partial": "not read: an object of functools.partial",
        "hparams": f"not read: a dict of class {module}.AttributeDict",
        "config": f"not read: an object of {module}.Config with 1 tensor inside",
        "loss": "not read: an object of torch.nn.modules.loss.BCEWithLogitsLoss with 1 tensor inside",
    }


def test_a_tensor_that_objects_share_is_counted_once(tmp_path: Path) -> None:
    one = Config(weights=[torch.ones(2)] * 5)
    path = save(tmp_path / "x.pth", {"x": torch.ones(1), "one": one, "other": Config(weights=one)})
    assert "with 1 tensor inside" in read_skipped(path)["one"]


def test_short_values_of_objects_of_plain_fields_are_metadata(tmp_path: Path) -> None:
    beside = {
        "config": Config(),
        "hyper_parameters": AttributeDict(model_name="b0", nested={"a": 1}),
        "namespace": types.SimpleNamespace(lr=1),
        "score": np.float64(0.5),
        "meter": Meter(),
        "loss": torch.nn.CrossEntropyLoss(),
        "holder": Config(weights=torch.ones(1)),
    }
    assert read_metadata(save(tmp_path / "x.pth", {"x": torch.ones(1), **beside})) == {
        "config/arch": "tf_efficientnet_b0",
        "hyper_parameters/model_name": "b0",
        "namespace/lr": "1",
        "score": "0.5",
    }


@contextmanager
def modules_of(*names: str) -> Iterator[Callable[[str, type], None]]:
    """Let classes be pickled under the names of libraries that are not there."""

    def name(path: str, kind: type) -> None:
        kind.__module__, _, kind.__name__ = path.rpartition(".")
        kind.__qualname__ = kind.__name__
        setattr(sys.modules[kind.__module__], kind.__name__, kind)

    packages = {module.rpartition(".")[0] for module in names} | {module.partition(".")[0] for module in names}
    packages |= {module.rsplit(".", 2)[0] for module in names}
    modules = {*names, *packages} - {""}
    sys.modules.update({module: types.ModuleType(module) for module in modules})
    try:
        yield name
    finally:
        for module in modules:
            del sys.modules[module]


@pytest.mark.parametrize("version", ["pytorch_lightning", "lightning.pytorch"])
@PROTOCOLS
def test_a_checkpoint_of_lightning_is_read(tmp_path: Path, version: str, protocol: int) -> None:
    """Before 1.6 the callbacks' states are kept by class; the arguments are an AttributeDict, or nodes of OmegaConf."""
    callbacks, parsing = f"{version}.callbacks.model_checkpoint", f"{version}.utilities.parsing"
    dictconfig, nodes = "omegaconf.dictconfig", "omegaconf.nodes"
    with modules_of(callbacks, parsing, dictconfig, nodes) as name:
        checkpoint_class, attributes = type("ModelCheckpoint", (), {}), type("AttributeDict", (dict,), {})
        config, node = type("DictConfig", (), {}), type("AnyNode", (), {})
        name(f"{callbacks}.ModelCheckpoint", checkpoint_class)
        name(f"{parsing}.AttributeDict", attributes)
        name(f"{dictconfig}.DictConfig", config)
        name(f"{nodes}.AnyNode", node)
        root, leaf = config(), node()
        root.__dict__ |= {"_content": {"lr": leaf}, "_parent": None}
        leaf.__dict__ |= {"_val": 0.1, "_parent": root}
        content = {
            "pytorch-lightning_version": "1.5.10",
            "state_dict": {f"model.{key}": value for key, value in MODEL.state_dict().items()},
            "callbacks": {checkpoint_class: {"best_model_score": torch.ones(1)}},
            "hyper_parameters": attributes(arch="b0", config=root, loss=torch.nn.MSELoss(), phase=Phase.TRAIN),
        }
        path = save(tmp_path / "x.ckpt", content, protocol=protocol)
    with open_checkpoint(path) as checkpoint:
        callback = f"callbacks/<{callbacks}.ModelCheckpoint>/best_model_score"
        assert [*checkpoint.tensors] == ["state_dict/model.conv.weight", "state_dict/model.conv.bias", callback]
        assert checkpoint.metadata["hyper_parameters/arch"] == "b0"
        assert checkpoint.skipped["hyper_parameters"] == f"not read: a dict of class {parsing}.AttributeDict"
        inside = checkpoint.skipped["(inside of objects)"]
        assert "omegaconf.nodes.AnyNode" in inside
        assert "torch.nn.modules.loss.MSELoss" in inside


def unsaved(path: Path, saved: str) -> str:
    """The two lines that save what an object holds."""
    load = f"loaded = torch.load({str(path)!r}, map_location='cpu', weights_only=False)"
    return f"\n  {load}\n  torch.save({saved}, 'weights.pth')"


WHOLE: dict[str, tuple[object, str, str]] = {
    "a model": (MODEL, f"a whole model of class {__name__}.Model,", "loaded.state_dict()"),
    "a model in a wrapper": (
        torch.nn.DataParallel(MODEL),
        f"a whole model of class torch.nn.parallel.data_parallel.DataParallel around {__name__}.Model,",
        "loaded.state_dict()",
    ),
    "a model in a dict": (
        {"epoch": 1, "net": {"ema": MODEL}, "loss": torch.nn.BCELoss(torch.ones(1))},
        f"'net/ema' is an object of {__name__}.Model with 2 tensors inside",
        "loaded['net']['ema'].state_dict()",
    ),
    "a model in a list": ([3, MODEL], f"'1' is an object of {__name__}.Model", "loaded[1].state_dict()"),
    "a learner": (
        Learner(),
        f"an object of {__name__}.Learner with 2 tensors inside",
        "loaded.model.state_dict()",
    ),
    "a dict of its own class": (
        AttributeDict(MODEL.state_dict()),
        f"a dict of class {__name__}.AttributeDict with 2 tensors inside",
        "dict(loaded)",
    ),
    "a state dict of its own class": (
        {"state_dict": AttributeDict(MODEL.state_dict())},
        f"'state_dict' is a dict of class {__name__}.AttributeDict with 2 tensors inside",
        "dict(loaded['state_dict'])",
    ),
}


@PROTOCOLS
@FORMS
@pytest.mark.parametrize(("value", "words", "saved"), WHOLE.values(), ids=WHOLE.keys())
def test_tensors_that_only_objects_hold_are_refused_with_the_way_to_them(
    tmp_path: Path, value: object, words: str, saved: str, zipped: bool, protocol: int
) -> None:
    path = save(tmp_path / "x.pth", value, zipped, protocol)
    message = refusal(path)
    assert words in message
    assert "code of a file is never run" in message
    assert message.endswith(unsaved(path, saved))


@pytest.mark.parametrize(("value", "saved"), [(value, saved) for value, _, saved in WHOLE.values()], ids=WHOLE.keys())
def test_the_lines_that_are_given_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object, saved: str
) -> None:
    path = save(tmp_path / "x.pth", value)
    monkeypatch.chdir(tmp_path)
    for line in refusal(path).splitlines()[1:]:
        exec(line.strip(), globals())
    names = [name.removeprefix("module.") for name in read_all(tmp_path / "weights.pth")]
    assert names == ["conv.weight", "conv.bias"]


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_torchscript_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.jit.trace(MODEL.conv, torch.ones(1, 3, 8, 8)).save(str(path))  # type: ignore[no-untyped-call]
    message = refusal(path)
    assert "a TorchScript file (torch.jit.save)" in message
    assert f"torch.jit.load({str(path)!r}" in message


def test_an_object_without_tensors_is_named(tmp_path: Path) -> None:
    assert f"holds no dict of tensors: an object of {__name__}.Meter" in refusal(save(tmp_path / "x.pth", Meter()))


REBUILT = found("torch._utils", "_rebuild_tensor_of_the_future")


def test_a_tensor_that_an_unknown_function_makes_is_named(tmp_path: Path) -> None:
    made = REBUILT + b"(" + tensor() + b"tR"
    behind = (
        text("y") + made + b"s" + text("z") + found("torch._utils", "_rebuild_parameter") + b"(" + made + b"\x88}tRs"
    )
    reason = "made by torch._utils._rebuild_tensor_of_the_future, which is not known here"
    assert read_skipped(write(tmp_path / "x.pth", state_dict(tensor(), behind=behind))) == {"y": reason, "z": reason}
    message = refusal(write(tmp_path / "x.pth", state_dict(made)))
    assert "_rebuild_tensor_of_the_future" in message


def test_a_tensor_of_an_unknown_class_is_not_read(tmp_path: Path) -> None:
    """It may hold its numbers in another form than it shows."""

    def made(kind: bytes) -> bytes:
        arguments = b"(" + tensor()[len(found("torch._utils", "_rebuild_tensor_v2")) + 1 : -2] + b"t"
        function = found("torch._utils", "_rebuild_tensor_v2")
        return found("torch._tensor", "_rebuild_from_type_v2") + b"(" + function + kind + arguments + b"NtR"

    behind = text("y") + made(found("torchao.quantization", "Packed")) + b"s"
    behind += text("z") + made(found("torch", "Tensor")) + b"s"
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=behind))
    assert [*read_all(path)] == ["x", "z"]
    assert read_skipped(path)["y"] == "a tensor of class torchao.quantization.Packed, which is not known here"


def test_a_tensor_of_an_unknown_storage_is_not_read(tmp_path: Path) -> None:
    held = b"(" + text("storage") + found("torch", "Float3Storage") + text("0") + text("cpu") + integer(4) + b"tQ"
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + tensor(held=held) + b"s"))
    assert read_skipped(path)["y"] == "its storage is torch.Float3Storage, which is not known here"


def test_a_tensor_by_which_a_dict_is_keyed_is_said(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", {"x": torch.ones(1), "state": {torch.ones(2): 1}})
    assert read_skipped(path) == {"state/<tensor 0> itself": "a key of a dict"}


def test_what_argparse_and_simple_namespaces_hold_is_read(tmp_path: Path) -> None:
    value = {"a": argparse.Namespace(x=torch.ones(1)), "b": types.SimpleNamespace(x=torch.ones(2))}
    assert [*read_all(save(tmp_path / "x.pth", value))] == ["a/x", "b/x"]
