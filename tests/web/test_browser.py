"""Checks the pages in a real browser: a quiet console, live without a reload, cut off and healed, halted, resumed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from oms.web.paint import PATHS
from tests.web.chromium import ARGUMENTS, NO_CHROMIUM, chromium
from tests.web.conftest import ROOT
from tests.web.house import House, house_in

SLOW = """\
account: paper-main
broker: {paper: {cash: 1000, positions: {AAA: 100}, settle_after: 1500ms, funds_lag: 20ms, fill_delay: 900ms,
                 partial_fills: 100%}}
settlement: {poll: 100ms}
execution: {grace: 0ms}
market: {replay: {data: bars.csv}}
selection: {universe: symbols.txt, min_history: 2}
"""
"""An account whose cycle takes a few seconds, so that a reader can follow it: fills in two parts, money that comes late."""
HOLDING = """
import sys, time
from pathlib import Path
from oms import crashpoints
from oms.cli import main
passed, holds = set(), [("ask.before_call", "selling"), ("funds.before_call", "settling")]
def hold(name):
    passed.add(name)
    if holds and name == holds[0][0] and "send.after_outcome" in passed:
        until = Path("seen-" + holds.pop(0)[1])
        while not until.exists():
            time.sleep(0.01)
crashpoints.strike = hold
main(sys.argv[1:])
"""
"""The program, but that it waits twice in the middle of a cycle: for its sells, and for their money, until each was seen."""
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
DESK, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all of these tests."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def slow(traded: Path) -> Iterator[House]:
    """An account with a cycle behind it and a slow one to come, and its pages."""
    (traded / "config.yaml").write_text(SLOW, "utf-8")
    (traded / "slow.csv").write_text("side,symbol,quantity,price,score\nsell,AAA,30,,\nbuy,BBB,60,,\n", "utf-8")
    with house_in(traded) as house:
        yield house


@contextmanager
def opened(browser: Browser, house: House, **wishes: object) -> Iterator[tuple[Page, list[str]]]:
    """A page of a person who has logged in, and what the browser complained about."""
    context = browser.new_context(**{"viewport": DESK, "locale": "en-US", **wishes})  # type: ignore[arg-type]  # as said
    try:
        yield logged_in(context, house)
    finally:
        context.close()


def logged_in(context: BrowserContext, house: House) -> tuple[Page, list[str]]:
    client = house.browser()
    context.add_cookies([{"name": house.cookie, "value": client.cookies[house.cookie], "url": house.origin}])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def engine(folder: Path, *words: str, program: str | None = None) -> subprocess.Popen[bytes]:
    """A process that works on this account: ``cli.py``, or another program around it."""
    return subprocess.Popen(
        [sys.executable, *([str(ROOT / "cli.py")] if program is None else ["-c", program]), *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMS_NO_SETUP": "1", "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_opens_without_a_complaint(browser: Browser, house: House, theme: str, size: dict[str, int]) -> None:
    """In both themes, on a desk and on a phone: nothing in the console, nothing wider than the screen, one heading."""
    cycle = house.operator().get("/cycles.json").json()["cycles"][0]["cycle_id"]
    with opened(browser, house, color_scheme=theme, viewport=size) as (page, complaints):
        grounds = set()
        for path in [*PATHS.values(), f"/cycles/{cycle}"]:
            page.goto(house.origin + path)
            page.locator(".counter, h1").first.wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
            assert page.locator("main h1:visible").count() == 1, path
            drawn = "standing" if size is PHONE else "lying"
            if path in ("/", f"/cycles/{cycle}"):
                assert page.locator(f"svg.{drawn}").is_visible()
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert complaints == []
        assert grounds == {"rgb(244, 246, 249)" if theme == "light" else "rgb(13, 19, 28)"}


def test_a_cycle_is_followed_from_selling_to_done_without_a_reload(browser: Browser, slow: House) -> None:
    """The page that was opened before the cycle shows every phase as it comes, by the stream alone."""
    with opened(browser, slow) as (page, complaints):
        page.goto(slow.origin)
        page.evaluate("window.stays = true")
        before = page.locator("#now-machine h1 a").inner_text()
        trading = engine(slow.folder, "run", "--signals", "slow.csv", program=HOLDING)
        try:
            machine = page.locator("#now-machine svg.lying")
            machine.locator(".station.here.of-selling").wait_for()
            (slow.folder / "seen-selling").touch()
            machine.locator(".station.here.of-settling").wait_for()
            expect(page.locator("#now-machine .waits h2")).to_have_text("Waiting for the money")
            expect(page.locator("#pulse .beat")).to_have_class(re.compile("on"))
            (slow.folder / "seen-settling").touch()
            machine.locator(".station.done.of-done").wait_for()
            assert trading.wait(120) == 0
        finally:
            trading.kill()
            trading.wait()
        assert page.locator("#now-machine h1 a").inner_text() != before
        assert page.locator("#now-orders tbody tr").count() == 2
        assert page.evaluate("window.stays") is True
        assert complaints == []


def test_a_page_says_that_its_stream_is_lost_and_heals_by_itself(browser: Browser, own: House) -> None:
    """Without a line to the server the page says so and what it still shows; when the line is back it says that too."""
    with opened(browser, own) as (page, _):
        page.goto(own.origin)
        page.evaluate("window.stays = true")
        page.locator("#pulse .beat").wait_for()
        page.wait_for_function("document.documentElement.dataset.stream === 'live'")
        page.context.set_offline(True)
        page.locator("#stream.bad").wait_for()
        assert "The stream is lost" in page.locator("#stream").inner_text()
        own.operator().post("/api/v1/halt", json={"scope": "buys", "reason": "while nobody saw it"})
        page.context.set_offline(False)
        expect(page.locator("#stream")).to_have_text("The stream is back.")
        expect(page.locator("#alarms")).to_contain_text("while nobody saw it")
        assert page.evaluate("window.stays") is True


def test_halt_is_one_press_and_release_asks_first(browser: Browser, own: House) -> None:
    """One press brings the red card and the journal's fact; release opens a question, wants a reason, and takes it off."""
    with opened(browser, own) as (page, complaints):
        page.goto(f"{own.origin}/risk")
        page.get_by_role("button", name="Halt", exact=True).click()
        expect(page.locator("#alarms")).to_contain_text("HALTED: no buy is sent")
        assert page.url == f"{own.origin}/risk"
        expect(page.locator(".notice")).to_contain_text("halted")
        page.get_by_text("Release…").click()
        yes = page.get_by_role("button", name="Yes, release")
        yes.click()
        assert page.locator("#alarms .alarm").count() == 1  # the browser itself asks for the reason
        page.get_by_label("Why?").first.fill("looked at it")
        yes.click()
        expect(page.locator("#alarms")).not_to_contain_text("HALTED")
        expect(page.locator("#risk-brakes tbody tr").first).to_contain_text("looked at it")
        assert complaints == []


