"""A report's folder appears complete or not at all, and the same document gives the same bytes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from effconvert.errors import EffconvertError, OutputProblem
from effconvert.report import writing
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.contents.report import Report
from effconvert.report.document import published_report
from effconvert.report.schema import REPORT, problems
from effconvert.report.writing import write_report
from helpers.places import TESTS
from helpers.report.hostile import NAMES
from helpers.report.made_documents import made_document, typed

HOSTILE = "".join(name for name in NAMES if len(name) < 200)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_report_has_every_rendering(tmp_path: Path) -> None:
    document = made_document(2)
    written = write_report(typed(document), tmp_path / "out")
    assert names(tmp_path / "out") == {path.name for path in written}
    assert {
        "report.html", "report.md", "report.json", "networks.csv", "accuracy.csv", "layers.csv", "model-index.yml",
        "metafile.yml", "card-b0-aa.md", "card-b1-aa.md", "accuracy.svg", "picture-accuracy.csv", "layers-b0-aa.svg",
        "SHA256SUMS",
    } <= names(tmp_path / "out")  # fmt: skip
    assert json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8")) == document
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    for file in (tmp_path / "out").glob("*.svg"):
        ElementTree.parse(file)


def test_what_was_published_is_a_report_without_networks(tmp_path: Path) -> None:
    write_report(typed(published_report().to_dict()), tmp_path / "out")
    found = names(tmp_path / "out")
    assert {"report.html", "report.md", "published-accuracy.csv", "accuracy.svg"} <= found
    assert not {name for name in found if name.startswith("card") or name.endswith(".yml")}


def test_sha256sum_finds_every_file_and_a_changed_one(tmp_path: Path) -> None:
    write_report(typed(made_document(2)), tmp_path / "out")
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path / "out", check=False).returncode == 0
    listed = {line[66:] for line in (tmp_path / "out" / "SHA256SUMS").read_text().splitlines()}
    assert listed == names(tmp_path / "out") - {"SHA256SUMS"}
    (tmp_path / "out" / "accuracy.csv").write_text("changed")
    ran = subprocess.run(check, cwd=tmp_path / "out", check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "accuracy.csv: FAILED\n")


def test_an_earlier_report_is_replaced_only_by_force_whatever_files_it_had(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_report(typed(made_document(3)), folder)
    with pytest.raises(OutputProblem, match="exists; give force=True"):
        write_report(typed(made_document(1)), folder)
    for document in (made_document(1), published_report().to_dict(), made_document(3)):
        written = write_report(typed(document), folder, force=True)
        assert names(folder) == {path.name for path in written}


@pytest.mark.parametrize("file", ["thesis.pdf", "card-b2-aa.md"])
def test_a_file_that_is_not_of_the_earlier_report_or_was_changed_is_left_alone(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "out"
    write_report(typed(made_document(3)), folder)
    (folder / file).write_text("years of work")
    before = contents(folder)
    with pytest.raises(OutputProblem, match=f"also holds {file}, which force=True does not remove"):
        write_report(typed(made_document(1)), folder, force=True)
    assert contents(folder) == before


def test_a_folder_with_a_list_of_hashes_is_no_report_for_that(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.pdf").write_text("years of work")
    sha256 = hashlib.sha256(b"years of work").hexdigest()
    (folder / "SHA256SUMS").write_text(f"{sha256}  thesis.pdf\n")
    with pytest.raises(OutputProblem, match="also holds thesis.pdf"):
        write_report(typed(made_document(1)), folder, force=True)


def test_a_failure_in_the_last_rendering_leaves_the_earlier_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    write_report(typed(made_document(1)), folder)
    before = contents(folder)

    def fail(document: Any) -> dict[str, str]:
        raise RuntimeError

    monkeypatch.setattr(writing, "cards", fail)
    with pytest.raises(RuntimeError):
        write_report(typed(made_document(2)), folder, force=True)
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fill(path: Path, content: bytes) -> int:
        if path.name == "SHA256SUMS":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OutputProblem, match="cannot be written: No space left on device"):
        write_report(typed(made_document(1)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_is_not_finite_is_not_published(tmp_path: Path) -> None:
    document = made_document(1)
    document["networks"][0]["accuracy"]["top1"]["percent"] = float("nan")
    with pytest.raises(EffconvertError, match=r"\$\.networks\[0\].*percent: nan is not a finite number"):
        write_report(from_plain(Report, document), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_from_files_name_no_file(tmp_path: Path) -> None:
    document = made_document(2, name=HOSTILE)
    assert problems(document, REPORT) == []
    write_report(typed(document), tmp_path / "out")
    write_report(typed(made_document(2)), tmp_path / "plain")
    assert names(tmp_path / "out") == names(tmp_path / "plain")
    for file in (tmp_path / "out").iterdir():
        if file.name != "report.json":  # machines read the names there, as they are
            hidden = set(file.read_text(encoding="utf-8")) & set("\x1b\x07\u202e\u200b\ufeff\x85\u2028")
            assert not hidden, file.name


def test_the_same_document_gives_the_same_bytes_in_any_locale_and_with_any_seed(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from helpers.report.made_documents import made_document, typed\n"
        "from pathlib import Path\n"
        "from effconvert.report.writing import write_report\n"
        "write_report(typed(made_document(2)), Path(sys.argv[1]))"
    )
    for number, settings in enumerate(
        ({"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"})
    ):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(number))],
            env=os.environ | settings | {"PYTHONPATH": str(TESTS)},
            check=True,
        )
    assert contents(tmp_path / "0") == contents(tmp_path / "1")
