"""Answers on their way out: JSON as it is, and tables as CSV; and what the API's description says of each."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from oms.errors import TryAgainError
from oms.web.shapes.figures import Problem

Row = Mapping[str, Any]
Responses = dict[int | str, dict[str, Any]]

PROBLEMS: Responses = {
    400: {"model": Problem, "description": "the question cannot be asked so"},
    401: {"model": Problem, "description": "no token"},
    403: {"model": Problem, "description": "another site's page, or a token for reading only"},
    421: {"model": Problem, "description": "called by a name that is not served"},
    422: {"model": Problem, "description": "a parameter is not valid"},
    429: {"model": Problem, "description": "too many requests"},
    500: {"model": Problem, "description": "a bug"},
    503: {"model": Problem, "description": "not now; try again"},
}
NOT_FOUND: Responses = {404: {"model": Problem, "description": "there is nothing of this name"}}
WRONG_DATABASE: Responses = {
    409: {"model": Problem, "description": "a journal in a file has no fleet, and one on PostgreSQL no archives"}
}
CSV: Responses = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "a table"}}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shape(model: type[BaseModel]) -> Responses:
    """What a route answers when all goes well."""
    return {200: {"model": model, "description": (model.__doc__ or "").strip()}}


def answered(answer: Mapping[str, Any]) -> Response:
    """An answer as JSON, just as the terminal prints it."""
    return JSONResponse(dict(answer))


def sheet(name: str, columns: Sequence[str], rows: Iterable[Row]) -> Response:
    """Rows as a CSV file; what a spreadsheet would take for a formula comes with an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(row.get(column)) for column in columns] for row in rows)
    return Response(
        text.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def cell(value: Any) -> str:
    """One value as text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


class OneAtATime:
    """A question that is dear, and so is answered for one caller at a time; the others are told to come again."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The one place.

        Raises:
            TryAgainError: somebody has it.
        """
        if not self._busy.acquire(blocking=False):
            raise TryAgainError("this question is being answered for somebody else; ask again")
        try:
            yield
        finally:
            self._busy.release()
