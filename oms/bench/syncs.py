"""Counts how often another process asks the disk to keep what it wrote, and can make each of these waits longer."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SOURCE = Path(__file__).with_name("count_fsyncs.c")
NEEDED = "syncs are counted on Linux with a C compiler (cc)"


@cache
def library() -> Path | None:
    """The compiled counter; None where there is no C compiler or no LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    built = Path(mkdtemp(prefix="oms-fsyncs-")) / "count_fsyncs.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl"], check=True)
    return built


def new_counter(file: Path) -> dict[str, str]:
    """What the environment of a process must hold so that its syncs are counted in ``file``; nothing where none can be."""
    built = library()
    if built is None:
        return {}
    file.write_bytes(bytes(8))
    return {"LD_PRELOAD": str(built), "COUNT_FSYNCS": str(file)}


def slowed(microseconds: int) -> dict[str, str]:
    """What makes each sync of such a process take so much longer."""
    return {"COUNT_FSYNCS_SLEEP_US": str(microseconds)}


def read_counter(file: Path) -> int:
    """Syncs so far."""
    count: int = struct.unpack("Q", file.read_bytes())[0]
    return count
