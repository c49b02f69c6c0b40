"""The journal on PostgreSQL: the contract of every journal, and what is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oms.errors import FenceLostError, LeaseHeldError, RefusedError, StorageError
from oms.journal import views
from oms.journal.postgres.address import parse, writers
from oms.journal.postgres.inbox import PostgresInbox
from oms.journal.postgres.journal import PostgresJournal, open_postgres
from oms.journal.reader import open_reader
from oms.journal.rebuild import rebuild
from oms.journal.verify import verify
from oms.model.event import AttentionRaised
from oms.model.order import Side
from tests.contract.journal_contract import JournalContract, Open, contents
from tests.fakes.clock import FakeClock
from tests.journal.facts import ACCOUNT, Script, account_opened, full_story, write
from tests.postgres.server import Server

ATTENTION = AttentionRaised(rule="test", text="test")


class TestContract(JournalContract):
    """PostgreSQL keeps every promise of the port."""

    @pytest.fixture
    def clock(self, clock: FakeClock) -> FakeClock:
        return clock

    @pytest.fixture
    def open_one(self, open_one: Open) -> Open:
        return open_one


class TestAppendOnly:
    """What is written stays as it was written, even for the server's own superuser."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE events SET data = '{}' WHERE seq = 1",
            "DELETE FROM events WHERE seq = 2",
            "DELETE FROM events",
            "TRUNCATE events",
            "TRUNCATE events_07",
            "TRUNCATE events CASCADE",
            "INSERT INTO events SELECT * FROM events WHERE seq = 1 ON CONFLICT (account, seq) DO UPDATE SET data = '{}'",
            "MERGE INTO events e USING (SELECT 1 AS seq) n ON e.seq = n.seq WHEN MATCHED THEN DELETE",
            "UPDATE configs SET canonical = ''",
            "DELETE FROM configs",
            "TRUNCATE configs",
        ],
    )
    def test_a_written_row_cannot_be_changed(
        self, journal: PostgresJournal, server: Server, database: str, statement: str
    ) -> None:
        """Update, delete, truncate and what amounts to them are refused."""
        journal.keep_config("h", "{}")
        journal.append_barrier([account_opened()])
        write(journal, Script().commits())
        with server.connect(database) as raw:
            raw.execute("SET search_path = oms")
            before = raw.execute("SELECT * FROM events ORDER BY seq").fetchall()
            with pytest.raises(psycopg.Error, match="append-only"):
                raw.execute(statement.encode())
            assert raw.execute("SELECT * FROM events ORDER BY seq").fetchall() == before

    @pytest.mark.parametrize("what", ["seq", "version", "cycle"])
    def test_no_row_has_a_double(self, journal: PostgresJournal, server: Server, database: str, what: str) -> None:
        """A second row of the same place, version, or a second open cycle of an account, is refused by a key."""
        journal.append_barrier([account_opened()])
        journal.append([Script().opened()])
        doubles = {
            "seq": "INSERT INTO events SELECT account, seq, at, NULL, NULL, NULL, NULL, kind, data, hash FROM events",
            "version": "INSERT INTO events SELECT account, seq + 9, at, cycle_id, version, NULL, NULL, kind, data, hash"
            " FROM events WHERE version = 1",
            "cycle": "INSERT INTO cycles SELECT cycle_id || 'x', account, opened_seq + 1, phase, phase_since, deadline,"
            " outcome, opened_at, closed_at, trading_day, settles, fence, resumed, sells, buys, cut, config_hash, source"
            " FROM cycles",
        }
        there = server.connect(database, options="-c search_path=oms")
        with there as raw, pytest.raises(psycopg.errors.UniqueViolation):
            raw.execute(doubles[what].encode())


