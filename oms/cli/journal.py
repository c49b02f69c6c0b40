"""``journal tail|query|verify``: the facts themselves, and whether they are still what was written."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from oms.cli import options
from oms.cli.archive import anchor, export_, import_
from oms.cli.layout import fact_lines, span
from oms.cli.reading import NOTHING_YET, Answer, at_desk, of_journal, show
from oms.cli.retention import archive, archives
from oms.errors import EXIT_DONE, DamagedError, UsageError
from oms.questions import journal as questions
from oms.questions.journal import COLUMNS

if TYPE_CHECKING:
    from oms.journal.history import EventFilter
    from oms.journal.reader import Reader

BATCH = 1000
"""Facts read at a time where many are asked for."""
FOLLOW_S = 0.5
TABLE_ROWS = 100
"""Facts shown to a person who names no --limit; the other formats then give them all."""


@click.group()
def journal() -> None:
    """Look at the facts, and verify that they are what was written."""


for _command in (export_, import_, anchor, archive, archives):
    journal.add_command(_command)


@journal.command()
@of_journal
@click.option("-n", "number", type=click.IntRange(min=1), default=20, metavar="N", help="The newest N (20).")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
def tail(*, json_: bool, dry_run: bool, number: int, follow: bool) -> None:
    """Show the newest facts, oldest of them first."""
    desk = at_desk(dry_run=dry_run)
    answer = questions.tail(desk, number)
    if not follow:
        show(answer, _lines, json_=json_)
        return
    place = 0
    while True:
        for event in answer["events"]:
            click.echo(json.dumps(event, ensure_ascii=False) if json_ else next(fact_lines([event])))
            place = event["seq"]
        time.sleep(FOLLOW_S)
        answer = questions.after(desk, place, BATCH)


def _lines(answer: Answer) -> Iterator[str]:
    if not answer["events"]:
        yield "no such facts"
    yield from fact_lines(answer["events"])


@journal.command()
@of_journal
@click.option("--cycle", "cycle_id", metavar="CYCLE", help="Only facts of this cycle.")
@click.option("--order", "cl_ord_id", metavar="CL_ORD_ID", help="Only facts of this order.")
@click.option("--symbol", metavar="SYMBOL", help="Only facts about this symbol.")
@click.option("--kind", metavar="KIND", help="Only facts of this kind, such as order_filled.")
@click.option("--rule", metavar="RULE", help="Only facts that name this rule, such as funds_fraction.")
@click.option("--text", metavar="TEXT", help="Only facts with this text in their details.")
@click.option("--account", metavar="ACCOUNT", help="Only facts of this account; a journal holds one.")
@click.option("--count", "counted", is_flag=True, help="Only how many there are.")
@click.option("--since", metavar="TIME", help="From then on: 2026-11-20, 2026-11-20T14:30:00Z, today, or 2h (ago).")
@click.option("--until", metavar="TIME", help="Before then.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N (100 in a table).")
@click.option(
    "--format", "format_", type=click.Choice(["table", "csv", "jsonl"]), default="table", help="How rows are written."
)
def query(
    *,
    json_: bool,
    dry_run: bool,
    cycle_id: str | None,
    cl_ord_id: str | None,
    symbol: str | None,
    kind: str | None,
    rule: str | None,
    text: str | None,
    account: str | None,
    counted: bool,
    since: str | None,
    until: str | None,
    limit: int | None,
    format_: str,
) -> None:
    """Show the facts that match, in their order."""
    from oms.journal.history import EventFilter

    if json_ and format_ != "table":
        raise UsageError("--json and --format contradict each other; jsonl is one object a line")
    wanted = EventFilter(
        cycle_id=cycle_id,
        cl_ord_id=cl_ord_id,
        symbol=options.symbol(symbol),
        kind=None if kind is None else questions.kind_of(kind),
        rule=rule,
        text=text,
        account=account,
        since=None if since is None else options.instant(since, "--since"),
        until=None if until is None else options.instant(until, "--until"),
    )
    if counted:
        _count(wanted, json_=json_, dry_run=dry_run)
    elif format_ == "table":
        _answer(wanted, limit, json_=json_, dry_run=dry_run)
    else:
        _stream(wanted, limit, format_, dry_run=dry_run)


def _count(wanted: EventFilter, *, json_: bool, dry_run: bool) -> None:
    show(questions.count(at_desk(dry_run=dry_run), wanted), lambda a: [str(a["count"])], json_=json_)


def _answer(wanted: EventFilter, limit: int | None, *, json_: bool, dry_run: bool) -> None:
    most = limit or (2**62 if json_ else TABLE_ROWS)
    answer = questions.query(at_desk(dry_run=dry_run), wanted, most)
    show(answer, _lines, json_=json_)
    if not json_ and limit is None and len(answer["events"]) == TABLE_ROWS:
        click.echo(f"oms: only the newest {TABLE_ROWS}; --limit N shows more", err=True)


def _stream(wanted: EventFilter, limit: int | None, format_: str, *, dry_run: bool) -> None:
    """Row by row, so that a journal of any size can be written out."""
    from oms.journal.reader import NoJournal, open_reader
    from oms.places import places

    where = places(options.configuration(), dry_run=dry_run)
    try:
        reader = open_reader(where.journal_url)
    except NoJournal:
        reader = None
    if format_ == "csv":
        click.echo(_csv(COLUMNS))
    if reader is None:
        return
    with closing(reader):
        for event in _rows(reader, wanted, limit):
            click.echo(json.dumps(event, ensure_ascii=False) if format_ == "jsonl" else _csv(_cells(event)))


def _rows(reader: Reader, wanted: EventFilter, limit: int | None) -> Iterator[dict[str, Any]]:
    from oms.journal import history

    if limit is not None:
        return iter(history.journal_query(reader, wanted, limit=limit)["events"])
    return history.journal_stream(reader, wanted)


def _cells(event: dict[str, Any]) -> list[str]:
    return [
        json.dumps(event[name], ensure_ascii=False, separators=(",", ":")) if name == "data" else str(event[name] or "")
        for name in COLUMNS
    ]


def _csv(cells: list[str] | tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


@journal.command()
@of_journal
@click.option("--full", is_flag=True, help="From the first row on, and every table.")
@click.option("--laws", is_flag=True, help="Also the laws of the house, from the paper broker's own log.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the work over a long journal in a file.",
)
def verify(*, json_: bool, dry_run: bool, full: bool, laws: bool, jobs: int) -> int:
    """Check that the journal is what was written: its chain, its anchors, and the tables cast from it.

    Ends with 3 at the first bad row, which is named with its remedy. A journal of more than 10,000 rows that was good
    before is walked from there on; --full walks it all and compares every table.
    """
    desk = at_desk(dry_run=dry_run)
    answer = questions.verify(desk, full=full, jobs=jobs)
    if laws and answer["ok"] and answer["seq"]:
        from oms.cli.laws import judged

        answer |= judged(desk.loaded, dry_run=dry_run)
    show(answer, _verdict, json_=json_)
    if not answer["ok"] and not json_:
        row = f"row {answer['bad_row']}: " if answer["bad_row"] is not None else ""
        raise DamagedError(f"the journal is not what was written. {row}{answer['problem']}. {answer['remedy']}")
    return EXIT_DONE if answer["ok"] and not answer.get("broken_laws") else DamagedError.exit_code


@journal.command()
@options.common
@click.option("--dry-run", is_flag=True, help="The dry run's own journal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rebuild(*, dry_run: bool, yes: bool) -> None:
    """Cast every table anew from the facts; the facts are not touched, and must be whole."""
    from oms import operator_desk
    from oms.cli.desk import confirm

    loaded = options.configuration()
    confirm("Replace every table of the journal by what its facts give?", yes=yes)
    folded = operator_desk.rebuild_tables(loaded, dry_run=dry_run, say=lambda text: click.echo(text, err=True))
    click.echo(f"{folded:,} facts folded; every table shows what they add up to")


def _verdict(answer: Answer) -> Iterator[str]:
    if not answer["seq"]:
        yield NOTHING_YET
    elif answer["ok"]:
        part = "and its tables" if answer["full"] else f"of the {answer['rows']:,} rows since the last verification"
        anchors = f", {answer['anchors']} anchors match" if answer["anchors"] else ""
        took = span(answer["chain_s"] + answer["fold_s"])
        yield f"{answer['seq']:,} entries, chain {part} ok{anchors}, head {answer['head'][:12]}… ({took})"
        if not answer["full"]:
            yield "--full walks it from the first row on, and compares every table"
        if "laws" in answer:
            yield f"{answer['laws']} laws, {len(answer['broken_laws'])} of them broken"
            yield from (f"  {each}" for each in answer["broken_laws"])
