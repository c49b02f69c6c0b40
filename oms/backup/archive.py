"""A backup as one file: a gzip of a tar that any tool can open, read back by a reader that believes nothing.

The reader knows the few names there can be, compares every header byte for byte with the one this program would have
written, bounds every size before it reads, and never asks a library to extract anything.
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from oms import crashpoints
from oms.backup import manifest as manifests
from oms.backup.files import create, open_regular, storing
from oms.backup.manifest import ARCHIVES, JOURNAL, LIMITS, NAME, Manifest, Member, decode_manifest
from oms.errors import DamagedError, StorageError

BLOCK = 512
RECORD = 20 * BLOCK
CHUNK = 2**16
LEVEL = 4
"""Effort of the compression: a journal of 43 MB must not take minutes."""
MOST_RATIO = 200
"""Most bytes that one byte of an archive may become, beyond the first 16 million."""
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

_OCTAL = re.compile(rb"[0-7]{11}\x00")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
}
_ROOM = 64 * 2**20
"""Bytes that stay free on the disk when a journal is unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A whole archive, every byte of it checked. ``texts`` holds each member but the journal and its archives."""

    manifest: Manifest
    texts: Mapping[str, bytes]
    journal: Path | None
    """Where the journal's database was put."""
    archives: tuple[Path, ...] = ()
    """Where the archives of closed years were put, oldest first."""


def header(name: str, size: int, seconds: int) -> bytes:
    """The tar header of a member, as POSIX 1988 has it: a regular file, for its owner alone."""
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        b"0000600\0" + b"0000000\0" * 2,
        b"%011o\0" % size + b"%011o\0" % seconds,
        b" " * 8,
        b"0" + b"\0" * 100 + b"ustar\x0000" + b"\0" * 64,
        b"0000000\0" * 2 + b"\0" * 155 + b"\0" * 12,
    )
    block = b"".join(fields)
    return block.replace(b" " * 8, b"%06o\0 " % sum(block), 1)


# Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_archive(
    path: Path, manifest: Manifest, texts: Mapping[str, bytes], journal: Path | None, archives: Sequence[Path] = ()
) -> None:
    """Write a new archive and bring it to the disk; its name still needs a sync of the folder.

    Raises:
        StorageError: the file cannot be written, or the journal is not what the manifest says.
    """
    seconds = int(manifest.created.timestamp())
    lying = {**({} if journal is None else {JOURNAL: journal}), **dict(zip(ARCHIVES, archives, strict=False))}
    with storing(f"writing {path}"), open(create(path), "wb") as file:
        out = _Deflater(file)
        _write_member(out, NAME, [manifest.encode()], len(manifest.encode()), seconds)
        crashpoints.point("backup.during_copy")
        for each in manifest.members:
            chunks = _of_file(lying[each.name]) if each.name in lying else iter([texts[each.name]])
            _write_member(out, each.name, chunks, each.size, seconds)
        out.write(b"\0" * (2 * BLOCK))
        out.write(b"\0" * (-out.size % RECORD))
        out.finish()
        file.flush()
        os.fsync(file.fileno())


def _write_member(out: _Deflater, name: str, chunks: Iterator[bytes] | list[bytes], size: int, seconds: int) -> None:
    out.write(header(name, size, seconds))
    before = out.size
    for chunk in chunks:
        out.write(chunk)
    if out.size - before != size:
        raise StorageError(f"{name} changed while it was written into the backup")
    out.write(b"\0" * (-size % BLOCK))


def _of_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def file_member(name: str, path: Path) -> Member:
    """The entry of a member whose content lies in a file."""
    digest, size = sha256(), 0
    for chunk in _of_file(path):
        digest.update(chunk)
        size += len(chunk)
    if size > LIMITS[name]:
        raise StorageError(f"{name} has {size:,} bytes, and one backup holds at most {LIMITS[name]:,}")
    return Member(name=name, size=size, sha256=digest.hexdigest())


