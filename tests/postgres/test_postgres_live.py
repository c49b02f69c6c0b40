"""Real money whose journal is on PostgreSQL: armed, shown, traded and disarmed as in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oms.config import LoadedConfig, load_config
from oms.errors import RefusedError
from tests.gateways.live_stage import Stage
from tests.gateways.test_tiger_live import armed, trade

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]


@pytest.fixture
def loaded(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stage, LoadedConfig]]:
    """A live configuration whose journal is a database of the server."""
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    monkeypatch.setenv("OMS_JOURNAL__URL", url)
    with closing(Stage(tmp_path)) as stage:
        yield stage, load_config(tmp_path / "config.yaml", {"OMS_JOURNAL__URL": url})


def test_armed_traded_and_disarmed(loaded: tuple[Stage, LoadedConfig]) -> None:
    """The word is found by the next start, shown, and taken back."""
    stage, config = loaded
    with pytest.raises(RefusedError, match="not armed"):
        trade(config)
    assert trade(armed(config)) == 0
    shown = json.loads(stage.call("live", "show", "--json")[1])
    assert (shown["armed"], shown["broker_account"]) == (True, "…2345")
    assert stage.call("live", "disarm", "--reason", "holidays")[0] == 0
    with pytest.raises(RefusedError, match="holidays"):
        trade(config)
    assert stage.gateway.posts["place_order"] == 2
