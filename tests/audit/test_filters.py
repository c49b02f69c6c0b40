"""Questions by filter: what Python would answer, by an index, in bounded memory; hostile text is a value like another."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.journal import filters, history, tables
from oms.journal.history import EventFilter
from oms.journal.reader import Reader
from oms.journal.shortcuts import RULE_KINDS
from oms.journal.statuses import ORD_STATUS, entry_of
from oms.model.cycle import Phase
from oms.model.kinds import KINDS
from oms.model.order import OrderPhase, OrdStatus, Side
from tests.audit.stories import Chapter, lived
from tests.fakes.clock import START
from tests.journal.facts import ACCOUNT, Script

HOSTILE = (
    "'; DROP TABLE events; --",
    "x' OR '1'='1",
    "%",
    "_",
    "\\",
    '"',
    "\x00",
    "\ud800",
    "é",
    "*",
    "?",
    ":seq",
    "a\nb",
    "1; ATTACH 'x' AS y",
    "x" * 100_000,
    "",
)
LIVES = [
    Chapter(2, 3, True, True, True, "found"),
    Chapter(1, 2, True, True, True, "void"),
    Chapter(3, 1, False, True, True, "nothing"),
    Chapter(0, 2, True, False, False, "nothing"),
]


@pytest.fixture(scope="module")
def lives() -> Iterator[tuple[Reader, list[dict[str, Any]]]]:
    """A journal and all its facts."""
    with lived(LIVES) as (_, reader):
        yield reader, list(history.journal_stream(reader))


def matches(event: dict[str, Any], wanted: EventFilter) -> bool:
    """The filter, in Python."""
    at, text = datetime.fromisoformat(event["at"]), json.dumps(event["data"], sort_keys=True, separators=(",", ":"))
    named = all(
        value is None or event[name] == value
        for name, value in (
            ("account", wanted.account),
            ("cycle_id", wanted.cycle_id),
            ("cl_ord_id", wanted.cl_ord_id),
            ("symbol", wanted.symbol),
            ("kind", wanted.kind),
        )
    )
    return (
        named
        and (wanted.since is None or at >= wanted.since)
        and (wanted.until is None or at < wanted.until)
        and (wanted.rule is None or (event["kind"] != "cycle_opened" and wanted.rule in rules_in(event["data"])))
        and (wanted.text is None or json.dumps(wanted.text)[1:-1].lower() in text.lower())
        and event["seq"] > wanted.after
    )


def rules_in(data: Any) -> set[str]:
    """Every rule that a fact's details name."""
    if isinstance(data, dict):
        own = {data["rule"]} if isinstance(data.get("rule"), str) else set()
        return own.union(*map(rules_in, data.values()))
    return set().union(*map(rules_in, data)) if isinstance(data, list) else set()


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.none() | st.none() | st.sampled_from(values)


TIMES = [START + timedelta(seconds=second) for second in range(0, 75, 5)]
WANTED = st.builds(
    EventFilter,
    account=maybe(ACCOUNT, "other"),
    cycle_id=maybe(*[Script(n).cycle_id for n in range(1, 5)], "none"),
    cl_ord_id=maybe(*[Script(n, 3, 3).intent(side, 0).cl_ord_id for n in range(1, 5) for side in Side]),
    symbol=maybe("S0", "S1", "B0", "B1", "E", "nothing"),
    kind=maybe("order_filled", "order_planned", "order_quarantined", "halted", "cycle_opened", "buys_closed", "x"),
    rule=maybe("budget", "slow", "drift", "rule"),
    text=maybe("LUNCH", "10.11", "complete reads", "nowhere"),
    since=maybe(*TIMES),
    until=maybe(*TIMES),
    after=st.sampled_from([0, 0, 0, 17, 60]),
)


