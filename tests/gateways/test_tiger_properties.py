"""The Tiger account's credentials: where they are found, who may read them, and that nothing ever shows them."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization

from oms.errors import CredentialsError, InDoubt, OmsError, RefusedError, SendError, UsageError
from oms.gateways.tiger import AccountKind, TigerClient, agree, read_credentials
from oms.gateways.tiger.limits import MethodLimits, per_minute
from oms.gateways.tiger.properties import normalised_key
from tests.fakes.clock import FakeClock
from tests.tigerd.book import PAPER_ACCOUNT, PRIME_ACCOUNT
from tests.tigerd.desk import TIGER_ID, Desk, open_desk
from tests.tigerd.faults import WIRE_FAULTS
from tests.tigerd.secrets import key

POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows keeps no such mode")


def write(folder: Path, name: str = "tiger_openapi_config.properties", mode: Any = 0o600, **fields: str) -> Path:
    """A properties file; a field that is empty is left out."""
    standard = {"tiger_id": TIGER_ID, "account": PAPER_ACCOUNT, "private_key": key("client").bare(pkcs8=False)}
    path = folder / name
    lines = [f"{key}={value}" for key, value in {**standard, **fields}.items() if value]
    path.write_text("# of the developer's page\n" + "\n".join(lines) + "\n", "utf-8")
    path.chmod(mode)
    return path


class TestWhereTheyAre:
    """The SDK's places, in the SDK's order."""

    def test_file_and_its_folder(self, tmp_path: Path) -> None:
        """The path may be the file or the folder that holds it."""
        path = write(tmp_path, license="TBNZ", server_url="https://example.test/gateway")
        for where in (path, tmp_path):
            found = read_credentials(where, {})
            assert (found.tiger_id, found.account, found.license) == (TIGER_ID, PAPER_ACCOUNT, "TBNZ")
            assert (found.server_url, found.kind) == ("https://example.test/gateway", AccountKind.PAPER)

    def test_environment_beats_the_file(self, tmp_path: Path) -> None:
        """A variable counts more than the file, and the variable for the path more than the path that was asked for."""
        (tmp_path / "other").mkdir()
        write(tmp_path, account="11111")
        other = write(tmp_path / "other", account="22222")
        assert read_credentials(tmp_path, {"TIGEROPEN_PROPS_PATH": str(other)}).account == "22222"
        assert read_credentials(tmp_path, {"TIGEROPEN_ACCOUNT": "33333"}).account == "33333"

    def test_environment_alone(self, tmp_path: Path) -> None:
        """Where the environment holds everything no file is needed; the key may be a text or the path of a file."""
        pem = tmp_path / "key.pem"
        pem.write_text(key("client").pem(pkcs8=True))
        pem.chmod(0o600)
        env = {"TIGEROPEN_TIGER_ID": TIGER_ID, "TIGEROPEN_ACCOUNT": PAPER_ACCOUNT}
        for text in (str(pem), key("client").bare(pkcs8=True)):
            found = read_credentials(tmp_path / "none.properties", {**env, "TIGEROPEN_PRIVATE_KEY": text})
            assert found.private_key == key("client").bare(pkcs8=True)

    @pytest.mark.parametrize(
        ("text", "seconds"), [("20", 20.0), ("0", None), ("999", None), ("soon", None), ("", None)]
    )
    def test_time_out(self, tmp_path: Path, text: str, seconds: float | None) -> None:
        """The SDK's time-out in whole seconds, within the bounds of our own; as in the SDK, nonsense counts as nothing."""
        write(tmp_path, timeout=text)
        assert read_credentials(tmp_path, {}).timeout == seconds
        assert read_credentials(tmp_path, {"TIGEROPEN_TIMEOUT": "7"}).timeout == 7.0

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        with pytest.raises(UsageError, match=r"none\.properties does not exist"):
            read_credentials(tmp_path / "none.properties", {})

    def test_token_beside_the_file(self, tmp_path: Path) -> None:
        """The token of the licence TBHK lies in a file of its own."""
        write(tmp_path)
        beside = tmp_path / "tiger_openapi_token.properties"
        beside.write_text("token=tok-1\n")
        beside.chmod(0o600)
        assert read_credentials(tmp_path, {}).token == "tok-1"

    @pytest.mark.parametrize("field", ["tiger_id", "account", "private_key"])
    def test_missing_field(self, tmp_path: Path, field: str) -> None:
        """Each field that must be there is named where it is not."""
        write(tmp_path, **{field: ""})
        with pytest.raises(CredentialsError, match=f"no {field}"):
            read_credentials(tmp_path, {})

    def test_file_that_is_no_properties_file(self, tmp_path: Path) -> None:
        """A line that cannot be read is refused without being quoted, for it may be the key."""
        path = write(tmp_path)
        path.write_bytes(b"private_key=\\u12 SECRETCANARY\n\xff\xfe")
        with pytest.raises(UsageError) as refusal:
            read_credentials(path, {})
        assert "CANARY" not in shown(refusal.value)


