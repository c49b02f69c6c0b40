"""Requests as nobody sends them who means well, down to the bytes: each is answered, none breaks anything, none leaks."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oms.web.limiter import Limiter
from tests.volume import examples
from tests.web.house import House, house_in, routes_of

PART = 100
"""Requests of one test."""
STREAM = "/api/events"
NOT_ASKED = {"/api/v1/doctor", "/api/v1/plan", "/api/v1/prices", "/api/v1/prices.csv"}
"""Questions that take long or ask the world; they take the same parameters as others."""
METHODS = (
    "GET",
    "GET",
    "GET",
    "GET",
    "POST",
    "POST",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "get",
    "BREW",
)
KEYS = (
    *(
        "limit",
        "before",
        "after",
        "symbol",
        "kind",
        "cycle",
        "side",
        "status",
        "text",
        "since",
        "until",
        "at",
        "author",
    ),
    *("top", "open", "origins", "a", "b", "format", "lang", "theme", "ok", "said", "page", "sort", "x", ""),
)
VALUES = (
    *("", "0", "1", "-1", "1e3", "1_000", "0x10", "1.5", "NaN", "Infinity", "-0", "9" * 30, str(2**63), "true", "null"),
    *(
        "AAA",
        "aaa",
        "BRK.B",
        "АAPL",
        "\u202eAAA",
        "A\u200bA",
        "😀",
        "\x00",
        "\r\nSet-Cookie: a=b",
        "x" * 3000,
        "１２３",
    ),
    *("'; DROP TABLE events; --", '" OR 1=1 --', "%' UNION SELECT hash FROM events --", "*", "%", "_", "\\", "$(id)"),
    *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "file:///etc/passwd", "<script>alert(1)</script>"),
    *(
        "2026-02-30",
        "2026-03-02",
        "0000-00-00",
        "99999-01-01",
        "2026-03-02T15:00:00",
        "now",
        "-1d",
        "1e999",
        "{}",
        "[]",
    ),
    *(
        "%s%s%n",
        "{0}",
        "${x}",
        "{{7*7}}",
        "=cmd|' /C calc'!A0",
        "latest",
        "first",
        "\ud800",
        "é" * 50,
        "%00",
        "%zz",
        "+",
    ),
)
BODIES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda _: b"",
    lambda c: json.dumps({c.choice(["reason", "symbol", "scope", "until", "x"]): c.choice(VALUES)}).encode(),
    lambda c: json.dumps(
        {"reason": c.choice([None, 1, True, [], {}, 1.5]), "symbol": c.choice([None, 0, ["A"]])}
    ).encode(),
    lambda _: b'{"reason": NaN, "reason": Infinity}',
    lambda _: b'{"reason": "a", "reason": "b"}',
    lambda _: b"[" * 20_000,
    lambda _: b'{"a":' * 5_000,
    lambda _: b'{"reason": "\\ud800"}',
    lambda _: b'{"reason": "\xff\xfe"}',
    lambda _: b'{"reason": ' + b"9" * 5_000 + b"}",
    lambda _: b"\xef\xbb\xbf{}",
    lambda c: bytes(c.randrange(256) for _ in range(c.choice([1, 100, 3000]))),
    lambda c: ("reason=" + quoted(c.choice(VALUES), c) + "&symbol=" + quoted(c.choice(VALUES), c) + "&" * 50).encode(),
    lambda _: b"reason=x&" * 5_000,
    lambda _: b'--x\r\nContent-Disposition: form-data; name="reason"; filename="../../x"\r\n\r\nhi\r\n--x',
    lambda _: b"x" * 70_000,
)
KINDS = (
    *("application/json", "application/json; charset=utf-7", "application/x-www-form-urlencoded", "text/plain"),
    *("multipart/form-data; boundary=x", "multipart/form-data", "application/xml", "", "a/b/c", "application/json\x0b"),
)
HEADERS = (
    *("Accept", "Accept-Language", "Accept-Encoding", "Cookie", "If-None-Match", "Last-Event-ID", "Range", "Referer"),
    *(
        "User-Agent",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-HTTP-Method-Override",
        "X-CSRF-Token",
        "Upgrade",
        "Expect",
    ),
    *("Transfer-Encoding", "Content-Encoding", "Forwarded", "Sec-Fetch-Site", "Origin", "Authorization"),
)


def quoted(text: str, chance: random.Random) -> str:
    """In a URL or a form: escaped as it should be, or only as far as a request line can hold it."""
    known = text.encode("utf-8", "surrogatepass")
    plain = chance.random() < 0.2
    return "".join(
        chr(byte) if (plain and 0x20 < byte < 0x7F) or (chr(byte).isalnum() and byte < 0x80) else f"%{byte:02x}"
        for byte in known
    )


@pytest.fixture(scope="module")
def besieged(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An account of its own behind an API that does not mind haste."""
    with house_in(shutil.copytree(past, tmp_path_factory.mktemp("besieged") / "account")) as house:
        house.doors.pace = Limiter(burst=10**9, every_s=1e-9)
        yield house


