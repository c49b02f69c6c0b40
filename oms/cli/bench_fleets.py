"""``bench postgres|fleet``: cycles beside what a server can commit, and what a fleet needs."""

from __future__ import annotations

import click

from oms.cli import options
from oms.errors import UsageError


@click.command()
@options.common
@options.as_json
@click.option("--workers", default="1,2,4", show_default=True, help="Numbers of worker processes, one run for each.")
@click.option("--accounts", type=click.IntRange(1, 1000), default=64, show_default=True, help="Each with a connection.")
@click.option("--seconds", type=click.FloatRange(min=0.5), default=10.0, show_default=True, help="Of each run.")
@click.argument("url")
def postgres(*, json_: bool, workers: str, accounts: int, seconds: float, url: str) -> None:
    """Time whole cycles on the PostgreSQL at URL, beside what that server itself can commit.

    A schema oms_bench is made in the database, and dropped again.
    """
    from oms.bench import postgres as room

    try:
        counts = [int(each) for each in workers.split(",")]
    except ValueError:
        raise UsageError(f"--workers {workers}: expected numbers with commas between, such as 1,2,4") from None
    found = room.bench(url, counts, accounts, seconds, lambda text: click.echo(text, err=True))
    if json_:
        options.print_json("oms.bench.postgres/1", found)
        return
    for run in found["runs"]:
        server = run["server_ms_a_cycle"]
        there = "not told" if server is None else f"{server:.0f} ms"
        click.echo(
            f"{run['workers']} workers, {run['accounts']} accounts: {run['cycles_a_second']:.1f} cycles a second "
            f"({run['of_one_worker']:.2f} of one worker's), {run['of_the_floor']:.3f} of the floor "
            f"({run['floor_cycles_a_second']:.0f}: three commits of the same bytes)"
        )
        click.echo(
            f"  {run['commits_a_second']:,.0f} commits a second, {run['of_its_commits']:.2f} of the "
            f"{run['own_commits_a_second']:,.0f} that the server makes of tiny rows"
        )
        click.echo(
            f"  {run['syncs_a_cycle']} log flushes a cycle, {run['own_syncs_a_cycle']} of them the server's own; "
            f"processor time of a cycle: workers {run['worker_ms_a_cycle']:.0f} ms, server {there}, of "
            f"{found['processors']} processors; {run['bytes_an_event']:.0f} bytes an event, a small "
            f"one alone {run['bytes_a_small_fact']:.0f}"
        )


@click.command()
@options.common
@options.as_json
@click.option("--accounts", type=click.IntRange(min=1), default=100_000, show_default=True, help="Of the fleet.")
@click.option("--every", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds between turns.")
@click.option("--turn", type=click.FloatRange(min=0.001), default=0.25, show_default=True, help="Seconds of a turn.")
@click.option("--cpu", type=click.FloatRange(min=0.0), default=0.05, show_default=True, help="Of which computing.")
@click.option(
    "--server-cpu", type=click.FloatRange(min=0.0), default=0.02, show_default=True, help="Server's, of a cycle."
)
@click.option("--cycles", type=click.FloatRange(min=0.0), default=6.0, show_default=True, help="Cycles a day each.")
@click.option("--events", type=click.FloatRange(min=1), default=108.0, show_default=True, help="Events a cycle.")
@click.option("--bytes", "bytes_", type=click.FloatRange(min=1), default=700.0, show_default=True, help="An event.")
@click.option("--syncs", type=click.FloatRange(min=0), default=0.5, show_default=True, help="Log flushes a cycle.")
@click.option("--commits", type=click.FloatRange(min=1), default=17.0, show_default=True, help="Commits a cycle.")
@click.option(
    "--own", type=click.FloatRange(min=1), default=5000.0, show_default=True, help="Commits a second, server."
)
def fleet(*, json_: bool, accounts: int, every: float, **figures: float) -> None:
    """Work out what a fleet needs, and simulate its turns; measure the figures with `bench postgres` and `fleet status`."""
    from oms.bench import capacity as room

    load = room.Load(accounts=accounts, every_s=every, cycles_a_day=figures["cycles"], events_a_cycle=figures["events"])
    measured = room.Coefficients(
        turn_s=figures["turn"],
        cpu_s=figures["cpu"],
        server_cpu_s=figures["server_cpu"],
        bytes_an_event=figures["bytes_"],
        syncs_a_cycle=figures["syncs"],
        own_commits_a_second=figures["own"],
        commits_a_cycle=figures["commits"],
    )
    needs = room.capacity(load, measured)
    runs = [room.simulate(load, measured, max(round(needs["lanes"] * f), 1), 3 * every) for f in (0.9, 1.1, 1.25, 1.5)]
    if json_:
        options.print_json("oms.bench.fleet/1", {"needs": needs, "simulated": runs})
        return
    for name, value in needs.items():
        click.echo(f"{name.replace('_', ' '):<22}{value:>14,}")
    click.echo("how late turns begin, in seconds")
    for run in runs:
        late = run["late_s"]
        click.echo(
            f"  {run['lanes']:>6} lanes: median {late['p50']}, 99 in 100 within {late['p99']}, the last {late['max']}"
        )


@click.command()
@options.common
@options.as_json
@click.option(
    "--rows", type=click.IntRange(1000, 100_000_000), default=400_000, show_default=True, help="Of each layout."
)
@click.option("--accounts", type=click.IntRange(1, 100_000), default=200, show_default=True, help="That they are of.")
@click.argument("url")
def partitions(*, json_: bool, rows: int, accounts: int, url: str) -> None:
    """Time facts in one table, split by account, by month and by both, on the PostgreSQL at URL."""
    from oms.bench import partitions as room

    found = room.bench(url, rows, accounts)
    if json_:
        options.print_json("oms.bench.partitions/1", found)
        return
    click.echo(f"{rows:,} rows of {accounts:,} accounts")
    for name, figures in found["layouts"].items():
        click.echo(
            f"  {name:<12}{figures['rows_a_second']:>9,} rows a second, {figures['bytes_a_row']} bytes a row; last row of "
            f"an account {figures['last_row_ms']} ms, a cycle by its id {figures['cycle_ms']} ms, a month of all "
            f"{figures['month_ms']} ms"
        )
