"""What the service manager says of the engine, and where its unit belongs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oms.config import LoadedConfig
from oms.errors import StorageError, UsageError
from oms.places import places
from oms.service.unit import NOT_AGAIN, Service

SYSTEM_UNITS = Path("/etc/systemd/system")
ASK_S = 10.0
_SHOWN = ("LoadState", "ActiveState", "SubState", "ExecMainStatus", "NRestarts", "Result", "StatusText")


def service_of(loaded: LoadedConfig, *, user: str | None) -> Service:
    """This configuration's engine as a service.

    Raises:
        UsageError: this program's own ``cli.py`` cannot be found.
    """
    config = loaded.config
    cli = Path(__file__).resolve().parents[2] / "cli.py"
    if not cli.exists():
        installed = shutil.which("oms")
        if installed is None:
            raise UsageError(f"neither {cli} nor an installed `oms` is there to be started")
        cli = Path(installed)
    where = places(loaded)
    written = [where.inbox, where.paper, *([where.file] if where.file is not None else [])]
    folders = {path.parent for path in written} | {loaded.resolve(config.backup.dir), loaded.base.absolute()}
    return Service(
        account=config.account,
        python=Path(sys.executable),
        cli=cli,
        config=None if loaded.path is None else loaded.path.absolute(),
        folder=loaded.base.absolute(),
        writes=sorted(folders),
        user=user,
    )


def unit_file(service: Service, env: Mapping[str, str] = os.environ) -> Path:
    """Where the unit belongs: the system's folder, or the user's own where no user is named."""
    if service.user is not None:
        return SYSTEM_UNITS / f"{service.name}.service"
    home = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return home / "systemd" / "user" / f"{service.name}.service"


def write_unit(path: Path, text: str) -> None:
    """Put the unit in its place, whole or not at all.

    Raises:
        StorageError: it cannot be written; the sentence names the command that would.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({error.strerror or error}): run this command with sudo, or with --user for a unit "
            "of your own"
        ) from error


def asked(name: str, *, user: bool) -> dict[str, Any] | None:
    """What systemd knows of the unit; None where there is no systemd to ask."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    scope = ["--user"] if user else []
    command = [program, *scope, "show", f"{name}.service", f"--property={','.join(_SHOWN)}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ran.returncode:
        return None
    found = dict(line.partition("=")[::2] for line in ran.stdout.splitlines() if "=" in line)
    return {name: found.get(name, "") for name in _SHOWN}


def advice(found: Mapping[str, Any]) -> str:
    """What a person may conclude from it."""
    if found["LoadState"] == "not-found":
        return "not installed: `service install` writes the unit"
    status = found["ExecMainStatus"]
    if found["ActiveState"] == "failed" and status.isdigit() and int(status) in NOT_AGAIN:
        return f"it ended with {status} and is not started again until a person has looked: `status`, and the log"
    if found["ActiveState"] == "active":
        return "it runs; `status` says what it does"
    return "it does not run: `systemctl start` starts it"
