"""Our spelling of a symbol and Yahoo's."""

from __future__ import annotations

_SUFFIX = {"XHKG": ".HK", "XSES": ".SI", "XTKS": ".T"}
_HONG_KONG_DIGITS = 4


def to_yahoo(symbol: str, exchange: str) -> str:
    """Yahoo's name of our ``symbol`` at ``exchange``: BRK-B for BRK.B, 0700.HK for 00700 in Hong Kong.

    Yahoo writes an American share class with a dash, and shares of other exchanges with the exchange behind a dot.
    """
    suffix = _SUFFIX.get(exchange, "")
    if not suffix:
        return symbol.replace(".", "-")
    if exchange == "XHKG" and symbol.isdigit():
        symbol = symbol.lstrip("0").rjust(_HONG_KONG_DIGITS, "0")
    return symbol + suffix
