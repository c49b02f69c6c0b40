"""Backups for eyes that hold a key: age encryption around the whole archive, with the package of the extra ``encrypt``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from oms.backup.files import create, open_regular, scratch, storing
from oms.errors import CredentialsError, DamagedError, StorageError, UsageError

SUFFIX = ".age"
_MAGIC = b"age-encryption.org/v1"
MOST_IDENTITY = 100_000


def _pyrage() -> Any:
    try:
        return import_module("pyrage")
    except ImportError:
        raise UsageError(
            "encrypted backups need the package pyrage: pip install 'oms[encrypt]', or pip install pyrage"
        ) from None


def recipients_of(words: Sequence[str]) -> list[Any]:
    """The public keys, ``age1…`` or ``ssh-…``, that can open a backup.

    Raises:
        UsageError: one of them is none, or the package is not installed.
    """
    age = _pyrage()
    found = []
    for word in words:
        try:
            found.append(
                age.ssh.Recipient.from_str(word) if word.startswith("ssh-") else age.x25519.Recipient.from_str(word)
            )
        except age.RecipientError:
            raise UsageError(f"--encrypt-to {word[:20]}…: expected a public key, age1… or ssh-…") from None
    return found


def seal(plain: Path, sealed: Path, recipients: Sequence[Any]) -> None:
    """Encrypt a file into a new one and bring that to the disk."""
    with storing(f"writing {sealed}"), plain.open("rb") as source, open(create(sealed), "wb") as target:
        _pyrage().encrypt_io(source, target, list(recipients))
        target.flush()
        os.fsync(target.fileno())


@contextmanager
def opened(path: Path, identity: Path | None) -> Iterator[Path]:
    """The archive itself: ``path``, or, where that is encrypted, a decrypted copy that is gone afterwards.

    Raises:
        UsageError: it is encrypted and no key is given.
        CredentialsError: the key does not open it, or others may read the key.
        DamagedError: it is not whole.
    """
    if not is_sealed(path):
        yield path
        return
    if identity is None:
        raise UsageError(f"{path} is encrypted: give --identity FILE with the key that opens it")
    age, keys = _pyrage(), _identities(identity)
    with scratch(path.parent) as folder:
        plain = folder / "archive.tar.gz"
        try:
            with open(open_regular(path, "the backup"), "rb") as source, open(create(plain), "wb") as target:
                age.decrypt_io(source, target, keys)
        except age.DecryptError as error:
            if "no matching" in str(error).lower():
                raise CredentialsError(f"{path} was encrypted to other keys than those in {identity}") from None
            raise DamagedError(f"{path} is damaged: it cannot be decrypted ({error})") from None
        except OSError as error:
            if error.errno is None:  # age's word for content that was changed; the disk's own errors have a number
                raise DamagedError(f"{path} is damaged: it cannot be decrypted ({error})") from None
            raise StorageError(f"{path} cannot be decrypted: {error.strerror or error}") from error
        yield plain


def is_sealed(path: Path) -> bool:
    """Whether a file begins as age's files do."""
    with open(open_regular(path, "the backup"), "rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _identities(path: Path) -> list[Any]:
    with open(open_regular(path, "the key"), "rb") as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
            raise CredentialsError(f"{path} can be read by others: chmod 600 it")
        text = file.read(MOST_IDENTITY).decode("utf-8", "replace")
    age = _pyrage()
    try:
        if "-----BEGIN" in text:
            return [age.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        return [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except age.IdentityError:
        raise CredentialsError(f"{path} holds no key that can be read; expected AGE-SECRET-KEY-1…") from None
