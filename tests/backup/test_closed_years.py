"""Archives of closed years go into a backup with the journal and come back with it: whole, checked, never a mixture."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from oms import cli, crashpoints
from oms.audit import sql
from oms.audit.explain import explain_cycle
from oms.audit.then import positions_at, status_at
from oms.backup import files, shelf
from oms.backup.archive import read_archive, read_manifest, write_archive
from oms.backup.files import PREFIX
from oms.backup.making import Made, Order, make
from oms.backup.manifest import ARCHIVES, Member
from oms.errors import DamagedError
from oms.gateways.system_clock import SystemClock
from oms.journal import history
from oms.journal.archives import folder_of
from oms.journal.archiving import archive as move_years
from oms.journal.reader import open_reader
from oms.journal.restored import UNFINISHED
from oms.journal.verify import verify
from oms.model.rules import Rules
from oms.places import places
from tests.backup.conftest import copied
from tests.backup.home import ENV, Home, dies_at
from tests.journal.tampering import put_guard_on, take_guard_off


def archived(home: Home) -> None:
    """Move every finished cycle but the last into an archive."""
    url, later = f"sqlite:///{home.journal}", datetime.now(UTC) + timedelta(days=1)
    move_years(url, "paper-main", "paper", SystemClock(), later, author="ada")


def whole(home: Home, **options: Any) -> Made:
    return make(home.loaded, Order(with_journal=True, with_archives=True, **options), ENV)


@pytest.fixture(scope="module")
def lived_long() -> Iterator[Home]:
    """An account with three finished cycles, the first two in an archive each; not to be changed."""
    with TemporaryDirectory(prefix="oms-years-") as folder:
        home = Home(Path(folder) / "home")
        home.run()
        home.run()
        archived(home)
        home.run()
        archived(home)
        yield home


@pytest.fixture
def old(lived_long: Home, tmp_path: Path) -> Home:
    """A copy of an account with two archives."""
    return copied(lived_long, tmp_path / "old")


def years_of(home: Home) -> list[Path]:
    return sorted(folder_of(home.journal).glob("*"))


def answers(home: Home, upto: int) -> dict[str, Any]:
    """What is answered to questions about everything up to a row."""
    with closing(open_reader(f"sqlite:///{home.journal}")) as reader:
        facts = [fact for fact in history.journal_stream(reader) if fact["seq"] <= upto]
        cycles = [each["cycle_id"] for each in history.cycle_list(reader)["cycles"]]
        then = datetime.fromisoformat(facts[len(facts) // 3]["at"])
        return {
            "facts": facts,
            "shown": [history.cycle_show(reader, cycle) for cycle in cycles],
            "why": [explain_cycle(reader, cycle, lambda _: Rules()) for cycle in cycles],
            "orders": [history.order_show(reader, each["cl_ord_id"]) for each in history.order_list(reader)["orders"]],
            "then": (status_at(reader, then), positions_at(reader, then)),
            "sql": sql.answer(home.journal, f"SELECT * FROM v_events WHERE seq <= {upto} ORDER BY seq"),
        }


Oms = Callable[..., tuple[int, str]]


@pytest.fixture
def oms(capfd: pytest.CaptureFixture[str]) -> Oms:
    """The program, run in this very process: how it ended and what it said."""

    def run(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out + err

    return run


def is_whole(home: Home) -> bool:
    """Every fact and every archive is as it was written."""
    with closing(open_reader(f"sqlite:///{home.journal}")) as reader:
        return verify(reader).ok


def forged(made: Path, place: Path, **changes: bytes) -> Path:
    """The archive of a backup with other bytes in some of its files, and checksums that fit them."""
    unpacked = place.with_name(f"{place.name}.unpacked")
    contents = read_archive(made, unpacked)
    inside = {"journal.db": unpacked, **dict(zip(ARCHIVES, contents.archives, strict=False))}
    for name, data in changes.items():
        inside[name.replace("__", "-").replace("_", ".")].write_bytes(data)
    members = tuple(
        Member(name=m.name, size=(f := inside[m.name]).stat().st_size, sha256=sha256(f.read_bytes()).hexdigest())
        if m.name in inside
        else m
        for m in contents.manifest.members
    )
    write_archive(
        place, replace(contents.manifest, members=members), contents.texts, inside["journal.db"], contents.archives
    )
    return place


# Whole ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fresh_machine_answers_every_question_from_the_backup_alone(old: Home, tmp_path: Path) -> None:
    """Facts, cycles, orders, reasons, the past and sql are as before, of archived years too; and the engine runs on."""
    assert len(years_of(old)) == 2
    rows, made = old.state.seq, whole(old)
    before = answers(old, rows)
    backup, broker = tmp_path / "elsewhere.tar.gz", tmp_path / "paper.db"
    shutil.move(made.path, backup)
    shutil.copy(places(old.loaded).paper, broker)  # the broker is not on the machine that was lost
    shutil.rmtree(old.folder)
    fresh = Home(tmp_path / "fresh")
    done = fresh.restore(backup)
    assert done.with_journal
    assert [path.name for path in years_of(fresh)] == [f"oms-{y}" for y in _years(backup)]
    assert answers(fresh, rows) == before
    assert is_whole(fresh)
    shutil.copy(broker, places(fresh.loaded).paper)
    assert fresh.run().exit_code == 0
    assert is_whole(fresh)
    assert not _leftovers(fresh)


def _years(backup: Path) -> list[str]:
    """The names of the archives as the journal in a backup knows them, without the journal's own."""
    with TemporaryDirectory() as folder:
        contents = read_archive(backup, Path(folder) / "journal.db")
        assert contents.journal is not None
        with closing(sqlite3.connect(contents.journal)) as raw:
            names = [name for (name,) in raw.execute("SELECT file FROM archives ORDER BY first_seq")]
    return [name.removeprefix("oms-") for name in names]


