"""``run`` and ``resume``: one engine, watched, and what it ended with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from oms.cli import options
from oms.cli.layout import count, moment, share
from oms.cli.narration import Narrator
from oms.cli.printer import Printer
from oms.cli.progress import Progress
from oms.cli.sentences import Line, still_open
from oms.cli.stopping import Stopping
from oms.errors import EXIT_DONE, OmsError, RefusedError, UsageError
from oms.model.signal import Signals
from oms.service.sd_notify import Watchdog, tell

if TYPE_CHECKING:
    from oms.app import Engine
    from oms.config import LoadedConfig
    from oms.observe.notifying import Notifier

LAST_WORDS_S = 15.0
"""Seconds that the end of a run waits at most for its last messages."""


@click.command()
@options.common
@click.option("--once", is_flag=True, help="One cycle (the default).")
@click.option("--loop", is_flag=True, help="Cycle after cycle, until the data end or the process is stopped.")
@click.option("--signals", metavar="FILE|-", help="Take the wishes from a JSON or CSV file, or from stdin.")
@click.option("--dry-run", is_flag=True, help="On a broker and journal of its own (oms.dry.db); sends nothing outside.")
@click.option("--live", is_flag=True, help="Confirm that `mode: live` is meant; refused in any other mode.")
def run(*, once: bool, loop: bool, signals: str | None, dry_run: bool, live: bool) -> int:
    """Finish what is open, then trade one cycle."""
    if once and loop:
        raise UsageError("--once and --loop contradict each other; give one of them")
    if loop and signals is not None:
        raise UsageError("--signals is the plan of one cycle; run it without --loop")
    loaded = options.configuration()
    _agree_about_live(loaded, live=live, dry_run=dry_run)
    wishes = options.read_wishes(signals) if signals is not None else None
    return Trading(loaded, loop=loop, dry_run=dry_run, wishes=wishes).trade()


@click.command()
@options.common
@click.argument("cycle", required=False)
@click.option("--dry-run", is_flag=True, help="The open cycle of the dry run's own journal.")
def resume(*, cycle: str | None, dry_run: bool) -> int:
    """Finish what is open, start nothing new."""
    from oms.journal.access import exists
    from oms.places import places

    loaded = options.configuration()
    if not exists(places(loaded, dry_run=dry_run).journal_url):
        click.echo("nothing has run yet, so nothing is open")
        return EXIT_DONE
    return Trading(loaded, dry_run=dry_run, open_new=False, only=cycle).trade()


def _agree_about_live(loaded: LoadedConfig, *, live: bool, dry_run: bool) -> None:
    if live and dry_run:
        raise UsageError("--live and --dry-run contradict each other; give one of them")
    if live and loaded.config.mode != "live":
        raise RefusedError(
            f"--live was given, but mode is {loaded.config.mode} ({loaded.origins['mode']}); nothing was done"
        )


class Trading:
    """One start of the engine from the terminal."""

    def __init__(
        self,
        loaded: LoadedConfig,
        *,
        loop: bool = False,
        dry_run: bool = False,
        open_new: bool = True,
        only: str | None = None,
        wishes: Signals | None = None,
    ) -> None:
        self._loaded = loaded
        self._loop = loop
        self._dry_run = dry_run or loaded.config.mode == "dry_run"
        self._open_new = open_new
        self._only = only
        self._wishes = wishes
        self._no_backup = ""
        """Why today's backup could not be made, as it was said last."""
        self._printer = Printer()
        self._narrator = Narrator(share(loaded.config.execution.funds_fraction), now=_now, compact=loop)
        self._prefix = "DRY RUN " if self._dry_run else ""
        self._progress = Progress(self._narrator, self._printer, prefix=self._prefix, compact=loop)

    def trade(self) -> int:
        """Run the engine to its end; answers the exit code."""
        try:
            return self._trade()
        finally:
            self._progress.close()
            self._printer.close()

    def _trade(self) -> int:
        from oms import app

        notifier = self._notifier()
        stopping = Stopping(self._prefix, watchdog=Watchdog())
        with stopping.listening():
            market = app.market_of(self._loaded)
            if self._wishes is not None:
                app.admit_signals(self._loaded, self._wishes, market)
            engine = app.Engine(
                self._loaded,
                loop=self._loop,
                open_new=self._open_new,
                dry_run=self._dry_run,
                signals=self._signals(),
                watcher=self._progress,
                stopping=stopping,
                say=self._progress.note,
                market=market,
                quiet=self._keep_daily_backup,
                followers=[] if notifier is None else [notifier],
            )
            tell("READY=1")
            try:
                return self._watched(engine)
            except Exception:
                self._leave(engine)
                raise
            finally:
                tell("STOPPING=1")
                engine.close()
                self._last_messages(notifier)

    def _notifier(self) -> Notifier | None:
        if not self._loaded.config.notify:
            return None
        from oms.observe.wiring import notifier_of

        return notifier_of(self._loaded, dry_run=self._dry_run)

    def _last_messages(self, notifier: Notifier | None) -> None:
        """What this run has not told yet, as far as it can be told soon; the next run tells the rest."""
        if notifier is None:
            return

        def last_round() -> None:
            try:
                notifier.step()
            except OmsError as error:
                self._printer.progress(f"oms: not everybody was told: {error}")

        telling = threading.Thread(target=last_round, name="notices", daemon=True)
        telling.start()
        telling.join(LAST_WORDS_S)

    def _keep_daily_backup(self) -> None:
        """Between two cycles: today's backup, where there is none yet; what keeps it from being made stops no trading."""
        if self._dry_run:
            return
        from oms.backup import shelf

        try:
            shelf.daily(self._loaded)
            self._no_backup = ""
        except OmsError as error:
            if str(error) != self._no_backup:
                self._progress.note(f"today's backup was not made: {error}")
            self._no_backup = str(error)

    def _signals(self) -> Callable[[], Signals] | None:
        wishes = self._wishes
        return None if wishes is None else lambda: wishes

    def _watched(self, engine: Engine) -> int:
        state = engine.driver.state
        self._introduce(engine)
        self._right_cycle(state.open_cycle.cycle_id if state.open_cycle is not None else None)
        self._say(self._narrator.resuming(state, engine.last_entry_at))
        was_open = state.open_cycle is not None
        ending = engine.run()
        if ending.exit_code != EXIT_DONE:
            self._leave(engine)
            self._tell(f"oms: {ending.why}")
        elif not self._open_new and not was_open:
            self._say([Line(text="nothing is open", is_answer=True)])
        elif ending.why:
            self._say([Line(text=ending.why, is_answer=True)])
        if self._loop:
            self._summary()
        return ending.exit_code

    def _introduce(self, engine: Engine) -> None:
        config, state = self._loaded.config, engine.driver.state
        parts = [config.account, f"{config.broker.kind} broker", f"{config.market.source} market"]
        if engine.bound is not None:
            parts[1] = f"{config.broker.kind} account {engine.bound.shown} ({engine.bound.account_kind})"
        if self._dry_run and engine.bound is not None:
            parts.append("on a paper twin of it: nothing is sent")
        if config.mode == "live" and not self._dry_run and state.armed is not None:
            parts.append(f"armed until {moment(state.armed.until)} by {state.armed.author}")
        mode = "DRY RUN" if self._dry_run else config.mode.upper()
        self._printer.progress(f"{mode}  {', '.join(parts)}")

    def _right_cycle(self, open_cycle: str | None) -> None:
        if self._only is not None and self._only != open_cycle:
            raise UsageError(f"cycle {self._only} is not open; open is {open_cycle or 'none'}; see `cycle list`")

    def _leave(self, engine: Engine) -> None:
        """Say what is still out when the process ends before the cycle does."""
        self._progress.close()
        out = still_open(engine.driver.state)
        cycle = engine.driver.state.open_cycle
        if cycle is not None:
            self._tell(f"{cycle.cycle_id} stays open in {cycle.phase.value}; `run` or `resume` goes on")
        if out:
            self._tell(f"still open at the broker, as far as is known: {count(len(out), 'order')}")
        for line in out:
            self._tell(f"  {line}")

    def _summary(self) -> None:
        totals = self._narrator.totals
        outcomes = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in sorted(totals.outcomes.items()))
        self._say(
            [
                Line(
                    phase="total",
                    text=f"{count(totals.cycles, 'cycle')}{': ' if outcomes else ''}{outcomes}; "
                    f"{totals.funds_refusals} buys refused for lack of funds, {totals.resent} orders sent again",
                    is_answer=True,
                )
            ]
        )

    def _tell(self, text: str) -> None:
        """One line beside those of the cycle; in a dry run it says so, as every line does."""
        self._printer.progress(f"{self._prefix}{text}")

    def _say(self, lines: list[Line]) -> None:
        self._progress.say(lines)


def _now() -> datetime:
    return datetime.now(UTC)
