"""Makes an interpreter with the other products in a folder of its own; the program's own packages are not touched."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from oms.errors import TryAgainError, UsageError

LOCK = Path(__file__).parents[3] / "requirements-peers.lock"


def make(folder: Path, lock: Path = LOCK) -> Path:
    """Make it from the hash-checked lock; the interpreter, for ``bench all --peers``.

    Raises:
        UsageError: the folder is there already, or the lock is not beside the program.
        TryAgainError: the packages could not be fetched; the folder can be removed.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already; expected the name of a new folder")
    if not lock.exists():
        raise UsageError(f"{lock} is not there: `bench peers` runs from the source tree")
    venv.EnvBuilder(with_pip=True, symlinks=sys.platform != "win32").create(folder)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = (
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        str(lock),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"pip ended with {done.returncode}"]
        raise TryAgainError(f"the packages of {lock.name} could not be installed into {folder}: {last[0]}")
    return python
