"""Checks the commands that read: the shape of each answer, what they say to a person, and what they do not import."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from oms.gateways.system_clock import SystemClock
from oms.journal.store import open_journal
from oms.model.kinds import KINDS
from tests.cli.conftest import Oms
from tests.journal.facts import Script, account_opened, full_story, write
from tests.journal.tampering import put_guard_on, take_guard_off

ROOT = Path(__file__).parents[2]

EVENT = "seq at account cycle_id cl_ord_id kind data hash"
CYCLE = "cycle_id account phase outcome opened_at closed_at resumed sells buys cut config_hash"
ORDER = (
    "cl_ord_id cycle_id sends side symbol ord_type price order_qty cum_qty leaves_qty avg_px fees ord_status order_no "
    "order_id planned_at sent_at closed_at text"
)
METRICS = (
    "cycles buy_success_rate sell_to_buy_delay_s funds_used_share revalidated cut_by_rule liquidity_errors duplicates"
)
# The public surface, word for word: command, its fields, and the fields of the rows below them.
SHAPES: dict[str, tuple[str, dict[str, str]]] = {
    "status": (
        "schema account mode phase cycle_id waiting_for halted funds trades_today heartbeat tasks journal",
        {"journal": "seq head"},
    ),
    "cycle list": ("schema cycles", {"cycles": CYCLE}),
    "cycle show": (
        "schema cycle orders events funds cuts",
        {
            "cycle": CYCLE,
            "orders": ORDER,
            "events": EVENT,
            "funds": "at cash settled_cash buying_power spendable",
            "cuts": "symbol from to rule reason",
        },
    ),
    "order list": ("schema orders", {"orders": ORDER}),
    "journal query": ("schema events", {"events": EVENT}),
    "journal tail": ("schema events", {"events": EVENT}),
    "funds": (
        "schema cash settled_cash unsettled_cash buying_power spendable reserved currency as_of",
        {},
    ),
    "positions": (
        "schema positions as_of",
        {"positions": "symbol qty avg_cost last_px market_value unrealized_pnl score"},
    ),
    "select": ("schema as_of scores", {"scores": "symbol score rank excluded_by"}),
    "pnl": (
        "schema today total by_symbol as_of",
        {"today": "realised unrealised", "total": "realised unrealised", "by_symbol": "symbol realised unrealised"},
    ),
    "risk": (
        "schema trading_day halted limits blacklist frozen settlement",
        {"limits": "rule key unit side limit used share state about blocked meaning"},
    ),
    "report": (
        f"schema {METRICS} by_day",
        {
            "sell_to_buy_delay_s": "p50 p95 max",
            "by_day": f"day {METRICS}",
        },
    ),
    "blacklist list": ("schema symbols", {"symbols": "symbol reason author until"}),
    "journal verify": ("schema ok seq head bad_row problem remedy", {}),
    "db current": ("schema file found needed problem", {}),
    "config show": ("schema hash config", {}),
    "config check": ("schema ok file account mode hash universe", {}),
    "sim points": ("schema points", {"points": "name when"}),
}
CLOSED = Script(1).cycle_id
"""The story's cycle that has everything in it."""
MONEY = {
    "cash",
    "settled_cash",
    "buying_power",
    "spendable",
    "reserved",
    "price",
    "avg_px",
    "fees",
    "market_value",
    "realised",
    "bought",
}
INSTANTS = {"at", "as_of", "heartbeat", "opened_at", "closed_at", "planned_at", "sent_at"}


@pytest.fixture
def story(folder: Path) -> Path:
    """A journal with three cycles and everything in them, the last one open."""
    with_journal(folder, full_story)
    return folder


def with_journal(folder: Path, tell: Any) -> None:
    journal = open_journal(f"sqlite:///{folder / 'var' / 'oms.db'}", "paper-main", "paper", SystemClock())
    tell(journal)
    journal.close()


def parked(journal: Any) -> None:
    """A cycle that ended with a buy in quarantine."""
    journal.append_barrier([account_opened()])
    write(journal, Script(1, sells=1, buys=2, fence=journal.lease.fence).commits(park_last_buy=True))


