"""What the account is doing, holds and can spend: ``status``, ``funds``, ``positions``, ``select``, ``blacklist list``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oms.errors import UsageError
from oms.questions import fleet
from oms.questions.asking import NOTHING_YET, Answer, Desk

FUNDS = ("cash", "settled_cash", "unsettled_cash", "buying_power", "spendable", "reserved", "currency", "as_of")
_UNKNOWN = (
    *("phase", "cycle_id", "halted", "running", "pid", "host", "funds", "trading_day", "trades_today"),
    *("realised_today", "attention", "unresolved", "quarantined", "heartbeat"),
)


def status(desk: Desk) -> dict[str, Any]:
    """The status now, with nulls where nothing has run yet; and how the fleet stands, where there is one."""
    from oms.journal import views

    config = desk.loaded.config
    nothing: dict[str, Any] = {
        "schema": "oms.status/1",
        "account": config.account,
        "mode": "dry_run" if desk.dry_run else config.mode,
        **dict.fromkeys(_UNKNOWN),
        "waiting_for": "`run`: nothing has run yet",
        "frozen": [],
        "tasks": [],
        "journal": {"seq": 0, "head": None},
    }
    answer = desk.ask(lambda reader: views.status(reader, fee_allowance=config.execution.fee_allowance), nothing)
    if config.mode == "live" and not desk.dry_run:
        from oms.questions import licence

        answer["live"] = {name: licence.show(desk)[name] for name in ("armed", "until", "author", "why_not")}
    whole = fleet.summary(desk)
    if whole is not None:
        workers = [each["state"] for each in whole["workers"]]
        answer["fleet"] = {
            **{name: whole[name] for name in ("counts", "latest_s", "halted")},
            "workers": {state: workers.count(state) for state in ("working", "draining", "gone")},
        }
    return answer


def status_at(desk: Desk, at: datetime) -> dict[str, Any]:
    """The status at an earlier moment, from the journal alone.

    Raises:
        UsageError: nothing has run yet.
    """
    from oms.audit import then

    fees = desk.loaded.config.execution.fee_allowance
    nothing: dict[str, Any] = {}
    answer = desk.ask(lambda reader: then.status_at(reader, at, fees), nothing)
    if not answer:
        raise UsageError(NOTHING_YET)
    return answer


def ailing(answer: Answer) -> list[str]:
    """What of a status is not healthy; that no process runs is no illness."""
    found = [f"{task['name']}: {task['text']}" for task in answer["tasks"] if not task["healthy"]]
    parked = answer["quarantined"]
    return [*found, f"orders: {parked} in quarantine"] if parked else found


def funds(desk: Desk, at: datetime | None = None) -> dict[str, Any]:
    """The newest reading of the account's money, or that of an earlier moment; nulls where there is none."""
    from oms.journal import views

    fees = desk.loaded.config.execution.fee_allowance
    nothing: dict[str, Any] = {"schema": "oms.funds/1", **dict.fromkeys(FUNDS), "currencies": []}
    if at is None:
        return desk.ask(lambda reader: views.funds(reader, fees), nothing)
    from oms.audit import then

    return desk.ask(lambda reader: then.funds_at(reader, at, fees), nothing)


def positions(desk: Desk, at: datetime | None = None) -> dict[str, Any]:
    """The shares that the journal says are held, now or at an earlier moment."""
    from oms.journal import views

    nothing: dict[str, Any] = {"schema": "oms.positions/1", "positions": [], "as_of": None}
    if at is None:
        return desk.ask(views.positions, nothing)
    from oms.audit import then

    return desk.ask(lambda reader: then.positions_at(reader, at), nothing)


def selection(desk: Desk, top: int | None = None) -> dict[str, Any]:
    """The last screen of the universe, best first; ``top`` gives only so many of the ranked."""
    from oms.journal import views

    nothing: dict[str, Any] = {"schema": "oms.select/1", "as_of": None, "scores": []}
    return desk.ask(lambda reader: views.select_scores(reader, top), nothing)


def blacklist(desk: Desk) -> dict[str, Any]:
    """The symbols that are not bought: the configuration's and the journal's."""
    from oms.journal import views

    nothing: dict[str, Any] = {"symbols": []}
    answer = desk.ask(views.blacklist, nothing)
    named = {row["symbol"] for row in answer["symbols"]}
    origin = desk.loaded.origins["risk.blacklist"]
    configured = [
        {"symbol": symbol, "reason": "risk.blacklist", "author": origin, "until": None}
        for symbol in desk.loaded.config.risk.blacklist
        if symbol not in named
    ]
    symbols = sorted([*answer["symbols"], *configured], key=lambda row: str(row["symbol"]))
    return {"schema": "oms.blacklist-list/1", "symbols": symbols}
