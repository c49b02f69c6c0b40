"""Tells people what the journal says: a follower with a cursor of its own for every address, supervised by the engine.

A message is sent once its row is marked as on its way, and the mark is taken off when it arrived. So a crash loses
nothing; what it leaves on its way is sent again, and says that it may be a repeat. An address that does not answer holds
up no other one, and never the trading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from oms.configuration.notices import Entry, Level, Topic
from oms.errors import OmsError
from oms.journal.filters import EventFilter
from oms.journal.history import journal_query, journal_stream
from oms.journal.reader import NoJournal, Reader
from oms.observe.cursors import Cursor, Cursors
from oms.observe.wording import Notice, notice_of

ONCE = timedelta(seconds=2)
"""Between two looks at the journal."""
PING_EVERY = timedelta(seconds=60)
MOST_A_ROUND = 20
"""Messages to one address in one round; the rest follows in the next."""


class Undelivered(OmsError):
    """A message did not go out, or nobody knows whether it did; the text names no secret."""


class Messenger(Protocol):
    """Brings one message to one address."""

    def send(self, entry: Entry, title: str, body: str) -> None:
        """Raises Undelivered."""

    def ping(self, entry: Entry, *, well: bool, text: str) -> None:
        """Call an address that counts on being called. Raises Undelivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a round looks at, each opened for that round only."""

    open_reader: Callable[[], Reader]
    now: Callable[[], datetime]
    trouble: Callable[[], Sequence[str]]
    """What is not healthy now, a sentence each."""
    summary: Callable[[datetime], str]
    """What happened on the UTC day that ended at this instant."""


class Notifier:
    """``ports.Follower`` for every entry of ``notify``."""

    name = "notification"
    interval = ONCE

    def __init__(self, entries: Sequence[Entry], messenger: Messenger, cursors: Cursors, sources: Sources) -> None:
        self._told = [entry for entry in entries if not entry.is_ping]
        self._pinged = [entry for entry in entries if entry.is_ping]
        self._messenger = messenger
        self._cursors = cursors
        self._sources = sources
        self._next_ping: datetime | None = None

    def step(self) -> str:
        """Tell each address what is new.

        Raises:
            Undelivered: some address could not be told; the others were.
        """
        sent, problems = 0, []
        try:
            with closing(self._sources.open_reader()) as reader:
                for entry in self._told:
                    try:
                        sent += self._tell(entry, reader)
                    except Undelivered as error:
                        problems.append(f"{entry.name}: {error}")
                        self._remember(entry, str(error))
        except NoJournal:
            pass
        problems += self._ping()
        if problems:
            raise Undelivered("; ".join(problems))
        return f"{sent} sent" if sent else "nothing new"

    def close(self) -> None:
        """Nothing stays open between two rounds."""

    # One address

    def _tell(self, entry: Entry, reader: Reader) -> int:
        cursor = self._cursors.get(entry.name)
        if cursor is None:  # a new address hears of what comes, not of all that was
            newest = journal_query(reader, limit=1)["events"]
            cursor = Cursor(seq=newest[-1]["seq"] if newest else 0, summary=self._today())
            self._cursors.put(entry.name, cursor)
        sent, cursor = self._summarise(entry, cursor)
        started = cursor
        for row in journal_stream(reader, EventFilter(after=cursor.seq)):
            notice = notice_of(row)
            level = Level.OFF if notice is None else entry.levels[notice.topic]
            if notice is None or level is Level.OFF:
                cursor = replace(cursor, seq=row["seq"])
            elif level is Level.SILENT:
                counts = {**cursor.silent, notice.topic.value: cursor.silent.get(notice.topic.value, 0) + 1}
                cursor = replace(cursor, seq=row["seq"], silent=counts)
            else:
                cursor = self._send(entry, cursor, notice)
                sent += 1
                started = cursor
                if sent >= MOST_A_ROUND:
                    break
        if cursor != started:
            self._cursors.put(entry.name, cursor)
        return sent

    def _send(self, entry: Entry, cursor: Cursor, notice: Notice) -> Cursor:
        body = notice.body
        if cursor.sending == notice.seq:
            body = f"(This may be a repeat: the engine ended while it was being sent.)\n{body}"
        going = replace(cursor, sending=notice.seq)
        if going != cursor:
            self._cursors.put(entry.name, going)
        self._messenger.send(entry, notice.title, body)
        return self._cursors.arrived(entry.name, going, self._sources.now())

    def _summarise(self, entry: Entry, cursor: Cursor) -> tuple[int, Cursor]:
        """Yesterday in a few lines, once: on the first round of a UTC day."""
        today = self._today()
        if cursor.summary == today:
            return 0, cursor
        done = replace(cursor, summary=today, silent={})
        if entry.levels[Topic.SUMMARY] is not Level.ON:
            self._cursors.put(entry.name, done)
            return 0, done
        midnight = self._sources.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        kept = ", ".join(f"{count} about {topic}" for topic, count in sorted(cursor.silent.items()))
        body = self._sources.summary(midnight) + (f"\nnot sent by themselves: {kept}" if kept else "")
        self._messenger.send(entry, "oms: the day", body)
        self._cursors.put(entry.name, replace(done, sent_at=self._sources.now().isoformat(), error=""))
        return 1, replace(done, sent_at=self._sources.now().isoformat(), error="")

    def _remember(self, entry: Entry, error: str) -> None:
        cursor = self._cursors.get(entry.name)
        if cursor is not None and cursor.error != error:
            self._cursors.put(entry.name, replace(cursor, error=error))

    # Whoever counts on being called

    def _ping(self) -> list[str]:
        now = self._sources.now()
        if not self._pinged or (self._next_ping is not None and now < self._next_ping):
            return []
        self._next_ping = now + PING_EVERY
        trouble = self._sources.trouble()
        problems = []
        for entry in self._pinged:
            try:
                self._messenger.ping(entry, well=not trouble, text="; ".join(trouble) or "well")
            except Undelivered as error:
                problems.append(f"{entry.name}: {error}")
        return problems

    def _today(self) -> str:
        return self._sources.now().astimezone(UTC).date().isoformat()
