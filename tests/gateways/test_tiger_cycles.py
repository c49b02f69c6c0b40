"""Whole cycles of the engine at a Tiger gateway in bad weather, judged from the gateway's own log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.bench.tiger import MEASURED, bench
from oms.engine import submission
from oms.errors import BrokerUnavailable
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.model.event import AttentionRaised, FundsObserved
from oms.model.liquidity import spendable
from oms.model.order import OrdStatus
from oms.model.rules import DoubtPolicy, FundsPolicy, Rules
from oms.sim.laws import LAWS
from tests.engine.house import buy, sell
from tests.gateways.tiger_house import Death, TigerHouse
from tests.tigerd.book import PRIME_ACCOUNT
from tests.tigerd.faults import WIRE_FAULTS, Fault, Way

SECOND = timedelta(seconds=1)
Build = Callable[..., TigerHouse]
BENEATH_TLS = ("TLS alert after the request", "TLS record corrupt", "plain text inside TLS")
"""Faults that mean something only where the whole cycle runs over TLS."""

REPEATS = pytest.mark.parametrize("refuses", [True, False], ids=["repeats are refused", "repeats are not"])


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """A maker of houses, which closes them."""
    houses: list[TigerHouse] = []

    def make(**how: Any) -> TigerHouse:
        houses.append(TigerHouse(Path(tmp_path_factory.getbasetemp()), **how))
        return houses[-1]

    yield make
    for house in houses:
        house.desk.close()


@pytest.mark.parametrize("account", [None, PRIME_ACCOUNT], ids=["paper account", "prime account"])
def test_a_cycle(build: Build, account: str | None) -> None:
    """Sells, settles, and buys with the proceeds; everything the broker did is in the journal."""
    house = build(**({} if account is None else {"account": account}))
    house.terms.fee_per_share = Decimal("0.01")
    ending = house.run(sell("AAA"), sell("BBB", 50), buy("CCC", 30), buy("DDD", 60))
    assert ending.exit_code == 0
    assert house.cycle.outcome == "complete"
    assert [order.ord_status for order in house.orders] == [OrdStatus.FILLED] * 4
    assert {order.symbol: order.fees for order in house.orders} == {
        "AAA": Decimal(1),
        "BBB": Decimal("0.5"),
        "CCC": Decimal("0.3"),
        "DDD": Decimal("0.6"),
    }
    house.judge()


def test_the_ledgers_agree_with_tiger_in_each_currency(build: Build) -> None:
    """After each of two cycles the journal's cash is Tiger's to the cent; Hong Kong dollars stand beside, of which nothing
    is known to have settled and nothing is spent, and what came in between is told once.
    """
    house = build()
    house.terms.fee_per_share = Decimal("0.01")
    house.desk.book.hong_kong_dollars = 5_000.0
    for wishes, kong in (((sell("AAA"), buy("CCC", 30)), 5_000), ((sell("CCC", 10), buy("DDD", 20)), 5_250)):
        house.desk.book.hong_kong_dollars = float(kong)
        assert house.run(*wishes).exit_code == 0
        ledgers, funds = house.journal.state.ledgers, house.desk.broker.funds()
        assert ledgers is not None
        assert (ledgers.own.currency, ledgers.own.cash) == ("USD", funds.cash)
        (beside,) = ledgers.others
        assert (beside.currency, int(beside.cash), int(beside.settled)) == ("HKD", kong, 0)
    told = [event.text for event in house.journal.events if isinstance(event, AttentionRaised)]
    assert ["250 HKD more" in text for text in told] == [True], told


@pytest.mark.parametrize("policy", list(FundsPolicy))
def test_funds_are_journaled_field_by_field(build: Build, policy: FundsPolicy) -> None:
    """Every reading that a decision rests on is in the journal with each of Tiger's own figures, whatever the policy."""
    house = build(rules=Rules(funds=policy))
    assert house.run(sell("AAA"), buy("CCC", 30)).exit_code == 0
    readings = [event for event in house.journal.events if isinstance(event, FundsObserved)]
    assert len(readings) >= 2
    for reading in readings:
        figures = reading.funds.raw or {}
        for name in ("cashBalance", "cashAvailableForTrade", "lockedFunds", "uncollected", "buyingPower"):
            assert Decimal(figures[f"S.{name}"]).is_finite()
        assert Decimal(figures["USD.cashAvailableForTrade"]).is_finite()
        assert figures["updateTimestamp"].isdigit()
        assert reading.spendable == spendable(reading.funds, policy)
    house.judge()


