"""The engine that ``serve`` runs beside itself: the same program, which ends when the one that started it is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from oms.cli.beside import main; main()"


def command(*words: str) -> list[str]:
    """What starts this program with these words as somebody's child; its stdin must be a pipe that stays open."""
    return [sys.executable, "-P", "-c", _START, str(ROOT), *words]


def main() -> None:
    """Run the words on the command line, until they are done or nobody holds the other end of stdin."""
    threading.Thread(target=_watch, name="watches the parent", daemon=True).start()
    from oms import cli

    cli.main(sys.argv[1:])


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
