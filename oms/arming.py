"""Arming real money: what a person is shown before giving the word, and the word itself in the journal.

Nothing but this module writes ``live_armed``, and nothing but the terminal's ``live arm`` calls it: the mailbox, through
which all other commands reach an engine, knows no such command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from oms.config import LoadedConfig, config_from_canonical
from oms.configuration.armed_limits import hash_of, limits_of
from oms.configuration.loosening import Change, changes
from oms.engine.opening import account_opened
from oms.errors import LeaseHeldError, OmsError, RefusedError, UsageError
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.tiger import binding
from oms.journal.access import exists, open_account
from oms.journal.reader import open_reader
from oms.licence import require_binding, state_of
from oms.model.account import Funds, Position
from oms.model.arming import AccountBound, LiveArmed
from oms.places import places
from oms.ports import Clock
from oms.tiger_wiring import credentials_of, tiger_of

LONGEST = timedelta(days=92)
"""A word for real money lasts a quarter at most: limits and people change."""
APART = frozenset({"account", "mode", "journal.url"})
"""Keys that differ between paper and live trading by their nature."""
_NET = ("S.netLiquidation", "assets.netLiquidation")
_SHORTEST_AHEAD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperDay:
    """The last day on paper that is on record beside the journal."""

    day: str
    file: Path
    changes: tuple[Change, ...]
    """What the configuration of now changes against the one that ran then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """All that a person should know before arming."""

    number: str
    """The whole account number; only ever shown at the terminal, never kept."""
    bound: AccountBound
    funds: Funds
    positions: tuple[Position, ...]
    until: datetime
    zone: str
    """Time zone of the exchange, in which the expiry is shown."""
    paper: PaperDay | None

    @property
    def net_liquidation(self) -> str:
        """What the account is worth, in the broker's own words; empty where it does not say."""
        raw = self.funds.raw or {}
        return next((raw[name] for name in _NET if name in raw), "")


def require_live(loaded: LoadedConfig) -> None:
    """Only ``mode: live`` can be armed and disarmed.

    Raises:
        RefusedError: the configuration says another mode.
    """
    if loaded.config.mode != "live":
        raise RefusedError(
            f"mode is {loaded.config.mode} ({loaded.origins['mode']}), which needs no arming; only mode: live trades "
            "real money"
        )


def offer(loaded: LoadedConfig, until: str, clock: Clock) -> Offer:
    """Log in, look at the account, and gather what is to be decided; nothing is written and nothing is sent.

    Raises:
        UsageError: ``until`` is no instant within the next 92 days.
        RefusedError: the mode is another, or the journal is of another account or broker.
        LeaseHeldError: an engine works on this account.
        CredentialsError, BrokerUnavailable: the account cannot be seen.
    """
    require_live(loaded)
    calendar = ExchangeCalendar(loaded.config.market.exchange, clock)
    ends = expiry(until, calendar, clock.now())
    credentials = credentials_of(loaded)
    bound = binding(credentials.account)
    require_binding(state_of(loaded), bound.broker, bound)
    _require_idle(loaded, clock.now())
    with closing(tiger_of(loaded, clock, watching=True)) as broker:
        funds, positions = broker.funds(), tuple(broker.positions())
    return Offer(
        number=credentials.account,
        bound=bound,
        funds=funds,
        positions=positions,
        until=ends,
        zone=calendar.zone,
        paper=last_paper_day(loaded),
    )


