"""Backup and restore where the journal is on PostgreSQL: the configuration as with a file, and the journal into one."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oms import app, operator_desk
from oms.backup import restoring, shelf, versions
from oms.backup.archive import read_archive
from oms.backup.manifest import CONFIGS, STATE
from oms.backup.planning import make_plan
from oms.backup.restoring import clean_up, restore
from oms.config import load_config
from oms.engine.standing import COMMAND
from oms.errors import LeaseHeldError, RefusedError, UsageError
from oms.gateways.system_clock import SystemClock
from oms.journal.access import open_account
from oms.journal.postgres.address import parse
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.reader import open_reader
from oms.journal.verify import verify
from oms.places import places
from tests.backup.home import CONFIG, ENV, Home
from tests.postgres.server import Server


@pytest.fixture
def home(server: Server, own_database: str, tmp_path: Path) -> Home:
    """An account with one finished cycle on PostgreSQL, and another one beside it."""
    url = json.dumps(server.url(own_database))
    for name in ("beside", "paper-main"):
        made = Home(tmp_path / name, CONFIG.replace("paper-main", name) + f"journal: {{url: {url}}}\n")
        made.run()
    return made


def give(home: Home, command: str, **arguments: str) -> None:
    assert not operator_desk.give(home.loaded, command, arguments).refused


@pytest.fixture
def braked(home: Home) -> Home:
    give(home, "halt", scope="buys", reason="storm")
    give(home, "blacklist_add", symbol="BBB", reason="audit")
    return home


def state_of(home: Home) -> tuple[bool, list[str]]:
    config = home.loaded.config
    with closing(open_account(places(home.loaded).journal_url, config.account, config.mode, SystemClock())) as journal:
        return journal.state.halt is not None, sorted(journal.state.blacklist)


def test_a_backup_has_all_that_one_of_a_file_has(braked: Home) -> None:
    """Configuration, universe, standing orders, this account's kept configurations and no other's, the head of its chain."""
    made = braked.back_up()
    contents = read_archive(made.path)
    head = made.manifest.journal
    assert head is not None
    with closing(open_reader(places(braked.loaded).journal_url)) as reader:
        found = verify(reader)
    assert (head.seq, head.hash) == (found.seq, found.head)
    assert {"storm", "BBB"} <= set(json.dumps(json.loads(contents.texts[STATE])).replace('"', " ").split())
    (kept,) = contents.texts[CONFIGS].splitlines()
    assert json.loads(kept)["hash"] == braked.loaded.hash
    assert [each.hash for each in versions.versions(braked.loaded)] == [braked.loaded.hash]
    assert shelf.verify(made.path) == made.manifest


def test_a_backup_with_the_journal_is_taken_while_an_engine_writes(home: Home, tmp_path: Path) -> None:
    """One snapshot of the server: the chain of this account, which proves itself in its file, and no row of another."""
    stop = threading.Event()

    def trade() -> None:
        while not stop.is_set():
            give(home, "blacklist_add", symbol="BBB", reason="x")

    trading = threading.Thread(target=trade)
    trading.start()
    try:
        made = home.back_up(with_journal=True)
    finally:
        stop.set()
        trading.join()
    assert made.manifest.with_journal
    assert shelf.verify(made.path) == made.manifest
    file = tmp_path / "taken.db"
    read_archive(made.path, file)
    with closing(open_reader(f"sqlite:///{file}")) as reader:
        found = verify(reader)
        assert (found.problem, reader.account) == ("", "paper-main")
    assert made.manifest.journal is not None
    assert (found.seq, found.head) == (made.manifest.journal.seq, made.manifest.journal.hash)


def test_the_configuration_comes_back_and_no_brake_comes_off(braked: Home) -> None:
    """Files byte for byte; the backup's halt and blacklist are journaled again, in the database; what was there is kept."""
    made = braked.back_up(with_journal=True)
    before = braked.texts
    braked.config_file.write_text(before[0].decode().replace("9000", "5000"), "utf-8")
    braked.universe.write_text("AAA\n", "utf-8")
    give(braked, "release", reason="calm")
    give(braked, "blacklist_remove", symbol="BBB", reason="calm")
    assert state_of(braked) == (False, [])
    plan = make_plan(made.path, braked.config_file, ENV, other_account=False, only_config=True)
    assert [change.key for change in plan.config] == ["execution.max_position_value"]
    done = restore_of(braked, made.path)
    assert braked.texts == before
    assert state_of(braked) == (True, ["BBB"])
    assert done is not None


