"""Whether real money may be traded now, by whose word, and until when."""

from __future__ import annotations

from typing import Any

from oms.configuration.armed_limits import hash_of, limits_of
from oms.journal.answers import instant
from oms.licence import state_of, why_unarmed
from oms.questions.asking import Desk


def show(desk: Desk) -> dict[str, Any]:
    """The arming of the account; ``armed`` is false in any mode but live.

    Raises:
        DamagedError, StorageError: the journal is damaged, or cannot be read now.
    """
    config, state = desk.loaded.config, state_of(desk.loaded, dry_run=desk.dry_run)
    is_live = config.mode == "live" and not desk.dry_run
    why = why_unarmed(config, state, desk.now()) if is_live else f"mode is {config.mode}: no real money is traded"
    armed, bound = state.armed, state.bound
    return {
        "schema": "oms.live-show/1",
        "account": config.account,
        "mode": config.mode,
        "armed": not why,
        "why_not": why or None,
        "broker_account": None if bound is None else bound.shown,
        "account_kind": None if bound is None else bound.account_kind,
        "until": None if armed is None else instant(armed.until),
        "author": None if armed is None else armed.author,
        "net_liquidation": armed.net_liquidation or None if armed is not None else None,
        "config_hash": None if armed is None else armed.config_hash,
        "limits_hash": None if armed is None else armed.limits_hash,
        "limits_hash_now": hash_of(limits_of(config)),
    }
