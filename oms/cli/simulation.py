"""``sim run|replay|points``: the engine in a seeded, hostile world, and the instants at which it can be killed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from oms import crashpoints
from oms.cli import options
from oms.cli.layout import table
from oms.cli.reading import Answer, show

if TYPE_CHECKING:  # the simulator is imported by the commands that need it
    from oms.model.rules import Rules
    from oms.sim.campaign import Report

CYCLES = click.IntRange(1, 500)
RED = 1
"""Exit code of a campaign in which a law broke."""


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

    With --config FILE the cycles run under the limits of that configuration; else each seed draws its own.
    """
    from oms.cli.campaigning import Bar
    from oms.sim.campaign import Report, campaign, cores

    report = Report()
    with Bar(seeds) as bar:
        worlds = range(start, start + seeds)
        for report in campaign(worlds, _rules(), jobs=jobs or cores(), in_ram=in_ram, cycles=cycles):
            bar.move(report.seeds, report.tally.cycles, len(report.failures))
    show(_report(report, start, cycles, in_ram=in_ram), _told, json_=json_)
    return RED if report.failures else 0


def _rules() -> Rules | None:
    """The user's own limits, where ``--config`` names any."""
    if options.config_file() is None:
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
    rate = answer["seeds"] / max(answer["seconds"], 0.1)
    yield (
        f"{answer['seeds']} worlds from seed {answer['start']} in {answer['seconds']} s ({rate:.1f} a second), journal: "
        f"{answer['store']}"
    )
    yield (
        f"{answer['cycles']} cycles, {answer['processes']} processes, {answer['facts']} facts, "
        f"{sum(answer['faults'].values())} faults, {sum(answer['deaths'].values())} deaths"
    )
    yield "outcomes: " + ", ".join(f"{count} {name}" for name, count in answer["outcomes"].items())
    yield ""
    names = ["between" if phase == "-" else phase.lower() for phase in answer["phases"]]
    rows = [
        [each["fault"], *(str(count or "·") for count in each["counts"]), f"{each['statuses']}"]
        for each in answer["coverage"]
        if any(each["counts"])
    ]
    yield from table(["fault", *names, "statuses met"], rows, right="l" + "r" * 6)
    yield ""
    yield from table(["died at", "times"], [[name, str(count)] for name, count in answer["deaths"].items()], right="lr")
    if answer["unvisited"]:
        yield ""
        yield f"corners not visited ({len(answer['unvisited'])}): " + ", ".join(answer["unvisited"])
    yield ""
    where = " --in-ram" if answer["store"] == "list" else ""
    where += f" --cycles {answer['cycles_each']}" if answer["cycles_each"] else ""
    for failure in answer["failures"]:
        yield f"seed {failure['seed']}: {failure['violations'][0]}"
        yield f"  oms sim replay {failure['seed']}{where}"
    broken = len(answer["failures"])
    yield f"{broken} worlds broke a law" if broken else "no law was broken"


@sim.command()
@options.common
@click.argument("seed", type=click.IntRange(0))
@click.option("--trace", is_flag=True, help="Show every event: facts, faults, requests, and crash points passed.")
@click.option("--shrink", "shorten", is_flag=True, help="Leave out what the failure does not need.")
@click.option(
    "--without", default="", metavar="NAMES", help="Parts to leave out, with commas, as a shrunk seed names them."
)
@click.option("--in-ram", is_flag=True, help="Keep the journal in a plain list, as in the campaign that failed.")
@click.option("--cycles", type=CYCLES, help="Cycles of the world, as in the campaign that failed.")
def replay(*, seed: int, trace: bool, shorten: bool, without: str, in_ram: bool, cycles: int | None) -> int:
    """Live one seeded world again, event by event, and say which laws it breaks."""
    from oms.sim.judge import judge
    from oms.sim.scenario import draw
    from oms.sim.shrink import command, shrink

    drawn = draw(seed, _rules(), on_sqlite=not in_ram, cycles=cycles)
    scenario = drawn.leaving_out(name for name in without.split(",") if name)
    verdict = judge(scenario, None if shorten or not trace else click.echo)
    if verdict.failed and shorten:
        verdict = shrink(verdict, say=lambda line: click.echo(line, err=True))
        judge(verdict.scenario, click.echo if trace else None)
    left = [name for name in (*verdict.scenario.names(), *verdict.struck) if name not in verdict.scenario.without]
    click.echo(
        f"{verdict.tally.cycles} cycles, {verdict.tally.processes} processes; weather: {', '.join(left) or 'fair'}"
    )
    for violation in verdict.violations:
        click.echo(violation)
    click.echo(f"trace {verdict.digest}")
    click.echo(command(verdict.scenario) if verdict.failed else "no law was broken")
    return RED if verdict.failed else 0


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
