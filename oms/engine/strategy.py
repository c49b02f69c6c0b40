"""A user's own strategy, asked and checked: what it hands over is taken whole or refused whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from decimal import Decimal

from oms.errors import UsageError
from oms.model.foreign import shown
from oms.model.order import Side
from oms.model.signal import Signal
from oms.model.symbol import canonical_symbol
from oms.ports import Strategy, StrategySight

MOST_SIGNALS = 10_000
"""As many as a file of signals may hold."""


def asked(strategy: Strategy, name: str, sight: StrategySight) -> tuple[Signal, ...]:
    """The wishes of a strategy.

    Raises:
        UsageError: it failed, or what it handed over is not a list of sound signals; every bad one is named.
    """
    try:
        answer = strategy(sight)
        wishes = _taken(name, answer)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"selection.strategy: {name} raised {type(error).__name__}: {error}; nothing was chosen"
        ) from error
    if problems := [f"  signal {number}: {problem}" for number, wish in enumerate(wishes, 1) for problem in _bad(wish)]:
        raise UsageError("\n".join([f"selection.strategy: {name} handed over signals of no use:", *problems]))
    return tuple(wishes)


def digest_of(wishes: Iterable[Signal]) -> str:
    """SHA-256 of the wishes in their order, in hex."""
    lines = [f"{w.side} {w.symbol} {w.quantity} {w.price} {w.score}" for w in wishes]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _taken(name: str, answer: object) -> list[Signal]:
    expected = "expected a list of oms.model.signal.Signal"
    if not isinstance(answer, Iterable) or isinstance(answer, str | bytes):
        raise UsageError(f"selection.strategy: {name} answered {shown(answer)}; {expected}")
    wishes: list[Signal] = []
    for item in answer:
        if not isinstance(item, Signal):
            raise UsageError(f"selection.strategy: {name} handed over {shown(item)}; {expected}")
        if len(wishes) >= MOST_SIGNALS:
            raise UsageError(f"selection.strategy: {name} handed over more than {MOST_SIGNALS:,} signals")
        wishes.append(item)
    return wishes


def _bad(wish: Signal) -> Iterator[str]:
    """What is wrong with a signal: a type hint keeps nobody from handing over something else."""
    side, symbol, quantity, price, score = _foreign(wish)
    if not isinstance(side, Side):
        yield f"side: found {shown(side)}; expected Side.BUY or Side.SELL"
    if not isinstance(symbol, str) or _spelt(symbol) != symbol:
        yield f"symbol: found {shown(symbol)}; expected it as the universe spells it"
    if quantity is not None and (type(quantity) is not int or quantity < 1):
        yield f"quantity: found {shown(quantity)}; expected whole shares, at least 1, or None"
    if price is not None and not (isinstance(price, Decimal) and price.is_finite() and price > 0):
        yield f"price: found {shown(price)}; expected a Decimal above 0, or None"
    if score is not None and not (isinstance(score, Decimal) and score.is_finite()):
        yield f"score: found {shown(score)}; expected a Decimal, or None"


def _foreign(wish: Signal) -> tuple[object, object, object, object, object]:
    """Its fields as what they may be, not as what they are declared."""
    return wish.side, wish.symbol, wish.quantity, wish.price, wish.score


def _spelt(symbol: str) -> str | None:
    try:
        return canonical_symbol(symbol)
    except ValueError:
        return None