class TestDurability:
    """What a commit means, and what happens when one fails."""

    def test_a_barrier_waits_for_the_disk_and_a_soft_commit_does_not(
        self, journal: PostgresJournal, server: Server, database: str
    ) -> None:
        """The level is that of the very transaction: a trigger writes it down with the rows."""
        server.execute("CREATE UNLOGGED TABLE oms.seen (level text)", database)
        server.execute(
            "CREATE FUNCTION oms.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO oms.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$",
            database,
        )
        server.execute(
            "CREATE TRIGGER look AFTER INSERT ON oms.events FOR EACH STATEMENT EXECUTE FUNCTION oms.look()", database
        )
        journal.append_barrier([account_opened()])
        journal.append([ATTENTION, ATTENTION])
        journal.append_barrier([ATTENTION])
        with server.connect(database) as raw:
            seen = [level for (level,) in raw.execute("SELECT level FROM oms.seen")]
            raw.execute("DROP TRIGGER look ON oms.events; DROP FUNCTION oms.look; DROP TABLE oms.seen")
        assert seen == ["on", "off", "on"]
        assert (journal.head.seq, journal.head.barrier_seq) == (4, 4)

    @pytest.mark.parametrize("level", ["off", "local"])
    def test_a_server_whose_commits_do_not_last_is_refused(
        self, server: Server, database: str, open_one: Open, level: str
    ) -> None:
        """Nothing may rest on a server that acknowledges what is not on its disk, or not on its standby's: exit 5."""
        address = parse(server.url(database))
        server.execute(f"ALTER DATABASE {database} SET synchronous_commit = {level}")
        writers(address.server, address.schema).dispose()
        try:
            with pytest.raises(RefusedError, match=f"synchronous_commit={level}"):
                open_one()
        finally:
            server.execute(f"ALTER DATABASE {database} RESET synchronous_commit")

    def test_no_barrier_is_taken_on_trust(self, journal: PostgresJournal) -> None:
        """A session whose commits stopped waiting for the disk writes no intent."""
        journal.append_barrier([account_opened()])
        journal._pg.execute("SET synchronous_commit = off")
        with pytest.raises(RefusedError, match="would not reach the disk"):
            journal.append_barrier([ATTENTION])

    def test_a_recovered_server_is_noticed_by_the_next_barrier(
        self, journal: PostgresJournal, server: Server, database: str, open_one: Open
    ) -> None:
        """Once the server has emptied the token, no barrier of before goes through, and the next holder's token differs."""
        journal.append_barrier([account_opened()])
        server.execute("TRUNCATE oms.restart_token", database)
        journal.append([ATTENTION])
        with pytest.raises(StorageError, match="recovered from a crash"):
            journal.append_barrier([ATTENTION])
        successor = open_one(alive=False)
        assert successor.lease.restart_token != journal.lease.restart_token
        assert successor.state.seq == 2

    def test_a_copy_of_the_database_has_another_token(
        self, server: Server, own_database: str, clock: FakeClock
    ) -> None:
        """Even though the copy has the row of the original: soft commits and sends of the original are not in it."""
        address = parse(server.url(own_database))
        journal = open_postgres(address, ACCOUNT, "paper", clock, 15.0)
        journal.append_barrier([account_opened()])
        journal.close()
        writers(address.server, address.schema).dispose()
        copy = server.new_database(source=own_database)
        try:
            successor = open_postgres(parse(server.url(copy)), ACCOUNT, "paper", clock, 15.0)
            assert successor.state.seq == 1
            assert successor.lease.restart_token != journal.lease.restart_token
            successor.close()
        finally:
            server.drop(copy)

    def test_a_failed_journal_is_of_no_more_use(self, journal: PostgresJournal, server: Server, database: str) -> None:
        """After a lost connection every call says so; nothing is retried behind the caller's back."""
        journal.append_barrier([account_opened()])
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{database}' AND pid <> pg_backend_pid()"
        )
        with pytest.raises(StorageError):
            journal.append([ATTENTION])
        with pytest.raises(StorageError, match="ended its use"):
            journal.append([ATTENTION])


