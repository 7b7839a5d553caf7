"""An archive gives its checkpoint, or is refused whole and leaves nothing behind."""

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import MissingPath, OutputProblem, UnreadableCheckpoint
from effconvert.formats.archive import extract
from helpers.hub.serving import CHECKPOINT, make_archive, make_tar

GIB = 1 << 30
Attack = Callable[[tarfile.TarInfo], None]


def attack_archive(name: str, change: Attack, *, form: Any = tarfile.GNU_FORMAT) -> bytes:
    """Return a good checkpoint with one more member, of no bytes, that `change` makes bad."""
    buffer = io.BytesIO(make_archive(inner="good"))
    good = gzip.decompress(buffer.getvalue())
    info = tarfile.TarInfo(name)
    change(info)
    member = info.tobuf(form)
    end = good.rstrip(b"\0")
    end += bytes(-len(end) % 512)
    return gzip.compress(end + member + bytes(1024))


def of_type(kind: bytes, link: str = "") -> Attack:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, link

    return change


def plain(info: tarfile.TarInfo) -> None:
    pass


def refusal(tmp_path: Path, content: bytes) -> str:
    """Return why `content` is refused; nothing may be left of it."""
    archive = tmp_path / "attack.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(UnreadableCheckpoint) as failure:
        extract(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["attack.tar.gz"]
    text = str(failure.value)
    assert text.startswith(str(archive))
    assert "\n" not in text
    return text


def extracted(tmp_path: Path, content: bytes) -> Path:
    archive = tmp_path / "weights"
    archive.write_bytes(content)
    return extract(archive, tmp_path / "out")


@pytest.mark.parametrize("packed", [lambda tar: tar, gzip.compress], ids=["tar", "gzip"])
def test_an_archive_is_recognised_by_its_bytes(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    folder = extracted(tmp_path, packed(make_tar({f"b0/{name}": content for name, content in CHECKPOINT.items()})))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CHECKPOINT


def test_only_what_a_checkpoint_needs_is_extracted(tmp_path: Path) -> None:
    more = {"model.ckpt.meta": b"graph", "b0_quant.tflite": b"x", "run.sh": b"x", "._model.ckpt.index": b"a Mac's"}
    folder = extracted(tmp_path, make_archive(members={**more, **CHECKPOINT}))
    assert {path.name for path in folder.iterdir()} == set(CHECKPOINT)


def test_a_saved_model_is_found_by_its_own_folder(tmp_path: Path) -> None:
    variables = {f"variables/variables.{end}": b"x" for end in ("index", "data-00000-of-00001")}
    folder = extracted(tmp_path, make_archive("export", {"saved_model.pb": b"x", **variables}))
    assert folder == tmp_path / "out" / "export"
    assert (folder / "variables" / "variables.index").is_file()


def test_two_checkpoints_in_one_archive_give_the_folder_of_both(tmp_path: Path) -> None:
    folder = extracted(tmp_path, make_tar({"one/a.index": b"x", "two/b.index": b"x"}))
    assert folder == tmp_path / "out"


def test_long_names_and_folders_are_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in (".", "./deep", f"./deep/{'d' * 150}"):
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo(f"./deep/{'d' * 150}/model.ckpt.index"))
    assert extracted(tmp_path, buffer.getvalue()).name == "d" * 150


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("link", of_type(tarfile.SYMTYPE, "/etc/passwd"), "is a link to '/etc/passwd'"),
        ("link", of_type(tarfile.LNKTYPE, "good/checkpoint"), "is a link to 'good/checkpoint'"),
        ("null", of_type(tarfile.CHRTYPE), "neither a file nor a folder"),
        ("disk", of_type(tarfile.BLKTYPE), "neither a file nor a folder"),
        ("pipe", of_type(tarfile.FIFOTYPE), "neither a file nor a folder"),
        ("what", of_type(b"Z"), "neither a file nor a folder"),
        ("/nowhere/x.index", plain, "leads out of the folder"),
        ("good/../../x.index", plain, "leads out of the folder"),
        ("C:x.index", plain, "leads out of the folder"),
        ("good\\..\\x.index", plain, "has a name"),
        ("good/x\n.index", plain, "has a name"),
        ("good/\x1b[2Jx.index", plain, "has a name"),
        ("good/\u202excod.index", plain, "has a name"),
        ("good/" + "x" * 2000, plain, "very long"),
        ("good/checkpoint", plain, "duplicate"),
        ("./good//checkpoint", plain, "duplicate"),
        ("good/checkpoint/x.index", plain, "is a duplicate name, or both a file and a folder"),
        ("good", plain, "is a duplicate name, or both a file and a folder"),
    ],
)
def test_a_bad_member_condemns_the_archive(tmp_path: Path, name: str, change: Attack, words: str) -> None:
    text = refusal(tmp_path, attack_archive(name, change))
    assert words in text
    assert ascii(name)[1:50] in text


