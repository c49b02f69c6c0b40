"""``risk``: each limit with what is used of it, and what is stopped, listed, frozen or kept back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import click

from oms.cli.layout import NOTHING, moment, money, number, span, table
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.questions import limits

_STATES = {"ok": "", "near": "near", "reached": "REACHED", "on": "ON", "off": "not set"}


@click.command()
@of_journal
def risk(*, json_: bool, dry_run: bool) -> None:
    """Show each limit with what is used of it, the brake, the blacklist, frozen symbols, and money that has not settled.

    The use is that of the journal's last trading day; the limits are those of the configuration now. A dash stands
    where nothing is used up because every order is looked at by itself.
    """
    show(limits.risk(at_desk(dry_run=dry_run)), _risk, json_=json_)


def _risk(answer: Answer) -> Iterator[str]:
    halt = answer["halted"]
    if halt is not None:
        stopped = "no order is sent" if halt["scope"] == "all" else "no buy is sent"
        yield f"HALTED by {halt['author']}, {stopped}: {halt['reason'] or 'no reason given'}"
    headings = ["rule", "for", "used", "of", "share", "", "stopped", "about"]
    yield from table(headings, (_limit(row) for row in answer["limits"]), "llrrrlrl")
    yield f"trading day {answer['trading_day'] or 'none yet'}"
    for row in answer["blacklist"]:
        until = "" if row["until"] is None else f" until {moment(row['until'])}"
        yield f"blacklist {row['symbol']}{until}, by {row['author']}: {row['reason']}"
    for row in answer["frozen"]:
        yield f"frozen {row['symbol']}: {row['reason']}"
    if answer["settlement"] is not None:
        yield from _settlement(answer["settlement"])


def _limit(row: Mapping[str, Any]) -> list[str]:
    return [
        row["rule"],
        "all" if row["side"] == "any" else f"{row['side']}s",
        _figure(row["used"], row["unit"]),
        _figure(row["limit"], row["unit"]),
        NOTHING if row["share"] is None or row["unit"] == "fraction" else f"{Decimal(row['share']) * 100:.0f}%",
        _STATES[row["state"]],
        str(row["blocked"] or ""),
        row["about"] or "",
    ]


def _figure(value: str | None, unit: str | None) -> str:
    if value is None:
        return NOTHING
    match unit:
        case "dollars":
            return money(value)
        case "fraction":
            return f"{(Decimal(value) * 100).normalize():f}%"
        case "duration":
            return span(float(value))
        case _:
            return number(value)


def _settlement(found: Mapping[str, Any]) -> Iterator[str]:
    coming = ", ".join(f"{money(each['amount'])} on {each['settles']}" for each in found["unsettled"])
    yield f"settled {money(found['settled'])}" + (f"; settles {coming}" if coming else "")
    for other in found["other_currencies"]:
        yield f"beside it {number(other['cash'])} {other['currency']}, settled {number(other['settled'])}, never spent here"
    for back in found["kept_back"]:
        yield f"kept back {back['shares']} {back['symbol']} until {back['until']} ({back['rule']}), {back['free']} are free"
    if not found["guarded"]:
        yield "shares bought with unsettled money are not kept back: " + (
            "the account borrows" if found["policy"] == "buying_power" else "settlement.allow_unsettled_sales"
        )
    if Decimal(found["outside"]):
        yield f"the broker's cash is {money(found['outside'])} beyond the trades in the journal"