def restore_of(home: Home, archive: Path) -> object:
    plan = make_plan(archive, home.config_file, ENV, other_account=False, only_config=True)
    try:
        return restore(plan, ENV).previous
    finally:
        clean_up(plan)


def test_a_restore_that_died_is_finished_by_the_next_command_once(
    braked: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the decision, the standing orders reach the table of the mailbox with the next command, and only once."""
    made = braked.back_up()
    give(braked, "release", reason="calm")
    monkeypatch.setattr(restoring, "finish", lambda _: None)
    monkeypatch.setattr(restoring, "_obey", lambda *_: None)
    restore_of(braked, made.path)
    box = PostgresInbox(parse(places(braked.loaded).journal_url), "paper-main")
    known = box.unread(0)[-1].inbox_id
    text = (braked.folder / ".oms-restore").read_bytes()
    braked.finish()
    (braked.folder / ".oms-restore").write_bytes(text)  # it died again, before it could remove this
    braked.finish()
    assert [message.command for message in box.unread(known)] == [COMMAND]
    assert b"postgresql" not in text


def test_never_beside_a_running_engine(home: Home) -> None:
    """The lease in the database is held throughout: while an engine has it, nothing is changed."""
    made = home.back_up()
    before = home.texts
    config = home.loaded.config
    with (
        closing(open_account(places(home.loaded).journal_url, config.account, config.mode, SystemClock())),
        pytest.raises(LeaseHeldError),
    ):
        restore_of(home, made.path)
    assert home.texts == before


def test_the_journal_itself_is_never_replaced_there(home: Home) -> None:
    """It says so before anything is changed, and names the way by a file and `db migrate-to`."""
    made = home.back_up(with_journal=True)
    with pytest.raises(RefusedError, match="migrate-to"):
        home.plan(made.path)
    new = Home(home.folder.parent / "new", home.config_file.read_text("utf-8").replace("paper-main", "nobody"))
    with pytest.raises(UsageError, match="no journal yet"):
        new.back_up(with_journal=True)


@pytest.fixture
def elsewhere(server: Server) -> Iterator[str]:
    name = server.new_database()
    yield server.url(name)
    server.drop(name)


def test_the_way_by_a_file_brings_the_journal_into_an_empty_database(
    home: Home, elsewhere: str, tmp_path: Path
) -> None:
    """Restored into a file, moved to another database, verified; the first start there asks the broker first."""
    made = home.back_up(with_journal=True)
    folder = tmp_path / "rescue"
    folder.mkdir()
    env = {"OMS_JOURNAL__URL": "sqlite:///var/oms.db"}
    plan = make_plan(made.path, folder / "config.yaml", env, other_account=False)
    try:
        assert restore(plan, env).with_journal
    finally:
        clean_up(plan)
    loaded = load_config(folder / "config.yaml", env)
    operator_desk.migrate(loaded, elsewhere, dry_run=False, say=lambda _: None)
    there = load_config(folder / "config.yaml", {"OMS_JOURNAL__URL": elsewhere})
    with closing(open_reader(places(there).journal_url)) as reader:
        assert verify(reader).problem == ""
        with reader.asking("looking for the mark") as connection:
            sql = "SELECT name FROM meta WHERE name LIKE 'restored%%'"
            assert [row[0] for row in connection.exec_driver_sql(sql)] == ["restored/paper-main"]
    for name in ("bars.csv", "var/paper.db"):
        shutil.copy(home.folder / name, folder / name)
    with closing(app.Engine(there, open_new=False)) as engine:
        engine.run()
    with closing(open_reader(places(there).journal_url)) as reader, reader.asking("looking again") as connection:
        ((lifted,),) = connection.exec_driver_sql(sql).all()
        assert lifted.startswith("restored/paper-main.restore-")
