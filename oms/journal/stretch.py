"""A stretch of the chain that lies in one file, walked as fast as Python reads it.

Run by itself (:func:`serve`), one process walks stretches for another. It imports nothing but the standard library and the
chain, so that it is ready in a twentieth of a second.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from oms.journal.chain import Walk, follow, lead_of

GROUP = 1000
"""Rows that are read and hashed together."""
AT_ONCE = 4096
"""Words read together; neighbours in the chain are neighbours among the words."""
MOST_REMEMBERED = 200_000

_ENDINGS = [f"{number:03d}:" for number in range(GROUP)]
"""The last digits of a row's number, as the chain covers them."""

_PACKED = (
    "SELECT at, cycle, version, ord, symbol, code, data, hash FROM {}.facts WHERE seq > ? AND seq <= ? ORDER BY seq"
)
_PLAIN = (
    "SELECT at, cycle_id, version, cl_ord_id, symbol, kind, data, hash FROM {}.events"
    " WHERE seq > ? AND seq <= ? AND +account = ? ORDER BY seq"
)
_WORDS = "SELECT id, word FROM {}.words WHERE id >= ? ORDER BY id LIMIT ?"
_WHOLE = (
    "SELECT seq, at, cycle_id, version, cl_ord_id, symbol, kind, data, hash, account FROM {}.events"
    " WHERE seq > ? AND seq <= ? ORDER BY seq"
)
# A number without a word is nothing that was written, so it may not pass for none.
_WHOLE_PACKED = (
    "SELECT facts.seq, at, CASE WHEN cycle IS NOT NULL THEN ifnull(its.word, '?') END, version,"
    " CASE WHEN ord IS NOT NULL THEN ifnull(own.word, '?') END, symbol, kind, data, hash, ? FROM {0}.facts"
    " LEFT JOIN {0}.words AS its ON its.id = cycle LEFT JOIN {0}.words AS own ON own.id = ord"
    " WHERE seq > ? AND seq <= ? ORDER BY seq"
)


class Source(NamedTuple):
    """Where rows of the chain lie."""

    file: str
    """The file, as a URI that opens it for reading."""
    schema: str
    """Its name within the connection that walks it."""
    packed: bool
    """Whether it is the database itself, whose rows hold numbers for long words; an archive holds the words."""


class Walker:
    """Walks stretches of one account's chain; what it met of a source it remembers for the next stretch."""

    def __init__(self, account: str, codes: Mapping[str, int]) -> None:
        """``codes`` are the numbers that stand for kinds of facts in the database."""
        self._account = account
        self._codes = codes
        self._known: dict[Source, _Parts] = {}

    def walk(self, raw: sqlite3.Connection, source: Source, so_far: Walk, last: int) -> Walk:
        """Follow the rows of a source after ``so_far``, up to row ``last`` or the first that does not fit."""
        while True:
            so_far = self._hasten(raw, source, so_far, last)
            if so_far.seq >= last:
                return so_far
            # A group that is short, or not plainly what it should be: row by row, and whoever is wrong is named.
            end = min(_end_of_group(so_far.seq), last)
            careful = self._careful(raw, source, so_far, end)
            if careful.bad is None and careful.seq < end:
                return self._careful(raw, source, careful, last)
            if careful.bad is not None or careful.seq >= last:
                return careful
            so_far = careful

    def _hasten(self, raw: sqlite3.Connection, source: Source, so_far: Walk, last: int) -> Walk:
        """Follow whole groups as ``oms.journal.chain`` links a row, up to the first group that is not plainly right.

        Written out, with plain dicts: every row there is comes by, and most of the time goes into what is done besides
        reading and hashing. A group is as many different whole numbers as lie between its ends, so no row of it is missing
        and their numbers need not be read.
        """
        sql = (_PACKED if source.packed else _PLAIN).format(source.schema)
        more = () if source.packed else (self._account,)
        known = self._known.setdefault(source, _Parts(raw, source, self._codes))
        words, symbols, kinds, versions, lengths = (
            known.words,
            known.symbols,
            known.kinds,
            known.versions,
            known.lengths,
        )
        lead, hashed = lead_of(self._account), sha256
        seq, head = so_far.seq, so_far.head
        while (end := _end_of_group(seq)) <= last:
            words.forget_some()
            begin, link = f"{lead}{end // GROUP or ''}", head
            endings = _ENDINGS[seq - end :] if end >= GROUP else [f"{each}:" for each in range(seq + 1, end + 1)]
            try:
                rows = raw.execute(sql, (seq, end, *more)).fetchall()
                if len(rows) != end - seq:
                    break
                for ending, (at, cycle, version, order, symbol, kind, data, stored) in zip(endings, rows, strict=True):
                    text = (
                        f"{begin}{ending}{at}{versions[version]}{words[cycle]}{words[order]}{symbols[symbol]}{kinds[kind]}"
                        f"{lengths[len(data)]}{data}"
                    )
                    if hashed(link + text.encode()).digest() != stored:
                        return Walk(seq=seq, head=head, bad=None)
                    link = stored
            # A stored value may be anything once somebody edits the file, even a text that is none.
            except (KeyError, TypeError, sqlite3.OperationalError):
                break
            seq, head = end, link
        return Walk(seq=seq, head=head, bad=None)

    def _careful(self, raw: sqlite3.Connection, source: Source, so_far: Walk, last: int) -> Walk:
        with _any_text(raw):
            sql = (_WHOLE_PACKED if source.packed else _WHOLE).format(source.schema)
            rows = raw.execute(sql, (*((self._account,) if source.packed else ()), so_far.seq, last))
            return follow(self._account, rows, so_far.seq, so_far.head)


