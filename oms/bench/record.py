"""What a run of the bench found: the machine, the versions, and every figure with its rounds; schema ``oms.bench/1``."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from oms import __version__

DIGITS = 5
"""Significant digits that are kept."""


def kept(value: float) -> float:
    """A figure without the digits that say nothing."""
    return float(f"{value:.{DIGITS}g}")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(_Value):
    """One figure, measured again and again."""

    median: float
    min: float
    max: float
    rounds: tuple[float, ...] = Field(min_length=1)

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Spread:
        """The spread of these rounds."""
        found = tuple(kept(each) for each in rounds)
        return cls(median=kept(statistics.median(found)), min=min(found), max=max(found), rounds=found)


class Beside(_Value):
    """What was measured beside a figure in the same run: the physical limit, or another product."""

    what: str
    spread: Spread
    unit: str
    ratio: float | None = None
    """Ours against it; above 1 we have more of the unit."""


class Figure(_Value):
    """One mark of a goal, measured or not."""

    goal: str
    mark: str
    sentence: str
    unit: str
    at_most: float | None = None
    at_least: float | None = None
    measured: Spread | None = None
    met: bool | None = None
    by_processor: Spread | None = None
    """The same by processor time and syncs alone, as it would be with nothing else to do for the machine; a busy machine
    makes others wait too, but not as much for what works less."""
    floor: Beside | None = None
    peers: tuple[Beside, ...] = ()
    size: str = ""
    """How large the run was, in words."""
    why_not: str | None = None
    """Why nothing was measured."""


class Machine(_Value):
    """What it was measured on; not which one, for a record is shown to others."""

    system: str
    cores: int
    load_before: float | None = None
    """Processes that wanted the processors in the minute before."""

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        return cls(
            system=f"{platform.system()} {platform.machine()}",
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            load_before=None if load is None else kept(load),
        )


class Record(_Value):
    """A whole run."""

    schema_: Literal["oms.bench/1"] = Field("oms.bench/1", alias="schema")
    at: AwareDatetime
    size: Literal["quick", "full"]
    machine: Machine
    versions: dict[str, str]
    figures: tuple[Figure, ...]

    @classmethod
    def of(
        cls, size: Literal["quick", "full"], machine: Machine, versions: dict[str, str], figures: Sequence[Figure]
    ) -> Record:
        """A run that ended now."""
        own = {"oms": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
        return cls(
            schema="oms.bench/1",
            at=datetime.now(UTC).replace(microsecond=0),
            size=size,
            machine=machine,
            versions=own | versions,
            figures=tuple(figures),
        )

    def text(self) -> str:
        """As it is written: JSON, one figure after the other."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"
