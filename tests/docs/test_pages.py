"""The commands of README.md and docs/ work as printed, and print what the pages show."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import effconvert
from effconvert.cli import COMMANDS
from effconvert.demo.calibrated import make_example
from effconvert.reference_tables.published_weights import choose
from helpers.library_files import library_tensors, save
from helpers.mirror import put_archive, serving
from helpers.pages import HERE, NOWHERE, PAGES, blocks_of, matches, run_page
from helpers.running import Ran

# What the pages download of others than TensorFlow.
_DOWNLOADED = [
    ("mindspore", "mindvision", "b0", None, ".ckpt"),
    ("mmpretrain", "mmpretrain", "b0", "aa", ".pth"),
    ("timm", "timm", "b0", None, ".pth"),
    ("torchvision", "torchvision", "b0", None, ".pth"),
]
_RUN_HERE = [page for page in PAGES if any(block.runs and block.run_by == HERE for block in blocks_of(page))]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `effconvert demo` leaves where no trained weights are installed."""
    folder = tmp_path_factory.mktemp("demo")
    make_example(folder)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, b0: Path) -> Path:
    """The published files that the pages download, of random weights."""
    folder = tmp_path_factory.mktemp("published")
    for framework, layout, variant, weights, suffix in _DOWNLOADED:
        file = folder / "site" / urlsplit(choose(variant, weights, framework).url).path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        source = save(folder / "source.pth", library_tensors(layout, variant, classes=1000))
        effconvert.convert(source, folder / f"written{suffix}", to=layout, force=True)
        (folder / f"written{suffix}").replace(file)
    for archive in ("ckptsaug/efficientnet-b0", "noisystudent/noisy_student_efficientnet-b0"):
        put_archive(folder / "site", f"efficientnet/{archive}.tar.gz", b0)
    return folder / "site"


@pytest.fixture
def here(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which `effconvert demo` was run."""
    (tmp_path / "effconvert-demo").symlink_to(example)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def published(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of the published files. Their names bear hashes, which files of random weights cannot have."""
    for module in ("effconvert.hub.cache", "effconvert.reference_tables.file_names"):
        monkeypatch.setattr(f"{module}.name_sha8", lambda name: None)
    with serving(site, monkeypatch):
        yield


@pytest.mark.xdist_group("pages")
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", _RUN_HERE, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_printed(
    page: Path, run: Callable[..., Ran], request: pytest.FixtureRequest
) -> None:
    if any(block.notes.get("needs") == "a download" for block in blocks_of(page)):
        request.getfixturevalue("published")
    run_page(page, run, HERE)


def test_what_is_run_nowhere_is_named_with_its_reason() -> None:
    nowhere = {command for page in PAGES for block in blocks_of(page) if block.run_by == NOWHERE
               for command, _ in block.commands()}  # fmt: skip
    reasons = (
        "imagenet/val",
        "ILSVRC2012_img_val.tar",
        "torchrun",
        "pip install",
        "make ",
        ". .venv/bin/activate",
        "git clone",
        "_EFFCONVERT_COMPLETE",  # a line for a shell's start file; tests/cli asks for completions
    )
    assert [command for command in nowhere if not any(reason in command for reason in reasons)] == []


def test_every_block_says_what_it_is_and_its_need_is_known() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.kind in ("console", "sh", "python", "pycon", "toml", "text", "json"), (
                f"{page.name}: {block.kind}"
            )
            assert block.run_by
            assert block.kind not in ("console", "sh") or list(block.commands()), f"{page.name}: {block.text}"


def test_every_command_of_effconvert_is_run_from_a_page() -> None:
    run = {command.split()[1] for page in PAGES for block in blocks_of(page) if block.run_by != NOWHERE
           for command, _ in block.commands() if command.startswith("effconvert ")}  # fmt: skip
    assert COMMANDS.keys() - run == set()


def test_commands_stand_only_where_they_are_run() -> None:
    for page in PAGES:
        inside = "".join(block.text for block in blocks_of(page))
        for line in re.findall(r"^(?: {4}|\$ )(?:effconvert|torchrun) .*", page.read_text(), re.MULTILINE):
            assert line.removeprefix("    ") in inside, f"{page.name}: {line}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("read in 0.2 s\n", "read in 13 s\n", True),
        ("kept in /home/you/b0.npz\n", "kept in /tmp/x-1/b0.npz\n", True),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("top-1 85.0 %\n", "top-1 80.0 %\n", False),
        ("one\nthree\n", "one\ntwo\nthree\n", False),
        ("worst layer head, 3 times below", "worst layer stem, 4 times below", True),
        ("bn_eps 1e-05\n", "bn_eps 1e-03\n", False),
        ("", "a warning\n", False),
    ],
)
def test_only_what_varies_is_masked(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) == same
