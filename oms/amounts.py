"""How an amount of money is written for a person: with the sign of the account's currency, which the configuration names.

A process works for the accounts of one configuration, and so in one currency.
"""

from __future__ import annotations

from decimal import Decimal

_SIGNS = {
    "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "HKD": "HK$", "SGD": "S$", "CAD": "C$", "AUD": "A$", "NZD": "NZ$",
    "TWD": "NT$", "CNY": "CN¥", "BRL": "R$",
}  # fmt: skip
"""Signs that name one currency only, in letters that every console can write; any other currency is its code."""


def sign_of(currency: str) -> str:
    """What stands before an amount of a currency (ISO 4217): $, HK$, or the code and a space."""
    return _SIGNS.get(currency, f"{currency} " if currency else "")


class _Written:
    """In which currency this process writes amounts."""

    sign = sign_of("USD")


def write_in(currency: str) -> None:
    """Write every amount from now on with the sign of this currency."""
    _Written.sign = sign_of(currency)


def amount(value: Decimal, *, digits: int = 2, minus: str = "-", plus: str = "") -> str:
    """An amount of the account's currency: $1,234.50, or -HK$1,234.50; rounded to so many digits.

    ``minus`` and ``plus`` are the signs of what is below and above nothing, after rounding.
    """
    rounded = value.quantize(Decimal(1).scaleb(-digits))
    before = minus if rounded < 0 else plus if rounded > 0 else ""
    return f"{before}{_Written.sign}{abs(rounded):,.{digits}f}"
