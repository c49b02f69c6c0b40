"""The texts by which an operating system runs the engine: a systemd unit, a launchd agent, a scheduled task of Windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import list2cmdline
from xml.sax.saxutils import escape

NOT_AGAIN = (1, 2, 3, 4, 5, 6, 7)
"""Exit codes after which a person must look: starting again would not help, or would be wrong."""
GOOD_ENDS = (130, 143)
"""Exit codes of a process that was asked to stop."""
WATCHDOG_S = 180
"""Without a sign of life for so long the engine is killed and started again; a read gives up after 60 s by itself."""
RESTART_S = 15
STOP_S = 90
"""The engine needs a few seconds to stop; a request that is on the wire may take a minute to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One account's engine, as a service manager sees it."""

    account: str
    python: Path
    cli: Path
    config: Path | None
    folder: Path
    """Where it runs: the folder of its configuration."""
    writes: Sequence[Path]
    """Folders it must be able to write."""
    user: str | None
    """Whom it runs as; None: whoever the manager belongs to."""

    @property
    def name(self) -> str:
        return f"oms-{self.account}"

    @property
    def command(self) -> list[str]:
        config = [] if self.config is None else ["--config", str(self.config)]
        return [str(self.python), str(self.cli), "run", "--loop", *config]


def systemd_unit(service: Service) -> str:
    """A unit for systemd 240 or newer. A system unit has ``User=``; a user's own unit cannot have all of the hardening."""
    start = " ".join(_quoted(word) for word in service.command)
    who = [] if service.user is None else [f"User={service.user}"]
    lines = [
        "[Unit]",
        f"Description=oms, the trading engine of account {service.account}",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        "# A broker that is down over a weekend is no reason to give up.",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        *who,
        f"WorkingDirectory={_whole(service.folder)}",
        f"ExecStart={start}",
        "# Optional: further settings such as TIGEROPEN_PROPS_PATH, one NAME=VALUE a line, mode 0600.",
        f"EnvironmentFile=-{_whole(service.folder / 'oms.env')}",
        "Environment=OMS_NO_SETUP=1 PYTHONUNBUFFERED=1",
        "",
        "# Exit 75 (try again later) and any death are followed by a new start, which resumes what was open.",
        "Restart=on-failure",
        f"RestartSec={RESTART_S}",
        "# 1 a bug, 2 configuration, 3 damaged, 4 credentials, 5 refused for safety, 6 owned by another process, 7 held for",
        "# a person: starting again would not help.",
        f"RestartPreventExitStatus={' '.join(map(str, NOT_AGAIN))}",
        f"SuccessExitStatus={' '.join(map(str, GOOD_ENDS))}",
        "",
        "# SIGTERM finishes the step under way and leaves cycle and orders resumable. A kill loses no order either.",
        "KillSignal=SIGTERM",
        "KillMode=mixed",
        f"TimeoutStopSec={STOP_S}",
        f"WatchdogSec={WATCHDOG_S}",
        "WatchdogSignal=SIGKILL",
        "",
        "UMask=0077",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        *(_HARDENING if service.user is not None else ()),
        *([f"ReadWritePaths={' '.join(_listed(path) for path in service.writes)}"] if service.user is not None else ()),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if service.user is not None else 'default.target'}",
        "",
    ]
    return "\n".join(lines)


_HARDENING = (
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "CapabilityBoundingSet=",
)


def launchd_agent(service: Service) -> str:
    """A property list for ``~/Library/LaunchAgents`` on macOS."""
    words = "\n".join(f"    <string>{escape(word)}</string>" for word in service.command)
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>{escape(service.name)}</string>
  <key>ProgramArguments</key>
  <array>
{words}
  </array>
  <key>WorkingDirectory</key><string>{escape(str(service.folder))}</string>
  <key>EnvironmentVariables</key><dict><key>OMS_NO_SETUP</key><string>1</string></dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>60</integer>
  <key>ExitTimeOut</key><integer>{STOP_S}</integer>
  <key>Umask</key><integer>63</integer>
  <key>StandardOutPath</key><string>{escape(str(service.folder / "var" / "oms.log"))}</string>
  <key>StandardErrorPath</key><string>{escape(str(service.folder / "var" / "oms.log"))}</string>
</dict>
</plist>
"""


def windows_task(service: Service) -> str:
    """Commands for PowerShell, run as the account's owner: a task that starts with the machine and again after a failure."""
    program, *words = service.command
    return f"""\
$action = New-ScheduledTaskAction -Execute {_literal(program)} -Argument {_literal(list2cmdline(words))} `
  -WorkingDirectory {_literal(str(service.folder))}
$trigger = New-ScheduledTaskTrigger -AtStartup
$settings = New-ScheduledTaskSettingsSet -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
  -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew -StartWhenAvailable
Register-ScheduledTask -TaskName {_literal(service.name)} -Action $action -Trigger $trigger -Settings $settings `
  -User $env:USERNAME -RunLevel Limited
"""


def _literal(text: str) -> str:
    """Text between single quotes, in which PowerShell reads nothing but a doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _quoted(word: str) -> str:
    """A word of a command line in systemd's own quoting."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(character.isspace() for character in word) else text


def _whole(path: Path) -> str:
    """A path that is a whole setting: systemd takes it as it stands, blanks included."""
    return str(path).replace("%", "%%")


def _listed(path: Path) -> str:
    """A path among others, which need not be there yet."""
    text = f"-{_whole(path)}"
    return f'"{text}"' if " " in text else text
