"""Alembic at work: the one module that imports it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from oms.journal.connection import address_of, writer_engine
from oms.resources import migrations_dir


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, without a file: where the migrations lie and which connection they use."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def revisions() -> frozenset[str]:
    """Every schema this release knows."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


def head() -> str | None:
    """The newest schema."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def upgrade(connection: Connection) -> None:
    """Run what is missing, all in one transaction: after a crash the schema is the old one or the new one."""
    # The driver begins nothing by itself, so this is the one transaction; SQLAlchemy's own begin and commit enclose it
    # and tell Alembic that the transaction is not its to end.
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        command.upgrade(alembic_config(connection), "head")


def upgrade_file(path: Path) -> None:
    """Move a database up that nobody else has open and of which nothing needs to be kept: a copy, an unpacked backup."""
    engine = writer_engine(address_of(path))
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            upgrade(connection)
    finally:
        engine.dispose()
