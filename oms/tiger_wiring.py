"""The stair to Tiger: a configuration in, a logged-in account out, or the reason why nothing may be sent to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from oms.config import LoadedConfig
from oms.errors import UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.tiger import (
    Credentials,
    Quoting,
    TigerBroker,
    TigerClient,
    TigerMarket,
    TigerPush,
    agree,
    binding,
    endpoint_of,
    read_credentials,
)
from oms.licence import require_armed
from oms.model.arming import AccountBound
from oms.ports import Clock, Market


def credentials_of(loaded: LoadedConfig, *, dry_run: bool = False) -> Credentials:
    """The credentials that the configuration names, of an account that agrees with its mode; a dry run suits any.

    Raises:
        UsageError, CredentialsError: the properties file is of no use.
        RefusedError: mode and account disagree.
    """
    credentials = read_credentials(loaded.resolve(loaded.config.broker.tiger.properties), os.environ)
    agree("dry_run" if dry_run else loaded.config.mode, credentials.account)
    return credentials


def binding_of(loaded: LoadedConfig, *, dry_run: bool = False) -> AccountBound | None:
    """The account at Tiger that the journal of this configuration is about; None for the paper broker.

    Raises:
        UsageError, CredentialsError, RefusedError: as :func:`credentials_of`.
    """
    is_tiger = loaded.config.broker.kind == "tiger"
    return binding(credentials_of(loaded, dry_run=dry_run).account) if is_tiger else None


def tiger_of(
    loaded: LoadedConfig,
    clock: Clock,
    *,
    watching: bool = False,
    following: bool = False,
    dry_run: bool = False,
    market: Market | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TigerBroker:
    """The Tiger account of a configuration, logged in.

    With ``watching`` the caller promises to send nothing; with ``following`` to place nothing, only to follow what is out
    already. Otherwise real money must have been armed. A market on Tiger's prices shares its client, for Tiger counts the
    calls of both together. What the account has to say later, of its push connection or its quotes, goes to ``say``.

    Raises:
        UsageError: a market of the past against another gateway than one on this machine.
        RefusedError: mode and account disagree, or real money without having been armed.
        CredentialsError: the properties file is of no use, or the login was refused.
        BrokerUnavailable: the gateway did not answer.
    """
    source = loaded.config.market.source
    credentials = credentials_of(loaded, dry_run=dry_run)
    if loaded.config.mode == "live" and not (watching or following):
        require_armed(loaded, binding(credentials.account), clock.now())
    client = market.client if isinstance(market, TigerMarket) else client_of(loaded, credentials, clock)
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
        client,
        clock,
        refuses_repeats=loaded.config.broker.tiger.refuses_repeats,
        push=push,
        quoting=Quoting(client, clock, say),
    )


def tiger_market_of(loaded: LoadedConfig, clock: Clock) -> TigerMarket:
    """The market on Tiger's prices; makes no call.

    Raises:
        CredentialsError: the properties file is of no use.
    """
    credentials = read_credentials(loaded.resolve(loaded.config.broker.tiger.properties), os.environ)
    calendar = ExchangeCalendar(loaded.config.market.exchange, clock)
    return TigerMarket(client_of(loaded, credentials, clock), clock, calendar)


def client_of(loaded: LoadedConfig, credentials: Credentials, clock: Clock) -> TigerClient:
    """The connection to Tiger's gateway; makes no call.

    Raises:
        RefusedError: the address is neither https nor on this machine.
    """
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
