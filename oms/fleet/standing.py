"""How the fleet stands: its accounts, its workers, its limits; one answer, from the database alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oms.errors import UsageError
from oms.fleet import brake, limits, task_queue
from oms.fleet.database import Database
from oms.journal.answers import instant, money
from oms.journal.scalars import from_micro

OVERDUE_S = 60
"""Seconds after its time from which an account counts as overdue: the fleet has too few lanes."""
GONE_S = 20
"""Seconds without a sign of life after which a worker counts as gone."""

_IS_AT_WORK = f"w.worker IS NOT NULL AND w.ended_at IS NULL AND w.seen_at > now() - interval '{GONE_S} s'"
_LATE = (
    f"CASE WHEN f.paused IS NULL AND NOT coalesce({_IS_AT_WORK}, false) THEN extract(epoch FROM now() - f.due_at) END"
)
_STATE = (
    "CASE WHEN f.paused IS NOT NULL THEN 'paused' WHEN f.failures_in_a_row > 0 THEN 'failing'"
    f" WHEN a.halt_scope IS NOT NULL THEN 'halted' WHEN {_IS_AT_WORK} THEN 'running'"
    f" WHEN f.due_at < now() - interval '{OVERDUE_S} s' THEN 'overdue' ELSE 'waiting' END"
)
"""One word for an account: what a person would look at first. Whoever waits for a worker that is gone does not run."""
_EACH = (
    "fleet_accounts f LEFT JOIN accounts a ON a.account = f.account LEFT JOIN fleet_workers w ON w.worker = f.worker"
)
_ACCOUNTS = (
    "SELECT f.account, f.paused, f.due_at, f.started_at, f.ended_at, f.worker, f.exit_code, f.why, f.took_s, f.runs,"  # noqa: S608
    f" f.cycles, f.failures_in_a_row, a.halt_scope, a.attention, c.cycle_id, c.phase, c.outcome, {_STATE}, {_LATE},"
    " (SELECT count(*) FROM inbox i WHERE i.account = f.account AND i.id > coalesce(a.inbox_id, 0))"
    f" FROM {_EACH} LEFT JOIN LATERAL (SELECT cycle_id, phase, outcome FROM cycles WHERE account = f.account"
    " ORDER BY opened_seq DESC LIMIT 1) c ON true ORDER BY f.account"
)
_COUNTS = f"SELECT {_STATE}, count(*), max({_LATE}) FROM {_EACH} GROUP BY 1"  # noqa: S608  # our own words
_WORKERS = (
    "SELECT worker, host, pid, version, lanes, busy, started_at, seen_at, draining, ended_at, runs, cycles, failures,"
    " busy_s, seen_at < now() - ? * interval '1 s', extract(epoch FROM coalesce(ended_at, now()) - started_at)"
    " FROM fleet_workers WHERE seen_at > now() - interval '1 day' ORDER BY worker"
)
"""One that has ended, or was lost, is told of for a day."""


def status(database: Database) -> dict[str, Any]:
    """Every account and worker, and what they add up to."""
    return {"schema": "oms.fleet-status/1", **summary(database), "accounts": accounts(database)}


def accounts(database: Database) -> list[dict[str, Any]]:
    """Every account, by name."""
    return [_account(row) for row in database.ask(_ACCOUNTS)]


def summary(database: Database) -> dict[str, Any]:
    """The same without the accounts one by one: how many are in which state, and how late the latest of them is."""
    counted = database.ask(_COUNTS)
    late = [float(most) for _, _, most in counted if most is not None]
    return {
        "database": database.address.shown,
        "counts": {"all": sum(number for _, number, _ in counted), **{state: number for state, number, _ in counted}},
        "latest_s": round(max([0.0, *late]), 1),
        "workers": [_worker(row) for row in database.ask(_WORKERS, (GONE_S,))],
        "queue": task_queue.depth(database),
        "halted": brake.standing_halt(database),
        "limits": limits.limits(database),
        "notional_today": money(from_micro(limits.used_today(database, datetime.now(UTC).date()))),
    }


def drain(database: Database, worker: str | None) -> list[str]:
    """Tell one worker, or all of them, to take no more turns and end; which ones were told.

    Raises:
        UsageError: there is no such worker at work.
    """
    sql = "UPDATE fleet_workers SET draining = true WHERE ended_at IS NULL AND (worker = ? OR ?) RETURNING worker"
    told = [str(row[0]) for row in database.ask(sql, (worker or "", worker is None))]
    if not told:
        raise UsageError(
            f"no worker {worker} is at work; `fleet status` lists them" if worker else "no worker is at work"
        )
    return told


def _account(row: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        *("account", "paused", "due_at", "started_at", "ended_at", "worker", "exit_code", "why", "took_s", "runs"),
        *("cycles", "failures_in_a_row", "halted", "attention", "cycle_id", "phase", "outcome", "state"),
        *("late_s", "commands_waiting"),
    )
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    for name in ("due_at", "started_at", "ended_at"):
        found[name] = instant(found[name])
    found["late_s"] = None if found["late_s"] is None else round(max(float(found["late_s"]), 0.0), 1)
    return found


def _worker(row: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        *("worker", "host", "pid", "version", "lanes", "busy", "started_at", "seen_at", "draining", "ended_at"),
        *("runs", "cycles", "failures", "busy_s", "gone", "up_s"),
    )
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    for name in ("started_at", "seen_at", "ended_at"):
        found[name] = instant(found[name])
    up = float(found["up_s"] or 0)
    found["up_s"] = round(up, 1)
    found["cycles_per_minute"] = round(60 * found["cycles"] / up, 2) if up > 0 else 0.0
    found["load"] = round(found["busy_s"] / (up * found["lanes"]), 3) if up > 0 and found["lanes"] else 0.0
    ended = "gone" if found.pop("gone") else "draining" if found["draining"] else "working"
    found["state"] = "ended" if found["ended_at"] is not None else ended
    return found
