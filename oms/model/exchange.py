"""In which currency an exchange's shares are priced and paid for (ISO 10383 names, ISO 4217 currencies)."""

from __future__ import annotations

_EXCHANGES = {
    "USD": "XNYS NYSE NASDAQ XNAS XASE ARCX BATS IEXG OOTC us_futures CMES CME CBOT COMEX NYMEX XCBF CFE IEPA ICE ICEUS NYFE"
    " 24/5 24/7",
    "HKD": "XHKG HKEX",
    "SGD": "XSES",
    "EUR": "XAMS XBRU XDUB XDUS XETR XEUR XFRA FWB XHAM XHEL XLIS XLJU XLUX LUXSE XMAD XMIL XPAR XRIS XSTU XTAL XLIT XWBO"
    " XBRA XCYS ASEX XEEE XZAG",
    "GBP": "XLON LSE",
    "CHF": "XSWX SIX",
    "JPY": "XTKS JPX",
    "CAD": "XTSE TSX XTSX",
    "AUD": "XASX ASX",
    "NZD": "XNZE",
    "CNY": "XSHG SSE",
    "TWD": "XTAI",
    "KRW": "XKRX",
    "INR": "XBOM BSE",
    "THB": "XBKK",
    "MYR": "XKLS",
    "IDR": "XIDX JKT",
    "PHP": "XPHS",
    "PKR": "XKAR",
    "KZT": "AIXK",
    "SEK": "XSTO",
    "NOK": "XOSL OSE",
    "DKK": "XCSE",
    "ISK": "XICE",
    "PLN": "XWAR",
    "CZK": "XPRA",
    "HUF": "XBUD",
    "RSD": "XBEL",
    "RON": "XBSE BVB",
    "TRY": "XIST",
    "RUB": "XMOS",
    "ILS": "XTAE TASE",
    "SAR": "XSAU",
    "ZAR": "XJSE",
    "BRL": "BVMF BMF",
    "MXN": "XMEX",
    "ARS": "XBUE",
    "CLP": "XSGO",
    "COP": "XBOG",
    "PEN": "XLIM",
    "BMD": "XBDA",
}
_CURRENCIES = {name: currency for currency, names in _EXCHANGES.items() for name in names.split()}


def currency_of(exchange: str) -> str | None:
    """The currency of an exchange by any name that ``exchange_calendars`` has for it; None where it is not known here.

    Shares in London are priced in pence by some sources; those are another currency (GBX) and taken for one.
    """
    return _CURRENCIES.get(exchange)
