"""What a disk holds after the power failed: a recorded life of some files, and every image a cut could have left of them.

A file keeps what it was told before its last sync. What came after may be there, or not, or in part: each sector by
itself, in any order. A name keeps where it pointed when its folder was last synced, or points where it pointed at the cut.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest

SOURCE = Path(__file__).with_name("record_writes.c")
SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


@cache
def recorder() -> Path:
    """The compiled recorder; the test is skipped, and says so, where there can be none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("WRITES ARE NOT RECORDED HERE: this test needs Linux and a C compiler (cc)")
    built = Path(mkdtemp(prefix="oms-writes-")) / "record_writes.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, SOURCE, "-ldl", "-lpthread"], check=True)
    return built


def recording(folder: Path, record: Path) -> dict[str, str]:
    """Environment variables under which a program's deeds below ``folder`` are recorded."""
    return {"LD_PRELOAD": str(recorder()), "RECORD_BELOW": str(folder), "RECORD_TO": str(record)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that was done to a file."""

    kind: str
    """(c)reated, (w)ritten, (t)runcated, (s)ynced, (u)nlinked, (r)enamed."""
    path: str
    offset: int
    data: bytes


def deeds(record: Path) -> list[Deed]:
    """Everything that was recorded, oldest first."""
    raw, at, found = record.read_bytes(), 0, []
    while at < len(raw):
        kind, offset, path_len, data_len = struct.unpack_from("<cQII", raw, at)
        at += 17
        path, data = raw[at : at + path_len], raw[at + path_len : at + path_len + data_len]
        at += path_len + data_len
        found.append(Deed(kind=kind.decode(), path=os.path.normpath(path.decode()), offset=offset, data=data))
    return found


@dataclass(slots=True)
class Content:
    """One file's bytes, whatever its name is."""

    synced: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    since: list[Deed] = field(default_factory=list)
    """What was done to it since its last sync."""


def change(content: bytearray, offset: int, data: bytes) -> None:
    """Write into a file, which grows by zeros where the place lies behind its end."""
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def cut(content: bytearray, size: int) -> None:
    """Give a file this size."""
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


class Disk:
    """The files as a running system sees them, and beside it what the platters hold."""

    def __init__(self) -> None:
        self.names: dict[str, Content] = {}
        self.kept_names: dict[str, Content] = {}

    def do(self, deed: Deed) -> None:
        """One recorded deed."""
        match deed.kind:
            case "c":
                self.names[deed.path] = Content()
            case "u":
                self.names.pop(deed.path, None)
            case "r":
                self.names[deed.data.decode()] = self.names.pop(deed.path)
            case "s" if deed.path not in self.names:  # a folder
                inside = deed.path + os.sep
                for kept in [path for path in self.kept_names if path.startswith(inside)]:
                    del self.kept_names[kept]
                self.kept_names |= {path: content for path, content in self.names.items() if path.startswith(inside)}
            case "s":
                content = self.names[deed.path]
                content.synced, content.since = bytes(content.now), []
            case _ if deed.path in self.names:
                content = self.names[deed.path]
                content.since.append(deed)
                if deed.kind == "w":
                    change(content.now, deed.offset, deed.data)
                else:
                    cut(content.now, deed.offset)

    def running(self, paths: Sequence[str]) -> dict[str, bytes]:
        """These files as a system that goes on sees them."""
        return {path: bytes(self.names[path].now) for path in paths if path in self.names}

    def images(self, paths: Sequence[str], chance: Random, torn: int) -> Iterator[dict[str, bytes]]:
        """What a cut at this instant may leave: nothing unsynced, everything, and some torn mixtures of it."""
        for names in (self.kept_names, self.names):
            there = {path: names[path] for path in paths if path in names}
            yield {path: content.synced for path, content in there.items()}
            yield {path: bytes(content.now) for path, content in there.items()}
            for _ in range(torn):
                yield {path: mixture(content, chance) for path, content in there.items()}


def mixture(content: Content, chance: Random) -> bytes:
    """What was synced, and of what came after it each sector or not."""
    found = bytearray(content.synced)
    kept = chance.choice((0.1, 0.5, 0.9))
    for deed in content.since:
        if deed.kind == "t":
            if chance.random() < kept:
                cut(found, deed.offset)
            continue
        for start in range(0, len(deed.data), SECTOR):
            if chance.random() < kept:
                change(found, deed.offset + start, deed.data[start : start + SECTOR])
    return bytes(found)
