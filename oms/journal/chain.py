"""The hash link of one account's chain: every row covers its own stored bytes and the row before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

DOMAIN = "oms.event/1"
"""Says what is hashed, so that no other text can pass for a row."""

StoredRow = tuple[int, int, str | None, int | None, str | None, str | None, str, str]
"""seq, at (microseconds UTC), cycle_id, version, cl_ord_id, symbol, kind, data."""


def genesis(account: str) -> bytes:
    """What the first row of an account is linked to."""
    return sha256(f"oms.chain/1:{len(account)}:{account}".encode()).digest()


def link(previous: bytes, account: str, row: StoredRow) -> bytes:
    """The hash of one row. Every part carries its length, so no two rows have the same text."""
    seq, at, cycle_id, version, cl_ord_id, symbol, kind, data = row
    # Written out for each part, since a whole verification does this for every row there is.
    text = (
        f"{DOMAIN}:{len(account)}:{account}:{seq}:{at}:{version}:"
        f"{'-' if cycle_id is None else f'{len(cycle_id)}:{cycle_id}'}"
        f"{'-' if cl_ord_id is None else f'{len(cl_ord_id)}:{cl_ord_id}'}"
        f"{'-' if symbol is None else f'{len(symbol)}:{symbol}'}"
        f"{len(kind)}:{kind}{len(data)}:{data}"
    )
    # A stored value may be anything once somebody edits the file; it must then differ, not fail.
    return sha256(previous + text.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a walk along the chain found."""

    seq: int
    """Last good row."""
    head: bytes
    """Hash of the last good row."""
    bad: int | None
    """The first row that is not what was written, by its place in the chain."""
    problem: str = ""


def walk(account: str, rows: Iterable[tuple[StoredRow, bytes]], seq: int = 0, head: bytes | None = None) -> Walk:
    """Follow ``rows`` in their order after row ``seq`` with hash ``head``, up to the first that does not fit."""
    previous = genesis(account) if head is None else head
    for row, stored in rows:
        if row[0] != seq + 1:
            problem = f"row {seq + 1} is missing" if row[0] > seq + 1 else f"row {row[0]} is there twice"
            return Walk(seq=seq, head=previous, bad=seq + 1, problem=problem)
        try:
            expected = link(previous, account, row)
        except TypeError:
            expected = b""
        if expected != stored:
            problem = f"row {row[0]} is not what was written: its content does not match its hash"
            return Walk(seq=seq, head=previous, bad=row[0], problem=problem)
        seq, previous = row[0], expected
    return Walk(seq=seq, head=previous, bad=None)
