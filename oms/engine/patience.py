"""How long to wait, told so that a wall clock that was set back can neither freeze a wait nor turn it into a hot loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from oms.engine.orders import Ask, Decision, ReadFunds, Seen, Stop, Wait
from oms.model.cycle import Cycle
from oms.model.rules import Rules

EARLIEST = datetime.min.replace(tzinfo=UTC)


def has_passed(since: datetime, span: timedelta, now: datetime) -> bool:
    """Whether a wait begun at ``since`` is over. One that began in the future is: better once too early than never.

    Only for waits between two looks; nothing is concluded from one of these.
    """
    return now >= since + span or now < since


def not_before(instant: datetime, seen: Seen) -> datetime:
    """The instant that a reading must not be older than.

    One that lies in the future was journaled before the clock was set back; every reading that this process still
    remembers was begun after it, since the driver forgets readings when such facts are journaled.
    """
    return instant if instant <= seen.now else EARLIEST


def ask_again(seen: Seen, rules: Rules, waiting: str) -> Decision:
    """Read the broker's orders once a poll, and sooner where the broker says that something changed."""
    if seen.asked_at is None or seen.stirred or has_passed(seen.asked_at, rules.poll, seen.now):
        return Decision(then=Ask())
    return Decision(then=Wait(until=seen.asked_at + rules.poll, why=waiting))


def unreadable(cycle: Cycle, seen: Seen, rules: Rules, why: str) -> ReadFunds | Wait | Stop:
    """Figures that are not finite: the cycle holds until they are, or leaves it to the next run."""
    if seen.funds is None or has_passed(seen.funds.at, rules.poll, seen.now):
        return ReadFunds()
    began = max(seen.started_at, cycle.phase_since)
    if not seen.patient and seen.now >= began + rules.settle_deadline:
        return Stop(exit_code=75, why=f"{why}; the cycle stays open, the next run goes on")
    return Wait(until=seen.funds.at + rules.poll, why=why)