class TestWhoMayReadThem:
    """Only their owner."""

    @POSIX
    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
    def test_others_may_not(self, tmp_path: Path, mode: int) -> None:
        """Any right of group or others is refused, with the command that mends it; the command does."""
        folder = tmp_path / "with blank"
        folder.mkdir()
        path = write(folder, mode=mode)
        with pytest.raises(CredentialsError) as refusal:
            read_credentials(path, {})
        assert refusal.value.exit_code == 4
        subprocess.run(str(refusal.value).partition("mend it with: ")[2], shell=True, check=True)
        read_credentials(path, {})

    @POSIX
    def test_key_and_token_files_too(self, tmp_path: Path) -> None:
        """What holds for the properties file holds for the others."""
        write(tmp_path)
        beside = tmp_path / "tiger_openapi_token.properties"
        beside.write_text("token=tok-1\n")
        beside.chmod(0o644)
        with pytest.raises(CredentialsError, match="chmod 600"):
            read_credentials(tmp_path, {})
        beside.chmod(0o600)
        pem = tmp_path / "key.pem"
        pem.write_text(key("client").pem(pkcs8=True))
        pem.chmod(0o644)
        with pytest.raises(CredentialsError, match="chmod 600"):
            read_credentials(tmp_path, {"TIGEROPEN_PRIVATE_KEY": str(pem)})


class TestKeys:
    """PKCS#1 and PKCS#8, as PEM or as Base64."""

    @pytest.mark.parametrize("pkcs8", [False, True])
    @pytest.mark.parametrize("form", ["pem", "pem with CRLF", "pem on one line", "bare", "bare and wrapped"])
    def test_every_form_becomes_what_the_sdk_takes(self, form: str, pkcs8: bool) -> None:
        """The SDK refuses PEM texts; each form is turned into the Base64 that it takes, and signs with."""
        from tigeropen.common.util.signature_utils import sign_with_rsa

        bare, pem = key("client").bare(pkcs8=pkcs8), key("client").pem(pkcs8=pkcs8)
        text = {
            "pem": pem,
            "pem with CRLF": pem.replace("\n", "\r\n"),
            "pem on one line": pem.replace("\n", " "),
            "bare": bare,
            "bare and wrapped": "\n".join(bare[at : at + 64] for at in range(0, len(bare), 64)),
        }[form]
        assert normalised_key(text) == bare
        assert key("client").signed("text", sign_with_rsa(normalised_key(text), "text", "UTF-8"))

    @pytest.mark.parametrize("name", ["private_key", "private_key_pk8", "private_key_pk1"])
    def test_key_under_each_name(self, tmp_path: Path, name: str) -> None:
        """Tiger's page hands out the key under three names; a PEM with escaped line ends is read as well."""
        pem = key("client").pem(pkcs8=True).replace("\n", "\\n")
        write(tmp_path, **{"private_key": "", name: pem})
        assert read_credentials(tmp_path, {}).private_key == key("client").bare(pkcs8=True)

    def test_what_is_no_key(self) -> None:
        """Anything else is refused without being quoted."""
        public = f"-----BEGIN PUBLIC KEY-----\n{key('client').public}\n-----END PUBLIC KEY-----"
        for text in ("SECRETCANARY", "U0VDUkVUQ0FOQVJZ", public, key("client").bare(pkcs8=True)[:-40]):
            with pytest.raises(CredentialsError) as refusal:
                normalised_key(text)
            assert text not in shown(refusal.value)

    @pytest.mark.parametrize("form", ["PKCS#8", "PKCS#1", "PKCS#8 as Base64", "PKCS#8 on one line"])
    def test_key_with_a_passphrase(self, tmp_path: Path, form: str) -> None:
        """It is named as what it is, with the command that mends it, and with nothing of the key."""
        old = form == "PKCS#1"
        locked = key("client").private.private_bytes(
            serialization.Encoding.DER if "Base64" in form else serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"SECRETCANARY"),
        )
        text = base64.b64encode(locked).decode() if "Base64" in form else locked.decode()
        text = text.replace("\n", "\\n") if "one line" in form else text
        pem = tmp_path / "key.pem"
        pem.write_text(text.replace("\\n", "\n"))
        pem.chmod(0o600)
        write(tmp_path, private_key=text.replace("\n", "\\n"))
        for env in ({}, {"TIGEROPEN_PRIVATE_KEY": text}, {"TIGEROPEN_PRIVATE_KEY": str(pem)}):
            with pytest.raises(CredentialsError, match=r"protected by a passphrase.*openssl rsa") as refusal:
                read_credentials(tmp_path, env)
            assert refusal.value.exit_code == 4
            assert text[40:60] not in shown(refusal.value)


