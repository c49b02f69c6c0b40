"""Barriers that share one flush of the server's log: many accounts in one process wait for the disk together.

A shared barrier is committed like a soft commit, and returns only when a later transaction, one for all that wait, was
committed durably by the same server. That one writes a record into the log, so its commit brings everything before it to
the disk, and to the standby where the server waits for one.
"""

from __future__ import annotations

import threading
import time
from functools import cache

from sqlalchemy import URL, Connection

from oms.errors import RefusedError, StorageError
from oms.journal.postgres.address import writers
from oms.journal.postgres.driver import over

PER_ACCOUNT_S = 0.002
"""Seconds that a flush is put off for each other account that is open here and may soon have a barrier too."""
LONGEST_S = 0.1
"""Seconds that it is put off at most."""
DURABLE = ("on", "remote_write", "remote_apply")
"""Values of ``synchronous_commit`` under which a commit waits for the disk."""

_FLUSH = (
    "WITH written AS MATERIALIZED (SELECT pg_logical_emit_message(true, 'oms', ''))"
    " SELECT t.token, current_setting('synchronous_commit') FROM written, restart_token t"
)


class Flusher:
    """What the accounts share that this process has open in one database."""

    def __init__(self, server: URL, schema: str) -> None:
        self._where = server, schema
        self._kept: Connection | None = None
        self._change = threading.Condition()
        self._open = 0
        """Accounts that may have a barrier."""
        self._waiting = 0
        self._is_led = False
        """One of those that wait is at work on the next flush."""
        self._begun = 0
        """Flushes that were begun; who waits needs one that begins after its own commit."""
        self._ended = 0
        self._found: str | Exception = ""
        """Of the newest flush that ended: the server's restart token, or the failure."""

    @property
    def is_shared(self) -> bool:
        """More than one account is open, so that waiting for each other may spare a flush."""
        return self._open > 1

    def enter(self) -> None:
        """One more account is open."""
        with self._change:
            self._open += 1

    def leave(self) -> None:
        """One account less; with the last one the connection is given back."""
        with self._change:
            self._open -= 1
            self._change.notify_all()
            if self._open == 0 and self._kept is not None and not self._is_led:
                self._kept.close()
                self._kept = None

    def cover(self, token: str) -> None:
        """Return when all that was committed before is on the disk of the server that has this restart token.

        Raises:
            StorageError: it is not known to be, so what was committed is in doubt.
        """
        with self._change:
            mine = self._begun + 1
            self._waiting += 1
            self._change.notify_all()
            try:
                while self._ended < mine:
                    if self._is_led:
                        self._change.wait()
                    else:
                        self._lead()
                found = self._found
            finally:
                self._waiting -= 1
        if isinstance(found, Exception):
            raise StorageError(f"the server's log was not brought to the disk: {found}") from found
        if found != token:
            raise StorageError("the server has recovered from a crash since this account was loaded")

    def _lead(self) -> None:
        """Flush once for all that wait; with the lock held, which is let go while the server is at work."""
        self._is_led = True
        try:
            until = time.monotonic() + min(PER_ACCOUNT_S * (self._open - self._waiting), LONGEST_S)
            while self._waiting < self._open and (left := until - time.monotonic()) > 0:
                self._change.wait(left)
            self._begun = number = self._begun + 1
            self._change.release()
            try:
                found: str | Exception = self._flush()
            except Exception as error:  # noqa: BLE001  # each that waits is told, in its own words
                found = error
            finally:
                self._change.acquire()
            self._ended, self._found = number, found
        finally:
            self._is_led = False
            self._change.notify_all()

    def _flush(self) -> str:
        """A durable commit that writes into the log; the restart token that it saw."""
        if self._kept is None:
            self._kept = writers(*self._where).connect()
        try:
            found = over(self._kept.connection.driver_connection).exchange(_FLUSH, ())
            token, commit = ((found.get_value(0, column) or b"").decode() for column in range(2))
            if commit not in DURABLE:
                raise RefusedError(f"a barrier would not reach the disk: synchronous_commit is {commit}")
            return token
        except BaseException:
            self._kept.invalidate()
            self._kept.close()
            self._kept = None
            raise


@cache
def flusher_of(server: URL, schema: str) -> Flusher:
    """The one of this process for a database."""
    return Flusher(server, schema)
