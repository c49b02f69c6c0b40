"""Was it committed? What the server says after the connection was lost with a commit under way."""

from __future__ import annotations

import time

from oms.journal.postgres.address import Address, askers

PATIENCE_S = 10.0
"""Seconds for which the server is asked again before the question is left to the next start."""
_PAUSE_S = 0.2

WRITTEN = "the server says that it was written"
NOT_WRITTEN = "the server says that it was not written"
UNKNOWN = "whether it was written is decided by the next start"


def fate_of(address: Address, account: str, seq: int, link: bytes, patience_s: float = PATIENCE_S) -> str:
    """One of the three sentences.

    The row of the lease is locked first: whoever had it, the lost transaction included, has then ended.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            return _asked(address, account, seq, link)
        except Exception:  # noqa: BLE001  # whatever fails here, the next start finds out; the first error is told
            if time.monotonic() > until:
                return UNKNOWN
            time.sleep(_PAUSE_S)


def _asked(address: Address, account: str, seq: int, link: bytes) -> str:
    engine = askers(address)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT 1 FROM lease WHERE account = %s FOR UPDATE", (account,))
            sql = "SELECT hash FROM events WHERE account = %s AND seq = %s"
            row = connection.exec_driver_sql(sql, (account, seq)).first()
            connection.exec_driver_sql("ROLLBACK")
    finally:
        engine.dispose()
    return WRITTEN if row is not None and bytes(row[0]) == link else NOT_WRITTEN
