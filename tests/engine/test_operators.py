"""Operators' commands: each becomes a fact or a refusal, and none of them can end the process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from oms.engine.operators import carry_out
from oms.model.detail import HaltScope
from oms.model.event import Blacklisted, Halted, SymbolFrozen
from oms.model.order import OrdStatus
from oms.ports import Message
from tests.model.story import Story, intent

SELL = intent("S0", "AAA")


def message(command: str, **arguments: str) -> Message:
    return Message(
        inbox_id=7,
        at=datetime(2026, 3, 2, tzinfo=UTC),
        author="ann",
        command=command,
        arguments=arguments,
    )


def tell(story: Story, command: str, fence: Any = None, **arguments: str) -> str:
    events, answer = carry_out(story.state, message(command, **arguments), fence=fence)
    story.tell(*events)
    return answer


def in_doubt() -> Story:
    return Story().opens(SELL).sends("S0").doubts("S0")


COMMANDS: dict[str, dict[str, str]] = {
    "halt": {"scope": "all", "reason": "storm"},
    "release": {},
    "live_disarm": {"reason": "holidays"},
    "blacklist_add": {"symbol": "AAA"},
    "blacklist_remove": {"symbol": "AAA"},
    "unfreeze": {"symbol": "AAA"},
    "resolve": {"cl_ord_id": "S0", "reason": "seen"},
    "run_now": {"reason": "the news are out"},
    "no such thing": {},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_moves_the_mailbox_on(command: str) -> None:
    """Carried out or refused, the journal holds the number of the command, so it is never carried out again."""
    story = in_doubt()
    tell(story, command, **COMMANDS[command])
    assert story.state.inbox_id == 7


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("halt", {"scope": "everything"}),
        ("blacklist_add", {}),
        ("blacklist_add", {"symbol": "aaa"}),
        ("blacklist_add", {"symbol": "AAA", "until": "tomorrow"}),
        ("blacklist_add", {"symbol": "AAA", "until": "2026-03-02T10:00:00"}),
        ("blacklist_remove", {}),
        ("unfreeze", {}),
        ("resolve", {}),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command: str, arguments: dict[str, str]) -> None:
    """A row that another program wrote into the mailbox cannot stop the engine, at this start or at any later one."""
    story = in_doubt()
    seq = story.state.seq
    assert tell(story, command, **arguments).startswith("refused: ")
    assert (story.state.inbox_id, story.state.seq) == (7, seq + 1)
    assert (story.state.halt, story.state.blacklist) == (None, {})


def test_a_smaller_halt_does_not_loosen_a_larger_one() -> None:
    """Only `release` takes the brake off: `halt` after `halt --all` leaves every order stopped."""
    story = Story()
    tell(story, "halt", scope="all", reason="storm")
    tell(story, "halt", scope="buys")
    halt: Any = story.state.halt
    assert isinstance(halt, Halted)
    assert (halt.scope, halt.reason) == (HaltScope.ALL, "storm")
    tell(story, "release")
    assert story.state.halt is None


def test_a_halt_grows() -> None:
    """`halt --all` after `halt` stops sells as well."""
    story = Story()
    tell(story, "halt")
    tell(story, "halt", scope="all")
    halt: Any = story.state.halt
    assert halt.scope is HaltScope.ALL


def test_an_order_in_doubt_is_voided_on_an_operators_word() -> None:
    """The void names its author, releases the reservation and unfreezes the symbol."""
    story = in_doubt().quarantines("S0")
    assert "AAA" in story.state.frozen
    assert tell(story, "resolve", cl_ord_id="S0", reason="asked them by telephone") == (
        "S0 is void: it releases its reservation"
    )
    order = story.order("S0")
    assert (order.ord_status, order.leaves_qty) == (OrdStatus.VOID, 0)
    assert order.text == "operator: asked them by telephone"
    assert "AAA" not in story.state.frozen


@pytest.mark.parametrize("what", ["planned", "live", "filled", "known number", "unknown status", "nobody's"])
def test_only_an_order_that_the_broker_may_not_have_is_voided(what: str) -> None:
    """Void is refused wherever nothing is in doubt, or where the broker has shown the order."""
    story = Story().opens(SELL)
    match what:
        case "live":
            story.sends("S0").acknowledges("S0")
        case "filled":
            story.sends("S0").acknowledges("S0").fills("S0")
        case "known number":
            story.sends("S0").acknowledges("S0").doubts("S0", raw="Held")
        case "unknown status":
            story.sends("S0").doubts("S0", raw="Held")
        case _:
            pass
    before = story.state.order("S0")
    key = "S9" if what == "nobody's" else "S0"
    assert tell(story, "resolve", cl_ord_id=key).startswith("refused: ")
    assert story.state.order("S0") == before


def test_a_request_under_way_is_not_voided() -> None:
    """While the engine waits for the answer, the order is not in doubt; SENDING of a dead process is."""
    story = Story().opens(SELL).sends("S0")
    assert tell(story, "resolve", fence=1, cl_ord_id="S0").startswith("refused: ")
    assert story.order("S0").ord_status is OrdStatus.SENDING
    tell(story, "resolve", fence=2, cl_ord_id="S0")
    assert story.order("S0").ord_status is OrdStatus.VOID


def test_the_blacklist_and_the_freezer_are_told_apart() -> None:
    """Taking off what is not there is refused; taking off what is there names the author."""
    story = Story()
    assert tell(story, "unfreeze", symbol="AAA") == "refused: AAA is not frozen"
    assert tell(story, "blacklist_remove", symbol="AAA") == "refused: AAA is not on the journal's blacklist"
    story.tell(SymbolFrozen(symbol="AAA", reason=""), Blacklisted(symbol="AAA", reason="", author="bob"))
    assert tell(story, "unfreeze", symbol="AAA") == "AAA may trade again"
    assert tell(story, "blacklist_remove", symbol="AAA") == "AAA is off the blacklist"
    assert (story.state.frozen, story.state.blacklist) == ({}, {})


def test_a_cycle_at_once_is_for_an_engine_that_runs_and_is_not_halted() -> None:
    """Without an engine, or with the brake on, the wish is refused and says what to do; else the state knows of it."""
    story = Story()
    assert tell(story, "run_now") == "refused: no engine is running; `run` starts one"
    assert story.state.asked_to_run == 0
    assert tell(story, "run_now", fence=1) == "the next cycle begins at once"
    assert story.state.asked_to_run == 7
    tell(story, "halt", fence=1)
    assert "halted" in tell(story, "run_now", fence=1)
