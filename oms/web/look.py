"""How a page writes things for one reader: language, the exchange's time, red-up or green-up, dark or light."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from oms import amounts
from oms.web.draw.svg import Svg, tag
from oms.web.words import Words

CENT = Decimal("0.01")
Figure = Decimal | str | int | None


def exact(value: Figure) -> Decimal | None:
    """A figure of an answer as a number."""
    return None if value is None else Decimal(value)


def instant_of(value: datetime | str | None) -> datetime | None:
    """An instant of an answer."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one reader chose, and the moment at which the page is made."""

    words: Words
    zone: ZoneInfo
    now: datetime
    theme: str = "auto"
    """auto, light or dark."""
    gains: str = "green"
    """The colour of what rises: green or red."""

    @property
    def is_chinese(self) -> bool:
        """Whether the words are Chinese."""
        return self.words.language == "zh-CN"

    # Figures

    def money(self, value: Figure) -> str:
        """An amount to the cent: $1,234.50."""
        amount = exact(value)
        if amount is None:
            return self.unknown
        return amounts.amount(amount, minus="−")

    def dollars(self, value: Figure) -> str:
        """An amount without cents, for where there is little room."""
        amount = exact(value)
        if amount is None:
            return self.unknown
        return amounts.amount(amount, digits=0, minus="−")

    def signed(self, value: Figure) -> Svg:
        """A gain or a loss, with its sign and its colour."""
        amount = exact(value)
        if amount is None:
            return tag("span", self.unknown, class_="unknown")
        cents = amount.quantize(CENT)
        kind = "gain" if cents > 0 else "loss" if cents < 0 else "even"
        return tag("span", amounts.amount(amount, minus="−", plus="+"), class_=kind)

    def number(self, value: Figure) -> str:
        """A quantity or a price, with no zeros behind the cents."""
        amount = exact(value)
        if amount is None:
            return self.unknown
        whole, _, rest = f"{amount:,f}".partition(".")
        rest = rest.rstrip("0")
        return (f"{whole}.{rest.ljust(2, '0')}" if rest else whole).replace("-", "−")

    def price(self, value: Figure) -> str:
        """A price to the cent, or to what it needs, at most four digits."""
        amount = exact(value)
        if amount is None:
            return self.unknown
        shown = amount.quantize(Decimal("0.0001"))
        return f"{shown:,.2f}" if shown == shown.quantize(CENT) else f"{shown.normalize():,f}"

    def score(self, value: Figure) -> str:
        """A score of a hundred, to one digit."""
        amount = exact(value)
        return self.unknown if amount is None else f"{amount:.1f}"

    def percent(self, share: Figure, digits: int = 1) -> str:
        """A fraction as percent."""
        amount = exact(share)
        return self.unknown if amount is None else f"{amount * 100:.{digits}f}%"

    @property
    def unknown(self) -> str:
        """Stands where nothing is known yet."""
        return "–"

    # Times

    def span(self, seconds: float | None) -> str:
        """A stretch of time in the unit that reads best."""
        if seconds is None:
            return self.unknown
        if seconds < 1:
            return self.words("{n} ms", n=f"{seconds * 1000:.0f}")
        if seconds < 60:
            return self.words("{n} s", n=f"{seconds:.1f}")
        minutes, rest = divmod(round(seconds), 60)
        if minutes < 60:
            return self.words("{n} min {s} s", n=minutes, s=rest)
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return self.words("{n} h {m} min", n=hours, m=minutes)
        return self.words("{n} days", n=hours // 24)

    def time(self, at: datetime | str | None, *, fine: bool = False) -> Svg:
        """Time of day at the exchange; the date too where it is another day; UTC for a pointer that rests on it."""
        moment = instant_of(at)
        if moment is None:
            return tag("span", self.unknown, class_="unknown")
        # Cut out of the ISO form, and not by tag() and strftime(): a page has hundreds of times.
        there = moment.astimezone(self.zone).isoformat(timespec="milliseconds")
        clock = there[11:23] if fine else there[11:19]
        if there[:10] != self.now.astimezone(self.zone).isoformat()[:10]:
            clock = f"{there[:10]} {clock}"
        utc = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        return Svg(f'<time datetime="{utc[:23]}Z" title="{utc[:10]} {utc[11:23]} UTC">{clock}</time>')

    def clock(self, at: datetime | str) -> str:
        """The same as plain text, for a drawing."""
        moment = instant_of(at)
        assert moment is not None
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def day(self, on: date | str | None) -> str:
        """A calendar day, short."""
        if on is None:
            return self.unknown
        return on if isinstance(on, str) else on.isoformat()

    def since(self, at: datetime | str | None) -> Svg:
        """How long ago, counted on by the page itself."""
        return self._counter(at, "data-since", 1)

    def until(self, at: datetime | str | None) -> Svg:
        """How long still, counted down by the page itself."""
        return self._counter(at, "data-until", -1)

    def _counter(self, at: datetime | str | None, name: str, sign: int) -> Svg:
        moment = instant_of(at)
        if moment is None:
            return tag("span", self.unknown, class_="unknown")
        seconds = max(sign * (self.now - moment).total_seconds(), 0.0)
        return tag("span", self.whole_span(seconds), **{name: f"{moment.timestamp():.3f}"}, class_="counter")

    def whole_span(self, seconds: float) -> str:
        """A stretch of time in whole seconds, as the counters show it."""
        return self.words("{n} s", n=int(seconds)) if seconds < 60 else self.span(float(int(seconds)))
