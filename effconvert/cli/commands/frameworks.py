"""`effconvert frameworks`: the usable frameworks."""

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.output import printable
from effconvert.cli.options.running import given_pythons, python_option
from effconvert.cli.options.shared import json_option


@click.command("frameworks", cls=Command)
@click.option("--quick", is_flag=True, help="Only check what is installed; import nothing.")
@python_option
@json_option
def command(quick: bool, pythons: tuple[str, ...], as_json: JsonOutput | None) -> None:
    """Show which frameworks can run their files here, and how to install the others.

    Each is imported in its own interpreter: this one, or that of --python or EFFCONVERT_PYTHON_<FRAMEWORK>.

    Example: effconvert frameworks
    """
    from tabulate import tabulate

    from effconvert.verification.availability import frameworks_here

    found = frameworks_here(given_pythons(pythons), quick)
    if put_json(as_json, {"schema": "effconvert/frameworks/1", "frameworks": [each.to_dict() for each in found]}):
        return
    rows = [
        [each.name, each.state, ", ".join(f"{name} {version}" for name, version in each.versions.items()), each.python]
        for each in found
    ]
    click.echo(tabulate(rows, ["framework", "state", "versions", "interpreter"], disable_numparse=True))
    for each in found:
        if each.remedy:
            click.echo(printable(f"{each.name}: {each.remedy}"))
