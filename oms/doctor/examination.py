"""Everything that trading under one configuration rests on, as questions; and the answer to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from oms.choice_wiring import universe_of
from oms.config import LoadedConfig
from oms.doctor import machine, outside
from oms.doctor.checks import Ailing, Check, Question, examine, question
from oms.questions.asking import Desk

TIGER = ("key file", "account kind", "broker login", "permissions")
"""Checks at Tiger, each of which needs the one before it."""


def examination(loaded: LoadedConfig, *, dry_run: bool = False) -> Iterator[Check]:
    """Ask everything at the same time; the answers come in a fixed order, each within its limit. Nothing is changed."""
    yield from examine(questions(loaded, dry_run=dry_run))


def questions(loaded: LoadedConfig, *, dry_run: bool = False) -> list[Question]:
    """What is to be looked at under this configuration."""
    dry = dry_run or loaded.config.mode == "dry_run"
    desk = Desk(loaded=loaded, dry_run=dry)
    asked = [
        question("config", partial(_config, loaded), "`config check` names every problem with its line"),
        Question(
            names=("database",),
            ask=partial(machine.database, desk),
            remedy="`journal verify` says what is wrong, `db upgrade` moves an older one up, `restore` brings a backup back",
        ),
        question("disk", partial(machine.disk, loaded), "make the folder of the journal writable"),
        question("fsync", partial(machine.fsync, loaded), "keep the journal on a local disk that can be written"),
        question("clock", partial(outside.clock, loaded), "see that this machine reaches the network"),
        question("calendar", partial(outside.calendar, loaded), "name a calendar that exists in market.exchange"),
        *_broker(loaded, dry=dry),
        question("data source", partial(outside.data_source, loaded), "see docs/market.md for what each source needs"),
    ]
    if loaded.config.mode == "live" and not dry:
        asked.append(question("live", partial(outside.live, loaded), "`live show` says more"))
    return asked


def _broker(loaded: LoadedConfig, *, dry: bool) -> list[Question]:
    if loaded.config.broker.kind == "paper":
        return [
            question("broker", partial(outside.paper_broker, loaded, dry_run=dry), "see docs/paper.md about its file")
        ]
    ask = partial(outside.tiger_broker, loaded, dry_run=dry)
    return [Question(names=TIGER, ask=ask, remedy="see docs/tiger.md: account, key, login and permissions")]


def _config(loaded: LoadedConfig) -> str:
    if loaded.warnings:
        raise Ailing("; ".join(loaded.warnings), "chmod o-w the file")
    file = loaded.path or "no config.yaml, all defaults"
    return f"{file}: mode {loaded.config.mode}, {len(universe_of(loaded))} symbols, hash {loaded.hash[:12]}"


def unreadable(problem: str) -> Check:
    """The one check that can be made of a configuration that cannot be read."""
    return Check(
        name="config", ok=False, found=problem, remedy="mend what is named; nothing else can be looked at before that"
    )


def answer(checks: Sequence[Check]) -> dict[str, Any]:
    """As JSON."""
    return {"schema": "oms.doctor/1", "checks": [check.answer() for check in checks]}