@REPEATS
@pytest.mark.parametrize("side", ["sell", "buy"])
@pytest.mark.parametrize("name", WIRE_FAULTS)
def test_a_fault_of_the_wire_in_a_cycle(build: Build, name: str, side: str, refuses: bool) -> None:
    """Whatever happens to one sell or one buy: never two orders for it, none forgotten, and the cycle comes to an end.

    Accepted orders are adopted. One that never arrived is sent again under its number where repeats are refused, else
    quarantined; after an unresolved sell no buy follows.
    """
    fault = WIRE_FAULTS[name]
    house = build(refuses_repeats=refuses, timeout=fault.patience, tls=name in BENEATH_TLS)
    wishes = [sell("AAA"), buy("CCC", 30)] if side == "sell" else [buy("CCC", 30), buy("DDD", 50)]
    house.desk.gateway.fail("place_order", fault)
    ending = house.run(*wishes)
    house.judge()
    if fault.accepts or refuses:
        assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
        assert len(house.book.orders) == 2
        return
    assert (ending.exit_code, house.cycle.outcome) == (7, "partial")
    assert house.order("AAA" if side == "sell" else "CCC").quarantined
    assert house.bought == ([] if side == "sell" else ["DDD"])


@REPEATS
def test_order_that_no_list_shows_for_a_while(build: Build, refuses: bool) -> None:
    """Reply lost, and the order shows only five seconds later: adopted, never sent as a second order."""
    house = build(refuses_repeats=refuses)
    house.terms.hidden_for = 5 * SECOND
    house.desk.gateway.fail("place_order", WIRE_FAULTS["accepted, then RST"])
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    house.judge()


@REPEATS
def test_order_that_no_list_shows_for_long(build: Build, refuses: bool) -> None:
    """Hidden for longer than the asking lasts: quarantined, its shares reserved, no buy; and adopted when it shows."""
    house = build(refuses_repeats=refuses)
    house.terms.hidden_for = timedelta(minutes=10)
    house.desk.gateway.fail("place_order", WIRE_FAULTS["accepted, then FIN"])
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (7, "partial")
    assert house.order("AAA").ord_status is OrdStatus.UNKNOWN
    assert house.bought == []
    house.judge(known=False)
    house.clock.advance(timedelta(minutes=11))
    house.live_again()
    house.run(open_new=False)
    parked = house.journal.state.order(house.book.orders[0].mark)
    assert parked is not None
    assert (parked.ord_status, parked.cum_qty) == (OrdStatus.FILLED, 100)
    assert len(house.book.orders) == 1


@REPEATS
def test_order_that_arrives_late(build: Build, refuses: bool) -> None:
    """A request that reaches the broker after the asking has ended is one order all the same, and is adopted."""
    house = build(refuses_repeats=refuses)
    house.change_rules(doubt_then=DoubtPolicy.QUARANTINE)
    house.desk.gateway.lose_until_delivered()
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.book.orders) == (7, [])
    house.desk.gateway.deliver_late()
    house.live_again()
    house.run(open_new=False)
    (kept,) = house.book.orders
    late = house.journal.state.order(kept.mark)
    assert late is not None
    assert (late.ord_status, late.cum_qty) == (OrdStatus.FILLED, 100)
    house.judge()


def test_order_that_arrives_after_it_was_sent_again(build: Build) -> None:
    """Lost, sent again under its number, and then the first request arrives after all: the broker has one order."""
    house = build()
    house.desk.gateway.lose_until_delivered()
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert house.order("AAA").sends == 2
    house.desk.gateway.deliver_late()
    assert len(house.book.orders) == 2
    house.judge()


