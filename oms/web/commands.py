"""The few commands that the API takes, and how each reaches the mailbox: stopping and releasing, never ordering or arming.

This list is the whole of what can be changed over HTTP. Each command is journaled with who gave it and why, by the engine
or, where none runs, by this process for as long as that takes, exactly as the terminal's own commands are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from oms import operator_desk
from oms.errors import TryAgainError, UsageError
from oms.questions.asking import Desk
from oms.questions.history import symbol_of
from oms.questions.words import instant
from oms.web.viewer import Viewer

MOST_REASON = 500
MOST_AT_ONCE = 8
"""Commands that wait for their answers at the same time, so that they leave threads to those who read."""
SCOPES = ("buys", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the mailbox: its name there, its arguments, and those that must be given."""

    name: str
    arguments: tuple[str, ...] = ()
    needs_reason: bool = True


HALT = Command(name="halt", arguments=("scope",), needs_reason=False)
RELEASE = Command(name="release")
BLACKLIST_ADD = Command(name="blacklist_add", arguments=("symbol", "until"))
BLACKLIST_REMOVE = Command(name="blacklist_remove", arguments=("symbol",))
RESOLVE = Command(name="resolve", arguments=("cl_ord_id",))
RUN_NOW = Command(name="run_now")
COMMANDS = (HALT, RELEASE, BLACKLIST_ADD, BLACKLIST_REMOVE, RESOLVE, RUN_NOW)


class Teller:
    """Takes commands; each waits for its answer as the terminal's does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def give(self, command: Command, given: Mapping[str, str | None], viewer: Viewer, peer: str) -> dict[str, Any]:
        """Leave a command in the mailbox and answer what became of it.

        Raises:
            UsageError: an argument is missing or is none.
            TryAgainError: too many commands wait already; a halt never hears this.
            StorageError, DamagedError, RefusedError: as for a start of the engine.
        """
        arguments = checked(command, given)
        with self._place(command):
            reply = operator_desk.give(
                self._desk.loaded,
                command.name,
                arguments,
                dry_run=self._desk.dry_run,
                by=author(viewer, peer),
            )
        return {
            "schema": "oms.command/1",
            "command": command.name,
            "accepted": None if reply.answer is None else not reply.refused,
            "answer": reply.answer,
            "waits": reply.why or None,
            "inbox_id": reply.inbox_id,
        }

    @contextmanager
    def _place(self, command: Command) -> Iterator[None]:
        if command is HALT:
            yield
            return
        if not self._places.acquire(blocking=False):
            raise TryAgainError("too many commands wait for their answers already")
        try:
            yield
        finally:
            self._places.release()


def author(viewer: Viewer, peer: str) -> str:
    """Who gives a command over HTTP: the user whose server this is, by which way, and from where."""
    way = "dashboard" if viewer.session else "api"
    return f"{operator_desk.author()} by {way} from {peer or 'unknown'}"


def checked(command: Command, given: Mapping[str, str | None]) -> dict[str, str]:
    """The arguments of a command as the mailbox takes them.

    Raises:
        UsageError: one is missing, too long, or none.
    """
    reason = (given.get("reason") or "").strip()
    if command.needs_reason and not reason:
        raise UsageError("a reason is needed: it is journaled")
    if len(reason) > MOST_REASON or not reason.replace("\n", " ").isprintable():
        raise UsageError(f"a reason is plain text of at most {MOST_REASON} letters")
    arguments = {"reason": reason}
    for name in command.arguments:
        text = (given.get(name) or "").strip()
        if name == "until" and not text:
            continue
        arguments[name] = _read(name, text)
    return arguments


def _read(name: str, text: str) -> str:
    match name:
        case "symbol":
            return symbol_of(text)
        case "until":
            return instant(text, "until").isoformat()
        case "scope":
            if text and text not in SCOPES:
                raise UsageError(f"scope is one of {', '.join(SCOPES)}")
            return text or SCOPES[0]
        case _:
            if not text or len(text) > 64 or not text.isascii() or not text.isprintable():
                raise UsageError(f"{name} is the name of an order")
            return text
