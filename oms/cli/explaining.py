"""``explain``: why a cycle, an order or a symbol came out as it did, in sentences that name their rows of the journal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from oms.cli.layout import NOTHING, time_of_day
from oms.cli.reading import Answer, at_desk, of_journal, show
from oms.errors import EXIT_DONE, DamagedError
from oms.questions import history
from oms.questions.history import LATEST


@click.command(name="explain")
@of_journal
@click.argument("cycle_id", metavar="CYCLE", default=LATEST)
def cycle_explain(*, json_: bool, dry_run: bool, cycle_id: str) -> int:
    """Tell why a cycle bought what it bought, and make its decision once more.

    Without CYCLE, or with `latest`, the newest one. Ends with 3 where the decision comes out differently.
    """
    return _explain("cycle", cycle_id, json_=json_, dry_run=dry_run)


@click.command(name="explain")
@of_journal
@click.argument("cl_ord_id", metavar="CL_ORD_ID")
def order_explain(*, json_: bool, dry_run: bool, cl_ord_id: str) -> int:
    """Tell why an order has the quantity and the end that it has."""
    return _explain("order", cl_ord_id, json_=json_, dry_run=dry_run)


@click.command()
@of_journal
@click.argument("what", metavar="CYCLE|CL_ORD_ID|SYMBOL", default=LATEST)
def explain(*, json_: bool, dry_run: bool, what: str) -> int:
    """Tell why: a cycle, an order or a symbol, in sentences with their rows of the journal.

    Ends with 3 where a journaled decision, made once more from its inputs, comes out differently.
    """
    return _explain(None, what, json_=json_, dry_run=dry_run)


def _explain(kind: str | None, name: str, *, json_: bool, dry_run: bool) -> int:
    answer = history.explain(at_desk(dry_run=dry_run), kind, name)
    show(answer, _lines, json_=json_)
    decision = answer.get("decision")
    return DamagedError.exit_code if decision is not None and decision["same"] is False else EXIT_DONE


def _lines(answer: Answer) -> Iterator[str]:
    yield _heading(answer)
    yield answer["answer"]
    sentences = answer["sentences"]
    if sentences:
        yield ""
    width = max((len(each["rule"] or "") for each in sentences), default=0)
    for each in sentences:
        row = f"journal {each['seq']}" if each["seq"] is not None else NOTHING
        yield f"  {time_of_day(each['at']):>8}  {row:<14} {each['rule'] or '':<{width}}  {each['text']}".rstrip()
    if answer.get("orders"):
        yield ""
        for each in answer["orders"]:
            yield f"  {each['headline']}"
            if each["answer"] != "it went as planned":
                yield f"    {each['answer']}  ({each['cl_ord_id']})"
    yield from _decision(answer)


def _heading(answer: Answer) -> str:
    if "headline" in answer:
        return str(answer["headline"])
    if "cycle_id" in answer:
        outcome = f" {answer['outcome']}" if answer["outcome"] else ""
        return f"{answer['cycle_id']} of {answer['trading_day']}: {answer['phase']}{outcome}"
    return str(answer["symbol"])


def _decision(answer: Answer) -> Iterator[str]:
    decision = answer.get("decision")
    if decision is None:
        return
    yield ""
    yield f"decision {decision['why']}"
    for each in decision["differences"]:
        yield f"  {each}"
    yield f"config {answer['config_hash'][:12]} · journal {answer['journal']['first']}..{answer['journal']['last']}"
