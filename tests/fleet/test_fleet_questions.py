"""Checks how a fleet is looked at: one answer for the terminal and the API, and looking makes and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oms import cli
from oms.config import LoadedConfig
from oms.errors import StorageError, UnknownName
from oms.fleet import registry
from oms.fleet.database import Database, database_of, database_to_look_at
from oms.questions import fleet
from oms.questions.asking import Desk
from oms.web.shapes.standing import Fleet
from tests.fleet.conftest import member
from tests.web.house import house_in


def without_clocks(answer: dict[str, Any]) -> dict[str, Any]:
    """A status but for what moves on from one look to the next: how late whoever is due has become."""
    accounts = [{name: value for name, value in each.items() if name != "late_s"} for each in answer["accounts"]]
    return {**answer, "latest_s": None, "accounts": accounts}


def test_the_api_tells_of_the_fleet_what_the_terminal_does(
    loaded: LoadedConfig, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``/api/v1/fleet`` and ``fleet status --json`` are one and the same object, of the shape that is promised."""
    registry.add(database, loaded, member("a-1"))
    with house_in(loaded.base) as asked:
        told = asked.reader().get("/api/v1/fleet")
        Fleet.model_validate_json(told.content)
        assert told.json()["counts"]["all"] == 1
        monkeypatch.chdir(loaded.base)
        with pytest.raises(SystemExit):
            cli.main(["fleet", "status", "--json"])
        assert without_clocks(json.loads(capsys.readouterr().out)) == without_clocks(told.json())
        assert asked.reader().get("/api/v1/journal/archives").json()["error"]["code"] == "wrong_database"


def test_where_no_fleet_was_made_there_is_none_and_looking_makes_none(loaded: LoadedConfig, place: str) -> None:
    """The question names what begins a fleet, and leaves the database as it was."""
    database_of(loaded).do("DROP SCHEMA IF EXISTS oms_queue CASCADE")
    for _ in range(2):
        with pytest.raises(UnknownName, match="fleet add ACCOUNT"):
            fleet.status(Desk(loaded=loaded))


def test_whoever_only_looks_can_write_nothing(loaded: LoadedConfig, database: Database) -> None:
    """The server itself refuses a change by the connection that questions use."""
    assert database.ask("SELECT 1") == [(1,)]
    with pytest.raises(StorageError, match="only reads"):
        database_to_look_at(loaded).do("DELETE FROM fleet_limits")
