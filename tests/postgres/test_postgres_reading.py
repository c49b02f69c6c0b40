"""What is asked of a journal has the same answer on PostgreSQL as in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oms.audit.explain import explain_symbol
from oms.audit.pnl import pnl
from oms.audit.public import VIEWS
from oms.audit.report import report
from oms.audit.sql import Question
from oms.audit.sql_postgres import PostgresQuestion
from oms.audit.then import funds_at, positions_at, status_at
from oms.errors import UsageError
from oms.journal import stages, views
from oms.journal.filters import EventFilter
from oms.journal.postgres.address import parse
from oms.journal.postgres.journal import open_postgres
from oms.journal.reader import NoJournal, Reader, open_reader
from oms.journal.store import open_journal
from oms.model.cycle import Phase
from oms.model.order import OrdStatus
from tests.fakes.clock import START, FakeClock
from tests.journal.facts import ACCOUNT, full_story
from tests.postgres.server import Server


def no_rules(canonical: str) -> Any:
    """The story keeps no configuration, so nobody asks."""
    raise AssertionError(canonical)


def cycle_ids(reader: Reader) -> list[str]:
    return [each["cycle_id"] for each in views.cycle_list(reader)["cycles"]]


def at_once(reader: Reader) -> Any:
    with reader.at_once() as still:
        return views.funds(still), views.positions(still)


QUESTIONS: dict[str, Callable[[Reader], Any]] = {
    "status": lambda r: views.status(r, now=START),
    "funds": views.funds,
    "positions": views.positions,
    "scores": views.select_scores,
    "blacklist": views.blacklist,
    "cycles": views.cycle_list,
    "open cycles": lambda r: views.cycle_list(r, is_open=True),
    "cycles by everything": lambda r: views.cycle_list(
        r, phase=Phase.DONE, symbol="S0", resumed=False, since=START, limit=2
    ),
    "orders": views.order_list,
    "unresolved orders": lambda r: views.order_list(r, unresolved=True),
    **{f"orders {status}": partial(views.order_list, statuses=(status,)) for status in OrdStatus},
    "facts": views.journal_query,
    "facts, oldest first": lambda r: views.journal_query(r, limit=7, newest=False),
    "facts of a symbol": lambda r: views.journal_query(r, EventFilter(symbol="S1")),
    "facts of a kind": lambda r: views.journal_query(r, EventFilter(kind="order_filled")),
    "facts of a rare kind": lambda r: views.journal_query(r, EventFilter(kind="halted")),
    "facts of a rule": lambda r: views.journal_query(r, EventFilter(rule="funds_fraction")),
    "facts with a text": lambda r: views.journal_query(r, EventFilter(text="STORM")),
    "facts since": lambda r: views.journal_query(r, EventFilter(since=START)),
    "a count": lambda r: views.journal_count(r, EventFilter(text="order")),
    "why a symbol": lambda r: explain_symbol(r, "S0", no_rules),
    "report": report,
    "pnl": pnl,
    "the past": lambda r: status_at(r, START + timedelta(days=1)),
    "past funds": lambda r: funds_at(r, START + timedelta(days=1)),
    "past positions": lambda r: positions_at(r, START + timedelta(days=1)),
    "what cycles moved": lambda r: stages.moved(r, cycle_ids(r)),
    "phases of cycles": lambda r: stages.phases(r, cycle_ids(r), START),
    "facts with their links": lambda r: [stages.linked_facts(r, each) for each in cycle_ids(r)],
    "the newest links": lambda r: [stages.newest_hash(r, each) for each in cycle_ids(r)],
    "newest facts": lambda r: stages.newest(r, ["halted", "released"], 5),
    "several at once": at_once,
}


@pytest.fixture(scope="module")
def both(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The same story in a file and on PostgreSQL, there between two other accounts."""
    path = tmp_path_factory.mktemp("both") / "oms.db"
    database = server.new_database()
    url = server.url(database)
    file = open_journal(f"sqlite:///{path}", ACCOUNT, "paper", FakeClock())
    full_story(file)
    file.close()
    for account in (ACCOUNT, "zeta"):
        there = open_postgres(parse(url), account, "paper", FakeClock(), 15.0)
        full_story(there)
        there.close()
    yield path, server.url(database, account=ACCOUNT)
    server.drop(database)


@pytest.mark.parametrize("question", QUESTIONS)
def test_both_databases_give_the_same_answer(both: tuple[Path, str], question: str) -> None:
    """To the last digit and in the same order, hashes of the chain included."""
    path, url = both
    with closing(open_reader(f"sqlite:///{path}")) as file, closing(open_reader(url)) as there:
        expected, found = QUESTIONS[question](file), QUESTIONS[question](there)
    assert found == expected


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_shows_the_same_rows(both: tuple[Path, str], view: Any) -> None:
    """The public schema means the same in either language; there is no view without a row in this story but two."""
    path, url = both
    sql = f"select * from {view.name}"
    with closing(Question(path, sql)) as file, closing(PostgresQuestion(parse(url), sql, 30.0)) as there:
        assert there.columns == file.columns
        expected, found = sorted(map(tuple, file.rows()), key=repr), sorted(map(tuple, there.rows()), key=repr)
    assert found == expected


class TestSql:
    """The command that takes any question can do nothing but read."""

    @pytest.mark.parametrize(
        ("statement", "sentence"),
        [
            ("delete from events", "SQL: syntax error"),
            ("select 1; drop table fills", "cannot insert multiple commands"),
            ("with d as (delete from frozen returning 1) select * from d", "must not contain data-modifying"),
            ("select set_config('transaction_read_only', 'off', true)", "read-write mode"),
            ("select nextval('orders_rowid_seq')", "only reading is allowed"),
            ("commit", "SQL: syntax error"),
            ("copy events to program 'id'", "SQL: syntax error"),
            ("select pg_sleep(30)", "took more than 0.2 s"),
            ("", "syntax error|nothing to ask"),
        ],
    )
    def test_everything_else_is_refused(self, both: tuple[Path, str], statement: str, sentence: str) -> None:
        """With a sentence that says why, and exit code 2."""
        seconds = 0.2 if "pg_sleep" in statement else 20.0
        with (
            pytest.raises(UsageError, match=sentence),
            closing(PostgresQuestion(parse(both[1]), statement, seconds)) as q,
        ):
            list(q.rows())

    def test_a_long_answer_comes_in_batches(self, both: tuple[Path, str]) -> None:
        """Rows are streamed, whatever their number."""
        sql = "select n from generate_series(1, 1234) n"
        with closing(PostgresQuestion(parse(both[1]), sql, 30.0)) as question:
            assert [n for (n,) in question.rows()] == list(range(1, 1235))


def test_nothing_has_run_yet(server: Server, database: str) -> None:
    """An account that never ran has no journal, in a database of others or in an empty one."""
    with pytest.raises(NoJournal):
        open_reader(server.url(database, account="nobody"))
    empty = server.new_database(empty=True)
    with pytest.raises(NoJournal):
        open_reader(server.url(empty, account="nobody"))
    server.drop(empty)
