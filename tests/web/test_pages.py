"""Checks the pages as the server sends them: each with its twins, over no journal, a plain one and one full of oddities."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from oms.config import load_config
from oms.journal.answers import Answer
from oms.journal.reader import open_reader
from oms.journal.store import open_journal
from oms.model.event import AttentionRaised
from oms.web import paint
from oms.web.kept import Kept
from oms.web.pages import finished
from oms.web.pages.frame import frame, status_of
from oms.web.pages.page import Asked
from oms.web.paint import PAGES, PATHS
from oms.web.site import table
from tests.contract.journal_contract import LEASE_S
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, NOON, Script, account_opened, full_story, write
from tests.web.house import House, house_in, html

HTML = {"Accept": "text/html"}
EVERY = [*PATHS.values()]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A journal with a frozen symbol, a halt, a blacklist, and everything else that is rare."""
    folder = tmp_path_factory.mktemp("odd")
    journal = open_journal(f"sqlite:///{folder / 'var' / 'oms.db'}", ACCOUNT, "paper", FakeClock(), LEASE_S)
    full_story(journal)
    journal.close()
    with house_in(folder) as house:
        yield house


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A journal whose last buy is in quarantine."""
    folder = tmp_path_factory.mktemp("held")
    journal = open_journal(f"sqlite:///{folder / 'var' / 'oms.db'}", ACCOUNT, "paper", FakeClock(), LEASE_S)
    journal.append_barrier([account_opened()])
    write(journal, Script(1, sells=1, buys=2, fence=journal.lease.fence).commits(park_last_buy=True))
    journal.close()
    with house_in(folder) as house:
        yield house


def cycles_of(house: House) -> list[str]:
    listed = house.operator().get("/cycles.json").json()["cycles"]
    return [each["cycle_id"] for each in listed]


@pytest.mark.parametrize("path", EVERY)
def test_every_page_stands_where_nothing_has_run_yet(empty: House, path: str) -> None:
    """Before the first run each page, its JSON and its CSV are there, and nothing is made up."""
    page = html(empty.browser().get(path))
    assert "oms" in page
    stem = "/now" if path == "/" else path
    assert empty.operator().get(f"{stem}.json").json()["schema"].startswith("oms.")
    assert empty.operator().get(f"{stem}.csv").status_code == 200
    assert not (empty.folder / "var").exists()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("path", EVERY)
def test_every_page_stands_over_the_oddest_journal_in_both_languages(odd: House, path: str, language: str) -> None:
    """Each page is drawn over every kind of fact, says its language, and carries no style or script of its own."""
    browser = odd.browser()
    browser.headers["Accept-Language"] = language
    page = html(browser.get(path))
    assert f'<html lang="{language}"' in page
    assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son\w+=|javascript:", page)
    assert "{n}" not in re.sub(r"data-\w+=\"[^\"]*\"", "", page)


def test_the_twins_of_a_page_say_what_it_shows(house: House) -> None:
    """JSON holds the figures of the page as text, and CSV the same rows."""
    client = house.operator()
    listed = client.get("/cycles.json").json()["cycles"]
    rows = list(csv.DictReader(io.StringIO(client.get("/cycles.csv").text)))
    assert [row["cycle_id"] for row in rows] == [each["cycle_id"] for each in listed]
    assert rows[0]["proceeds"] == listed[0]["proceeds"] == "2998.20"
    assert listed[0]["cycle_id"][2:] in html(house.browser().get("/cycles"))


def test_one_cycle_shows_its_orders_its_cuts_and_every_fact(house: House) -> None:
    """The page of a cycle holds the timeline, the binding rule of each cut, and each fact with its hash."""
    cycle_id = cycles_of(house)[0]
    found = house.operator().get(f"/cycles/{cycle_id}.json").json()
    page = html(house.browser().get(f"/cycles/{cycle_id}"))
    assert [order["symbol"] for order in found["orders"]] == ["AAA", "BBB"]
    assert all(event["hash"][:8] in page for event in found["events"])
    assert page.count('class="drawing timeline') == 2
    cut = found["revalidation"][0]
    assert cut["quantity"] < cut["planned"]
    assert cut["reason"] in page


def test_a_finished_cycle_that_is_kept_is_the_same_until_a_fact_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages come out as those that are made anew, in each language; a later fact of it is shown."""
    journal = open_journal(f"sqlite:///{tmp_path / 'var' / 'oms.db'}", ACCOUNT, "paper", FakeClock(), LEASE_S)
    journal.append_barrier([account_opened()])
    write(journal, Script(1, sells=2, buys=2, fence=journal.lease.fence).commits())
    with house_in(tmp_path) as asked:
        (cycle_id,) = cycles_of(asked)
        browser = asked.browser()

        def mains() -> list[str]:
            pages = [
                html(browser.get(path, headers={"Accept-Language": language}))
                for path in (f"/cycles/{cycle_id}", f"/cycles/{cycle_id}?at=9", "/")
                for language in ("en", "zh-CN")
            ]
            return [page[page.index("<main") : page.index("</main>")] for page in pages]

        with monkeypatch.context() as nothing_kept:
            nothing_kept.setattr(paint, "_painted", Kept[str](0, len))
            nothing_kept.setattr(finished, "_told", Kept[Answer](0, lambda _: 1))
            anew = mains()
        for _ in range(3):
            assert mains() == anew
        journal.append([AttentionRaised(cycle_id=cycle_id, rule="late_fill", text="look at this again")])
        journal.close()
        assert ["look at this again" in main for main in mains()] == [True, True, False, False, False, False]


