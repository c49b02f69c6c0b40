"""The shape of what became of an operator's command."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oms.web.shapes.figures import Shape


class CommandAnswered(Shape):
    """A command that is in the mailbox, and counts from there on."""

    schema_: Literal["oms.command/1"] = Field(alias="schema")
    command: str
    accepted: bool | None = Field(description="null while nobody has journaled it")
    answer: str | None = Field(description="what stands beside it in the journal")
    waits: str | None = Field(description="where there is no answer yet: why, and when there will be one")
    inbox_id: int
