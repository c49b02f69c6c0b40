"""Facts as canonical JSON: every kind comes back as it was, and what cannot be kept exactly is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.errors import DamagedError
from oms.journal.chain import genesis, link
from oms.journal.codec import decode, encode
from oms.model.event import AttentionRaised, Event, FundsObserved, OrderFilled, Selected
from oms.model.kinds import KINDS
from oms.model.order import Side
from tests.journal.facts import Script, account_opened, oddities, reading

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(alphabet=st.characters(), max_size=20),
    int: st.integers(-(2**60), 2**60),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.decimals("-1e20", "1e20"),
    datetime: st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))])),
    date: st.dates(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if hint in SCALARS:
        return SCALARS[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return st.one_of(*[st.none() if arg is type(None) else values_of(arg) for arg in args])
    if origin is tuple and args[1:] == (Ellipsis,):
        return st.lists(values_of(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*[values_of(arg) for arg in args])
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(SCALARS[str], SCALARS[str], max_size=3)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return instances_of(hint)


def instances_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values_of(hints[field.name]) for field in fields(cls)})


@cache  # to make a strategy costs more than to draw from it
def facts_of(kind: str) -> st.SearchStrategy[Any]:
    return instances_of(KINDS[kind])


def back(event: Event) -> Event:
    parts = encode(event)
    return decode(parts.kind, parts.data, parts.cycle_id, parts.cl_ord_id, parts.symbol)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_kind_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    """parse(canonical(x)) == x, the text is canonical ASCII JSON, and writing it again gives the same bytes."""
    event = data.draw(facts_of(kind))
    parts = encode(event)
    assert parts.data.isascii()
    assert parts.data == json.dumps(json.loads(parts.data), sort_keys=True, separators=(",", ":"))
    assert back(event) == event
    assert encode(back(event)) == parts


def test_only_empty_defaults_are_left_out() -> None:
    """A default that says something is written, so it may change later without changing the past."""
    seen: set[type[Any]] = set()

    def visit(cls: type[Any]) -> None:
        if cls in seen or not is_dataclass(cls):
            return
        seen.add(cls)
        for field in fields(cls):
            default = field.default
            assert field.default_factory is MISSING, f"{cls.__name__}.{field.name}: a default must be a plain value"
            if default is not MISSING and default:
                continue
            for arg in (get_type_hints(cls)[field.name], *get_args(get_type_hints(cls)[field.name])):
                if isinstance(arg, type):
                    visit(arg)

    for cls in KINDS.values():
        visit(cls)
    quote = Script().revalidated().inputs.quotes[0]
    written = json.loads(encode(Script().revalidated()).data)["inputs"]["quotes"][0]
    assert (written["tick"], written["lot"]) == (str(quote.tick), quote.lot)


def test_digits_are_kept() -> None:
    """A recomputation from the journal starts from the very digits that the decision saw."""
    event = FundsObserved(funds=reading("1.500"), spendable=Decimal("1.500"))
    again = back(event)
    assert isinstance(again, FundsObserved)
    assert str(again.spendable) == "1.500"


def test_columns_are_not_repeated_in_the_text() -> None:
    """Cycle, order and symbol stand in columns of their own."""
    script = Script()
    parts = encode(script.sending(script.intents(Side.SELL)[0]))
    assert (parts.cycle_id, parts.symbol, parts.data) == (script.cycle_id, "S0", '{"attempt":1}')


@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity"), Decimal("-sNaN"), 1.5, 3, True, "1", None])
def test_no_figure_is_repaired(bad: Any) -> None:
    """What is not a finite Decimal is refused with the kind's name."""
    with pytest.raises(ValueError, match="funds_observed cannot be journaled"):
        encode(FundsObserved(funds=reading(), spendable=bad))


