"""Whole stories: one account walked through its cycles on fakes and the real paper broker, in good weather and bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oms.gateways.paper.outsider import Outsider
from oms.model.account import Funds
from oms.model.cycle import Phase
from oms.model.detail import Outcome, SettledBy
from oms.model.event import AttentionRaised, BuysRevalidated, FundsSettled, OrderFilled, OrderSending
from oms.model.order import OrderRequest, OrdStatus, Side
from oms.model.rules import DoubtPolicy, Rules
from oms.ports import OrdersRead
from tests.engine.house import House, buy, sell
from tests.fakes.faulty_broker import PlaceFault

QUARANTINE = Rules(doubt_then=DoubtPolicy.QUARANTINE)
Build = Callable[..., House]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    houses: list[House] = []

    def make(**how: Any) -> House:
        houses.append(House(tmp_path, **how))
        return houses[-1]

    yield make
    for house in houses:
        house.paper.close()


def statuses(house: House) -> dict[str, str]:
    return {order.symbol: order.ord_status.value for order in house.cycle.orders.values()}


def kinds_of(house: House, symbol: str) -> list[str]:
    key = house.order(symbol).cl_ord_id
    return [event.kind for event in house.journal.events if getattr(event, "cl_ord_id", "") == key]


def sent_orders(house: House) -> list[tuple[Side, str]]:
    return [(request.side, request.symbol) for request in house.broker.placed]


def interrupt(house: House, method: str, deed: Callable[[], object], at: int = 1) -> None:
    """Do something just before the n-th call of a broker's method."""
    inner, calls = getattr(house.broker, method), iter(range(1, 10_000))

    def wrapped(*arguments: Any) -> Any:
        if next(calls) == at:
            deed()
        return inner(*arguments)

    setattr(house.broker, method, wrapped)


def go_deaf(house: House) -> None:
    """From now on the broker cannot be asked about orders."""
    house.broker.fail("orders", 10_000)
    house.broker.fail("order", 10_000)


# Good weather ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sells_then_money_then_the_cut_then_buys(build: Build) -> None:
    """A whole cycle: two sells fill, the money settles, a buy is cut to what is there, and everything adds up."""
    house = build(cash=Decimal(1000), settle_after=timedelta(seconds=3))
    ending = house.run(sell("AAA"), sell("BBB", 100), buy("CCC", 40), buy("DDD", 200))
    assert ending.exit_code == 0
    assert sent_orders(house)[:2] == [(Side.SELL, "AAA"), (Side.SELL, "BBB")]
    assert [side for side, _ in sent_orders(house)] == [Side.SELL, Side.SELL, Side.BUY, Side.BUY]
    assert set(statuses(house).values()) == {"FILLED"}
    assert house.order("DDD").order_qty < 200
    assert house.cycle.outcome is Outcome.COMPLETE
    assert house.journal.state.cash == house.paper.funds().cash
    assert {s: h.qty for s, h in house.journal.state.holdings.items() if h.qty} == {
        p.symbol: p.qty for p in house.paper.positions()
    }


def test_no_buy_leaves_before_the_money_is_there(build: Build) -> None:
    """The funds at the end of settling cover the proceeds, and only then buys are revalidated."""
    house = build(cash=Decimal(0), settle_after=timedelta(seconds=5))
    house.run(sell("AAA"), buy("CCC", 40))
    (settled,) = [event for event in house.journal.events if isinstance(event, FundsSettled)]
    assert settled.by is SettledBy.COVERED
    assert settled.spendable >= settled.expected
    fills = [row for row in house.journal.rows if isinstance(row.event, OrderFilled) and row.event.side is Side.SELL]
    sends = [row for row in house.journal.rows if isinstance(row.event, OrderSending) and row.event.symbol == "CCC"]
    assert sends[0].at - fills[-1].at >= timedelta(seconds=5)


