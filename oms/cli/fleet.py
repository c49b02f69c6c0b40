"""``fleet …``: many accounts on PostgreSQL, traded by any number of workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from oms.cli import options
from oms.cli.desk import confirm
from oms.cli.layout import NOTHING, count, table
from oms.cli.reading import Answer, at_desk, show
from oms.cli.stopping import outliving_terminal
from oms.errors import EXIT_DONE, DamagedError, StorageError, UsageError

if TYPE_CHECKING:
    from oms.fleet.database import Database


AGAIN_S = 5.0
"""Seconds until a worker whose server went away starts over."""


@click.group()
def fleet() -> None:
    """Many accounts on PostgreSQL, traded by any number of workers on any machine.

    The configuration is the same for all accounts, but for what `fleet add --set` says of each.
    """


@fleet.command()
@options.common
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="A setting of this account's own, by dotted key."
)
@click.option("--secret", metavar="REF", help="Where its credentials are: file:/absolute/path, or env:NAME of a path.")
@click.option(
    "--every", type=click.FloatRange(min=0.1), metavar="S", help="Seconds between two turns; worker.interval."
)
@click.argument("account")
def add(*, account: str, sets: tuple[str, ...], secret: str | None, every: float | None) -> None:
    """Let ACCOUNT be traded from now on, or give it new settings."""
    from oms import operator_desk
    from oms.fleet import brake, registry

    loaded = options.configuration()
    database = _database()
    every_s = every if every is not None else loaded.config.worker.interval.total_seconds()
    member = registry.Member(account=account, overlay=_overlay(sets), secret=secret, every_s=every_s)
    registry.add(database, loaded, member)
    standing = brake.standing_halt(database)
    if standing is not None:
        arguments = {"scope": standing["scope"], "reason": standing["reason"]}
        brake.tell(database, account, operator_desk.author(), "halt", arguments)
    click.echo(f"{account} belongs to the fleet; a worker takes its first turn soon")


def _overlay(sets: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in sets:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {each}: expected KEY=VALUE, such as risk.max_trades_per_day=50")
        found[key] = value
    return found


@fleet.command()
@options.common
@click.argument("account")
def remove(*, account: str) -> None:
    """Let a paused ACCOUNT be traded no more; its journal stays."""
    from oms.fleet import registry

    registry.remove(_database(), account)
    click.echo(f"{account} belongs to the fleet no more; its journal stays where it is")


@fleet.command()
@options.common
@click.option("--reason", default="", help="Why; it is shown in `fleet status`.")
@click.argument("account")
def pause(*, account: str, reason: str) -> None:
    """Take no new turn for ACCOUNT; one under way ends as it would. To stop its orders, use `halt`."""
    from oms.fleet import registry

    registry.pause(_database(), account, reason or "no reason given")
    click.echo(f"{account} is paused; `fleet unpause {account}` goes on")


@fleet.command()
@options.common
@click.argument("account")
def unpause(*, account: str) -> None:
    """Take turns for ACCOUNT again."""
    from oms.fleet import registry

    registry.go_on(_database(), account)
    click.echo(f"{account} is traded again")


@fleet.command()
@options.common
@options.as_json
def status(*, json_: bool) -> int:
    """Show every account, every worker, and what holds for all of them.

    Ends with 3 where an account keeps failing or is overdue, or a worker has gone without a word.
    """
    from oms.questions import fleet as questions

    answer = questions.status(at_desk(dry_run=False))
    show(answer, _lines, json_=json_)
    bad = any(each["state"] in ("failing", "overdue") for each in answer["accounts"])
    bad = bad or any(each["state"] == "gone" and each["busy"] for each in answer["workers"])
    return DamagedError.exit_code if bad else EXIT_DONE


def _lines(answer: Answer) -> Iterator[str]:
    counts = answer["counts"]
    words = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()) if state != "all")
    yield f"{count(counts['all'], 'account')} at {answer['database']}" + (f": {words}" if words else "")
    if answer["halted"] is not None:
        halted = answer["halted"]
        yield f"HALTED by {halted['author']} ({halted['scope']}): {halted['reason'] or 'no reason given'}"
    for name, value in answer["limits"].items():
        used = f", {answer['notional_today']} used today" if name == "notional_per_day" else ""
        yield f"{name} {value}{used}"
    yield f"queue: {answer['queue']['waiting']} waiting, {answer['queue']['running']} running"
    rows = [
        [
            each["account"],
            each["state"],
            each["phase"] or NOTHING,
            str(each["cycles"]),
            NOTHING if each["took_s"] is None else f"{each['took_s']:.1f}",
            (each["ended_at"] or NOTHING)[:19],
            each["paused"] or (each["why"] or "")[:60] or _told(each["commands_waiting"]),
        ]
        for each in answer["accounts"]
    ]
    yield from table(["account", "state", "phase", "cycles", "s", "last turn", "why"], rows, "lllrrll")
    if not answer["workers"]:
        yield "no worker has ever run; `fleet worker` starts one"
        return
    rows = [
        [
            each["worker"],
            each["state"],
            f"{each['busy']}/{each['lanes']}",
            str(each["cycles"]),
            f"{each['cycles_per_minute']:.1f}",
            str(each["failures"]),
            f"{each['load']:.0%}",
            each["version"],
        ]
        for each in answer["workers"]
    ]
    yield from table(["worker", "state", "busy", "cycles", "a minute", "failures", "load", "version"], rows, "llrrrrrl")


def _told(waiting: int) -> str:
    """What its mailbox holds for the next turn, such as a halt."""
    return f"{count(waiting, 'command')} in its mailbox, which counts already" if waiting else ""


@fleet.command()
@options.common
@click.option("--lanes", type=click.IntRange(min=1, max=256), default=4, show_default=True, help="Accounts at a time.")
@click.option("--name", help="Name of this worker; default: host and process.")
@outliving_terminal()
def worker(*, lanes: int, name: str | None) -> int:
    """Take turns for the accounts that are due, until it is told to go: Ctrl-C, SIGTERM, or `fleet drain`.

    Start as many as you like, on any machine that reaches the database and has the accounts' secrets. Where the server goes
    away, it starts over until the server is back.
    """
    from oms.fleet.worker import FleetWorker

    def say(text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            click.echo(f"oms: {text}", err=True)

    database = _database()
    while True:
        made = FleetWorker(database, options.configuration(), lanes=lanes, name=name, say=say)
        say(f"{made.name} takes turns at {database.address.shown}, {lanes} at a time")
        try:
            return made.run()
        except StorageError as error:
            if made.was_told:
                raise
            # Every turn has ended with its connection; what it left is found by the next one, which reads it afresh.
            say(f"{error}; this worker starts over in {AGAIN_S:.0f} s")
            time.sleep(AGAIN_S)


@fleet.command()
@options.common
@click.option("--all", "every", is_flag=True, help="Every worker.")
@click.argument("worker", required=False)
def drain(*, worker: str | None, every: bool) -> None:
    """Let WORKER take no more turns and end; others go on with its accounts. For an update, one after the other."""
    from oms.fleet import standing

    if (worker is None) != every:
        raise UsageError("name one worker, or give --all")
    for each in standing.drain(_database(), worker):
        click.echo(f"{each} ends when its turns have come to a safe stop")


@fleet.command()
@options.common
@click.option("--all", "everything", is_flag=True, help="Sells too, not only buys.")
@click.option("--reason", default="", help="Why; it is journaled in every account.")
@click.argument("account", required=False)
def halt(*, account: str | None, everything: bool, reason: str) -> None:
    """Stop every account of the fleet at once, or only ACCOUNT: no buy is sent, or with --all no order."""
    from oms import operator_desk
    from oms.fleet import brake

    scope = "all" if everything else "buys"
    if account is not None:
        brake.tell(_database(), account, operator_desk.author(), "halt", {"scope": scope, "reason": reason})
        click.echo(f"halted: {account}, from now on; its next turn journals it")
        return
    told = brake.halt(_database(), operator_desk.author(), scope, reason)
    click.echo(f"halted: {told} accounts, and every account that is added, until `fleet release`")


@fleet.command()
@options.common
@click.option("--reason", default="", help="Why; it is journaled in every account.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("account", required=False)
def release(*, account: str | None, reason: str, yes: bool) -> None:
    """Let every account of the fleet trade again, or only ACCOUNT."""
    from oms import operator_desk
    from oms.fleet import brake

    database = _database()
    confirm(f"Let {account or 'every account of the fleet'} trade again?", yes=yes)
    if account is not None:
        brake.tell(database, account, operator_desk.author(), "release", {"reason": reason})
        click.echo(f"released: {account}, at its next turn")
        return
    click.echo(f"released: {brake.release(database, operator_desk.author(), reason)} accounts")


@fleet.command()
@options.common
@click.argument("name")
@click.argument("value")
def limit(*, name: str, value: str) -> None:
    """Set a limit over the whole fleet: NAME is notional_per_day, or messages_per_minute/CREDENTIAL; VALUE or `none`.

    CREDENTIAL is what `fleet add --secret` named, and all accounts with it share the rate over all workers.
    """
    from oms import operator_desk
    from oms.fleet import limits

    try:
        figure = None if value == "none" else Decimal(value)
    except InvalidOperation:
        raise UsageError(f"{value!r} is no number; expected one, or none") from None
    limits.set_limit(_database(), operator_desk.author(), name, figure)
    click.echo(f"{name}: {'no limit' if figure is None else value}")


def _database() -> Database:
    from oms.fleet import task_queue
    from oms.fleet.database import database_of

    database = database_of(options.configuration())
    task_queue.prepare(database)
    return database
