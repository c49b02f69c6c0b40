"""Checks the printing beside trading, the lines it prints, and how figures look."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.cli import layout, printer
from oms.cli.narration import Narrator
from oms.cli.printer import Printer
from oms.cli.progress import Live, Progress
from oms.cli.sentences import Line, still_open
from oms.model.event import Event, OrderRejected, OrderSending
from oms.model.state import AccountState
from oms.ports import Watcher
from tests.engine.house import House, buy, sell
from tests.fakes.faulty_broker import PlaceFault

# ---- the printer -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="a full pipe is POSIX")
def test_a_reader_that_stalls_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the pipe behind stderr full, handing over text returns at once, and so, in bounded time, does the end."""
    reading, writing = os.pipe()
    monkeypatch.setattr(printer, "LAST_WORDS_S", 0.05)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        beside = Printer()
        for _ in range(20_000):
            beside.progress("x" * 100)
        beside.close()
        os.close(reading)  # the stalled thread ends with a broken pipe
        beside._thread.join(120)
        assert not beside._thread.is_alive()


def test_a_reader_that_left_takes_only_its_own_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After stdout broke, stderr is still written."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(tmp_path / "err", "w", encoding="utf-8") as err, os.fdopen(writing, "w") as out:
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(sys, "stdout", out)
        beside = Printer()
        beside.answer("lost")
        beside.answer("lost as well")
        beside.progress("kept")
        beside.close()
    assert (tmp_path / "err").read_text("utf-8") == "kept\n"


def test_streams_that_are_closed_from_the_start_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has None for them; nothing fails."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    beside = Printer()
    beside.answer("nobody")
    beside.progress("nobody")
    beside.close()
    assert not beside._thread.is_alive()


# ---- the narrator ----------------------------------------------------------------------------------------------------


class Listener(Watcher):
    """Keeps what a narrator says."""

    def __init__(self, *, compact: bool = False) -> None:
        self.narrator = Narrator("80%", now=lambda: datetime.now(UTC), compact=compact)
        self.lines: list[Line] = []

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        self.lines += self.narrator.told(state, events)

    def waiting(self, state: AccountState, why: str) -> None:
        """Not of interest here."""

    @property
    def text(self) -> str:
        return "\n".join(str(line) for line in self.lines)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.paper.close()


def watched(house: House, monkeypatch: pytest.MonkeyPatch, *, compact: bool = False) -> Listener:
    """Every driver of this house is watched by one listener."""
    listener = Listener(compact=compact)
    make = house.driver

    def driver(**how: Any) -> Any:
        made = make(**how)
        made._watcher = listener
        return made

    monkeypatch.setattr(house, "driver", driver)
    return listener


