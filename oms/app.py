"""The stair: a configuration in, a wired engine out; it knows every concrete class, but for Tiger's (``tiger_wiring``)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

from oms import __version__
from oms.choice_wiring import chooser_of, read_symbols, universe_of
from oms.config import Config, LoadedConfig, config_from_canonical
from oms.engine.choosing import holdings
from oms.engine.driver import Driver, Ending, Settings
from oms.engine.forecast import Forecast, Sight, forecast
from oms.engine.freshness import too_stale
from oms.engine.limiter import Rate
from oms.engine.restored import Unproved
from oms.engine.worker import Assignment, Worker
from oms.errors import UsageError
from oms.gateways.bar_store import BarStore, Kept
from oms.gateways.calendar import ExchangeCalendar
from oms.gateways.replay import ReplayMarket
from oms.gateways.signals import check_age
from oms.gateways.simulated import SimulatedMarket
from oms.gateways.system_clock import SystemClock
from oms.gateways.threads import ThreadHands
from oms.gateways.tiger import TigerBroker, TigerMarket
from oms.gateways.yahoo import YahooMarket
from oms.journal.access import open_account, open_mailbox
from oms.journal.loading import load
from oms.journal.reader import NoJournal, open_reader
from oms.journal.restored import lift_mark, mark_of, read_mark, refuse_unfinished
from oms.journal.scalars import from_instant
from oms.journal.statements import statements
from oms.licence import bind, licences, require_binding
from oms.model.order import OrdType
from oms.model.rules import DoubtPolicy, FundsPolicy, Rules
from oms.model.signal import Signals
from oms.model.state import AccountState
from oms.paper_wiring import paper_of, twin_of
from oms.places import Places, bars_file, places
from oms.ports import BarSet, Broker, Clock, Follower, Market, Watcher
from oms.standing_tasks import StandingTasks
from oms.tiger_wiring import binding_of, tiger_market_of, tiger_of

CYCLE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""Letters of a cycle's random part: none that a person mistakes for another."""
_NAMED: set[str] = set()
"""Cycles that this process named within the present second."""
_NAMING = threading.Lock()
"""The lanes of a fleet's worker name cycles at once."""


def rules_of(config: Config) -> Rules:
    """What a configuration means to the rules."""
    execution, settlement, risk = config.execution, config.settlement, config.risk
    return Rules(
        funds=FundsPolicy(settlement.funds),
        funds_fraction=execution.funds_fraction,
        max_position_value=execution.max_position_value,
        min_order_value=execution.min_order_value,
        ord_type=OrdType(execution.order_type.upper()),
        collar=execution.collar,
        fee_allowance=execution.fee_allowance,
        order_deadline=execution.order_deadline,
        grace=execution.grace,
        poll=settlement.poll,
        confirm=settlement.confirm,
        settle_deadline=settlement.deadline,
        doubt_reads=config.in_doubt.reads,
        doubt_window=config.in_doubt.window,
        doubt_then=DoubtPolicy(config.in_doubt.then),
        max_trades_per_day=risk.max_trades_per_day,
        max_order_value=risk.max_order_value,
        max_order_quantity=risk.max_order_quantity,
        max_rejections=risk.max_rejections,
        min_price=risk.min_price,
        daily_loss_limit=risk.daily_loss_limit,
        allow_unsettled_sales=settlement.allow_unsettled_sales,
        blacklist=frozenset(risk.blacklist),
        max_quote_age=config.market.max_quote_age,
        no_buys_before_close=config.market.no_buys_before_close,
    )


def market_of(loaded: LoadedConfig) -> Market:
    """The market source of a configuration.

    Raises:
        CredentialsError: it is Tiger, and the properties file is of no use.
    """
    market = loaded.config.market
    match market.source:
        case "replay":
            data = market.replay.data
            return ReplayMarket(data if data == "sp500-2010" else loaded.resolve(data))
        case "simulated":
            return SimulatedMarket(market.simulated.seed, market.simulated.days, partial(_simulated_symbols, loaded))
        case "yahoo":
            return yahoo_of(loaded)
        case "tiger":
            return tiger_market_of(loaded, SystemClock())


def yahoo_of(loaded: LoadedConfig) -> YahooMarket:
    """The Yahoo market of a configuration, whatever its ``market.source``: history is fetched from there."""
    clock, market = SystemClock(), loaded.config.market
    calendar = ExchangeCalendar(market.exchange, clock)
    return YahooMarket(
        clock, calendar, BarStore(bars_file(loaded)), base_url=market.yahoo.base_url, currency=market.trades_in
    )


def fetch_history(
    loaded: LoadedConfig, symbols: Sequence[str], progress: Callable[[int, int], None], deadline_s: float
) -> tuple[BarSet, str | None]:
    """Bring the store of bars up to date from Yahoo; and why the next selection would not act on it, or None.

    Raises:
        StorageError: the store cannot be used.
    """
    market = yahoo_of(loaded)
    session = market.enter(None, None)
    before = None if session is None else session.day
    found = market.history().bars(symbols, progress, before=before, deadline_s=deadline_s)
    return found, too_stale(found, symbols)


