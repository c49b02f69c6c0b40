"""The stair to Tiger: a configuration in, a logged-in account out, or the reason why nothing may be sent to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from oms.config import LoadedConfig
from oms.errors import RefusedError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.tiger import (
    Credentials,
    Quoting,
    TigerBroker,
    TigerClient,
    TigerMarket,
    TigerPush,
    agree,
    endpoint_of,
    read_credentials,
)
from oms.ports import Clock, Market


def tiger_of(
    loaded: LoadedConfig,
    clock: Clock,
    *,
    watching: bool = False,
    dry_run: bool = False,
    market: Market | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TigerBroker:
    """The Tiger account of a configuration, logged in; with ``watching`` the caller promises to send nothing.

    A market on Tiger's prices shares its client, for Tiger counts the calls of both together. What the account has to
    say later, of its push connection or its quotes, goes to ``say``.

    Raises:
        UsageError: a dry run, or a market of the past against another gateway than one on this machine.
        RefusedError: mode and account disagree, or real money without having been armed.
        CredentialsError: the properties file is of no use, or the login was refused.
        BrokerUnavailable: the gateway did not answer.
    """
    mode, tiger, source = loaded.config.mode, loaded.config.broker.tiger, loaded.config.market.source
    credentials = read_credentials(loaded.resolve(tiger.properties), os.environ)
    agree(mode, credentials.account)
    if not watching and (dry_run or mode == "dry_run"):
        raise UsageError("broker.kind: a dry run at tiger is not supported by this release; expected paper")
    if not watching and mode == "live":
        raise RefusedError("mode: live is not armed, and this release cannot arm it; nothing was sent")
    client = market.client if isinstance(market, TigerMarket) else _client_of(loaded, credentials, clock)
    try:
        if source in ("replay", "simulated") and not client.is_local:
            raise UsageError(
                f"market.source: {source} is not today's market, at which Tiger would trade; expected tiger or yahoo"
            )
        client.login()
    except BaseException:
        client.close()
        raise
    push = _push_of(loaded, credentials, client, clock, say) if not watching else None
    return TigerBroker(
        client, clock, refuses_repeats=tiger.refuses_repeats, push=push, quoting=Quoting(client, clock, say)
    )


def tiger_market_of(loaded: LoadedConfig, clock: Clock) -> TigerMarket:
    """The market on Tiger's prices; makes no call.

    Raises:
        CredentialsError: the properties file is of no use.
    """
    credentials = read_credentials(loaded.resolve(loaded.config.broker.tiger.properties), os.environ)
    calendar = ExchangeCalendar(loaded.config.market.exchange, clock)
    return TigerMarket(_client_of(loaded, credentials, clock), clock, calendar)


def _client_of(loaded: LoadedConfig, credentials: Credentials, clock: Clock) -> TigerClient:
    tiger = loaded.config.broker.tiger
    timeout = tiger.timeout.total_seconds()
    if credentials.timeout and loaded.origins.get("broker.tiger.timeout", "default") == "default":
        timeout = credentials.timeout
    return TigerClient(credentials, clock, server_url=tiger.server_url, timeout=timeout)


def _push_of(
    loaded: LoadedConfig, credentials: Credentials, client: TigerClient, clock: Clock, say: Callable[[str], None]
) -> TigerPush | None:
    """The push connection, started; None where it is switched off, or where another gateway than Tiger's has none."""
    endpoint = endpoint_of(credentials.socket_host_port, credentials.license)
    named = credentials.socket_host_port is not None
    if not loaded.config.broker.tiger.push or not (named or urlsplit(client.server_url).hostname == endpoint.host):
        return None
    push = TigerPush(credentials, endpoint, clock, say=say)
    push.start()
    return push