def test_money_that_never_comes_is_not_spent(build: Build) -> None:
    """At the deadline the cycle goes on with what is there, and says so."""
    house = build(cash=Decimal(2000), settle_after=timedelta(hours=1))
    house.run(sell("AAA"), buy("CCC", 40))
    (settled,) = [event for event in house.journal.events if isinstance(event, FundsSettled)]
    assert settled.by is SettledBy.DEADLINE
    assert house.order("CCC").order_qty * house.order("CCC").worst_px <= 1600


def test_partial_fills_are_followed_to_the_end(build: Build) -> None:
    """Every order trades in two parts, and both are booked before the phase ends."""
    house = build(partial_fills=Decimal(1))
    house.run(sell("AAA"), buy("CCC", 20))
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}
    assert kinds_of(house, "AAA").count("order_filled") == 2


def test_nothing_to_do_is_one_short_cycle(build: Build) -> None:
    """`--once` with an empty plan journals one cycle with its outcome and sends nothing."""
    house = build()
    assert house.run().exit_code == 0
    assert house.cycle.outcome is Outcome.NOTHING_TO_DO
    assert house.broker.placed == []


def test_a_finished_account_resumes_to_nothing(build: Build) -> None:
    """A second start after DONE asks the broker, learns nothing, and journals nothing."""
    house = build()
    house.run(sell("AAA"), buy("CCC", 10))
    rows, placed = len(house.journal.rows), len(house.broker.placed)
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert (len(house.journal.rows), len(house.broker.placed)) == (rows, placed)
    assert house.broker.calls["orders"] > 0


# Doubt ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_reply_is_asked_about_and_the_order_adopted(build: Build) -> None:
    """The broker took it, the reply was lost: one order there, found by its number, never sent again."""
    house = build()
    house.broker.next_places(PlaceFault.REPLY_LOST)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    assert len([side for side, symbol in sent_orders(house) if symbol == "AAA"]) == 1
    assert kinds_of(house, "AAA")[:5] == [
        "order_planned",
        "order_reserved",
        "order_sending",
        "order_in_doubt",
        "order_acknowledged",
    ]


def test_a_lost_request_goes_again_under_its_number_where_repeats_are_refused(build: Build) -> None:
    """At a broker that is proven to refuse repeats the same number goes out once more, after a reading."""
    house = build()
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    first, second = [request for request in house.broker.placed if request.symbol == "AAA"]
    assert first == second
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}


def test_a_lost_sell_is_parked_and_no_buy_follows(build: Build) -> None:
    """Without the proof: quarantine after the reads and the window, no buy, outcome partial, exit 7."""
    house = build(rules=QUARANTINE)
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    ending = house.run(sell("AAA"), buy("CCC", 10))
    assert ending.exit_code == 7
    assert house.order("AAA").quarantined
    assert house.order("AAA").not_found >= QUARANTINE.doubt_reads
    assert (house.order("CCC").ord_status, house.order("CCC").rule) == (OrdStatus.BLOCKED, "unresolved_sell")
    assert house.cycle.outcome is Outcome.PARTIAL
    assert sent_orders(house) == [(Side.SELL, "AAA")]


def test_a_sell_that_arrives_after_its_quarantine_is_booked_and_still_no_buy(build: Build) -> None:
    """The request was only late: the next start adopts it with its fills; the buy of its cycle stays blocked."""
    house = build(rules=QUARANTINE)
    house.broker.next_places(PlaceFault.LATE)
    house.run(sell("AAA"), buy("CCC", 10))
    house.broker.deliver_late()
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert house.order("AAA").ord_status is OrdStatus.FILLED
    assert house.journal.state.holdings["AAA"].qty == 0
    assert house.order("CCC").rule == "unresolved_sell"
    assert len(house.broker.placed) == 1


def test_hold_waits_for_a_persons_word(build: Build) -> None:
    """Under `hold` the cycle ends with 7 and stays open; `order resolve` voids it and the next run goes on."""
    house = build(rules=Rules(doubt_then=DoubtPolicy.HOLD))
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 7
    assert house.cycle.phase is Phase.SELLING
    house.mailbox.post(house.clock, "resolve", cl_ord_id=house.order("AAA").cl_ord_id, reason="asked the broker")
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert statuses(house) == {"AAA": "VOID", "CCC": "FILLED"}
    assert house.cycle.outcome is Outcome.PARTIAL


