"""The contract of every broker, held by the Tiger adapter over loopback: a paper account and a prime account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contract.broker_contract import BrokerContract, Stage
from tests.gateways.tiger_stage import TigerStage
from tests.tigerd.book import PRIME_ACCOUNT

SetStage = Callable[..., TigerStage]
LATE = timedelta(seconds=5)


@pytest.fixture
def set_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SetStage]:
    """A maker of stages, which ends them."""
    stages: list[TigerStage] = []
    folder = Path(tmp_path_factory.getbasetemp())

    def make(**terms: object) -> TigerStage:
        stages.append(TigerStage(folder, **terms))  # type: ignore[arg-type]
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


class TestTigerPaperAccountKeepsTheContract(BrokerContract):
    """Cumulative figures only."""

    @pytest.fixture
    def stage(self, set_stage: SetStage) -> Stage:
        return set_stage()

    @pytest.fixture
    def stage_of_parts(self, set_stage: SetStage) -> Stage:
        return set_stage(parts=True)

    @pytest.fixture
    def late_stage(self, set_stage: SetStage) -> Stage:
        return set_stage(hidden_for=LATE, funds_lag=LATE)


class TestTigerPrimeAccountKeepsTheContract(BrokerContract):
    """With executions, a fee, small pages, late lists and slow settlement."""

    @pytest.fixture
    def stage(self, set_stage: SetStage) -> Stage:
        return set_stage(account=PRIME_ACCOUNT, **self.terms)

    @pytest.fixture
    def stage_of_parts(self, set_stage: SetStage) -> Stage:
        return set_stage(account=PRIME_ACCOUNT, parts=True, **self.terms)

    @pytest.fixture
    def late_stage(self, set_stage: SetStage) -> Stage:
        return set_stage(account=PRIME_ACCOUNT, **{**self.terms, "hidden_for": LATE, "funds_lag": LATE})

    terms: dict[str, object] = {  # noqa: RUF012 - never changed
        "fee_per_share": Decimal("0.0051"),
        "page": 2,
        "hidden_for": timedelta(seconds=3),
        "settle_after": timedelta(seconds=7),
    }
