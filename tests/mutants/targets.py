"""Where a slip would cost money or truth, and the tests that must see it."""

from __future__ import annotations

ORDERS = ("tests/model/test_order.py", "tests/model/test_state.py", "tests/model/test_cycle.py")
DECISIONS = ("tests/engine/test_conductor.py", "tests/engine/test_settlement_days.py")

TARGETS: dict[str, tuple[str, ...]] = {
    "oms.model.order": (*ORDERS, "tests/engine/test_reconciliation.py"),
    "oms.model.cycle": ORDERS,
    "oms.model.liquidity": ("tests/model/test_liquidity.py",),
    "oms.model.risk": ("tests/model/test_risk.py", "tests/engine/test_refusals.py"),
    "oms.model.state": (
        "tests/model/test_state_edges.py",
        "tests/model/test_state.py",
        "tests/engine/test_late_fills.py",
        "tests/engine/test_operators.py",
    ),
    "oms.model.plan": ("tests/model/test_plan_edges.py", "tests/model/test_plan.py"),
    "oms.model.lifecycle": (*ORDERS, "tests/engine/test_doubt.py", "tests/engine/test_reconciliation.py"),
    "oms.model.settlement": (
        "tests/model/test_settlement.py",
        "tests/model/test_settlement_edges.py",
        "tests/model/test_currencies.py",
    ),
    "oms.model.pricing": ("tests/model/test_risk.py", "tests/model/test_plan.py", "tests/model/test_liquidity.py"),
    "oms.engine.submission": ("tests/engine/test_submission.py",),
    "oms.engine.doubt": ("tests/engine/test_doubt.py", "tests/engine/test_conductor.py"),
    "oms.engine.reconciliation": ("tests/engine/test_reconciliation.py", "tests/engine/test_late_fills.py"),
    "oms.engine.reconciling": ("tests/engine/test_reconciling.py",),
    "oms.engine.revalidation": ("tests/engine/test_revalidation.py", "tests/engine/test_conductor.py"),
    "oms.engine.settling": ("tests/engine/test_settling.py", *DECISIONS),
    "oms.engine.money": ("tests/engine/test_spending.py", "tests/model/test_currencies.py", *DECISIONS),
    "oms.engine.limiter": ("tests/engine/test_submission.py",),
    "oms.engine.refusals": (
        "tests/engine/test_refusals_each.py",
        "tests/engine/test_refusals.py",
        "tests/engine/test_conductor.py",
        "tests/engine/test_armed.py",
    ),
    "oms.engine.round": ("tests/engine/test_round_edges.py", *DECISIONS, "tests/engine/test_doubt.py"),
    "oms.engine.conductor": ("tests/engine/test_round_edges.py", *DECISIONS, "tests/engine/test_late_fills.py"),
    "oms.model.currencies": ("tests/model/test_currencies.py",),
    "oms.engine.operators": (
        "tests/engine/test_operators_edges.py",
        "tests/engine/test_operators.py",
        "tests/engine/test_armed.py",
    ),
    "oms.engine.patience": ("tests/engine/test_patience.py", "tests/engine/test_conductor.py"),
    "oms.engine.ours": ("tests/engine/test_patience.py", "tests/engine/test_ours.py"),
    "oms.engine.comparing": ("tests/engine/test_comparing_edges.py", "tests/engine/test_comparing.py"),
    "oms.gateways.tiger.wire": ("tests/gateways/test_tiger_wire_edges.py", "tests/gateways/test_tiger_parsing.py"),
    "oms.gateways.tiger.outcomes": ("tests/gateways/test_tiger_outcomes.py",),
    "oms.journal.chain": ("tests/journal/test_chain.py",),
}
"""Each module with its own tests; of these, only those that touch the changed line are run."""
