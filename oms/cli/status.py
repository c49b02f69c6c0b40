"""``status``: what the account is doing and what it waits for, from the database alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click

from oms.cli import options
from oms.cli.layout import count, moment, money, span
from oms.cli.reading import NOTHING_YET, Answer, at_desk, at_time, of_journal, show
from oms.errors import EXIT_DONE, DamagedError, UsageError
from oms.questions import account
from oms.questions.account import ailing
from oms.questions.fleet import STATES

EVERY_S = 1.0
"""Seconds between two looks of ``--watch``."""


@click.command()
@of_journal
@at_time
@click.option("--watch", is_flag=True, help="Look again each second, until Ctrl-C.")
def status(*, json_: bool, dry_run: bool, watch: bool, at: str | None) -> int:
    """Show what the account is doing, from the database; works while nothing runs.

    Ends with 3 where an order is in quarantine or something is not healthy.
    """
    desk = at_desk(dry_run=dry_run)
    if at is not None:
        if watch:
            raise UsageError("--watch looks at the present and --at at the past; give one of them")
        show(account.status_at(desk, options.instant(at, "--at")), lines, json_=json_)
        return EXIT_DONE
    while True:
        answer = account.status(desk)
        if watch and not json_ and sys.stdout.isatty():
            click.echo("\x1b[H\x1b[2J", nl=False)
        show(answer, lines, json_=json_)
        if not watch:
            return DamagedError.exit_code if ailing(answer) else EXIT_DONE
        time.sleep(EVERY_S)


def lines(answer: Answer) -> Iterator[str]:
    """The status for a person."""
    if answer["journal"]["seq"] == 0:
        yield f"{_mode(answer)} {answer['account']} · {_process(answer) if answer['running'] else NOTHING_YET}"
        for each in ailing(answer):
            yield f"not healthy: {each}"
        yield from _tasks(answer)
        yield from _fleet(answer)
        return
    yield f"{_mode(answer)} {answer['account']} · {_process(answer)}"
    if answer.get("live") is not None:
        word = answer["live"]
        yield (
            f"armed until {moment(word['until'])} by {word['author']}"
            if word["armed"]
            else f"NOT ARMED: {word['why_not']}"
        )
    if answer["halted"] is not None:
        halt = answer["halted"]
        stopped = "no order is sent" if halt["scope"] == "all" else "no buy is sent"
        yield f"HALTED by {halt['author']}, {stopped}: {halt['reason'] or 'no reason given'}"
    if answer["cycle_id"] is not None:
        yield f"cycle {answer['cycle_id']} {answer['phase']} · trading day {answer['trading_day']}"
    yield f"waiting for {answer['waiting_for']}"
    yield from _money(answer)
    for frozen in answer["frozen"]:
        yield f"frozen {frozen['symbol']}: {frozen['reason']}"
    if answer["quarantined"]:
        yield f"{count(answer['quarantined'], 'order')} in quarantine: a person must look, `order list --unresolved`"
    for each in ailing(answer):
        yield f"not healthy: {each}"
    yield from _tasks(answer)
    yield from _fleet(answer)
    yield f"journal {answer['journal']['seq']:,} entries, head {answer['journal']['head'][:12]}…"


def _fleet(answer: Answer) -> Iterator[str]:
    """How the fleet on the same database stands, in one line; `fleet status` has the whole."""
    fleet = answer.get("fleet")
    if fleet is None:
        return
    counts = fleet["counts"]
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))
    workers = ", ".join(f"{number} {state}" for state, number in fleet["workers"].items() if number) or "none"
    late = f", the latest {span(timedelta(seconds=fleet['latest_s']))} late" if fleet["latest_s"] >= 1 else ""
    yield f"fleet {count(counts['all'], 'account')}: {states or 'none yet'}{late}; workers: {workers}"
    if fleet["halted"] is not None:
        halted = fleet["halted"]
        yield f"THE FLEET IS HALTED by {halted['author']} ({halted['scope']}): {halted['reason'] or 'no reason given'}"


def _tasks(answer: Answer) -> Iterator[str]:
    """How each supervised task goes, while an engine is there to do them."""
    if not answer["running"]:
        return
    for task in answer["tasks"]:
        due = "" if task["next_run"] is None else f", next {_moment_or_now(task['next_run'])}"
        yield f"{task['name']:<15} {task['text']}{due}"


def _moment_or_now(instant: str) -> str:
    left = datetime.fromisoformat(instant) - datetime.now(UTC)
    return f"in {span(left)}" if left.total_seconds() > 0 else "now"


def _mode(answer: Answer) -> str:
    return str(answer["mode"]).upper().replace("_", " ")


def _process(answer: Answer) -> str:
    if "at" in answer:
        return f"as it was at {moment(answer['at'])}"
    heartbeat = answer["heartbeat"]
    if heartbeat is None:
        return "not running"
    age = datetime.now(UTC) - datetime.fromisoformat(heartbeat)
    if answer["running"]:
        return f"running, pid {answer['pid']}, heartbeat {span(age)} ago"
    return f"not running, last seen {moment(heartbeat)}"


def _money(answer: Answer) -> Iterator[str]:
    funds = answer["funds"]
    if funds is not None:
        reserved = f", {money(funds['reserved'])} reserved" if Decimal(funds["reserved"]) else ""
        yield f"funds {money(funds['spendable'])} to spend{reserved}, {money(funds['cash'])} cash"
    realised = "" if answer["realised_today"] is None else f", realised today {money(answer['realised_today'])}"
    yield f"trades today {answer['trades_today']}{realised}"
