"""What may happen to a cycle besides a kill: each script is one kind of bad weather, by its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from oms.model.order import Side
from oms.model.rules import DoubtPolicy, Rules
from oms.model.signal import Signal
from tests.engine.house import House, buy
from tests.engine.lives import WISHES, Script, WatchedHouse
from tests.fakes.faulty_broker import PlaceFault

SOON = timedelta(seconds=5)
QUARANTINE = Rules(doubt_then=DoubtPolicy.QUARANTINE, doubt_window=SOON)
HOLD = Rules(doubt_then=DoubtPolicy.HOLD, doubt_window=SOON)


def places(*faults: PlaceFault):
    """The first requests meet these."""
    return lambda house: house.broker.next_places(*faults)


def reads_fail(house: House) -> None:
    """Each kind of read fails twice at its first calls."""
    for method in ("orders", "funds", "positions", "quotes", "reserve"):
        house.broker.fail(method, 2)


def hide_everything(reads: int):
    """The list and the single order show no order for so many reads."""

    def hide(house: House) -> None:
        for number in range(1_000_000, 1_000_030):
            house.broker.hide(str(number), reads)

    return hide


def deliver(house: House) -> None:
    """Whatever was late arrives now."""
    assert isinstance(house, WatchedHouse)
    house.late.update(order.cl_ord_id for order in house.broker._late)
    house.broker.deliver_late()


def deliver_at(*passages: int):
    """Whatever is late arrives at these passages."""
    return lambda house, passage, _: deliver(house) if passage in passages else None


def halt_at(passage: int, scope: str = "buys"):
    """An operator halts at this passage."""

    def halt(house: House, now: int, _: str) -> None:
        if now == passage:
            house.mailbox.post(house.clock, "halt", scope=scope, reason="scripted")

    return halt


def release(house: House) -> None:
    """An operator lets go of the brake."""
    if house.journal.state.halt is not None:
        house.mailbox.post(house.clock, "release", reason="scripted")


def blacklist_at(passage: int, symbol: str):
    """An operator bars a symbol at this passage."""

    def bar(house: House, now: int, _: str) -> None:
        if now == passage:
            house.mailbox.post(house.clock, "blacklist_add", symbol=symbol, reason="scripted")

    return bar


def declare_void(house: House) -> None:
    """An operator declares void what the engine holds for a person."""
    for order in house.journal.state.unresolved:
        house.mailbox.post(house.clock, "resolve", cl_ord_id=order.cl_ord_id, reason="asked by telephone")


def rise_at(passage: int):
    """What is to be bought costs three per cent more from this passage on."""

    def rise(house: House, now: int, _: str) -> None:
        if now == passage:
            for symbol in ("CCC", "DDD"):
                house.market.prices[symbol] = (house.market.prices[symbol] * Decimal("1.03")).quantize(Decimal("0.01"))

    return rise


def tidy_between_steps(house: House, passage: int, name: str) -> None:
    """A quiet moment comes in the middle; the real store folds its log."""
    if name == "decide.after_done":
        house.journal.tidy()


STUCK = (Signal(side=Side.SELL, symbol="AAA", quantity=None, price=Decimal("50.40"), score=None), *WISHES[1:])
"""A sell whose limit nobody pays."""
SMALL = (*WISHES[:2], buy("CCC", 50), buy("DDD", 100))
IMPATIENT = Rules(order_deadline=SOON, doubt_window=SOON)

SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        Script(name="plain"),
        Script(name="in two parts", house={"partial_fills": Decimal(1)}),
        Script(name="replies lost", prepare=places(*[PlaceFault.REPLY_LOST] * 4)),
        Script(name="requests lost", prepare=places(PlaceFault.REQUEST_LOST, PlaceFault.NONE, PlaceFault.REQUEST_LOST)),
        Script(
            name="one request lost again and again",
            house={"rules": Rules(doubt_window=SOON)},
            prepare=places(*[PlaceFault.REQUEST_LOST] * 9),
        ),
        Script(name="not sent", prepare=places(PlaceFault.NOT_SENT, PlaceFault.NONE, PlaceFault.NOT_SENT)),
        Script(name="not sent after a lost reply", prepare=places(PlaceFault.REPLY_LOST, PlaceFault.NOT_SENT)),
        Script(name="refused", prepare=places(PlaceFault.REFUSED, PlaceFault.NONE, PlaceFault.REFUSED)),
        Script(
            name="late",
            prepare=places(PlaceFault.LATE, PlaceFault.LATE, PlaceFault.LATE),
            at_passage=deliver_at(32, 45, 60, 75),
            between=deliver,
        ),
        Script(
            name="late in quarantine",
            house={"rules": QUARANTINE},
            prepare=places(PlaceFault.LATE),
            at_passage=deliver_at(70),
        ),
        Script(
            name="late buy in quarantine",
            house={"rules": QUARANTINE},
            prepare=places(PlaceFault.NONE, PlaceFault.NONE, PlaceFault.LATE),
            at_passage=deliver_at(70),
        ),
        Script(name="lost in quarantine", house={"rules": QUARANTINE}, prepare=places(PlaceFault.REQUEST_LOST)),
        Script(
            name="found before quarantine", house={"rules": QUARANTINE}, prepare=places(*[PlaceFault.REPLY_LOST] * 4)
        ),
        Script(
            name="hidden in quarantine",
            house={"rules": QUARANTINE},
            prepare=lambda house: (places(PlaceFault.REPLY_LOST)(house), hide_everything(4)(house))[0],
        ),
        Script(
            name="held for a person",
            house={"rules": HOLD},
            prepare=places(PlaceFault.REQUEST_LOST, PlaceFault.NONE, PlaceFault.REPLY_LOST),
            after=declare_void,
        ),
        Script(name="the list lags", house={"list_lag": timedelta(seconds=2)}),
        Script(
            name="the list lags, replies lost",
            house={"list_lag": timedelta(seconds=2)},
            prepare=places(*[PlaceFault.REPLY_LOST] * 4),
        ),
        Script(
            name="the list lags in quarantine",
            house={"list_lag": timedelta(seconds=2), "rules": QUARANTINE},
            prepare=places(PlaceFault.NONE, PlaceFault.REPLY_LOST),
        ),
        Script(name="hidden", prepare=hide_everything(3)),
        Script(name="reads fail", prepare=reads_fail),
        Script(name="a sell is stuck", wishes=STUCK, house={"rules": IMPATIENT}),
        Script(
            name="a sell is stuck, cancels lost",
            wishes=STUCK,
            house={"rules": IMPATIENT},
            prepare=lambda house: house.broker.next_cancels(PlaceFault.REQUEST_LOST, PlaceFault.REPLY_LOST),
        ),
        Script(name="halted while selling", at_passage=halt_at(12), after=release),
        Script(name="halted for all while selling", at_passage=halt_at(9, "all"), after=release),
        Script(name="halted while buying", at_passage=halt_at(44), after=release),
        Script(
            name="halted for all before a lost request",
            house={"rules": IMPATIENT},
            prepare=places(PlaceFault.REQUEST_LOST),
            at_passage=halt_at(14, "all"),
            after=release,
        ),
        Script(name="barred while buying", at_passage=blacklist_at(40, "CCC")),
        Script(name="holds what it buys", house={"positions": {"AAA": 100, "BBB": 200, "CCC": 50}}),
        Script(name="prices rise after the plan", wishes=SMALL, at_passage=rise_at(20)),
        Script(name="sells only", wishes=WISHES[:2]),
        Script(name="buys only", wishes=WISHES[2:]),
    )
}
"""Every script on the store in memory."""

ON_DISK: dict[str, Script] = {
    name: replace(SCRIPTS[name], sqlite=True) for name in ("plain", "replies lost", "halted while buying")
} | {
    "folded in the middle": Script(name="folded in the middle", sqlite=True, at_passage=tidy_between_steps),
}
"""The same on the real store."""
