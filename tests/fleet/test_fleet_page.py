"""Checks the page of the fleet: who is in trouble stands first, stopping is one press, and adding risk asks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from oms.cli.status import lines
from oms.config import LoadedConfig
from oms.fleet import brake, registry, standing
from oms.fleet.database import Database
from oms.fleet.duty import take_turn
from oms.fleet.limits import NOTIONAL, RATE, set_limit
from oms.journal.postgres.inbox import PostgresInbox
from oms.questions import account
from tests.fleet.conftest import member
from tests.web.chromium import ARGUMENTS, NO_CHROMIUM, chromium
from tests.web.house import House, house_in, html
from tests.web.test_browser import DESK, PHONE, opened

WORKER = (
    "INSERT INTO fleet_workers (worker, host, pid, version, lanes, busy, runs, cycles, failures, busy_s, started_at,"
    " seen_at) VALUES (?, 'box', 7, '1.0', 4, ?, 40, 30, 2, 90, now() - interval '60 s', now() - ? * interval '1 s')"
)


@pytest.fixture
def desk(database: Database, loaded: LoadedConfig) -> Iterator[House]:
    """A fleet in which something of everything happens, and its pages."""
    for name in ("alpha", "broken", "delta", "idle", "parked"):
        registry.add(database, loaded, member(name, {}, "env:NO_SUCH_VARIABLE" if name == "broken" else None, 60.0))
    take_turn(database, loaded, "alpha", "w-1", lambda: None)
    take_turn(database, loaded, "broken", "w-1", lambda: None)
    registry.pause(database, "parked", "audit until Friday")
    database.do(WORKER, ("w-1", 3, 0))
    database.do(WORKER, ("w-2", 1, 300))
    database.do("UPDATE fleet_accounts SET worker = 'w-1' WHERE account = 'delta'")
    late = "UPDATE fleet_accounts SET worker = 'w-2', due_at = now() - interval '400 s' WHERE account = 'idle'"
    database.do(late)
    set_limit(database, "ada", NOTIONAL, Decimal(100_000))
    set_limit(database, "ada", f"{RATE}tiger/desk", Decimal(600))
    with house_in(loaded.base) as house:
        yield house


def test_who_is_in_trouble_stands_first(desk: House) -> None:
    """Failing, overdue, paused, running, waiting; an account whose worker is gone is overdue and does not run."""
    answer = desk.reader().get("/fleet.json").json()
    states = [(each["account"], each["state"]) for each in answer["accounts"]]
    assert states == [
        ("broken", "failing"), ("idle", "overdue"), ("parked", "paused"), ("delta", "running"), ("alpha", "waiting"),
    ]  # fmt: skip
    assert answer["latest_s"] >= 400
    assert {each["worker"]: each["state"] for each in answer["workers"]} == {"w-1": "working", "w-2": "gone"}
    page = html(desk.browser().get("/fleet"))
    assert "NO_SUCH_VARIABLE" in page
    assert "audit until Friday" in page
    assert "tiger/desk" in page


def test_a_large_fleet_is_looked_at_by_state_and_by_name(desk: House) -> None:
    """The page shows some accounts and says of how many; the twins hold what the page does."""
    reader = desk.reader()
    assert [each["account"] for each in reader.get("/fleet.json?show=paused").json()["accounts"]] == ["parked"]
    assert [each["account"] for each in reader.get("/fleet.json?find=ph").json()["accounts"]] == ["alpha"]
    few = reader.get("/fleet.json?limit=2").json()
    assert (len(few["accounts"]), few["has_more"], few["found"], few["counts"]["all"]) == (2, True, 5, 5)
    rows = list(csv.DictReader(io.StringIO(reader.get("/fleet.csv").text)))
    assert [row["part"] for row in rows] == ["account"] * 5 + ["worker"] * 2
    assert "limit=4" in html(desk.browser().get("/fleet?limit=2"))


def word(house: House, browser: object) -> str:
    viewer = house.doors.sessions.read(browser.cookies[house.cookie])  # type: ignore[attr-defined]  # an httpx.Client
    assert viewer is not None
    return viewer.csrf


def test_the_buttons_are_the_commands_of_the_terminal(desk: House, database: Database) -> None:
    """Halt and pause at once, with who did it; release only with a reason; a stranger's form does nothing."""
    browser = desk.browser()
    form = {"csrf": word(desk, browser), "back": "/fleet"}
    assert browser.post("/do/fleet-halt", data={**form, "csrf": "wrong"}).status_code == 403
    assert brake.standing_halt(database) is None
    done = browser.post("/do/fleet-halt", data={**form, "scope": "all"})
    assert (done.status_code, done.headers["location"]) == (303, "/fleet")
    halt = brake.standing_halt(database)
    assert halt is not None
    assert (halt["scope"], halt["author"].endswith("by dashboard from 127.0.0.1")) == ("all", True)
    assert PostgresInbox(database.address, "idle").unread(0)[-1].command == "halt"
    browser.post("/do/fleet-release", data=form)
    assert brake.standing_halt(database) is not None
    browser.post("/do/fleet-release", data={**form, "reason": "calm"})
    assert brake.standing_halt(database) is None
    browser.post("/do/fleet-halt", data={**form, "account": "alpha", "scope": "buys"})
    assert PostgresInbox(database.address, "alpha").unread(0)[-1].arguments["scope"] == "buys"
    assert PostgresInbox(database.address, "idle").unread(0)[-1].command == "release"
    browser.post("/do/fleet-pause", data={**form, "account": "alpha"})
    assert "by dashboard" in (registry.one(database, "alpha").paused or "")
    browser.post("/do/fleet-unpause", data={**form, "account": "alpha"})
    assert registry.one(database, "alpha").paused is None
    browser.post("/do/fleet-pause", data={**form, "account": "nobody"})
    assert "does not belong to the fleet" in html(browser.get("/fleet"))


