"""``reconcile``: where broker and journal do not agree, what explains it, and the word that settles it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.desk import command, confirm, give
from oms.cli.layout import moment
from oms.cli.reading import Answer, at_desk, of_journal
from oms.cli.reading import show as shown
from oms.errors import UsageError


@click.group()
def reconcile() -> None:
    """Broker against journal: show each difference with its reason, and adopt one on your word."""


@reconcile.command()
@of_journal
@click.option("--now", is_flag=True, help="Ask the broker now; nothing is journaled and nothing is sent.")
def show(*, json_: bool, dry_run: bool, now: bool) -> None:
    """Show what the engine's last comparison found, or with --now what one finds at this moment."""
    from oms.questions import reconciliation

    desk = at_desk(dry_run=dry_run)
    answer = reconciliation.compared_now(desk) if now else reconciliation.reconciliation(desk)
    shown(answer, _lines, json_=json_)


def _lines(answer: Answer) -> Iterator[str]:
    asked = "no comparison yet; `run --loop` makes one between cycles, and `reconcile show --now` makes one now"
    for difference in answer["differences"]:
        yield f"{difference['symbol']}  {difference['kind'].replace('_', ' ')}"
        yield f"  {difference['text']}"
        if difference["proposal"]:
            yield f"  -> {difference['proposal']}"
    if not answer["differences"] and answer["as_of"] is not None:
        yield "no difference stands between broker and journal"
    if answer["healthy"] is False:
        yield f"the last comparison failed: {answer['text']}"
    yield asked if answer["as_of"] is None else f"compared {moment(answer['as_of'])}"


@reconcile.command()
@command
@click.argument("symbol", metavar="SYMBOL")
@click.option("--shares", metavar="N", help="The broker's shares as you know them; with another figure it is refused.")
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why the broker is right; it is journaled with your name."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt(*, dry_run: bool, symbol: str, shares: str | None, reason: str, yes: bool) -> int:
    """Take the broker's shares of a symbol into the books; no trade is made up and no order is sent."""
    name = options.symbol(symbol) or ""
    arguments = {"symbol": name, "reason": reason}
    if shares is not None:
        if not shares.replace(".", "", 1).isdigit():
            raise UsageError(f"--shares: found {shares!r}; expected a number of shares, such as 200")
        arguments["shares"] = shares
    confirm(f"Take the broker's shares of {name} into the books?", yes=yes)
    return give("adopt", arguments, dry_run=dry_run)
