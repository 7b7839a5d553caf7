"""One network of a report, from a run and the verifications of its file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import DatasetProblem
from effconvert.reference_tables.cost import TRAINABLE
from effconvert.report.causes import found_causes
from effconvert.report.checks import verdicts
from effconvert.report.contents.accuracy import Accuracy, Dataset, Recipe
from effconvert.report.contents.cost import Cost, CostComparison, Stages, Throughput
from effconvert.report.contents.network import Model, Network, Provenance
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.contents.verification import Comparison, Images, Source, Tolerance, Verification
from effconvert.report.given_files import RunInput, VerificationInput
from effconvert.report.naming import network_name
from effconvert.report.origins import conversion
from effconvert.report.sentences import network_sentence, warnings_of
from effconvert.report.summaries import NOTHING, summary_of
from effconvert.validate.accuracy.judgement import judge
from effconvert.validate.accuracy.summary import summarise
from effconvert.validate.cost_report import report_cost

Plain = Mapping[str, Any]
Verifications = Sequence[tuple[str, VerificationInput]]

_STAGES = ("reading", "preparing", "copying", "waiting")


def network_of_run(name: str, run: RunInput, verifications: Verifications) -> Network:
    """Return the network of a run. name: its id. verifications: of its file, with an id each."""
    record = run.record
    model, size = record["model"], record["recipe"]["size"]
    return _completed(
        Network(
            id=name,
            name=network_name(model),
            sentence="",
            variant=model["variant"],
            weights=model["weights"],
            summary=NOTHING,
            model=_model(model, verifications),
            verdicts=(),
            conversion=conversion(model.get("origin")),
            verifications=tuple(_verification(*each) for each in verifications),
            accuracy=_accuracy(run),
            recipe=from_plain(Recipe, {"shorter_side": 0, **record["recipe"]}),
            dataset=_dataset(record["dataset"]),
            cost=_cost(model["variant"], model["facts"], size),
            throughput=_throughput(record),
            cautions=(),
            provenance=_provenance(run),
        ),
        record,
    )


def network_of_verification(name: str, verifications: Verifications) -> Network:
    """Return the network of verifications without a run; the first one describes it."""
    document = verifications[0][1].document
    said, ran = document["converted"], document.get("run", {})
    cost = _cost(said["variant"], said["facts"], None)
    plain = {"weights": None, "origin": None, **said, "file": said["path"], "classes": said["facts"]["classes"]}
    model = plain | {"parameters": cost.parameters}
    return _completed(
        Network(
            id=name,
            name=network_name(model),
            sentence="",
            variant=model["variant"],
            weights=model["weights"],
            summary=NOTHING,
            model=_model(model, verifications),
            verdicts=(),
            conversion=conversion(model["origin"]),
            verifications=tuple(_verification(*each) for each in verifications),
            accuracy=None,
            recipe=None,
            dataset=None,
            cost=cost,
            throughput=None,
            cautions=(),
            provenance=Provenance(None, ran.get("date"), _text_versions(ran), None, None),
        ),
        {"model": model},
    )


def _completed(network: Network, record: Plain) -> Network:
    """Return the network with its verdicts, summary, warnings and sentence."""
    network = replace(network, verdicts=verdicts(network))
    return replace(
        network,
        summary=summary_of(network),
        cautions=tuple(warnings_of(network, record)),
        sentence=network_sentence(network),
    )


def _model(model: Plain, verifications: Verifications) -> Model:
    verified = verifications[0][1].document["converted"]["dtype"] if verifications else None
    said = {"dtype": model.get("dtype") or verified, "assumed": model.get("assumed", ())}
    return from_plain(Model, {**model, **said})


def _verification(name: str, read: VerificationInput) -> Verification:
    said = read.document
    return Verification(
        id=name,
        file=read.path,
        verdict=said["verdict"],
        sentence=said["sentence"],
        sensitivity=said["sensitivity"],
        tolerance=from_plain(Tolerance, said["tolerance"]),
        source=from_plain(Source, {"assumed": (), **said["source"]}),
        inputs=from_plain(Images, said["inputs"]),
        comparisons=tuple(_comparison(pair) for pair in said["comparisons"]),
        unlike_tensors=dict(said.get("unlike_tensors", {})),
        judgement=said.get("judgement", ""),
        explained=bool(said.get("causes")),
        causes=found_causes(said.get("causes", ())),
        cautions=tuple(said["cautions"]),
    )


def _comparison(pair: Plain) -> Comparison:
    first = pair["first"]["layer"] if pair["first"] else None
    return from_plain(Comparison, {**pair, "first": first})


def _accuracy(run: RunInput) -> Accuracy | None:
    try:
        summary, judgement = summarise(run.predictions), judge(run.predictions)
    except DatasetProblem:  # no image has a label
        return None
    said = replace(summary, classes=()).to_dict()  # without a thousand rows that no rendering shows
    return from_plain(Accuracy, said | judgement.to_dict())


def _dataset(said: Plain) -> Dataset:
    usual = {"missing": 0, "chosen": "all", "imagenet_validation": False, "labels": "own", "findings": ()}
    return from_plain(Dataset, {**usual, **said, "skipped": len(said["skipped"])})


def _cost(variant: str, facts: Plain, size: int | None) -> Cost:
    return _counted(variant, tuple(sorted(facts.items())), size)


@cache
def _counted(variant: str, facts: tuple[tuple[str, Any], ...], size: int | None) -> Cost:
    report = report_cost(VARIANTS[variant], complete(dict(facts)), size)
    return Cost(
        size=report.size,
        parameters=report.parameters,
        statistics=report.statistics,
        operations=dict(report.operations),
        comparisons=tuple(
            CostComparison(
                source=each.row.source,
                kind=each.row.kind,
                quantity="operations" if each.quantity == "operations" else "parameters",
                convention="" if each.convention == TRAINABLE else each.convention,
                size=each.row.size,
                counted_size=each.row.counted_size,
                ours=each.ours,
                published=each.published,
                step=each.step,
                difference=each.difference,
                equal=each.equal,
                failed=each.failed,
                verdict=each.verdict,
                note=each.row.note,
            )
            for each in report.comparisons
        ),
    )


def _throughput(record: Plain) -> Throughput | None:
    run, computing = record.get("run", {}), record["computing"]
    if "seconds" not in run:
        return None
    alone = run.get("model_images_per_second", {})
    usual = next(iter(alone.values())) if len(alone) == 1 else None
    return Throughput(
        images_per_second=run.get("images_per_second"),
        model_images_per_second=alone.get(record["model"]["file"], usual),
        prepared_per_core_second=run.get("prepared_per_core_second"),
        seconds=run["seconds"],
        stages=Stages(**{stage: run.get(f"{stage}_seconds") for stage in _STAGES}),
        workers=run.get("workers"),
        ranks=run.get("ranks"),
        device=computing["device"],
        device_name=computing.get("device_name"),
        dtype=computing["dtype"],
        pipeline=computing.get("pipeline"),
    )


def _provenance(run: RunInput) -> Provenance:
    computing = run.record["computing"]
    return Provenance(
        run_file=run.path,
        finished=run.record.get("run", {}).get("finished"),
        versions=dict(computing.get("versions", {})),
        device=computing["device"],
        computing={name: value for name, value in computing.items() if name != "versions"},
    )


def _text_versions(run: Plain) -> dict[str, str]:
    return {"effconvert": run["effconvert"]} if "effconvert" in run else {}
