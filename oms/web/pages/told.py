"""What each fact says, in the reader's language, from the fact's own fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oms.journal.answers import Answer
from oms.web.look import Look

Data = Mapping[str, Any]


def told(event: Answer, look: Look) -> str:
    """One fact in a sentence; nothing for a kind that says all by its name."""
    teller = _TELLERS.get(event["kind"])
    return "" if teller is None else teller(event["data"], look)


def subject(event: Answer) -> str:
    """What a fact is about: a symbol, or the phase that it opens."""
    phases = {
        "cycle_opened": "SELLING",
        "sells_closed": "SELLING → SETTLING",
        "funds_settled": "SETTLING → REVALIDATING",
        "buys_revalidated": "REVALIDATING → BUYING",
        "buys_closed": "BUYING → DONE",
    }
    return phases.get(event["kind"]) or event["symbol"] or ""


def note_of(order: Answer, found: Answer, look: Look, *, was_lost: bool) -> tuple[str, str]:
    """The few words beside an order's bar, and whether it is a matter for a person."""
    words = look.words
    status = order["ord_status"]
    said: list[str] = []
    tone = ""
    cut = next((row for row in found["revalidation"] if row["cl_ord_id"] == order["cl_ord_id"]), None)
    if order["quarantined"]:
        said.append(words("in quarantine: a person must decide"))
        tone = "alarm"
    elif status in ("UNKNOWN", "SENDING"):
        said.append(words.name("status", status))
        tone = "alarm"
    elif status == "BLOCKED":
        why = words.name("rule", order["rule"])
        said.append(words("dropped: {rule}", rule=why))
        tone = "dropped"
    elif status in ("REJECTED", "CANCELED", "EXPIRED", "VOID"):
        said.append(words.name("status", status))
        if order["cum_qty"]:
            said.append(words("{n} filled", n=look.number(order["cum_qty"])))
        tone = "alarm" if status == "REJECTED" else "dropped"
    elif order["cum_qty"]:
        said.append(f"{look.number(order['cum_qty'])} @ {look.price(order['avg_px'])}")
    else:
        said.append(words.name("status", status))
    if cut is not None and 0 < cut["quantity"] < cut["planned"]:
        rule = words.name("rule", cut["rule"])
        said.append(words("cut {a} → {b} by {rule}", a=cut["planned"], b=cut["quantity"], rule=rule))
    if was_lost:
        said.append(words("answer lost, found by its number"))
    return " · ".join(said), tone


def found_again(events: Iterable[Answer]) -> set[str]:
    """Orders that were in doubt and then found at the broker by asking."""
    doubtful: set[str] = set()
    found: set[str] = set()
    for event in events:
        if event["kind"] == "order_in_doubt":
            doubtful.add(event["cl_ord_id"])
        elif event["kind"] == "order_acknowledged" and event["data"].get("adopted"):
            found.add(event["cl_ord_id"])
    return doubtful & found


def _opened(data: Data, look: Look) -> str:
    return look.words(
        "plan: {sells} sells, {buys} buys; {money} to spend before the sells",
        sells=len(data["sells"]),
        buys=len(data["buys"]),
        money=look.money(data["spendable"]),
    )


def _resumed(data: Data, look: Look) -> str:
    return look.words(
        "process {pid} on {host} took it up in {phase}", pid=data["pid"], host=data["host"], phase=data["phase"]
    )


def _sells_closed(data: Data, look: Look) -> str:
    return look.words(
        "proceeds {proceeds}, fees {fees}", proceeds=look.money(data["proceeds"]), fees=look.money(data["fees"])
    )


def _settled(data: Data, look: Look) -> str:
    by = look.words.name("settled", data["by"])
    return look.words(
        "{money} of {expected} spendable: {by}",
        money=look.money(data["spendable"]),
        expected=look.money(data["expected"]),
        by=by,
    )


def _revalidated(data: Data, look: Look) -> str:
    cut = sum(1 for buy in data["buys"] if buy["quantity"] < buy["original"])
    return look.words(
        "{budget} for buys of {money} spendable; {cut} of {all} cut",
        budget=look.money(data["budget"]),
        money=look.money(data["inputs"]["spendable"]),
        cut=cut,
        all=len(data["buys"]),
    )


def _filled(data: Data, look: Look) -> str:
    late = look.words(", reported late") if data.get("late") else ""
    return look.words(
        "{n} @ {px}, fee {fee}{late}",
        n=look.number(data["last_qty"]),
        px=look.price(data["last_px"]),
        fee=look.money(data["fee"]),
        late=late,
    )


