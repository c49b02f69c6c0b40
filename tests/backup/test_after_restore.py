"""After a journal restore: the broker is asked before anything is sent; what the journal cannot know stops the account."""

from __future__ import annotations

import os
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from oms import app, crashpoints
from oms.backup.archive import read_archive
from oms.engine.restored import RULE, facts_after_restore
from oms.errors import BrokerUnavailable
from oms.gateways.paper import PaperBroker
from oms.gateways.system_clock import SystemClock
from oms.journal.connection import driver, reader_engine
from oms.journal.loading import load
from oms.journal.restored import read_mark
from oms.model.detail import HaltScope
from oms.model.event import CommandAnswered, ExternalOrderSeen, Halted
from oms.model.order import BrokerOrder, BrokerState, OrdType, Side
from oms.model.restoration import Restoration
from oms.model.state import AccountState
from oms.places import places
from oms.ports import OrdersRead
from tests.backup.home import Home, dies_at

posix = pytest.mark.skipif(os.name != "posix", reason="processes that are killed")
AT = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
MARK = Restoration(
    restore_id="restore-x",
    backup_id="oms-x",
    horizon=AT,
    restored_at=AT,
    head_seq=5,
    superseded_seq=9,
    superseded_hash="00",
)


def mark_of(home: Home) -> Restoration | None:
    engine = reader_engine(home.journal)
    try:
        with engine.connect() as connection:
            return read_mark(driver(connection))
    finally:
        engine.dispose()


def tombstones(home: Home) -> list[str]:
    engine = reader_engine(home.journal)
    try:
        with engine.connect() as connection:
            sql = "SELECT name FROM meta WHERE name LIKE 'restored.%'"
            return [name for (name,) in driver(connection).execute(sql)]
    finally:
        engine.dispose()


def orders_at_the_broker(home: Home) -> int:
    """Orders that the paper broker accepted, whoever sent them."""
    loaded = home.loaded
    market = app.market_of(loaded)
    market.enter(None, None)
    with closing(app.broker_of(loaded, market, SystemClock(), places(loaded), watching=True)) as broker:
        return len(broker.orders(datetime(2000, 1, 1, tzinfo=UTC)).orders)


def test_orders_beyond_the_backup_stop_the_account_until_a_person_releases(home: Home) -> None:
    """Counted external, each told, halted for all orders by restore, not one order sent; after `release` it goes on."""
    made = home.back_up(with_journal=True)
    home.run(sell=20)
    sent = orders_at_the_broker(home)
    home.restore(made.path)
    assert mark_of(home) is not None
    assert home.run(sell=20).exit_code == 7
    state = home.state
    assert state.halt is not None
    assert (state.halt.scope, state.halt.author) == (HaltScope.ALL, "restore")
    assert len(state.external) == 2
    told = [data["text"] for kind, data in home.facts() if kind == "attention_raised" and data["rule"] == RULE]
    assert len(told) == 2
    assert orders_at_the_broker(home) == sent
    assert mark_of(home) is None
    assert len(tombstones(home)) == 1
    home.post("release", reason="compared with the broker")
    assert home.run(open_new=False).exit_code == 0


def test_where_nothing_happened_since_the_engine_goes_on_by_itself(home: Home) -> None:
    """The broker shows no order that the journal does not know: no halt, the next cycle is traded."""
    made = home.back_up(with_journal=True)
    home.restore(made.path)
    assert home.run().exit_code == 0
    assert home.state.halt is None
    assert home.kinds().count("cycle_opened") == 2
    assert mark_of(home) is None


def test_a_release_given_before_the_broker_was_asked_does_not_count(home: Home) -> None:
    """A person can release only what has been shown."""
    made = home.back_up(with_journal=True)
    home.run(sell=20)
    home.restore(made.path)
    home.post("release", reason="in advance")
    assert home.run(sell=20).exit_code == 7
    assert home.state.halt is not None


