"""Calls to Tiger's gateway for one account: one request for a send, up to three for a reading, each with its permit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from oms.errors import BrokerUnavailable, CredentialsError, InDoubt, NotSent
from oms.gateways.tiger import outcomes, sdk
from oms.gateways.tiger.limits import MethodLimits
from oms.gateways.tiger.loopback import is_loopback
from oms.gateways.tiger.properties import AccountKind, Credentials
from oms.model.foreign import printable
from oms.model.order import OrderRequest
from oms.ports import Clock

READ_TRIES = 3
"""Requests for one reading; a send is one request, always."""
READ_WAITS_S = (0.2, 0.8)
"""Pauses between them, seconds."""
READ_SPAN_S = 20.0
"""After so many seconds no further try begins, for the engine gives up on a reading after a minute."""
READ_PATIENCE_S = 10.0
"""How long a reading may wait for a permit of the rate limit, seconds."""
SEND_PATIENCE_S = 2.0
"""How long a send may wait for one; then it is not sent and may be tried again under the same number."""
LONGEST_TEXT = 200
"""Of a foreign message so many characters are kept."""
TOO_MANY = 429
"""HTTP status of a gateway that is asked too often."""
WITHOUT_ACCOUNT = frozenset({"accounts", "market_state", "quote_real_time", "quote_delay", "kline"})
"""Questions that are not about one account; that for the list of accounts takes no paper account (Tiger's page on it)."""
LOGIN_REFUSED = frozenset({4, 1000, 2400, 40013})
"""Codes that at the login mean: wrong id, key, token or permission (Tiger's page on error codes)."""

_RATE = re.compile(r"\brate.?limit", re.IGNORECASE)


class TigerClient:
    """Calls to Tiger's gateway for one account; may be used from any thread.

    Args:
        server_url: the gateway; None takes that of the credentials, else the SDK's own for their licence.
        timeout: seconds for connecting and for each gap between bytes of a reply; not for the whole.
        public_key: Base64 of the key that replies are signed with; None takes Tiger's own.
        ca_file: certificates to trust in place of the system's.

    Raises:
        RefusedError: the address is neither https nor on this machine.
        CredentialsError: the SDK does not take the credentials.
    """

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        *,
        server_url: str | None = None,
        timeout: float = 15.0,
        public_key: str | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.account = credentials.account
        self.kind = credentials.kind
        self._secrets = credentials.secrets
        self._secret_key = credentials.secret_key or None
        self._clock = clock
        self._limits = MethodLimits(clock, is_paper=self.kind is AccountKind.PAPER)
        self._pool = sdk.one_request_pool(ca_file, clock)
        self.server_url, self._sdk = sdk.pinned_client(credentials, server_url, timeout, public_key)

    @property
    def is_local(self) -> bool:
        """The gateway is on this machine: one of a test."""
        return is_loopback(self.server_url)

    def login(self) -> str:
        """Ask whether the account may be used, and what it is; answers its capability, such as CASH.

        Raises:
            CredentialsError: the login was refused, or the account is not among those of this developer id.
            BrokerUnavailable: there was no answer.
        """
        try:
            data = self.read("accounts")
        except LoginRefused as refusal:
            raise CredentialsError(f"Tiger refused the login: {refusal}") from None
        items = data.get("items") if isinstance(data, dict) else None
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and item.get("account") == self.account:
                return printable(str(item.get("capability")))[:LONGEST_TEXT]
        raise CredentialsError("Tiger does not list the configured account among those of this developer id")

    def read(self, method: str, *, version: str | None = None, patience: float = READ_PATIENCE_S, **fields: Any) -> Any:
        """The data of one reading, as the SDK decoded it, tried again up to three times.

        ``patience`` is how long it may wait for a permit of the rate limit, seconds.

        Raises:
            BrokerUnavailable: no try succeeded, or no permit was free in time.
        """
        began = self._clock.elapsed()
        for wait in (*READ_WAITS_S[: READ_TRIES - 1], None):
            try:
                return self._read_once(method, version, patience, fields)
            except (ReadRefused, RateLimited):
                raise
            except BrokerUnavailable:
                if wait is None or self._clock.elapsed() - began > READ_SPAN_S:
                    raise
                self._clock.sleep(wait)
        raise AssertionError("the last try answers or raises")

    def _read_once(self, method: str, version: str | None, patience: float, fields: Mapping[str, Any]) -> Any:
        if not self._limits.take(method, patience):
            raise RateLimited(f"tiger {method}: the rate limit leaves no room")
        reply, error = self._attempt(lambda: self._sdk.execute(self._request(method, version, fields)))
        if error is not None:
            kind = RateLimited if getattr(error, "status", None) == TOO_MANY else BrokerUnavailable
            raise kind(f"tiger {method}: {outcomes.transport(error)}")
        if not isinstance(reply, dict) or not _is_code(reply.get("code")):
            raise BrokerUnavailable(f"tiger {method}: a reply without a code")
        if reply["code"] != 0:
            raise self._refusal(method, reply["code"], reply.get("message"))
        data, error = self._attempt(lambda: sdk.data_of(reply))
        if error is not None or data is None:
            raise BrokerUnavailable(f"tiger {method}: a reply without data")
        return data

    def _refusal(self, method: str, code: int, message: object) -> BrokerUnavailable:
        text = f"tiger {method}: code {code}: {self.clean(str(message or 'no reason given'))}"
        if code in (1, 2):  # the server's own error or time-out: the next try may succeed
            return BrokerUnavailable(text)
        if code == 5 or _RATE.search(
            text
        ):  # code 4 says "forbidden" as well as "too often", by Tiger's two pages on it
            return RateLimited(text)
        return LoginRefused(text) if code in LOGIN_REFUSED else ReadRefused(text)

    def _request(self, method: str, version: str | None, fields: Mapping[str, Any]) -> Any:
        own = {} if method in WITHOUT_ACCOUNT else {"account": self.account, "secret_key": self._secret_key}
        return sdk.request(method, version, {"lang": "en_US", **own, **fields})

    def place(self, request: OrderRequest, order_no: int, price: float | None) -> int:
        """Send one order, with exactly one request; answers the broker's id.

        Raises:
            SendError: as :mod:`.outcomes` says; a reply without an id is InDoubt.
        """
        order = sdk.day_order(self.account, request, order_no, price)
        answer = self._send("place_order", lambda: self._sdk.place_order(order))
        if not _is_code(answer) or answer <= 0:
            raise InDoubt("no_id", "the reply carried no order id")
        return int(answer)

    def cancel(self, order_no: int | None, order_id: int | None) -> None:
        """Ask for a cancel, with exactly one request; an answer means that it arrived.

        Raises:
            SendError: as in :meth:`place`.
        """
        answer = self._send("cancel_order", lambda: self._sdk.cancel_order(id=order_id, order_id=order_no))
        if answer is None:
            raise InDoubt("no_id", "the reply to the cancel was empty")

    def _send(self, method: str, call: Callable[[], Any]) -> Any:
        if not self._limits.take(method, SEND_PATIENCE_S):
            raise NotSent("rate_limit", f"{method}: the rate limit leaves no room")
        answer, error = self._attempt(call)
        if error is None:
            return answer
        outcome = outcomes.outcome_of(error, self.clean)
        # A new exception outside of the handler: the SDK's own, with the whole request in its text, is not chained to it.
        raise outcome

    @staticmethod
    def _attempt(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
        """The answer, or the exception it ended with, taken out of the chain of whatever is raised next."""
        try:
            return call(), None
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises is classified by the caller
            return None, error

    def clean(self, text: str) -> str:
        """Foreign text for a message: one line, short, and without any of our secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return printable(text)[:LONGEST_TEXT]

    def close(self) -> None:
        """Close the connections; one under way ends by itself."""
        self._pool.clear()


class RateLimited(BrokerUnavailable):
    """Asked too often, by our own limiter or by the gateway's: asking again at once makes it worse."""


class ReadRefused(BrokerUnavailable):
    """The gateway said no: asking again at once does not help."""


class LoginRefused(ReadRefused):
    """The gateway said no to who we are."""


def _is_code(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
