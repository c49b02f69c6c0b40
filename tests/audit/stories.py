"""Random but believable lives of an account, for properties that must hold of every journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from oms.journal.loading import STORED, recorded
from oms.journal.reader import Reader, reader_over
from oms.journal.store import SqliteJournal, open_journal
from oms.model.detail import HaltScope, Score
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import (
    AttentionRaised,
    Event,
    Halted,
    OrderVoided,
    PositionAdopted,
    Reconciled,
    Recorded,
    Released,
    Selected,
)
from oms.model.order import Side
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, PX, Script, account_opened, oddities, write


@dataclass(frozen=True)
class Chapter:
    """One cycle and what happens around it."""

    sells: int
    buys: int
    parked: bool
    odd: bool
    late: bool
    """A fill of an order of the first cycle comes late."""
    ends: str
    """What becomes of the buy in quarantine before the next cycle: found, void or nothing."""


CHAPTERS = st.lists(
    st.builds(
        Chapter,
        sells=st.integers(0, 3),
        buys=st.integers(0, 3),
        parked=st.booleans(),
        odd=st.booleans(),
        late=st.booleans(),
        ends=st.sampled_from(["found", "void", "nothing"]),
    ),
    min_size=1,
    max_size=4,
)


def live(journal: SqliteJournal, clock: FakeClock, chapters: list[Chapter]) -> None:
    """Write these chapters, each commit a second after the last."""
    journal.append_barrier([account_opened()])
    first: Script | None = None
    for number, chapter in enumerate(chapters, 1):
        script = Script(number, sells=chapter.sells, buys=chapter.buys, fence=journal.lease.fence)
        parked = chapter.parked and chapter.buys > 0
        for is_barrier, facts in script.commits(park_last_buy=parked):
            clock.advance(timedelta(seconds=1))
            (journal.append_barrier if is_barrier else journal.append)(facts)
        clock.advance(timedelta(seconds=1))
        if chapter.odd:
            journal.append(oddities() if number == 1 else [*_trouble(), *_differing(number)])
        if parked:
            _end(journal, script, chapter.ends)
        if chapter.late and first is not None:
            sell = first.intents(Side.SELL)[0]
            journal.append([first.filled(sell, 1, 5 + number, late=True)])
        if first is None and chapter.sells:
            first = script


def _differing(number: int) -> list[Event]:
    """The broker differs in two symbols; one is taken over. Between, the universe was screened twice that day."""
    day = date(2026, 3, 1) + timedelta(days=number)
    screens: list[Event] = [
        Selected(
            as_of=day,
            config_hash="c" * 64,
            bars_hash="b" * 64,
            scores=(Score(symbol="S0", score=Decimal(70 + again), rank=1, close=PX),),
        )
        for again in range(2)
    ]
    compared = Reconciled(
        differences=tuple(
            Difference(
                kind=DifferenceKind.MISSING,
                symbol=symbol,
                broker=Decimal(number),
                journal=Decimal(3),
                text="differs",
                proposal="adopt",
                cost=Decimal(30),
            )
            for symbol in ("S0", "S1")
        )
    )
    adopted = PositionAdopted(
        symbol="S0",
        qty=Decimal(1000 + number),
        before=Decimal(3),
        cost=Decimal("5000.25"),
        difference=DifferenceKind.MISSING,
        reason="checked",
        author="ada",
        inbox_id=20 + number,
    )
    return [compared, *screens, adopted]


def _trouble() -> list[Halted | Released | AttentionRaised]:
    return [
        Halted(scope=HaltScope.BUYS, reason="lunch", author="ada"),
        AttentionRaised(rule="slow", text="slow"),
        Released(reason="back", author="ada"),
    ]


def _end(journal: SqliteJournal, script: Script, ends: str) -> None:
    buy = script.intents(Side.BUY)[-1]
    if ends == "found":
        journal.append([script.acknowledged(buy, adopted=True), script.filled(buy, 5, 5)])
    elif ends == "void":
        journal.append([OrderVoided(**script._of(buy), evidence="operator: not there", author="ada")])


@contextmanager
def lived(chapters: list[Chapter]) -> Iterator[tuple[SqliteJournal, Reader]]:
    """A journal in memory that has lived through these chapters, and a reader over it."""
    clock = FakeClock()
    journal = open_journal("sqlite://", ACCOUNT, "paper", clock)
    try:
        live(journal, clock, chapters)
        yield journal, reader_over(journal.connection)
    finally:
        journal._break("the test is over")


def facts_of(reader: Reader) -> list[Recorded]:
    """Every fact, in order."""
    from sqlalchemy import select

    from oms.journal import tables

    with reader.asking("reading every fact") as connection:
        return [recorded(row) for row in connection.execute(select(*STORED).order_by(tables.events.c.seq))]


__all__ = ["CHAPTERS", "Chapter", "facts_of", "live", "lived", "write"]
