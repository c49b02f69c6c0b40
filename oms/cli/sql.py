"""``sql``: one question to the journal in SQLite's language, which can only read."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from oms.cli import options
from oms.cli.layout import NOTHING, table
from oms.cli.reading import NOTHING_YET
from oms.errors import UsageError

if TYPE_CHECKING:
    from oms.audit.sql import Question
    from oms.audit.sql_postgres import PostgresQuestion
    from oms.places import Places

TABLE_ROWS = 1000
"""Rows shown to a person; the other formats give them all."""


@click.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="Look into the dry run's own journal.")
@click.option("--schema", is_flag=True, help="Print the statements that make the views, and ask nothing.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.001), default=30.0, show_default=True, metavar="S", help="Seconds."
)
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "jsonl"]), default="table", help="How rows look."
)
@click.argument("statement", metavar="SELECT", required=False)
def sql(*, json_: bool, dry_run: bool, schema: bool, timeout: float, format_: str, statement: str | None) -> None:
    """Ask the journal in SQL; the views v_orders, v_fills, v_cuts and others are documented in docs/sql.md.

    SELECT is one statement that only reads; `-` takes it from stdin.
    """
    from oms.audit.sql import schema as views
    from oms.places import places

    if schema:
        click.echo(views(), nl=False)
        return
    if json_ and format_ != "table":
        raise UsageError("--json and --format contradict each other; jsonl is one object a line")
    if statement is None:
        raise UsageError('give one SELECT, as in: sql "select * from v_orders"; --schema shows what there is')
    where = places(options.configuration(), dry_run=dry_run)
    text = sys.stdin.read() if statement == "-" else statement
    with closing(_question(where, text, timeout)) as question:
        if json_:
            rows = [list(row) for row in question.rows()]
            options.print_json("oms.sql/1", {"columns": question.columns, "rows": rows})
        else:
            _WRITERS[format_](question.columns, question.rows())


def _question(where: Places, text: str, timeout: float) -> Question | PostgresQuestion:
    if where.file is None:
        from oms.audit.sql_postgres import PostgresQuestion  # its driver is an extra
        from oms.journal.postgres.address import parse

        return PostgresQuestion(parse(where.journal_url), text, timeout)
    from oms.audit.sql import Question

    if not where.file.exists():
        raise UsageError(NOTHING_YET)
    return Question(where.file, text, timeout)


def _table(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    shown = list(islice(rows, TABLE_ROWS + 1))
    cells = [[NOTHING if value is None else str(value) for value in row] for row in shown[:TABLE_ROWS]]
    figures = "".join(
        "r" if all(isinstance(row[at], int | float | None) for row in shown) else "l" for at in range(len(columns))
    )
    for line in table(columns, cells, figures):
        click.echo(line)
    if len(shown) > TABLE_ROWS:
        click.echo(f"oms: only the first {TABLE_ROWS:,} rows; --format csv or jsonl gives all", err=True)


def _csv(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _jsonl(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    for row in rows:
        click.echo(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False))


_WRITERS = {"table": _table, "csv": _csv, "jsonl": _jsonl}