@pytest.mark.parametrize("side", ["sell", "buy"])
def test_duplicate_number_refused(build: Build, side: str) -> None:
    """The reply is lost, no list shows the order yet, so it is sent again and refused as a duplicate: then it is asked
    for until it shows. A refusal of a repeat closes nothing.
    """
    house = build()
    house.terms.hidden_for = 8 * SECOND
    house.desk.gateway.fail("place_order", WIRE_FAULTS["accepted, then FIN"])
    wishes = [sell("AAA"), buy("CCC", 30)] if side == "sell" else [buy("CCC", 30), buy("DDD", 50)]
    ending = house.run(*wishes)
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert house.book.refused[1300] >= 1
    assert max(order.sends for order in house.orders) >= 2
    assert all(order.ord_status is OrdStatus.FILLED for order in house.orders)
    house.judge()


def test_reply_that_drips_without_an_end(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that never ends keeps every time-out of the transport away; the engine's own limit ends the waiting in doubt,
    and the order is found.
    """
    monkeypatch.setattr(submission, "CALL_LIMIT_S", 0.5)
    hands = ThreadHands(8)
    house = build(clock=SystemClock(), hands=hands, rules=Rules(poll=SECOND / 10, grace=SECOND / 10))
    house.desk.gateway.fail("place_order", Fault(Way.DRIP_ON))
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert house.order("AAA").in_doubt is False
    assert "order_in_doubt" in house.journal.kinds
    house.judge()
    hands.close()


def test_doubt_that_is_held_for_a_person(build: Build) -> None:
    """Under ``hold`` the cycle stays open with the reason named, and nothing is sent again."""
    house = build(rules=Rules(doubt_then=DoubtPolicy.HOLD))
    house.desk.gateway.fail("place_order", WIRE_FAULTS["500 before acceptance"])
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert ending.exit_code == 7
    assert "held for a person" in ending.why
    assert house.desk.gateway.posts["place_order"] == 1
    house.judge()


@REPEATS
@pytest.mark.parametrize("after", [True, False], ids=["after acceptance", "before it left"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_death_of_the_process_at_a_send(build: Build, nth: int, after: bool, refuses: bool) -> None:
    """Dead between acceptance and reply, or before the request left: the next process never makes it two.

    The sells of a round are in doubt together, so a death at the first one leaves a second that never left.
    """
    house = build(refuses_repeats=refuses)
    house.die_at_place(nth, after=after)
    with pytest.raises(Death):
        house.run(sell("AAA"), sell("BBB", 50), buy("CCC", 30))
    house.live_again()
    ending = house.run(open_new=False)
    house.judge()
    if refuses or (after and nth > 1):
        assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
        assert len(house.book.orders) == 3
    else:
        assert house.cycle.outcome == "partial"
        assert any(order.quarantined for order in house.orders)


@REPEATS
def test_power_cut_after_an_acceptance(build: Build, refuses: bool) -> None:
    """The machine restarts and every soft commit since the last barrier is gone: still one order for each intent."""
    house = build(refuses_repeats=refuses)
    house.die_at_place(1, after=True)
    with pytest.raises(Death):
        house.run(sell("AAA"), buy("CCC", 30))
    del house.desk.client.place
    house.reborn(token="another boot", lose_soft_commits=True)
    ending = house.run(open_new=False)
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert len(house.book.orders) == 2
    house.judge()


def test_order_that_is_rejected_after_its_acknowledgement(build: Build) -> None:
    """Acknowledged, then Inactive: rejected with the broker's reason; the cycle goes on with the rest."""
    house = build()
    house.terms.reject_next = 1
    ending = house.run(sell("AAA"), sell("BBB", 50), buy("CCC", 30))
    assert ending.exit_code == 0
    assert house.order("AAA").ord_status is OrdStatus.REJECTED
    assert "rejected by the exchange" in house.order("AAA").text
    assert house.order("BBB").ord_status is house.order("CCC").ord_status is OrdStatus.FILLED
    house.judge()


@pytest.mark.parametrize("account", [None, PRIME_ACCOUNT], ids=["paper account", "prime account"])
def test_partial_fills(build: Build, account: str | None) -> None:
    """Every order trades in two parts: no buy before the last share is sold, and every share is booked."""
    house = build(**({} if account is None else {"account": account}))
    house.terms.parts = True
    house.terms.fill_delay = 3 * SECOND
    house.run(sell("AAA"), buy("CCC", 30))
    assert [(order.ord_status, order.cum_qty, len(order.exec_ids)) for order in house.orders] == [
        (OrdStatus.FILLED, 100, 2),
        (OrdStatus.FILLED, 30, 2),
    ]
    house.judge()


@pytest.mark.parametrize("fills_win", [False, True], ids=["the cancel wins", "the fill wins"])
def test_cancel_at_the_deadline(build: Build, fills_win: bool) -> None:
    """A sell whose rest does not trade is cancelled at its deadline; whichever wins, the shares sold are booked."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = timedelta(hours=1)
    house.terms.fills_win = fills_win
    house.run(sell("AAA"), buy("CCC", 10))
    order = house.order("AAA")
    assert house.desk.gateway.posts["cancel_order"] >= 1
    assert (order.ord_status, order.cum_qty) == ((OrdStatus.FILLED, 100) if fills_win else (OrdStatus.CANCELED, 50))
    house.judge()


@pytest.mark.parametrize("name", ["accepted, then RST", "dropped before acceptance, FIN", "500 before acceptance"])
def test_cancel_that_is_lost_is_asked_for_again(build: Build, name: str) -> None:
    """A cancel whose outcome is not known is asked for again until the broker shows the order closed."""
    house = build()
    house.terms.parts = True
    house.terms.fill_delay = timedelta(hours=1)
    house.desk.gateway.fail("cancel_order", WIRE_FAULTS[name])
    house.run(sell("AAA"))
    assert house.order("AAA").ord_status is OrdStatus.CANCELED
    house.judge()


def test_stale_funds(build: Build) -> None:
    """Funds that lag behind the sells for ten seconds delay the buys until the proceeds show, and not two more."""
    house = build()
    house.terms.funds_lag = 10 * SECOND
    house.run(sell("AAA"), buy("CCC", 30))
    sold, bought = house.book.orders
    assert 10 * SECOND <= bought.made_at - sold.updated_at <= 12 * SECOND
    assert house.cycle.outcome == "complete"
    house.judge()


def test_stale_positions(build: Build) -> None:
    """Positions that still show what was sold a moment ago make no second sell: the journal knows better."""
    house = build()
    house.run(sell("AAA"))
    house.terms.positions_lag = timedelta(minutes=5)
    house.live_again()
    house.run(sell("AAA"))
    sells = [order for order in house.book.orders if order.action == "SELL"]
    assert sum(order.filled for order in sells) == 100
    assert house.desk.gateway.posts["place_order"] == 1
    house.judge()


def test_closed_market(build: Build) -> None:
    """A broker that takes no orders refuses each of them, and that is the end of it."""
    house = build()
    house.terms.is_open = False
    house.run(sell("AAA"), buy("CCC", 30))
    assert {order.ord_status for order in house.orders} <= {OrdStatus.REJECTED, OrdStatus.BLOCKED}
    assert house.book.orders == []
    assert "orders cannot be placed at this moment" in house.order("AAA").text
    house.judge()


def test_market_that_closes_between_sells_and_buys(build: Build) -> None:
    """The sells are done and booked, the buys refused with the broker's reason, and the cycle ends by itself."""
    house = build()
    stopping = house.stopping

    def closing() -> int | None:
        house.terms.is_open = not house.cycle_is_past_its_sells
        return stopping()

    house.stopping = closing
    ending = house.run(sell("AAA"), buy("CCC", 30))
    assert ending.exit_code == 0
    assert (house.order("AAA").ord_status, house.bought) == (OrdStatus.FILLED, [])
    assert house.order("CCC").ord_status is OrdStatus.REJECTED
    house.judge()


@pytest.mark.parametrize("method", ["orders", "prime_assets", "positions", "quote_real_time", "order_no"])
def test_reads_that_fail_for_a_while(build: Build, method: str) -> None:
    """A method that fails five times in a row delays the cycle and changes nothing else."""
    house = build()
    house.desk.gateway.fail(method, *[WIRE_FAULTS["502 after acceptance"]] * 5)
    with contextlib.suppress(BrokerUnavailable):  # where the very first look at the account failed, no cycle was opened
        house.run(sell("AAA"), buy("CCC", 30))
    if not house.journal.state.cycle:
        house.live_again()
        house.run(sell("AAA"), buy("CCC", 30))
    ending = house.run(open_new=False)
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    house.judge()


def test_somebody_elses_order_is_seen_and_left_alone(build: Build) -> None:
    """An order made in the broker's app is journaled as external, and neither cancelled nor adopted."""
    house = build()
    house.book.outsider("BBB", "SELL", Decimal("2.5"), Decimal(90))
    house.run(sell("AAA"), buy("CCC", 30))
    assert "external_order_seen" in house.journal.kinds
    assert house.book.orders[0].status == "PendingSubmit"
    assert house.desk.gateway.posts["cancel_order"] == 0


def test_twenty_sells_and_twenty_buys_leave_together(build: Build) -> None:
    """With real threads the numbers of a round are asked for at the same time, and so are its orders sent.

    The gateway answers only when twenty such calls wait for it together, so a phase takes one call and not twenty.
    """
    symbols = [f"S{number:02d}" for number in range(40)]
    hands = ThreadHands(28)
    house = build(
        clock=SystemClock(),
        hands=hands,
        prices=dict.fromkeys(symbols, "50"),
        positions=dict.fromkeys(symbols[:20], 10),
        rules=Rules(poll=timedelta(milliseconds=100), grace=timedelta(milliseconds=100)),
    )
    house.terms.settle_after = timedelta(milliseconds=100)
    house.desk.gateway.gather("order_no", 20)
    house.desk.gateway.gather("place_order", 20)
    ending = house.run(*[sell(s) for s in symbols[:20]], *[buy(s, 5) for s in symbols[20:]])
    assert (ending.exit_code, house.cycle.outcome) == (0, "complete")
    assert (len(house.book.orders), house.desk.gateway.posts["place_order"]) == (40, 40)
    assert house.desk.gateway.most_at_once["place_order"] == house.desk.gateway.most_at_once["order_no"] == 20
    house.judge()
    hands.close()


def test_the_judge_sees_what_nobody_journaled(build: Build) -> None:
    """A second order under the same number, made behind the engine's back, is found in the gateway's own log."""
    house = build(refuses_repeats=False)
    house.run(sell("AAA", 40), buy("CCC", 30))
    house.judge()
    house.tiger.place(house.order("AAA").request())
    with pytest.raises(AssertionError):
        house.judge()
    broken = {violation.law for law in LAWS.values() for violation in law(house.evidence)}
    assert {"I1", "I5"} <= broken


def test_calls_of_a_cycle_do_not_grow_with_its_orders(build: Build) -> None:
    """Reading the account costs the same calls for two orders as for forty: only numbers and orders go out one by one."""
    reads: list[dict[str, int]] = []
    for orders in (1, 20):
        symbols = [f"S{number:02d}" for number in range(2 * orders)]
        house = build(prices=dict.fromkeys(symbols, "50"), positions=dict.fromkeys(symbols[:orders], 10))
        house.run(*[sell(s) for s in symbols[:orders]], *[buy(s, 5) for s in symbols[orders:]])
        posts = dict(house.desk.gateway.posts)
        assert (posts.pop("order_no"), posts.pop("place_order")) == (2 * orders, 2 * orders)
        assert "cancel_order" not in posts
        reads.append(posts)
    assert reads[0] == reads[1]
    assert sum(reads[0].values()) <= 25, reads[0]


def test_bench_of_slow_calls(tmp_path: Path) -> None:
    """``bench tiger`` runs its cycles by turns without and with push, and counts their calls."""
    said: list[str] = []
    found = bench(1, orders=2, delay_s=0.0, settle_s=0.0, poll_s=0.1, say=said.append)
    assert said == ["round 1 of 1"]
    for name in ("polling", "push"):
        assert found[name]["calls"] >= 8
        assert set(found[name]["seconds"]) == set(MEASURED)