def _leftovers(home: Home) -> list[str]:
    return [str(path) for path in home.folder.rglob("*") if path.name.startswith((PREFIX, UNFINISHED))]


def test_a_paper_broker_that_begins_anew_repeats_no_name(old: Home, tmp_path: Path) -> None:
    """On a fresh machine its book is new: numbers and executions go on after those of the journal, and all is booked."""
    fresh = Home(tmp_path / "fresh")
    fresh.restore(whole(old).path)
    booked = [data["exec_id"] for kind, data in fresh.facts() if kind == "order_filled"]
    for _ in range(2):
        assert fresh.run().exit_code == 0
    names = [data["exec_id"] for kind, data in fresh.facts() if kind == "order_filled"]
    assert len(set(names)) == len(names) > len(booked)
    assert is_whole(fresh)


def test_a_backup_says_what_it_holds_and_what_not(old: Home) -> None:
    """With the archives it is of the newer format and names nothing beside it; without them it is of the old one."""
    with_all, without = whole(old), old.back_up(with_journal=True)
    assert [each.name for each in with_all.manifest.archives] == ["archive-1.db", "archive-2.db"]
    assert (with_all.manifest.format, with_all.beside) == (2, ())
    assert (without.manifest.format, list(without.beside)) == (1, years_of(old))
    assert read_manifest(with_all.path) == with_all.manifest
    for made in (with_all, without):
        assert shelf.verify(made.path) == made.manifest


def test_archives_that_are_there_stay_and_others_are_set_aside(old: Home) -> None:
    """The very file is not touched; another of that name is kept beside, and the one of the backup takes its place."""
    made = whole(old)
    first, second = years_of(old)
    right, kept = second.read_bytes(), first.stat().st_ino
    second.chmod(0o600)
    second.write_bytes(b"not an archive at all")
    plan = old.plan(made.path)
    assert [year.answer()["is"] for year in plan.closed_years] == ["there", "comes"]
    done = old.restore(made.path)
    assert (first.stat().st_ino, second.read_bytes()) == (kept, right)
    assert [path.read_bytes() for path in done.aside] == [b"not an archive at all"]
    assert is_whole(old)


