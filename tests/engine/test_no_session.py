"""No session to trade: the data have ended, or a calendar has come to the end of its knowledge."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from oms.model.account import Session
from oms.model.event import AttentionRaised
from tests.engine.house import House, sell

NOTICE = "the calendar of XSES ends with 2026-12-31"


def test_the_end_of_the_data_is_a_good_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the source has nothing to say, no session means that the work is done."""
    house = House(tmp_path)
    monkeypatch.setattr(house.market, "enter", lambda _last, _open: None)
    ending = house.run(sell("AAA"))
    assert (ending.exit_code, ending.why) == (0, "no trading day is left in the data")
    assert house.journal.events == []


def test_a_calendar_that_ends_is_told_and_journaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the calendar does not know the next session the market is closed: a person is told, and a later try is due."""
    house = House(tmp_path)
    assert house.run(sell("AAA")).exit_code == 0
    known = len(house.journal.events)
    monkeypatch.setattr(house.market, "enter", lambda _last, _open: None)
    monkeypatch.setattr(house.market, "notice", lambda: NOTICE)
    ending = house.run(sell("AAA"))
    assert (ending.exit_code, ending.why) == (75, NOTICE)
    assert house.journal.events[known:] == [AttentionRaised(rule="calendar_unknown", text=NOTICE)]


def test_a_new_journal_does_not_begin_with_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the account's first fact the notice is told and not journaled."""
    house = House(tmp_path)
    monkeypatch.setattr(house.market, "enter", lambda _last, _open: None)
    monkeypatch.setattr(house.market, "notice", lambda: NOTICE)
    assert house.run(sell("AAA")).why == NOTICE
    assert house.journal.events == []


def test_an_engine_that_stays_up_waits_for_a_calendar_and_says_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as closed at every beat, one fact asks for a person, and trading goes on when a session is known again."""
    house = House(tmp_path, patient=True)
    house.run(sell("AAA", 10))
    house.market.next_day()
    enter, looks = house.market.enter, 0

    def unknown(last_day: date | None, open_day: date | None) -> Session | None:
        nonlocal looks
        looks += 1
        return enter(last_day, open_day) if looks > 5 else None

    monkeypatch.setattr(house.market, "enter", unknown)
    monkeypatch.setattr(house.market, "notice", lambda: NOTICE)
    assert house.run(sell("AAA", 10), loop=True, stop_after=2).exit_code == 143
    assert looks > 5
    assert house.journal.kinds.count("attention_raised") == 1
