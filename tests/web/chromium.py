"""Where the system's browser is, and how it is started: quietly, without asking the network for anything of its own."""

from __future__ import annotations

import shutil
from functools import cache

NO_CHROMIUM = "NO CHROMIUM IS INSTALLED: the pages were NOT tried in a browser (Debian: apt-get install chromium)"
ARGUMENTS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@cache
def chromium() -> str | None:
    """The browser's program; None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((found for name in names if (found := shutil.which(name))), None)
