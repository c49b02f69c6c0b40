"""Exports: they prove themselves, make the same journal again, and nothing tampered with or hostile gets in."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.audit import export as exports
from oms.audit.checkpoint import verify_on
from oms.audit.export import MANIFEST, export
from oms.audit.importing import bring_in, check, read_manifest
from oms.errors import DamagedError, UsageError
from oms.journal.reader import Reader, open_reader
from oms.journal.store import SqliteJournal
from oms.journal.verify import verify
from oms.model.event import AttentionRaised
from tests.fakes.clock import START, FakeClock
from tests.journal.facts import full_story

Tamper = Callable[[str], None]


@pytest.fixture
def days(journal: SqliteJournal, path: Path, clock: FakeClock) -> Path:
    """A journal of three days with a night between each, closed."""
    full_story(journal)
    for text in ('é\u2028 ünïcode, "quoted",\r\n', "a\tb\\", "NULL"):
        clock.advance(timedelta(days=1))
        journal.append_barrier([AttentionRaised(rule="day", text=text)])
    journal.close()
    return path


@pytest.fixture
def reader(days: Path) -> Any:
    opened = open_reader(f"sqlite:///{days}")
    yield opened
    opened.close()


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
@pytest.mark.parametrize("by_day", [False, True])
def test_an_export_makes_the_same_journal(reader: Reader, tmp_path: Path, format_: str, by_day: bool) -> None:
    """Written out and brought in again, every row, link and table is what it was."""
    made = export(reader, tmp_path / "out", format_, by_day=by_day)
    assert len(made.files) == (4 if by_day else 1)
    assert check(tmp_path / "out").rows == made.rows
    imported = bring_in(tmp_path / "out", tmp_path / "new.db", FakeClock())
    assert imported.head == made.head
    again = open_reader(f"sqlite:///{tmp_path / 'new.db'}")
    assert list(exports.rows(again)) == list(exports.rows(reader))
    verdict = verify(again)
    assert verdict.ok, verdict
    assert verdict.head == verify(reader).head
    again.close()
    assert not list(tmp_path.glob("*.partial*"))


def test_days_can_be_exported_alone(reader: Reader, tmp_path: Path) -> None:
    """A part proves its rows against the link before it; a journal is only made of the whole."""
    day = START.date() + timedelta(days=1)
    made = export(reader, tmp_path / "out", since=day, until=day + timedelta(days=2))
    assert made.rows == 2
    assert made.first_seq > 1
    assert check(tmp_path / "out").rows == 2
    with pytest.raises(UsageError, match="only a whole export"):
        bring_in(tmp_path / "out", tmp_path / "new.db", FakeClock())
    with pytest.raises(UsageError, match="no fact"):
        export(reader, tmp_path / "none", since=date(2030, 1, 1))
    assert not (tmp_path / "none").exists()


def test_nothing_is_written_over(reader: Reader, tmp_path: Path) -> None:
    """Neither an export nor a journal replaces what is there."""
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="there already"):
        export(reader, tmp_path / "out")
    export(reader, tmp_path / "whole")
    (tmp_path / "new.db").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="there already"):
        bring_in(tmp_path / "whole", tmp_path / "new.db", FakeClock())
    assert (tmp_path / "new.db").read_text(encoding="utf-8") == "mine"


def test_a_damaged_journal_is_not_exported(reader: Reader, tmp_path: Path, tamper: Tamper) -> None:
    """The chain is walked on the way; the first bad row is named and no folder is left."""
    tamper("UPDATE events SET data = replace(data, '10.11', '10.12') WHERE seq = 5")
    with pytest.raises(DamagedError, match="row 5 "):
        export(reader, tmp_path / "out")
    assert list(tmp_path.glob("out*")) == []


def edit(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the rows and give the file its new hash, as somebody would who knows the form."""
    import hashlib

    about = json.loads((folder / MANIFEST).read_text("utf-8"))
    file = folder / about["files"][0]["name"]
    lines = change(file.read_text("utf-8").split("\n")[:-1])
    data = "".join(f"{line}\n" for line in lines).encode()
    file.write_bytes(data)
    about["files"][0] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}
    about["rows"] = len(lines)
    (folder / MANIFEST).write_text(json.dumps(about), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [*rows[:4], rows[4].replace("S0", "S9"), *rows[5:]], "line 5: row 5 is not what was written"),
        (lambda rows: [*rows[:9], *rows[10:]], "line 10: row 11 follows row 9"),
        (lambda rows: [*rows[:6], rows[7], rows[6], *rows[8:]], "line 7: row 8 follows row 6"),
        (lambda rows: rows[:-2], "its tail was cut"),
        (lambda rows: [*rows, rows[-1]], "rows are missing or moved"),
        (lambda rows: [*rows[:3], "nonsense", *rows[4:]], "line 4 is no row"),
        (lambda rows: [*rows[:3], rows[3].replace('"seq": 4', '"seq": "4"'), *rows[4:]], "line 4 is no row"),
        (lambda rows: rows[1:], "row 2 follows row 0"),
    ],
)
def test_a_changed_row_is_named(reader: Reader, tmp_path: Path, change: Any, words: str) -> None:
    """A changed, deleted, swapped, doubled or cut row is found although the file's hash was corrected."""
    export(reader, tmp_path / "out")
    edit(tmp_path / "out", change)
    with pytest.raises(DamagedError, match=words):
        bring_in(tmp_path / "out", tmp_path / "new.db", FakeClock())
    assert not list(tmp_path.glob("new.db*"))


