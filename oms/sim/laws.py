"""The laws of the house, judged by one program from the broker's log and the journal, in simulation and in kill tests."""

from __future__ import annotations

from oms.sim import account_laws, money_laws, order_laws, phase_laws, settlement_laws
from oms.sim.evidence import Evidence
from oms.sim.law import LAWS, Violation

__all__ = ["LAWS", "Evidence", "Violation", "check"]

ROOMS = (order_laws, phase_laws, money_laws, settlement_laws, account_laws)
"""Where the laws are written; importing them fills :data:`LAWS`."""


def check(evidence: Evidence) -> list[Violation]:
    """Every violation of every law; empty where all is well."""
    return [violation for judge in LAWS.values() for violation in judge(evidence)]
