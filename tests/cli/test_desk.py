"""Checks the operators' commands: who asks, who journals them, and what is said when nobody does yet."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oms import operator_desk
from oms.gateways.system_clock import SystemClock
from oms.journal.inbox import Inbox
from oms.journal.store import SqliteJournal, open_journal
from tests.cli.conftest import Oms
from tests.journal.facts import Script, account_opened, write


def journal_of(folder: Path) -> SqliteJournal:
    return open_journal(f"sqlite:///{folder / 'var' / 'oms.db'}", "paper-main", "paper", SystemClock())


@pytest.fixture
def known(folder: Path) -> Path:
    """An account that has run before; no engine runs."""
    with closing(journal_of(folder)) as journal:
        journal.append_barrier([account_opened()])
    return folder


@pytest.fixture
def running(known: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine holds the lease and reads no mailbox; commands are not patient."""
    monkeypatch.setattr(operator_desk, "PATIENCE_S", 0.1)
    with closing(journal_of(known)):
        yield known


def facts(oms: Oms, kind: str) -> list[dict[str, str]]:
    return [event["data"] for event in oms("journal", "query", "--kind", kind, "--json").json["events"]]


# ---- no engine runs --------------------------------------------------------------------------------------------------


def test_with_no_engine_the_command_journals_itself(known: Path, oms: Oms) -> None:
    """A halt is in the journal when the command ends, with author and reason, and the lease is free again."""
    done = oms("halt", "--reason", "storm")
    assert done.code == 0
    assert done.out == "halted: no buy is sent until `release`\n"
    assert "journaled by this command, no engine is running" in done.err
    (halted,) = facts(oms, "halted")
    assert (halted["reason"], halted["scope"], halted["author"]) == ("storm", "buys", operator_desk.author())
    assert oms("status", "--json").json["running"] is False


def test_a_halt_of_everything_says_so(known: Path, oms: Oms) -> None:
    """``--all`` stops sells as well."""
    assert oms("halt", "--all").out == "halted: no order is sent until `release`\n"
    assert oms("status", "--json").json["halted"]["scope"] == "all"


def test_commands_left_before_are_journaled_first(known: Path, oms: Oms) -> None:
    """What waited in the mailbox is carried out in its order, each once."""
    with closing(Inbox(known / "var" / "inbox.db")) as inbox:
        inbox.post("ada@desk", "halt", {"scope": "all", "reason": "first"})
    oms("release", "--yes")
    events = oms("journal", "query", "--json").json["events"]
    assert [event["kind"] for event in events] == ["account_opened", "halted", "released"]


def test_the_blacklist_is_kept_with_reasons(known: Path, oms: Oms) -> None:
    """What is added is listed beside the configuration's own symbols, and can be taken off."""
    (known / "config.yaml").write_text("risk: {blacklist: [GM]}\n", "utf-8")
    oms("blacklist", "add", "BRK.B", "--reason", "too dear", "--until", "2030-01-02")
    listed = oms("blacklist", "list", "--json").json["symbols"]
    assert [row["symbol"] for row in listed] == ["BRK.B", "GM"]
    assert listed[0]["until"].startswith("2030-01-02T00:00:00")
    assert listed[1]["author"].startswith("config.yaml:1:")
    assert oms("blacklist", "remove", "BRK.B", "--yes").code == 0
    assert [row["symbol"] for row in oms("blacklist", "list", "--json").json["symbols"]] == ["GM"]


def test_a_refused_command_is_a_usage_error(known: Path, oms: Oms) -> None:
    """What cannot be carried out is journaled as refused, and the command ends with 2."""
    done = oms("blacklist", "remove", "AAPL", "--yes")
    assert (done.code, done.out) == (2, "")
    assert "refused: AAPL is not on the journal's blacklist" in done.err
    assert oms("unfreeze", "AAPL", "--reason", "fine", "--yes").code == 2
    assert oms("blacklist", "add", "aapl").code == 2


