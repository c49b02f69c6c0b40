"""Checks ``serve`` as it is typed: where it listens, whom it refuses, its secrets, and the engine beside it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from oms.cli import beside
from oms.config import load_config
from oms.errors import RefusedError, TryAgainError, UsageError
from oms.questions import account
from oms.questions.asking import Desk
from oms.web import keys
from oms.web.address import address_of, is_loopback
from oms.web.keys import keys_of, password_file, renew, set_password, token_file
from oms.web.listening import Tls, listen, refuse_strangers, tls_of
from oms.web.neighbour import Neighbour
from tests.cli.conftest import Oms
from tests.web.conftest import ROOT

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and signals of POSIX")
TOKEN = "t" * 43


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# ---- secrets ---------------------------------------------------------------------------------------------------------


@posix
def test_the_token_is_made_once_for_its_owner_alone(folder: Path, oms: Oms) -> None:
    """256 bits in a file of mode 0600 whatever the umask says; the same token at the next start."""
    with umask(0):
        token = oms("serve", "--token").out.strip()
    file = folder / "var" / "api.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) & 0o077 == 0
    assert len(token) >= 43
    assert file.read_text() == f"{token}\n"
    assert oms("serve", "--token").out.strip() == token
    read = oms("serve", "--token", "--read-only").out.strip()
    assert read not in (token, "")
    renewed = oms("serve", "--new-token")
    assert renewed.out.strip() not in (token, "")
    assert oms("serve", "--token", "--read-only").out.strip() != read
    assert [path.name for path in file.parent.iterdir()] == ["api.token"]


@posix
@pytest.mark.parametrize("name", ["api.token", "api.password"])
def test_secrets_that_others_can_use_are_refused(folder: Path, oms: Oms, name: str) -> None:
    """A file of mode 0640 ends with 4 and the command that mends it; so does one that is a link elsewhere."""
    oms("serve", "--token")
    file = folder / "var" / name
    file.write_text(keys.hashed("correct horse battery") if "pass" in name else TOKEN, "ascii")
    file.chmod(0o640)
    done = oms("serve", "--token")
    assert done.code == 4
    assert f"chmod 600 {file}" in done.err
    assert TOKEN not in done.err


def test_a_token_file_that_holds_something_else_is_refused(folder: Path, oms: Oms) -> None:
    """An empty or short token would be guessed; the sentence says what to do."""
    (folder / "var").mkdir(mode=0o700)
    file = folder / "var" / "api.token"
    file.touch(0o600)
    file.write_text("short\n")
    done = oms("serve", "--token")
    assert done.code == 4
    assert "remove it, and the next start makes a new one" in done.err


def test_a_password_is_typed_and_only_its_hash_is_kept(folder: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from stdin where there is no terminal, never from the command line; a short one is refused."""
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    done = oms("serve", "--set-password")
    assert done.code == 2
    assert "12 to 200 letters" in done.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    assert oms("serve", "--set-password").code == 0
    kept = (folder / "var" / "api.password").read_text()
    assert "correct" not in kept
    assert keys_of(load_config(folder / "config.yaml", {})).is_password("correct horse battery")


def test_another_password_ends_the_sessions(folder: Path) -> None:
    """The key that signs sessions follows from token and password; renewing either makes old cookies worthless."""
    loaded = load_config(folder / "config.yaml", {})
    signing = {keys_of(loaded).signing}
    set_password(loaded, "correct horse battery")
    signing.add(keys_of(loaded).signing)
    renew(loaded)
    signing.add(keys_of(loaded).signing)
    assert len(signing) == 3
    assert token_file(loaded).exists()
    assert password_file(loaded).exists()


