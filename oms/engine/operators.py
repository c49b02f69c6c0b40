"""Operators' commands become facts: each with its author, each exactly once."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation

from oms.engine.standing import COMMAND, carry_out_restore
from oms.model.arming import LiveDisarmed
from oms.model.detail import HaltScope
from oms.model.event import (
    Blacklisted,
    CommandAnswered,
    Event,
    Halted,
    OrderVoided,
    PositionAdopted,
    Released,
    SymbolUnfrozen,
    Unblacklisted,
)
from oms.model.order import ZERO
from oms.model.state import RUN_NOW, AccountState
from oms.model.symbol import canonical_symbol
from oms.ports import Message


def carry_out(state: AccountState, message: Message, *, fence: int | None = None) -> tuple[list[Event], str]:
    """The facts of one command and the sentence that answers its author.

    A row of the mailbox that makes no sense is refused like any other: raised, it would end this process and every next
    one. ``fence`` is that of the engine that asks; None where none is running.
    """
    try:
        return _carry_out(state, message, fence)
    except (KeyError, ValueError, InvalidOperation) as error:
        return _refused(message, f"{message.command} with {dict(message.arguments)!r:.200}: {error!r:.200}")


def _carry_out(state: AccountState, message: Message, fence: int | None) -> tuple[list[Event], str]:
    arguments = message.arguments
    reason = arguments.get("reason", "")
    author, inbox_id = message.author, message.inbox_id
    match message.command:
        case "halt":
            scope = HaltScope(arguments.get("scope", HaltScope.BUYS.value))
            if state.halt is not None and state.halt.scope is HaltScope.ALL and scope is HaltScope.BUYS:
                answer = "halted already: no order is sent until `release`"
                return [_answered(message, answer, accepted=True)], answer
            stopped = "no order is sent" if scope is HaltScope.ALL else "no buy is sent"
            halted = Halted(scope=scope, reason=reason, author=author, inbox_id=inbox_id)
            return [halted], f"halted: {stopped} until `release`"
        case "release":
            released = Released(reason=reason, author=author, inbox_id=inbox_id)
            return [released], "released" if state.halt is not None else "nothing was halted"
        case "live_disarm":
            disarmed = LiveDisarmed(reason=reason, author=author, inbox_id=inbox_id)
            return [disarmed], "disarmed: no order is sent until a person arms at a terminal"
        case "blacklist_add":
            listed = Blacklisted(
                symbol=canonical_symbol(arguments["symbol"]),
                reason=reason,
                author=author,
                until=_instant(arguments["until"]) if arguments.get("until") else None,
                inbox_id=inbox_id,
            )
            return [listed], f"{listed.symbol} is on the blacklist"
        case "blacklist_remove":
            symbol = arguments["symbol"]
            if symbol not in state.blacklist:
                return _refused(message, f"{symbol} is not on the journal's blacklist")
            freed = Unblacklisted(symbol=symbol, reason=reason, author=author, inbox_id=inbox_id)
            return [freed], f"{symbol} is off the blacklist"
        case "unfreeze":
            symbol = arguments["symbol"]
            if symbol not in state.frozen:
                return _refused(message, f"{symbol} is not frozen")
            thawed = SymbolUnfrozen(symbol=symbol, reason=reason, author=author, inbox_id=inbox_id)
            return [thawed], f"{symbol} may trade again"
        case "adopt":
            return _adopt(state, message, reason)
        case command if command == RUN_NOW:
            return _run_now(state, message, fence)
        case "resolve":
            return _resolve(state, message, reason, fence)
        case other if other == COMMAND:
            return carry_out_restore(state, message)
        case other:
            return _refused(message, f"no such command: {other}")


def _adopt(state: AccountState, message: Message, reason: str) -> tuple[list[Event], str]:
    """An operator's word that the broker's figure is right: the books take it over, and no trade is made up for it."""
    symbol = canonical_symbol(message.arguments["symbol"])
    found = next((d for d in state.differences if d.symbol == symbol and d.cost is not None), None)
    if found is None or found.cost is None:
        return _refused(message, f"no difference in shares of {symbol} stands; `reconcile show` lists those that do")
    expected = message.arguments.get("shares")
    if expected is not None and Decimal(expected) != found.broker:
        return _refused(message, f"the broker holds {found.broker:f} {symbol}, not {expected}; nothing was adopted")
    before = state.holdings[symbol].qty if symbol in state.holdings else ZERO
    adopted = PositionAdopted(
        symbol=symbol,
        qty=found.broker,
        before=before,
        cost=found.cost,
        difference=found.kind,
        reason=reason,
        author=message.author,
        inbox_id=message.inbox_id,
    )
    return [
        adopted
    ], f"the books hold {found.broker:f} {symbol} instead of {before:f}, at a cost of {found.cost:f} in all"


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return instant


def _run_now(state: AccountState, message: Message, fence: int | None) -> tuple[list[Event], str]:
    """A person's wish that the next cycle begins at once; it changes nothing of what that cycle may do."""
    if fence is None:
        return _refused(message, "no engine is running; `run` starts one")
    if state.halt is not None:
        return _refused(message, "the account is halted; `release` it first")
    answer = "the next cycle begins at once" if state.open_cycle is None else "the next cycle begins after this one"
    return [_answered(message, answer, accepted=True)], answer


def _resolve(state: AccountState, message: Message, reason: str, fence: int | None) -> tuple[list[Event], str]:
    """An operator's word that an order in doubt never reached the broker; it is voided, and never sent again."""
    cl_ord_id = message.arguments["cl_ord_id"]
    order = state.order(cl_ord_id)
    if order is None or not order.is_unresolved:
        status = order.ord_status.value if order is not None else "not known"
        return _refused(message, f"{cl_ord_id} is not in doubt: it is {status}")
    if order.order_id is not None or order.raw_status is not None:
        shown = order.order_id or f"status {order.raw_status!r}"
        return _refused(message, f"the broker has {cl_ord_id} as {shown}, so it cannot be voided")
    cycle = state.cycle
    if not order.in_doubt and cycle is not None and cycle.fence == fence:
        return _refused(message, f"{cl_ord_id} is not in doubt: its request is under way")
    voided = OrderVoided(
        cycle_id=order.cycle_id,
        cl_ord_id=cl_ord_id,
        symbol=order.symbol,
        evidence=f"operator: {reason}",
        author=message.author,
    )
    answer = f"{cl_ord_id} is void: it releases its reservation"
    # The void names no mailbox row, so the answer is kept beside it and the mailbox moves on.
    return [voided, _answered(message, answer, accepted=True)], answer


def _answered(message: Message, answer: str, *, accepted: bool) -> CommandAnswered:
    return CommandAnswered(
        command=message.command, accepted=accepted, answer=answer, author=message.author, inbox_id=message.inbox_id
    )


def _refused(message: Message, why: str) -> tuple[list[Event], str]:
    return [_answered(message, why, accepted=False)], f"refused: {why}"
