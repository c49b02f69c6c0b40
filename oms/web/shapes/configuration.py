"""Shapes of ``config check|show|history|diff``, ``backups list``, ``db current`` and ``history status``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms.web.shapes.figures import Day, JsonObject, Shape


class Checked(Shape):
    """``config check``."""

    schema_: Literal["oms.config-check/1"] = Field(alias="schema")
    ok: bool
    file: str | None
    account: str
    mode: str
    hash: str
    universe: int
    warnings: list[str]


class Settings(Shape):
    """``config show``: no secret is in it."""

    schema_: Literal["oms.config-show/1"] = Field(alias="schema")
    hash: str
    config: JsonObject
    origins: dict[str, str] | None = None


class Change(Shape):
    """One key that differs; ``loosened`` says what became riskier."""

    key: str
    old: str
    new: str
    loosened: str | None


class Version(Shape):
    """A configuration that cycles ran under."""

    hash: str
    at: str | None
    cycles: int
    current: bool
    changes: list[Change]
    problem: str | None


class Versions(Shape):
    """``config history``."""

    schema_: Literal["oms.config-history/1"] = Field(alias="schema")
    versions: list[Version]


class Difference(Shape):
    """``config diff``."""

    schema_: Literal["oms.config-diff/1"] = Field(alias="schema")
    old: str
    new: str
    changes: list[Change]


class Backup(Shape):
    """One backup on the shelf."""

    id: str
    at: str
    note: str
    config_hash: str
    seq: int | None
    size: int


class Backups(Shape):
    """``backups list``."""

    schema_: Literal["oms.backups-list/1"] = Field(alias="schema")
    backups: list[Backup]


class Database(Shape):
    """``db current``."""

    schema_: Literal["oms.db-current/1"] = Field(alias="schema")
    file: str
    found: str
    needed: str
    problem: str


class Prices(Shape):
    """``history status``."""

    schema_: Literal["oms.history.status/1"] = Field(alias="schema")
    as_of: Day | None
    universe: int
    fresh: int
    never_asked: list[str]
    symbols: list[JsonObject]
