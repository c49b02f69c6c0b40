"""The reference of the command line, written from the program itself: ``python -m oms.cli.reference > docs/cli.md``."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms import cli

_HEAD = """\
# The command line

`python3 cli.py X` and, where the package is installed, `oms X` are the same program. stdout is the answer, stderr is
progress. Every command that reads takes `--json`. This page is written by `python -m oms.cli.reference`; a test
compares it with the program.

| exit | meaning |
|---|---|
| 0 | done |
| 1 | failed, reason printed (a bug) |
| 2 | usage, configuration or signals: what was wrong and what was expected |
| 3 | the answer is bad: damaged or newer database, broken chain, unhealthy |
| 4 | credentials |
| 5 | refused for safety |
| 6 | another process owns this account |
| 7 | held for a person: halted, or ended with a quarantined order |
| 75 | try again later: broker down, disk full, database locked; the cycle stays open |
| 130, 143 | interrupted, terminated cleanly |
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    root = click.Context(cli.oms, info_name="oms", **cli.oms.context_settings)
    for name in cli.oms.list_commands(root):
        yield from _section(root, name, cli.oms.get_command(root, name))


def _section(above: click.Context, name: str, command: click.Command | None) -> Iterator[str]:
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=above, max_content_width=100, terminal_width=100)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _section(context, below, command.get_command(context, below))
        return
    yield f"## {context.command_path}\n"
    yield f"```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
