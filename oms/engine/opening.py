"""Opening a cycle: one look at account and prices, the plan, and everything of it in the journal before any deed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oms.engine.driver import Driver
from oms.engine.money import checked, differences
from oms.engine.ours import ours_to_sell
from oms.errors import TryAgainError
from oms.model.account import Funds, Position
from oms.model.arming import AccountBound
from oms.model.event import AccountOpened, CycleOpened, Event, OrderBlocked, OrderPlanned
from oms.model.liquidity import NotFinite, spendable
from oms.model.plan import Market, Plan, make_plan
from oms.model.signal import Signals


def open_account(driver: Driver, *, mode: str, bound: AccountBound | None = None) -> None:
    """The first rows of a new chain: what the account held before this journal began, and whose it is.

    Nothing for a known account.

    Raises:
        BrokerUnavailable: the account could not be read.
        TryAgainError: its cash is no finite number; nothing was written.
    """
    if driver.state.seq:
        return
    driver.look(())
    seen = driver.seen
    assert seen.funds is not None
    assert seen.positions is not None
    opened = account_opened(driver.broker.name, mode, seen.funds, list(seen.positions.values()))
    driver.journal.append_barrier([opened] if bound is None else [opened, bound])


def account_opened(broker: str, mode: str, funds: Funds, positions: Sequence[Position]) -> AccountOpened:
    """The first row of a chain.

    Raises:
        TryAgainError: the account's cash is no finite number.
    """
    if not funds.cash.is_finite():
        raise TryAgainError(f"the journal was not begun: the broker's cash is no finite number: {funds.cash}")
    return AccountOpened(
        mode=mode,
        broker=broker,
        currency=funds.currency,
        cash=funds.cash,
        positions=tuple(sorted(positions, key=lambda position: position.symbol)),
        others=funds.others,
    )


def look_and_plan(driver: Driver, signals: Signals, cycle_id: str) -> tuple[Plan, Funds]:
    """The plan that these signals make now; nothing is journaled and nothing is sent.

    Raises:
        BrokerUnavailable: account or prices could not be read.
    """
    driver.look(tuple(signal.symbol for signal in signals.signals))
    seen = driver.seen
    assert seen.funds is not None
    assert seen.positions is not None
    assert seen.session is not None, "a cycle is planned only within a session"
    held_back = driver.state.held_back(seen.session.day, seen.positions) if driver.rules.keeps_faith else {}
    positions = ours_to_sell(seen.positions, driver.state)
    market = Market(funds=seen.funds, positions=positions, quotes=seen.quotes, held_back=held_back)
    plan = make_plan(
        signals,
        market,
        driver.state.orders,
        driver.rules,
        account=driver.state.account,
        cycle_id=cycle_id,
    )
    return plan, seen.funds


def open_cycle(driver: Driver, plan: Plan, funds: Funds, *, cycle_id: str, config_hash: str, version: str) -> None:
    """Journal the whole plan; from here on a kill at any instant resumes it.

    Raises:
        TryAgainError: the broker's funds are not finite numbers, or in another currency; nothing was opened.
    """
    session = driver.seen.session
    assert session is not None, "a cycle is opened only within a session"
    before = driver.state.ledgers
    assert before is not None, "a cycle is opened only in an account that was opened"
    try:
        ledgers = before.opened(session.day, checked(funds, before.own.currency), driver.state.cash)
        ledger = ledgers.own.counting(driver.state.held_of_tagged(driver.seen.positions or {}))
        may_be_spent = spendable(funds, driver.rules.funds, ledger.in_transit(session.day))
    except NotFinite as error:
        raise TryAgainError(f"no cycle was opened: {error}") from error
    opened = CycleOpened(
        cycle_id=cycle_id,
        trading_day=session.day,
        settles=session.settles,
        closes=session.closes,
        sells=plan.sells,
        buys=plan.buys,
        funds=funds,
        spendable=may_be_spent,
        fence=driver.seen.fence,
        version=version,
        config_hash=config_hash,
        deadline=driver.now() + driver.rules.order_deadline,
        source=plan.source,
        trade_no=driver.state.trades_on(session.day),
        ledger=ledger,
        other_ledgers=ledgers.others,
    )
    driver.append_opening((*differences(before, ledgers, funds), opened, *_planned_sells(cycle_id, plan)))


def _planned_sells(cycle_id: str, plan: Plan) -> Iterator[Event]:
    for intent in plan.sells:
        yield OrderPlanned(
            cycle_id=cycle_id,
            cl_ord_id=intent.cl_ord_id,
            symbol=intent.symbol,
            side=intent.side,
            index=intent.index,
            ord_type=intent.ord_type,
            order_qty=intent.quantity,
            price=intent.limit,
            worst_px=intent.worst_px,
            score=intent.score,
        )
    for intent in plan.sells:
        if intent.rule is not None:
            yield OrderBlocked(
                cycle_id=cycle_id,
                cl_ord_id=intent.cl_ord_id,
                symbol=intent.symbol,
                rule=intent.rule,
                limit="",
                value=str(intent.quantity),
                reason=intent.reason,
            )
