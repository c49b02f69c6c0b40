"""The hash link of one account's chain: every row covers its own stored bytes and the row before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

DOMAIN = "oms.event/1"
"""Says what is hashed, so that no other text can pass for a row."""

StoredRow = tuple[int, int, str | None, int | None, str | None, str | None, str, str]
"""seq, at (microseconds UTC), cycle_id, version, cl_ord_id, symbol, kind, data."""


def genesis(account: str) -> bytes:
    """What the first row of an account is linked to."""
    return sha256(f"oms.chain/1:{len(account)}:{account}".encode()).digest()


def link(previous: bytes, account: str, row: StoredRow) -> bytes:
    """The hash of one row. Every part carries its length, so no two rows have the same text."""
    return _linked(previous, lead_of(account), *row)


def lead_of(account: str) -> str:
    """What the text of every row of an account begins with."""
    return f"{DOMAIN}:{len(account)}:{account}:"


def _linked(  # noqa: PLR0917  # the columns of a row in their order; names would cost a tenth of a whole verification
    previous: bytes,
    lead: str,
    seq: int,
    at: int,
    cycle_id: str | None,
    version: int | None,
    cl_ord_id: str | None,
    symbol: str | None,
    kind: str,
    data: str,
) -> bytes:
    # Written out for each part, since a whole verification does this for every row there is.
    text = (
        f"{lead}{seq}:{at}:{version}:"
        f"{'-' if cycle_id is None else f'{len(cycle_id)}:{cycle_id}'}"
        f"{'-' if cl_ord_id is None else f'{len(cl_ord_id)}:{cl_ord_id}'}"
        f"{'-' if symbol is None else f'{len(symbol)}:{symbol}'}"
        f"{len(kind)}:{kind}{len(data)}:{data}"
    )
    # A stored value may be anything once somebody edits the file; it must then differ, not fail.
    return sha256(previous + (text.encode() if text.isascii() else text.encode("utf-8", "surrogatepass"))).digest()


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
    return follow(account, ((*row, stored, account) for row, stored in rows), seq, head)


def follow(account: str, rows: Iterable[Any], seq: int, head: bytes | None) -> Walk:
    """The same for rows as a database gives them: the parts of a stored row, its hash, the account that it names."""
    previous = genesis(account) if head is None else head
    lead = lead_of(account)
    for place, at, cycle_id, version, cl_ord_id, symbol, kind, data, stored, named in rows:
        if place != seq + 1:
            problem = f"row {seq + 1} is missing" if place > seq + 1 else f"row {place} is there twice"
            return Walk(seq=seq, head=previous, bad=seq + 1, problem=problem)
        try:
            expected = _linked(previous, lead, place, at, cycle_id, version, cl_ord_id, symbol, kind, data)
        except TypeError:
            expected = b""
        # A row that names another account does not belong here, whatever its hash.
        if expected != stored or named != account:
            problem = f"row {place} is not what was written: its content does not match its hash"
            return Walk(seq=seq, head=previous, bad=place, problem=problem)
        seq, previous = place, expected
    return Walk(seq=seq, head=previous, bad=None)
