"""The lease: at any time one process may write an account's journal, and a fence proves which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from oms.errors import FenceLostError, LeaseHeldError
from oms.journal.chain import genesis
from oms.journal.machine import ProcessInfo, is_gone, this_process
from oms.journal.scalars import from_instant, to_instant
from oms.journal.statements import Statements
from oms.ports import Clock, Lease

_READ = (
    "SELECT fence, host, restart_token, pid_namespace, pid, process_started, expires_at FROM lease WHERE account = ?"
)
_TAKE = (
    "INSERT INTO lease (account, fence, host, restart_token, pid_namespace, pid, process_started, taken_at, renewed_at,"
    " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account) DO UPDATE SET fence = excluded.fence,"
    " host = excluded.host, restart_token = excluded.restart_token, pid_namespace = excluded.pid_namespace,"
    " pid = excluded.pid, process_started = excluded.process_started, taken_at = excluded.taken_at,"
    " renewed_at = excluded.renewed_at, expires_at = excluded.expires_at"
)
_RENEW = "UPDATE lease SET renewed_at = ?, expires_at = ? WHERE account = ? AND fence = ?"
_RELEASE = "UPDATE lease SET expires_at = NULL WHERE account = ? AND fence = ?"
_FIRST_HEAD = (
    "INSERT INTO heads (account, seq, hash, barrier_seq, barrier_hash) VALUES (?, 0, ?, 0, ?)"
    " ON CONFLICT (account) DO NOTHING"
)


class LeaseRow:
    """The lease of one account as this process takes, renews and gives it back, each within the caller's transaction."""

    def __init__(self, account: str, clock: Clock, seconds: float, process: ProcessInfo) -> None:
        self._account = account
        self._clock = clock
        self._seconds = seconds
        self._process = process
        self._renewed = clock.elapsed()

    def take(self, raw: Statements) -> Lease:
        """Become the holder.

        Raises:
            LeaseHeldError: another process holds it, and neither its end nor its lease's end is certain.
        """
        now = self._clock.now()
        found = raw.execute(_READ, (self._account,)).fetchone()
        if found is not None:
            self._refuse_held(found, now)
        fence = 1 if found is None else found[0] + 1
        here = self._process
        raw.execute(
            _TAKE,
            (
                self._account,
                fence,
                here.host,
                here.restart_token,
                here.pid_namespace,
                here.pid,
                here.started,
                to_instant(now),
                to_instant(now),
                to_instant(now + timedelta(seconds=self._seconds)),
            ),
        )
        start = genesis(self._account)
        raw.execute(_FIRST_HEAD, (self._account, start, start))
        self._renewed = self._clock.elapsed()
        return Lease(fence=fence, restart_token=here.restart_token, host=here.host, pid=here.pid)

    def _refuse_held(self, found: tuple[Any, ...], now: datetime) -> None:
        _, host, token, namespace, pid, started, expires = found
        if expires is None or from_instant(expires) <= now:
            return
        holder = ProcessInfo(host=host, restart_token=token, pid=pid, pid_namespace=namespace, started=started)
        if is_gone(holder, self._process):
            return
        until = from_instant(expires)
        raise LeaseHeldError(
            f"process {pid} on {host} trades {self._account}; its lease ends {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC "
            f"(in {(until - now).total_seconds():.0f} s) unless it renews it. Stop that process, or wait"
        )

    def is_due(self) -> bool:
        """A third of the lease has passed since it was last renewed, by a clock that cannot jump."""
        return self._clock.elapsed() - self._renewed >= self._seconds / 3

    def renew(self, raw: Statements, fence: int) -> None:
        """Push the expiry out.

        Raises:
            FenceLostError: another process took the lease.
        """
        now = self._clock.now()
        until = now + timedelta(seconds=self._seconds)
        done = raw.execute(_RENEW, (to_instant(now), to_instant(until), self._account, fence))
        if done.rowcount != 1:
            raise fence_lost(raw, self._account, fence)
        self._renewed = self._clock.elapsed()

    def release(self, raw: Statements, fence: int) -> None:
        """Give it back; nothing happens where it is no longer ours."""
        raw.execute(_RELEASE, (self._account, fence))


def is_held(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a process works under this row of the lease: not given back, not expired, and not known to be gone."""
    if row["expires_at"] is None or row["expires_at"] <= now:
        return False
    holder = ProcessInfo(
        host=row["host"],
        restart_token=row["restart_token"],
        pid=row["pid"],
        pid_namespace=row["pid_namespace"],
        started=row["process_started"],
    )
    return not is_gone(holder, this_process())


def fence_lost(raw: Statements, account: str, fence: int) -> FenceLostError:
    """Why a write under ``fence`` was refused."""
    found = raw.execute(_READ, (account,)).fetchone()
    if found is None or found[0] == fence:
        return FenceLostError(f"the journal of {account} has moved on without this process; it may write nothing more")
    return FenceLostError(
        f"process {found[4]} on {found[1]} took the lease of {account} (fence {found[0]}, ours was {fence}); "
        "this process may write nothing more"
    )
