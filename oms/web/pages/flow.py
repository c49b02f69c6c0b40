"""A cycle's money as pools and streams: where it came from, what may be spent of it, and what it bought."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from oms.journal.answers import Answer
from oms.web.draw.sankey import Pool, Stream, sankey
from oms.web.draw.svg import Svg
from oms.web.look import Look, exact

MOST = 7
"""Orders of one side that are drawn each by itself; the smallest others are drawn together."""
ZERO = Decimal(0)


def flow(found: Answer, look: Look) -> tuple[Svg, Svg] | None:
    """The drawing in both forms; None where the cycle has moved no money and knows none."""
    pools, streams = pools_of(found, look)
    if not streams:
        return None
    title = look.words("Where the money of cycle {id} came from and went to", id=found["cycle"]["cycle_id"])
    told = ". ".join(f"{pool.label} {pool.figure}" for pool in pools)
    return (
        sankey(pools, streams, is_narrow=False, title=title, told=told),
        sankey(pools, streams, is_narrow=True, title=title, told=told),
    )


def pools_of(found: Answer, look: Look) -> tuple[list[Pool], list[Stream]]:
    """The pools in their columns, and the streams between them; every column adds up."""
    words, money = look.words, found["money"]
    before = exact(money["before"]) or ZERO
    sells = _sums(found["orders"], "SELL", look)
    proceeds = sum((value for _, _, value in sells), ZERO)
    has = exact(money["spendable"])
    came = before + proceeds
    funds = came if has is None else has
    pools: list[Pool] = []
    streams: list[Stream] = []

    def pool(name: str, column: int, label: str, value: Decimal, kind: str) -> None:
        pools.append(
            Pool(name=name, column=column, label=label, figure=look.dollars(value), value=float(value), kind=kind)
        )

    def stream(source: str, target: str, value: Decimal, kind: str) -> None:
        if value > 0:
            streams.append(Stream(source=source, target=target, value=float(value), kind=kind))

    missing = came - funds
    if before > 0:
        pool("before", 0, words("Before"), before, "cash")
    for name, label, value in sells:
        pool(name, 0, label, value, "sell")
    if missing < -Decimal("0.01"):
        pool("other", 0, words("Other money"), -missing, "cash")
    pool(
        "funds",
        1,
        words("To spend") if has is not None else words("Expected"),
        min(funds, came) if has is None else funds,
        "funds",
    )
    if missing > Decimal("0.01"):
        pool("missing", 1, words("Not credited"), missing, "missing")
    short = max(missing, ZERO)
    # What had not come when the buys were cut was proceeds: the last sells lie at the foot of the column.
    for name, value, kind in [
        ("before", before, "cash"),
        *((name, value, "sell") for name, _, value in sells),
        *([("other", -missing, "cash")] if missing < -Decimal("0.01") else []),
    ]:
        room = funds - sum((Decimal(str(s.value)) for s in streams if s.target == "funds"), ZERO)
        into = min(value, max(room, ZERO))
        stream(name, "funds", into, kind)
        if short > Decimal("0.01"):
            stream(name, "missing", value - into, "missing")
    if has is not None:
        _spent(found, look, has, pool, stream)
    return pools, streams


def _spent(found: Answer, look: Look, has: Decimal, pool: object, stream: object) -> None:
    assert callable(pool)
    assert callable(stream)
    words, money = look.words, found["money"]
    budget = max(exact(money["budget"]) or ZERO, ZERO)
    kept = max(has - budget, ZERO)
    if budget > 0:
        share = look.percent(budget / has, 0) if has else ""
        pool("budget", 2, words("Budget {share}", share=share), budget, "budget")
        stream("funds", "budget", budget, "funds")
    if kept > 0:
        pool("kept", 2, words("Reserve {share}", share=look.percent(kept / has, 0)), kept, "kept")
        stream("funds", "kept", kept, "kept")
    buys = _sums(found["orders"], "BUY", look)
    spent = ZERO
    for name, label, value in buys:
        pool(name, 3, label, value, "buy")
        stream("budget", name, value, "buy")
        spent += value
    left = budget - spent
    if left > 0 and budget > 0:
        word = words("Left") if found["cycle"]["phase"] == "DONE" else words("Not spent yet")
        pool("left", 3, word, left, "kept")
        stream("budget", "left", left, "kept")


def _sums(orders: Sequence[Answer], side: str, look: Look) -> list[tuple[str, str, Decimal]]:
    """What each filled order of a side moved, fees included; the smallest together."""
    found = []
    for order in orders:
        if order["side"] != side or not order["cum_qty"]:
            continue
        value = sum((fill["qty"] * (exact(fill["px"]) or ZERO) for fill in order["fills"]), ZERO)
        fees = exact(order["fees"]) or ZERO
        word = (
            look.words("Sell {symbol}", symbol=order["symbol"])
            if side == "SELL"
            else look.words("Buy {symbol}", symbol=order["symbol"])
        )
        found.append((order["cl_ord_id"], word, value - fees if side == "SELL" else value + fees))
    if len(found) <= MOST + 1:
        return found
    kept = sorted(found, key=lambda each: -each[2])[:MOST]
    rest = [each for each in found if each not in kept]
    word = look.words("{n} other sells", n=len(rest)) if side == "SELL" else look.words("{n} other buys", n=len(rest))
    return [each for each in found if each in kept] + [(f"{side}-rest", word, sum((e[2] for e in rest), ZERO))]
