"""Every complete answer in a journal is read back, and nothing else, in whatever state the journal was left."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from effconvert.errors import OutputProblem
from effconvert.validate.evaluation.journal import ANSWER, Answers, begin_journal, continued_journal, read_journal

HEADER = {"schema": "effconvert/journal/1", "data": "a ü", "images": 5}
FIELDS = [name for name in ANSWER.names or () if name != "checksum"]


def answers(count: int, first: int = 0) -> Answers:
    random = np.random.default_rng(first)
    made: Answers = np.zeros(count, ANSWER)
    made["id"] = np.arange(first, first + count)
    made["top5"] = random.integers(-3, 1000, (count, 5))
    for name in ("label_logit", "margin", "confidence"):
        made[name] = random.normal(size=count)
    return made


def same(one: Answers, other: Answers) -> bool:
    return all(one[name].tobytes() == other[name].tobytes() for name in FIELDS)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "run.npz.part-0"
    begin_journal(path, HEADER, answers(2))
    with continued_journal(path) as write:
        write(answers(3, 2))
    return path


def whole() -> Answers:
    return np.concatenate([answers(2), answers(3, 2)])


def test_what_was_written_is_read_back(journal: Path) -> None:
    header, found = read_journal(journal)
    assert header == HEADER
    assert same(found, whole())


def test_an_unknown_label_has_no_logit_and_is_read_back(tmp_path: Path) -> None:
    made = answers(1)
    made["label_logit"] = np.nan
    begin_journal(tmp_path / "j", HEADER, made)
    assert same(read_journal(tmp_path / "j")[1], made)


def test_a_journal_cut_anywhere_in_its_last_answer_keeps_the_others(journal: Path) -> None:
    data = journal.read_bytes()
    for left in range(len(data) - ANSWER.itemsize, len(data)):
        journal.write_bytes(data[:left])
        assert same(read_journal(journal)[1], whole()[:-1]), left


def test_a_flipped_bit_leaves_out_its_answer_and_no_other(journal: Path) -> None:
    data = journal.read_bytes()
    begin = data.index(b"\n") + 1
    for place in range(begin, len(data)):
        bit = 1 << place % 8
        journal.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        damaged = (place - begin) // ANSWER.itemsize
        assert same(read_journal(journal)[1], np.delete(whole(), damaged)), place


def test_zeros_that_a_crash_left_at_the_end_are_no_answers(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(bytes(3 * ANSWER.itemsize))
    assert same(read_journal(journal)[1], whole())


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"schema": 1}', b"[]\n", b"\xff\xfe\n", b"{]\n", b"PK\x03\x04" + bytes(100)]
)
def test_what_has_no_header_is_no_journal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.npz.part-0"
    path.write_bytes(content)
    with pytest.raises(OutputProblem, match="not the journal of an unfinished run") as caught:
        read_journal(path)
    assert str(path) in str(caught.value)
    assert "force=True starts again" in str(caught.value)


def test_beginning_anew_replaces_in_one_step(journal: Path) -> None:
    begin_journal(journal, {"schema": "other"}, answers(1, 9))
    header, found = read_journal(journal)
    assert header == {"schema": "other"}
    assert same(found, answers(1, 9))
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]


def test_a_journal_that_cannot_be_opened_is_an_output_problem(tmp_path: Path) -> None:
    with pytest.raises(OutputProblem, match="no-folder"), continued_journal(tmp_path / "no-folder" / "j"):
        pass


def test_a_full_disk_is_an_output_problem() -> None:
    words = "No space left on device; earlier answers are kept; resume=True"
    with pytest.raises(OutputProblem, match=words), continued_journal(Path("/dev/full")) as write:
        write(answers(1))


def test_a_disk_that_fills_up_within_an_answer_is_noticed_at_once_and_loses_no_earlier_one(journal: Path) -> None:
    before = read_journal(journal)[1]
    most = journal.stat().st_size + ANSWER.itemsize + 7
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from effconvert.validate.evaluation.journal import ANSWER, continued_journal\n"
        "from effconvert.errors import OutputProblem\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        "more = np.zeros(4, ANSWER)\n"
        "more['id'] = range(100, 104)\n"
        "try:\n"
        "    with continued_journal(Path(sys.argv[1])) as write:\n"
        "        write(more)\n"
        "except OutputProblem as error:\n"
        "    sys.exit(str(error))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, journal], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "File too large" in ran.stderr
    assert "resume=True continues" in ran.stderr
    found = read_journal(journal)[1]
    assert same(found[: len(before)], before)
    assert found["id"][len(before) :].tolist() == [100]


def test_answers_that_are_written_are_with_the_system_at_once(journal: Path) -> None:
    with continued_journal(journal) as write:
        write(answers(1, 50))
        assert read_journal(journal)[1]["id"].tolist() == [0, 1, 2, 3, 4, 50]


def test_the_answers_that_are_given_are_not_changed(tmp_path: Path) -> None:
    made = answers(2)
    before = made.copy()
    begin_journal(tmp_path / "j", HEADER, made)
    assert made.tobytes() == before.tobytes()
