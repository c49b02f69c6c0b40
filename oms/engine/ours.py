"""Which of the broker's shares are this journal's to sell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from oms.model.account import Position
from oms.model.order import ZERO
from oms.model.plan import promised_of
from oms.model.state import AccountState


def ours_to_sell(positions: Mapping[str, Position], state: AccountState) -> dict[str, Position]:
    """The broker's positions, of which no more may be sold than the journal holds and is not selling already.

    A list of positions that lags shows shares that were sold a moment ago, and would sell them twice; shares beyond the
    journal's were put there by a person's hand, who decides about them. Of a symbol that the journal has never held it
    knows nothing better than the broker.
    """
    return {symbol: _ours(position, state) for symbol, position in positions.items()}


def _ours(position: Position, state: AccountState) -> Position:
    held = state.holdings.get(position.symbol)
    if held is None or not position.sellable.is_finite():
        return position
    selling = promised_of(state.orders, position.symbol)
    return replace(position, sellable=min(position.sellable, max(held.qty - Decimal(selling), ZERO)))
