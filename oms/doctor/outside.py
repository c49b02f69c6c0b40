"""What lies outside of this machine: the time of the world, the exchange's calendar, the broker's account, the prices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from oms.app import market_of
from oms.choice_wiring import universe_of
from oms.config import LoadedConfig
from oms.doctor.checks import Ailing
from oms.errors import CredentialsError, RefusedError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.http_date import clock_offset
from oms.gateways.system_clock import SystemClock
from oms.gateways.tiger import Quoting, TigerMarket, agree, read_credentials
from oms.gateways.tiger.properties import describe_key, masked, properties_file
from oms.licence import state_of, why_unarmed
from oms.model.account import Quote, Session
from oms.model.foreign import printable
from oms.paper_wiring import paper_of
from oms.places import places
from oms.tiger_wiring import client_of, credentials_of

MOST_OFFSET = timedelta(seconds=3)
"""The header that is compared with says whole seconds, and a busy line adds some of its own."""
YAHOO = "https://query1.finance.yahoo.com/"
TELL_QUOTES = (
    "get the permission for US quotes in Tiger's app and leave it to this machine, or set market.source: yahoo"
)


def clock(loaded: LoadedConfig) -> str:
    """This machine's clock against the broker's, else against that of the price source."""
    config, now = loaded.config, SystemClock()
    if config.broker.kind == "tiger":
        url, whose = _gateway(loaded, now), "the broker's"
    elif config.market.source == "yahoo":
        url, whose = config.market.yahoo.base_url or YAHOO, "Yahoo's"
    else:
        return "not compared: a paper broker and played prices ask nobody for the time"
    offset = clock_offset(url, now)
    ahead = "ahead of" if offset > timedelta(0) else "behind"
    found = f"{abs(offset.total_seconds()):.1f} s {ahead} {whose} (to about a second)"
    if abs(offset) > MOST_OFFSET:
        raise Ailing(
            found,
            "let the system keep its clock: timedatectl set-ntp true (Linux), sudo sntp -sS time.apple.com (macOS), "
            "w32tm /resync (Windows)",
        )
    return found


def _gateway(loaded: LoadedConfig, now: SystemClock) -> str:
    try:
        with closing(client_of(loaded, credentials_of(loaded, dry_run=True), now)) as client:
            return client.server_url
    except (CredentialsError, RefusedError, UsageError):
        raise Ailing("not compared, for the broker's credentials are of no use", "mend the key file first") from None


def calendar(loaded: LoadedConfig) -> str:
    """Whether the exchange's hours are known, now and for the next session."""
    clock = SystemClock()
    exchange = ExchangeCalendar(loaded.config.market.exchange, clock)
    now = clock.now()
    problem = exchange.problem(now)
    if problem is not None:
        raise Ailing(problem, "install a newer exchange_calendars, or name another market.exchange")
    session = exchange.session(now)
    assert session is not None
    return f"{exchange.exchange}: {_hours(session, now)}"


def _hours(session: Session, now: datetime) -> str:
    if session.is_open(now):
        return f"open until {session.closes:%Y-%m-%d %H:%M} UTC"
    return f"closed, opens {session.opens:%Y-%m-%d %H:%M} UTC"


def paper_broker(loaded: LoadedConfig, *, dry_run: bool) -> str:
    """The paper broker's own book."""
    where = places(loaded, dry_run=dry_run)
    if not where.paper.exists():
        return f"{where.paper} is not there yet; the first run makes it"
    with closing(paper_of(loaded, market_of(loaded), SystemClock(), where, watching=True)) as broker:
        return f"{where.paper}: {broker.funds().cash:.2f} in cash, {len(broker.positions())} positions"


def tiger_broker(loaded: LoadedConfig, *, dry_run: bool) -> Iterator[str]:
    """Key file, kind of account, login and permissions, each with its finding; one login for all of them."""
    tiger, mode = loaded.config.broker.tiger, "dry_run" if dry_run else loaded.config.mode
    credentials = read_credentials(loaded.resolve(tiger.properties), os.environ)
    file = printable(str(properties_file(loaded.resolve(tiger.properties), os.environ)))
    yield f"{file}: yours alone, {describe_key(credentials.private_key)}"
    agree(mode, credentials.account)
    yield f"account {masked(credentials.account)} is a {credentials.kind.value} account, as suits mode {mode}"
    now = SystemClock()
    with closing(client_of(loaded, credentials, now)) as client:
        capability = client.login()
        yield f"logged in at {client.server_url}; the account is {capability}"
        yield _permissions(Quoting(client, now).refusal(universe_of(loaded)[0]))


def _permissions(refusal: str | None) -> str:
    if refusal is not None:
        raise Ailing(f"no quotes in real time: {refusal}", TELL_QUOTES)
    return "may trade, and see quotes in real time"


def data_source(loaded: LoadedConfig) -> str:
    """Whether the prices that would be traded on can be seen."""
    market = market_of(loaded)
    try:
        session = market.enter(None, None)
        if session is None:
            raise Ailing(market.notice() or "there is no session to trade", "see docs/market.md")
        symbol = universe_of(loaded)[0]
        quote = market.quotes([symbol]).get(symbol)
        if quote is None:
            raise Ailing(f"{market.name} shows no price of {symbol}", "see docs/market.md")
        return f"{market.name}, session {session.day}: {_price(quote)}"
    finally:
        if isinstance(market, TigerMarket):
            market.client.close()


def _price(quote: Quote) -> str:
    return f"{quote.symbol} at {quote.last} of {quote.at:%Y-%m-%d %H:%M:%S} UTC"


def live(loaded: LoadedConfig) -> str:
    """Whether real money is armed, where the mode asks for it."""
    state, now = state_of(loaded), SystemClock().now()
    why = why_unarmed(loaded.config, state, now)
    if why:
        raise Ailing(why, "oms live arm --until YYYY-MM-DD, at a terminal")
    assert state.armed is not None
    return f"armed until {state.armed.until:%Y-%m-%d %H:%M} UTC by {state.armed.author}"
