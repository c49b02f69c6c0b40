"""Checks the shelf of what is made once: it hands back what it was given, and stays within its bound."""

from __future__ import annotations

from oms.web.kept import Kept


def test_what_was_longest_not_asked_for_leaves_first() -> None:
    """A shelf of ten characters keeps the newest; what was asked for counts as new."""
    shelf: Kept[str] = Kept(10, len)
    for key in ("a", "b"):
        shelf.keep(key, key * 5)
    assert shelf.find("a") == "aaaaa"
    shelf.keep("c", "ccccc")
    assert (shelf.find("a"), shelf.find("b"), shelf.find("c")) == ("aaaaa", None, "ccccc")


def test_what_is_put_twice_counts_once() -> None:
    """Two readers who made the same at the same time take the room of one."""
    shelf: Kept[str] = Kept(10, len)
    for _ in range(5):
        shelf.keep("a", "aaaaa")
    shelf.keep("b", "bbbbb")
    assert shelf.find("a") == "aaaaa"


def test_what_is_larger_than_the_shelf_drives_nothing_out() -> None:
    """It is simply not kept."""
    shelf: Kept[str] = Kept(10, len)
    shelf.keep("a", "aaaaa")
    shelf.keep("b", "b" * 11)
    assert (shelf.find("a"), shelf.find("b")) == ("aaaaa", None)
