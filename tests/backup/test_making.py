"""Making a backup: what goes in, what never does, and that a running engine neither notices nor disturbs it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from oms import crashpoints
from oms.backup import files, shelf
from oms.backup.archive import read_archive
from oms.backup.files import PREFIX
from oms.backup.making import Order, make
from oms.backup.manifest import CONFIG, CONFIGS, JOURNAL, STATE, UNIVERSE
from oms.errors import DamagedError, RefusedError, UsageError
from tests.backup.home import CONFIG as TEXT
from tests.backup.home import Home, dies_at

ROOT = Path(__file__).parent.parent.parent
SECRETS = {
    "key": "MIICXAIBAAKBgQDJ1kqj4Sf0lLr8p1xkVJvq3Yw9Zt2",
    "token": "tok_9f8E7d6C5b4A3z2Y1x0W9v8U7t6S5r4Q3p",
    "password": "correct-horse-battery",
}
posix = pytest.mark.skipif(os.name != "posix", reason="modes and signals of POSIX")


def test_everything_that_makes_up_the_configuration_goes_in(home: Home) -> None:
    """config.yaml, universe, halts, blacklist and frozen symbols, each kept configuration, and where the journal ended."""
    home.post("blacklist_add", symbol="TSLA", reason="too wild")
    home.post("halt", scope="all", reason="lunch")
    home.run(open_new=False)
    contents = read_archive(home.back_up().path)
    assert list(contents.texts) == [CONFIG, UNIVERSE, STATE, CONFIGS]
    standing = json.loads(contents.texts[STATE])
    assert [entry["symbol"] for entry in standing["blacklist"]] == ["TSLA"]
    assert standing["halt"] == {"author": "tester", "reason": "lunch", "scope": "all"}
    (kept,) = [json.loads(line) for line in contents.texts[CONFIGS].splitlines()]
    assert kept["hash"] == sha256(kept["canonical"].encode()).hexdigest() == home.loaded.hash
    head = contents.manifest.journal
    assert head is not None
    assert head.seq == home.state.seq


def test_a_machine_where_nothing_ran_has_a_backup_too(bare: Home) -> None:
    """Without a journal the archive holds the two files; the journal cannot be asked for."""
    made = bare.back_up()
    assert [each.name for each in made.manifest.members] == [CONFIG, UNIVERSE]
    assert made.manifest.journal is None
    with pytest.raises(UsageError, match="no journal"):
        bare.back_up(with_journal=True)


@posix
def test_only_the_owner_can_read_a_backup(bare: Home) -> None:
    """Whatever the umask: the folder is 0700, the archive 0600."""
    before = os.umask(0)
    try:
        made = bare.back_up()
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.parent.stat().st_mode & 0o777 == 0o700


def everything_in(path: Path) -> bytes:
    contents = read_archive(path)
    return contents.manifest.encode() + b"".join(contents.texts.values())


def test_no_secret_of_this_machine_is_in_a_backup(home: Home) -> None:
    """The broker's file, the notices' addresses and the environment are not taken along, nor is anything in them."""
    (home.folder / "tiger_openapi_config.properties").write_text(
        f"tiger_id=1\nprivate_key_pk1={SECRETS['key']}\ntoken={SECRETS['token']}\n"
    )
    (home.folder / "hook").write_text(f"https://user:{SECRETS['password']}@example.com/\n")
    home.config_file.write_text(TEXT + "notify: [file:hook, env:MY_HOOK]\n")
    env = {"MY_HOOK": SECRETS["token"], "PGPASSWORD": SECRETS["password"]}
    made = make(home.loaded, Order(with_journal=True), env)
    unpacked = home.folder / "journal.db"
    read_archive(made.path, unpacked)
    found = everything_in(made.path) + unpacked.read_bytes()
    assert not any(secret.encode() in found for secret in SECRETS.values())


CANARIES = {
    "a key": "# -----BEGIN RSA PRIVATE KEY-----\n",
    "a known secret": f"# remember {SECRETS['token']}\n",
    "a password": "# password: hunter2\n",
    "a url": "# postgresql://me:hunter2@host/db\n",
    "a token": "# api_key = abc\n",
    "a long text": "# aGVsbG8gd29ybGQgdGhpcyBpcyBhIHNlY3JldCBrZXkgb2YgbWluZQ1\n",
}


@pytest.mark.parametrize("where", ["config.yaml", "symbols.txt"])
@pytest.mark.parametrize("canary", CANARIES)
def test_a_secret_in_a_comment_is_refused(canary: str, where: str, bare: Home) -> None:
    """Exit 5 with file and line, the secret itself is not repeated, and nothing is left on the shelf."""
    (bare.folder / "tiger_openapi_config.properties").write_text(f"token={SECRETS['token']}\n")
    with (bare.folder / where).open("a") as file:
        file.write(CANARIES[canary])
    with pytest.raises(RefusedError) as refused:
        bare.back_up()
    assert refused.value.exit_code == 5
    assert f"{where}, line" in str(refused.value)
    assert CANARIES[canary][2:].strip() not in str(refused.value)
    assert not list(shelf.folder_of(bare.loaded).iterdir())


def test_a_long_path_and_a_hash_are_no_secrets(bare: Home) -> None:
    """What a person writes into comments every day is let through."""
    with bare.config_file.open("a") as file:
        file.write("# see /home/Trader1/Documents/strategies/momentum-2026/notes-and-more/README.md\n")
        file.write(f"# config {'0123456789abcdef' * 4}\n# https://example.com/a/b?c=d\n")
    assert bare.back_up().path.exists()


def test_a_key_file_named_as_universe_is_refused(bare: Home) -> None:
    """The broker's properties are no list of symbols, so they never get into an archive by that way; exit 2."""
    (bare.folder / "tiger_openapi_config.properties").write_text(f"private_key={SECRETS['key']}\n")
    bare.config_file.write_text(TEXT.replace("symbols.txt", "tiger_openapi_config.properties"))
    with pytest.raises(UsageError):
        bare.back_up()


