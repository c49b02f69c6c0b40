"""The stair to a trial of the broker: a configuration in, orders for one share on a paper account, the proof journaled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from oms.choice_wiring import universe_of
from oms.config import LoadedConfig
from oms.errors import RefusedError, UsageError
from oms.gateways.system_clock import SystemClock
from oms.gateways.tiger import (
    Finding,
    Probe,
    TigerBroker,
    adapter,
    fingerprint,
)
from oms.journal.access import open_account
from oms.licence import bind, require_binding
from oms.model.event import AccountOpened
from oms.model.probing import BrokerProbed
from oms.operator_desk import author
from oms.places import places
from oms.ports import Broker, Clock, Journal
from oms.tiger_wiring import binding_of, client_of, credentials_of


def probe(
    loaded: LoadedConfig,
    *,
    symbol: str | None = None,
    say: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> tuple[Finding, ...]:
    """Try out the paper account of a configuration, for about three minutes, and journal what was proved.

    From then on, where ``broker.tiger.refuses_repeats`` claims nothing, an order in doubt may be sent again under its number
    for as long as the trial proved that this makes no second order.

    Args:
        symbol: the share to buy one of; None takes the first of the universe that the account does not hold.

    Raises:
        UsageError: the broker is not Tiger.
        RefusedError: the account is not a paper account or not that of the journal, or a cycle is open.
        LeaseHeldError: an engine is running.
        TryAgainError, BrokerUnavailable, CredentialsError: as :class:`oms.gateways.tiger.probing.Probe`, and at the login.
    """
    config, clock = loaded.config, clock or SystemClock()
    if config.broker.kind != "tiger":
        raise UsageError(f"broker.kind: found {config.broker.kind}; there is something to probe only at tiger")
    if config.mode != "paper":
        raise RefusedError(
            f"mode: {config.mode}; a probe places orders, so it is for mode: paper only; nothing was sent"
        )
    credentials, bound = credentials_of(loaded), binding_of(loaded)
    client = client_of(loaded, credentials, clock)
    with closing(TigerBroker(client, clock)) as broker:
        client.login()
        where, lease_s = places(loaded), config.worker.lease.total_seconds()
        with closing(open_account(where.journal_url, config.account, config.mode, clock, lease_s, say=say)) as journal:
            if journal.state.open_cycle is not None:
                raise RefusedError("a cycle is open; finish it first (`resume`), then probe; nothing was sent")
            require_binding(journal.state, broker.name, bound)
            _open(journal, broker, config.mode)
            bind(journal, bound)
            wanted = symbol or _unheld(loaded, broker)
            proof = Probe(client, broker, clock, wanted, say=say, beat=journal.renew).run()
            journal.append_barrier(
                [
                    BrokerProbed(
                        broker=broker.name,
                        account_kind=broker.account_kind.value,
                        fingerprint=fingerprint(credentials.account),
                        adapter=adapter(),
                        probed_at=clock.now(),
                        refused_for_s=proof.refused_for_s,
                        findings={finding.name: finding.found for finding in proof.findings},
                        author=author(),
                    )
                ]
            )
            return proof.findings


def _open(journal: Journal, broker: Broker, mode: str) -> None:
    """The first row of a new chain: what the account held before the trial."""
    if journal.state.seq:
        return
    funds = broker.funds()
    held = sorted(broker.positions(), key=lambda position: position.symbol)
    opened = AccountOpened(
        mode=mode, broker=broker.name, currency=funds.currency, cash=funds.cash, positions=tuple(held)
    )
    journal.append_barrier([opened])


def _unheld(loaded: LoadedConfig, broker: Broker) -> str:
    """A symbol of the universe that the account does not hold."""
    held = {position.symbol for position in broker.positions()}
    free = [symbol for symbol in universe_of(loaded) if symbol not in held]
    if not free:
        raise UsageError("the account holds every symbol of the universe; name another with --symbol")
    return free[0]
