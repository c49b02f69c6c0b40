"""Amounts carry the sign of the account's currency, at the terminal and on the pages; nothing else looks like dollars."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from oms import amounts
from oms.web.paint import PATHS
from tests.cli.conftest import TINY, Oms
from tests.web.house import house_in, html

HONG_KONG = TINY.replace("market: {", "market: {exchange: XHKG, ")
DOLLARS = re.compile(r"(?<!HK)\$")
"""A dollar sign that could be taken for that of the United States."""


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """The next test writes dollars again."""
    yield
    amounts.write_in("USD")


@pytest.fixture
def hong_kong(tiny: Path) -> Path:
    """The tiny market's folder, its shares priced in Hong Kong dollars."""
    (tiny / "config.yaml").write_text(HONG_KONG, "utf-8")
    return tiny


@pytest.mark.parametrize(
    ("currency", "written"),
    [
        ("USD", "$1,234.50"),
        ("HKD", "HK$1,234.50"),
        ("EUR", "€1,234.50"),
        ("CHF", "CHF 1,234.50"),
        ("", "1,234.50"),
    ],
)
def test_each_currency_has_its_sign_or_its_code(currency: str, written: str) -> None:
    """A currency without a sign of its own is named by its code."""
    amounts.write_in(currency)
    assert amounts.amount(Decimal("1234.5")) == written
    assert amounts.amount(Decimal("-1234.5"), minus="−") == f"−{written}"


def test_what_rounds_to_nothing_has_no_sign() -> None:
    """Neither a minus nor a plus stands before nothing."""
    for value in ("0", "0.004", "-0.004"):
        assert amounts.amount(Decimal(value), plus="+") == "$0.00"
    assert amounts.amount(Decimal("0.006"), plus="+") == "+$0.01"
    assert amounts.amount(Decimal("1234.5"), digits=0) == "$1,234"


def test_an_account_in_hong_kong_never_shows_a_bare_dollar_sign(hong_kong: Path, oms: Oms) -> None:
    """A whole cycle and every command that shows money afterwards."""
    shown = [oms("run", "--signals", "plan.csv")]
    assert "HK$" in shown[0].out + shown[0].err
    for words in (
        ["funds"], ["risk"], ["pnl"], ["report"], ["status"], ["positions"], ["plan", "--signals", "plan.csv"],
        ["explain", "latest"], ["cycle", "show", "latest"], ["cycle", "list"], ["reconcile", "show"],
    ):  # fmt: skip
        shown.append(oms(*words))
        assert shown[-1].code == 0, (words, shown[-1].err)
    text = "\n".join(done.out + done.err for done in shown)
    assert len(text.split("HK$")) > 40
    assert DOLLARS.findall(text) == []


def test_pages_of_an_account_in_hong_kong_show_its_own_sign(hong_kong: Path, oms: Oms) -> None:
    """Each page that shows money."""
    assert oms("run", "--signals", "plan.csv").code == 0
    with house_in(hong_kong) as house:
        browser = house.browser()
        text = "\n".join(html(browser.get(page)) for page in PATHS.values())
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert len(text.split("HK$")) > 20
    assert DOLLARS.findall(text) == []
