"""Checks the API's answers: the same as the terminal's, of the shapes that are promised, page by page, also as CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.journal.archiving import archive
from oms.journal.store import open_journal
from oms.web.shapes.account import ScoreExplained
from oms.web.shapes.history import Archives
from tests.cli.conftest import Oms
from tests.contract.journal_contract import LEASE_S
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, full_story, write
from tests.web.house import House, house_in, routes_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

TWINS = {
    "/api/v1/status": "status",
    "/api/v1/funds": "funds",
    "/api/v1/positions": "positions",
    "/api/v1/selection": "select",
    "/api/v1/selection?top=1": "select --top 1",
    "/api/v1/blacklist": "blacklist list",
    "/api/v1/plan": "plan",
    "/api/v1/report": "report",
    "/api/v1/pnl": "pnl",
    "/api/v1/risk": "risk",
    "/api/v1/cycles": "cycle list",
    "/api/v1/cycles?state=DONE&symbol=BBB": "cycle list --state DONE --symbol BBB",
    "/api/v1/cycles/latest": "cycle show",
    "/api/v1/cycles/latest/explain": "cycle explain",
    "/api/v1/explain/AAA": "explain AAA",
    "/api/v1/orders": "order list",
    "/api/v1/orders?status=FILLED&symbol=AAA": "order list --status FILLED --symbol AAA",
    "/api/v1/journal?kind=order_filled": "journal query --kind order_filled",
    "/api/v1/journal/archives": "journal archives",
    "/api/v1/journal/count?symbol=AAA": "journal query --symbol AAA --count",
    "/api/v1/reconcile": "reconcile show",
    "/api/v1/foreign": "order foreign",
    "/api/v1/live": "live show",
    "/api/v1/notify": "notify list",
    "/api/v1/config": "config show",
    "/api/v1/config?origins=true": "config show --origin",
    "/api/v1/config/check": "config check",
    "/api/v1/config/history": "config history",
    "/api/v1/config/diff?old=current": "config diff current",
    "/api/v1/backups": "backups list",
    "/api/v1/database": "db current",
    "/api/v1/prices": "history status",
}
TABLES = {
    "positions": "positions",
    "selection": "scores",
    "blacklist": "symbols",
    "report": "by_day",
    "pnl": "by_symbol",
    "risk": "limits",
    "reconcile": "differences",
    "foreign": "orders",
    "notify": "addresses",
    "cycles": "cycles",
    "orders": "orders",
    "journal": "events",
    "journal/archives": "archives",
    "backups": "backups",
    "prices": "symbols",
}
"""Lists that have a CSV twin, with the key of their rows."""
ASIDE = {"/api/v1/doctor", "/api/v1/config/diff", "/api/v1/fleet", "/readyz"}
"""Asks the world; needs two names; needs PostgreSQL; answers 503 where no engine runs."""


@pytest.mark.parametrize("path", TWINS)
def test_the_api_answers_what_the_terminal_prints(
    path: str, house: House, monkeypatch: pytest.MonkeyPatch, oms: Oms
) -> None:
    """The JSON of a read command and of its path are one and the same object."""
    monkeypatch.chdir(house.folder)
    from_api = house.reader().get(path)
    assert from_api.status_code == 200, from_api.text
    if path == "/api/v1/plan":
        assert from_api.json()["schema"] == "oms.plan/1"
        return
    from_terminal = oms(*TWINS[path].split(), "--json").json
    assert _settled(from_api.json(), house.folder) == _settled(from_terminal, house.folder)


def _settled(answer: Any, folder: Path) -> Any:
    """Without what differs by where it was asked from: the API's own port of the test."""
    text = json.dumps(answer).replace(f"{folder}/", "")
    found = json.loads(text)
    if "config" in found:
        found["config"].pop("api")
    if "origins" in found:
        found["origins"].pop("api.port")
    if found.get("schema") in ("oms.config-show/1", "oms.config-check/1", "oms.config-diff/1", "oms.config-history/1"):
        for name in ("hash", "old", "new", "versions", "changes"):
            found.pop(name, None)
    return found


