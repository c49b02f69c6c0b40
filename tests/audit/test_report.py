"""The report and the profit and loss: figures that one can reckon by hand, and those of the fold of every fact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import Phase, given, settings

from oms.audit.figures import percentile
from oms.audit.pnl import pnl
from oms.audit.report import nothing, report
from oms.journal.reader import Reader, reader_over
from oms.journal.store import SqliteJournal, open_journal
from oms.model.difference import DifferenceKind
from oms.model.event import AttentionRaised, OrderRejected, OrderVoided, PositionAdopted
from oms.model.order import ZERO, Side
from oms.model.state import AccountState
from tests.audit.stories import CHAPTERS, Chapter, facts_of, lived
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened


@contextmanager
def told(*scripts: Script, pause: float = 1.0) -> Iterator[tuple[SqliteJournal, FakeClock, Reader]]:
    """A journal in memory in which these cycles were written, each commit ``pause`` seconds after the last."""
    clock = FakeClock()
    journal = open_journal("sqlite://", ACCOUNT, "paper", clock)
    try:
        journal.append_barrier([account_opened()])
        for script in scripts:
            for is_barrier, facts in script.commits():
                clock.advance(timedelta(seconds=pause))
                (journal.append_barrier if is_barrier else journal.append)(facts)
        yield journal, clock, reader_over(journal.connection)
    finally:
        journal._break("the test is over")


def test_a_report_adds_up_what_can_be_counted_by_hand() -> None:
    """Two days: three buys sent and filled, each cut by the rule ``budget`` of the script, delays of six commits."""
    with told(Script(1, sells=2, buys=2), Script(3, sells=0, buys=1)) as (_, _, reader):
        found = report(reader)
    assert (found["cycles"], found["buys_sent"], found["buys_filled"]) == (2, 3, 3)
    assert found["buy_success_rate"] == "1"
    assert (found["revalidated"], found["cut"], found["cut_by_rule"]) == (3, 3, {"budget": 3})
    # From the sells' last fill: sells_closed, a reading, settled, revalidated, planned, reserved, sending.
    assert found["sell_to_buy_delay_s"] == {"p50": "7", "p95": "7", "max": "7"}
    # Three buys of 5 at 10.11 with two fees of half a cent each, of two times 20,000.10.
    assert found["bought"] == "151.65"
    assert found["funds_used_share"] == str((Decimal("151.68") / Decimal("40000.20")).quantize(Decimal("0.0001")))
    assert [(each["day"], each["cycles"], each["buys_sent"]) for each in found["by_day"]] == [
        ("2026-03-02", 1, 2),
        ("2026-03-03", 1, 1),
    ]
    assert found["by_day"][1]["sell_to_buy_delay_s"] == {"p50": None, "p95": None, "max": None}
    assert (found["liquidity_errors"], found["duplicates"], found["rejected"]) == (0, 0, 0)


def test_a_buy_refused_for_want_of_money_is_a_liquidity_error_and_no_success() -> None:
    """Refusals count by the broker's code or words; one about a lot size, or of a sell, does not."""
    with told(Script(1, sells=1, buys=0)) as (journal, _, reader):
        script = Script(2, sells=1, buys=3)
        for is_barrier, facts in script.commits():
            kept = [fact for fact in facts if not isinstance(fact, OrderRejected)]
            (journal.append_barrier if is_barrier else journal.append)(kept)
            if any(fact.kind == "order_sending" for fact in facts):
                break
        for sell in script.intents(Side.SELL):
            journal.append([OrderRejected(**script._of(sell), code="insufficient_funds")])
        assert report(reader)["liquidity_errors"] == 0
    with told() as (journal, _, reader):
        script = Script(1, sells=0, buys=3)
        for is_barrier, facts in script.commits():
            (journal.append_barrier if is_barrier else journal.append)(facts)
            if any(fact.kind == "order_sending" for fact in facts):
                break
        first, second, third = script.intents(Side.BUY)
        journal.append([OrderRejected(**script._of(first), code="insufficient_funds", text="9 needed")])
        journal.append([OrderRejected(**script._of(second), code="tiger_1200", text="Your buying power is too low")])
        journal.append([OrderRejected(**script._of(third), code="tiger_1200", text="not a whole lot")])
        found = report(reader)
    assert (found["liquidity_errors"], found["rejected"], found["buy_success_rate"]) == (2, 3, "0")


def test_an_order_that_the_broker_shows_twice_is_a_duplicate() -> None:
    """What reconciliation raised as two orders of one intent is counted on its day."""
    with told(Script(1)) as (journal, _, reader):
        cycle_id = Script(1).cycle_id
        journal.append([AttentionRaised(cycle_id=cycle_id, rule="two_orders", text="twice")])
        journal.append([AttentionRaised(cycle_id=cycle_id, rule="slow", text="two_orders")])
        found = report(reader)
    assert found["duplicates"] == found["by_day"][0]["duplicates"] == 1


