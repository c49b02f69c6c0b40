"""Canaries in key, token, secret key, account and database password: none of them is in anything that the program leaves."""

from __future__ import annotations

import base64
import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from oms.arming import arm, offer
from oms.gateways.system_clock import SystemClock
from tests.gateways.live_stage import Stage
from tests.gateways.test_tiger_live import SOON
from tests.gateways.test_tiger_properties import write
from tests.tigerd.book import PRIME_ACCOUNT
from tests.tigerd.faults import WIRE_FAULTS
from tests.tigerd.secrets import key
from tests.web.house import house_in

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:exchange_calendars"),
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:DeprecationWarning:pandas"),
]

TOKEN, SECRET_KEY, PASSWORD = "t0kenCanary+/7Q==", "s3cretKey&Canary 42", "dbPassw0rd:Canary@9"
PRIVATE = key("client").bare(pkcs8=False)
CANARIES = {
    "token": TOKEN,
    "secret_key": SECRET_KEY,
    "account": PRIME_ACCOUNT,
    **{f"private key from {at}": PRIVATE[at : at + 48] for at in range(0, len(PRIVATE) - 48, 48)},
}
OWN = ("tiger_openapi_config.properties", "tiger_openapi_token.properties")
"""The files that the secrets stand in by right."""


def forms(secret: str) -> set[str]:
    """A secret as it may travel: plain, as a URL or JSON has it, in hexadecimal, in Base64 at each of three places."""
    raw = secret.encode()
    places = [base64.b64encode(b"\0" * pad + raw).decode() for pad in range(3)]
    inside = {text[4 if pad else 0 :].rstrip("=")[:-1] for pad, text in enumerate(places)}
    return {secret, quote(secret), quote(secret, safe=""), secret.replace("/", "\\/"), raw.hex(), *inside}


def found_in(data: bytes, canaries: dict[str, str]) -> list[str]:
    """The canaries in these bytes, also where they are broken over lines or written in UTF-16."""
    text = data.replace(b"\0", b"").decode("latin-1")
    texts = (text, re.sub(r"(\\n|\\r|\s)+", "", text))
    return [name for name, secret in canaries.items() if any(_is_in(form, texts) for form in forms(secret))]


def _is_in(form: str, texts: tuple[str, str]) -> bool:
    # A short number may stand inside a longer one by chance; it counts where no digit is beside it.
    pattern = rf"(?<![0-9a-zA-Z]){re.escape(form)}(?![0-9a-zA-Z])" if len(form) < 10 else re.escape(form)
    whole, joined = texts
    return bool(re.search(pattern, whole) or re.search(pattern.replace(r"\ ", ""), joined))


def artefacts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that is left, and every member of every archive."""
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name in OWN:
            continue
        data = file.read_bytes()
        yield file.name, data
        if file.name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
                for member in archive.getmembers():
                    inside = archive.extractfile(member)
                    yield f"{file.name}/{member.name}", inside.read() if inside is not None else b""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in ("PROPS_PATH", "TIGER_ID", "ACCOUNT", "PRIVATE_KEY", "SERVER_URL"):
        monkeypatch.delenv(f"TIGEROPEN_{name}", raising=False)
    with closing(Stage(tmp_path)) as stage:
        write(tmp_path, account=PRIME_ACCOUNT, secret_key=SECRET_KEY)
        write(tmp_path, "tiger_openapi_token.properties", tiger_id="", account="", private_key="", token=TOKEN)
        yield stage


COMMANDS = (
    *(("doctor",), ("doctor", "--json"), ("live", "show", "--json"), ("status", "--json"), ("funds", "--json")),
    *(("run", "--signals", "plan.csv"), ("run", "--dry-run", "--signals", "plan.csv"), ("plan",), ("explain",)),
    *(("journal", "query", "--json"), ("journal", "verify"), ("config", "show", "--origin"), ("config", "history")),
    *(("backup", "--with-journal"), ("backups", "list"), ("order", "list"), ("order", "foreign"), ("positions",)),
    ("journal", "export", "exported"),
    *(("live", "disarm"), ("run", "--signals", "plan.csv", "--debug"), ("live", "arm", "--until", SOON, "--debug")),
)


def test_no_secret_in_anything_that_is_left(stage: Stage) -> None:
    """Armed, traded, failed in every way, backed up, exported, looked at: neither in a file nor in a word of it."""
    loaded, clock = stage.configure(), SystemClock()
    arm(loaded, offer(loaded, SOON, clock), "ada", clock)
    done = [stage.call(*words) for words in COMMANDS]
    assert [(words, text) for words, (code, text) in zip(COMMANDS, done, strict=True) if code in {1, 2}] == []
    said = [text for _, text in done]
    for name in ("502 after acceptance", "malformed reply", "redirect 307", "accepted, then RST"):
        stage.gateway.fail("accounts", *[WIRE_FAULTS[name]] * 3)
        said += [stage.call("doctor")[1], stage.call("plan", "--debug")[1]]
    for code in (4, 1000, 40013, 9):
        text = f"bad {SECRET_KEY} of {TOKEN}"
        stage.gateway.answer_with("accounts", *[{"code": code, "message": text}] * 3)
        said += [stage.call("doctor")[1], stage.call("plan", "--debug")[1]]
    (stage.folder / "said.txt").write_text("\n".join(said), "utf-8")
    left = dict(artefacts(stage.folder))
    assert {"live.db", "live.dry.db", "said.txt"} <= set(left)
    assert any(name.endswith(".tar.gz") for name in left)
    assert {name: found for name, data in left.items() if (found := found_in(data, CANARIES))} == {}


def test_no_secret_on_any_page(stage: Stage) -> None:
    """The API and its pages show the journal, the configuration and its origins, and none of the secrets."""
    loaded, clock = stage.configure(), SystemClock()
    arm(loaded, offer(loaded, SOON, clock), "ada", clock)
    assert stage.call("run", "--signals", "plan.csv")[0] == 0
    pages = (
        "/",
        "/cycles",
        "/funds",
        "/positions",
        "/selection",
        "/risk",
        "/health",
        "/config",
        "/api/status",
        "/metrics",
    )
    with house_in(stage.folder) as house:
        browser = house.browser()
        seen = {path: browser.get(path).content for path in pages}
    assert {path: found for path, data in seen.items() if (found := found_in(data, CANARIES))} == {}


@pytest.mark.parametrize("words", [("status",), ("run",), ("doctor",), ("config", "show"), ("backup",), ("halt",)])
def test_password_of_the_database(stage: Stage, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is named without its password, with and without a traceback."""
    url = f"postgresql://oms:{quote(PASSWORD, safe='')}@127.0.0.1:1/oms"
    monkeypatch.setenv("OMS_JOURNAL__URL", url)
    said = stage.call(*words)[1] + stage.call(*words, "--debug")[1]
    assert found_in(said.encode(), {"password": PASSWORD}) == []


@pytest.mark.parametrize("name", CANARIES)
def test_the_search_finds_every_form(name: str) -> None:
    """The test of the test: each form of each canary is found, alone, inside a text, and broken over lines."""
    secret = CANARIES[name]
    for form in forms(secret):
        if len(form) < 7:
            continue
        for text in (form, f'x="{form}";', f"a {form[:5]}\n  {form[5:]} z"):
            if len(secret) > 9 or "\n" not in text:
                assert found_in(text.encode(), CANARIES), (form, text)
    assert found_in(secret.encode("utf-16"), CANARIES)
