"""The steps of a conversion: open, plan, move each tensor into the output, read it back, rename it into place."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from effconvert.architecture.canonical import CANONICAL, is_trainable, tensor_shapes
from effconvert.atomic import check_is_no_source, check_output
from effconvert.conversion.graph_outputs import check_graph, graph_options
from effconvert.conversion.loading_code import printed_code
from effconvert.conversion.outputs import Written, check_container, write
from effconvert.conversion.plan import DTYPES, NAMES, Plan, make_plan
from effconvert.conversion.targets import library_of
from effconvert.conversion.transfer import Examination, Progress, Transfer, Zeroed
from effconvert.errors import LayoutMismatch, OutputProblem, UnknownName, known_names
from effconvert.formats import Checkpoint, open_checkpoint
from effconvert.graphs.graph_options import ONNX
from effconvert.identify.library_builds import differing_facts
from effconvert.maps.layouts import known_layouts, layout_called
from effconvert.options import Options, patterns
from effconvert.reference_tables.file_names import check_name_sha8
from effconvert.shown import Row, Shown


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """The report of a conversion.

    moved: number of tensors from the source. left_behind: {reason: number of tensors}. left: {tensor that an option
    left behind: reason}. classifier: the layer that was taken for it, if its name is not the layout's own. parameters:
    number of trainable values. strange: tensors with implausible values. cautions: the warnings. root: the prefix of
    the source's names. named_hash: whether the source's SHA-256 is the one in its name; "" if there is none. network:
    Python code that builds the network of the output, loads it and prepares images. not_carried: {part of the recipe
    that this library's preprocessing does not have: [wanted, done]}. remark: the same in words. inexact: the largest
    error of that network, relative to the largest logit, if `allow_inexact` made it; None if it is exact. assumed: the
    facts that are only assumed, and on which all of this depends. filled: {reason: number of tensors} that the source
    does not have and the target's layout needs. untrained: one sentence if all strange tensors are of one kind, with
    the values that a new network has; "" otherwise. graph: how the network is written as a graph; empty for a file of
    weights. execution: what was seen when that was run; "" for a file of weights. zeroed: {tensor: its values that
    became 0 in the dtype of the output}; where they are many, the tensor is also among the strange ones.
    """

    source: str
    source_format: str
    layout: str
    variant: str
    weights: str | None
    taken: str
    moved: int
    left_behind: Mapping[str, int]
    left: Mapping[str, str]
    classifier: str
    facts: Mapping[str, Any]
    recipe: Mapping[str, Any]
    options: Mapping[str, Any]
    source_sha256: Mapping[str, str]
    map_sha256: str
    output: str
    output_layout: str
    tensors: int
    parameters: int
    nbytes: int
    strange: tuple[str, ...]
    cautions: tuple[str, ...]
    root: str
    named_hash: str
    network: str
    not_carried: Mapping[str, Sequence[str]]
    remark: str
    inexact: float | None
    assumed: tuple[str, ...]
    filled: Mapping[str, int]
    untrained: str
    graph: Mapping[str, Any]
    execution: str
    zeroed: Mapping[str, Zeroed]

    @property
    def line(self) -> str:
        """What was converted into what, in one line."""
        weights = f" {self.weights}" if self.weights else ""
        warned = f", {len(self.cautions)} warning{'s' * (len(self.cautions) != 1)}" if self.cautions else ""
        inexact = "" if self.inexact is None else f", inexact by {self.inexact:.2g} of the largest logit"
        into = f"{self.output} ({self.output_layout}), {self.tensors:,} tensors"
        return f"{self.source} ({self.layout}, {self.variant}{weights}) -> {into}{inexact}{warned}"

    def to_rows(self) -> list[Row]:
        """Return one row of the numbers and words that compare conversions."""
        names = "source layout variant weights taken moved output output_layout tensors parameters nbytes inexact"
        counts = {"left_behind": sum(self.left_behind.values()), "warnings": len(self.cautions)}
        return [{name: getattr(self, name) for name in names.split()} | counts]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {
            **vars(self),
            "strange": list(self.strange),
            "cautions": list(self.cautions),
            "assumed": list(self.assumed),
            "zeroed": {name: asdict(lost) for name, lost in self.zeroed.items()},
        }


def convert(
    source: str | Path,
    out: str | Path | None = None,
    *,
    to: str = CANONICAL,
    variant: str | None = None,
    weights: str | None = None,
    recipe: str | None = None,
    raw: bool = False,
    root: str | None = None,
    backbone: bool = False,
    classifier: str | None = None,
    leave: str | Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    drop_background_class: bool = False,
    names: str | None = None,
    fold_eps: bool = False,
    allow_inexact: bool = False,
    size: int | None = None,
    free_size: bool = False,
    batch: int | None = None,
    fold: bool = False,
    with_normalisation: bool = False,
    with_softmax: bool = False,
    key: bytes | None = None,
    force: bool = False,
    url: str | None = None,
    expected_sha256: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Convert the checkpoint at `source` into the file `out` and return a report.

    out: by default the variant's name, `b0.safetensors`; its suffix decides the format.
    to: the layout, `canonical` or one of mappings/, also by another name (`tensorflow`, `hf`); `tf-official` and
        `huggingface` are written as folders; `mindspore` means `mindcv` or `mindvision`, the one with the padding of
        the weights. `onnx` is a graph, which holds the canonical tensors and computes the network.
    variant: the variant, if the tensors do not tell it.
    weights: the training (`aa`, `ns`, …), which decides the recipe.
    recipe: the name of a preprocessing recipe in reference/recipes.toml, in place of the usual one.
    raw: take the raw weights instead of their averages.
    root: the scope of the weights, in a file with several networks.
    backbone: leave out the classifier, and all tensors after or outside the network.
    classifier: the name of the classifier's layer in the file.
    leave: a pattern of tensors to leave behind (`criterion.*`), or several.
    facts: replace facts of the layout (`{"fused_stride": "expand"}`).
    dtype: `float32`, `float16` or `bfloat16` instead of the source's.
    names: the tensors to write for `tf-official`: `raw`, `average` or `both`; by default both, for raw weights `raw`.
    fold_eps: absorb another epsilon of the target into the variances.
    allow_inexact: convert for a network that computes with other facts, and measure the error.
    size: for `onnx`: height and width of the images in pixels; by default the recipe's.
    free_size: for `onnx`: take images of any height and width.
    batch: for `onnx`: the number of images in one call; by default any.
    fold: for `onnx`: fold BatchNorm into the kernels; the file then holds no weights.
    with_normalisation: for `onnx`: take pixels from 0 to 255 and normalise them in the graph.
    with_softmax: for `onnx`: give probabilities in place of logits.
    key: decrypts an encrypted source.
    force: replace an output that exists.
    url: the address of the source, for the record.
    expected_sha256: {file name: expected hash} of the source's files.
    progress: called with (bytes done, total bytes).

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch, NumericMismatch or OutputProblem; the output is then not
    changed.

    Example: `effconvert.convert("efficientnet-b0/", "b0.safetensors", weights="aa")`
    """
    source, output, to = Path(source), Path(out) if out else None, layout_called(to)
    graph: dict[str, Any] = {
        "size": size,
        "free_size": free_size,
        "batch": batch,
        "fold": fold,
        "with_normalisation": with_normalisation,
        "with_softmax": with_softmax,
    }
    _check_arguments(output, to, dtype, names)
    check_graph(to, graph)
    if output:
        check_is_no_source(output, [source])  # before `force` is advised
        check_output(output, force)
    options = Options(
        variant=variant,
        weights=weights,
        recipe=recipe,
        raw=raw,
        root=root,
        backbone=backbone,
        classifier=classifier,
        leave=patterns(leave),
        facts=facts,
        dtype=dtype,
        drop_background_class=drop_background_class,
        names=names,
        fold_eps=fold_eps,
        allow_inexact=allow_inexact,
    )
    with open_checkpoint(source, key) as checkpoint, Examination(checkpoint, expected_sha256 or {}) as examination:
        plan = make_plan(checkpoint, to, options)
        output = output or Path(f"{plan.identity.variant.name}.safetensors")
        check_is_no_source(output, checkpoint.files)
        plan = _with_difference(checkpoint, plan)
        if to == ONNX:
            plan = replace(plan, graph=graph_options(plan, **graph))
        transfer = Transfer(checkpoint, plan, progress)
        hashes = examination.finish(plan)
        written = write(output, force, plan, transfer, hashes, url)
        return _report(source, output, checkpoint, plan, transfer, hashes.result(), written)


def _check_arguments(output: Path | None, to: str, dtype: str | None, names: str | None) -> None:
    if dtype is not None and dtype not in DTYPES:
        raise UnknownName(f"dtype {dtype!r} is unknown; {known_names(dtype, DTYPES)}")
    if names is not None and names not in NAMES:
        raise UnknownName(f"names {names!r} are unknown; {known_names(names, NAMES)}")
    library = library_of(to)  # refuses an unknown layout before anything is asked for it
    naming = [layout.name for layout in known_layouts() if layout.write and layout.average]
    if names is not None and to not in naming:
        raise LayoutMismatch(
            f"names {names!r}: only {', '.join(naming)} has different names for raw weights and averages"
        )
    if output is None and to != CANONICAL:
        raise OutputProblem(f"{to}: give the {'folder' if library.folder else 'file'} to write")
    if output:
        check_container(output, to)


def _with_difference(checkpoint: Checkpoint, plan: Plan) -> Plan:
    """Return the plan with the measured difference in the description, if the target computes with other facts."""
    target = plan.target
    if target.given_up is None:
        return plan
    from effconvert.conversion.inexactness import measured_difference

    difference = measured_difference(
        checkpoint, plan.to_canonical, target.variant, target.given_up, target.facts, target.eps_shift
    )
    doubtful = plan.identity.doubt.of(differing_facts(target.given_up, target.facts))
    said = {"difference": difference, "network": asdict(target.facts)}
    if doubtful:  # the network of the weights is itself assumed, so the difference is too
        said["assumed"] = sorted(doubtful.names)
    options = {**plan.description.options, "inexact": said}
    return replace(plan, description=replace(plan.description, options=options))


def _report(
    source: Path,
    output: Path,
    checkpoint: Checkpoint,
    plan: Plan,
    transfer: Transfer,
    source_sha256: Mapping[str, str],
    written: Written,
) -> Report:
    description = plan.description
    # A graph that normalises takes pixels, which `preprocess` does not give.
    pixels = plan.graph is not None and plan.graph.with_normalisation
    printed = printed_code(plan.target, str(output), None if pixels else description.recipe, description.recipe.size)
    return Report(
        source=str(source),
        source_format=checkpoint.format,
        layout=plan.identity.layout_name,
        variant=description.variant,
        weights=description.weights,
        taken=description.taken,
        moved=len(plan.coverage.moves),
        left_behind=plan.coverage.counts()["left_behind"],
        left=plan.coverage.left_by_option(),
        classifier=plan.identity.reading.classifier.get(plan.coverage.taken, ""),
        facts=description.facts.to_dict(),
        recipe=description.recipe.to_dict(),
        options=description.options,
        source_sha256=source_sha256,
        map_sha256=description.map_sha256,
        output=str(output),
        output_layout=plan.target.name,
        tensors=len(written.infos),
        parameters=_parameters(plan),
        nbytes=sum(info.nbytes for info in written.infos),
        strange=tuple(dict.fromkeys(transfer.strange)),
        cautions=plan.cautions,
        root=plan.identity.sets.roots.get(plan.coverage.taken, ""),
        named_hash=" ".join(_named_hashes(checkpoint, source_sha256)),
        network=printed.text,
        not_carried={part: list(words) for part, words in printed.not_carried.items()},
        remark=printed.remark,
        inexact=description.options.get("inexact", {}).get("difference"),
        assumed=tuple(sorted(plan.identity.assumed)),
        filled=Counter(plan.fill[info.name].reason for info in plan.infos if info.name in plan.fill),
        untrained=transfer.untrained,
        graph=plan.graph.to_dict() if plan.graph else {},
        execution=written.execution,
        zeroed=transfer.zeroed,
    )


def _named_hashes(checkpoint: Checkpoint, found: Mapping[str, str]) -> Iterator[str]:
    for file in checkpoint.files:
        if said := check_name_sha8(file, found[file.name]):
            yield said


def _parameters(plan: Plan) -> int:
    shapes = tensor_shapes(plan.identity.variant, plan.facts)
    return sum(math.prod(shape) for name, shape in shapes.items() if is_trainable(name))
