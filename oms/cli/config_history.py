"""``config history|diff|rollback``: the configurations that cycles ran under, compared by meaning, and brought back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.layout import NOTHING, moment, table
from oms.cli.reading import Answer, show
from oms.errors import UsageError
from oms.questions import configuration


@click.command()
@options.common
@options.as_json
def history(*, json_: bool) -> None:
    """List every configuration that a cycle ran under, with what each changed."""
    show(configuration.history(options.configuration()), _history, json_=json_)


def _history(answer: Answer) -> Iterator[str]:
    rows = [
        [
            each["hash"][:12],
            moment(each["at"]) if each["at"] else NOTHING,
            f"{each['cycles']:,}",
            "now" if each["current"] else "",
            each["problem"] or ", ".join(_short(change) for change in each["changes"]),
        ]
        for each in answer["versions"]
    ]
    yield from table(["hash", "first used", "cycles", "", "changed"], rows, "llrll")


def _short(change: Answer) -> str:
    return f"{change['key']}{' (loosened)' if change['loosened'] else ''}"


@click.command()
@options.common
@options.as_json
@click.argument("old", metavar="A")
@click.argument("new", metavar="[B]", default="current")
def diff(*, json_: bool, old: str, new: str) -> None:
    """Compare two kept configurations by meaning; a loosened limit is marked. B is the current one unless given."""
    show(configuration.diff(options.configuration(), old, new), _diff, json_=json_)


def _diff(answer: Answer) -> Iterator[str]:
    if not answer["changes"]:
        yield "no difference"
    for change in answer["changes"]:
        marked = f"  LOOSENED: {change['loosened']}" if change["loosened"] else ""
        yield f"{change['key']}: {change['old']} -> {change['new']}{marked}"


@click.command()
@options.common
@options.as_json
@click.argument("wanted", metavar="HASH")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking; needed where no terminal is.")
def rollback(*, json_: bool, wanted: str, dry_run: bool, yes: bool) -> None:
    """Write a kept configuration back as config.yaml, with its comments, after a backup of what is there."""
    from oms.backup.versions import plan_rollback, roll_back

    plan = plan_rollback(options.configuration(), wanted)
    answer = {
        "schema": "oms.config-rollback/1",
        "hash": plan.version.hash,
        "file": str(plan.path),
        "changes": [change.answer() for change in plan.changes],
        "written": False,
        "previous": None,
    }
    if not dry_run and plan.changes:
        if not yes:
            _ask(answer, json_=json_)
        made = roll_back(plan, os.environ)
        answer = {**answer, "written": True, "previous": made.manifest.id}
    show(answer, _rolled_back, json_=json_)


def _ask(answer: Answer, *, json_: bool) -> None:
    if json_ or not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageError("rollback rewrites config.yaml: give --yes, or --dry-run to see what would change")
    for line in _diff(answer):
        click.echo(line, err=True)
    click.confirm("write it?", abort=True, err=True)


def _rolled_back(answer: Answer) -> Iterator[str]:
    yield from _diff(answer)
    if answer["written"]:
        yield f"wrote {answer['file']} as {answer['hash'][:12]}; what was there is backup {answer['previous']}"
        yield "a running engine goes on under its own configuration until it is started again"


def add_to(group: click.Group) -> None:
    """Give these commands to the group ``config``."""
    for command in (history, diff, rollback):
        group.add_command(command)
