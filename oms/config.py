"""config.yaml and the environment → one frozen ``Config``, with the origin of each value.

Precedence: flag > ``OMS_…`` environment > config.yaml > default. Everything that is wrong is found at once and said with
its place. (pydantic-settings would overlay the sources as well, but keeps no origins and no lines, stops at the first
broken source, and costs as much CPU to import as all the rest of this.)
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from oms.configuration.document import Document, parse_document
from oms.configuration.environment import from_environment
from oms.configuration.findings import problems_of
from oms.configuration.keys import Path as KeyPath
from oms.configuration.keys import leaves, sections
from oms.configuration.problems import Place, Problem, found, refuse
from oms.configuration.scalars import has_password
from oms.configuration.schema import Config
from oms.errors import DamagedError, UsageError
from oms.inputfile import decode, others_may_write, read_bytes
from oms.model.foreign import printable

__all__ = ["Config", "LoadedConfig", "config_from_canonical", "load_config"]

DEFAULT_NAME = "config.yaml"
MOST_BYTES = 1_000_000
"""Largest config.yaml; a real one has five thousand bytes."""
NO_OVERRIDES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """One effective configuration and where it came from.

    ``origins`` says for each dotted key: ``default``, ``FILE:line:column``, ``environment NAME`` or ``flag``. ``path`` is
    the file, None where there was none; ``base`` the folder that relative paths are relative to. ``canonical`` is the whole
    effective configuration as JSON without secrets, paths as configured; ``hash`` its SHA-256 in hex. ``warnings`` are
    sentences for stderr.
    """

    config: Config
    origins: Mapping[str, str]
    path: Path | None
    base: Path
    canonical: str
    hash: str
    warnings: tuple[str, ...] = ()

    def resolve(self, path: str | os.PathLike[str]) -> Path:
        """An absolute path; a relative one counts from the folder of the configuration file."""
        return (self.base / path).absolute()

    @property
    def journal_file(self) -> Path | None:
        """The file of an SQLite journal; None where the journal is on PostgreSQL."""
        url = self.config.journal.url
        return self.resolve(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None

    @property
    def journal_url(self) -> str:
        """The journal's URL with an absolute path; it may hold a password, so do not show it."""
        file = self.journal_file
        return self.config.journal.url if file is None else f"sqlite:///{file.as_posix()}"


def load_config(
    path: Path | None, env: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES
) -> LoadedConfig:
    """Read, overlay and check the configuration.

    Without ``path``, ``config.yaml`` in the current folder is taken where it exists, else the defaults. ``overrides`` are
    what flags say, by dotted key, as text or as Python values. Raises UsageError (exit 2) that lists every problem.
    """
    file = path if path is not None else _default_file()
    document = _read(file) if file is not None else Document(root={})
    problems = list(document.problems)
    raw, origins = _of_document(document, problems)
    given, wrong = from_environment(env)
    problems += wrong
    for key, value in overrides.items():
        given[tuple(key.split("."))] = (value, Place(source="flag"))
    for key_path, (value, place) in given.items():
        if key_path in leaves():
            _put(raw, key_path, value)
            origins[key_path] = place
        else:
            problems.append(Problem(place=place, key=".".join(key_path), sentence="not a setting"))
    problems += _passwords(raw, origins, file)
    config = _validated(raw, origins, document, problems)
    canonical = _canonical(config)
    return LoadedConfig(
        config=config,
        origins={".".join(key): str(origins[key]) if key in origins else "default" for key in leaves()},
        path=file,
        base=(file.parent if file is not None else Path()).absolute(),
        canonical=canonical,
        hash=hashlib.sha256(canonical.encode()).hexdigest(),
        warnings=_warnings(file),
    )


def config_from_canonical(text: str) -> Config:
    """The configuration that was stored as ``LoadedConfig.canonical``; keys it lacks take their defaults.

    Raises DamagedError (exit 3) where the text is broken or holds keys or values this version does not know.
    """
    try:
        return Config.model_validate(_complete(json.loads(text, parse_float=_no_float, parse_constant=_no_float)))
    except ValidationError as error:
        keys = ", ".join(sorted({".".join(map(str, e["loc"])) or "keys that disagree" for e in error.errors()}))
        raise DamagedError(f"the stored configuration does not fit this version of the program: {keys}") from None
    except (ValueError, RecursionError, TypeError, AttributeError):
        raise DamagedError(
            "the stored configuration cannot be read: it is not the JSON that this program writes"
        ) from None


