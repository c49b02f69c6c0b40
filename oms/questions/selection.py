"""Why a symbol has its score: ``select --explain``, from the last screen in the journal alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms.errors import UnknownName
from oms.questions.asking import NOTHING_YET, Desk

if TYPE_CHECKING:
    from oms.journal.reader import Reader


def explained(desk: Desk, symbol: str) -> dict[str, Any]:
    """Every factor of a symbol's score: its value, its place among the scored symbols, its weight, its points.

    Raises:
        UnknownName: no screen has been journaled yet, or the last one did not look at the symbol.
    """
    nothing: dict[str, Any] = {}
    answer = desk.ask(lambda reader: _explained(reader, symbol), nothing)
    if not answer:
        raise UnknownName(NOTHING_YET)
    return answer


def _explained(reader: Reader, symbol: str) -> dict[str, Any]:
    from oms.journal.answers import day, instant, money, number
    from oms.journal.loading import last_of_kind
    from oms.model.event import Selected
    from oms.model.score import MEANING, NAMES, OVER_AVERAGE, parts

    with reader.asking("reading the last screen") as connection:
        found = last_of_kind(connection, reader.account, Selected.kind)
    if found is None or not isinstance(found.event, Selected):
        raise UnknownName("no screen yet; `run` makes one, and `plan` shows what it would choose")
    event = found.event
    score = next((each for each in event.scores if each.symbol == symbol), None)
    if score is None:
        raise UnknownName(
            f"the last screen, of bars to {event.as_of}, did not look at {symbol}: it is not in the universe"
        )
    over = score.factors[NAMES.index(OVER_AVERAGE)] if score.factors else None
    return {
        "schema": "oms.select-explain/1",
        "symbol": symbol,
        "as_of": day(event.as_of),
        "at": instant(found.at),
        "strategy": event.strategy or None,
        "config_hash": event.config_hash,
        "bars_hash": event.bars_hash,
        "score": number(score.score),
        "rank": score.rank,
        "of": sum(each.score is not None for each in event.scores),
        "excluded_by": score.excluded_by,
        "lookback": score.lookback,
        "close": money(score.close),
        OVER_AVERAGE: number(over),
        "factors": [
            {
                "name": part.name,
                "meaning": MEANING[part.name],
                "value": number(part.value),
                "percentile": number(round(part.percentile, 2)),
                "weight": part.weight,
                "points": number(round(part.points, 2)),
            }
            for part in parts(score, event.scores)
        ],
    }
