"""Puts the notifier of a configuration together, and answers how its messages stand."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oms.config import LoadedConfig
from oms.configuration.notices import Entry, Level, parse_entry
from oms.gateways import messages
from oms.journal.reader import open_reader
from oms.observe.cursors import Cursors
from oms.observe.notifying import Notifier, Sources, Undelivered
from oms.observe.wording import TOLD_KINDS
from oms.places import places
from oms.questions import account, journal, performance
from oms.questions.asking import Desk

TEST_TITLE = "oms: a test"


class Postman:
    """Brings messages to the addresses that a configuration names."""

    def __init__(self, loaded: LoadedConfig, *, dry_run: bool = False) -> None:
        self._loaded = loaded
        self._prefix = "DRY RUN " if dry_run or loaded.config.mode == "dry_run" else ""

    def send(self, entry: Entry, title: str, body: str) -> None:
        """Raises Undelivered."""
        try:
            messages.send(self._address(entry), self._prefix + title, body)
        except messages.NotDelivered as error:
            raise Undelivered(str(error)) from None

    def ping(self, entry: Entry, *, well: bool, text: str) -> None:
        """Raises Undelivered."""
        try:
            messages.ping(self._address(entry), well=well, text=text)
        except messages.NotDelivered as error:
            raise Undelivered(str(error)) from None

    def _address(self, entry: Entry) -> str:
        return messages.address_of(entry.kind, entry.place, os.environ, self._loaded.resolve)


def cursors_file(loaded: LoadedConfig, *, dry_run: bool) -> Path:
    """Where it is kept how far each address has been told: beside the mailbox."""
    inbox = places(loaded, dry_run=dry_run).inbox
    return inbox.with_name("notices.dry.json" if ".dry" in inbox.suffixes else "notices.json")


def entries_of(loaded: LoadedConfig) -> list[Entry]:
    """The addresses, in the order of the configuration."""
    return [parse_entry(text) for text in loaded.config.notify]


def notifier_of(loaded: LoadedConfig, *, dry_run: bool = False) -> Notifier | None:
    """The follower that tells people; None where ``notify`` is empty.

    Raises:
        DamagedError, StorageError: the file of the cursors cannot be used.
    """
    entries = entries_of(loaded)
    if not entries:
        return None
    url = places(loaded, dry_run=dry_run).journal_url
    desk = Desk(loaded=loaded, dry_run=dry_run)
    sources = Sources(
        open_reader=lambda: open_reader(url),
        now=lambda: datetime.now(UTC),
        trouble=lambda: account.ailing(account.status(desk)),
        summary=lambda until: summary_of(desk, until),
    )
    return Notifier(entries, Postman(loaded, dry_run=dry_run), Cursors(cursors_file(loaded, dry_run=dry_run)), sources)


def summary_of(desk: Desk, until: datetime) -> str:
    """The UTC day that ended at ``until``, in a few lines."""
    since = until - timedelta(days=1)
    report, pnl = performance.report(desk, since, until), performance.pnl(desk, since, until)
    rate = report["buy_success_rate"]
    return (
        f"{desk.loaded.config.account}, {since:%Y-%m-%d} UTC\n"
        f"cycles {report['cycles']}, buys filled whole {'none sent' if rate is None else rate}, "
        f"buys refused for want of money {report['liquidity_errors']}, duplicates {report['duplicates']}\n"
        f"realised {pnl['total']['realised']}"
    )


def outbox(desk: Desk) -> dict[str, Any]:
    """How the messages to each address stand: the last that was told, how many wait, and what went wrong."""
    return outbox_at(desk.loaded, journal.end(desk), dry_run=desk.dry_run)


def outbox_at(loaded: LoadedConfig, head: int, *, dry_run: bool) -> dict[str, Any]:
    """The same, for whoever knows already that the journal's last row is ``head``.

    Raises:
        DamagedError, StorageError: the file of the cursors cannot be used.
    """
    cursors = Cursors(cursors_file(loaded, dry_run=dry_run))
    rows = []
    for entry in entries_of(loaded):
        cursor = cursors.get(entry.name)
        rows.append(
            {
                "name": entry.name,
                "ping": entry.is_ping,
                "topics": {} if entry.is_ping else {topic.value: level.value for topic, level in entry.levels.items()},
                "seq": None if cursor is None else cursor.seq,
                "behind": None if cursor is None or entry.is_ping else max(head - cursor.seq, 0),
                "sent_at": None if cursor is None else cursor.sent_at,
                "error": "" if cursor is None else cursor.error,
            }
        )
    return {"schema": "oms.notify-list/1", "addresses": rows, "told_kinds": sorted(TOLD_KINDS)}


def try_out(loaded: LoadedConfig) -> list[tuple[str, str]]:
    """Send a test to every address; the name of each, and what went wrong, empty where it went well."""
    return [(entry.name, _tried(Postman(loaded), entry, loaded.config.account)) for entry in entries_of(loaded)]


def _tried(postman: Postman, entry: Entry, name: str) -> str:
    try:
        if entry.is_ping:
            postman.ping(entry, well=True, text="a test")
        else:
            on: Sequence[str] = [topic.value for topic, level in entry.levels.items() if level is Level.ON]
            postman.send(entry, TEST_TITLE, f"{name} reaches you. You will be told about: {', '.join(on)}.")
    except Undelivered as error:
        return str(error)
    return ""
