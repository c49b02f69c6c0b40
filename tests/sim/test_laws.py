"""The judge is judged: for every law a crime is planted into true evidence, and the law finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.gateways.paper.log import LogEntry, LogKind
from oms.model.arming import LiveArmed, LiveDisarmed
from oms.model.detail import HaltScope
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    Blacklisted,
    BuysClosed,
    BuysRevalidated,
    CycleOpened,
    Event,
    FundsObserved,
    FundsSettled,
    Halted,
    OrderBlocked,
    OrderFilled,
    OrderInDoubt,
    OrderPlanned,
    OrderQuarantined,
    OrderReserved,
    OrderSending,
    Recorded,
    SellsClosed,
)
from oms.model.order import Side
from oms.model.rules import DoubtPolicy, Rules
from oms.model.state import AccountState
from oms.sim.evidence import Evidence, fold
from oms.sim.laws import LAWS, check
from tests.engine.lives import Script, evidence_of, lived


@pytest.fixture(scope="module")
def truth() -> Iterator[Evidence]:
    """A cycle that sold, waited, cut a buy and bought."""
    with lived(Script(name="plain")) as life:
        yield life.evidence()


class Forger:
    """Evidence that can be falsified row by row; the journal's state stays what the true facts add up to."""

    def __init__(self, truth: Evidence) -> None:
        self.truth = truth
        self.log = list(truth.log)
        self.facts = list(truth.facts)
        self.changes: dict[str, Any] = {}

    def evidence(self) -> Evidence:
        return replace(self.truth, log=self.log, facts=self.facts, **self.changes)

    # The broker's side

    def rows(self, kind: LogKind, side: Side | None = None) -> list[LogEntry]:
        return [row for row in self.log if row.kind is kind and (side is None or row.side is side)]

    def change(self, row: LogEntry, **values: object) -> None:
        self.log[self.log.index(row)] = replace(row, **values)  # type: ignore[arg-type]

    def drop(self, *rows: LogEntry) -> None:
        self.log = [row for row in self.log if row not in rows]

    def again(self, *rows: LogEntry, **values: object) -> None:
        """The same rows once more at the end of the log, with other values."""
        for row in rows:
            last = self.log[-1].id
            self.log.append(replace(row, id=last + 1, **values))  # type: ignore[arg-type]

    def order_rows(self, side: Side, *kinds: LogKind) -> list[LogEntry]:
        """Rows of the first order of a side, of these kinds."""
        number = self.rows(LogKind.ACCEPTED, side)[0].order_no
        return [row for row in self.log if row.order_no == number and row.kind in kinds]

    # The journal's side

    def fact(self, kind: type[Event], side: Side | None = None) -> Recorded:
        return next(
            f
            for f in self.facts
            if isinstance(f.event, kind) and (side is None or getattr(f.event, "side", None) is side)
        )

    def restate(self, fact: Recorded, **values: object) -> None:
        self.facts[self.facts.index(fact)] = replace(fact, event=replace(fact.event, **values))

    def strike_out(self, *facts: Recorded) -> None:
        self.facts = [fact for fact in self.facts if fact not in facts]

    def insert(self, event: Event, *, before: Recorded) -> None:
        """A fact slipped in; seq numbers are kept in their order."""
        place = self.facts.index(before)
        self.facts.insert(place, Recorded(seq=before.seq, at=before.at, event=event))
        self.facts = [replace(fact, seq=n) for n, fact in enumerate(self.facts, 1)]

    def key(self, side: Side) -> dict[str, str]:
        """The names that facts about the first order of a side carry."""
        planned = self.fact(OrderPlanned, side).event
        assert isinstance(planned, OrderPlanned)
        return {"cycle_id": planned.cycle_id, "cl_ord_id": planned.cl_ord_id, "symbol": planned.symbol}


Crime = Callable[[Forger], None]
CRIMES: dict[str, list[Crime]] = {}