def _no_float(text: str) -> Any:
    raise ValueError(text)


def _canonical(config: Config) -> str:
    return json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _default_file() -> Path | None:
    file = Path(DEFAULT_NAME)
    return file if os.path.lexists(file) else None


def _read(file: Path) -> Document:
    name = printable(str(file))
    try:
        text = decode(read_bytes(file, MOST_BYTES, "the configuration"), name)
    except UsageError as error:
        raise UsageError(f"{error}; nothing was done") from None
    document = _parsed(text, name)
    # What is said elsewhere is put into this tree; the one that is kept stays as the file has it.
    document = replace(document, root=copy.deepcopy(document.root))
    if document.root is None and not document.problems:
        raise UsageError(
            f"{name}:1:1: the configuration is empty; write at least one key, such as mode: paper, "
            "or remove the file to use the defaults; nothing was done"
        )
    return document


@lru_cache(maxsize=4)
def _parsed(text: str, name: str) -> Document:
    """A worker of a fleet reads the same file for every turn of every account."""
    return parse_document(text, name)


def _warnings(file: Path | None) -> tuple[str, ...]:
    if file is not None and others_may_write(file):
        return (f"{printable(str(file))} can be changed by every user of this machine: chmod o-w it",)
    return ()


def _of_document(document: Document, problems: list[Problem]) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """The tree of a document with every section in place, and the place of each value it sets."""
    raw = document.root
    if not isinstance(raw, dict):
        problems.append(
            Problem(
                place=document.places[()], key="", sentence=f"found {found(raw)}; expected keys, such as mode: paper"
            )
        )
        raw = {}
    for path in sorted(sections(), key=len):
        value = _get(raw, path)
        if value is not None and not isinstance(value, dict):
            problems.append(
                Problem(
                    place=document.places[path],
                    key=".".join(path),
                    sentence=f"found {found(value)}; expected a section with keys of its own",
                )
            )
            _put(raw, path, {})
    origins = {path: document.places[path] for path in leaves() if path in document.places}
    return _complete(raw), origins


def _complete(raw: Any) -> Any:
    """A tree in which every section exists; an absent or empty one stands for its defaults."""
    for path in sorted(sections(), key=len):
        if _get(raw, path) is None:
            _put(raw, path, {})
    return raw


def _get(raw: Any, path: KeyPath) -> Any:
    for part in path:
        if not isinstance(raw, dict):
            return None
        raw = raw.get(part)
    return raw


def _put(raw: dict[str, Any], path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        raw = raw.setdefault(part, {})
    raw[path[-1]] = value


def _passwords(raw: dict[str, Any], origins: Mapping[KeyPath, Place], file: Path | None) -> list[Problem]:
    """A password in the file would be in every backup and copy of it; the environment is the place for it."""
    key = ("journal", "url")
    url, place = _get(raw, key), origins.get(key)
    if file is not None and place is not None and place.line and isinstance(url, str) and has_password(url):
        sentence = "found a password; expected none in a file: use OMS_JOURNAL__URL, PGPASSWORD or ~/.pgpass"
        return [Problem(place=place, key="journal.url", sentence=sentence)]
    return []


def _validated(
    raw: dict[str, Any], origins: Mapping[KeyPath, Place], document: Document, problems: list[Problem]
) -> Config:
    """The Config of a tree. Raises UsageError with all ``problems`` and all those of the values."""
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        problems += problems_of(error, raw, origins, document)
        problems += _disagreements(error, raw, origins, document)
    else:
        if not problems:
            return config
    raise refuse(problems)


def _disagreements(
    error: ValidationError, raw: dict[str, Any], origins: Mapping[KeyPath, Place], document: Document
) -> list[Problem]:
    """With the bad values left out, the keys that do not agree: so that these too are named in the first run."""
    mended = copy.deepcopy(raw)
    wrong = {_leaf(entry["loc"]) for entry in error.errors()}
    for path in wrong:
        parent = _get(mended, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1] if path else "", None)
    try:
        Config.model_validate(mended)
    except ValidationError as second:
        found_now = problems_of(second, mended, origins, document)
        return [p for p in found_now if not any(".".join(path) in p.key + p.sentence for path in wrong if path)]
    return []


def _leaf(loc: tuple[int | str, ...]) -> KeyPath:
    """The key of the schema that an error's location lies in; for an unknown key, the key itself."""
    path = tuple(str(part) for part in loc)
    return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in leaves()), path)
