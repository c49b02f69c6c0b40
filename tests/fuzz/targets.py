"""What is fuzzed: each door through which bytes of others come in, with its law and some good bytes to begin with.

A target takes any bytes. It returns where they are refused as they should be, or are within the law; it raises otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from oms.backup.archive import GZIP_HEADER, read_archive
from oms.backup.manifest import NAME, decode_manifest
from oms.config import load_config
from oms.errors import BrokerUnavailable, OmsError, UsageError
from oms.gateways.signals import MOST_SHARES, parse_signals
from oms.gateways.tiger.figures import global_funds, positions_of, prime_funds, quotes_of, steps_of
from oms.gateways.tiger.wire import items_of, order_of
from oms.journal.codec import decode
from oms.model.liquidity import NotFinite, spendable
from oms.model.order import BrokerState, Side
from oms.model.rules import FundsPolicy
from oms.model.symbol import canonical_symbol
from tests.gateways.test_tiger_parsing import ITEM, assets

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
TOP = Path(__file__).parent.parent.parent
_room = TemporaryDirectory(prefix="oms-fuzz-")
"""One folder for all files of a run; it goes with the process."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One door."""

    name: str
    run: Callable[[bytes], None]
    corpus: tuple[bytes, ...]


TARGETS: dict[str, Target] = {}


