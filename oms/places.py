"""Where a configuration keeps what it remembers; apart from ``app``, so that a command that only reads wires no engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oms.config import LoadedConfig
from oms.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files of one account; a dry run has its own."""

    journal_url: str
    journal: Path
    inbox: Path
    paper: Path


def places(loaded: LoadedConfig, *, dry_run: bool = False) -> Places:
    """Where this configuration keeps what it remembers.

    Raises:
        UsageError: the journal is not an SQLite file, which is all that this release can write.
    """
    journal = loaded.journal_file
    if journal is None:
        raise UsageError("journal.url: PostgreSQL is not supported by this release; expected sqlite:/// and a path")
    paper = loaded.resolve(loaded.config.broker.paper.file)
    if dry_run or loaded.config.mode == "dry_run":
        journal, paper = _dry(journal), _dry(paper)
    inbox = journal.with_name("inbox.dry.db" if ".dry" in journal.suffixes else "inbox.db")
    return Places(journal_url=f"sqlite:///{journal.as_posix()}", journal=journal, inbox=inbox, paper=paper)


def bars_file(loaded: LoadedConfig) -> Path:
    """Where fetched daily bars are kept: beside the journal; a dry run sees the same ones."""
    journal = loaded.journal_file
    return loaded.resolve("var/bars.db") if journal is None else journal.with_name("bars.db")


def _dry(path: Path) -> Path:
    return path.with_name(f"{path.stem}.dry{path.suffix}")
