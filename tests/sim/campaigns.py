"""Campaigns that a test runs: many seeds in one call, with every failure as the line that lives it again."""

from __future__ import annotations

from collections.abc import Iterable

from oms.sim.campaign import live
from oms.sim.shrink import command
from oms.sim.sky import Tally

PARTS = 20
"""Tests that share the seeds of a commit, so that every core has some."""


def failures(
    seeds: Iterable[int], *, in_ram: bool = False, cycles: int | None = None, tally: Tally | None = None
) -> list[str]:
    """What these seeds break; empty where all is well."""
    found = []
    for seed in seeds:
        verdict = live(seed, in_ram=in_ram, cycles=cycles)
        if tally is not None:
            tally.add(verdict.tally)
        found += [f"{command(verdict.scenario)}: {broken}" for broken in verdict.violations]
    return found
