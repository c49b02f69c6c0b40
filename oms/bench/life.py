"""A believable life of an account, cycle after cycle, as facts: what a journal of millions of rows is filled with."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.model.account import Funds, Position, Quote
from oms.model.detail import Intent, Outcome, RevalidationInputs, SettledBy
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    BuysClosed,
    BuysRevalidated,
    CycleOpened,
    CycleResumed,
    Event,
    FundsObserved,
    FundsSettled,
    OrderAcknowledged,
    OrderBlocked,
    OrderFilled,
    OrderInDoubt,
    OrderPlanned,
    OrderQuarantined,
    OrderReserved,
    OrderSending,
    SellsClosed,
)
from oms.model.liquidity import RULE_VERSION, budget, revalidate
from oms.model.order import ZERO, OrdType, Side
from oms.model.plan import cl_ord_id
from oms.model.rules import Rules

ACCOUNT = "bench"
BOOT = "the bench never restarts"
SYMBOLS = 118
CYCLES_A_DAY = 13
"""One every half hour of a trading day."""
STEP = timedelta(milliseconds=40)
"""Time between two facts."""
FIRST_DAY = date(2020, 1, 2)


class Life:
    """Tells chapters for ever: the opening of the account, then one cycle each; seeded, so always the same."""

    def __init__(self, sells: int = 10, buys: int = 10, seed: int = 1, first: int = 1) -> None:
        self.now = datetime(2020, 1, 2, 14, 30, tzinfo=UTC)
        self._chance = random.Random(seed)
        self._sells = sells
        self._first = first
        self._buys = buys
        self._symbols = [f"S{number:03d}" for number in range(SYMBOLS)]
        self._rules = Rules()

    @property
    def config(self) -> tuple[str, str]:
        """Hash and text of a configuration, as it is kept beside the facts."""
        text = json.dumps({"account": ACCOUNT}, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest(), text

    def pass_time(self) -> None:
        """Each fact comes a little after the one before it."""
        self.now += STEP

    def chapters(self) -> Iterator[list[Event]]:
        """The opening, then cycles."""
        held = tuple(
            Position(symbol=symbol, qty=Decimal(10**7), sellable=Decimal(10**7), avg_cost=Decimal("50.25"))
            for symbol in self._symbols
        )
        yield [AccountOpened(mode="paper", broker="bench", currency="USD", cash=Decimal(20000), positions=held)]
        number = self._first - 1
        while True:
            number += 1
            self._next_start(number)
            yield list(self._cycle(number))

    def _next_start(self, number: int) -> None:
        day, place = divmod(number - 1, CYCLES_A_DAY)
        start = datetime(2020, 1, 2, 14, 30, tzinfo=UTC) + timedelta(days=day, minutes=30 * place)
        self.now = max(self.now, start)

    def _price(self, symbol: str) -> Decimal:
        return Decimal(4000 + 37 * int(symbol[1:]) + self._chance.randrange(200)).scaleb(-2)

    def _quote(self, symbol: str) -> Quote:
        last = self._price(symbol)
        cent = Decimal("0.01")
        return Quote(symbol=symbol, bid=last - cent, ask=last + cent, last=last, at=self.now)

    def _funds(self, cash: Decimal) -> Funds:
        return Funds(
            currency="USD",
            cash=cash,
            settled_cash=cash,
            available=cash,
            locked=ZERO,
            buying_power=cash,
            at=self.now,
        )

    def _intent(self, cycle_id: str, side: Side, index: int, symbol: str) -> Intent:
        price = self._price(symbol)
        return Intent(
            cl_ord_id=cl_ord_id(ACCOUNT, cycle_id, side, index),
            side=side,
            index=index,
            symbol=symbol,
            quantity=self._chance.randrange(20, 80),
            ord_type=OrdType.LIMIT,
            limit=price,
            worst_px=price,
            score=Decimal(self._chance.randrange(500, 1000)).scaleb(-1) if side is Side.BUY else None,
        )

    def _cycle(self, number: int) -> Iterator[Event]:
        # At most 60 s and one cycle apart, and never the same in two journals.
        cycle_id = f"c-{self.now:%Y%m%dT%H%M%SZ}-{number:06d}"
        chosen = self._chance.sample(self._symbols, self._sells + self._buys)
        sells = tuple(self._intent(cycle_id, Side.SELL, i, s) for i, s in enumerate(chosen[: self._sells]))
        buys = tuple(self._intent(cycle_id, Side.BUY, i, s) for i, s in enumerate(chosen[self._sells :]))
        cash = Decimal(self._chance.randrange(1_000_000, 3_000_000)).scaleb(-2)
        day = FIRST_DAY + timedelta(days=(number - 1) // CYCLES_A_DAY)
        minute = timedelta(minutes=1)
        yield CycleOpened(
            cycle_id=cycle_id,
            trading_day=day,
            settles=day + timedelta(days=1),
            closes=self.now + timedelta(hours=6),
            sells=sells,
            buys=buys,
            funds=self._funds(cash),
            spendable=cash,
            fence=1,
            version="bench",
            config_hash=self.config[0],
            deadline=self.now + minute,
            source="bench",
        )
        if number % 50 == 0:
            yield CycleResumed(cycle_id=cycle_id, fence=1, phase="SELLING", host="bench", pid=1, restart_token=BOOT)
        for intent in sells:
            yield self._planned(cycle_id, intent, intent.quantity)
        proceeds, fees = ZERO, ZERO
        for event in self._round(cycle_id, number, {intent: intent.quantity for intent in sells}):
            if isinstance(event, OrderFilled):
                proceeds += event.last_qty * event.last_px
                fees += event.fee
            yield event
        yield SellsClosed(cycle_id=cycle_id, proceeds=proceeds, fees=fees, unresolved=0, deadline=self.now + minute)
        total = cash + proceeds - fees
        for _ in range(2):
            yield FundsObserved(cycle_id=cycle_id, funds=self._funds(total), spendable=total)
        yield FundsSettled(
            cycle_id=cycle_id, by=SettledBy.COVERED, expected=total, spendable=total, readings=(total, total)
        )
        yield from self._buying(cycle_id, number, buys, total)

    def _buying(self, cycle_id: str, number: int, buys: tuple[Intent, ...], total: Decimal) -> Iterator[Event]:
        inputs = RevalidationInputs(
            funds=self._funds(total),
            spendable=total,
            reserved=ZERO,
            quotes=tuple(self._quote(buy.symbol) for buy in buys),
            market_time=self.now,
            held=(),
            committed=(),
            barred=(),
            trades_today=0,
            loss_today=ZERO,
        )
        answers = revalidate(buys, inputs, self._rules)
        yield BuysRevalidated(
            cycle_id=cycle_id,
            rule_version=RULE_VERSION,
            inputs=inputs,
            budget=budget(inputs, self._rules),
            buys=answers,
            deadline=self.now + timedelta(minutes=2),
        )
        going: dict[Intent, int] = {}
        for intent, answer in zip(buys, answers, strict=True):
            yield self._planned(cycle_id, intent, answer.quantity or intent.quantity)
            if answer.quantity:
                going[intent] = answer.quantity
        for intent, answer in zip(buys, answers, strict=True):
            if not answer.quantity:
                yield OrderBlocked(
                    **_of(cycle_id, intent),
                    rule=answer.rule,
                    limit=str(intent.quantity),
                    value="0",
                    reason=answer.reason,
                )
        parked = list(going)[-1] if going and number % 500 == 0 else None
        if parked is not None:
            quantity = going.pop(parked)
            yield from self._doubtful(cycle_id, number, parked, quantity)
        yield from self._round(cycle_id, number, going)
        if number % 100 == 0:
            yield AttentionRaised(cycle_id=cycle_id, rule="positions_differ", text="the broker holds one share more")
        yield BuysClosed(cycle_id=cycle_id, outcome=Outcome.COMPLETE if parked is None else Outcome.PARTIAL)

    def _planned(self, cycle_id: str, intent: Intent, quantity: int) -> Event:
        return OrderPlanned(
            **_of(cycle_id, intent),
            side=intent.side,
            index=intent.index,
            ord_type=OrdType.LIMIT,
            order_qty=quantity,
            price=intent.limit,
            worst_px=intent.worst_px,
            score=intent.score,
        )

    def _reserved(self, cycle_id: str, number: int, intent: Intent, quantity: int) -> Event:
        return OrderReserved(
            **_of(cycle_id, intent),
            order_no=f"{number:08d}{intent.side.value[0]}{intent.index:03d}",
            side=intent.side,
            ord_type=OrdType.LIMIT,
            order_qty=quantity,
            price=intent.limit,
            deadline=self.now + timedelta(minutes=2),
            restart_token=BOOT,
            fence=1,
        )

    def _round(self, cycle_id: str, number: int, going: dict[Intent, int]) -> Iterator[Event]:
        for intent, quantity in going.items():
            yield self._reserved(cycle_id, number, intent, quantity)
        for intent in going:
            yield OrderSending(**_of(cycle_id, intent), attempt=1)
        for intent in going:
            yield OrderAcknowledged(
                **_of(cycle_id, intent), order_id=f"B{number:08d}{intent.side.value[0]}{intent.index}"
            )
        for intent, quantity in going.items():
            yield OrderFilled(
                **_of(cycle_id, intent),
                side=intent.side,
                exec_id=f"x{number:08d}{intent.side.value[0]}{intent.index}",
                last_qty=quantity,
                last_px=intent.worst_px,
                fee=Decimal(quantity * 5).scaleb(-3),
                transact_time=self.now,
                settles=self.now.date() + timedelta(days=1),
                cum_qty=quantity,
            )

    def _doubtful(self, cycle_id: str, number: int, intent: Intent, quantity: int) -> Iterator[Event]:
        yield self._reserved(cycle_id, number, intent, quantity)
        yield OrderSending(**_of(cycle_id, intent), attempt=1)
        yield OrderInDoubt(**_of(cycle_id, intent), reason="time-out")
        yield OrderQuarantined(**_of(cycle_id, intent), reads=3, reason="3 complete reads did not show it")


def _of(cycle_id: str, intent: Intent) -> dict[str, Any]:
    return {"cycle_id": cycle_id, "cl_ord_id": intent.cl_ord_id, "symbol": intent.symbol}
