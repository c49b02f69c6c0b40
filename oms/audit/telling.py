"""Facts of the journal as sentences for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from oms import amounts
from oms.journal.answers import instant
from oms.model.arming import AccountBound, LiveArmed, LiveDisarmed
from oms.model.detail import SettledBy
from oms.model.event import (
    AttentionRaised,
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    CycleOpened,
    CycleResumed,
    Event,
    FundsObserved,
    FundsSettled,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderInDoubt,
    OrderNotFound,
    OrderNotSent,
    OrderPlanned,
    OrderQuarantined,
    OrderRejected,
    OrderReserved,
    OrderSending,
    OrderVoided,
    Recorded,
    SellsClosed,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One thing said, with the fact it rests on."""

    text: str
    seq: int | None = None
    """Row of the journal; None for what is reckoned from several."""
    at: datetime | None = None
    rule: str | None = None

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        return {"seq": self.seq, "at": instant(self.at), "rule": self.rule, "text": self.text}


def dollars(amount: Decimal) -> str:
    """An amount to the cent: $1,234.50."""
    return amounts.amount(amount)


def percent(fraction: Decimal) -> str:
    """A fraction as percent: 80%."""
    return f"{(fraction * 100).normalize():f}%"


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 order, 2 orders, no orders."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def of(fact: Recorded, text: str | None = None) -> Sentence:
    """The sentence of one fact."""
    rule = getattr(fact.event, "rule", None)
    return Sentence(seq=fact.seq, at=fact.at, rule=rule, text=text or tell(fact.event))


def tell(event: Event) -> str:
    """What one fact says; the name of its kind where nothing better is known."""
    match event:
        case CycleOpened():
            wishes = f"{count(len(event.sells), 'sell')} and {count(len(event.buys), 'buy')} planned"
            money = f"{dollars(event.spendable)} spendable"
            return f"cycle opened for {event.trading_day}, {wishes} from {event.source}, {money}"
        case CycleResumed():
            return f"taken up by process {event.pid} on {event.host}, in {event.phase}"
        case SellsClosed():
            parked = f", {event.unresolved} of them in quarantine" if event.unresolved else ""
            return f"every sell is closed{parked}: {dollars(event.proceeds)} less {dollars(event.fees)} fees"
        case FundsObserved():
            return f"the broker shows {dollars(event.spendable)} spendable, {dollars(event.funds.cash)} cash"
        case FundsSettled():
            return _settled(event)
        case BuysRevalidated():
            cut = sum(buy.quantity < buy.original for buy in event.buys)
            return f"{count(len(event.buys), 'buy')} revalidated, {cut} of them cut; budget {dollars(event.budget)}"
        case BuysClosed():
            return f"cycle done: {event.outcome.value.replace('_', ' ')}"
        case CycleAborted():
            return f"cycle aborted: {event.reason}"
        case AttentionRaised():
            return f"attention: {event.text}"
        case LiveArmed():
            return f"{event.author} armed account {event.shown} for real money until {event.until:%Y-%m-%d %H:%M} UTC"
        case LiveDisarmed():
            return f"{event.author} disarmed real money" + (f": {event.reason}" if event.reason else "")
        case AccountBound():
            return f"this journal is about {event.broker} account {event.shown} ({event.account_kind})"
    return _of_order(event)


def _settled(event: FundsSettled) -> str:
    match event.by:
        case SettledBy.NO_SELLS:
            return f"nothing was sold, so there was nothing to wait for: {dollars(event.spendable)} spendable"
        case SettledBy.COVERED:
            return f"two readings cover the proceeds: {dollars(event.spendable)} of {dollars(event.expected)} expected"
        case SettledBy.DEADLINE:
            return (
                f"the wait for the money ended at its deadline: {dollars(event.spendable)} of the "
                f"{dollars(event.expected)} expected was there"
            )


def _of_order(event: Event) -> str:
    match event:
        case OrderPlanned():
            limit = f"limit {event.price}" if event.price is not None else "at the market"
            return f"{event.side.value} {event.symbol} {event.order_qty} planned, {limit}"
        case OrderBlocked():
            return f"not sent: {event.reason}"
        case OrderReserved():
            return f"number {event.order_no} reserved at the broker and written down before anything was sent"
        case OrderSending():
            return (
                "sent to the broker" if event.attempt == 1 else f"sent again under the same number ({event.attempt}.)"
            )
        case OrderNotSent():
            return f"nothing left this machine: {event.reason}"
        case OrderAcknowledged():
            return f"{'found at the broker' if event.adopted else 'the broker has it'} as {event.order_id}"
        case OrderInDoubt():
            return f"in doubt whether the broker has it: {event.reason}"
        case OrderNotFound():
            return f"complete read {event.reads} of the broker's orders does not show it; absence is no proof"
        case OrderQuarantined():
            return f"in quarantine after {count(event.reads, 'complete read')}: {event.reason}"
        case OrderVoided():
            return f"void, on the word of {event.author}: {event.evidence}"
        case OrderFilled():
            late = " (reported late)" if event.late else ""
            return f"filled {event.last_qty} @ {event.last_px}, {event.cum_qty} in all{late}"
        case OrderCancelRequested():
            return f"cancel asked for: {event.reason}"
        case OrderCanceled() | OrderExpired():
            word = "cancelled" if isinstance(event, OrderCanceled) else "expired"
            return f"{word} with {event.cum_qty} filled{f': {event.text}' if event.text else ''}"
        case OrderRejected():
            return f"rejected by the broker ({event.code}){f': {event.text}' if event.text else ''}"
    return event.kind.replace("_", " ")


def lasted(time: timedelta) -> str:
    """A stretch of time: 1.5 s, 2 min 5 s, 3 h 2 min."""
    seconds = time.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
