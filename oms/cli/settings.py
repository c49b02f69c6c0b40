"""``config check|show|history|diff|rollback``: what this program goes by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from oms.cli import config_history, options
from oms.cli.layout import table
from oms.cli.reading import Answer, show
from oms.questions import configuration


@click.group()
def config() -> None:
    """The configuration: check it, and show where each value came from."""


@config.command()
@options.common
@options.as_json
def check(*, json_: bool) -> None:
    """Check the configuration, its universe and its strategy; every problem is named with its place."""
    show(configuration.check(options.configuration()), _checked, json_=json_)


def _checked(answer: Answer) -> Iterator[str]:
    place = answer["file"] or "no config.yaml, all defaults"
    yield f"ok: {place} · account {answer['account']}, mode {answer['mode']}, {answer['universe']} symbols"
    yield f"hash {answer['hash']}"


@config.command(name="show")
@options.common
@options.as_json
@click.option("--origin", is_flag=True, help="Also where each value came from.")
def config_show(*, json_: bool, origin: bool) -> None:
    """Show the whole effective configuration, without secrets."""
    show(configuration.show(options.configuration(), origins=origin), _settings, json_=json_)


def _settings(answer: Answer) -> Iterator[str]:
    origins = answer.get("origins")
    rows = [[key, _shown(value)] for key, value in _flat(answer["config"], "", _leaves())]
    if origins is None:
        yield from table(["key", "value"], rows)
    else:
        yield from table(["key", "value", "from"], [[*row, origins.get(row[0], "default")] for row in rows])
    yield f"hash {answer['hash']}"


def _leaves() -> set[str]:
    from oms.configuration.keys import leaves

    return {".".join(path) for path in leaves()}


def _flat(tree: dict[str, Any], above: str, leaves: set[str]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and key not in leaves:
            yield from _flat(value, f"{key}.", leaves)
        else:
            yield key, value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


config_history.add_to(config)
