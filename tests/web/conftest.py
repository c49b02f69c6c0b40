"""An account that has traded, made once; each test that writes takes a copy of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import DAYS, TINY
from tests.cli.conftest import folder as folder  # noqa: PLC0414 - fixtures are handed on under their own names
from tests.cli.conftest import oms as oms  # noqa: PLC0414
from tests.cli.conftest import tiny as tiny  # noqa: PLC0414
from tests.web.house import House, house_in

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an account with one cycle behind it: 60 AAA sold, fewer BBB bought than planned."""
    folder = tmp_path_factory.mktemp("traded")
    (folder / "config.yaml").write_text(TINY, "utf-8")
    (folder / "symbols.txt").write_text("AAA\nBBB\n", "utf-8")
    rows = ["Date,Symbol,Open,High,Low,Close,Volume"]
    for day in DAYS:
        rows += [f"{day},AAA,50,51,49,50,1000000", f"{day},BBB,20,21,19,20,1000000"]
    (folder / "bars.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "plan.csv").write_text("side,symbol,quantity,price,score\nsell,AAA,60,,\nbuy,BBB,400,,\n", "utf-8")
    run(folder, "run", "--signals", "plan.csv")
    run(folder, "backup", "--note", "before the API")
    return folder


def run(folder: Path, *words: str, code: int = 0) -> str:
    """The program at a shell in this folder; what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture
def traded(past: Path, tmp_path: Path) -> Path:
    """A copy of that account."""
    return shutil.copytree(past, tmp_path / "account")


@pytest.fixture(scope="module")
def house(past: Path) -> Iterator[House]:
    """The API over it, for tests that only read."""
    with house_in(past) as house:
        yield house


@pytest.fixture
def own(traded: Path) -> Iterator[House]:
    """The API over a copy, for tests that give commands."""
    with house_in(traded) as house:
        yield house


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[House]:
    """The API where nothing has run yet."""
    with house_in(tmp_path) as house:
        yield house
