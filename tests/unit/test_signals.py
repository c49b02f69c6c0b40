"""Signals from a file: what is accepted is valid to the last digit; what is not is named with its line."""

from __future__ import annotations

import hashlib
import io
import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.errors import UsageError
from oms.gateways.signals import MOST_BYTES, MOST_SHARES, check_age, parse_signals, read_signals
from oms.model.order import Side
from oms.model.signal import Signal, Signals
from oms.model.symbol import canonical_symbol
from tests.volume import examples

EXAMPLE = b"""{"sell": [{"symbol": "C", "quantity": 66}],
 "buy":  [{"symbol": "OXY", "quantity": 211, "price": "47.37", "score": 72.0}]}
"""
HEADER = "side,symbol,quantity,price,score\n"


def refusal(data: bytes | str, name: str = "plan") -> str:
    with pytest.raises(UsageError) as caught:
        parse_signals(data if isinstance(data, bytes) else data.encode(), name)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert all(line.isprintable() for line in message.split("\n"))
    return message


def in_json(**cells: str) -> str:
    """A file with one buy whose cells are raw JSON."""
    row = {"symbol": '"C"', "quantity": "5", **cells}
    return '{"buy": [\n{' + ", ".join(f'"{key}": {cell}' for key, cell in row.items()) + "}]}"


# ---- what is accepted ------------------------------------------------------------------------------------------------


def test_the_example_of_the_interface_is_read() -> None:
    """JSON keeps order, lines and exact numbers; the digest is that of the bytes."""
    signals = parse_signals(EXAMPLE, "plan.json")
    assert signals == Signals(
        signals=(
            Signal(side=Side.SELL, symbol="C", quantity=66, line=1),
            Signal(side=Side.BUY, symbol="OXY", quantity=211, price=Decimal("47.37"), score=Decimal("72.0"), line=2),
        ),
        source="plan.json",
        digest=hashlib.sha256(EXAMPLE).hexdigest(),
        as_of=None,
    )
    assert [signal.symbol for signal in signals.of(Side.BUY)] == ["OXY"]


def test_csv_says_the_same() -> None:
    """CSV with the columns of the interface gives the same signals, whatever its line ends."""
    text = HEADER + "sell,C,66,,\nbuy,OXY,211,47.37,72.0\n"
    for data in (text, text.replace("\n", "\r\n"), text.rstrip(), text + "\n\n", '"side","symbol"' + text[11:]):
        rows = parse_signals(data.encode(), "plan.csv").signals
        assert [(s.side, s.symbol, s.quantity, s.price) for s in rows] == [
            (Side.SELL, "C", 66, None),
            (Side.BUY, "OXY", 211, Decimal("47.37")),
        ]
        assert [s.line for s in rows] == [2, 3]


def test_columns_may_be_left_out_and_come_in_any_order() -> None:
    """Price and score are optional, and the header says which column is which."""
    assert parse_signals(b"symbol,quantity,side\nC,5,BUY\n", "x").signals[0].quantity == 5


def test_a_plan_with_nothing_in_it_is_a_plan() -> None:
    """Two empty lists are accepted; silence is not (see below)."""
    assert parse_signals(b'{"sell": [], "buy": []}', "x").signals == ()


def test_a_share_class_has_one_spelling() -> None:
    """BRK-B and BRK.B are the same symbol, so both in one file are one too many."""
    assert parse_signals(in_json(symbol='"BRK-B"').encode(), "x").signals[0].symbol == "BRK.B"
    assert "buy BRK.B: stands twice" in refusal(HEADER + "buy,BRK-B,5,,\nbuy,BRK.B,5,,\n")


@pytest.mark.parametrize("symbol", ["C", "NA", "NULL", "TRUE", "ON", "NAN", "INF", "000001", "09988", "BRK.B"])
def test_symbols_that_look_like_something_else_stay_symbols(symbol: str) -> None:
    """Neither JSON text nor a CSV cell is ever taken for a number, a truth value or nothing."""
    assert parse_signals(f"{HEADER}buy,{symbol},5,,\n".encode(), "x").signals[0].symbol == symbol
    assert parse_signals(in_json(symbol=f'"{symbol}"').encode(), "x").signals[0].symbol == symbol


def test_files_and_stdin_are_read(tmp_path: Path) -> None:
    """A path and a dash lead to the same signals."""
    file = tmp_path / "plan.json"
    file.write_bytes(EXAMPLE)
    assert read_signals(file).signals == read_signals("-", io.BytesIO(EXAMPLE)).signals
    assert read_signals(str(file)).source == str(file)


