"""Laws about money: buys within the fraction of funds that were really there, positions within their cap, no short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from oms.gateways.paper.log import LogKind
from oms.model.detail import SettledBy
from oms.model.event import FundsObserved
from oms.model.liquidity import CENT, cost_ceiling, spendable
from oms.model.order import ZERO, Side
from oms.model.rules import FundsPolicy, Rules
from oms.sim.evidence import AtBroker, CycleFacts, Evidence, IntentFacts
from oms.sim.law import Finding, law


def _accepted(evidence: Evidence, cycle: CycleFacts, side: Side) -> list[tuple[IntentFacts, AtBroker]]:
    """The cycle's orders of one side that the broker accepted, in its order."""
    found = [(i, order) for i in cycle.side(side) for order in evidence.orders_of(i.order.cl_ord_id)]
    return sorted(found, key=lambda pair: pair[1].accepted.id)


def _price(intent: IntentFacts, order: AtBroker) -> Decimal:
    """What a share of it may cost: the limit that travelled, or what a market order is counted with."""
    return order.accepted.price if order.accepted.price is not None else intent.order.worst_px


def _cost(intent: IntentFacts, order: AtBroker, rules: Rules) -> Decimal:
    return cost_ceiling(int(order.order_qty), _price(intent, order), rules.fee_allowance)


@law("I10")
def the_buys_of_a_cycle_stay_within_their_fraction_of_the_funds(evidence: Evidence) -> Iterator[Finding]:
    """I10: limit × quantity and fee ceiling, against the lowest accepted reading and against the broker's own figure."""
    for cycle in evidence.cycles.values():
        buys = _accepted(evidence, cycle, Side.BUY)
        if not buys:
            continue
        rules = evidence.rules_of(cycle)
        total = sum((_cost(intent, order, rules) for intent, order in buys), ZERO)
        if cycle.settled is None or cycle.revalidated is None:
            yield cycle.cycle_id, f"buys for up to {total} were accepted, and its funds were never settled"
            continue
        inputs = cycle.revalidated[1].inputs
        figures = (*cycle.settled[1].readings, inputs.spendable, spendable(inputs.funds, rules.funds))
        lowest = min(figures)
        if total > _share(lowest, rules):
            yield (
                cycle.cycle_id,
                f"buys for up to {total}, {rules.funds_fraction} of {lowest} is {_share(lowest, rules)}",
            )
        first = buys[0][1].accepted
        if rules.funds is not FundsPolicy.BUYING_POWER and not evidence.strangers_between(inputs.funds.at, first.at):
            there = first.available
            if total > _share(there, rules):
                yield (
                    cycle.cycle_id,
                    f"buys for up to {total}, {rules.funds_fraction} of the broker's own {there} is {_share(there, rules)}",
                )


def _share(funds: Decimal, rules: Rules) -> Decimal:
    return (rules.funds_fraction * funds).quantize(CENT, rounding=ROUND_FLOOR)


@law("I10")
def the_funds_were_read_after_the_last_sell_was_over(evidence: Evidence) -> Iterator[Finding]:
    """I10: two equal readings, or the lower of the last two at the deadline; none from before the last sell's end."""
    for cycle in evidence.cycles.values():
        if not _accepted(evidence, cycle, Side.BUY) or cycle.settled is None or cycle.revalidated is None:
            continue
        row, settled = cycle.settled
        over = _sells_over_at(evidence, cycle)
        observed = [event for _, event in cycle.readings]
        used = observed[-1:] if settled.by is SettledBy.NO_SELLS else _used(observed, settled.readings)
        if not used or len(used) != len(settled.readings):
            yield cycle.cycle_id, f"it settled in row {row.seq} with {settled.readings}, which were not read"
            continue
        for reading in (*(event.funds for event in used), cycle.revalidated[1].inputs.funds):
            if over is not None and reading.at < over:
                yield cycle.cycle_id, f"funds of {reading.at} were used, the last sell was over at {over}"
        if settled.by is SettledBy.COVERED and (len(used) < 2 or len(set(settled.readings)) != 1):
            yield cycle.cycle_id, f"{settled.readings} are not two equal readings"
        if settled.spendable > min(settled.readings):
            yield cycle.cycle_id, f"{settled.spendable} was taken, {min(settled.readings)} was the lower reading"


def _used(observed: list[FundsObserved], amounts: tuple[Decimal, ...]) -> list[FundsObserved]:
    """The readings with these amounts, the newest of each."""
    left = list(amounts)
    found: list[FundsObserved] = []
    for event in reversed(observed):
        if event.spendable in left:
            left.remove(event.spendable)
            found.append(event)
    return found


def _sells_over_at(evidence: Evidence, cycle: CycleFacts) -> datetime | None:
    """When the last sell of the cycle was over at the broker."""
    ends = [o.ended.at for _, o in _accepted(evidence, cycle, Side.SELL) if o.ended is not None and o.fills]
    return max(ends, default=None)


