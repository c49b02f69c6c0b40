"""The page *Selection*: every symbol of the last screen with its score, its rank and what excluded it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oms.journal.answers import Answer, day, instant, money, number
from oms.journal.stages import newest
from oms.model.detail import Score
from oms.model.event import Selected
from oms.model.score import NAMES, WEIGHTS
from oms.web.draw.bars import share_bar
from oms.web.look import Look
from oms.web.pages.page import Asked, Page, View


def answer(asked: Asked) -> Answer:
    """The last screen, best first, and how each rank moved since the screen before it."""
    config = asked.loaded.config.selection
    found: Answer = {
        "schema": "oms.selection-page/1",
        "as_of": None,
        "at": None,
        "scores": [],
        "excluded": 0,
        "top": config.top,
        "min_score": str(config.min_score),
        "sell_below": str(config.sell_below),
        "interval_s": f"{config.interval.total_seconds():g}",
    }
    if asked.reader is None:
        return found
    screens = newest(asked.reader, [Selected.kind], 2)
    if not screens:
        return found
    event = screens[0].event
    assert isinstance(event, Selected)
    earlier = screens[1].event if len(screens) > 1 else None
    ranks = {score.symbol: score.rank for score in earlier.scores} if isinstance(earlier, Selected) else {}
    for score in sorted(event.scores, key=lambda s: (s.rank is None, s.rank or 0, s.symbol)):
        before = ranks.get(score.symbol)
        row = {
            "symbol": score.symbol,
            "score": number(score.score),
            "rank": score.rank,
            "moved": None if before is None or score.rank is None else before - score.rank,
            "close": money(score.close),
            "lookback": score.lookback,
            "excluded_by": score.excluded_by,
            "factors": _factors(score),
        }
        found["scores"].append(row)
    found |= {
        "as_of": day(event.as_of),
        "at": instant(screens[0].at),
        "excluded": sum(1 for score in event.scores if score.rank is None),
    }
    return found


def _factors(score: Score) -> dict[str, str]:
    """The factors behind a score; none where the fact carries none."""
    return {name: f"{value:.3f}" for name, value in zip(NAMES, score.factors, strict=False)}


def _names(found: Answer) -> list[str]:
    """The factors that the screen knows, in their order."""
    return [name for name in NAMES if any(name in score["factors"] for score in found["scores"])]


def rows(found: Answer) -> Iterator[Mapping[str, object]]:
    """One line a symbol."""
    names = _names(found)
    for score in found["scores"]:
        plain = {name: value for name, value in score.items() if name != "factors"}
        yield {**plain, **{name: score["factors"].get(name) for name in names}}


def view(found: Answer, look: Look) -> View:
    """The bar of each score."""
    bars = {}
    for row in found["scores"]:
        if row["score"] is not None:
            score = float(row["score"])
            kind = (
                "good"
                if score >= float(found["min_score"])
                else "poor"
                if score < float(found["sell_below"])
                else "fair"
            )
            bars[row["symbol"]] = share_bar(score / 100, told=look.words("score {n} of 100", n=row["score"]), kind=kind)
    return {
        "bars": bars,
        "factor_names": [(name, WEIGHTS.get(name)) for name in _names(found)],
        "title": look.words("Selection"),
    }


PAGE = Page(name="selection", title="Selection", answer=answer, rows=rows, view=view)
