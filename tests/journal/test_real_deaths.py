"""Real processes: killed at the journal's points, and started all at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oms.journal.reader import open_reader
from oms.journal.store import SqliteJournal
from oms.journal.verify import verify

ROOT = Path(__file__).parents[2]

LIFE = """
import sys
from oms.journal import store
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened
from oms.model.event import AttentionRaised

store.CHECKPOINT_BYTES = 1
journal = store.open_journal(sys.argv[1], ACCOUNT, "paper", FakeClock())
def told(): print(journal.state.seq, flush=True)
journal.append_barrier([account_opened()]); told()
for is_barrier, facts in Script(1).commits():
    (journal.append_barrier if is_barrier else journal.append)(facts); told()
journal.tidy()
journal.close()
"""

ONE_OF_MANY = """
import sys, time
from oms.errors import LeaseHeldError, StorageError
from oms.journal.store import open_journal
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, account_opened
try:
    journal = open_journal(sys.argv[1], ACCOUNT, "paper", FakeClock())
except LeaseHeldError:
    sys.exit(6)
journal.append_barrier([account_opened()])
print("holder", flush=True)
sys.stdin.read()
"""


def start(program: str, url: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, url],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(os.name != "posix", reason="the process is ended with a signal")
@pytest.mark.parametrize(
    "point",
    ["lease.before_commit", "lease.after_commit", "journal.before_commit:3", "journal.after_soft_commit:5",
     "journal.before_barrier", "journal.before_barrier:2", "journal.after_barrier:3", "checkpoint.before",
     "checkpoint.after", "lease.before_release"],
)  # fmt: skip
def test_what_was_told_survives_a_kill(url: str, open_one: Callable[..., SqliteJournal], point: str) -> None:
    """After kill -9 at any point the next process starts at once, has every row that was told, and the journal is whole."""
    process = start(LIFE, url, OMS_CRASH_AT=point)
    out, err = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL, err
    told = int(out.split()[-1]) if out.split() else 0
    successor = open_one()
    assert successor.state.seq in (told, told + 1, told + 2), point
    successor.close()
    if successor.state.seq:
        reader = open_reader(url)
        assert verify(reader).ok
        reader.close()


def test_of_many_that_start_at_once_one_holds_the_account(url: str) -> None:
    """On a database that does not exist yet, one process makes it and holds the lease; the others end with 6."""
    crowd = [start(ONE_OF_MANY, url) for _ in range(4)]
    try:
        ended = []
        for process in crowd:
            assert process.stdout is not None
            ended.append(process.stdout.readline().strip())
        assert sorted(ended) == ["", "", "", "holder"]
        for process, word in zip(crowd, ended, strict=True):
            if not word:
                _, err = process.communicate(timeout=240)
                assert process.returncode == 6, err
    finally:
        for process in crowd:
            process.kill()
            process.communicate()