@law("I11")
def a_position_stays_within_its_cap(evidence: Evidence) -> Iterator[Finding]:
    """I11: at each buy, the shares held, every open buy and this one, at the limit or the last price if that is higher."""
    for cycle in evidence.cycles.values():
        cap = evidence.rules_of(cycle).max_position_value
        if cycle.revalidated is None:
            continue
        row, revalidated = cycle.revalidated
        last = {quote.symbol: quote.last for quote in revalidated.inputs.quotes}
        for intent, order in _accepted(evidence, cycle, Side.BUY):
            symbol = intent.order.symbol
            counted = max(_price(intent, order), last.get(symbol, ZERO))
            open_buys = sum(
                (
                    other.leaves_before(order.accepted.id)
                    for other in evidence.at_broker.values()
                    if other is not order and other.accepted.symbol == symbol and other.accepted.side is Side.BUY
                    and other.accepted.at <= row.at
                ),
                ZERO,
            )  # fmt: skip
            held = evidence.held_at(symbol, row.at)
            value = (held + open_buys) * counted + order.order_qty * _price(intent, order)
            # The value held is rounded up to the cent where it is counted, so a cent is no breach.
            if value > cap + CENT:
                numbers = (
                    f"{held} held, {open_buys} on order, {order.order_qty} bought at {counted}: {value}, cap {cap}"
                )
                yield intent.order.cl_ord_id, numbers


@law("I12")
def a_buy_is_one_of_the_plan_and_never_grows(evidence: Evidence) -> Iterator[Finding]:
    """I12: its quantity and its value are at most those of the original order."""
    for cycle in evidence.cycles.values():
        originals = {wish.cl_ord_id: wish for wish in cycle.opened.buys}
        for intent in cycle.side(Side.BUY):
            key = intent.order.cl_ord_id
            for arrival in evidence.arrivals_of(key):
                row, wish = arrival.received, originals.get(key)
                if wish is None or wish.symbol != row.symbol:
                    yield key, f"{row.qty} {row.symbol} was received, which is not in the plan of {cycle.cycle_id}"
                    continue
                price = row.price if row.price is not None else intent.order.worst_px
                grew = (row.qty or ZERO) > wish.quantity
                if grew or (row.qty or ZERO) * price > wish.quantity * wish.worst_px:
                    yield key, f"{row.qty} at {price} was received, {wish.quantity} at {wish.worst_px} was the plan"


@law("I13")
def nothing_is_sold_that_is_not_held(evidence: Evidence) -> Iterator[Finding]:
    """I13: no short, no sell of what another sell has promised, no symbol on both sides of one cycle."""
    for cycle in evidence.cycles.values():
        sides: dict[str, set[Side]] = {}
        sold: dict[str, Decimal] = {}
        for key, intent in cycle.intents.items():
            arrivals = evidence.arrivals_of(key)
            if not arrivals:
                continue
            sides.setdefault(intent.order.symbol, set()).add(intent.order.side)
            if intent.order.side is Side.SELL:
                sold[intent.order.symbol] = sold.get(intent.order.symbol, ZERO) + (arrivals[0].received.qty or ZERO)
            if any(arrival.refusal == "insufficient_shares" for arrival in arrivals):
                yield key, f"{arrivals[0].received.qty} {intent.order.symbol} was asked to be sold, and is not there"
        for symbol, several in sides.items():
            if len(several) > 1:
                yield cycle.cycle_id, f"{symbol} was bought and sold"
        for symbol, quantity in sold.items():
            held = evidence.held_at(symbol, cycle.opened_row.at) - _promised(evidence, cycle, symbol)
            if quantity > held:
                yield cycle.cycle_id, f"{quantity} {symbol} was sold, {held} was held and free when the plan was made"
    yield from _shorts(evidence)


def _promised(evidence: Evidence, cycle: CycleFacts, symbol: str) -> Decimal:
    """Shares that open sells of earlier cycles had promised when this one was planned."""
    return sum(
        (
            order.order_qty - sum((f.qty or ZERO for f in order.fills if f.at <= cycle.opened_row.at), ZERO)
            for order in evidence.at_broker.values()
            if order.accepted.symbol == symbol
            and order.accepted.side is Side.SELL
            and order.accepted.at <= cycle.opened_row.at
            and (order.ended is None or order.ended.at > cycle.opened_row.at)
        ),
        ZERO,
    )


def _shorts(evidence: Evidence) -> Iterator[Finding]:
    for row in evidence.log:
        if row.kind is LogKind.FILL and row.side is Side.SELL and row.symbol is not None:
            held = evidence.held_before(row.symbol, row.id)
            if (row.qty or ZERO) > held:
                yield f"execution {row.exec_id}", f"{row.qty} {row.symbol} was sold, {held} was held"
