"""The stair to the paper broker: by itself, or as the twin of a real account that a dry run trades on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oms.config import LoadedConfig
from oms.gateways.paper import PaperBroker
from oms.gateways.paper.twin import MarketOfAccount, RealAccount, TwinBroker
from oms.places import Places
from oms.ports import Clock, Market

PATIENCE = timedelta(seconds=1)
"""So long the paper broker's reads wait for a market that is not on this machine."""


def paper_of(loaded: LoadedConfig, market: Market, clock: Clock, where: Places, *, watching: bool) -> PaperBroker:
    """The paper broker of a configuration; one that is only watching moves nothing."""
    paper = loaded.config.broker.paper
    return PaperBroker(
        where.paper,
        market,
        clock,
        cash=paper.cash,
        positions=paper.positions,
        watching=watching,
        currency=loaded.config.market.trades_in,
        patience=None if market.skips_nights else PATIENCE,
        **_terms(loaded, market),
    )


def twin_of(
    account: RealAccount,
    loaded: LoadedConfig,
    market: Market,
    clock: Clock,
    where: Places,
    *,
    watching: bool,
    say: Callable[[str], None] = lambda _: None,
) -> TwinBroker:
    """The paper twin of this account, made from what it holds now, or as it was left by the last dry run.

    Its own book is the file of the paper broker, marked as of a dry run. ``say`` is told where the real account has moved
    away from a twin that was made earlier.

    Raises:
        BrokerUnavailable: the real account could not be read.
    """
    is_new = not where.paper.exists()
    funds, held = account.funds(), account.positions()
    positions = {each.symbol: each.qty for each in held if each.qty > 0}
    twin = TwinBroker(
        where.paper,
        MarketOfAccount(market, account, clock),
        clock,
        cash=max(funds.cash, Decimal(0)),
        positions=positions,
        watching=watching,
        currency=funds.currency,
        others={balance.currency: balance.cash for balance in funds.others},
        **_terms(loaded, market),
    )
    twin.account = account
    if is_new:
        shares = f"{len(positions)} positions" if len(positions) != 1 else "1 position"
        say(f"a paper twin of the account was made: {funds.cash:.2f} in cash, {shares}")
        return twin
    differences = list(twin.differences())
    for difference in differences:
        say(difference)
    if differences:
        say(
            f"the twin goes on from the last dry run; to begin anew, remove {where.paper.name} and {where.journal.name}"
        )
    return twin


def _terms(loaded: LoadedConfig, market: Market) -> dict[str, Any]:
    """How the paper broker of a configuration trades, as its keywords."""
    paper = loaded.config.broker.paper
    names = (
        "settle_after",
        "funds_lag",
        "list_lag",
        "fee_per_share",
        "slippage",
        "partial_fills",
        "fill_delay",
        "seed",
    )
    return {"session": market.session, **{name: getattr(paper, name) for name in names}}
