"""config.yaml with other values and the same comments."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from oms.configuration.keys import Path, leaves
from oms.configuration.loosening import is_percent, value_of
from oms.configuration.scalars import misread, write_duration, write_number, write_percent
from oms.configuration.schema import Config
from oms.errors import DamagedError


def rewritten(text: str, present: Config, target: Config) -> str:
    """The text with the values of ``target``, where ``present`` is what it says now.

    A key whose value stays keeps its very spelling; a new key is written behind those of its section.

    Raises:
        DamagedError: the text is too unlike plain YAML to be changed key by key.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    different = [path for path in leaves() if value_of(present, path) != value_of(target, path)]
    if not different:
        return text
    try:
        root = yaml.load(text) if text.strip() else None
        root = CommentedMap() if root is None else root
        for path in different:
            section: Any = root
            for name in path[:-1]:
                if section.get(name) is None:
                    section[name] = CommentedMap()
                section = section[name]
            section[path[-1]] = yaml.load(spelling(path, value_of(target, path)))
        out = io.StringIO()
        yaml.dump(root, out)
    except (YAMLError, AttributeError, TypeError, ValueError, KeyError) as error:
        raise DamagedError(
            f"config.yaml cannot be changed key by key ({type(error).__name__}); edit it by hand after `config diff`"
        ) from None
    return out.getvalue()


def spelling(path: Path, value: Any) -> str:
    """A value as config.yaml writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, Decimal):
        return write_percent(value) if is_percent(path) else write_number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_symbol(name)}: {shares}" for name, shares in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_symbol(each) for each in value) + "]"
    return str(value) if isinstance(value, int) else _quoted(str(value))


def _symbol(text: str) -> str:
    return _quoted(text) if misread(text) or not text.isalnum() else text


def _quoted(text: str) -> str:
    plain = text.isascii() and text.replace("_", "").replace(".", "").replace("-", "").isalnum()
    if plain and not misread(text) and text[0].isalpha():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