def test_a_file_that_is_not_the_manifests_is_named(reader: Reader, tmp_path: Path) -> None:
    """A changed or missing file."""
    made = export(reader, tmp_path / "out")
    file = tmp_path / "out" / made.files[0].name
    whole = file.read_bytes()
    file.write_bytes(whole + b"\n")
    with pytest.raises(DamagedError):
        check(tmp_path / "out")
    file.write_bytes(whole.replace(b'"at": "2026', b'"at": "2027', 1))
    with pytest.raises(DamagedError, match="hash differs"):
        check(tmp_path / "out")
    file.unlink()
    with pytest.raises(DamagedError, match="missing"):
        check(tmp_path / "out")


@pytest.mark.parametrize("name", ["../out.jsonl", "/etc/passwd", "..", "", "a/b", "..\\x"])
def test_a_manifest_points_at_nothing_outside(reader: Reader, tmp_path: Path, name: str) -> None:
    """A file name with a folder in it is refused before it is opened."""
    export(reader, tmp_path / "out")
    about = json.loads((tmp_path / "out" / MANIFEST).read_text("utf-8"))
    about["files"][0]["name"] = name
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(DamagedError, match="not a file beside it"):
        check(tmp_path / "out")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "other/1"}', '{"schema": "oms.journal.export/1", "files": 1}', "[" * 100_000]
)
def test_what_is_no_manifest_is_damage(tmp_path: Path, text: str) -> None:
    """Any other text ends with a sentence and exit 3; no manifest at all is a usage error."""
    with pytest.raises(UsageError, match="is missing"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(DamagedError):
        read_manifest(tmp_path)


def test_parquet_without_duckdb_is_refused_aloud(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names what to install and what needs nothing; no folder is left."""

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(exports, "import_module", missing)
    with pytest.raises(UsageError, match=r"oms\[audit\]"):
        export(reader, tmp_path / "out", "parquet")
    assert list(tmp_path.glob("out*")) == []


def test_parquet_holds_every_row(reader: Reader, tmp_path: Path) -> None:
    """Rows, their texts and links stand in the file as they stand in the journal."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: Parquet is not tested")
    made = export(reader, tmp_path / "out", "parquet", by_day=True)
    found = duckdb.sql(f"SELECT seq, at_us, data, hash FROM '{tmp_path / 'out'}/*.parquet' ORDER BY seq").fetchall()
    assert [(seq, at, data, link) for seq, at, data, link in found] == [
        (row[0], row[1], row[7], stored.hex()) for row, stored in exports.rows(reader)
    ]
    assert len(found) == made.rows


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_only_the_owner_can_read_what_the_journal_leaves(days: Path, tmp_path: Path, format_: str) -> None:
    """Database, log, anchors, last verification and export: whatever the process's mask, no other user reads them."""
    if format_ == "parquet":
        pytest.importorskip("duckdb")
    before = os.umask(0)
    try:
        opened = open_reader(f"sqlite:///{days}")
        verify_on(opened, START, full=True)
        export(opened, tmp_path / "out", format_, by_day=True)
        bring_in_from = tmp_path / "plain"
        export(opened, bring_in_from)
        bring_in(bring_in_from, tmp_path / "new.db", FakeClock())
        files = [*days.parent.iterdir(), *(tmp_path / "out").iterdir(), tmp_path / "new.db"]
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files}
        opened.close()
    finally:
        os.umask(before)
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    assert {"oms.db", "oms.db.anchors", "oms.db.verified", "manifest.json"} <= set(modes)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
