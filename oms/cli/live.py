"""``live arm|disarm|show``: a person's word that real money may be traded; it can be given at a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from oms.cli import desk, options
from oms.cli.layout import count, moment, money, share
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.errors import EXIT_DONE, RefusedError

if TYPE_CHECKING:
    from oms.arming import Offer
    from oms.config import LoadedConfig


@click.group()
@options.common
def live() -> None:
    """Let real money be traded, stop that, and see whether it is allowed now."""


@live.command()
@options.common
@click.option(
    "--until",
    required=True,
    metavar="DAY|TIME",
    help="When it ends: the close of a day such as 2026-12-31, or an instant; at most 92 days ahead.",
)
def arm(*, until: str) -> int:
    """Let this program trade real money until then, within the limits of now; asks at the terminal.

    The word is bound to the account and to the limits: tightening one keeps it, loosening one ends it. A start that finds
    it asks nothing, so that an unattended restart goes on.
    """
    loaded = options.configuration()
    from oms import arming
    from oms.gateways.system_clock import SystemClock
    from oms.operator_desk import author

    arming.require_live(loaded)
    _require_terminal()
    clock = SystemClock()
    offered = arming.offer(loaded, until, clock)
    for line in _screen(loaded, offered):
        click.echo(line, err=True)
    typed = click.prompt("Type the account number to arm real-money trading", err=True, prompt_suffix=": ")
    if typed.strip() != offered.number:
        raise RefusedError("not armed: that is not the account number; nothing was done")
    row = arming.arm(loaded, offered, author(), clock, say=lambda text: click.echo(text, err=True))
    click.echo(f"armed. journal {row}.")
    return EXIT_DONE


def _require_terminal() -> None:
    """A person must be there: neither a pipe nor a script nor the web can arm."""
    streams = (sys.stdin, sys.stderr)
    if not all(stream is not None and stream.isatty() for stream in streams):
        raise RefusedError("live arm asks a person, and there is no terminal to ask at; nothing was done")


def _screen(loaded: LoadedConfig, offered: Offer) -> Iterator[str]:
    """What is to be decided; the whole account number stands here and nowhere else."""
    config = loaded.config
    kind = offered.bound.account_kind
    yield f"  account    {offered.number} ({kind}, LIVE)      net liquidation {_worth(offered.net_liquidation)}"
    held = count(len(offered.positions), "position")
    yield f"  holds      {money(offered.funds.cash)} in cash, {held}, {config.settlement.funds} is spent"
    loss = config.risk.daily_loss_limit
    yield (
        f"  limits     {share(config.execution.funds_fraction)} of funds · "
        f"{_dollars(config.execution.max_position_value)} a position · "
        f"{_dollars(config.risk.max_order_value)} an order · {config.risk.max_trades_per_day} trades a day · "
        f"{'no daily loss limit' if loss is None else f'{_dollars(loss)} loss a day'}"
    )
    yield f"  config     {loaded.hash[:12]}, {loaded.path or 'no config.yaml, all defaults'}"
    yield from _since_paper(offered)
    yield f"  expires    {_exchange_time(offered.until, offered.zone)}, or when a limit is loosened, or by `live disarm`"


def _since_paper(offered: Offer) -> Iterator[str]:
    paper = offered.paper
    if paper is None:
        yield "  changes since your last paper day: not known, no journal of paper trading lies beside this one"
        return
    what = "none" if not paper.changes else count(len(paper.changes), "change")
    yield f"  changes since your last paper day ({paper.day}, {paper.file.name}): {what}"
    for change in paper.changes:
        yield f"    {change}"


def _exchange_time(at: datetime, zone: str) -> str:
    from zoneinfo import ZoneInfo

    there = at.astimezone(ZoneInfo(zone))
    return f"{there:%Y-%m-%d %H:%M} {zone.rpartition('/')[2].replace('_', ' ')} ({moment(at)})"


def _dollars(amount: Decimal) -> str:
    return money(amount).removesuffix(".00")


def _worth(text: str) -> str:
    try:
        return money(Decimal(text))
    except InvalidOperation:
        return "not shown by the broker"


@live.command()
@options.common
@click.option("--reason", default="", metavar="TEXT", help="Why; it is journaled with your name.")
def disarm(*, reason: str) -> int:
    """Trade no real money any more, from the next order on; also while an engine runs. Needs no terminal."""
    loaded = options.configuration()
    from oms import arming
    from oms.licence import state_of

    arming.require_live(loaded)
    if state_of(loaded).armed is None:
        click.echo("live trading is not armed")
        return EXIT_DONE
    return desk.give("live_disarm", {"reason": reason}, dry_run=False)


@live.command(name="show")
@of_journal
def show_(*, json_: bool, dry_run: bool) -> None:
    """Show whether real money may be traded now, by whose word, and until when."""
    from oms.questions import licence

    show(licence.show(at_desk(dry_run=dry_run)), _shown, json_=json_)


def _shown(answer: Answer) -> Iterator[str]:
    account = f" account {answer['broker_account']} ({answer['account_kind']})" if answer["broker_account"] else ""
    if answer["armed"]:
        yield f"armed:{account} until {moment(answer['until'])}, by {answer['author']}"
    else:
        yield f"not armed:{account} {answer['why_not']}"
