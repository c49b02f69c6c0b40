"""What may be spent on which day: the policy's figure, with what the ledger knows to be still in transit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from oms.engine.orders import Seen
from oms.model.account import Funds
from oms.model.currencies import Ledgers
from oms.model.cycle import Cycle
from oms.model.event import AttentionRaised
from oms.model.liquidity import NotFinite, spendable
from oms.model.order import ZERO
from oms.model.rules import FundsPolicy, Rules
from oms.model.settlement import CENT, Ledger
from oms.model.state import AccountState


def settlement_day(cycle: Cycle, seen: Seen) -> date:
    """The last day whose morning has come at the exchange: what settles by then has settled.

    Before its opening bell a session is not begun: the day before counts. Without a session, the cycle's own day.
    """
    session = seen.session
    if session is None:
        return cycle.opened.trading_day
    return session.day if seen.market_time >= session.opens else session.day - timedelta(days=1)


def in_transit(state: AccountState, cycle: Cycle, seen: Seen) -> Decimal:
    """Sale proceeds that have not settled now, by the ledger."""
    return state.in_transit(settlement_day(cycle, seen))


def may_be_spent(state: AccountState, cycle: Cycle, funds: Funds, seen: Seen, rules: Rules) -> Decimal:
    """What a reading lets this cycle spend under its policy.

    Raises:
        NotFinite: a figure it needs is not a finite number, or it is in another currency than the account.
    """
    if funds.currency != cycle.opened.funds.currency:
        raise NotFinite(f"the broker's funds are in {funds.currency}, the cycle's in {cycle.opened.funds.currency}")
    return spendable(funds, rules.funds, in_transit(state, cycle, seen))


def checked(funds: Funds, currency: str) -> Funds:
    """A reading that a ledger can begin its day with.

    Raises:
        NotFinite: its cash is no finite number, or it is in another currency.
    """
    if funds.currency != currency:
        raise NotFinite(f"the broker's funds are in {funds.currency}, the account's in {currency}")
    if not (funds.cash.is_finite() and funds.settled_cash.is_finite()):
        raise NotFinite(f"the broker's cash is no finite number: {funds.cash}, {funds.settled_cash} of it settled")
    return funds


def differences(before: Ledgers, now: Ledgers, funds: Funds) -> Iterator[AttentionRaised]:
    """In what the broker's money does not agree with the journal's, by currency: shown, never silently corrected."""
    yield from _of_own(before.own, now.own, funds)
    for ledger in now.others:
        known = before.of(ledger.currency)
        change = ledger.outside - (ZERO if known is None else known.outside)
        if abs(change) > CENT:
            text = (
                f"the broker holds {abs(change):,} {ledger.currency} {'more' if change > 0 else 'less'} than when it was "
                "last looked at, and this account trades nothing in that currency: a deposit, a conversion, a dividend or "
                f"another program's trade; {ledger.outside:,} {ledger.currency} in all, of which nothing is ever spent here"
            )
            yield AttentionRaised(rule="cash_differs", text=text)


def _of_own(before: Ledger, ledger: Ledger, funds: Funds) -> Iterator[AttentionRaised]:
    change = ledger.outside - before.outside
    if change:
        text = (
            f"the broker's cash is {abs(change):,} {ledger.currency} {'more' if change > 0 else 'less'} than the trades in "
            "the journal explain: a deposit, a dividend, a fee or another program's trade; "
            f"{ledger.outside:,} in all since the journal began"
        )
        yield AttentionRaised(rule="cash_differs", text=text)
    if ledger.withheld > CENT >= before.withheld and funds.settled_cash > 0:
        text = (
            f"the broker calls {funds.settled_cash:,} {ledger.currency} of its cash settled, by the settlement dates it "
            f"should be {funds.settled_cash + ledger.withheld:,}; the lower figure counts"
        )
        yield AttentionRaised(rule="settled_cash_differs", text=text)


def waits_for_settlement(cycle: Cycle, seen: Seen, rules: Rules) -> bool:
    """Whether the money of the sells comes only on a later day: only settled cash is spent, and theirs is in transit."""
    if rules.funds is not FundsPolicy.SETTLED_CASH or cycle.aborted is not None or not cycle.proceeds:
        return False
    return settlement_day(cycle, seen) < cycle.opened.settles