class TestModeAndAccount:
    """They must say the same about real money."""

    @pytest.mark.parametrize(
        ("mode", "account"),
        [("paper", PAPER_ACCOUNT), ("live", PRIME_ACCOUNT), ("live", "U1234567"), ("dry_run", PRIME_ACCOUNT)],
    )
    def test_agreement(self, mode: str, account: str) -> None:
        """Paper on 17 digits, live on a real account; a dry run only looks, at any."""
        agree(mode, account)

    @pytest.mark.parametrize(
        ("mode", "account"),
        [
            ("paper", PRIME_ACCOUNT),
            ("paper", "U1234567"),
            ("live", PAPER_ACCOUNT),
            ("paper", ""),
            ("live", "1234"),
            ("live", "12345678901"),
            ("dry_run", "DU575569"),
            ("paper", PAPER_ACCOUNT + "0"),
            ("live", "\uff11\uff12\uff13\uff14\uff15"),
        ],
    )
    def test_disagreement(self, mode: str, account: str) -> None:
        """Everything else is refused for safety, without the whole number in the message."""
        with pytest.raises(RefusedError) as refusal:
            agree(mode, account)
        assert refusal.value.exit_code == 5
        assert len(account) <= 4 or account not in str(refusal.value)


# ---- nothing shows them ----------------------------------------------------------------------------------------------

CANARIES = {"secret_key": "SECRETKEYCANARY42", "token": "TOKENCANARY42"}


def shown(error: BaseException) -> str:
    """All that a log of this exception could hold, chained exceptions and local texts included."""
    texts = []
    seen: list[BaseException | None] = [error]
    for each in seen:
        if each is not None and len(seen) < 20:
            texts += ["".join(traceback.format_exception(each)), repr(each), str(getattr(each, "args", ""))]
            seen += [each.__cause__, each.__context__]
    return "\n".join(texts)


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """An account with every kind of secret."""
    desk = open_desk(Path(tmp_path_factory.getbasetemp()), secrets=CANARIES, timeout=0.5)
    yield desk
    desk.close()


def leaks(text: str) -> list[str]:
    """The secrets in a text: plain, in Base64 or as a URL has them, the key also by its parts."""
    private = key("client").bare(pkcs8=False)
    secrets = [*CANARIES.values(), *(private[at : at + 48] for at in range(0, len(private) - 48, 48))]
    forms: list[Callable[[str], str]] = [str, quote, lambda each: base64.b64encode(each.encode()).decode().rstrip("=")]
    return [secret for secret in secrets if any(form(secret) in text for form in forms)]