# ---- where it listens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "example.com", ""])
def test_beyond_this_machine_it_needs_a_password_and_tls_or_a_word(host: str, tmp_path: Path) -> None:
    """Each alone is refused with what is missing; both, or --expose, are enough."""
    bare, guarded = keys.keys_from(TOKEN), keys.keys_from(TOKEN, keys.hashed("correct horse battery"))
    tls = Tls(certificate=tmp_path / "c", key=tmp_path / "k")
    for with_keys, with_tls, missing in (
        (bare, None, "a password (`serve --set-password`) and TLS"),
        (bare, tls, "that needs a password"),
        (guarded, None, "that needs TLS"),
    ):
        with pytest.raises(RefusedError) as refused:
            refuse_strangers(host, with_keys, with_tls, expose=False)
        assert missing in str(refused.value)
    refuse_strangers(host, guarded, tls, expose=False)
    refuse_strangers(host, bare, None, expose=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_on_this_machine_it_needs_neither(host: str) -> None:
    """Loopback addresses are this machine only."""
    assert is_loopback(host)
    refuse_strangers(host, keys.keys_from(TOKEN), None, expose=False)


def test_serve_refuses_to_open_itself_to_the_network(folder: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    """With api.host 0.0.0.0 it ends with 5 before anything listens or trades."""
    monkeypatch.setenv("OMS_API__HOST", "0.0.0.0")
    done = oms("serve")
    assert done.code == 5
    assert "nothing was started" in done.err
    assert not (folder / "var" / "oms.db").exists()


def test_nobody_reaches_it_from_another_address(folder: Path) -> None:
    """A socket on 127.0.0.1 cannot be reached under this machine's other addresses."""
    with listen(load_config(folder / "config.yaml", {}, {"api.port": 0})) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with socket.socket() as elsewhere:
            elsewhere.settimeout(1)
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_a_port_that_is_taken_is_said_plainly(folder: Path) -> None:
    """Another program on the port: try again later, with the port's name and how to take another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        loaded = load_config(folder / "config.yaml", {}, {"api.port": other.getsockname()[1]})
        with pytest.raises(TryAgainError, match="OMS_API__PORT"):
            listen(loaded)


def test_half_of_tls_is_refused(folder: Path) -> None:
    """A certificate without its key, or a file that is not there, is a mistake and not plain HTTP."""
    loaded = load_config(folder / "config.yaml", {}, {"api.tls_certificate": "cert.pem"})
    with pytest.raises(UsageError, match="belong together"):
        tls_of(loaded)
    loaded = load_config(folder / "config.yaml", {}, {"api.tls_certificate": "cert.pem", "api.tls_key": "key.pem"})
    with pytest.raises(UsageError, match=r"cert\.pem is not there"):
        tls_of(loaded)


def test_a_name_that_people_gave_may_stand_behind_a_proxy() -> None:
    """A configured name is served with and without the port, and its https pages are its own; no other name is."""
    address = address_of("127.0.0.1", 8000, names=["oms.example"])
    assert {"oms.example", "oms.example:8000", "127.0.0.1:8000", "localhost:8000", "[::1]:8000"} == address.hosts
    assert "https://oms.example" in address.origins
    assert "https://127.0.0.1:8000" not in address.origins
    assert address_of("127.0.0.1", 443, tls=True).origins >= {"https://localhost", "https://localhost:443"}


# ---- the engine beside it --------------------------------------------------------------------------------------------


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


class Serving:
    """One ``serve`` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        environment = {**os.environ, "OMS_API__PORT": "0"}
        with (folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "cli.py"), "serve", *words],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        self.origin, _, self.token = self.link.partition("/login#token=")

    def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(f"{self.origin}{path}", headers=headers, trust_env=False, timeout=60)

    @property
    def said(self) -> str:
        return (self.folder / "stderr").read_text()

    def close(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait(120)
        self.process.stdout.close()


@pytest.fixture
def serving(folder: Path) -> Iterator[Callable[..., Serving]]:
    started: list[Serving] = []

    def start(*words: str) -> Serving:
        started.append(Serving(folder, *words))
        return started[-1]

    yield start
    for each in started:
        each.close()


@posix
def test_serve_trades_beside_the_dashboard_and_ends_cleanly(folder: Path, serving: Callable[..., Serving]) -> None:
    """The engine beside it trades a whole cycle; after SIGTERM both have ended, with 143 and the lease given back."""
    serve = serving()
    until(lambda: bool(serve.get("/api/v1/cycles?state=DONE").json()["cycles"]))
    assert serve.get("/").status_code == 200
    engine = engine_of(serve)
    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(120) == 143
    assert not is_alive(engine)
    assert account.status(Desk(loaded=load_config(folder / "config.yaml", {})))["running"] is False


@posix
def test_a_terminal_that_goes_away_ends_neither_dashboard_nor_engine(serving: Callable[..., Serving]) -> None:
    """A hang-up changes nothing; what ends both afterwards is still SIGTERM."""
    serve = serving()
    engine = engine_of(serve)
    serve.process.send_signal(signal.SIGHUP)
    os.kill(engine, signal.SIGHUP)
    until(lambda: bool(serve.get("/api/v1/cycles?state=DONE").json()["cycles"]))
    assert is_alive(engine)
    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(120) == 143


def engine_of(serve: Serving) -> int:
    """The pid of the engine that holds the lease, once there is one."""
    found: list[int] = []

    def holds() -> bool:
        pid = serve.get("/api/v1/status").json()["pid"]
        found[:] = [pid] if pid is not None else []
        return bool(found)

    until(holds)
    return found[0]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat_ = Path(f"/proc/{pid}/stat")
    return not (stat_.exists() and stat_.read_text().rpartition(")")[2].split()[0] == "Z")


STAYING = """\
account: paper-main
broker: {paper: {settle_after: 50ms, funds_lag: 20ms, fill_delay: 5ms, positions: {AAA: 1}}}
market: {source: simulated, simulated: {seed: 1, days: 1000, symbols: symbols.txt}}
selection: {universe: symbols.txt}
settlement: {poll: 20ms}
execution: {grace: 0ms}
"""


@posix
def test_a_killed_engine_is_replaced_and_none_outlives_a_killed_dashboard(
    tiny: Path, serving: Callable[..., Serving]
) -> None:
    """After kill -9 of the engine another goes on with the account; after kill -9 of ``serve`` that one ends as well."""
    (tiny / "config.yaml").write_text(STAYING)
    serve = serving()
    first = engine_of(serve)
    os.kill(first, signal.SIGKILL)
    until(lambda: engine_of(serve) != first)
    assert "killed by signal 9" in serve.said
    second = engine_of(serve)
    serve.process.kill()
    until(lambda: not is_alive(second))


@posix
def test_without_an_engine_it_only_looks(tiny: Path, serving: Callable[..., Serving]) -> None:
    """``--no-engine`` makes no journal and trades nothing; the first page says what to do."""
    serve = serving("--no-engine")
    assert serve.link.startswith("http://127.0.0.1:")
    assert serve.get("/api/v1/status").json()["waiting_for"] == "`run`: nothing has run yet"
    assert "run" in serve.get("/").text
    assert serve.get("/healthz").json() == {"status": "ok"}
    assert (serve.get("/readyz").status_code, serve.get("/readyz").json()["why"]) == (503, "no engine is running")
    assert not (tiny / "var" / "oms.db").exists()
    serve.process.send_signal(signal.SIGTERM)
    assert serve.process.wait(120) == 143


# ---- the supervisor, on children that do as they are told ------------------------------------------------------------


def child(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_only_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    """Exit code 75 starts it again until another comes; any other code is the last, and is said."""
    counter = tmp_path / "count"
    script = (
        f"import pathlib, sys; p = pathlib.Path({str(counter)!r}); n = len(p.read_text()) if p.exists() else 0; "
        "p.write_text('x' * (n + 1)); sys.exit([75, 75, 3][n])"
    )
    said: list[str] = []
    engine = Neighbour(child(script), said.append, first_pause_s=0.01)
    engine.start()
    assert engine.wait() == 3
    assert counter.read_text() == "xxx"
    done = Neighbour(child("pass"), said.append)
    done.start()
    assert done.wait() == 0
    assert "has done all there was to do" in said.pop()
    assert said[-1] == "the engine ended (exit code 3) and is not started again; the dashboard goes on"


@posix
def test_a_stop_while_it_waits_starts_nothing_more() -> None:
    """Between two starts, a stop ends the supervision at once."""
    said: list[str] = []
    engine = Neighbour(child("raise SystemExit(75)"), said.append, first_pause_s=3600)
    engine.start()
    until(lambda: bool(said))
    engine.stop()
    assert engine.wait() == 0


@posix
def test_the_child_ends_when_its_parent_lets_go(tmp_path: Path) -> None:
    """The engine's process ends with 143 when the other end of its stdin is closed, here before it has even begun."""
    (tmp_path / "config.yaml").write_text(STAYING)
    (tmp_path / "symbols.txt").write_text("AAA\nBBB\n")
    process = subprocess.Popen(
        beside.command("run", "--loop"),
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until((tmp_path / "var" / "oms.db").exists)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(120) == 143
