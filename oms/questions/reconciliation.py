"""Where broker and journal do not agree: ``reconcile show``, from the journal or asked of the broker now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oms.model.task import RECONCILIATION
from oms.questions.asking import Desk

if TYPE_CHECKING:
    from oms.journal.reader import Reader
    from oms.model.difference import Difference


def reconciliation(desk: Desk) -> dict[str, Any]:
    """What the last comparison of the running or last engine found, less what was adopted since."""
    nothing: dict[str, Any] = {
        "schema": "oms.reconcile/1",
        "as_of": None,
        "healthy": None,
        "text": "nothing has run yet",
        "differences": [],
    }
    return desk.ask(_standing, nothing)


def compared_now(desk: Desk) -> dict[str, Any]:
    """The same, asked of the broker at this moment; nothing is journaled and nothing is sent.

    Raises:
        UsageError: nothing has run yet, so there is nothing to compare with.
        BrokerUnavailable: the broker could not be read.
    """
    from oms.journal.answers import instant
    from oms.lookout import compare_now

    at, found = compare_now(desk.loaded, dry_run=desk.dry_run)
    return {
        "schema": "oms.reconcile/1",
        "as_of": instant(at),
        "healthy": True,
        "text": f"{len(found)} differences" if found else "broker and journal agree",
        "differences": _rows(found),
    }


def _standing(reader: Reader) -> dict[str, Any]:
    from oms.journal import loading, task_rows
    from oms.journal.answers import instant
    from oms.model.task import TaskHealth

    with reader.asking("reading the last comparison with the broker") as connection:
        found = loading.standing_differences(connection, reader.account)
        tasks = {task.name: task for task in task_rows.read_tasks(connection, reader.account)}
    task = tasks.get(RECONCILIATION, TaskHealth(name=RECONCILIATION))
    return {
        "schema": "oms.reconcile/1",
        "as_of": instant(task.last_run),
        "healthy": task.healthy,
        "text": task.text,
        "differences": _rows(found),
    }


def _rows(found: Iterable[Difference]) -> list[dict[str, Any]]:
    from oms.journal.answers import money, number

    return [
        {
            "kind": difference.kind.value,
            "symbol": difference.symbol,
            "order": difference.order,
            "broker": number(difference.broker),
            "journal": number(difference.journal),
            "cost": money(difference.cost),
            "text": difference.text,
            "proposal": difference.proposal,
        }
        for difference in found
    ]
