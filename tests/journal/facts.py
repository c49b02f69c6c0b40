"""Believable facts for the journal's tests: an account, whole cycles, and the odd things that happen besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.model.account import Balance, Funds, Position, Quote
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.currencies import ledgers_of_start
from oms.model.detail import HaltScope, Intent, Outcome, RevalidationInputs, Score, SettledBy, Validated
from oms.model.difference import Difference, DifferenceKind
from oms.model.event import (
    AccountOpened,
    AttentionRaised,
    Blacklisted,
    BuysClosed,
    BuysRevalidated,
    CommandAnswered,
    CycleOpened,
    CycleResumed,
    Event,
    ExternalOrderSeen,
    FundsObserved,
    FundsSettled,
    Halted,
    OrderAcknowledged,
    OrderBlocked,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderPlanned,
    OrderQuarantined,
    OrderReserved,
    OrderSending,
    PositionAdopted,
    Reconciled,
    Released,
    Selected,
    SellsClosed,
    SymbolFrozen,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.order import OrdType, Side
from oms.ports import Journal

NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
PX = Decimal("10.11")
ACCOUNT = "paper-main"


OTHERS = (
    Balance(currency="HKD", cash=Decimal(7000), settled_cash=Decimal(6500)),
    Balance(currency="SGD", cash=Decimal("12.5")),
)
"""Money in other currencies; of the second the broker does not say what has settled."""


def account_opened() -> AccountOpened:
    held = tuple(
        Position(symbol=f"S{i}", qty=Decimal(1000), sellable=Decimal(1000), avg_cost=Decimal("9.3337"))
        for i in range(3)
    )
    return AccountOpened(
        mode="paper", broker="paper", currency="USD", cash=Decimal(20000), positions=held, others=OTHERS
    )


def reading(cash: str = "20000.10") -> Funds:
    amount = Decimal(cash)
    return Funds(
        currency="USD",
        cash=amount,
        settled_cash=amount,
        available=amount,
        locked=Decimal(0),
        buying_power=amount * 2,
        at=NOON,
        raw={"source": "test"},
        others=OTHERS,
    )


def quote(symbol: str) -> Quote:
    return Quote(symbol=symbol, bid=Decimal("10.10"), ask=Decimal("10.12"), last=PX, at=NOON)


@dataclass(frozen=True)
class Script:
    """One cycle as the commits that write it: (is a barrier, facts)."""

    number: int = 1
    sells: int = 2
    buys: int = 2
    fence: int = 1

    @property
    def cycle_id(self) -> str:
        return f"20260302T17{self.number:04d}-ab3f"

    def intent(self, side: Side, index: int) -> Intent:
        return Intent(
            cl_ord_id=f"{self.number:04d}{side.value:_<4}{index:024d}",
            side=side,
            index=index,
            symbol=f"{'S' if side is Side.SELL else 'B'}{index}",
            quantity=5,
            ord_type=OrdType.LIMIT,
            limit=PX,
            worst_px=PX,
            reason="score 40 is below 50",
        )

    def intents(self, side: Side) -> tuple[Intent, ...]:
        return tuple(self.intent(side, i) for i in range(self.sells if side is Side.SELL else self.buys))

    def opened(self) -> CycleOpened:
        return CycleOpened(
            cycle_id=self.cycle_id,
            trading_day=date(2026, 3, 2) + timedelta(days=self.number // 3),
            settles=date(2026, 3, 3),
            closes=NOON + timedelta(hours=4),
            sells=self.intents(Side.SELL),
            buys=self.intents(Side.BUY),
            funds=reading(),
            spendable=Decimal("20000.10"),
            fence=self.fence,
            version="0.1",
            config_hash="c" * 64,
            deadline=NOON + timedelta(minutes=2),
            source="file",
            other_ledgers=ledgers_of_start("USD", Decimal(0), OTHERS).others,
        )

    def _of(self, intent: Intent) -> dict[str, Any]:
        return {"cycle_id": self.cycle_id, "cl_ord_id": intent.cl_ord_id, "symbol": intent.symbol}

    def planned(self, side: Side) -> list[Event]:
        return [
            OrderPlanned(
                **self._of(i), side=side, index=i.index, ord_type=i.ord_type, order_qty=5, price=i.limit, worst_px=PX
            )
            for i in self.intents(side)
        ]

    def reserved(self, intent: Intent, token: str = "boot") -> OrderReserved:
        return OrderReserved(
            **self._of(intent),
            side=intent.side,
            ord_type=intent.ord_type,
            order_qty=5,
            price=intent.limit,
            order_no=f"{self.number}-{intent.side}-{intent.index}",
            deadline=NOON + timedelta(minutes=2),
            restart_token=token,
            fence=self.fence,
        )

    def sending(self, intent: Intent) -> OrderSending:
        return OrderSending(**self._of(intent), attempt=1)

    def acknowledged(self, intent: Intent, *, adopted: bool = False) -> OrderAcknowledged:
        return OrderAcknowledged(
            **self._of(intent), order_id=f"7{self.number}{intent.side}{intent.index}", adopted=adopted
        )

    def filled(self, intent: Intent, qty: int = 5, cum: int = 5, *, late: bool = False) -> OrderFilled:
        return OrderFilled(
            **self._of(intent),
            side=intent.side,
            exec_id=f"e{self.number}{intent.side}{intent.index}-{cum}",
            last_qty=qty,
            last_px=PX,
            fee=Decimal("0.005"),
            transact_time=NOON,
            settles=date(2026, 3, 3),
            cum_qty=cum,
            late=late,
        )

    def doubtful(self, intent: Intent) -> list[Event]:
        return [
            OrderInDoubt(**self._of(intent), reason="time-out"),
            OrderNotFound(**self._of(intent), reads=3),
            OrderQuarantined(**self._of(intent), reads=3, reason="not shown by 3 complete reads"),
        ]

    def phase(self, side: Side, *, park_last: bool = False) -> Iterator[tuple[bool, list[Event]]]:
        intents = self.intents(side)
        if not intents:
            return
        yield False, self.planned(side)
        yield True, [self.reserved(i) for i in intents]
        yield False, [self.sending(i) for i in intents]
        answered = intents[:-1] if park_last else intents
        yield False, [self.acknowledged(i) for i in answered]
        yield False, [self.filled(i, 2, 2) for i in answered]
        yield False, [self.filled(i, 3, 5) for i in answered]
        if park_last:
            yield False, self.doubtful(intents[-1])

    def sells_closed(self) -> SellsClosed:
        return SellsClosed(cycle_id=self.cycle_id, proceeds=PX * 5, fees=Decimal("0.01"), unresolved=0, deadline=NOON)

    def revalidated(self) -> BuysRevalidated:
        buys = self.intents(Side.BUY)
        return BuysRevalidated(
            cycle_id=self.cycle_id,
            rule_version=1,
            inputs=RevalidationInputs(
                funds=reading(),
                spendable=Decimal("20000.10"),
                reserved=Decimal(0),
                quotes=tuple(quote(b.symbol) for b in buys),
                market_time=NOON,
                held=(),
                committed=(("B0", PX),),
                barred=(),
                trades_today=0,
                loss_today=Decimal(0),
            ),
            budget=Decimal("16000.08"),
            buys=tuple(
                Validated(
                    cl_ord_id=b.cl_ord_id,
                    symbol=b.symbol,
                    original=7,
                    quantity=5,
                    limit=b.limit,
                    worst_px=PX,
                    rule="budget",
                    reason="the budget pays for 5",
                )
                for b in buys
            ),
            deadline=NOON + timedelta(minutes=4),
        )

    def commits(self, *, park_last_buy: bool = False) -> Iterator[tuple[bool, list[Event]]]:
        yield False, [self.opened()]
        yield from self.phase(Side.SELL)
        yield False, [self.sells_closed()]
        yield False, [FundsObserved(cycle_id=self.cycle_id, funds=reading("20050"), spendable=Decimal(20050))]
        settled = FundsSettled(
            cycle_id=self.cycle_id,
            by=SettledBy.COVERED,
            expected=Decimal(20050),
            spendable=Decimal(20050),
            readings=(Decimal(20050), Decimal(20050)),
        )
        yield False, [settled]
        yield False, [self.revalidated()]
        yield from self.phase(Side.BUY, park_last=park_last_buy)
        outcome = Outcome.PARTIAL if park_last_buy else Outcome.COMPLETE
        yield True, [BuysClosed(cycle_id=self.cycle_id, outcome=outcome)]


def write(journal: Journal, commits: Iterator[tuple[bool, list[Event]]]) -> None:
    for is_barrier, facts in commits:
        (journal.append_barrier if is_barrier else journal.append)(facts)


def oddities() -> Sequence[Event]:
    """Facts of the account that belong to no cycle."""
    return [
        Halted(scope=HaltScope.BUYS, reason="lunch", author="ada", inbox_id=1),
        Released(reason="back", author="ada", inbox_id=2),
        Blacklisted(symbol="C", reason="no", author="ada", until=NOON, inbox_id=3),
        Blacklisted(symbol="D", reason="no", author="ada", inbox_id=4),
        Unblacklisted(symbol="C", reason="yes", author="ada", inbox_id=5),
        SymbolFrozen(symbol="E", reason="more was filled than ordered"),
        SymbolFrozen(symbol="F", reason="odd"),
        SymbolUnfrozen(symbol="F", reason="fine", author="ada", inbox_id=6),
        CommandAnswered(command="resolve", accepted=False, answer="no such order", author="ada", inbox_id=7),
        AttentionRaised(rule="drift", text="the broker shows 3 more shares", symbol="E"),
        FundsObserved(funds=reading("19999.5"), spendable=Decimal("19999.5")),
        AccountBound(broker="tiger", account_kind="prime", shown="…4321", fingerprint="f" * 64),
        armed(NOON),
        LiveDisarmed(reason="holidays", author="ada", inbox_id=8),
        armed(NOON + timedelta(days=3)),
        Selected(
            as_of=date(2026, 2, 27),
            config_hash="c" * 64,
            bars_hash="d" * 64,
            scores=(Score(symbol="S0", score=Decimal("71.5"), rank=1, factors=(Decimal("0.1234567891"), Decimal(-1))),),
            strategy="mine:choose",
            digest="e" * 64,
        ),
        Reconciled(differences=(difference("Y", None), difference("G", Decimal(70)))),
        PositionAdopted(
            symbol="G",
            qty=Decimal(7),
            before=Decimal(0),
            cost=Decimal(70),
            difference=DifferenceKind.MANUAL_TRADE,
            reason="bought in the app",
            author="ada",
            inbox_id=8,
        ),
        ExternalOrderSeen(
            symbol="ZZ",
            order_id="9",
            side=Side.BUY,
            order_qty=Decimal("1.123456789"),
            cum_qty=Decimal(0),
            price=None,
            raw_status="Submitted",
            open=True,
        ),
        Selected(
            as_of=date(2026, 2, 27),
            config_hash="c" * 64,
            bars_hash="b" * 64,
            scores=(
                Score(symbol="S0", score=Decimal("71.5"), rank=1, close=PX),
                Score(symbol="B1", score=None, rank=None, excluded_by="min_history"),
            ),
        ),
        Halted(scope=HaltScope.ALL, reason="storm", author="ada", inbox_id=9),
    ]


def difference(symbol: str, cost: Decimal | None) -> Difference:
    return Difference(
        kind=DifferenceKind.MANUAL_TRADE if cost else DifferenceKind.FOREIGN_ORDER,
        symbol=symbol,
        broker=Decimal(7),
        journal=Decimal(0),
        text="odd",
        proposal="look",
        order=None if cost else "9",
        cost=cost,
    )


def armed(until: datetime) -> LiveArmed:
    return LiveArmed(
        fingerprint="f" * 64,
        shown="…4321",
        until=until,
        limits="{}",
        limits_hash="a" * 64,
        config_hash="c" * 64,
        net_liquidation="118402.55",
        author="ada",
    )


def full_story(journal: Journal) -> None:
    """Three cycles with everything in them; the last one is left open, a buy of the first in quarantine."""
    fence = journal.lease.fence
    journal.append_barrier([account_opened()])
    first = Script(1, sells=2, buys=3, fence=fence)
    write(journal, first.commits(park_last_buy=True))
    journal.append(oddities())
    write(journal, Script(2, sells=1, buys=1, fence=fence).commits())
    last = Script(3, fence=fence)
    journal.append([last.opened(), *last.planned(Side.SELL)])
    sell, blocked = last.intents(Side.SELL)
    journal.append_barrier([last.reserved(sell)])
    journal.append([last.sending(sell), last.acknowledged(sell), last.filled(sell, 2, 2)])
    journal.append(
        [OrderBlocked(**last._of(blocked), rule="price_collar", limit="0.5%", value="0.7%", reason="too far")]
    )
    journal.append(
        [CycleResumed(cycle_id=last.cycle_id, fence=fence, phase="SELLING", host="h", pid=1, restart_token="boot")]
    )
    journal.append([AttentionRaised(cycle_id=last.cycle_id, rule="slow", text="slow")])
    # A late fill of a closed order of the first cycle, and the parked order turns up.
    journal.append([first.filled(first.intents(Side.SELL)[0], 1, 6, late=True)])
    parked = first.intents(Side.BUY)[-1]
    journal.append([first.acknowledged(parked, adopted=True), first.filled(parked, 5, 5)])
    journal.append([AttentionRaised(cycle_id=first.cycle_id, cl_ord_id=parked.cl_ord_id, rule="late", text="found")])
