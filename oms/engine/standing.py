"""What operators have ordered until further notice: the halt, the blacklist and the frozen symbols; kept, and brought back.

A restore never takes off a brake: a halt and a frozen symbol stay until a person says so, whatever the backup holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from oms.errors import DamagedError
from oms.model.detail import HaltScope
from oms.model.event import Blacklisted, CommandAnswered, Event, Halted, SymbolFrozen, Unblacklisted
from oms.model.state import AccountState
from oms.model.symbol import canonical_symbol
from oms.ports import Message

AUTHOR = "restore"
"""Who gives the orders that come out of a backup."""
COMMAND = "restore"
"""The mailbox's word for them; its arguments are ``backup``, ``restore`` (both ids) and ``standing``."""


def standing_text(state: AccountState) -> str:
    """The standing orders of an account as canonical JSON."""
    halt = state.halt
    return json.dumps(
        {
            "blacklist": [
                {
                    "symbol": symbol,
                    "reason": entry.reason,
                    "author": entry.author,
                    "until": entry.until.isoformat() if entry.until is not None else None,
                }
                for symbol, entry in sorted(state.blacklist.items())
            ],
            "frozen": [{"symbol": symbol, "reason": reason} for symbol, reason in sorted(state.frozen.items())],
            "halt": None if halt is None else {"scope": halt.scope, "reason": halt.reason, "author": halt.author},
        },
        indent=1,
        sort_keys=True,
        ensure_ascii=True,
    )


def restored_orders(state: AccountState, text: str) -> list[Event]:
    """The facts that bring the standing orders of a backup back: what it has and the account has not, and the reverse.

    Raises:
        DamagedError: the text is not what :func:`standing_text` writes.
    """
    try:
        kept = json.loads(text)
        return [*_halt(state, kept["halt"]), *_blacklist(state, kept["blacklist"]), *_frozen(state, kept["frozen"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"the halt and blacklist of the backup cannot be read ({type(error).__name__})") from None


def _halt(state: AccountState, kept: dict[str, Any] | None) -> Iterator[Event]:
    if kept is None:
        return
    scope = HaltScope(kept["scope"])
    if state.halt is None or (scope is HaltScope.ALL and state.halt.scope is not HaltScope.ALL):
        yield Halted(scope=scope, reason=_text(kept["reason"]), author=AUTHOR)


def _blacklist(state: AccountState, kept: list[dict[str, Any]]) -> Iterator[Event]:
    listed: set[str] = set()
    for entry in kept:
        symbol = canonical_symbol(entry["symbol"])
        until = None if entry["until"] is None else datetime.fromisoformat(entry["until"])
        if until is not None and until.tzinfo is None:
            raise ValueError("a time without a zone")
        listed.add(symbol)
        now = state.blacklist.get(symbol)
        if now is None or (now.reason, now.until) != (entry["reason"], until):
            yield Blacklisted(symbol=symbol, reason=_text(entry["reason"]), author=AUTHOR, until=until)
    for symbol in sorted(state.blacklist):
        if symbol not in listed:
            yield Unblacklisted(symbol=symbol, reason="not on the list of the backup", author=AUTHOR)


def _frozen(state: AccountState, kept: list[dict[str, Any]]) -> Iterator[Event]:
    for entry in kept:
        symbol = canonical_symbol(entry["symbol"])
        if symbol not in state.frozen:
            yield SymbolFrozen(symbol=symbol, reason=_text(entry["reason"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a reason that is no text")
    return value


def carry_out_restore(state: AccountState, message: Message) -> tuple[list[Event], str]:
    """The facts of a restored backup's standing orders, with the answer that closes the mailbox's row."""
    backup = message.arguments.get("backup", "")
    try:
        events = restored_orders(state, message.arguments.get("standing", ""))
        accepted, answer = True, f"restored from {backup}: {len(events)} changes of halt, blacklist and frozen symbols"
    except DamagedError as error:
        events, accepted, answer = [], False, f"refused: {error}"
    done = CommandAnswered(
        command=COMMAND, accepted=accepted, answer=answer, author=message.author, inbox_id=message.inbox_id
    )
    return [*events, done], answer


def sentences(events: list[Event]) -> Iterator[tuple[str, bool]]:
    """What each of these facts changes, for a person, and whether it loosens something."""
    for event in events:
        match event:
            case Halted():
                what = "no order is sent" if event.scope is HaltScope.ALL else "no buy is sent"
                yield f"halt: none -> {what} ({event.reason or 'no reason given'})", False
            case Blacklisted():
                yield f"blacklist: {event.symbol} is added ({event.reason or 'no reason given'})", False
            case Unblacklisted():
                yield f"blacklist: {event.symbol} is taken off", True
            case SymbolFrozen():
                yield f"frozen: {event.symbol} takes no new order ({event.reason})", False
            case _:
                pass
