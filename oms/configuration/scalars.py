"""The values a person writes, each with its unit: ``30s``, ``0.5%``, ``10000``, ``C``.

Every reader takes the text of the scalar itself, so no binary fraction ever stands between the file and a Decimal. It
also takes the value it returns, so that code and tests can build a Config from Python values. A reader refuses with
ValueError; its text says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from oms.configuration.notices import parse_entry
from oms.model.symbol import canonical_symbol

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,12})?", re.ASCII)
_DURATION = re.compile(r"((?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?)(ms|s|m|h)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_READ_AS_SOMETHING_ELSE = {
    **dict.fromkeys(("y", "n", "yes", "no", "on", "off", "true", "false"), "true or false"),
    **dict.fromkeys(("null", "~", ""), "nothing"),
    **dict.fromkeys((".nan", ".inf", "-.inf"), "a special number"),
}
"""Words that YAML readers of one version or another take for something other than text, in small letters."""


class Holdings(Mapping[str, int]):
    """Symbol → whole shares; it cannot be changed, and it can be hashed, copied and sent to another process."""

    __slots__ = ("_pairs",)

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._pairs = tuple(sorted(shares.items()))

    def __getitem__(self, symbol: str) -> int:
        return dict(self._pairs)[symbol]

    def __iter__(self) -> Iterator[str]:
        return (symbol for symbol, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Holdings({dict(self._pairs)})"


class PlainText(str):
    """A scalar that stood in the file without quotes."""

    __slots__ = ()


def misread(text: str) -> str | None:
    """What some YAML reader makes of an unquoted ``text``; None where every one of them reads text."""
    if re.fullmatch(r"[0-9][0-9_.:]*|0[xo][0-9a-fA-F]+|[0-9]+[eE][0-9]+", text, re.ASCII):
        return "a number"
    return _READ_AS_SOMETHING_ELSE.get(text.lower())


def read_integer(value: object) -> int:
    """A whole number, written with digits only."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise ValueError(f"a whole number in plain digits, such as 30{_number_hint(value)}")


def read_number(value: object) -> Decimal:
    """A plain decimal number, exact to its last digit."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    raise ValueError(f"a plain number, such as 10000 or 0.005{_number_hint(value)}")


def _number_hint(value: object) -> str:
    if isinstance(value, float):
        return " (from Python: an int or a Decimal, a float is not exact)"
    if not isinstance(value, str):
        return ""
    if value.endswith("%"):
        return ", without a percent sign"
    if "," in value or "_" in value or " " in value.strip():
        return ", without separators"
    if re.fullmatch(r"[0-9.]+[eE][+-]?[0-9]+", value, re.ASCII):
        return ", written out instead of with an exponent"
    if re.fullmatch(r"[$€£]?[0-9.]+[A-Za-z$€£%]*", value):
        return ", without a unit or currency"
    return ""


def read_duration(value: object) -> timedelta:
    """A span of time with its unit: ms, s, m or h; exact to the millisecond."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        milliseconds = Decimal(match[1]) * _UNIT_MS[match[2]]
        if milliseconds == int(milliseconds):
            return timedelta(milliseconds=int(milliseconds))
        raise ValueError("a duration in whole milliseconds, such as 500ms")
    text = str(value)
    if isinstance(value, (int, float, str)) and _NUMBER.fullmatch(text) and not text.startswith("-"):
        raise ValueError(f"a duration with its unit (ms, s, m or h): {text}s if seconds are meant")
    raise ValueError("a duration with its unit (ms, s, m or h), such as 500ms, 30s, 10m or 2h")


