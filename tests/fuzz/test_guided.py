"""Fuzzing by what the bytes reach: at night and where atheris is installed; always a little near each target's corpus."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, Target

ROOT = Path(__file__).parent.parent.parent
SECONDS = 120
"""Of each target in a night."""
OTHER = "fuzzing by coverage needs atheris: pip install --require-hashes -r tests/fuzz/requirements.txt"


def changed(seed: bytes, chance: random.Random) -> bytes:
    """A few bytes are others, gone, or there twice."""
    data = bytearray(seed)
    for _ in range(chance.choice([0, 1, 2, 8])):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            data[at:at] = bytes([chance.randrange(256)])
        elif kind == 1:
            del data[at : at + chance.randrange(1, 9)]
        else:
            data[at:at] = data[at : at + chance.randrange(1, 20)]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_near_the_corpus_breaks_a_law(name: str) -> None:
    """What every run begins with holds, and so do two hundred inputs near it."""
    target, chance = TARGETS[name], random.Random(name)
    for seed in target.corpus:
        target.run(seed)
    for _ in range(200):
        data = changed(chance.choice(target.corpus), chance)
        try:
            target.run(data)
        except Exception as error:  # what it was is what the report must say
            raise AssertionError(f"{name} with {data!r}: {error!r}") from error


@pytest.mark.nightly
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason=OTHER)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_a_night_breaks_a_law(name: str, tmp_path: Path) -> None:
    """Two minutes of guided fuzzing of each door find nothing."""
    words = (name, "--seconds", str(SECONDS), "--into", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(tmp_path.iterdir()) == []
    assert "runs in" in done.stderr


def test_a_target_that_breaks_its_law_is_seen() -> None:
    """A door that lets an error of Python's own out is found by inputs as near to its corpus."""

    def run(data: bytes) -> None:
        data.decode("ascii")

    broken, found = Target(name="broken", run=run, corpus=(b"abc",)), 0
    for number in range(300):
        try:
            broken.run(changed(b"abc", random.Random(number)))
        except UnicodeDecodeError:
            found += 1
    assert found > 20
