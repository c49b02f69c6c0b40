"""Checks ``run`` and ``resume``: what they print where, what they refuse before anything is opened, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oms.gateways.system_clock import SystemClock
from oms.journal.store import open_journal
from tests.cli.conftest import TINY, Oms

ROOT = Path(__file__).parents[2]
PROGRAM = "from oms.cli import main; main()"
PHASES = ["selection", "cycle", "SELLING", "SETTLING", "REVALIDATING", "BUYING"]


def phases(text: str) -> list[str]:
    """The words that begin a line of progress."""
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]


def child(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """The program as a process of its own, to be killed."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_without_terminal(folder: Path, wishes: str) -> int:
    """The exit code of a run whose terminal is gone before it begins."""
    screen, terminal = os.openpty()
    os.close(screen)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", "--signals", wishes],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=terminal, stdout=terminal, stderr=terminal,
        check=False,
    )  # fmt: skip
    os.close(terminal)
    return done.returncode


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_a_first_run_tells_every_phase_and_answers_on_stdout(folder: Path, oms: Oms) -> None:
    """On the real year: the phases in order on stderr, the result alone on stdout, exit 0."""
    done = oms("run")
    assert done.code == 0
    assert [word for word in phases(done.err) if word != "waiting"] == PHASES
    assert done.err.startswith("PAPER  paper-main, paper broker, replay market\n")
    assert done.out.split()[:2] == ["DONE", "complete"]
    assert len(done.out.splitlines()) == 1


def test_a_cut_is_told_with_its_rule(tiny: Path, oms: Oms) -> None:
    """A buy that the money cannot pay is shown from what to what, and by which rule."""
    done = oms("run", "--signals", "plan.csv")
    assert done.code == 0
    assert "BBB 400 -> 158 (funds_fraction: " in done.err
    assert "SELLING       1/1 filled, $2,998.20 less $0.30 fees" in done.err
    assert "BUY BBB 158 filled 158 at 20.01" in done.err


def test_a_loop_goes_to_the_end_of_the_data_and_adds_up(tiny: Path, oms: Oms) -> None:
    """``run --loop`` ends with 0 where no day is left, and its last line adds up what was done."""
    done = oms("run", "--loop")
    assert done.code == 0
    assert "no trading day is left" in done.out
    assert "0 buys refused for lack of funds" in done.out.splitlines()[-1]


def test_after_the_last_day_a_run_has_nothing_to_do(tiny: Path, oms: Oms) -> None:
    """Each run trades the next day; when none is left it says so and ends with 0."""
    days = [oms("run", "--signals", "plan.csv").code for _ in range(3)]
    assert days == [0, 0, 0]
    done = oms("run", "--signals", "plan.csv")
    assert (done.code, done.out.strip()) == (0, "no trading day is left in the data")
    assert oms("plan").out.strip() == "no trading day is left in the data"


def test_every_line_of_a_dry_run_says_so_and_its_journal_is_its_own(tiny: Path, oms: Oms) -> None:
    """``--dry-run`` prefixes each line and writes oms.dry.db; the journal of the account is not even made."""
    done = oms("run", "--dry-run", "--signals", "plan.csv")
    assert done.code == 0
    assert all(line.startswith("DRY RUN ") for line in (done.out + done.err).splitlines())
    assert (tiny / "var" / "oms.dry.db").exists()
    assert not (tiny / "var" / "oms.db").exists()
    assert oms("status", "--dry-run", "--json").json["mode"] == "dry_run"
    assert oms("status", "--json").json["journal"]["seq"] == 0


# ---- what is refused before anything is opened -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--live"], 5, "--live was given, but mode is paper"),
        (["--live", "--dry-run"], 2, "contradict each other"),
        (["--once", "--loop"], 2, "contradict each other"),
        (["--loop", "--signals", "plan.csv"], 2, "the plan of one cycle"),
        (["--signals", "nowhere.csv"], 2, "nowhere.csv does not exist"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml does not exist"),
        (["--what"], 2, "No such option"),
    ],
)
def test_a_wrong_start_is_refused_and_opens_nothing(
    tiny: Path, oms: Oms, words: list[str], code: int, said: str
) -> None:
    """A contradiction, a missing file or a wish that safety forbids ends with its code, and no file is made."""
    done = oms("run", *words)
    assert done.code == code
    assert said in done.err
    assert done.out == ""
    assert not (tiny / "var").exists()


