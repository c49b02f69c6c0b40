"""The SDK, hardened: one request per call, to one pinned address, in silence. Only this and :mod:`.push_sdk` import it.

``tigeropen`` ships no types, so what comes out of it is ``Any`` here and checked by :mod:`.wire`. Each measure below
answers a measured behaviour of version 3.8.0:

- the address is pinned, for a dynamic domain may replace it with the production host;
- urllib3 re-sends a POST after a redirect and after a TLS error, up to four times, so its retries are off; so are the
  SDK's own, which would re-send everything but orders up to five times;
- the SDK logs whole requests, key material included, on every failure, so it gets a logger that says nothing;
- nothing is read from the working directory or the environment behind our back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oms.errors import RefusedError
from oms.gateways.tiger.loopback import is_loopback
from oms.gateways.tiger.properties import Credentials
from oms.model.foreign import printable
from oms.model.order import OrderRequest, OrdType
from oms.ports import Clock

if TYPE_CHECKING:
    import urllib3

SDK = "tigeropen"


def adapter() -> str:
    """Name and version of the SDK, for what was proven with it."""
    return f"{SDK} {version(SDK)}"


CONNECTIONS = 32
"""Connections kept open: a round of 24 sends, four reads, and room."""
MOST_IDLE_S = 10.0
"""A connection that lay idle for longer is not used again, seconds."""


class _Fields:
    """The fields of one request, in the form that the SDK's request takes; None is left out."""

    def __init__(self, version: str | None, fields: Mapping[str, Any]) -> None:
        self.version = version
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def to_openapi_dict(self) -> dict[str, Any]:
        return dict(self._fields)


def request(method: str, version: str | None, fields: Mapping[str, Any]) -> Any:
    """A request of the SDK's with exactly these fields."""
    from tigeropen.common.request import OpenApiRequest

    return OpenApiRequest(method, biz_model=_Fields(version, fields))


def day_order(account: str, request: OrderRequest, order_no: int, price: float | None) -> Any:
    """An order for US stock, good for the day, in regular hours.

    What is left unsaid the server decides: trading outside regular hours would be allowed, and a number invented.
    """
    from tigeropen.common.util.contract_utils import stock_contract
    from tigeropen.trade.domain.order import Order

    return Order(
        account,
        stock_contract(symbol=request.symbol, currency="USD"),
        request.side.value,
        "MKT" if request.ord_type is OrdType.MARKET else "LMT",
        request.order_qty,
        limit_price=price,
        time_in_force="DAY",
        outside_rth=False,
        order_id=order_no,
        user_mark=request.cl_ord_id[:32],
    )


def data_of(reply: Mapping[str, Any]) -> Any:
    """The data of a reply: as it stands, or out of a JSON text."""
    from tigeropen.common.response import TigerResponse

    response = TigerResponse()
    response.parse_response_content(reply)
    return response.data


def one_request_pool(ca_file: Path | None, clock: Clock) -> urllib3.PoolManager:
    """Replace the SDK's pool, of which there is one in a process, by one that never sends anything twice.

    Nor does it use a connection that lay idle for long: a firewall may have forgotten it, or the gateway may be closing
    it just now, and every order sent into it would be in doubt.
    """
    import urllib3
    from tigeropen.common.util import web_utils

    if not hasattr(web_utils, "http_pool"):
        raise AssertionError("this tigeropen keeps its connections elsewhere: it may send an order twice")
    pool = urllib3.PoolManager(retries=False, maxsize=CONNECTIONS, ca_certs=None if ca_file is None else str(ca_file))
    pool.pool_classes_by_scheme = {
        "http": _never_stale(urllib3.HTTPConnectionPool, clock),
        "https": _never_stale(urllib3.HTTPSConnectionPool, clock),
    }
    web_utils.http_pool = pool
    return pool


def _never_stale(kind: type[Any], clock: Clock) -> type[Any]:
    """This kind of pool, which closes what lay idle for too long before it is used again; it then connects anew."""

    class Fresh(kind):  # type: ignore[misc]  # a base class that is chosen at run time
        """Notes when a connection is given back."""

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                conn.idle_since = clock.elapsed()
            super()._put_conn(conn)

        def _get_conn(self, timeout: float | None = None) -> Any:
            conn = super()._get_conn(timeout)
            if clock.elapsed() - getattr(conn, "idle_since", clock.elapsed()) > MOST_IDLE_S:
                conn.close()
            return conn

    return Fresh


class _Silence(logging.Logger):
    """A logger outside of the tree of loggers that keeps every record to itself."""

    def handle(self, record: logging.LogRecord) -> None:
        """Nothing is said."""


def _silent_logger() -> logging.Logger:
    """The logger for the SDK; its usual one, which other parts of it may find by name, is switched off as well."""
    usual = logging.getLogger("tiger_openapi")
    usual.disabled, usual.propagate = True, False
    return _Silence("oms.tiger.silence", logging.CRITICAL)


def pinned_client(
    credentials: Credentials, server_url: str | None, timeout: float, public_key: str | None
) -> tuple[str, Any]:
    """The pinned address and the SDK's client for it; makes no call."""
    import tigeropen.tiger_open_config as settings
    from tigeropen.trade.trade_client import TradeClient

    class Pinned(settings.TigerOpenClientConfig):  # type: ignore[misc]  # an untyped base class
        """Reads neither environment nor files: what it holds was read and checked by us."""

        def _load_env_vars(self) -> None:
            """Nothing from the environment."""

        def _load_props(self) -> None:
            """Nothing from a file."""

        def load_token(self) -> None:
            """No token but ours."""

    for name in ("_load_env_vars", "_load_props", "load_token"):
        if not hasattr(settings.TigerOpenClientConfig, name):
            raise AssertionError(f"this tigeropen has no {name}: it may read settings behind our back")
    standard = settings.US_SERVER_URL if credentials.license == "TBUS" else settings.SERVER_URL
    url = server_url or credentials.server_url or standard
    _require_safe(url)
    config = Pinned(enable_dynamic_domain=False)
    config.tiger_id = credentials.tiger_id
    config.account = credentials.account
    config.private_key = credentials.private_key
    config.secret_key = credentials.secret_key
    config.token = credentials.token or None
    config.license = credentials.license or None
    config.token_refresh_duration = 0
    config.timeout = timeout
    config.retry_max_tries = 0
    config.tiger_public_key = public_key or settings.TIGER_PUBLIC_KEY
    config.server_url = config.quote_server_url = url
    client = TradeClient(config, logger=_silent_logger())
    if (config.server_url, config.quote_server_url) != (url, url) or config.enable_dynamic_domain:
        raise AssertionError("this tigeropen has changed the pinned address")
    return url, client


def _require_safe(url: str) -> None:
    """Replies are not signed as a whole, so only TLS protects them; without it, only to this machine."""
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and is_loopback(url)):
        raise RefusedError(f"broker.tiger.server_url: {printable(url)} is neither https nor on this machine")
