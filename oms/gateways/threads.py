"""Threads that carry calls to the outside; none of them keeps the process alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

from oms.ports import Handle, Hands

T = TypeVar("T")

_Work = tuple[Future[Any], Callable[[], Any]]


class ThreadHands(Hands):
    """Up to ``count`` daemon threads, started as they are needed; further calls wait for a free one.

    Daemon threads, unlike those of ``ThreadPoolExecutor``, which the interpreter joins at its end: a call that hangs at
    a broker must never keep the process from ending.
    """

    def __init__(self, count: int = 8) -> None:
        if count < 1:
            raise ValueError(f"{count} threads carry nothing")
        self._count = count
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._closed = False

    def start(self, call: Callable[[], T]) -> Handle[T]:
        """Run ``call`` in a thread; what it returns or raises is the handle's result."""
        if self._closed:
            raise RuntimeError("the threads are closed")
        future: Future[T] = Future()
        self._work.put((future, call))
        if not self._free.acquire(blocking=False) and len(self._threads) < self._count:
            self._threads.append(threading.Thread(target=self._carry, daemon=True, name=f"hand-{len(self._threads)}"))
            self._threads[-1].start()
        return future

    def _carry(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            try:
                result = call()
            except BaseException as exc:  # noqa: BLE001  # whatever it is, it belongs to whoever asks for the result
                future.set_exception(exc)
            else:
                future.set_result(result)
            self._free.release()

    def wait(self, handles: Sequence[Handle[Any]], timeout: float) -> None:
        """Return when one of ``handles`` is done or ``timeout`` seconds have passed; at once without handles."""
        futures = [handle for handle in handles if isinstance(handle, Future)]
        wait(futures, timeout=max(timeout, 0.0), return_when=FIRST_COMPLETED)

    def close(self) -> None:
        """Take no more calls; those under way go on by themselves, and the end of the process cuts them off."""
        self._closed = True
        for _ in self._threads:
            self._work.put(None)
