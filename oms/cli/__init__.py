"""The terminal: finds the command that was asked for, imports only its module, and turns its failure into an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, NamedTuple

import click

from oms import __version__
from oms.cli import options
from oms.errors import EXIT_INTERRUPTED, OmsError, RefusedError, UsageError, place_of


class Entry(NamedTuple):
    """Where a command lives, ``module:attribute``, and its line in the list of commands."""

    place: str
    help: str


# The list of commands, in the order in which --help shows them. It repeats each command's first help line so that --help
# need not import the command; tests/test_cli.py compares the two.
COMMANDS: dict[str, Entry] = {
    "run": Entry("oms.cli.running:run", "Finish what is open, then trade one cycle."),
    "resume": Entry("oms.cli.running:resume", "Finish what is open, start nothing new."),
    "plan": Entry(
        "oms.cli.planning:plan", "Show what the next cycle would do; nothing is sent and nothing is journaled."
    ),
    "status": Entry(
        "oms.cli.status:status", "Show what the account is doing, from the database; works while nothing runs."
    ),
    "select": Entry(
        "oms.cli.account:select_", "Show the scores of the universe as the last selection saw them, best first."
    ),
    "cycle": Entry("oms.cli.history:cycle", "Look at trading cycles, past and present."),
    "order": Entry("oms.cli.history:order", "Look at orders, and settle one that is in doubt."),
    "journal": Entry("oms.cli.journal:journal", "Look at the facts, and verify that they are what was written."),
    "explain": Entry(
        "oms.cli.explaining:explain",
        "Tell why: a cycle, an order or a symbol, in sentences with their rows of the journal.",
    ),
    "sql": Entry(
        "oms.cli.sql:sql",
        "Ask the journal in SQL; the views v_orders, v_fills, v_cuts and others are documented in docs/sql.md.",
    ),
    "positions": Entry(
        "oms.cli.account:positions", "Show the shares that the journal says are held, at the newest price it knows."
    ),
    "funds": Entry(
        "oms.cli.account:funds",
        "Show the newest reading of the account's money, and what open buys reserve of it.",
    ),
    "pnl": Entry("oms.cli.performance:pnl", "Show profit and loss, realised and not, today and in all, by symbol."),
    "report": Entry(
        "oms.cli.performance:report",
        "Show how well it trades: buys that succeeded, delay from sells to buys, use of the funds, cuts, errors.",
    ),
    "reconcile": Entry(
        "oms.cli.reconciling:reconcile",
        "Broker against journal: show each difference with its reason, and adopt one on your word.",
    ),
    "risk": Entry(
        "oms.cli.limits:risk",
        "Show each limit with what is used of it, the brake, the blacklist, frozen symbols, and money that has not settled.",
    ),
    "halt": Entry("oms.cli.desk:halt", "Stop buys at once, or with --all every order; sells already out finish."),
    "release": Entry("oms.cli.desk:release", "Let a halted account trade again."),
    "live": Entry("oms.cli.live:live", "Let real money be traded, stop that, and see whether it is allowed now."),
    "blacklist": Entry("oms.cli.desk:blacklist", "Symbols that are not bought: list, add, remove."),
    "unfreeze": Entry(
        "oms.cli.desk:unfreeze", "Let a symbol trade again that was frozen because its books did not agree."
    ),
    "backup": Entry(
        "oms.cli.backup:backup",
        "Keep the engine's configuration in one archive: settings, universe, blacklist, halts; never a secret.",
    ),
    "backups": Entry("oms.cli.backup:backups", "The backups that are kept: list, verify, prune."),
    "restore": Entry(
        "oms.cli.backup:restore",
        "Bring a backup back, whole or not at all; what is there now becomes a backup of its own.",
    ),
    "config": Entry("oms.cli.settings:config", "The configuration: check it, and show where each value came from."),
    "fleet": Entry(
        "oms.cli.fleet:fleet", "Many accounts on PostgreSQL, traded by any number of workers on any machine."
    ),
    "db": Entry("oms.cli.database:db", "The database of the journal: its schema, its roles, and moving it elsewhere."),
    "service": Entry(
        "oms.cli.service:service", "The engine as a service of the operating system: install it, see how it is."
    ),
    "serve": Entry("oms.cli.serving:serve", "Serve the dashboard and the API, and run the engine beside them."),
    "sim": Entry("oms.cli.simulation:sim", "The engine in hostile weather, and the points at which it can be killed."),
    "history": Entry(
        "oms.cli.prices:history", "The daily prices that a selection looks at: fetch them, see what is kept."
    ),
    "bench": Entry("oms.cli.bench:bench", "Time this program beside a broker that costs nothing."),
    "notify": Entry("oms.cli.notify:notify", "Messages to people: try the addresses out, see how they stand."),
    "doctor": Entry(
        "oms.cli.doctor:doctor",
        "Look at everything that trading rests on, and say how to mend what is amiss; changes and sends nothing.",
    ),
    "setup": Entry("oms.cli.environment:setup", "Set up what the program needs, and say what is there."),
    "test": Entry("oms.cli.quality:test", "Check style and types, then run the whole test suite."),
}


class ReaderLeft(Exception):
    """Nobody reads our stdout any more, as behind ``| head``; click itself would end with 1, our word for a bug."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports the one that is called."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the arguments; ``--help`` and ``--version`` answer in here."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError as error:
            raise ReaderLeft from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list of commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="oms")
@options.common
def oms() -> None:
    """Trade a strategy's plan to the end: every order exactly once, through any crash."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        ended = oms.main(arguments, prog_name="oms", standalone_mode=False)
        if sys.stdout is not None:  # it may have been closed from the start
            sys.stdout.flush()
        code = ended if isinstance(ended, int) else 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost door: all ends here, as one sentence
        code = _ended_by(error, debug="--debug" in arguments)
    sys.exit(code)


FOR_POSTGRES = ("psycopg", "psycopg_pool", "procrastinate")
"""Packages of the extra ``postgres``, which who trades on a file does not have."""


def _ended_by(error: BaseException, *, debug: bool) -> int:
    """Say what went wrong, and answer the exit code; that of the error also where the terminal is gone."""
    try:
        return _failed(error, debug=debug)
    except OSError:
        from oms.cli.printer import silence

        silence(sys.stderr)
        return _failed(error, debug=debug)


def _failed(error: BaseException, *, debug: bool) -> int:
    """Say in one sentence what went wrong, and answer the exit code that says so to a script."""
    if isinstance(error, ReaderLeft | BrokenPipeError):  # what is still buffered has no reader either
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, click.Abort | KeyboardInterrupt):  # the first is click's name for the second
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] in FOR_POSTGRES:
        error = UsageError(
            f"this needs PostgreSQL, whose driver is not installed ({error.name}): pip install 'oms[postgres]'"
        )
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, OmsError):
        click.echo(f"refused (5): {error}" if isinstance(error, RefusedError) else f"oms: {error}", err=True)
        return error.exit_code
    # An unforeseen error's own text may quote what it choked on, a secret among it: only --debug shows that.
    click.echo(f"oms: a bug: {type(error).__name__} in {place_of(error)}; --debug shows the traceback", err=True)
    return 1
