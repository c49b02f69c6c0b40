"""``journal archive|archives``: the facts of closed years in files of their own, which every question sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from oms.cli import options
from oms.cli.layout import moment, table
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.errors import UsageError

FIRST_YEAR = 1970


@click.command()
@of_journal
@click.option("--before", "before", type=int, metavar="YEAR", help="Move what was journaled before it; this year.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would move.")
def archive(*, json_: bool, dry_run: bool, before: int | None, only_plan: bool) -> None:
    """Move the facts of closed years into an archive beside the journal, where every question still sees them.

    Years are those in which the facts were journaled, UTC. The last cycle stays, with what a start of the engine reads. Not
    while an engine runs. Killed at any instant, no fact is lost, and the next call finishes.
    """
    from oms.gateways.system_clock import SystemClock
    from oms.journal import archiving
    from oms.journal.archives import folder_of
    from oms.journal.connection import sqlite_file
    from oms.journal.reader import open_reader
    from oms.operator_desk import author
    from oms.places import places
    from oms.questions.archives import file_of, told

    loaded = options.configuration()
    url = places(loaded, dry_run=dry_run).journal_url
    path = file_of(sqlite_file(url))
    turn = _turn(before)
    answer: dict[str, Any] = {"schema": "oms.journal.archive/1", "before": f"{turn:%Y-%m-%d}", "planned": only_plan}
    if only_plan:
        with closing(open_reader(url)) as reader:
            part = archiving.part_to_move(reader, turn)
        empty = {"first_seq": None, "last_seq": None, "years": None}
        found = empty if part is None else {**empty, "first_seq": part.first_seq, "last_seq": part.last_seq}
        show({**answer, **found, "years": None if part is None else part.years}, _planned, json_=json_)
        return
    mode = "dry_run" if dry_run else loaded.config.mode
    moved = archiving.archive(
        url,
        loaded.config.account,
        mode,
        SystemClock(),
        turn,
        author=author(),
        say=lambda text: click.echo(text, err=True),
    )
    made = None if moved.archive is None else told(moved.archive, folder_of(path))
    show({**answer, "archive": made, "freed": moved.freed, "bytes": moved.bytes}, _moved, json_=json_)


def _turn(before: int | None) -> datetime:
    this_year = datetime.now(UTC).year
    year = this_year if before is None else before
    if not FIRST_YEAR < year <= this_year:
        raise UsageError(
            f"--before {year}: expected a year that has begun, such as {this_year}: only closed years move"
        )
    return datetime(year, 1, 1, tzinfo=UTC)


def _planned(answer: Answer) -> Iterator[str]:
    if answer["first_seq"] is None:
        yield f"nothing journaled before {answer['before']} is left to move"
        return
    yield f"facts {answer['first_seq']:,} to {answer['last_seq']:,} ({answer['years']}) would move; nothing was done"


def _moved(answer: Answer) -> Iterator[str]:
    made = answer["archive"]
    if made is None and not answer["freed"]:
        yield f"nothing journaled before {answer['before']} was left to move"
        return
    if made is not None:
        yield f"facts {made['first_seq']:,} to {made['last_seq']:,} are in {made['path']}"
        yield f"{made['bytes']:,} bytes, sha256 {made['sha256']}"
    yield f"{answer['freed']:,} facts left the database, which has {answer['bytes']:,} bytes now"
    yield "keep a copy of the archive: it never changes, and a backup of the journal does not hold it"


@click.command()
@of_journal
def archives(*, json_: bool, dry_run: bool) -> int:
    """List the archives of the journal, oldest first; ends with 3 where one is not in its place.

    Whether each is what was written, `journal verify --full` says.
    """
    from oms.questions import archives as questions

    answer = questions.archives(at_desk(dry_run=dry_run))
    show(answer, _listed, json_=json_)
    return 0 if all(each["there"] for each in answer["archives"]) else 3


def _listed(answer: Answer) -> Iterator[str]:
    if not answer["archives"]:
        yield "no archive yet; `journal archive` moves closed years into one"
        return
    rows = [
        [
            f"{each['first_seq']:,} to {each['last_seq']:,}",
            moment(each["at"]),
            f"{each['bytes']:,}",
            each["sha256"][:12],
            each["path"] if each["there"] else f"MISSING: {each['path']}",
        ]
        for each in answer["archives"]
    ]
    yield from table(["facts", "archived", "bytes", "sha256", "file"], rows, "llrll")
