"""The chain, walked as fast as its rows can be read: by one process, or in parts by several at once.

Every row's hash covers the row before it, and both are stored. So a part can be walked from the stored hash of the row
before its first: where each part holds up to the row from which the next one was walked, the whole chain holds.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from typing import Any

from oms.journal import archives
from oms.journal.chain import Walk, follow, lead_of
from oms.journal.connection import address_of, driver
from oms.journal.loading import last_seq
from oms.journal.packed import CODES
from oms.journal.reader import Reader, open_reader
from oms.journal.statements import Statements

WORTH_A_PROCESS = 200_000
"""Rows of a part below which starting a process for it takes longer than walking it."""
AT_ONCE = 4096
"""Words read together; neighbours in the chain are neighbours among the words."""
MOST_REMEMBERED = 200_000

EVERY = 2**62
"""Beyond the last row there can be."""

_COLUMNS = "seq, at, cycle, version, ord, symbol, code, data, hash"
_FACTS = f"SELECT {_COLUMNS} FROM main.facts WHERE seq > ? AND seq <= ? ORDER BY seq"  # noqa: S608  # names of our own
_WORDS = "SELECT id, word FROM main.words WHERE id >= ? ORDER BY id LIMIT ?"
_LINK = "SELECT hash FROM events WHERE account = ? AND seq = ?"


def walk(raw: Statements, account: str, start: int, head: bytes | None, last: int = EVERY) -> Walk:
    """Follow the rows after ``start``, whose hash is ``head``, up to row ``last`` or the first that does not fit."""
    if not isinstance(raw, sqlite3.Connection):
        return follow(account, archives.every_row(raw, account, start, last), start, head)
    walked = follow(account, archives.archived_rows(raw, account, start, last), start, head)
    if walked.bad is not None:
        return walked
    return _follow_facts(raw, account, walked, max(start, archives.archived_up_to(raw, account)), last)


def _follow_facts(raw: sqlite3.Connection, account: str, so_far: Walk, after: int, last: int) -> Walk:
    """The rows of the database itself; :func:`oms.journal.chain.follow` over the words that their numbers stand for.

    As ``oms.journal.chain`` links a row, written out with plain dicts: every row there is comes by, and a third of the time
    goes into what is done besides reading and hashing.
    """
    seq, previous, lead, hashed = so_far.seq, so_far.head, lead_of(account), sha256
    parts = _Parts(raw)
    words, symbols, kinds = parts.words, parts.symbols, parts.kinds
    for place, at, cycle, version, order, symbol, code, data, stored in raw.execute(_FACTS, (after, last)):
        if place != seq + 1:
            problem = f"row {seq + 1} is missing" if place > seq + 1 else f"row {place} is there twice"
            return Walk(seq=seq, head=previous, bad=seq + 1, problem=problem)
        try:
            text = (
                f"{lead}{place}:{at}:{version}:{words[cycle]}{words[order]}{symbols[symbol]}{kinds[code]}"
                f"{len(data)}:{data}"
            )
        except (KeyError, TypeError):
            middle = parts.middle(cycle, order, symbol, code)
            # A stored value may be anything once somebody edits the file.
            text = f"{lead}{place}:{at}:{version}:{middle}{len(data)}:{data}" if isinstance(data, str) else ""
        if hashed(previous + text.encode()).digest() != stored:
            problem = f"row {place} is not what was written: its content does not match its hash"
            return Walk(seq=seq, head=previous, bad=place, problem=problem)
        seq, previous = place, stored
    return Walk(seq=seq, head=previous, bad=None)


class _Parts:
    """Parts of a row as the chain covers them, each with its length before it; they come again and again."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.words: dict[Any, str] = {None: "-"}
        self.symbols: dict[Any, str] = {None: "-"}
        self.kinds: dict[Any, str] = {code: _measured(kind) for kind, code in CODES.items()}

    def middle(self, cycle: Any, order: Any, symbol: Any, code: Any) -> str:
        """What stands between the place of a row and its details, of parts that were not met before."""
        if len(self.words) + len(self.symbols) > MOST_REMEMBERED:
            for each in (self.words, self.symbols):
                each.clear()
                each[None] = "-"
        for number in (cycle, order):
            if number not in self.words:
                found = self._raw.execute(_WORDS, (number, AT_ONCE))
                self.words.update((each, _measured(word)) for each, word in found)
        self.symbols.setdefault(symbol, _measured(symbol))
        self.kinds.setdefault(code, _measured(code))
        words = self.words  # a number without a word is nothing that was written
        return f"{words.get(cycle, '?')}{words.get(order, '?')}{self.symbols[symbol]}{self.kinds[code]}"


def _measured(text: Any) -> str:
    return "-" if text is None else f"{len(str(text))}:{text}"


# Several processes


def walk_together(reader: Reader, start: int, head: bytes | None, jobs: int) -> Walk:
    """The same over a journal in a file by so many processes, each over a part; by this one alone where it is short."""
    assert reader.path is not None
    with reader.asking("dividing the chain") as connection:
        raw, account = driver(connection), reader.account
        last = last_seq(connection, account)
        jobs = min(jobs, (last - start) // WORTH_A_PROCESS)
        edges = [start + (last - start) * part // jobs for part in range(1, jobs)]
        heads = [raw.execute(_LINK, (account, edge)).fetchone() for edge in edges]
        if not edges or any(found is None or not isinstance(found[0], bytes) for found in heads):
            return walk(raw, account, start, head)
    begins = [(start, head), *((edge, found[0]) for edge, found in zip(edges, heads, strict=True))]
    # The last part has no end: a row beyond the last one is somebody's work, and must be met.
    parts = [(address_of(reader.path), *begin, end) for begin, end in zip(begins, [*edges, EVERY], strict=True)]
    # A fresh Python each: nothing of this one's connections is shared.
    with ProcessPoolExecutor(len(parts), mp_context=multiprocessing.get_context("spawn")) as pool:
        return joined(list(pool.map(_walk_part, parts)), edges)


def _walk_part(part: tuple[str, int, bytes | None, int]) -> Walk:
    url, start, head, last = part
    with closing(open_reader(url)) as reader, reader.asking("verifying a part of the chain") as connection:
        return walk(driver(connection), reader.account, start, head, last)


def joined(walks: Sequence[Walk], edges: Sequence[int]) -> Walk:
    """One walk out of those of all parts: the first that does not hold, or does not reach the next one, is the end."""
    for walked, edge in zip(walks, edges, strict=False):
        if walked.bad is not None:
            return walked
        if walked.seq != edge:
            return Walk(
                seq=walked.seq, head=walked.head, bad=walked.seq + 1, problem=f"row {walked.seq + 1} is missing"
            )
    return walks[-1]