# ---- shapes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", SHAPES)
@pytest.mark.parametrize("told", [True, False], ids=["with a journal", "before the first run"])
def test_json_has_the_promised_fields(folder: Path, oms: Oms, command: str, told: bool) -> None:
    """One object, its schema named after the command, every field and every row's field of the public surface."""
    if told:
        with_journal(folder, full_story)
    elif command == "cycle show":
        pytest.skip("there is no cycle to show")
    words = [*command.split(), CLOSED] if command == "cycle show" else command.split()
    answer = oms(*words, "--json").json
    fields, rows = SHAPES[command]
    assert answer["schema"] == f"oms.{command.replace(' ', '-')}/1"
    assert set(fields.split()) <= answer.keys()
    for name, expected in rows.items():
        found = answer[name] if isinstance(answer[name], list) else [answer[name]]
        assert not told or found, f"the story has no {name}"
        for row in found:
            assert set(expected.split()) <= row.keys()


@pytest.mark.parametrize("command", SHAPES)
def test_money_is_text_and_instants_are_utc(story: Path, oms: Oms, command: str) -> None:
    """No amount is a JSON number, and every instant is RFC 3339 in UTC."""
    for name, value in leaves(oms(*command.split(), "--json").json):
        if name in MONEY:
            assert value is None or isinstance(value, str), name
        if name in INSTANTS and value is not None and command != "select":
            assert value.endswith("Z"), (name, value)


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key not in ("data", "config"):  # the facts and settings themselves have shapes of their own
                yield from leaves(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from leaves(value, name)
    else:
        yield name, tree


def test_the_plan_has_its_shape_and_writes_no_journal(tiny: Path, oms: Oms) -> None:
    """``plan`` shows sells and validated buys with the rule and reason of each, and journals nothing."""
    answer = oms("plan", "--signals", "plan.csv", "--json").json
    assert {"schema", "sells", "buys", "budget", "as_of"} <= answer.keys()
    (buy,) = answer["buys"]
    assert {"symbol", "quantity", "limit", "value", "score", "rule", "reason"} <= buy.keys()
    assert (buy["symbol"], buy["planned"], buy["rule"]) == ("BBB", 400, "funds_fraction")
    assert [sell["symbol"] for sell in answer["sells"]] == ["AAA"]
    assert not (tiny / "var" / "oms.db").exists()
    shown = oms("plan", "--signals", "plan.csv")
    assert "for 2024-03-07, nothing is sent" in shown.out


def test_a_halt_is_shown_by_the_plan(tiny: Path, oms: Oms) -> None:
    """Whoever looks at the plan of a halted account is told that none of it will be done."""
    assert oms("run", "--signals", "plan.csv").code == 0
    assert oms("plan", "--signals", "plan.csv", "--json").json["halted"] is None
    oms("halt", "--all", "--reason", "storm")
    answer = oms("plan", "--signals", "plan.csv", "--json").json
    assert (answer["halted"]["scope"], answer["halted"]["reason"]) == ("all", "storm")
    shown = oms("plan", "--signals", "plan.csv").out
    assert "HALTED by" in shown
    assert "no order is sent until `release`: storm" in shown
    assert "HALTED by" in oms("risk").out


@pytest.mark.parametrize("command", [*SHAPES, "plan", "order show", "journal query --format csv"])
def test_every_answer_can_be_read_by_a_person(story: Path, oms: Oms, command: str) -> None:
    """Without --json the answer is lines of text on stdout, and nothing fails."""
    words = command.split()
    if command == "order show":
        words.append(oms("order", "list", "--json").json["orders"][0]["cl_ord_id"])
    done = oms(*words)
    assert done.code == 0
    assert done.out.strip()
    assert not done.out.startswith("{")


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_a_quarantined_order_makes_the_status_end_with_3(folder: Path, oms: Oms) -> None:
    """An order that a person must look at is named, and the exit code says so to a script."""
    with_journal(folder, parked)
    done = oms("status")
    assert done.code == 3
    assert "1 order in quarantine: a person must look, `order list --unresolved`" in done.out
    assert oms("status", "--json").code == 3
    listed = oms("order", "list", "--unresolved", "--json").json["orders"]
    assert [(order["ord_status"], order["quarantined"]) for order in listed] == [("UNKNOWN", True)]


def test_a_halt_stands_in_the_status(story: Path, oms: Oms) -> None:
    """The status names who halted what and why, and waits for the release."""
    done = oms("status")
    assert "HALTED by ada, no order is sent: storm" in done.out
    assert "waiting for `release`: ada halted every order (storm)" in done.out


def test_amounts_are_grouped_for_people(story: Path, oms: Oms) -> None:
    """People read thousands separators and cents."""
    assert "$20,000.10" in oms("cycle", "show", oms("cycle", "list", "--json").json["cycles"][0]["cycle_id"]).out


def test_a_thing_that_is_not_there_is_a_usage_error(story: Path, oms: Oms) -> None:
    """Naming a cycle or an order that does not exist ends with 2 and says where to look."""
    for words in (["cycle", "show", "c-nope"], ["order", "show", "nope"]):
        done = oms(*words)
        assert done.code == 2
        assert f"`{words[0]} list` shows" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["journal", "query", "--kind", "order_fild"],
        ["journal", "query", "--since", "tomorrow-ish"],
        ["journal", "query", "--json", "--format", "csv"],
        ["journal", "query", "--symbol", "a b"],
        ["order", "list", "--status", "OPENISH"],
        ["cycle", "list", "--outcome", "great"],
    ],
)
def test_a_wrong_filter_says_what_is_right(story: Path, oms: Oms, words: list[str]) -> None:
    """A filter that can match nothing by mistake is refused with exit 2."""
    done = oms(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("oms: ")


def test_rows_can_be_had_as_csv_and_as_json_lines(story: Path, oms: Oms) -> None:
    """Both forms stream every matching fact, oldest first, and hold the same."""
    as_lines = [json.loads(line) for line in oms("journal", "query", "--format", "jsonl").out.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(oms("journal", "query", "--format", "csv").out)))
    as_object = oms("journal", "query", "--json").json["events"]
    assert [row["seq"] for row in as_lines] == list(range(1, len(as_lines) + 1))
    assert as_lines == as_object
    assert [int(row["seq"]) for row in as_csv] == [row["seq"] for row in as_lines]
    assert [json.loads(row["data"]) for row in as_csv] == [row["data"] for row in as_lines]