def crime(law: str) -> Callable[[Crime], Crime]:
    """Plant what ``law`` must find."""

    def plant(deed: Crime) -> Crime:
        CRIMES.setdefault(law, []).append(deed)
        return deed

    return plant


@crime("an_intent_is_accepted_at_most_once")
def accepted_twice(forger: Forger) -> None:
    """The broker took the same order again under another number."""
    forger.again(*forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED, LogKind.ACCEPTED), order_id="P99")


@crime("an_intent_of_a_finished_cycle_was_sent_or_refused_with_a_reason")
def never_sent(forger: Forger) -> None:
    """An order that is FILLED in the journal never reached the broker."""
    forger.drop(*forger.order_rows(Side.SELL, LogKind.PLACE_RECEIVED, LogKind.ACCEPTED, LogKind.FILL))


@crime("an_intent_of_a_finished_cycle_was_sent_or_refused_with_a_reason")
def forgotten(forger: Forger) -> None:
    """A wish of the plan never became an order."""
    key = forger.key(Side.BUY)["cl_ord_id"]
    forger.facts = [fact for fact in forger.facts if getattr(fact.event, "cl_ord_id", None) != key]


@crime("an_intent_of_a_finished_cycle_was_sent_or_refused_with_a_reason")
def blocked_and_sent(forger: Forger) -> None:
    """An order was called blocked although the broker had it."""
    why = OrderBlocked(**forger.key(Side.BUY), rule="halted", limit="", value="", reason="planted")
    forger.insert(why, before=forger.fact(OrderFilled, Side.BUY))


@crime("an_order_stood_in_the_journal_before_the_broker_received_it")
def sent_before_it_was_reserved(forger: Forger) -> None:
    """The number was journaled after the request had arrived."""
    fact = forger.fact(OrderReserved, Side.BUY)
    forger.facts[forger.facts.index(fact)] = replace(fact, at=fact.at + timedelta(seconds=30))


@crime("an_order_stood_in_the_journal_before_the_broker_received_it")
def sent_without_sending(forger: Forger) -> None:
    """A request left without its SENDING row."""
    forger.strike_out(forger.fact(OrderSending))


@crime("an_order_stood_in_the_journal_before_the_broker_received_it")
def sent_by_nobody(forger: Forger) -> None:
    """An order came through our door that the journal has never heard of."""
    rows = forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED, LogKind.ACCEPTED)
    forger.again(*rows, order_no="4711", user_mark="B009-ffff", order_id="P99")


@crime("a_number_is_one_intent_and_an_intent_one_number")
def one_number_twice(forger: Forger) -> None:
    """Two orders were reserved under one number."""
    sell, buy = forger.fact(OrderReserved, Side.SELL), forger.fact(OrderReserved, Side.BUY)
    assert isinstance(sell.event, OrderReserved)
    forger.restate(buy, order_no=sell.event.order_no)


@crime("a_number_is_one_intent_and_an_intent_one_number")
def a_second_number(forger: Forger) -> None:
    """An order in doubt was sent again under a new number."""
    rows = forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED)
    forger.again(*rows, order_no="4711")


@crime("the_order_at_the_broker_is_the_order_in_the_journal")
def more_than_was_meant(forger: Forger) -> None:
    """The quantity on the wire is not the quantity in the journal."""
    row = forger.rows(LogKind.PLACE_RECEIVED, Side.BUY)[0]
    forger.change(row, qty=(row.qty or Decimal(0)) - 1)


@crime("an_order_is_requested_once_or_as_often_as_repeats_are_proved_harmless")
def repeated_without_proof(forger: Forger) -> None:
    """A request was repeated at a broker that is not proven to refuse repeats."""
    forger.changes["rules"] = Rules(doubt_then=DoubtPolicy.QUARANTINE)
    forger.again(*forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED))


@crime("an_order_is_requested_once_or_as_often_as_repeats_are_proved_harmless")
def repeated_unwritten(forger: Forger) -> None:
    """A request was repeated without a SENDING row of its own."""
    forger.again(*forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED))


