"""Hints for an argument that is not a path: a web address, a published network's name, or a hub repository."""

import re
import shlex
from itertools import islice
from pathlib import Path

from effconvert.errors import MissingPath, close_name
from effconvert.option_words import either

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/])")
_HUB_SCHEME = re.compile(r"(?:hf|hf-hub|hf_hub|huggingface|timm|local-dir):/{0,2}(.+)", re.IGNORECASE)
_HUB_PAGE = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?(?:tree/.*)?")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]*(?:efficientnet|effnet)[\w.-]*", re.IGNORECASE)
_MOST_FILES = 5000  # of a folder in which a file with a close name is sought
_COPY = {"s3": "aws s3 cp", "gs": "gcloud storage cp"}


def require_path(path: str | Path) -> Path:
    """Return `path` as a Path. Raises MissingPath if it does not exist."""
    path = Path(path)
    if not path.exists():
        raise MissingPath(missing_in_words(path))
    return path


def missing_in_words(path: str | Path) -> str:
    """Return the message that `path` does not exist, and what to do if it was not meant as a path.

    `Path` drops one slash of a web address; it is put back.
    """
    given = _SCHEME.sub(r"\1://", str(path), count=1) if _SCHEME.match(str(path)) else str(path)
    return f"{given}: {_address(given) or 'no such file or directory' + _hint(given)}"


def _address(given: str) -> str:
    """Return what to do with a web address; "" for anything that may be a path."""
    if hub := _HUB_SCHEME.fullmatch(given) or _HUB_PAGE.fullmatch(given):
        return f"a repository on the Hugging Face hub, not a path; {_from_hub(hub[1])}"
    if published := _published(address=given):
        return f"an address, not a path; effconvert downloads it itself: {published}"
    scheme = _SCHEME.match(given)
    if scheme is None:
        return ""
    if scheme[1].lower() == "file":
        return f"an address, not a path; give {re.sub('^file:/*', '/', given)}"
    # /blob/ is the web page of a file, on GitHub and on the hub.
    direct = given.replace("/blob/", "/resolve/" if "huggingface.co" in given else "/raw/", 1)
    command = _COPY.get(scheme[1].lower())
    copy = f"{command} {shlex.quote(direct)} ." if command else f"curl -LO {shlex.quote(direct)}"
    return f"an address, not a path; download it first: {copy}"


def _hint(given: str) -> str:
    """Return what to do with a name that does not exist and does not look like a path; "" if it does."""
    if given == "-":
        return "; standard input cannot be read, since a checkpoint is read by position: give a file"
    if given.startswith("~"):
        return f"; the shell does not expand ~ in quotes: give {shlex.quote(str(_home(given)))}"
    if published := _published(network=given):
        return f"; a network of this name is published: {published}"
    if _HUB_NAME.fullmatch(given):
        return f"; if it is a repository on the Hugging Face hub: {_from_hub(given)}"
    if near := _near(Path(given)):
        return f"; did you mean {near}?"
    return ""


def _near(path: Path) -> Path | None:
    """Return the file beside `path` with a name that is spelled like it; None without one, or in a large folder."""
    try:
        beside = [found.name for found in islice(path.parent.iterdir(), _MOST_FILES)]
    except OSError:  # the folder does not exist either
        return None
    if len(beside) == _MOST_FILES:
        return None
    # A common suffix makes names alike that are not.
    alike = [name for name in beside if close_name(path.stem, [Path(name).stem])]
    near = close_name(path.name, alike)
    return path.with_name(near) if near else None


def _from_hub(name: str) -> str:
    repository = re.match(r"[\w.-]+/[\w.-]+", name)
    network = repository[0] if repository else name
    if published := _published(network=network):
        return f"effconvert downloads it itself: {published}"
    folder = shlex.quote(network.rpartition("/")[2])
    return f"download it first: hf download {shlex.quote(network)} --local-dir {folder}, and give {folder}"


def _published(address: str = "", network: str = "") -> str:
    """Return the command or call that converts published weights; "" if the address or name is unknown.

    network: the library's name of it, with or without its training (`efficientnet_b0.ra_in1k`) and repository owner.
    """
    from effconvert.reference_tables.weights import weights_table

    owner, _, name = network.rpartition("/")
    called = {name, name.replace("-", "_")} - {""}
    rows = [
        row
        for row in weights_table()
        if row.url == address
        or (owner and f"huggingface.co/{network}/" in row.url)
        or (owner in ("", row.framework) and called & {row.network, f"{row.network}.{row.weights}"})
    ]
    # The library's default if only the network is named, else the usual weights, which are last.
    row = next((row for row in rows if row.default), rows[-1] if rows else None)
    if row is None:
        return ""
    name = f"{row.framework}/{row.variant}/{row.weights}"
    return either(f"effconvert convert --published {name}", f'effconvert.convert_published("{name}")')


def _home(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:  # the home of a user who does not exist
        return Path(given)