class TestManyAccounts:
    """One database, many accounts, nothing between them."""

    def test_accounts_do_not_see_each_other(self, open_one: Open, server: Server, database: str) -> None:
        """The very same story twice, every id and number the same: two chains, two pictures, no row overwritten."""
        one, two = open_one(account="one"), open_one(account="two")
        for journal in (one, two):
            full_story(journal)
        assert one.head.seq == two.head.seq
        assert one.head.hash != two.head.hash
        two.append([ATTENTION])
        answers = []
        for name in ("one", "two"):
            with closing(open_reader(server.url(database, account=name))) as reader:
                assert verify(reader).problem == ""
                answers.append([views.order_list(reader, limit=99), views.cycle_list(reader)["cycles"][0]["account"]])
                with reader.asking("counting") as connection:
                    # A question that forgets the account is asked about this one all the same.
                    counted = connection.exec_driver_sql("SELECT count(*), max(seq) FROM events").one()
                answers[-1].append(tuple(counted))
        assert answers[0][0] == answers[1][0]
        assert [a[1] for a in answers] == ["one", "two"]
        assert [a[2] for a in answers] == [(one.head.seq,) * 2, (two.head.seq,) * 2]
        with pytest.raises(LeaseHeldError):
            open_one(account="one")

    def test_the_mode_is_each_accounts_own(
        self, open_one: Open, server: Server, database: str, clock: FakeClock
    ) -> None:
        """A journal never changes its mode: exit 5; another account of the same database may have another."""
        open_one().close()
        address = parse(server.url(database))
        with pytest.raises(RefusedError, match="mode 'paper'"):
            open_postgres(address, ACCOUNT, "live", clock, 15.0)
        other = open_postgres(address, "other", "live", clock, 15.0)
        other.close()

    def test_two_workers_that_want_one_account_at_once(self, server: Server, database: str, clock: FakeClock) -> None:
        """Of many that take the lease of a new account in the same instant, one gets it; fences are not given twice."""
        address = parse(server.url(database))
        start, taken, refused = threading.Barrier(6), [], []

        def take() -> None:
            start.wait()
            try:
                taken.append(open_postgres(address, "fresh", "paper", clock, 15.0))
            except LeaseHeldError:
                refused.append(1)

        crowd = [threading.Thread(target=take) for _ in range(6)]
        for each in crowd:
            each.start()
        for each in crowd:
            each.join()
        assert (len(taken), len(refused)) == (1, 5)
        assert taken[0].lease.fence == 1
        taken[0].close()


class TestVerification:
    """The journal can be proved on PostgreSQL as in a file."""

    @pytest.fixture
    def story(self, journal: PostgresJournal, server: Server, database: str) -> str:
        """A journal with everything in it, closed, beside another account; its address."""
        full_story(journal)
        journal.close()
        return server.url(database, account=ACCOUNT)

    def tamper(self, server: Server, database: str, statement: str) -> None:
        with server.connect(database) as raw:
            raw.execute("SET search_path = oms")
            raw.execute("SET session_replication_role = replica")  # no trigger of ours fires
            raw.execute(statement.encode())

    def test_a_whole_journal_is_whole(self, story: str) -> None:
        """Chain, head and every table."""
        reader = open_reader(story)
        verdict = verify(reader)
        assert (verdict.ok, verdict.problem) == (True, "")
        assert verdict.rows > 50

    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("UPDATE events SET data = replace(data, 'paper', 'Paper') WHERE seq = 1", "row 1 is not what was written"),
            ("DELETE FROM events WHERE seq = 20", "row 20 is missing"),
            ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)", "rows were cut"),
            ("UPDATE orders SET cum_qty = cum_qty + 1 WHERE cl_ord_id LIKE '0001SELL%'", "table orders"),
            ("DELETE FROM fills WHERE seq = (SELECT min(seq) FROM fills)", "table fills"),
            ("INSERT INTO holdings VALUES ('paper-main', 'ZZZ', 1, 1, 1)", "follows from no fact"),
        ],
    )
    def test_a_changed_row_is_named(
        self, story: str, server: Server, database: str, statement: str, problem: str
    ) -> None:
        """The first bad row, in the facts or in a table."""
        self.tamper(server, database, statement)
        verdict = verify(open_reader(story))
        assert not verdict.ok
        assert problem in verdict.problem

    def test_tables_are_cast_anew(self, story: str, server: Server, database: str, clock: FakeClock) -> None:
        """`journal rebuild` mends every table of the account, and the next start finds the state it had."""
        holder = open_postgres(parse(story), ACCOUNT, "paper", clock, 15.0)
        before = contents(holder.state)
        holder._break("its process is gone")
        clock.advance(timedelta(minutes=1))
        for table in ("orders", "fills", "holdings", "cycles"):
            self.tamper(server, database, f"DELETE FROM {table}")
        assert rebuild(story, ACCOUNT, "paper", clock) > 50
        assert verify(open_reader(story)).ok
        after = open_postgres(parse(story), ACCOUNT, "paper", clock, 15.0)
        assert contents(after.state) == before
        after.close()

    def test_anchors_show_a_cut_tail(
        self, open_one: Callable[..., Any], server: Server, database: str, clock: FakeClock, tmp_path: Path
    ) -> None:
        """Heads that a barrier covered are kept in a file; a database restored from before one is refused."""
        url = server.url(database, account="anchored", anchors=str(tmp_path / "anchored.anchors"))
        journal = open_postgres(parse(url), "anchored", "paper", clock, 15.0)
        journal.append_barrier([account_opened()])
        journal.append_barrier([ATTENTION])
        journal.close()
        assert verify(open_reader(url)).anchors == 1
        self.tamper(server, database, "DELETE FROM events WHERE account = 'anchored' AND seq = 2")
        self.tamper(
            server, database, "UPDATE heads SET seq = 1, hash = (SELECT hash FROM events WHERE account = 'anchored')"
            " WHERE account = 'anchored'"
        )  # fmt: skip
        with pytest.raises(Exception, match="tail was cut off"):
            open_postgres(parse(url), "anchored", "paper", clock, 15.0)