def _end_of_group(seq: int) -> int:
    """The last row of the group that the row after ``seq`` is in: its number ends with 999."""
    return (seq + 1) // GROUP * GROUP + GROUP - 1


@contextmanager
def _any_text(raw: sqlite3.Connection) -> Iterator[None]:
    """Bytes that are no text become one that no row was written with, so that the row is found and not the reading fails."""
    usual = raw.text_factory
    raw.text_factory = lambda stored: stored.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        raw.text_factory = usual


# Parts of a row as the chain covers them


def measured(text: Any) -> str:
    """A part with its length before it."""
    return "-" if text is None else f"{len(str(text))}:{text}"


class _Measured(dict[Any, str]):
    """Parts that come again and again."""

    def __missing__(self, part: Any) -> str:
        self[part] = found = measured(part)
        return found


class _Parts:
    """What was met of a source."""

    def __init__(self, raw: sqlite3.Connection, source: Source, codes: Mapping[str, int]) -> None:
        coded = ((code, measured(kind)) for kind, code in codes.items()) if source.packed else ()
        self.words, self.kinds, self.symbols = _Words(raw, source), _Measured(coded), _Measured()
        self.versions, self.lengths = _Versions(), _Lengths()


class _Versions(dict[Any, str]):
    def __missing__(self, version: Any) -> str:
        self[version] = found = f":{version}:"
        return found


class _Lengths(dict[int, str]):
    def __missing__(self, length: int) -> str:
        self[length] = found = f"{length}:"
        return found


class _Words(dict[Any, str]):
    """Keys of cycles and orders: of the database by their numbers, many at a time; of an archive as they stand there."""

    def __init__(self, raw: sqlite3.Connection, source: Source) -> None:
        super().__init__({None: "-"})
        self._raw = raw
        self._sql = _WORDS.format(source.schema) if source.packed else None

    def __missing__(self, key: Any) -> str:
        if self._sql is None:
            self[key] = found = measured(key)
            return found
        self.update((number, measured(word)) for number, word in self._raw.execute(self._sql, (key, AT_ONCE)))
        if key not in self:
            raise KeyError(key)
        return self[key]

    def forget_some(self) -> None:
        """Begin anew where too many are known."""
        if len(self) > MOST_REMEMBERED:
            self.clear()
            self[None] = "-"


# A process that walks for another


def serve(lines: Iterable[str]) -> None:
    """Answer each line of ``lines`` with one on stdout: how far the walk of a stretch came.

    The first line says whose chain it is.
    """
    orders = iter(lines)
    account, codes = json.loads(next(orders))
    walker, opened = Walker(account, codes), dict[str, sqlite3.Connection]()
    for order in orders:
        file, schema, packed, seq, head, last = json.loads(order)
        if file not in opened:
            opened[file] = sqlite3.connect(file, uri=True, isolation_level=None)
        source = Source(file, schema, packed)
        walked = walker.walk(opened[file], source, Walk(seq=seq, head=bytes.fromhex(head), bad=None), last)
        print(json.dumps([walked.seq, walked.head.hex(), walked.bad is None]), flush=True)
