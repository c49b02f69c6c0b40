"""Checks the way in: who may read what, how a person logs in and out, and what a first start shows."""

from __future__ import annotations

from tests.web.house import House, html


def test_a_stranger_gets_the_login_page_or_a_refusal(house: House) -> None:
    """A browser is led to the login, a program is told that it needs a token, and neither learns anything else."""
    stranger = house.stranger()
    led = stranger.get("/", headers={"Accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/login")
    refused = stranger.get("/metrics")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "no_token"


def test_a_person_logs_in_with_the_token_and_out_again(house: House) -> None:
    """The token opens a session, the session opens the pages; after logging out its cookie opens nothing."""
    browser = house.browser()
    assert "paper-main" in html(browser.get("/"))
    refused = browser.post("/logout", data={"csrf": "wrong"}, headers={"Origin": house.origin})
    assert refused.status_code == 403
    assert browser.get("/").status_code == 200
    cookie = browser.cookies[house.cookie]
    viewer = house.doors.sessions.read(cookie)
    assert viewer is not None
    left = browser.post("/logout", data={"csrf": viewer.csrf}, headers={"Origin": house.origin})
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert house.cookie not in browser.cookies
    browser.cookies.set(house.cookie, cookie)
    assert browser.get("/").status_code == 303
