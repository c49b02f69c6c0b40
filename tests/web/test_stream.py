"""Checks the stream of facts: resumed without a gap, alive in silence, bounded for readers who do not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from oms.gateways.system_clock import SystemClock
from oms.journal.store import SqliteJournal, open_journal
from oms.model.detail import HaltScope
from oms.model.event import Halted
from oms.questions import journal
from oms.web import stream
from oms.web.stream import Tide
from tests.web.house import House


def read(lines: Iterator[str], rows: int) -> list[dict[str, Any]]:
    """The next so many rows of a stream, each under the id that is its seq."""
    found: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(json.loads(line[6:]))
        elif line.startswith("id: "):
            assert found[-1]["seq"] == int(line[4:])
        elif not line and len(found) == rows:
            break
    return found


def rows_of(client: httpx.Client, path: str, rows: int, **headers: str) -> list[int]:
    with client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [row["seq"] for row in read(answer.iter_lines(), rows)]


def test_a_reader_who_was_cut_off_misses_nothing(house: House) -> None:
    """With the id of the last row it saw, a reader gets the next row first, and its data are those of the journal."""
    client = house.reader()
    whole = client.get("/api/v1/journal?limit=1000").json()["events"]
    assert rows_of(client, "/api/events?after=0", len(whole)) == [row["seq"] for row in whole]
    assert rows_of(client, "/api/events", 3, **{"Last-Event-ID": "4"}) == [5, 6, 7]
    assert rows_of(client, "/api/events?after=1", 2, **{"Last-Event-ID": "7"}) == [8, 9]
    with client.stream("GET", "/api/events?after=2") as answer:
        assert read(answer.iter_lines(), 1) == [whole[2]]


def test_a_place_that_is_no_row_is_refused(house: House) -> None:
    """A Last-Event-ID that this stream never gave is a bad request, not a stream from anywhere."""
    for wrong in ("x", "-1", "1.5", "٣", "9" * 30):
        answer = house.reader().get("/api/events", headers={b"Last-Event-ID": wrong.encode()})
        assert answer.status_code == 400


@pytest.fixture
def writing(traded: Path) -> Iterator[SqliteJournal]:
    with closing(open_journal(f"sqlite:///{traded / 'var' / 'oms.db'}", "paper-main", "paper", SystemClock())) as open_:
        yield open_


def test_new_facts_reach_a_waiting_reader(own: House, writing: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fact journaled while somebody waits arrives by itself; silence before it is filled with comments."""
    monkeypatch.setattr(stream, "PING_S", 0.05)
    monkeypatch.setattr(stream, "NAP_S", 0.05)
    with own.reader().stream("GET", "/api/events") as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ": ping")
        writing.append_barrier([Halted(scope=HaltScope.ALL, reason="storm", author="me", inbox_id=1)])
        (row,) = read(lines, 1)
    assert (row["kind"], row["data"]["reason"], row["seq"]) == ("halted", "storm", writing.state.seq)


def test_logging_out_ends_the_streams_of_the_session(own: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that a session opened ends with it."""
    monkeypatch.setattr(stream, "NAP_S", 0.05)
    browser = own.browser()
    viewer = own.doors.sessions.read(browser.cookies[own.cookie])
    assert viewer is not None
    with browser.stream("GET", "/api/events") as answer:
        own.doors.sessions.end(viewer)
        assert list(answer.iter_lines())[:1] == [": the journal"]


# ---- the tide itself, without a socket -------------------------------------------------------------------------------


async def seqs(frames: AsyncIterator[bytes], rows: int) -> list[int]:
    """Rows of the next chunks, until so many have come."""
    found: list[int] = []
    while len(found) < rows:
        chunk = (await anext(frames)).decode()
        found += [int(line[4:]) for line in chunk.splitlines() if line.startswith("id: ")]
    return found


def test_a_reader_far_behind_reads_the_journal_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the watcher keeps, and however small the pages, every row comes once and in order."""
    monkeypatch.setattr(stream, "KEPT_ROWS", 2)
    monkeypatch.setattr(stream, "PAGE", 3)
    monkeypatch.setattr(stream, "LOOK_S", 0.01)
    monkeypatch.setattr(stream, "NAP_S", 0.01)
    last = journal.end(house.desk)

    async def go() -> list[int]:
        tide = Tide(house.desk)
        frames = tide.frames(0, lambda: True)
        try:
            return await seqs(frames, last)
        finally:
            tide.leave()
            assert [each async for each in frames] == []

    assert asyncio.run(go()) == list(range(1, last + 1))


def test_a_reader_who_does_not_read_costs_no_memory(own: House, writing: SqliteJournal) -> None:
    """While one reader stands still and thousands of rows pass, the watcher keeps no more than it may."""

    async def go() -> int:
        tide = Tide(own.desk)
        frames = tide.frames(0, lambda: True)
        await anext(frames)
        await anext(frames)
        for number in range(30):
            halts = [Halted(scope=HaltScope.ALL, reason="x" * 200, author="me", inbox_id=n) for n in range(100)]
            writing.append_barrier(halts)
            await asyncio.sleep(0.02 if number < 29 else 1.0)
        kept = len(tide._kept)
        tide.leave()
        await frames.aclose()  # type: ignore[attr-defined] # a generator, though the type does not say so
        return kept

    assert 0 < asyncio.run(go()) <= stream.KEPT_ROWS


def test_a_journal_that_was_put_back_is_announced(house: House) -> None:
    """A reader whose place lies beyond the end learns that the journal is another one, and goes on from its end."""
    last = journal.end(house.desk)

    async def go() -> bytes:
        tide = Tide(house.desk)
        frames = tide.frames(last + 100, lambda: True)
        await anext(frames)
        found = await anext(frames)
        tide.leave()
        await frames.aclose()  # type: ignore[attr-defined] # as above
        return found

    assert asyncio.run(go()).decode() == f'event: reset\ndata: {{"seq": {last}}}\nid: {last}\n\n'
