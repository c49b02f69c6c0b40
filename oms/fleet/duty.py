"""One turn of one account: finish the open cycle or trade a new one, give it back, and say when the next is due."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from oms.app import Engine
from oms.config import LoadedConfig
from oms.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_TERMINATED, LeaseHeldError, OmsError, TryAgainError
from oms.fleet import limits, registry
from oms.fleet.database import Database
from oms.fleet.limits import RATE, SharedRate, behind_gate
from oms.fleet.registry import Member, Turn
from oms.model.cycle import Phase

LEASE_HELD_S = 5.0
"""Seconds until an account whose last worker may still live is tried again."""
FIRST_PAUSE_S, TRY_AGAIN_S = 30.0, 5.0
"""Seconds until an account whose turn failed is tried again, or its interval where that is shorter; the second for what may
pass by itself, such as a lost connection, which may have left a cycle open."""
LONGEST_PAUSE = timedelta(minutes=15)
"""An account that keeps failing is tried again after twice the time, up to this."""
NO_DATA_LEFT = timedelta(days=1)

_BEGUN = (
    "SELECT c.phase FROM cycles c JOIN fleet_accounts f ON f.account = c.account WHERE c.account = ?"
    " AND (c.phase <> 'DONE' OR c.opened_at >= extract(epoch FROM f.due_at) * 1000000) ORDER BY c.opened_seq DESC LIMIT 1"
)
"""The cycle of the turn that is due, where a worker that is gone has begun it; it may have ended it, too."""


def take_turn(
    database: Database, fleet: LoadedConfig, account: str, worker: str, stopping: Callable[[], int | None]
) -> Turn | None:
    """Let an account have its turn; None where it is paused or gone. Whatever happens in it stays within it."""
    claimed = registry.claim(database, account, worker)
    if claimed is None:
        return None
    member, failures = claimed
    began = time.monotonic()
    exit_code, why, cycles, opens = _traded(database, fleet, member, stopping)
    turn = Turn(account=account, exit_code=exit_code, why=why, took_s=time.monotonic() - began, cycles=cycles)
    due = _next_due(member, turn, failures, opens)
    registry.note_end(database, turn, worker, due)
    return turn


def _traded(
    database: Database, fleet: LoadedConfig, member: Member, stopping: Callable[[], int | None]
) -> tuple[int, str, int, datetime | None]:
    """Exit code, reason, cycles ended, and when the market opens next where that is why nothing was done."""
    engine: Engine | None = None
    opens: datetime | None = None
    try:
        loaded = registry.config_of(fleet, member)
        # A cycle that another worker has begun is this turn's cycle: to be finished, with no second one after it.
        begun = database.one(_BEGUN, (member.account,))
        engine = Engine(
            loaded,
            open_new=begun is None,
            stopping=stopping,
            gate=lambda broker: behind_gate(broker, database),
            rate=_rate_of(database, loaded, member),
        )
        ending = engine.run()
        session = engine.market.session()
        if ending.exit_code == TryAgainError.exit_code and session is not None and session.opens > datetime.now(UTC):
            return EXIT_DONE, ending.why, engine.cycles, session.opens
        ended_before = begun is not None and begun[0] == Phase.DONE.value
        return ending.exit_code, ending.why, engine.cycles + ended_before, opens
    except OmsError as error:
        return error.exit_code, str(error), 0 if engine is None else engine.cycles, None
    except Exception as error:  # noqa: BLE001  # a bug met by one account must not end the others' worker
        return 1, f"a bug: {type(error).__name__}: {error}", 0 if engine is None else engine.cycles, None
    finally:
        if engine is not None:
            _close(engine)


def _close(engine: Engine) -> None:
    with suppress(Exception):  # the turn's own end is what is told; a lease that is not given back expires
        engine.close()


def _rate_of(database: Database, loaded: LoadedConfig, member: Member) -> SharedRate | None:
    """The rate that all accounts with this credential share; None where none was set."""
    credential = member.secret or f"{loaded.config.broker.kind}/{member.account}"
    found = limits.limits(database).get(RATE + credential)
    return None if found is None else SharedRate(database, credential, int(found))


def _next_due(member: Member, turn: Turn, failures: int, opens: datetime | None) -> datetime:
    now = datetime.now(UTC)
    if opens is not None:
        return opens
    if turn.exit_code == LeaseHeldError.exit_code:
        return now + timedelta(seconds=LEASE_HELD_S)
    if turn.exit_code in (EXIT_INTERRUPTED, EXIT_TERMINATED):
        return now  # its worker was told to go; another goes on at once
    if turn.is_failure:
        first = TRY_AGAIN_S if turn.exit_code == TryAgainError.exit_code else FIRST_PAUSE_S
        pause = timedelta(seconds=max(min(member.every_s, first), 1.0) * 2.0 ** min(failures, 10))
        return now + min(pause, LONGEST_PAUSE)
    if "no trading day is left" in turn.why:
        return now + NO_DATA_LEFT
    return now + timedelta(seconds=max(member.every_s - turn.took_s, 0.0))