def test_filters_narrow_the_facts(story: Path, oms: Oms) -> None:
    """Kind, order and limit each leave only what they name."""
    filled = oms("journal", "query", "--kind", "order_filled", "--json").json["events"]
    assert {event["kind"] for event in filled} == {"order_filled"}
    one = filled[0]["cl_ord_id"]
    of_order = oms("journal", "query", "--order", one, "--json").json["events"]
    assert {event["cl_ord_id"] for event in of_order} == {one}
    assert len(oms("journal", "query", "--limit", "3", "--json").json["events"]) == 3
    assert len(oms("journal", "tail", "-n", "2", "--json").json["events"]) == 2
    assert set(KINDS) >= {event["kind"] for event in oms("journal", "query", "--json").json["events"]}


def test_a_changed_row_is_named_with_its_remedy(story: Path, oms: Oms) -> None:
    """``journal verify`` ends with 3 at the first bad row; as JSON too."""
    assert oms("journal", "verify", "--full").code == 0
    with sqlite3.connect(story / "var" / "oms.db") as raw:
        guard = take_guard_off(raw)
        raw.execute("UPDATE events SET data = replace(data, 'lunch', 'lurch') WHERE kind = 'halted'")
        put_guard_on(raw, guard)
    raw.close()
    done = oms("journal", "verify")
    assert done.code == 3
    assert "row " in done.err
    assert "backup" in done.err
    answer = oms("journal", "verify", "--json")
    assert (answer.code, answer.json["ok"]) == (3, False)
    assert answer.json["bad_row"]