@crime("an_order_is_requested_once_or_as_often_as_repeats_are_proved_harmless")
def repeated_too_often(forger: Forger) -> None:
    """One request too many, each with its SENDING row."""
    sending = forger.fact(OrderSending)
    assert isinstance(sending.event, OrderSending)
    row = next(r for r in forger.rows(LogKind.PLACE_RECEIVED) if r.user_mark == sending.event.cl_ord_id)
    for _ in range(3):
        forger.insert(sending.event, before=sending)
        forger.again(row)


@crime("a_request_is_repeated_only_after_a_reading_that_did_not_show_the_order")
def repeated_without_asking(forger: Forger) -> None:
    """A request was sent again at once, in the hope that the broker would refuse it."""
    sending = forger.fact(OrderSending)
    forger.insert(sending.event, before=sending)


@crime("an_order_is_one_that_a_market_takes")
def a_fraction(forger: Forger) -> None:
    """Half a share was ordered."""
    forger.change(forger.rows(LogKind.PLACE_RECEIVED, Side.BUY)[0], qty=Decimal("0.5"))


@crime("an_order_is_one_that_a_market_takes")
def for_nothing(forger: Forger) -> None:
    """A limit of zero was sent."""
    forger.change(forger.rows(LogKind.PLACE_RECEIVED, Side.BUY)[0], price=Decimal(0))


@crime("an_order_is_one_that_a_market_takes")
def off_the_tick(forger: Forger) -> None:
    """The broker refused a price off the grid."""
    forger.change(forger.order_rows(Side.BUY, LogKind.ACCEPTED)[0], kind=LogKind.REFUSED, text="bad_price: planted")


@crime("no_buy_is_sent_beyond_the_trades_of_a_day")
def one_trade_too_many(forger: Forger) -> None:
    """The limit was one trade a day, and the sells had used it up."""
    forger.changes |= {"rules": replace(forger.truth.rules, max_trades_per_day=1), "rules_by_config": {}}


@crime("whatever_was_cut_or_blocked_has_one_reason")
def cut_without_a_reason(forger: Forger) -> None:
    """A buy was cut, and the row names no rule."""
    fact = forger.fact(BuysRevalidated)
    assert isinstance(fact.event, BuysRevalidated)
    cut = [b for b in fact.event.buys if b.quantity < b.original]
    assert cut
    forger.restate(fact, buys=tuple(replace(b, rule="original") for b in fact.event.buys))


@crime("whatever_was_cut_or_blocked_has_one_reason")
def blocked_twice(forger: Forger) -> None:
    """A blocked order has two reasons."""
    why = OrderBlocked(**forger.key(Side.BUY), rule="halted", limit="", value="", reason="planted")
    forger.insert(why, before=forger.fact(OrderReserved, Side.BUY))
    forger.insert(why, before=forger.fact(OrderReserved, Side.BUY))


@crime("whatever_was_cut_or_blocked_has_one_reason")
def left_out(forger: Forger) -> None:
    """Revalidation said nothing about one of the buys."""
    fact = forger.fact(BuysRevalidated)
    assert isinstance(fact.event, BuysRevalidated)
    forger.restate(fact, buys=fact.event.buys[1:])


@crime("no_buy_is_received_before_every_sell_is_over")
def bought_too_early(forger: Forger) -> None:
    """A sell filled after a buy had arrived."""
    fill = forger.order_rows(Side.SELL, LogKind.FILL)[-1]
    forger.drop(fill)
    forger.again(fill)


@crime("no_buy_is_received_before_every_sell_is_over")
def bought_after_a_quarantine(forger: Forger) -> None:
    """A sell was in quarantine, was found later, and buys were sent all the same."""
    parked = OrderQuarantined(**forger.key(Side.SELL), reads=3, reason="planted")
    forger.insert(parked, before=forger.fact(OrderFilled, Side.SELL))


