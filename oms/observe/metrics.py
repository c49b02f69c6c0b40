"""What machines count: the account as Prometheus reads it, made anew from the journal at every look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.metrics_core import CounterMetricFamily, InfoMetricFamily

from oms import __version__
from oms.model.cycle import Phase
from oms.observe.fleet_metrics import fleet_metrics
from oms.observe.wiring import outbox
from oms.questions import account, fleet, limits
from oms.questions.asking import Answer, Desk

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(desk: Desk) -> bytes:
    """Every metric, in Prometheus's text format.

    Raises:
        DamagedError, StorageError: the journal cannot be read.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Account(desk))
    return generate_latest(registry)


class _Account:
    """One look at one account."""

    def __init__(self, desk: Desk) -> None:
        self._status = account.status(desk)
        self._limits = limits.risk(desk)
        self._fleet = fleet.summary(desk)
        self._outbox = outbox(desk) if desk.loaded.config.notify else {"addresses": []}

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield _info(status)
        yield _phase(status)
        yield _gauge("oms_running", "An engine holds the account's lease.", bool(status["running"]))
        yield _time("oms_heartbeat", "When the engine renewed its lease last.", status["heartbeat"])
        yield _brake(status)
        yield from _orders(status)
        yield from _money(status)
        yield from _tasks(status)
        yield from self._controls()
        yield _gauge("oms_journal_seq", "Last row of the journal.", status["journal"]["seq"])
        yield from self._notices()
        if self._fleet is not None:
            yield from fleet_metrics(self._fleet)

    def _controls(self) -> Iterator[Metric]:
        most = GaugeMetricFamily("oms_limit", "What a control allows, in its own unit.", labels=["rule", "unit"])
        used = GaugeMetricFamily("oms_limit_used", "What of it is used.", labels=["rule", "unit"])
        blocked = GaugeMetricFamily("oms_blocked_today", "Orders that a control blocked today.", labels=["rule"])
        seen: set[str] = set()
        for row in self._limits["limits"]:
            if row["rule"] in seen:
                continue
            seen.add(row["rule"])
            labels = [row["rule"], row["unit"] or ""]
            for family, name in ((most, "limit"), (used, "used")):
                value = _number(row[name])
                if value is not None:
                    family.add_metric(labels, value)
            blocked.add_metric([row["rule"]], _number(row["blocked"]) or 0)
        yield from (most, used, blocked)

    def _notices(self) -> Iterator[Metric]:
        behind = GaugeMetricFamily("oms_notices_behind", "Rows of the journal not told yet.", labels=["address"])
        failing = GaugeMetricFamily("oms_notices_failing", "The last message could not be sent.", labels=["address"])
        for row in self._outbox["addresses"]:
            if row["behind"] is not None:
                behind.add_metric([row["name"]], row["behind"])
            failing.add_metric([row["name"]], bool(row["error"]))
        yield from (behind, failing)


def _info(status: Answer) -> Metric:
    about = {"account": status["account"], "mode": status["mode"], "version": __version__}
    return InfoMetricFamily("oms", "Which account this is, in which mode.", value=about)


def _phase(status: Answer) -> Metric:
    """One series a phase, of which one is 1: what a state timeline draws."""
    phases = {phase.value: status["phase"] == phase.value for phase in Phase}
    return StateSetMetricFamily("oms_cycle_phase", "The phase of the newest cycle.", value=phases)


def _brake(status: Answer) -> Metric:
    halt = status["halted"]
    family = GaugeMetricFamily("oms_halted", "An operator's brake is on.", labels=["scope"])
    for scope in ("buys", "all"):
        family.add_metric([scope], halt is not None and halt["scope"] == scope)
    return family


def _orders(status: Answer) -> Iterator[Metric]:
    yield _gauge("oms_orders_unresolved", "Orders of which nobody knows whether they exist.", status["unresolved"])
    yield _gauge("oms_orders_quarantined", "Orders that a person must look at.", status["quarantined"])
    yield _gauge("oms_trades_today", "Orders acknowledged on this trading day.", status["trades_today"])
    yield _gauge("oms_symbols_frozen", "Symbols that are not traded until a person looked.", len(status["frozen"]))
    counted = CounterMetricFamily("oms_attention", "Facts that a person should have looked at.")
    counted.add_metric([], status["attention"] or 0)
    yield counted


def _money(status: Answer) -> Iterator[Metric]:
    funds = status["funds"]
    currency = "USD" if funds is None else funds["currency"]
    family = GaugeMetricFamily("oms_funds", "The newest reading of the account's money.", labels=["kind", "currency"])
    for kind in ("cash", "settled_cash", "unsettled_cash", "buying_power", "spendable", "reserved"):
        value = None if funds is None else _number(funds[kind])
        if value is not None:
            family.add_metric([kind, currency], value)
    yield family
    yield _gauge("oms_realised_today", "Profit realised on this trading day.", _number(status["realised_today"]))


def _tasks(status: Answer) -> Iterator[Metric]:
    healthy = GaugeMetricFamily("oms_task_healthy", "Whether a supervised task goes well.", labels=["task"])
    last = GaugeMetricFamily("oms_task_last_run_timestamp_seconds", "When it began last.", labels=["task"])
    runs = CounterMetricFamily("oms_task_runs", "How often it ran.", labels=["task"])
    failures = CounterMetricFamily("oms_task_failures", "How often it failed.", labels=["task"])
    for task in status["tasks"]:
        healthy.add_metric([task["name"]], bool(task["healthy"]))
        runs.add_metric([task["name"]], task["runs"])
        failures.add_metric([task["name"]], task["failures"])
        if task["last_run"] is not None:
            last.add_metric([task["name"]], datetime.fromisoformat(task["last_run"]).timestamp())
    yield from (healthy, last, runs, failures)


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(name, meaning)
    if value is not None:
        family.add_metric([], value)
    return family


def _time(name: str, meaning: str, at: str | None) -> Metric:
    value = None if at is None else datetime.fromisoformat(at).timestamp()
    return _gauge(f"{name}_timestamp_seconds", meaning, value)


def _number(text: Any) -> float | None:
    """A figure for a chart; money is exact in the journal and everywhere else."""
    if text is None:
        return None
    try:
        return float(Decimal(str(text)))
    except ArithmeticError:
        return None
