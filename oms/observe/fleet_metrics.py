"""What machines count of a fleet: accounts by state, and each worker; from the database that all of them share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics_core import CounterMetricFamily

from oms.questions.asking import Answer
from oms.questions.fleet import STATES

ENDED = "ended"


def fleet_metrics(fleet: Answer) -> Iterator[Metric]:
    """Every metric of the answer of :func:`oms.questions.fleet.summary`."""
    accounts = GaugeMetricFamily("oms_fleet_accounts", "Accounts of the fleet by state.", labels=["state"])
    for state in STATES:
        accounts.add_metric([state], fleet["counts"].get(state, 0))
    yield accounts
    yield _one("oms_fleet_latest_seconds", "How late the latest account is that nobody works on.", fleet["latest_s"])
    queue = GaugeMetricFamily("oms_fleet_turns", "Turns in the queue of the fleet.", labels=["state"])
    for state, number in fleet["queue"].items():
        queue.add_metric([state], number)
    yield queue
    halted = GaugeMetricFamily("oms_fleet_halted", "The brake for all accounts is on.", labels=["scope"])
    for scope in ("buys", "all"):
        halted.add_metric([scope], fleet["halted"] is not None and fleet["halted"]["scope"] == scope)
    yield halted
    yield _one("oms_fleet_notional_today", "Traded today (UTC) by all accounts.", float(fleet["notional_today"]))
    most = GaugeMetricFamily("oms_fleet_limit", "What all accounts together may do.", labels=["limit"])
    for name, value in fleet["limits"].items():
        most.add_metric([name], float(value))
    yield most
    yield from _workers([each for each in fleet["workers"] if each["state"] != ENDED])


def _workers(workers: list[Answer]) -> Iterator[Metric]:
    up = GaugeMetricFamily("oms_fleet_worker_up", "The worker gives signs of life.", labels=["worker", "host"])
    lanes = GaugeMetricFamily("oms_fleet_worker_lanes", "Accounts that it takes at a time.", labels=["worker"])
    busy = GaugeMetricFamily("oms_fleet_worker_busy", "Accounts that it works on now.", labels=["worker"])
    seen = GaugeMetricFamily(
        "oms_fleet_worker_seen_timestamp_seconds", "When it gave its last sign of life.", labels=["worker"]
    )
    turns = CounterMetricFamily("oms_fleet_worker_turns", "Turns that it took.", labels=["worker"])
    cycles = CounterMetricFamily("oms_fleet_worker_cycles", "Cycles that it brought to their end.", labels=["worker"])
    failures = CounterMetricFamily("oms_fleet_worker_failures", "Turns that failed.", labels=["worker"])
    seconds = CounterMetricFamily(
        "oms_fleet_worker_busy_seconds", "Seconds that its lanes worked, all together.", labels=["worker"]
    )
    for each in workers:
        name = [each["worker"]]
        up.add_metric([*name, each["host"]], each["state"] != "gone")
        seen.add_metric(name, datetime.fromisoformat(each["seen_at"]).timestamp())
        for family, value in (
            *((lanes, each["lanes"]), (busy, each["busy"]), (turns, each["runs"]), (cycles, each["cycles"])),
            *((failures, each["failures"]), (seconds, each["busy_s"])),
        ):
            family.add_metric(name, value)
    yield from (up, lanes, busy, seen, turns, cycles, failures, seconds)


def _one(name: str, meaning: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, meaning)
    family.add_metric([], value)
    return family
