"""Who may read a file with secrets on Windows, where a mode says nothing: its access list, as ``icacls`` prints it.

What ``icacls FILE`` prints is in the language of the system, names of accounts too. ``icacls FILE /save`` writes the list as
SDDL instead, which is the same in every language (Microsoft's "Security Descriptor String Format").
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from oms.errors import CredentialsError
from oms.model.foreign import printable

TIMEOUT_S = 10.0
ALLOWED = frozenset({"SY", "BA", "S-1-5-18", "S-1-5-32-544", "CO", "OW"})
"""The system, its administrators and the owner: they can read any file anyhow."""
_READS = frozenset({"GA", "GR", "FA", "FR", "CC", "WD", "WO"})
"""Rights in letters that let an account read, or write itself the right to."""
_READ_BITS = 0x80000000 | 0x10000000 | 0x1 | 0x40000 | 0x80000
"""Generic read, generic all, read data, change the list, take ownership."""
_ENTRY = re.compile(r"\(([^()]*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of an access list."""

    allows: bool
    rights: str
    who: str
    """A SID, or its two-letter name, such as BU for all users and WD for everyone."""

    @property
    def lets_read(self) -> bool:
        """Whether it lets that account read the file."""
        if not self.allows:
            return False
        if self.rights.lower().startswith("0x"):
            return bool(int(self.rights, 16) & _READ_BITS)
        return any(self.rights[at : at + 2] in _READS for at in range(0, len(self.rights), 2))


def entries_of(sddl: str) -> list[Entry] | None:
    """The entries of the discretionary list in a text of SDDL; None where there is no such list: then anybody may read.

    Raises:
        ValueError: it is no SDDL.
    """
    _, found, rest = sddl.partition("D:")
    if not found:
        raise ValueError("no discretionary list in it")
    flags, _, _ = rest.partition("(")
    if "NO_ACCESS_CONTROL" in flags:
        return None
    entries = []
    for inside in _ENTRY.findall(rest.partition("S:")[0]):
        parts = inside.split(";")
        if len(parts) < len(["type", "flags", "rights", "object", "inherited", "who"]):
            raise ValueError(f"no entry of an access list: {inside!r}")
        if "IO" not in parts[1]:  # inherit only: for what lies below, not for the file itself
            entries.append(Entry(allows=parts[0] in ("A", "OA", "XA"), rights=parts[2], who=parts[5]))
    return entries


def others_who_may_read(sddl: str, own_sid: str) -> list[str]:
    """Accounts other than this user, the system and its administrators that may read the file.

    Raises:
        ValueError: the text is no SDDL.
    """
    entries = entries_of(sddl)
    if entries is None:
        return ["everyone: it has no access list"]
    return [entry.who for entry in entries if entry.lets_read and entry.who not in ALLOWED | {own_sid}]


def require_private(file: Path) -> None:
    """Only this user, the system and its administrators may read the file; asked of Windows' own tools.

    Raises:
        CredentialsError: others may, or it cannot be told; with the command that mends it.
    """
    name = printable(str(file))
    mend = f'icacls "{name}" /inheritance:r /grant:r "%USERNAME%:F"'
    try:
        others = others_who_may_read(_sddl(file), _own_sid())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CredentialsError(
            f"{name}: its access list cannot be read ({type(error).__name__}); mend it with: {mend}"
        ) from None
    if others:
        raise CredentialsError(f"{name} can be read by others ({', '.join(others)}); mend it with: {mend}")


def _sddl(file: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "list.txt")
        subprocess.run(["icacls", str(file), "/save", str(saved)], capture_output=True, timeout=TIMEOUT_S, check=True)
        return saved_list(saved.read_bytes())


def saved_list(data: bytes) -> str:
    """The SDDL in what ``icacls /save`` wrote: UTF-16, the file's name in the first line, its list in the second.

    Raises:
        ValueError: there is no such second line.
    """
    lines = data.decode("utf-16-le", "replace").lstrip("\ufeff").splitlines()
    if len(lines) < 2:
        raise ValueError("icacls saved no list")
    return lines[1]


def _own_sid() -> str:
    asked = subprocess.run(
        ["whoami", "/user", "/fo", "csv", "/nh"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    return sid_in(asked.stdout)


def sid_in(answer: str) -> str:
    """The SID in what ``whoami /user /fo csv /nh`` answers.

    Raises:
        ValueError: there is none.
    """
    found = re.search(r"S-1-[0-9-]+", answer)
    if found is None:
        raise ValueError("whoami named no SID")
    return found[0]