def test_the_scrubber_shows_a_cycle_as_it_was_at_any_fact(house: House) -> None:
    """At each sequence the phase and the orders are those that the facts up to it add up to; the first has no order."""
    client = house.operator()
    cycle_id = cycles_of(house)[0]
    last = client.get(f"/cycles/{cycle_id}.json").json()
    phases = []
    for event in last["events"]:
        then = client.get(f"/cycles/{cycle_id}.json", params={"at": event["seq"]}).json()
        assert then["at_seq"] == event["seq"]
        phases.append(then["cycle"]["phase"])
    assert list(dict.fromkeys(phases)) == ["SELLING", "SETTLING", "REVALIDATING", "BUYING", "DONE"]
    first = client.get(f"/cycles/{cycle_id}.json", params={"at": last["first_seq"]}).json()
    assert first["orders"] == []
    assert [each["symbol"] for each in first["planned"]] == ["AAA", "BBB"]
    assert "Shown as it was at" in html(house.browser().get(f"/cycles/{cycle_id}", params={"at": last["first_seq"]}))


def test_an_order_in_quarantine_stands_above_everything_with_the_choices(held: House) -> None:
    """Every page begins with the order that a person must decide: what it is, where to look, and a form that asks why."""
    for path in EVERY:
        page = html(held.browser().get(path))
        card = page.index("HELD:")
        assert card < page.index('<main id="main"')
        assert 'action="/do/resolve"' in page
        assert re.search(r'name="reason"[^>]*required', page)


def test_a_halt_is_one_press_and_a_release_asks(odd: House, house: House) -> None:
    """The halt button is a bare form on every page; release stands behind a question and wants a reason."""
    going = html(house.browser().get("/"))
    assert re.search(r'<form method="post" action="/do/halt"><input type="hidden" name="csrf" value="\w', going)
    halted = html(odd.browser().get("/"))
    release = halted[halted.index("Release…") :]
    assert re.search(r'^.*?action="/do/release".*?name="reason"[^>]*required', release, re.DOTALL)


@pytest.mark.parametrize(
    ("source", "after_h", "shown"), [("yahoo", 1, True), ("yahoo", 5, False), ("replay", 1, False)]
)
def test_a_market_of_this_world_says_when_it_closes(odd: House, source: str, after_h: int, shown: bool) -> None:
    """The close of the last cycle's trading day is told while it lies ahead; that of a played day is of no clock here."""
    loaded = load_config(odd.folder / "config.yaml", {}, {"market.source": source})
    now = NOON + timedelta(hours=after_h)
    with closing(open_reader(loaded.journal_url)) as reader:
        status = status_of(loaded, reader, now, dry_run=False)
        around = frame(Asked(loaded=loaded, reader=reader, now=now, query={}, status=status))
    assert around["closes"] == ("2026-03-02T21:00:00.000000Z" if shown else None)


