"""``explain``: the story of a cycle, an order or a symbol out of the journal, and its decision made once more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, select

from oms.audit.reasons import Told, bought, course, headline, steps, told, why
from oms.audit.recompute import Recomputed, recompute
from oms.audit.telling import Sentence, count
from oms.errors import DamagedError, UnknownName
from oms.journal import tables
from oms.journal.answers import Answer, instant, money, number
from oms.journal.filters import OrderFilter, orders_statement
from oms.journal.loading import STORED, last_of_kind, recorded
from oms.journal.projection import BLACKLIST, HOLDINGS
from oms.journal.reader import Reader
from oms.journal.scalars import storable
from oms.model.cycle import ImpossibleFact
from oms.model.event import Recorded, Selected
from oms.model.rules import Rules

RulesOf = Callable[[str], Rules]
"""A configuration's canonical text to the limits it means; raises DamagedError where it does not fit this release."""

_CENT = Decimal("0.01")

LATEST = "latest"
NEWEST_ORDERS = 5
"""Orders of a symbol that are told about."""


def explain_cycle(reader: Reader, cycle_id: str, rules_of: RulesOf) -> Answer:
    """Why a cycle, or the ``latest``, did what it did, with every rule that bound and its decision made again.

    Raises:
        UnknownName: there is no such cycle.
    """
    with reader.asking("explaining a cycle") as connection:
        row = _cycle_row(connection, reader, cycle_id)
        story, again = _story(connection, row, rules_of)
    return {
        "schema": "oms.cycle.explain/1",
        "cycle_id": row["cycle_id"],
        "phase": row["phase"],
        "outcome": row["outcome"],
        "trading_day": row["trading_day"].isoformat(),
        "config_hash": row["config_hash"],
        "answer": bought(story),
        "sentences": [sentence.answer() for sentence in course(story)],
        "orders": [_brief(story, key) for key in story.orders],
        "decision": None if again is None else again.answer(),
        "journal": _span(story.facts),
    }


def explain_order(reader: Reader, cl_ord_id: str, rules_of: RulesOf) -> Answer:
    """Why one order has the quantity and the end that it has.

    Raises:
        UnknownName: there is no such order.
    """
    orders = tables.orders
    with reader.asking("explaining an order") as connection:
        named = orders.c.cl_ord_id == storable(cl_ord_id)
        cycle_id = connection.execute(select(orders.c.cycle_id).where(named)).scalar()
        if cycle_id is None:
            raise UnknownName(f"there is no order {cl_ord_id} in {reader.where}; `order list` shows those there are")
        row = _cycle_row(connection, reader, cycle_id)
        story, again = _story(connection, row, rules_of)
    order = story.orders[cl_ord_id]
    return {
        "schema": "oms.order.explain/1",
        **_brief(story, cl_ord_id),
        "cycle_id": cycle_id,
        "order_qty": order.order_qty,
        "cum_qty": order.cum_qty,
        "config_hash": row["config_hash"],
        "sentences": [sentence.answer() for sentence in steps(story, order)],
        "decision": None if again is None else again.answer(),
        "journal": _span(story.of_order(cl_ord_id)),
    }


def explain_symbol(reader: Reader, symbol: str, rules_of: RulesOf) -> Answer:
    """What is held of a symbol, whether anything bars it, how it was scored, and its newest orders explained."""
    with reader.asking("explaining a symbol") as connection:
        sentences = list(_about_symbol(connection, reader.account, symbol))
        wanted = orders_statement(reader.account, OrderFilter(symbol=symbol), NEWEST_ORDERS)
        rows = connection.execute(wanted).mappings().all()
        found = []
        for each in rows:
            story, _ = _story(connection, _cycle_row(connection, reader, each["cycle_id"]), rules_of)
            found.append(_brief(story, each["cl_ord_id"]))
    answer = f"{symbol}: {found[0]['answer']}" if found else f"no order for {symbol} was ever planned"
    return {
        "schema": "oms.symbol.explain/1",
        "symbol": symbol,
        "answer": answer,
        "sentences": [sentence.answer() for sentence in sentences],
        "orders": found,
    }


def kind_of(reader: Reader, name: str) -> str:
    """What a name is the name of: ``cycle``, ``order`` or ``symbol``."""
    cycles, orders = tables.cycles, tables.orders
    with reader.asking("looking a name up") as connection:
        if (
            name == LATEST
            or connection.execute(select(cycles.c.cycle_id).where(cycles.c.cycle_id == storable(name))).first()
        ):
            return "cycle"
        if connection.execute(select(orders.c.cl_ord_id).where(orders.c.cl_ord_id == storable(name))).first():
            return "order"
    return "symbol"


def decisions(reader: Reader, rules_of: RulesOf) -> Iterator[tuple[str, Recomputed]]:
    """Every revalidation of the journal made again, oldest first, with its cycle."""
    cycles = tables.cycles
    after = 0
    while True:
        with reader.asking("making decisions again") as connection:
            statement = (
                select(cycles)
                .where(cycles.c.account == reader.account, cycles.c.opened_seq > after)
                .order_by(cycles.c.opened_seq)
                .limit(100)
            )
            rows = connection.execute(statement).mappings().all()
            for row in rows:
                _, again = _story(connection, row, rules_of)
                if again is not None:
                    yield row["cycle_id"], again
        if not rows:
            return
        after = rows[-1]["opened_seq"]


