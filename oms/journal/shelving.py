"""Where a program with a shelf of backups says how a database is kept before it is moved up to a newer schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

keep: Callable[[Path], str | None] | None = None
"""Keeps the database at a path and answers where, for a sentence; None for a database that the shelf does not know.

Where nothing is set, nothing is answered, or it raises an :class:`oms.errors.OmsError`, a plain copy is laid beside.
"""
