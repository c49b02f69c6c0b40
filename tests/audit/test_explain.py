"""Explanations: what a person asks is answered with the rule, the numbers and the rows; decisions come out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from oms.audit.explain import decisions, explain_cycle, explain_order, explain_symbol, kind_of
from oms.errors import DamagedError, UsageError
from oms.journal.connection import driver
from oms.journal.reader import Reader, reader_over
from oms.journal.store import SqliteJournal, open_journal
from oms.model.detail import Intent, Outcome, RevalidationInputs
from oms.model.event import BuysClosed, BuysRevalidated, CycleOpened, FundsSettled, OrderBlocked, OrderPlanned
from oms.model.liquidity import RULE_VERSION, budget, revalidate
from oms.model.order import ZERO, OrdType, Side
from oms.model.rules import Rules
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, NOON, Script, account_opened, full_story, quote

CANONICAL = '{"a":1}'
HASH = sha256(CANONICAL.encode()).hexdigest()
RULES = Rules()
ID = "c-1"


def wish(symbol: str, quantity: int, index: int) -> Intent:
    return Intent(
        cl_ord_id=f"key-{symbol}",
        side=Side.BUY,
        index=index,
        symbol=symbol,
        quantity=quantity,
        ord_type=OrdType.LIMIT,
        limit=Decimal("10.16"),
        worst_px=Decimal("10.16"),
        score=Decimal(90 - index),
    )


@dataclass
class Story:
    """One cycle whose buys are cut by the real rule from inputs that a test chooses."""

    buys: tuple[Intent, ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    rules: Rules = RULES

    def write(self, journal: SqliteJournal) -> None:
        script = Script()
        base = script.revalidated().inputs
        inputs: RevalidationInputs = replace(
            base,
            quotes=tuple(quote(buy.symbol) for buy in self.buys),
            committed=(),
            spendable=Decimal("1000.00"),
            reserved=ZERO,
            **self.inputs,
        )
        answers = revalidate(self.buys, inputs, self.rules)
        journal.keep_config(HASH, CANONICAL)
        opened: CycleOpened = replace(
            script.opened(), cycle_id=ID, sells=(), buys=self.buys, config_hash=HASH, fence=journal.lease.fence
        )
        journal.append_barrier([account_opened(), opened])
        journal.append([replace(Script(sells=0).sells_closed(), cycle_id=ID, proceeds=ZERO, fees=ZERO)])
        settled = next(event for _, events in script.commits() for event in events if isinstance(event, FundsSettled))
        journal.append([replace(settled, cycle_id=ID)])
        made = BuysRevalidated(
            cycle_id=ID,
            rule_version=RULE_VERSION,
            inputs=inputs,
            budget=budget(inputs, self.rules),
            buys=answers,
            deadline=NOON + timedelta(minutes=4),
        )
        facts: list[Any] = [made]
        for intent, answer in zip(self.buys, answers, strict=True):
            of = {"cycle_id": ID, "cl_ord_id": intent.cl_ord_id, "symbol": intent.symbol}
            planned = OrderPlanned(
                **of,
                side=Side.BUY,
                index=intent.index,
                ord_type=OrdType.LIMIT,
                order_qty=answer.quantity or intent.quantity,
                price=answer.limit,
                worst_px=answer.worst_px,
                score=intent.score,
            )
            facts.append(planned)
            if not answer.quantity:
                blocked = OrderBlocked(**of, rule=answer.rule, limit="1", value="0", reason=answer.reason)
                facts.append(blocked)
        journal.append(facts)
        if not any(answer.quantity for answer in answers):
            journal.append_barrier([BuysClosed(cycle_id=ID, outcome=Outcome.COMPLETE)])


@pytest.fixture
def opened() -> Iterator[SqliteJournal]:
    made = open_journal("sqlite://", ACCOUNT, "paper", FakeClock())
    yield made
    made._break("the test is over")


def told(journal: SqliteJournal, story: Story) -> Reader:
    story.write(journal)
    return reader_over(journal.connection)


def rules_of(canonical: str) -> Rules:
    assert canonical == CANONICAL
    return RULES


def texts(answer: dict[str, Any]) -> str:
    return "\n".join(sentence["text"] for sentence in answer["sentences"])


def test_why_31_and_not_44(opened: SqliteJournal) -> None:
    """A cut is told from the money to the order: budget, what better buys took, the binding rule, the row."""
    reader = told(opened, Story((wish("AAPL", 44, 0), wish("LLY", 44, 1))))
    answer = explain_order(reader, "key-LLY", rules_of)
    # 80% of 1000 is 800; AAPL takes 44 at 10.16 with fees, 447.49; 352.51 pay for 34 at 10.16.
    assert answer["headline"] == f"BUY LLY 34 (planned 44), cycle {ID}: PLANNED"
    assert answer["answer"].startswith("34 and not 44 by the rule funds_fraction")
    assert "budget $800.00: 80% of $1,000.00 spendable" in texts(answer)
    assert "AAPL 44 came first and takes up to $447.49, which leaves $352.51" in texts(answer)
    assert "its limit is 10.16: the last price 10.11 and a collar of 0.5%" in texts(answer)
    cut = next(sentence for sentence in answer["sentences"] if "44 -> 34" in sentence["text"])
    assert (cut["rule"], cut["seq"]) == ("funds_fraction", 5)
    assert answer["decision"]["same"] is True


def test_an_order_that_was_not_cut_says_so(opened: SqliteJournal) -> None:
    """No rule is named where none bound."""
    reader = told(opened, Story((wish("AAPL", 44, 0),)))
    assert "no rule cuts it: 44 shares" in texts(explain_order(reader, "key-AAPL", rules_of))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"blocked_by": "unresolved_sell"}, "a sell of this cycle was in quarantine, so no buy may follow"),
        ({"barred": (("AAPL", "blacklist"), ("LLY", "blacklist"))}, "AAPL is barred (blacklist)"),
        ({"trades_today": 100}, "100 trades a day are allowed"),
        ({"market_time": NOON + timedelta(hours=1)}, "max_quote_age"),
        ({"held": (), "loss_today": Decimal(1), "blocked_by": "market_closed"}, "the market was closed"),
    ],
)
def test_why_nothing_was_bought(opened: SqliteJournal, inputs: dict[str, Any], words: str) -> None:
    """The answer names the rule that stood in the way, in one sentence."""
    reader = told(opened, Story((wish("AAPL", 44, 0), wish("LLY", 44, 1)), inputs))
    answer = explain_cycle(reader, "latest", rules_of)
    assert answer["schema"] == "oms.cycle.explain/1"
    assert answer["answer"].startswith("nothing was bought because ")
    assert words in answer["answer"]
    assert answer["decision"]["same"] is True


def test_a_cycle_without_wishes_says_so(opened: SqliteJournal) -> None:
    """No buy was planned: that is the reason."""
    reader = told(opened, Story(()))
    assert "no buy was planned" in explain_cycle(reader, ID, rules_of)["answer"]


def test_why_an_order_is_in_quarantine(opened: SqliteJournal) -> None:
    """Told are the doubt, the reads, what it holds reserved, and what ends it."""
    opened.append_barrier([account_opened()])
    script = Script(fence=opened.lease.fence)
    for is_barrier, facts in script.commits(park_last_buy=True):
        (opened.append_barrier if is_barrier else opened.append)(facts)
    reader = reader_over(opened.connection)
    answer = explain_order(reader, script.intents(Side.BUY)[-1].cl_ord_id, rules_of)
    for words in (
        "nobody knows whether the broker has it",
        "3 complete reads",
        "never sent again",
        "$50.55 stay reserved",
    ):
        assert words in answer["answer"]
    assert "B1 takes no new order" in answer["answer"]
    assert "in doubt whether the broker has it: time-out" in texts(answer)
    assert answer["ord_status"] == "UNKNOWN"


def test_a_symbol_is_told_with_its_newest_orders(opened: SqliteJournal) -> None:
    """What is held, what bars it, how it was scored, and the orders that there were."""
    full_story(opened)
    reader = reader_over(opened.connection)
    answer = explain_symbol(reader, "S0", rules_of)
    assert "gave it 71.5 points, rank 1" in texts(answer)
    assert "shares are held" in texts(answer)
    assert len(answer["orders"]) == 3
    assert "on the blacklist by ada: no" in texts(explain_symbol(reader, "D", rules_of))
    assert "left it out by the rule min_history" in texts(explain_symbol(reader, "B1", rules_of))
    assert "frozen" in texts(explain_symbol(reader, "E", rules_of))
    assert "no order for ZZZ was ever planned" in explain_symbol(reader, "ZZZ", rules_of)["answer"]


def test_names_are_told_apart(opened: SqliteJournal) -> None:
    """What is no cycle and no order is taken for a symbol; a cycle or an order that is not there is a usage error."""
    reader = told(opened, Story((wish("AAPL", 44, 0),)))
    assert [kind_of(reader, name) for name in (ID, "latest", "key-AAPL", "AAPL", "'; --")] == [
        "cycle", "cycle", "order", "symbol", "symbol",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="order list"):
        explain_order(reader, "none", rules_of)
    with pytest.raises(UsageError, match="no cycle none"):
        explain_cycle(reader, "none", rules_of)


class TestTheDecisionMadeAgain:
    """The journaled revalidation, from its journaled inputs."""

    def test_other_limits_come_out_differently(self, opened: SqliteJournal) -> None:
        """Under other rules than it was made by, every difference is named."""
        reader = told(opened, Story((wish("AAPL", 44, 0), wish("LLY", 44, 1))))
        answer = explain_cycle(reader, ID, lambda _: Rules(funds_fraction=Decimal("0.5")))
        assert answer["decision"]["same"] is False
        assert "budget: 800.00 in the journal, 500.00 now" in answer["decision"]["differences"]
        assert any(each.startswith("LLY quantity: 34 in the journal") for each in answer["decision"]["differences"])

    def test_without_its_configuration_it_is_not_made_again(self, opened: SqliteJournal) -> None:
        """A configuration that is not kept, was changed by hand, or is of another release, is said."""
        reader = told(opened, Story((wish("AAPL", 44, 0),)))

        def strange(_: str) -> Rules:
            raise DamagedError("it does not fit this version")

        assert explain_cycle(reader, ID, strange)["decision"]["same"] is None
        raw = driver(opened.connection)
        raw.execute("DROP TRIGGER configs_no_update")
        raw.execute("UPDATE configs SET canonical = '{}'")
        changed = explain_cycle(reader, ID, rules_of)["decision"]
        assert changed["same"] is None
        assert "changed by hand" in changed["why"]
        raw.execute("DROP TRIGGER configs_no_delete")
        raw.execute("DELETE FROM configs")
        assert "is not kept" in explain_cycle(reader, ID, rules_of)["decision"]["why"]

    def test_every_decision_of_a_long_life_comes_out_the_same(self, tmp_path: Any) -> None:
        """Each cut of every cycle is computed again to the same bytes."""
        from oms.bench.journal import fill
        from oms.journal.reader import open_reader

        made = fill(tmp_path / "life.db", 3000)
        reader = open_reader(f"sqlite:///{made.path}")
        found = list(decisions(reader, lambda _: RULES))
        reader.close()
        assert len(found) >= made.cycles - 1 > 20
        assert all(again.same for _, again in found)
