"""JSON that remembers: the line of every object, the text of every number, and every key that stands twice.

The standard library's reader forgets all three: it keeps the last of two equal keys and turns 1e999 into infinity. This
one is for small files written by strangers; it is bounded in depth and in the length of its lists.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TypeAlias

from oms.model.foreign import shown

MOST_DEPTH = 6


class Bare(str):
    """A number, or any other word that stood without quotes: its own text."""

    __slots__ = ()


@dataclass(slots=True)
class Object:
    """A JSON object, the line it begins in, and the keys that stand in it more than once."""

    line: int
    items: dict[str, Value] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Array:
    """A JSON array: its values, each with the line it begins in."""

    line: int
    values: list[tuple[int, Value]] = field(default_factory=list)


Value: TypeAlias = "Object | Array | Bare | str | None"

_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\.)*+"')  # possessive: a text without an end is given up at once
_WORD = re.compile(r"""[^\s\[\]{},:"]+""")


class BrokenJsonError(ValueError):
    """The text is not JSON; ``line`` and ``column`` count from 1."""

    def __init__(self, sentence: str, line: int, column: int) -> None:
        super().__init__(sentence)
        self.line = line
        self.column = column


def parse_json(text: str, most_values: int) -> Value:
    """Read one JSON value.

    Raises BrokenJsonError where the text is broken, ends too early, goes on after its end, is nested deeper than a few
    levels, or holds an array of more than ``most_values``.
    """
    reader = _Reader(text, most_values)
    value = reader.value(0)
    reader.blank()
    if reader.at < len(text):
        raise reader.broken("text after the end of the JSON value")
    return value


class _Reader:
    def __init__(self, text: str, most_values: int) -> None:
        self.at = 0
        self._text = text
        self._most = most_values
        self._line = 1
        self._line_counted_to = 0

    def line(self) -> int:
        """The line of the present position; counted on from the last time, so that the whole costs one pass."""
        self._line += self._text.count("\n", self._line_counted_to, self.at)
        self._line_counted_to = self.at
        return self._line

    def broken(self, sentence: str) -> BrokenJsonError:
        column = self.at - (self._text.rfind("\n", 0, self.at) + 1) + 1
        return BrokenJsonError(sentence, self.line(), column)

    def blank(self) -> None:
        match = _BLANK.match(self._text, self.at)
        self.at = match.end() if match else self.at

    def next(self) -> str:
        """The next character that is not blank, without taking it."""
        self.blank()
        if self.at >= len(self._text):
            raise self.broken("the text ends here, before its JSON value does; the file may be half-written")
        return self._text[self.at]

    def value(self, depth: int) -> Value:
        match self.next():
            case "{":
                return self._object(self._deeper(depth))
            case "[":
                return self._array(self._deeper(depth))
            case '"':
                return self._string()
        word = _WORD.match(self._text, self.at)
        if word is None:
            raise self.broken(f"found {shown(self.next())}; expected a value")
        self.at = word.end()
        return None if word[0] == "null" else Bare(word[0])

    def _deeper(self, depth: int) -> int:
        if depth >= MOST_DEPTH:
            raise self.broken(f"nested deeper than {MOST_DEPTH} levels")
        return depth + 1

    def _string(self) -> str:
        match = _STRING.match(self._text, self.at)
        if match is None:
            raise self.broken("a text that begins here does not end in its line; a quotation mark may be missing")
        try:
            value: str = json.loads(match[0])
        except ValueError:
            raise self.broken("a text with an escape that JSON does not know") from None
        self.at = match.end()
        return value

    def _object(self, depth: int) -> Object:
        result = Object(line=self.line())
        self.at += 1
        if self.next() == "}":
            self.at += 1
            return result
        while True:
            if self.next() != '"':
                raise self.broken(f"found {shown(self.next())}; expected a key in double quotes")
            key = self._string()
            self._take(":")
            if key in result.items:
                result.repeated.append(key)
            result.items[key] = self.value(depth)
            if self._ends("}"):
                return result

    def _array(self, depth: int) -> Array:
        result = Array(line=self.line())
        self.at += 1
        if self.next() == "]":
            self.at += 1
            return result
        while True:
            self.next()
            if len(result.values) >= self._most:
                raise self.broken(f"more than {self._most:,} entries in one list")
            result.values.append((self.line(), self.value(depth)))
            if self._ends("]"):
                return result

    def _take(self, mark: str) -> None:
        if self.next() != mark:
            raise self.broken(f"found {shown(self.next())}; expected {mark}")
        self.at += 1

    def _ends(self, closing: str) -> bool:
        found = self.next()
        if found not in (",", closing):
            raise self.broken(f"found {shown(found)}; expected a comma or {closing}")
        self.at += 1
        return found == closing