# ---- age -------------------------------------------------------------------------------------------------------------

NOW = datetime(2025, 8, 22, 14, 30, tzinfo=UTC)


def test_age_is_checked_only_where_the_file_says_its_time() -> None:
    """Older than the limit and yet to come are refused; a silent file passes."""
    hour = timedelta(hours=1)
    check_age(parse_signals(EXAMPLE, "x"), NOW, hour)
    for as_of, sentence in [
        ("2025-08-22T14:00:00Z", None),
        ("2025-08-22T23:30:00+09:00", None),
        ("2025-08-22T14:30:59Z", None),
        ("2025-08-22T13:29:59Z", "is 3601s old; expected at most 3600s"),
        ("2025-08-22T14:32:00Z", "lies 120s in the future"),
    ]:
        signals = parse_signals(json.dumps({"as_of": as_of, "buy": []}).encode(), "x")
        if sentence is None:
            check_age(signals, NOW, hour)
        else:
            with pytest.raises(UsageError, match=sentence):
                check_age(signals, NOW, hour)


@pytest.mark.parametrize(
    "as_of", ['"yesterday"', '"2025-08-22T14:00:00"', "1755838730", '"2025-13-01T00:00:00Z"', "[]"]
)
def test_a_time_without_a_zone_is_no_time(as_of: str) -> None:
    """as_of is a date, a time and a zone, or it is refused."""
    assert "expected a date, time and zone" in refusal(f'{{"as_of": {as_of}, "buy": []}}')


# ---- bad values, in both formats -------------------------------------------------------------------------------------

BAD_QUANTITIES = ["NaN", "inf", "-inf", "1e999", "-0", "1,000", "１２３", "1_000", "0x10", "9" * 400, "1.5", "66.0", "0",
                  "-5", "1000000000000", "010", "true", "1 0", "٣", "null", ""]  # fmt: skip
BAD_PRICES = ["0", "-1", "NaN", "Infinity", "1e-9", "0.000000001", "1e9", "1000000000", "1,5", "$5", "1e999", "-0", "0x1p3",
              "1_0", ".5", "5.", "+5", "false"]  # fmt: skip


@pytest.mark.parametrize("quantity", BAD_QUANTITIES)
def test_a_quantity_is_whole_shares_in_plain_digits(quantity: str) -> None:
    """Every other spelling is refused, as a bare JSON word, as JSON text and as a CSV cell, with the line."""
    bare = quantity and quantity.replace(",", "_").replace(" ", "_")
    if bare:
        assert "plan:2: buy[0] C: quantity" in refusal(in_json(quantity=bare))
    assert "plan:2: buy[0] C: quantity" in refusal(in_json(quantity=json.dumps(quantity)))
    assert "plan:2: buy C: quantity" in refusal(f'{HEADER}buy,C,"{quantity}",,\n')


@pytest.mark.parametrize("price", BAD_PRICES)
def test_a_price_is_a_plain_positive_number(price: str) -> None:
    """Zero, negative, not finite, absurd or oddly spelled prices are refused, with the line."""
    assert "plan:2: buy[0] C: price" in refusal(in_json(price=price.replace(",", "_")))
    assert "plan:2: buy[0] C: price" in refusal(in_json(price=json.dumps(price)))
    in_csv = refusal(f'{HEADER}buy,C,5,"{price}",\n')
    assert "plan:2: " in in_csv
    assert "price" in in_csv


@pytest.mark.parametrize("score", ["NaN", "inf", "1e3", "high", "-0", "99999999", "7,2"])
def test_a_score_is_a_plain_number(score: str) -> None:
    """Buys are ordered by score, so a score that cannot be compared is refused."""
    assert "score" in refusal(f'{HEADER}buy,C,5,,"{score}"\n')
    assert "score" in refusal(in_json(score=json.dumps(score)))


BAD_SYMBOLS = ["", " ", "aapl", "BRK/B", "АAPL", "A\u200bB", "\u202eCBA", "🚀", "A" * 11, "A" * 10_000, "A\tB", "A\x1b[31m",
               "A\nB", "'; DROP TABLE", "../../etc/passwd", "%s{}", " C", "C ",
               "BRK.B.C", ".B", "A.", "\ud800", "Ａ", "C\x00"]  # fmt: skip


