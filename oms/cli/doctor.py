"""``doctor``: each check with what was found and, where something is amiss, what mends it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from oms.cli import options
from oms.errors import EXIT_DONE, DamagedError, UsageError

if TYPE_CHECKING:
    from oms.doctor.checks import Check

WIDTH = 13
"""Columns of a check's name."""


@click.command()
@options.common
@options.as_json
@click.option("--dry-run", is_flag=True, help="For the dry run: its own journal, and any kind of account.")
def doctor(*, json_: bool, dry_run: bool) -> int:
    """Look at everything that trading rests on, and say how to mend what is amiss; changes and sends nothing.

    Ends with 3 where a check fails. Every check has its limit in time.
    """
    checks: list[Check] = []
    for check in _checks(dry_run=dry_run):
        checks.append(check)
        if not json_:
            for line in _lines(check):
                click.echo(line)
    failed = [check.name for check in checks if not check.ok]
    if json_:
        from oms.doctor.examination import answer

        found = answer(checks)
        options.print_json(found.pop("schema"), found)
    else:
        click.echo(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}" if failed else "all is well")
    return DamagedError.exit_code if failed else EXIT_DONE


def _checks(*, dry_run: bool) -> Iterator[Check]:
    from oms.doctor.examination import examination, unreadable

    try:
        loaded = options.configuration()
    except UsageError as error:
        yield unreadable(str(error))
        return
    yield from examination(loaded, dry_run=dry_run)


def _lines(check: Check) -> Iterator[str]:
    mark = "ok    " if check.ok else "FAILED"
    first, *rest = check.found.splitlines() or [""]
    yield f"{mark} {check.name:<{WIDTH}} {first}"
    for line in rest:
        yield f"{'':{WIDTH + 8}}{line}"
    if check.remedy:
        yield from textwrap.wrap(
            check.remedy,
            width=110,
            initial_indent=f"{'':{WIDTH + 8}}mend it: ",
            subsequent_indent=f"{'':{WIDTH + 8}}",
            break_on_hyphens=False,
            break_long_words=False,
        )
