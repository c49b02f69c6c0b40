"""The power fails at any instant: whatever the disk kept, each order the broker accepted stood in the journal before."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from oms.errors import DamagedError
from oms.gateways.paper.log import LogEntry, LogKind
from oms.journal.reader import NoJournal
from oms.model.event import OrderReserved
from tests.kill.account import Account, Server, Weather, some
from tests.tools.disk import Deed, Disk, deeds, recording

FAIR = Weather(name="fair", settings={"LEASE": "2s", "ORDER_DEADLINE": "600s"})
TORN = 2
"""Torn mixtures an instant and a state of the names, besides all and nothing."""
FILES = {
    "journal": ("oms.db", "oms.db-wal", "oms.db-journal", "oms.db.anchors"),
    "paper": ("paper.db", "paper.db-wal", "paper.db-journal"),
}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Deed]]:
    """One undisturbed run of the program itself, and all that it did to its files."""
    return recorded(tmp_path_factory.mktemp("recorded"))


def recorded(folder: Path, patch: str = "") -> tuple[Path, list[Deed]]:
    """Run a cycle under the recorder; ``patch`` is Python that weakens the program first."""
    account = Account(folder / "account", FAIR)
    record = folder / "deeds"
    environment = recording(account.folder / "var", record)
    if patch:
        (folder / "sitecustomize.py").write_text(patch, "utf-8")
        environment["PYTHONPATH"] = str(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        ended = account.run()
    assert ended.code == 0, ended
    return account.folder, deeds(record)


class Cuts:
    """Every cut of one recorded life, each with what the disk may have kept and what the broker had accepted."""

    def __init__(self, folder: Path, life: list[Deed], *, seed: int = 1, torn: int = TORN) -> None:
        self._var = folder / "var"
        self._life = life
        self._chance = Random(seed)
        self._torn = torn

    def paths(self, what: str) -> list[str]:
        return [str(self._var / name) for name in FILES[what]]

    def images(self, instants: set[int]) -> Iterator[tuple[str, dict[str, bytes], dict[str, bytes]]]:
        """For each instant, by the number of its last deed: images of the journal's files, and the broker's files."""
        disk, journal, paper = Disk(), self.paths("journal"), self.paths("paper")
        for number, deed in enumerate(self._life):
            disk.do(deed)
            if number in instants:
                at_broker = disk.running(paper)
                for kind, image in enumerate(disk.images(journal, self._chance, self._torn)):
                    yield f"after deed {number} ({deed.kind} {Path(deed.path).name}), image {kind}", image, at_broker

    def instants(self, most: int) -> set[int]:
        """Instants at which the journal's files or the broker's book had just changed, evenly spread."""
        ours = {*self.paths("journal"), *self.paths("paper"), str(self._var)}
        return set(some([number for number, deed in enumerate(self._life) if deed.path in ours], most))


def laid(folder: Path, *images: dict[str, bytes]) -> Account:
    """An account that was found like this."""
    account = Account(folder, FAIR)
    (folder / "var").mkdir(mode=0o700)
    for image in images:
        for path, content in image.items():
            file = folder / "var" / Path(path).name
            file.write_bytes(content)
            file.chmod(0o600)
    return account


def recovered(file: Path) -> int:
    """Let SQLite bring a file to its last commit, as the next writer would; how many tables and indices it then has."""
    with closing(sqlite3.connect(file)) as raw:
        (verdict,) = raw.execute("PRAGMA integrity_check").fetchone()
        assert verdict == "ok", verdict
        count: int = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return count


def accepted(account: Account) -> list[LogEntry]:
    """What the broker had accepted."""
    if not account.paper.exists() or not recovered(account.paper):
        return []
    return [row for row in account.log() if row.kind is LogKind.ACCEPTED]


def wrong(account: Account) -> str | None:
    """What is wrong with a journal after a cut: it does not open, its chain is broken, or an order is not in it."""
    try:
        known = recovered(account.journal) if account.journal.exists() else 0
        orders = accepted(account)
        if not known:
            return "the broker holds orders, and the journal knows nothing of it" if orders else None
        facts = account.facts()
        account.verify("chain")
    except NoJournal:
        return "the broker holds orders, and the journal is only half made" if orders else None
    except (sqlite3.DatabaseError, DamagedError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"
    reserved = {fact.event.order_no: fact.event for fact in facts if isinstance(fact.event, OrderReserved)}
    for order in orders:
        row = reserved.get(order.order_no or "")
        if row is None:
            return f"the broker holds {order.user_mark}, and the journal knows nothing of it"
        outside = (order.user_mark, order.symbol, order.side, order.qty, order.price)
        if outside != (row.cl_ord_id, row.symbol, row.side, Decimal(row.order_qty), row.price):
            return f"the broker's {order.user_mark} is another order than the journal's"
    return None


def findings(cuts: Cuts, instants: set[int], folder: Path) -> tuple[int, list[str]]:
    """How many images there were, and what is wrong with some."""
    found, seen, count = [], set(), 0
    for name, journal, paper in cuts.images(instants):
        count += 1
        key = hash((tuple(sorted(journal.items())), tuple(sorted(paper.items()))))
        if key in seen:
            continue
        seen.add(key)
        problem = wrong(laid(folder / str(count), journal, paper))
        shutil.rmtree(folder / str(count))  # there may be many thousands
        if problem is not None:
            found.append(f"{name}: {problem}")
    return count, found


def test_no_cut_loses_an_order_that_the_broker_holds(life: tuple[Path, list[Deed]], folder: Path) -> None:
    """A hundred images and more of one cycle: each opens, its chain holds, and it knows every accepted order."""
    cuts = Cuts(*life)
    count, found = findings(cuts, cuts.instants(30), folder)
    assert found == []
    assert count >= 100


@pytest.mark.nightly
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", range(3))
def test_no_cut_at_any_instant_loses_an_order(life: tuple[Path, list[Deed]], folder: Path, seed: int) -> None:
    """Every instant of a cycle, with many torn mixtures of each."""
    cuts = Cuts(*life, seed=seed, torn=12)
    _, found = findings(cuts, cuts.instants(1_000_000), folder)
    assert found == []


WEAK = """\
import sys
class Weaken:
    def find_spec(self, name, path=None, target=None):
        if name == "oms.journal.store":
            sys.meta_path.remove(self)
            import oms.journal.connection as connection
            tune = connection.tune_writer
            def weaker(raw, **how):
                tune(raw, **how)
                raw.execute("PRAGMA journal_mode = MODE")
            connection.tune_writer = weaker
            def set_synchronous(raw, level):
                raw.execute("PRAGMA synchronous = LEVEL")
            connection.set_synchronous = set_synchronous
        return None
