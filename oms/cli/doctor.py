"""``doctor``: each check with what was found and, where something is amiss, what mends it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from oms.cli import options
from oms.errors import EXIT_DONE, DamagedError, OmsError, UsageError

if TYPE_CHECKING:
    from oms.config import LoadedConfig
    from oms.doctor.checks import Check

WIDTH = 13
"""Columns of a check's name."""
PROBE_WIDTH = 33
"""The same where the broker is tried out: what was tried has longer names."""


@click.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="For the dry run: its own journal, and any kind of account.")
@click.option("--probe", is_flag=True, help="Then try the broker out, on a paper account: it orders one share (3 min).")
@click.option(
    "--symbol", metavar="SYMBOL", help="The share that --probe orders (one of the universe that is not held)."
)
def doctor(*, json_: bool, dry_run: bool, probe: bool, symbol: str | None) -> int:
    """Look at everything that trading rests on, and say how to mend what is amiss; changes and sends nothing.

    Ends with 3 where a check fails. Every check has its limit in time. --probe places real orders on a paper account, proves
    what the broker does with a number that is sent twice, and journals the proof.
    """
    if symbol is not None and not probe:
        raise UsageError("--symbol is the share that --probe orders; give --probe with it")
    if probe and dry_run:
        raise UsageError("--probe places orders, and --dry-run sends nothing; give one of them")
    checks: list[Check] = []
    code = EXIT_DONE
    try:
        for check in _checks(dry_run=dry_run, probing=probe, symbol=options.symbol(symbol)):
            checks.append(check)
            if not json_:
                for line in _lines(check, PROBE_WIDTH if probe else WIDTH):
                    click.echo(line)
    except OmsError as error:  # of the probe: a check never raises
        code = error.exit_code
        click.echo(f"oms: the broker was not tried out: {error}", err=True)
    failed = [check.name for check in checks if not check.ok]
    if json_:
        from oms.doctor.examination import answer

        found = answer(checks)
        options.print_json(found.pop("schema"), found)
    elif failed or code == EXIT_DONE:
        click.echo(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}" if failed else "all is well")
    return DamagedError.exit_code if failed else code


def _checks(*, dry_run: bool, probing: bool, symbol: str | None) -> Iterator[Check]:
    from oms.doctor.examination import examination, unreadable

    try:
        loaded = options.configuration()
    except UsageError as error:
        yield unreadable(str(error))
        return
    well = True
    for check in examination(loaded, dry_run=dry_run):
        well = well and check.ok
        yield check
    if probing and well:
        yield from _probe(loaded, symbol)
    elif probing:
        click.echo("oms: the broker was not tried out, because a check failed", err=True)


def _probe(loaded: LoadedConfig, symbol: str | None) -> Iterator[Check]:
    """Try the broker out; what is found stands beside the checks."""
    from oms.doctor.checks import Check
    from oms.probing import probe

    for finding in probe(loaded, symbol=symbol, say=lambda text: click.echo(f"oms: {text}", err=True)):
        yield Check(name=finding.name, ok=finding.ok, found=finding.found, remedy=finding.remedy)


def _lines(check: Check, width: int) -> Iterator[str]:
    mark = "ok    " if check.ok else "FAILED"
    first, *rest = check.found.splitlines() or [""]
    yield f"{mark} {check.name:<{width}} {first}"
    for line in rest:
        yield f"{'':{width + 8}}{line}"
    if check.remedy:
        yield from textwrap.wrap(
            check.remedy,
            width=110,
            initial_indent=f"{'':{width + 8}}mend it: ",
            subsequent_indent=f"{'':{width + 8}}",
            break_on_hyphens=False,
            break_long_words=False,
        )
