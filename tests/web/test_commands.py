"""Checks the few commands of the API: each goes through the mailbox; none can order, arm or change the mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from oms import operator_desk
from oms.gateways.system_clock import SystemClock
from oms.journal.store import open_journal
from oms.web.commands import COMMANDS
from oms.web.fleet_forms import DEEDS
from oms.web.forms import TARGETS
from tests.web.house import House, html, routes_of


def facts(house: House, kind: str) -> list[dict[str, Any]]:
    events = house.reader().get(f"/api/v1/journal?kind={kind}").json()["events"]
    return [event["data"] for event in events]


def test_a_halt_and_a_release_are_journaled_with_author_and_reason(own: House) -> None:
    """Both are in the journal when the answer comes, with the user, the way and the address, and the reason."""
    client = own.operator()
    halted = client.post("/api/v1/halt", json={"scope": "all", "reason": "storm"}).json()
    assert (halted["accepted"], halted["answer"]) == (True, "halted: no order is sent until `release`")
    assert own.reader().get("/api/v1/status").json()["halted"]["reason"] == "storm"
    assert client.post("/api/v1/release", json={"reason": "it is over"}).json()["answer"] == "released"
    (halt,), (release,) = facts(own, "halted"), facts(own, "released")
    assert halt["author"] == release["author"] == f"{operator_desk.author()} by api from 127.0.0.1"
    assert (halt["reason"], release["reason"]) == ("storm", "it is over")


def test_the_blacklist_takes_and_gives_back_symbols(own: House) -> None:
    """A symbol goes onto the list until a time, and off it again; one that is not there is a refusal, not an error."""
    client = own.operator()
    body = {"symbol": "BBB", "reason": "audit", "until": "2030-01-01"}
    assert client.post("/api/v1/blacklist/add", json=body).json()["answer"] == "BBB is on the blacklist"
    (row,) = client.get("/api/v1/blacklist").json()["symbols"]
    assert (row["symbol"], row["until"]) == ("BBB", "2030-01-01T00:00:00.000000Z")
    assert client.post("/api/v1/blacklist/remove", json={"symbol": "BBB", "reason": "done"}).json()["accepted"] is True
    again = client.post("/api/v1/blacklist/remove", json={"symbol": "BBB", "reason": "done"})
    assert (again.status_code, again.json()["accepted"]) == (200, False)
    assert again.json()["answer"].startswith("refused")


def test_an_order_that_is_not_in_doubt_and_a_cycle_without_an_engine_are_refused(own: House) -> None:
    """The engine's own rules decide, not the API."""
    client = own.operator()
    order = client.get("/api/v1/orders").json()["orders"][0]["cl_ord_id"]
    answer = client.post("/api/v1/orders/resolve", json={"cl_ord_id": order, "reason": "seen"}).json()
    assert answer["accepted"] is False
    assert "is not in doubt" in answer["answer"]
    answer = client.post("/api/v1/run", json={"reason": "now"}).json()
    assert answer["answer"] == "refused: no engine is running; `run` starts one"


@pytest.fixture
def silent_engine(own: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """An engine holds the lease and reads no mailbox; commands are not patient."""
    monkeypatch.setattr(operator_desk, "PATIENCE_S", 0.1)
    url = f"sqlite:///{own.folder / 'var' / 'oms.db'}"
    with closing(open_journal(url, "paper-main", "paper", SystemClock())):
        yield own


def test_a_command_that_nobody_has_journaled_yet_counts_all_the_same(silent_engine: House) -> None:
    """It is in the mailbox, and the answer says why it waits."""
    answer = silent_engine.operator().post("/api/v1/halt", json={}).json()
    assert (answer["accepted"], answer["answer"]) == (None, None)
    assert "its lease ends" in answer["waits"]
    assert answer["inbox_id"] == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/release", {}),
        ("/api/v1/release", {"reason": "   "}),
        ("/api/v1/halt", {"scope": "everything"}),
        ("/api/v1/halt", {"reason": "x" * 501}),
        ("/api/v1/halt", {"mode": "live"}),
        ("/api/v1/blacklist/add", {"symbol": "'; DROP", "reason": "x"}),
        ("/api/v1/blacklist/add", {"symbol": "BBB", "reason": "x", "until": "some day"}),
        ("/api/v1/orders/resolve", {"cl_ord_id": "", "reason": "x"}),
        ("/api/v1/orders/resolve", {"cl_ord_id": "a\nb", "reason": "x"}),
    ],
)
def test_a_command_that_makes_no_sense_leaves_nothing_in_the_mailbox(
    own: House, path: str, body: dict[str, str]
) -> None:
    """It is refused before it is posted."""
    assert own.operator().post(path, json=body).status_code in (400, 422)
    assert not (own.folder / "var" / "inbox.db").exists() or _posted(own.folder) == 0


