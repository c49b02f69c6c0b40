"""``sim run`` in many processes, stopped in the middle: what was lived is told, and no process is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENDLESS = ("run", "--seeds", "1000000", "--jobs", "2", "--in-ram", "--cycles", "20", "--json")
PATIENCE_S = 120.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the children of a process in /proc")


def children(pid: int) -> set[int]:
    """Processes that a process has started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()}


def is_living(pid: int) -> bool:
    """Whether a process is there and is more than an entry that nobody has read yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def campaign() -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """An endless campaign at work, with the processes that it has started: two jobs and their keeper."""
    line = [sys.executable, str(ROOT / "cli.py"), "sim", *ENDLESS]
    started = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    jobs: set[int] = set()
    try:
        give_up = time.monotonic() + PATIENCE_S
        while len(jobs) < 3:
            assert started.poll() is None
            assert time.monotonic() < give_up
            jobs = children(started.pid)
            time.sleep(0.02)
        yield started, jobs
    finally:
        for pid in (*jobs, started.pid):
            if is_living(pid):
                os.kill(pid, signal.SIGKILL)
        started.communicate()


def all_gone(jobs: set[int]) -> bool:
    """Whether every one of these ends by itself."""
    give_up = time.monotonic() + PATIENCE_S
    while any(is_living(pid) for pid in jobs) and time.monotonic() < give_up:
        time.sleep(0.02)
    return not any(is_living(pid) for pid in jobs)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_campaign_tells_what_it_lived(number: signal.Signals, code: int) -> None:
    """The report of what was lived so far, the exit code of the signal, and no job left."""
    with campaign() as (started, jobs):
        os.killpg(started.pid, number) if number is signal.SIGINT else started.send_signal(number)  # as a terminal does
        out, err = started.communicate(timeout=PATIENCE_S)
        assert started.returncode == code
        assert all_gone(jobs)
    answer = json.loads(out)
    assert (answer["asked"], answer["failures"]) == (1_000_000, [])
    assert answer["seeds"] < 1_000_000
    assert "stopping" in err
    assert "Traceback" not in err


def test_no_job_goes_on_for_a_parent_that_is_dead() -> None:
    """After kill -9 of the campaign its jobs notice, and end."""
    with campaign() as (started, jobs):
        started.kill()
        started.wait()
        assert all_gone(jobs)
