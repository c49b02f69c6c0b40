"""The engine as a service: its unit, the word it gives to systemd, and what is said of its end."""

from __future__ import annotations

import plistlib
import re
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from oms import errors
from oms.config import load_config
from oms.errors import StorageError
from oms.service.manager import advice, asked, service_of, unit_file, write_unit
from oms.service.sd_notify import Watchdog, tell
from oms.service.unit import NOT_AGAIN, Service, launchd_agent, systemd_unit, windows_task

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd is not there")

CLI = Path(__file__).parents[2] / "cli.py"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    folder = tmp_path / "my account"
    folder.mkdir()
    (folder / "config.yaml").write_text("account: paper-1\n", encoding="utf-8")
    return service_of(load_config(folder / "config.yaml", {}), user="trader")


def test_the_unit_says_what_it_must(service: Service) -> None:
    """It runs the loop on its own configuration, is watched, and writes only where the account's files are."""
    unit = systemd_unit(service)
    assert f'run --loop --config "{service.folder}/config.yaml"' in unit
    for line in ("Type=notify", "User=trader", "Restart=on-failure", "ProtectSystem=strict", "UMask=0077"):
        assert f"\n{line}\n" in unit
    (writes,) = re.findall(r"ReadWritePaths=(.*)", unit)
    assert f'"-{service.folder}"' in writes
    assert re.search(r"\nWatchdogSec=[1-9]", unit)


def test_the_codes_after_which_it_is_not_started_again_are_those_of_the_errors() -> None:
    """Every exit code of a failure is in the list, but for 75, which says: try again later."""
    codes = {
        found.exit_code
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.OmsError)
    }
    assert codes - {75} <= set(NOT_AGAIN)
    assert 75 not in NOT_AGAIN