def test_the_plan_says_which_archives_come_and_which_are_missing(
    old: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oms: Oms
) -> None:
    """`restore --dry-run` names each with its facts, and unpacks nothing in its place."""
    with_all, without = whole(old).path, old.back_up(with_journal=True).path
    fresh = Home(tmp_path / "fresh")
    monkeypatch.chdir(fresh.folder)
    assert oms("restore", str(with_all), "--dry-run")[1].count("comes back") == 2
    assert oms("restore", str(without), "--dry-run")[1].count("not in this backup") == 2
    here = oms("restore", str(with_all), "--dry-run", "--config", str(old.config_file))
    assert here[1].count("is there already") == 2
    assert not folder_of(fresh.journal).exists()
    assert not _leftovers(fresh)


def test_the_command_takes_the_archives_along_unless_told(old: Home, monkeypatch: pytest.MonkeyPatch, oms: Oms) -> None:
    """`backup --with-journal` holds them, `--without-archives` names them, and alone that option is refused with 2."""
    monkeypatch.chdir(old.folder)
    assert "not in it" not in oms("backup", "--with-journal")[1]
    _, named = oms("backup", "--with-journal", "--without-archives")
    assert all(str(path) in named for path in years_of(old))
    code, said = oms("backup", "--without-archives")
    assert (code, "--with-journal" in said) == (2, True)
    assert "journal, 2 archives" in oms("backups", "list")[1]
    assert oms("backups", "verify")[0] == 0


@pytest.mark.parametrize("harm", ["gone", "changed"])
def test_an_archive_that_is_not_whole_makes_no_backup(harm: str, old: Home) -> None:
    """Exit 3 names the file and the way out, and nothing is left on the shelf."""
    _, second = years_of(old)
    second.chmod(0o600)
    second.unlink() if harm == "gone" else second.write_bytes(second.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedError, match="--without-archives") as refused:
        whole(old)
    assert str(second) in str(refused.value)
    assert not shelf.every(old.loaded)
    assert old.back_up(with_journal=True).manifest.with_journal


# Not believed ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _edited(file: Path, change: str) -> bytes:
    """The bytes of a database after a change of somebody who can write it."""
    copy = file.with_name(f"{file.name}.edited")
    copy.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(copy, isolation_level=None)) as raw:
        guard = take_guard_off(raw)
        raw.execute(change)
        put_guard_on(raw, guard)
    return copy.read_bytes()


def _unpacked(made: Path, folder: Path) -> tuple[Path, ...]:
    contents = read_archive(made, folder / "unpacked.db")
    assert contents.journal is not None
    return (contents.journal, *contents.archives)


@pytest.mark.parametrize(
    "name", ["../outside.db", "/tmp/outside.db", "..", "a/b.db", "a\\b.db", "C:x.db", "", "x\n.db"]
)
def test_a_journal_may_not_name_archives_elsewhere(name: str, old: Home, tmp_path: Path) -> None:
    """Names that leave their folder on any system are refused with 3, and nothing is written anywhere."""
    made = whole(old).path
    journal, *_ = _unpacked(made, tmp_path)
    spelled = name.replace("'", "''")
    changed = _edited(journal, f"UPDATE archives SET file = '{spelled}' WHERE first_seq > 1")
    evil = forged(made, tmp_path / "evil.tar.gz", journal_db=changed)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DamagedError, match="outside of its place"):
        old.restore(evil)
    assert sorted(tmp_path.rglob("*")) == before


