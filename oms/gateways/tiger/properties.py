"""The credentials of a Tiger account: where they are looked for, who may read them, and what shape they must have.

The SDK's own variables and file work as its users know them (facts measured on tigeropen 3.8.0): a variable beats the
file, ``TIGEROPEN_PROPS_PATH`` beats even the path that was asked for, and the path may be a file or its folder. What the
SDK reads behind one's back, it does not read here: the working directory is no default, and the mode is checked first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from oms.errors import CredentialsError, RefusedError, UsageError
from oms.gateways.tiger import access_list
from oms.inputfile import read_bytes
from oms.model.foreign import printable

FILE_NAME = "tiger_openapi_config.properties"
TOKEN_FILE_NAME = "tiger_openapi_token.properties"  # noqa: S105 - the name of a file, not a secret
MOST_BYTES = 65_536
"""No properties file or key is larger."""

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END \1-----", re.DOTALL)
_GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class AccountKind(StrEnum):
    """What the shape of an account number says (Tiger's page on accounts)."""

    PAPER = "paper"
    """17 digits: Tiger's paper trading, on the same gateway as real money."""
    PRIME = "prime"
    """5 to 10 digits: a real account, also called standard."""
    GLOBAL = "global"
    """U and digits: a real account of the older kind."""


_SHAPES = {
    AccountKind.PAPER: re.compile(r"[0-9]{17}", re.ASCII),
    AccountKind.PRIME: re.compile(r"[0-9]{5,10}", re.ASCII),
    AccountKind.GLOBAL: re.compile(r"U[0-9]{4,12}", re.ASCII),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What it takes to speak for an account; secrets never show in its text."""

    tiger_id: str
    account: str
    private_key: str = field(repr=False)
    """Base64 of the key's DER, PKCS#1 or PKCS#8: the form that the SDK takes."""
    secret_key: str = field(default="", repr=False)
    """Of institutional traders only."""
    token: str = field(default="", repr=False)
    """Of the licence TBHK only."""
    license: str = ""
    server_url: str | None = None
    """Another gateway than the SDK's own, where file or environment names one."""
    timeout: float | None = None
    """Seconds, where file or environment says so."""
    socket_host_port: str | None = None
    """Another push gateway than the SDK's own, as ``ssl,host,port``."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must never be shown, longest first."""
        return tuple(sorted(filter(None, (self.private_key, self.secret_key, self.token)), key=len, reverse=True))

    @property
    def kind(self) -> AccountKind:
        return kind_of(self.account)


def kind_of(account: str) -> AccountKind:
    """The kind of account behind a number.

    Raises:
        RefusedError: it has no shape that Tiger documents, so nothing says whether real money is behind it.
    """
    for kind, shape in _SHAPES.items():
        if shape.fullmatch(account):
            return kind
    raise RefusedError(
        f"Tiger account {masked(account)} has no known shape; expected 17 digits (paper), 5 to 10 digits or U and digits"
    )


def fingerprint(account: str) -> str:
    """Tells two accounts apart without telling what they are: SHA-256 over broker and number, in hex."""
    return hashlib.sha256(f"tiger:{account}".encode()).hexdigest()


def masked(account: str) -> str:
    """The account for a message: its last four characters."""
    return f"…{printable(account[-4:])}" if len(account) > 4 else printable(account)


def agree(mode: str, account: str) -> None:
    """Mode and account number must say the same about real money.

    Raises:
        RefusedError: paper trading on a real account, or live trading on a paper one.
    """
    kind = kind_of(account)
    if mode == "paper" and kind is not AccountKind.PAPER:
        raise RefusedError(
            f"mode is paper but account {masked(account)} is a live Tiger account ({kind.value}; paper accounts have 17 "
            "digits); nothing was sent"
        )
    if mode == "live" and kind is AccountKind.PAPER:
        raise RefusedError(
            f"mode is live but account {masked(account)} is a Tiger paper account (17 digits); nothing was sent"
        )


def read_credentials(path: Path, env: Mapping[str, str]) -> Credentials:
    """The credentials in the properties file, with the SDK's variables over them.

    Args:
        path: the file, or the folder that holds one of the SDK's usual name; ``TIGEROPEN_PROPS_PATH`` beats it.
        env: the environment.

    Raises:
        UsageError: the file is missing while the environment does not hold everything, or it cannot be read.
        CredentialsError: others may read a file with secrets, or a field is missing or of no use.
        RefusedError: the account number has no known shape.
    """
    file = properties_file(path, env)
    complete = all(env.get(f"TIGEROPEN_{name}") for name in ("TIGER_ID", "ACCOUNT", "PRIVATE_KEY"))
    found = {} if complete and not file.exists() else _properties(file, "Tiger properties file")
    token = _token_beside(file)

    def value(key: str) -> str:
        return (env.get(f"TIGEROPEN_{key.upper()}") or found.get(key) or "").strip()

    credentials = Credentials(
        tiger_id=value("tiger_id"),
        account=value("account"),
        private_key=_private_key(found, env, str(file)),
        secret_key=value("secret_key"),
        token=value("token") or token,
        license=value("license"),
        server_url=value("server_url") or None,
        timeout=_seconds(value("timeout")),
        socket_host_port=value("socket_host_port") or None,
    )
    for name in ("tiger_id", "account"):
        if not getattr(credentials, name):
            raise CredentialsError(f"{printable(str(file))}: no {name} in it")
    kind_of(credentials.account)
    return credentials


def properties_file(path: Path, env: Mapping[str, str]) -> Path:
    """The file that the credentials are in; arguments as :func:`read_credentials` takes them."""
    where = Path(env.get("TIGEROPEN_PROPS_PATH") or path)
    return where / FILE_NAME if where.is_dir() else where


def _seconds(text: str) -> float | None:
    """Whole seconds from 1 to 120, the bounds of ``broker.tiger.timeout``; anything else is as if it were not there."""
    return float(text) if re.fullmatch(r"[0-9]{1,3}", text, re.ASCII) and 1 <= int(text) <= 120 else None


def _token_beside(file: Path) -> str:
    beside = file.with_name(TOKEN_FILE_NAME)
    return _properties(beside, "Tiger token file").get("token", "").strip() if beside.exists() else ""


def _properties(file: Path, what: str) -> dict[str, str]:
    """The pairs of a Java properties file, parsed by the parser that the SDK uses."""
    require_private(file)
    data = read_bytes(file, MOST_BYTES, what)
    from jproperties import Properties  # late: only where there is such a file

    pairs = Properties()
    try:
        pairs.load(data, "utf-8")
    except Exception:  # noqa: BLE001 - its errors quote the line, which may be the key
        pairs = None
    if pairs is None:
        raise UsageError(f"{what} {printable(str(file))} is not a Java properties file in UTF-8")
    return {str(key): str(pair.data) for key, pair in pairs.items() if pair.data is not None}


def require_private(file: Path) -> None:
    """Only its owner, who is this user, may read a file with secrets; on Windows its access list says who may.

    Raises:
        CredentialsError: with the command that mends it.
    """
    if os.name != "posix":
        access_list.require_private(file)
        return
    try:
        status = file.stat()
    except OSError:
        return  # reading it says what is wrong
    if status.st_mode & _GROUP_AND_OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        command = f"chmod 600 {shlex.quote(str(file))}"
        raise CredentialsError(
            f"{printable(str(file))} can be used by others (mode {mode:04o}); mend it with: {command}"
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise CredentialsError(f"{printable(str(file))} belongs to another user; expected it to be yours")


def _private_key(found: Mapping[str, str], env: Mapping[str, str], source: str) -> str:
    """The key as the SDK looks for it: the variable as text or path, then three names in the file."""
    text = env.get("TIGEROPEN_PRIVATE_KEY", "")
    if os.path.isfile(text):  # unlike Path.is_file, False for a text that is no possible path
        require_private(Path(text))
        text = read_bytes(Path(text), MOST_BYTES, "Tiger private key").decode("utf-8", "replace")
    if not text:
        text = next(
            (found[name] for name in ("private_key", "private_key_pk8", "private_key_pk1") if found.get(name)), ""
        )
    if not text.strip():
        raise CredentialsError(f"{printable(source)}: no private_key in it")
    return normalised_key(text)


def normalised_key(text: str) -> str:
    """Base64 of the DER of an RSA key that came as PEM or as bare Base64, PKCS#1 or PKCS#8.

    Raises:
        CredentialsError: it is no such key; never with any part of it.
    """
    der = _der(text)
    if _is_locked(text, der):
        raise CredentialsError(
            "the Tiger private key is protected by a passphrase, which nobody is there to type; make a copy without one, "
            "that only you can read: (umask 077; openssl rsa -in LOCKED.pem -out tiger_key.pem)"
        )
    if der is None or (encoded := _rsa(der)) is None:
        raise CredentialsError(
            "the Tiger private key is of no use; expected an RSA key without password, PKCS#1 or PKCS#8, as PEM or Base64"
        )
    return encoded


def _der(text: str) -> bytes | None:
    pem = _PEM.search(text)
    if pem is not None and pem[1] not in ("RSA PRIVATE KEY", "PRIVATE KEY"):
        return None
    try:
        return base64.b64decode("".join((pem[2] if pem else text).split()), validate=True)
    except binascii.Error:
        return None


def _is_locked(text: str, der: bytes | None) -> bool:
    """Whether a key needs a passphrase: as PEM, in the old form and the new one, or as bare Base64."""
    pem = _PEM.search(text)
    if pem is not None and (pem[1] == "ENCRYPTED PRIVATE KEY" or "Proc-Type: 4,ENCRYPTED" in pem[2]):
        return True
    if der is None:
        return False
    from cryptography.hazmat.primitives.serialization import load_der_private_key  # late, as below

    try:
        load_der_private_key(der, password=None)
    except TypeError:  # it has a passphrase, and none was given
        return True
    except ValueError:
        return False
    return False


def _rsa(der: bytes) -> str | None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # late: large, and only needed here
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        key = load_der_private_key(der, password=None)
    except (ValueError, TypeError):
        return None
    return base64.b64encode(der).decode("ascii") if isinstance(key, RSAPrivateKey) else None


def describe_key(encoded: str) -> str:
    """What kind of key this is, such as ``RSA 2048, PKCS#8``; takes what :func:`normalised_key` answered."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # late, as above
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    der = base64.b64decode(encoded)
    key = load_der_private_key(der, password=None)
    assert isinstance(key, RSAPrivateKey)
    # Behind the outer header (RFC 8017, RFC 5958) stand a version and then a number in PKCS#1, a sequence in PKCS#8.
    header = 2 if der[1] < _LONG_FORM else 2 + (der[1] & 0x7F)
    return f"RSA {key.key_size}, {'PKCS#8' if der[header + 3] == _SEQUENCE else 'PKCS#1'}"


_LONG_FORM = 0x80
_SEQUENCE = 0x30
