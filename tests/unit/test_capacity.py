"""The arithmetic of docs/scale.md, and its simulation."""

from __future__ import annotations

from oms.bench.capacity import Coefficients, Load, capacity, simulate

FOUND = Coefficients(
    turn_s=0.25,
    cpu_s=0.05,
    server_cpu_s=0.02,
    bytes_an_event=550.0,
    syncs_a_cycle=0.25,
    own_commits_a_second=4000.0,
    commits_a_cycle=50.0,
)


def load(accounts: int) -> Load:
    return Load(accounts=accounts, every_s=60.0, cycles_a_day=6.0, events_a_cycle=100.0)


def test_a_hundred_thousand_accounts() -> None:
    """The figures that the page gives."""
    needs = capacity(load(100_000), FOUND)
    assert (needs["lanes"], needs["processors"], needs["servers"]) == (417, 84, 1)
    assert (needs["events_a_day"], needs["gigabytes_a_day"]) == (60_000_000, 33.0)


def test_needs_grow_with_the_accounts() -> None:
    """Twice the accounts need twice of everything, servers by whole ones."""
    one, two, many = (capacity(load(n), FOUND) for n in (100_000, 200_000, 1_000_000))
    assert two["events_a_day"] == 2 * one["events_a_day"]
    assert (one["servers"], two["servers"], many["servers"]) == (1, 2, 7)


def test_too_few_lanes_make_everyone_late_alike() -> None:
    """With nine tenths of the lanes no account is passed over: the last is hardly later than most; with more nobody is."""
    lanes = capacity(load(2_000), FOUND)["lanes"]
    few, more = simulate(load(2_000), FOUND, round(lanes * 0.8), 300), simulate(load(2_000), FOUND, lanes * 2, 300)
    assert few["late_s"]["p50"] > 5
    assert few["late_s"]["max"] < 2.5 * few["late_s"]["p99"]
    assert more["late_s"]["p99"] < 0.5
    assert few["turns"] < more["turns"]
    assert few == simulate(load(2_000), FOUND, round(lanes * 0.8), 300)
