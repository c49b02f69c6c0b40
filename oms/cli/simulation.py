"""``sim run|replay|points``: the engine in a seeded, hostile world, and the instants at which it can be killed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from oms import crashpoints
from oms.cli import options
from oms.cli.layout import count, table
from oms.cli.reading import Answer, show
from oms.errors import UsageError

if TYPE_CHECKING:  # the simulator is imported by the commands that need it
    from oms.model.rules import Rules
    from oms.sim.campaign import Report

CONFIG_FILE = "config.yaml"
CYCLES = click.IntRange(1, 500)
RED = 1
"""Exit code of a campaign in which a law broke."""
_STOPPING = "oms: stopping; what was lived so far is told. Once more ends it at once."


@click.group()
def sim() -> None:
    """The engine in hostile weather, and the points at which it can be killed."""


@sim.command()
@options.common
@options.as_json
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True, help="Worlds to live.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="The first seed.")
@click.option("--cycles", type=CYCLES, help="Cycles of each world, for long lives. Default: one to three, by chance.")
@click.option("--jobs", type=click.IntRange(1), help="Processes at once. Default: the cores of this machine.")
@click.option("--in-ram", is_flag=True, help="Keep the journal in a plain list, for volume, instead of the real store.")
def run(*, json_: bool, seeds: int, start: int, cycles: int | None, jobs: int | None, in_ram: bool) -> int:
    """Live many seeded worlds and hold every law against each.

    With --config FILE the cycles run under the limits of that configuration; else each seed draws its own. Nothing is sent
    anywhere, and no journal of yours is touched. Ctrl-C ends it and tells what was lived so far.
    """
    from oms.cli.campaigning import Bar
    from oms.cli.stopping import Stopping
    from oms.sim.campaign import Report, campaign, cores

    report, rules, stopping = Report(), _rules(), Stopping(notice=_STOPPING, outlives_terminal=False)
    worlds = range(start, start + seeds)
    with stopping.listening(), Bar(seeds) as bar:
        for report in campaign(
            worlds, rules, jobs=jobs or cores(), in_ram=in_ram, cycles=cycles, stopped=lambda: stopping() is not None
        ):
            bar.move(report.seeds, report.tally.cycles, len(report.failures))
    code = stopping() if report.seeds < seeds else None
    show({**_report(report, start, cycles, in_ram=in_ram), "asked": seeds}, _told, json_=json_)
    return code or (RED if report.failures else 0)


def _rules() -> Rules | None:
    """The user's own limits, where ``--config`` names any; a file that lies about is not taken for what is asked for."""
    if options.config_file() is None:
        if Path(CONFIG_FILE).is_file():
            click.echo(f"oms: {CONFIG_FILE} is not used; `--config {CONFIG_FILE}` rehearses its limits", err=True)
        return None
    from oms import app

    return app.rules_of(options.configuration().config)


def _report(report: Report, start: int, cycles: int | None, *, in_ram: bool) -> Answer:
    from oms.sim.campaign import PHASES, coverage, unvisited

    tally = report.tally
    return {
        "schema": "oms.sim-run/1",
        "seeds": report.seeds,
        "start": start,
        "cycles_each": cycles,
        "config": None if (file := options.config_file()) is None else str(file),
        "store": "list" if in_ram else "sqlite in memory",
        "seconds": round(report.seconds, 1),
        "cycles": tally.cycles,
        "processes": tally.processes,
        "facts": tally.facts,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "faults": dict(sorted(tally.faults.items())),
        "deaths": dict(sorted(tally.deaths.items())),
        "phases": list(PHASES),
        "coverage": [
            {"fault": corner.fault, "counts": list(corner.counts), "statuses": corner.statuses}
            for corner in coverage(tally)
        ],
        "unvisited": unvisited(tally),
        "failures": [{"seed": failure.seed, "violations": list(failure.violations)} for failure in report.failures],
    }


