"""What the tests of the audit share: the journal's own fixtures, and a reader over the story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.journal.reader import Reader, open_reader
from tests.journal.conftest import clock, journal, open_one, path, story, tamper, url

__all__ = ["clock", "journal", "open_one", "path", "story", "tamper", "url"]


@pytest.fixture
def reader(story: Path) -> Iterator[Reader]:
    """The story, opened for reading."""
    opened = open_reader(f"sqlite:///{story}")
    yield opened
    opened.close()
