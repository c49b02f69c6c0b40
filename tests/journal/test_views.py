"""Questions asked of the journal: the promised shapes, while an engine runs and when none does, and never a scan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from oms.errors import UsageError
from oms.journal import stages, views
from oms.journal.reader import Reader, open_reader, reader_over
from oms.journal.store import SqliteJournal, open_journal
from oms.model.detail import HaltScope
from oms.model.event import Halted, Released
from oms.model.order import Side
from oms.model.state import AccountState
from tests.fakes.clock import START, FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, full_story, write

OpenOne = Callable[..., SqliteJournal]


@pytest.fixture
def reader(story: Path) -> Iterator[Reader]:
    reader = views.open_reader(f"sqlite:///{story}")
    yield reader
    reader.close()


@pytest.fixture
def live(journal: SqliteJournal, url: str) -> Iterator[tuple[SqliteJournal, Reader]]:
    journal.append_barrier([account_opened()])
    reader = views.open_reader(url)
    yield journal, reader
    reader.close()


SHAPES: dict[str, tuple[Callable[[Reader], Any], set[str]]] = {
    "status": (
        views.status,
        {
            "schema",
            "account",
            "mode",
            "phase",
            "cycle_id",
            "waiting_for",
            "halted",
            "funds",
            "trades_today",
            "heartbeat",
            "tasks",
            "journal",
        },
    ),
    "funds": (
        views.funds,
        {
            "schema",
            "cash",
            "settled_cash",
            "unsettled_cash",
            "buying_power",
            "spendable",
            "reserved",
            "currency",
            "as_of",
        },
    ),
    "positions": (
        lambda r: views.positions(r)["positions"][0],
        {"symbol", "qty", "avg_cost", "last_px", "market_value", "unrealized_pnl", "score"},
    ),
    "select": (lambda r: views.select_scores(r)["scores"][0], {"symbol", "score", "rank", "excluded_by"}),
    "cycle list": (
        lambda r: views.cycle_list(r)["cycles"][0],
        {
            "cycle_id",
            "account",
            "phase",
            "outcome",
            "opened_at",
            "closed_at",
            "resumed",
            "sells",
            "buys",
            "cut",
            "config_hash",
        },
    ),
    "cycle show": (
        lambda r: views.cycle_show(r, Script(2).cycle_id),
        {"schema", "cycle", "orders", "events", "funds", "cuts"},
    ),
    "cycle show, funds": (
        lambda r: views.cycle_show(r, Script(2).cycle_id)["funds"][0],
        {"at", "cash", "settled_cash", "buying_power", "spendable"},
    ),
    "cycle show, cuts": (
        lambda r: views.cycle_show(r, Script(2).cycle_id)["cuts"][0],
        {"symbol", "from", "to", "rule", "reason"},
    ),
    "order list": (
        lambda r: views.order_list(r)["orders"][0],
        {
            "cl_ord_id",
            "cycle_id",
            "sends",
            "side",
            "symbol",
            "ord_type",
            "price",
            "order_qty",
            "cum_qty",
            "leaves_qty",
            "avg_px",
            "fees",
            "ord_status",
            "order_no",
            "order_id",
            "planned_at",
            "sent_at",
            "closed_at",
            "text",
        },
    ),
    "journal query": (
        lambda r: views.journal_query(r)["events"][0],
        {"seq", "at", "account", "cycle_id", "cl_ord_id", "kind", "data", "hash"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_answers_have_the_promised_fields(reader: Reader, name: str) -> None:
    """Every field that the public surface names is there, and JSON can hold the answer without a float."""
    ask, promised = SHAPES[name]
    answer = ask(reader)
    assert promised <= answer.keys()
    text = json.dumps(answer, allow_nan=False)

    def refuse(found: str) -> None:
        pytest.fail(f"a float in the answer: {found}")

    json.loads(text, parse_float=refuse)


def test_status_of_an_account_at_rest(reader: Reader) -> None:
    """With no process at work it says which cycle is open and what to do."""
    answer = views.status(reader, START)
    assert (answer["account"], answer["mode"], answer["running"]) == (ACCOUNT, "paper", False)
    assert (answer["phase"], answer["cycle_id"]) == ("SELLING", Script(3).cycle_id)
    assert answer["halted"]["scope"] == "all"
    assert "ada" in answer["waiting_for"]
    assert "release" in answer["waiting_for"]
    assert answer["journal"]["seq"] > 50
    assert re.fullmatch("[0-9a-f]{64}", answer["journal"]["head"])


def test_status_follows_the_engine(live: tuple[SqliteJournal, Reader], clock: FakeClock) -> None:
    """A running engine's every commit is seen at once, with a sentence for what it waits for."""
    journal, reader = live
    assert views.status(reader, clock.now())["waiting_for"] == "the next cycle"
    assert views.status(reader, clock.now())["running"] is True
    script = Script()
    journal.append([script.opened(), *script.planned(Side.SELL)])
    assert views.status(reader, START)["waiting_for"].startswith("2 of 2 sells to close; at most")
    journal.append_barrier([script.reserved(i) for i in script.intents(Side.SELL)])
    journal.append([script.sending(i) for i in script.intents(Side.SELL)])
    assert "2 of them in doubt" in views.status(reader, START)["waiting_for"]
    journal.append([script.acknowledged(i) for i in script.intents(Side.SELL)])
    journal.append([script.filled(i) for i in script.intents(Side.SELL)])
    journal.append([script.sells_closed()])
    assert "spendable" in views.status(reader, START)["waiting_for"]
    assert views.status(reader, clock.now() + timedelta(minutes=1))["running"] is False


