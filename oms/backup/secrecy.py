"""No secret goes into a backup: what looks like one is refused, with its line, before anything is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from oms.config import LoadedConfig
from oms.configuration.notices import parse_entry
from oms.configuration.scalars import has_password
from oms.errors import RefusedError

_PEM = re.compile(r"-----BEGIN|PRIVATE KEY")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{40,}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_SETTING = re.compile(r"(?:password|passwd|secret|token|private_?key|api_?key)[\w.-]*[ \t]*[:=][ \t]*\S", re.IGNORECASE)
_NAMES = re.compile(r"key|token|secret|pass", re.IGNORECASE)
_SHORTEST = 8
"""A shorter value may stand anywhere by chance."""


def refuse_secrets(name: str, text: str, known: frozenset[str]) -> None:
    """Look at every line, comments too.

    Raises:
        RefusedError: a line holds one of the ``known`` secrets, or what looks like a key, a token or a password.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if why := _why(line, known):
            raise RefusedError(
                f"{name}, line {number}: {why}; no backup was made, because backups are copied around: "
                "keep it in a file of its own or in the environment"
            )


def _why(line: str, known: frozenset[str]) -> str:
    if any(secret in line for secret in known):
        return "it holds a secret that this machine's own files or environment hold"
    if _PEM.search(line):
        return "it holds a key"
    if any(has_password(url) for url in _URL.findall(line)):
        return "it holds a URL with a password"
    if _SETTING.search(line):
        return "it sets a password, key or token"
    return "it holds a long text that looks like a key" if any(map(_is_random, _RUN.findall(line))) else ""


def _is_random(run: str) -> bool:
    """Small and large letters and digits without the rhythm of a path: no name of anything, and no hash in hexadecimal."""
    mixed = all(re.search(kind, run) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return mixed and _HEX.fullmatch(run) is None and max(map(len, re.split("[/_-]", run))) >= 20


def known_secrets(loaded: LoadedConfig, env: Mapping[str, str]) -> frozenset[str]:
    """Secrets that this machine holds for this configuration: the broker's file, the notices' addresses, the environment."""
    return frozenset(value for value in _values(loaded, env) if len(value) >= _SHORTEST)


def _values(loaded: LoadedConfig, env: Mapping[str, str]) -> Iterator[str]:
    properties = loaded.resolve(env.get("TIGEROPEN_PROPS_PATH") or loaded.config.broker.tiger.properties)
    for line in _lines(properties / "tiger_openapi_config.properties" if properties.is_dir() else properties):
        key, _, value = line.partition("=")
        if _NAMES.search(key):
            yield value.strip()
    for notice in loaded.config.notify:
        entry = parse_entry(notice)
        if entry.kind == "file":
            yield from (line.strip() for line in _lines(loaded.resolve(entry.place)))
        else:
            yield env.get(entry.place, "")
    for name, value in env.items():
        if _NAMES.search(name) and not os.path.exists(value):
            yield value


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    except OSError:
        return []
