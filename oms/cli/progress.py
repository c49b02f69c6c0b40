"""What ``run`` and ``resume`` show while they work: plain lines, and on a terminal one line more that moves."""

from __future__ import annotations

import io
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oms.cli.narration import Narrator
from oms.cli.printer import Printer
from oms.cli.sentences import Line, underway
from oms.model.event import Event
from oms.model.state import AccountState
from oms.ports import Watcher

if TYPE_CHECKING:  # imported on a terminal only
    from rich.console import Console

BAR = 16
"""Cells of the bar on a terminal."""
REDRAW_S = 0.1
INDENT = 18
"""Columns before the rest of a line that is too long: two more than before its text."""
COLOURS = {"DONE": "bold green", "resume": "bold cyan", "look": "bold yellow", "aborted": "bold red"}


def terminal() -> bool:
    """Whether stderr is a terminal that can move its cursor."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Progress(Watcher):
    """Prints a narrator's lines; ``prefix`` stands before every one of them."""

    def __init__(self, narrator: Narrator, printer: Printer, *, prefix: str = "", compact: bool = False) -> None:
        self._narrator = narrator
        self._printer = printer
        self._prefix = prefix
        self._compact = compact
        self._waited_for: set[tuple[str, str]] = set()
        self._live = Live(printer) if terminal() else None

    def happened(self, state: AccountState, events: Sequence[Event]) -> None:
        """Print what these facts are worth saying."""
        self.say(self._narrator.told(state, events))
        self._move(state, "")

    def waiting(self, state: AccountState, why: str) -> None:
        """On a terminal show how far it is; elsewhere say each reason once in a phase."""
        if self._live is not None:
            self._move(state, why)
            return
        cycle = state.open_cycle
        phase = "" if cycle is None else f"{cycle.cycle_id} {cycle.phase.value}"
        if cycle is not None and not why.startswith("halted"):
            why = underway(cycle, why)[1]
        reason = (phase, re.sub(r"[\d.,]+", "#", why))
        if reason not in self._waited_for and not self._compact:
            if len(self._waited_for) > 1000:
                self._waited_for.clear()
            self._waited_for.add(reason)
            self.say([Line(phase="waiting", text=why)])

    def say(self, lines: Sequence[Line]) -> None:
        """Print these lines for good: an answer to stdout, all else to stderr."""
        shown = [line for line in lines if not (self._compact and line.is_detail)]
        if not shown:
            return
        if self._live is not None:
            self._live.clear()
        for line in shown:
            text = self._live.styled(line, self._prefix) if self._live is not None else f"{self._prefix}{line}"
            plain = text if not line.is_answer or _is_terminal_too() else f"{self._prefix}{line}"
            (self._printer.answer if line.is_answer else self._printer.progress)(plain)

    def note(self, sentence: str) -> None:
        """A sentence from below, such as that a database was moved up."""
        self.say([Line(text=sentence)])

    def close(self) -> None:
        """Take the moving line away."""
        if self._live is not None:
            self._live.clear()

    def _move(self, state: AccountState, why: str) -> None:
        cycle = state.open_cycle
        if self._live is None:
            return
        if cycle is None:
            self._live.clear()
            return
        done, figures = underway(cycle, why) if not why.startswith("halted") else (0.0, why)
        halted = f" · halted by {state.halt.author}" if state.halt is not None else ""
        self._live.show(f"{self._prefix}  {cycle.phase.value:<13} ", done, f"{figures}{halted}")


def _is_terminal_too() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


class Live:
    """The one line that moves. It never hides the cursor, so a process that is killed leaves the terminal whole."""

    def __init__(self, printer: Printer, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._printer = printer
        self._elapsed = elapsed
        self._drawn_at = 0.0
        self._is_shown = False
        self._console = _console()

    def show(self, phase: str, done: float, figures: str) -> None:
        """Draw the line anew, at most ten times a second."""
        if self._is_shown and self._elapsed() - self._drawn_at < REDRAW_S:
            return
        self._drawn_at, self._is_shown = self._elapsed(), True
        full = round(BAR * min(max(done, 0.0), 1.0))
        self._printer.put("\r\x1b[2K" + self._rendered(phase, "━" * full, "━" * (BAR - full), figures), err=True)

    def _rendered(self, phase: str, full: str, rest: str, figures: str) -> str:
        from rich.text import Text

        line = Text.assemble(
            (phase, "bold"), (full, "green"), (rest, "bright_black"), "  ", figures, overflow="ellipsis"
        )
        line.no_wrap = True
        line.truncate(max(self._console.width - 1, 20), overflow="ellipsis")
        return self._drawing(line)

    def styled(self, line: Line, prefix: str) -> str:
        """A line that stays, with its phase in colour; what is too long for the terminal goes on below itself."""
        from rich.text import Text

        first, *rest = textwrap.wrap(
            str(line),
            width=max(self._console.width - 1 - len(prefix), 40),
            subsequent_indent=" " * INDENT,
            break_on_hyphens=False,
        )
        end = 2 + len(line.phase)
        colour = COLOURS.get(line.phase, "yellow" if line.is_warning else "bold")
        body = "yellow" if line.is_warning else ""
        text = Text.assemble(prefix, (first[:end], colour), (first[end:], body))
        for part in rest:
            text.append(f"\n{prefix}{part}", body)
        return self._drawing(text)

    def _drawing(self, text: object) -> str:
        with self._console.capture() as drawn:
            self._console.print(text, end="", soft_wrap=True, highlight=False)
        return drawn.get()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            self._is_shown = False
            self._printer.put("\r\x1b[2K", err=True)


def _console() -> Console:
    """Draws for the terminal into memory: given the terminal, it writes to it even while it captures what it draws.

    That would be the trading thread's own write, which fails once the terminal is gone.
    """
    from rich.console import Console

    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return Console(file=io.StringIO(), force_terminal=is_terminal, emoji=False, markup=False)
