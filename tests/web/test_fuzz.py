"""Checks the API against its own description with generated requests, well-formed and not: no 5xx, only what is promised."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import CHECKS, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from oms.web.api.description import described
from oms.web.limiter import Limiter
from tests.web.house import House, app_of, house_in

ENDLESS = {"/api/events", "/api/v1/doctor", "/api/v1/plan", "/api/v1/prices", "/api/v1/prices.csv"}
"""A stream that does not end, and questions so dear that a few hundred of each would take minutes; others test them."""
WAIT_S = 300.0
"""For an answer: a machine that does other work besides is slow, and that is no failure."""
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture(scope="module")
def fuzzed(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An account of its own behind an API that does not mind haste."""
    with house_in(shutil.copytree(past, tmp_path_factory.mktemp("fuzzed") / "account")) as house:
        house.doors.pace = Limiter(burst=10**9, every_s=1e-9)
        yield house


def fuzz(house: House, mode: GenerationMode, examples: int) -> int:
    """Ask every operation so often; answers how many requests were made."""
    schema = schemathesis.openapi.from_dict(described(app_of(house)))
    asked = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path not in ENDLESS:
            asked += ask(house, operation.path, operation.as_strategy(generation_mode=mode), examples)
    return asked


def ask(house: House, path: str, cases: SearchStrategy[Any], examples: int) -> int:
    """Ask one operation so often."""
    checks: list[Any] = [
        *([] if path == "/readyz" else [not_a_server_error]),  # its 503 says that no engine runs
        *CHECKS.get_by_names(["status_code_conformance", "content_type_conformance", "response_schema_conformance"]),
    ]
    asked = 0

    @seed(7)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def one(case: schemathesis.Case[Any]) -> None:
        nonlocal asked
        asked += 1
        said = {"Authorization": f"Bearer {house.keys.operate}"}
        case.call_and_validate(base_url=house.origin, headers=said, checks=checks, timeout=WAIT_S)

    one()
    return asked


@pytest.mark.parametrize("mode", MODES, ids=["as described", "otherwise"])
def test_no_request_breaks_the_api(mode: GenerationMode, fuzzed: House) -> None:
    """A few generated requests to every path: no server error, and only statuses and shapes that are described."""
    assert fuzz(fuzzed, mode, 4) > 100
    assert not [said for said in fuzzed.said if "a bug" in said]


@pytest.mark.nightly
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("mode", MODES, ids=["as described", "otherwise"])
def test_no_request_of_many_breaks_the_api(mode: GenerationMode, fuzzed: House) -> None:
    """The same with a hundred requests to every path, thousands in all."""
    assert fuzz(fuzzed, mode, 100) > 5000
    assert not [said for said in fuzzed.said if "a bug" in said]
