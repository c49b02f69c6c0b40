"""The archive: it comes back byte for byte, opens with any tool, and whatever is not one of ours is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oms.backup.archive import BLOCK, GZIP_HEADER, header, read_archive, read_manifest
from oms.backup.manifest import CONFIG, NAME, STATE, UNIVERSE, Manifest, decode_manifest
from oms.errors import DamagedError, OmsError, RefusedError, UsageError
from tests.backup.home import Home


def packed(tar: bytes) -> bytes:
    """A gzip as this program writes it, around anything."""
    raw = zlib.compressobj(4, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = raw.compress(tar) + raw.flush()
    return GZIP_HEADER + body + zlib.crc32(tar).to_bytes(4, "little") + (len(tar) % 2**32).to_bytes(4, "little")


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % BLOCK)


def tar_of(manifest: Manifest, members: list[tuple[bytes, bytes]], encoded: bytes | None = None) -> bytes:
    """A tar whose first member is this manifest; each further one is its header and its content."""
    seconds = int(manifest.created.timestamp())
    first = manifest.encode() if encoded is None else encoded
    body = header(NAME, len(first), seconds) + padded(first)
    body += b"".join(head + padded(data) for head, data in members)
    body += b"\0" * (2 * BLOCK)
    return body + b"\0" * (-len(body) % (20 * BLOCK))


@pytest.fixture
def archive(home: Home) -> Path:
    return home.back_up(note="for tests").path


@pytest.fixture
def parts(archive: Path) -> tuple[Manifest, list[tuple[bytes, bytes]]]:
    """The manifest of a good archive and its members, each with its header."""
    contents = read_archive(archive)
    seconds = int(contents.manifest.created.timestamp())
    return contents.manifest, [
        (header(m.name, m.size, seconds), contents.texts[m.name]) for m in contents.manifest.members
    ]


def test_what_was_kept_comes_back_byte_for_byte(home: Home, archive: Path) -> None:
    """config.yaml with its comments and the universe are in the archive exactly as they are on the disk."""
    contents = read_archive(archive)
    assert (contents.texts[CONFIG], contents.texts[UNIVERSE]) == home.texts
    assert contents.manifest == read_manifest(archive)
    assert contents.manifest.note == "for tests"
    assert contents.manifest.config_hash == home.loaded.hash


def test_the_parts_put_together_again_are_the_archive(
    archive: Path, parts: tuple[Manifest, list[tuple[bytes, bytes]]]
) -> None:
    """The forgeries of this file begin from something that the reader accepts."""
    assert packed(tar_of(*parts)) == archive.read_bytes()


def test_any_tool_opens_it(archive: Path, tmp_path: Path) -> None:
    """Python's tarfile lists the members as plain files of their owner, and reads the same bytes."""
    with tarfile.open(archive, "r:gz") as tar:
        found = {each.name: each for each in tar.getmembers()}
        assert all(each.isreg() and each.mode == 0o600 and each.uid == 0 for each in found.values())
        content = tar.extractfile(CONFIG)
        assert content is not None
        assert content.read() == read_archive(archive).texts[CONFIG]
    assert next(iter(found)) == NAME


def test_a_flipped_bit_is_found_or_changes_nothing(archive: Path, tmp_path: Path) -> None:
    """Every byte of the first kilobyte and of the end, and every seventh of the rest, with one bit turned over."""
    good = archive.read_bytes()
    expected = read_archive(archive)
    place = tmp_path / "flipped.tar.gz"
    accepted = 0
    for at in sorted({*range(1024), *range(1024, len(good), 7), *range(len(good) - 64, len(good))}):
        place.write_bytes(good[:at] + bytes([good[at] ^ (1 << at % 8)]) + good[at + 1 :])
        try:
            found = read_archive(place)
        except DamagedError:
            continue
        accepted += 1  # padding of the compression means nothing
        assert (found.manifest, found.texts) == (expected.manifest, expected.texts)
    assert accepted < 8


def test_every_header_byte_of_the_tar_counts(archive: Path, tmp_path: Path) -> None:
    """With a gzip that fits, no byte of any header inside may be another one."""
    good = unpacked(archive)
    place = tmp_path / "flipped.tar.gz"
    members = [at for at in range(0, len(good), BLOCK) if good[at + 257 : at + 262] == b"ustar"]
    assert len(members) == len(read_archive(archive).manifest.members) + 1
    for start in members:
        for at in range(start, start + BLOCK):
            place.write_bytes(packed(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]))
            with pytest.raises(DamagedError):
                read_archive(place)


