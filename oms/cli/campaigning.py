"""How far a long campaign is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from oms.cli.progress import terminal

if TYPE_CHECKING:  # imported on a terminal only
    from rich.progress import Progress, TaskID

EVERY_S = 10.0
"""Seconds between two plain lines."""


class Bar:
    """Moves while a campaign runs; it writes to stderr only."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._said_at = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if terminal():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True,
            )  # fmt: skip
            self._progress.start()
            self._task = self._progress.add_task("worlds", total=self._seeds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def move(self, done: int, cycles: int, broken: int) -> None:
        """So many worlds are lived."""
        text = f"{cycles} cycles, {broken or 'no'} broken"
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, description=text)
        elif time.monotonic() - self._said_at >= EVERY_S:
            self._said_at = time.monotonic()
            click.echo(f"{done} of {self._seeds} worlds, {text}", err=True)