class Enemy:
    """Sends what a seed says."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.paths = sorted({path for path, methods, _ in routes_of(house) if methods and path not in NOT_ASKED})
        browser = house.browser()
        self.session = f"{house.cookie}={browser.cookies[house.cookie]}"

    def request(self, chance: random.Random) -> tuple[bytes, bool]:
        """One request, and whether more of it is to come as far as the server can tell."""
        method, kind = chance.choice(METHODS), chance.choice(KINDS)
        line = f"{method} {self.target(chance)} HTTP/1.1"
        body = chance.choice(BODIES)(chance) if method == "POST" or chance.random() < 0.1 else b""
        said = [f"Host: 127.0.0.1:{self.house.port}", "Connection: close", *self.who(chance)]
        if body or kind:
            said.append(f"Content-Type: {kind}")
        for _ in range(chance.choice([0, 0, 1, 3])):
            value = "".join(each for each in chance.choice(VALUES) if each not in "\r\n\0" and ord(each) < 256)
            said.append(f"{chance.choice(HEADERS)}: {value}")
        length = len(body) if chance.random() < 0.9 else chance.choice([0, 1, len(body) + 1, 10**12, -1])
        if body or length:
            said.append(f"Content-Length: {length}")
        whole = "\r\n".join([line, *said]).encode("latin-1", "replace") + b"\r\n\r\n" + body
        lacks = length > len(body)
        if chance.random() < 0.05:
            whole, lacks = whole[: chance.randrange(1, len(whole))], True
        return whole, lacks or b"Transfer-Encoding" in whole or b"Expect" in whole

    def target(self, chance: random.Random) -> str:
        path = chance.choice(self.paths)
        while "{" in path:
            before, _, rest = path.partition("{")
            path = before + quoted(chance.choice([*VALUES, "latest"]), chance) + rest.partition("}")[2]
        if chance.random() < 0.1:
            path = chance.choice(
                [path + "/", "/" + path, path.upper(), path + "/..%2f..", "/%2e%2e" + path, "//evil" + path]
            )
        asked = [
            f"{quoted(chance.choice(KEYS), chance)}={quoted(chance.choice(VALUES), chance)}"
            for _ in range(chance.choice([0, 1, 1, 2, 6]))
        ]
        return path + ("?" + "&".join(asked) if asked else "")

    def who(self, chance: random.Random) -> list[str]:
        """Mostly somebody who may ask: what a stranger says is read by nobody."""
        keys = self.house.keys
        return chance.choice(
            [
                [f"Authorization: Bearer {keys.operate}"],
                [f"Authorization: Bearer {keys.operate}"],
                [f"Authorization: Bearer {keys.read}"],
                [f"Cookie: {self.session}", f"Origin: {self.house.origin}", "Accept: text/html"],
                [f"Cookie: {self.session}; {self.house.cookie}=operate.1.2.3"],
                [],
            ]
        )

    def send(self, request: bytes, *, lacks: bool) -> bytes:
        """The answer: all of it, or its beginning where it is a stream without end; who sends half hangs up then."""
        with socket.create_connection(("127.0.0.1", self.house.port), timeout=60) as line:
            line.sendall(request)
            if lacks:
                line.shutdown(socket.SHUT_WR)
            answer = b""
            while part := line.recv(65_536):
                answer += part
                if b"text/event-stream" in answer:
                    break
        return answer


@pytest.mark.parametrize("part", range(max(examples(400) // PART, 4)))
@pytest.mark.timeout(3_600)
def test_no_hostile_request_breaks_or_leaks_anything(besieged: House, part: int) -> None:
    """No error of the server's own, no bug in its log, no secret and no traceback in an answer; and it goes on answering
    (100,000 at night).
    """
    enemy = Enemy(besieged)
    keys = besieged.keys
    secrets = [keys.operate.encode(), keys.read.encode(), b"Traceback (most recent"]
    answered = 0
    for seed in range(part * PART, part * PART + PART):
        request, lacks = enemy.request(random.Random(f"request {seed}"))
        answer = enemy.send(request, lacks=lacks)
        about = f"seed {seed}: {request[:200]!r} -> {answer[:200]!r}"
        assert answer or lacks, about
        if answer:
            answered += 1
            status = int(answer.split(b" ", 2)[1])
            assert status < 500 or (status == 503 and b"/readyz" in request.split(b"\r\n")[0]), about
        assert not [secret for secret in secrets if secret in answer], about
        assert b"\r\nSet-Cookie: a=b" not in answer, about
    assert answered > PART * 0.7
    assert not [said for said in besieged.said if "a bug" in said or keys.operate in said or keys.read in said]
    assert besieged.reader().get("/api/v1/status").status_code == 200
