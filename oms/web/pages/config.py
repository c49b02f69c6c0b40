"""The page *Config*: every configuration that a cycle ran under, what each changed, and the backups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oms.backup import shelf
from oms.backup.versions import CURRENT, Version, version, versions
from oms.config import Config
from oms.configuration.loosening import changes
from oms.errors import DamagedError
from oms.journal.answers import Answer
from oms.places import places
from oms.web.look import Look
from oms.web.pages.page import Asked, Page, View


def answer(asked: Asked) -> Answer:
    """Versions newest first, the comparison that ``?old=`` and ``?new=`` ask for, and the shelf of backups.

    Raises:
        UsageError: no kept configuration begins with such a hash.
    """
    kept = _kept(asked)
    found: list[Answer] = []
    for before, each in zip([None, *kept], kept, strict=False):
        found.append(
            {
                "hash": each.hash,
                "at": each.at,
                "cycles": each.cycles,
                "current": each.current,
                "changes": [] if before is None else _changes(before, each),
            }
        )
    old, new = asked.query.get("old", ""), asked.query.get("new", CURRENT)
    compared = None
    if old:
        first, second = version(asked.loaded, old), version(asked.loaded, new)
        compared = {"old": first.hash, "new": second.hash, "changes": _changes(first, second)}
    return {
        "schema": "oms.config-page/1",
        "versions": list(reversed(found)),
        "compared": compared,
        "file": None if asked.loaded.path is None else asked.loaded.path.name,
        "values": _values(asked),
        "backups": _shelf(asked),
    }


def _kept(asked: Asked) -> list[Version]:
    """Every configuration that the journal keeps; of a journal that is no file, only the one of now is told."""
    loaded = asked.loaded
    if places(loaded, dry_run=asked.dry_run).file is None:
        return [Version(hash=loaded.hash, canonical=loaded.canonical, at=None, cycles=0, current=True)]
    return versions(loaded)


def _changes(before: Version, after: Version) -> list[Answer]:
    try:
        return [change.answer() for change in changes(before.config(), after.config())]
    except DamagedError as error:
        return [{"key": "", "old": "", "new": str(error), "loosened": None}]


def _values(asked: Asked) -> list[Answer]:
    """Every key whose value is not the default, and where it was set."""
    loaded = asked.loaded
    found = []
    for change in changes(Config(), loaded.config):
        origin = loaded.origins.get(change.key, "")
        where = origin.rpartition("/")[2].rpartition("\\")[2]  # the file without its folder
        found.append({"key": change.key, "default": change.old, "value": change.new, "origin": where})
    return found


def _shelf(asked: Asked) -> list[Answer]:
    return [
        {**each.answer(), "path": each.path.name, "problem": None}
        if each.manifest is not None
        else {"id": each.id, "at": None, "path": each.path.name, "problem": each.problem}
        for each in shelf.every(asked.loaded)
    ]


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a version."""
    for each in found["versions"]:
        changed = "; ".join(f"{c['key']}: {c['old']} -> {c['new']}" for c in each["changes"])
        yield {**{name: value for name, value in each.items() if name != "changes"}, "changes": changed}


def view(_found: Answer, look: Look) -> View:
    """Nothing is drawn here."""
    return {"title": look.words("Config")}


PAGE = Page(name="config", title="Config", answer=answer, rows=rows, view=view)
