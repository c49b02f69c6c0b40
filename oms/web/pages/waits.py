"""What the account waits for and why: a heading and one plain sentence, in the reader's language."""

from __future__ import annotations

from decimal import Decimal

from oms.journal.answers import Answer
from oms.web.look import Look, exact
from oms.web.pages.machine_view import CLOSED

ZERO = Decimal(0)


def waiting(found: Answer, look: Look) -> tuple[str, str]:
    """The heading and the sentence, from the answer of the page *Now*."""
    status, cycle = found["status"], found["cycle"]
    if status["halted"] is not None:
        return _halted(status["halted"], look)
    if not status["running"]:
        return _nobody(cycle, look)
    if cycle is None or cycle["cycle"]["phase"] == "DONE":
        return look.words("Waiting for the next cycle"), _idle(found, look)
    heading, sentence = _of_phase(cycle, look)
    doubtful = sum(1 for o in cycle["orders"] if o["ord_status"] in ("UNKNOWN", "SENDING") and not o["quarantined"])
    if doubtful:
        sentence += " " + look.words.many(
            doubtful,
            "{n} order is in doubt: the broker is being asked about it.",
            "{n} orders are in doubt: the broker is being asked about them.",
        )
    return heading, sentence


def _halted(halted: Answer, look: Look) -> tuple[str, str]:
    words = look.words
    sentence = words(
        "{author} halted: {what} until the halt is released. Reason: {reason}.",
        author=halted["author"],
        what=words("no order is sent") if halted["scope"] == "all" else words("no buy is sent"),
        reason=halted["reason"] or words("no reason given"),
    )
    return words("Waiting for release"), sentence


def _nobody(cycle: Answer | None, look: Look) -> tuple[str, str]:
    words = look.words
    if cycle is None:
        start = words("Start the engine with `run` or `run --loop`; this page fills itself.")
        return words("Nothing has run yet"), start
    if cycle["cycle"]["phase"] != "DONE":
        sentence = words(
            "A cycle is open in {phase} and no process works on it. "
            "The next `run` asks the broker first and goes on where it stopped.",
            phase=cycle["cycle"]["phase"],
        )
        return words("Waiting for a process"), sentence
    rest = words("Every cycle is finished. `run --loop` trades on; nothing is lost while it rests.")
    return words("No process is running"), rest


def _idle(found: Answer, look: Look) -> str:
    if found["next"]["cycle_at"] is not None:
        return look.words(
            "The last cycle is done. The next one opens {s} s after it, if the exchange is open and there is "
            "something to trade.",
            s=found["next"]["every_s"],
        )
    return look.words("The last cycle is done. The next one opens with the next day of the played market.")


def _of_phase(cycle: Answer, look: Look) -> tuple[str, str]:
    words, money = look.words, cycle["money"]
    deadline = cycle["cycle"]["deadline"]
    clock = look.clock(deadline) if deadline else look.unknown
    match cycle["cycle"]["phase"]:
        case "SELLING":
            sentence = words.many(
                _left(cycle, "SELL"),
                "{n} sell is not closed yet. Buys wait until every sell is closed; at {clock} what is left is cancelled.",
                "{n} sells are not closed yet. Buys wait until every sell is closed; at {clock} what is left is "
                "cancelled.",
                clock=clock,
            )
            return words("Waiting for the sells"), sentence
        case "SETTLING":
            brought = exact(money["net_proceeds"]) or ZERO
            sentence = words(
                "Every sell is closed. The broker shows {a} of the {b} that they brought. Buys start when two equal "
                "readings cover it, or at {clock} with what is there.",
                a=look.money(min(exact(money["credited"]) or ZERO, brought)),
                b=look.money(brought),
                clock=clock,
            )
            return words("Waiting for the money"), sentence
        case "REVALIDATING":
            sentence = words("The money is there. Fresh funds and prices are read to cut each buy to what can be paid.")
            return words("Waiting for prices"), sentence
        case _:
            sentence = words.many(
                _left(cycle, "BUY"),
                "{n} buy is not closed yet; at {clock} what is left is cancelled.",
                "{n} buys are not closed yet; at {clock} what is left is cancelled.",
                clock=clock,
            )
            return words("Waiting for the buys"), sentence


def _left(cycle: Answer, side: str) -> int:
    mine = [order for order in cycle["orders"] if order["side"] == side and not order["quarantined"]]
    return sum(1 for order in mine if order["ord_status"] not in CLOSED)