@pytest.mark.parametrize("symbol", BAD_SYMBOLS, ids=range(len(BAD_SYMBOLS)))
def test_a_symbol_is_capital_letters_and_digits(symbol: str) -> None:
    """Every other text is refused, shown with all its control characters escaped, and never repaired."""
    message = refusal(in_json(symbol=json.dumps(symbol)))
    assert "plan:2: buy[0]: " in message
    assert "is not a symbol" in message
    assert message.replace("…", "").isascii()
    assert len(message) < 400
    with pytest.raises(ValueError, match="is not a symbol"):
        canonical_symbol(symbol)


def test_a_lower_case_symbol_is_told_its_capitals() -> None:
    """The reason says what to write."""
    assert "write AAPL" in refusal(in_json(symbol='"aapl"'))


def test_a_symbol_without_quotes_is_no_text() -> None:
    """A JSON number or truth value in the place of a symbol is refused."""
    for word in ("5", "true", "NaN"):
        assert "stands without quotes; expected text" in refusal(in_json(symbol=word))


# ---- the whole file --------------------------------------------------------------------------------------------------


def test_every_bad_row_is_named() -> None:
    """All bad rows are listed in one refusal, each with its line and each of its reasons."""
    message = refusal(HEADER + "sell,c,0,,\nbuy,C,5,,\nhold,C,5,,\nbuy,D\nbuy,E,1.5,-1,x\n", "plan.csv")
    assert "4 bad rows" in message
    for line, text in [(2, "write C"), (2, "'0'"), (4, "side 'hold'"), (5, "2 fields; expected 5"), (6, "'1.5'"),
                       (6, "'-1'"), (6, "'x'")]:  # fmt: skip
        assert any(row.startswith(f"  plan.csv:{line}:") and text in row for row in message.split("\n"))
    assert "plan.csv:3:" not in message


def test_json_rows_are_named_with_their_own_lines() -> None:
    """The line is that of the row's opening brace, wherever its comma stands."""
    message = refusal('{\n"sell": [\n{"symbol": "C",\n "quantity": 0},\n\n{"symbol": "D"}]\n}')
    assert "plan:3: sell[0] C: quantity '0'" in message
    assert "plan:6: sell[1] D: quantity is missing" in message


FILES = [
    ("", "is empty"),
    (" \n ", "is empty"),
    ("{}", 'expected one object with "sell" and "buy"'),
    ("[]", 'expected one object with "sell" and "buy"'),
    ('{"buy": 5}', "buy: found '5'; expected a list of rows"),
    ('{"buy": null}', "expected a list of rows"),
    ('{"buy": [5, []]}', "found a list; expected an object"),
    ('{"buys": []}', 'expected one object with "sell" and "buy"'),
    ('{"buy": [], "sel": []}', "did you mean sell?"),
    ('{"buy": [{"symbol": "C", "qty": 5}]}', "unknown key 'qty'"),
    ('{"buy": [{"symbol": "C", "quantity": [5]}]}', "is a list; expected one value"),
    ('{"buy": [{"symbol": "C", "quantity": 5, "quantity": 6}]}', "the key 'quantity' stands there twice"),
    ('{"buy": [], "buy": []}', "the key 'buy' stands there twice"),
    ('{"buy": []} x', "plan:1:13: not valid JSON: text after the end"),
    ('{"buy": []}{"buy": []}', "text after the end"),
    ('{"buy": [{"symbol": "C", "quantity": 5}', "may be half-written"),
    ('{"buy": [{"symbol": "C", "quant', "does not end in its line"),
    ('{"buy": [{"symbol": "C", "quantity": 5},]}', "expected a value"),
    ("{'buy': []}", "a key in double quotes"),
    ('{"buy": ["\\x"]}', "an escape that JSON does not know"),
    ('{"buy" []}', "expected :"),
    ('{"buy": [1 2]}', "expected a comma or ]"),
    ('{"buy": ' + "[" * 100_000, "nested deeper than"),
    ('{"buy": ' + '{"a":' * 100_000, "nested deeper than"),
    (HEADER, "a header without rows"),
    ("buy,C,5,,\n", "found no header"),
    (HEADER.replace(",", ";") + "buy;C;5;;\n", "separated by semicolons; expected commas"),
    (HEADER.replace(",", "\t"), "separated by tabs"),
    ("side,symbol,quantity,quantity\nbuy,C,5,5\n", "the column quantity stands there twice"),
    ("side,symbol\nbuy,C\n", "the column quantity is missing"),
    ("side,quantity\nbuy,5\n", "the column symbol is missing"),
    ("symbol,quantity\nC,5\n", "the column side is missing"),
    ("side,symbol,quantty\nbuy,C,5\n", "unknown column 'quantty'; did you mean quantity?"),
    ("side,symbol,quantity,note\nbuy,C,5,hi\n", "unknown column 'note'"),
    (HEADER + "buy,C,5,,,\n", "plan:2: 6 fields; expected 5"),
    (HEADER + "buy,C,5\n", "plan:2: 3 fields; expected 5"),
    (HEADER + 'buy,"C,5,,\nbuy,D,5,,\n', "a quotation mark may be missing"),
    (HEADER + 'buy,"C"x,5,,\n', "not valid CSV"),
    (HEADER + "buy,=cmd|' /C calc'!A0,5,,\n", "is a spreadsheet formula"),
    (HEADER + "buy,C,=1+1,,\n", "is a spreadsheet formula"),
    (HEADER + "buy,@SUM(A1),5,,\n", "is a spreadsheet formula"),
    (HEADER + "buy,+C,5,,\n", "is a spreadsheet formula"),
    (HEADER + "Buy,C,5,,\n", "side 'Buy'; expected sell or buy"),
    (HEADER + "buy,C,5,,\nsell,C,5,,\n", "plan:3: sell C: stands on both sides, first in line 2"),
    (HEADER + "buy,C,5,,\nbuy,C,5,,\n", "plan:3: buy C: stands twice on one side, first in line 2"),
    (b"\xef\xbb\xbf" + HEADER.encode() + b"buy,C,5,,\n", 'save it again as "UTF-8"'),
    ((HEADER + "buy,C,5,,\n").encode("utf-16"), "is UTF-16"),
    (b"side,symbol,quantity\nbuy,C\xe9,5\n", "plan:2:6: byte 0xe9 is not UTF-8"),
    (b"side,symbol,quantity\nbuy,C\x00,5\n", "plan:2:6: control character"),
]


