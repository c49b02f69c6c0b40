"""The register of supervised tasks: what each did last, whether that went well, and when it is due again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from oms.model.foreign import printable
from oms.model.task import NOTIFICATION, RECONCILIATION, SELECTION, TRADING, TaskHealth
from oms.ports import Clock

WRITTEN_EVERY_S = 1.0
"""Time between two writes of what only moved on; a task that fails or recovers is written at once."""
MOST_TEXT = 300
"""Characters of a sentence that are kept."""
STANDING = (TRADING, SELECTION, RECONCILIATION, NOTIFICATION)

Keep = Callable[[Sequence[TaskHealth]], None]
Say = Callable[[str], None]


class Register:
    """How each task goes, told by the tasks themselves and written down by ``keep``.

    Told twice in a row that a task fails in the same words, it says so once; ``say`` is told when one begins to fail,
    fails otherwise, or works again.
    """

    def __init__(
        self,
        clock: Clock,
        keep: Keep = lambda _: None,
        *,
        say: Say = lambda _: None,
        names: Iterable[str] = STANDING,
    ) -> None:
        self._clock = clock
        self._keep = keep
        self._say = say
        self._tasks = {name: TaskHealth(name=name) for name in names}
        self._unwritten = set(self._tasks)
        self._is_urgent = True
        self._written_at: float | None = None

    def task(self, name: str) -> TaskHealth:
        """How one task goes; one that was never told of has not run."""
        return self._tasks.get(name) or TaskHealth(name=name)

    def began(self, name: str) -> None:
        """A run begins."""
        before = self.task(name)
        text = before.text if before.runs else "its first run is under way"
        self._put(replace(before, text=text, last_run=self._clock.now(), next_run=None, runs=before.runs + 1))

    def went_well(self, name: str, text: str, next_run: datetime | None = None) -> None:
        """The run ended as it should."""
        before = self.task(name)
        if not before.healthy:
            self._is_urgent = True
            self._say(f"{name} works again: {text}")
        self._put(replace(before, healthy=True, text=_short(text), next_run=next_run, failures=0))

    def went_wrong(self, name: str, error: str, next_run: datetime | None = None) -> None:
        """The run failed; the sentence says how."""
        before, error = self.task(name), _short(error)
        if before.healthy or before.last_error != error:
            self._is_urgent = True
            again = "" if next_run is None else f"; it is tried again at {next_run:%H:%M:%S} UTC"
            self._say(f"{name} failed: {error}{again}")
        self._put(
            replace(
                before,
                healthy=False,
                text=error,
                next_run=next_run,
                last_error=error,
                last_error_at=self._clock.now(),
                failures=before.failures + 1,
            )
        )

    def waits(self, name: str, text: str, next_run: datetime | None) -> None:
        """There was nothing to run; why, and when it is looked at again."""
        self._put(replace(self.task(name), text=_short(text), next_run=next_run))

    def ended(self) -> None:
        """The engine ends: nothing is due any more, and what is known is written down."""
        for name, task in list(self._tasks.items()):
            self._put(replace(self._tasks[name], next_run=None) if task.next_run is not None else task)
        self._is_urgent = True
        self.write()

    def write(self) -> None:
        """Write down what has changed, unless that can wait; cheap to call often."""
        if not self._unwritten:
            return
        now = self._clock.elapsed()
        if not self._is_urgent and self._written_at is not None and now - self._written_at < WRITTEN_EVERY_S:
            return
        self._keep([self._tasks[name] for name in sorted(self._unwritten)])
        self._unwritten.clear()
        self._is_urgent = False
        self._written_at = now

    def _put(self, task: TaskHealth) -> None:
        if task != self._tasks.get(task.name):
            self._tasks[task.name] = task
            self._unwritten.add(task.name)


def _short(text: str) -> str:
    """One line of what may have come from outside."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= MOST_TEXT else f"{line[:MOST_TEXT]}…"