def test_a_halt_is_told_with_its_author(live: tuple[SqliteJournal, Reader], clock: FakeClock) -> None:
    """Who, why and since when; and no more after the release."""
    journal, reader = live
    journal.append([Halted(scope=HaltScope.BUYS, reason="storm", author="ada")])
    halted = views.status(reader, clock.now())["halted"]
    assert halted == {"scope": "buys", "reason": "storm", "author": "ada", "at": "2026-03-02T15:00:00.000000Z"}
    journal.append([Released(reason="", author="ada")])
    assert views.status(reader, clock.now())["halted"] is None


def test_an_empty_journal_has_answers(journal: SqliteJournal, url: str) -> None:
    """Before the first fact every question has an answer, an empty one."""
    journal.close()
    reader = views.open_reader(url)
    assert views.status(reader)["phase"] is None
    assert views.funds(reader)["cash"] is None
    assert views.positions(reader)["positions"] == []
    assert views.select_scores(reader)["scores"] == []
    assert views.cycle_list(reader)["cycles"] == []
    assert views.order_list(reader)["orders"] == []
    assert views.journal_tail(reader)["events"] == []
    reader.close()


def test_figures_are_those_of_the_state(journal: SqliteJournal, url: str) -> None:
    """What the tables answer is what the engine decides from."""
    full_story(journal)
    state: AccountState = journal.state
    reader = views.open_reader(url)
    held = {p["symbol"]: Decimal(p["qty"]) for p in views.positions(reader)["positions"]}
    assert held == {symbol: h.qty for symbol, h in state.holdings.items() if h.qty}
    orders = {o["cl_ord_id"]: o for o in views.order_list(reader)["orders"]}
    assert len(orders) == 9
    for order in state.orders:
        assert orders[order.cl_ord_id]["ord_status"] == order.ord_status.value
        assert orders[order.cl_ord_id]["cum_qty"] == order.cum_qty
    assert views.status(reader)["attention"] == state.attention
    assert [b["symbol"] for b in views.blacklist(reader)["symbols"]] == ["D"]
    reader.close()


def test_orders_are_filtered(reader: Reader) -> None:
    """By cycle, by symbol, and the unresolved alone."""
    assert {o["cycle_id"] for o in views.order_list(reader, cycle_id=Script(2).cycle_id)["orders"]} == {
        Script(2).cycle_id
    }
    assert {o["symbol"] for o in views.order_list(reader, symbol="S0")["orders"]} == {"S0"}
    assert len(views.order_list(reader, limit=2)["orders"]) == 2
    assert views.order_list(reader, unresolved=True)["orders"] == []


def test_unresolved_orders_are_listed(live: tuple[SqliteJournal, Reader]) -> None:
    """An order in quarantine is shown until evidence ends it."""
    journal, reader = live
    write(journal, Script().commits(park_last_buy=True))
    (order,) = views.order_list(reader, unresolved=True)["orders"]
    assert (order["ord_status"], order["quarantined"]) == ("UNKNOWN", True)
    status = views.status(reader)
    assert (status["unresolved"], status["quarantined"]) == (1, 1)


def test_one_order_is_shown_with_all_its_facts(reader: Reader) -> None:
    """Facts and executions of one order, the late ones included."""
    sell = Script(1).intents(Side.SELL)[0]
    shown = views.order_show(reader, sell.cl_ord_id)
    assert [e["kind"] for e in shown["events"]] == [
        "order_planned", "order_reserved", "order_sending", "order_acknowledged", "order_filled", "order_filled",
        "order_filled",
    ]  # fmt: skip
    assert [fill["late"] for fill in shown["fills"]] == [False, False, True]
    assert shown["order"]["ord_status"] == "FILLED"
    with pytest.raises(UsageError, match="no order nonsense"):
        views.order_show(reader, "nonsense")
    with pytest.raises(UsageError, match="no cycle nonsense"):
        views.cycle_show(reader, "nonsense")