def arm(
    loaded: LoadedConfig, offered: Offer, author: str, clock: Clock, say: Callable[[str], None] = lambda _: None
) -> int:
    """Journal the person's word, on the disk when this returns; answers its row.

    Raises:
        RefusedError: the journal is of another account, mode or broker.
        LeaseHeldError: an engine works on this account.
        StorageError, DamagedError: the journal cannot be written.
    """
    config, limits = loaded.config, limits_of(loaded.config)
    armed = LiveArmed(
        fingerprint=offered.bound.fingerprint,
        shown=offered.bound.shown,
        until=offered.until,
        limits=limits,
        limits_hash=hash_of(limits),
        config_hash=loaded.hash,
        net_liquidation=offered.net_liquidation,
        author=author,
    )
    where = places(loaded)
    lease_s = config.worker.lease.total_seconds()
    with closing(open_account(where.journal_url, config.account, config.mode, clock, lease_s, say=say)) as journal:
        state = journal.state
        require_binding(state, offered.bound.broker, offered.bound)
        opened = [] if state.seq else [account_opened("tiger", config.mode, offered.funds, offered.positions)]
        bound = [] if state.bound is not None else [offered.bound]
        journal.append_barrier([*opened, *bound, armed])
        return journal.state.seq


def expiry(text: str, calendar: ExchangeCalendar, now: datetime) -> datetime:
    """The instant that ``--until`` means: that of a day is the close of its session, or of the last one before it.

    Raises:
        UsageError: it is no such instant, or not within the next 92 days.
    """
    expected = "expected a day such as 2026-12-31, or an instant such as 2026-12-31T20:00:00Z"
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            ends = _close_of(date.fromisoformat(text), calendar)
        else:
            ends = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until {text!r} is no time; {expected}") from None
    if ends.tzinfo is None:
        raise UsageError(f"--until {text!r} names no time zone; {expected}")
    ends = ends.astimezone(UTC)
    if not _SHORTEST_AHEAD <= ends - now <= LONGEST:
        latest = (now + LONGEST).date()
        raise UsageError(f"--until {text!r} means {ends:%Y-%m-%d %H:%M} UTC; expected a later time, up to {latest}")
    return ends


def _close_of(day: date, calendar: ExchangeCalendar) -> datetime:
    for back in range(12):
        session = calendar.session_on(day - timedelta(days=back))
        if session is not None:
            return session.closes
    problem = calendar.problem(datetime(day.year, day.month, day.day, tzinfo=UTC))
    raise UsageError(f"--until: expected an instant, for of {day} no close is known: {problem or 'no session near it'}")


def _require_idle(loaded: LoadedConfig, now: datetime) -> None:
    """Before anybody is asked anything: with an engine at work the word could not be written."""
    if not exists(places(loaded).journal_url):
        return
    from oms.journal.views import status

    with closing(open_reader(places(loaded).journal_url)) as reader:
        found = status(reader, now)
    if found["running"]:
        raise LeaseHeldError(
            f"an engine works on this account (pid {found['pid']} on {found['host']}): stop it, arm, and start it again"
        )


def last_paper_day(loaded: LoadedConfig) -> PaperDay | None:
    """The newest cycle on paper in a journal that lies beside this one; None where there is none."""
    own = places(loaded).file
    if own is None:
        return None
    found: list[tuple[str, str, str, Path]] = []
    for file in sorted(own.parent.glob("*.db")):
        if file != own:
            found += _paper_days(file)
    if not found:
        return None
    _, day, canonical, file = max(found)
    try:
        then = config_from_canonical(canonical)
    except OmsError:
        return None
    changed = tuple(change for change in changes(then, loaded.config) if change.key not in APART)
    return PaperDay(day=day, file=file, changes=changed)


_NEWEST = (
    "SELECT cycles.opened_at, cycles.trading_day, configs.canonical FROM cycles JOIN configs USING (config_hash)"
    " ORDER BY opened_seq DESC LIMIT 1"
)


def _paper_days(file: Path) -> list[tuple[str, str, str, Path]]:
    """When it opened, its day and its configuration; nothing where the file is no journal of paper trading."""
    try:
        with (
            closing(open_reader(f"sqlite:///{file.as_posix()}")) as reader,
            reader.asking("looking back") as connection,
        ):
            if reader.mode != "paper":
                return []
            rows = connection.exec_driver_sql(_NEWEST).fetchall()
    except OmsError:
        return []
    return [(f"{opened_at:020d}", str(day), str(canonical), file) for opened_at, day, canonical in rows]