def test_an_order_in_quarantine_is_voided_on_a_persons_word(folder: Path, oms: Oms) -> None:
    """``order resolve --void`` ends the doubt, journaled with author and reason; the status is healthy again."""
    with closing(journal_of(folder)) as journal:
        journal.append_barrier([account_opened()])
        write(journal, Script(1, sells=1, buys=1, fence=journal.lease.fence).commits(park_last_buy=True))
    assert oms("status").code == 3
    (order,) = oms("order", "list", "--unresolved", "--json").json["orders"]
    words = ["order", "resolve", order["cl_ord_id"], "--reason", "asked the broker by telephone"]
    assert oms(*words, "--yes").code == 2
    assert oms(*words, "--void").code == 2
    assert oms(*words, "--void", "--yes").code == 0
    (voided,) = facts(oms, "order_voided")
    assert voided["evidence"] == "operator: asked the broker by telephone"
    assert oms("status").code == 0


# ---- an engine runs --------------------------------------------------------------------------------------------------


def test_a_running_engine_journals_the_command(running: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command waits for the engine's answer and says who journaled it."""
    monkeypatch.setattr(operator_desk, "PATIENCE_S", 30.0)
    asked = threading.Event()

    def engine() -> None:
        with closing(Inbox(running / "var" / "inbox.db")) as inbox:
            while not (messages := inbox.unread(0)):
                asked.wait(0.01)
            inbox.taken(messages[0].inbox_id, "halted, says the engine")

    worker = threading.Thread(target=engine)
    worker.start()
    done = oms("halt")
    worker.join()
    assert (done.code, done.out) == (0, "halted, says the engine\n")
    assert "journaled by the running engine" in done.err


def test_a_busy_engine_does_not_keep_the_command_for_ever(running: Path, oms: Oms) -> None:
    """Without an answer in time the command says that it counts already, and which process has not journaled it."""
    done = oms("halt", "--reason", "now")
    assert (done.code, done.out) == (0, "halt is in the mailbox and counts from now\n")
    assert "not journaled yet: process " in done.err
    with closing(Inbox(running / "var" / "inbox.db")) as inbox:
        assert [message.command for message in inbox.unread(0)] == ["halt"]


def test_a_locked_journal_does_not_lose_the_command(known: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program locks the database the command counts from the mailbox, and says so."""
    monkeypatch.setattr("oms.journal.connection.BUSY_S", 0.05)
    with closing(sqlite3.connect(known / "var" / "oms.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = oms("halt")
    assert (done.code, done.out) == (0, "halt is in the mailbox and counts from now\n")
    assert "locked" in done.err
    oms("release", "--yes")
    assert [event["kind"] for event in oms("journal", "tail", "-n", "2", "--json").json["events"]] == [
        "halted",
        "released",
    ]


def test_a_command_for_another_account_is_not_left(known: Path, oms: Oms) -> None:
    """Where the journal belongs to another account than the configuration's, exit 5, and nobody obeys it later."""
    (known / "config.yaml").write_text("account: other\n", "utf-8")
    done = oms("release", "--yes")
    assert done.code == 5
    assert not (known / "var" / "inbox.db").exists()


# ---- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["release"],
        ["blacklist", "remove", "C"],
        ["unfreeze", "C", "--reason", "x"],
        ["order", "resolve", "x", "--void", "--reason", "x"],
        ["journal", "rebuild"],
    ],
)
def test_adding_risk_needs_yes_where_nobody_can_be_asked(known: Path, oms: Oms, words: list[str]) -> None:
    """Without a terminal nothing prompts: exit 2, --yes is named, and no command is left."""
    done = oms(*words)
    assert done.code == 2
    assert "--yes" in done.err
    assert not (known / "var" / "inbox.db").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2)])
def test_on_a_terminal_a_person_is_asked(known: Path, answer: str, code: int) -> None:
    """``release`` asks there, and does nothing on a no."""
    import os
    import pty
    import subprocess

    ours, theirs = pty.openpty()
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", "from oms.cli import main; main()", "release"],
        cwd=known,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        process.wait(timeout=240)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert process.returncode == code
    assert "Let the account trade again?" in said


def test_the_tables_can_be_cast_anew(known: Path, oms: Oms) -> None:
    """``journal rebuild`` folds the facts again and leaves a journal that verifies."""
    done = oms("journal", "rebuild", "--yes")
    assert (done.code, done.out) == (0, "1 facts folded; every table shows what they add up to\n")
    assert oms("journal", "verify", "--full").code == 0


def test_a_database_is_moved_up_on_request(known: Path, oms: Oms) -> None:
    """``db upgrade`` leaves a current database as it is, and needs one to be there."""
    done = oms("db", "upgrade")
    assert done.code == 0
    assert "which is what this program needs" in done.out
    assert oms("db", "upgrade", "--dry-run").code == 2
