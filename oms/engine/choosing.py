"""From the market's history to the wishes of the next cycle: screen, journal the screen, hand over the signals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from oms.engine.driver import Driver
from oms.engine.freshness import too_stale
from oms.engine.selection import Screen, SelectionRules, screen, signals
from oms.errors import MarketStale
from oms.model.detail import Score
from oms.model.event import AttentionRaised, Selected
from oms.model.order import Side
from oms.model.rules import Rules
from oms.model.signal import Signals
from oms.model.state import AccountState
from oms.ports import Market


def choose(driver: Driver, universe: Sequence[str], rules: SelectionRules, config_hash: str) -> Signals:
    """Screen the universe on the day before the current one and turn the scores into wishes.

    The screen is journaled with the hash of its input bars, so that the same wishes can be computed again. A symbol on
    the blacklist is scored and shown, and never wished for as a buy.

    Raises:
        MarketStale: too few symbols have fresh prices; that is journaled, and nothing is chosen.
        BrokerUnavailable: what is held, or the history, could not be read.
    """
    driver.look(())
    assert driver.seen.positions is not None
    held = sorted(symbol for symbol, position in driver.seen.positions.items() if position.qty > 0)
    try:
        found = driver.fetch(lambda: screened(driver.market, universe, held, rules))
    except MarketStale as error:
        driver.append([AttentionRaised(rule="market_stale", text=str(error))])
        raise
    barred = barred_symbols(driver.state, driver.rules, driver.now())
    previous = [before.scores for before in driver.state.screens]
    driver.append(
        [
            Selected(
                as_of=found.as_of,
                config_hash=config_hash,
                bars_hash=found.bars_hash,
                scores=tuple(_marked(score, barred) for score in found.scores),
            )
        ]
    )
    return wishes_of(found, held, barred, rules, previous)


def barred_symbols(state: AccountState, rules: Rules, now: datetime) -> frozenset[str]:
    """Symbols of which nothing may be bought at this instant."""
    listed = [symbol for symbol in state.blacklist if state.is_blacklisted(symbol, now)]
    return frozenset([*rules.blacklist, *listed, *state.frozen])


def screened(market: Market, universe: Sequence[str], held: Sequence[str], rules: SelectionRules) -> Screen:
    """The screen over the universe, from the history before the current day.

    Raises:
        MarketStale: too few symbols of the universe have fresh prices.
    """
    bars = market.bars(sorted({*universe, *held}))
    if sentence := too_stale(bars, universe):
        raise MarketStale(sentence)
    return screen(bars, universe, rules)


def wishes_of(
    found: Screen,
    held: Sequence[str],
    barred: Collection[str],
    rules: SelectionRules,
    previous: Sequence[Sequence[Score]] = (),
) -> Signals:
    """The wishes of a screen, without buys of barred symbols; the next best take their places.

    ``previous`` are the scores of the screens before it, newest first.
    """
    wishes = signals(found, held, replace(rules, top=rules.top + len(barred)), previous)
    buys = [signal for signal in wishes.of(Side.BUY) if signal.symbol not in barred]
    return replace(wishes, signals=(*wishes.of(Side.SELL), *buys[: rules.top]))


def _marked(score: Score, barred: Collection[str]) -> Score:
    return replace(score, excluded_by="blacklist") if score.symbol in barred and score.excluded_by is None else score
