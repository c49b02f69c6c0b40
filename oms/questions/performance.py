"""How well it trades and what it earned: ``report`` and ``pnl``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from oms.questions.asking import Desk


def report(desk: Desk, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
    """The metrics of the cycles opened from ``since`` on and before ``until``, in total and by day."""
    from oms.audit import report as asked

    return desk.ask(lambda reader: asked.report(reader, since, until), asked.nothing())


def pnl(desk: Desk, since: datetime | None = None, until: datetime | None = None) -> dict[str, Any]:
    """Profit and loss, realised and not, today and in all, by symbol."""
    from oms.audit import pnl as asked

    return desk.ask(lambda reader: asked.pnl(reader, since, until), asked.nothing())