@crime("a_cycle_walks_the_five_phases_each_once")
def skipped_a_phase(forger: Forger) -> None:
    """A cycle never waited for its money."""
    forger.strike_out(forger.fact(FundsSettled))


@crime("a_cycle_walks_the_five_phases_each_once")
def sold_while_buying(forger: Forger) -> None:
    """A sell was sent when the selling was over."""
    sending = forger.fact(OrderSending)
    forger.insert(sending.event, before=forger.fact(FundsSettled))


@crime("a_cycle_walks_the_five_phases_each_once")
def planned_too_early(forger: Forger) -> None:
    """A buy was numbered before it was revalidated."""
    reserved = forger.fact(OrderReserved, Side.BUY)
    forger.strike_out(reserved)
    planned = forger.fact(OrderPlanned, Side.BUY)
    forger.strike_out(planned)
    forger.insert(planned.event, before=forger.fact(SellsClosed))
    forger.insert(reserved.event, before=forger.fact(SellsClosed))


@crime("an_account_never_has_two_open_cycles")
def opened_twice(forger: Forger) -> None:
    """A second cycle opened while the first one was selling."""
    opened = forger.fact(CycleOpened)
    forger.insert(replace(opened.event, cycle_id="c-9999"), before=forger.fact(SellsClosed))  # type: ignore[call-arg]


@crime("nothing_is_sent_against_the_brake")
def against_the_brake(forger: Forger) -> None:
    """A buy was sent while halted."""
    halted = Halted(scope=HaltScope.BUYS, reason="planted", author="ann")
    forger.insert(halted, before=forger.fact(OrderReserved, Side.BUY))


@crime("nothing_is_sent_against_the_brake")
def on_the_wire_against_the_brake(forger: Forger) -> None:
    """A sell that was SENDING when everything was halted arrived minutes later."""
    number = forger.order_rows(Side.SELL, LogKind.PLACE_RECEIVED)[0]
    halted = Halted(scope=HaltScope.ALL, reason="planted", author="ann")
    forger.insert(halted, before=forger.fact(SellsClosed))
    forger.change(number, at=number.at + timedelta(minutes=5))


@crime("no_buy_of_a_blacklisted_symbol_is_sent")
def bought_what_is_barred(forger: Forger) -> None:
    """A buy was sent after its symbol was listed."""
    listed = Blacklisted(symbol=forger.key(Side.BUY)["symbol"], reason="planted", author="ann")
    forger.insert(listed, before=forger.fact(CycleOpened))


@crime("no_buy_of_a_blacklisted_symbol_is_sent")
def bought_what_the_configuration_bars(forger: Forger) -> None:
    """A buy was sent of a symbol that the configuration bars."""
    forger.changes["rules"] = Rules(blacklist=frozenset({forger.key(Side.BUY)["symbol"]}))


@crime("nothing_is_sent_after_the_end_or_to_a_closed_market")
def after_the_end(forger: Forger) -> None:
    """A buy arrived an hour after its cycle was done."""
    row = forger.order_rows(Side.BUY, LogKind.PLACE_RECEIVED)[0]
    forger.change(row, at=row.at + timedelta(hours=1))


@crime("nothing_is_sent_after_the_end_or_to_a_closed_market")
def to_a_closed_market(forger: Forger) -> None:
    """The broker refused an order because the market was closed."""
    forger.change(forger.order_rows(Side.BUY, LogKind.ACCEPTED)[0], kind=LogKind.REFUSED, text="market_closed: planted")


def word(**values: Any) -> LiveArmed:
    """A person's word for real money, for long."""
    long = datetime(2100, 1, 1, tzinfo=UTC)
    usual = LiveArmed(
        fingerprint="f", shown="…1", until=long, limits="{}", limits_hash="L", config_hash="c", author="ann"
    )
    return replace(usual, **values)


def of_real_money(forger: Forger, *words: Event) -> None:
    """The account is one of real money, and these were said before anything was traded."""
    forger.restate(forger.fact(AccountOpened), mode="live")
    for event in words:
        forger.insert(event, before=forger.fact(CycleOpened))


