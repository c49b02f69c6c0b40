"""Checks the gate: strangers, foreign names and pages, guesses, floods, leaks; each test fails without its protection."""

from __future__ import annotations

import hmac
import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from oms.errors import StorageError
from oms.questions.asking import Desk
from oms.web import gate, keys, sessions
from oms.web.gate import HEADERS, MOST_BODY
from oms.web.keys import Keys
from oms.web.limiter import Limiter
from tests.web.house import TOKEN, House, house_in, routes_of

OPEN = {"/healthz", "/readyz", "/login", "/favicon.ico"}
ENDLESS = {"/api/events", "/api/v1/doctor", "/api/v1/prices", "/api/v1/prices.csv"}
"""A stream without end, and questions that ask the world or take long."""


def paths(house: House, method: str) -> list[str]:
    """Every path that takes this method, with a name in place of each parameter."""
    found = [path for path, methods, _ in routes_of(house) if method in methods]
    return [path.replace("{cycle_id}", "latest").replace("{", "").replace("}", "") for path in found]


# ---- who may come in -------------------------------------------------------------------------------------------------


def test_a_stranger_gets_nothing_but_the_login_and_the_pulse(house: House) -> None:
    """Every path that is not on the short list of open ones answers 401, and so does one that does not exist."""
    stranger = house.stranger()
    asked = {path for path in paths(house, "GET") if path not in OPEN and not path.startswith("/static/")}
    assert len(asked) > 40
    for path in [*sorted(asked), "/no-such", "/staticky/x", "/login/x", "/healthz/"]:
        assert stranger.get(path).status_code == 401, path
    for path in paths(house, "POST"):
        if path != "/login":
            assert stranger.post(path, json={}).status_code == 401, path


def test_the_pulse_tells_a_stranger_nothing_about_the_account(house: House) -> None:
    """Whether it lives, and in one sentence why it is not ready: no account, no figure."""
    for path in ("/healthz", "/readyz"):
        answer = house.stranger().get(path)
        assert set(answer.json()) <= {"status", "why"}
        assert "paper-main" not in answer.text


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"])
def test_what_is_not_the_token_opens_nothing(given: str, empty: House) -> None:
    """A token in another scheme, cut, or with a letter more is refused; it stands in no URL either."""
    stranger = empty.stranger()
    assert stranger.get("/api/v1/status", headers={"Authorization": given}).status_code == 401
    assert stranger.get(f"/api/v1/status?token={TOKEN}").status_code == 401