def test_unknown_symbols_are_named_with_their_lines(tiny: Path, oms: Oms) -> None:
    """A symbol of which the market never heard is an input error: every one named, exit 2, nothing opened."""
    (tiny / "plan.csv").write_text("side,symbol,quantity\nsell,AAA,1\nbuy,NOPE,1\nbuy,NADA,1\n", "utf-8")
    for command in ("run", "plan"):
        done = oms(command, "--signals", "plan.csv")
        assert done.code == 2
        assert "plan.csv has 2 bad rows; nothing was opened" in done.err
        assert "plan.csv:3: buy NOPE: the replay market has no such symbol" in done.err
        assert "plan.csv:4: buy NADA" in done.err
        assert not (tiny / "var" / "oms.db").exists()


def test_bad_rows_open_nothing(tiny: Path, oms: Oms) -> None:
    """Every bad row of a signals file is named with its line; exit 2, no file made."""
    (tiny / "plan.csv").write_text("side,symbol,quantity\nsell,AAA,-1\nbuy,BBB,NaN\n", "utf-8")
    done = oms("run", "--signals", "plan.csv")
    assert done.code == 2
    assert "plan.csv:2:" in done.err
    assert "plan.csv:3:" in done.err
    assert not (tiny / "var").exists()


def test_signals_that_say_they_are_old_are_refused(tiny: Path, oms: Oms) -> None:
    """The age of a file counts where it carries ``as_of``."""
    (tiny / "plan.json").write_text('{"as_of": "2020-01-01T00:00:00Z", "sell": [], "buy": []}', "utf-8")
    done = oms("run", "--signals", "plan.json")
    assert done.code == 2
    assert "old; expected at most" in done.err


# ---- how it ends -----------------------------------------------------------------------------------------------------


def test_a_halt_holds_the_run_and_a_release_lets_it_finish(tiny: Path, oms: Oms) -> None:
    """Halted, ``run`` ends with 7 and says what stays open; released, ``resume`` finishes that same cycle."""
    oms("run", "--signals", "plan.csv")
    oms("halt", "--reason", "lunch")
    held = oms("run", "--signals", "plan.csv")
    assert held.code == 7
    assert "lunch; `release` goes on" in held.err
    assert "stays open in REVALIDATING" in held.err
    assert oms("release", "--yes").code == 0
    resumed = oms("resume")
    assert resumed.code == 0
    assert "resume" in phases(resumed.err)
    assert "resumed 1×" in resumed.out


def test_a_halt_before_the_first_run_is_obeyed_by_it(tiny: Path, oms: Oms) -> None:
    """The command waits in the mailbox; the first run opens the account, then holds its buys."""
    assert "in the mailbox" in oms("halt").out
    assert oms("run", "--signals", "plan.csv").code == 7
    first = oms("journal", "query", "--format", "jsonl", "--kind", "account_opened").json
    assert first["seq"] == 1


def test_resume_without_anything_open_says_so_and_makes_nothing(tiny: Path, oms: Oms) -> None:
    """Before a first run ``resume`` makes no file; after a finished cycle it reports that nothing is open."""
    assert (oms("resume").code, list(tiny.glob("var*"))) == (0, [])
    oms("run", "--signals", "plan.csv")
    done = oms("resume")
    assert (done.code, done.out.strip()) == (0, "nothing is open")


def test_resume_of_another_cycle_than_the_open_one_is_refused(tiny: Path, oms: Oms) -> None:
    """Naming a cycle that is not open is a usage error that says which one is."""
    oms("run", "--signals", "plan.csv")
    done = oms("resume", "c-other")
    assert done.code == 2
    assert "cycle c-other is not open; open is none" in done.err


def test_a_second_process_is_told_who_has_the_account(tiny: Path, oms: Oms) -> None:
    """While another process holds the lease, ``run`` ends with 6 and sends nothing."""
    oms("run", "--signals", "plan.csv")
    url = f"sqlite:///{tiny / 'var' / 'oms.db'}"
    journal = open_journal(url, "paper-main", "paper", SystemClock())
    try:
        done = oms("run", "--signals", "plan.csv")
    finally:
        journal.close()
    assert done.code == 6
    assert f"process {os.getpid()}" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_after_a_kill_the_next_run_says_what_it_found(tiny: Path, oms: Oms) -> None:
    """Killed with an order on its way: ``status`` sees nobody at the wheel, ``run`` tells what it resumed and asks first."""
    with child(tiny, "run", "--signals", "plan.csv", OMS_CRASH_AT="send.after_call") as killed:
        killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert oms("status", "--json").json["waiting_for"] == "`run`: a cycle is open and no process works on it"
    done = oms("run", "--signals", "plan.csv")
    assert done.code == 0
    assert "was SELLING, last journal entry" in done.err
    assert "the broker was asked for 1 order: 1 found, 0 in doubt" in done.err
    assert "found at the broker" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["DONE", "DONE"]