class TestMailbox:
    """Commands reach the engine once, in their order."""

    @pytest.fixture
    def inbox(self, server: Server, database: str) -> PostgresInbox:
        return PostgresInbox(parse(server.url(database)), ACCOUNT)

    def test_a_command_is_found_and_answered(self, inbox: PostgresInbox) -> None:
        """With its author and arguments; until somebody journals it there is no answer."""
        first = inbox.post("ada", "halt", {"reason": "störm\x00"})
        assert first == 1
        assert inbox.answer(first) is None
        (message,) = inbox.unread(0)
        assert (message.author, message.command, message.arguments) == ("ada", "halt", {"reason": "störm\x00"})
        inbox.taken(first, "halted")
        assert inbox.answer(first) == "halted"
        assert inbox.unread(first) == []

    def test_numbers_go_on_after_what_the_journal_has_obeyed(
        self, inbox: PostgresInbox, journal: PostgresJournal
    ) -> None:
        """A journal that was moved here has obeyed commands of another mailbox: none of its numbers is used again."""
        full_story(journal)
        assert inbox.post("ada", "release") == journal.state.inbox_id + 1

    def test_a_crowd_leaves_no_gap(self, inbox: PostgresInbox) -> None:
        """Whoever sees a number has seen every lower one, so none is passed over."""
        seen: list[int] = []
        stop = threading.Event()

        def engine() -> None:
            while not stop.is_set() or inbox.unread(seen[-1] if seen else 0):
                seen.extend(m.inbox_id for m in inbox.unread(seen[-1] if seen else 0))

        reading = threading.Thread(target=engine)
        reading.start()
        crowd = [threading.Thread(target=lambda: [inbox.post("x", "halt") for _ in range(10)]) for _ in range(4)]
        for each in crowd:
            each.start()
        for each in crowd:
            each.join()
        stop.set()
        reading.join()
        assert seen == list(range(1, 41))


def test_a_stale_holder_is_told_who_took_its_account(journal: PostgresJournal, open_one: Open) -> None:
    """The refusal names the process, the machine and both fences."""
    journal.append_barrier([account_opened()])
    open_one(alive=False)
    with pytest.raises(FenceLostError, match=r"process \d+ on .* took the lease of paper-main \(fence 2, ours was 1\)"):
        journal.append([Script().opened()])


def test_a_sell_survives_with_its_number(journal: PostgresJournal, open_one: Open) -> None:
    """The reserved number, its token and fence are what the next process reads."""
    journal.append_barrier([account_opened()])
    script = Script(fence=journal.lease.fence)
    journal.append([script.opened(), *script.planned(Side.SELL)])
    journal.append_barrier([script.reserved(i) for i in script.intents(Side.SELL)])
    again = open_one(alive=False)
    assert [o.order_no for o in again.state.cycle.orders.values()] == ["1-SELL-0", "1-SELL-1"]
