"""The five factors of the screen, computed for all symbols at once from closes and volumes.

    momentum   C[t-21] / C[t-252] - 1                        35 %   Jegadeesh & Titman 1993
    trend      half C / SMA50 - 1, half SMA50 / SMA200 - 1   25 %   Brock, Lakonishok & LeBaron 1992; Faber 2007
    nearness   C / highest close of a year - 1               15 %   George & Hwang 2004
    calm       - yearly standard deviation of log returns    15 %   Ang, Hodrick, Xing & Zhang 2006
    support    mean volume of 20 days / of 63 days           10 %   Lee & Swaminathan 2000

C is a close, t the last completed session; days are counted in bars. Where a history is shorter than a look-back, the
factor takes what there is. None of them is evidence of profit; they are a documented default.

pandas is imported when a table is made and not before: `status` and `resume` must not wait for it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from oms.model.score import NAMES, WEIGHTS
from oms.ports import Bar

if TYPE_CHECKING:
    import pandas as pd

YEAR, SLOW, QUARTER, FAST, MONTH, RECENT = 252, 200, 63, 50, 21, 20
"""Look-backs in bars."""

_PLACES = 10  # of a factor: further digits are noise of the arithmetic, and noise must not break a tie
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The components of one symbol's score, rounded to ten places."""

    momentum: float
    trend: float
    nearness: float
    calm: float
    support: float
    over_average: float
    """Close / its slow average; it has no weight and decides whether a share may be bought or must be sold."""

    @property
    def exact(self) -> tuple[Decimal, ...]:
        """All of them in the order of ``NAMES``, as the journal keeps them: equal here means equal there."""
        return tuple(_plain(getattr(self, name)) for name in NAMES)


def _plain(value: float) -> Decimal:
    text = f"{value:.{_PLACES}f}".rstrip("0").rstrip(".")
    return Decimal("0" if text == "-0" else text)


class PriceTable:
    """Closes and volumes of many symbols, the newest bar of each in the last row."""

    def __init__(self, history: Mapping[str, Sequence[Bar]]) -> None:
        import pandas as pd

        self.symbols = sorted(history)
        used = [history[symbol][-(YEAR + 1) :] for symbol in self.symbols]
        self._counts = [len(bars) for bars in used]
        rows = max(self._counts, default=0)

        def table(columns: list[list[float]]) -> pd.DataFrame:
            padded = [[math.nan] * (rows - len(column)) + column for column in columns]
            return pd.DataFrame(dict(zip(self.symbols, padded, strict=True)), dtype="float64")

        self._closes = table([[float(bar.close) for bar in bars] for bars in used])
        self._volumes = table([[bar.volume for bar in bars] for bars in used])
        self.digest = self._hash(table([[bar.day.toordinal() for bar in bars] for bars in used]))
        """SHA-256 of every symbol, day, close in ten-thousandths and volume in the table, in hex."""

    def lookbacks(self) -> dict[str, int]:
        """Bars behind the longest factor of each symbol."""
        return {symbol: min(count - 1, YEAR) for symbol, count in zip(self.symbols, self._counts, strict=True)}

    def turnovers(self) -> dict[str, float]:
        """The median of close × volume over the last quarter, account currency."""
        daily = self._closes.tail(QUARTER) * self._volumes.tail(QUARTER)
        return dict(zip(self.symbols, daily.median().tolist(), strict=True))

    def factors(self) -> dict[str, Factors]:
        """The factors of every symbol."""
        if not self.symbols:
            return {}
        closes, volumes = self._closes, self._volumes
        close = closes.iloc[-1]
        fast, slow = closes.tail(FAST).mean(), closes.tail(SLOW).mean()
        returns = closes.tail(QUARTER + 1).map(math.log).diff()
        columns = {
            "momentum": self._back(MONTH) / self._back(YEAR) - 1,
            "trend": (close / fast - 1) / 2 + (fast / slow - 1) / 2,
            "nearness": close / closes.tail(YEAR).max() - 1,
            "calm": -returns.std().fillna(0.0) * math.sqrt(YEAR),
            "support": (volumes.tail(RECENT).mean() / volumes.tail(QUARTER).mean()).fillna(1.0),
            "over_average": close / slow,
        }
        lists = [columns[name].round(_PLACES).tolist() for name in columns]
        rows = (dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True))
        return {symbol: Factors(**row) for symbol, row in zip(self.symbols, rows, strict=True)}

    def _hash(self, days: pd.DataFrame) -> str:
        digest = hashlib.sha256(repr([*zip(self.symbols, self._counts, strict=True)]).encode())
        for part in (days, self._closes * 10_000, self._volumes):
            whole = part.round().fillna(-1).astype("int64")
            digest.update(whole.to_numpy().astype("<i8").tobytes())  # the same bytes on every processor
        return digest.hexdigest()

    def _back(self, bars: int) -> pd.Series[float]:
        """The close so many bars ago, or the oldest one where there are fewer."""
        import pandas as pd

        values = self._closes.to_numpy()
        picked = [values[-1 - min(bars, count - 1), at] for at, count in enumerate(self._counts)]
        return pd.Series(picked, index=self.symbols, dtype="float64")


def weighted_ranks(factors: Mapping[str, Factors]) -> dict[str, Decimal]:
    """The score of each symbol: its weighted percentile ranks, 0 to 100 with one decimal.

    A percentile is (average rank - 1/2) / N. Ranks are whole halves, so the sum is exact until its one rounding.
    """
    import pandas as pd

    if not factors:
        return {}
    columns = {name: [getattr(of, name) for of in factors.values()] for name in WEIGHTS}
    doubled = pd.DataFrame(columns).rank(method="average") * 2 - 1
    points = (doubled * pd.Series(WEIGHTS)).sum(axis="columns").astype("int64")
    bound = 2 * len(factors)
    return {
        symbol: (Decimal(point) / bound).quantize(_TENTH, ROUND_HALF_EVEN)
        for symbol, point in zip(factors, points.tolist(), strict=True)
    }