def test_a_request_that_did_not_leave_is_tried_again(build: Build) -> None:
    """Connection refused: no doubt, the same number again after a poll."""
    house = build()
    house.broker.next_places(PlaceFault.NOT_SENT)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    assert kinds_of(house, "AAA").count("order_not_sent") == 1
    assert "order_in_doubt" not in kinds_of(house, "AAA")
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}


def test_a_refusal_closes_the_order_and_the_others_go_on(build: Build) -> None:
    """The broker's definite no: REJECTED, never sent again in the cycle, outcome partial."""
    house = build()
    house.broker.next_places(PlaceFault.NONE, PlaceFault.REFUSED)
    assert house.run(sell("AAA"), buy("CCC", 10), buy("DDD", 10)).exit_code == 0
    assert statuses(house) == {"AAA": "FILLED", "CCC": "REJECTED", "DDD": "FILLED"}
    assert len(house.broker.placed) == 3
    assert house.cycle.outcome is Outcome.PARTIAL


def test_repeated_rejections_stop_the_buys_of_the_cycle(build: Build) -> None:
    """Three sells rejected: no buy is sent, and each says why."""
    house = build(positions={"AAA": 100, "BBB": 200, "DDD": 50})
    house.broker.next_places(*[PlaceFault.REFUSED] * 3)
    house.run(sell("AAA"), sell("BBB"), sell("DDD"), buy("CCC", 10))
    assert house.order("CCC").rule == "repeated_rejections"


# The broker away ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_broker_that_cannot_be_asked_ends_with_75_and_the_next_run_goes_on(build: Build) -> None:
    """Reads fail for longer than the deadline: the cycle stays open, nothing is concluded, and the next run finishes."""
    house = build()
    house.broker.next_places(PlaceFault.REPLY_LOST)
    interrupt(house, "place", partial(go_deaf, house))
    ending = house.run(sell("AAA"), buy("CCC", 10))
    assert ending.exit_code == 75
    assert house.cycle.phase is Phase.SELLING
    assert house.order("AAA").in_doubt
    house.broker._failures.clear()
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}
    assert len(house.broker.placed) == 2


def test_a_list_that_is_never_complete_ends_with_75_without_a_hot_loop(build: Build) -> None:
    """Pages missing for ever: one reading a poll, then the next run; nothing that was not shown is concluded."""
    house = build()
    house.broker.next_places(PlaceFault.REQUEST_LOST)
    read = house.broker.orders

    def torn(since: Any) -> OrdersRead:
        return replace(read(since), complete=False)

    interrupt(house, "place", lambda: setattr(house.broker, "orders", torn))
    ending = house.run(sell("AAA"), buy("CCC", 10))
    assert ending.exit_code == 75
    assert house.order("AAA").not_found == 0
    assert house.broker.calls["orders"] <= 5 + Rules().settle_deadline / Rules().poll
    assert len(house.broker.placed) == 1


def test_funds_that_are_no_number_hold_the_cycle(build: Build) -> None:
    """NaN after the sells: nothing is bought, the run ends with 75, and the next one goes on with real figures."""
    house = build()
    real = house.broker.funds

    def spoilt() -> Funds:
        return replace(real(), available=Decimal("NaN"))

    interrupt(house, "place", lambda: setattr(house.broker, "funds", spoilt))
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 75
    assert house.cycle.phase is Phase.SETTLING
    setattr(house.broker, "funds", real)  # noqa: B010
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}


# The brake ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_halt_lets_the_sells_finish_and_waits_before_revalidation(build: Build) -> None:
    """Halted in the middle: sells fill, no buy is even decided, exit 7; after `release` the next run buys."""
    house = build()
    interrupt(house, "place", lambda: house.mailbox.post(house.clock, "halt", reason="storm"))
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 7
    assert statuses(house) == {"AAA": "FILLED"}
    assert house.cycle.phase is Phase.REVALIDATING
    assert not any(isinstance(event, BuysRevalidated) for event in house.journal.events)
    house.mailbox.post(house.clock, "release")
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}


