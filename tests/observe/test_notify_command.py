"""``notify`` at the terminal, through apprise itself, to a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oms.gateways import messages
from tests.cli.conftest import Oms, folder, oms, tiny


class Phone(ThreadingHTTPServer):
    """Takes messages; ``code`` is what it answers."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Any]] = []
        self.code = 200
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        phone = self.server
        assert isinstance(phone, Phone)
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        phone.taken.append((self.path, body))
        self.send_response(phone.code)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def phone() -> Iterator[Phone]:
    server = Phone()
    worker = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    worker.start()
    yield server
    server.shutdown()
    worker.join()
    server.server_close()


__all__ = ["folder", "oms", "tiny"]


def use(folder: Path, *entries: str) -> None:
    with (folder / "config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"notify: [{', '.join(entries)}]\n")


def test_a_test_reaches_the_address(tiny: Path, oms: Oms, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address is named by where it stands, never by itself; the message says what will be told."""
    monkeypatch.setenv("PHONE", f"json://127.0.0.1:{phone.port}/s3cret")
    monkeypatch.setenv("SWITCH", f"http://127.0.0.1:{phone.port}/switch")
    use(tiny, "env:PHONE?fill=on", "ping:env:SWITCH")
    done = oms("notify", "test")
    assert (done.code, done.out) == (0, "env:PHONE: sent\nping:env:SWITCH: sent\n")
    assert [path for path, _ in phone.taken] == ["/s3cret", "/switch"]
    message = json.loads(phone.taken[0][1])
    assert message["title"] == "oms: a test"
    assert "fill" in message["message"]


def test_a_cycle_is_told_when_it_is_done(tiny: Path, oms: Oms, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """``run`` tells what happened before it ends, and the next run tells only what is new."""
    monkeypatch.setenv("PHONE", f"json://127.0.0.1:{phone.port}/")
    use(tiny, "env:PHONE")
    assert oms("run", "--signals", "plan.csv").code == 0
    phone.taken.clear()  # what an address hears first begins with the head of the journal
    assert oms("run", "--signals", "plan.csv").code == 0
    titles = [json.loads(body)["title"] for _, body in phone.taken]
    assert titles == ["oms paper-main: a cycle is done"]
    (row,) = oms("notify", "list", "--json").json["addresses"]
    assert (row["name"], row["behind"], row["error"]) == ("env:PHONE", 0, "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "the environment variable PHONE is not set"),
        ("s3cret://nowhere", "no address that apprise knows"),
        ("json://127.0.0.1:1/s3cret", "did not take the message"),
    ],
)
def test_an_address_that_cannot_be_reached_is_named_without_its_secret(
    tiny: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch, value: str | None, problem: str
) -> None:
    """The answer says why and ends with 75; the address stands nowhere in it."""
    if value is not None:
        monkeypatch.setenv("PHONE", value)
    use(tiny, "env:PHONE")
    done = oms("notify", "test")
    assert done.code == 75
    assert problem in done.out
    assert "s3cret" not in done.out + done.err


def test_without_an_address_the_test_says_how_one_is_written(tiny: Path, oms: Oms) -> None:
    """A usage error, with an example."""
    done = oms("notify", "test")
    assert done.code == 2
    assert "tgram://token/chat" in done.err


def test_an_outage_stops_no_run(tiny: Path, oms: Oms, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cycle is done with 0, and what could not be told is said and kept for later."""
    monkeypatch.setenv("PHONE", f"json://127.0.0.1:{phone.port}/")
    use(tiny, "env:PHONE")
    assert oms("run", "--signals", "plan.csv").code == 0
    phone.code = 503
    done = oms("run", "--signals", "plan.csv")
    assert done.code == 0
    assert "not everybody was told: env:PHONE" in done.err
    phone.code = 200
    phone.taken.clear()
    assert oms("run", "--signals", "plan.csv").code == 0
    assert len(phone.taken) == 2


def test_a_file_with_an_address_is_for_its_owner_only(tmp_path: Path) -> None:
    """Others may not read it; the sentence says how to mend that."""
    file = tmp_path / "phone.url"
    file.write_text("json://here/\n", "utf-8")
    file.chmod(0o644)
    with pytest.raises(messages.NotDelivered, match="chmod 600"):
        messages.address_of("file", "phone.url", {}, lambda place: tmp_path / place)
    file.chmod(0o600)
    assert messages.address_of("file", "phone.url", {}, lambda place: tmp_path / place) == "json://here/"