def _posted(folder: Path) -> int:
    from oms.journal.inbox import Inbox

    with closing(Inbox(folder / "var" / "inbox.db")) as inbox:
        return inbox.highest()


def test_a_form_gives_the_same_commands_and_goes_back_to_its_page(own: House) -> None:
    """A page's button needs the session's word; the outcome is shown once, on the page it came from."""
    browser = own.browser()
    viewer = own.doors.sessions.read(browser.cookies[own.cookie])
    assert viewer is not None
    form = {"csrf": viewer.csrf, "reason": "storm", "scope": "buys", "back": "/"}
    assert browser.post("/do/halt", data={**form, "csrf": "wrong"}).status_code == 403
    assert facts(own, "halted") == []
    done = browser.post("/do/halt", data=form)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    (halt,) = facts(own, "halted")
    assert halt["author"].endswith("by dashboard from 127.0.0.1")
    assert own.doors.sessions.told(viewer) == "halted: no buy is sent until `release`"
    browser.post("/do/release", data={"csrf": viewer.csrf, "reason": "", "back": "//evil.example/"})
    assert own.doors.sessions.told(viewer) == "nothing was done: a reason is needed: it is journaled"
    assert html(browser.get("/"))


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\nb", "javascript:x"]
)
def test_a_form_leads_nowhere_else(own: House, target: str) -> None:
    """``back`` is a path of this site, or the first page."""
    browser = own.browser()
    viewer = own.doors.sessions.read(browser.cookies[own.cookie])
    assert viewer is not None
    done = browser.post("/do/halt", data={"csrf": viewer.csrf, "back": target})
    assert done.headers["location"] == "/"


# ---- the inventory ---------------------------------------------------------------------------------------------------

MAY_CHANGE = {
    *("/login", "/logout"),
    *("/api/v1/halt", "/api/v1/release", "/api/v1/run", "/api/v1/orders/resolve"),
    *("/api/v1/blacklist/add", "/api/v1/blacklist/remove"),
    *(f"/do/{name}" for name in (*TARGETS, *DEEDS)),
}


def test_the_paths_that_change_something_are_these_and_no_others(own: House) -> None:
    """No route orders, arms live trading or changes the mode: what is not GET is on this list."""
    changing = {path for path, methods, _ in routes_of(own) if methods - {"GET", "HEAD"}}
    assert changing == MAY_CHANGE
    strange = {path for path, _, route in routes_of(own) if not isinstance(route, APIRoute)}
    assert strange <= {"/static"}  # no application of another kind hides below a path


def test_the_commands_that_reach_the_mailbox_are_these_and_no_others() -> None:
    """Halt, release, the blacklist, the word about an order in doubt, and a cycle at once; nothing arms or orders."""
    assert {command.name for command in COMMANDS} == {
        *("halt", "release", "blacklist_add", "blacklist_remove", "resolve", "run_now"),
    }
    assert set(TARGETS.values()) == set(COMMANDS)
    assert set(DEEDS) == {"fleet-halt", "fleet-release", "fleet-pause", "fleet-unpause"}


def test_nothing_of_a_get_is_left_in_the_mailbox(own: House) -> None:
    """Every path answered with GET leaves journal and mailbox as they were."""
    before = own.reader().get("/api/v1/status").json()["journal"]
    client = own.operator()
    for path in sorted(MAY_CHANGE - {"/login"}):
        assert client.get(path).status_code in (404, 405)
    assert own.reader().get("/api/v1/status").json()["journal"] == before