def target(*corpus: bytes | str) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    """Fuzz this door, beginning with these bytes."""

    def add(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
        seeds = tuple(each.encode() if isinstance(each, str) else each for each in corpus)
        TARGETS[run.__name__] = Target(name=run.__name__, run=run, corpus=seeds)
        return run

    return add


def _is_said_well(error: OmsError, code: int) -> None:
    assert error.exit_code == code, f"exit {error.exit_code}, expected {code}: {error}"
    assert all(line.isprintable() for line in str(error).split("\n")), repr(str(error))


@target(
    (TOP / "config.yaml").read_bytes(),
    "account: a\nrisk: {blacklist: [ON, 'NO'], max_trades_per_day: 3}\n",
    "execution:\n  funds_fraction: 80%\n  collar: 0.5%\n  order_deadline: 2m\n",
    "&a [*a, *a]\n---\n!!python/object:x {}\n<<: {mode: live}\n",
    b"\xff\xfea\0c\0",
)
def config(data: bytes) -> None:
    """A configuration is refused with 2, or keeps every ceiling."""
    file = Path(_room.name, "config.yaml")
    file.write_bytes(data)
    try:
        loaded = load_config(file, {})
    except UsageError as error:
        _is_said_well(error, 2)
        return
    assert 0 < loaded.config.execution.funds_fraction <= Decimal("0.8")
    assert 0 < loaded.config.execution.max_position_value <= 10_000
    assert loaded.config.mode != "live" or loaded.config.broker.kind == "tiger"


@target(
    '{"sell": [{"symbol": "C", "quantity": 66}],\n "buy": [{"symbol": "OXY", "quantity": 211, "price": "47.37"}]}',
    '{"as_of": "2026-03-02T15:00:00Z", "buy": [{"symbol": "BRK.B", "quantity": 1, "score": 72.0}]}',
    "side,symbol,quantity,price,score\nsell,C,66,,\nbuy,OXY,211,47.37,72.0\n",
    '"side","symbol"\r\n"buy","a""b"\r\n',
    b"\xef\xbb\xbfsymbol,quantity,side\n",
)
def signals(data: bytes) -> None:
    """Wishes are refused with 2, or are orders that a market knows."""
    for name in ("plan.csv", "plan.json"):
        try:
            found = parse_signals(data, name)
        except UsageError as error:
            _is_said_well(error, 2)
            continue
        symbols = [wish.symbol for wish in found.signals]
        assert len(set(symbols)) == len(symbols)
        for wish in found.signals:
            assert canonical_symbol(wish.symbol) == wish.symbol
            assert wish.quantity is None or 1 <= wish.quantity <= MOST_SHARES
            assert wish.price is None or (wish.price.is_finite() and 0 < wish.price <= 1_000_000)
            assert wish.score is None or wish.score.is_finite()


QUOTE = {"symbol": "AAA", "latestPrice": 20.5, "askPrice": 20.6, "bidPrice": 20.4, "latestTime": 1_772_463_600_000}
STEPS = {"items": [{"symbol": "AAA", "lotSize": 1, "minTick": 0.01, "tickSizes": [{"begin": "0", "tickSize": 0.01}]}]}


def _read(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except BrokerUnavailable as error:
        _is_said_well(error, BrokerUnavailable.exit_code)
    return None


@target(
    *(json.dumps(reply) for reply in (ITEM, [QUOTE], STEPS, {"items": [ITEM], "nextPageToken": ""})),
    json.dumps(assets()["data"]),
    json.dumps({"items": [{"symbol": "AAA", "secType": "STK", "currency": "USD", "position": 10, "salableQty": 10}]}),
    '{"items": [NaN, Infinity, -1e999, null, true, "\\ud800"]}',
)
def replies(data: bytes) -> None:
    """What a broker answers becomes figures within the law, or counts as no answer."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return
    for funds in (_read(lambda: prime_funds(reply, NOW)), _read(lambda: global_funds(reply, "U1", NOW))):
        for policy in FundsPolicy if funds is not None else ():
            try:
                assert spendable(funds, policy).is_finite()
            except NotFinite:
                continue
    for position in _read(lambda: positions_of(reply, "U1")) or []:
        assert position.qty.is_finite()
        assert position.sellable.is_finite()
    items = _read(lambda: items_of(reply, "orders")) or []
    _orders(items or ([reply] if isinstance(reply, dict) else []))
    known = _read(lambda: steps_of(reply)) or {}
    for quote in (_read(lambda: quotes_of(items, known, delayed=False)) or {}).values():
        assert quote.last.is_finite()
        assert quote.last > 0
        assert quote.tick > 0


def _orders(items: Iterable[Any]) -> None:
    for item in items:
        order = _read(lambda item=item: order_of(item))  # type: ignore[misc]  # one of each round
        if order is not None:
            assert order.state in BrokerState
            assert order.side in Side
            assert order.cum_qty.is_finite()
            assert order.cum_qty >= 0


@target(
    GZIP_HEADER,
    NAME.encode().ljust(100, b"\0") + b"0000600\0" * 3,
    '{"format": 1, "id": "x", "members": [{"name": "config.yaml", "size": 3, "sha256": ""}], "seal": "0"}',
    b"\x1f\x8b\x08" + bytes(30),
)
def archives(data: bytes) -> None:
    """A file is a backup of this program or is refused with 3, and nothing is written beside it."""
    file, journal = Path(_room.name, "x.tar.gz"), Path(_room.name, "journal.db")
    for content in (data, GZIP_HEADER + data):
        file.write_bytes(content)
        try:
            read_archive(file, journal)
        except OmsError as error:
            _is_said_well(error, 3)
        assert not journal.exists()
    try:
        decode_manifest(data, "a file")
    except OmsError as error:
        _is_said_well(error, 3)


@target(
    'order_filled\0{"side":"BUY","exec_id":"E1","last_qty":8,"last_px":"71","fee":"0.04","cum_qty":8}',
    'halted\0{"scope":"buys","\x7fp":"b","reason":"n","author":"ann"}',
    'halted\0{"scope":"buys","reason":"x","author":"ann"}',
    'cycle_opened\0{"trading_day":"2026-03-02","sells":[],"buys":[],"funds":{}}',
)
def facts(data: bytes) -> None:
    """A row of a journal is a fact, or damage with 3."""
    kind, _, text = data.decode("utf-8", "replace").partition("\0")
    try:
        decode(kind, text, "c-1", "B000", "AAA")
    except OmsError as error:
        _is_said_well(error, 3)
