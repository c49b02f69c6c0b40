"""The journal as a stream of server-sent events: the id of each is its row, so that a reader who was cut off misses none.

One watcher reads new rows for all readers and keeps the newest of them, encoded once. A reader is a place in the journal and
nothing else: whoever falls behind reads its rows from the journal itself, a page at a time, as fast as it takes them.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from oms.errors import OmsError
from oms.questions import journal
from oms.questions.asking import Desk

LOOK_S = 0.25
"""Seconds between two looks for new rows, while anybody reads."""
PING_S = 10.0
"""Seconds of silence after which a comment says that the line still stands."""
NAP_S = 1.0
"""Longest sleep of a reader between two looks at whether it may go on."""
RETRY_MS = 2000
"""Milliseconds after which a browser that was cut off tries again."""
KEPT_ROWS, KEPT_BYTES = 1000, 4_000_000
"""What the watcher keeps at most for readers who are a little behind."""
PAGE = 200
"""Rows that a reader takes at a time."""
MOST_READERS = 200

_HELLO = format_sse_event(retry=RETRY_MS, comment="the journal")
_PING = format_sse_event(comment="ping")


class Tide:
    """The rows that came last, and everybody who waits for the next. Belongs to one event loop."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._head = 0
        """Last row that the watcher has seen; rows up to it that are not kept are read from the journal."""
        self._readers = 0
        self._watcher: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._leaving = False

    @property
    def is_full(self) -> bool:
        """As many read as may."""
        return self._readers >= MOST_READERS

    def leave(self) -> None:
        """End every stream at its next look; readers find the next server by themselves."""
        self._leaving = True

    async def frames(self, after: int | None, may_go_on: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Rows after ``after``, or those to come, for as long as the reader may have them.

        A journal that ends before ``after`` was replaced by an older one: an event ``reset`` says so, and the stream goes
        on from its end.
        """
        self._readers += 1
        if self._readers == 1:
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield _HELLO
            head = await run_in_threadpool(self._end_of_journal)
            place = head if after is None else after
            if place > head:
                yield format_sse_event(event="reset", data_str=json.dumps({"seq": head}), id=str(head))
                place = head
            silent = 0.0
            while may_go_on() and not self._leaving:
                rows = await self._after(place)
                if rows:
                    yield b"".join(frame for _, frame in rows)
                    place, silent = rows[-1][0], 0.0
                    continue
                if silent >= PING_S:
                    yield _PING
                    silent = 0.0
                silent += await self._nap()
        finally:
            self._readers -= 1
            if not self._readers and self._watcher is not None:
                self._watcher.cancel()
                self._kept.clear()
                self._bytes = self._head = 0

    async def _nap(self) -> float:
        """Sleep until there is news, at most a moment; answers how long at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), NAP_S)
        return NAP_S

    async def _after(self, place: int) -> list[tuple[int, bytes]]:
        """The next rows after a place; none where it is the end."""
        if place >= self._head:
            return []
        if self._kept and self._kept[0][0] <= place + 1:
            return [row for row in self._kept if row[0] > place][:PAGE]
        with suppress(OmsError):  # the journal cannot be read now: nothing new is known, and the reader waits
            return await run_in_threadpool(self._page, place)
        await asyncio.sleep(NAP_S)
        return []

    async def _watch(self) -> None:
        """Look for new rows until nobody reads any more."""
        while True:
            with suppress(OmsError):
                await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        if not self._head:
            self._head = await run_in_threadpool(self._end_of_journal)
            self._tell()
            return
        head = await run_in_threadpool(self._end_of_journal)
        if head < self._head:  # another journal lies there now
            self._kept.clear()
            self._bytes, self._head = 0, head
            return
        while self._head < head:
            rows = await run_in_threadpool(self._page, self._head)
            if not rows:
                return
            for row in rows:
                self._keep(row)
            self._head = rows[-1][0]
            self._tell()

    def _tell(self) -> None:
        """Wake everybody who waits."""
        self._news.set()
        self._news = asyncio.Event()

    def _keep(self, row: tuple[int, bytes]) -> None:
        self._kept.append(row)
        self._bytes += len(row[1])
        while len(self._kept) > KEPT_ROWS or self._bytes > KEPT_BYTES:
            self._bytes -= len(self._kept.popleft()[1])

    # In threads of their own, for they read the disk

    def _end_of_journal(self) -> int:
        return journal.end(self._desk)

    def _page(self, place: int) -> list[tuple[int, bytes]]:
        return [(row["seq"], framed(row)) for row in journal.after(self._desk, place, PAGE)["events"]]


def framed(row: Mapping[str, Any]) -> bytes:
    """One row of the journal on the wire."""
    return format_sse_event(data_str=json.dumps(row, ensure_ascii=False, separators=(",", ":")), id=str(row["seq"]))
