"""One check and its answer, and how many of them are asked at once without any of them being able to hang the program."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from oms.errors import OmsError

LIMIT_S = 20.0
"""Longest time that a check may take, seconds; one that has not answered by then has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, whether it is well, what was found, and what mends it (empty where nothing needs to)."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def answer(self) -> dict[str, object]:
        """As JSON."""
        return {"name": self.name, "ok": self.ok, "found": self.found, "remedy": self.remedy or None}


class Ailing(Exception):
    """What a check found is not well; ``remedy`` is what mends it."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found = found
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Checks that are answered one after the other, such as those that share one login.

    ``ask`` yields one finding for each of ``names``, in order: what was found where all is well. An :class:`Ailing` or any
    error of ours fails the check whose turn it is; the checks behind it were not made, and say so. ``remedy`` is for
    errors that name none themselves.
    """

    names: tuple[str, ...]
    ask: Callable[[], Iterator[str]]
    remedy: str
    limit_s: float = LIMIT_S


def question(name: str, ask: Callable[[], str], remedy: str, limit_s: float = LIMIT_S) -> Question:
    """A single check."""

    def once() -> Iterator[str]:
        yield ask()

    return Question(names=(name,), ask=once, remedy=remedy, limit_s=limit_s)


def examine(questions: Sequence[Question]) -> Iterator[Check]:
    """Ask all questions at the same time; the answers come in the order of the questions, each within its limit."""
    began = time.monotonic()
    asked = [(each, _started(each)) for each in questions]
    for each, answers in asked:
        yield from _collected(each, answers, began + each.limit_s)


def _started(asked: Question) -> queue.SimpleQueue[Check]:
    answers: queue.SimpleQueue[Check] = queue.SimpleQueue()
    # A daemon: a call that never comes back must not keep the process from ending.
    threading.Thread(target=_answer, args=(asked, answers.put), name=f"doctor {asked.names[0]}", daemon=True).start()
    return answers


def _answer(asked: Question, put: Callable[[Check], None]) -> None:
    left = list(asked.names)
    try:
        for found in asked.ask():
            put(Check(name=left.pop(0), ok=True, found=found))
    except Ailing as ailing:
        put(Check(name=left.pop(0), ok=False, found=ailing.found, remedy=ailing.remedy))
    except OmsError as error:
        found, _, remedy = str(error).partition("; mend it with: ")
        put(Check(name=left.pop(0), ok=False, found=found, remedy=remedy or asked.remedy))
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
        # Its own text may quote what it choked on, a secret among it.
        found = f"the check itself failed: {type(error).__name__}"
        put(Check(name=left.pop(0), ok=False, found=found, remedy="report it; it is a bug"))
    for name in left:
        put(Check(name=name, ok=False, found="not looked at: the check before it failed", remedy="mend that first"))


def _collected(asked: Question, answers: queue.SimpleQueue[Check], until: float) -> Iterator[Check]:
    for name in asked.names:
        try:
            yield answers.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            yield Check(name=name, ok=False, found=f"no answer in {asked.limit_s:g} s", remedy=asked.remedy)
