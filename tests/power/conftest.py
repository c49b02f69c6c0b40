"""Accounts whose power fails use the accounts and the fork server of the tests of real deaths."""

from __future__ import annotations

import sys

from tests.kill.conftest import folder, server

__all__ = ["folder", "server"]

if sys.platform == "win32":
    collect_ignore_glob = ["test_*"]  # nothing there is recorded as these tests record