def test_only_a_database_that_can_have_a_fleet_shows_the_page(desk: House, tmp_path: Path) -> None:
    """A journal in a file has no such page in its navigation, and its address says why; no fleet yet is no error."""
    assert 'href="/fleet"' in html(desk.browser().get("/"))
    alone = tmp_path / "alone"
    alone.mkdir()
    with house_in(alone) as house:
        assert 'href="/fleet"' not in html(house.browser().get("/"))
        asked = house.browser().get("/fleet")
        assert (asked.status_code, "only a journal on PostgreSQL has a fleet" in asked.text) == (409, True)


def test_before_the_first_account_the_page_says_how_to_begin(database: Database, loaded: LoadedConfig) -> None:
    """No table of a fleet yet, or an empty one: the page opens and names the command."""
    with house_in(loaded.base) as house:
        assert "fleet add" in html(house.browser().get("/fleet"))
        database.do("DROP SCHEMA oms_queue CASCADE")
        assert "fleet add" in html(house.browser().get("/fleet"))


def test_machines_count_each_worker(desk: House) -> None:
    """``/metrics`` has the accounts by state, and of each worker whether it lives, its lanes, turns, cycles, failures."""
    text = desk.reader().get("/metrics").text
    assert 'oms_fleet_accounts{state="failing"} 1.0' in text
    assert 'oms_fleet_worker_up{host="box",worker="w-1"} 1.0' in text
    assert 'oms_fleet_worker_up{host="box",worker="w-2"} 0.0' in text
    assert 'oms_fleet_worker_cycles_total{worker="w-1"} 30.0' in text
    assert 'oms_fleet_limit{limit="notional_per_day"} 100000.0' in text
    assert 'oms_fleet_halted{scope="all"} 0.0' in text


def test_the_status_of_an_account_says_how_its_fleet_stands(desk: House, database: Database) -> None:
    """One line of the terminal's ``status``, and the same in its JSON: in trouble, late, halted, and who is at work."""
    brake.halt(database, "ada", "all", "storm")
    answer = account.status(desk.desk)
    told = [line for line in lines(answer) if line.lower().startswith(("fleet", "the fleet"))]
    assert told[0].startswith("fleet 5 accounts: 1 failing, 1 overdue, 1 paused, 1 running, 1 waiting, the latest 6")
    assert told[0].endswith("workers: 1 working, 1 gone")
    assert told[1] == "THE FLEET IS HALTED by ada (all): storm"
    assert answer["fleet"]["workers"] == {"working": 1, "draining": 0, "gone": 1}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip(NO_CHROMIUM)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield started
        started.close()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_opens_without_a_complaint(browser: Browser, desk: House, theme: str, size: dict[str, int]) -> None:
    """On a desk and on a phone, dark and light, English and Chinese: nothing in the console, nothing too wide."""
    for locale, heading in (("en-US", "Fleet"), ("zh-CN", "账户群")):
        with opened(browser, desk, color_scheme=theme, viewport=size, locale=locale) as (page, complaints):
            page.goto(f"{desk.origin}/fleet")
            expect(page.locator("main h1")).to_contain_text(heading)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            assert page.locator("#fleet-accounts tbody tr").count() == 5
            assert complaints == []


def test_one_press_stops_every_account_and_the_page_shows_it(browser: Browser, desk: House, database: Database) -> None:
    """The page halts by one press, shows the red card, and asks before it releases; it follows what others do."""
    with opened(browser, desk) as (page, complaints):
        page.goto(f"{desk.origin}/fleet")
        page.get_by_role("button", name="Halt all accounts").click()
        expect(page.locator("#fleet-halted")).to_contain_text("THE FLEET IS HALTED: no account sends a buy")
        assert standing.status(database)["halted"]["scope"] == "buys"
        page.locator("#brake summary").click()
        page.get_by_label("Why?").first.fill("storm is over")
        page.get_by_role("button", name="Yes, release").first.click()
        expect(page.locator("#fleet-halted")).to_have_count(0)
        page.evaluate("window.stays = true")
        registry.pause(database, "alpha", "somebody else")
        row = page.locator("#fleet-accounts tr", has=page.get_by_role("rowheader", name="alpha"))
        expect(row).to_contain_text("paused: somebody else", timeout=120_000)
        assert page.evaluate("window.stays") is True
        assert complaints == []
