"""A report's document: one network for each run, with its file's verifications, in plain values."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.errors import MissingPath
from effconvert.report.causes import missing_cause
from effconvert.report.checks import verdicts
from effconvert.report.contents.network import Beside, Nearest
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.contents.report import Report
from effconvert.report.document import build_report, published_report
from effconvert.report.schema import problems
from effconvert.report.summaries import summary_of
from helpers.report.made_documents import made_document, typed
from helpers.report.made_inputs import (
    FILE,
    OTHER,
    layer,
    origin,
    run_record,
    unlabelled,
    verification,
    with_rows,
    write_run,
    write_verification,
)

IMAGES = 200


def network(document: dict[str, Any]) -> dict[str, Any]:
    """Return the only network of a report."""
    (found,) = document["networks"]
    return found


def check(document: dict[str, Any], name: str) -> dict[str, str]:
    """Return a row of the verdicts of the only network."""
    return next(row for row in network(document)["verdicts"] if row["check"] == name)


def of_run(path: Path, hits: int = 150, images: int = IMAGES, **changes: Any) -> dict[str, Any]:
    """Return the report of one run with changes to its record."""
    return build_report([write_run(path / "b0.npz", hits, images, record=run_record(**changes))]).to_dict()


def of_verification(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    return build_report([], [write_verification(path / "verified.json", document)]).to_dict()


def test_the_document_is_as_its_schema_says(tmp_path: Path) -> None:
    run, verified = write_run(tmp_path / "b0.npz", 150, IMAGES), write_verification(tmp_path / "b0.json")
    for document in (
        build_report([run], [verified]).to_dict(),
        build_report([run]).to_dict(),
        build_report([], [verified]).to_dict(),
        published_report().to_dict(),
    ):
        assert problems(document, "report-1") == []
        assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_nothing_is_no_report() -> None:
    with pytest.raises(MissingPath, match="needs a run of `validate` or a verification"):
        build_report([]).to_dict()


def test_what_was_published_needs_no_run() -> None:
    found = published_report().to_dict()
    assert (found["kind"], found["networks"], found["agreement"]) == ("published", [], None)
    assert {variant["name"]: variant["multiply_adds"] for variant in found["published"]["variants"]}[
        "b0"
    ] == 385_814_752


def test_the_sentence_of_all_counts_accuracies_that_were_not_judged(tmp_path: Path) -> None:
    elsewhere = run_record(sha256=OTHER, dataset={"imagenet_validation": False})
    runs = [write_run(tmp_path / "a.npz", 5, 10), write_run(tmp_path / "b.npz", 5, 10, record=elsewhere)]
    assert build_report(runs).to_dict()["sentence"].endswith("; the accuracy of 1 could not be judged")


def test_the_sentence_tells_where_a_network_came_from_and_how_accurate_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "b0.npz", 38_550)
    found = build_report([run], [write_verification(tmp_path / "b0.json")]).to_dict()
    assert found["sentence"].startswith(
        "efficientnet-b0 (AutoAugment) converted from TensorFlow: 311 tensors, 312 left behind with a reason; "
        "the same network as its source; 77.10 % top-1 on 50,000 images, published 7"
    )


def test_every_check_of_a_verified_and_measured_network_passes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "b0.npz", 38_550)
    found = build_report([run], [write_verification(tmp_path / "b0.json")]).to_dict()
    assert [(row["check"], row["verdict"]) for row in network(found)["verdicts"]] == [
        (name, "passed") for name in ("coverage", "tensors", "layers", "logits", "accuracy", "parameters", "operations")
    ]


def test_a_verification_belongs_to_every_run_of_the_file_whatever_the_file_is_called(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "one.npz", 150, IMAGES), write_run(tmp_path / "two.npz", 120, IMAGES)]
    others = write_run(tmp_path / "other.npz", 100, IMAGES, record=run_record(sha256=OTHER))
    found = build_report([*runs, others], [write_verification(tmp_path / "v.json", verification(FILE))]).to_dict()
    verified = {each["id"]: [row["id"] for row in each["verifications"]] for each in found["networks"]}
    assert verified == {"one": ["one"], "two": ["one"], "other": []}


def test_a_file_may_be_verified_several_times(tmp_path: Path) -> None:
    paths = [write_verification(tmp_path / f"{n}.json", verification(cautions=[str(n)])) for n in range(2)]
    found = network(build_report([write_run(tmp_path / "b0.npz", 150, IMAGES)], paths).to_dict())
    assert [(each["id"], each["cautions"]) for each in found["verifications"]] == [("b0", ["0"]), ("b0.2", ["1"])]


def test_ids_of_verifications_are_unique_whatever_files_are_called(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"{name}.npz", 5, 10, record=run_record(sha256=sha))
        for name, sha in (("b0", FILE), ("b0.2", OTHER))
    ]
    documents = [verification(FILE, cautions=["0"]), verification(FILE, cautions=["1"]), verification(OTHER)]
    paths = [write_verification(tmp_path / f"{number}.json", each) for number, each in enumerate(documents)]
    ids = [
        each["id"] for network in build_report(runs, paths).to_dict()["networks"] for each in network["verifications"]
    ]
    assert len(set(ids)) == 3


def test_the_worst_of_several_verifications_is_the_verdict(tmp_path: Path) -> None:
    good, bad = verification(), with_rows(verification(), layer("stem", relative=0.5), verdict="different")
    paths = [write_verification(tmp_path / f"{n}.json", each) for n, each in enumerate((good, bad))]
    found = check(build_report([], paths).to_dict(), "layers")
    assert (found["verdict"], found["measured"]) == ("failed", "stem: 0.5")


def test_a_verification_without_a_run_is_a_network_of_its_own(tmp_path: Path) -> None:
    found = network(of_verification(tmp_path, verification()))
    assert (found["id"], found["accuracy"], found["throughput"]) == ("b0", None, None)
    assert found["conversion"]["moved"] == 311
    assert found["sentence"].endswith("the same network as its source; accuracy not measured")


def test_the_same_file_given_twice_counts_once(tmp_path: Path) -> None:
    run = write_run(tmp_path / "b0.npz", 150, IMAGES)
    (tmp_path / "copy.npz").write_bytes(run.read_bytes())
    assert len(build_report([run, run, tmp_path / "copy.npz"]).to_dict()["networks"]) == 1


def test_a_run_and_a_verification_may_change_places(tmp_path: Path) -> None:
    run, verified = write_run(tmp_path / "b0.npz", 150, IMAGES), write_verification(tmp_path / "b0.json")
    assert build_report([verified], [run]).to_dict() == build_report([run], [verified]).to_dict()


def test_networks_stand_in_the_order_of_variants_and_ids_are_unique_and_safe(tmp_path: Path) -> None:
    names = ("B 1", "../b/1", "b-1", ".", "..", "<script>")
    paths = [tmp_path / str(number) / f"{name.replace('/', '-')}.npz" for number, name in enumerate(names)]
    for number, path in enumerate(paths):
        record = run_record("b1" if number == 0 else "b0", model={"weights": None})
        write_run(path, number, 10, record=record)
    found = build_report(paths).to_dict()["networks"]
    ids = [each["id"] for each in found]
    assert found[-1]["variant"] == "b1"
    assert len(set(ids)) == len(names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") and name[0].isalnum() for name in ids)


def test_networks_of_one_name_are_told_apart_and_then_all_are_named_alike(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{name}.npz", 10 * place, 20) for place, name in enumerate("ab")]
    runs.append(write_run(tmp_path / "c.npz", 5, 20, record=run_record("b1")))
    named = [f"efficientnet-{name}" for name in ("b0 (AutoAugment)", "b0 (AutoAugment)", "b1 (AutoAugment)")]
    found = [each.name for each in build_report(runs).networks]
    assert found == [f"{name}, {file}" for name, file in zip(named, "abc", strict=True)]
    assert [each.name for each in build_report(runs[1:]).networks] == named[1:]


def test_data_that_are_not_imagenet_have_an_accuracy_that_is_not_judged(tmp_path: Path) -> None:
    found = of_run(tmp_path, dataset={"imagenet_validation": False})
    assert check(found, "accuracy")["verdict"] == network(found)["accuracy"]["verdict"] == "not judged"
    assert network(found)["accuracy"]["top1"]["percent"] == 75.0


def test_images_without_labels_have_no_accuracy(tmp_path: Path) -> None:
    found = build_report([write_run(tmp_path / "b0.npz", 0, 20, **unlabelled(20))]).to_dict()
    assert network(found)["accuracy"] is None
    assert check(found, "accuracy")["verdict"] == "not measured"
    assert problems(found, "report-1") == []


def test_an_accuracy_that_is_not_the_published_one_fails(tmp_path: Path) -> None:
    found = of_run(tmp_path, 30_000, 50_000)
    assert check(found, "accuracy")["verdict"] == "failed"
    assert "allowed" in check(found, "accuracy")["reason"]


# What weakens a check: the change to a run, the check that it weakens and its word, a part of the caution.
WEAKENED = [
    ({"dataset": {"missing": 30_000, "images": 20_000, "evaluated": 20_000}}, 20_000, "near", "30,000 images of ImageNet are missing"),
    ({"dataset": {"chosen": "limit", "evaluated": 20_000}}, 20_000, "near", "20,000 of 50,000 images were evaluated, a sample"),
    ({"dataset": {"skipped": {"x.JPEG": "cut off"}, "evaluated": 20_000}}, 20_000, "near", "1 images could not be read"),
    ({"dataset": {"chosen": "subset", "evaluated": 20_000}}, 20_000, "not judged", "chosen by hand"),
    ({"computing": {"pipeline": "fast"}}, 50_000, "near", "the fast pipeline"),
    ({"computing": {"dtype": "bfloat16"}}, 50_000, "passed", "computed in bfloat16"),
    ({"model": {"origin": origin(taken="raw")}}, 50_000, "not judged", "the weights are raw"),
    ({"model": {"origin": origin(options={"inexact": {"difference": 0.1}})}}, 50_000, "not judged", "converted inexactly"),
    ({"model": {"origin": origin(options={"earlier": [{"dtype": "float16"}]})}}, 50_000, "passed", "rounded to float16"),
    ({"model": {"dtype": "float16"}}, 50_000, "passed", "rounded to float16"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "images", "verdict", "caution"), WEAKENED)
def test_what_weakens_an_accuracy_is_said_and_changes_its_verdict(
    tmp_path: Path, changes: dict[str, Any], images: int, verdict: str, caution: str
) -> None:
    found = of_run(tmp_path, images * 771 // 1000, images, **changes)
    assert check(found, "accuracy")["verdict"] == verdict
    assert verdict == "passed" or check(found, "accuracy")["reason"]
    assert any(caution in sentence for sentence in network(found)["cautions"])


TOLERANCES = [
    ({"tolerance": {"relaxed": True, "accumulated": 0.1}}, "a looser tolerance was set: 0.1", {"layers": "near", "logits": "near", "tensors": "passed"}),
    ({"tolerance": {"rounded": "float16"}}, "weights are rounded to float16", {"layers": "near", "logits": "near", "tensors": "near"}),
    ({"verdict": "not verifiable", "sentence": "not verifiable: one image"}, "", {"layers": "not judged", "logits": "not judged"}),
    ({"verdict": "different", "unlike_tensors": {"stem.conv.weight": 0.25}}, "", {"tensors": "failed", "layers": "passed"}),
    ({"verdict": "different", "unlike_tensors": {"stem.conv.weight": None}}, "", {"tensors": "failed"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "caution", "verdicts"), TOLERANCES)
def test_r12_what_weakens_a_verification_is_said_and_changes_its_verdicts(
    tmp_path: Path, changes: dict[str, Any], caution: str, verdicts: dict[str, str]
) -> None:
    found = of_verification(tmp_path, verification(**changes))
    assert {name: check(found, name)["verdict"] for name in verdicts} == verdicts
    assert any(caution in sentence for sentence in network(found)["cautions"]) or not caution


def test_a_layer_that_is_not_finite_fails_and_is_named(tmp_path: Path) -> None:
    rows = (layer("stem"), layer("logits", relative=None))
    found = of_verification(tmp_path, with_rows(verification(), *rows, verdict="different"))
    assert (check(found, "layers")["verdict"], check(found, "logits")["verdict"]) == ("passed", "failed")
    assert check(found, "logits")["measured"].startswith("not finite")


def test_a_layer_that_only_one_network_has_is_a_failure(tmp_path: Path) -> None:
    document = with_rows(verification(), layer("stem"), layer("logits"), verdict="different")
    assert check(of_verification(tmp_path, document), "layers")["verdict"] == "failed"


def test_a_backbone_has_no_logits(tmp_path: Path) -> None:
    found = check(of_verification(tmp_path, with_rows(verification(), layer("stem"), verdict="same")), "logits")
    assert (found["verdict"], found["reason"]) == ("not measured", "the network has no logits")


def test_of_conversions_in_a_row_the_first_source_and_all_that_was_left_behind_are_told(tmp_path: Path) -> None:
    second = origin(
        source={"b0.safetensors": OTHER, "earlier": [{"model.ckpt.index": FILE}]},
        coverage={
            "moved": 309,
            "left_behind": {"step": 2},
            "earlier": [{"moved": 311, "left_behind": {"step": 1, "raw": 311}}],
        },
    )
    found = network(of_run(tmp_path, model={"origin": second}))["conversion"]
    assert found["source_sha256"] == {"model.ckpt.index": FILE}
    assert (found["moved"], found["left_behind"]) == (309, {"raw": 311, "step": 3})


@pytest.mark.parametrize(
    "said",
    [{"layout": "timm", "taken": "averages", "options": {}}, origin(source={"b": OTHER, "earlier": [{"a": FILE}]})],
)
def test_coverage_that_a_conversion_did_not_record_is_not_measured(tmp_path: Path, said: dict[str, Any]) -> None:
    found = of_run(tmp_path, model={"origin": said})
    assert network(found)["conversion"]["moved"] is None
    assert check(found, "coverage")["verdict"] == "not measured"


def test_a_file_that_was_not_converted_has_no_conversion(tmp_path: Path) -> None:
    found = of_run(tmp_path, model={"origin": None, "layout": "timm"})
    assert network(found)["conversion"] is None
    assert check(found, "coverage")["verdict"] == "not measured"


def test_an_older_record_is_read(tmp_path: Path) -> None:
    record = run_record()
    for table, names in (
        ("model", ("name", "dtype", "origin")),
        ("dataset", ("missing", "chosen", "imagenet_validation", "labels", "findings")),
        ("computing", ("device_name", "pipeline", "versions")),
        ("recipe", ("shorter_side",)),
    ):
        for name in names:
            del record[table][name]
    del record["run"]
    found = build_report([write_run(tmp_path / "old.npz", 10, 20, record=record)]).to_dict()
    assert problems(found, "report-1") == []
    assert network(found)["throughput"] is None


def test_half_of_a_character_becomes_a_mark(tmp_path: Path) -> None:
    found = of_run(tmp_path, model={"file": "b\udcff0.safetensors"})
    assert network(found)["model"]["file"] == "b?0.safetensors"
    json.dumps(found, ensure_ascii=False).encode()


def test_the_same_inputs_give_the_same_bytes_in_any_order_and_process(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{name}.npz", 10, 20 + name, record=run_record(f"b{name}")) for name in range(3)]
    verified = [write_verification(tmp_path / f"{name}.json", verification(variant=f"b{name}")) for name in range(2)]
    script = "import json, sys; from effconvert.report.document import build_report; print(json.dumps(build_report(sys.argv[1:]).to_dict()))"

    def written(seed: str, *paths: Path) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, *map(str, paths)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert written("1", *runs, *verified) == written("2", *reversed(verified), *reversed(runs))


def test_no_clock_and_no_folder_of_this_machine_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "b0.npz", 10, 20)
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in json.dumps(build_report(["b0.npz"]).to_dict())


def test_own_classes_are_reported_by_their_own_names(tmp_path: Path) -> None:
    own = {"classes": "names.txt", "class_names": ["cat", "dog"], "imagenet_validation": False}
    found = of_run(tmp_path, 1, 2, dataset=own, model={"classes": 2})
    assert network(found)["dataset"]["classes"] == "names.txt"
    assert network(found)["accuracy"]["groups"] == []


def test_numbers_of_answers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    nothing = np.full(20, np.nan, np.float32)
    found = build_report([write_run(tmp_path / "b0.npz", 10, 20, margin=nothing, confidence=nothing)]).to_dict()
    assert (network(found)["accuracy"]["mean_margin"], network(found)["accuracy"]["calibration_error"]) == (None, None)


def test_logits_that_differ_only_when_given_the_references_input_fail(tmp_path: Path) -> None:
    wrong = verification(verdict="different")
    wrong["comparisons"][0]["same"] = False
    wrong["comparisons"][0]["rows"].append(layer("logits", "fed", 1e-5, 5e-6))
    (network,) = build_report([], [write_verification(tmp_path / "v.json", wrong)]).to_dict()["networks"]
    (row,) = (row for row in network["verdicts"] if row["check"] == "logits")
    assert (row["verdict"], row["measured"]) == ("failed", "1.0e-5")


def test_a_verification_of_another_variant_belongs_to_no_run_of_equal_bytes(tmp_path: Path) -> None:
    other = verification()
    other["converted"]["variant"] = "b1"
    run, said = write_run(tmp_path / "b0.npz", 5, 10), write_verification(tmp_path / "v.json", other)
    assert [len(network["verifications"]) for network in build_report([run], [said]).to_dict()["networks"]] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "passed", "passed 7 of 7"),
        ({"accuracy": "near"}, "near", "passed 7 of 7; accuracy under weaker conditions"),
        ({"accuracy": "not judged"}, "incomplete", "passed 6 of 7; accuracy not judged"),
        (
            {"layers": "not judged", "logits": "not judged", "accuracy": "not measured"},
            "incomplete",
            "passed 4 of 7; layers, logits not judged; accuracy not measured",
        ),
        (
            dict.fromkeys(("tensors", "layers", "logits", "accuracy"), "not measured"),
            "incomplete",
            "not verified; passed 3 of 7; accuracy not measured",
        ),
        (
            {"layers": "failed", "accuracy": "not judged"},
            "failed",
            "failed: layers; passed 5 of 7; accuracy not judged",
        ),
    ],
)
def test_a_verdict_says_passed_only_of_what_was_judged(changes: dict[str, str], verdict: str, words: str) -> None:
    document = made_document(1)
    for row in document["networks"][0]["verdicts"]:
        row["verdict"] = changes.get(row["check"], "passed")
    found = summary_of(typed(document).networks[0])
    assert (found.verdict, found.words) == (verdict, words)


def test_a_published_cost_that_does_not_count_is_not_counted() -> None:
    document = made_document(1)
    figures = document["networks"][0]["cost"]["comparisons"]
    figures.append(figures[1] | {"kind": "readme", "equal": False, "verdict": "differs by +5.7%, not explained"})
    operations = verdicts(typed(document).networks[0])[-1]
    assert operations.verdict == "passed"
    assert operations.measured.endswith("; the published figure that counts is equal; 1 does not count")
    assert operations.reason == "readme differs by +5.7%, not explained, and does not count"


def test_a_random_network_has_not_passed(tmp_path: Path) -> None:
    elsewhere = run_record(dataset={"imagenet_validation": False})
    run = write_run(tmp_path / "b0.npz", 0, 55, record=elsewhere)
    (found,) = build_report([run], [write_verification(tmp_path / "b0.json")]).networks
    assert (found.summary.verdict, found.summary.words) == ("incomplete", "passed 6 of 7; accuracy not judged")
    assert found.summary.top1 is not None
    assert (found.summary.top1.measured, found.summary.top1.difference) == (0.0, None)


def test_the_summary_has_the_published_accuracy_that_decides_and_the_worst_layer(tmp_path: Path) -> None:
    run = write_run(tmp_path / "b0.npz", 38_550)
    worse = with_rows(verification(), layer("stem"), layer("blocks.3", relative=9e-6), layer("logits"), verdict="same")
    (found,) = build_report([run], [write_verification(tmp_path / "b0.json", worse)]).networks
    assert found.summary.top1 == Beside(77.1, 77.1, "TensorFlow", 0.0)
    assert found.summary.worst_layer == Nearest("blocks.3", 9e-6, 2e-5)


def test_a_failure_has_one_worst_layer_everywhere_the_first_that_differs(tmp_path: Path) -> None:
    rows = [layer("stem", mode="fed", relative=1e-3), layer("blocks.1", mode="fed", relative=1.5), layer("logits")]
    failed = with_rows(verification(), *rows, verdict="different")
    run = write_run(tmp_path / "b0.npz", 38_550)
    (found,) = build_report([run], [write_verification(tmp_path / "b0.json", failed)]).networks
    assert found.summary.worst_layer == Nearest("stem", 1e-3, 2e-5)
    (check,) = [check for check in found.verdicts if check.check == "layers"]
    assert check.measured == "stem: 1.0e-3"


def trial(cause: str, **changes: Any) -> dict[str, Any]:
    """Return what `verify --explain` writes of one known cause."""
    plain = {"words": f"another {cause}", "before": 0.9, "difference": 0.9, "vanishes": False, "effect": True}
    return {"cause": cause, "where": "", "change": f"{cause}: 1 -> 2 (--facts {cause}=2)", **plain, **changes}


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([trial("bn_eps", vanishes=True, difference=1e-7), trial("padding")], [("another bn_eps", True)]),
        ([trial("bn_eps", difference=0.1, where="stem"), trial("padding")], [("another bn_eps, in stem", False)]),
        ([trial("bn_eps", difference=0.8), trial("padding")], []),
        ([trial("bn_eps", before=None, difference=0.1)], [("another bn_eps", False)]),
        ([trial("bn_eps", before=None, difference=None)], []),
    ],
    ids=["the cause", "a part", "no help", "not finite before", "never finite"],
)
def test_what_explain_found_is_in_the_document(
    tmp_path: Path, trials: list[dict[str, Any]], expected: list[tuple[str, bool]]
) -> None:
    wrong = with_rows(verification(causes=trials), layer("logits", relative=0.9), verdict="different")
    (found,) = build_report([write_verification(tmp_path / "v.json", wrong)]).networks
    (said,) = found.verifications
    assert said.explained
    assert [(cause.cause, cause.whole) for cause in said.causes] == expected
    assert bool(missing_cause(said)) == (not expected)


def test_a_failure_that_nobody_explained_names_the_option(tmp_path: Path) -> None:
    wrong = with_rows(verification(), layer("logits", relative=0.9), verdict="different")
    (found,) = build_report([write_verification(tmp_path / "v.json", wrong)]).networks
    assert "--explain" in missing_cause(found.verifications[0])
    (found,) = build_report([write_verification(tmp_path / "same.json", verification())]).networks
    assert missing_cause(found.verifications[0]) == ""


def test_a_report_reads_back_equal_from_its_plain_values(tmp_path: Path) -> None:
    write_verification(tmp_path / "b0.json")
    found = build_report([write_run(tmp_path / "b0.npz", 10, 20)], [tmp_path / "b0.json"])
    assert from_plain(Report, json.loads(json.dumps(found.to_dict()))) == found
    assert len(repr(found)) < 400


TEACHER, STUDENT = "7" * 64, "8" * 64


@pytest.mark.parametrize(
    ("of_run", "of_verification"),
    [
        ({"tensors": TEACHER}, {"tensors": STUDENT}),
        ({"taken": "averages"}, {"taken": "raw"}),
        ({"facts": {**run_record()["model"]["facts"], "bn_eps": 1e-5}}, {}),
    ],
    ids=["another root", "another set of weights", "other facts"],
)
def test_a_verification_of_another_network_in_the_same_file_is_not_the_runs(
    tmp_path: Path, of_run: dict[str, Any], of_verification: dict[str, Any]
) -> None:
    run = write_run(tmp_path / "b0.npz", 150, IMAGES, record=run_record(model={**run_record()["model"], **of_run}))
    found = build_report(
        [run], [write_verification(tmp_path / "v.json", verification(converted=of_verification))]
    ).to_dict()
    assert [len(each["verifications"]) for each in found["networks"]] in ([0, 1], [1, 0])


@pytest.mark.parametrize("tensors", [{}, {"tensors": TEACHER}])
def test_a_verification_that_does_not_say_its_tensors_is_the_runs(tmp_path: Path, tensors: dict[str, str]) -> None:
    run = write_run(tmp_path / "b0.npz", 150, IMAGES, record=run_record(model={**run_record()["model"], **tensors}))
    found = build_report([run], [write_verification(tmp_path / "v.json", verification())]).to_dict()
    assert len(network(found)["verifications"]) == 1
