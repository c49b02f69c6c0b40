"""The paper broker's book: one SQLite file, and what can be read from it and written to it.

The book plays a remote broker, so it is as durable as one: write-ahead log, ``synchronous=FULL``, every deed one
``BEGIN IMMEDIATE`` transaction. It keeps rows and adds up money; which deed is allowed is :mod:`.deeds`' business.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.errors import BrokerUnavailable, DamagedError, InDoubt
from oms.gateways.paper import schema
from oms.gateways.paper.log import LogKind
from oms.gateways.paper.matching import FillModel
from oms.gateways.paper.units import LARGEST, from_micro, times, to_instant, to_micro
from oms.model.order import BrokerState, OrdType, Side

BUSY_WAIT_S = 10.0
"""How long a call waits for another process that writes the book."""

FIRST_NUMBER = 1_000_000
"""Added to the count of order numbers, so that they look like a broker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """One order as the book holds it now."""

    seq: int
    order_no: str | None
    user_mark: str | None
    symbol: str
    side: Side
    ord_type: OrdType
    order_qty: Decimal
    price: Decimal | None
    cap: Decimal | None
    """Price up to which a buy trades and for which it locks cash: its limit, or the reach of a market order."""
    day: date
    state: BrokerState
    cum_qty: Decimal
    notional: Decimal
    fees: Decimal
    rest_due_at: int | None
    """Microseconds since 1970; None before a first part has traded."""

    @property
    def order_id(self) -> str:
        return order_id(self.seq)

    @property
    def leaves_qty(self) -> Decimal:
        return self.order_qty - self.cum_qty if self.state is BrokerState.NEW else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The account's money at one instant, account currency."""

    cash: Decimal
    unsettled: Decimal
    """Sale proceeds that may not pay for a buy yet."""
    in_transit: Decimal
    """What is left of sale proceeds whose settlement date has not come."""
    unshown: Decimal
    """Sale proceeds that buying power does not show yet."""
    locked: Decimal
    """For the open buys: cap × rest and the fee of the rest."""

    @property
    def available(self) -> Decimal:
        return self.cash - self.locked - self.unsettled

    @property
    def buying_power(self) -> Decimal:
        return max(self.cash - self.locked - self.unshown, Decimal(0))


def order_id(seq: int) -> str:
    """The broker's own name of its order ``seq``."""
    return f"P{seq}"


def exec_id(seq: int) -> str:
    """The broker's own name of its execution ``seq``."""
    return f"E{seq}"