def test_halt_all_stops_the_sells_too(build: Build) -> None:
    """Under `halt --all` no request leaves; after `release` everything does."""
    house = build()
    house.mailbox.post(house.clock, "halt", scope="all")
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 7
    assert house.broker.placed == []
    house.mailbox.post(house.clock, "release")
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert statuses(house) == {"AAA": "FILLED", "CCC": "FILLED"}


def test_halted_in_the_middle_of_the_buys(build: Build) -> None:
    """What is on the wire is followed, what is not stays here; at the close it is BLOCKED with the rule `halted`."""
    house = build(rules=Rules(poll=timedelta(seconds=1)))
    many = ("CCC", "DDD", "EEE")

    def pull(request: OrderRequest) -> None:
        if request.symbol == "CCC":
            house.mailbox.post(house.clock, "halt")

    place = house.broker.place

    def watched(request: OrderRequest) -> str:
        pull(request)
        return place(request)

    house.broker.place = watched  # type: ignore[assignment, method-assign]
    assert house.run(*(buy(symbol, 10) for symbol in many)).exit_code == 7
    assert statuses(house) == {"CCC": "FILLED", "DDD": "RESERVED", "EEE": "RESERVED"}
    house.market.close_day()
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert {house.order(symbol).rule for symbol in many[1:]} == {"halted"}
    assert house.cycle.outcome is Outcome.PARTIAL


def test_a_command_is_carried_out_once_over_deaths(build: Build) -> None:
    """A command journaled by a process that died before it answered is not carried out again."""
    house = build()
    house.mailbox.post(house.clock, "blacklist_add", symbol="CCC", reason="scandal")
    house.run(sell("AAA"), buy("CCC", 10))
    house.reborn()
    house.run(open_new=False)
    assert house.journal.kinds.count("blacklisted") == 1
    assert house.order("CCC").rule == "blacklist"
    assert house.broker.calls["place"] == 1


# Deadlines and days ───────────────────────────────────────────────────────────────────────────────────────────────


def resting(house: House) -> None:
    """The price runs away after the send was decided, so the order rests at the broker."""
    house.market.prices["AAA"] = Decimal("49.60")


def rest_unseen(house: House) -> None:
    resting(house)
    go_deaf(house)


def test_what_does_not_fill_is_cancelled_at_its_deadline(build: Build) -> None:
    """A sell that rests: cancelled, read once more after the grace time, and the cycle goes on with partial."""
    house = build()
    interrupt(house, "place", lambda: resting(house))
    began = house.clock.now()
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    assert statuses(house) == {"AAA": "CANCELED", "CCC": "FILLED"}
    assert house.clock.now() - began >= Rules().order_deadline
    assert house.cycle.outcome is Outcome.PARTIAL


def test_a_deadline_is_absolute_over_restarts(build: Build) -> None:
    """A process that starts after the deadline does not begin to wait anew: it cancels at once."""
    house = build()
    interrupt(house, "place", partial(rest_unseen, house))
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 75
    deadline = house.order("AAA").deadline
    house.broker._failures.clear()
    house.clock.advance(timedelta(seconds=300))
    house.reborn()
    began = house.clock.now()
    house.run(open_new=False)
    assert house.order("AAA").deadline == deadline
    assert house.order("AAA").ord_status is OrdStatus.CANCELED
    assert house.clock.now() - began < timedelta(seconds=30)


def test_a_lost_cancel_is_asked_for_again(build: Build) -> None:
    """Two cancels vanish, the third arrives."""
    house = build()
    house.broker.next_cancels(PlaceFault.REQUEST_LOST, PlaceFault.REQUEST_LOST)
    interrupt(house, "place", lambda: resting(house))
    assert house.run(sell("AAA")).exit_code == 0
    assert house.order("AAA").ord_status is OrdStatus.CANCELED
    assert house.broker.calls["cancel"] == 3


