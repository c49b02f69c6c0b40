"""``backup``, ``backups`` and ``restore``: keep the engine's configuration, and bring it back whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from oms.cli import options
from oms.cli.layout import NOTHING, count, moment, table
from oms.cli.reading import Answer, show
from oms.errors import EXIT_DONE, DamagedError, UsageError
from oms.questions import configuration

if TYPE_CHECKING:
    from oms.backup.planning import Plan


def identity_option(command: Any) -> Any:
    """Give a command ``--identity FILE``: the key that opens an encrypted backup."""
    return click.option("--identity", metavar="FILE", help="The file with the key that opens an encrypted backup.")(
        command
    )


@click.command()
@options.common
@options.as_json
@click.option("--note", default="", metavar="TEXT", help="What this backup is for.")
@click.option("--with-journal", is_flag=True, help="The journal's database too; the engine may run meanwhile.")
@click.option(
    "--without-archives", is_flag=True, help="With the journal, but without the archives of its closed years."
)
@click.option(
    "--encrypt-to", multiple=True, metavar="KEY", help="A public key (age1…, ssh-…) that can open it; repeatable."
)
def backup(*, json_: bool, note: str, with_journal: bool, without_archives: bool, encrypt_to: tuple[str, ...]) -> None:
    """Keep the engine's configuration in one archive: settings, universe, blacklist, halts; never a secret."""
    from oms.backup.making import Order, make

    if without_archives and not with_journal:
        raise UsageError(
            "--without-archives says what a backup --with-journal leaves out; without a journal there is none"
        )
    with_archives = with_journal and not without_archives
    order = Order(note=note, with_journal=with_journal, with_archives=with_archives, encrypt_to=encrypt_to)
    made = make(options.configuration(), order, os.environ)
    found = made.manifest
    answer = {
        "schema": "oms.backup/1",
        "id": found.id,
        "path": str(made.path),
        "at": found.created_at,
        "note": found.note,
        "config_hash": found.config_hash,
        "seq": found.journal.seq if found.journal is not None else None,
        "size": made.path.stat().st_size,
        "members": [each.name for each in found.members],
        "not_in_it": [str(each) for each in made.beside if found.with_journal],
    }
    show(answer, _made, json_=json_)


def _made(answer: Answer) -> Iterator[str]:
    at = "" if answer["seq"] is None else f", journal at row {answer['seq']:,}"
    yield f"{answer['path']}  {answer['size']:,} bytes{at}"
    if answer["not_in_it"]:
        yield "the facts of closed years are not in it; they never change, so copy each of these once for a restore:"
        yield from (f"  {path}" for path in answer["not_in_it"])


@click.group()
def backups() -> None:
    """The backups that are kept: list, verify, prune."""


@backups.command(name="list")
@options.common
@options.as_json
def list_(*, json_: bool) -> None:
    """List the backups, newest first."""
    show(configuration.backups(options.configuration()), _listed, json_=json_)


def _listed(answer: Answer) -> Iterator[str]:
    if not answer["backups"]:
        yield "no backup yet; `backup` makes one"
    else:
        rows = [
            [
                each["id"],
                moment(each["at"]),
                each["reason"],
                _holds(each),
                NOTHING if each["seq"] is None else f"{each['seq']:,}",
                f"{each['size']:,}",
                each["note"],
            ]
            for each in answer["backups"]
        ]
        yield from table(["id", "made", "why", "with", "row", "bytes", "note"], rows, "llllrrl")
    for each in answer["encrypted"]:
        yield f"encrypted: {each['id']}  {each['size']:,} bytes"
    for each in answer["damaged"]:
        yield f"damaged: {each['problem']}"


def _holds(each: Answer) -> str:
    if not each["with_journal"]:
        return ""
    return f"journal, {count(each['archives'], 'archive')}" if each["archives"] else "journal"


@backups.command()
@options.common
@options.as_json
@click.argument("which", nargs=-1, metavar="[ID|FILE|latest]...")
@identity_option
def verify(*, json_: bool, which: tuple[str, ...], identity: str | None) -> int:
    """Read backups whole, each checksum and the journal's chain; without a name, all of them."""
    from pathlib import Path

    from oms.backup import shelf
    from oms.backup.encryption import opened

    key = Path(identity) if identity else None
    loaded = options.configuration()
    paths = [shelf.find(loaded, each) for each in which] or [kept.path for kept in shelf.every(loaded)]
    checked: list[dict[str, Any]] = []
    for path in paths:
        try:
            with opened(path, key) as plain:
                found = shelf.verify(plain)
            checked.append({"id": found.id, "path": str(path), "ok": True, "problem": ""})
        except DamagedError as error:
            checked.append({"id": path.name, "path": str(path), "ok": False, "problem": str(error)})
    ok = all(each["ok"] for each in checked)
    show({"schema": "oms.backups-verify/1", "ok": ok, "backups": checked}, _verified, json_=json_)
    return EXIT_DONE if ok else DamagedError.exit_code


def _verified(answer: Answer) -> Iterator[str]:
    for each in answer["backups"]:
        yield f"{each['id']}: {'whole' if each['ok'] else each['problem']}"
    if not answer["backups"]:
        yield "no backup yet; `backup` makes one"