def test_a_token_for_reading_reads_and_gives_no_command(house: House) -> None:
    """It is derived from the other and opens every answer, and no path that changes something."""
    reader = house.reader()
    assert house.keys.read != house.keys.operate
    assert reader.get("/api/v1/status").status_code == 200
    for path in paths(house, "POST"):
        if path not in ("/login", "/logout"):
            refused = reader.post(path, json={"reason": "x"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only"), path


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens, sessions, forms and passwords go through compare_digest, a token through both even where the first fits."""
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def counted(first: Any, second: Any) -> bool:
        compared.append((first, second))
        return real(first, second)

    for module in (keys, sessions, gate):
        monkeypatch.setattr(module.hmac, "compare_digest", counted)
    made = keys.keys_from(TOKEN, keys.hashed("correct horse battery"))
    for token in (made.operate, made.read, "wrong"):
        compared.clear()
        made.scope_of_token(token)
        assert len(compared) == 2
    compared.clear()
    assert made.is_password("correct horse battery")
    assert not made.is_password("correct horse batter")
    assert len(compared) == 2


# ---- by which name, and from whose page ------------------------------------------------------------------------------


def raw(house: House, request: str) -> bytes:
    """The answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=60) as line:
        line.sendall(request.replace("\n", "\r\n").encode("latin-1"))
        answer = b""
        while part := line.recv(65_536):
            answer += part
    return answer


HOSTILE = [
    *("evil.example.:{port}", "localhost..:{port}", "-localhost:{port}", "127.0.0.1:+{port}", "127.0.0.1:{port}x"),
    *(
        "127.0.0.1:{port}/",
        "127.0.0.1:",
        "localhost:",
        "127.0.0.1.:{port}",
        "ｌocalhost:{port}".encode().decode("latin-1"),
    ),
    *("evil.example", "evil.example:{port}", "localhost", "127.0.0.1", "[::1]", "127.0.0.1:1", "localhost:80"),
    *("127.0.0.1.evil.example:{port}", "evil.example@127.0.0.1:{port}", "user@localhost:{port}", "localhost.:{port}"),
    *("LOCALHOST:{port}", "LocalHost:{port}", "127.1:{port}", "0177.0.0.1:{port}", "2130706433:{port}", "0:{port}"),
    *("0.0.0.0:{port}", "[::]:{port}", "[0:0:0:0:0:0:0:1]:{port}", "[::ffff:127.0.0.1]:{port}", "127.0.0.2:{port}"),
    *("localhost:{port}:80", "localhost:0{port}", "localhost:{port} ", "localhost:{port},evil.example", "", " "),
    *("xn--localhost-:{port}", "localhost%00:{port}", "localhost/:{port}", "localhost#:{port}", "localhost?:{port}"),
    *("127.0.0.1:{port}.evil.example", "[127.0.0.1]:{port}", "::1:{port}", "[::1%lo]:{port}", "localhost\\:{port}"),
    *(
        "http://127.0.0.1:{port}",
        "//127.0.0.1:{port}",
        "*",
        "*:{port}",
        "null",
        "localhost;:{port}",
        "a.localhost:{port}",
    ),
]


def test_the_name_is_exact(house: House) -> None:
    """Of all these ways to write a name only ours are served: a page whose name points here learns nothing."""
    token = f"Authorization: Bearer {house.keys.read}\n"
    for name in HOSTILE:
        host = name.format(port=house.port)
        answer = raw(house, f"GET /api/v1/status HTTP/1.1\nHost: {host}\n{token}Connection: close\n\n")
        if host.strip() not in house.doors.address.hosts:
            assert answer.split(b" ")[1] in (b"400", b"421"), host
    for own in sorted(house.doors.address.hosts):
        answer = raw(house, f"GET /api/v1/status HTTP/1.1\nHost: {own}\n{token}Connection: close\n\n")
        assert answer.split(b" ")[1] == b"200", own
    assert len(HOSTILE) >= 50


@pytest.mark.parametrize("hosts", ["", "Host: 127.0.0.1:{port}\nHost: evil.example\n", "Host: a\nHost: b\n"])
def test_a_request_has_one_name(hosts: str, house: House) -> None:
    """None, or two of them, is a bad request, in HTTP/1.1 and in HTTP/1.0."""
    for version in ("1.1", "1.0"):
        named = hosts.format(port=house.port)
        token = f"Authorization: Bearer {house.keys.read}\n"
        answer = raw(house, f"GET /api/v1/status HTTP/{version}\n{named}{token}Connection: close\n\n")
        assert answer.split(b" ")[1] in (b"400", b"421")


def foreign(house: House) -> list[str]:
    own = house.origin
    return [
        *(
            "null",
            "https://evil.example",
            f"{own}.evil.example",
            f"http://evil.example:{house.port}",
            "http://127.0.0.1",
        ),
        *(own.replace("http:", "https:"), f"{own}/", own.upper(), "http://localhost", "file://", "", f"{own}, {own}"),
    ]


def test_no_other_page_may_ask(house: House) -> None:
    """A request that names another origin, or that the browser knows to come from another site, is refused, token or not."""
    client = house.operator()
    for origin in foreign(house):
        assert client.get("/api/v1/status", headers={"Origin": origin}).status_code == 403, origin
        assert client.post("/api/v1/halt", json={}, headers={"Origin": origin}).status_code == 403, origin
        assert client.post("/login", data={"token": TOKEN}, headers={"Origin": origin}).status_code == 403, origin
    for site in ("cross-site", "same-site", "weird"):
        said = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert client.get("/api/v1/status", headers=said).status_code == 403
        assert client.post("/api/v1/halt", json={}, headers=said).status_code == 403
        walks_here = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert client.get("/", headers=walks_here).status_code == 200
        assert client.post("/login", data={}, headers=walks_here).status_code == 403
    assert client.get("/api/v1/status", headers={"Origin": house.origin}).status_code == 200


def test_no_answer_lets_another_page_read_it(house: House) -> None:
    """There is no CORS: no answer carries one of its headers, and a preflight is answered with a refusal."""
    client = house.operator()
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-csrf-token"}
    for origin in [*foreign(house), house.origin]:
        for answer in (
            client.get("/api/v1/status", headers={"Origin": origin}),
            client.options("/api/v1/halt", headers={"Origin": origin, **preflight}),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert client.options("/api/v1/halt", headers={"Origin": origin, **preflight}).status_code >= 400


def test_a_session_alone_changes_nothing(own: House) -> None:
    """A cookie without the session's word, with another one's, or with a body that a form can send is refused."""
    browser = own.browser()
    viewer = own.doors.sessions.read(browser.cookies[own.cookie])
    other = own.doors.sessions.read(own.browser().cookies[own.cookie])
    assert viewer is not None
    assert other is not None
    for word in ("", "x", other.csrf, viewer.csrf[:-1]):
        answer = browser.post("/api/v1/halt", json={}, headers={"X-CSRF-Token": word} if word else {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "stale_form")
    said = {"X-CSRF-Token": viewer.csrf}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = browser.post("/api/v1/halt", content=b"{}", headers={**said, "Content-Type": kind})
        assert answer.status_code == 415, kind
    assert browser.get("/api/v1/status").json()["halted"] is None
    assert browser.post("/api/v1/halt", json={}, headers=said).json()["accepted"] is True


def test_the_session_cookie_is_for_this_site_and_no_script(empty: House) -> None:
    """It is HttpOnly and SameSite=Strict, ends, and bears the port in its name; over TLS it is Secure."""
    set_cookie = empty.stranger().post("/login", data={"token": TOKEN}).headers["set-cookie"]
    parts = {part.strip().lower() for part in set_cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/", "max-age=604800"} <= parts
    assert set_cookie.startswith(f"oms_session_{empty.port}=operate.")
    assert TOKEN not in set_cookie
    empty.doors.address = keys_secure(empty)
    assert "secure" in empty.stranger().post("/login", data={"token": TOKEN}).headers["set-cookie"].lower()


def keys_secure(house: House) -> Any:
    from dataclasses import replace

    return replace(house.doors.address, scheme="https")


# ---- guesses and floods ----------------------------------------------------------------------------------------------


def test_guessing_is_slowed_down(empty: House) -> None:
    """After ten wrong tokens, at the login or in a header, a guess is told to wait, and the right one at the login too."""
    stranger = empty.stranger()
    for number in range(10):
        if number % 2:
            assert stranger.post("/login", data={"token": "wrong"}).status_code == 403
        else:
            assert stranger.get("/api/v1/status", headers={"Authorization": "Bearer wrong"}).status_code == 401
    for answer in (
        stranger.post("/login", data={"token": "wrong"}),
        stranger.post("/login", data={"token": TOKEN}),
        stranger.get("/api/v1/status", headers={"Authorization": "Bearer wrong"}),
    ):
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 7
    assert (
        empty.operator().get("/api/v1/status").status_code == 200
    )  # whoever has the token is not locked out by others
    assert not any(TOKEN in said for said in empty.said)


def test_a_meter_lets_so_many_pass_and_then_one_at_a_time() -> None:
    """Three at once, then one each two seconds; each peer has its own, and the memory of all is bounded."""
    now = 0.0
    meter = Limiter(burst=3, every_s=2.0, elapsed=lambda: now)
    for _ in range(3):
        assert meter.wait_s("a") == 0
        meter.count("a")
    assert meter.wait_s("a") == 2
    assert meter.wait_s("b") == 0
    now = 2.0
    assert meter.wait_s("a") == 0
    meter.count("a")
    assert meter.wait_s("a") == 2
    for number in range(20_000):
        meter.count(str(number))
    assert len(meter._full_until) == 10_000


def test_a_flood_of_requests_is_told_to_wait(empty: House) -> None:
    """Beyond the pace, everybody is told when to come again, before anything is read."""
    empty.doors.pace = Limiter(burst=5, every_s=60.0)
    client = empty.operator()
    codes = [client.get("/healthz").status_code for _ in range(8)]
    assert codes == [200] * 5 + [429] * 3


def test_a_body_has_a_largest_size(own: House) -> None:
    """Announced or not, more than the limit is refused and reaches no route."""
    client = own.operator()
    large = b'{"reason": "' + b"x" * MOST_BODY + b'"}'
    kind = {"Content-Type": "application/json"}
    assert client.post("/api/v1/halt", content=large, headers=kind).status_code == 413
    assert client.post("/api/v1/halt", content=iter([large]), headers=kind).status_code == 413
    assert client.post("/login", content=large).status_code == 413
    assert client.get("/api/v1/status").json()["halted"] is None


def test_a_sender_who_dawdles_is_not_waited_for(empty: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come in time ends the request."""
    monkeypatch.setattr(gate, "BODY_S", 0.05)
    head = f"POST /login HTTP/1.1\nHost: 127.0.0.1:{empty.port}\nContent-Length: 10\nConnection: close\n\nabc"
    assert raw(empty, head).split(b" ")[1] == b"408"


def test_a_question_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """A reader with patience ends an endless statement, and says so as trouble that may pass."""
    from oms.journal.connection import give_up_after, translate

    raw_connection = sqlite3.connect(tmp_path / "x.db")
    give_up_after(raw_connection, 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(sqlite3.OperationalError) as error:
        raw_connection.execute(endless).fetchone()
    raw_connection.close()
    meaning = translate(error.value, "x.db", "counting")
    assert isinstance(meaning, StorageError)
    assert "took too long" in str(meaning)


# ---- what goes out ---------------------------------------------------------------------------------------------------


def test_every_answer_carries_the_headers_of_safety(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, refusals, redirects and bugs alike; nothing is kept by a cache, and nothing names the server."""
    client = house.operator()
    answers = [
        client.get("/"),
        client.get("/api/v1/status"),
        client.get("/api/v1/cycles.csv"),
        client.get("/no-such"),
        client.get("/healthz"),
        client.post("/api/v1/halt", content=b"x"),
        house.stranger().get("/", headers={"Accept": "text/html"}),
        house.stranger().get("/api/v1/status"),
        house.stranger().get("/login"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "ask", _bug)
        answers.append(client.get("/api/v1/status"))
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value], answer.request.url
        assert "server" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "*" not in policy
    for word in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ):
        assert word in policy


def _bug(*_: Any, **__: Any) -> Any:
    raise RuntimeError("secret-canary in /home/somebody/oms.db")


def _broken(*_: Any, **__: Any) -> Any:
    raise StorageError("/home/somebody/oms.db: secret-canary: the disk is full")


@pytest.mark.parametrize(("how", "statuses"), [(_bug, {500}), (_broken, {503})], ids=["a bug", "a full disk"])
def test_an_error_leaks_nothing(house: House, monkeypatch: pytest.MonkeyPatch, how: Any, statuses: set[int]) -> None:
    """On every path a failure inside is a code and a number; what happened stands in the log under that number."""
    client = house.operator()
    house.said.clear()
    seen = 0
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "ask", how)
        for path in paths(house, "GET"):
            if path in ENDLESS:
                continue
            answer = client.get(path)
            assert "secret-canary" not in answer.text, path
            assert "somebody" not in answer.text, path
            assert "Traceback" not in answer.text, path
            if answer.status_code in statuses and path.startswith("/api/"):
                seen += 1
                error = answer.json()["error"]
                assert set(error) == {"code", "message", "id"}
                assert any(error["id"] in said for said in house.said)
    assert seen > 15
    if how is _bug:  # its text may quote what it choked on, a secret among it
        assert not any("secret-canary" in said for said in house.said)


def test_no_answer_holds_a_secret(own: House) -> None:
    """Neither token, nor the key of the sessions, nor a session's cookie comes back in any answer or in the log."""
    browser = own.browser()
    cookie = browser.cookies[own.cookie]
    secrets = [own.keys.operate, own.keys.read, own.keys.signing.hex(), cookie, cookie.rpartition(".")[2]]
    client = own.operator()
    texts = [client.get(path).text for path in paths(own, "GET") if path not in ENDLESS]
    texts += [browser.get("/").text, client.get("/no-such").text, *own.said]
    for secret in secrets:
        assert not any(secret in text for text in texts)
        assert secret not in repr(own.keys)
        assert secret not in repr(own.doors.keys)


def test_no_documentation_and_no_strange_methods_are_served(house: House) -> None:
    """There is no page that tries the API out, no description outside the API, and no TRACE."""
    client = house.operator()
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/debug", "/.env", "/var/oms.db"):
        assert client.get(path).status_code == 404, path
    for method in ("TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"):
        assert client.request(method, "/api/v1/status", json={}).status_code in (403, 405), method
    assert house.stranger().get("/api/openapi.json").status_code == 401
    assert client.get("/api/openapi.json").json()["openapi"].startswith("3.")


def test_a_web_socket_is_closed_before_it_opens(house: House) -> None:
    """There is none; an upgrade is an ordinary request that is refused or answered as such."""
    head = (
        f"GET /api/v1/status HTTP/1.1\nHost: 127.0.0.1:{house.port}\nUpgrade: websocket\nConnection: Upgrade\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nOrigin: https://evil.example\n\n"
    )
    with socket.create_connection(("127.0.0.1", house.port), timeout=60) as line:
        line.sendall(head.replace("\n", "\r\n").encode())
        assert line.recv(1000).split(b" ")[1] == b"403"


# ---- what stands behind it -------------------------------------------------------------------------------------------

INJECTED = [
    *("' OR '1'='1", "'; DROP TABLE events; --", '" OR ""="', "1; ATTACH DATABASE '/tmp/x' AS x", "%' AND 1=1 --"),
    *("\\'; SELECT 1", "a' UNION SELECT * FROM lease --", "../../etc/passwd", "{{7*7}}", "${jndi:x}", "\x00", "\ud83d"),
    *("<script>alert(1)</script>", "0x41", "1e999", "-1", "NaN", "x" * 200, "％", "ＡＡＡ"),
]


def test_no_parameter_becomes_part_of_a_question(own: House) -> None:
    """Whatever stands in a parameter, the answer is one of the usual ones, and the journal is what it was."""
    client = own.reader()
    before = client.get("/api/v1/status").json()["journal"]
    params = {
        "/api/v1/journal": ("cycle", "order", "symbol", "kind", "rule", "text", "since", "until", "before", "limit"),
        "/api/v1/cycles": ("before", "symbol", "state", "since"),
        "/api/v1/orders": ("before", "cycle", "status"),
        "/api/v1/config/diff": ("old",),
    }
    for path, names in params.items():
        for name in names:
            for text in INJECTED:
                given = text.encode("utf-8", "surrogatepass")
                answer = client.get(path, params=httpx.QueryParams({name: given.decode("utf-8", "replace")}))
                assert answer.status_code in (200, 400, 404, 422), (path, name, text)
                if answer.status_code == 200 and "'" in text:
                    rows = [row for key in ("events", "orders", "cycles") for row in answer.json().get(key, [])]
                    assert rows == [], (path, name, text)
    assert client.get("/api/v1/status").json()["journal"] == before


def test_the_journal_is_opened_for_reading_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every path that reads opens the database with mode=ro: nothing that goes wrong there can write."""
    opened: list[str] = []
    real = sqlite3.connect

    def counted(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(str(database))
        connection: sqlite3.Connection = real(database, *arguments, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counted)
    client = house.operator()
    for path in paths(house, "GET"):
        if path not in ENDLESS and path != "/api/v1/plan":  # a plan asks the paper broker, whose book is its own
            client.get(path)
    journals = [each for each in opened if "oms.db" in each]
    assert len(journals) > 20
    assert all(each.endswith("?mode=ro") for each in journals)


# ---- sessions and keys -----------------------------------------------------------------------------------------------


def test_a_session_cannot_be_forged_stretched_or_kept_over_a_new_token(empty: House) -> None:
    """Another scope, another end, another signature, or another token's signature is no session."""
    from oms.web.sessions import Sessions

    made = empty.doors.sessions
    cookie = made.open(keys.Scope.READ)
    scope, expires, name, signature = cookie.split(".")
    assert made.read(cookie) is not None
    for forged in (
        f"operate.{expires}.{name}.{signature}",
        f"{scope}.{int(expires) + 1}.{name}.{signature}",
        f"{scope}.{expires}.{name}.",
        f"{scope}.{expires}.{name}.{signature[:-1]}",
        f"{scope}.{expires}.other.{signature}",
        *("", "....", "a.b.c.d", "é" * 40),
    ):
        assert made.read(forged) is None
    renewed = Sessions(keys.keys_from("another token " * 3).signing, empty.desk.now)
    assert renewed.read(cookie) is None
    again = Sessions(empty.keys.signing, empty.desk.now)
    assert again.read(cookie) is not None  # a restart logs nobody out


def test_a_session_ends_after_its_time(empty: House) -> None:
    """A week later the cookie opens nothing."""
    from datetime import timedelta

    from oms.web.sessions import LIFETIME, Sessions

    now = empty.desk.now()
    made = Sessions(empty.keys.signing, lambda: now)
    cookie = made.open(keys.Scope.READ)
    now += LIFETIME - timedelta(seconds=2)
    assert made.read(cookie) is not None
    now += timedelta(seconds=2)
    assert made.read(cookie) is None


def test_a_password_opens_the_login_and_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    """The right one opens a session that may operate, the wrong one nothing; nobody can read it from what is kept."""
    kept = keys.hashed("correct horse battery")
    assert "correct" not in kept
    assert kept != keys.hashed("correct horse battery")
    with house_in(tmp_path, keys=Keys(operate=TOKEN, read="r" * 43, signing=b"s", password=kept)) as house:
        stranger = house.stranger()
        assert stranger.post("/login", data={"token": "correct horse"}).status_code == 403
        assert stranger.post("/login", data={"token": ""}).status_code == 403
        browser = house.browser("correct horse battery")
        assert browser.get("/").status_code == 200
        denied = stranger.get("/api/v1/status", headers={"Authorization": "Bearer correct horse battery"})
        assert denied.status_code == 401
        assert json.dumps(house.said)