def test_a_unit_of_one_s_own_names_no_user(service: Service, tmp_path: Path) -> None:
    """It lies in the user's folder and leaves out what only the system may ask for."""
    own = replace(service, user=None)
    unit = systemd_unit(own)
    assert "User=" not in unit
    assert "CapabilityBoundingSet" not in unit
    assert "WantedBy=default.target" in unit
    assert unit_file(own, {"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "systemd/user/oms-paper-1.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_finds_no_fault_with_it(service: Service, tmp_path: Path) -> None:
    """Its own checker reads every line, in a folder whose name has a blank."""
    path = tmp_path / f"{service.name}.service"
    write_unit(path, systemd_unit(replace(service, user="root", python=Path(sys.executable))))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in ran.stderr.splitlines() if service.name in line]
    assert complaints == [], ran.stderr


def test_a_folder_that_may_not_be_written_is_said_with_the_way_out(service: Service, tmp_path: Path) -> None:
    """The sentence names sudo and --user, and no half unit is left."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StorageError, match="--user"):
        write_unit(tmp_path / "file" / "oms.service", systemd_unit(service))


def test_the_other_systems_get_the_same_command(service: Service) -> None:
    """A launchd agent that is well-formed, and PowerShell that quotes the blank in the folder's name."""
    agent = plistlib.loads(launchd_agent(service).encode())
    assert agent["ProgramArguments"] == list(service.command)
    assert f'"{service.folder}/config.yaml"' in windows_task(service)


def test_launchd_reads_in_its_agent_what_is_meant(service: Service) -> None:
    """As the system's own reader reads it: started with the machine, again after a failure and not after an end that is
    well, stopped with patience, its files readable by their owner alone; whatever letters the folder has.
    """
    odd = replace(service, folder=Path("/srv/a & b <c>/oms"))
    agent = plistlib.loads(launchd_agent(odd).encode())
    assert agent["Label"] == service.name
    assert agent["WorkingDirectory"] == "/srv/a & b <c>/oms"
    assert agent["StandardErrorPath"] == "/srv/a & b <c>/oms/var/oms.log"
    assert (agent["RunAtLoad"], agent["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert agent["Umask"] == 0o077
    assert agent["ExitTimeOut"] >= 60
    assert agent["EnvironmentVariables"] == {"OMS_NO_SETUP": "1"}


def test_powershell_reads_the_words_that_are_meant(service: Service) -> None:
    """Each quoted text, read as PowerShell reads it, is the name, the program, its command line or the folder, also in the
    home of one whose name has an apostrophe.
    """
    home = Path("/Users/O'Brien/my oms")
    odd = replace(service, folder=home, python=home / "python", cli=home / "cli.py", config=None)
    text = windows_task(odd)
    literals = [found.replace("''", "'") for found in re.findall(r"'((?:[^']|'')*)'", text)]
    assert literals == [f"{home}/python", f'"{home}/cli.py" run --loop', str(home), service.name]
    for said in ("-AtStartup", "-RestartCount 999", "-MultipleInstances IgnoreNew", "-RunLevel Limited"):
        assert said in text
    assert "ExecutionTimeLimit ([TimeSpan]::Zero)" in text


# A word to systemd


@pytest.fixture
def letterbox(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
        box.bind(str(tmp_path / "notify"))
        box.setblocking(False)
        yield box


def heard(box: socket.socket) -> list[str]:
    """Every word that has arrived, in order."""
    words: list[str] = []
    with suppress(BlockingIOError):
        while True:
            words.append(box.recv(100).decode())
    return words


def test_a_word_arrives_and_nobody_listening_is_no_failure(letterbox: socket.socket, tmp_path: Path) -> None:
    """One datagram; without an address, or with one where nobody is, nothing happens."""
    tell("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert heard(letterbox) == ["READY=1"]
    tell("READY=1", {})
    tell("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_the_watchdog_is_told_three_times_as_often_as_it_asks(letterbox: socket.socket, tmp_path: Path) -> None:
    """However often the engine steps; and not at all where systemd does not watch, or watches another process."""
    now = 0.0
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
    watchdog = Watchdog(env, lambda: now)
    for step in range(35):
        now = step / 10
        watchdog.alive()
    Watchdog(env | {"WATCHDOG_PID": "1"}, lambda: now).alive()
    Watchdog({"NOTIFY_SOCKET": env["NOTIFY_SOCKET"]}, lambda: now).alive()
    assert heard(letterbox) == ["WATCHDOG=1"] * 4


def test_a_systemd_that_does_not_read_stops_nothing(letterbox: socket.socket, tmp_path: Path) -> None:
    """Its letterbox is full after a few words: the next ones are dropped, and nobody waits."""
    for _ in range(2000):
        tell("WATCHDOG=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert len(heard(letterbox)) < 2000


def test_a_running_engine_says_ready_alive_and_stopping(letterbox: socket.socket, tmp_path: Path) -> None:
    """The program itself, under systemd's environment, on a played market."""
    env = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "300000",
        "PATH": "/usr/bin:/bin",
        "OMS_NO_SETUP": "1",
        "OMS_BACKUP__DAILY": "false",
    }
    words: list[str] = []
    with subprocess.Popen(
        [sys.executable, str(CLI), "run", "--once"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL
    ) as running:
        while running.poll() is None:
            select.select([letterbox], [], [], 0.2)
            words += heard(letterbox)
        words += heard(letterbox)
    assert running.returncode == 0
    assert (words[0], words[-1]) == ("READY=1", "STOPPING=1")
    assert "WATCHDOG=1" in words


# What is said of it


@pytest.mark.parametrize(
    ("state", "status", "load", "said"),
    [
        ("active", "0", "loaded", "it runs"),
        ("failed", "7", "loaded", "ended with 7"),
        ("inactive", "0", "loaded", "systemctl start"),
        ("inactive", "0", "not-found", "service install"),
    ],
)
def test_what_systemd_knows_becomes_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, status: str, load: str, said: str
) -> None:
    """Asked of a systemctl that answers as the real one does."""
    answer = "\\n".join(
        [f"LoadState={load}", f"ActiveState={state}", "SubState=x", f"ExecMainStatus={status}", "NRestarts=2"]
    )
    program = tmp_path / "systemctl"
    program.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = asked("oms-paper-1", user=False)
    assert found is not None
    assert said in advice(found)


def test_without_systemd_there_is_nobody_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is none, and not a failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asked("oms-paper-1", user=False) is None