def _told(answer: Answer) -> Iterator[str]:
    from oms.cli.walking import corners

    rate = answer["seeds"] / max(answer["seconds"], 0.1)
    limits = "each with limits of its own" if answer["config"] is None else f"under the limits of {answer['config']}"
    yield (
        f"{count(answer['seeds'], 'world')} from seed {answer['start']}, {limits}, in {answer['seconds']} s "
        f"({rate:.1f} a second), journal: {answer['store']}"
    )
    yield ", ".join(
        count(number, noun)
        for number, noun in (
            (answer["cycles"], "cycle"),
            (answer["processes"], "process"),
            (answer["facts"], "fact"),
            (sum(answer["faults"].values()), "fault"),
            (sum(answer["deaths"].values()), "death"),
        )
    )
    if not answer["seeds"]:
        yield f"stopped before any of {count(answer['asked'], 'world')} was lived"
        return
    yield "outcomes: " + ", ".join(f"{count} {name}" for name, count in answer["outcomes"].items())
    yield ""
    yield "how often each fault struck, by the phase of the cycle, and in how many statuses it met an order:"
    names = ["between" if phase == "-" else phase.lower() for phase in answer["phases"]]
    rows = [
        [each["fault"], *(str(count or "·") for count in each["counts"]), f"{each['statuses']}"]
        for each in answer["coverage"]
        if any(each["counts"])
    ]
    yield from table(["fault", *names, "statuses"], rows, right="l" + "r" * 6)
    if answer["deaths"]:
        deaths = [[name, str(number)] for name, number in answer["deaths"].items()]
        yield ""
        yield from table(["died at", "times"], deaths, right="lr")
    yield from corners(answer["unvisited"], answer["seeds"])
    yield ""
    again = _as_lived(answer["config"], answer["cycles_each"], in_ram=answer["store"] == "list")
    for failure in answer["failures"]:
        yield f"seed {failure['seed']}: {failure['violations'][0]}"
        yield f"  oms sim replay {failure['seed']}{again}"
    broken = len(answer["failures"])
    yield f"{count(broken, 'world')} broke a law" if broken else "no law was broken"
    if answer["seeds"] < answer["asked"]:
        yield f"stopped after {answer['seeds']} of {answer['asked']} worlds"


def _as_lived(config: str | None, cycles: int | None, *, in_ram: bool) -> str:
    """The options under which a campaign lived a seed: without them it is another world."""
    words = ["--in-ram"] if in_ram else []
    words += [f"--cycles {cycles}"] if cycles is not None else []
    words += [f"--config {shlex.quote(config)}"] if config is not None else []
    return "".join(f" {word}" for word in words)


@sim.command()
@options.common
@click.argument("seed", type=click.IntRange(0))
@click.option(
    "--trace", is_flag=True, help="Show everything, whole: each fact to its last field, each crash point passed."
)
@click.option("--shrink", "shorten", is_flag=True, help="Leave out what the failure does not need.")
@click.option(
    "--without", default="", metavar="NAMES", help="Parts to leave out, with commas, as a shrunk seed names them."
)
@click.option("--in-ram", is_flag=True, help="Keep the journal in a plain list, as in the campaign that failed.")
@click.option("--cycles", type=CYCLES, help="Cycles of the world, as in the campaign that failed.")
def replay(*, seed: int, trace: bool, shorten: bool, without: str, in_ram: bool, cycles: int | None) -> int:
    """Live one seeded world again, event by event, and say which laws it breaks."""
    from oms.cli.walking import LEGEND, walker
    from oms.sim.judge import judge
    from oms.sim.scenario import draw
    from oms.sim.shrink import command, shrink

    drawn = draw(seed, _rules(), on_sqlite=not in_ram, cycles=cycles)
    scenario = drawn.leaving_out(_named(without))
    listener = click.echo if trace else walker(click.echo)
    if not trace:
        click.echo(LEGEND)
    verdict = judge(scenario, None if shorten else listener)
    if shorten:
        if verdict.failed:
            verdict = shrink(verdict, say=lambda line: click.echo(line, err=True))
        judge(verdict.scenario, listener)
    left = [name for name in (*verdict.scenario.names(), *verdict.struck) if name not in verdict.scenario.without]
    tally = verdict.tally
    click.echo(
        f"{count(tally.cycles, 'cycle')}, {count(tally.processes, 'process')}; weather: {', '.join(left) or 'fair'}"
    )
    for violation in verdict.violations:
        click.echo(violation)
    click.echo(f"trace {verdict.digest}")
    file = options.config_file()
    config = "" if file is None else f" --config {shlex.quote(str(file))}"
    click.echo(f"{command(verdict.scenario)}{config}" if verdict.failed else "no law was broken")
    return RED if verdict.failed else 0


