"""What the next cycle would do: ``plan``."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from oms.questions.asking import Answer

if TYPE_CHECKING:
    from oms.config import LoadedConfig
    from oms.model.signal import Signals


def plan(loaded: LoadedConfig, wishes: Signals | None = None) -> Answer:
    """What the next cycle would do, with the wishes given or those of the screen; nothing is sent or journaled.

    Raises:
        BrokerUnavailable: account or prices could not be read.
        UsageError: the wishes name a symbol of which the market has never heard.
    """
    from oms import app

    return answer_of(app.next_cycle(loaded, wishes))


def answer_of(found: Any) -> Answer:
    """A forecast of ``app.next_cycle`` as JSON; None, where no trading day is left, is an empty one."""
    if found is None:
        empty: list[Any] = []
        return {
            "schema": "oms.plan/1",
            "sells": empty,
            "buys": empty,
            "budget": None,
            "as_of": None,
            "trading_day": None,
            "halted": None,
        }
    return {
        "schema": "oms.plan/1",
        "sells": [
            {
                "symbol": sell.symbol,
                "quantity": 0 if sell.rule is not None else sell.quantity,
                "planned": sell.quantity,
                "limit": _text(sell.limit),
                "value": _text(sell.quantity * sell.worst_px),
                "score": _text(sell.score),
                "rule": sell.rule,
                "reason": sell.reason,
            }
            for sell in found.sells
        ],
        "buys": [
            {
                "symbol": buy.symbol,
                "quantity": validated.quantity,
                "planned": buy.quantity,
                "limit": _text(validated.limit),
                "value": _text(validated.quantity * validated.worst_px),
                "score": _text(buy.score),
                "rule": validated.rule,
                "reason": validated.reason,
            }
            for buy, validated in found.buys
        ],
        "budget": _text(found.budget),
        "expected": _text(found.expected),
        "as_of": found.day.opens.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "trading_day": found.day.day.isoformat(),
        "halted": None
        if found.halted is None
        else {"scope": found.halted.scope.value, "reason": found.halted.reason, "author": found.halted.author},
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
