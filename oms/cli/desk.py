"""``halt``, ``release``, ``blacklist`` and ``unfreeze``: commands to the engine, each journaled with who gave it and why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from oms.cli import options
from oms.cli.layout import NOTHING, moment, table
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.errors import EXIT_DONE, UsageError
from oms.questions import account

Command = TypeVar("Command", bound=Callable[..., Any])


def command(wrapped: Command) -> Command:
    """Give an operator's command the options that all of them take."""
    dry_run = click.option("--dry-run", is_flag=True, help="To the dry run's own engine.")
    return options.common(dry_run(wrapped))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before risk is added; where nobody can be asked, --yes must say it.

    Raises:
        UsageError: there is no terminal and no --yes, or the answer was no.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageError(f"{question} There is no terminal to ask on: give --yes to confirm; nothing was done")
    if not click.confirm(question, err=True):
        raise UsageError("not confirmed; nothing was done")


def give(name: str, arguments: Mapping[str, str], *, dry_run: bool) -> int:
    """Leave a command in the mailbox, see that it is journaled, and print what became of it."""
    from oms import operator_desk

    loaded = options.configuration()
    reply = operator_desk.give(loaded, name, arguments, dry_run=dry_run, say=lambda text: click.echo(text, err=True))
    if reply.refused:
        raise UsageError(str(reply.answer))
    if reply.answer is None:
        click.echo(f"{name} is in the mailbox and counts from now")
        click.echo(f"oms: not journaled yet: {reply.why}", err=True)
        return EXIT_DONE
    click.echo(reply.answer)
    by = "the running engine" if reply.by_engine else "this command, no engine is running"
    click.echo(f"oms: journaled by {by}", err=True)
    return EXIT_DONE


@click.command()
@command
@click.option("--all", "every", is_flag=True, help="Stop sells as well as buys.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is journaled with your name.")
def halt(*, dry_run: bool, every: bool, reason: str) -> int:
    """Stop buys at once, or with --all every order; sells already out finish."""
    return give("halt", {"scope": "all" if every else "buys", "reason": reason}, dry_run=dry_run)


@click.command()
@command
@click.option("--reason", default="", metavar="TEXT", help="Why; it is journaled with your name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def release(*, dry_run: bool, reason: str, yes: bool) -> int:
    """Let a halted account trade again."""
    confirm("Let the account trade again?", yes=yes)
    return give("release", {"reason": reason}, dry_run=dry_run)


@click.command()
@command
@click.argument("symbol", metavar="SYMBOL")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is safe; it is journaled with your name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def unfreeze(*, dry_run: bool, symbol: str, reason: str, yes: bool) -> int:
    """Let a symbol trade again that was frozen because its books did not agree."""
    name = options.symbol(symbol) or ""
    confirm(f"Let {name} trade again?", yes=yes)
    return give("unfreeze", {"symbol": name, "reason": reason}, dry_run=dry_run)


@click.group()
def blacklist() -> None:
    """Symbols that are not bought: list, add, remove."""


@blacklist.command(name="list")
@of_journal
def blacklist_list(*, json_: bool, dry_run: bool) -> None:
    """List the symbols that are not bought: the configuration's and the journal's."""
    show(account.blacklist(at_desk(dry_run=dry_run)), _listed, json_=json_)


def _listed(answer: Answer) -> Iterator[str]:
    if not answer["symbols"]:
        yield "no symbol is on the blacklist"
        return
    rows = [
        [row["symbol"], row["author"], moment(row["until"]) if row["until"] else NOTHING, row["reason"]]
        for row in answer["symbols"]
    ]
    yield from table(["symbol", "by", "until", "reason"], rows)


@blacklist.command()
@command
@click.argument("symbol", metavar="SYMBOL")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is journaled with your name.")
@click.option("--until", metavar="TIME", help="Until then, such as 2026-12-31 or 2026-12-31T16:00:00Z (for ever).")
def add(*, dry_run: bool, symbol: str, reason: str, until: str | None) -> int:
    """Buy this symbol no more; what is held can still be sold."""
    arguments = {"symbol": options.symbol(symbol) or "", "reason": reason}
    if until is not None:
        arguments["until"] = options.instant(until, "--until").isoformat()
    return give("blacklist_add", arguments, dry_run=dry_run)


@blacklist.command()
@command
@click.argument("symbol", metavar="SYMBOL")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is journaled with your name.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(*, dry_run: bool, symbol: str, reason: str, yes: bool) -> int:
    """Take a symbol off the journal's blacklist; the configuration's own is not changed."""
    name = options.symbol(symbol) or ""
    confirm(f"Let {name} be bought again?", yes=yes)
    return give("blacklist_remove", {"symbol": name, "reason": reason}, dry_run=dry_run)
