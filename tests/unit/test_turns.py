"""The programs that the bench runs by turns: that they do the work they are timed for; never how long it takes."""

from __future__ import annotations

import pickle
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from oms.bench import after_a_kill, on_a_server, postgres, syncs, turns
from oms.bench.figures import Setting
from oms.bench.floor import COMMITS
from oms.errors import TryAgainError

ROWS = [(number, "fact", b"hash") for number in range(7)]


def stored(folder: Path) -> Path:
    file = folder / "rows.pickle"
    file.write_bytes(pickle.dumps(ROWS))
    return file


def setting(folder: Path) -> Setting:
    return Setting(folder=folder, quick=True, rows=0, peers=None, postgres="postgresql://given", say=lambda _: None)


def test_the_floor_writes_every_row_of_every_cycle(tmp_path: Path) -> None:
    """Whatever does not divide by three commits, too."""
    pace = turns.paces([turns.the_floor(tmp_path, stored(tmp_path))], 2, [3])[0]
    assert len(pace.rates) == 2
    with sqlite3.connect(tmp_path / "floor" / "floor.db") as raw:
        (count,) = raw.execute("SELECT count(*) FROM facts").fetchone()
    raw.close()
    assert count == 3 * 3 * len(ROWS), "one round warms up, two count"


@pytest.mark.skipif(syncs.library() is None, reason=syncs.NEEDED)
def test_the_floor_asks_the_disk_three_times_a_cycle(tmp_path: Path) -> None:
    """It is the least durable work: a barrier for each phase that sends, and one before the end is told."""
    assert turns.syncs_a_cycle(turns.the_floor(tmp_path, stored(tmp_path)), 2, 4) == [COMMITS, COMMITS]


def test_a_killed_cycle_is_left_open_and_reconciled_in_two_commits(tmp_path: Path) -> None:
    """What is timed as a resumption is one: the lease, and one barrier with all that asking taught; again and again."""
    killed = after_a_kill._ours(tmp_path, 1)
    assert [killed.again()[1] for _ in range(2)] == [["RECONCILED", "2"]] * 2


def test_a_program_that_ends_early_says_why(tmp_path: Path) -> None:
    """Its last complaint is in the error, and nothing waits for it."""
    command = (sys.executable, "-c", "import sys; sys.exit('no such product')")
    program = turns.Program(name="a peer", command=command, folder=tmp_path)
    with pytest.raises(TryAgainError, match="a peer ended before it answered: no such product"):
        turns.paces([program], 1, [1])
    with pytest.raises(TryAgainError, match="not RECONCILED"):
        turns.until_word(command, "RECONCILED")


def test_figures_of_a_server_come_from_its_best_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growth is that of two workers against one; the rest is told of the number that came nearest to the server's rate."""

    def bench(url: str, workers: list[int], *_: Any) -> dict[str, Any]:
        assert url == "postgresql://given"
        (count,) = workers
        rate = {1: 10.0, 2: 30.0, 4: 20.0}[count]
        figures = {"cycles_a_second": rate, "of_the_floor": rate / 100, "floor_cycles_a_second": 100.0}
        figures["bytes_an_event"] = 800.0
        return {"runs": [{**figures, "syncs_a_cycle": 1 / count, "bytes_a_small_fact": 300.0 + count}]}

    monkeypatch.setattr(postgres, "bench", bench)
    found = on_a_server.on_a_server(setting(tmp_path), {"G2", "G10", "G16"})
    values = {(f.goal, f.mark): f.measured.median for f in found if f.measured is not None}
    assert values == {
        ("G2", "syncs"): 0.5,
        ("G10", "postgres"): 302.0,
        ("G16", "rate"): 0.3,
        ("G16", "growth"): 3.0,
    }