class Book:
    """One open book; safe to use from several threads, and beside other processes on the same file.

    One connection under one lock: deeds take turns, as SQLite would make them do anyway.
    """

    def __init__(self, path: Path, model: FillModel) -> None:
        self.path = path
        self._model = model
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would make it readable by everybody
            self._connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as exc:
            raise BrokerUnavailable(f"the paper broker's book {path} cannot be opened: {exc}") from exc
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        try:
            self._write_ahead()
            for pragma in ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            version = self.version()
        except sqlite3.OperationalError as exc:
            raise BrokerUnavailable(f"the paper broker's book {self.path} cannot be used: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise DamagedError(f"the paper broker's book {self.path} is not one, or is damaged: {exc}") from exc
        if version > schema.VERSION:
            raise DamagedError(
                f"the paper broker's book {self.path} is of version {version}, "
                f"this program knows version {schema.VERSION}: use the newer program"
            )

    def _write_ahead(self) -> None:
        """Enter write-ahead mode; here SQLite does not wait for a process that makes the same new book, so we do."""
        give_up_at = time.monotonic() + BUSY_WAIT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc) or time.monotonic() > give_up_at:
                    raise
            time.sleep(0.01)

    def version(self) -> int:
        """Version of the tables; 0 while there are none."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
        """One deed: kept as a whole when the block ends, undone as a whole when it raises.

        It takes the write lock at its start, for one that read first could find its reading overtaken when it writes.

        Raises:
            BrokerUnavailable: nothing was kept.
            InDoubt: the commit failed, and may have been kept all the same.
        """
        with self._lock:
            try:
                self._connection.execute(begin)
                yield
            except BaseException as exc:
                self._roll_back()
                if isinstance(exc, sqlite3.Error):
                    raise BrokerUnavailable(f"the paper broker's book {self.path} failed: {exc}") from exc
                raise
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as exc:
                self._roll_back()
                raise InDoubt("commit_failed", f"the paper broker's book {self.path}: {exc}") from exc

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the first error is the one to tell; the next BEGIN fails if the connection is beyond use

    def close(self) -> None:
        """Let the file go; a closed book answers every further deed with BrokerUnavailable."""
        with self._lock:
            self._connection.close()

    # Everything below is called inside a transaction.

    def create(
        self,
        cash: Decimal,
        positions: Mapping[str, Decimal | int],
        now: datetime,
        currency: str,
        others: Mapping[str, Decimal],
        *,
        used: int = 0,
    ) -> None:
        """Make the tables and write the opening balances; once in a book's life. Nothing gets a number up to ``used``."""
        for statement in _statements(schema.TABLES):
            self._connection.execute(statement)
        for table in ("numbers", "orders", "executions") if used else ():
            self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, used))
        self._insert("account", id=1, cash=0, day=None, currency=currency)
        self.log(LogKind.OPENED, now, price=cash, text="opening cash")
        self.add_cash(cash)
        for symbol, qty in sorted(positions.items()):
            if qty:
                self.log(LogKind.OPENED_POSITION, now, symbol=symbol, qty=Decimal(qty))
                self._insert("positions", symbol=symbol, qty=to_micro(qty), avg_cost=None)
        for other, amount in sorted(others.items()):
            self.add_balance(other, amount)
        self._connection.execute(f"PRAGMA user_version = {schema.VERSION}")

    def move_up(self) -> None:
        """Give a book of an older version what it lacks; nothing that it holds changes."""
        if self.version() == 1:
            for statement in _statements(schema.FROM_1):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {schema.VERSION}")

    def currency(self) -> str:
        """The currency of cash, prices and fees."""
        return str(self._one("SELECT currency FROM account"))

    def balances(self) -> list[tuple[str, Decimal]]:
        """Money in other currencies, by currency."""
        rows = self.query("SELECT currency, cash FROM balances ORDER BY currency")
        return [(row["currency"], from_micro(row["cash"])) for row in rows]

    def add_balance(self, currency: str, amount: Decimal) -> None:
        """Pay in, or take out, money in another currency."""
        sql = "INSERT INTO balances VALUES (?, ?) ON CONFLICT (currency) DO UPDATE SET cash = cash + excluded.cash"
        self._connection.execute(sql, (currency, to_micro(amount)))

    def day(self) -> date | None:
        """The trading day the book was last advanced to."""
        day = self._one("SELECT day FROM account")
        return None if day is None else date.fromisoformat(day)

    def set_day(self, day: date) -> None:
        self._connection.execute("UPDATE account SET day = ?", (day.isoformat(),))

    def figures(self, now: datetime) -> Figures:
        """The money as it stands at ``now``."""
        instant = to_instant(now)
        later = "SELECT coalesce(sum(amount), 0) FROM proceeds WHERE "
        cash = from_micro(self._one("SELECT cash FROM account"))
        unsettled = from_micro(self._one(later + "available_at > ?", instant))
        # Settled money pays first, so that of what is to come no more can be left than there is cash.
        due = from_micro(self._one(later + "settles > ?", self._one("SELECT day FROM account")))
        return Figures(
            cash=cash,
            unsettled=unsettled,
            in_transit=max(min(max(due, unsettled), cash), Decimal(0)),
            unshown=from_micro(self._one(later + "shown_at > ?", instant)),
            locked=sum((self._locked_for(order) for order in self.open_orders()), Decimal(0)),
        )

    def _locked_for(self, order: BookOrder) -> Decimal:
        if order.side is Side.SELL or order.cap is None:
            return Decimal(0)
        return from_micro(times(to_micro(order.cap), to_micro(order.leaves_qty))) + (
            self._model.fee(order.order_qty) - self._model.fee(order.cum_qty)
        )

    def add_cash(self, amount: Decimal) -> None:
        self._connection.execute("UPDATE account SET cash = cash + ?", (to_micro(amount),))

    def add_proceeds(
        self, execution: int, amount: Decimal, available_at: int, shown_at: int, settles: date | None
    ) -> None:
        """Keep what a sale brings: when it may pay, when it shows, and the day on which it settles."""
        self._insert(
            "proceeds",
            seq=execution,
            amount=to_micro(amount),
            available_at=available_at,
            shown_at=shown_at,
            settles=None if settles is None else settles.isoformat(),
        )

    def reserve(self, now: datetime) -> str:
        """The next order number; no other call ever gets it."""
        return str(FIRST_NUMBER + self._insert("numbers", reserved_at=to_instant(now)))

    def is_reserved(self, order_no: str) -> bool:
        if not (order_no.isascii() and order_no.isdecimal() and len(order_no) < 19):
            return False
        return bool(self._one("SELECT count(*) FROM numbers WHERE number = ?", int(order_no) - FIRST_NUMBER))

    def position(self, symbol: str) -> tuple[Decimal, Decimal | None]:
        """Shares held and their average cost, where that is known."""
        rows = self.query("SELECT qty, avg_cost FROM positions WHERE symbol = ?", symbol)
        return (from_micro(rows[0]["qty"]), _number(rows[0]["avg_cost"])) if rows else (Decimal(0), None)

    def positions(self) -> list[tuple[str, Decimal, Decimal | None]]:
        """Symbol, shares and average cost of every position, by symbol."""
        rows = self.query("SELECT symbol, qty, avg_cost FROM positions ORDER BY symbol")
        return [(row["symbol"], from_micro(row["qty"]), _number(row["avg_cost"])) for row in rows]

    def unpriced(self) -> list[tuple[str, Decimal]]:
        """Symbol and shares of the positions whose cost nobody knows yet."""
        rows = self.query("SELECT symbol, qty FROM positions WHERE avg_cost IS NULL ORDER BY symbol")
        return [(row["symbol"], from_micro(row["qty"])) for row in rows]

    def set_position(self, symbol: str, qty: Decimal, avg_cost: Decimal | None) -> None:
        self._connection.execute("DELETE FROM positions WHERE symbol = ?", (symbol,))
        if qty:
            cost = None if avg_cost is None else to_micro(avg_cost)
            self._insert("positions", symbol=symbol, qty=to_micro(qty), avg_cost=cost)

    def promised(self) -> dict[str, Decimal]:
        """Shares of each symbol that open sells may still take."""
        shares: dict[str, Decimal] = {}
        for order in self.open_orders():
            if order.side is Side.SELL:
                shares[order.symbol] = shares.get(order.symbol, Decimal(0)) + order.leaves_qty
        return shares

    def open_orders(self) -> list[BookOrder]:
        """Oldest first."""
        rows = self._connection.execute("SELECT * FROM orders WHERE state = 'NEW' ORDER BY seq")
        return [_book_order(row) for row in rows]

    def find(self, order_no: str | None, wanted_id: str | None) -> BookOrder | None:
        """The order with this reserved number, else with this broker's number."""
        row = self._connection.execute("SELECT * FROM orders WHERE order_no = ?", (order_no,)).fetchone()
        if row is None and wanted_id is not None and wanted_id[1:].isdecimal() and wanted_id[:1] == "P":
            row = self._connection.execute("SELECT * FROM orders WHERE seq = ?", (int(wanted_id[1:]),)).fetchone()
        return None if row is None else _book_order(row)

    def add_order(self, order: Mapping[str, Any], now: datetime) -> BookOrder:
        """Keep a new order; ``order`` holds the columns, in the model's units."""
        seq = self._insert("orders", **_columns(order), made_at=to_instant(now), state=BrokerState.NEW.value)
        self.add_state(seq, now, "")
        row = self._connection.execute("SELECT * FROM orders WHERE seq = ?", (seq,)).fetchone()
        return _book_order(row)

    def change_order(self, order: BookOrder, now: datetime, text: str = "") -> int:
        """Keep the order as it is now, and that it was so from ``now`` on; answers the id of that state."""
        self._connection.execute(
            "UPDATE orders SET state = ?, cum_qty = ?, notional = ?, fees = ?, rest_due_at = ? WHERE seq = ?",
            (
                order.state.value,
                to_micro(order.cum_qty),
                to_micro(order.notional),
                to_micro(order.fees),
                order.rest_due_at,
                order.seq,
            ),
        )
        return self.add_state(order.seq, now, text)

    def add_state(self, seq: int, now: datetime, text: str) -> int:
        """Keep the order's present figures for reads of the past; answers the id of that state."""
        cursor = self._connection.execute(
            "INSERT INTO order_states (order_seq, at, state, cum_qty, notional, fees, text) "
            "SELECT seq, ?, state, cum_qty, notional, fees, ? FROM orders WHERE seq = ?",
            (to_instant(now), text, seq),
        )
        return int(cursor.lastrowid or 0)

    def add_execution(
        self, seq: int, state_id: int, now: datetime, *, qty: Decimal, price: Decimal, fee: Decimal
    ) -> int:
        """Keep one execution of the order ``seq``; answers its own number."""
        return self._insert(
            "executions",
            order_seq=seq,
            state_id=state_id,
            at=to_instant(now),
            qty=to_micro(qty),
            price=to_micro(price),
            fee=to_micro(fee),
        )

    def log(
        self, kind: LogKind, now: datetime, *, text: str = "", figures: Figures | None = None, **about: Any
    ) -> None:
        """Append to the broker's log; ``figures`` are those before the deed, where it is done already."""
        figures = figures or self.figures(now)
        day = self.day()
        self._insert(
            "log",
            at=to_instant(now),
            kind=kind.value,
            text=text,
            day=None if day is None else day.isoformat(),
            **_columns({**about, "cash": figures.cash, "available": figures.available, "locked": figures.locked}),
        )

    def query(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: object) -> Any:
        return self._connection.execute(sql, values).fetchone()[0]

    def _insert(self, table: str, **columns: object) -> int:
        """Insert a row of one of our own tables; answers its integer key."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  # the names are literals of this module
        return int(self._connection.execute(sql, tuple(columns.values())).lastrowid or 0)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit the transaction it is part of."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """The model's values as SQLite keeps them; a number too large for it becomes NULL (in the log: a mad request)."""
    columns = {}
    for name, value in values.items():
        columns[name] = value
        if isinstance(value, date):
            columns[name] = value.isoformat()
        elif isinstance(value, (Side, OrdType)):
            columns[name] = value.value
        elif isinstance(value, Decimal):
            columns[name] = None if not value.is_finite() or abs(value) >= LARGEST // 10**6 else to_micro(value)
    return columns


def _number(value: int | None) -> Decimal | None:
    return None if value is None else from_micro(value)


def _book_order(row: sqlite3.Row) -> BookOrder:
    return BookOrder(
        seq=row["seq"],
        order_no=row["order_no"],
        user_mark=row["user_mark"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        ord_type=OrdType(row["ord_type"]),
        order_qty=from_micro(row["order_qty"]),
        price=_number(row["price"]),
        cap=_number(row["cap"]),
        day=date.fromisoformat(row["day"]),
        state=BrokerState(row["state"]),
        cum_qty=from_micro(row["cum_qty"]),
        notional=from_micro(row["notional"]),
        fees=from_micro(row["fees"]),
        rest_due_at=row["rest_due_at"],
    )