def _planned(data: Data, look: Look) -> str:
    price = look.price(data["price"]) if data.get("price") else look.words("at the market")
    return look.words(
        "{side} {n}, limit {px}; nothing was sent yet", side=data["side"], n=look.number(data["order_qty"]), px=price
    )


def _reserved(data: Data, look: Look) -> str:
    return look.words("number {no} reserved and on the disk before the send", no=data["order_no"])


def _sending(data: Data, look: Look) -> str:
    return look.words("request {n} leaves", n=data["attempt"])


def _acknowledged(data: Data, look: Look) -> str:
    if data.get("adopted"):
        return look.words("found at the broker as {id}", id=data["order_id"])
    return look.words("the broker has it as {id}", id=data["order_id"])


def _blocked(data: Data, look: Look) -> str:
    return look.words("{rule}: {reason}", rule=look.words.name("rule", data["rule"]), reason=data["reason"])


def _reason(data: Data, _look: Look) -> str:
    return str(data.get("reason") or data.get("text") or data.get("evidence") or "")


def _ruled(data: Data, look: Look) -> str:
    return look.words("{rule}: {reason}", rule=look.words.name("rule", data["rule"]), reason=_reason(data, look))


def _quarantined(data: Data, look: Look) -> str:
    return look.words("not found in {n} complete reads; {reason}", n=data["reads"], reason=data["reason"])


def _not_found(data: Data, look: Look) -> str:
    return look.words("complete read {n} of the broker's orders does not show it", n=data["reads"])


def _voided(data: Data, look: Look) -> str:
    return look.words("{author}: {reason}", author=data["author"], reason=data["evidence"])


def _ended(data: Data, look: Look) -> str:
    filled = look.words("{n} filled", n=look.number(data["cum_qty"]))
    return f"{filled}; {data['text']}" if data.get("text") else filled


def _rejected(data: Data, _look: Look) -> str:
    return f"{data['code']}: {data['text']}" if data.get("text") else str(data["code"])


def _funds(data: Data, look: Look) -> str:
    return look.words(
        "{money} spendable, {cash} cash", money=look.money(data["spendable"]), cash=look.money(data["funds"]["cash"])
    )


def _closed(data: Data, look: Look) -> str:
    return look.words.name("outcome", data["outcome"])


def _reconciled(data: Data, look: Look) -> str:
    found = [f"{each['symbol']}: {look.words.name('difference', each['kind'])}" for each in data["differences"]]
    return ", ".join(found) or look.words("broker and journal agree")


def _adopted(data: Data, look: Look) -> str:
    return look.words(
        "{author}: {a} → {b} shares", author=data["author"], a=look.number(data["before"]), b=look.number(data["qty"])
    )


def _armed(data: Data, look: Look) -> str:
    return look.words("{account} until {time}", account=data["shown"], time=data["until"])


def _operator(data: Data, look: Look) -> str:
    reason = data.get("reason") or data.get("answer") or look.words("no reason given")
    return look.words("{author}: {reason}", author=data["author"], reason=reason)


_TELLERS: dict[str, Callable[[Data, Look], str]] = {
    "cycle_opened": _opened,
    "cycle_resumed": _resumed,
    "sells_closed": _sells_closed,
    "funds_settled": _settled,
    "buys_revalidated": _revalidated,
    "buys_closed": _closed,
    "cycle_aborted": _ruled,
    "order_planned": _planned,
    "order_blocked": _blocked,
    "order_reserved": _reserved,
    "order_sending": _sending,
    "order_not_sent": _reason,
    "order_acknowledged": _acknowledged,
    "order_in_doubt": _reason,
    "order_not_found": _not_found,
    "order_quarantined": _quarantined,
    "order_voided": _voided,
    "order_filled": _filled,
    "order_cancel_requested": _reason,
    "order_canceled": _ended,
    "order_expired": _ended,
    "order_rejected": _rejected,
    "funds_observed": _funds,
    "attention_raised": _ruled,
    "symbol_frozen": _reason,
    "symbol_unfrozen": _operator,
    "halted": _operator,
    "released": _operator,
    "blacklisted": _operator,
    "unblacklisted": _operator,
    "command_answered": _operator,
    "reconciled": _reconciled,
    "position_adopted": _adopted,
    "live_armed": _armed,
    "live_disarmed": _operator,
}
