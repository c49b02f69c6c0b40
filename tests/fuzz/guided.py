"""Guided fuzzing of one target: ``python -m tests.fuzz.guided config --seconds 300``; ends with 0 where nothing was found.

What the bytes reach in the program is watched by atheris, which keeps those that reach something new. Bytes that break a law
are written to a file whose name it prints; put them into the target's corpus, with a test of their name.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # optional, and it has no types

with atheris.instrument_imports(include=["oms"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS

LONGEST = 4096
"""Bytes of one input: what breaks a reader is rarely longer."""


def main() -> None:
    """Fuzz until the time is over or something is found."""
    asked = argparse.ArgumentParser(description="guided fuzzing of one target")
    asked.add_argument("target", choices=sorted(TARGETS))
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--into", type=Path, default=Path(), help="folder for bytes that break a law")
    chosen = asked.parse_args()
    found = TARGETS[chosen.target]
    with TemporaryDirectory(prefix="oms-corpus-") as corpus:
        for number, seed in enumerate(found.corpus):
            Path(corpus, str(number)).write_bytes(seed)
        how = (f"-max_total_time={chosen.seconds}", f"-max_len={LONGEST}", "-rss_limit_mb=2048", "-timeout=20")
        atheris.Setup([sys.argv[0], corpus, *how, f"-artifact_prefix={chosen.into}/{found.name}-"], found.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
