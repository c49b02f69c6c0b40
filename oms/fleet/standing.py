"""How the fleet stands: its accounts, its workers, its limits; one answer, from the database alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oms.errors import UsageError
from oms.fleet import limits, task_queue
from oms.fleet.database import Database
from oms.journal.answers import instant, money
from oms.journal.scalars import from_micro

OVERDUE_S = 60
"""Seconds after its time from which an account counts as overdue: the fleet has too few lanes."""
GONE_S = 20
"""Seconds without a sign of life after which a worker counts as gone."""

_ACCOUNTS = (
    "SELECT f.account, f.paused, f.due_at, f.started_at, f.ended_at, f.worker, f.exit_code, f.why, f.took_s, f.runs,"
    " f.cycles, f.failures_in_a_row, a.halt_scope, a.attention, c.cycle_id, c.phase, c.outcome,"
    " f.due_at < now() - ? * interval '1 s' AND f.worker IS NULL AND f.paused IS NULL"
    " FROM fleet_accounts f LEFT JOIN accounts a ON a.account = f.account"
    " LEFT JOIN LATERAL (SELECT cycle_id, phase, outcome FROM cycles WHERE account = f.account"
    " ORDER BY opened_seq DESC LIMIT 1) c ON true ORDER BY f.account"
)
_WORKERS = (
    "SELECT worker, host, pid, version, lanes, busy, started_at, seen_at, draining, ended_at, runs, cycles, failures,"
    " busy_s, seen_at < now() - ? * interval '1 s', extract(epoch FROM coalesce(ended_at, now()) - started_at)"
    " FROM fleet_workers ORDER BY worker"
)


def status(database: Database) -> dict[str, Any]:
    """Every account and worker, and what they add up to."""
    accounts = [_account(row) for row in database.ask(_ACCOUNTS, (OVERDUE_S,))]
    workers = [_worker(row) for row in database.ask(_WORKERS, (GONE_S,))]
    set_limits = limits.limits(database)
    counted: dict[str, int] = {}
    for each in accounts:
        counted[each["state"]] = counted.get(each["state"], 0) + 1
    return {
        "schema": "oms.fleet-status/1",
        "database": database.address.shown,
        "accounts": accounts,
        "counts": {"all": len(accounts), **counted},
        "workers": workers,
        "queue": task_queue.depth(database),
        "halted": limits.standing_halt(database),
        "limits": {name: value for name, value in set_limits.items() if name != limits.HALT},
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
        *("cycles", "failures_in_a_row", "halted", "attention", "cycle_id", "phase", "outcome", "overdue"),
    )
    found: dict[str, Any] = dict(zip(names, row, strict=True))
    for name in ("due_at", "started_at", "ended_at"):
        found[name] = instant(found[name])
    found["state"] = _state(found)
    return found


def _state(account: dict[str, Any]) -> str:
    """One word for an account: what a person would look at first."""
    if account["paused"] is not None:
        return "paused"
    if account["failures_in_a_row"]:
        return "failing"
    if account["halted"] is not None:
        return "halted"
    if account["worker"] is not None:
        return "running"
    return "overdue" if account["overdue"] else "waiting"


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
