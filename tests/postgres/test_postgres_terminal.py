"""The commands of a person, on PostgreSQL: the same words and the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.postgres.server import Server

ROOT = Path(__file__).parents[2]
CONFIG = """\
account: alpha
journal: {{url: "{url}"}}
broker: {{paper: {{settle_after: 0s, funds_lag: 0s, fill_delay: 0s}}}}
settlement: {{poll: 100ms}}
"""
Oms = Callable[..., Any]


@pytest.fixture
def oms(server: Server, own_database: str, tmp_path: Path) -> Oms:
    """Runs one command; its answer as JSON, or its text."""
    (tmp_path / "config.yaml").write_text(CONFIG.format(url=server.url(own_database)), encoding="utf-8")

    def call(*words: str, code: int = 0) -> Any:
        done = subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *words],
            cwd=tmp_path,
            env={**os.environ, "OMS_NO_SETUP": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr

    return call


def test_a_day_at_the_terminal(oms: Oms) -> None:
    """From an empty database through a cycle, the brake and the proof; what only a file can do says so."""
    oms("run")
    oms("halt", "--reason", "storm")
    status = oms("status", "--json")
    assert (status["phase"], status["halted"]["reason"]) == ("DONE", "storm")
    verified = oms("journal", "verify", "--laws", "--json")
    assert (verified["ok"], verified["broken_laws"], verified["anchors"]) == (True, [], 2)
    assert oms("sql", "--json", "select count(*) from v_cycles")["rows"] == [[1]]
    assert "PostgreSQL's own tools" in oms("db", "migrate-to", "postgresql://x@/y", code=2)
