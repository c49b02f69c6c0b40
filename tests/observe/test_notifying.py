"""Messages: nothing is lost over a crash, nothing doubled unsaid, and no address holds up another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oms.configuration.notices import DEFAULTS, Entry, Level, Topic, parse_entry
from oms.errors import DamagedError
from oms.journal.reader import open_reader
from oms.journal.store import SqliteJournal, open_journal
from oms.model import arming, event
from oms.model.detail import HaltScope
from oms.model.event import AttentionRaised, Halted, Released
from oms.observe.cursors import Cursors
from oms.observe.notifying import MOST_A_ROUND, Notifier, Sources, Undelivered
from oms.observe.wording import TOLD_KINDS
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, account_opened

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)


class Post:
    """Takes messages, or fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.pinged: list[tuple[str, bool]] = []
        self.fails: Callable[[Entry, str], bool] = lambda entry, body: False
        self.dies: bool = False

    def send(self, entry: Entry, title: str, body: str) -> None:
        if self.dies:
            raise KeyboardInterrupt
        if self.fails(entry, body):
            raise Undelivered("it did not answer")
        self.sent.append((entry.name, title, body))

    def ping(self, entry: Entry, *, well: bool, text: str) -> None:
        if self.fails(entry, text):
            raise Undelivered("it did not answer")
        self.pinged.append((entry.name, well))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oms.db"


@pytest.fixture
def journal(path: Path) -> Iterator[SqliteJournal]:
    with closing(open_journal(f"sqlite:///{path}", ACCOUNT, mode="paper", clock=FakeClock())) as journal:
        journal.append_barrier([account_opened()])
        yield journal


@pytest.fixture
def post() -> Post:
    return Post()


class World:
    """What a notifier looks at."""

    def __init__(self, path: Path, post: Post) -> None:
        self.path, self.post, self.now = path, post, NOW
        self.trouble: list[str] = []

    def notifier(self, *entries: str) -> Notifier:
        """As a process that starts now has it."""
        sources = Sources(
            open_reader=lambda: open_reader(f"sqlite:///{self.path}"),
            now=lambda: self.now,
            trouble=lambda: self.trouble,
            summary=lambda until: f"the day until {until:%m-%d}",
        )
        cursors = Cursors(self.path.with_name("notices.json"))
        return Notifier([parse_entry(text) for text in entries], self.post, cursors, sources)


@pytest.fixture
def world(path: Path, post: Post) -> World:
    return World(path, post)


def halt(journal: SqliteJournal, reason: str) -> None:
    journal.append_barrier([Halted(scope=HaltScope.ALL, reason=reason, author="ada")])


def test_a_new_address_hears_of_what_comes(journal: SqliteJournal, world: World, post: Post) -> None:
    """Not of all that was; and each fact once, in a sentence with its place."""
    halt(journal, "before")
    notifier = world.notifier("env:PHONE")
    assert notifier.step() == "nothing new"
    halt(journal, "storm")
    assert notifier.step() == "1 sent"
    assert notifier.step() == "nothing new"
    ((name, title, body),) = post.sent
    assert (name, title) == ("env:PHONE", f"oms {ACCOUNT}: halted")
    assert "no order is sent, by ada: storm" in body
    assert "journal 3" in body


def test_topics_are_told_kept_or_dropped(journal: SqliteJournal, world: World, post: Post) -> None:
    """``silent`` is counted in the next summary, ``off`` is gone."""
    notifier = world.notifier("env:PHONE?halt=silent&attention=off")
    notifier.step()
    halt(journal, "one")
    journal.append_barrier([Released(reason="", author="ada"), AttentionRaised(rule="x", text="look")])
    notifier.step()
    assert post.sent == []
    world.now += timedelta(days=1)
    notifier.step()
    ((_, title, body),) = post.sent
    assert title == "oms: the day"
    assert body == "the day until 03-03\nnot sent by themselves: 2 about halt"
    notifier.step()
    assert len(post.sent) == 1


def test_a_crash_while_sending_loses_nothing_and_says_that_it_may_repeat(
    journal: SqliteJournal, world: World, post: Post
) -> None:
    """The next process sends again what was on its way, and only that is called a repeat."""
    notifier = world.notifier("env:PHONE")
    notifier.step()
    halt(journal, "one")
    journal.append_barrier([Released(reason="two", author="ada")])
    post.dies = True
    with pytest.raises(KeyboardInterrupt):
        notifier.step()
    post.dies = False
    world.notifier("env:PHONE").step()
    first, second = (body for _, _, body in post.sent)
    assert first.startswith("(This may be a repeat")
    assert "one" in first
    assert "repeat" not in second
    assert "two" in second


