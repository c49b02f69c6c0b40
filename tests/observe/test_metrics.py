"""Metrics: names by convention, figures of the journal, and no dashboard or alert asks for one that does not exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from oms.config import load_config
from oms.model.cycle import Phase
from oms.observe.fleet_metrics import fleet_metrics
from oms.observe.metrics import exposition
from oms.questions.asking import Desk
from tests.cli.conftest import Oms, folder, oms, tiny

__all__ = ["folder", "oms", "tiny"]

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"


def samples(folder: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    desk = Desk(loaded=load_config(folder / "config.yaml", {}))
    text = exposition(desk).decode("utf-8")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_are_those_of_the_journal(tiny: Path, oms: Oms) -> None:
    """After a cycle: its phase, its trades, its funds, the seq of its last row, each as ``status`` says."""
    assert oms("run", "--signals", "plan.csv").code == 0
    status, found = oms("status", "--json").json, samples(tiny)
    plain = {name: value for (name, labels), value in found.items() if not labels}
    assert plain["oms_journal_seq"] == status["journal"]["seq"]
    assert plain["oms_trades_today"] == status["trades_today"] == 2
    assert plain["oms_running"] == 0
    assert plain["oms_orders_quarantined"] == 0
    phases = {
        dict(labels)["oms_cycle_phase"]: value for (name, labels), value in found.items() if name == "oms_cycle_phase"
    }
    assert phases == {phase.value: float(phase is Phase.DONE) for phase in Phase}
    funds = {dict(labels)["kind"]: value for (name, labels), value in found.items() if name == "oms_funds"}
    assert funds["spendable"] == float(status["funds"]["spendable"])
    assert found["oms_limit", frozenset({("rule", "max_trades_per_day"), ("unit", "orders")})] == 100


def test_a_halt_is_seen(tiny: Path, oms: Oms) -> None:
    """By its scope."""
    oms("run", "--signals", "plan.csv")
    assert oms("halt", "--all", "--reason", "storm").code == 0
    found = samples(tiny)
    assert found["oms_halted", frozenset({("scope", "all")})] == 1
    assert found["oms_halted", frozenset({("scope", "buys")})] == 0


def test_before_the_first_run_there_are_metrics_too(tiny: Path) -> None:
    """Nothing is invented: what is not known is not there."""
    names = {name for name, _ in samples(tiny)}
    assert "oms_running" in names
    assert "oms_heartbeat_timestamp_seconds" not in names
    assert "oms_funds" not in names


def test_names_follow_the_convention(tiny: Path, oms: Oms) -> None:
    """A prefix, snake case, units and totals at the end, and no creation times."""
    oms("run", "--signals", "plan.csv")
    names = {name for name, _ in samples(tiny)}
    assert all(re.fullmatch(r"oms_[a-z_]+", name) for name in names)
    assert not any(name.endswith("_created") for name in names)
    assert {name for name in names if name.endswith("_total")} == {
        *("oms_attention_total", "oms_task_runs_total", "oms_task_failures_total"),
    }


def of_a_fleet() -> set[str]:
    """The names that are there where there is a fleet."""
    worker = dict.fromkeys(("lanes", "busy", "runs", "cycles", "failures", "busy_s"), 0)
    about = {"worker": "w", "host": "h", "state": "working", "seen_at": "2026-11-20T14:30:00Z"}
    answer = {
        "counts": {"all": 0},
        "latest_s": 0.0,
        "queue": {"waiting": 0},
        "halted": None,
        "notional_today": "0",
        "limits": {"notional_per_day": "5"},
        "workers": [{**worker, **about}],
    }
    return {sample.name for family in fleet_metrics(answer) for sample in family.samples}


def asked_for() -> dict[str, str]:
    """Every expression of the dashboard and of the alerts, by its place."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
    rules = YAML(typ="safe").load((MONITORING / "alerts.yaml").read_text("utf-8"))
    found = {f"panel {panel['title']}": target["expr"] for panel in dashboard["panels"] for target in panel["targets"]}
    return found | {f"alert {rule['alert']}": rule["expr"] for rule in rules["groups"][0]["rules"]}


@pytest.mark.parametrize("place", asked_for())
def test_whoever_asks_asks_for_something_that_exists(place: str, tiny: Path, oms: Oms) -> None:
    """Each metric of a panel or an alert is one that this program gives, or gives once there are addresses."""
    oms("run", "--signals", "plan.csv")
    names = {name for name, _ in samples(tiny)} | {"oms_notices_behind", "oms_notices_failing"} | of_a_fleet()
    wanted = set(re.findall(r"\boms_[a-z_]+", asked_for()[place]))
    assert wanted
    assert wanted - names == set()


def test_the_dashboard_draws_the_phases_as_a_timeline() -> None:
    """A panel of states, so that one glance shows where the time of a cycle goes."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text("utf-8"))
    kinds = {panel["title"]: panel["type"] for panel in dashboard["panels"]}
    assert kinds["Phase of the cycle"] == "state-timeline"
