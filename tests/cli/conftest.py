"""What the terminal's tests share: a folder of one's own with a fast account, and the program run in this very process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oms import cli

FAST = """\
broker: {paper: {settle_after: 50ms, funds_lag: 20ms, fill_delay: 5ms}}
settlement: {poll: 20ms}
execution: {grace: 0ms}
"""
DAYS = ("2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08", "2024-03-11")
TINY = (
    FAST.replace("paper: {", "paper: {cash: 1000, positions: {AAA: 100}, ")
    + "market: {replay: {data: bars.csv}}\nselection: {universe: symbols.txt, min_history: 2}\n"
)
"""Six days of two symbols, of which the last three are traded; the account holds 100 AAA."""


@dataclass(frozen=True)
class Done:
    """How one start of the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Oms = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is a new one, with a fast account on the real year."""
    for name in os.environ:
        if name.startswith("OMS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(FAST, "utf-8")
    return tmp_path


@pytest.fixture
def tiny(folder: Path) -> Path:
    """The current folder is a new one, with a market of six days and two symbols."""
    (folder / "config.yaml").write_text(TINY, "utf-8")
    (folder / "symbols.txt").write_text("AAA\nBBB\n", "utf-8")
    rows = ["Date,Symbol,Open,High,Low,Close,Volume"]
    for day in DAYS:
        rows += [f"{day},AAA,50,51,49,50,1000000", f"{day},BBB,20,21,19,20,1000000"]
    (folder / "bars.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "plan.csv").write_text("side,symbol,quantity,price,score\nsell,AAA,60,,\nbuy,BBB,400,,\n", "utf-8")
    return folder


@pytest.fixture
def oms(capfd: pytest.CaptureFixture[str]) -> Oms:
    """Run the program with these words, as ``oms`` at a shell does."""

    def start(*words: object) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Done(int(end.value.code or 0), out, err)

    return start
