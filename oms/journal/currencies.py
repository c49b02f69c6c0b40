"""What the account has in each currency: by the broker's newest reading, by the journal's ledger, and whether they agree."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, select

from oms.journal import tables
from oms.journal.answers import Answer, day, money
from oms.journal.loading import STORED, last_of_kind, last_seq, ledgers_since, recorded
from oms.model.account import Balance, Funds
from oms.model.currencies import Ledgers, ledgers_of_start
from oms.model.event import AccountOpened, BuysRevalidated, CycleOpened
from oms.model.settlement import Ledger
from oms.model.state import AccountState, ledgers_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The ledgers at one row of the journal."""

    ledgers: Ledgers | None
    today: date | None
    """The day by whose morning money counts as settled; None before the first cycle."""
    last_fill: int
    """Row of the newest execution; 0 without one."""


def standing(connection: Connection, account: str) -> Standing:
    """The ledgers now, without folding the rest of the account."""
    opened = last_of_kind(connection, account, CycleOpened.kind)
    seq = last_seq(connection, account)
    filled = last_fill(connection, account, seq)
    if opened is None or not isinstance(opened.event, CycleOpened):
        return Standing(ledgers=_of_start(connection, account), today=None, last_fill=filled)
    today = opened.event.trading_day
    decided = last_of_kind(connection, account, BuysRevalidated.kind)
    if decided is not None and decided.seq > opened.seq and isinstance(decided.event, BuysRevalidated):
        today = max(today, decided.event.inputs.day or today)
    ledgers = ledgers_since(connection, account, ledgers_at(opened.event), opened.seq, seq)
    return Standing(ledgers=ledgers, today=today, last_fill=filled)


def _of_start(connection: Connection, account: str) -> Ledgers | None:
    events = tables.events
    row = connection.execute(select(*STORED).where(events.c.account == account, events.c.seq == 1)).first()
    event = None if row is None else recorded(row).event
    return ledgers_of_start(event.currency, event.cash, event.others) if isinstance(event, AccountOpened) else None


def settlement_day(state: AccountState) -> date | None:
    """The day by whose morning a state counts money as settled; None before the first cycle."""
    return state.trading_day if state.cycle is None else max(state.cycle.day, state.cycle.opened.trading_day)


def last_fill(connection: Connection, account: str, seq: int) -> int:
    """The row of the newest execution up to a row; 0 where there is none."""
    fills = tables.fills
    newest = select(fills.c.seq).where(fills.c.account == account, fills.c.seq <= seq).order_by(fills.c.seq.desc())
    return connection.execute(newest.limit(1)).scalar() or 0


def currencies_of(found: Standing, read: Funds | None, read_at: int) -> list[Answer]:
    """Each currency, the account's own first; ``read`` is the newest reading, journaled in row ``read_at``."""
    if found.ledgers is None:
        return []
    told = {balance.currency: balance for balance in (() if read is None else read.others)}
    own = None if read is None else Balance(currency=read.currency, cash=read.cash, settled_cash=read.settled_cash)
    beside = [_currency(each, told.get(each.currency), found, is_newer=True) for each in found.ledgers.others]
    return [_currency(found.ledgers.own, own, found, is_newer=read_at > found.last_fill), *beside]


def _currency(ledger: Ledger, told: Balance | None, found: Standing, *, is_newer: bool) -> Answer:
    today = found.today
    is_own = found.ledgers is not None and ledger is found.ledgers.own
    settled = None if told is None else told.settled_cash
    return {
        "currency": ledger.currency,
        "is_traded": is_own,
        "settled": money(ledger.settled if today is None else ledger.settled_on(today)),
        "unsettled": [
            {"settles": day(settles), "amount": money(amount)}
            for settles, amount in ledger.unsettled
            if today is None or settles > today
        ],
        "waiting": money(ledger.cash - (ledger.settled if today is None else ledger.settled_on(today))),
        "not_confirmed": money(ledger.withheld),
        "cash": money(ledger.cash),
        "broker": None
        if told is None
        else {
            "cash": money(told.cash),
            "settled_cash": None if settled is None else money(settled),
            "unsettled_cash": None if settled is None else money(told.cash - settled),
        },
        # A reading that is older than the newest execution cannot agree, and says nothing against the ledger.
        "differs_by": money(told.cash - ledger.cash) if told is not None and is_newer else None,
    }