@pytest.mark.parametrize("name", WIRE_FAULTS)
def test_no_failure_shows_a_secret(
    guarded: Desk, name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Key, token and secret key are in no exception, no log record of any level, and neither stdout nor stderr."""
    caplog.set_level(logging.NOTSET)
    request = guarded.request()
    guarded.gateway.fail("place_order", WIRE_FAULTS[name])
    guarded.gateway.fail("prime_assets", *[WIRE_FAULTS[name]] * 3)
    texts = []
    calls: list[Callable[[], Any]] = [lambda: guarded.broker.place(request), guarded.broker.funds]
    for call in calls:
        with contextlib.suppress(SendError, OmsError):
            try:
                call()
            except Exception as error:
                texts.append(shown(error))
                raise
    logged = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    printed = "".join(capfd.readouterr())
    assert texts
    assert leaks("\n".join([*texts, logged, printed])) == []
    sent = str(guarded.gateway.requests)
    assert "SECRETKEYCANARY42" in sent  # it did travel, so there was something to leak
    assert "tiger_openapi" not in {record.name for record in caplog.records}


def test_secret_that_the_broker_echoes_is_blackened(guarded: Desk) -> None:
    """A message that quotes our own secret back is shown without it."""
    guarded.gateway.answer_with(
        "place_order", {"code": 9, "message": f"bad {CANARIES['secret_key']} {CANARIES['token']}"}
    )
    with pytest.raises(InDoubt, match=r"bad \*\*\* \*\*\*"):
        guarded.broker.place(guarded.request())


def test_credentials_do_not_print_their_secrets(tmp_path: Path) -> None:
    """Neither repr nor str of them has a secret."""
    write(tmp_path, **CANARIES)
    found = read_credentials(tmp_path, {})
    assert leaks(f"{found!r} {found}") == []
    assert found.secret_key == CANARIES["secret_key"]


class TestConstruction:
    """Hardened, or not at all."""

    def test_nothing_is_called_and_nothing_moves_the_address(
        self, guarded: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stray files and variables change nothing, no call is made, and the SDK's retries and domains are off."""
        write(tmp_path, server_url="https://stray.invalid/gateway", account="99999", env="SANDBOX")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TIGEROPEN_SERVER_URL", "https://stray.invalid/gateway")
        monkeypatch.setenv("TIGEROPEN_ACCOUNT", "99999")
        before = guarded.gateway.connections
        client = TigerClient(
            read_credentials(write(tmp_path, "own.properties"), {}), FakeClock(), server_url=guarded.gateway.url
        )
        config = client._sdk._TigerOpenClient__config
        assert guarded.gateway.connections == before
        assert (config.server_url, config.quote_server_url) == (guarded.gateway.url,) * 2
        assert (config.account, config.retry_max_tries, config.enable_dynamic_domain) == (PAPER_ACCOUNT, 0, False)
        assert config.domain_conf == {}
        client.close()

    def test_address_of_the_licence(self, tmp_path: Path) -> None:
        """Without another address it is the SDK's own for the licence."""
        for licence, host in (("", "openapi.tigerfintech.com"), ("TBUS", "openapi.tradeup.com")):
            client = TigerClient(read_credentials(write(tmp_path, license=licence), {}), FakeClock())
            assert client.server_url == f"https://{host}/gateway"
            client.close()

    def test_sdk_that_keeps_its_connections_elsewhere_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An SDK without the pool that must be replaced could send an order twice, so nothing is made."""
        from tigeropen.common.util import web_utils

        found = read_credentials(write(tmp_path), {})
        with monkeypatch.context() as patched:
            patched.delattr(web_utils, "http_pool")
            with pytest.raises(AssertionError, match="it may send an order twice"):
                TigerClient(found, FakeClock())

    def test_importing_the_package_does_not_import_the_sdk(self) -> None:
        """It costs half a second, so it is imported when a client is made."""
        code = "import sys, oms.gateways.tiger; print('tigeropen' in sys.modules, 'pandas' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False", "False"]


class TestLogin:
    """Whether the account may be used."""

    def test_good(self, guarded: Desk) -> None:
        """The account's capability is answered."""
        assert guarded.client.login() == "CASH"

    @pytest.mark.parametrize(
        "reply",
        [
            {"code": 40013, "message": "sign check failed"},
            {"code": 1000, "message": "bad tiger id"},
            {"code": 0, "data": {"items": [{"account": "77777", "capability": "CASH"}]}},
            {"code": 0, "data": {"items": []}},
        ],
    )
    def test_refused(self, guarded: Desk, reply: dict[str, Any]) -> None:
        """A login that is refused, or an account that is not ours, ends with exit code 4."""
        guarded.gateway.answer_with("accounts", reply)
        with pytest.raises(CredentialsError) as refusal:
            guarded.client.login()
        assert refusal.value.exit_code == 4


class TestLimits:
    """60 % of Tiger's own limits, by method."""

    def test_limits_of_the_methods(self) -> None:
        """As Tiger's page on rate limits lists them; what is not listed counts as 60."""
        listed = {
            "place_order": 120,
            "order_no": 120,
            "orders": 120,
            "prime_assets": 60,
            "positions": 60,
            "market_state": 10,
        }
        assert {method: per_minute(method) for method in listed} == listed
        assert per_minute("anything") == 60

    @pytest.mark.parametrize("method", ["place_order", "prime_assets", "market_state"])
    def test_no_minute_ever_holds_more_than_the_limit(self, method: str) -> None:
        """However greedily they are taken, permits in any rolling minute stay below 97 % of the limit."""
        clock = FakeClock()
        limits = MethodLimits(clock, is_paper=False)
        taken: list[float] = []
        while clock.elapsed() < 300:
            if limits.take(method, 0):
                taken.append(clock.elapsed())
            else:
                clock.sleep(0.05)
        most = max(sum(1 for at in taken if start <= at < start + 60) for start in taken)
        assert 0.6 * per_minute(method) <= most <= 0.97 * per_minute(method)

    def test_waiting_for_a_permit(self) -> None:
        """Patience waits on the clock; too little of it takes nothing."""
        clock = FakeClock()
        limits = MethodLimits(clock, is_paper=False)
        while limits.take("market_state", 0):
            pass
        assert not limits.take("market_state", 3)
        assert limits.take("market_state", 5)
        assert 3 < clock.elapsed() < 5

    def test_paper_accounts_share_one_limit_for_orders(self) -> None:
        """Placing and cancelling count together on a paper account, and apart on a real one."""
        for is_paper in (True, False):
            limits = MethodLimits(FakeClock(), is_paper=is_paper)
            while limits.take("place_order", 0):
                pass
            assert limits.take("cancel_order", 0) is not is_paper
