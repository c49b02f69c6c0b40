"""What holds for the whole fleet: the registry, the brake, the notional of a day, the shared message rate."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from decimal import Decimal

import pytest

from oms.config import LoadedConfig
from oms.errors import Refused, RefusedError, UsageError
from oms.fleet import brake, limits, registry
from oms.fleet.database import Database
from oms.fleet.limits import NOTIONAL, RATE, SharedRate, behind_gate
from oms.fleet.worker import refuse_wrong_clock
from oms.journal.postgres.inbox import PostgresInbox
from oms.model.order import OrderRequest, OrdType, Side
from oms.ports import Broker
from tests.fleet.conftest import member


def order(side: Side, quantity: int, price: str | None = "10") -> OrderRequest:
    return OrderRequest(
        cl_ord_id="x", order_no="1", symbol="S", side=side, ord_type=OrdType.LIMIT, order_qty=quantity,
        price=None if price is None else Decimal(price),
    )  # fmt: skip


class Outside:
    """Takes every order."""

    name = "outside"

    def __init__(self) -> None:
        self.placed: list[OrderRequest] = []

    def place(self, order: OrderRequest) -> str:
        self.placed.append(order)
        return "id"


def add(database: Database, loaded: LoadedConfig, *accounts: str, **overlay: str) -> None:
    for account in accounts:
        registry.add(database, loaded, member(account, overlay, None, 1.0))


class TestRegistry:
    """Who belongs to the fleet, and with what settings."""

    def test_each_account_has_its_own_settings(self, database: Database, loaded: LoadedConfig) -> None:
        """The fleet's configuration, with the account's overlay; its name and the database are never overlaid."""
        registry.add(database, loaded, member("a-1", {"risk.max_trades_per_day": "7"}, "file:/run/secrets/a", 5.0))
        own = registry.config_of(loaded, registry.one(database, "a-1"))
        assert (own.config.account, own.config.risk.max_trades_per_day) == ("a-1", 7)
        assert own.config.broker.tiger.properties == "/run/secrets/a"
        assert own.config.broker.paper.file == "var/fleet/a-1/paper.db"
        assert own.config.journal.url == loaded.config.journal.url
        assert own.hash != loaded.hash

    @pytest.mark.parametrize(
        ("account", "overlay", "secret", "sentence"),
        [
            ("a b", {}, None, "no name of an account"),
            ("ä", {}, None, "no name of an account"),
            ("a", {"account": "b"}, None, "the same for the whole fleet"),
            ("a", {"journal.url": "x"}, None, "the same for the whole fleet"),
            ("a", {"risk.max_trades": "7"}, None, "not a setting"),
            ("a", {"risk.max_trades_per_day": "many"}, None, "max_trades_per_day"),
            ("a", {}, "hunter2", "never goes into the database"),
            ("a", {}, "file:secrets/a", "absolute path"),
        ],
    )
    def test_what_is_of_no_use_is_refused(
        self,
        database: Database,
        loaded: LoadedConfig,
        account: str,
        overlay: dict[str, str],
        secret: str,
        sentence: str,
    ) -> None:
        """With the reason, and nothing is added: exit 2."""
        with pytest.raises(UsageError, match=sentence):
            registry.add(database, loaded, member(account, overlay, secret, 1.0))
        assert database.ask("SELECT account FROM fleet_accounts") == []

    def test_only_a_paused_account_is_removed(self, database: Database, loaded: LoadedConfig) -> None:
        """So that nobody forgets an account in the middle of its cycle."""
        add(database, loaded, "a")
        with pytest.raises(UsageError, match="pause"):
            registry.remove(database, "a")
        registry.pause(database, "a", "audit")
        registry.remove(database, "a")
        with pytest.raises(UsageError, match="does not belong"):
            registry.one(database, "a")


class TestTheBrake:
    """One command stops every account."""

    def test_every_mailbox_gets_it(self, database: Database, loaded: LoadedConfig) -> None:
        """With the next number of each, and its author; release takes it off everywhere."""
        add(database, loaded, "a", "b", "c")
        boxes = {name: PostgresInbox(database.address, name) for name in "abc"}
        boxes["b"].post("ada", "release")
        assert brake.halt(database, "ada@desk", "all", "storm") == 3
        assert brake.standing_halt(database) == {"scope": "all", "reason": "storm", "author": "ada@desk"}
        assert [boxes[name].unread(0)[-1].inbox_id for name in "abc"] == [1, 2, 1]
        message = boxes["c"].unread(0)[-1]
        assert (message.command, message.author) == ("halt", "ada@desk")
        assert message.arguments == {"scope": "all", "reason": "storm"}
        assert brake.release(database, "ada@desk", "calm") == 3
        assert brake.standing_halt(database) is None
        assert boxes["a"].unread(1)[-1].command == "release"

    def test_it_reaches_more_accounts_than_a_server_has_locks(self, database: Database, loaded: LoadedConfig) -> None:
        """Twenty thousand accounts, in one transaction and with one lock."""
        add(database, loaded, "a")
        many = "SELECT 'x' || n, '{}', 1 FROM generate_series(2, 20000) n"
        database.do(f"INSERT INTO fleet_accounts (account, overlay, every_s) {many}")  # our own words
        assert brake.halt(database, "ada", "all", "storm") == 20_000
        assert PostgresInbox(database.address, "x777").unread(0)[-1].command == "halt"

    def test_a_post_in_between_keeps_the_numbers_whole(self, database: Database, loaded: LoadedConfig) -> None:
        """Who posts to one account while all are told waits, and neither command takes the other's number."""
        add(database, loaded, "a", "b")
        told: list[int] = []

        def post() -> None:
            box = PostgresInbox(database.address, "a")
            told.extend(box.post("bob", "release") for _ in range(20))

        crowd = [threading.Thread(target=post) for _ in range(2)]
        for each in crowd:
            each.start()
        for _ in range(10):
            brake.halt(database, "ada", "buys", "storm")
        for each in crowd:
            each.join()
        ids = [message.inbox_id for message in PostgresInbox(database.address, "a").unread(0)]
        assert ids == list(range(1, 51))

    def test_one_account_can_be_halted_by_itself(self, database: Database, loaded: LoadedConfig) -> None:
        """The others trade on; one that does not belong to the fleet is no account of it."""
        add(database, loaded, "a", "b")
        brake.tell(database, "a", "ada", "halt", {"scope": "all", "reason": "storm"})
        assert PostgresInbox(database.address, "a").unread(0)[-1].arguments["scope"] == "all"
        assert PostgresInbox(database.address, "b").unread(0) == []
        with pytest.raises(UsageError, match="does not belong"):
            brake.tell(database, "c", "ada", "halt", {})


