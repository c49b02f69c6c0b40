"""Where a configuration keeps what it remembers; apart from ``app``, so that a command that only reads wires no engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from oms.config import LoadedConfig
from oms.errors import UsageError

DRY_SCHEMA = "oms_dry"
"""On PostgreSQL a dry run keeps its journal in this schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one account keeps what it remembers; a dry run has its own places."""

    journal_url: str
    """It may hold a password, so do not show it."""
    file: Path | None
    """The journal's file; None where it is on PostgreSQL."""
    inbox: Path
    """The mailbox's file, where the journal is one; on PostgreSQL the mailbox is a table."""
    paper: Path
    dry_run: bool = False
    """They are those of a dry run."""

    @property
    def journal(self) -> Path:
        """The journal's file, for what only a file can do.

        Raises:
            UsageError: the journal is on PostgreSQL.
        """
        if self.file is None:
            raise UsageError(
                "journal.url: this is for a journal in a file; one on PostgreSQL is copied, restored and inspected "
                "with PostgreSQL's own tools (pg_dump, psql)"
            )
        return self.file


def places(loaded: LoadedConfig, *, dry_run: bool = False) -> Places:
    """Where this configuration keeps what it remembers."""
    journal = loaded.journal_file
    paper = loaded.resolve(loaded.config.broker.paper.file)
    dry = dry_run or loaded.config.mode == "dry_run"
    if dry:
        paper = _dry(paper)
    if journal is None:
        url = on_postgres(loaded, loaded.config.journal.url, dry=dry)
        return Places(journal_url=url, file=None, inbox=loaded.resolve("var/inbox.db"), paper=paper, dry_run=dry)
    if dry:
        journal = _dry(journal)
    inbox = journal.with_name("inbox.dry.db" if ".dry" in journal.suffixes else "inbox.db")
    return Places(journal_url=f"sqlite:///{journal.as_posix()}", file=journal, inbox=inbox, paper=paper, dry_run=dry)


def on_postgres(loaded: LoadedConfig, url: str, *, dry: bool) -> str:
    """The address with what else belongs to it: the account, the schema, and where heads are anchored."""
    account = loaded.config.account
    anchors = loaded.resolve(f"var/{account}{'.dry' if dry else ''}.anchors")
    own = {"account": account, "anchors": anchors.as_posix()} | ({"schema": DRY_SCHEMA} if dry else {})
    return f"{url}{'&' if '?' in url else '?'}{urlencode(own)}"


def bars_file(loaded: LoadedConfig) -> Path:
    """Where fetched daily bars are kept: beside the journal; a dry run sees the same ones."""
    journal = loaded.journal_file
    return loaded.resolve("var/bars.db") if journal is None else journal.with_name("bars.db")


def _dry(path: Path) -> Path:
    return path.with_name(f"{path.stem}.dry{path.suffix}")
