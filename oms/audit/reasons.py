"""Why a cycle bought what it bought, and why one order is what it is: facts of one cycle in, sentences out.

Pure: the terminal and the web tell the same story from the same facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from oms.audit.telling import Sentence, count, dollars, of, percent
from oms.model import lifecycle
from oms.model.cycle import ImpossibleFact
from oms.model.detail import Intent, Validated
from oms.model.event import (
    BuysClosed,
    BuysRevalidated,
    CycleAborted,
    CycleOpened,
    CycleResumed,
    FundsSettled,
    OrderBlocked,
    OrderEvent,
    OrderPlanned,
    OrderQuarantined,
    OrderVoided,
    Recorded,
    SellsClosed,
)
from oms.model.liquidity import KEPT, cost_ceiling, in_priority
from oms.model.order import ZERO, Order, OrderPhase, OrdStatus, Side
from oms.model.pricing import limit_for
from oms.model.rules import Rules

_TOLD = (CycleOpened, CycleResumed, SellsClosed, FundsSettled, BuysRevalidated, CycleAborted, BuysClosed)
"""Facts that make up the course of a cycle."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """The facts of one cycle, sorted for telling."""

    facts: Sequence[Recorded]
    opened: CycleOpened
    orders: dict[str, Order]
    revalidated: tuple[Recorded, BuysRevalidated] | None
    rules: Rules | None
    """Limits that the cycle ran under, where they are kept."""

    @property
    def done(self) -> BuysClosed | None:
        """How it ended."""
        return next((fact.event for fact in self.facts if isinstance(fact.event, BuysClosed)), None)

    def of_order(self, cl_ord_id: str) -> list[Recorded]:
        """The facts of one order."""
        return [fact for fact in self.facts if getattr(fact.event, "cl_ord_id", None) == cl_ord_id]

    def intent(self, cl_ord_id: str) -> Intent | None:
        """What the plan wished."""
        wishes = (*self.opened.sells, *self.opened.buys)
        return next((intent for intent in wishes if intent.cl_ord_id == cl_ord_id), None)

    def validated(self, cl_ord_id: str) -> Validated | None:
        """What revalidation made of a planned buy."""
        buys = () if self.revalidated is None else self.revalidated[1].buys
        return next((buy for buy in buys if buy.cl_ord_id == cl_ord_id), None)


def told(facts: Sequence[Recorded], rules: Rules | None = None) -> Told:
    """Sort the facts of one cycle.

    Raises:
        ImpossibleFact: they are not those of one cycle.
    """
    if not facts or not isinstance(facts[0].event, CycleOpened):
        raise ImpossibleFact("a cycle's facts begin with its opening")
    orders: dict[str, Order] = {}
    revalidated = None
    for fact in facts:
        event = fact.event
        if isinstance(event, OrderPlanned):
            orders[event.cl_ord_id] = lifecycle.planned(event, fact.at)
        elif isinstance(event, OrderEvent):
            if event.cl_ord_id not in orders:
                raise ImpossibleFact(f"row {fact.seq} is about {event.cl_ord_id}, which was never planned")
            orders[event.cl_ord_id] = lifecycle.apply(orders[event.cl_ord_id], event, fact.at)
        elif isinstance(event, BuysRevalidated):
            revalidated = (fact, event)
    return Told(facts=facts, opened=facts[0].event, orders=orders, revalidated=revalidated, rules=rules)


# A cycle


def bought(cycle: Told) -> str:
    """What was bought and what was not, in one sentence: the answer to "why was nothing bought?"."""
    planned = cycle.opened.buys
    if not planned:
        return f"nothing was bought because no buy was planned: {cycle.opened.source} wished for none"
    orders = [cycle.orders.get(buy.cl_ord_id) for buy in planned]
    shares = sum(order.cum_qty for order in orders if order is not None)
    if cycle.revalidated is None:
        return f"{_none(shares)}{count(len(planned), 'buy')} planned, not revalidated yet: {_waiting(cycle)}"
    reasons = _reasons(cycle)
    filled = sum(1 for order in orders if order is not None and order.cum_qty)
    why = "; ".join(f"{', '.join(symbols)}: {reason}" for reason, symbols in reasons.items())
    if not shares:
        return f"nothing was bought because {why}" if why else "nothing was bought yet"
    cut = sum(0 < buy.quantity < buy.original for buy in cycle.revalidated[1].buys)
    rest = f"; not bought: {why}" if why else ""
    return f"{filled} of {count(len(planned), 'planned buy')} bought, {cut} of them cut{rest}"


def _none(shares: int) -> str:
    return "" if shares else "nothing was bought: "


def _waiting(cycle: Told) -> str:
    if not any(isinstance(fact.event, SellsClosed) for fact in cycle.facts):
        return "its sells are not closed"
    if not any(isinstance(fact.event, FundsSettled) for fact in cycle.facts):
        return "the proceeds of its sells are waited for"
    return "fresh quotes and funds are waited for"


def _reasons(cycle: Told) -> dict[str, list[str]]:
    """Reason to the symbols that were not bought for it."""
    found: dict[str, list[str]] = {}
    for buy in cycle.opened.buys:
        order = cycle.orders.get(buy.cl_ord_id)
        if order is None or order.cum_qty:
            continue
        reason = _why_not(cycle, order)
        if reason is not None:
            found.setdefault(reason, []).append(buy.symbol)
    return found


def _why_not(cycle: Told, order: Order) -> str | None:
    """Why nothing of an order was filled; None while it may still be."""
    if order.quarantined:
        return "it is in quarantine: nobody knows whether the broker has it"
    if order.ord_status is OrdStatus.BLOCKED:
        buy = cycle.validated(order.cl_ord_id)
        rule = order.rule or ""
        # The reason says which quote or sum; a rule that bars all buys says the same for each.
        return f"{order.text} ({rule})" if buy is None or rule not in _FOR_ALL else f"{_FOR_ALL[rule]} ({rule})"
    if order.is_closed:
        return f"{order.ord_status.value.lower()}{f' ({order.text})' if order.text else ''}"
    return None


_FOR_ALL = {
    "unresolved_sell": "a sell of this cycle was in quarantine, so no buy may follow",
    "market_closed": "the market was closed",
    "no_buys_before_close": "it was too near to the close of the market",
    "repeated_rejections": "the broker had rejected too many orders of this cycle",
    "stale_on_resume": "the cycle was found open on a later day",
}


def course(cycle: Told) -> Iterator[Sentence]:
    """The cycle from its opening to its end; steps of orders only where they did not go as planned."""
    for fact in cycle.facts:
        event = fact.event
        if isinstance(event, BuysRevalidated):
            yield from _revalidation(cycle, fact, event)
        elif isinstance(event, OrderBlocked) and _is_cut_to_nothing(cycle, event):
            continue  # said already, where the buys were cut
        elif isinstance(event, _TOLD) or event.kind in _TROUBLE:
            yield of(fact) if not isinstance(event, OrderEvent) else _named(cycle, fact, event)


_TROUBLE = {
    *("attention_raised", "order_blocked", "order_in_doubt", "order_quarantined", "order_voided", "order_rejected"),
    *("order_expired", "order_canceled", "order_not_sent"),
}


def _is_cut_to_nothing(cycle: Told, event: OrderBlocked) -> bool:
    buy = cycle.validated(event.cl_ord_id)
    return buy is not None and buy.quantity == 0


def _named(cycle: Told, fact: Recorded, event: OrderEvent) -> Sentence:
    order = cycle.orders[event.cl_ord_id]
    sentence = of(fact)
    return Sentence(
        seq=sentence.seq, at=sentence.at, rule=sentence.rule, text=f"{order.side.value} {event.symbol}: {sentence.text}"
    )


def _revalidation(cycle: Told, fact: Recorded, event: BuysRevalidated) -> Iterator[Sentence]:
    yield of(fact)
    if not event.buys:
        return
    yield Sentence(seq=fact.seq, at=fact.at, rule="funds_fraction", text=_budget(event, cycle.rules))
    for buy in event.buys:
        if buy.quantity < buy.original:
            text = f"BUY {buy.symbol} {buy.original} -> {buy.quantity}: {buy.reason}"
            yield Sentence(seq=fact.seq, at=fact.at, rule=buy.rule, text=text)


def _budget(event: BuysRevalidated, rules: Rules | None) -> str:
    inputs = event.inputs
    share = percent(rules.funds_fraction) if rules is not None else "a share"
    reserved = f", less {dollars(inputs.reserved)} reserved for open buys" if inputs.reserved else ""
    return f"budget {dollars(event.budget)}: {share} of {dollars(inputs.spendable)} spendable{reserved}"


# An order


def headline(cycle: Told, order: Order) -> str:
    """One order in one line."""
    buy = cycle.validated(order.cl_ord_id)
    intent = cycle.intent(order.cl_ord_id)
    wanted = buy.original if buy is not None else intent.quantity if intent is not None else order.order_qty
    planned = f" (planned {wanted})" if wanted != order.order_qty else ""
    average = order.avg_px
    filled = "" if average is None else f" {order.cum_qty} @ {average.quantize(Decimal('0.0001')).normalize():f}"
    status = "in quarantine" if order.quarantined else order.ord_status.value
    return f"{order.side.value} {order.symbol} {order.order_qty}{planned}, cycle {order.cycle_id}: {status}{filled}"


def why(cycle: Told, order: Order) -> str:
    """The answer about one order, in one sentence."""
    if order.quarantined:
        return _why_quarantined(cycle, order)
    if order.ord_status is OrdStatus.BLOCKED:
        return f"it was not sent, by the rule {order.rule}: {order.text}"
    if order.ever_quarantined:
        return f"it was in quarantine, and was found or settled later: it is {order.ord_status.value} now"
    buy = cycle.validated(order.cl_ord_id)
    if buy is not None and 0 < buy.quantity < buy.original:
        return f"{buy.quantity} and not {buy.original} by the rule {buy.rule}: {buy.reason}"
    if order.is_closed and order.cum_qty < order.order_qty:
        return f"{order.cum_qty} of {order.order_qty} were filled before it was {order.ord_status.value.lower()}"
    if order.phase is OrderPhase.AMBIGUOUS:
        return "it is in doubt whether the broker has it; the broker is asked until it is known"
    return "it went as planned" if order.is_closed else "it is under way"


def _why_quarantined(cycle: Told, order: Order) -> str:
    last = next(fact.event for fact in reversed(cycle.facts) if _is_of(fact, order, OrderQuarantined))
    assert isinstance(last, OrderQuarantined)
    if order.side is Side.SELL:
        held = f"its {order.leaves_qty} shares count as sold, and no buy follows in its cycle"
    else:
        held = f"{dollars(order.leaves_qty * order.worst_px)} stay reserved for it"
    return (
        f"nobody knows whether the broker has it: {order.text or last.reason}; "
        f"{count(last.reads, 'complete read')} of the broker's orders did not show it, and that is no proof. It is never "
        f"sent again, {held}, and {order.symbol} takes no new order until it turns up or a person voids it"
    )


def _is_of(fact: Recorded, order: Order, kind: type[OrderEvent]) -> bool:
    return isinstance(fact.event, kind) and fact.event.cl_ord_id == order.cl_ord_id


def steps(cycle: Told, order: Order) -> Iterator[Sentence]:
    """How an order came to its quantity, then everything that happened to it."""
    intent = cycle.intent(order.cl_ord_id)
    if intent is not None:
        yield _wish(cycle, intent)
    if order.side is Side.BUY and cycle.revalidated is not None:
        yield from _cut(cycle, order.cl_ord_id, *cycle.revalidated)
    for fact in cycle.of_order(order.cl_ord_id):
        yield of(fact)
        if isinstance(fact.event, OrderQuarantined):
            frozen = f"{order.symbol} is frozen: it takes no new order"
            yield Sentence(seq=fact.seq, at=fact.at, rule="symbol_frozen", text=frozen)
        if isinstance(fact.event, OrderVoided):
            yield Sentence(seq=fact.seq, at=fact.at, text="what it reserved is free again")


def _wish(cycle: Told, intent: Intent) -> Sentence:
    fact = cycle.facts[0]
    score = f", score {intent.score}" if intent.score is not None else ""
    reason = f": {intent.reason}" if intent.reason else ""
    text = f"{intent.quantity} {intent.symbol} were wished for at {intent.worst_px}{score}{reason}"
    return Sentence(seq=fact.seq, at=fact.at, rule=intent.rule, text=text)


def _cut(cycle: Told, cl_ord_id: str, fact: Recorded, event: BuysRevalidated) -> Iterator[Sentence]:
    """From the money to this buy: the budget, what better buys took of it, and the rule that bound."""
    buy = cycle.validated(cl_ord_id)
    if buy is None:
        return

    def say(text: str, rule: str | None = None) -> Sentence:
        return Sentence(seq=fact.seq, at=fact.at, rule=rule, text=text)

    yield say(_budget(event, cycle.rules), "funds_fraction")
    if cycle.rules is not None:
        taken = list(_before(cycle, event, cl_ord_id, cycle.rules.fee_allowance))
        if taken:
            total = sum((cost for _, cost in taken), ZERO)
            names = ", ".join(f"{other.symbol} {other.quantity}" for other, _ in taken)
            yield say(
                f"{names} came first and {'takes' if len(taken) == 1 else 'take'} up to {dollars(total)}, "
                f"which leaves {dollars(event.budget - total)}"
            )
        quote = next((quote for quote in event.inputs.quotes if quote.symbol == buy.symbol), None)
        if quote is not None and buy.limit is not None and limit_for(quote, Side.BUY, cycle.rules.collar) == buy.limit:
            collar = percent(cycle.rules.collar)
            yield say(f"its limit is {buy.limit}: the last price {quote.last} and a collar of {collar}")
    if buy.rule == KEPT:
        yield say(f"no rule cuts it: {buy.quantity} shares", KEPT)
    else:
        yield say(f"{buy.original} -> {buy.quantity} by {buy.rule}: {buy.reason}", buy.rule)


def _before(cycle: Told, event: BuysRevalidated, cl_ord_id: str, fees: Decimal) -> Iterator[tuple[Validated, Decimal]]:
    """Buys that were served before this one, with the most that each can cost."""
    answers = {answer.cl_ord_id: answer for answer in event.buys}
    for intent in in_priority(cycle.opened.buys):
        if intent.cl_ord_id == cl_ord_id:
            return
        answer = answers[intent.cl_ord_id]
        if answer.quantity:
            yield answer, cost_ceiling(answer.quantity, answer.worst_px, fees)