def write_duration(value: timedelta) -> str:
    """The canonical spelling: whole seconds where possible, else milliseconds."""
    milliseconds = value // timedelta(milliseconds=1)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def read_percent(value: object) -> Decimal:
    """A share written with its sign, kept as a plain fraction: ``0.5%`` is Decimal("0.005")."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, str) and value.endswith("%") and _NUMBER.fullmatch(value[:-1]):
        return Decimal(value[:-1]).scaleb(-2)
    text = str(value)
    if isinstance(value, (int, float, str)) and _NUMBER.fullmatch(text):
        raise ValueError(f"a percentage with its sign: {text}% if percent is meant")
    raise ValueError("a percentage with its sign, such as 0.5%")


def write_percent(value: Decimal) -> str:
    """The canonical spelling of a fraction as a percentage."""
    return f"{write_number(value.scaleb(2))}%"


def write_number(value: Decimal) -> str:
    """The canonical spelling of a number: no exponent, no trailing zeros."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def read_switch(value: object) -> bool:
    """The word true or the word false, and no other."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    raise ValueError("true or false")


def read_word(value: object) -> str:
    """One printable line of text."""
    if isinstance(value, str):
        if value and value == value.strip() and value.isprintable() and len(value) <= 1000:
            return str.__str__(value)
        raise ValueError("one line of text without control characters or blanks around it")
    raise ValueError("text")


def read_symbol(value: object) -> str:
    """A symbol; unquoted only where no YAML reader takes it for something else."""
    if value is None:
        raise ValueError("a symbol as text: YAML reads an unquoted null, NULL or ~ as nothing; quote it")
    if not isinstance(value, str):
        raise ValueError("a symbol as text")  # noqa: TRY004  pydantic collects ValueErrors
    if isinstance(value, PlainText) and (meaning := misread(value)):
        raise ValueError(f'a symbol as text: YAML reads an unquoted {value} as {meaning}; quote it: "{value}"')
    try:
        return canonical_symbol(value)
    except ValueError as error:
        raise ValueError(f"a symbol; {error}") from None


def _list(value: object) -> list[object]:
    if isinstance(value, (list, tuple, set, frozenset)):
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    raise ValueError("a list, such as [F, GM], or [] for none")


def _sorted_once(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}):
        raise ValueError(f"each symbol once; there twice: {', '.join(twice)}")
    return tuple(sorted(symbols))


def _mapping(value: object) -> dict[object, object]:
    if not isinstance(value, Mapping):
        raise ValueError("a mapping of symbol to shares, such as {C: 900}, or {} for none")  # noqa: TRY004  as above
    spellings = [str(key).replace("-", ".") for key in value]
    if twice := sorted({spelling for spelling in spellings if spellings.count(spelling) > 1}):
        raise ValueError(f"each symbol once; there twice: {', '.join(twice)}")
    return dict(value)


def read_database_url(value: object) -> str:
    """``sqlite:///FILE`` or ``postgresql://…``."""
    text = read_word(value)
    if text.startswith("sqlite:///"):
        path = text.removeprefix("sqlite:///")
        if not path or path.startswith((":memory:", "file:")):
            raise ValueError("sqlite:/// followed by the path of a file: a journal in memory would not survive a stop")
        if "?" in path or "#" in path:
            raise ValueError("sqlite:/// and a path without options: the journal sets its own, for durability")
        return text
    if text.startswith(("postgresql://", "postgresql+psycopg://")):
        parts = _split(text)
        if not parts.path.strip("/"):
            raise ValueError("postgresql://user@host/DATABASE: the database name is missing")
        return text
    raise ValueError("sqlite:///PATH or postgresql://user@host/database")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises ValueError where it is no number
    except ValueError:
        raise ValueError("a URL with a valid host and port") from None
    return parts


def has_password(url: str) -> bool:
    """Whether a URL carries a password, before the host or among its options."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "@" in url
    return parts.password is not None or "password=" in parts.query.lower()


def without_password(url: str) -> str:
    """The URL as it may be stored and shown: everything but the password."""
    if not has_password(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{url.partition('://')[0]}://…"
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    kept = "&".join(
        part for part in parts.query.split("&") if not part.lower().startswith(("password=", "sslpassword="))
    )
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host, query=kept))


def read_web_url(value: object) -> str:
    """An https address; http only to this machine, where a test server may stand."""
    parts = _split(read_word(value))
    here = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.hostname and parts.username is None and (parts.scheme == "https" or (parts.scheme == "http" and here)):
        return str(value)
    raise ValueError("an https:// address without user or password (http:// only to 127.0.0.1)")


def read_notice(value: object) -> str:
    """Where one kind of notification goes; only a reference, because the address itself is a secret."""
    text = str.__str__(value) if isinstance(value, str) else ""
    return parse_entry(text).text


def read_currency(value: object) -> str:
    """An ISO 4217 code; GBP is pounds, and pence are no currency of their own here."""
    text = read_word(value)
    if re.fullmatch(r"[A-Z]{3}", text, re.ASCII):
        return text
    raise ValueError("the three capital letters of a currency, such as USD or HKD")


Integer = Annotated[int, BeforeValidator(read_integer)]
Number = Annotated[Decimal, BeforeValidator(read_number), PlainSerializer(write_number)]
Duration = Annotated[timedelta, BeforeValidator(read_duration), PlainSerializer(write_duration)]
Percent = Annotated[Decimal, BeforeValidator(read_percent), PlainSerializer(write_percent)]
Switch = Annotated[bool, BeforeValidator(read_switch)]
Word = Annotated[str, BeforeValidator(read_word)]
Currency = Annotated[str, BeforeValidator(read_currency)]
Symbol = Annotated[str, BeforeValidator(read_symbol)]
Symbols = Annotated[tuple[Symbol, ...], BeforeValidator(_list), AfterValidator(_sorted_once)]
Shares = Annotated[int, BeforeValidator(read_integer), Field(ge=1, le=1_000_000)]
PaperHoldings = Annotated[
    Mapping[Symbol, Shares], BeforeValidator(_mapping), AfterValidator(Holdings), PlainSerializer(dict)
]
DatabaseUrl = Annotated[str, BeforeValidator(read_database_url), PlainSerializer(without_password), Field(repr=False)]
Notice = Annotated[str, BeforeValidator(read_notice)]
Notices = Annotated[tuple[Notice, ...], BeforeValidator(_list)]
HostName = Annotated[
    str, BeforeValidator(read_word), Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_list)]
WebUrl = Annotated[str, BeforeValidator(read_web_url)]
