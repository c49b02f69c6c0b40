"""The facts themselves: ``journal query|tail|verify`` and how many match."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from oms.errors import UsageError
from oms.questions.asking import Answer, Desk

if TYPE_CHECKING:
    from oms.journal.history import EventFilter
    from oms.journal.reader import Reader

COLUMNS = ("seq", "at", "account", "cycle_id", "cl_ord_id", "symbol", "kind", "data", "hash")
NOTHING: Answer = {"schema": "oms.journal-query/1", "events": [], "next": None}
QUICK_ROWS = 10_000
"""A journal of at most so many rows is always verified whole."""


def query(desk: Desk, wanted: EventFilter, limit: int, *, before: int | None = None) -> dict[str, Any]:
    """The facts that match, in their order; of more than ``limit`` the newest, or the newest before row ``before``."""
    from oms.journal import history

    asked = replace(wanted, before=before)
    return desk.ask(lambda reader: history.journal_query(reader, asked, limit=limit), dict(NOTHING))


def onwards(desk: Desk, wanted: EventFilter, place: int, limit: int) -> dict[str, Any]:
    """The first ``limit`` facts that match and come after row ``place``."""
    from oms.journal import history

    asked = replace(wanted, after=place)
    return desk.ask(lambda reader: history.journal_query(reader, asked, limit=limit, newest=False), dict(NOTHING))


def after(desk: Desk, place: int, limit: int) -> dict[str, Any]:
    """The first ``limit`` facts that come after row ``place``."""
    from oms.journal.filters import EventFilter

    return onwards(desk, EventFilter(), place, limit)


def end(desk: Desk) -> int:
    """Last row of the journal; 0 where nothing has run yet."""
    from oms.journal.loading import read_head

    def question(reader: Reader) -> int:
        with reader.asking("reading the head") as connection:
            return read_head(connection, reader.account).seq

    return desk.ask(question, 0)


def tail(desk: Desk, limit: int) -> dict[str, Any]:
    """The newest facts, oldest of them first."""
    from oms.journal import history

    answer = desk.ask(lambda reader: history.journal_tail(reader, limit), dict(NOTHING))
    return {**answer, "schema": "oms.journal-tail/1"}


def count(desk: Desk, wanted: EventFilter) -> dict[str, Any]:
    """How many facts match."""
    from oms.journal import history

    found = desk.ask(lambda reader: history.journal_count(reader, wanted), 0)
    return {"schema": "oms.journal-count/1", "count": found}


def kind_of(word: str) -> str:
    """A kind of fact by its name. Raises UsageError for what is none."""
    from oms.model.kinds import KINDS

    if word not in KINDS:
        raise UsageError(f"--kind {word!r} is no kind of fact; there are {', '.join(sorted(KINDS))}")
    return word


def verify(desk: Desk, *, full: bool, jobs: int = 1) -> dict[str, Any]:
    """Whether the journal is what was written; without ``full``, from the last good verification on."""
    nothing: dict[str, Any] = {}
    answer = desk.ask(lambda reader: _verified(reader, desk.now(), full=full, jobs=jobs), nothing)
    if not answer:
        answer = {"schema": "oms.journal-verify/1", "ok": True, "rows": 0, "seq": 0, "head": None, "full": True}
        answer |= {"anchors": 0, "bad_row": None, "problem": "", "remedy": ""}
    return answer


def _verified(reader: Reader, now: datetime, *, full: bool, jobs: int) -> dict[str, Any]:
    from oms.audit.checkpoint import verify_on
    from oms.journal.loading import read_head

    with reader.asking("measuring the journal") as connection:
        whole = full or read_head(connection, reader.account).seq <= QUICK_ROWS
    return verify_on(reader, now, full=whole, jobs=jobs).answer()
