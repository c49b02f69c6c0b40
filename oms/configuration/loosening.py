"""Two configurations compared by meaning: which keys differ, and which of the changes loosen a limit.

Every key is judged here: a new one fails the test until somebody says in which direction it is riskier, or that it is
not a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oms.configuration.keys import Path, leaves
from oms.configuration.scalars import Percent, without_password, write_duration, write_number, write_percent
from oms.configuration.schema import Config

Judge = Callable[[Any, Any], bool]
"""Whether the step from the first value to the second is riskier."""


def _higher(old: Any, new: Any) -> bool:
    return bool(new > old)


def _lower(old: Any, new: Any) -> bool:
    return bool(new < old)


def _higher_or_none(old: Any, new: Any) -> bool:
    return old is not None and (new is None or new > old)


def _lower_or_none(old: Any, new: Any) -> bool:
    return old is not None and (new is None or new < old)


def _more_than_none(old: Any, new: Any) -> bool:
    return new is not None and (old is None or new > old)


def _fewer(old: Any, new: Any) -> bool:
    return bool(set(old) - set(new))


def _another(old: Any, new: Any) -> bool:
    return bool(old != new)


def _later_in(*order: object) -> Judge:
    return lambda old, new: order.index(new) > order.index(old)


def _beyond_this_machine(old: Any, new: Any) -> bool:
    here = ("127.0.0.1", "::1", "localhost")
    return old in here and new not in here


def _more_names(old: Any, new: Any) -> bool:
    return bool(set(new) - set(old))


def _gone(old: Any, new: Any) -> bool:
    return old is not None and new is None


RISKIER: Mapping[str, tuple[Judge, str]] = {
    "mode": (_later_in("dry_run", "paper", "live"), "nearer to real money"),
    "broker.kind": (_later_in("paper", "tiger"), "a broker outside this machine"),
    "broker.tiger.server_url": (_another, "orders go to another server"),
    "broker.tiger.refuses_repeats": (_more_than_none, "an order in doubt is sent again for longer"),
    "market.max_quote_age": (_higher, "orders are priced from older quotes"),
    "market.no_buys_before_close": (_lower, "buys go out nearer to the close"),
    "selection.strategy": (_another, "another strategy chooses"),
    "selection.top": (_higher, "more symbols are bought"),
    "selection.min_score": (_lower, "lower scores are bought"),
    "selection.min_history": (_lower, "scores rest on less history"),
    "execution.funds_fraction": (_higher, "more of the funds is spent"),
    "execution.max_position_value": (_higher, "larger positions"),
    "execution.order_type": (_later_in("limit", "market"), "no price protection"),
    "execution.collar": (_higher, "limits further from the quote"),
    "execution.fee_allowance": (_lower, "less is kept free for fees"),
    "execution.order_deadline": (_higher, "orders stay open longer"),
    "execution.max_in_flight": (_higher, "more orders in doubt after a crash"),
    "execution.messages_per_minute": (_higher, "more messages to the broker"),
    "settlement.funds": (_later_in("settled_cash", "cash", "buying_power"), "money less certain is spent"),
    "settlement.confirm": (_lower, "funds are confirmed sooner"),
    "settlement.allow_margin": (_higher, "borrowed money may be spent"),
    "settlement.allow_unsettled_sales": (_higher, "good-faith violations are not prevented"),
    "in_doubt.reads": (_lower, "fewer reads before a decision"),
    "in_doubt.window": (_lower, "a shorter look before a decision"),
    "in_doubt.then": (_later_in("hold", "quarantine", "resend"), "decided with less evidence"),
    "risk.max_trades_per_day": (_higher, "more trades a day"),
    "risk.max_order_value": (_higher, "larger orders"),
    "risk.max_order_quantity": (_higher, "larger orders"),
    "risk.max_rejections": (_higher, "buys go on after more rejections"),
    "risk.min_price": (_lower_or_none, "cheaper shares are bought"),
    "risk.daily_loss_limit": (_higher_or_none, "larger losses"),
    "risk.blacklist": (_fewer, "symbols may be traded again"),
    "worker.reconciliation": (_higher, "differences from the broker are found later"),
    "api.host": (_beyond_this_machine, "reachable from other machines"),
    "api.names": (_more_names, "answers to further names"),
    "api.tls_certificate": (_gone, "no TLS"),
    "api.open_status": (_higher, "the status can be read without a token"),
    "backup.daily": (_lower, "no daily backup"),
    "backup.keep": (_lower, "fewer backups are kept"),
}
"""Limits: when a change loosens, and in a few words what that means."""

NEUTRAL = frozenset(
    {
        "account",
        "journal.url",
        "broker.paper.file",
        "broker.paper.cash",
        "broker.paper.positions",
        "broker.paper.settle_after",
        "broker.paper.funds_lag",
        "broker.paper.list_lag",
        "broker.paper.fee_per_share",
        "broker.paper.slippage",
        "broker.paper.partial_fills",
        "broker.paper.fill_delay",
        "broker.paper.seed",
        "broker.tiger.properties",
        "broker.tiger.timeout",
        "broker.tiger.push",
        "market.source",
        "market.exchange",
        "market.currency",
        "market.replay.data",
        "market.simulated.days",
        "market.simulated.seed",
        "market.simulated.symbols",
        "market.yahoo.base_url",
        "selection.universe",
        "selection.interval",
        "selection.sell_below",
        "execution.min_order_value",
        "execution.grace",
        "settlement.poll",
        "settlement.deadline",
        "worker.interval",
        "worker.lease",
        "backup.dir",
        "api.port",
        "api.tls_key",
        "notify",
    }
)
"""Keys that bound no risk in either direction, or in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One key that differs. ``old`` and ``new`` are written as config.yaml writes them."""

    key: str
    old: str
    new: str
    loosened: str
    """What becomes riskier, in a few words; empty where nothing does."""

    def __str__(self) -> str:
        """For a person; a loosened limit is marked."""
        return f"{self.key}: {self.old} -> {self.new}" + (f"  LOOSENED: {self.loosened}" if self.loosened else "")

    def answer(self) -> dict[str, Any]:
        """As JSON."""
        return {"key": self.key, "old": self.old, "new": self.new, "loosened": self.loosened or None}


def changes(old: Config, new: Config) -> list[Change]:
    """What differs, in the order of config.yaml."""
    return [
        _change(path, before, after)
        for path in leaves()
        if (before := value_of(old, path)) != (after := value_of(new, path))
    ]


def _change(path: Path, before: Any, after: Any) -> Change:
    key = ".".join(path)
    judge, meaning = RISKIER.get(key, (None, ""))
    riskier = judge is not None and judge(before, after)
    return Change(key=key, old=_written(path, before), new=_written(path, after), loosened=meaning if riskier else "")


def value_of(config: Config, path: Path) -> Any:
    """The value of a key."""
    found: Any = config
    for name in path:
        found = getattr(found, name)
    return found


def is_percent(path: Path) -> bool:
    """Whether a key is written with a percent sign."""
    return any(item in leaves()[path].metadata for item in Percent.__metadata__)  # type: ignore[attr-defined]


def _written(path: Path, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, Decimal):
        return write_percent(value) if is_percent(path) else write_number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {shares}" for name, shares in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return without_password(value) if path == ("journal", "url") else str(value)
