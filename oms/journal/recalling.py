"""Orders of any age, as the shadow has them: by the number that was reserved for them, and by our own key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, select

from oms.journal import tables
from oms.journal.projection import ORDERS
from oms.journal.scalars import TEXT
from oms.journal.statements import Statements
from oms.model.order import Order

AT_ONCE = 500
"""Orders that one question names; SQLite takes at least 999 values."""

# Built once: building a question costs more than asking it.
_ACCOUNT = bindparam("account", type_=TEXT)
_KEYS = bindparam("cl_ord_ids", type_=TEXT, expanding=True)
# The first condition, which every key meets, lets SQLite begin with the keys: it does not see that IN rules out none.
_NAMED = select(tables.orders).where(
    tables.orders.c.cl_ord_id > literal_column("''"),
    tables.orders.c.cl_ord_id.in_(_KEYS),
    tables.orders.c.account == _ACCOUNT,
)
_EXECUTIONS = (
    select(tables.fills.c.cl_ord_id, tables.fills.c.exec_id)
    .where(
        tables.fills.c.cl_ord_id > literal_column("''"),
        tables.fills.c.cl_ord_id.in_(_KEYS),
        tables.fills.c.account == _ACCOUNT,
    )
    .order_by(tables.fills.c.seq)
)


def known_numbers(raw: Statements, account: str, order_nos: Collection[str]) -> dict[str, str]:
    """Those of these reserved numbers that belong to an order of this journal, of any age, with its ``cl_ord_id``."""
    found: dict[str, str] = {}
    for some in _in_parts(order_nos):
        marks = ", ".join("?" * len(some))
        sql = f"SELECT order_no, cl_ord_id FROM orders WHERE account = ? AND order_no IN ({marks})"  # noqa: S608  # only question marks
        found.update(raw.execute(sql, (account, *some)).fetchall())
    return found


def recall_order(connection: Connection, cl_ord_id: str, account: str) -> Order | None:
    """An order by our own key; None where the account has none of that name."""
    return recall_orders(connection, account, [cl_ord_id]).get(cl_ord_id)


def recall_orders(connection: Connection, account: str, cl_ord_ids: Collection[str]) -> dict[str, Order]:
    """Those of these orders that the account has, by our own key."""
    found: dict[str, Order] = {}
    for some in _in_parts(cl_ord_ids):
        rows = connection.execute(_NAMED, {"account": account, "cl_ord_ids": some}).mappings().all()
        found.update((order.cl_ord_id, order) for order in whole_orders(connection, account, rows))
    return found


def whole_orders(connection: Connection, account: str, rows: Sequence[Mapping[Any, Any]]) -> list[Order]:
    """The orders of these rows with their executions, which the table of fills holds."""
    orders = [ORDERS.value(row) for row in rows]
    executions: defaultdict[str, list[str]] = defaultdict(list)
    for some in _in_parts([order.cl_ord_id for order in orders if order.cum_qty]):
        for cl_ord_id, exec_id in connection.execute(_EXECUTIONS, {"account": account, "cl_ord_ids": some}):
            executions[cl_ord_id].append(exec_id)
    return [replace(o, exec_ids=tuple(executions[o.cl_ord_id])) if o.cum_qty else o for o in orders]


def _in_parts(names: Collection[str]) -> list[list[str]]:
    named = list(names)
    return [named[start : start + AT_ONCE] for start in range(0, len(named), AT_ONCE)]