def test_a_fill_may_win_against_the_cancel(build: Build) -> None:
    """The price comes back just before the cancel: the order is FILLED, and nobody calls it cancelled."""
    house = build()
    interrupt(house, "place", lambda: resting(house))
    interrupt(house, "cancel", lambda: house.market.prices.update(AAA=Decimal(50)))
    assert house.run(sell("AAA")).exit_code == 0
    assert house.order("AAA").ord_status is OrdStatus.FILLED
    assert house.cycle.outcome is Outcome.COMPLETE


def test_a_cycle_found_open_on_a_later_day_sends_nothing_more(build: Build) -> None:
    """Doubt is resolved, the rest blocked, the outcome is aborted, and the account is free for the new day."""
    house = build()
    house.broker.next_places(PlaceFault.REPLY_LOST)
    interrupt(house, "place", partial(go_deaf, house))
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 75
    house.broker._failures.clear()
    house.market.next_day()
    house.market.enter = lambda last_day, open_day: house.market.session()  # type: ignore[method-assign]
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert house.order("AAA").ord_status in (OrdStatus.FILLED, OrdStatus.EXPIRED)
    assert house.order("CCC").rule == "stale_on_resume"
    assert house.cycle.outcome is Outcome.ABORTED
    assert len(house.broker.placed) == 1


def test_a_closed_market_blocks_what_was_not_sent(build: Build) -> None:
    """The bell rings between the plan and the sends: every order says market_closed, and nothing leaves."""
    house = build()
    interrupt(house, "reserve", house.market.close_day)
    assert house.run(sell("AAA"), buy("CCC", 10)).exit_code == 0
    assert house.broker.placed == []
    assert house.order("AAA").rule == "market_closed"
    assert house.cycle.outcome is Outcome.PARTIAL


# Other people ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_orders_made_elsewhere_are_seen_counted_and_never_touched(build: Build) -> None:
    """A foreign resting buy becomes a fact, its cost is deducted, and nobody cancels it."""
    house = build(cash=Decimal(10_000), positions={"AAA": 10})
    stranger(house, "EEE", 100, "20")
    house.run(sell("AAA"), buy("CCC", 100))
    (event,) = [event for event in house.journal.events if isinstance(event, BuysRevalidated)]
    assert event.inputs.reserved == Decimal("2002.00")
    assert house.broker.calls["cancel"] == 0
    assert [seen.symbol for seen in house.journal.state.external.values()] == ["EEE"]


def test_a_foreign_order_that_ended_long_ago_is_not_deducted_for_ever(build: Build) -> None:
    """Seen open in one cycle and cancelled by its owner hours later: the next cycle sees that, and has its money."""
    house = build(cash=Decimal(10_000), positions={"AAA": 10})
    house.market.enter = lambda last_day, open_day: house.market.session()  # type: ignore[method-assign]
    order_id = stranger(house, "EEE", 100, "20")
    house.run(buy("CCC", 10))
    house.clock.advance(timedelta(hours=3))
    house.reborn()
    house.run(buy("DDD", 10))
    house.clock.advance(timedelta(hours=3))
    other = by_hand(house)
    other.external_cancel(order_id)
    other.close()
    house.reborn()
    house.run(buy("BBB", 10))
    reserved = [e.inputs.reserved for e in house.journal.events if isinstance(e, BuysRevalidated)]
    assert reserved == [Decimal("2002.00"), Decimal("2002.00"), Decimal(0)]


def by_hand(house: House) -> Outsider:
    """The account as a person uses it."""
    session = house.market.session
    return Outsider(
        house.folder / "paper.db", house.market, house.clock, cash=Decimal(0), positions={}, session=session
    )


def stranger(house: House, symbol: str, quantity: int, price: str) -> str:
    """Somebody else buys by hand; answers the broker's number of the order."""
    other = by_hand(house)
    order_id = other.external_order(symbol, Side.BUY, quantity, Decimal(price))
    other.close()
    return order_id


def test_a_manual_trade_raises_attention(build: Build) -> None:
    """Shares bought by hand: the journal and the broker differ at the end, and a person is told with both numbers."""
    house = build(positions={"AAA": 10})
    interrupt(house, "place", lambda: stranger(house, "EEE", 7, "30"))
    house.run(sell("AAA"))
    told = [event for event in house.journal.events if isinstance(event, AttentionRaised)]
    assert [(event.rule, event.symbol) for event in told] == [("positions_differ", "EEE")]
    assert "7" in told[0].text


