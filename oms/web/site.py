"""The addresses of the pages: each as HTML, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from oms.errors import UnknownName
from oms.journal.answers import Answer
from oms.journal.reader import Reader
from oms.questions.asking import Desk
from oms.web.pages.frame import frame, status_of
from oms.web.pages.page import Asked, Page
from oms.web.paint import CYCLE, FLEET, GAINS, PAGES, PATHS, THEMES, Setting, look_of, paint, paint_alone, stamp
from oms.web.viewer import viewer_of
from oms.web.words import LANGUAGES

PART = "x-oms-part"
"""A request with this header wants only the elements that can change."""
_A_YEAR_S = 365 * 86_400
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Readers:
    """Everything a page needs from outside, in one value."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def ask(self, page: Page, request: Request, name: str) -> tuple[Answer, Answer, datetime]:
        """The answer of a page, the frame around it, and the moment; both of one state of the journal.

        Raises:
            UsageError: the address names something that there is not.
        """
        desk = self._desk
        now = desk.now()

        def question(reader: Reader | None) -> tuple[Answer, Answer]:
            asked = Asked(
                loaded=desk.loaded,
                reader=reader,
                now=now,
                query=dict(request.query_params),
                name=name,
                dry_run=desk.dry_run,
                status=status_of(desk.loaded, reader, now, dry_run=desk.dry_run),
            )
            return page.answer(asked), frame(asked)

        def of_one_state(reader: Reader) -> tuple[Answer, Answer]:
            with reader.at_once() as still:
                return question(still)

        nothing: tuple[Answer, Answer] | None = None
        answer, around = desk.ask(of_one_state, nothing) or question(None)
        return answer, around, now

    def html(self, page: Page, request: Request, name: str = "") -> Response:
        """A page for a browser."""
        answer, around, now = self.ask(page, request, name)
        exchange = self._desk.loaded.config.market.exchange
        look = look_of(request.cookies, request.headers.get("accept-language", ""), exchange, now)
        query, viewer = request.url.query, viewer_of(request)
        setting = Setting(
            address=request.url.path + (f"?{query}" if query else ""),
            csrf=viewer.csrf,
            notice=viewer.notice or "",
            can_operate=viewer.can_operate,
            is_part=PART in request.headers,
            name=name,
        )
        text = paint(page, answer, around, look, setting)
        return HTMLResponse(text, headers={"cache-control": "no-store", "vary": f"cookie, accept-language, {PART}"})

    def json(self, page: Page, request: Request, name: str = "") -> Response:
        """The same page's answer."""
        return JSONResponse(self.ask(page, request, name)[0], headers={"cache-control": "no-store"})

    def csv(self, page: Page, request: Request, name: str = "") -> Response:
        """The table of the same page."""
        text = table(page.rows(self.ask(page, request, name)[0]))
        headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="oms-{page.name}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def table(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV; a cell that a spreadsheet would take for a formula is made plain text."""
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in listed)
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t", "\r"):
        return f"'{value}"
    return value


def router(desk: Desk) -> APIRouter:
    """Every page with its twins, the choice of appearance, and the files that the pages use."""
    made = APIRouter(include_in_schema=False)
    readers = Readers(desk)
    for page in (*PAGES, FLEET):
        _add(made, readers, page)

    @made.get("/cycles/{cycle_id}.json")
    def cycle_json(cycle_id: str, request: Request) -> Response:
        return readers.json(CYCLE, request, cycle_id)

    @made.get("/cycles/{cycle_id}.csv")
    def cycle_csv(cycle_id: str, request: Request) -> Response:
        return readers.csv(CYCLE, request, cycle_id)

    @made.get("/cycles/{cycle_id}")
    def cycle_html(cycle_id: str, request: Request) -> Response:
        return readers.html(CYCLE, request, cycle_id)

    made.get("/look")(choose)
    made.get("/static/{name}")(static)
    return made


def _add(made: APIRouter, readers: Readers, page: Page) -> None:
    def html(request: Request) -> Response:
        return readers.html(page, request)

    def json(request: Request) -> Response:
        return readers.json(page, request)

    def as_csv(request: Request) -> Response:
        return readers.csv(page, request)

    made.get(PATHS.get(page.name, f"/{page.name}"))(html)
    made.get(f"/{page.name}.json")(json)
    made.get(f"/{page.name}.csv")(as_csv)


def choose(request: Request) -> Response:
    """Keep a reader's language, theme and colour of gains in cookies, and go back to the page."""
    from oms.web.entrance import local  # late: the entrance shows the page of this module that asks for the token

    back = request.query_params.get("back", "/")
    answer = RedirectResponse(local(back), status_code=303)
    for name, allowed in (("lang", LANGUAGES), ("theme", THEMES), ("gains", GAINS)):
        value = request.query_params.get(name, "")
        if value in allowed:
            answer.set_cookie(name, value, max_age=_A_YEAR_S, samesite="strict", httponly=True)
    return answer


def static(name: str) -> Response:
    """A file of the pages; what is not there is not found."""
    kind = _KINDS.get(name[name.rfind(".") :]) if "." in name else None
    file = files("oms.web").joinpath("static", name)
    if kind is None or "/" in name or "\\" in name or not file.is_file():
        raise UnknownName(f"there is no file {name}")
    headers = {"cache-control": "public, max-age=31536000, immutable", "etag": f'"{stamp()}"'}
    return Response(file.read_bytes(), media_type=kind, headers=headers)


def login_page(request: Request, problem: str | None) -> Response:
    """The form that asks for the token or the password."""
    return _alone(request, "login", 200, problem=problem, next=request.query_params.get("next", "/"))


def problem_page(request: Request, status: int, sentence: str) -> Response:
    """What went wrong, for a person."""
    return _alone(request, "problem", status, sentence=sentence, status=status)


def _alone(request: Request, name: str, code: int, **values: object) -> Response:
    """A page that asks the journal nothing."""
    look = look_of(request.cookies, request.headers.get("accept-language", ""), "24/7", datetime.now(UTC))
    return HTMLResponse(paint_alone(name, look, **values), code, headers={"cache-control": "no-store"})
