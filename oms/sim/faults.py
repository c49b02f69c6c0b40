"""What can go wrong in the simulated world, by name; each line says what the world does."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """One kind of bad weather. Its value is the name in schedules, counts and on the command line."""

    # The wire
    REPLY_LOST = "reply_lost"
    REQUEST_LOST = "request_lost"
    LATE = "late"
    VERY_LATE = "very_late"
    NOT_SENT = "not_sent"
    GARBAGE = "garbage"
    SLOW_REPLY = "slow_reply"
    CANCEL_LOST = "cancel_lost"
    OUTAGE = "outage"
    READ_FAILS = "read_fails"
    READ_SLOW = "read_slow"
    BAD_NUMBERS = "bad_numbers"
    # The broker's orders
    REFUSED = "refused"
    ASYNC_REJECT = "async_reject"
    PARTIAL = "partial"
    SLOW_FILL = "slow_fill"
    STUCK = "stuck"
    CANCEL_RACE = "cancel_race"
    SLOW_CANCEL = "slow_cancel"
    FILL_AFTER_CANCEL = "fill_after_cancel"
    FOREIGN_CANCEL = "foreign_cancel"
    # What the broker shows
    LIST_LAG = "list_lag"
    HIDDEN = "hidden"
    INCOMPLETE = "incomplete"
    MARK_LOST = "mark_lost"
    UNKNOWN_STATUS = "unknown_status"
    FILLED_SHORT = "filled_short"
    # Money and prices
    FUNDS_LATE = "funds_late"
    FUNDS_LOW = "funds_low"
    FUNDS_HIGH = "funds_high"
    FUNDS_NOT_FINITE = "funds_not_finite"
    PRICE_JUMP = "price_jump"
    NO_QUOTE = "no_quote"
    OLD_QUOTE = "old_quote"
    # Strangers on the account
    STRANGER_ORDER = "stranger_order"
    STRANGER_TRADE = "stranger_trade"
    CASH_MOVED = "cash_moved"
    # Operators
    HALT = "halt"
    HALT_ALL = "halt_all"
    BLACKLIST = "blacklist"
    RESOLVE = "resolve"
    # Time
    CLOCK_JUMP = "clock_jump"
    NEAR_CLOSE = "near_close"
    NIGHT = "night"
    # Processes and the machine
    KILL = "kill"
    KILL_IN_WAIT = "kill_in_wait"
    POWER_CUT = "power_cut"
    PAUSE = "pause"
    CONTENDER = "contender"
    STORAGE_ERROR = "storage_error"
    STORAGE_ERROR_KEPT = "storage_error_kept"
    # Came later: drawn from a stream of their own, see scenario.LATER
    STIRRED = "stirred"
    DISARM = "disarm"
    LICENCE_ENDS = "licence_ends"
    FOLLOWER_FAILS = "follower_fails"
    FOLLOWER_HANGS = "follower_hangs"


MEANING: dict[Fault, str] = {
    Fault.REPLY_LOST: "accepted, the reply to the request is lost",
    Fault.REQUEST_LOST: "the request is lost, which the sender cannot know",
    Fault.LATE: "the request arrives seconds or minutes after the sender has given up",
    Fault.VERY_LATE: "the request arrives hours later, after every horizon there is",
    Fault.NOT_SENT: "the connection is refused: proof that nothing left",
    Fault.GARBAGE: "accepted, and the reply is empty, None, or an error nobody foresaw",
    Fault.SLOW_REPLY: "accepted, the reply comes after the engine has stopped waiting for it",
    Fault.CANCEL_LOST: "a cancel or its reply is lost",
    Fault.OUTAGE: "nothing of the broker answers for seconds or minutes",
    Fault.READ_FAILS: "a read fails",
    Fault.READ_SLOW: "a read takes seconds, or longer than the engine waits",
    Fault.BAD_NUMBERS: "order numbers are handed out twice, empty, or already used",
    Fault.REFUSED: "the broker's definite no",
    Fault.ASYNC_REJECT: "taken, and rejected a moment later, with or without a part filled",
    Fault.PARTIAL: "filled in several parts",
    Fault.SLOW_FILL: "filled seconds after acceptance",
    Fault.STUCK: "never fills until it is cancelled or the day ends",
    Fault.CANCEL_RACE: "a fill wins against the cancel",
    Fault.SLOW_CANCEL: "the cancel takes effect seconds after it was taken",
    Fault.FILL_AFTER_CANCEL: "a fill is reported after the cancel was confirmed",
    Fault.FOREIGN_CANCEL: "the broker or somebody else cancels our order",
    Fault.LIST_LAG: "reads of orders show the state of some time ago",
    Fault.HIDDEN: "a read calls itself complete and misses an order",
    Fault.INCOMPLETE: "a read misses pages and says so",
    Fault.MARK_LOST: "our mark is not echoed",
    Fault.UNKNOWN_STATUS: "an order shows a status word nobody knows, for a while or until its end",
    Fault.FILLED_SHORT: "an order shows as filled with fewer shares than it has, then with all",
    Fault.FUNDS_LATE: "what sells brought shows in the funds only after a while",
    Fault.FUNDS_LOW: "one reading of the funds is too low",
    Fault.FUNDS_HIGH: "one reading of the funds in a cycle is too high, then corrected",
    Fault.FUNDS_NOT_FINITE: "a reading of the funds is NaN or infinite",
    Fault.PRICE_JUMP: "a price jumps by 1 to 50 percent, between reading and sending too",
    Fault.NO_QUOTE: "a quote is missing",
    Fault.OLD_QUOTE: "a quote is minutes old",
    Fault.STRANGER_ORDER: "another program's buy rests on the account",
    Fault.STRANGER_TRADE: "somebody buys or sells shares of the account by hand",
    Fault.CASH_MOVED: "money is paid in or out, between reading and buying too",
    Fault.HALT: "an operator halts buys, and releases later",
    Fault.HALT_ALL: "an operator halts every order, and releases later",
    Fault.BLACKLIST: "an operator bars a symbol of the plan",
    Fault.RESOLVE: "an operator, having asked the broker, declares an order in doubt void",
    Fault.CLOCK_JUMP: "the machine's clock is set back or forward",
    Fault.NEAR_CLOSE: "the cycle begins shortly before the close",
    Fault.NIGHT: "a night passes between a death and the next start",
    Fault.KILL: "the process dies at a crash point",
    Fault.KILL_IN_WAIT: "the process dies while it waits",
    Fault.POWER_CUT: "the machine dies, and commits that no barrier covered may be lost",
    Fault.PAUSE: "the process is suspended, others may take over, and it wakes",
    Fault.CONTENDER: "a second process is started beside a living one",
    Fault.STORAGE_ERROR: "a commit fails and is not kept",
    Fault.STORAGE_ERROR_KEPT: "a commit fails and is kept all the same",
    Fault.STIRRED: "the broker says that something changed, whether or not it did",
    Fault.DISARM: "an operator disarms real money, and arms it again later",
    Fault.LICENCE_ENDS: "the instant passes until which real money was armed, in the middle of a cycle too",
    Fault.FOLLOWER_FAILS: "work beside the trading fails, in words of its own",
    Fault.FOLLOWER_HANGS: "work beside the trading does not come back for minutes or hours",
}
"""What each fault does, in one sentence."""

OF_PROCESSES = (
    Fault.KILL,
    Fault.KILL_IN_WAIT,
    Fault.POWER_CUT,
    Fault.PAUSE,
    Fault.CONTENDER,
    Fault.STORAGE_ERROR,
    Fault.STORAGE_ERROR_KEPT,
)
"""Faults that strike at a crash point of one process; the rest are drawn by chance at each occasion."""

AT_A_TIME = (
    Fault.STRANGER_ORDER,
    Fault.STRANGER_TRADE,
    Fault.CASH_MOVED,
    Fault.HALT,
    Fault.HALT_ALL,
    Fault.BLACKLIST,
    Fault.RESOLVE,
    Fault.CLOCK_JUMP,
    Fault.FOREIGN_CANCEL,
    Fault.OUTAGE,
    Fault.DISARM,
)
"""Faults that come at drawn instants of the world's time."""
