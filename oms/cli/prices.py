"""``history``: the daily prices that are kept for selections, fetched from Yahoo ahead of time and looked at."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.layout import NOTHING, count, moment, table
from oms.cli.reading import Answer, show
from oms.errors import EXIT_DONE, MarketStale, UsageError
from oms.questions import prices

DEADLINE_S = 600.0
"""Longest fetch; 118 symbols take 40 s at three requests a second."""


@click.group()
@options.common
def history() -> None:
    """The daily prices that a selection looks at: fetch them, see what is kept."""


@history.command()
@options.common
@options.as_json
@click.option("--symbols", metavar="LIST", help="Only these, such as OXY,GE, instead of the whole universe.")
def fetch(*, json_: bool, symbols: str | None) -> int:
    """Fetch what is not kept yet of the last year, from Yahoo.

    Ends with 75 where fewer than 80 % of the symbols are fresh, as the next selection would then choose nothing.
    """
    loaded = options.configuration()
    from oms import app
    from oms.choice_wiring import universe_of

    wanted = _asked(symbols) or universe_of(loaded)
    bar = _Bar()
    try:
        found, too_stale = app.fetch_history(loaded, wanted, bar.move, DEADLINE_S)
    finally:
        bar.close()
    answer = {
        "schema": "oms.history.fetch/1",
        "as_of": found.as_of.isoformat(),
        "symbols": len(found.bars) + len(found.problems),
        "usable": len(found.bars),
        "problems": [{"symbol": symbol, "problem": found.problems[symbol]} for symbol in sorted(found.problems)],
        "too_stale": too_stale,
    }
    show(answer, _fetched, json_=json_)
    return EXIT_DONE if too_stale is None else MarketStale.exit_code


@history.command()
@options.common
@options.as_json
def status(*, json_: bool) -> None:
    """Show which prices are kept and how old they are; asks nobody."""
    show(prices.kept(options.configuration()), _kept_lines, json_=json_)


def _asked(symbols: str | None) -> tuple[str, ...]:
    """The symbols of ``--symbols``."""
    from oms.model.symbol import canonical_symbol

    try:
        return tuple(canonical_symbol(word.strip()) for word in symbols.split(",")) if symbols else ()
    except ValueError as error:
        raise UsageError(f"--symbols: {error}") from error


def _fetched(answer: Answer) -> Iterator[str]:
    problems = answer["problems"]
    fresh = f"{answer['usable']} of {count(answer['symbols'], 'symbol')} have a usable year up to {answer['as_of']}"
    yield fresh if problems else f"all {count(answer['symbols'], 'symbol')} have a usable year up to {answer['as_of']}"
    if problems:
        yield from table(["symbol", "because"], ([each["symbol"], each["problem"]] for each in problems))
    if answer["too_stale"]:
        yield "a selection would choose nothing now, because fewer than 80 % are fresh: fetch again later"


def _kept_lines(answer: Answer) -> Iterator[str]:
    if not answer["symbols"]:
        yield "no prices are kept; `history fetch` brings them"
        return
    if answer["as_of"] is None:
        yield "the calendar does not know which session was the last one; the market counts as closed"
    else:
        yield f"{answer['fresh']} of {count(answer['universe'], 'symbol')} of the universe reach up to {answer['as_of']}"
    behind = [row for row in answer["symbols"] if answer["as_of"] is None or (row["last"] or "") < answer["as_of"]]
    if behind:
        rows = ([row["symbol"], row["last"] or NOTHING, moment(row["asked_at"]), _how(row)] for row in behind)
        yield from table(["symbol", "up to", "asked at", "because"], rows)
    if answer["never_asked"]:
        yield f"never asked for: {', '.join(answer['never_asked'])}"
    yield f"{sum(row['bars'] for row in answer['symbols']):,} bars of {count(len(answer['symbols']), 'symbol')} are kept"


def _how(row: Answer) -> str:
    return f"{row['status']}: {row['detail']}" if row["detail"] else row["status"] or "it was not asked for since"


class _Bar:
    """The line that moves on a terminal; elsewhere one line when there is something to fetch."""

    def __init__(self) -> None:
        from oms.cli.printer import Printer
        from oms.cli.progress import Live, terminal

        self._printer = Printer()
        self._live = Live(self._printer) if terminal() else None

    def move(self, done: int, of: int) -> None:
        """Show that ``done`` of ``of`` symbols have been asked for."""
        if self._live is not None:
            self._live.show("  history       ", done / of, f"{done} of {count(of, 'symbol')} asked for")
        elif not done:
            self._printer.progress(f"asking Yahoo for {count(of, 'symbol')}")

    def close(self) -> None:
        """Take the line away and let go of the terminal."""
        if self._live is not None:
            self._live.clear()
        self._printer.close()