sys.meta_path.insert(0, Weaken())
"""
"""Run before the program: the journal opened with weaker promises of durability."""


def weak(mode: str, level: str) -> str:
    return WEAK.replace("MODE", mode).replace("LEVEL", level)


def test_the_images_show_a_barrier_that_does_not_reach_the_disk(tmp_path: Path, folder: Path) -> None:
    """With ``synchronous=NORMAL`` in place of FULL, cuts lose orders that the broker holds, and these images show it."""
    cuts = Cuts(*recorded(tmp_path, weak("WAL", "NORMAL")))
    _, found = findings(cuts, cuts.instants(60), folder)
    assert any("the journal knows nothing of it" in each for each in found)


TELLING = """\
import os, sqlite3, sys
raw = sqlite3.connect("rows.db", isolation_level=None)
raw.execute("PRAGMA journal_mode = " + sys.argv[1])
raw.execute("PRAGMA synchronous = " + sys.argv[2])
raw.execute("CREATE TABLE rows (n INTEGER)")
told = os.open("told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for n in range(5):
    raw.execute("INSERT INTO rows VALUES (?)", (n,))
    os.write(told, b"%d\\n" % n)
os._exit(0)
"""
"""The smallest program that tells the world only what is committed."""


@pytest.mark.parametrize(
    ("mode", "level", "keeps"),
    [("WAL", "FULL", True), ("DELETE", "EXTRA", True), ("DELETE", "FULL", False), ("WAL", "NORMAL", False)],
)
def test_the_images_know_which_promises_of_sqlite_hold(tmp_path: Path, mode: str, level: str, keeps: bool) -> None:
    """What was told after a commit is in every image with WAL and FULL or DELETE and EXTRA, and in some is not otherwise."""
    var = tmp_path / "var"
    var.mkdir()
    environment = {**os.environ, **recording(var, tmp_path / "deeds")}
    subprocess.run([sys.executable, "-c", TELLING, mode, level], cwd=var, env=environment, check=True)
    names = [str(var / name) for name in ("rows.db", "rows.db-wal", "rows.db-journal")]
    disk, chance, lost, looked = Disk(), Random(3), 0, 0
    for deed in deeds(tmp_path / "deeds"):
        disk.do(deed)
        told = disk.running([str(var / "told")]).get(str(var / "told"), b"").count(b"\n")
        for image in disk.images(names, chance, torn=2) if deed.path in {*names, str(var / "told")} else ():
            looked += 1
            lost += rows_in(image, tmp_path / f"image-{looked}") < told
    assert (lost == 0) is keeps, f"{lost} of {looked} images"


def rows_in(image: dict[str, bytes], folder: Path) -> int:
    """How many rows a database that was found like this still has."""
    folder.mkdir()
    for path, content in image.items():
        (folder / Path(path).name).write_bytes(content)
    with closing(sqlite3.connect(folder / "rows.db")) as raw:
        if not raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return 0
        count: int = raw.execute("SELECT count(*) FROM rows").fetchone()[0]
        return count


@pytest.fixture
def after_the_cut(folder: Path, server: Server) -> Callable[[int, dict[str, bytes], dict[str, bytes]], Account]:
    """An account whose machine starts again."""

    def make(number: int, journal: dict[str, bytes], paper: dict[str, bytes]) -> Account:
        account = laid(folder / f"resumed-{number}", journal, paper)
        accepted(account)
        return Account(account.folder, FAIR, server)

    return make


def test_the_next_start_after_a_cut_ends_the_cycle_lawfully(
    life: tuple[Path, list[Deed]],
    after_the_cut: Callable[[int, dict[str, bytes], dict[str, bytes]], Account],
) -> None:
    """The machine starts again on some of the images: what is in doubt is asked about, and every law holds at the end."""
    cuts = Cuts(*life, seed=7, torn=1)
    images = some(list(cuts.images(cuts.instants(40))), 24)
    for number, (name, journal, paper) in enumerate(images):
        account = after_the_cut(number, journal, paper)
        ended = account.run(boot=f"boot {number}")
        while ended.code == 6:  # the lease of the process that lost its power runs out after two seconds
            ended = account.run(boot=f"boot {number}")
        assert ended.code == 0, (name, ended)
        account.judge(name)
        account.verify(name)
        marks = account.accepted()
        assert len(marks) == len(set(marks)), name