NO_WORD = "no_real_money_moves_without_a_persons_word"


@crime(NO_WORD)
def never_armed(forger: Forger) -> None:
    """Nobody ever said a word."""
    of_real_money(forger)


@crime(NO_WORD)
def disarmed_before_it_was_sent(forger: Forger) -> None:
    """The word was taken back before the first order."""
    of_real_money(forger, word(), LiveDisarmed(reason="planted", author="ann"))


@crime(NO_WORD)
def armed_until_before(forger: Forger) -> None:
    """The instant had passed when the broker received the order."""
    of_real_money(forger, word(until=datetime(2001, 1, 1, tzinfo=UTC)))


@crime(NO_WORD)
def armed_for_other_limits(forger: Forger) -> None:
    """The word was given for limits that the engine did not run under."""
    of_real_money(forger, word())
    forger.changes["rules"] = Rules(licences=("M",))


@crime("a_deadline_is_the_one_its_phase_began_with")
def began_its_time_anew(forger: Forger) -> None:
    """A restart gave a buy more time than its phase had."""
    fact = forger.fact(OrderReserved, Side.BUY)
    assert isinstance(fact.event, OrderReserved)
    forger.restate(fact, deadline=fact.event.deadline + timedelta(seconds=5))


@crime("the_buys_of_a_cycle_stay_within_their_fraction_of_the_funds")
def spent_too_much(forger: Forger) -> None:
    """The buys were allowed all of the funds instead of four fifths."""
    forger.changes["rules"] = Rules(funds_fraction=Decimal("0.60"))


@crime("the_buys_of_a_cycle_stay_within_their_fraction_of_the_funds")
def spent_what_was_not_there(forger: Forger) -> None:
    """The journal read more than the broker had when the first buy arrived."""
    forger.change(forger.order_rows(Side.BUY, LogKind.ACCEPTED)[0], available=Decimal(1000))


@crime("the_funds_were_read_after_the_last_sell_was_over")
def read_too_early(forger: Forger) -> None:
    """The funds that decided were read before the last sell."""
    fact = forger.fact(BuysRevalidated)
    assert isinstance(fact.event, BuysRevalidated)
    inputs = fact.event.inputs
    early = replace(inputs.funds, at=inputs.funds.at - timedelta(hours=1))
    forger.restate(fact, inputs=replace(inputs, funds=early))


@crime("the_funds_were_read_after_the_last_sell_was_over")
def settled_on_one_reading(forger: Forger) -> None:
    """The money was called settled after a single reading."""
    fact = forger.fact(FundsSettled)
    assert isinstance(fact.event, FundsSettled)
    forger.restate(fact, readings=fact.event.readings[:1])


@crime("the_funds_were_read_after_the_last_sell_was_over")
def settled_on_no_reading(forger: Forger) -> None:
    """The readings it settled on are not in the journal."""
    forger.facts = [fact for fact in forger.facts if not isinstance(fact.event, FundsObserved)]


@crime("a_position_stays_within_its_cap")
def beyond_the_cap(forger: Forger) -> None:
    """A position was bought that is worth more than the cap."""
    forger.changes["rules"] = Rules(max_position_value=Decimal(5000))


@crime("a_position_stays_within_its_cap")
def beyond_the_cap_with_what_is_held(forger: Forger) -> None:
    """The shares that were held already were not counted."""
    held = next(row for row in forger.log if row.kind is LogKind.OPENED_POSITION)
    forger.change(held, symbol=forger.key(Side.BUY)["symbol"])


@crime("a_buy_is_one_of_the_plan_and_never_grows")
def grew(forger: Forger) -> None:
    """A buy is larger than the original order."""
    row = forger.rows(LogKind.PLACE_RECEIVED, Side.BUY)[0]
    forger.change(row, qty=(row.qty or Decimal(0)) + 400)


