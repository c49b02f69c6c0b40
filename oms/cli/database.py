"""``db current|upgrade|roles|migrate-to``: the database of the journal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.layout import table
from oms.cli.reading import Answer, at_desk, show
from oms.errors import EXIT_DONE, DamagedError, UsageError
from oms.questions import configuration


@click.group()
def db() -> None:
    """The database of the journal: its schema, its roles, and moving it elsewhere."""


@db.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="The dry run's own database.")
def current(*, json_: bool, dry_run: bool) -> int:
    """Show which schema the database has, and which one this program needs."""
    answer = configuration.database(at_desk(dry_run=dry_run))
    show(answer, _revision, json_=json_)
    return DamagedError.exit_code if answer["problem"] else EXIT_DONE


@db.command()
@options.common
@click.option("--dry-run", is_flag=True, help="The dry run's own database.")
def upgrade(*, dry_run: bool) -> None:
    """Move the database up to this program's schema; `run` does so by itself.

    A copy of a file is put beside it first. On PostgreSQL, where this must be run by the owner of the tables, trading goes
    on meanwhile.
    """
    from oms import operator_desk

    revision = operator_desk.upgrade(options.configuration(), dry_run=dry_run, say=click.echo)
    click.echo(f"the database has schema {revision}, which is what this program needs")


@db.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="The dry run's own database.")
@click.option("--script", is_flag=True, help="Print the statements, and run none.")
def roles(*, json_: bool, dry_run: bool, script: bool) -> None:
    """Make the roles of a database on PostgreSQL: owner, engine, auditor, each with the fewest rights that are enough.

    The views of docs/sql.md are made with them. Run it as the owner of the tables, after each `db upgrade`; people and
    workers log in as users that are members: GRANT oms_engine TO …
    """
    from oms.audit.postgres_roles import grant
    from oms.audit.postgres_roles import script as statements
    from oms.places import places

    where = places(options.configuration(), dry_run=dry_run)
    if where.file is not None:
        raise UsageError("a journal in a file has no roles: who may read the file may read it all")
    if script:
        click.echo(";\n".join(statements(where.journal_url)) + ";")
        return
    show(grant(where.journal_url), _rights, json_=json_)


@db.command("migrate-to")
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="The dry run's own journal.")
@click.argument("url")
def migrate_to(*, json_: bool, dry_run: bool, url: str) -> None:
    """Move the journal from its file to PostgreSQL at URL, chain and all, and verify it there.

    No engine may run meanwhile. When the move stops half way, no engine starts on either side until the same command has
    brought it to its end. Afterwards name URL in journal.url.
    """
    from oms import operator_desk

    moved = operator_desk.migrate(
        options.configuration(), url, dry_run=dry_run, say=lambda text: click.echo(text, err=True)
    )
    show({"schema": "oms.db-migrate-to/1", **moved}, _moved, json_=json_)


def _moved(answer: Answer) -> Iterator[str]:
    yield (
        f"{answer['account']}: {answer['seq']:,} rows are at {answer['to']}, verified, head {answer['head'][:12]}…"
        + (f", {answer['messages']} commands wait there" if answer["messages"] else "")
    )
    yield f"name it in config.yaml: journal: {{url: {answer['to_url']!r}}}"
    yield "the old file stays as it is, and no engine opens it any more"


def _rights(answer: Answer) -> Iterator[str]:
    yield f"{answer['database']}: roles oms_owner, oms_engine and oms_auditor, and the views, are made"
    rows = [
        [each["table"], each.get("oms_engine", "-").lower(), each.get("oms_auditor", "-").lower()]
        for each in answer["rights"]
    ]
    yield from table(["table", "oms_engine", "oms_auditor"], rows, "lll")


def _revision(answer: Answer) -> Iterator[str]:
    file, found, needed = answer["file"], answer["found"], answer["needed"]
    if answer["problem"]:
        yield answer["problem"]
    elif found == "none":
        yield f"{file} is not there yet; `run` makes it with schema {needed}"
    elif found == needed:
        yield f"{file} has schema {found}, which is what this program needs"
    else:
        yield f"{file} has schema {found}, this program needs {needed}; `db upgrade` moves it up, after a copy was made"
