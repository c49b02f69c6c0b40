"""The limits that a person armed real money for, and whether a configuration keeps within them.

They are the values of every key that :mod:`.loosening` calls riskier in one direction, but for those that only say how
backups are kept. They are written as one line of canonical JSON, so that the journal holds them whole: what was armed can
be compared with any later configuration key by key. A tightened limit stays armed, a loosened one does not.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from oms.configuration.loosening import RISKIER, Change, changes
from oms.configuration.schema import Config
from oms.configuration.section import Section

ARMED_KEYS = tuple(key for key in RISKIER if not key.startswith("backup."))
"""Keys whose loosening ends an arming."""


def limits_of(config: Config) -> str:
    """The limits of a configuration as canonical JSON, by dotted key."""
    values = config.model_dump(mode="json")
    limits = {key: _at(values, key.split(".")) for key in ARMED_KEYS}
    return json.dumps(limits, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def hash_of(limits: str) -> str:
    """SHA-256 of such a text in hex."""
    return hashlib.sha256(limits.encode()).hexdigest()


def loosened_since(limits: str, config: Config) -> list[Change] | None:
    """The limits that ``config`` loosens against those armed; None where the two cannot be compared.

    A key that the armed text does not know is of a later release, and counts as it is now.
    """
    if limits == limits_of(config):
        return []
    try:
        armed = _overlaid(config, json.loads(limits))
    except (ValueError, ValidationError, TypeError, KeyError):
        return None
    return [change for change in changes(armed, config) if change.loosened and change.key in ARMED_KEYS]


def _overlaid(config: Config, limits: dict[str, Any]) -> Config:
    """This configuration with the limits that were armed; every key that bounds no risk stays as it is now.

    Raises:
        ValueError, KeyError, TypeError: it knows a limit that this release does not, or is no such text.
    """
    values = config.model_dump(mode="json")
    for key, value in limits.items():
        path = key.split(".")
        _at(values, path)
        _at(values, path[:-1])[path[-1]] = value
    # Section by section, for the two configurations are compared key by key: that all of it agrees is not asked here.
    sections = {name: getattr(config, name) for name in values}
    read = {n: type(old).model_validate(values[n]) for n, old in sections.items() if isinstance(old, Section)}
    return config.model_copy(update={**read, "mode": values["mode"]})


def _at(tree: Any, path: list[str]) -> Any:
    for name in path:
        tree = tree[name]
    return tree
