"""Restoring: byte for byte, all or nothing, never beside a running engine, never another account's, never outside."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from oms import app, crashpoints
from oms.backup import files, shelf
from oms.backup.archive import read_archive, write_archive
from oms.backup.files import PREFIX
from oms.backup.manifest import CONFIG, STATE, UNIVERSE, Manifest, member
from oms.errors import DamagedError, LeaseHeldError, RefusedError, UsageError
from oms.gateways.system_clock import SystemClock
from oms.journal.restored import UNFINISHED
from oms.journal.store import open_journal
from oms.model.detail import HaltScope
from tests.backup.conftest import copied
from tests.backup.home import CONFIG as TEXT
from tests.backup.home import Home, dies_at

OTHER = TEXT.replace("9000", "5000").replace("# The account", "# Another text about the account")


def change(home: Home) -> None:
    """Another configuration, another universe."""
    home.config_file.write_text(OTHER)
    home.universe.write_text("AAA\nBBB\nCCC\n")


def forged(home: Home, archive: Path, place: Path, **texts: bytes) -> Path:
    """The archive with other contents, checksums and all, as somebody could make it who can write the shelf."""
    contents = read_archive(archive)
    inside = {**contents.texts, **{name.replace("_", "."): data for name, data in texts.items()}}
    manifest: Manifest = replace(contents.manifest, members=tuple(member(name, data) for name, data in inside.items()))
    write_archive(place, manifest, inside, None)
    return place


def outside(folder: Path) -> bytes:
    """A configuration whose universe lies in a folder of its own."""
    return TEXT.replace("symbols.txt", f"{folder}/symbols.txt").encode()


def leftovers(home: Home) -> list[str]:
    """What a restore must not leave lying around."""
    return [str(path) for path in home.folder.rglob("*") if path.name.startswith((PREFIX, UNFINISHED))]


# Content ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_backed_up_comes_back_byte_for_byte(home: Home) -> None:
    """config.yaml with comments and the universe are again the very bytes; the journal has one fact more, which says so."""
    before, made, rows = home.texts, home.back_up(), home.state.seq
    change(home)
    done = home.restore(made.path)
    assert home.texts == before
    assert home.state.seq == rows + 1
    assert home.kinds()[-1] == "command_answered"
    assert not leftovers(home)
    assert done.previous is not None
    assert read_archive(done.previous.path).texts[CONFIG] == OTHER.encode()


def test_a_restore_can_be_undone(home: Home) -> None:
    """What was there before is the newest backup, so restoring the latest brings it back."""
    made = home.back_up()
    change(home)
    changed = home.texts
    home.restore(made.path)
    home.restore(home.latest())
    assert home.texts == changed


def test_the_plan_names_each_key_and_marks_what_is_loosened(home: Home) -> None:
    """Keys old -> new, symbols that come and go; a limit that becomes wider is marked; nothing is changed by looking."""
    made = home.back_up()
    change(home)
    before = home.texts
    plan = home.plan(made.path)
    assert [str(each) for each in plan.config] == [
        "execution.max_position_value: 5000 -> 9000  LOOSENED: larger positions"
    ]
    assert plan.universe == ([], ["CCC"])
    assert home.texts == before


def test_a_change_of_comments_only_is_named_as_such(home: Home) -> None:
    """No value changes, the text does."""
    made = home.back_up()
    home.config_file.write_text("# only a comment\n" + TEXT)
    plan = home.plan(made.path)
    assert not plan.config
    assert any("no value does" in note for note in plan.notes)


def test_halt_blacklist_and_frozen_symbols_come_back_through_the_journal(home: Home) -> None:
    """They are facts with the author restore, made by the door of the operators, once; the tables are never edited."""
    home.post("blacklist_add", symbol="TSLA", reason="too wild")
    home.post("halt", scope="all", reason="lunch")
    home.run(open_new=False)
    made = home.back_up()
    home.post("release", reason="back")
    home.post("blacklist_remove", symbol="TSLA", reason="tame")
    home.post("blacklist_add", symbol="GME", reason="no")
    home.run(open_new=False)
    plan = home.plan(made.path)
    assert [loosened for _, loosened in plan.standing] == [False, False, True]
    home.restore(made.path)
    state = home.state
    assert list(state.blacklist) == ["TSLA"]
    assert (state.blacklist["TSLA"].reason, state.blacklist["TSLA"].author) == ("too wild", "restore")
    assert state.halt is not None
    assert (state.halt.scope, state.halt.reason, state.halt.author) == (HaltScope.ALL, "lunch", "restore")
    assert home.kinds().count("command_answered") == 1
    assert not home.plan(made.path).standing


def test_on_a_new_machine_the_first_run_obeys_what_stood(home: Home, tmp_path: Path) -> None:
    """Without a journal the standing orders wait in the mailbox: halted for all, the first run sends nothing."""
    home.post("halt", scope="all", reason="lunch")
    home.post("blacklist_add", symbol="BBB", reason="too wild")
    home.run(open_new=False)
    fresh = Home(tmp_path / "fresh")
    fresh.restore(home.back_up().path)
    assert fresh.run().exit_code == 7
    assert fresh.kinds()[0] == "account_opened"
    assert fresh.state.halt is not None
    assert list(fresh.state.blacklist) == ["BBB"]
    assert "order_sending" not in fresh.kinds()


def test_a_linked_file_stays_a_link(home: Home, tmp_path: Path) -> None:
    """config.yaml and the universe may be links into another folder: the files behind them are replaced."""
    made = home.back_up()
    real = tmp_path / "dotfiles"
    real.mkdir()
    for file in (home.config_file, home.universe):
        (real / file.name).write_text(file.read_text() + "# changed\n")
        file.unlink()
        file.symlink_to(real / file.name)
    before = read_archive(made.path).texts
    home.config_file.write_text(OTHER)
    with pytest.raises(RefusedError, match="outside"):  # where the universe lies would be the backup's choice
        Home(tmp_path / "fresh").restore(forged(home, made.path, tmp_path / "x.tar.gz", config_yaml=outside(real)))
    home.restore(made.path)
    assert home.config_file.is_symlink()
    assert home.universe.is_symlink()
    assert ((real / "config.yaml").read_bytes(), (real / "symbols.txt").read_bytes()) == (
        before[CONFIG],
        before[UNIVERSE],
    )


def test_a_restore_takes_off_no_brake(home: Home) -> None:
    """A halt that is on now stays on, whatever the backup holds, with and without its journal."""
    plain, whole = home.back_up(), home.back_up(with_journal=True)
    home.post("halt", scope="all", reason="something smells")
    home.run(open_new=False)
    for made in (plain, whole):
        home.restore(made.path)
        home.run(open_new=False)
        assert home.state.halt is not None
        assert home.state.halt.reason == "something smells"


def test_a_file_that_the_backup_does_not_have_is_set_aside(bare: Home) -> None:
    """A backup of an account without a universe of its own leaves none; the one that was there is kept."""
    bare.universe.unlink()
    bare.config_file.write_text(TEXT.replace("universe: symbols.txt, ", ""))
    made = bare.back_up()
    (bare.folder / "universe.txt").write_text("AAA\n")
    bare.restore(made.path)
    assert not (bare.folder / "universe.txt").exists()
    assert read_archive(bare.latest()).texts[UNIVERSE] == b"AAA\n"


# Refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("with_journal", [False, True])
def test_never_while_an_engine_holds_the_lease(with_journal: bool, home: Home) -> None:
    """Exit 6, and every byte stays."""
    made = home.back_up(with_journal=with_journal)
    change(home)
    before, rows = home.texts, home.state.seq
    held = open_journal(f"sqlite:///{home.journal}", "paper-main", "paper", SystemClock())
    with closing(held), pytest.raises(LeaseHeldError) as refused:
        home.restore(made.path)
    assert refused.value.exit_code == 6
    assert (home.texts, home.state.seq) == (before, rows)
    assert not leftovers(home)


@pytest.mark.parametrize(
    ("key", "other"), [("account: paper-main", "account: other"), ("account", "mode: dry_run\naccount")]
)
def test_a_backup_of_another_account_or_mode_is_refused_unless_told(
    key: str, other: str, home: Home, tmp_path: Path
) -> None:
    """Exit 5; with --other-account it is restored."""
    stranger = Home(tmp_path / "stranger", TEXT.replace(key, other, 1) if ":" in key else f"mode: dry_run\n{TEXT}")
    made = stranger.back_up()
    before = home.texts
    with pytest.raises(RefusedError, match="account") as refused:
        home.restore(made.path)
    assert refused.value.exit_code == 5
    assert home.texts == before
    home.restore(made.path, other_account=True)
    assert home.config_file.read_bytes() == stranger.config_file.read_bytes()


def test_a_backup_may_not_choose_files_of_the_machine(home: Home, tmp_path: Path) -> None:
    """A configuration that names a universe or a journal outside of its folder is refused with 5, and writes nothing."""
    made = home.back_up()
    outside = tmp_path / "outside"
    for number, text in enumerate(
        (
            TEXT.replace("symbols.txt", f"{outside}/evil"),
            TEXT.replace("symbols.txt", "../outside/evil"),
            TEXT + f"journal: {{url: 'sqlite:///{outside}/evil.db'}}\n",
        )
    ):
        evil = forged(home, made.path, tmp_path / f"{number}.tar.gz", config_yaml=text.encode())
        with pytest.raises(RefusedError, match="outside"):
            home.restore(evil)
    assert not outside.exists()


HOSTILE: dict[str, dict[str, bytes]] = {
    "config of a newer release": {"config_yaml": b"account: paper-main\nwarp_speed: 9\n"},
    "config that is a bomb": {"config_yaml": b"a: &a [x]\nb: [*a, *a]\n"},
    "config that is binary": {"config_yaml": b"\0\xff\xfe"},
    "universe that is no list": {"universe_txt": b"AAA\nrm -rf /\n"},
    "universe that is binary": {"universe_txt": b"\xff\xfe\x00"},
    "standing orders that are none": {"state_json": b'{"halt": 5}'},
    "standing orders of bad symbols": {
        "state_json": b'{"halt": null, "frozen": [{"symbol": "../x", "reason": ""}], "blacklist": []}'
    },
    "standing orders without a zone": {
        "state_json": b'{"halt": null, "frozen": [], "blacklist":'
        b' [{"symbol": "A", "reason": "", "author": "", "until": "2026-01-01T00:00:00"}]}'
    },
    "standing orders that are binary": {"state_json": b"\xff"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_contents_that_this_release_cannot_live_with_are_refused(what: str, home: Home, tmp_path: Path) -> None:
    """Sound checksums do not make them good: exit 3, and every byte stays."""
    evil = forged(home, home.back_up().path, tmp_path / "evil.tar.gz", **HOSTILE[what])
    before = home.texts
    with pytest.raises(DamagedError) as refused:
        home.restore(evil)
    assert refused.value.exit_code == 3
    assert home.texts == before
    assert not leftovers(home)


def test_a_backup_of_a_newer_schema_is_refused(home: Home, tmp_path: Path) -> None:
    """Exit 3: its reader is told to install that release."""
    contents = read_archive(home.back_up().path)
    newer = tmp_path / "newer.tar.gz"
    write_archive(newer, replace(contents.manifest, schema="9999"), contents.texts, None)
    with pytest.raises(DamagedError, match="newer release"):
        home.restore(newer)


def test_an_environment_that_contradicts_the_backup_is_a_wrong_command(home: Home) -> None:
    """OMS_ACCOUNT would make the restored account another one: exit 2 says so."""
    from oms.backup.planning import make_plan

    made = home.back_up()
    with pytest.raises(UsageError, match="OMS_ACCOUNT"):
        make_plan(made.path, home.config_file, {"OMS_ACCOUNT": "other"}, other_account=True)


# With the journal ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_restored_journal_names_what_is_lost_and_keeps_what_was_there(home: Home) -> None:
    """The plan counts entries, fills and orders behind the backup; the replaced journal is whole in the new backup."""
    made, rows = home.back_up(with_journal=True), home.state.seq
    home.run(sell=20)
    newer = home.state.seq
    plan = home.plan(made.path)
    assert plan.lost is not None
    assert (plan.lost.entries, plan.lost.since_seq) == (newer - rows, rows)
    assert (plan.lost.fills, plan.lost.orders, plan.lost.cycles) == (2, 2, 1)
    done = home.restore(made.path)
    assert home.state.seq == rows + 1
    assert home.kinds()[-1] == "command_answered"
    assert done.previous is not None
    kept = shelf.verify(done.previous.path).journal
    assert kept is not None
    assert kept.seq == newer
    assert not list(home.journal.parent.glob("oms.db.before-*[!s]"))


def fence(journal: Path) -> int:
    with closing(sqlite3.connect(journal)) as raw:
        found: int = raw.execute("SELECT fence FROM lease").fetchone()[0]
    return found


def test_the_fence_only_grows(home: Home) -> None:
    """No process that held the account before a restore can write after it."""
    made = home.back_up(with_journal=True)
    for _ in range(3):
        home.run(open_new=False)
    before = fence(home.journal)
    home.restore(made.path)
    assert fence(home.journal) > before


def test_a_damaged_journal_is_replaced_and_kept_aside(home: Home) -> None:
    """What restores are for: the broken file is set aside, its name is told, and the fence leaps."""
    made = home.back_up(with_journal=True)
    before = fence(home.journal)
    broken = b"SQLite format 3\0" + b"damaged" * 5000
    for ending in ("-wal", "-shm"):
        home.journal.with_name(f"oms.db{ending}").unlink(missing_ok=True)
    home.journal.write_bytes(broken)
    done = home.restore(made.path)
    (aside,) = done.aside
    assert aside.read_bytes() == broken
    assert fence(home.journal) > before
    assert home.run().exit_code == 0


def test_a_configuration_that_cannot_be_read_is_replaced_and_kept_aside(home: Home) -> None:
    """A broken config.yaml does not keep a FILE from being restored; its bytes are kept beside."""
    made = home.back_up()
    home.config_file.write_text("account: [\n")
    done = home.restore(made.path)
    assert "account: [\n" in [path.read_text() for path in done.aside]
    assert home.run().exit_code == 0


def test_commands_of_before_stay_in_the_past(home: Home) -> None:
    """A release that the replaced journal had obeyed is not obeyed again by the restored one."""
    made = home.back_up(with_journal=True)
    home.post("halt", scope="all", reason="lunch")
    home.post("blacklist_add", symbol="GME", reason="no")
    home.run(open_new=False)
    home.post("release", reason="back")
    home.run(open_new=False)
    home.restore(made.path)
    home.run(open_new=False)
    assert not home.state.blacklist
    assert "released" not in home.kinds()


def test_a_backup_that_contradicts_itself_is_refused(home: Home, tmp_path: Path) -> None:
    """A journal that does not end where its manifest says, or is of another account, is not put anywhere; exit 3."""
    made = home.back_up(with_journal=True)
    unpacked = tmp_path / "journal.db"
    contents = read_archive(made.path, unpacked)
    manifest = contents.manifest
    assert manifest.journal is not None
    for number, lie in enumerate(
        (
            replace(manifest, journal=replace(manifest.journal, seq=manifest.journal.seq - 1)),
            replace(manifest, journal=replace(manifest.journal, hash="0" * 64)),
            replace(manifest, journal=None),
            replace(manifest, mode="live"),
        )
    ):
        path = tmp_path / f"{number}.tar.gz"
        write_archive(path, lie, contents.texts, unpacked)
        with pytest.raises((DamagedError, UsageError)):
            home.restore(path, other_account=True)
    assert not leftovers(home)


# Killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────

DECIDED = ("restore.after_decision", "restore.between_moves", "restore.before_mailbox", "restore.before_end")
ENDED = ("restore.after_end",)
POINTS = [
    name
    for name in crashpoints.POINTS
    if name.startswith("restore.") and name not in ("restore.before_facts", "restore.before_lift")
]
CASES = [(point, 1) for point in POINTS] + [("restore.between_moves", number) for number in (2, 3, 4, 5)]


@dataclass(frozen=True)
class Scene:
    """An account that was changed after its backup was made."""

    home: Home
    archive: Path
    new: tuple[bytes, bytes]
    """config.yaml and universe as they are in the backup."""


@pytest.fixture(scope="module")
def scenes(traded_once: Home) -> Iterator[dict[bool, Scene]]:
    """One scene without the journal in the backup, one with it; TSLA is on the backup's blacklist only."""
    with TemporaryDirectory(prefix="oms-scenes-") as folder:
        made = {}
        for with_journal in (False, True):
            home = copied(traded_once, Path(folder) / str(with_journal))
            home.post("blacklist_add", symbol="TSLA", reason="too wild")
            home.run(open_new=False)
            archive, new = home.back_up(with_journal=with_journal).path, home.texts
            home.post("blacklist_remove", symbol="TSLA", reason="tame")
            home.run(open_new=False)
            change(home)
            made[with_journal] = Scene(home, archive.relative_to(home.folder), new)
        yield made


