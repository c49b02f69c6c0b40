"""Archives by the thousand, each hostile or broken in a way of its own: none is believed, and none leaves anything."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oms.backup.archive import BLOCK, read_archive
from oms.backup.manifest import Manifest, _seal, decode_manifest
from oms.errors import DamagedError, OmsError
from tests.backup.home import Home
from tests.backup.test_archive import INTENTIONS, hostile, packed, padded, tar_of, unpacked
from tests.volume import examples

PART = 100
"""Archives of one test."""
NAMES = (
    b"../",
    b"/",
    b"..\\",
    b"\\\\host\\",
    b"C:",
    b"./",
    b"a/../../",
    b"con",
    b"\xff\xfe",
    b"\xe2\x80\xae",
    b"a" * 90,
)
KINDS = b"1234567SLKxgXVMNAD\0 "
ODD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    "x",
    "../x",
    "NaN",
    [],
    {},
    [[]],
    "\x00",
    "\u202e",
    "9" * 400,
)


class Forge:
    """A good archive in its parts, and everything that can be done to it."""

    def __init__(self, path: Path) -> None:
        self.file = path.read_bytes()
        self.tar = unpacked(path)
        contents = read_archive(path)
        self.manifest: Manifest = contents.manifest
        end = len(self.tar)
        starts = [at for at in range(0, end, BLOCK) if self.tar[at + 257 : at + 262] == b"ustar"]
        self.members = [
            (self.tar[at : at + BLOCK], contents.texts[member.name])
            for at, member in zip(starts[1:], self.manifest.members, strict=True)
        ]

    def evil_member(self, chance: random.Random) -> bytes:
        """A member that wants out, is a link or a device, or lies about its size, somewhere among the good ones."""
        if chance.random() < 0.3:
            evil = chance.choice(list(INTENTIONS.values()))
        else:
            name = chance.choice(NAMES) + chance.choice([b"config.yaml", b"journal.db", b"etc/passwd", b""])
            size = chance.choice(
                [None, b"%011o\0" % chance.randrange(2**33), bytes(chance.randrange(256) for _ in range(12))]
            )
            kind = KINDS[at : at + 1] if (at := chance.randrange(len(KINDS))) else b"1"
            evil = hostile(name[:100], kind, link=chance.choice([b"", b"/etc/passwd", b"../../x"]), size=size)
        members = list(self.members)
        place = chance.randrange(len(members) + 1)
        content = bytes(chance.randrange(256) for _ in range(chance.choice([0, 4, 600])))
        if place < len(members) and chance.random() < 0.5:
            members[place] = (evil, content)
        else:
            members.insert(place, (evil, content))
        tar = tar_of(self.manifest, members)
        return packed(evil + padded(content) + tar if chance.random() < 0.2 else tar)

    def lying_manifest(self, chance: random.Random) -> bytes:
        """One value of the manifest is another one, or gone, or there twice, and the seal does not fit any more."""
        return packed(tar_of(self.manifest, self.members, self.lies(chance)))

    def lies(self, chance: random.Random, *, sealed: bool = False) -> bytes:
        """The manifest with one value that is another one."""
        known = json.loads(self.manifest.encode())
        inside = known
        while True:
            key = chance.choice(sorted(inside) if isinstance(inside, dict) else range(len(inside)))
            if isinstance(inside[key], dict | list) and inside[key] and chance.random() < 0.8:
                inside = inside[key]
                continue
            break
        before = json.dumps(inside[key])
        if isinstance(inside, dict) and chance.random() < 0.25:
            del inside[key]
        else:
            inside[key] = chance.choice([value for value in ODD if json.dumps(value) != before])
        if sealed and "seal" in known:
            del known["seal"]
            known["seal"] = _seal(known)
        encoded = json.dumps(known, indent=1, sort_keys=True).encode()
        return encoded.replace(b"{", b'{"format": 1, "format": NaN, ', 1) if chance.random() < 0.1 else encoded

    def resealed(self, chance: random.Random) -> bytes:
        """The manifest of a forger who knows how to seal: sums, sizes and names that are not those of the members."""
        at = chance.randrange(len(self.manifest.members))
        member = self.manifest.members[at]
        lies = [
            replace(member, size=chance.choice([-1, 0, member.size + 1, 2**40])),
            replace(member, sha256=chance.choice(["", "0" * 64, member.sha256.upper(), member.sha256[:-1]])),
            replace(member, name=chance.choice(["../x", "", "journal.db", member.name + " ", "config.yaml\n"])),
        ]
        members = list(self.manifest.members)
        members[at] = chance.choice([lie for lie in lies if lie != member])
        if chance.random() < 0.3:
            members = [*members, chance.choice(members)]
        return packed(tar_of(replace(self.manifest, members=tuple(members)), self.members))

    def shuffled(self, chance: random.Random) -> bytes:
        """Members left out, doubled, or in another order."""
        members = list(self.members)
        kind = chance.randrange(3)
        if kind == 0:
            del members[chance.randrange(len(members))]
        elif kind == 1:
            members.insert(chance.randrange(len(members) + 1), chance.choice(members))
        else:
            members = [*members[1:], members[0]]
        return packed(tar_of(self.manifest, members))

    def flipped(self, chance: random.Random) -> bytes:
        """Some bytes inside are others, and the gzip around them fits."""
        tar = bytearray(self.tar)
        for _ in range(chance.choice([1, 1, 2, 20])):
            tar[chance.randrange(len(tar))] ^= 1 << chance.randrange(8)
        return packed(bytes(tar))

    def cut(self, chance: random.Random) -> bytes:
        """Cut short, or with something behind it; of the gzip, or of the tar in a gzip that fits."""
        tail = chance.choice([b"\0", b"x" * 1000, self.file, bytes(chance.randrange(1, 4) * BLOCK)])
        return chance.choice(
            [
                lambda: self.file[: chance.randrange(len(self.file))],
                lambda: packed(self.tar[: chance.randrange(len(self.tar))]),
                lambda: self.file + tail,
                lambda: packed(self.tar + (tail if any(tail) else b"x" + tail)),
            ]
        )()

    def bomb(self, chance: random.Random) -> bytes:
        """A little that becomes very much."""
        zeros = bytes(chance.choice([10**6, 4 * 10**6]))
        return packed(chance.choice([self.tar + zeros, zeros, self.tar[: BLOCK * 2] + zeros]))

    def noise(self, chance: random.Random) -> bytes:
        """No archive at all, or its beginning only."""
        head = self.file[: chance.choice([0, 0, 2, 10, 40])]
        return head + bytes(chance.randrange(256) for _ in range(chance.choice([0, 1, 100, 5000])))


DEEDS: tuple[Callable[[Forge, random.Random], bytes], ...] = (
    *(Forge.evil_member, Forge.evil_member, Forge.evil_member, Forge.lying_manifest, Forge.lying_manifest),
    *(Forge.resealed, Forge.shuffled, Forge.flipped, Forge.flipped, Forge.cut, Forge.bomb, Forge.noise),
)


def refusal(path: Path, journal_to: Path) -> OmsError | None:
    """With which it is refused; None where it is taken for a backup."""
    try:
        read_archive(path, journal_to)
    except OmsError as refused:
        return refused
    return None


@pytest.mark.parametrize("part", range(max(examples(200) // PART // 10, 2)))
@pytest.mark.timeout(3_600)
def test_no_hostile_archive_is_believed(home: Home, tmp_path: Path, part: int) -> None:
    """Each is refused in a printable sentence with exit 3, and nothing stands on the disk after it (10,000 at night)."""
    forge = Forge(home.back_up(note="for tests").path)
    path, target = tmp_path / "evil.tar.gz", tmp_path / "journal.db"
    before = sorted(each.name for each in tmp_path.iterdir())
    for seed in range(part * PART, part * PART + PART):
        chance = random.Random(f"archive {seed}")
        deed = chance.choice(DEEDS)
        path.write_bytes(deed(forge, chance))
        about = f"seed {seed}: {deed.__name__}"
        refused = refusal(path, target)
        assert refused is not None, f"{about}: accepted"
        assert refused.exit_code == 3, f"{about}: {refused}"
        assert str(refused).replace("\n", "").isprintable(), about
        assert len(str(refused)) < 600, about
        assert sorted(each.name for each in tmp_path.iterdir()) == sorted({*before, "evil.tar.gz"}), about


def test_a_forger_who_can_seal_gets_figures_or_a_refusal(home: Home) -> None:
    """Whatever a sealed manifest says: a manifest of the right types, or exit 3, and never another exception."""
    forge, believed = Forge(home.back_up(note="for tests").path), 0
    for seed in range(examples(2_000)):
        text = forge.lies(random.Random(f"lies {seed}"), sealed=True)
        try:
            found = decode_manifest(text, "a test")
        except DamagedError:
            continue
        believed += 1
        assert isinstance(found.size, int), text
        assert found.created.tzinfo is not None, text
        assert isinstance(found.account + found.mode + found.note + found.schema + found.program, str), text
    assert believed > 20