@crime("a_buy_is_one_of_the_plan_and_never_grows")
def not_in_the_plan(forger: Forger) -> None:
    """Something was bought that nobody wished for."""
    forger.change(forger.rows(LogKind.PLACE_RECEIVED, Side.BUY)[0], symbol="ZZZ")


@crime("nothing_is_sold_that_is_not_held")
def sold_short(forger: Forger) -> None:
    """More was sold than was held."""
    held = next(row for row in forger.log if row.kind is LogKind.OPENED_POSITION and row.symbol == "AAA")
    forger.change(held, qty=Decimal(10))


@crime("nothing_is_sold_that_is_not_held")
def both_sides(forger: Forger) -> None:
    """A symbol was bought and sold in one cycle."""
    symbol = forger.key(Side.SELL)["symbol"]
    forger.restate(forger.fact(OrderPlanned, Side.BUY), symbol=symbol)


@crime("nothing_is_sold_that_is_not_held")
def asked_to_sell_short(forger: Forger) -> None:
    """The broker had to refuse a sell for lack of shares."""
    row = forger.order_rows(Side.SELL, LogKind.ACCEPTED)[0]
    forger.change(row, kind=LogKind.REFUSED, text="insufficient_shares: planted")


@crime("nothing_is_sold_that_unsettled_money_bought")
def a_free_ride(forger: Forger) -> None:
    """What was sold had been bought on the same day, for more than there was."""
    held = next(row for row in forger.log if row.kind is LogKind.OPENED_POSITION and row.symbol == "AAA")
    sold = forger.order_rows(Side.SELL, LogKind.FILL)[0]
    forger.change(held, kind=LogKind.FILL, side=Side.BUY, price=Decimal(1000), day=sold.day)


@crime("cash_and_shares_are_the_same_at_broker_and_journal")
def cash_is_gone(forger: Forger) -> None:
    """The broker charged a fee that the journal does not know."""
    fill = forger.rows(LogKind.FILL)[0]
    forger.change(fill, fee=(fill.fee or Decimal(0)) + 1)


@crime("cash_and_shares_are_the_same_at_broker_and_journal")
def shares_are_gone(forger: Forger) -> None:
    """The journal's state holds shares that its facts do not add up to."""
    state = AccountState(forger.truth.state.account)
    state.cash = forger.truth.state.cash
    forger.changes["state"] = state


@crime("the_judge_adds_up")
def the_judge_is_wrong(forger: Forger) -> None:
    """The broker's log contradicts itself."""
    forger.change(forger.log[-1], cash=Decimal(1))


@crime("a_fill_in_the_journal_is_a_fill_at_the_broker")
def invented(forger: Forger) -> None:
    """The journal booked an execution that never was."""
    forger.restate(forger.fact(OrderFilled), exec_id="E99")


@crime("a_fill_in_the_journal_is_a_fill_at_the_broker")
def booked_twice(forger: Forger) -> None:
    """The journal booked one execution twice."""
    fill = forger.fact(OrderFilled, Side.BUY)
    forger.insert(fill.event, before=fill)


@crime("a_fill_in_the_journal_is_a_fill_at_the_broker")
def at_another_price(forger: Forger) -> None:
    """The journal booked another price than was paid."""
    fill = forger.fact(OrderFilled)
    assert isinstance(fill.event, OrderFilled)
    forger.restate(fill, last_px=fill.event.last_px + 1)


@crime("a_fill_at_the_broker_is_a_fill_in_the_journal")
def never_booked(forger: Forger) -> None:
    """A fill at the broker is not in the journal."""
    forger.strike_out(forger.fact(OrderFilled, Side.BUY))


@crime("an_order_that_is_over_at_the_broker_is_over_in_the_journal")
def still_open(forger: Forger) -> None:
    """The journal calls an order closed that may still trade."""
    forger.drop(forger.order_rows(Side.BUY, LogKind.FILL)[-1])