def _named(without: str) -> list[str]:
    """The parts of a world to leave out.

    Raises:
        UsageError: one is none; left unsaid, a person would believe that it does not matter.
    """
    from oms.sim.faults import Fault

    names = [name.strip() for name in without.split(",") if name.strip()]
    for name in names:
        if re.split("[#@]", name)[0] not in set(Fault) and not re.fullmatch("[A-Z]+/[0-9]+", name):
            raise UsageError(
                f"--without {name}: no such part of a world; expected names as the weather of `sim replay` shows "
                "them: a fault (late), one time that it strikes (late#3, kill@2.send.before_call:1), a wish (AAA/1)"
            )
    return names


@sim.command()
@options.common
@options.as_json
@click.option("--step", type=click.IntRange(1), default=12, show_default=True, help="Try every so manieth crash point.")
@click.option("--pairs", is_flag=True, help="Two deaths in one life instead of one death under each fault.")
def sweep(*, json_: bool, step: int, pairs: bool) -> int:
    """Try every death at every crash point under every broker fault, for one small cycle, and count.

    --step 1 tries all of them, which takes a quarter of an hour.
    """
    from oms.sim import sweep as small

    rows: list[dict[str, Any]] = []
    for row in small.pairs(step=step) if pairs else small.singles(step=step):
        rows.append({"fault": row.fault, "death": row.death, "lives": row.lives, "broken": list(row.broken)})
        click.echo(f"{row.fault}, {row.death}: {row.lives} lives, {len(row.broken) or 'none'} broken", err=True)
    answer = {"schema": "oms.sim-sweep/1", "step": step, "rows": rows, "lives": sum(row["lives"] for row in rows)}
    show(answer, _swept, json_=json_)
    return RED if any(row["broken"] for row in rows) else 0


def _swept(answer: Answer) -> Iterator[str]:
    deaths = list(dict.fromkeys(row["death"] for row in answer["rows"]))
    faults = list(dict.fromkeys(row["fault"] for row in answer["rows"]))
    lives = {(row["fault"], row["death"]): str(row["lives"]) for row in answer["rows"]}
    rows = [[fault, *(lives.get((fault, death), "·") for death in deaths)] for fault in faults]
    yield from table(["fault", *deaths], rows, right="l" + "r" * len(deaths))
    broken = [each for row in answer["rows"] for each in row["broken"]]
    yield from broken
    yield f"{answer['lives']} lives, {len(broken) or 'none'} broken"


@sim.command()
@options.common
@options.as_json
def points(*, json_: bool) -> None:
    """List the instants at which OMS_CRASH_AT=NAME[:N] kills the process, at its N-th passage."""
    answer = {
        "schema": "oms.sim-points/1",
        "points": [{"name": name, "when": when} for name, when in crashpoints.POINTS.items()],
    }
    show(answer, _lines, json_=json_)


def _lines(answer: Answer) -> Iterator[str]:
    yield from table(["point", "when"], [[each["name"], each["when"]] for each in answer["points"]])