class TestNotional:
    """The fleet trades no more in a day than its limit, over all workers."""

    def gate(self, database: Database) -> tuple[Broker, Outside]:
        outside = Outside()
        broker: Broker = outside  # type: ignore[assignment]  # as much of a broker as this needs
        return behind_gate(broker, database), outside

    def test_a_buy_beyond_it_never_leaves(self, database: Database) -> None:
        """Up to the limit to the cent; then a definite refusal, for which nothing was sent. Sells count and go on."""
        limits.set_limit(database, "ada", NOTIONAL, Decimal(1000))
        gate, outside = self.gate(database)
        gate.place(order(Side.BUY, 60))
        with pytest.raises(Refused, match="notional"):
            gate.place(order(Side.BUY, 41))
        gate.place(order(Side.BUY, 40))
        gate.place(order(Side.SELL, 500))
        with pytest.raises(Refused):
            gate.place(order(Side.BUY, 1))
        assert [o.order_qty for o in outside.placed] == [60, 40, 500]

    def test_many_workers_cannot_pass_it_together(self, database: Database) -> None:
        """Forty orders of eight threads at once, for a limit of twenty-five."""
        limits.set_limit(database, "ada", NOTIONAL, Decimal(2500))
        gate, outside = self.gate(database)

        def trade() -> None:
            for _ in range(5):
                with suppress(Refused):
                    gate.place(order(Side.BUY, 10))

        crowd = [threading.Thread(target=trade) for _ in range(8)]
        for each in crowd:
            each.start()
        for each in crowd:
            each.join()
        assert len(outside.placed) == 25

    def test_without_a_limit_everything_leaves(self, database: Database) -> None:
        """No limit is set by default, and a limit can be lifted."""
        limits.set_limit(database, "ada", NOTIONAL, Decimal(1))
        limits.set_limit(database, "ada", NOTIONAL, None)
        gate, outside = self.gate(database)
        gate.place(order(Side.BUY, 1_000_000))
        assert len(outside.placed) == 1
        assert gate.name == "outside"

    @pytest.mark.parametrize(
        ("name", "value"),
        [("notional", "1"), (NOTIONAL, "0"), (NOTIONAL, "-5"), (f"{RATE}x", "1.5"), (RATE, "5"), (NOTIONAL, "NaN")],
    )
    def test_a_bad_limit_is_refused(self, database: Database, name: str, value: str) -> None:
        """With what was expected: exit 2."""
        with pytest.raises(UsageError):
            limits.set_limit(database, "ada", name, Decimal(value))


def test_one_rate_for_all_who_share_a_credential(database: Database) -> None:
    """Whoever asks, in a minute no more than so many messages leave: here all at once from four sides."""
    taken: list[bool] = []

    def ask() -> None:
        rate = SharedRate(database, "desk", 600)
        taken.extend(rate.take() for _ in range(40))

    crowd = [threading.Thread(target=ask) for _ in range(4)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    # A burst of 60, and then one each 0.11 s for as long as this took.
    assert 60 <= sum(taken) < 160
    rate = SharedRate(database, "desk", 600)
    while rate.take():
        pass
    assert 0 < rate.wait() < 0.2
    assert SharedRate(database, "other", 600).take()


@pytest.mark.parametrize("gap", [-60.0, 60.0])
def test_a_machine_with_a_wrong_clock_takes_no_account(database: Database, gap: float) -> None:
    """Whether a lease has ended is told by clocks, so they must agree: exit 5, with what mends it."""
    refuse_wrong_clock(database, time.time())
    with pytest.raises(RefusedError, match="NTP"):
        refuse_wrong_clock(database, time.time() + gap)
