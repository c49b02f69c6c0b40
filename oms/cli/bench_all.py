"""``bench all|chart``: every goal in one run, and its record as a picture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oms.cli import options
from oms.errors import UsageError

if TYPE_CHECKING:  # --help shall not pay for what it does not use
    from oms.bench.record import Beside, Figure, Record


@click.command("all")
@options.common
@click.option(
    "--quick", is_flag=True, help="Smaller sizes: minutes instead of an hour. The output says which were run."
)
@click.option("--only", metavar="G1,G3", help="These goals only.")
@click.option(
    "--rows", type=click.IntRange(10_000, 100_000_000), help="Facts of the long journal, instead of the size's own."
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=7, show_default=True, help="Rounds by turns behind a ratio."
)
@click.option(
    "--peers", metavar="PYTHON", help="An interpreter that has dbos and eventsourcing; `bench peers` makes one."
)
@click.option(
    "--postgres", metavar="URL", help="A server on which databases may be made; without it one is started if it can be."
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False),
    help="Whose disk is measured. Default: the temporary folder.",
)
@click.option(
    "--json",
    "json_",
    is_flag=False,
    flag_value="-",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="[FILE]",
    help="Answer with one JSON object, or write it to FILE.",
)
@click.option("--chart", "picture", type=click.Path(dir_okay=False), metavar="FILE.svg", help="Draw it, too.")
def all_(
    *,
    quick: bool,
    only: str | None,
    rows: int | None,
    rounds: int,
    peers: str | None,
    postgres: str | None,
    folder: str | None,
    json_: str | None,
    picture: str | None,
) -> None:
    """Measure every goal of speed and scale, each beside its physical limit and beside other products."""
    from oms.bench import every_goal as room
    from oms.bench.figures import Setting
    from oms.bench.record import Machine

    goals = room.wanted_goals(only)
    if peers is not None:
        room.peer_versions(peers)
    _refuse_unwritable(json_, picture)
    machine = Machine.here()
    with tempfile.TemporaryDirectory(prefix="oms-bench-", dir=folder) as made:
        setting = Setting(
            folder=Path(made),
            quick=quick,
            rows=rows or (room.QUICK_ROWS if quick else room.FULL_ROWS),
            peers=peers,
            postgres=postgres,
            say=lambda text: click.echo(text, err=True),
            rounds=rounds,
        )
        figures: list[Figure] = []
        record = room.recorded(setting, machine, figures)
        for some in room.measured(setting, goals):
            figures += [figure for figure in some if figure.goal in goals]
            record = room.recorded(setting, machine, figures)
            _keep(record, json_, picture)  # at once: a run may take hours, and be stopped
    if json_ == "-":
        click.echo(record.text(), nl=False)
        return
    for line in told(record):
        click.echo(line)


def _keep(record: Record, json_: str | None, picture: str | None) -> None:
    from oms.bench.chart import chart

    if json_ not in (None, "-"):
        _write(json_, record.text())
    if picture is not None:
        _write(picture, chart(record))


def _write(file: str | None, text: str) -> None:
    try:
        Path(str(file)).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from None


def _refuse_unwritable(*files: str | None) -> None:
    """Before anything is measured."""
    for file in files:
        if file not in (None, "-") and not Path(str(file)).absolute().parent.is_dir():
            raise UsageError(f"{file}: cannot be written: its folder is not there")


@click.command("chart")
@options.common
@click.argument("record", type=click.Path(dir_okay=False))
@click.argument("picture", type=click.Path(dir_okay=False))
def chart_(*, record: str, picture: str) -> None:
    """Draw RECORD, the JSON of `bench all`, as the SVG file PICTURE."""
    from oms.bench.chart import chart

    _write(picture, chart(_read(record)))


@click.command("peers")
@options.common
@click.argument("folder", type=click.Path())
def peers_(*, folder: str) -> None:
    """Make FOLDER, an interpreter with the other products, for `bench all --peers`."""
    from oms.bench.peers.making import make

    click.echo(make(Path(folder)))


@click.command("show")
@options.common
@click.argument("record", type=click.Path(dir_okay=False))
def show(*, record: str) -> None:
    """Print RECORD, the JSON of an earlier `bench all`, as that run printed it."""
    for line in told(_read(record)):
        click.echo(line)


def _read(file: str) -> Record:
    from pydantic import ValidationError

    from oms.bench.record import Record

    try:
        return Record.model_validate_json(Path(file).read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: expected the JSON that `bench all --json FILE` writes; {_first(error)}") from None


def _first(error: ValueError) -> str:
    """What is wrong, in the first place where it is."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return "it is no text"
    where, message = error.errors()[0]["loc"], error.errors()[0]["msg"]
    return f"{'.'.join(map(str, where)) or 'the file'}: {message}"


# For a person


def told(record: Record) -> Iterator[str]:
    """A record in lines."""
    machine = record.machine
    load = "" if machine.load_before is None else f", {machine.load_before:.1f} processes wanted them when it began"
    yield f"{record.size} run of {record.at:%Y-%m-%d %H:%M} UTC on {machine.cores} cores{load}"
    yield ", ".join(f"{name} {number}" for name, number in record.versions.items())
    goal = ""
    for figure in record.figures:
        if figure.goal != goal:
            goal = figure.goal
            yield from _heading(goal)
        yield from _figure(figure)
    measured = [figure for figure in record.figures if figure.measured is not None]
    met = sum(bool(figure.met) for figure in measured)
    yield f"{met} of {len(measured)} marks met; {len(record.figures) - len(measured)} not measured"


def _heading(goal: str) -> Iterator[str]:
    from oms.bench.goals import BY_ID

    yield ""
    yield f"{goal}  {BY_ID[goal].sentence}"


def _figure(figure: Figure) -> Iterator[str]:
    from oms.bench.goals import BY_ID

    bound = BY_ID[figure.goal].mark(figure.mark).bound
    if figure.measured is None:
        yield f"  not measured  {figure.sentence}: {figure.why_not}"
        return
    seen = figure.measured
    word = "met   " if figure.met else "MISSED"
    yield (
        f"  {word}  {figure.sentence}: {seen.median:g} {figure.unit}, goal {bound} "
        f"({seen.min:g} to {seen.max:g} in {len(seen.rounds)} rounds; {figure.size})"
    )
    if figure.by_processor is not None:
        yield f"            by processor time: {figure.by_processor.median:g}"
    if figure.floor is not None:
        yield f"            floor: {_beside(figure.floor)}"
    for peer in figure.peers:
        yield f"            peer:  {_beside(peer)}"


def _beside(other: Beside) -> str:
    ratio = "" if other.ratio is None else f"; ours is {other.ratio:g} of it"
    return f"{other.what}: {other.spread.median:g} {other.unit} ({other.spread.min:g} to {other.spread.max:g}){ratio}"
