"""What a command costs before it does anything, and whether a worker grows (G11, G17)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from oms.bench.cycle import bench
from oms.bench.figures import Setting, beside, every_mark, found, missing
from oms.bench.record import Figure
from oms.bench.turns import ROOT, environment

HEAVY = frozenset({"pandas", "yfinance", "tigeropen", "alembic", "fastapi"})
COMMAND = "import sys; sys.path.insert(0, {root!r}); from oms.cli import main; main({arguments!r})"
NAMES = (
    "import atexit, json, sys; sys.path.insert(0, {root!r});"
    "atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr));"
    "from oms.cli import main; main({arguments!r})"
)
MEMORY = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from oms.bench.cycle import bench

def resident():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1])

with bench(Path(sys.argv[2]), 1, 1) as running:
    for _ in range(100):
        running.cycle()
    early = resident()
    for _ in range(int(sys.argv[3]) - 100):
        running.cycle()
    print(early, resident())
"""


def commands(setting: Setting) -> list[Figure]:
    """G11."""
    if not hasattr(os, "wait4"):
        return missing("G11", every_mark("G11"), "this system does not tell what a process cost")
    place = setting.folder / "commands"
    place.mkdir()
    (place / "config.yaml").write_text("account: bench\njournal: {url: 'sqlite:///bench.db'}\n", "utf-8")
    with bench(place) as made:
        made.cycle()
    asked = {"help": ["--help"], "status": ["status"]}
    setting.say(f"G11: {setting.rounds} rounds by turns …")
    bare, ours = [], {name: list[float]() for name in asked}
    for _ in range(setting.rounds + 1):
        bare.append(_cost("pass", place))
        for name, arguments in asked.items():
            ours[name].append(_cost(COMMAND.format(root=str(ROOT), arguments=arguments), place))
    bare = bare[1:]
    figures = []
    for name, seconds in ours.items():
        ratios = [mine / least for mine, least in zip(seconds[1:], bare, strict=True)]
        middle = median(seconds[1:]) * 1000
        floor = beside("a bare interpreter", [s * 1000 for s in bare], "ms of a processor", median(ratios))
        figures.append(found("G11", name, ratios, f"{middle:.0f} ms of a processor", floor=floor))
    heavy = set().union(*(_imported(arguments, place) for arguments in asked.values())) & HEAVY
    return [*figures, found("G11", "imports", [float(len(heavy))], ", ".join(sorted(heavy)) or "none of them")]


def _cost(code: str, folder: Path) -> float:
    """Processor seconds of a whole process."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{code} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _imported(arguments: Sequence[str], folder: Path) -> set[str]:
    code = NAMES.format(root=str(ROOT), arguments=list(arguments))
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def memory(setting: Setting) -> list[Figure]:
    """G17."""
    if not Path("/proc/self/statm").exists():
        return missing("G17", every_mark("G17"), "memory is read from /proc")
    cycles = 1_000 if setting.quick else 10_000
    setting.say(f"G17: {cycles:,} cycles …")
    place = setting.folder / "memory"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", MEMORY, str(ROOT), str(place), str(cycles)],
        capture_output=True,
        text=True,
        check=True,
    )
    early, late = map(int, done.stdout.split())
    return [found("G17", "memory", [late / early], f"{cycles:,} cycles of 2 orders against 100; {late * 4 // 1024} MB")]
