"""The options that every command takes, declared once.

A command is written as::

    @click.command()
    @options.common              # --config and --debug, before or after the command's name
    @options.as_json             # --json, for the commands that only read
    def status(*, json_: bool) -> None:
        \"\"\"Show what the account is doing, from the database.\"\"\"
        loaded = options.configuration()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oms.errors import UsageError

if TYPE_CHECKING:  # --help shall not pay for what it does not use
    from datetime import datetime
    from pathlib import Path

    from oms.config import LoadedConfig
    from oms.model.signal import Signals

Command = TypeVar("Command", bound=Callable[..., Any])

# Where the chosen values stand: in the dictionary that click hands from the group down to its commands.
_CONFIG, _DEBUG = "oms.config_file", "oms.debug"


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keep an option's value where it was given; said after the command's name it beats the one said before."""

    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            context.meta[key] = value

    return keep


def common(command: Command) -> Command:
    """Give a command, or the group, ``--config FILE`` and ``--debug``."""
    config = click.option(
        "--config",
        "-c",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        expose_value=False,
        callback=_remember(_CONFIG),
        help="The configuration to use instead of config.yaml.",
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember(_DEBUG),
        help="Show the traceback of a failure.",
    )
    return config(debug(command))


def as_json(command: Command) -> Command:
    """Give a command that reads ``--json``; it arrives as the parameter ``json_``."""
    return click.option("--json", "json_", is_flag=True, help="Answer with one JSON object.")(command)


def config_file() -> Path | None:
    """The file named by ``--config``, before or after the command; none means the default."""
    from pathlib import Path

    chosen: str | None = click.get_current_context().meta.get(_CONFIG)
    return Path(chosen) if chosen else None


def configuration() -> LoadedConfig:
    """The effective configuration; what a person should know about it goes to stderr.

    Raises UsageError (exit 2) that lists every problem.
    """
    import os

    from oms import amounts
    from oms.config import load_config
    from oms.journal import shelving

    finish_restore()
    loaded = load_config(config_file(), os.environ)
    amounts.write_in(loaded.config.market.trades_in)
    for warning in loaded.warnings:
        _say(warning)
    shelving.keep = lambda database: _kept(loaded, database)
    return loaded


def _kept(loaded: LoadedConfig, database: Path) -> str | None:
    """A backup before a migration; nothing of it is imported before there is one."""
    from oms.backup.moving_up import keeper

    return keeper(loaded)(database)


def finish_restore() -> None:
    """Finish a restore that was decided here and then cut off, before anything reads a configuration that is half moved."""
    from pathlib import Path

    file = config_file()
    base = (file.parent if file is not None else Path()).absolute()
    if not (base / ".oms-restore").exists():
        return
    from oms.backup.deciding import finish

    finished = finish(base)
    if finished is not None:
        _say(f"finished restoring {finished}, which had been cut off")


def _say(text: str) -> None:
    """A line beside the answer; that nobody can read it, as where the terminal is gone, keeps nothing from its work."""
    with suppress(OSError):
        click.echo(f"oms: {text}", err=True)


def read_wishes(source: str) -> Signals:
    """The signals of ``--signals FILE|-``, checked to the last row, with their age where they carry one.

    Raises UsageError (exit 2) that names every bad row.
    """
    import sys

    from oms.gateways.signals import read_signals

    if not source.strip():  # a shell's variable that was never set
        raise UsageError("--signals names no file; expected FILE, or - for stdin")
    return read_signals(source, sys.stdin.buffer if sys.stdin is not None else None)


def symbol(text: str | None) -> str | None:
    """A symbol in its one spelling; None stays None. Raises UsageError for what is none."""
    from oms.model.symbol import canonical_symbol

    try:
        return None if text is None else canonical_symbol(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def instant(text: str, option: str) -> datetime:
    """An instant in words: ISO 8601 (UTC where it names no zone), today, yesterday, or so long ago (90s, 30m, 2h, 7d).

    Raises UsageError for anything else.
    """
    from oms.questions import words

    return words.instant(text, option)


def print_json(schema: str, fields: Mapping[str, Any]) -> None:
    """Answer with one object that names its schema, such as ``oms.status/1``; money must be strings by now."""
    import json

    click.echo(json.dumps({"schema": schema, **fields}, ensure_ascii=False, allow_nan=False))