def test_a_nul_in_a_name_condemns_the_archive(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.pax_headers = {"path": "good/x\0.index"}

    assert "has a name" in refusal(tmp_path, attack_archive("x", change, form=tarfile.PAX_FORMAT))


@pytest.mark.parametrize("declared", [2 * GIB, 1 << 50])
def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path, declared: int) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.size = declared

    assert f"{GIB:,} unpacked bytes" in refusal(tmp_path, attack_archive("good/x.index", change))


def test_a_member_with_fewer_than_no_bytes_is_refused(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.pax_headers = {"size": "-512"}

    assert "-512 bytes" in refusal(tmp_path, attack_archive("good/x.index", change, form=tarfile.PAX_FORMAT))


def test_a_header_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, GIB // 2

    assert "a header of 536,870,912 bytes" in refusal(tmp_path, attack_archive("x", change))


def test_an_archive_of_countless_members_is_refused(tmp_path: Path) -> None:
    assert "one too many" in refusal(tmp_path, make_tar({f"{number}": b"" for number in range(1001)}))


def test_a_name_that_no_file_system_takes_is_refused(tmp_path: Path) -> None:
    assert "has a name of more than 255 bytes" in refusal(tmp_path, make_tar({"a/" + "x" * 300 + ".index": b""}))


def test_a_member_larger_than_the_disk_is_an_output_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    (tmp_path / "x.tar.gz").write_bytes(make_archive())
    with pytest.raises(OutputProblem, match=r"member .* bytes, but 1,000 bytes are free in"):
        extract(tmp_path / "x.tar.gz", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tar.gz"]


def test_zeros_that_shrink_a_thousandfold_are_no_bomb(tmp_path: Path) -> None:
    content = make_archive(members={"model.ckpt.data-00000-of-00001": bytes(20_000_000), "model.ckpt.index": b"x"})
    folder = extracted(tmp_path, content)
    assert (folder / "model.ckpt.data-00000-of-00001").stat().st_size == 20_000_000


@pytest.mark.parametrize("packed", [lambda tar: tar, gzip.compress], ids=["tar", "gzip"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    # Without the padding that tar writes after its end mark, every byte is needed.
    tar = make_tar({"b0/model.ckpt.index": b"i" * 700, "b0/model.ckpt.data-00000-of-00001": b"d" * 1500}).rstrip(b"\0")
    content = packed(tar + bytes(-len(tar) % 512) + bytes(512))
    for length in sorted({0, 1, 10, 512, 1024, len(content) - 1, *random.Random(3).sample(range(len(content)), 40)}):
        if length < len(content):
            refusal(tmp_path, content[:length])


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    content = make_archive()
    chance = random.Random(5)
    for _ in range(60):
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        archive = tmp_path / "flipped"
        archive.write_bytes(changed)
        target = tmp_path / f"out-{chance.random()}"
        try:
            folder = extract(archive, target)
        except UnreadableCheckpoint:
            assert not target.exists()
        else:
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == CHECKPOINT


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    tar = bytearray(make_tar({"b0/model.ckpt.index": b"x", "b0/model.ckpt.data-00000-of-00001": b"y"}))
    tar[1024] ^= 1
    assert "no end mark" in refusal(tmp_path, bytes(tar))


@pytest.mark.parametrize("content", [b"", b"<html>" * 300, b"PK\3\4" + bytes(600), random.Random(1).randbytes(5000)])
def test_what_is_no_archive_is_refused_with_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    assert (content[:8].hex(" ") or "nothing") in refusal(tmp_path, content)


def test_an_archive_without_a_checkpoint_says_what_it_holds(tmp_path: Path) -> None:
    assert "'x/readme.txt'" in refusal(tmp_path, make_tar({"x/readme.txt": b"hello"}))


def test_an_archive_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(MissingPath):
        extract(tmp_path / "none.tar.gz", tmp_path / "out")


def test_a_folder_with_files_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(OutputProblem, match="only extracted to a new folder"):
        extracted(tmp_path, make_archive())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputProblem):
        extracted(tmp_path, make_archive())
    assert not list((tmp_path / "elsewhere").iterdir())
