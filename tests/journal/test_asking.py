"""A question that is asked of the driver is answered as SQLAlchemy would answer it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Select, bindparam, create_engine, insert, literal_column, select

from oms.journal import tables
from oms.journal.asking import Question
from oms.journal.scalars import TEXT

C = tables.holdings.c
MINE = bindparam("account", type_=TEXT)
STATEMENTS: list[Select[Any]] = [
    select(tables.holdings).where(C.account == MINE).order_by(C.symbol),
    select(C.symbol, C.qty).where(C.account == MINE, C.symbol.in_(["AAA", "CCC"])).order_by(C.symbol.desc()),
    select(C.symbol).where(C.symbol != literal_column("'AAA'"), C.account == MINE).order_by(C.symbol).limit(1),
    select(C.symbol).where(C.account == MINE, C.symbol == "nobody"),
]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as made:
        tables.holdings.create(made)
        rows = [("mine", "AAA"), ("mine", "BBB"), ("mine", "CCC"), ("other", "AAA")]
        values = {"qty": Decimal("1.5"), "cost": Decimal(10), "realised": Decimal("-0.01")}
        made.execute(insert(tables.holdings), [{"account": a, "symbol": s, **values} for a, s in rows])
        yield made


@pytest.mark.parametrize("statement", STATEMENTS, ids=["all", "in", "limit", "none"])
def test_the_driver_and_sqlalchemy_answer_the_same(connection: Connection, statement: Select[Any]) -> None:
    """The same rows in the same order, with their types: money is a Decimal. Asked twice, for two accounts."""
    question = Question(statement)
    for account in ("mine", "other"):
        expected = connection.execute(statement, {"account": account})
        assert question.mappings(connection, account=account) == [dict(row) for row in expected.mappings()]


def test_columns_are_attributes_and_the_first_row_may_be_none(connection: Connection) -> None:
    """As whoever reads facts wants them."""
    assert Question(STATEMENTS[0]).first(connection, account="mine").qty == Decimal("1.5")
    assert Question(STATEMENTS[3]).first(connection, account="mine") is None


def test_a_value_that_was_forgotten_is_not_taken_for_nothing(connection: Connection) -> None:
    """Where a question names an account, it must be asked for one."""
    with pytest.raises(KeyError, match="account"):
        Question(STATEMENTS[0]).rows(connection)
