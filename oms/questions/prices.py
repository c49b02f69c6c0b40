"""The daily prices that a selection looks at: ``history status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oms.config import LoadedConfig


def kept(loaded: LoadedConfig) -> dict[str, Any]:
    """Which prices are kept and how old they are; asks nobody.

    Raises:
        StorageError: the store cannot be used.
    """
    from oms import app
    from oms.choice_wiring import universe_of

    as_of, found = app.kept_history(loaded)
    universe = universe_of(loaded)
    rows: list[dict[str, Any]] = [
        {
            "symbol": each.symbol,
            "bars": each.bars,
            "first": each.first.isoformat() if each.first else None,
            "last": each.last.isoformat() if each.last else None,
            "asked_at": each.asked_at.isoformat().replace("+00:00", "Z") if each.asked_at else None,
            "status": each.status or None,
            "detail": each.detail or None,
        }
        for each in found.values()
    ]
    newest = as_of.isoformat() if as_of is not None else None
    fresh = {row["symbol"] for row in rows if newest is not None and row["last"] is not None and row["last"] >= newest}
    return {
        "schema": "oms.history.status/1",
        "as_of": newest,
        "universe": len(universe),
        "fresh": len(fresh.intersection(universe)),
        "never_asked": sorted(set(universe) - found.keys()),
        "symbols": rows,
    }
