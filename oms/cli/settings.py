"""``config check|show|history|diff|rollback`` and ``db current|upgrade``: what this program goes by."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import click

from oms.cli import config_history, options
from oms.cli.layout import table
from oms.cli.reading import Answer, show
from oms.errors import EXIT_DONE, DamagedError


@click.group()
def config() -> None:
    """The configuration: check it, and show where each value came from."""


@config.command()
@options.common
@options.as_json
def check(*, json_: bool) -> None:
    """Check the configuration and its universe; every problem is named with its place."""
    from oms import app

    loaded = options.configuration()
    universe = app.universe_of(loaded)
    answer = {
        "schema": "oms.config-check/1",
        "ok": True,
        "file": None if loaded.path is None else str(loaded.path),
        "account": loaded.config.account,
        "mode": loaded.config.mode,
        "hash": loaded.hash,
        "universe": len(universe),
        "warnings": list(loaded.warnings),
    }
    show(answer, _checked, json_=json_)


def _checked(answer: Answer) -> Iterator[str]:
    place = answer["file"] or "no config.yaml, all defaults"
    yield f"ok: {place} · account {answer['account']}, mode {answer['mode']}, {answer['universe']} symbols"
    yield f"hash {answer['hash']}"


@config.command(name="show")
@options.common
@options.as_json
@click.option("--origin", is_flag=True, help="Also where each value came from.")
def config_show(*, json_: bool, origin: bool) -> None:
    """Show the whole effective configuration, without secrets."""
    loaded = options.configuration()
    values = json.loads(loaded.canonical)
    answer: dict[str, Any] = {"schema": "oms.config-show/1", "hash": loaded.hash, "config": values}
    if origin:
        answer["origins"] = dict(loaded.origins)
    show(answer, _settings, json_=json_)


def _settings(answer: Answer) -> Iterator[str]:
    origins = answer.get("origins")
    rows = [[key, _shown(value)] for key, value in _flat(answer["config"], "", _leaves())]
    if origins is None:
        yield from table(["key", "value"], rows)
    else:
        yield from table(["key", "value", "from"], [[*row, origins.get(row[0], "default")] for row in rows])
    yield f"hash {answer['hash']}"


def _leaves() -> set[str]:
    from oms.configuration.keys import leaves

    return {".".join(path) for path in leaves()}


def _flat(tree: dict[str, Any], above: str, leaves: set[str]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and key not in leaves:
            yield from _flat(value, f"{key}.", leaves)
        else:
            yield key, value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


config_history.add_to(config)


@click.group()
def db() -> None:
    """The database of the journal: which schema it has, and moving it up."""


@db.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="The dry run's own database.")
def current(*, json_: bool, dry_run: bool) -> int:
    """Show which schema the database has, and which one this program needs."""
    from oms.journal.tables import SCHEMA_REVISION
    from oms.places import places

    where = places(options.configuration(), dry_run=dry_run)
    found, problem = _examined(where.journal_url) if where.journal.exists() else ("none", "")
    answer = {
        "schema": "oms.db-current/1",
        "file": str(where.journal),
        "found": found,
        "needed": SCHEMA_REVISION,
        "problem": problem,
    }
    show(answer, _revision, json_=json_)
    return DamagedError.exit_code if problem else EXIT_DONE


@db.command()
@options.common
@click.option("--dry-run", is_flag=True, help="The dry run's own database.")
def upgrade(*, dry_run: bool) -> None:
    """Move the database up to this program's schema, after a copy was put beside it; `run` does so by itself."""
    from oms import operator_desk
    from oms.journal.tables import SCHEMA_REVISION

    operator_desk.upgrade(options.configuration(), dry_run=dry_run, say=click.echo)
    click.echo(f"the database has schema {SCHEMA_REVISION}, which is what this program needs")


def _examined(url: str) -> tuple[str, str]:
    """The schema of a database that is there, and what is wrong with it."""
    from sqlalchemy.exc import DBAPIError

    from oms.journal import schema
    from oms.journal.connection import reader_engine, sqlite_file, translate

    path = sqlite_file(url)
    assert path is not None
    engine = reader_engine(path)
    try:
        with engine.connect() as connection:
            try:
                state = schema.examine(connection, path)
            except DamagedError as error:
                return "unusable", str(error)
            if state is schema.Found.EMPTY:
                return "empty", ""
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()), ""
    except (DBAPIError, sqlite3.Error) as error:
        raise translate(error, path, "looking at its schema") from error
    finally:
        engine.dispose()


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
