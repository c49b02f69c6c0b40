"""What holds for the whole suite: no disk is waited for, and a slow machine is not a wrong program."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.volume import NIGHTLY

ROOM = 4 * 2**30
"""Bytes that must be free in memory for the files of the tests; a whole run leaves far fewer behind."""

LONGEST_FIRST = ("tests/fleet/", "tests/e2e/", "tests/power/", "tests/mutants/")
"""Rooms in which single tests take longest: begun last, they would leave every core but one without work."""


def in_memory() -> Path | None:
    """A folder below which there is no disk, where the system has one with room, whose files may be loaded as libraries."""
    place = Path("/dev/shm")
    if not place.is_dir() or not os.access(place, os.W_OK) or shutil.disk_usage(place).free < ROOM:
        return None
    return None if os.statvfs(place).f_flag & os.ST_NOEXEC else place


def alive(pid: str) -> bool:
    return pid.isdecimal() and Path("/proc", pid).exists()


def scratch_in(memory: Path) -> Path:
    """This run's folder there; those of runs that are over, left behind for whoever wants to see why one failed, go."""
    for old in memory.glob("oms-tests-*"):
        if not alive(old.name.split("-")[2]):
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"oms-tests-{os.getpid()}-", dir=memory))
    made.chmod(0o755)  # a server of PostgreSQL runs as somebody else
    return made


# What the tests kill are processes, not machines, and what processes wrote outlives them here as on a disk. What a disk
# keeps when the power fails is acted out from the recorded writes and syncs (tests/power), and these are the same ones.
# Workers and every process that a test starts find the same folder.
all_passed = False
if "TMPDIR" not in os.environ and (found := in_memory()) is not None:
    scratch = scratch_in(found)
    # Registered before anything that a test starts, so called after all of that was stopped.
    atexit.register(lambda: shutil.rmtree(scratch, ignore_errors=True) if all_passed else None)
    os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = None  # it may have been asked for already

# No example has a deadline. A change is judged by the same examples on every machine, so that what fails fails because of
# it; new ones are searched for at night.
settings.register_profile("every change", deadline=None, derandomize=True)
settings.register_profile("at night", deadline=None)
if settings.get_current_profile_name() in ("default", "ci"):  # whoever chose another one knows why
    settings.load_profile("at night" if os.environ.get(NIGHTLY) else "every change")


def pytest_sessionfinish(exitstatus: int) -> None:
    global all_passed  # noqa: PLW0603 - what is called at the exit has no other way to learn it
    all_passed = exitstatus == pytest.ExitCode.OK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FIRST))