def test_a_killed_cycle_stands_open_and_its_timeline_shows_the_gap(browser: Browser, slow: House) -> None:
    """After kill -9 the page says that nobody works on the open cycle; resumed, its timeline has the hole in it."""
    with opened(browser, slow) as (page, complaints):
        page.goto(slow.origin)
        trading = engine(slow.folder, "run", "--signals", "slow.csv")
        page.locator("#now-machine svg.lying .station.here.of-settling").wait_for()
        os.kill(trading.pid, signal.SIGKILL)
        trading.wait(120)
        expect(page.locator("#now-machine .waits h2")).to_have_text("Waiting for a process")
        again = engine(slow.folder, "resume")
        page.locator("#now-machine svg.lying .station.done.of-done").wait_for()
        assert again.wait(120) == 0
        resumed = next(c for c in slow.operator().get("/cycles.json").json()["cycles"] if c["resumed"])
        page.goto(f"{slow.origin}/cycles/{resumed['cycle_id']}")
        expect(page.locator("svg.timeline.wide .gap .gap-name")).to_have_text(re.compile(r"process down \d"))
        expect(page.locator("#cycle-journal")).to_contain_text("process resumed")
        assert complaints == []


def test_the_scrubber_redraws_the_cycle_as_it_was(browser: Browser, house: House) -> None:
    """With the keyboard alone: back to the first fact, where no order is, and forward to the end."""
    cycle = house.operator().get("/cycles.json").json()["cycles"][0]["cycle_id"]
    with opened(browser, house) as (page, complaints):
        page.goto(f"{house.origin}/cycles/{cycle}")
        page.evaluate("window.stays = true")
        slider = page.get_by_label("Fact of the cycle at which everything below is shown")
        slider.focus()
        page.keyboard.press("Home")
        expect(page.locator("#cycle-orders")).to_contain_text("No order was planned yet.")
        expect(page.locator("#cycle-head svg.lying .station.here")).to_contain_text("SELLING")
        assert "?at=" in page.url
        page.keyboard.press("End")
        expect(page.locator("#cycle-orders tbody tr")).to_have_count(2)
        expect(page.locator("#cycle-head svg.lying .station.done")).to_have_count(5)
        assert page.evaluate("window.stays") is True
        assert complaints == []


def test_a_page_can_be_read_and_steered_with_the_keyboard(browser: Browser, house: House) -> None:
    """The first stop leads to the content, every control has a name, and every drawing says what it shows."""
    with opened(browser, house) as (page, _):
        page.goto(house.origin)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        nameless = page.evaluate(
            "[...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary')]"
            ".filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
        )
        assert nameless == []
        silent = page.evaluate("[...document.querySelectorAll('svg')].filter(e => !e.ariaLabel).length")
        assert silent == 0


def test_the_printed_link_opens_the_dashboard(browser: Browser, house: House) -> None:
    """The token behind the # logs a person in and stays neither in the address nor in the history."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"{house.origin}/login#token={house.keys.operate}")
        page.wait_for_url(f"{house.origin}/")
        page.locator("#now-money").wait_for()
        page.go_back()
        assert "token" not in page.url
    finally:
        context.close()


def test_the_pages_speak_chinese_and_red_rises(browser: Browser, house: House) -> None:
    """A Chinese browser gets Chinese pages, and gains in red; the reader's own choice wins over both."""
    with opened(browser, house, locale="zh-CN") as (page, _):
        page.goto(f"{house.origin}/positions")
        expect(page.locator("nav a[aria-current]")).to_have_text("持仓")
        red = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--gain')")
        page.get_by_label("涨跌颜色").select_option("green")
        page.wait_for_function("document.documentElement.dataset.gains === 'green'")
        assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--gain')") != red


def test_the_pages_work_without_any_script(browser: Browser, own: House) -> None:
    """With scripts off a page is whole, the scrubber steps by links, and the brake works."""
    cycle = own.operator().get("/cycles.json").json()["cycles"][0]["cycle_id"]
    with opened(browser, own, java_script_enabled=False) as (page, _):
        page.goto(f"{own.origin}/cycles/{cycle}")
        page.get_by_label("one fact earlier").click()
        expect(page.locator("#scrubber")).to_contain_text("Shown as it was at")
        page.get_by_role("button", name="Halt all").click()
        expect(page.locator("#alarms")).to_contain_text("HALTED: no order is sent")
