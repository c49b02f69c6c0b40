"""Whether real money may be traded now, by a person's word in the journal; and whose account the journal is about."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from oms.config import Config, LoadedConfig
from oms.configuration.armed_limits import loosened_since
from oms.errors import RefusedError
from oms.journal.loading import load
from oms.journal.reader import NoJournal, open_reader
from oms.model.arming import AccountBound
from oms.model.state import AccountState
from oms.places import places
from oms.ports import Journal

HOW_TO_ARM = "arm it, at a terminal:  oms live arm --until YYYY-MM-DD"


def state_of(loaded: LoadedConfig, *, dry_run: bool = False) -> AccountState:
    """What the journal adds up to, read without the lease; that of a new account where there is no journal yet.

    Raises:
        DamagedError, StorageError: it cannot be read.
    """
    account = loaded.config.account
    try:
        with (
            closing(open_reader(places(loaded, dry_run=dry_run).journal_url)) as reader,
            reader.asking("looking at who may trade") as connection,
        ):
            return load(connection, account).state
    except NoJournal:
        return AccountState(account)


def why_unarmed(config: Config, state: AccountState, now: datetime) -> str:
    """Why real money may not be traded under this configuration now; empty where it may."""
    armed = state.armed
    if armed is None:
        gone = state.disarmed
        if gone is None:
            return "live trading is not armed"
        return f"live trading was disarmed by {gone.author}" + (f": {gone.reason}" if gone.reason else "")
    if now >= armed.until:
        return f"live trading was armed by {armed.author} until {armed.until:%Y-%m-%d %H:%M} UTC"
    loosened = loosened_since(armed.limits, config)
    if loosened is None:
        return f"the limits that {armed.author} armed cannot be compared with those of now"
    if loosened:
        changes = "".join(
            f"\n    {change.key}: {change.old} -> {change.new} ({change.loosened})" for change in loosened
        )
        return f"limits were loosened since {armed.author} armed live trading:{changes}"
    return ""


def require_armed(loaded: LoadedConfig, bound: AccountBound, now: datetime) -> None:
    """Let real money through only by a person's word for this very account.

    Raises:
        RefusedError: there is none, it has ended, or the journal is about another account; with the command that arms.
    """
    state = state_of(loaded)
    require_binding(state, bound.broker, bound)
    why = why_unarmed(loaded.config, state, now)
    if why:
        raise RefusedError(f"{why}\n  account {bound.shown} ({bound.account_kind}); {HOW_TO_ARM}")


def licences(config: Config, state: AccountState) -> tuple[str, ...]:
    """The armed limits that this configuration keeps within: for :attr:`oms.model.rules.Rules.licences`."""
    armed = state.armed
    return (armed.limits_hash,) if armed is not None and loosened_since(armed.limits, config) == [] else ()


def require_binding(state: AccountState, broker: str, bound: AccountBound | None) -> None:
    """A journal goes on only with the broker, and with the account there, that it began with.

    Raises:
        RefusedError: it was begun with another one.
    """
    opened = state.opened
    if opened is not None and opened.broker != broker:
        raise RefusedError(
            f"this journal was begun with the {opened.broker} broker, and broker.kind now means the {broker} broker: "
            "a journal never changes its broker; name another file in journal.url"
        )
    if state.bound is not None and bound is not None and state.bound.fingerprint != bound.fingerprint:
        raise RefusedError(
            f"this journal is of {state.bound.broker} account {state.bound.shown} ({state.bound.account_kind}), and the "
            f"credentials are those of account {bound.shown} ({bound.account_kind}): "
            "a journal never changes its account; name another file in journal.url"
        )


def bind(journal: Journal, bound: AccountBound | None) -> None:
    """Write down whose account it is, in a journal that does not say so yet; a new one says so with its first facts."""
    if bound is not None and journal.state.seq and journal.state.bound is None:
        journal.append([bound])