@crime("a_difference_of_shares_after_the_end_is_shown")
def silently_different(forger: Forger) -> None:
    """Shares were taken away by hand before the end, and nobody was told."""
    first = forger.log[-1]
    forger.log.insert(
        len(forger.log),
        replace(first, id=first.id + 1, kind=LogKind.SHARES_MOVED, symbol="BBB", qty=Decimal(-5), order_no=None),
    )


PAIRS = [(law, deed) for law, deeds in CRIMES.items() for deed in deeds]


@pytest.mark.parametrize(("law", "deed"), PAIRS, ids=[f"{law}-{deed.__name__}" for law, deed in PAIRS])
def test_a_planted_crime_is_found(truth: Evidence, law: str, deed: Crime) -> None:
    """The law finds the crime that was planted for it, and says about whom and with which numbers."""
    forger = Forger(truth)
    deed(forger)
    found = LAWS[law](forger.evidence())
    assert found, deed.__doc__
    assert all(each.about and each.numbers and each.law.startswith("I") for each in found)
    assert set(found) <= set(check(forger.evidence()))


def test_every_law_has_a_crime_planted_for_it() -> None:
    """No law is on the books that was never seen to find anything."""
    assert set(CRIMES) == set(LAWS)


def test_true_evidence_breaks_no_law(truth: Evidence) -> None:
    """Of a cycle that went as it should, no law finds anything."""
    assert check(truth) == []


def test_real_money_that_a_person_armed_is_no_crime(truth: Evidence) -> None:
    """With a person's word for the limits it runs under, an account of real money may trade."""
    forger = Forger(truth)
    of_real_money(forger, word())
    forger.changes["rules"] = Rules(licences=("L",))
    assert LAWS[NO_WORD](forger.evidence()) == []


def test_the_fold_of_all_facts_is_the_journal_s_own_state(truth: Evidence) -> None:
    """Folding every fact from nothing gives the cash and the shares of the engine's state."""
    folded = fold(truth.facts, truth.state.account)
    assert (folded.cash, folded.holdings, folded.seq) == (truth.state.cash, truth.state.holdings, truth.state.seq)


def test_a_difference_that_a_person_was_told_of_is_no_crime(truth: Evidence) -> None:
    """Shares that moved by hand and were shown break no law."""
    forger = Forger(truth)
    silently_different(forger)
    told = AttentionRaised(symbol="BBB", rule="positions_differ", text="planted")
    forger.insert(told, before=forger.fact(BuysClosed))
    assert not LAWS["a_difference_of_shares_after_the_end_is_shown"](forger.evidence())


def test_a_power_cut_excuses_a_lost_sending_row_and_nothing_else(truth: Evidence) -> None:
    """After a restart of the machine a SENDING row may be missing; a RESERVED row never."""
    name = "an_order_stood_in_the_journal_before_the_broker_received_it"
    forger = Forger(truth)
    sent_without_sending(forger)
    forger.changes["restart_token"] = "boot-9"
    assert not LAWS[name](forger.evidence())
    forger.strike_out(forger.fact(OrderReserved, Side.BUY))
    assert LAWS[name](forger.evidence())


def test_what_was_long_on_its_way_is_no_crime(truth: Evidence) -> None:
    """A request in doubt may arrive after the end of its cycle: it left before."""
    forger = Forger(truth)
    after_the_end(forger)
    key = forger.key(Side.BUY)
    doubt = OrderInDoubt(cycle_id=key["cycle_id"], cl_ord_id=key["cl_ord_id"], symbol=key["symbol"], reason="planted")
    forger.insert(doubt, before=forger.fact(OrderFilled, Side.BUY))
    assert not LAWS["nothing_is_sent_after_the_end_or_to_a_closed_market"](forger.evidence())


def test_evidence_is_the_same_from_disk_and_from_memory(tmp_path: Path) -> None:
    """The real store gives the same verdict as the one in memory."""
    with lived(Script(name="plain", sqlite=True)) as life:
        assert check(evidence_of(life.house)) == []
        assert len(life.evidence().arrivals) == 4
