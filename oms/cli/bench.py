"""``bench``: figures of speed, printed as numbers and never asserted by a test."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import click

from oms.cli import bench_all, bench_fleets, bench_screen, options


@click.group()
@options.common
def bench() -> None:
    """Time this program beside a broker that costs nothing."""


@bench.command()
@options.common
@options.as_json
@click.option("--serve", is_flag=True, help="Print READY, then run N cycles for each line N on stdin, as JSON seconds.")
@click.option("--cycles", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Cycles to run.")
@click.option("--sells", type=click.IntRange(0, 1000), default=10, show_default=True, help="Sells a cycle.")
@click.option("--buys", type=click.IntRange(0, 1000), default=10, show_default=True, help="Buys a cycle.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False),
    help="Where the journal of the bench is made and removed; its disk is what is measured. Default: the temporary folder.",
)
def cycle(*, serve: bool, json_: bool, cycles: int, sells: int, buys: int, folder: str | None) -> None:
    """Time whole cycles: journal on disk, full durability, limits lifted openly."""
    from oms.bench import cycle as room

    with tempfile.TemporaryDirectory(prefix="oms-bench-", dir=folder) as made:
        if serve:
            room.serve(Path(made), sys.stdin, sys.stdout)
            return
        with room.bench(Path(made), sells, buys) as running:
            seconds = [running.cycle() for _ in range(cycles)]
            commits = running.journal.commits
            rows = running.journal.state.seq
    found = {
        "cycles": cycles,
        "orders_per_cycle": sells + buys,
        "seconds": {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)},
        "barriers_per_cycle": round(commits.barrier / cycles, 2),
        "soft_commits_per_cycle": round(commits.soft / cycles, 2),
        "events_per_cycle": round(rows / cycles, 1),
    }
    if json_:
        options.print_json("oms.bench.cycle/1", found)
        return
    median = statistics.median(seconds)
    size = f"{cycles} cycles of {sells} sells and {buys} buys"
    click.echo(f"{size}: {median * 1000:.1f} ms (median), {1 / median:.1f} a second")
    click.echo(f"  fastest {min(seconds) * 1000:.1f} ms, slowest {max(seconds) * 1000:.1f} ms")
    click.echo(
        f"  {found['barriers_per_cycle']} barriers, {found['soft_commits_per_cycle']} soft commits and "
        f"{found['events_per_cycle']} journal rows a cycle"
    )


@bench.command()
@options.common
@options.as_json
@click.option(
    "--rows", type=click.IntRange(1000, 100_000_000), default=1_000_000, show_default=True, help="To fill with."
)
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="Where it is made and removed.")
@click.option("--keep", is_flag=True, help="Leave the journal there (with --folder); one that is there is measured.")
def journal(*, json_: bool, rows: int, folder: str | None, keep: bool) -> None:
    """Fill a journal with whole cycles, then time every question to it and its verification."""
    from oms.bench import journal as room

    if keep and folder is not None:
        found = room.bench(Path(folder), rows)
    else:
        with tempfile.TemporaryDirectory(prefix="oms-bench-", dir=folder) as made:
            found = room.bench(Path(made), rows)
    if json_:
        options.print_json("oms.bench.journal/1", found)
        return
    rate = found["fill_rows_a_second"]
    filled = "filled before" if rate is None else f"filled at {rate:,} rows a second"
    click.echo(
        f"{found['rows']:,} rows, {found['cycles']:,} cycles, {filled}, {found['bytes_a_row']} bytes a row with all that "
        f"is cast from it ({found['bytes_a_small_fact']} where a fact is small and nothing is cast from it: the goal's mix)"
    )
    click.echo("first page of each question, in ms: median, least, most; of the processor")
    for name, took in found["questions_ms"].items():
        cpu = found["questions_cpu_ms"][name]
        click.echo(f"  {name:<44}" + "".join(f"{each:>11,.2f}" for each in (*took, cpu)))
    click.echo("the same with nothing in memory, in ms (median)")
    for name, took in found["cold_ms"].items():
        click.echo(f"  {name:<44}" + ("not to be had on this system" if took is None else f"{took:>11,.2f}"))
    barrier = found["barrier"]
    click.echo(
        f"the barrier of a sending phase: {barrier['long_ms']} ms, on an empty journal {barrier['empty_ms']} ms "
        f"(ratio {barrier['ratio']})"
    )
    verified = found["verify"]
    folded = verified["fold_rows_a_cpu_second"]
    click.echo(
        f"verify: {verified['chain_rows_a_cpu_second']:,} rows a second of the processor along the chain, "
        f"{verified['of_bare_scan']} of bare reading and hashing of the same bytes "
        f"({verified['bare_scan_rows_a_cpu_second']:,}), {verified['of_scan_of_details']} of hashing the details alone; "
        f"two processes, by the processor, {verified['two_of_one']} times as fast as one "
        f"({verified['two_of_bare_scan']} of the bare scan), by the clock {verified['two_of_one_by_the_clock']}; "
        + ("" if folded is None else f"{folded:,} folded and compared as well; ")
        + f"newest 10,000 rows {verified['newest_10000_s']} s ({verified['newest_10000_cpu_s']} s of the processor)"
    )


@bench.command()
@options.common
@options.as_json
@click.option("--rounds", type=click.IntRange(1, 1000), default=7, show_default=True, help="Cycles of each kind.")
@click.option("--orders", type=click.IntRange(1, 40), default=20, show_default=True, help="Sells, and as many buys.")
@click.option(
    "--call", type=click.FloatRange(0, 10), default=0.1, show_default=True, help="Seconds that each call takes."
)
@click.option(
    "--settle", type=click.FloatRange(0, 60), default=1.0, show_default=True, help="Seconds until a sell's money shows."
)
@click.option(
    "--poll", type=click.FloatRange(0.1, 60), default=1.0, show_default=True, help="settlement.poll, seconds."
)
def tiger(*, json_: bool, rounds: int, orders: int, call: float, settle: float, poll: float) -> None:
    """Time cycles on Tiger's SDK at a slow gateway on this machine (from the source tree)."""
    from oms.bench import tiger as room

    found = room.bench(
        rounds,
        orders=orders,
        delay_s=call,
        settle_s=settle,
        poll_s=poll,
        say=lambda text: click.echo(text, err=True),
    )
    if json_:
        options.print_json("oms.bench.tiger/1", found)
        return
    size = f"{orders} sells, {orders} buys, {call:g} s a call"
    click.echo(f"{size}, money after {settle:g} s, poll {poll:g} s; {rounds} rounds")
    for name in ("polling", "push"):
        click.echo(f"{name} ({found[name]['calls']} calls a cycle): median, least, most")
        rows = {**{label: found[name]["seconds"][what] for what, label in _SPANS.items()}}
        rows["a round, in its slowest calls"] = found[name]["round_to_slowest_call"]
        for label, spread in rows.items():
            click.echo(f"  {label:<48}{spread['median']:>8.3f} {spread['min']:>8.3f} {spread['max']:>8.3f}")


