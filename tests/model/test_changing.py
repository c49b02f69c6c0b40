"""The quick ``replace`` of the model gives what the standard library's gives."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from oms.model.changing import replace
from oms.model.state import Holding


def test_it_gives_what_the_standard_library_gives() -> None:
    """The changed fields are new, the others the same objects, and the old value is as it was."""
    old = Holding(qty=Decimal(5), cost=Decimal("50.25"))
    new = replace(old, qty=Decimal(7))
    assert new == dataclasses.replace(old, qty=Decimal(7))
    assert new.cost is old.cost
    assert old.qty == 5
    assert hash(new) == hash(Holding(qty=Decimal(7), cost=Decimal("50.25")))


def test_the_result_is_frozen_as_well() -> None:
    """Nothing can be changed in place."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(Holding(), qty=Decimal(1)).qty = Decimal(2)  # type: ignore[misc]  # that it is refused is the point


def test_a_field_that_is_not_there_is_an_error() -> None:
    """A misspelled field is not passed over."""
    with pytest.raises(KeyError, match="quantity"):
        replace(Holding(), quantity=Decimal(1))  # type: ignore[call-arg]  # that it is refused is the point


@dataclasses.dataclass(frozen=True, slots=True)
class Awkward:
    """A class whose fields are called as what its maker is written with."""

    old: int = 1
    new: int = 2
    made: int = 3
    cls: int = 4


def test_no_name_of_a_field_is_in_the_way() -> None:
    """What is written for a class uses names that no field has; and nothing to change is no error either."""
    assert replace(Awkward()) == Awkward()
    assert replace(Awkward(), new=5, made=6) == Awkward(1, 5, 6, 4)
    assert replace(Awkward(), old=5, cls=6) == Awkward(5, 2, 3, 6)
