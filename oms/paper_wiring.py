"""The stair to the paper broker: by itself, or as the twin of a real account that a dry run trades on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from oms.config import LoadedConfig
from oms.errors import DamagedError, UsageError
from oms.gateways.paper import PaperBroker
from oms.gateways.paper.book import FIRST_NUMBER
from oms.gateways.paper.twin import MarketOfAccount, RealAccount, TwinBroker
from oms.journal.reader import open_reader
from oms.journal.statements import statements
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
        used=partial(used_up_to, where),
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
        used=partial(used_up_to, where),
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


def used_up_to(where: Places) -> int:
    """The highest number by which the journal knows an order or an execution of a paper book, which may be gone.

    A journal that was restored on a new machine meets a new book there; what that calls ``E1`` must not be what the journal
    has booked as ``E1``.
    """
    try:
        with closing(open_reader(where.journal_url)) as reader, reader.asking("looking for numbers", whole=False) as c:
            raw, account = statements(c), (reader.account,)
            numbers = raw.execute("SELECT order_no FROM orders WHERE account = ? AND order_no IS NOT NULL", account)
            names = raw.execute("SELECT exec_id FROM fills WHERE account = ?", account)
            orders = [int(number) - FIRST_NUMBER for (number,) in numbers if _counts(number)]
            executions = [int(name[1:]) for (name,) in names if _counts(name[1:])]
    except (UsageError, DamagedError):  # there is none, or the engine will say what is wrong with it
        return 0
    return max([0, *orders, *executions])


def _counts(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


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
