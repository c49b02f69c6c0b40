"""Encrypted backups: opened by their key alone; without the package, a sentence that says what to install."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from oms.backup import encryption, shelf
from oms.backup.making import Order, make
from oms.errors import CredentialsError, DamagedError, UsageError
from tests.backup.home import Home

needs_age = pytest.mark.skipif(
    importlib.util.find_spec("pyrage") is None, reason="the extra `encrypt` is not installed"
)


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    """A key of its owner's alone, and its public half."""
    age: Any = pytest.importorskip("pyrage")
    identity = age.x25519.Identity.generate()
    path = tmp_path / "key.txt"
    path.write_text(f"# a key\n{identity}\n")
    path.chmod(0o600)
    return path, str(identity.to_public())


@needs_age
def test_an_encrypted_backup_is_opened_by_its_key(home: Home, key: tuple[Path, str]) -> None:
    """It is restored through its key to the same bytes; no plain copy stays, and nothing of it can be read without."""
    before = home.texts
    made = make(home.loaded, Order(with_journal=True, encrypt_to=(key[1],)), {})
    assert made.path.name.endswith(".tar.gz.age")
    assert b"account" not in made.path.read_bytes()
    assert shelf.encrypted(home.loaded) == [made.path]
    home.config_file.write_text("account: paper-main\n")
    with encryption.opened(made.path, key[0]) as plain:
        shelf.verify(plain)
        home.restore(plain)
    assert not plain.exists()
    assert home.texts == before


@needs_age
def test_another_key_does_not_open_it(home: Home, key: tuple[Path, str], tmp_path: Path) -> None:
    """A wrong key and a key that others may read end with 4, none with 2, a damaged file with 3."""
    made = make(home.loaded, Order(encrypt_to=(key[1],)), {})
    age: Any = pytest.importorskip("pyrage")
    other = tmp_path / "other.txt"
    other.write_text(str(age.x25519.Identity.generate()))
    for mode in (0o600, 0o644):
        other.chmod(mode)
        with pytest.raises(CredentialsError), encryption.opened(made.path, other):
            pass
    with pytest.raises(UsageError, match="--identity"), encryption.opened(made.path, None):
        pass
    made.path.write_bytes(made.path.read_bytes()[:-10] + b"0123456789")
    with pytest.raises(DamagedError), encryption.opened(made.path, key[0]):
        pass


def test_a_plain_backup_needs_no_key(bare: Home) -> None:
    """It is handed on as it is."""
    made = bare.back_up()
    with encryption.opened(made.path, None) as plain:
        assert plain == made.path


def test_without_the_package_it_says_what_to_install(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong command, 2, before anything is written."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(UsageError, match="pip install"):
        make(bare.loaded, Order(encrypt_to=("age1x",)), {})
    assert not shelf.every(bare.loaded)
