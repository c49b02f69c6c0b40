"""Funds, positions, quotes and price steps as Tiger's gateway writes them, read by us from the raw reply."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from oms.errors import BrokerUnavailable
from oms.gateways.tiger.wire import (
    Item,
    instant,
    is_us_stock,
    items_of,
    money,
    number,
    optional_number,
    quantity,
    text,
)
from oms.model.account import Balance, Funds, Position, Quote

CURRENCY = "USD"
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
NOTHING = Decimal(0)
CENT, SUB_DOLLAR = Decimal("0.01"), Decimal("0.0001")


def _securities(data: object) -> Item:
    """The securities segment of ``prime_assets``."""
    segments = data.get("segments") if isinstance(data, dict) else None
    for segment in segments if isinstance(segments, list) else []:
        if isinstance(segment, dict) and segment.get("category") == "S":
            if segment.get("currency") != CURRENCY:
                raise BrokerUnavailable(f"tiger: funds come in {text(segment, 'currency', 10)!r}, expected {CURRENCY}")
            return segment
    raise BrokerUnavailable("tiger: the assets have no securities segment")


def _dollars(segment: Item) -> Item:
    assets = segment.get("currencyAssets")
    for asset in assets if isinstance(assets, list) else []:
        if isinstance(asset, dict) and asset.get("currency") == CURRENCY:
            return asset
    raise BrokerUnavailable(f"tiger: the assets have no {CURRENCY}")


def _others(segment: Item) -> tuple[Balance, ...]:
    """Money in other currencies, by currency. Tiger does not say what of it has settled.

    A currency whose figure is no number is not told of: nothing here spends it, so it shall not stop the trading either.
    """
    assets = segment.get("currencyAssets")
    found: dict[str, Decimal] = {}
    for asset in assets if isinstance(assets, list) else []:
        name = asset.get("currency") if isinstance(asset, dict) else None
        if isinstance(name, str) and _CURRENCY.fullmatch(name) and name != CURRENCY:
            with suppress(BrokerUnavailable):
                found[name] = money(number(asset, "cashBalance"))
    return tuple(Balance(currency=name, cash=cash) for name, cash in sorted(found.items()))


def prime_funds(data: object, at: datetime) -> Funds:
    """The money of a prime or paper account, as the facts sheet recommends to read it.

    ``cash`` is the US dollars alone. ``available`` is the lower of two figures of the broker's, both required, and never
    more than all its cash. ``settled_cash`` is cash less what is in transit, and such that it less ``locked`` is never more
    than what may be withdrawn; where neither figure is shown, nothing is known to be settled. No figure with leverage
    enters any of them but ``buying_power``.

    Raises:
        BrokerUnavailable: a required figure is missing, infinite or not a number, or in another currency.
    """
    segment = _securities(data)
    dollars = _dollars(segment)
    total, locked = number(segment, "cashBalance"), _not_negative(segment, "lockedFunds")
    # The segment's balance counts every currency, at Tiger's rates; what is traded with is the dollars among it.
    own = optional_number(dollars, "cashBalance")
    cash = total if own is None else own
    available = min(
        number(segment, "cashAvailableForTrade"), number(dollars, "cashAvailableForTrade"), max(total - locked, NOTHING)
    )
    settled = _settled(segment, min(cash, total), locked)
    stamp = data.get("updateTimestamp") if isinstance(data, dict) else None
    return Funds(
        currency=CURRENCY,
        cash=money(cash),
        settled_cash=money(settled),
        available=money(available),
        locked=money(locked),
        buying_power=money(optional_number(segment, "buyingPower") or NOTHING),
        at=at,
        raw={"updateTimestamp": str(stamp), **_scalars("S", segment), **_scalars(CURRENCY, dollars)},
        others=_others(segment),
    )


def _settled(segment: Item, cash: Decimal, locked: Decimal) -> Decimal:
    bounds = []
    if segment.get("uncollected") is not None:
        bounds.append(cash - _not_negative(segment, "uncollected"))
    withdrawal = optional_number(segment, "cashAvailableForWithdrawal")
    if withdrawal is not None:
        bounds.append(withdrawal + locked)
    return min(bounds, default=NOTHING)


def global_funds(data: object, account: str, at: datetime) -> Funds:
    """The money of a global account (``assets``): such an account shows neither locked nor unsettled cash.

    So nothing is known to be settled, and cash is never more than what the broker calls available.
    """
    for item in items_of(data, "assets"):
        if item.get("account") == account:
            if item.get("currency") not in (None, CURRENCY):
                raise BrokerUnavailable(f"tiger: funds come in {text(item, 'currency', 10)!r}, expected {CURRENCY}")
            return Funds(
                currency=CURRENCY,
                cash=money(number(item, "cashValue")),
                settled_cash=NOTHING,
                available=money(number(item, "availableFunds")),
                locked=NOTHING,
                buying_power=money(optional_number(item, "buyingPower") or NOTHING),
                at=at,
                raw=_scalars("assets", item),
            )
    raise BrokerUnavailable("tiger: the assets do not show the account")


def _not_negative(item: Item, name: str) -> Decimal:
    found = number(item, name)
    if found < 0:
        raise BrokerUnavailable(f"tiger: {name} is {found}")
    return found


def _scalars(prefix: str, item: Item) -> dict[str, str]:
    """Every plain field as text, for the journal."""
    plain = {name: value for name, value in item.items() if isinstance(value, str | int | float) or value is None}
    return {f"{prefix}.{name}"[:80]: str(value)[:80] for name, value in sorted(plain.items())}


def holds_value(data: object) -> bool:
    """Whether the assets say that securities are held, for a list of positions that is empty."""
    return (optional_number(_securities(data), "grossPositionValue") or NOTHING) != 0


def positions_of(data: object, account: str) -> list[Position]:
    """US stocks that are held; the quantity is Tiger's exact ``positionQty``, not the scaled one."""
    held = [item for item in items_of(data, "positions") if is_us_stock(item)]
    return [_position(item) for item in held if item.get("account") in (None, account) and _held(item) != 0]