# The rest of the contract of the loop ─────────────────────────────────────────────────────────────────────────────


def test_a_signal_stops_between_two_steps_and_the_next_run_goes_on(build: Build) -> None:
    """Terminated while the sells are out: exit 143, the cycle open; the next run finishes it without a second send."""
    house = build()
    stop: list[int] = []
    driver = house.driver
    house.driver = lambda: _stopping(driver(), stop)  # type: ignore[method-assign]
    interrupt(house, "place", lambda: stop.append(143))
    assert house.run(sell("AAA"), sell("BBB"), buy("CCC", 10)).exit_code == 143
    assert len(house.broker.placed) == 2
    stop.clear()
    house.reborn()
    assert house.run(open_new=False).exit_code == 0
    assert len(house.broker.placed) == 3
    assert set(statuses(house).values()) == {"FILLED"}


def _stopping(driver: Any, stop: list[int]) -> Any:
    driver._stopping = lambda: stop[0] if stop else None
    return driver


def test_no_intent_is_ever_in_a_soft_commit(build: Build) -> None:
    """RESERVED and the end of a cycle reach the disk; planning, sending and answers need not."""
    house = build()
    house.run(sell("AAA"), buy("CCC", 10))
    barriers = [{event.kind for event in events} for how, events in house.journal.commits if how == "barrier"]
    assert {"order_reserved"} in barriers
    assert any("buys_closed" in kinds for kinds in barriers)
    assert all("order_sending" not in kinds for kinds in barriers)


def test_a_resumption_that_learns_nothing_is_one_commit(build: Build) -> None:
    """Between lease and first send: one barrier with the resumption, and no other row."""
    house = build()
    house.mailbox.post(house.clock, "halt", scope="all")
    house.run(sell("AAA"), buy("CCC", 10))
    house.reborn()
    assert house.run(open_new=False).exit_code == 7
    assert [(how, [event.kind for event in events]) for how, events in house.journal.commits] == [
        ("barrier", ["cycle_resumed"])
    ]


def test_a_power_cut_between_reserving_and_sending_puts_the_phase_in_doubt(build: Build) -> None:
    """Soft commits are gone and the machine restarted: what was sent is found, nothing is sent twice."""
    house = build()
    house.broker.next_places(PlaceFault.REPLY_LOST, PlaceFault.REPLY_LOST)
    interrupt(house, "place", partial(go_deaf, house))
    assert house.run(sell("AAA"), sell("BBB"), buy("CCC", 10)).exit_code == 75
    house.broker._failures.clear()
    house.reborn(token="boot-2", lose_soft_commits=True)
    assert statuses(house) == {"AAA": "RESERVED", "BBB": "RESERVED"}
    assert house.run(open_new=False).exit_code == 0
    assert [symbol for _, symbol in sent_orders(house)] == ["AAA", "BBB", "CCC"]
    assert set(statuses(house).values()) == {"FILLED"}


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_jumps_while_orders_are_out_breaks_nothing(build: Build, hours: int) -> None:
    """A day back or a day forward in the middle of a round: no order twice, no hot loop, the books add up."""
    house = build(rules=QUARANTINE)
    interrupt(house, "place", lambda: house.clock.jump(timedelta(hours=hours)))
    house.run(sell("AAA"), buy("CCC", 10))
    assert len({request.order_no for request in house.broker.placed}) == len(house.broker.placed)
    assert house.broker.calls["orders"] < 100
    assert house.broker.calls["funds"] < 100


def test_numbers_that_are_journaled_are_not_kept(tmp_path: Path) -> None:
    """An engine that runs for months remembers the reserved numbers of the phase at hand only."""
    house = House(tmp_path)
    driver = house.driver()
    house.driver = lambda: driver  # type: ignore[method-assign]
    assert house.run(sell("AAA"), buy("CCC")).exit_code == 0
    assert set(driver.seen.numbers) == {house.order("CCC").cl_ord_id}
