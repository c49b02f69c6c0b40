"""Which pieces of text occur in a block of facts, so that a search skips the blocks that cannot hold what is looked for.

A block's mark says for every three neighbouring letters (blank and underscore count as letters) and every five
neighbouring digits whether its facts hold them anywhere. It may say "perhaps" where there is nothing, and never "no" where
there is something. Marks are made at quiet moments; facts without one are simply read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oms.journal.statements import Statements

BLOCK = 8192
"""Facts in a block; block 0 holds the facts 1 to 8192."""
BLOCKS_AT_ONCE = 2
"""Blocks that one quiet moment marks, about 0.1 s of work."""

_ALPHABET = "abcdefghijklmnopqrstuvwxyz _"
_PLACE = {letter: place for place, letter in enumerate(_ALPHABET)}
_BASE = len(_ALPHABET)
_LETTERS = re.compile(r"[a-z _]{3,}")
_DIGITS = re.compile(r"[0-9]{5,}")
_LETTER_BYTES = (_BASE**3 + 7) // 8
_DIGIT_BYTES = (10**5 + 7) // 8

_MARK = "INSERT INTO text_marks (account, block, letters, digits) VALUES (?, ?, ?, ?)"
_NEXT = "SELECT block FROM text_marks WHERE account = ? ORDER BY block DESC LIMIT 1"
_TEXTS = "SELECT data FROM events WHERE account = ? AND seq > ? AND seq <= ? ORDER BY seq"
_MARKS = "SELECT block, letters, digits FROM text_marks WHERE account = ? AND block >= ? ORDER BY block"


@dataclass(frozen=True, slots=True)
class Mark:
    """What occurs in one block, a bit for each piece."""

    letters: bytes
    digits: bytes

    def covers(self, other: Mark) -> bool:
        """Everything that the other mark says may be there, this one says too."""
        return _covers(self.letters, other.letters) and _covers(self.digits, other.digits)

    def may_hold(self, pieces: Pieces) -> bool:
        """False only where a text of these pieces is certainly not in the block."""
        return all(self.letters[bit >> 3] >> (bit & 7) & 1 for bit in pieces.letters) and all(
            self.digits[bit >> 3] >> (bit & 7) & 1 for bit in pieces.digits
        )


def _covers(wide: bytes, narrow: bytes) -> bool:
    whole = int.from_bytes(narrow, "little")
    return len(wide) == len(narrow) and whole & ~int.from_bytes(wide, "little") == 0


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of a text, each by the number of its bit."""

    letters: frozenset[int]
    digits: frozenset[int]


def pieces_of(text: str) -> Pieces:
    """The pieces that must occur wherever ``text`` does; none where it is too short to say."""
    folded = text.lower()
    return Pieces(frozenset(_of_letters(_LETTERS.findall(folded))), frozenset(_of_digits(_DIGITS.findall(folded))))


def mark_of(texts: Iterable[str]) -> Mark:
    """The mark of a block with these texts."""
    words: set[str] = set()
    numbers: set[str] = set()
    for text in texts:
        folded = text.lower()
        words.update(_LETTERS.findall(folded))
        numbers.update(_DIGITS.findall(folded))
    return Mark(_bits(_of_letters(words), _LETTER_BYTES), _bits(_of_digits(numbers), _DIGIT_BYTES))


def _of_letters(words: Iterable[str]) -> Iterator[int]:
    for word in words:
        places = [_PLACE[letter] for letter in word]
        for first, second, third in zip(places, places[1:], places[2:], strict=False):
            yield (first * _BASE + second) * _BASE + third


def _of_digits(numbers: Iterable[str]) -> Iterator[int]:
    for number in numbers:
        for start in range(len(number) - 4):
            yield int(number[start : start + 5])


def _bits(numbers: Iterable[int], size: int) -> bytes:
    found = bytearray(size)
    for number in numbers:
        found[number >> 3] |= 1 << (number & 7)
    return bytes(found)


ANYTHING = Mark(b"\xff" * _LETTER_BYTES, b"\xff" * _DIGIT_BYTES)
"""The mark of a block of which nothing is known: it may hold every text."""


def fresh(raw: Statements, account: str, block: int) -> Mark:
    """The mark of a block, from its facts."""
    rows = raw.execute(_TEXTS, (account, block * BLOCK, (block + 1) * BLOCK))
    return mark_of(row[0] for row in rows)


def next_block(raw: Statements, account: str) -> int:
    """The first block that has no mark."""
    row = raw.execute(_NEXT, (account,)).fetchone()
    return 0 if row is None else row[0] + 1


def keep_next(raw: Statements, account: str) -> None:
    """Keep the mark of the first block without one, which must be full; within the caller's transaction."""
    block = next_block(raw, account)
    mark = fresh(raw, account, block)
    raw.execute(_MARK, (account, block, mark.letters, mark.digits))


def keep_unknown(raw: Statements, account: str) -> None:
    """Say of the first block without a mark that it may hold anything: a part of it is about to leave the database."""
    raw.execute(_MARK, (account, next_block(raw, account), ANYTHING.letters, ANYTHING.digits))


def make_anew(raw: Statements, account: str, last_seq: int) -> None:
    """Replace every mark by one from the facts, within the caller's transaction."""
    raw.execute("DELETE FROM text_marks WHERE account = ?", (account,))
    for _ in range(last_seq // BLOCK):
        keep_next(raw, account)


def kept(raw: Statements, account: str, first: int = 0) -> Iterator[tuple[int, Mark]]:
    """Every mark from a block on, in order."""
    for block, letters, digits in raw.execute(_MARKS, (account, first)):
        yield block, Mark(letters, digits)


def first_wrong(raw: Statements, account: str) -> int | None:
    """The first block whose mark denies a text that its facts hold; None where all are right."""
    # All marks are read first: a few kilobytes for every 8192 facts.
    for block, mark in list(kept(raw, account)):
        if not mark.covers(fresh(raw, account, block)):
            return block
    return None


def candidates(raw: Statements, account: str, text: str) -> list[range]:
    """Runs of facts, oldest first, outside of which ``text`` certainly does not stand; the last one has no end.

    Each run is a range of ``seq``.
    """
    pieces = pieces_of(text)
    found: list[range] = []
    last = -1
    for block, mark in kept(raw, account):
        if block != last + 1:  # a mark is missing: what it would speak of is read
            _add(found, (last + 1) * BLOCK + 1, block * BLOCK + 1)
        if mark.may_hold(pieces):
            _add(found, block * BLOCK + 1, (block + 1) * BLOCK + 1)
        last = block
    _add(found, (last + 1) * BLOCK + 1, 2**62)
    return found


def _add(found: list[range], start: int, stop: int) -> None:
    if found and found[-1].stop == start:
        found[-1] = range(found[-1].start, stop)
    else:
        found.append(range(start, stop))
