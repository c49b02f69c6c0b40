"""A cycle's story, read and told anew only where it can have changed since it was told last.

The hash of a cycle's newest fact stands for all of its facts: the chain is over every one before it. So a story of the same
hash is the same story, but for the time that an open phase has lasted.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime

from oms.journal.answers import Answer, instant
from oms.journal.reader import Reader
from oms.journal.stages import linked_facts, newest_hash
from oms.model.cycle import Phase
from oms.web.kept import Kept
from oms.web.pages.story import story

MOST_FACTS = 5_000
"""Facts of all the stories that are kept: some ten megabytes."""

_told: Kept[Answer] = Kept(MOST_FACTS, lambda found: len(found["events"]))


def story_of(reader: Reader, cycle_id: str, at_seq: int | None, now: datetime) -> Answer | None:
    """What :func:`story` tells of a cycle; None where there is none. It is shared: whoever changes it takes a copy."""
    link = newest_hash(reader, cycle_id)
    if link is None:
        return None
    key = (reader.account, cycle_id, link, at_seq)
    found = _told.find(key)
    if found is None:
        found = story(linked_facts(reader, cycle_id), at_seq, now)
        if seal_of(found) is not None:
            _told.keep(key, found)
        return found
    return found if found["is_past"] else {**found, "at": instant(now)}


def without_events(found: Answer | None) -> Answer | None:
    """A story without its facts, for a page that shows none of them."""
    return None if found is None else {name: value for name, value in found.items() if name != "events"}


def seal_of(found: Answer) -> Hashable | None:
    """Stands for all that a story says; None for one that goes on."""
    is_done = found["phases"][-1]["phase"] == Phase.DONE.value
    return (found["cycle"]["cycle_id"], found["link"], found["at_seq"]) if is_done or found["is_past"] else None