@pytest.mark.parametrize(("point", "passage"), CASES)
@pytest.mark.parametrize("with_journal", [False, True], ids=["config", "journal"])
def test_a_killed_restore_is_the_old_state_or_the_new_one(
    point: str, passage: int, with_journal: bool, scenes: dict[bool, Scene], tmp_path: Path
) -> None:
    """SIGKILL at each boundary: before the decision nothing changed, after it the next command finishes; never a mixture."""
    scene = scenes[with_journal]
    home = copied(scene.home, tmp_path / "home")
    archive = home.folder / scene.archive
    old, rows = home.texts, home.state.seq
    if not dies_at(point, passage, lambda: home.restore(archive)):
        assert (point, with_journal) in (("restore.between_moves", False), ("restore.during_staging", False))
        return
    if point in DECIDED:
        with pytest.raises(RefusedError, match="not finished"):
            app.Engine(home.loaded)
        assert home.finish() is not None
    assert home.finish() is None
    restored = point in DECIDED + ENDED
    assert home.texts == (scene.new if restored else old)
    assert ("command_answered" in home.kinds()) == (restored and with_journal)
    assert restored or home.state.seq == rows
    if restored:
        home.run(open_new=False)
    assert ("TSLA" in home.state.blacklist) == restored
    files.sweep([home.folder, home.journal.parent, home.latest().parent])
    assert not leftovers(home)


def test_a_finished_restore_is_finished_once(home: Home) -> None:
    """Killed before its end and finished twice at once, the standing orders are posted once."""
    home.post("halt", scope="buys", reason="lunch")
    home.run(open_new=False)
    made = home.back_up()
    home.post("release", reason="back")
    home.run(open_new=False)
    assert dies_at("restore.before_end", 1, lambda: home.restore(made.path))
    assert dies_at("restore.before_end", 1, home.finish)
    assert home.finish() == made.manifest.id
    home.run(open_new=False)
    assert [data["scope"] for kind, data in home.facts() if kind == "halted"] == ["buys", "buys"]


def test_a_decision_that_is_damaged_is_said(home: Home) -> None:
    """The file that decides a restore is not guessed at; exit 3."""
    (home.folder / UNFINISHED).write_text(json.dumps({"moves": 5}))
    with pytest.raises(DamagedError, match="cannot be finished"):
        home.finish()


def test_the_copies_of_these_tests_are_whole(home: Home, tmp_path: Path) -> None:
    """A copied account is the same account; what the other tests compare rests on this."""
    assert copied(home, tmp_path / "again").state.seq == home.state.seq
    assert STATE in read_archive(home.back_up().path).texts
