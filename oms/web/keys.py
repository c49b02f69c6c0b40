"""The secrets that open the API: a token for those who operate, one for those who only look, and a password for people.

The token is 256 random bits in a file that only its owner can read, beside the journal. The token for reading and the
key that signs sessions are derived from it, so that there is one secret to keep and to renew. A password is kept only as
its scrypt hash.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import shlex
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from oms.config import LoadedConfig
from oms.errors import CredentialsError, StorageError, UsageError

TOKEN_BYTES = 32
FEWEST_LETTERS = 12
"""Shortest password that is taken."""
MOST_LETTERS = 200
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1
"""Cost of one guess of a password: about 80 ms and 32 MB (OWASP's password storage advice, 2024)."""
_SCRYPT_MEMORY = 128 * _SCRYPT_N * _SCRYPT_R * 2


class Scope(StrEnum):
    """What the bearer of a secret may do."""

    READ = "read"
    OPERATE = "operate"
    """Read, and give the commands that stop or release trading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The secrets of one API; none of them is ever shown by ``repr``."""

    operate: str = field(repr=False)
    read: str = field(repr=False)
    signing: bytes = field(repr=False)
    """Signs sessions; another token or password makes every old session worthless."""
    password: str | None = field(repr=False, default=None)
    """Salt and scrypt hash; None where there is no password."""

    def scope_of_token(self, given: str) -> Scope | None:
        """What a token opens; both are compared in constant time whatever the first says."""
        presented = given.encode("utf-8", "replace")
        operates = hmac.compare_digest(presented, self.operate.encode())
        reads = hmac.compare_digest(presented, self.read.encode())
        return Scope.OPERATE if operates else Scope.READ if reads else None

    def is_password(self, given: str) -> bool:
        """Whether this is the password; costs as much where it is not."""
        if self.password is None or not 0 < len(given) <= MOST_LETTERS:
            return False
        salt, _, kept = self.password.partition("$")
        return hmac.compare_digest(_stretched(given, base64.b64decode(salt)), base64.b64decode(kept))


def keys_of(loaded: LoadedConfig) -> Keys:
    """The secrets of this configuration's API; a token is made where there is none yet.

    Raises:
        CredentialsError: a file of secrets can be used by others, or holds something else.
        StorageError: it cannot be read or written.
    """
    token = _read(token_file(loaded)) or _make(token_file(loaded), secrets.token_urlsafe(TOKEN_BYTES))
    if len(token) < TOKEN_BYTES:
        raise CredentialsError(f"{token_file(loaded)} holds no token; remove it, and the next start makes a new one")
    password = _read(password_file(loaded))
    if password is not None:
        _refuse_broken(password, password_file(loaded))
    return keys_from(token, password)


def keys_from(token: str, password: str | None = None) -> Keys:
    """The secrets that follow from a token and a password's hash."""
    return Keys(
        operate=token,
        read=base64.urlsafe_b64encode(_derived(token, "read")).decode().rstrip("="),
        signing=_derived(token, f"sessions {password or ''}"),
        password=password,
    )


def renew(loaded: LoadedConfig) -> Keys:
    """Put a new token in the place of the old one, which then opens nothing; sessions end with the next start.

    Raises:
        StorageError: the file cannot be written.
    """
    _replace(token_file(loaded), secrets.token_urlsafe(TOKEN_BYTES))
    return keys_of(loaded)


def set_password(loaded: LoadedConfig, password: str) -> None:
    """Keep the hash of a password with which a person may log in instead of with the token.

    Raises:
        UsageError: it is too short or too long.
        StorageError: the file cannot be written.
    """
    if not FEWEST_LETTERS <= len(password) <= MOST_LETTERS:
        raise UsageError(f"a password needs {FEWEST_LETTERS} to {MOST_LETTERS} letters; this one has {len(password)}")
    _replace(password_file(loaded), hashed(password))


def hashed(password: str) -> str:
    """A password as it is kept: salt and hash."""
    salt = secrets.token_bytes(16)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(_stretched(password, salt)).decode()}"


def token_file(loaded: LoadedConfig) -> Path:
    """Where the token is kept: beside the journal, or in ``var`` where the journal is on a server."""
    return _folder(loaded) / "api.token"


def password_file(loaded: LoadedConfig) -> Path:
    """Where the password's hash is kept."""
    return _folder(loaded) / "api.password"


def _folder(loaded: LoadedConfig) -> Path:
    return (loaded.journal_file or loaded.resolve("var/oms.db")).parent


def _derived(token: str, purpose: str) -> bytes:
    return hmac.digest(token.encode(), f"oms api: {purpose}".encode(), "sha256")


def _stretched(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "replace"),
        salt=salt,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY,
        dklen=32,
    )


def _refuse_broken(password: str, file: Path) -> None:
    salt, dollar, kept = password.partition("$")
    try:
        sound = bool(dollar) and len(base64.b64decode(salt, validate=True)) >= 16
        sound = sound and len(base64.b64decode(kept, validate=True)) == 32
    except binascii.Error:
        sound = False
    if not sound:
        raise CredentialsError(f"{file} holds no password's hash; set it again with `serve --set-password`")


def _read(file: Path) -> str | None:
    """The one line of a file of secrets; None where there is no file."""
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error.strerror or error}") from error
    with open(handle, "rb") as opened:
        _require_private(os.fstat(handle), file)
        return opened.read(1000).decode("ascii", "replace").strip()


def _require_private(status: os.stat_result, file: Path) -> None:
    if os.name != "posix":
        return
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise CredentialsError(
            f"{file} can be used by others (mode {mode:04o}); mend it with: chmod 600 {shlex.quote(str(file))}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise CredentialsError(f"{file} belongs to another user; expected it to be yours")


def _make(file: Path, text: str) -> str:
    """Make a file of secrets unless another process was faster; returns what then stands in it."""
    made = _written(file, text)
    try:
        os.link(made, file)
    except FileExistsError:
        return _read(file) or ""
    except OSError as error:
        raise StorageError(f"{file} cannot be made: {error.strerror or error}") from error
    finally:
        made.unlink(missing_ok=True)
    return text


def _replace(file: Path, text: str) -> None:
    made = _written(file, text)
    try:
        made.replace(file)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise StorageError(f"{file} cannot be written: {error.strerror or error}") from error


def _written(file: Path, text: str) -> Path:
    """A new file beside ``file`` that only its owner can read, with this text on the disk."""
    made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(made, flags, 0o600), "wb") as opened:
            opened.write(text.encode() + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        made.unlink(missing_ok=True)
        raise StorageError(f"{file} cannot be written: {error.strerror or error}") from error
    return made