@pytest.mark.parametrize("nothing", [False, True], ids=["traded", "nothing has run"])
def test_every_answer_has_the_shape_that_the_description_promises(
    nothing: bool, house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each JSON path, with and without a journal, answers what its model reads; only names are not found."""
    folder = tmp_path_factory.mktemp("nothing") if nothing else house.folder
    with house_in(folder) as asked:
        client = asked.reader()
        seen = 0
        for path, methods, route in routes_of(asked):
            model = getattr(route, "responses", {}).get(200, {}).get("model")
            if model is None or "GET" not in methods or "{" in path or path in ASIDE:
                continue
            seen += 1
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            model.model_validate_json(answer.content)
        assert seen > 15


@pytest.mark.parametrize("name", TABLES)
def test_every_list_has_a_twin_in_csv(name: str, house: House) -> None:
    """The CSV has one line for each row of the JSON, with the same values in the columns that it names."""
    client = house.reader()
    rows = client.get(f"/api/v1/{name}").json()[TABLES[name]]
    answer = client.get(f"/api/v1/{name}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(read) == len(rows)
    for line, row in zip(read, rows, strict=True):
        for column, text in line.items():
            value = row[column]
            if isinstance(value, str) or value is None:
                assert text.removeprefix("'") == (value or "")


def test_lists_go_on_page_by_page_and_miss_nothing(house: House) -> None:
    """Two rows at a time, backwards from the newest and forwards from the first, every fact comes exactly once."""
    client = house.reader()
    whole = [event["seq"] for event in client.get("/api/v1/journal?limit=1000").json()["events"]]
    backwards: list[int] = []
    place: int | None = 2**40
    while place is not None:
        page = client.get(f"/api/v1/journal?limit=2&before={place}").json()
        backwards = [event["seq"] for event in page["events"]] + backwards
        place = page["next"]
    assert backwards == whole == list(range(1, len(whole) + 1))
    forwards: list[int] = []
    place = 0
    while place is not None:
        page = client.get(f"/api/v1/journal?limit=2&after={place}").json()
        forwards += [event["seq"] for event in page["events"]]
        place = page["next"]
    assert forwards == whole
    first = client.get("/api/v1/orders?limit=1").json()
    second = client.get(f"/api/v1/orders?limit=1&before={first['next']}").json()
    assert {first["orders"][0]["side"], second["orders"][0]["side"]} == {"BUY", "SELL"}


def test_a_question_that_cannot_be_asked_is_refused_in_one_shape(house: House) -> None:
    """Unknown names, bad values and parameters that nobody knows end in 4xx with code, sentence and number."""
    client = house.reader()
    for path, status, code in (
        ("/api/v1/cycles/no-such", 404, "not_found"),
        ("/api/v1/orders/no-such/explain", 404, "not_found"),
        ("/api/v1/cycles?before=no-such", 404, "not_found"),
        ("/api/v1/cycles?limit=0", 422, "not_valid"),
        ("/api/v1/cycles?limit=1001", 422, "not_valid"),
        ("/api/v1/cycles?state=SLEEPING", 422, "not_valid"),
        ("/api/v1/cycles?stat=DONE", 422, "not_valid"),
        ("/api/v1/journal?since=someday", 400, "not_understood"),
        ("/api/v1/journal?kind=no_such", 400, "not_understood"),
        ("/api/v1/journal?after=1&before=9", 400, "not_understood"),
        ("/api/v1/selection/AAA/explain", 404, "not_found"),
        ("/api/v1/selection/a%20b%20c/explain", 400, "not_understood"),
        ("/api/v1/fleet", 409, "wrong_database"),
        ("/api/v1/no-such", 404, "not_found"),
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        assert set(answer.json()["error"]) == {"code", "message", "id"}


def test_the_factors_of_a_score_are_those_of_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oms: Oms
) -> None:
    """A symbol with a score and one without are explained as ``select --explain`` does, in the shape that is promised."""
    journal = open_journal(f"sqlite:///{tmp_path / 'var' / 'oms.db'}", ACCOUNT, "paper", FakeClock(), LEASE_S)
    full_story(journal)
    journal.close()
    with house_in(tmp_path) as asked:
        monkeypatch.chdir(tmp_path)
        client = asked.reader()
        for symbol in ("S0", "B1"):
            told = client.get(f"/api/v1/selection/{symbol}/explain")
            ScoreExplained.model_validate_json(told.content)
            assert told.json() == oms("select", "--explain", symbol, "--json").json
        assert client.get("/api/v1/selection/ZZZ/explain").status_code == 404


def test_an_archive_is_listed_as_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oms: Oms) -> None:
    """The archive of a closed year, with its hashes, and whether its file is in its place."""
    url = f"sqlite:///{tmp_path / 'var' / 'oms.db'}"
    clock = FakeClock()
    journal = open_journal(url, ACCOUNT, "paper", clock, LEASE_S)
    journal.append_barrier([account_opened()])
    for number in (1, 2):
        write(journal, Script(number, sells=1, buys=1, fence=journal.lease.fence).commits())
        clock.jump(timedelta(days=366))
    journal.close()
    archive(url, ACCOUNT, "paper", clock, clock.now().replace(month=1, day=1), author="ada")
    with house_in(tmp_path) as asked:
        monkeypatch.chdir(tmp_path)
        told = asked.reader().get("/api/v1/journal/archives")
        Archives.model_validate_json(told.content)
        assert [each["there"] for each in told.json()["archives"]] == [True]
        assert told.json() == oms("journal", "archives", "--json").json
        Path(told.json()["archives"][0]["path"]).unlink()
        assert oms("journal", "archives").code == 3


def test_a_formula_in_a_text_reaches_no_spreadsheet() -> None:
    """What a spreadsheet would run comes with an apostrophe; numbers below zero stay numbers."""
    from oms.web.api.answering import cell

    assert [cell(text) for text in ("=1+1", "@x", "-cmd", "+1", "-12.50", "plain", None, True, 7, {"a": "é"})] == [
        *("'=1+1", "'@x", "'-cmd", "'+1", "-12.50", "plain", "", "true", "7", '{"a":"é"}'),
    ]


def test_the_status_for_old_dashboards_has_exactly_their_shape(house: House, empty: House) -> None:
    """``/api/status`` has these keys and kinds of values and no others, in a life and before it."""
    for asked in (house, empty):
        answer = asked.reader().get("/api/status").json()
        assert list(answer) == [
            *("bot", "heartbeat", "pnl", "positions", "trading_mode", "real_positions", "task_health"),
        ]
        assert isinstance(answer["heartbeat"], int)
        assert isinstance(answer["pnl"], float)
        assert answer["trading_mode"] == "PAPER"
        assert answer["bot"] == "stopped"
        assert set(answer["task_health"]) == {"healthy_tasks", "error_tasks", "total_tasks"}
        for each in answer["positions"]:
            assert set(each) == {"symbol", "qty", "value", "score"}
        for each in answer["real_positions"]:
            assert set(each) == {"symbol", "quantity", "market_value", "unrealized_pnl"}
    today = house.reader().get("/api/v1/pnl").json()["today"]["total"]
    assert house.reader().get("/api/status").json()["pnl"] == float(today)
    held = {each["symbol"]: each["qty"] for each in house.reader().get("/api/status").json()["positions"]}
    assert held["AAA"] == 40
    assert held == {
        each["symbol"]: each["quantity"] for each in house.reader().get("/api/status").json()["real_positions"]
    }
