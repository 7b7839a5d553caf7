"""Reports for the tests in a browser: of real runs, of made runs, and with hostile names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import effconvert
from effconvert.report.document import published_report
from effconvert.report.pictures import pictures
from effconvert.report.renderings.page import render_page
from effconvert.report.schema import problems
from helpers.report.made_documents import made_document, typed

# Where a name that a file holds is put into a tag, an attribute, a script, a style or a template.
HOSTILE = (
    "</title></style></script></svg><script>window.ran = 1</script><img src=x onerror=window.ran=1>"
    '"\' onfocus=window.ran=1 autofocus onmouseover=window.ran=1 x="<svg onload=window.ran=1>'
    "<a href=javascript:window.ran=1>{{ 7 * 7 }}{% raw %}<!--<base href=https://example.org/>]]>&lt;b&gt;"
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}\x1b[31m\n# heading"
)
# The texts of a document that come from files, or say what came from files.
_FROM_FILES = set(
    "title sentence name weights file taken layout dtype framework network loader path reason note source device "
    "device_name pipeline recipe labels chosen url layer measured allowed judgement revision date publisher model".split()
)
_TABLES_OF_TEXTS = {"facts", "options", "left_behind", "versions"}


def real(folder: Path) -> Path:
    """Report on a file of timm's that was converted, measured and verified against timm by the commands themselves."""
    from helpers.frameworks import torchvision_repair  # noqa: F401
    from helpers.frameworks.validating import images, write_class_folders
    from helpers.frameworks.verifying import effconvert_served, library_file
    from helpers.pictures import KINDS

    source, converted = library_file(folder, "timm", "b0", "timm.pth"), folder / "b0.safetensors"
    effconvert.convert(source, converted, weights="aa")
    data = write_class_folders(folder / "images", images(12, KINDS), range(12))
    verified, out = folder / "b0.json", folder / "report"
    for command in (
        ("validate", converted, source, "--data", data, "--size", 96, "--workers", 0, "--runs", folder / "runs"),
        ("verify", converted, "--against", source, "--no-float64", "--json", verified),
        ("report", *(folder / "runs" / name for name in ("b0.npz", "timm.npz")), "--verify", verified, "--out", out),
    ):
        ran = effconvert_served(*command)
        assert ran.exit_code == 0, ran.err + ran.out
    return out


def hostile() -> dict[str, Any]:
    """Return a report in which every text of a file is HOSTILE, in networks and in what was published."""
    document = made_document(3)
    for network in document["networks"]:
        _poison(network)
    _poison(document["published"])
    document["title"] = document["sentence"] = HOSTILE
    for entry in document["inputs"]:
        entry["path"] = HOSTILE
    found = problems(document, "report-1")
    assert not found, found
    return document


def failing() -> dict[str, Any]:
    """Return a report whose first network differs from its source, by a cause that was found, and was not judged."""
    document = made_document(3)
    network = document["networks"][0]
    words = {"layers": "failed", "accuracy": "not judged"}
    for check in network["verdicts"]:
        check["verdict"] = words.get(check["check"], "passed")
    network["summary"] |= {"verdict": "failed", "words": "failed: layers; passed 5 of 7; accuracy not judged"}
    cause = {"cause": "another epsilon in BatchNorm", "fix": "bn_eps: 0.001 -> 1e-05 (--facts bn_eps=1e-05)"}
    cause |= {"before": 0.91, "after": 3e-7, "whole": True}
    network["verifications"][0] |= {"verdict": "different", "explained": True, "causes": [cause]}
    return document


def _poison(value: Any) -> None:
    if isinstance(value, list):
        value[:] = [HOSTILE if isinstance(item, str) else item for item in value]
        for item in value:
            _poison(item)
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            if key in _TABLES_OF_TEXTS and isinstance(item, dict):
                item[HOSTILE] = next(iter(item.values()), 1)
            if isinstance(item, str) and key in _FROM_FILES:
                value[key] = HOSTILE
            else:
                _poison(item)


DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "three": lambda: made_document(3),
    "failing": failing,
    "hostile": hostile,
    "published": lambda: published_report().to_dict(),
    "thousand": lambda: made_document(1000),
}


def write_page(name: str, folder: Path) -> Path:
    """Write the page of the report called `name` into `folder` and return its path; of the real one all is written."""
    if name == "real":
        return real(folder) / "report.html"
    document, written = DOCUMENTS[name](), folder / "report.html"
    written.write_text(render_page(typed(document), pictures(document)), encoding="utf-8")
    return written