def test_a_reader_without_the_right_to_operate_gets_no_buttons(house: House) -> None:
    """With the token for reading the pages hold no form that gives a command."""
    page = html(house.browser(house.keys.read).get("/risk"))
    assert "/do/" not in page


def test_health_shows_how_the_messages_to_each_address_stand(traded: Path) -> None:
    """An address that was not reached is an alarm with its reason, in both languages and both twins; no secret is shown."""
    (traded / "var" / "notices.json").write_text(
        json.dumps(
            {"env:PHONE": {"seq": 1, "sent_at": None, "error": "did not take the message"}, "env:TEAM": {"seq": 2}}
        ),
        "utf-8",
    )
    text = (traded / "config.yaml").read_text("utf-8")
    with house_in(traded, f"{text}notify: ['env:PHONE?fill=on', 'env:TEAM', 'ping:env:SWITCH']\n") as asked:
        browser, client = asked.browser(), asked.operator()
        for language, words in (
            ("en", ("not reached", "nothing sent yet", "sign of life")),
            ("zh-CN", ("未送达", "尚未发送", "存活信号")),
        ):
            page = html(browser.get("/health", headers={"Accept-Language": language}))
            card = page[page.index('id="health-outbox"') : page.index('id="health-attention"')]
            assert all(word in card for word in ("env:PHONE", "ping:env:SWITCH", "did not take the message", *words))
        told = client.get("/health.json").json()["outbox"]
        assert told == {"addresses": client.get("/api/v1/notify").json()["addresses"], "problem": None}
        first = told["addresses"][0]
        assert (first["seq"], first["behind"]) == (1, client.get("/api/v1/status").json()["journal"]["seq"] - 1)
        rows = list(csv.DictReader(io.StringIO(client.get("/health.csv").text)))
        assert [row["name"] for row in rows if row["part"] == "address"] == ["env:PHONE", "env:TEAM", "ping:env:SWITCH"]


def test_health_stands_where_the_file_of_the_messages_is_broken(traded: Path) -> None:
    """A file of cursors that cannot be read is said on the page, and the rest of it is there."""
    (traded / "var" / "notices.json").write_text("{", "utf-8")
    with house_in(traded) as asked:
        page = html(asked.browser().get("/health"))
        assert "notices begin anew" in page
        assert 'id="health-database"' in page


def test_a_part_of_a_page_holds_only_what_can_change(house: House) -> None:
    """What the script asks for has every live element and neither head nor footer; it weighs less than the page."""
    browser = house.browser()
    whole, part = html(browser.get("/")), html(browser.get("/", headers={"X-Oms-Part": "1"}))
    ids = re.compile(r'id="([\w-]+)" data-live')
    assert set(ids.findall(part)) == set(ids.findall(whole))
    assert "<head>" not in part
    assert "<footer" not in part


def test_the_first_page_weighs_less_than_150_kilobytes(house: House) -> None:
    """Page, style sheet, script and icon together, uncompressed; every one is of this server."""
    browser = house.browser()
    page = html(browser.get("/"))
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(files) == 3
    assert not re.search(r'(?:href|src)="(?:https?:)?//', page)
    sizes = [len(page.encode()), *(len(browser.get(file).content) for file in files)]
    assert sum(sizes) < 150_000


def test_times_are_those_of_the_exchange_with_utc_beside(house: House) -> None:
    """A time is written in New York's hours, and its title says the same instant in UTC."""
    page = html(house.browser().get("/cycles"))
    stamps = re.findall(r'<time datetime="(\S+?)Z" title="(\S+ \S+) UTC">([^<]+)</time>', page)
    assert stamps
    iso, utc, there = stamps[0]
    assert utc.replace(" ", "T")[:19] == iso[:19]
    assert there[-5:] == iso[14:19]
    assert there[-8:-6] != iso[11:13]


