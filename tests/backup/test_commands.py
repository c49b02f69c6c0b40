"""The commands as a person and a script give them: exit codes, JSON, and a fresh machine with nothing but an archive."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oms import cli
from tests.backup.home import CONFIG as TEXT
from tests.backup.home import Home

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Oms = Callable[..., Done]


@pytest.fixture
def oms(home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Oms:
    """The program, run in this very process in the account's folder."""
    monkeypatch.chdir(home.folder)

    def run(*arguments: str) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        out, err = capfd.readouterr()
        code = ended.value.code
        return Done(code=code if isinstance(code, int) else 0, out=out, err=err)

    return run


def test_a_backup_is_made_listed_verified_and_pruned(oms: Oms) -> None:
    """Each command answers with one JSON object that names its schema."""
    made = oms("backup", "--note", "before the weekend", "--json").json
    assert made["schema"] == "oms.backup/1"
    listed = oms("backups", "list", "--json").json
    assert listed["schema"] == "oms.backups-list/1"
    assert [each["id"] for each in listed["backups"]] == [made["id"]]
    assert {"id", "at", "note", "config_hash", "seq", "size"} <= listed["backups"][0].keys()
    assert oms("backups", "verify", "--json").json["ok"]
    assert oms("backups", "prune", "--keep", "1", "--json").json["removed"] == []
    assert "before the weekend" in oms("backups", "list").out


def test_a_backup_names_the_archives_that_are_not_in_it(oms: Oms, home: Home) -> None:
    """Told to leave them out, it says which files of closed years to copy as well; one that is missing is named with 3."""
    assert oms("backup", "--with-journal", "--json").json["not_in_it"] == []
    with closing(sqlite3.connect(home.journal)) as raw:
        (account,) = raw.execute("SELECT value FROM meta WHERE name = 'account'").fetchone()
        raw.execute(
            "INSERT INTO archives VALUES (?, 1, 2, x'00', x'00', 'oms-2020-facts-1-2.db', 9, 'sha', 0)", (account,)
        )
        raw.commit()
    named = str(home.journal.with_name("oms.archive") / "oms-2020-facts-1-2.db")
    assert oms("backup", "--with-journal", "--without-archives", "--json").json["not_in_it"] == [named]
    assert named in oms("backup", "--with-journal", "--without-archives").out
    refused = oms("backup", "--with-journal")
    assert (refused.code, named in refused.err) == (3, True)
    assert oms("backup", "--json").json["not_in_it"] == []


def test_a_damaged_backup_ends_verification_with_3(oms: Oms) -> None:
    """The file is named and the reason with it."""
    path = Path(oms("backup", "--json").json["path"])
    path.write_bytes(path.read_bytes()[:-100])
    done = oms("backups", "verify", "--json")
    assert done.code == 3
    assert not done.json["ok"]
    assert oms("restore", str(path), "--yes").code == 3


def test_restore_asks_and_where_nobody_can_answer_it_wants_yes(oms: Oms, home: Home) -> None:
    """Without a terminal and without --yes it is a wrong command, 2, and nothing changes; --dry-run only tells."""
    oms("backup")
    home.config_file.write_text(TEXT.replace("9000", "5000"))
    before = home.texts
    refused = oms("restore", "latest")
    assert refused.code == 2
    assert "--yes" in refused.err
    told = oms("restore", "latest", "--dry-run", "--json")
    assert told.json["restored"] is False
    (change,) = told.json["config"]
    assert (change["key"], change["loosened"]) == ("execution.max_position_value", "larger positions")
    assert home.texts == before
    done = oms("restore", "latest", "--yes", "--json").json
    assert done["restored"] is True
    assert done["previous"]
    assert home.config_file.read_text() == TEXT


def test_wrong_names_are_wrong_commands(oms: Oms) -> None:
    """No such backup: 2."""
    assert oms("restore", "nothing-there", "--yes").code == 2
    assert oms("backups", "verify", "nothing-there").code == 2
    assert oms("config", "diff", "ffffffff").code == 2


def test_the_loop_makes_one_backup_a_day(oms: Oms, home: Home) -> None:
    """run --loop leaves today's backup on the shelf, once over all its cycles; what keeps it from that stops no trading."""
    home.config_file.write_text(TEXT + "worker: {interval: 100ms}\n")
    ran = oms("run", "--loop")
    assert ran.code == 0, ran.err
    listed = oms("backups", "list", "--json").json["backups"]
    assert [each["reason"] for each in listed] == ["daily"]
    Path(listed[0]["path"]).unlink()
    home.config_file.write_text(TEXT + "# password: hunter2\nworker: {interval: 100ms}\n")
    home.journal.unlink()
    home.journal.with_name("oms.db.anchors").unlink()
    ran = oms("run", "--loop")
    assert ran.code == 0, ran.err
    assert "today's backup was not made" in ran.err
    assert "hunter2" not in ran.err


def test_another_account_is_refused_with_5(oms: Oms, home: Home, tmp_path: Path) -> None:
    """Unless --other-account says so."""
    stranger = Home(tmp_path / "stranger", TEXT.replace("account: paper-main", "account: other"))
    archive = str(stranger.back_up().path)
    assert oms("restore", archive, "--yes").code == 5
    assert oms("restore", archive, "--yes", "--other-account").code == 0


def test_the_history_of_the_configuration_is_shown_compared_and_rolled_back(oms: Oms, home: Home) -> None:
    """history, diff and rollback each answer with JSON and with lines; a loosened limit is marked."""
    first = home.loaded.hash
    home.config_file.write_text(TEXT.replace("9000", "5000"))
    found = oms("config", "history", "--json").json
    assert [each["current"] for each in found["versions"]] == [False, True]
    (change,) = oms("config", "diff", "current", first[:12], "--json").json["changes"]
    assert (change["old"], change["new"], change["loosened"]) == ("5000", "9000", "larger positions")
    assert "LOOSENED" in oms("config", "diff", "current", first[:12]).out
    assert oms("config", "rollback", first[:12]).code == 2
    assert oms("config", "rollback", first[:12], "--yes", "--json").json["written"] is True
    assert home.loaded.hash == first


@pytest.mark.skipif(os.name != "posix", reason="processes that are killed")
def test_a_fresh_machine_with_only_the_archive_trades_after_one_command(home: Home, tmp_path: Path) -> None:
    """restore FILE --yes in an empty folder, killed once after its decision, then run: the engine goes on where it was."""
    archive = home.back_up(with_journal=True).path
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(home.folder / "bars.csv", fresh)  # the market; a real one needs nothing here
    env = {name: value for name, value in os.environ.items() if not name.startswith("OMS_")}

    def oms(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        return subprocess.run(
            command, cwd=fresh, env={**env, **extra}, capture_output=True, text=True, timeout=120, check=False
        )

    killed = oms("restore", str(archive), "--yes", OMS_CRASH_AT="restore.after_decision", OMS_NO_SETUP="1")
    assert killed.returncode == -9
    assert not (fresh / "config.yaml").exists()
    ran = oms("run", OMS_NO_SETUP="1")
    assert "finished restoring" in ran.stderr
    assert ran.returncode == 0, ran.stderr
    assert (fresh / "config.yaml").read_bytes() == home.config_file.read_bytes()
    status = json.loads(oms("status", "--json", OMS_NO_SETUP="1").stdout)
    assert status["account"] == "paper-main"
    assert status["journal"]["seq"] > home.state.seq