SLOW = TINY.replace("settle_after: 50ms", "settle_after: 300s").replace("poll: 20ms", "poll: 20ms, deadline: 400s")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_it_cleanly_and_says_what_stays_open(
    tiny: Path, oms: Oms, number: signal.Signals, code: int
) -> None:
    """Stopped while it waits for the money: its own exit code, the open cycle named, and the lease given back."""
    (tiny / "config.yaml").write_text(SLOW, "utf-8")
    with child(tiny, "run", "--signals", "plan.csv") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting" in line:
                break
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == code
    assert "stopping after this step" in rest
    assert "stays open in SETTLING" in rest
    assert oms("status", "--json").json["running"] is False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_a_terminal_that_goes_away_is_no_reason_to_stop_trading(tiny: Path) -> None:
    """A hang-up is said and changes nothing; what stops the engine afterwards is still SIGTERM."""
    (tiny / "config.yaml").write_text(SLOW, "utf-8")
    with child(tiny, "run", "--signals", "plan.csv") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting" in line:
                break
        process.send_signal(signal.SIGHUP)
        for line in process.stderr:
            if "the terminal is gone" in line:
                break
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 143
    assert "stays open in SETTLING" in rest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_that_is_gone_is_no_reason_to_stop_trading(tiny: Path, oms: Oms) -> None:
    """Every write to it fails from then on, also those of the line that moves; the cycle goes to its end all the same."""
    (tiny / "config.yaml").write_text(TINY.replace("settle_after: 50ms", "settle_after: 1s"), "utf-8")
    screen, terminal = os.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "--signals", "plan.csv"],
        cwd=tiny, env=environment, stdin=terminal, stdout=terminal, stderr=terminal,
    ) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        while b"SETTLING" not in shown:
            shown += os.read(screen, 4096)
        os.close(screen)
        process.send_signal(signal.SIGHUP)
        process.wait(timeout=240)
    assert process.returncode == 0
    assert oms("cycle", "list", "--json").json["cycles"][0]["outcome"] == "complete"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_that_is_gone_changes_no_exit_code(tiny: Path, oms: Oms) -> None:
    """Nobody can be told what went wrong; the code still says it to whoever started the program."""
    assert run_without_terminal(tiny, "nowhere.csv") == oms("run", "--signals", "nowhere.csv").code == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_warning_that_nobody_can_read_keeps_no_engine_from_starting(tiny: Path) -> None:
    """An engine of `serve` that starts again may find the terminal gone, and trades all the same."""
    (tiny / "config.yaml").chmod(0o666)
    assert run_without_terminal(tiny, "plan.csv") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_second_signal_ends_it_at_once(tiny: Path) -> None:
    """After the first signal both are the system's own again."""
    (tiny / "config.yaml").write_text(SLOW, "utf-8")
    program = (
        "import os, signal\nfrom oms.cli.stopping import Stopping\n"
        "with Stopping().listening():\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is told otherwise there")
@pytest.mark.parametrize("streams", ["stdout", "stderr", "both"])
def test_nobody_who_reads_is_no_reason_to_stop_trading(tiny: Path, oms: Oms, streams: str) -> None:
    """With the reader of stdout, of stderr or of both gone, the cycle is traded to its end and the exit code is 0."""
    with child(tiny, "run", "--signals", "plan.csv") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if streams != "stderr":
            process.stdout.close()
        if streams != "stdout":
            process.stderr.close()
        process.wait(timeout=240)
    assert process.returncode == 0
    assert oms("cycle", "list", "--json").json["cycles"][0]["outcome"] == "complete"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirection")
def test_closed_streams_are_no_reason_to_stop_trading(tiny: Path, oms: Oms) -> None:
    """Started with stdin, stdout and stderr closed, it trades all the same."""
    command = f'exec "{sys.executable}" -c "{PROGRAM}" run --signals plan.csv <&- >&- 2>&-'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tiny, env=environment, check=False, timeout=240)
    assert done.returncode == 0
    assert oms("cycle", "list", "--json").json["cycles"][0]["outcome"] == "complete"