@settings(max_examples=100, deadline=None)
@given(wanted=WANTED, limit=st.sampled_from([1, 3, 1000]))
def test_any_filter_answers_what_python_answers(
    lives: tuple[Reader, list[dict[str, Any]]], wanted: EventFilter, limit: int
) -> None:
    """Newest page, oldest page, stream and count of any combination are those of a filter over all facts."""
    reader, everything = lives
    expected = [event for event in everything if matches(event, wanted)]
    assert history.journal_query(reader, wanted, limit=limit)["events"] == expected[-limit:]
    assert history.journal_query(reader, wanted, limit=limit, newest=False)["events"] == expected[:limit]
    assert list(history.journal_stream(reader, wanted)) == expected
    assert history.journal_count(reader, wanted) == len(expected)


@pytest.mark.parametrize(
    "wanted", [{"since": START}, {"kind": "order_filled"}, {"rule": "budget"}, {"text": "10.11"}, {}]
)
def test_a_stream_in_small_batches_is_the_same(
    lives: tuple[Reader, list[dict[str, Any]]], wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one batch ends and the next begins, no fact is lost and none comes twice."""
    reader, everything = lives
    monkeypatch.setattr(history, "BATCH", 2)
    asked = EventFilter(**wanted)
    assert list(history.journal_stream(reader, asked)) == [event for event in everything if matches(event, asked)]


def test_a_clock_that_was_set_back_loses_no_fact() -> None:
    """Facts of a time are found by their time even where it does not grow with their place in the journal."""
    from oms.journal.reader import reader_over
    from oms.journal.store import open_journal
    from oms.model.event import AttentionRaised
    from tests.fakes.clock import FakeClock
    from tests.journal.facts import account_opened

    clock = FakeClock()
    journal = open_journal("sqlite://", ACCOUNT, "paper", clock)
    journal.append_barrier([account_opened()])
    for seconds in (10, -5, 20, -30, 7, 0, 0):
        clock.jump(timedelta(seconds=seconds))
        journal.append([AttentionRaised(rule="a", text=str(seconds)), AttentionRaised(rule="b", text=str(seconds))])
    reader = reader_over(journal.connection)
    everything = list(history.journal_stream(reader))
    for since in range(-10, 30, 3):
        asked = EventFilter(since=START + timedelta(seconds=since), until=START + timedelta(seconds=since + 9))
        expected = {event["seq"] for event in everything if matches(event, asked)}
        found = [event["seq"] for event in history.journal_stream(reader, asked)]
        assert len(found) == len(set(found))
        assert set(found) == expected
    journal._break("the test is over")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["account", "cycle_id", "cl_ord_id", "symbol", "kind", "rule", "text"])
def test_hostile_text_is_a_value_like_another(lives: tuple[Reader, list[dict[str, Any]]], name: str, text: str) -> None:
    """Whatever is asked for, the answer is what a comparison of texts gives, and nothing is harmed."""
    reader, everything = lives
    asked = EventFilter(**{name: text})  # type: ignore[arg-type]  # every name is one of a text
    assert history.journal_query(reader, asked, limit=1000)["events"] == [e for e in everything if matches(e, asked)]
    if name == "symbol":
        assert history.cycle_list(reader, symbol=text)["cycles"] == []
        assert history.order_list(reader, symbol=text)["orders"] == []


def test_every_kind_that_names_a_rule_has_its_door() -> None:
    """A fact with a rule, its own or of one of its parts, is of a kind whose rules are listed."""
    assert {kind for kind, cls in KINDS.items() if names_a_rule(cls)} == {*RULE_KINDS, "cycle_opened"}


def names_a_rule(cls: Any) -> bool:
    hints = get_type_hints(cls)
    return any(
        field.name == "rule"
        or any(
            isinstance(part, type) and is_dataclass(part) and names_a_rule(part) for part in parts(hints[field.name])
        )
        for field in fields(cls)
    )


def parts(hint: Any) -> list[Any]:
    return [hint, *(part for arg in get_args(hint) for part in parts(arg))]


def test_every_watched_kind_exists() -> None:
    """The index of kinds names no kind that a fact cannot have."""
    assert set(tables.WATCHED_KINDS) <= set(KINDS)


# Orders and cycles


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_the_status_in_sql_is_the_status_of_the_model(data: st.DataObject) -> None:
    """For any row of the orders the expression gives what the model derives, and the index's condition holds of it."""
    from datetime import UTC
    from decimal import Decimal

    from sqlalchemy import create_engine, select

    from oms.journal.casting import insert_sql
    from oms.journal.connection import driver
    from oms.journal.projection import ORDERS
    from oms.model.order import CloseReason, Order, OrdType, Pending

    phase = data.draw(st.sampled_from(OrderPhase))
    reason = data.draw(st.sampled_from(CloseReason)) if phase is OrderPhase.CLOSED else None
    cum_qty = data.draw(st.integers(0, 6))
    if reason is CloseReason.FILLED:
        cum_qty = max(cum_qty, 5)  # an order is closed as filled by the fill that completes it, and by nothing else
    order = Order(
        cl_ord_id="k",
        cycle_id="c",
        side=Side.BUY,
        index=0,
        symbol="S",
        ord_type=OrdType.LIMIT,
        order_qty=5,
        price=Decimal(1),
        worst_px=Decimal(1),
        phase=phase,
        order_no=data.draw(st.sampled_from([None, "1"])),
        order_id=data.draw(st.sampled_from([None, "1"])),
        in_doubt=data.draw(st.booleans()),
        cum_qty=cum_qty,
        pending=data.draw(st.sampled_from(Pending)),
        close_reason=reason,
        planned_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        tables.orders.create(connection)
        driver(connection).execute(insert_sql(tables.orders), ORDERS.row(order, account="a"))
        assert connection.execute(select(ORD_STATUS).select_from(tables.orders)).scalar() == order.ord_status.value
        assert connection.execute(select(entry_of(order.ord_status)).select_from(tables.orders)).scalar()
    engine.dispose()


@pytest.mark.parametrize("status", OrdStatus)
def test_orders_are_listed_by_status(lives: tuple[Reader, list[dict[str, Any]]], status: OrdStatus) -> None:
    """Exactly the orders in a status, in the order of the whole list."""
    reader, _ = lives
    everything = history.order_list(reader, limit=1000)["orders"]
    assert history.order_list(reader, limit=1000, statuses=(status,))["orders"] == [
        order for order in everything if order["ord_status"] == status.value
    ]


def test_orders_of_the_newest_cycle_come_first(lives: tuple[Reader, list[dict[str, Any]]]) -> None:
    """Newest cycle first, its sells before its buys, each in the order of the plan."""
    reader, _ = lives
    listed = [(o["cycle_id"], o["side"]) for o in history.order_list(reader, limit=1000)["orders"]]
    assert listed == sorted(listed, key=lambda each: (each[0], each[1]), reverse=True)


@settings(max_examples=60, deadline=None)
@given(
    phase=maybe(*Phase),
    outcome=maybe("complete", "partial", "nonsense"),
    symbol=maybe("S0", "S2", "B2", "x"),
    resumed=st.none() | st.booleans(),
    cut=st.none() | st.booleans(),
    is_open=st.none() | st.booleans(),
    since=maybe(*TIMES),
)
def test_cycles_are_filtered(lives: tuple[Reader, list[dict[str, Any]]], **wanted: Any) -> None:
    """Each filter of cycles alone and together answers what Python answers over the whole list."""
    reader, _ = lives
    traded: dict[str, set[str]] = {}
    for order in history.order_list(reader, limit=1000)["orders"]:
        traded.setdefault(order["cycle_id"], set()).add(order["symbol"])
    expected = [
        cycle
        for cycle in history.cycle_list(reader, limit=1000)["cycles"]
        if (wanted["phase"] is None or cycle["phase"] == wanted["phase"].value)
        and (wanted["outcome"] is None or cycle["outcome"] == wanted["outcome"])
        and (wanted["symbol"] is None or wanted["symbol"] in traded.get(cycle["cycle_id"], set()))
        and (wanted["resumed"] is None or (cycle["resumed"] > 0) is wanted["resumed"])
        and (wanted["cut"] is None or (cycle["cut"] > 0) is wanted["cut"])
        and (wanted["is_open"] is None or (cycle["phase"] != "DONE") is wanted["is_open"])
        and (wanted["since"] is None or datetime.fromisoformat(cycle["opened_at"]) >= wanted["since"])
    ]
    assert history.cycle_list(reader, limit=1000, **wanted)["cycles"] == expected


def test_cycles_of_a_symbol_are_the_same_however_few_orders_are_read_at_once(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One order at a time or many: every cycle that has the symbol, once, newest first, and page after page."""
    listed = history.cycle_list(reader, limit=1000)["cycles"]
    symbol = "S1"
    having = [
        cycle["cycle_id"]
        for cycle in listed
        if any(
            o["symbol"] == symbol for o in history.order_list(reader, cycle_id=cycle["cycle_id"], limit=1000)["orders"]
        )
    ]
    assert len(having) > 1
    for at_once in (1, 2, 200):
        monkeypatch.setattr(filters, "ORDERS_AT_ONCE", at_once)
        found = history.cycle_list(reader, symbol=symbol, limit=1000)["cycles"]
        assert [cycle["cycle_id"] for cycle in found] == having
        first = history.cycle_list(reader, symbol=symbol, limit=1)
        second = history.cycle_list(reader, symbol=symbol, limit=1, before=first["next"])
        assert [c["cycle_id"] for c in (*first["cycles"], *second["cycles"])] == having[:2]


_ASKED: dict[str, dict[str, Any]] = {
    "rule": {"rule": "budget"},
    "rule and time": {"rule": "budget", "since": START},
    "rule and symbol": {"rule": "budget", "symbol": "S0"},
    "text": {"text": "x"},
    "rare kind": {"kind": "order_quarantined"},
    "since": {"since": START},
    "until": {"until": START},
    "place in time": {"since": START, "after": 5, "after_at": START},
    "kind and time": {"kind": "order_filled", "until": START},
}
QUESTIONS: dict[str, Any] = {
    **{
        f"events by {name}": partial(history.journal_query, wanted=EventFilter(**wanted))
        for name, wanted in _ASKED.items()
    },
    **{f"orders {s.value}": partial(history.order_list, statuses=(s,)) for s in OrdStatus},
    "cycles by symbol": partial(history.cycle_list, symbol="S0"),
    "cycles by phase": partial(history.cycle_list, phase=Phase.DONE, cut=True, resumed=True),
    "count by kind": partial(history.journal_count, wanted=EventFilter(kind="halted")),
    "count by rule": partial(history.journal_count, wanted=EventFilter(rule="budget")),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_filter_scans_a_table(reader: Reader, name: str) -> None:
    """Each table is entered by a key or an index, and a page by time or kind needs no sorting."""
    from sqlalchemy import event

    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        plans.extend(row[3] for row in plan)

    engine = reader._engine
    assert engine is not None
    event.listen(engine, "before_cursor_execute", explain)
    QUESTIONS[name](reader)
    event.remove(engine, "before_cursor_execute", explain)
    scanned = [plan for plan in plans if plan.startswith("SCAN") and not plan.startswith("SCAN anon")]
    assert plans
    assert not scanned, "\n".join(plans)
    if "time" in name or (name.startswith(("events by since", "events by until")) and "rule" not in name):
        assert "rule" in name or not [plan for plan in plans if "TEMP B-TREE" in plan], "\n".join(plans)


def test_a_stream_of_everything_takes_little_memory(tmp_path: Any) -> None:
    """Ten times as many facts are streamed in about the same memory."""
    from oms.bench.journal import fill
    from oms.journal.reader import open_reader

    peaks = []
    for rows in (1_000, 8_000):
        made = fill(tmp_path / f"{rows}.db", rows)
        opened = open_reader(f"sqlite:///{made.path}")
        tracemalloc.start()
        assert sum(1 for _ in history.journal_stream(opened)) == made.rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        opened.close()
    assert peaks[1] < 1.5 * peaks[0] + 2**20, peaks
