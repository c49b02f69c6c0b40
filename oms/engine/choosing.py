"""From the market's history to the wishes of the next cycle, by the screen or by a user's own strategy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from oms.engine.driver import Driver
from oms.engine.factors import PriceTable
from oms.engine.freshness import too_stale
from oms.engine.selection import Screen, SelectionRules, screen, signals
from oms.engine.strategy import asked, digest_of
from oms.errors import MarketStale
from oms.model.detail import Score
from oms.model.event import AttentionRaised, Selected
from oms.model.order import ZERO, Side
from oms.model.rules import Rules
from oms.model.signal import Signal, Signals
from oms.model.state import AccountState
from oms.ports import BarSet, Market, Strategy, StrategySight


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What one selection found."""

    day: date
    """The trading day it was made for."""
    as_of: date
    """Last completed session that it saw."""
    bars_hash: str
    screen: Screen | None = None
    """The built-in screen; None where a user's own strategy chose."""
    own: tuple[Signal, ...] = ()
    """That strategy's wishes."""


class Chooser:
    """How an account chooses: its universe, and the screen's rules or a strategy of the user's own."""

    def __init__(
        self,
        universe: Sequence[str],
        rules: SelectionRules,
        config_hash: str,
        *,
        strategy: Strategy | None = None,
        name: str = "",
    ) -> None:
        self.universe = tuple(universe)
        self.rules = rules
        self.config_hash = config_hash
        self._strategy = strategy
        self._name = name
        """The strategy, as the configuration names it."""

    def find(self, market: Market, day: date, held: Mapping[str, Decimal]) -> Chosen:
        """Choose for a trading day, from the history before it. It touches no journal, and may run in any thread.

        Raises:
            MarketStale: too few symbols of the universe have fresh prices.
            UsageError: the user's own strategy failed.
        """
        bars = market.bars(sorted({*self.universe, *held}))
        if sentence := too_stale(bars, self.universe):
            raise MarketStale(sentence)
        if self._strategy is None:
            found = screen(bars, self.universe, self.rules)
            return Chosen(day=day, as_of=found.as_of, bars_hash=found.bars_hash, screen=found)
        sight = StrategySight(day=day, universe=self.universe, bars=bars, held=held)
        wishes = asked(self._strategy, self._name, sight)
        return Chosen(day=day, as_of=bars.as_of, bars_hash=_hash(bars), own=wishes)

    def fact(self, chosen: Chosen, barred: Mapping[str, str]) -> Selected:
        """What the journal keeps of it: enough to compute the same wishes again."""
        scores = _own_scores(chosen.own) if chosen.screen is None else chosen.screen.scores
        return Selected(
            as_of=chosen.as_of,
            config_hash=self.config_hash,
            bars_hash=chosen.bars_hash,
            scores=tuple(_marked(score, barred) for score in scores),
            strategy=self._name,
            digest=digest_of(chosen.own) if chosen.screen is None else "",
        )

    def wishes(
        self,
        chosen: Chosen,
        state: AccountState,
        rules: Rules,
        now: datetime,
        held: Mapping[str, Decimal] | None = None,
    ) -> Signals:
        """The wishes that a choice means for the account as it is now.

        ``held`` is what it holds where no journal says so yet.
        """
        held = holdings(state) if held is None else held
        if chosen.screen is None:
            return self._own_wishes(chosen, state)
        earlier = [before.scores for before in state.screens if before.as_of < chosen.as_of]
        barred = barred_symbols(state, rules, now)
        return wishes_of(chosen.screen, sorted(held), barred, self.rules, earlier)

    def _own_wishes(self, chosen: Chosen, state: AccountState) -> Signals:
        """A strategy's wishes are one cycle: the same ones of the same day are not traded again, whatever happens."""
        digest = digest_of(chosen.own)
        source = f"{self._name} {chosen.as_of} {digest[:12]}"
        is_traded = state.cycle is not None and state.cycle.opened.source == source
        return Signals(signals=() if is_traded else chosen.own, source=source, digest=digest)


def choose(driver: Driver, chooser: Chooser) -> Signals:
    """Choose now, wait for it, journal it, and answer the wishes.

    Raises:
        MarketStale: too few symbols have fresh prices; that is journaled, and nothing is chosen.
        BrokerUnavailable: the history could not be read.
        UsageError: the user's own strategy failed.
    """
    session = driver.seen.session
    assert session is not None, "something is chosen only for a trading day"
    held = holdings(driver.state)
    try:
        chosen = driver.fetch(lambda: chooser.find(driver.market, session.day, held))
    except MarketStale as error:
        driver.append([AttentionRaised(rule="market_stale", text=str(error))])
        raise
    keep(driver, chooser, chosen)
    return chooser.wishes(chosen, driver.state, driver.rules, driver.now())


def keep(driver: Driver, chooser: Chooser, chosen: Chosen) -> None:
    """Journal a choice, unless it says word for word what the last one said."""
    fact = chooser.fact(chosen, barred_symbols(driver.state, driver.rules, driver.now()))
    if not driver.state.screens or driver.state.screens[0] != fact:
        driver.append([fact])


def holdings(state: AccountState) -> dict[str, Decimal]:
    """What the strategy holds by the journal. Shares that came otherwise, as by a person's hand, are not its to sell."""
    return {symbol: held.qty for symbol, held in state.holdings.items() if held.qty > ZERO}


def barred_symbols(state: AccountState, rules: Rules, now: datetime) -> dict[str, str]:
    """Symbols of which nothing may be bought at this instant, each with the rule and the reason."""
    barred = dict.fromkeys(rules.blacklist, "blacklist: risk.blacklist of the configuration")
    for symbol, entry in state.blacklist.items():
        if state.is_blacklisted(symbol, now):
            barred[symbol] = f"blacklist: {entry.reason or 'no reason given'} (by {entry.author})"
    return barred | {symbol: f"frozen: {reason}" for symbol, reason in state.frozen.items()}


def wishes_of(
    found: Screen,
    held: Sequence[str],
    barred: Collection[str],
    rules: SelectionRules,
    previous: Sequence[Sequence[Score]] = (),
) -> Signals:
    """The wishes of a screen, without buys of barred symbols; the next best take their places.

    ``previous`` are the scores of earlier days' screens, newest first.
    """
    wishes = signals(found, held, replace(rules, top=rules.top + len(barred)), previous)
    buys = [signal for signal in wishes.of(Side.BUY) if signal.symbol not in barred]
    return replace(wishes, signals=(*wishes.of(Side.SELL), *buys[: rules.top]))


def _marked(score: Score, barred: Mapping[str, str]) -> Score:
    return (
        replace(score, excluded_by=barred[score.symbol]) if score.symbol in barred and not score.excluded_by else score
    )


def _own_scores(wishes: Sequence[Signal]) -> list[Score]:
    """The scores that a strategy gave its buys, ranked as they stand."""
    buys = [wish for wish in wishes if wish.side is Side.BUY]
    return [Score(symbol=wish.symbol, score=wish.score, rank=rank) for rank, wish in enumerate(buys, 1)]


def _hash(bars: BarSet) -> str:
    return PriceTable(bars.bars).digest
