"""A key file's access list on Windows, as its own tools print it; the texts are in the form that Windows writes them in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from oms.errors import CredentialsError
from oms.gateways.tiger import access_list
from oms.gateways.tiger.access_list import entries_of, others_who_may_read, saved_list, sid_in

ME = "S-1-5-21-3623811015-3361044348-30300820-1013"
SOMEBODY = "S-1-5-21-3623811015-3361044348-30300820-1014"
PRIVATE = f"D:PAI(A;;FA;;;{ME})"
INHERITED = f"D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;{ME})"
"""What a file in one's own profile has."""
SHARED = f"D:AI(A;ID;FA;;;BA)(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)(A;;FA;;;{ME})"
"""What a file in a folder of its own below C:\\ has: all users may read it, those who logged in may change it."""


@pytest.mark.parametrize(
    ("sddl", "others"),
    [
        (PRIVATE, []),
        (INHERITED, []),
        (f"O:{ME}G:DUD:PAI(A;;FA;;;{ME})S:AI", []),
        (SHARED, ["BU", "AU"]),
        (f"D:(A;;FR;;;WD)(A;;FA;;;{ME})", ["WD"]),
        (f"D:(A;;0x1;;;{SOMEBODY})", [SOMEBODY]),
        (f"D:(A;;0x40000;;;{SOMEBODY})", [SOMEBODY]),  # may write itself the right to read
        (f"D:(D;;FR;;;WD)(A;;FA;;;{ME})", []),  # a denial gives nobody anything
        (f"D:(A;OICIIO;GA;;;WD)(A;;FA;;;{ME})", []),  # for what lies below only
        (f"D:(A;;0x100000;;;WD)(A;;FA;;;{ME})", []),  # may wait for it, and nothing else
        (f"D:(A;;RCWD;;;{SOMEBODY})(A;;FA;;;{ME})", [SOMEBODY]),
        (f"D:(A;;RC;;;{SOMEBODY})(A;;FX;;;WD)(A;;FA;;;{ME})", []),  # sees the list, runs the file: reads nothing
        ("D:NO_ACCESS_CONTROL", ["everyone: it has no access list"]),
        ("D:P", []),  # an empty list lets nobody in
    ],
)
def test_who_may_read(sddl: str, others: list[str]) -> None:
    """Everybody but this user, the system and its administrators, who may read or make it readable, is named."""
    assert others_who_may_read(sddl, ME) == others


@pytest.mark.parametrize("text", ["", "no list at all", "O:SYG:SY", "D:(A;;FA)"])
def test_text_that_is_no_list(text: str) -> None:
    """What cannot be understood proves nothing, and is an error."""
    with pytest.raises(ValueError, match="list"):
        entries_of(text)


def test_saved_list() -> None:
    """``icacls /save`` writes UTF-16, with or without its mark: the name, then the list."""
    text = f"tiger_openapi_config.properties\r\n{SHARED}\r\n"
    for data in (text.encode("utf-16-le"), b"\xff\xfe" + text.encode("utf-16-le")):
        assert saved_list(data) == SHARED
    with pytest.raises(ValueError, match="no list"):
        saved_list(b"")


def test_own_sid() -> None:
    """``whoami`` answers name and SID, the name in any language."""
    assert sid_in(f'"desktop\\müller","{ME}"\r\n') == ME
    with pytest.raises(ValueError, match="no SID"):
        sid_in("ERROR: Access is denied.")


@pytest.mark.parametrize(("sddl", "refused"), [(INHERITED, False), (SHARED, True)])
def test_whole_check(sddl: str, refused: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The two tools are asked; a file that others may read is refused with the command that mends it, exit 4."""
    file = tmp_path / "tiger openapi.properties"

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if command[0] == "icacls":
            assert command[1:3] == [str(file), "/save"]
            Path(command[3]).write_bytes(f"{file.name}\r\n{sddl}\r\n".encode("utf-16-le"))
        return subprocess.CompletedProcess(command, 0, f'"desktop\\me","{ME}"\r\n', "")

    monkeypatch.setattr(subprocess, "run", run)
    if not refused:
        access_list.require_private(file)
        return
    with pytest.raises(CredentialsError, match=r"read by others \(BU, AU\); mend it with: icacls ") as refusal:
        access_list.require_private(file)
    assert f'"{file}" /inheritance:r /grant:r "%USERNAME%:F"' in str(refusal.value)
    assert refusal.value.exit_code == 4


def test_tools_that_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where it cannot be told who may read the file, it is not used."""

    def run(command: list[str], **_: Any) -> Any:
        raise subprocess.CalledProcessError(5, command)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(CredentialsError, match="cannot be read"):
        access_list.require_private(tmp_path / "key")