def kept_history(loaded: LoadedConfig) -> tuple[date | None, Mapping[str, Kept]]:
    """The newest session whose bars could be there, None where the calendar does not know it; and what is kept.

    Raises:
        StorageError: the store cannot be used.
    """
    sessions = yahoo_of(loaded).history().sessions()
    return sessions[-1] if sessions else None, BarStore(bars_file(loaded)).status()


def _simulated_symbols(loaded: LoadedConfig) -> tuple[str, ...]:
    """Those of the list, and what the paper account holds at its first start, which must have a price too."""
    chosen = loaded.config.market.simulated.symbols
    listed = (
        universe_of(loaded)
        if chosen == "universe"
        else read_symbols(loaded.resolve(chosen), "market.simulated.symbols")
    )
    return (*listed, *loaded.config.broker.paper.positions)


def broker_of(
    loaded: LoadedConfig,
    market: Market,
    clock: Clock,
    where: Places,
    *,
    watching: bool = False,
    following: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Broker:
    """The broker of a configuration; in a dry run at Tiger the paper twin of the account there.

    One that is only watching moves nothing at a paper broker. ``following``: as :func:`tiger_of`.

    Raises:
        UsageError, RefusedError, CredentialsError, BrokerUnavailable: as :func:`tiger_of` and ``TigerMarket.require``.
    """
    if isinstance(market, TigerMarket):
        market.require(universe_of(loaded)[0], loaded.config.market.max_quote_age)
    if loaded.config.broker.kind == "paper":
        return paper_of(loaded, market, clock, where, watching=watching)
    if not where.dry_run:
        return tiger_of(loaded, clock, watching=watching, following=following, market=market, say=say)
    account = tiger_of(loaded, clock, watching=True, dry_run=True, market=market, say=say)
    try:
        return twin_of(account, loaded, market, clock, where, watching=watching, say=say)
    except BaseException:
        account.close()
        raise


def next_cycle(loaded: LoadedConfig, signals: Signals | None = None) -> Forecast | None:
    """What the next cycle would do, without the lease: nothing is journaled and nothing is sent.

    None: no trading day is left. While a cycle is open, the day is that cycle's.

    Raises:
        BrokerUnavailable: account or prices could not be read.
        UsageError: the signals name a symbol of which the market has never heard.
    """
    where, clock = places(loaded), SystemClock()
    state = read_state(where, loaded.config.account)
    market = market_of(loaded)
    if signals is not None:
        admit_signals(loaded, signals, market)
    session = market.enter(state.trading_day, state.open_cycle.opened.trading_day if state.open_cycle else None)
    if session is None:
        return None
    with closing(broker_of(loaded, market, clock, where, watching=True)) as broker:
        positions = {position.symbol: position for position in broker.positions()}
        rules = rules_of(loaded.config)
        if signals is None:
            # Before the first run there is no journal that says what is held.
            first = {symbol: position.qty for symbol, position in positions.items() if position.qty > 0}
            held = holdings(state) if state.seq else first
            chooser = chooser_of(loaded)
            chosen = chooser.find(market, session.day, held)
            signals = chooser.wishes(chosen, state, rules, clock.now(), held)
        sight = Sight(
            now=clock.now(),
            market_time=market.time(),
            session=session,
            funds=broker.funds(),
            positions=positions,
            quotes=broker.quotes(sorted({signal.symbol for signal in signals.signals})),
        )
        return forecast(state, signals, sight, rules)


def read_state(where: Places, account: str) -> AccountState:
    """What the journal adds up to, read without the lease; the state of a new account where there is none."""
    try:
        reader = open_reader(where.journal_url)
    except NoJournal:
        return AccountState(account)
    with closing(reader), reader.asking("reading the account") as connection:
        return load(connection, account).state


def admit_signals(loaded: LoadedConfig, signals: Signals, market: Market) -> None:
    """Refuse wishes that are too old to act on, or that name symbols of which the market has never heard.

    A symbol that the market knows but has no price of today is no mistake of the file: the engine blocks it.

    Raises:
        UsageError: every such row is named with its line.
    """
    check_age(signals, datetime.now(UTC), loaded.config.selection.interval)
    strangers = [signal for signal in signals.signals if not market.knows(signal.symbol)]
    if strangers:
        rows = "1 bad row" if len(strangers) == 1 else f"{len(strangers)} bad rows"
        lines = [
            f"  {signals.source}:{signal.line or 0}: {signal.side.value.lower()} {signal.symbol}: "
            f"the {market.name} market has no such symbol"
            for signal in strangers
        ]
        raise UsageError("\n".join([f"{signals.source} has {rows}; nothing was opened", *lines]))


def new_cycle_id() -> str:
    """Unique over all journals for ever: the UTC second and four random characters.

    A process that opens many cycles in one second never gives one name twice.
    """
    second = datetime.now(UTC).strftime("c-%Y%m%dT%H%M%SZ-")
    with _NAMING:
        for old in [known for known in _NAMED if not known.startswith(second)]:
            _NAMED.discard(old)
        while True:
            name = second + "".join(secrets.choice(CYCLE_ALPHABET) for _ in range(4))
            if name not in _NAMED:
                _NAMED.add(name)
                return name


class Engine:
    """One account's engine, wired; close it when it has run."""

    def __init__(
        self,
        loaded: LoadedConfig,
        *,
        loop: bool = False,
        open_new: bool = True,
        dry_run: bool = False,
        signals: Callable[[], Signals] | None = None,
        watcher: Watcher | None = None,
        stopping: Callable[[], int | None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        market: Market | None = None,
        quiet: Callable[[], None] = lambda: None,
        followers: Sequence[Follower] = (),
        gate: Callable[[Broker], Broker] = lambda broker: broker,
        rate: Rate | None = None,
    ) -> None:
        """Wire it; a fleet gives a ``gate`` that its broker stands behind, and a message ``rate`` that it shares."""
        config = loaded.config
        where = places(loaded, dry_run=dry_run)
        mode = "dry_run" if dry_run else config.mode
        clock = SystemClock()
        lease_s = config.worker.lease.total_seconds()
        refuse_unfinished(loaded.base)
        self.market = market or market_of(loaded)
        self.bound = binding_of(loaded, dry_run=where.dry_run)
        """The account at the broker; None where the broker is on this machine."""
        self.broker = broker_of(loaded, self.market, clock, where, following=not open_new, say=say)
        self.journal = open_account(where.journal_url, config.account, mode, clock, lease_s, say=say)
        self._require_ours(loaded)
        if isinstance(self.broker, TigerBroker):
            self.broker.trust(self.journal.state.probed)
        self.inbox = open_mailbox(where.journal_url, where.inbox, config.account, self.journal)
        self._hands = ThreadHands(config.execution.max_in_flight + 4)
        self.driver = Driver(
            self.journal,
            gate(self.broker),
            self.market,
            clock,
            self._hands,
            self.inbox,
            self._licensed(config),
            Settings(
                patient=loop,
                max_in_flight=config.execution.max_in_flight,
                messages_per_minute=config.execution.messages_per_minute,
                lease_s=lease_s,
                rate=rate,
            ),
            watcher=watcher,
            stopping=stopping,
        )
        self._tasks = StandingTasks(loaded, self.driver, loop=loop, signals=signals, followers=followers, say=say)
        self._worker = Worker(
            self.driver,
            Assignment(
                mode=mode,
                config_hash=loaded.hash,
                canonical=loaded.canonical,
                version=__version__,
                loop=loop,
                interval=config.worker.interval,
                open_new=open_new,
                bound=self.bound,
            ),
            wishes=self._tasks.wishes,
            new_cycle_id=new_cycle_id,
            rules_under=self._rules_under,
            unproved=self._unproved(),
            quiet=quiet,
            register=self._tasks.register,
            tend=self._tasks.tend,
        )

    def _require_ours(self, loaded: LoadedConfig) -> None:
        """Once more under the lease: no half restore, and no other broker or account than the journal's own."""
        try:
            refuse_unfinished(loaded.base)
            require_binding(self.journal.state, self.broker.name, self.bound)
            bind(self.journal, self.bound)
        except BaseException:
            self.journal.close()
            self.broker.close()
            raise

    def _licensed(self, config: Config) -> Rules:
        """The rules of a configuration, with the arming that they keep within."""
        return replace(rules_of(config), licences=licences(config, self.journal.state))

    def _unproved(self) -> Unproved | None:
        """A restore after which the broker was not asked yet; until then this engine sends nothing."""
        raw = statements(self.journal.connection)
        account, fence = self.journal.state.account, self.journal.lease.fence
        name = mark_of(account if self.journal.connection.dialect.name == "postgresql" else None)
        mark = read_mark(raw, name)
        return None if mark is None else Unproved(mark, lambda: lift_mark(raw, mark, account, fence, name))

    def _rules_under(self, config_hash: str) -> Rules | None:
        """The rules an open cycle began under; a blacklist of today acts at once all the same."""
        canonical = self.journal.config(config_hash)
        if canonical is None:
            return None
        own = self._licensed(config_from_canonical(canonical))
        return replace(own, blacklist=own.blacklist | self.driver.rules.blacklist)

    @property
    def last_entry_at(self) -> datetime | None:
        """When the newest fact of the journal was written; None for a new journal."""
        sql = "SELECT at FROM events WHERE account = ? ORDER BY seq DESC LIMIT 1"
        row = statements(self.journal.connection).execute(sql, (self.journal.state.account,)).fetchone()
        return None if row is None else from_instant(row[0])

    @property
    def cycles(self) -> int:
        """Cycles brought to their end so far."""
        return self._worker.cycles

    def run(self) -> Ending:
        """See :meth:`oms.engine.worker.Worker.run`."""
        return self._worker.run()

    def close(self) -> None:
        """Give back the lease and let go of every file; a failure of one keeps none of the others open."""
        try:
            self.journal.close()
        finally:
            self._tasks.close()
            self._hands.close()
            self.inbox.close()
            self.broker.close()