def test_since_and_until_choose_cycles_by_the_time_they_opened() -> None:
    """The instant itself belongs to ``since``, not to ``until``; two halves add up to the whole."""
    with told(Script(1), Script(2), Script(3)) as (_, clock, reader):
        opened = [row[0] for row in reader._kept.exec_driver_sql("SELECT opened_at FROM cycles ORDER BY 1")]  # type: ignore[union-attr]
        second = clock.now() + timedelta(microseconds=opened[1] - int(clock.now().timestamp() * 1_000_000))
        whole, early, late = report(reader), report(reader, until=second), report(reader, since=second)
    assert (early["cycles"], late["cycles"]) == (1, 2)
    for name in ("cycles", "buys_sent", "revalidated", "cut"):
        assert early[name] + late[name] == whole[name]
    assert Decimal(early["bought"]) + Decimal(late["bought"]) == Decimal(whole["bought"])


def test_an_empty_journal_has_a_report_of_nothing() -> None:
    """Before the first cycle every count is zero and every share is unknown."""
    with told() as (_, _, reader):
        assert report(reader) == nothing()


def test_the_delay_is_a_nearest_rank() -> None:
    """The median of one is that one; 95 % of twenty is the nineteenth; of nothing there is none."""
    seconds = [timedelta(seconds=n) for n in range(20, 0, -1)]
    assert percentile([], 50) is None
    assert percentile(seconds[:1], 50) == percentile(seconds[:1], 95) == seconds[0]
    assert percentile(seconds, 50) == timedelta(seconds=10)
    assert percentile(seconds, 95) == timedelta(seconds=19)


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(chapters=CHAPTERS)
def test_profit_and_loss_are_those_of_the_fold(chapters: list[Chapter]) -> None:
    """Realised in all, by symbol, today and by day: in any life what a fold of every fact adds up to."""
    with lived(chapters) as (journal, reader):
        state: AccountState = journal.state
        found = pnl(reader)
        assert Decimal(found["total"]["realised"]) == sum((h.realised for h in state.holdings.values()), ZERO)
        assert Decimal(found["today"]["realised"]) == state.realised_today
        assert sum(Decimal(each["realised"]) for each in found["by_day"]) == Decimal(found["total"]["realised"])
        by_symbol = {each["symbol"]: each for each in found["by_symbol"]}
        for symbol, held in state.holdings.items():
            if held.qty or held.realised:
                assert Decimal(by_symbol[symbol]["realised"]) == held.realised
                assert Decimal(by_symbol[symbol]["qty"]) == held.qty
        voided = sum(isinstance(fact.event, OrderVoided) for fact in facts_of(reader))
        assert report(reader)["buys_sent"] >= report(reader)["buys_filled"] >= 0, voided


def test_realised_in_two_halves_of_time_is_realised_in_all(reader: Reader) -> None:
    """``--since`` and ``--until`` cut the sales by the time they were journaled, and lose none."""

    def realised(since: datetime | None = None, until: datetime | None = None) -> Decimal:
        found: Any = pnl(reader, since, until)
        return Decimal(found["total"]["realised"])

    with reader.asking("a test") as connection:
        at = [row[0] for row in connection.exec_driver_sql("SELECT at FROM fills WHERE side = 'SELL' ORDER BY seq")]
    middle = FakeClock().now() + timedelta(microseconds=at[len(at) // 2] - int(FakeClock().now().timestamp() * 1e6))
    assert realised(until=middle) + realised(since=middle) == realised() != 0


def test_a_price_that_nobody_knows_is_named_and_left_out() -> None:
    """Shares of which the journal knows no price stand in ``unpriced``, and the sums are without them."""
    with told() as (_, _, reader):
        found = pnl(reader)
    assert found["unpriced"] == ["S0", "S1", "S2"]
    assert found["total"] == {"realised": "0.00", "unrealised": "0.00", "total": "0.00"}
    assert [each["unrealised"] for each in found["by_symbol"]] == [None, None, None]


def test_what_moved_today_is_the_change_since_the_day_began(reader: Reader) -> None:
    """Shares held overnight count with the move of their price, not with all that they ever gained."""
    found = pnl(reader)
    # The shares cost 9.3337 and stood at 10.11 already when the story's last day began.
    assert Decimal(found["total"]["unrealised"]) > 700
    assert abs(Decimal(found["today"]["unrealised"])) < 20


def test_shares_that_were_taken_over_are_no_profit() -> None:
    """What an operator adopted counts from there on with its cost; nothing is realised by it."""
    with told(Script(1, sells=1, buys=1)) as (journal, _, reader):
        before = pnl(reader)["total"]["realised"]
        journal.append(
            [
                PositionAdopted(
                    symbol="S0",
                    qty=Decimal(2000),
                    before=journal.state.holdings["S0"].qty,
                    cost=Decimal(9000),
                    difference=DifferenceKind.CORPORATE_ACTION,
                    reason="split",
                    author="ada",
                )
            ]
        )
        found = pnl(reader)
        assert found["total"]["realised"] == before
        (row,) = [each for each in found["by_symbol"] if each["symbol"] == "S0"]
        assert (row["qty"], row["avg_cost"]) == ("2000", "4.50")
        for is_barrier, facts in Script(2, sells=1, buys=0).commits():
            (journal.append_barrier if is_barrier else journal.append)(facts)
        held = journal.state.holdings["S0"]
        assert Decimal(pnl(reader)["total"]["realised"]) == sum(h.realised for h in journal.state.holdings.values())
        assert held.realised > 0