def _held(item: Item) -> Decimal:
    exact = optional_number(item, "positionQty")
    scaled = quantity(item, "position") if exact is None else exact
    if scaled is None:
        raise BrokerUnavailable("tiger: a position without a quantity")
    return scaled


def _symbol(item: Item, what: str) -> str:
    symbol = text(item, "symbol", 20)
    if not symbol:
        raise BrokerUnavailable(f"tiger: a {what} without a symbol")
    return symbol


def _position(item: Item) -> Position:
    return Position(
        symbol=_symbol(item, "position"),
        qty=money(_held(item)),
        sellable=money(number(item, "salableQty")),
        avg_cost=money(optional_number(item, "averageCost") or NOTHING),
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of price and quantity of one symbol."""

    bands: tuple[tuple[Decimal, Decimal, Decimal], ...]
    """From, to, tick; a price on a border belongs to the band above."""
    lot: int = 1

    def tick(self, price: Decimal) -> Decimal:
        """The smallest step of a limit at ``price``; of an unknown band the US rule: 0.01, below a dollar 0.0001."""
        found = [tick for low, high, tick in self.bands if low <= price < high]
        return found[0] if found else (CENT if price >= 1 else SUB_DOLLAR)


def steps_of(data: object) -> dict[str, Steps]:
    """Price and lot steps by symbol (``contracts``)."""
    return {
        _symbol(item, "contract"): Steps(_bands(item.get("tickSizes")), _lot(item))
        for item in items_of(data, "contracts")
    }


def _lot(item: Item) -> int:
    """Shares that are traded together; one where Tiger names none."""
    lot = optional_number(item, "lotSize") or Decimal(1)
    if lot < 1 or lot != lot.to_integral_value():
        raise BrokerUnavailable(f"tiger: lotSize is {lot}, not a number of whole shares")
    return int(lot)


def _bands(sizes: object) -> tuple[tuple[Decimal, Decimal, Decimal], ...]:
    bands = []
    for size in sizes if isinstance(sizes, list) else []:
        if not isinstance(size, dict):
            raise BrokerUnavailable("tiger: tickSizes holds something else than steps of prices")
        end = size.get("end")
        high = Decimal("Infinity") if end in (None, "Infinity") else number(size, "end")
        if (tick := number(size, "tickSize")) > 0:
            bands.append((number(size, "begin"), high, tick))
    return tuple(bands)


def quotes_of(items: Sequence[Item], steps: Mapping[str, Steps], *, delayed: bool) -> dict[str, Quote]:
    """Quotes that can price an order; what is halted, delisted, without a price or without a time is left out.

    A delayed quote has its closing price for bid, ask and last, and a time that says how old it is.
    """
    quotes = {}
    for item in items:
        told = optional_number(item, "close" if delayed else "latestPrice")
        # Rounded first: a price below a millionth is none.
        last = None if told is None else money(told)
        at = instant(item, "time" if delayed else "latestTime", "timestamp")
        if last is None or last <= 0 or at is None or _is_halted(item):
            continue
        symbol = text(item, "symbol", 20)
        own = steps.get(symbol, Steps(()))
        bid, ask = (
            (last, last) if delayed else (_side_price(item, "bidPrice", last), _side_price(item, "askPrice", last))
        )
        quotes[symbol] = Quote(symbol=symbol, bid=bid, ask=ask, last=last, at=at, tick=own.tick(last), lot=own.lot)
    return quotes


def _side_price(item: Item, name: str, last: Decimal) -> Decimal:
    told = optional_number(item, name)
    found = None if told is None else money(told)
    return found if found is not None and found > 0 else last


def _is_halted(item: Item) -> bool:
    """``status`` of a real-time quote, ``halted`` of a delayed one (0 is normal)."""
    return item.get("status") not in (None, "NORMAL", "NEW", "ALTER", "UNKNOWN") or bool(
        optional_number(item, "halted")
    )
