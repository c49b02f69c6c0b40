"""From the market's history to the wishes of the next cycle: screen, journal the screen, hand over the signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oms.engine.driver import Driver
from oms.engine.selection import SelectionRules, screen, signals
from oms.model.detail import Score
from oms.model.event import Selected
from oms.model.order import Side
from oms.model.signal import Signals


def choose(driver: Driver, universe: Sequence[str], rules: SelectionRules, config_hash: str) -> Signals:
    """Screen the universe on the day before the current one and turn the scores into wishes.

    The screen is journaled with the hash of its input bars, so that the same wishes can be computed again. A symbol on
    the blacklist is scored and shown, and never wished for as a buy.

    Raises:
        BrokerUnavailable: what is held could not be read.
    """
    driver.look(())
    assert driver.seen.positions is not None
    held = sorted(symbol for symbol, position in driver.seen.positions.items() if position.qty > 0)
    bars = driver.market.bars(sorted({*universe, *held}))
    found = screen(bars, universe, rules)
    barred = {*driver.rules.blacklist, *driver.state.blacklist, *driver.state.frozen}
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
    wishes = signals(found, held, replace(rules, top=rules.top + len(barred)))
    return _without(wishes, barred, rules.top)


def _marked(score: Score, barred: set[str]) -> Score:
    return replace(score, excluded_by="blacklist") if score.symbol in barred and score.excluded_by is None else score


def _without(wishes: Signals, barred: set[str], top: int) -> Signals:
    sells = wishes.of(Side.SELL)
    buys = [signal for signal in wishes.of(Side.BUY) if signal.symbol not in barred]
    return replace(wishes, signals=(*sells, *buys[:top]))
