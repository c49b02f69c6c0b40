"""Alembic at work on PostgreSQL: its own line of migrations, under ``migrations/postgres``."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from oms.resources import migrations_dir


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(migrations_dir() / "postgres").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str | None:
    """The newest schema."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run what is missing, a transaction for each migration: after a crash the schema is that of one of them."""
    connection.commit()  # SQLAlchemy's own idea of a transaction, of which the server knows nothing
    connection.execution_options(isolation_level="READ COMMITTED")
    try:
        command.upgrade(alembic_config(connection), revision)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.execution_options(isolation_level="AUTOCOMMIT")
