"""An account of real money at the loopback gateway, its configuration, and the program as a person at a terminal has it."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from oms.config import LoadedConfig, load_config
from oms.gateways.system_clock import SystemClock
from tests.gateways.test_tiger_properties import write
from tests.tigerd.book import PRIME_ACCOUNT, Book
from tests.tigerd.gateway import Gateway

ROOT = Path(__file__).parents[2]
PRICES = {"AAPL": Decimal(30), "MSFT": Decimal(28)}
PATIENCE_S = 180.0


@dataclass
class Stage:
    """One account at the gateway and one folder with its configuration, properties and wishes."""

    folder: Path
    account: str = PRIME_ACCOUNT
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = Gateway(Book(SystemClock(), dict(PRICES), positions={"AAPL": 100}, account=self.account))
        self.gateway.signs = False
        write(self.folder, account=self.account)
        (self.folder / "plan.csv").write_text("side,symbol,quantity\nsell,AAPL,40\nbuy,MSFT,10\n", "utf-8")
        self.configure()

    def configure(self, mode: str = "live", *more: str) -> LoadedConfig:
        """Write config.yaml anew; ``more`` are lines of it."""
        paper = "{settle_after: 50ms, funds_lag: 20ms, fill_delay: 5ms}"
        lines = [
            f"mode: {mode}",
            "journal: {url: sqlite:///var/live.db}",
            f"broker: {{kind: tiger, tiger: {{server_url: '{self.gateway.url}'}}, paper: {paper}}}",
            "settlement: {poll: 100ms}",
            *more,
        ]
        (self.folder / "config.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        return load_config(self.folder / "config.yaml", {})

    @property
    def sent(self) -> int:
        """Requests at the gateway that place, change or cancel an order, or reserve a number for one."""
        return sum(self.gateway.posts[name] for name in ("order_no", "place_order", "modify_order", "cancel_order"))

    def run(self, *words: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        """The program without a terminal, stdout and stderr apart."""
        return subprocess.run(
            self._command(words),
            cwd=self.folder,
            env=self._environment(env),
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def call(self, *words: str) -> tuple[int, str]:
        """The program in this very process: its exit code, and what it said on stdout and stderr together."""
        from oms import cli

        said = io.StringIO()
        with chdir(self.folder), redirect_stdout(said), redirect_stderr(said):
            try:
                cli.main(list(words))
            except SystemExit as end:
                return int(end.code or 0), said.getvalue()
        raise AssertionError("the program did not end")

    def at_terminal(self, *words: str, typed: str = "", **env: str) -> tuple[int, str]:
        """The program at a terminal of its own; ``typed`` is typed at once. Answers exit code and all that was shown."""
        import pty  # late, for Windows has none

        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self._command(words),
            cwd=self.folder,
            env=self._environment({"TERM": "dumb", **env}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        if typed:
            os.write(ours, f"{typed}\n".encode())
        shown, until = b"", time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            ready, _, _ = select.select([ours], [], [], 1.0)
            try:
                part = os.read(ours, 65_536) if ready else b""
            except OSError:  # Linux says so when the other side is closed
                break
            if ready and not part:
                break
            shown += part
        else:
            process.send_signal(signal.SIGKILL)
        os.close(ours)
        return process.wait(), shown.decode().replace("\r\n", "\n")

    @staticmethod
    def _command(words: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(ROOT / "cli.py"), *words]

    @staticmethod
    def _environment(more: dict[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("TIGEROPEN_", "OMS_"))}
        return {**own, "OMS_NO_SETUP": "1", "COLUMNS": "200", **more}

    def close(self) -> None:
        self.gateway.close()
