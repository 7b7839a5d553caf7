"""An interrupted run continues from all of its journals; another run is neither mixed in nor replaced."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from effconvert.errors import OutputProblem
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.earlier_runs import SCHEMA, OtherImage
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, continued_journal, read_journal
from effconvert.validate.evaluation.ranks import Ranks
from effconvert.validate.evaluation.run_file import (
    choose_run,
    gathered,
    journal_path,
    journals_of,
    remove_journals,
    take_up,
)
from effconvert.validate.predictions import write_predictions
from helpers.validate.made_predictions import predictions, record

HEADER = {"schema": SCHEMA, "labels": "a", "dtype": "float32"}
OTHER = HEADER | {"dtype": "bfloat16"}
ALONE = Ranks()


def unchanged(ids: object, hashes: object) -> str:
    return ""


def choose(out: Path, resume: bool, force: bool, other_image: OtherImage = unchanged) -> Path:
    return choose_run(out.parent, "b0", HEADER, resume, force, other_image).out


def answers(ids: list[int], top: int = 1) -> Answers:
    made: Answers = np.zeros(len(ids), ANSWER)
    made["id"] = ids
    made["top5"] = np.arange(top, top + 5)
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "b0.npz"


def unfinished(out: Path, *parts: list[int], header: dict[str, str] = HEADER) -> None:
    """Leave a journal for each of some ranks."""
    for rank, ids in enumerate(parts):
        begin_journal(journal_path(out, rank), header, answers(ids))


def finished(out: Path, header: dict[str, str] = HEADER) -> bytes:
    """Leave a finished run, and return its bytes."""
    write_predictions(out, predictions([1, 2], [[1], [1]], said=record() | {"settings": header}))
    return out.read_bytes()


def test_a_run_begins_with_an_empty_journal(out: Path) -> None:
    assert len(take_up(out, HEADER, False, ALONE)) == 0
    header, found = read_journal(journal_path(out, 0))
    assert header == HEADER
    assert len(found) == 0


@pytest.mark.parametrize("parts", [([4, 0, 2],), ([4], [0, 2]), ([0, 2], [2, 4, 0], [4]), ([], [], [], [0, 4, 2])])
def test_what_was_answered_is_taken_once_from_any_number_of_ranks(out: Path, parts: tuple[list[int], ...]) -> None:
    unfinished(out, *parts)
    found = take_up(out, HEADER, True, ALONE)
    assert found["id"].tolist() == [0, 2, 4]
    assert journals_of(out) == [journal_path(out, 0)]
    assert read_journal(journal_path(out, 0))[1]["id"].tolist() == [0, 2, 4]


def test_going_on_again_and_again_loses_nothing(out: Path) -> None:
    unfinished(out, [1], [3], [5])
    for _ in range(3):
        assert take_up(out, HEADER, True, ALONE)["id"].tolist() == [1, 3, 5]


def test_without_resume_nothing_is_taken(out: Path) -> None:
    unfinished(out, [1], [3])
    assert len(take_up(out, HEADER, False, ALONE)) == 0
    assert [len(read_journal(path)[1]) for path in journals_of(out)] == [0]


def test_a_journal_of_another_run_is_not_mixed_in(out: Path) -> None:
    unfinished(out, [1, 2])
    begin_journal(journal_path(out, 1), OTHER, answers([3]))
    assert take_up(out, HEADER, True, ALONE)["id"].tolist() == [1, 2]


def test_answers_of_all_ranks_stand_once_in_the_order_of_the_data() -> None:
    assert gathered(answers([5, 1, 5, 0]), ALONE)["id"].tolist() == [0, 1, 5]


def test_the_first_rank_of_several_holds_what_was_answered_before(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(out, [1], [3], [5])
    monkeypatch.setattr(Ranks, "gather", lambda self, value: [value])
    take_up(out, HEADER, True, Ranks(0, 2))
    take_up(out, HEADER, True, Ranks(0, 2))
    assert read_journal(journal_path(out, 0))[1]["id"].tolist() == [1, 3, 5]


def test_a_first_run_gets_the_networks_name(out: Path) -> None:
    assert choose(out, False, False) == out


@pytest.mark.parametrize(("resume", "force"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_run_of_other_settings_gets_another_name_and_replaces_nothing(out: Path, resume: bool, force: bool) -> None:
    finished(out, OTHER)
    unfinished(out.with_name("b0-2.npz"), [1], header=OTHER | {"labels": "b"})
    assert choose(out, resume, force) == out.with_name("b0-3.npz")


def test_a_file_of_somebody_elses_is_not_replaced(out: Path) -> None:
    out.write_bytes(b"PK of somebody's own")
    assert choose(out, False, True) == out.with_name("b0-2.npz")


def test_the_same_run_measured_once_more_replaces_itself(out: Path) -> None:
    finished(out)
    assert choose(out, False, False) == out


def test_the_same_run_unfinished_needs_a_word(out: Path) -> None:
    unfinished(out, [1], [2])
    words = "b0.npz: this run is unfinished; resume=True continues it, force=True starts it again"
    with pytest.raises(OutputProblem, match=words):
        choose(out, False, False)
    assert choose(out, True, False) == out
    assert choose(out, False, True) == out


@pytest.mark.parametrize("name", sorted(HEADER))
def test_everything_that_decides_answers_makes_another_run(out: Path, name: str) -> None:
    unfinished(out, [1], header=HEADER | {name: "else"})
    assert choose(out, True, False) != out


def test_a_name_with_characters_of_patterns_finds_its_own_journals_alone(tmp_path: Path) -> None:
    strange = tmp_path / "b[0]*?.npz"
    unfinished(strange, [1], [2])
    unfinished(tmp_path / "b0.npz", [3])
    assert journals_of(strange) == [journal_path(strange, 0), journal_path(strange, 1)]
    remove_journals(strange)
    assert journals_of(strange) == []
    assert len(journals_of(tmp_path / "b0.npz")) == 1


def test_a_damaged_journal_is_an_output_problem_with_the_remedy(out: Path) -> None:
    journal_path(out, 0).write_bytes(b"{")
    with pytest.raises(OutputProblem, match="not the journal of an unfinished run.*force=True starts again"):
        choose(out, True, False)
    assert choose(out, False, True) == out


def test_what_is_left_of_a_damaged_run_is_not_replaced(out: Path) -> None:
    out.write_bytes(finished(out)[:-40])
    assert choose(out, True, False) == out.with_name("b0-2.npz")


def test_a_run_that_answered_nothing_is_begun_anew_without_a_word(out: Path) -> None:
    unfinished(out, [], [])
    assert choose(out, False, False) == out


def test_a_run_whose_images_have_changed_is_another(out: Path) -> None:
    before = finished(out)
    asked: list[int] = []

    def changed(ids: NDArray[np.int64], hashes: Hashes) -> str:
        asked.extend(ids.tolist())
        return "x.jpg"

    chosen = choose_run(out.parent, "b0", HEADER, True, True, changed)
    assert (chosen.out, asked) == (out.with_name("b0-2.npz"), [0, 1])
    assert chosen.passed == (f"{out} is another run: other images (x.jpg has other bytes)",)
    assert out.read_bytes() == before


def test_an_unfinished_run_whose_images_have_changed_is_another(out: Path) -> None:
    unfinished(out, [1], [3])
    for options in ((False, False), (True, False), (False, True)):
        assert choose(out, *options, other_image=lambda ids, hashes: "x.jpg") == out.with_name("b0-2.npz")
    assert journals_of(out) == [journal_path(out, 0), journal_path(out, 1)]


def test_a_finished_run_of_other_images_is_not_replaced_by_what_began_anew_beside_it(out: Path) -> None:
    finished(out)
    unfinished(out, [])
    changed = choose(out, True, False, other_image=lambda ids, hashes: "x.jpg" if len(ids) else "")
    assert changed == out.with_name("b0-2.npz")


def test_a_run_from_before_hashes_were_kept_is_never_taken_for_the_same(out: Path) -> None:
    old = {"schema": "effconvert/journal/1", "data": "a", "dtype": "float32"}
    write_predictions(out, replace(predictions([1, 2], [[1], [1]], said=record() | {"settings": old}), hashes=None))
    chosen = choose_run(out.parent, "b0", HEADER, True, False, unchanged)
    assert chosen.out == out.with_name("b0-2.npz")
    assert "it has no hashes of its images" in chosen.passed[0]


def test_images_that_were_left_out_as_broken_are_compared_too(out: Path) -> None:
    said = record(dataset={"skipped": {"y": "cut"}, "skipped_hashes": {"7": "ab" * 16}}) | {"settings": HEADER}
    write_predictions(out, predictions([1, 2], [[1], [1]], said=said))
    asked: dict[int, str] = {}

    def told(ids: NDArray[np.int64], hashes: Hashes) -> str:
        asked.update(zip(ids.tolist(), (row.tobytes().hex() for row in hashes), strict=True))
        return ""

    assert choose(out, True, False, other_image=told) == out
    assert list(asked) == [0, 1, 7]
    assert asked[7] == "ab" * 16


def test_a_run_that_another_process_writes_is_left_alone(out: Path) -> None:
    unfinished(out, [1, 2])
    with continued_journal(journal_path(out, 0)):
        for resume, force in ((True, False), (False, True)):
            with pytest.raises(OutputProblem, match="another process is writing this run"):
                choose(out, resume, force)
    assert choose(out, True, False) == out


@pytest.mark.parametrize("array", ["top5", "hashes"])
def test_a_damaged_run_is_not_replaced(out: Path, array: str) -> None:
    damaged = bytearray(finished(out))
    damaged[damaged.index(f"{array}.npy".encode()) + 50] ^= 1
    out.write_bytes(damaged)
    assert choose(out, False, False) == out.with_name("b0-2.npz")