def test_a_reader_chooses_language_theme_and_the_colour_of_gains(house: House) -> None:
    """A choice is kept in cookies, and the page comes back in it; where Chinese is read, red rises by default."""
    browser = house.browser()
    led = browser.get("/look", params={"lang": "zh-CN", "theme": "dark", "back": "/risk"})
    assert (led.status_code, led.headers["location"]) == (303, "/risk")
    assert '<html lang="zh-CN" data-theme="dark" data-gains="red">' in html(browser.get("/risk"))
    browser.get("/look", params={"gains": "green", "theme": "<script>"})
    assert 'data-theme="dark" data-gains="green"' in html(browser.get("/risk"))


@pytest.mark.parametrize("back", ["https://example.org/", "//example.org", "/\\example.org", "example.org"])
def test_the_choice_of_looks_sends_nobody_elsewhere(house: House, back: str) -> None:
    """Only an address of this site is gone back to."""
    assert house.browser().get("/look", params={"back": back}).headers["location"] == "/"


@pytest.mark.parametrize(
    "path", ["/cycles/c-nonsense", "/funds?cycle=c-nonsense", "/static/nothing.css", "/static/..%2f"]
)
def test_what_there_is_not_is_not_found(house: House, path: str) -> None:
    """An address that names nothing answers 404, for a person as a page."""
    answer = house.browser().get(path)
    assert answer.status_code == 404
    if not path.startswith("/static"):
        assert "404" in html(answer)


@pytest.mark.parametrize(
    "path", ["/cycles?limit=x", "/cycles?show=x&symbol=%00", "/selection?top=-1", "/config?old=zz"]
)
def test_an_address_with_nonsense_does_no_harm(house: House, path: str) -> None:
    """What stands behind the question mark is ignored or refused, and never a fault of the server."""
    assert house.browser().get(path).status_code in (200, 400, 404)


def test_nothing_of_a_page_is_kept_by_a_browser_but_its_files(house: House) -> None:
    """Pages are asked for anew each time; the style sheet changes its name with its content and is kept for a year."""
    browser = house.browser()
    page = browser.get("/")
    assert page.headers["cache-control"] == "no-store"
    file = re.findall(r'href="(/static/pages.css\?\w+)"', html(page))[0]
    assert "immutable" in browser.get(file).headers["cache-control"]


def test_a_cell_that_a_spreadsheet_would_run_is_plain_text() -> None:
    """Text that begins like a formula gets an apostrophe; numbers stay numbers."""
    assert table([{"a": "=1+1", "b": "-5.00", "c": None}]).splitlines() == ["a,b,c", "'=1+1,-5.00,"]


def test_every_page_of_the_navigation_is_there(house: House) -> None:
    """The navigation names each page once, and marks the one that is open."""
    for page in PAGES:
        text = html(house.browser().get(PATHS[page.name]))
        assert len(re.findall(r'aria-current="page"', text)) == 1
        assert [each for each in PATHS.values() if f'<a href="{each}"' not in text] == []


def test_a_log_in_is_asked_for_in_the_readers_language(house: House) -> None:
    """The page that asks for the token speaks Chinese to a Chinese browser."""
    answer = httpx.get(f"{house.origin}/login", headers={**HTML, "Accept-Language": "zh"}, trust_env=False, timeout=60)
    assert "令牌或密码" in answer.text


def test_the_styles_name_every_colour_once_for_each_theme() -> None:
    """What the dark theme by choice sets is what the dark theme of the system sets, and nothing is forgotten."""
    css = (Path(__file__).parents[2] / "oms" / "web" / "static" / "pages.css").read_text("utf-8")
    blocks = re.findall(r"(:root[^{]*)\{([^}]*)\}", css)
    names = {selector.strip(): set(re.findall(r"(--[\w-]+):", body)) for selector, body in blocks}
    dark = names[':root[data-theme="dark"]']
    assert dark == names[':root:not([data-theme="light"])']
    assert names[":root"] - dark == {"--gain", "--loss", "--sell", "--buy"}