_SPANS = {
    "sell_round": "all sells, first received to last answered, s",
    "buy_round": "all buys, the same, s",
    "slowest_call": "slowest of these calls, s",
    "sold_to_money": "last sell answered to the money read, s",
    "money_to_bought": "money read to first buy received, s",
    "sold_to_bought": "last sell answered to first buy received, s",
}

bench.add_command(bench_fleets.postgres)
bench.add_command(bench_fleets.fleet)
bench.add_command(bench_screen.screen)


@bench.command()
@options.common
@options.as_json
@click.option(
    "--rows", type=click.IntRange(1000, 100_000_000), default=1_000_000, show_default=True, help="Of the journal."
)
@click.option("--readers", type=click.IntRange(1, 200), default=50, show_default=True, help="Of the stream.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False), help="Where the journals are made and removed."
)
def web(*, json_: bool, rows: int, readers: int, folder: str | None) -> None:
    """Time pages and answers over a long journal, and cycles with readers of the stream beside the engine."""
    from oms.bench import web as room

    with tempfile.TemporaryDirectory(prefix="oms-bench-", dir=folder) as made:
        long, short = Path(made, "long"), Path(made, "short")
        long.mkdir()
        short.mkdir()
        found = {"pages": room.pages(long, rows), "stream": room.readers(short, readers)}
    if json_:
        options.print_json("oms.bench.web/1", found)
        return
    pages, stream = found["pages"], found["stream"]
    click.echo(f"{pages['rows']:,} rows, {pages['cycles']:,} cycles of {pages['orders_per_cycle']} orders")
    click.echo("at the server, in ms: median, least, most by the clock; then of this process's own work")
    for path, took in pages["ms"].items():
        click.echo(f"  {path:<24}" + "".join(f"{each:>10,.2f}" for each in (*took["clock"], *took["process"])))
    click.echo(
        f"a cycle of 20 orders: {stream['alone_ms']} ms alone, {stream['beside_readers_ms']} ms with {readers} readers "
        f"of the stream ({float(stream['slower']):+.1%}); they read {stream['events_read']:,} events"
    )


bench.add_command(bench_fleets.partitions)
bench.add_command(bench_all.all_)
bench.add_command(bench_all.chart_)
bench.add_command(bench_all.peers_)
bench.add_command(bench_all.show)