def test_a_damaged_journal_is_said_and_not_kept(home: Home) -> None:
    """A backup by hand of a broken journal fails with 3; the one before a restore goes without it and says so."""
    home.journal.write_bytes(b"not a database" * 1000)
    with pytest.raises(DamagedError):
        home.back_up(with_journal=True)
    made = shelf.automatic(home.loaded, "restore", with_journal=True, tolerant=True, env={})
    assert not made.manifest.with_journal
    assert "not in this backup" in made.problems[0]
    assert read_archive(made.path).texts[CONFIG] == home.texts[0]


WRITER = """
import sys
from pathlib import Path
from oms.gateways.system_clock import SystemClock
from oms.journal.store import open_journal
from oms.model.event import AttentionRaised
journal = open_journal(sys.argv[1], "paper-main", "paper", SystemClock())
print("running", flush=True)
stop = Path(sys.argv[2])
while not stop.exists():
    journal.append([AttentionRaised(rule="noise", text="x" * 200) for _ in range(20)])
journal.close()
"""


def test_the_copy_is_consistent_while_an_engine_writes(home: Home, tmp_path: Path) -> None:
    """Copies made under a process that appends without pause have whole chains, each ending where its manifest says."""
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", WRITER, f"sqlite:///{home.journal}", str(stop)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "running\n"
        rows = []
        for _ in range(4):
            made = home.back_up(with_journal=True)
            assert shelf.verify(made.path).journal is not None
            assert made.manifest.journal is not None
            rows.append(made.manifest.journal.seq)
    finally:
        stop.touch()
        assert writer.wait(120) == 0
        if writer.stdout is not None:
            writer.stdout.close()
    assert rows == sorted(set(rows))


def test_the_copy_holds_the_whole_journal(home: Home, tmp_path: Path) -> None:
    """Every row of every table is in it, byte for byte."""
    made = home.back_up(with_journal=True)
    unpacked = tmp_path / "journal.db"
    read_archive(made.path, unpacked)
    assert made.manifest.members[-1].name == JOURNAL
    with closing(sqlite3.connect(home.journal)) as one, closing(sqlite3.connect(unpacked)) as two:
        for table in ("events", "orders", "fills", "holdings", "configs", "lease", "meta", "heads"):
            rows = [raw.execute(f"SELECT * FROM {table}").fetchall() for raw in (one, two)]
            assert rows[0] == rows[1]


@posix
@pytest.mark.parametrize("point", [name for name in crashpoints.POINTS if name.startswith("backup.")])
def test_a_killed_backup_leaves_a_whole_one_or_none(point: str, home: Home) -> None:
    """SIGKILL at each of its points: the older backup stays, what is on the shelf is whole, and the next one tidies up."""
    older = home.back_up(note="older")
    assert dies_at(point, 1, lambda: home.back_up(with_journal=True))
    found = shelf.every(home.loaded)
    assert older.manifest.id in [kept.id for kept in found]
    assert len(found) == (2 if point == "backup.before_sync" else 1)
    for kept in found:
        shelf.verify(kept.path)
    home.back_up()
    assert not list(older.path.parent.glob(f"{PREFIX}*"))


@posix
def test_what_a_living_process_makes_is_not_swept(tmp_path: Path) -> None:
    """Two backups at once do not take each other's unfinished files; those of a process that ended go."""
    mine = files.unfinished(tmp_path, "archive")
    mine.touch()
    assert not dies_at("backup.before_temp", 1, lambda: files.unfinished(tmp_path, "archive").touch())
    assert len(list(tmp_path.iterdir())) == 2
    files.sweep([tmp_path])
    assert list(tmp_path.iterdir()) == [mine]


def test_two_backups_in_one_second_have_two_names(bare: Home, copy: Callable[[Home, str], Home]) -> None:
    """No backup ever takes the place of another."""
    assert len({bare.back_up().path for _ in range(5)}) == 5
