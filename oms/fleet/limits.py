"""What holds for the whole fleet besides the brake: the notional of a day, and the message rate of one credential."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, cast

from oms.errors import Refused, UsageError
from oms.fleet.database import Database
from oms.journal.scalars import to_micro
from oms.model.order import OrderRequest, Side
from oms.ports import Broker

NOTIONAL = "notional_per_day"
RATE = "messages_per_minute/"
"""Before the name of a credential: how many messages it may send a minute, over all workers."""

SET = (
    "INSERT INTO fleet_limits (name, value, author) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET value = excluded.value, author = excluded.author, at = now()"
)


def set_limit(database: Database, author: str, name: str, value: Decimal | None) -> None:
    """Set or lift one limit: ``notional_per_day`` in money, or ``messages_per_minute/CREDENTIAL``.

    Raises:
        UsageError: there is no such limit, or the figure is none.
    """
    if name != NOTIONAL and not (name.startswith(RATE) and len(name) > len(RATE)):
        raise UsageError(f"{name}: expected {NOTIONAL} or {RATE}CREDENTIAL")
    if value is None:
        database.do("DELETE FROM fleet_limits WHERE name = ?", (name,))
        return
    if not value.is_finite() or value <= 0 or (name != NOTIONAL and value != int(value)):
        raise UsageError(
            f"{name}: expected a positive {'amount' if name == NOTIONAL else 'whole number'}, found {value}"
        )
    database.do(SET, (name, format(value, "f"), author))


def limits(database: Database) -> dict[str, str]:
    """Every limit that is set."""
    return dict(database.ask("SELECT name, value FROM fleet_limits WHERE name <> 'halt' ORDER BY name"))


def used_today(database: Database, day: date) -> int:
    """Notional of the orders that left on a day, in millionths."""
    row = database.one("SELECT micro FROM fleet_notional WHERE day = ?::date", (day.isoformat(),))
    return 0 if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class SharedRate:
    """At most so many messages a minute over all workers that share one credential: one row, the server's clock.

    The generic cell rate algorithm, as in ``oms.engine.limiter``; a tenth of a minute's permits may be taken at once.
    """

    database: Database
    credential: str
    per_minute: int

    def take(self) -> bool:
        """Take one permit; False when none is there."""
        interval, tolerance = self._figures()
        sql = (
            "INSERT INTO fleet_rates AS r (credential, empty_at) VALUES (?, extract(epoch FROM clock_timestamp()) + ?)"
            " ON CONFLICT (credential) DO UPDATE"
            " SET empty_at = greatest(r.empty_at, extract(epoch FROM clock_timestamp())) + ?"
            " WHERE r.empty_at - ? <= extract(epoch FROM clock_timestamp())"
        )
        return self.database.note(sql, (self.credential, interval, interval, tolerance)) == 1

    def wait(self) -> float:
        """Seconds until the next message may leave; 0 when it may now."""
        _, tolerance = self._figures()
        sql = "SELECT empty_at - ? - extract(epoch FROM clock_timestamp()) FROM fleet_rates WHERE credential = ?"
        row = self.database.one(sql, (tolerance, self.credential))
        return 0.0 if row is None else max(float(row[0]), 0.0)

    def _figures(self) -> tuple[float, float]:
        burst = max(self.per_minute // 10, 1)
        interval = 60.0 / (self.per_minute - burst + 1)
        return interval, interval * (burst - 1)


class Gate:
    """A broker behind the fleet's own gate: an order that the day's notional does not cover never leaves."""

    def __init__(self, broker: Broker, database: Database) -> None:
        self._broker = broker
        self._database = database

    def __getattr__(self, name: str) -> Any:
        """Everything else is the broker's own."""
        return getattr(self._broker, name)

    def place(self, order: OrderRequest) -> str:
        """Send one order, if it is a sell or the day's notional covers it; both count.

        Raises:
            Refused: the notional of the day is used up: nothing left, so it is a definite no.
        """
        if not self._cover(order):
            raise Refused(f"fleet_{NOTIONAL}", "the notional that the fleet may trade today is used up")
        return self._broker.place(order)

    def _cover(self, order: OrderRequest) -> bool:
        row = self._database.one("SELECT value FROM fleet_limits WHERE name = ?", (NOTIONAL,))
        most = None if row is None else to_micro(Decimal(row[0]))
        if most is None:
            return True
        value = to_micro((order.price or self._price(order.symbol)) * order.order_qty)
        if order.side is Side.SELL:
            most = 2**62  # a sell reduces risk: it counts, and is never held back
        sql = (
            "INSERT INTO fleet_notional AS n (day, micro) SELECT (now() AT TIME ZONE 'UTC')::date, ?::bigint"
            " WHERE ?::bigint <= ?::bigint ON CONFLICT (day) DO UPDATE SET micro = n.micro + excluded.micro"
            " WHERE n.micro + excluded.micro <= ?::bigint"
        )
        return self._database.do(sql, (value, value, most, most)) == 1

    def _price(self, symbol: str) -> Decimal:
        quotes = self._broker.quotes([symbol])
        return quotes[symbol].ask if symbol in quotes else Decimal(0)


def behind_gate(broker: Broker, database: Database) -> Broker:
    """The broker as one account of a fleet may use it."""
    # It answers everything that a broker does; what it does not stop it hands on.
    return cast("Broker", Gate(broker, database))
