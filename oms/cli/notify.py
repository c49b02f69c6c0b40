"""``notify``: try out and look at the addresses that messages go to."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli import options
from oms.cli.layout import count, moment
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.errors import EXIT_DONE, TryAgainError, UsageError


@click.group()
def notify() -> None:
    """Messages to people: try the addresses out, see how they stand."""


@notify.command()
@options.common
def test() -> int:
    """Send a test message to every address of `notify`.

    Ends with 75 where one of them could not be reached.
    """
    from oms.observe.wiring import try_out

    loaded = options.configuration()
    if not loaded.config.notify:
        raise UsageError(
            "notify: it names no address; expected for example [env:PHONE], where PHONE=tgram://token/chat"
        )
    failed = False
    for name, problem in try_out(loaded):
        failed = failed or bool(problem)
        click.echo(f"{name}: {problem or 'sent'}")
    return TryAgainError.exit_code if failed else EXIT_DONE


@notify.command("list")
@of_journal
def list_(*, json_: bool, dry_run: bool) -> int:
    """Show every address with its topics, what it was told last and what waits for it."""
    from oms.observe.wiring import outbox

    show(outbox(at_desk(dry_run=dry_run)), lines, json_=json_)
    return EXIT_DONE


def lines(answer: Answer) -> Iterator[str]:
    """The addresses for a person."""
    if not answer["addresses"]:
        yield "`notify` names no address"
    for row in answer["addresses"]:
        yield row["name"]
        if row["ping"]:
            yield "  called once a minute while a loop runs and all is well"
            continue
        by_level = {level: [topic for topic, at in row["topics"].items() if at == level] for level in ("on", "silent")}
        yield f"  told about {', '.join(by_level['on']) or 'nothing'}"
        if by_level["silent"]:
            yield f"  only in the daily summary: {', '.join(by_level['silent'])}"
        if row["seq"] is None:
            yield "  nothing was sent yet"
        else:
            sent = "never" if row["sent_at"] is None else moment(row["sent_at"])
            yield f"  last sent {sent}, {count(row['behind'], 'row')} of the journal not looked at yet"
        if row["error"]:
            yield f"  NOT REACHED: {row['error']}"
