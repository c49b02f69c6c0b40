"""The chain by itself: each row's hash covers its stored bytes and all before it, and the walk names the first bad one."""

from __future__ import annotations

import pytest

from oms.journal.chain import StoredRow, follow, genesis, link, walk

ACCOUNT = "paper-main"


def row(seq: int, **other: object) -> StoredRow:
    values = {"at": 1_000 + seq, "cycle_id": "c", "version": seq, "cl_ord_id": None, "symbol": "X", "kind": "k"}
    return (seq, *(values | other).values(), f'{{"n": {seq}}}')  # type: ignore[return-value]  # a row as the file has it


def chained(first: int, last: int, head: bytes) -> list[tuple[StoredRow, bytes]]:
    found = []
    for seq in range(first, last + 1):
        head = link(head, ACCOUNT, row(seq))
        found.append((row(seq), head))
    return found


def test_a_whole_chain_is_good_to_its_last_row() -> None:
    """From the account's own beginning, with no word of where that is."""
    rows = chained(1, 5, genesis(ACCOUNT))
    found = walk(ACCOUNT, rows)
    assert (found.seq, found.head, found.bad, found.problem) == (5, rows[-1][1], None, "")


def test_no_rows_are_a_chain_too() -> None:
    """Its head is the account's beginning."""
    found = walk(ACCOUNT, [])
    assert (found.seq, found.head, found.bad) == (0, genesis(ACCOUNT), None)


def test_a_walk_may_begin_in_the_middle() -> None:
    """After a row whose hash is known."""
    rows = chained(1, 6, genesis(ACCOUNT))
    found = walk(ACCOUNT, rows[3:], 3, rows[2][1])
    assert (found.seq, found.head, found.bad) == (6, rows[-1][1], None)


def test_a_missing_row_is_named_by_its_own_number() -> None:
    """What is good ends before it."""
    rows = chained(1, 5, genesis(ACCOUNT))
    for gap in (1, 2, 4):
        found = walk(ACCOUNT, rows[: gap - 1] + rows[gap:])
        assert (found.bad, found.seq, found.problem) == (gap, gap - 1, f"row {gap} is missing")


def test_a_row_that_is_there_twice_is_named() -> None:
    """By the place where another one was due."""
    rows = chained(1, 3, genesis(ACCOUNT))
    found = walk(ACCOUNT, [*rows[:2], rows[1], rows[2]])
    assert (found.bad, found.seq, found.head, found.problem) == (3, 2, rows[1][1], "row 2 is there twice")


@pytest.mark.parametrize("column", range(1, 8))
def test_any_changed_column_is_a_changed_row(column: int) -> None:
    """Each stored value is covered, and absent is another thing than empty."""
    rows = chained(1, 3, genesis(ACCOUNT))
    changed: list[object] = list(rows[1][0])
    was = changed[column]
    for other in (0, "other", "-", "", None, b"bytes"):
        if other == was:
            continue
        changed[column] = other
        found = walk(ACCOUNT, [rows[0], (tuple(changed), rows[1][1]), rows[2]])  # type: ignore[list-item]  # tampered with
        assert (found.bad, found.seq, found.head) == (2, 1, rows[0][1])
        assert found.problem == "row 2 is not what was written: its content does not match its hash"


def test_another_account_has_another_chain() -> None:
    """The same rows do not verify under another account's name."""
    assert walk("paper-mai", chained(1, 2, genesis(ACCOUNT))).bad == 1
    assert genesis("a") != genesis("b")
    assert link(genesis(ACCOUNT), ACCOUNT, row(1)) != link(genesis(ACCOUNT), "other", row(1))


def test_a_row_that_names_another_account_does_not_belong_here() -> None:
    """However well its content matches its hash."""
    rows = [(*stored, head, ACCOUNT if stored[0] < 2 else "other") for stored, head in chained(1, 3, genesis(ACCOUNT))]
    found = follow(ACCOUNT, rows, 0, None)
    assert (found.bad, found.seq) == (2, 1)


def test_a_value_that_is_no_text_at_all_is_a_changed_row() -> None:
    """Half a character, as only somebody who edits the file writes it, is found and does not end the walk."""
    rows = chained(1, 2, genesis(ACCOUNT))
    found = walk(ACCOUNT, [rows[0], (row(2, symbol="\udcff"), rows[1][1])])
    assert (found.bad, found.seq) == (2, 1)


def test_neighbouring_values_cannot_be_moved_into_each_other() -> None:
    """The lengths of the texts are covered with them."""
    one = link(genesis(ACCOUNT), ACCOUNT, row(1, cl_ord_id="ab", symbol="c"))
    other = link(genesis(ACCOUNT), ACCOUNT, row(1, cl_ord_id="a", symbol="bc"))
    assert one != other