def test_the_story_of_a_cycle_names_each_cut_and_its_rule(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filled orders, money credited, cuts with their reasons, and the end, in the order in which they happened."""
    listener = watched(house, monkeypatch)
    house.run(sell("AAA", 100), buy("CCC", 150), buy("DDD", 5000))
    phases = [line.phase for line in listener.lines if line.phase]
    assert phases == ["cycle", "SELLING", "SETTLING", "REVALIDATING", "BUYING", "DONE"]
    assert "CCC 150 -> " in listener.text
    assert "(max_order_value: " in listener.text or "(max_position_value: " in listener.text
    assert [line.is_answer for line in listener.lines if line.phase == "DONE"] == [True]
    assert listener.narrator.totals.outcomes.keys() == {"complete"}


def test_in_a_loop_the_cuts_stand_on_the_line_of_their_phase(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compact: one line a phase, details left out, drops of one rule together."""
    listener = watched(house, monkeypatch, compact=True)
    house.change_rules(blacklist=frozenset({"CCC", "DDD"}))
    house.run(buy("CCC", 1), buy("DDD", 2), buy("EEE", 100))
    (line,) = [line for line in listener.lines if line.phase == "REVALIDATING"]
    assert "CCC 1, DDD 2 dropped (blacklist)" in line.text
    assert all(line.phase or line.is_detail for line in listener.lines)


def test_an_order_in_doubt_is_told_from_doubt_to_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost request: in doubt, asked for, sent again under its own number; the totals count it."""
    listener = watched(house, monkeypatch)
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    house.run(sell("AAA", 10))
    assert "SELL AAA 10 in doubt" in listener.text
    assert "SELL AAA 10 sent again under its number" in listener.text
    assert listener.narrator.totals.resent == 1


def test_a_refusal_for_lack_of_funds_is_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each buy that the broker rejects for lack of funds is counted, since none should ever be."""
    listener = watched(house, monkeypatch)
    house.run(buy("AAA", 1))
    order = next(iter(house.journal.state.cycle.orders.values()))  # type: ignore[union-attr]
    key = {"cycle_id": order.cycle_id, "cl_ord_id": order.cl_ord_id, "symbol": order.symbol}
    listener.happened(house.journal.state, [OrderRejected(**key, code="insufficient_funds")])
    listener.happened(house.journal.state, [OrderSending(**key, attempt=1)])
    assert listener.narrator.totals.funds_refusals == 1
    assert listener.narrator.totals.resent == 0
    assert still_open(house.journal.state) == []


# ---- on a terminal ---------------------------------------------------------------------------------------------------


class Kept:
    """A printer that keeps what it is given."""

    def __init__(self) -> None:
        self.text = ""

    def answer(self, line: str) -> None:
        self.text += line + "\n"

    progress = answer

    def put(self, text: str, *, err: bool) -> None:
        self.text += text


def test_the_moving_line_is_redrawn_in_place_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits the terminal, is drawn at most ten times a second, and never hides the cursor."""
    monkeypatch.setenv("COLUMNS", "60")
    now = [0.0]
    kept = Kept()
    live = Live(kept, lambda: now[0])  # type: ignore[arg-type]
    live.show("  SETTLING      ", 0.5, "$1.00 of $2.00 credited " + "x" * 100)
    live.show("  SETTLING      ", 0.6, "too soon")
    live.clear()
    assert kept.text.count("SETTLING") == 1
    assert "too soon" not in kept.text
    assert kept.text.startswith("\r\x1b[2K")
    assert kept.text.endswith("\r\x1b[2K")
    assert "\x1b[?25l" not in kept.text


def test_a_long_line_goes_on_below_its_own_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal what does not fit is indented under the line it belongs to."""
    monkeypatch.setenv("COLUMNS", "60")
    live = Live(Kept())  # type: ignore[arg-type]
    shown = live.styled(Line(text="AAA 5 dropped " + "(some rule and its long reason) " * 3), "").splitlines()
    assert len(shown) > 1
    assert all(line.startswith(" " * 18) for line in shown[1:])
    assert all(len(line) <= 60 for line in shown)


def test_elsewhere_a_reason_to_wait_is_said_once_in_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain output does not repeat itself at every poll."""
    monkeypatch.setenv("TERM", "dumb")
    kept = Kept()
    narrator = Narrator("80%", now=lambda: datetime.now(UTC), compact=False)
    progress = Progress(narrator, kept)  # type: ignore[arg-type]
    for seconds in range(5):
        progress.waiting(AccountState("a"), f"the broker is down for {seconds} s")
    assert kept.text.count("the broker is down") == 1


# ---- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1234.5", "$1,234.50"), ("-0.004", "$0.00"), ("-12.345", "-$12.34"), (None, "-"), ("NaN", "NaN"), ("0", "$0.00")],
)
def test_money_has_separators_and_cents(amount: str | None, shown: str) -> None:
    """People read dollars and cents; what is no number is shown as what it is."""
    assert layout.money(amount) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1200, "1,200"), ("47.5", "47.50"), ("0.1234", "0.1234"), ("100", "100"), (None, "-")]
)
def test_figures_keep_their_digits(value: str | int | None, shown: str) -> None:
    """Prices keep what they have and at least two places; whole shares have none."""
    assert layout.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.0, "59.0 s"), (61, "1 min 1 s"), (7200, "2 h 0 min"), (400_000, "4 days")],
)
def test_stretches_of_time_read_well(seconds: float, shown: str) -> None:
    """Seconds, minutes, hours or days, as fits."""
    assert layout.span(timedelta(seconds=seconds)) == shown


def test_small_words() -> None:
    """Percentages, counts and columns look as people write them."""
    assert layout.share(Decimal("0.80")) == "80%"
    assert [layout.count(number, "order") for number in (0, 1, 2)] == ["no orders", "1 order", "2 orders"]
    assert layout.table(["a", "b"], [["x", "10"], ["yy", "9"]], "lr") == ["a    b", "x   10", "yy   9"]
