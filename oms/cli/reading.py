"""How a command that reads asks its question: the journal opened for reading only, the answer as JSON or as lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oms.cli import options
from oms.questions.asking import NOTHING_YET, Answer, Desk

if TYPE_CHECKING:
    from oms.config import LoadedConfig
    from oms.journal.reader import Reader

__all__ = ["NOTHING_YET", "Answer", "ask", "at_desk", "at_time", "of_journal", "show"]

Command = TypeVar("Command", bound=Callable[..., Any])


def of_journal(command: Command) -> Command:
    """Give a command that reads the journal ``--json`` and ``--dry-run``."""
    dry_run = click.option("--dry-run", is_flag=True, help="Look into the dry run's own journal.")
    return options.common(options.as_json(dry_run(command)))


def at_time(command: Command) -> Command:
    """Give a command ``--at``: it then answers for an earlier moment, from the journal alone."""
    return click.option(
        "--at",
        "at",
        metavar="TIME",
        help="As it was then, from the journal alone: 2026-11-20T14:30:00Z, yesterday, 2h.",
    )(command)


def ask(
    loaded: LoadedConfig, question: Callable[[Reader], dict[str, Any]], nothing: Answer, *, dry_run: bool
) -> dict[str, Any]:
    """The answer from the journal; ``nothing`` where nothing has run yet.

    Raises:
        DamagedError, StorageError: the journal is damaged, or cannot be read now.
    """
    return Desk(loaded=loaded, dry_run=dry_run).ask(question, dict(nothing))


def at_desk(*, dry_run: bool) -> Desk:
    """Where the questions of this command are asked: the configuration it was given, and its journal."""
    return Desk(loaded=options.configuration(), dry_run=dry_run)


def show(answer: Mapping[str, Any], lines: Callable[[Answer], Iterable[str]], *, json_: bool) -> None:
    """Print an answer: whole as JSON, or as lines for a person."""
    if json_:
        options.print_json(answer["schema"], {name: value for name, value in answer.items() if name != "schema"})
        return
    for line in lines(answer):
        click.echo(line)