class _Deflater:
    """A gzip stream with the one header this program writes: no name, no time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._raw = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self.size = 0
        file.write(GZIP_HEADER)

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self.size += len(data)
        self._file.write(self._raw.compress(data))

    def finish(self) -> None:
        self._file.write(self._raw.flush())
        self._file.write(self._crc.to_bytes(4, "little") + (self.size % 2**32).to_bytes(4, "little"))


# Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_manifest(path: Path) -> Manifest:
    """The manifest alone, from the beginning of the file; the rest is not looked at.

    Raises:
        DamagedError: this is no backup, or it is damaged or of a newer format.
    """
    with open(open_regular(path, "the backup"), "rb") as file:
        return _read_manifest(_Inflater(file, path))[0]


def read_archive(path: Path, journal_to: Path | None = None, archives_in: Path | None = None) -> Contents:
    """Everything, with each checksum compared. The journal is put into a new file at ``journal_to``, where that is given.

    Archives of closed years are then put into ``archives_in``, or beside the journal, under its new name and theirs.

    Raises:
        DamagedError: it is no backup, or damaged, or tries something that no backup of this program does.
        StorageError: the disk has no room for the journal.
    """
    with open(open_regular(path, "the backup"), "rb") as file:
        source = _Inflater(file, path)
        manifest, seconds = _read_manifest(source)
        _check_room(path, manifest, journal_to, archives_in)
        texts: dict[str, bytes] = {}
        unpacked: list[Path] = []
        for each in manifest.members:
            _expect_header(source, header(each.name, each.size, seconds))
            digest = sha256()
            if each.name == JOURNAL:
                _take_file(source, each.size, journal_to, digest.update)
            elif each.name in ARCHIVES:
                to = (
                    None
                    if journal_to is None
                    else (archives_in or journal_to.parent) / f"{journal_to.name}-{each.name}"
                )
                _take_file(source, each.size, to, digest.update)
                unpacked += [] if to is None else [to]
            else:
                texts[each.name] = source.take(each.size)
                digest.update(texts[each.name])
            if digest.hexdigest() != each.sha256:
                raise source.damaged(f"{each.name} does not match its checksum")
            source.zeros(-each.size % BLOCK)
        source.zeros(2 * BLOCK)
        source.zeros(-source.size % RECORD)
        source.end()
    has_journal = manifest.with_journal and journal_to is not None
    return Contents(
        manifest=manifest, texts=texts, journal=journal_to if has_journal else None, archives=tuple(unpacked)
    )


def _read_manifest(source: _Inflater) -> tuple[Manifest, int]:
    block = source.take(BLOCK)
    _refuse_foreign(source, block)
    size_field, time_field = block[124:136], block[136:148]
    if not _OCTAL.fullmatch(size_field) or not _OCTAL.fullmatch(time_field):
        raise source.damaged("its first header is not one of this program")
    size, seconds = int(size_field[:-1], 8), int(time_field[:-1], 8)
    if block[:100].rstrip(b"\0") != NAME.encode():
        raise source.damaged("it does not begin with a manifest, so it is no backup")
    if size > manifests.MOST_MANIFEST:
        raise source.damaged(f"its manifest has {size:,} bytes; expected at most {manifests.MOST_MANIFEST:,}")
    if block != header(NAME, size, seconds):
        raise source.damaged("its first header is not one of this program")
    manifest = decode_manifest(source.take(size), source.where)
    source.zeros(-size % BLOCK)
    return manifest, seconds


def _expect_header(source: _Inflater, expected: bytes) -> None:
    block = source.take(BLOCK)
    if block == expected:
        return
    _refuse_foreign(source, block)
    name = expected[:100].rstrip(b"\0").decode()
    raise source.damaged(f"where {name} should begin stands something else, or with another size")


def _refuse_foreign(source: _Inflater, block: bytes) -> None:
    """Say what a header tries that no backup does."""
    name = block[:100].rstrip(b"\0").decode("utf-8", "replace") + block[345:500].rstrip(b"\0").decode(
        "utf-8", "replace"
    )
    kind = _KINDS.get(block[156:157])
    if block[257:262] != b"ustar":
        raise source.damaged("what is packed in it is not a tar of this program")
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
        raise source.damaged("it tries to write outside of its place")
    if kind is not None:
        raise source.damaged(f"it holds {kind}; a backup holds regular files only")
    if name not in {NAME, *LIMITS} or block[156:157] != b"0":
        raise source.damaged("it holds something that is no member of a backup, or was packed by another program")


def _check_room(path: Path, manifest: Manifest, journal_to: Path | None, archives_in: Path | None) -> None:
    packed = path.stat().st_size
    if manifest.size > 16_000_000 + MOST_RATIO * packed:
        raise DamagedError(f"{path} claims to hold {manifest.size:,} bytes in {packed:,}: no backup is packed so small")
    if journal_to is None or not manifest.with_journal:
        return
    needed = {journal_to.parent: manifest.size}
    if archives_in is not None:
        needed.setdefault(archives_in, sum(each.size for each in manifest.archives))
    for folder, size in needed.items():
        free = shutil.disk_usage(folder).free
        if size + _ROOM > free:
            raise StorageError(f"{folder} has {free:,} bytes free, and the backup holds {size:,} for it")


def _take_file(source: _Inflater, size: int, to: Path | None, learn: Callable[[bytes], None]) -> None:
    if to is None:
        for chunk in source.chunks(size):
            learn(chunk)
        return
    with storing(f"writing {to}"), open(create(to), "wb") as file:
        for number, chunk in enumerate(source.chunks(size)):
            learn(chunk)
            file.write(chunk)
            if not number:
                crashpoints.point("restore.during_staging")
        file.flush()
        os.fsync(file.fileno())


class _Inflater:
    """The bytes inside a gzip, never more of them in memory than were asked for."""

    def __init__(self, file: BinaryIO, where: Path) -> None:
        self._file = file
        self._raw = zlib.decompressobj(-zlib.MAX_WBITS)
        self._crc = 0
        self.where = where
        self.size = 0
        """Bytes handed out so far."""
        if file.read(len(GZIP_HEADER)) != GZIP_HEADER:
            raise self.damaged("it is not a backup of this program, or was packed again by another one")

    def damaged(self, why: str) -> DamagedError:
        return DamagedError(f"{self.where} was not restored: {why}; choose another with `backups list`")

    def chunks(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self._some(min(size, CHUNK))
            size -= len(chunk)
            yield chunk

    def take(self, size: int) -> bytes:
        return b"".join(self.chunks(size))

    def zeros(self, size: int) -> None:
        if self.take(size).strip(b"\0"):
            raise self.damaged("there is something where nothing should be")

    def end(self) -> None:
        """The stream ends here, with the length and checksum it should have, and nothing follows."""
        if self._inflate(1) or not self._raw.eof:
            raise self.damaged("it holds more than its manifest names")
        rest = self._raw.unused_data + self._file.read(9)
        if rest != self._crc.to_bytes(4, "little") + (self.size % 2**32).to_bytes(4, "little"):
            raise self.damaged("it is truncated, or its checksum does not match")

    def _some(self, most: int) -> bytes:
        data = self._inflate(most)
        if not data:
            raise self.damaged("it is truncated")
        self.size += len(data)
        self._crc = zlib.crc32(data, self._crc)
        return data

    def _inflate(self, most: int) -> bytes:
        while not self._raw.eof:
            feed = self._raw.unconsumed_tail or self._file.read(CHUNK)
            try:
                data = self._raw.decompress(feed, most)
            except zlib.error:
                raise self.damaged("its compressed content is damaged") from None
            if data or not feed:
                return data
        return b""
