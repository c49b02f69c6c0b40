"""``sim points``: the named instants at which a test may kill the process."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms import crashpoints
from oms.cli import options
from oms.cli.layout import table
from oms.cli.reading import Answer, show


@click.group()
def sim() -> None:
    """The engine in hostile weather, and the points at which it can be killed."""


@sim.command()
@options.common
@options.as_json
def points(*, json_: bool) -> None:
    """List the instants at which OMS_CRASH_AT=NAME[:N] kills the process, at its N-th passage."""
    answer = {
        "schema": "oms.sim-points/1",
        "points": [{"name": name, "when": when} for name, when in crashpoints.POINTS.items()],
    }
    show(answer, _lines, json_=json_)


def _lines(answer: Answer) -> Iterator[str]:
    yield from table(["point", "when"], [[each["name"], each["when"]] for each in answer["points"]])
