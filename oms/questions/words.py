"""Words that people use for what a question is about: instants, and how long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from oms.errors import UsageError

EXPECTED = "2026-11-20, 2026-11-20T14:30:00Z, today, yesterday, or an age such as 30m, 2h, 7d"


def instant(text: str, option: str) -> datetime:
    """An instant in words: ISO 8601 (UTC where it names no zone), today, yesterday, or so long ago (90s, 30m, 2h, 7d).

    Raises UsageError for anything else, which names ``option``.
    """
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    ago = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    try:
        if ago is not None:
            seconds = int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[ago[2]]
            return now - timedelta(seconds=seconds)
        found = named.get(text) or datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text!r} is no time; expected {EXPECTED}") from None
