"""Hands without threads: a call runs when it is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from oms.ports import Handle, Hands

T = TypeVar("T")


class SequentialHands(Hands):
    """Runs each call at once, in the order of starting, in the caller's thread.

    What is no ``Exception`` (a simulated death, a keyboard interrupt) is let through: it is about the process.
    """

    def start(self, call: Callable[[], T]) -> Handle[T]:
        future: Future[T] = Future()
        try:
            future.set_result(call())
        except Exception as exc:  # noqa: BLE001  # whatever it is, it belongs to whoever asks for the result
            future.set_exception(exc)
        return future

    def wait(self, handles: Sequence[Handle[Any]], timeout: float) -> None:
        """Every call is done when its handle exists."""

    def close(self) -> None:
        """Nothing is under way."""