def _cycle_row(connection: Connection, reader: Reader, cycle_id: str) -> RowMapping:
    cycles = tables.cycles
    statement = select(cycles).where(cycles.c.account == reader.account, cycles.c.opened_seq > 0)
    if cycle_id == LATEST:
        statement = statement.order_by(cycles.c.opened_seq.desc()).limit(1)
    else:
        statement = statement.where(cycles.c.cycle_id == storable(cycle_id))
    row = connection.execute(statement).mappings().first()
    if row is None:
        there = "no cycle yet; `run` opens one" if cycle_id == LATEST else f"no cycle {cycle_id} in {reader.where}"
        raise UnknownName(f"there is {there}")
    return row


def _story(connection: Connection, row: RowMapping, rules_of: RulesOf) -> tuple[Told, Recomputed | None]:
    """The facts of a cycle, and its decision made again where it has come to one."""
    events = tables.events
    rows = connection.execute(
        select(*STORED).where(events.c.cycle_id == row["cycle_id"]).order_by(events.c.version)
    ).all()
    rules = _rules(connection, row["config_hash"], rules_of)
    try:
        story = told([recorded(each) for each in rows], None if isinstance(rules, str) else rules)
    except ImpossibleFact as error:
        raise DamagedError(f"the facts of {row['cycle_id']} do not follow: {error}; run `journal verify`") from error
    if story.revalidated is None:
        return story, None
    fact = story.revalidated[0]
    stored = next(each.data for each in rows if each.seq == fact.seq)
    return story, recompute(story.opened, fact, stored, rules)


def _rules(connection: Connection, config_hash: str, rules_of: RulesOf) -> Rules | str:
    """The limits kept under a hash, or why they are not known."""
    configs = tables.configs
    kept = connection.execute(select(configs.c.canonical).where(configs.c.config_hash == config_hash)).scalar()
    if kept is None:
        return f"it cannot be made again: configuration {config_hash[:12]} is not kept in this journal"
    if hashlib.sha256(kept.encode()).hexdigest() != config_hash:
        return f"it cannot be made again: what is kept as configuration {config_hash[:12]} was changed by hand"
    try:
        return rules_of(kept)
    except DamagedError as error:
        return f"it cannot be made again: {error}"


def _brief(story: Told, cl_ord_id: str) -> Answer:
    order = story.orders[cl_ord_id]
    return {
        "cl_ord_id": cl_ord_id,
        "symbol": order.symbol,
        "side": order.side.value,
        "ord_status": order.ord_status.value,
        "headline": headline(story, order),
        "answer": why(story, order),
    }


def _span(facts: Sequence[Recorded]) -> Answer:
    return {"first": facts[0].seq, "last": facts[-1].seq}


def _about_symbol(connection: Connection, account: str, symbol: str) -> Iterator[Sentence]:
    holdings, listed, frozen = tables.holdings, tables.blacklist, tables.frozen
    held = connection.execute(
        select(holdings).where(holdings.c.account == account, holdings.c.symbol == storable(symbol))
    )
    for row in held.mappings():
        holding = HOLDINGS.value(row)
        cost = f" at {money(holding.avg_cost.quantize(_CENT))} each" if holding.qty else ""
        yield Sentence(text=f"{number(holding.qty)} shares are held{cost}, {money(holding.realised)} realised so far")
    barred = connection.execute(select(listed).where(listed.c.account == account, listed.c.symbol == storable(symbol)))
    for row in barred.mappings():
        entry = BLACKLIST.value(row)
        until = f" until {instant(entry.until)}" if entry.until is not None else ""
        yield Sentence(rule="blacklist", text=f"on the blacklist{until} by {entry.author}: {entry.reason}")
    stopped = connection.execute(
        select(frozen.c.reason).where(frozen.c.account == account, frozen.c.symbol == storable(symbol))
    )
    for reason in stopped.scalars():
        yield Sentence(rule="symbol_frozen", text=f"frozen, so that it takes no new order: {reason}")
    yield from _screened(connection, account, symbol)


def _screened(connection: Connection, account: str, symbol: str) -> Iterator[Sentence]:
    fact = last_of_kind(connection, account, Selected.kind)
    if fact is None or not isinstance(fact.event, Selected):
        return
    score = next((score for score in fact.event.scores if score.symbol == symbol), None)
    of = f"the last screen, of bars to {fact.event.as_of}, of {count(len(fact.event.scores), 'symbol')}"
    if score is None:
        text = f"{of}, did not look at it: it is not in the universe"
    elif score.excluded_by is not None:
        text = f"{of}, left it out by the rule {score.excluded_by}"
    else:
        text = f"{of}, gave it {number(score.score)} points, rank {score.rank}"
    yield Sentence(seq=fact.seq, at=fact.at, rule=None if score is None else score.excluded_by, text=text)
