"""The public schema of the journal: views whose columns stay, whatever becomes of the tables below them.

They are made as temporary views on the reading connection. So they cost the database nothing, no migration can leave them
behind, and a database of any age has them as soon as this release can read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from oms.journal.statuses import ORD_STATUS_SQL


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view: its name, what it is made of, and what it means."""

    name: str
    sql: str
    meaning: str


@dataclass(frozen=True, slots=True)
class View:
    """One table of the public schema."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    source: str
    """What follows FROM; one SELECT, or several with the same columns."""

    @property
    def statement(self) -> str:
        """The statement that makes it, for one connection only."""
        return f"CREATE TEMP VIEW {self.name} AS {self.query}"

    @property
    def query(self) -> str:
        """What it shows. PostgreSQL understands it with the functions of ``oms.journal.postgres.ddl``."""
        chosen = ",\n  ".join(f"{column.sql} AS {column.name}" for column in self.columns)
        return f"SELECT\n  {chosen}\nFROM {self.source}"


def _amount(sql: str) -> str:
    """Micro-units as decimal text with six digits behind the point."""
    digits = f"printf('%d.%06d', abs({sql}) / 1000000, abs({sql}) % 1000000)"
    return f"CASE WHEN {sql} IS NOT NULL THEN iif({sql} < 0, '-', '') || {digits} END"


def _instant(sql: str) -> str:
    """Microseconds since 1970 as RFC 3339 text, UTC."""
    second = f"strftime('%Y-%m-%dT%H:%M:%S', {sql} / 1000000, 'unixepoch')"
    return f"CASE WHEN {sql} IS NOT NULL THEN {second} || printf('.%06dZ', {sql} % 1000000) END"


def _average(total: str, quantity: str) -> str:
    """Micro-units per share, rounded half to even, as :attr:`oms.model.order.Order.avg_px` shows it."""
    twice, whole = f"2 * ({total} % {quantity})", f"{total} / {quantity}"
    up = f"({twice} > {quantity} OR ({twice} = {quantity} AND ({whole}) % 2 = 1))"
    rounded = f"({whole} + CASE WHEN {up} THEN 1 ELSE 0 END)"
    return f"CASE WHEN {quantity} > 0 THEN {_amount(rounded)} END"


def _plain(names: str, table: str = "") -> Iterator[Column]:
    """Columns that are what the table has; ``name: meaning`` one a line."""
    for line in names.strip().splitlines():
        name, _, meaning = line.strip().partition(": ")
        yield Column(name, f"{table}{name}", meaning)


def _money(name: str, sql: str, meaning: str) -> tuple[Column, Column]:
    """An amount twice: as text to read, and as an exact integer to add up."""
    return (
        Column(name, _amount(sql), f"{meaning}, decimal text"),
        Column(f"{name}_micro", sql, "the same in millionths, an exact integer"),
    )


def _time(name: str, sql: str, meaning: str) -> Column:
    return Column(name, _instant(sql), f"{meaning}, RFC 3339 UTC")


def _of_json(names: str, prefix: str = "$.") -> Iterator[Column]:
    """Details of a fact; ``name: meaning`` one a line."""
    for line in names.strip().splitlines():
        name, _, meaning = line.strip().partition(": ")
        yield Column(name, f"json_extract(events.data, '{prefix}{name}')", meaning)


_PLACE = (
    Column("seq", "events.seq", "place in the journal"),
    _time("at", "events.at", "when it was journaled"),
)
_MINE = (*_PLACE, Column("account", "events.account", "account"))
_SUBJECT = tuple(_plain("cycle_id: cycle\ncl_ord_id: order\nsymbol: symbol", "events."))


def _each(path: str, name: str) -> str:
    return f"events, json_each(events.data, '$.{path}') AS {name}"


def _number(source: str, name: str) -> str:
    """A whole number of a detail; either database then compares it as one."""
    return f"CAST(json_extract({source}, '$.{name}') AS INTEGER)"


def _kinds(*kinds: str) -> str:
    return " OR ".join(f"events.kind = '{kind}'" for kind in kinds)


_FUNDS_AT = (
    "CASE events.kind WHEN 'buys_revalidated' THEN json_extract(events.data, '$.inputs.{0}')"
    " ELSE json_extract(events.data, '$.{0}') END"
)

VIEWS: tuple[View, ...] = (
    View(
        "v_events",
        "Every fact, as it is in the chain.",
        (
            *_PLACE,
            Column("at_us", "events.at", "the same in microseconds since 1970: what a filter by time is fast on"),
            *_plain("account: account", "events."),
            *_SUBJECT,
            *_plain("kind: what happened\ndata: the details, canonical JSON text", "events."),
            Column("hash", "lower(hex(events.hash))", "link of the chain, hexadecimal"),
        ),
        "events",
    ),
    View(
        "v_cycles",
        "Every trading cycle.",
        (
            *_plain("""
            cycle_id: cycle
            account: account
            trading_day: exchange day it belongs to, ISO date
            phase: SELLING, SETTLING, REVALIDATING, BUYING or DONE
            outcome: complete, partial, nothing_to_do or aborted; null while open
            """),
            _time("opened_at", "opened_at", "when it opened"),
            _time("closed_at", "closed_at", "when it was done"),
            *_plain("""
            opened_seq: place in the journal at which it opened
            resumed: times that a process took it up
            sells: planned sells
            buys: planned buys
            cut: buys that revalidation made smaller
            config_hash: configuration it ran under, see v_configs
            source: where its signals came from
            settles: settlement date of its trades, ISO date
            aborted_rule: rule that ended it early
            aborted_reason: the rule's sentence
            """),
        ),
        "cycles",
    ),
    View(
        "v_orders",
        "Every order that was planned, sent or not.",
        (
            *_plain("cl_ord_id: our key\ncycle_id: cycle\naccount: account\nside: SELL or BUY", "orders."),
            Column("plan_index", "orders.idx", "place among the orders of its side, from 0"),
            *_plain("symbol: symbol\nord_type: LIMIT or MARKET", "orders."),
            Column("ord_status", ORD_STATUS_SQL, "FIX 39, and the states before the wire"),
            *_plain("order_qty: shares ordered\ncum_qty: shares filled", "orders."),
            Column(
                "leaves_qty",
                "CASE WHEN orders.phase = 'CLOSED' OR orders.cum_qty >= orders.order_qty THEN 0"
                " ELSE orders.order_qty - orders.cum_qty END",
                "shares that may still trade",
            ),
            *_money("price", "orders.price", "limit; null for a market order"),
            Column("avg_px", _average("orders.notional", "orders.cum_qty"), "average price of the fills, decimal text"),
            *_money("notional", "orders.notional", "value of the fills without fees"),
            *_money("fees", "orders.fees", "fees of the fills"),
            *_plain(
                """
                score: score of the signal, decimal text
                order_no: number reserved at the broker before the act
                order_id: the broker's own number
                sends: requests that may have left this machine
                quarantined: 1 where asking ended without an answer
                ever_quarantined: 1 where it was in quarantine at any time
                rule: rule that blocked it
                text: the broker's reason, or ours
                """,
                "orders.",
            ),
            _time("planned_at", "orders.planned_at", "when it was planned"),
            _time("sent_at", "orders.sent_at", "when it was last sent"),
            _time("acknowledged_at", "orders.acknowledged_at", "when the broker first acknowledged it"),
            _time("last_fill_at", "orders.last_fill_at", "when its last fill was journaled"),
            _time("closed_at", "orders.closed_at", "when it closed"),
        ),
        "orders",
    ),
    View(
        "v_fills",
        "Every execution.",
        (
            *_plain("seq: place in the journal"),
            _time("at", "at", "when it was journaled"),
            *_plain("""
            account: account
            exec_id: the broker's number of the execution
            cycle_id: cycle
            cl_ord_id: order
            symbol: symbol
            side: SELL or BUY
            last_qty: shares
            """),
            *_money("last_px", "last_px", "price"),
            *_money("value", "(last_qty * last_px)", "shares times price"),
            *_money("fee", "fee", "fee"),
            _time("transact_time", "transact_time", "the broker's time"),
            *_plain("settles: settlement date, ISO date\nlate: 1 where it was reported after the order had closed"),
        ),
        "fills",
    ),
    View(
        "v_cuts",
        "Every buy that revalidation made smaller than the plan had it.",
        (
            *_MINE,
            *_plain("cycle_id: cycle", "events."),
            Column("cl_ord_id", "json_extract(buy.value, '$.cl_ord_id')", "order"),
            Column("symbol", "json_extract(buy.value, '$.symbol')", "symbol"),
            Column("original", _number("buy.value", "original"), "shares planned"),
            Column("quantity", _number("buy.value", "quantity"), "shares let through"),
            Column("limit_px", "json_extract(buy.value, '$.limit')", "limit that was sent, decimal text"),
            Column("rule", "json_extract(buy.value, '$.rule')", "name of the binding rule"),
            Column("reason", "json_extract(buy.value, '$.reason')", "the rule's sentence with its numbers"),
        ),
        f"{_each('buys', 'buy')} WHERE events.kind = 'buys_revalidated'"
        f" AND {_number('buy.value', 'quantity')} < {_number('buy.value', 'original')}",
    ),
    View(
        "v_funds",
        "Every reading of the account's money; amounts are decimal text.",
        (
            *_MINE,
            *_plain("cycle_id: cycle\nkind: cycle_opened, funds_observed or buys_revalidated", "events."),
            *(
                Column(name.removesuffix("_"), _FUNDS_AT.format(path), meaning)
                for name, path, meaning in (
                    ("read_at", "funds.at", "when the reading was asked for, RFC 3339 UTC"),
                    ("currency", "funds.currency", "currency"),
                    ("cash", "funds.cash", "cash, proceeds included"),
                    ("settled_cash", "funds.settled_cash", "cash that is not in transit"),
                    ("available", "funds.available", "the broker's available-for-trade figure"),
                    ("locked", "funds.locked", "frozen for open orders"),
                    ("buying_power", "funds.buying_power", "what the broker would let the account buy"),
                    ("spendable", "spendable", "what the policy lets this program spend"),
                )
            ),
        ),
        f"events WHERE {_kinds('cycle_opened', 'funds_observed', 'buys_revalidated')}",
    ),
    View(
        "v_blocked",
        "Every order that one of our own rules refused.",
        (
            *_MINE,
            *_SUBJECT,
            *_of_json("rule: name of the rule\nreason: its sentence"),
            Column("limit_text", "json_extract(events.data, '$.limit')", "the rule's limit"),
            Column("value_text", "json_extract(events.data, '$.value')", "what there was instead"),
        ),
        "events WHERE events.kind = 'order_blocked'",
    ),
    View(
        "v_attention",
        "Everything that a person was asked to look at.",
        (*_MINE, *_SUBJECT, *_of_json("rule: name of the rule\ntext: what was seen")),
        "events WHERE events.kind = 'attention_raised'",
    ),
    View(
        "v_operators",
        "What operators said: brakes, releases, arming, the blacklist, frozen symbols, verdicts about orders.",
        (
            *_MINE,
            *_SUBJECT,
            *_plain("kind: what was done", "events."),
            *_of_json("author: who\nreason: why"),
        ),
        "events WHERE "
        + _kinds("halted", "released", "blacklisted", "unblacklisted", "symbol_unfrozen", "order_voided")
        + " OR "
        + _kinds("live_armed", "live_disarmed")
        + " OR events.kind = 'command_answered'",
    ),
    View(
        "v_scores",
        "Every score of every screen of the universe.",
        (
            *_MINE,
            *_of_json("as_of: last session the screen saw, ISO date"),
            Column("symbol", "json_extract(score.value, '$.symbol')", "symbol"),
            Column("score", "json_extract(score.value, '$.score')", "0 to 100, decimal text; null where excluded"),
            Column("rank", _number("score.value", "rank"), "1 is the best"),
            Column("excluded_by", "json_extract(score.value, '$.excluded_by')", "rule that excluded it"),
            Column("close", "json_extract(score.value, '$.close')", "last close, decimal text"),
        ),
        f"{_each('scores', 'score')} WHERE events.kind = 'selected'",
    ),
    View(
        "v_positions",
        "Shares that the journal says are held now; a symbol that was sold whole keeps its row.",
        (
            *_plain("account: account\nsymbol: symbol"),
            *_money("qty", "qty", "shares"),
            *_money("cost", "cost", "what the shares held did cost, fees included"),
            *_money("realised", "realised", "profit of all sales so far"),
        ),
        "holdings",
    ),
    View(
        "v_configs",
        "Each distinct configuration, whole and without secrets.",
        (
            *_plain("config_hash: its hash"),
            _time("at", "at", "when it was first used"),
            *_plain("canonical: the configuration, canonical JSON text"),
        ),
        "configs",
    ),
)


_PAGE = """\
# The journal in SQL