@backups.command()
@options.common
@options.as_json
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Instead of backup.keep of the configuration.")
@click.option("--dry-run", is_flag=True, help="Only say which would go.")
def prune(*, json_: bool, keep: int | None, dry_run: bool) -> None:
    """Remove the oldest backups beyond the newest backup.keep, those made by hand too."""
    from oms.backup import shelf

    loaded = options.configuration()
    kept = keep if keep is not None else loaded.config.backup.keep
    gone = shelf.prune(loaded, kept, only_automatic=False, really=not dry_run)
    answer = {"schema": "oms.backups-prune/1", "removed": [each.id for each in gone], "dry_run": dry_run}
    show(answer, _pruned, json_=json_)


def _pruned(answer: Answer) -> Iterator[str]:
    yield from answer["removed"]
    what = count(len(answer["removed"]), "backup")
    yield f"{what} would be removed" if answer["dry_run"] else f"{what} removed"


@click.command()
@options.common
@options.as_json
@click.argument("which", metavar="ID|FILE|latest")
@click.option("--dry-run", is_flag=True, help="Show what would change and what would be lost; change nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking; needed where no terminal is.")
@click.option("--other-account", is_flag=True, help="Even a backup of another account or mode.")
@click.option("--only-config", is_flag=True, help="Leave the journal as it is, also where the backup has one.")
@identity_option
def restore(
    *,
    json_: bool,
    which: str,
    dry_run: bool,
    yes: bool,
    other_account: bool,
    only_config: bool,
    identity: str | None,
) -> None:
    """Bring a backup back, whole or not at all; what is there now becomes a backup of its own."""
    import tempfile
    from pathlib import Path

    from oms.backup.encryption import opened
    from oms.backup.files import scratch
    from oms.backup.planning import make_plan
    from oms.backup.restoring import clean_up
    from oms.backup.restoring import restore as carry_out

    with ExitStack() as stack:
        archive = stack.enter_context(opened(_archive(which), Path(identity) if identity else None))
        folder = stack.enter_context(scratch(Path(tempfile.gettempdir()))) if dry_run else None
        plan = make_plan(
            *(archive, options.config_file(), os.environ),
            other_account=other_account,
            folder=folder,
            only_config=only_config,
        )
        stack.callback(clean_up, plan)
        answer: dict[str, Any] = {"schema": "oms.restore/1", **plan.answer(), "restored": False, "previous": None}
        if dry_run:
            show(answer, _planned, json_=json_)
            return
        if not yes:
            _ask(plan, json_=json_)
        done = carry_out(plan, os.environ)
        answer["restored"] = True
        answer["previous"] = done.previous.manifest.id if done.previous is not None else None
        answer["aside"] = [str(path) for path in done.aside]
        show(answer, _restored, json_=json_)


def _archive(which: str) -> Any:
    """The archive that is meant; the present configuration need not be readable to restore a FILE."""
    from pathlib import Path

    from oms.backup import shelf

    try:
        loaded = options.configuration()
    except UsageError:
        if not Path(which).is_file():
            raise
        return Path(which).absolute()
    return shelf.find(loaded, which)


def _ask(plan: Plan, *, json_: bool) -> None:
    if json_ or not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageError("restore replaces the configuration: give --yes, or --dry-run to see what would change")
    for line in _planned({**plan.answer(), "restored": False}):
        click.echo(line, err=True)
    click.confirm("restore?", abort=True, err=True)


def _planned(answer: Answer) -> Iterator[str]:
    journal = " with its journal" if answer["with_journal"] else ""
    yield f"{answer['backup']} of {moment(answer['at'])}, account {answer['account']}, mode {answer['mode']}{journal}"
    for change in answer["config"]:
        marked = f"  LOOSENED: {change['loosened']}" if change["loosened"] else ""
        yield f"  {change['key']}: {change['old']} -> {change['new']}{marked}"
    for word, symbols in (("added", answer["universe"]["added"]), ("removed", answer["universe"]["removed"])):
        if symbols:
            yield f"  universe: {count(len(symbols), 'symbol')} {word}: {', '.join(symbols[:10])}"
    for each in answer["standing"]:
        yield f"  {each['text']}{'  LOOSENED' if each['loosened'] else ''}"
    lost = answer["lost"]
    if lost is not None and lost["entries"]:
        yield (
            f"  journal: {lost['entries']:,} entries after row {lost['since_seq']:,} would be lost, among them "
            f"{lost['fills']:,} fills, {lost['orders']:,} orders, {lost['cycles']:,} cycles"
        )
    elif lost is not None:
        yield "  journal: no entry would be lost"
    for each in answer["archives"]:
        yield f"  {_ARCHIVED[each['is']].format(**each)}"
    for note in answer["notes"]:
        yield f"  {note}"


_ARCHIVED = {
    "there": "facts {first_seq:,} to {last_seq:,}: {file} is there already",
    "comes": "facts {first_seq:,} to {last_seq:,}: {file} comes back, {bytes:,} bytes",
    "missing": "facts {first_seq:,} to {last_seq:,}: not in this backup, and {file} is not there as it was archived: "
    "put a copy there, or questions about those years end with 3",
}


def _restored(answer: Answer) -> Iterator[str]:
    yield from _planned(answer)
    previous = answer["previous"]
    yield f"restored {answer['backup']}" + (f"; what was there is backup {previous}" if previous else "")
    for path in answer["aside"]:
        yield f"kept aside: {path}"
    if answer["with_journal"]:
        yield "the next start asks the broker what happened since, before it sends anything"
