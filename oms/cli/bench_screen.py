"""``bench screen``: how long one selection takes once its bars are there."""

from __future__ import annotations

import statistics

import click

from oms.cli import options


@click.command()
@options.common
@options.as_json
@click.option("--rounds", type=click.IntRange(1, 1000), default=15, show_default=True, help="Screens to time.")
def screen(*, json_: bool, rounds: int) -> None:
    """Time the screen of 118 symbols over a year of bars, from the filters to the wishes."""
    from oms.bench import screen as room

    clock, work = room.rounds(rounds)
    figures = {name: _figures(seconds) for name, seconds in (("clock", clock), ("process", work))}
    if json_:
        found = {"symbols": room.SYMBOLS, "days": room.DAYS, "seconds": figures, "goal": room.GOAL_S}
        options.print_json("oms.bench.screen/1", found)
        return
    click.echo(f"{room.SYMBOLS} symbols, {room.DAYS} days, {rounds} rounds; the goal is {room.GOAL_S * 1000:.0f} ms")
    for name, meaning in (("clock", "by the clock"), ("process", "of this process's own work")):
        ms = {each: seconds * 1000 for each, seconds in figures[name].items()}
        click.echo(f"  {ms['median']:.1f} ms {meaning} (median; {ms['min']:.1f} to {ms['max']:.1f})")


def _figures(seconds: list[float]) -> dict[str, float]:
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}