`oms sql "select …"` asks the journal in SQL (SQLite's own language, or PostgreSQL's where the journal is there), while
the engine runs or while nothing runs. It can only read: one statement, no ATTACH, no PRAGMA, no extension, no `printf`
(use `round`), at most 30 seconds of work (`--timeout`). Rows are streamed; `--format table|csv|jsonl`, or `--json` for
one object.

On PostgreSQL the command shows the rows of the configured account. `oms db roles` also makes the same views in the schema
`oms`, for members of `oms_auditor`: they show every account, so filter by `account` there.

The views below are the public schema. Their columns stay; new ones may come. The tables behind them (`oms sql` can read
them too) may change with any release. The views are made on the connection of the command, so no other program sees them
in the file; `oms sql --schema` prints the statements that make them.

Money is decimal text with six digits behind the point, and beside it stands the same amount in millionths as an exact
integer (`…_micro`): add up the integers, for SQLite turns text into binary fractions. Times are RFC 3339, UTC. Nothing is
a floating-point number unless you divide by one.

```
oms sql "select symbol, sum(value_micro) / 1000000 as dollars from v_fills where side = 'BUY' group by 1 order by 2 desc"
oms sql "select rule, count(*) from v_cuts group by 1 order by 2 desc"
oms sql "select * from v_orders where ord_status = 'UNKNOWN'" --json
```

Facts of closed years that lie in archives (`docs/audit.md`) are seen like the others.

Fast at any size: `v_events` by `seq`, `cycle_id`, `symbol` and `at_us`; `v_orders` by `cl_ord_id`, `cycle_id` and
`symbol`; `v_fills` by `cl_ord_id`; `v_cycles` by `cycle_id`. A filter on a text that a view computes (`at`,
`ord_status`) looks at every row.
"""


def document() -> str:
    """The page docs/sql.md; a test compares."""
    lines = [_PAGE.rstrip()]
    for view in VIEWS:
        lines += ["", f"## {view.name}", "", view.meaning, "", "| column | meaning |", "|---|---|"]
        lines += [f"| `{column.name}` | {column.meaning} |" for column in view.columns]
    return "\n".join(lines) + "\n"