def test_instants_without_a_zone_are_refused() -> None:
    """A naive instant means nothing in a journal."""
    script = Script()
    filled = script.filled(script.intents(Side.SELL)[0])
    values = {f.name: getattr(filled, f.name) for f in fields(filled)}
    with pytest.raises(ValueError, match="time zone"):
        encode(OrderFilled(**{**values, "transact_time": datetime(2026, 1, 1)}))  # noqa: DTZ001  # that is the point


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("order_teleported", "{}", "newer program"),
        ("released", '{"author":"a","reason":"r","colour":"red"}', "newer program"),
        ("released", '{"author":"a"}', "'reason' is missing"),
        ("released", '{"author":"a","reason":1}', "not text"),
        ("released", "[]", "cannot be read"),
        ("released", "{", "cannot be read"),
        ("halted", '{"author":"a","reason":"r","scope":"moon"}', "HaltScope"),
        ("funds_settled", '{"by":"covered","expected":"1","readings":[1.5],"spendable":"1"}', "in quotes"),
        ("funds_settled", '{"by":"covered","expected":"NaN","readings":[],"spendable":"1"}', "finite"),
        ("selected", '{"as_of":"2026-13-01","bars_hash":"","config_hash":"","scores":[]}', "cannot be read"),
    ],
)
def test_a_text_that_was_not_written_here_is_damage(kind: str, data: str, words: str) -> None:
    """Unknown kinds, fields, words and types are told, never guessed."""
    with pytest.raises(DamagedError, match=words):
        decode(kind, data, "c", None, None)


def test_foreign_text_can_always_be_kept() -> None:
    """Lone surrogates, NUL and controls of a broken reply are journaled as they came."""
    event = AttentionRaised(rule="x", text="a\ud800\x00\u202e\n\N{SNOWMAN}")
    assert back(event) == event


ROW = (1, 2, "c", 3, "o", "s", "k", "{}")


@pytest.mark.parametrize(
    "other",
    [
        (2, 2, "c", 3, "o", "s", "k", "{}"),
        (1, 3, "c", 3, "o", "s", "k", "{}"),
        (1, 2, "c:", 3, "o", "s", "k", "{}"),
        (1, 2, None, 3, "o", "s", "k", "{}"),
        (1, 2, "", 3, "o", "s", "k", "{}"),
        (1, 2, "c", 4, "o", "s", "k", "{}"),
        (1, 2, "c", None, "o", "s", "k", "{}"),
        (1, 2, "c", 3, "os", "", "k", "{}"),
        (1, 2, "c", 3, None, "os", "k", "{}"),
        (1, 2, "c", 3, "o", "sk", "", "{}"),
        (1, 2, "c", 3, "o", "s", "k{", "}"),
        (1, 2, "c", 3, "o", "s", "k", "{ }"),
        (12, 2, "c", 3, "o", "s", "k", "{}"),
        (1, 22, "c", 3, "o", "s", "k", "{}"),
    ],
)
def test_two_different_rows_never_have_one_hash(other: Any) -> None:
    """Every part of a row carries its length, so that nothing can be shifted from one to the next."""
    start = genesis("a")
    assert link(start, "a", ROW) != link(start, "a", other)
    assert link(start, "a", ROW) != link(start, "a1", ROW) != link(genesis("b"), "a", ROW)


def test_stories_come_back() -> None:
    """The facts of the other tests survive the way there and back."""
    script = Script()
    events = [account_opened(), *oddities(), *[e for _, facts in script.commits() for e in facts]]
    assert [back(event) for event in events] == events
    assert isinstance(back(oddities()[-2]), Selected)


@pytest.mark.parametrize("data", ['{"scope":"buys","\x7f\u202ep":"b","reason":"n","author":"ann"}', "[" * 100_000])
def test_what_a_damaged_row_holds_reaches_no_terminal(data: str) -> None:
    """An escape sequence in a name, or brackets without end, are damage in a printable sentence (found by fuzzing)."""
    with pytest.raises(DamagedError) as damaged:
        decode("halted", data, None, None, None)
    assert str(damaged.value).isprintable()
