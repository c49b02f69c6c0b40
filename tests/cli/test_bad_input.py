"""What a person does wrongly at the terminal: each answered by a sentence and the right exit code, with nothing opened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Oms

ROOT = Path(__file__).parent.parent.parent
HUNDRED_MB = 100_000_000
MOST_MEMORY = 200 * 2**20
"""Bytes of resident memory that any refusal may take."""


def is_refused(done: Done, folder: Path) -> None:
    """Exit 2 with a sentence on stderr, no traceback, and no journal was made."""
    is_said(done)
    assert not (folder / "var" / "oms.db").exists()


def is_said(done: Done) -> None:
    """Exit 2 with a sentence on stderr."""
    assert done.code == 2, done
    said = done.err.strip()
    assert said, done
    assert "Traceback" not in said
    assert len(said) < 6_000
    assert all(line.isprintable() for line in said.split("\n"))


WRONG = [
    ("comand",),
    ("run", "--sgnals", "plan.csv"),
    ("run", "--signals"),
    ("run", "--signals", ""),
    ("plan", "--signals", " "),
    ("run", "--loop", "--signals", ""),
    ("run", "--signals", "no such file.csv"),
    ("run", "--signals", "-x"),
    ("run", "--signals", "a\nb"),
    ("run", "--signals", "."),
    ("run", "--config", "nowhere.yaml"),
    ("run", "stray"),
    ("cycle", "show", "no-such-cycle"),
    ("order", "show", "\x1b[31mred"),
    ("journal", "query", "--limit", "-1"),
    ("journal", "query", "--limit", "x"),
    ("journal", "query", "--kind", "nothing"),
    ("report", "--since", "2026-02-30"),
    ("report", "--since", "yesterday-ish"),
    ("blacklist", "add", "aapl;rm"),
    ("blacklist", "add", ""),
    ("sim", "run", "--seeds", "0"),
    ("sim", "replay", "-3"),
    ("backup", "verify", "../../etc/passwd"),
    ("restore", "no-such-backup"),
    ("explain", "x" * 200_000),
    ("status", "--at", "1e999"),
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words)[:40].encode("unicode_escape").decode())
def test_what_is_typed_wrongly_is_refused(tiny: Path, oms: Oms, words: tuple[str, ...]) -> None:
    """Commands, options, values, names and paths that are none."""
    is_refused(oms(*words), tiny)


LAUNCHER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL).returncode
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(code)
"""
"""A small process between the test and the program: a child counts at first what its parent weighs."""


def start(folder: Path, *words: str, **environment: str | None) -> tuple[Done, int]:
    """The program as a process of its own; with the most memory that it had."""
    weight = folder.parent / f"{folder.name}.weight"
    given = {**{k: v for k, v in os.environ.items() if not k.startswith("OMS_")}, **environment}
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(weight), sys.executable, str(ROOT / "cli.py"), *words],
        cwd=folder,
        env={name: value for name, value in given.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    out, err = (each.decode("utf-8", "replace") for each in (done.stdout, done.stderr))
    return Done(done.returncode, out, err), int(weight.read_text())


@pytest.mark.parametrize("name", ["plan.csv", "plan.json", "config.yaml", "symbols.txt"])
def test_a_hundred_megabytes_are_refused_before_they_are_read(tiny: Path, name: str) -> None:
    """Signals, configuration or universe of 100 MB: exit 2, one sentence, and no memory for them."""
    with (tiny / name).open("wb") as stream:
        stream.truncate(HUNDRED_MB)
    words = ("run", "--signals", name) if name.startswith("plan") else ("run",)
    done, memory = start(tiny, *words)
    is_said(done)
    assert name in done.err
    assert memory < MOST_MEMORY


@pytest.mark.skipif(sys.platform == "win32", reason="no pipe has a name in a folder there")
def test_a_pipe_in_place_of_the_universe_is_not_waited_for(tiny: Path, oms: Oms) -> None:
    """It used to hang there for ever."""
    (tiny / "symbols.txt").unlink()
    os.mkfifo(tiny / "symbols.txt")
    done = oms("run")
    is_said(done)
    assert "is a pipe" in done.err


def test_a_universe_of_another_kind_names_its_first_lines(tiny: Path, oms: Oms) -> None:
    """Thousands of lines that are no symbols are counted, not told."""
    (tiny / "symbols.txt").write_text("no symbol\n" * 5_000, "utf-8")
    done = oms("run")
    is_said(done)
    assert "and 4,980 more such lines" in done.err


ODD: dict[str, dict[str, str | None]] = {
    "a zone that is none": {"TZ": "Mars/Olympus_Mons"},
    "the plainest language": {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": None, "PYTHONUTF8": "0"},
    "no home": {"HOME": None, "XDG_DATA_HOME": None, "XDG_CONFIG_HOME": None},
    "a home that is none": {"HOME": "/nowhere"},
    "proxies": {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "socks5://x"},
    "a terminal of no width": {"COLUMNS": "0", "LINES": "0", "TERM": "dumb"},
    "a width that is none": {"COLUMNS": "wide", "TERM": ""},
}


@pytest.mark.parametrize("about", ODD)
def test_an_odd_environment_stops_nothing(tiny: Path, about: str) -> None:
    """A cycle is traded to its end, whatever stands in the environment that is not ours."""
    done, _ = start(tiny, "run", "--signals", "plan.csv", **ODD[about])
    assert done.code == 0, done
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OMS_MODE", "LIVE"),
        ("OMS_MODE", ""),
        ("OMS_MODE", "paper\n"),
        ("OMS_RISK__MAX_TRADES_PER_DAY", "1e3"),
        ("OMS_RISK__MAX_TRADES_PER_DAY", "１２"),
        ("OMS_EXECUTION__FUNDS_FRACTION", "80"),
        ("OMS_EXECUTION__FUNDS_FRACTION", "NaN"),
        ("OMS_EXECUTION__MAX_POSITION_VALUE", "10001"),
        ("OMS_NO_SUCH__KEY", "1"),
    ],
)
def test_a_wrong_variable_is_named_and_opens_nothing(
    tiny: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Exit 2 with the variable's name."""
    monkeypatch.setenv(name, value)
    done = oms("run", "--signals", "plan.csv")
    is_refused(done, tiny)
    assert name in done.err