@pytest.mark.parametrize(("data", "sentence"), FILES, ids=[str(data)[:40] for data, _ in FILES])
def test_a_broken_file_is_refused_with_a_sentence(data: bytes | str, sentence: str) -> None:
    """What is not one whole, clean list of signals is refused, and the sentence says where and why."""
    assert sentence in refusal(data)


def test_a_file_cut_short_anywhere_is_refused() -> None:
    """No prefix of a JSON file passes for the file."""
    whole = EXAMPLE.strip()
    for length in range(len(whole)):
        refusal(whole[:length], "plan.json")


def test_large_inputs_are_refused(tmp_path: Path) -> None:
    """Too many rows, a field of ten megabytes and a file beyond the cap are each refused with their own sentence."""
    row = '{"symbol": "C", "quantity": 5},'
    for data, sentence in [
        (HEADER + "buy,C,5,,\n" * 1_000_000, "more than 10,000 rows"),
        ('{"buy": [' + row * 500_000, "more than 10,000 entries"),
        (HEADER + "buy," + "A" * 10_000_000, "field limit"),
        ('{"buy": [{"symbol": "' + "A" * 10_000_000, "does not end"),
        ('{"buy": [{"symbol": "' + "A" * 10_000_000 + '"}]}', "is not a symbol"),
    ]:
        assert sentence in refusal(data)
    large = tmp_path / "large.csv"
    with large.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(UsageError, match="expected at most 20,000,000"):
        read_signals(large)
    with pytest.raises(UsageError, match="stdin has more than"):
        read_signals("-", io.BytesIO(bytes(MOST_BYTES + 1)))


