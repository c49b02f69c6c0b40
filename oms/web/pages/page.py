"""What a page is, and what it is asked with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oms.config import LoadedConfig
from oms.journal.answers import Answer
from oms.journal.reader import Reader
from oms.web.look import Look

View = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question to a page."""

    loaded: LoadedConfig
    reader: Reader | None
    """Sees one state of the journal, whatever it is asked; None where nothing has run yet."""
    now: datetime
    query: Mapping[str, str]
    """What stood behind the question mark of the address."""
    name: str = ""
    """The thing that the address names, such as a cycle."""
    dry_run: bool = False
    status: Answer
    """That of the same moment: the frame of the page and the page itself tell of it."""

    def number(self, key: str, default: int, most: int) -> int:
        """A whole number of the query, from 1 to ``most``; the default where it is none."""
        try:
            return min(max(int(self.query.get(key, "")), 1), most)
        except ValueError:
            return default


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page: it answers, and everything else is made of its answer."""

    name: str
    """Also that of its template and of its address."""
    title: str
    """An English sentence of the catalogue."""
    answer: Callable[[Asked], Answer]
    rows: Callable[[Answer], Iterable[Mapping[str, object]]]
    """Of the CSV twin."""
    view: Callable[[Answer, Look], View]
    """What the template needs beside the answer."""