def test_a_broker_that_cannot_be_asked_keeps_the_mark(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is concluded and nothing is sent: 75, and the next start asks again."""
    made = home.back_up(with_journal=True)
    home.restore(made.path)
    sent = orders_at_the_broker(home)

    def unavailable(self: PaperBroker, since: datetime) -> OrdersRead:
        raise BrokerUnavailable("the line is down")

    with monkeypatch.context() as patched:
        patched.setattr(PaperBroker, "orders", unavailable)
        with pytest.raises(BrokerUnavailable) as failed:
            home.run()
    assert failed.value.exit_code == 75
    assert mark_of(home) is not None
    assert orders_at_the_broker(home) == sent
    assert home.run().exit_code == 0


@posix
@pytest.mark.parametrize("point", ["restore.before_facts", "restore.before_lift"])
def test_a_start_killed_while_it_asks_asks_again(point: str, home: Home) -> None:
    """SIGKILL before and after the facts are journaled: the halt is there in the end, each order told once."""
    made = home.back_up(with_journal=True)
    home.run(sell=20)
    home.restore(made.path)
    assert dies_at(point, 1, home.run)
    assert mark_of(home) is not None
    assert home.run().exit_code == 7
    assert sum(kind == "attention_raised" and data["rule"] == RULE for kind, data in home.facts()) == 2
    assert mark_of(home) is None


SENDING = [name for name in crashpoints.POINTS if name.startswith(("reserve.", "send.", "journal.before", "decide."))]


def interrupted(home: Home, point: str) -> bool:
    """Let a cycle die at a point, so that a backup can be made in the middle of it."""
    return dies_at(point, 1, lambda: home.run(sell=20))


@posix
@pytest.mark.parametrize("point", SENDING)
def test_a_cycle_that_was_open_in_the_backup_sends_nothing_more(
    point: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backed up at any boundary of a cycle, finished, then restored: not one request to place an order is made."""
    if not interrupted(home, point):
        pytest.skip("this cycle does not pass the point")
    made = home.back_up(with_journal=True)
    home.run(open_new=False)
    marks = marks_at_the_broker(home)
    home.restore(made.path)
    monkeypatch.setattr(PaperBroker, "place", lambda *_: pytest.fail("a request to place an order was made"))
    for _ in range(2):
        home.run(sell=20, open_new=False)
    assert marks_at_the_broker(home) == marks
    assert len(marks) == len(set(marks))
    assert home.kinds().count("cycle_aborted") == int(still_open_in(made.path, home))


def still_open_in(archive: Path, home: Home) -> bool:
    """Whether the journal inside an archive has an open cycle."""
    unpacked = home.folder / "look.db"
    read_archive(archive, unpacked)
    engine = reader_engine(unpacked)
    try:
        with engine.connect() as connection:
            return load(connection, "paper-main").state.open_cycle is not None
    finally:
        engine.dispose()
        unpacked.unlink()


def marks_at_the_broker(home: Home) -> list[str]:
    """Our marks of all orders that the broker accepted, in order."""
    loaded = home.loaded
    market = app.market_of(loaded)
    market.enter(None, None)
    with closing(app.broker_of(loaded, market, SystemClock(), places(loaded), watching=True)) as broker:
        return sorted(str(order.user_mark) for order in broker.orders(datetime(2000, 1, 1, tzinfo=UTC)).orders)


# The rule by itself ───────────────────────────────────────────────────────────────────────────────────────────────


def stranger(number: str) -> BrokerOrder:
    return BrokerOrder(
        order_id=f"B{number}",
        order_no=number,
        user_mark=None,
        symbol="AAA",
        side=Side.BUY,
        order_qty=Decimal(10),
        cum_qty=Decimal(4),
        notional=Decimal(200),
        fees=Decimal(0),
        price=Decimal(50),
        ord_type=OrdType.LIMIT,
        state=BrokerState.NEW,
        raw_status="Submitted",
        text="",
        transact_time=AT,
        fills=(),
    )


def read_of(*orders: BrokerOrder, complete: bool = True) -> OrdersRead:
    return OrdersRead(asked_at=AT, orders=orders, complete=complete)


def test_an_incomplete_reading_proves_nothing() -> None:
    """A page is missing: nothing is concluded, the start ends with 75."""
    with pytest.raises(BrokerUnavailable, match="did not show all"):
        facts_after_restore(AccountState("a"), read_of(complete=False), MARK, executions=True, known={}, older={})


def test_an_order_of_unknown_number_is_external_and_halts() -> None:
    """Seen, told, halted, answered; an order of this journal's older cycles is none of these."""
    read = read_of(stranger("7"), stranger("8"))
    events = facts_after_restore(AccountState("a"), read, MARK, executions=True, known={"8": "B000"}, older={})
    assert [type(event) for event in events if isinstance(event, ExternalOrderSeen | Halted | CommandAnswered)] == [
        ExternalOrderSeen,
        Halted,
        CommandAnswered,
    ]


def test_a_halt_for_all_orders_is_not_given_twice() -> None:
    """An account that is halted for all orders already keeps its halt and its reason."""
    state = AccountState("a")
    state.halt = Halted(scope=HaltScope.ALL, reason="a person", author="somebody")
    events = facts_after_restore(state, read_of(stranger("7")), MARK, executions=True, known={}, older={})
    assert not [event for event in events if isinstance(event, Halted)]
