"""The goals of speed and scale: what is promised, to which bound, and how it is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One number of a goal, and the bound that it must keep: from above or from below."""

    name: str
    sentence: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        if self.at_most is not None:
            return value <= self.at_most
        return self.at_least is None or value >= self.at_least

    def times_better(self, value: float) -> float:
        """How many times better than the bound a value is; below 1 it misses it. A bound of nothing is met or it is not."""
        if self.at_most is not None:
            if not self.at_most or not value:
                return 1.0 if value <= self.at_most else 0.1
            return self.at_most / value
        return value / self.at_least if self.at_least else 1.0

    @property
    def bound(self) -> str:
        """The bound in words."""
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A promise of speed or scale, with its marks."""

    id: str
    title: str
    """A few words, for the picture."""
    sentence: str
    how: str
    """What is run, and what the physical limit beside it is."""
    marks: tuple[Mark, ...]

    def mark(self, name: str) -> Mark:
        """One of its marks."""
        return next(mark for mark in self.marks if mark.name == name)


ORDERS = (2, 20, 200)
"""Sells and buys together, of the cycles whose syncs are counted."""


def _most(name: str, bound: float, unit: str, sentence: str) -> Mark:
    return Mark(name=name, sentence=sentence, unit=unit, at_most=bound)


def _least(name: str, bound: float, unit: str, sentence: str) -> Mark:
    return Mark(name=name, sentence=sentence, unit=unit, at_least=bound)


GOALS: tuple[Goal, ...] = (
    Goal(
        id="G1",
        title="syncs of the disk",
        sentence="How often a cycle asks the disk to keep what it wrote, on SQLite, with the lease held.",
        how="fsync and fdatasync of the process are counted; the floor is three commits of the standard library's sqlite3",
        marks=(
            *(_most(f"told-{n}", 3.2, "syncs a cycle", f"{n} orders, told to the world") for n in ORDERS),
            *(_most(f"worker-{n}", 2.2, "syncs a cycle", f"{n} orders, in the worker") for n in ORDERS),
        ),
    ),
    Goal(
        id="G2",
        title="PostgreSQL",
        sentence="How often PostgreSQL flushes its log for a cycle when 64 accounts trade at once.",
        how="the server's own statistics; the floor is that of three bare commits a cycle from as many connections",
        marks=(_most("syncs", 0.25, "log flushes a cycle", "64 accounts"),),
    ),
    Goal(
        id="G3",
        title="against three bare commits",
        sentence="Cycles a second against the least durable work, each sync of the disk made to take 2 ms.",
        how="alternating rounds beside three commits of the very rows that the product wrote, by sqlite3 alone",
        marks=(
            _least("told", 0.35, "of the floor", "a cycle of 20 orders"),
            _least("grouped", 0.6, "of the floor", "soft commits grouped"),
        ),
    ),
    Goal(
        id="G5",
        title="faster than DBOS",
        sentence="Cycles a second against DBOS doing the same cycle.",
        how="alternating rounds, one process each; the floor is that of G3 without its 2 ms",
        marks=(
            _least("dbos-wal", 15.0, "times", "SQLite, DBOS tuned to WAL"),
            _least("dbos-shipped", 30.0, "times", "SQLite, DBOS as shipped"),
            _least("dbos-postgres", 20.0, "times", "the same PostgreSQL"),
        ),
    ),
    Goal(
        id="G6",
        title="start after a kill",
        sentence="From the start of the process to reconciled, with cycles that a killed process left open.",
        how="alternating rounds beside DBOS with as many open workflows; the floor reads the same files and commits twice",
        marks=(
            _least("one", 3.0, "times", "1 open cycle, against DBOS"),
            _least("hundred", 20.0, "times", "100 open cycles, against DBOS"),
            _most("commits", 2.0, "commits", "commits, the lease's among them"),
        ),
    ),
    Goal(
        id="G7",
        title="long journal",
        sentence="A phase's durable commit on a long journal against the same on an empty one.",
        how="alternating cycles on both journals",
        marks=(_least("barrier", 0.8, "of an empty journal's speed", "the commit before a sending phase"),),
    ),
    Goal(
        id="G8",
        title="long journal asked",
        sentence="Questions that the engine and its operator ask of a long journal.",
        how="the slowest of: resume look-up, by cycle, last 100, by symbol, by account; their plans are read for a SCAN",
        marks=(
            _most("warm", 2.0, "ms", "the slowest, pages in memory"),
            _most("cold", 20.0, "ms", "the slowest, pages not in memory"),
            _most("scans", 0.0, "plans", "plans that scan the facts"),
        ),
    ),
    Goal(
        id="G9",
        title="verification",
        sentence="How fast a journal is verified.",
        how="beside a bare scan that reads every stored row and hashes, row by row, the stored bytes that its link covers",
        marks=(
            _least("full", 0.7, "of a bare scan", "the whole chain"),
            _least("two", 1.8, "of one process", "the whole chain, on two processes"),
            _most("recent", 0.2, "s", "the newest 10,000 facts"),
        ),
    ),
    Goal(
        id="G10",
        title="bytes a fact",
        sentence="Disk for a fact, with every table and index.",
        how="facts of 300 characters or less with link, keys and indices; beside them a whole journal by its facts",
        marks=(
            _most("sqlite", 290.0, "bytes a fact", "SQLite, facts as small as the goal means"),
            _most("postgres", 380.0, "bytes a fact", "PostgreSQL, the same"),
        ),
    ),
    Goal(
        id="G11",
        title="processor time of",
        sentence="Processor time of a command against a bare interpreter that does nothing.",
        how="alternating rounds of whole processes; pandas, yfinance, tigeropen, alembic and fastapi count as heavy",
        marks=(
            _most("help", 7.0, "bare interpreters", "--help"),
            _most("status", 50.0, "bare interpreters", "status"),
            _most("imports", 0.0, "packages", "heavy packages imported by either"),
        ),
    ),
    Goal(
        id="G12",
        title="orders at a slow broker",
        sentence="20 sells and 20 buys at a broker of 100 ms a call: a round of orders against its slowest call.",
        how="the real engine and Tiger's SDK at a gateway of the tests; the floor is one slowest call",
        marks=(_most("round", 1.2, "slowest calls", "the slower one of both rounds"),),
    ),
    Goal(
        id="G13",
        title="money read to first buy",
        sentence="From the first reading that covers the proceeds to the first buy on the wire.",
        how="as G12; what is allowed is 0.2 s, three calls and settlement.confirm; the floor is the last two",
        marks=(_most("delay", 1.0, "of what is allowed", "with polling"),),
    ),
    Goal(
        id="G14",
        title="screen",
        sentence="The screen of 118 symbols over a year of bars, loaded.",
        how="processor time of this process; the machine is not waited for",
        marks=(_most("screen", 50.0, "ms", "from the filters to the wishes"),),
    ),
    Goal(
        id="G15",
        title="simulation",
        sentence="Simulated cycles a second on one core, on the production store in memory.",
        how="seeded lives of ten cycles, by processor time; the floor writes the same rows with sqlite3 in memory",
        marks=(
            _least("bad", 150.0, "cycles a second", "lives in bad weather, laws judged"),
            _least("fair", 150.0, "cycles a second", "lives in fair weather, laws judged"),
        ),
    ),
    Goal(
        id="G16",
        title="PostgreSQL, workers",
        sentence="PostgreSQL: cycles a second with 1, 2 and 4 workers against what the server itself commits.",
        how="64 accounts; the floor is three commits of the same bytes a cycle from as many connections",
        marks=(
            _least("rate", 0.5, "of the server's rate", "the best of them"),
            _least("growth", 1.0, "times", "two workers against one"),
        ),
    ),
    Goal(
        id="G17",
        title="memory",
        sentence="Memory of a worker after many cycles against after 100.",
        how="resident pages of one process",
        marks=(_most("memory", 1.05, "times", "late against early"),),
    ),
)
"""Every goal. There is no G4."""

BY_ID = {goal.id: goal for goal in GOALS}
