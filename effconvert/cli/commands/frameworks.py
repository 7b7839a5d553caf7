"""`effconvert frameworks`: the usable frameworks."""

from typing import TYPE_CHECKING

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.progress import steps
from effconvert.cli.display.terminal import BAD, DOUBTFUL, GOOD, print_table, say
from effconvert.cli.options.running import framework_choice, given_pythons, python_option
from effconvert.cli.options.shared import json_option

if TYPE_CHECKING:
    from effconvert.verification.availability import Availability

_MEANINGS = {"usable": GOOD, "installed": GOOD, "missing": BAD, "broken": DOUBTFUL}
_EVERYWHERE = ("python", "numpy")  # in the versions of each, so not shown


@click.command("frameworks", cls=Command)
@click.argument("names", nargs=-1, type=framework_choice(), metavar="[FRAMEWORK]...")
@click.option("--quick", is_flag=True, help="Only check what is installed; import nothing.")
@python_option
@json_option
def command(names: tuple[str, ...], quick: bool, pythons: tuple[str, ...], as_json: JsonOutput | None) -> None:
    """Show which frameworks can run their files here, and how to install the others.

    Each is imported in its own interpreter: this one, or that of --python or EFFCONVERT_PYTHON_<FRAMEWORK>.

    Example: effconvert frameworks
    """
    from effconvert.verification.availability import frameworks_here

    with steps(as_json is not None, transient=True) as begin:
        begin("importing each framework in its interpreter" if not quick else "looking for the frameworks")
        found = frameworks_here(given_pythons(pythons), quick, names)
    if put_json(as_json, {"schema": "effconvert/frameworks/1", "frameworks": [each.to_dict() for each in found]}):
        return
    interpreters = sorted({each.python for each in found})
    rows = [[each.name, each.state, _versions_or_remedy(each), each.python] for each in found]
    headers = ["framework", "state", "versions, or what to do", "interpreter"]
    if len(interpreters) == 1:  # said once
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    print_table(headers, rows, below=headers[3:] + headers[2:3], meanings=_MEANINGS)
    say()
    if len(interpreters) == 1:
        say(f"interpreter: {interpreters[0]}")
    if any(each.state == "missing" for each in found):
        say(
            "Any environment will do, and effconvert is not needed in it: give its Python with --python PATH, or set "
            "EFFCONVERT_PYTHON_<FRAMEWORK>=PATH."
        )


def _versions_or_remedy(each: "Availability") -> str:
    """Return the versions of a framework's own packages, or how it is installed, or how it is broken."""
    if each.state == "missing":
        known = "No module named" in each.reason or "not installed" in each.reason
        return each.remedy if known else f"{each.reason}; {each.remedy}"
    return each.reason or ", ".join(f"{name} {held}" for name, held in each.versions.items() if name not in _EVERYWHERE)