def test_archives_that_are_not_those_of_the_journal_are_refused(old: Home, tmp_path: Path) -> None:
    """Other bytes, a changed row under a new hash, two swapped, one left out: exit 3 on verifying and on restoring."""
    made = whole(old).path
    journal, first, second = _unpacked(made, tmp_path)
    row = _edited(first, "UPDATE events SET at = at + 1 WHERE seq = 5")
    known = f"UPDATE archives SET bytes = {len(row)}, sha256 = '{sha256(row).hexdigest()}' WHERE first_seq = 1"
    only = _edited(journal, "DELETE FROM archives WHERE first_seq > 1")
    same = _edited(journal, "UPDATE archives SET file = (SELECT min(file) FROM archives)")
    lies = [
        ("another oms-", {"archive__1_db": row}),
        ("row 5 is not what was written", {"archive__1_db": row, "journal_db": _edited(journal, known)}),
        ("another oms-", {"archive__1_db": second.read_bytes(), "archive__2_db": first.read_bytes()}),
        ("another oms-", {"archive__2_db": b"nothing of the kind"}),
        ("names one archive twice", {"journal_db": same}),
        ("2 archives of closed years, and its journal goes on from 1", {"journal_db": only}),
    ]
    before = {path: path.read_bytes() for path in years_of(old)}
    for number, (why, changes) in enumerate(lies):
        evil = forged(made, tmp_path / f"evil-{number}.tar.gz", **changes)
        for refusing in (shelf.verify, old.restore):
            with pytest.raises(DamagedError, match=why):
                refusing(evil)
        assert {path: path.read_bytes() for path in years_of(old)} == before, why
    assert not _leftovers(old)


# Killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────

POINTS = [
    name
    for name in crashpoints.POINTS
    if name.startswith("restore.") and name not in ("restore.before_facts", "restore.before_lift")
]
MOVES = 13
"""At most: two texts, two archives of which one takes the place of another, the journal's files and anchors."""
CASES = [
    *((point, 1) for point in POINTS),
    *(("restore.during_staging", passage) for passage in (2, 3)),
    *(("restore.between_moves", passage) for passage in range(2, MOVES)),
]


@pytest.fixture(scope="module")
def changed(lived_long: Home) -> Iterator[tuple[Home, Path]]:
    """An account that went on after its backup, lost its second archive and has another file of the first's name."""
    with TemporaryDirectory(prefix="oms-changed-") as folder:
        home = copied(lived_long, Path(folder) / "home")
        made = whole(home).path
        home.run()
        first, second = years_of(home)
        second.unlink()
        first.chmod(0o600)
        first.write_bytes(b"in the way")
        yield home, made.relative_to(home.folder)


@pytest.mark.parametrize(("point", "passage"), CASES)
def test_a_killed_restore_has_all_archives_or_none(
    point: str, passage: int, changed: tuple[Home, Path], tmp_path: Path
) -> None:
    """SIGKILL at each boundary: the account as it was, or after the next command the one of the backup, with every year."""
    home = copied(changed[0], tmp_path / "home")
    rows, before = home.state.seq, {path.name: path.read_bytes() for path in years_of(home)}
    if not dies_at(point, passage, lambda: home.restore(home.folder / changed[1])):
        assert (point, passage > 6) == ("restore.between_moves", True)
        assert is_whole(home)
        return
    decided = home.finish() is not None
    assert decided == (
        point in ("restore.after_decision", "restore.between_moves", "restore.before_mailbox", "restore.before_end")
    )
    files.sweep([home.folder, home.journal.parent, folder_of(home.journal), home.latest().parent])
    assert not _leftovers(home)
    if decided or point == "restore.after_end":
        assert is_whole(home)
        assert home.run(open_new=False).exit_code == 0
        (aside,) = (path for path in years_of(home) if ".before-" in path.name)
        assert aside.read_bytes() == b"in the way"
    else:
        assert home.state.seq == rows
        assert {path.name: path.read_bytes() for path in years_of(home)} == before


@pytest.mark.parametrize("point", [name for name in crashpoints.POINTS if name.startswith("backup.")])
def test_a_killed_backup_with_archives_is_whole_or_none(point: str, old: Home) -> None:
    """SIGKILL at each of its points: what is on the shelf is whole, and the archives are untouched."""
    before = {path: path.read_bytes() for path in years_of(old)}
    assert dies_at(point, 1, lambda: whole(old))
    found = shelf.every(old.loaded)
    assert len(found) == (1 if point == "backup.before_sync" else 0)
    for kept in found:
        assert len(shelf.verify(kept.path).archives) == 2
    assert {path: path.read_bytes() for path in years_of(old)} == before