def test_every_byte_of_a_member_counts(archive: Path, tmp_path: Path) -> None:
    """With a gzip that fits, every byte of the manifest, and every ninth of the rest, is covered by a checksum."""
    good = unpacked(archive)
    place = tmp_path / "flipped.tar.gz"
    end = BLOCK + len(read_manifest(archive).encode())
    for at in sorted({*range(BLOCK, end), *range(end, len(good), 9)}):
        place.write_bytes(packed(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]))
        with pytest.raises(DamagedError):
            read_archive(place)


def test_a_truncated_archive_is_refused_at_every_64th(archive: Path, tmp_path: Path) -> None:
    """Cut anywhere, the file is no backup; so is the empty one, and one with something behind it."""
    good = archive.read_bytes()
    place = tmp_path / "cut.tar.gz"
    for part in range(64):
        place.write_bytes(good[: len(good) * part // 64])
        with pytest.raises(DamagedError):
            read_archive(place)
    for tail in (b"\0", good, b"x" * 100_000):
        place.write_bytes(good + tail)
        with pytest.raises(DamagedError):
            read_archive(place)


def hostile(name: bytes, kind: bytes = b"0", *, link: bytes = b"", size: bytes | None = None) -> bytes:
    """A header of our layout with a right checksum and a wrong intention."""
    block = bytearray(header("config.yaml", 4, 1_700_000_000))
    block[0:100] = name.ljust(100, b"\0")
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    if size is not None:
        block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


INTENTIONS = {
    "zip slip": hostile(b"../config.yaml"),
    "zip slip inside": hostile(b"a/../../config.yaml"),
    "absolute path": hostile(b"/etc/passwd"),
    "windows path": hostile(b"..\\config.yaml"),
    "windows drive": hostile(b"C:config.yaml"),
    "alternate stream": hostile(b"config.yaml:evil"),
    "hard link": hostile(b"config.yaml", b"1", link=b"/etc/passwd"),
    "symbolic link": hostile(b"config.yaml", b"2", link=b"/etc/passwd"),
    "character device": hostile(b"config.yaml", b"3"),
    "block device": hostile(b"config.yaml", b"4"),
    "folder": hostile(b"config.yaml", b"5"),
    "pipe": hostile(b"config.yaml", b"6"),
    "sparse file": hostile(b"config.yaml", b"S"),
    "long name": hostile(b"config.yaml", b"L"),
    "pax header": hostile(b"config.yaml", b"x"),
    "other name": hostile(b"evil.sh"),
    "other case": hostile(b"Config.yaml"),
    "trailing dot": hostile(b"config.yaml."),
    "name of a folder": hostile(b"sub/config.yaml"),
    "huge size": hostile(b"config.yaml", size=b"77777777777\0"),
    "binary size": hostile(b"config.yaml", size=b"\x80" + b"\xff" * 11),
    "negative size": hostile(b"config.yaml", size=b"-0000000001\0"),
    "the manifest again": hostile(NAME.encode()),
}


@pytest.mark.parametrize("intention", INTENTIONS)
@pytest.mark.parametrize("place", ["first", "second"])
def test_a_hostile_member_is_refused(
    intention: str, place: str, parts: tuple[Manifest, list[tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """Whatever such a header wants, nothing is read behind it and nothing is written; exit 3."""
    manifest, members = parts
    evil = (INTENTIONS[intention], b"evil")
    tar = tar_of(manifest, [evil, *members[1:]])
    if place == "first":
        tar = evil[0] + padded(evil[1]) + tar
    path = tmp_path / "evil.tar.gz"
    path.write_bytes(packed(tar))
    with pytest.raises(DamagedError):
        read_archive(path, tmp_path / "journal.db")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["evil.tar.gz", "home"]


def test_members_stand_once_in_their_order_and_none_is_missing(
    parts: tuple[Manifest, list[tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """Twice, swapped, left out, or more than the manifest names: refused."""
    manifest, members = parts
    for wrong in ([*members, members[0]], [members[1], members[0], *members[2:]], members[1:], [members[0], *members]):
        path = tmp_path / "wrong.tar.gz"
        path.write_bytes(packed(tar_of(manifest, wrong)))
        with pytest.raises(DamagedError):
            read_archive(path)


CHANGES: dict[str, Callable[[Manifest], Manifest]] = {
    "members twice": lambda m: replace(m, members=(*m.members, m.members[0])),
    "members swapped": lambda m: replace(m, members=tuple(reversed(m.members))),
    "a member too many": lambda m: replace(m, members=(*m.members, replace(m.members[0], name="journal.db"))),
    "a foreign member": lambda m: replace(m, members=(replace(m.members[0], name="../x"), *m.members[1:])),
    "no checksum": lambda m: replace(m, members=(replace(m.members[0], sha256=""), *m.members[1:])),
    "a wrong checksum": lambda m: replace(m, members=(replace(m.members[0], sha256="0" * 64), *m.members[1:])),
    "a negative size": lambda m: replace(m, members=(replace(m.members[0], size=-1), *m.members[1:])),
    "a size of 1 TB": lambda m: replace(m, members=(replace(m.members[0], size=2**40), *m.members[1:])),
    "a newer format": lambda m: replace(m, format=3),
    "a path for an id": lambda m: replace(m, id="../../etc/cron.d/x"),
    "no zone": lambda m: replace(m, created_at="2026-01-01T00:00:00"),
    "no hash of the head": lambda m: replace(m, journal=m.journal and replace(m.journal, hash="x")),
    "a number for a note": lambda m: replace(m, note=5),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_lies_is_refused(
    change: str, parts: tuple[Manifest, list[tuple[bytes, bytes]]], tmp_path: Path
) -> None:
    """Sealed correctly, and still not believed; exit 3."""
    manifest, members = parts
    path = tmp_path / "lies.tar.gz"
    path.write_bytes(packed(tar_of(manifest, members, CHANGES[change](manifest).encode())))
    with pytest.raises(DamagedError):
        read_archive(path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"format": 1}',
        b'{"format": 1, "format": 1}',
        b'{"format": NaN, "seal": "x"}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"seal": 1e999}',
    ],
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    """Broken JSON, doubled keys, odd numbers and endless nesting are damage, not a crash; exit 3."""
    with pytest.raises(DamagedError):
        decode_manifest(text, "a test")


def test_a_newer_format_says_so(parts: tuple[Manifest, list[tuple[bytes, bytes]]]) -> None:
    """Its reader is told to install that release."""
    with pytest.raises(DamagedError, match="newer release"):
        decode_manifest(replace(parts[0], format=3).encode(), "a test")


def test_a_bomb_does_not_fill_memory_or_disk(parts: tuple[Manifest, list[tuple[bytes, bytes]]], tmp_path: Path) -> None:
    """A member that claims gigabytes, and a stream that goes on for ever, end where their size stops being believable."""
    manifest, members = parts
    claims = replace(
        manifest, members=(*manifest.members, replace(manifest.members[0], name="journal.db", size=7 * 2**30))
    )
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(packed(tar_of(claims, members)))
    with pytest.raises(DamagedError, match="no backup is packed so small"):
        read_archive(path, tmp_path / "journal.db")
    path.write_bytes(packed(tar_of(manifest, members) + b"\0" * 50_000_000))
    with pytest.raises(DamagedError):
        read_archive(path)


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04zip", b"\x1f\x8b\x08\x08", b"BZh9", b"\xfd7zXZ", b"SQLite format 3\0", b"-----BEGIN AGE", b"x" * 4096],
)
def test_other_files_are_no_backups(content: bytes, tmp_path: Path) -> None:
    """A zip, another gzip, a database, text: refused by their first bytes; exit 3."""
    path = tmp_path / "other.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_manifest(path)


def test_a_backup_packed_again_by_another_tool_is_refused(archive: Path, tmp_path: Path) -> None:
    """The same members through tarfile have other headers; what did not come from this program is not believed."""
    place, out = tmp_path / "again.tar.gz", io.BytesIO()
    with tarfile.open(archive, "r:gz") as source, tarfile.open(fileobj=out, mode="w") as tar:
        for each in source.getmembers():
            each.mode = 0o644
            tar.addfile(each, source.extractfile(each))
    place.write_bytes(packed(out.getvalue()))
    with pytest.raises(DamagedError):
        read_archive(place)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    """A folder is refused for safety (5), a missing file is a wrong command (2)."""
    with pytest.raises((RefusedError, UsageError)):
        read_manifest(tmp_path)
    with pytest.raises(UsageError) as missing:
        read_manifest(tmp_path / "none.tar.gz")
    assert missing.value.exit_code == 2
    assert DamagedError.exit_code == 3


def test_every_refusal_is_a_sentence(archive: Path, tmp_path: Path) -> None:
    """What is said names the file and has no traceback in it."""
    place = tmp_path / "cut.tar.gz"
    place.write_bytes(archive.read_bytes()[:500])
    with pytest.raises(OmsError) as refused:
        read_archive(place)
    assert str(place) in str(refused.value)
    assert " " in str(refused.value)
    assert STATE in read_archive(archive).texts
