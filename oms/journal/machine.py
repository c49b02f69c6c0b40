"""What tells one life of a machine, and one life of a process, from the next.

The *restart token* changes when the machine restarts, because then soft commits may be gone. A process is known by
its number, the instant it started and the namespace in which its number counts: a number alone is used again.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One process of one machine."""

    host: str
    restart_token: str
    pid: int
    pid_namespace: str
    """Where ``pid`` counts; a container has its own."""
    started: str | None
    """Start of the process in the system's own terms; None where the system does not tell."""


def this_process() -> ProcessInfo:
    """The process that runs this program."""
    pid = os.getpid()
    return ProcessInfo(
        host=socket.gethostname(),
        restart_token=restart_token(),
        pid=pid,
        pid_namespace=pid_namespace(),
        started=process_started(pid),
    )


@cache
def restart_token() -> str:
    """Different after every restart of the machine; where the system tells nothing, different in every process."""
    found = _read("/proc/sys/kernel/random/boot_id")
    if found is None and sys.platform == "darwin":
        found = _output("sysctl", "-n", "kern.bootsessionuuid")
    if found is None and sys.platform == "win32":
        found = _output("wmic", "os", "get", "lastbootuptime") or _windows_boot_time()
        found = None if found is None else "".join(re.findall(r"[0-9.+-]+", found))
    # Unknown counts as restarted: every reserved order is then asked about before it is sent.
    # Hashed, since the token stands in every reserved row: it need only differ, and the machine's own id stays here.
    return sha256(f"oms.restart/1:{found or uuid.uuid4()}".encode()).hexdigest()[:16]


@cache
def pid_namespace() -> str:
    """Linux: the identity of the pid namespace; elsewhere numbers count for the whole machine."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "machine"


def process_started(pid: int) -> str | None:
    """When the process with this number started, in the system's own terms; None where there is none or nothing tells."""
    stat = _read(f"/proc/{pid}/stat")
    if stat is not None:
        # The name in parentheses may hold blanks and parentheses; the fields after it do not. Field 22, counted from 3.
        return stat.rpartition(")")[2].split()[19]
    if sys.platform == "win32":
        return _windows_process_started(pid)
    if Path("/proc/self/stat").exists():
        return None
    return _output("ps", "-o", "lstart=", "-p", str(pid))


def is_gone(holder: ProcessInfo, here: ProcessInfo) -> bool:
    """Proof that ``holder`` ended: same machine life, same namespace, and its number is free or used by another."""
    if holder.restart_token != here.restart_token or holder.pid_namespace != here.pid_namespace:
        return False
    started = process_started(holder.pid)
    if started is not None:
        return holder.started is not None and started != holder.started
    return not _exists(holder.pid)


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        # os.kill would end the process there; a process that could not be looked at counts as running.
        return _windows_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("utf-8", errors="replace").strip()
    except OSError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _kernel32() -> ctypes.CDLL:
    loader = getattr(ctypes, "windll")  # noqa: B009  # exists on Windows only, which mypy does not check here
    library: ctypes.CDLL = loader.kernel32
    return library


_QUERY = 0x1000
"""PROCESS_QUERY_LIMITED_INFORMATION."""
_STILL_ACTIVE = 259
_INVALID_PARAMETER = 87
"""What Windows answers for a number that no process has."""


def _windows_boot_time() -> str | None:
    """Now less the time since the start, in tenths of a second: a shift counts as a restart, which is the safe side."""
    import time

    kernel = _kernel32()
    kernel.GetTickCount64.restype = ctypes.c_uint64
    return f"{time.time() - kernel.GetTickCount64() / 1000:.0f}"


def _windows_process_started(pid: int) -> str | None:
    kernel = _kernel32()
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(_QUERY, 0, pid)
    if not handle:
        return None
    try:
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        created, ended, in_kernel, in_user = (ctypes.c_uint64() for _ in range(4))
        done = kernel.GetProcessTimes(
            ctypes.c_void_p(handle), *(ctypes.byref(t) for t in (created, ended, in_kernel, in_user))
        )
        return str(created.value) if done and code.value == _STILL_ACTIVE else None
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))


def _windows_exists(pid: int) -> bool:
    kernel = _kernel32()
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(_QUERY, 0, pid)
    if not handle:
        return int(kernel.GetLastError()) != _INVALID_PARAMETER
    kernel.CloseHandle(ctypes.c_void_p(handle))
    return _windows_process_started(pid) is not None
