"""The family of errors: what went wrong, and the exit code that says so to a script.

OmsError ─ a sentence for the person who reads it, and the exit code of ``design`` table "exit codes"
├── UsageError            2   usage, configuration or signals: where, what, what was expected
│   ├── UnknownName           a cycle or an order of this name is not there
│   └── WrongDatabase         only the other kind of database has what was asked for
├── DamagedError          3   stored data is broken, half migrated, or newer than this program
├── CredentialsError      4   login refused, key file readable by others
├── RefusedError          5   refused for safety: not armed, mode and account disagree, network file system
├── LeaseHeldError        6   another process owns this account
├── HeldError             7   held for a person: halted, or ended with a quarantined order
└── TryAgainError        75   broker down, market data stale, disk full, database locked; the cycle stays open
    ├── StorageError          the database did not do what it was told; whether it was written is decided from disk
    │   └── FenceLostError    another process took this account's lease; this one may write nothing more
    ├── MarketStale           too few symbols have fresh prices; nothing was chosen
    └── BrokerUnavailable     a read did not succeed; nothing was concluded from it

SendError ─ how one attempt to place an order ended, where it did not end in an acknowledgement
├── NotSent               proof that nothing left this machine
├── Refused               the broker's definite answer, from the adapter's allow-list
└── InDoubt               anything else: the order may exist
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class OmsError(Exception):
    """A failure with a sentence for its reader; ``exit_code`` is what the process ends with."""

    exit_code = 1


class UsageError(OmsError):
    """The command line, the configuration or an input file is wrong; nothing was done."""

    exit_code = 2


class UnknownName(UsageError):
    """What was asked for by its name is not there."""


class WrongDatabase(UsageError):
    """A journal in a file was asked for what only PostgreSQL has, or the other way round."""


class DamagedError(OmsError):
    """Stored data is broken, half migrated, or newer than this program."""

    exit_code = 3


class CredentialsError(OmsError):
    """A login was refused, or a key file can be read by others."""

    exit_code = 4


class RefusedError(OmsError):
    """Refused for safety."""

    exit_code = 5


class LeaseHeldError(OmsError):
    """Another process owns this account."""

    exit_code = 6


class HeldError(OmsError):
    """The work waits for a person."""

    exit_code = 7


class TryAgainError(OmsError):
    """A cause outside this program; the cycle stays open and the next run goes on."""

    exit_code = 75


class StorageError(TryAgainError):
    """The database failed; whether the last commit was kept is decided from disk by a fresh start."""


class FenceLostError(StorageError):
    """Another process took this account's lease while this one was away."""

    exit_code = 6


class MarketStale(TryAgainError):
    """Too few symbols have prices of the newest session; no cycle was opened on the others."""


class BrokerUnavailable(TryAgainError):
    """A read at the broker or the market did not succeed; nothing follows from it."""


class SendError(Exception):
    """One attempt to place an order ended without an acknowledgement."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.text = text


class NotSent(SendError):
    """Proof that nothing left this machine: the same number may be used again at once."""


class Refused(SendError):
    """The broker's definite no. ``repeat`` says that it refused a number it already knows."""

    def __init__(self, code: str, text: str = "", *, repeat: bool = False) -> None:
        super().__init__(code, text)
        self.repeat = repeat


class InDoubt(SendError):
    """The order may have reached the broker; only evidence ends the doubt."""


def place_of(error: BaseException) -> str:
    """Where an error was raised, as ``module, line``, the innermost frame of ours before any library's."""
    place, frame = "the program", error.__traceback__
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == "oms" or place == "the program":
            place = f"{module}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return place
