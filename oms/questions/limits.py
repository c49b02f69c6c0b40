"""What every limit allows and what is used of it: ``risk``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms.questions.asking import Desk

if TYPE_CHECKING:
    from oms.journal.reader import Reader


def risk(desk: Desk) -> dict[str, Any]:
    """Each control with its limit by the configuration and its use by the journal; also before the first run."""
    from oms.app import rules_of
    from oms.audit import limits

    config, now = desk.loaded.config, desk.now()
    rules = rules_of(config)
    messages = config.execution.messages_per_minute

    def asked(reader: Reader | None) -> dict[str, Any]:
        return limits.risk(reader, rules, messages_per_minute=messages, now=now)

    return desk.ask(asked, asked(None))