def test_a_file_that_is_no_journal_is_said_to_be_none(folder: Path, oms: Oms) -> None:
    """A damaged or foreign file ends each question with 3 and a sentence, not with a traceback."""
    (folder / "var").mkdir()
    (folder / "var" / "oms.db").write_bytes(b"this is not a database at all, but it is long enough to be read" * 20)
    for words in (["status"], ["cycle", "list"], ["journal", "verify"], ["run"], ["halt"]):
        done = oms(*words)
        assert done.code == 3, done
        assert "a bug" not in done.err
    shown = oms("db", "current", "--json")
    assert shown.code == 3


@pytest.mark.parametrize("stage", ["empty", "made"])
def test_a_database_that_is_just_being_made_is_no_journal_yet(folder: Path, oms: Oms, stage: str) -> None:
    """Between the making of the file and its first stamp, questions answer as before the first run."""
    if stage == "made":
        with_journal(folder, lambda _: None)
    (folder / "var").mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "var" / "oms.db")) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        if stage == "made":
            raw.execute("DELETE FROM meta")
            raw.commit()
    for command in SHAPES:
        if command not in ("cycle show", "db current"):
            assert oms(*command.split()).code == 0, command
    assert oms("status", "--json").json["journal"]["seq"] == 0


def test_where_each_value_came_from_is_shown(folder: Path, oms: Oms, monkeypatch: pytest.MonkeyPatch) -> None:
    """``config show --origin`` tells file and line, environment, or default."""
    monkeypatch.setenv("OMS_ACCOUNT", "other")
    origins = oms("config", "show", "--origin", "--json").json["origins"]
    assert origins["account"] == "environment OMS_ACCOUNT"
    assert origins["settlement.poll"].startswith("config.yaml:2:")
    assert origins["mode"] == "default"


def test_a_wrong_configuration_names_every_place(folder: Path, oms: Oms) -> None:
    """``config check`` ends with 2 and one line for each problem, with line and column."""
    (folder / "config.yaml").write_text("mode: papper\nexecution: {colar: 1%}\n", "utf-8")
    done = oms("config", "check")
    assert done.code == 2
    assert "config.yaml:1:" in done.err
    assert "config.yaml:2:" in done.err


# ---- what it costs ---------------------------------------------------------------------------------------------------

LARGE = {"pandas", "numpy", "yfinance", "tigeropen", "alembic", "fastapi", "rich", "exchange_calendars"}


def imported_by(folder: Path, commands: list[list[str]]) -> set[str]:
    """The packages in one process that ran all these commands."""
    ask = (
        f"import sys\nfrom oms.cli import main\nfor words in {commands!r}:\n"
        "    try: main(words)\n    except SystemExit as end: assert not end.code, words\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split())


def test_the_commands_that_read_import_no_large_package(story: Path) -> None:
    """No question about the account loads what only a first run or a screen needs."""
    assert not LARGE & imported_by(story, [command.split() for command in SHAPES])


def test_resume_imports_no_large_package(tiny: Path, oms: Oms) -> None:
    """On the paper broker an open cycle is finished without them."""
    oms("run", "--signals", "plan.csv")
    oms("halt")
    assert oms("run", "--signals", "plan.csv").code == 7
    oms("release", "--yes")
    assert not LARGE & imported_by(tiny, [["resume"]])
    assert oms("cycle", "list", "--json").json["cycles"][0]["resumed"] == 1


def test_an_engine_that_has_journaled_nothing_yet_says_what_it_lacks() -> None:
    """Before the first fact, as with a market that hangs, the tasks say why there is none."""
    from oms.cli.status import lines

    task = {"name": "trading", "healthy": False, "text": "no prices: Yahoo did not answer in time", "next_run": None}
    answer = {
        "mode": "paper",
        "account": "a",
        "running": True,
        "pid": 7,
        "heartbeat": "2026-11-25T15:00:00Z",
        "quarantined": None,
        "tasks": [task],
        "journal": {"seq": 0, "head": None},
    }
    told = "\n".join(lines(answer))
    assert "running, pid 7" in told
    assert "not healthy: trading: no prices" in told
