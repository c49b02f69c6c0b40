"""``journal export|import|anchor``: the journal outside its database, where it proves itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oms.cli import options
from oms.cli.layout import count, moment
from oms.cli.reading import NOTHING_YET, Answer, ask, of_journal, show
from oms.errors import UsageError

if TYPE_CHECKING:
    from oms.journal.reader import Reader


@click.command(name="export")
@of_journal
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv", "parquet"]), default="jsonl", help="Of the rows."
)
@click.option("--by-day", is_flag=True, help="One file a day (UTC) instead of one in all.")
@click.option("--since", metavar="DAY", help="From this day on, UTC: 2026-11-20.")
@click.option("--until", metavar="DAY", help="Before this day.")
def export_(
    *, json_: bool, dry_run: bool, folder: Path, format_: str, by_day: bool, since: str | None, until: str | None
) -> None:
    """Write the journal into a new FOLDER, with a manifest of hashes that `journal import` checks."""
    from oms.audit.export import export

    first, before = _day(since, "--since"), _day(until, "--until")

    def question(reader: Reader) -> dict[str, Any]:
        found = export(
            reader,
            folder,
            format_,
            by_day=by_day,
            since=first,
            until=before,
            say=lambda text: click.echo(text, err=True),
        ).answer()
        return {**found, "folder": str(folder), "configs": len(found["configs"])}

    show(_asked(question, dry_run=dry_run), _exported, json_=json_)


def _day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no day; expected one such as 2026-11-20") from None


def _asked(question: Any, *, dry_run: bool) -> dict[str, Any]:
    answer = ask(options.configuration(), question, {}, dry_run=dry_run)
    if not answer:
        raise UsageError(NOTHING_YET)
    return answer


def _exported(answer: Answer) -> Iterator[str]:
    yield f"{answer['folder']}: {count(answer['rows'], 'row')} in {count(len(answer['files']), 'file')}"
    yield f"rows {answer['first_seq']}..{answer['last_seq']}, head {answer['head']}"


@click.command(name="import")
@options.common
@options.as_json
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--into", type=click.Path(path_type=Path), metavar="FILE", help="Make a new journal there.")
@click.option("--check", is_flag=True, help="Only verify the export.")
def import_(*, json_: bool, folder: Path, into: Path | None, check: bool) -> None:
    """Verify an export, every file, row and link of it, and make a new journal of it.

    The journal of the configuration is not touched. Ends with 3 at the first file or row that is not what it should be.
    """
    from oms.audit import importing
    from oms.gateways.system_clock import SystemClock

    if check == (into is not None):
        raise UsageError("say what for: --check, or --into FILE for a new journal")
    if into is None:
        imported = importing.check(folder)
    else:
        imported = importing.bring_in(folder, into, SystemClock(), say=lambda text: click.echo(text, err=True))
    answer = {**imported.answer(), "into": None if into is None else str(into)}
    show(answer, _imported, json_=json_)


def _imported(answer: Answer) -> Iterator[str]:
    made = f", journal {answer['into']} made" if answer["into"] else ""
    yield f"{answer['account']} ({answer['mode']}): {count(answer['rows'], 'row')} as they were written{made}"
    yield f"rows {answer['first_seq']}..{answer['last_seq']}, head {answer['head']}"


@click.command()
@of_journal
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="FILE", help="Another file than the one beside the database."
)
def anchor(*, json_: bool, dry_run: bool, to: Path | None) -> None:
    """Write the newest head that is safe on disk into a file outside the database, and check all that are there.

    Only an anchor shows that the tail of a journal was cut off: keep a copy where the journal is not.
    """
    from oms.audit import checkpoint

    show(
        _asked(lambda reader: checkpoint.anchor(reader, datetime.now(UTC), to), dry_run=dry_run), _anchored, json_=json_
    )


def _anchored(answer: Answer) -> Iterator[str]:
    done = "anchored" if answer["added"] else "was anchored already"
    yield f"row {answer['seq']} {done} in {answer['file']}: {answer['hash']}"
    if answer["checked"]:
        yield f"{count(answer['checked'], 'earlier anchor')} in it fit the journal ({moment(datetime.now(UTC))})"
    else:
        yield "it is the first anchor there"
