"""The hot path's own way to the server: one exchange a commit, values exact, a lost connection never taken for an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from oms.errors import StorageError
from oms.journal.postgres.exchange import Exchange, array_of, exchange_of, text_of
from oms.journal.postgres.journal import PostgresJournal
from oms.model.event import AttentionRaised
from oms.model.order import Side
from tests.journal.facts import Script, account_opened
from tests.postgres.server import Server

ODD_TEXTS = (
    *(
        "",
        "NULL",
        "null",
        '"',
        "\\",
        '\\"',
        "{}",
        ",",
        " ",
        "\t\n\r",
        "'",
        "{",
        "}",
        "a,b",
        '{"k": "v\\u00e9"}',
        "é中😀",
    ),
    None,
)


@pytest.fixture
def raw(server: Server, database: str) -> Iterator[psycopg.Connection[Any]]:
    with server.connect(database) as connection:
        yield connection


class TestValues:
    """What is sent as text arrives as it was."""

    @pytest.mark.parametrize(
        ("kind", "column"),
        [
            ("text", ODD_TEXTS),
            ("text", (None, None)),
            ("text", ODD_TEXTS[:-1]),
            ("text", ("alone",)),
            ("bigint", (7,)),
            ("bytea", (b"a", None)),
            ("bigint", (0, -1, 2**63 - 1, -(2**63), None)),
            ("bytea", (b"", b"\0\xff\\", bytes(range(256)))),
        ],
    )
    def test_a_column_arrives_as_it_was(self, raw: psycopg.Connection[Any], kind: str, column: tuple[Any, ...]) -> None:
        """Every text, whole number and string of bytes, and null, survives the way to the server in an array."""
        exchange_of(raw).run(f"CREATE TEMPORARY TABLE t (value {kind})", ())
        exchange_of(raw).run(f"INSERT INTO t SELECT * FROM unnest($1::{kind}[])", [array_of(column, kind.upper())])
        found = raw.execute("SELECT value FROM t").fetchall()
        assert [row[0] for row in found] == list(column)

    @pytest.mark.parametrize("value", [*ODD_TEXTS, 0, -5, 2**63 - 1, b"\0\xff"])
    def test_a_value_arrives_as_it_was(self, raw: psycopg.Connection[Any], value: str | int | bytes | None) -> None:
        """So does a single value."""
        kind = {int: "bigint", bytes: "bytea"}.get(type(value), "text")
        exchange_of(raw).run(f"CREATE TEMPORARY TABLE t (value {kind})", ())
        exchange_of(raw).run(f"INSERT INTO t VALUES ($1::{kind})", [text_of(value)])
        assert raw.execute("SELECT value FROM t").fetchone() == (value,)

    def test_a_zero_byte_is_refused(self, raw: psycopg.Connection[Any]) -> None:
        """The driver would silently cut a text there: nothing is sent."""
        with pytest.raises(ValueError, match="zero byte"):
            exchange_of(raw).run("SELECT $1::text", [b"a\0b"])
        for column in (("a", "b\0c"), ("a\0", None)):
            with pytest.raises(ValueError, match="zero byte"):
                exchange_of(raw).run("SELECT $1::text[]", [array_of(column, "TEXT")])


class TestStatements:
    """Prepared once, and never run twice by mistake."""

    def test_a_statement_that_was_thrown_away_is_prepared_again(self, raw: psycopg.Connection[Any]) -> None:
        """Whatever forgot it (a pooler, DISCARD ALL), it runs, once."""
        raw.execute("CREATE TEMPORARY TABLE t (value bigint)")
        exchange = exchange_of(raw)
        exchange.run("INSERT INTO t VALUES ($1::bigint)", [b"1"])
        raw.execute("DEALLOCATE ALL")
        exchange.run("INSERT INTO t VALUES ($1::bigint)", [b"2"])
        assert raw.execute("SELECT value FROM t ORDER BY value").fetchall() == [(1,), (2,)]

    def test_an_error_is_the_drivers_own_and_the_connection_stays(self, raw: psycopg.Connection[Any]) -> None:
        """What the server refuses is raised as psycopg raises it."""
        exchange = exchange_of(raw)
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                exchange.run("SELECT 1 / $1::bigint", [b"0"])
        assert exchange.run("SELECT 4 / $1::bigint", [b"2"]).get_value(0, 0) == b"2"

    def test_it_never_becomes_a_part_of_somebody_elses_transaction(self, raw: psycopg.Connection[Any]) -> None:
        """With a transaction open it would not be committed when it returns, so it is refused."""
        raw.execute("BEGIN")
        with pytest.raises(StorageError, match="still open"):
            exchange_of(raw).run("SELECT 1", ())

    def test_a_connection_that_ends_is_lost_and_no_answer(self, server: Server, raw: psycopg.Connection[Any]) -> None:
        """The server's last words carry no code that could be taken for what became of the statement."""
        server.execute(f"SELECT pg_terminate_backend({raw.info.backend_pid})")
        with pytest.raises(psycopg.OperationalError) as caught:
            exchange_of(raw).run("SELECT 1", ())
        assert caught.value.sqlstate is None


def test_a_commit_is_one_exchange(open_one: Callable[..., PostgresJournal], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many facts and rows of their shadow it holds, nothing else is sent: no BEGIN, no COMMIT."""
    journal = open_one()
    whole, asked = Exchange.run, []

    def counted(exchange: Exchange, sql: str, values: Any) -> Any:
        asked.append(sql)
        return whole(exchange, sql, values)

    monkeypatch.setattr(Exchange, "run", counted)
    monkeypatch.setattr(psycopg.Connection, "execute", lambda *_: pytest.fail("one more exchange"))
    script = Script(fence=journal.lease.fence)
    journal.append_barrier([account_opened()])
    journal.append([script.opened(), *script.planned(Side.SELL)])
    journal.append_barrier([script.reserved(intent) for intent in script.intents(Side.SELL)])
    journal.append([AttentionRaised(rule="test", text="a text")])
    monkeypatch.undo()
    assert len(asked) == 4
