"""A journaled decision made once more from its journaled inputs: the same bytes, or what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from oms.journal.codec import encode
from oms.model.event import BuysRevalidated, CycleOpened, Recorded
from oms.model.liquidity import RULE_VERSION, budget, revalidate, spendable
from oms.model.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """What came of making a decision once more."""

    seq: int
    """The journaled decision."""
    same: bool | None
    """Its canonical bytes came out again; None where it could not be made again."""
    why: str
    """One sentence."""
    differences: tuple[str, ...] = ()

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        return {"seq": self.seq, "same": self.same, "why": self.why, "differences": list(self.differences)}


def recompute(opened: CycleOpened, fact: Recorded, stored: str, rules: Rules | str) -> Recomputed:
    """Make the revalidation ``fact`` of the cycle ``opened`` again and compare it with its ``stored`` text.

    ``rules`` are those of the configuration that the cycle ran under, or a sentence why they are not known.
    """
    event = fact.event
    if not isinstance(event, BuysRevalidated):
        raise TypeError(f"row {fact.seq} is a {event.kind}, no decision about buys")
    if isinstance(rules, str):
        return Recomputed(seq=fact.seq, same=None, why=rules)
    again = replace(
        event,
        rule_version=RULE_VERSION,
        budget=budget(event.inputs, rules),
        buys=revalidate(opened.buys, event.inputs, rules),
    )
    text = encode(again).data
    beside = (*_money(opened, event, rules), *_kept_back(opened, rules))
    if beside:
        why = f"what went into it (journal {fact.seq}) comes out differently when it is made again"
        return Recomputed(seq=fact.seq, same=False, why=why, differences=beside)
    if text == stored:
        why = f"made again from its inputs (journal {fact.seq}) it is the same, byte for byte"
        return Recomputed(seq=fact.seq, same=True, why=why)
    differences = tuple(_differences(event, again)) or ("the same values are written in other bytes",)
    why = f"made again from its inputs (journal {fact.seq}) it comes out differently"
    if event.rule_version != RULE_VERSION:
        why += f": it was made by version {event.rule_version} of the rule, this release has version {RULE_VERSION}"
    return Recomputed(seq=fact.seq, same=False, why=why, differences=differences)


def _money(opened: CycleOpened, event: BuysRevalidated, rules: Rules) -> Iterator[str]:
    """The policy's figure out of the readings: never more than they and the ledger allow."""
    inputs = event.inputs
    if opened.ledger is None:
        return  # made before the ledger was kept
    most = spendable(inputs.funds, rules.funds, inputs.in_transit)
    if inputs.spendable > most:
        yield f"spendable: {inputs.spendable} in the journal, {most} by the reading and the ledger"
    begun = spendable(opened.funds, rules.funds, opened.ledger.in_transit(opened.trading_day))
    if opened.spendable != begun:
        yield f"spendable at the opening: {opened.spendable} in the journal, {begun} now"


def _kept_back(opened: CycleOpened, rules: Rules) -> Iterator[str]:
    """The sells against the shares that unsettled money had bought when the plan was made."""
    if opened.ledger is None or not rules.keeps_faith:
        return
    for tagged in opened.ledger.tagged:
        back = opened.ledger.held_back(tagged.symbol, tagged.held, opened.trading_day)
        for sell in opened.sells:
            if back is None or sell.symbol != tagged.symbol:
                continue
            if sell.rule is None and sell.quantity > back.free:
                yield f"{sell.symbol}: {sell.quantity} were planned to be sold, {back.free} may be until {back.until}"


def _differences(stored: BuysRevalidated, again: BuysRevalidated) -> Iterator[str]:
    if stored.budget != again.budget:
        yield f"budget: {stored.budget} in the journal, {again.budget} now"
    if len(stored.buys) != len(again.buys):
        yield f"buys: {len(stored.buys)} in the journal, {len(again.buys)} now"
        return
    for old, new in zip(stored.buys, again.buys, strict=True):
        for field in fields(old):
            was, comes = getattr(old, field.name), getattr(new, field.name)
            if was != comes:
                yield f"{old.symbol} {field.name}: {was} in the journal, {comes} now"