def test_facts_are_filtered(reader: Reader) -> None:
    """Each filter alone and all together; hostile text is a value like another."""
    everything = list(views.journal_stream(reader))
    sell = Script(1).intents(Side.SELL)[0]

    def matching(**wanted: Any) -> list[int]:
        answer = views.journal_query(reader, views.EventFilter(**wanted), limit=1000)
        return [e["seq"] for e in answer["events"]]

    for wanted in (
        {"cycle_id": Script(1).cycle_id},
        {"symbol": "S0"},
        {"kind": "order_filled"},
        {"kind": "selected"},
        {"cl_ord_id": sell.cl_ord_id},
        {"cl_ord_id": sell.cl_ord_id, "kind": "order_filled"},
        {"symbol": "'; DROP TABLE events; --"},
        {"kind": "x' OR '1'='1"},
    ):
        assert matching(**wanted) == [
            e["seq"] for e in everything if all(e[name] == value for name, value in wanted.items())
        ]
    assert matching(since=START) == [e["seq"] for e in everything]
    assert matching(until=START) == []
    assert matching(after=70) == [e["seq"] for e in everything if e["seq"] > 70]


def test_the_tail_is_the_end(reader: Reader) -> None:
    """The newest facts, oldest of them first, and only what was not seen before."""
    tail = [e["seq"] for e in views.journal_tail(reader, 3)["events"]]
    last = views.status(reader)["journal"]["seq"]
    assert tail == [last - 2, last - 1, last]
    assert [e["seq"] for e in views.journal_tail(reader, 20, after=last - 1)["events"]] == [last]


def test_a_journal_in_memory_is_read_over_its_own_connection(clock: FakeClock) -> None:
    """A simulation asks the same questions."""
    journal = open_journal("sqlite://", ACCOUNT, "paper", clock)
    full_story(journal)
    assert views.status(reader_over(journal.connection))["cycle_id"] == Script(3).cycle_id
    journal.close()


QUESTIONS: dict[str, Callable[[Reader], Any]] = {
    "status": views.status,
    "funds": views.funds,
    "positions": views.positions,
    "select": views.select_scores,
    "blacklist": views.blacklist,
    "cycle list": views.cycle_list,
    "cycle list, filtered": lambda r: views.cycle_list(r, is_open=True, outcome="partial", since=START, until=START),
    "cycle show": lambda r: views.cycle_show(r, Script(2).cycle_id),
    "order list": views.order_list,
    "order list, unresolved": lambda r: views.order_list(r, unresolved=True),
    "order list, symbol": lambda r: views.order_list(r, symbol="S0"),
    "order list, cycle": lambda r: views.order_list(r, cycle_id=Script(2).cycle_id),
    "order show": lambda r: views.order_show(r, Script(1).intents(Side.SELL)[0].cl_ord_id),
    "journal tail": views.journal_tail,
    "journal stream": lambda r: list(views.journal_stream(r)),
}

FILTERS = {
    "cycle": views.EventFilter(cycle_id="c"),
    "order": views.EventFilter(cl_ord_id="o"),
    "symbol": views.EventFilter(symbol="S0"),
    "rare kind": views.EventFilter(kind="halted"),
    "kind": views.EventFilter(kind="order_filled"),
    "time": views.EventFilter(since=START, until=START),
}
QUESTIONS |= {
    "what cycles moved": lambda r: stages.moved(r, ["c-1", "c-2"]),
    "phases of cycles": lambda r: stages.phases(r, ["c-1", "c-2"], START),
    "facts with their links": lambda r: stages.linked_facts(r, "c-1"),
    "the newest link of a cycle": lambda r: stages.newest_hash(r, "c-1"),
    "newest facts": lambda r: stages.newest(r, [Halted.kind, Released.kind], 5),
}
QUESTIONS |= {f"journal query, {name}": partial(views.journal_query, wanted=f) for name, f in FILTERS.items()}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_scans_a_table(reader: Reader, name: str) -> None:
    """Every statement of every question enters each table by a key or an index."""
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        plans.extend(f"{row[3]}   <- {statement}" for row in plan)

    engine = reader._engine
    assert engine is not None
    event.listen(engine, "before_cursor_execute", explain)
    QUESTIONS[name](reader)
    event.remove(engine, "before_cursor_execute", explain)
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")], "\n".join(plans)


def test_a_start_scans_no_table(story: Path, open_one: OpenOne, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading, too, looks only where something is."""
    from oms.journal import loading

    plans: list[str] = []
    real = loading.load

    def load(connection: Any, account: str) -> Any:
        def explain(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.extend(f"{row[3]}   <- {statement}" for row in plan)

        event.listen(connection, "before_cursor_execute", explain)
        return real(connection, account)

    monkeypatch.setattr(loading, "load", load)
    assert story.exists()
    open_one().close()
    assert plans
    assert not [plan for plan in plans if plan.startswith("SCAN")], "\n".join(plans)


def test_several_questions_at_once_see_one_state(journal: SqliteJournal, path: Path, clock: FakeClock) -> None:
    """What is journaled between two questions of one page is seen by neither, and by the next page."""
    journal.append_barrier([account_opened()])
    with closing(open_reader(f"sqlite:///{path}")) as reader:
        with reader.at_once() as still:
            before = views.status(still, now=clock.now())["journal"]["seq"]
            journal.append([Halted(scope=HaltScope.ALL, reason="meanwhile", author="ada")])
            assert views.status(still, now=clock.now())["journal"]["seq"] == before
        assert views.status(reader, now=clock.now())["journal"]["seq"] == before + 1
