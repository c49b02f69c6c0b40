"""What the tests of backup and restore share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.backup.home import Home


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An account that has not traded yet."""
    for name in os.environ:
        if name.startswith("OMS_"):
            monkeypatch.delenv(name)
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def traded_once() -> Iterator[Home]:
    """An account with one finished cycle; not to be changed."""
    with TemporaryDirectory(prefix="oms-traded-") as folder:
        home = Home(Path(folder) / "home")
        home.run()
        yield home


@pytest.fixture
def home(traded_once: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of an account with one finished cycle."""
    for name in os.environ:
        if name.startswith("OMS_"):
            monkeypatch.delenv(name)
    return copied(traded_once, tmp_path / "home")


def copied(source: Home, folder: Path) -> Home:
    """The same account in another folder, file by file."""
    shutil.copytree(source.folder, folder)
    home = object.__new__(Home)
    home.folder, home.config_file, home.universe = folder, folder / "config.yaml", folder / "symbols.txt"
    return home


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Home, str], Home]:
    """Copies an account into a folder of another name."""
    return lambda source, name: copied(source, tmp_path / name)