def test_a_process_that_ends_between_two_messages_repeats_none(
    journal: SqliteJournal, world: World, post: Post
) -> None:
    """What arrived is on the disk before the next one leaves."""
    world.notifier("env:PHONE").step()
    halt(journal, "one")
    world.notifier("env:PHONE").step()
    world.notifier("env:PHONE").step()
    assert len(post.sent) == 1


def test_an_address_that_is_down_holds_up_no_other(journal: SqliteJournal, world: World, post: Post) -> None:
    """The others are told at once; it hears everything later, in order; the round says what went wrong."""
    post.fails = lambda entry, body: entry.name == "env:DOWN"
    notifier = world.notifier("env:DOWN", "env:PHONE")
    notifier.step()
    halt(journal, "one")
    with pytest.raises(Undelivered, match="env:DOWN: it did not answer"):
        notifier.step()
    assert [name for name, _, _ in post.sent] == ["env:PHONE"]
    post.fails = lambda entry, body: False
    notifier.step()
    assert [name for name, _, _ in post.sent] == ["env:PHONE", "env:DOWN"]


def test_a_round_is_bounded(journal: SqliteJournal, world: World, post: Post) -> None:
    """After an outage the rest follows in the next rounds."""
    notifier = world.notifier("env:PHONE")
    notifier.step()
    journal.append_barrier([AttentionRaised(rule="x", text=str(number)) for number in range(MOST_A_ROUND + 5)])
    notifier.step()
    assert len(post.sent) == MOST_A_ROUND
    notifier.step()
    assert len(post.sent) == MOST_A_ROUND + 5


def test_a_switch_is_called_while_all_is_well_and_told_when_not(world: World, post: Post) -> None:
    """Once a minute; a dead engine calls nobody, which is what the other side counts on."""
    notifier = world.notifier("ping:env:SWITCH")
    notifier.step()
    notifier.step()
    assert post.pinged == [("ping:env:SWITCH", True)]
    world.now += timedelta(minutes=1)
    world.trouble = ["trading: broker down"]
    notifier.step()
    assert post.pinged[-1] == ("ping:env:SWITCH", False)


def test_without_a_journal_there_is_nothing_to_tell(world: World) -> None:
    """A first run has not begun yet."""
    assert world.notifier("env:PHONE").step() == "nothing new"


def test_cursors_that_are_no_cursors_are_refused(path: Path, world: World) -> None:
    """With what to do about it; nothing is sent on a guess."""
    path.with_name("notices.json").write_text("[1, 2]", "utf-8")
    with pytest.raises(DamagedError, match="move it away"):
        world.notifier("env:PHONE")


def test_every_kind_that_is_told_exists() -> None:
    """A kind that was renamed would be told no more."""
    kinds = {
        getattr(kind, "kind", None)
        for module in (event, arming)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, event.Event)
    }
    assert TOLD_KINDS - kinds == set()


@pytest.mark.parametrize(
    "text",
    ["", "PHONE", "env:", "env:1x", "env:PHONE?", "env:PHONE?halt", "env:PHONE?halt=loud", "env:PHONE?weather=on",
     "ping:env:X?halt=on", "https://hooks.example/secret", "file:", "ping:", "env:PHONE?halt=on&"],
)  # fmt: skip
def test_an_entry_that_is_none_is_refused_with_what_was_expected(text: str) -> None:
    """The sentence names both forms, the topics and the levels."""
    with pytest.raises(ValueError, match=r"env:NAME or file:PATH.*topics are doubt.*levels are on, silent, off"):
        parse_entry(text)


def test_an_entry_says_where_and_what() -> None:
    """Topics that are not named keep their default."""
    entry = parse_entry("file:secret/phone.url?fill=on&cycle=off")
    assert (entry.kind, entry.place, entry.is_ping) == ("file", "secret/phone.url", False)
    assert entry.levels == {**DEFAULTS, Topic.FILL: Level.ON, Topic.CYCLE: Level.OFF}
    assert parse_entry("ping:env:SWITCH").name == "ping:env:SWITCH"
