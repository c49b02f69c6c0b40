"""Whole cycles beside the least durable work and beside other products, round by round (G1, G3, and G5 on SQLite)."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from oms.bench import syncs, turns
from oms.bench.cycle import bench
from oms.bench.figures import NO_PEERS, Setting, against, every_mark, found, missing
from oms.bench.floor import COMMITS
from oms.bench.goals import ORDERS
from oms.bench.record import Beside, Figure
from oms.bench.turns import Pace

SLOW_US = 2000
"""What each sync takes for G3."""
COUNTED = 6
"""Cycles whose syncs are counted, in each round."""
FLOOR = "three commits of the same rows (sqlite3)"


def stored_rows(folder: Path) -> Path:
    """The facts of one cycle of 20 orders as the product stores them, in a file for the floor."""
    place, file = folder / "rows", folder / "rows.pickle"
    place.mkdir()
    with bench(place) as made:
        made.cycle()
        file.write_bytes(pickle.dumps(made.rows_of_a_cycle()))
    return file


def syncs_of_a_cycle(setting: Setting) -> list[Figure]:
    """G1."""
    if syncs.library() is None:
        return missing("G1", every_mark("G1"), syncs.NEEDED)
    folder, rounds = setting.folder, 2 if setting.quick else 3
    rows = stored_rows(folder)
    bare = turns.syncs_a_cycle(turns.the_floor(folder, rows), rounds, COUNTED)
    others: list[tuple[str, list[float]]] = []
    if setting.peers is not None:
        for peer in (
            turns.dbos(folder, setting.peers, "wal"),
            turns.dbos(folder, setting.peers, "shipped"),
            turns.eventsourcing(folder, setting.peers),
        ):
            setting.say(f"G1: syncs of {peer.name} …")
            others.append((peer.name, turns.syncs_a_cycle(peer, rounds, 2)))
    figures = []
    for told in (True, False):
        for orders in ORDERS:
            setting.say(f"G1: syncs of {orders} orders, {'told' if told else 'in the worker'} …")
            cycles = COUNTED if orders <= 20 else 3
            ours = turns.syncs_a_cycle(turns.ours(folder, told=told, orders=orders), rounds, cycles)
            unit = "syncs a cycle"
            figures.append(
                found(
                    "G1",
                    f"{'told' if told else 'worker'}-{orders}",
                    ours,
                    f"{cycles} cycles a round",
                    floor=against(FLOOR, bare, unit, ours),
                    peers=[against(name, seen, unit, ours) for name, seen in others] if orders == 20 else (),
                )
            )
    return figures


def against_the_floor(setting: Setting) -> list[Figure]:
    """G3."""
    if syncs.library() is None:
        return missing("G3", every_mark("G3"), syncs.NEEDED)
    programs = [turns.ours(setting.folder, told=True), turns.the_floor(setting.folder, stored_rows(setting.folder))]
    sizes = [6, 20] if setting.quick else [20, 60]
    setting.say(f"G3: {setting.rounds} rounds by turns, each sync 2 ms …")
    ours, bare = turns.paces(programs, setting.rounds, sizes, slow_us=SLOW_US)
    ratios = [mine / least for mine, least in zip(ours.rates, bare.rates, strict=True)]
    waits = COMMITS * SLOW_US / 1e6
    idle = [(least + waits) / (mine + waits) for mine, least in zip(ours.processor_s, bare.processor_s, strict=True)]
    size = size_of(sizes[0], ours)
    floor = against(FLOOR, bare.rates, "cycles a second", ours.rates)
    return [found("G3", mark, ratios, size, floor=floor, by_processor=idle) for mark in ("told", "grouped")]


def against_dbos(setting: Setting) -> list[Figure]:
    """G5, where the journal is a file."""
    if setting.peers is None:
        return missing("G5", ["dbos-wal", "dbos-shipped"], NO_PEERS)
    folder = setting.folder
    programs = [
        turns.ours(folder, told=True),
        turns.dbos(folder, setting.peers, "wal"),
        turns.dbos(folder, setting.peers, "shipped"),
        turns.eventsourcing(folder, setting.peers),
        turns.the_floor(folder, stored_rows(folder)),
    ]
    sizes = [6, 2, 1, 2, 20] if setting.quick else [20, 4, 2, 4, 60]
    setting.say(f"G5: {setting.rounds} rounds by turns …")
    ours, wal, shipped, events, bare = turns.paces(programs, setting.rounds, sizes)
    floor = against(FLOOR, bare.rates, "cycles a second", ours.rates)
    size = size_of(sizes[0], ours)
    other = against(programs[3].name, events.rates, "cycles a second", ours.rates)
    return [
        times_faster(f"dbos-{name}", ours, theirs, name=program.name, size=size, floor=floor, others=[other])
        for name, theirs, program in (("wal", wal, programs[1]), ("shipped", shipped, programs[2]))
    ]


def times_faster(
    mark: str, ours: Pace, theirs: Pace, *, name: str, size: str, floor: Beside, others: Sequence[Beside] = ()
) -> Figure:
    """A mark of G5 from the rounds of both."""
    return found(
        "G5",
        mark,
        [mine / other for mine, other in zip(ours.rates, theirs.rates, strict=True)],
        size,
        floor=floor,
        peers=[against(name, theirs.rates, "cycles a second", ours.rates), *others],
        by_processor=[other / mine for mine, other in zip(ours.processor_s, theirs.processor_s, strict=True)],
    )


def size_of(cycles: int, ours: Pace) -> str:
    """How large a round was, and how fast it went."""
    text = f"{cycles} cycles a round, {median(ours.rates):.1f} a second"
    return f"{text}, {median(ours.processor_s) * 1000:.1f} ms of a processor each" if ours.processor_s else text
