"""A disk that fails, fills up or was tampered with: a clear sentence, the right exit code, nothing lost, and on we go."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from oms.model.event import OrderReserved, OrderSending
from tests.journal.tampering import put_guard_on, take_guard_off
from tests.kill.account import Account, Ended, Weather

Maker = Callable[[Weather], Account]
FAIR = Weather(name="fair")

IN_THE_MIDDLE = ("send.after_outcome", 2)
"""The sells are out, nothing is settled."""


@pytest.fixture
def halfway(forked: Maker) -> Account:
    """An account whose process was killed in the middle of its cycle."""
    account = forked(FAIR)
    assert account.run(at=IN_THE_MIDDLE).code == -9
    return account


def refused(ended: Ended, code: int, *words: str) -> None:
    """It ended with this code and one sentence that says why, not with a traceback."""
    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    assert ended.err.count("oms: ") >= 1, ended
    for word in words:
        assert word in ended.err, ended


def goes_on(account: Account, story: str) -> None:
    """The cause is gone: the cycle is brought to its end, lawfully."""
    assert account.call("resume").code == 0
    account.judge(story)
    account.verify(story)
    assert len(account.accepted()) == len(set(account.accepted())) == 4


NOBODY = 65_534


def test_a_folder_that_cannot_be_written(halfway: Account) -> None:
    """A read-only folder ends the start with 75, and nothing was changed."""
    folder = halfway.journal.parent
    rows = len(halfway.log())
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        # Root is refused nothing, so somebody else owns the account and starts the program.
        as_whom = {"user": NOBODY}
        for path in (halfway.folder.parent, *halfway.folder.parent.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    folder.chmod(0o500)
    try:
        refused(halfway.call("resume", **as_whom), 75, "cannot be written")
    finally:
        folder.chmod(0o700)
    assert len(halfway.log()) == rows
    goes_on(halfway, "read-only folder")


def test_a_database_that_another_connection_has_locked(halfway: Account) -> None:
    """A lock that is not given back ends the start with 75 after its bounded wait, before anything is sent."""
    rows = len(halfway.log())
    with closing(sqlite3.connect(halfway.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused(halfway.call("resume"), 75, "locked")
        other.execute("ROLLBACK")
    assert len(halfway.log()) == rows
    goes_on(halfway, "locked")


def test_a_database_that_is_damaged(halfway: Account) -> None:
    """Overwritten bytes end the start with 3, and the whole file put back lets the cycle go on."""
    fold_the_log(halfway)
    whole = halfway.journal.read_bytes()
    rows = len(halfway.log())
    halfway.journal.write_bytes(b"\0" * 100 + whole[100:])
    refused(halfway.call("resume"), 3)
    assert len(halfway.log()) == rows
    halfway.journal.write_bytes(whole)
    goes_on(halfway, "damaged head")


def test_pages_that_are_damaged(halfway: Account) -> None:
    """Garbage in the middle is named as damage by the start or by the verification, never traded on silently."""
    fold_the_log(halfway)
    whole = halfway.journal.read_bytes()
    rows = len(halfway.log())
    page = 4096
    halfway.journal.write_bytes(whole[:page] + b"\x5a" * (len(whole) - page))
    refused(halfway.call("resume"), 3)
    refused(halfway.call("journal", "verify"), 3)
    assert len(halfway.log()) == rows
    halfway.journal.write_bytes(whole)
    goes_on(halfway, "damaged pages")


def test_a_database_of_a_newer_program(halfway: Account) -> None:
    """A schema that this program does not know ends the start with 3 and is left as it is."""
    with closing(sqlite3.connect(halfway.journal)) as raw:
        (stamp,) = raw.execute("SELECT version_num FROM alembic_version").fetchone()
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    rows = len(halfway.log())
    refused(halfway.call("resume"), 3, "newer")
    assert len(halfway.log()) == rows
    with closing(sqlite3.connect(halfway.journal)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (stamp,))
        raw.commit()
    goes_on(halfway, "newer")


def test_a_tail_that_was_cut_off(forked: Maker) -> None:
    """Rows deleted behind the program's back are missed against the anchor, even with a head that was cut along."""
    account = forked(FAIR)
    assert account.run().code == 0
    rows, whole = len(account.log()), len(account.facts())
    with closing(sqlite3.connect(account.journal)) as raw:
        guard = take_guard_off(raw)
        raw.execute("DELETE FROM events WHERE seq > ?", (whole - 3,))
        seq, link = raw.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        raw.execute("UPDATE heads SET seq = ?, hash = ?, barrier_seq = ?, barrier_hash = ?", (seq, link, seq, link))
        put_guard_on(raw, guard)
        raw.commit()
    refused(account.run(), 3, "cut off")
    verdict = account.call("journal", "verify")
    assert verdict.code == 3
    assert "cut" in verdict.out + verdict.err, verdict
    assert len(account.log()) == rows


@pytest.mark.parametrize("room", [20_000, 60_000, 100_000, 140_000])
def test_a_disk_that_is_full(fresh: Maker, room: int) -> None:
    """No file may grow beyond its limit: 75 in one sentence, no order without its row, and later all is well."""
    account = fresh(FAIR)
    assert account.run(at=("journal.after_barrier", 2)).code == -9
    fold_the_log(account)

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    process = account.begin("resume", preexec_fn=limit)
    out, err = process.communicate(timeout=240)
    ended = Ended(code=process.returncode, out=out, err=err)
    assert ended.code in (0, 75), ended
    if ended.code:
        refused(ended, 75)
    account.judge(f"room for {room} bytes: {ended}")
    goes_on(account, f"room for {room} bytes, then more")


def test_the_smallest_room_is_too_small(fresh: Maker) -> None:
    """The limit of the test above really strikes: with next to no room the run ends with 75, before any request."""
    account = fresh(FAIR)
    assert account.run(at=("lease.after_commit", 1)).code == -9

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    process = account.begin("run", "--signals", "signals.csv", preexec_fn=limit)
    out, err = process.communicate(timeout=240)
    refused(Ended(code=process.returncode, out=out, err=err), 75)
    assert not account.accepted()
    assert not [fact for fact in account.facts() if isinstance(fact.event, OrderReserved | OrderSending)]
    account.finish()
    account.judge("no room at all")


def fold_the_log(account: Account) -> None:
    """Bring everything into the one file, as a quiet moment would."""
    with closing(sqlite3.connect(account.journal)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