def test_rows_of_both_sides_count_together() -> None:
    """Ten thousand rows pass the reader; one more, on whichever side, does not."""

    def rows(letter: str, count: int) -> list[dict[str, object]]:
        return [{"symbol": f"{letter}{n}", "quantity": 1} for n in range(count)]

    whole = {"sell": rows("S", 5_000), "buy": rows("B", 5_000)}
    assert len(parse_signals(json.dumps(whole).encode(), "x").signals) == 10_000
    assert "more than 10,000 rows" in refusal(json.dumps(whole | {"buy": rows("B", 5_001)}))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a closed stdin."""
    cases: list[tuple[Path | str, str]] = [
        (tmp_path / "none", "does not exist"),
        (tmp_path, "a folder"),
        ("-", "stdin is closed"),
    ]
    for source, sentence in cases:
        with pytest.raises(UsageError, match=sentence):
            read_signals(source)


@pytest.mark.skipif(os.name != "posix", reason="POSIX pipes")
def test_a_pipe_by_name_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO is refused at once."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="is a pipe"):
        read_signals(tmp_path / "fifo")


# ---- properties ------------------------------------------------------------------------------------------------------


def assert_valid(signals: Signals) -> None:
    symbols = [signal.symbol for signal in signals.signals]
    assert len(set(symbols)) == len(symbols)
    for signal in signals.signals:
        assert canonical_symbol(signal.symbol) == signal.symbol
        assert isinstance(signal.quantity, int)
        assert 1 <= signal.quantity <= MOST_SHARES
        assert signal.price is None or (signal.price.is_finite() and 0 < signal.price <= 1_000_000)
        assert signal.score is None or signal.score.is_finite()
        assert signal.line is not None
        assert signal.line >= 1


def accepted(data: bytes, name: str) -> Signals | None:
    try:
        return parse_signals(data, name)
    except UsageError as error:
        said = str(error)
    assert all(line.isprintable() for line in said.split("\n"))
    return None


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 20_000), st.floats(), st.text(max_size=6),
    st.sampled_from(["C", "OXY", "BRK-B", "5", "47.37", "1e5"]),
)  # fmt: skip
ROWS = st.dictionaries(st.sampled_from(["symbol", "quantity", "price", "score", "side", "x"]), CELLS, max_size=5)
FRAGMENTS = st.sampled_from(
    ['{"buy": [', '{"symbol": "C", "quantity": 5', "}", "]", ",", '"', '"price": ', "1", "e5", ":", "\n", "[", "{", "\\",
     HEADER, "buy,C,5,,\n", "sell,D,1,2,3\n", "buy", "=", ";", "\r", "\x85", "\u2028", "NaN"]
)  # fmt: skip


@pytest.mark.timeout(7_200)
@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(st.binary(max_size=80), st.lists(FRAGMENTS, max_size=12).map(lambda parts: "".join(parts).encode())))
def test_any_bytes_are_refused_or_valid(data: bytes) -> None:
    """Whatever the bytes: a UsageError in printable letters, or valid signals; never another exception."""
    for name in ("plan.csv", "plan.json"):
        signals = accepted(data, name)
        if signals is not None:
            assert_valid(signals)


@pytest.mark.timeout(7_200)
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(ROWS, max_size=4), st.lists(ROWS, max_size=4))
def test_any_rows_are_refused_or_valid(sells: list[dict[str, object]], buys: list[dict[str, object]]) -> None:
    """Whatever Python writes as JSON rows is refused, or read with the same meaning as the standard library gives it."""
    data = json.dumps({"sell": sells, "buy": buys}).encode()
    signals = accepted(data, "plan.json")
    if signals is None:
        return
    assert_valid(signals)
    assert len(signals.signals) == len(sells) + len(buys)
    for signal, row in zip(signals.signals, sells + buys, strict=True):
        assert signal.quantity == int(str(row["quantity"]))
        assert signal.price == (None if row.get("price") is None else Decimal(str(row["price"])))


GOOD = st.builds(
    Signal,
    side=st.sampled_from(Side),
    symbol=st.from_regex(r"\A[A-Z0-9]{1,5}(\.[A-Z])?\Z"),
    quantity=st.integers(1, MOST_SHARES),
    price=st.one_of(st.none(), st.decimals("0.01", "9999.99", places=2)),
    score=st.one_of(st.none(), st.decimals(0, 100, places=1)),
)


@pytest.mark.timeout(7_200)
@settings(max_examples=examples(100), deadline=None)
@given(st.lists(GOOD, max_size=8, min_size=1, unique_by=lambda signal: signal.symbol))
def test_good_signals_pass_unchanged_in_both_formats(wishes: list[Signal]) -> None:
    """Valid rows written as CSV or JSON come back exactly as they were."""

    def cell(value: object) -> str:
        return "" if value is None else str(value)

    wishes.sort(key=lambda signal: signal.side is Side.BUY)
    lines = [",".join(map(cell, (s.side, s.symbol, s.quantity, s.price, s.score))) for s in wishes]
    rows = {
        side.lower(): [
            {"symbol": s.symbol, "quantity": s.quantity, "price": cell(s.price) or None, "score": cell(s.score) or None}
            for s in wishes
            if s.side is side
        ]
        for side in Side
    }
    for data in ((HEADER + "\n".join(lines)).encode(), json.dumps(rows).encode()):
        read = parse_signals(data, "x").signals
        assert [(s.side, s.symbol, s.quantity, s.price, s.score) for s in read] == [
            (s.side, s.symbol, s.quantity, s.price, s.score) for s in wishes
        ]
