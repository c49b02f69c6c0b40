"""``order foreign``: the orders that others made in the same account; shown, counted, never touched."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli.layout import NOTHING, table
from oms.cli.layout import number as figure
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.questions import foreign as questions


@click.command()
@of_journal
@click.option("--open", "is_open", is_flag=True, help="Only those that may still trade.")
def foreign(*, json_: bool, dry_run: bool, is_open: bool) -> None:
    """List the orders that others made in this account, as they were last seen; none of them is ever touched."""
    show(questions.foreign(at_desk(dry_run=dry_run), is_open=is_open), _listed, json_=json_)


def _listed(answer: Answer) -> Iterator[str]:
    if not answer["orders"]:
        yield "no order of anybody else was seen"
        return
    rows = [
        [
            each["order_id"],
            each["side"],
            each["symbol"],
            f"{figure(each['cum_qty'])}/{figure(each['order_qty'])}",
            figure(each["price"]) if each["price"] is not None else NOTHING,
            each["raw_status"],
            "yes" if each["open"] else "no",
        ]
        for each in answer["orders"]
    ]
    yield from table(["order", "side", "symbol", "filled", "limit", "status", "open"], rows, "lllrrll")
