"""The bench on which mutants are tried: a pytest plugin that collects once, and then runs tests in forks of its process.

First every test runs on the module as it is, and the lines of it that each one touches are written down. Then each mutant
gets a fork in which only the tests that touch its place run, those first that have found the most in the least time, up to
the first that fails. A fork is given processor time by what its tests take on the module itself, and not by the clock on the
wall, which says nothing on a busy machine.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from tests.mutants import swapping
from tests.mutants.mutating import Mutant, original, path_of

SPARE_S = 1
"""Processor time that a test may take beyond five times what it takes on the module itself: more is a loop without end."""
SILENT_S = 90
"""A fork that has neither ended nor used the processor for so long waits for ever."""


@dataclass(slots=True)
class Known:
    """What is known of one test."""

    lines: frozenset[int] = frozenset()
    """Lines of the module that it touches."""
    cpu_s: float = 0.0
    kills: int = 0

    @property
    def worth(self) -> float:
        """Mutants found a second, as far as one can tell."""
        return (self.kills + 1) / (self.cpu_s + 0.005)


@dataclass(slots=True)
class Bench:
    """The plugin; ``work`` is called when everything is collected and measured."""

    module: str
    work: Callable[[Bench], None]
    items: list[pytest.Item] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)
    """Tests that fail twice although nothing is wrong with the module."""
    _functions: dict[swapping.Place, list[Any]] = field(default_factory=dict)
    _failed: Callable[[str], None] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = list(session.items)
        if not self.items:
            raise AssertionError(f"no tests for {self.module}")
        self._functions = swapping.living(str(path_of(self.module)))
        self.work(self)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Tells of a failure before anybody writes a report of it, which costs more than most tests."""
        failed = call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception)
        if failed and self._failed is not None and item.get_closest_marker("xfail") is None:
            self._failed(item.nodeid)

    def measure(self) -> None:
        """Run every test on the module as it is; one that fails is tried once more, alone."""
        told = self._forked(lambda tell: self._measured(self.items, tell))
        again = {line["failed"] for line in told if "failed" in line}
        for line in told:
            if "test" in line and line["test"] not in again:
                self.known[line["test"]] = Known(lines=frozenset(line["lines"]), cpu_s=line["cpu_s"])
        for item in self.items:
            if item.nodeid in self.known:
                continue
            told = self._forked(lambda tell, item=item: self._measured([item], tell))  # type: ignore[misc]
            if any("failed" in line for line in told) or not told:
                self.failing.append(item.nodeid)
            for line in told:
                if "test" in line:
                    self.known[item.nodeid] = Known(lines=frozenset(line["lines"]), cpu_s=line["cpu_s"])

    def _measured(self, items: Sequence[pytest.Item], tell: Callable[[dict[str, Any]], None]) -> None:
        path, touched = str(path_of(self.module)), set[int]()

        def line(frame: FrameType, event: str, _: object) -> Any:
            touched.add(frame.f_lineno)
            return line

        def call(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_code.co_filename != path or _is_import(frame.f_code):
                return None
            return line(frame, event, argument)

        self._failed = lambda test: tell({"failed": test})
        threading.settrace(call)
        for number, item in enumerate(items):
            touched.clear()
            before = time.process_time()
            sys.settrace(call)
            self._run(item, items[number + 1] if number + 1 < len(items) else None)
            sys.settrace(None)
            tell({"test": item.nodeid, "lines": sorted(touched), "cpu_s": time.process_time() - before})

    def _run(self, item: pytest.Item, following: pytest.Item | None) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def swappable(self, mutant: Mutant) -> list[CodeType] | None:
        """The codes that make this process's module the mutant; None where it must be imported instead."""
        codes = swapping.differing(original(self.module), mutant.code)
        return codes if codes is not None and swapping.can_swap(self._functions, codes) else None

    def order(self, mutant: Mutant) -> list[str]:
        """The tests that touch the place of a mutant, the most promising first."""
        touching = [test for test, known in self.known.items() if not known.lines.isdisjoint(mutant.lines)]
        return sorted(touching, key=lambda test: -self.known[test].worth)

    def killer(self, codes: Sequence[CodeType], tests: Sequence[str]) -> str | None:
        """The first of these tests that fails with these codes in place; None where none does."""

        def work(tell: Callable[[dict[str, Any]], None]) -> None:
            swapping.swap(self._functions, codes)

            def failed(test: str) -> None:
                tell({"failed": test})
                os._exit(1)

            self._failed = failed
            for number, item in enumerate(items):
                _allow(SPARE_S + 5 * self.known.get(item.nodeid, Known()).cpu_s)
                tell({"begun": item.nodeid})
                self._run(item, items[number + 1] if number + 1 < len(items) else None)
            tell({"done": True})

        by_id = {item.nodeid: item for item in self.items}
        items = [by_id[test] for test in tests if test in by_id]
        if not items:
            return None
        told = self._forked(work)
        if told and "done" in told[-1]:
            return None
        last = told[-1] if told else {}
        name: str = last.get("failed") or last.get("begun") or items[0].nodeid
        return name

    def _forked(self, work: Callable[[Callable[[dict[str, Any]], None]], None]) -> list[dict[str, Any]]:
        """What a fork of this process tells while it works; the fork ends with its work, however that ends."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

            def tell(line: dict[str, Any]) -> None:
                os.write(writing, json.dumps(line).encode() + b"\n")

            try:
                work(tell)
            finally:
                os._exit(0)
        os.close(writing)
        told = b"".join(_heard(reading, pid))
        os.close(reading)
        os.waitpid(pid, 0)
        return [json.loads(line) for line in told.splitlines() if line.endswith(b"}")]


def _heard(reading: int, pid: int) -> Iterator[bytes]:
    """Everything until the other end is closed; a process that stands still is ended."""
    used, since = _processor_time(pid), time.monotonic()
    while True:
        if select.select([reading], [], [], 5)[0]:
            piece = os.read(reading, 1 << 16)
            if not piece:
                return
            since = time.monotonic()
            yield piece
        now = _processor_time(pid)
        if now - used > 0.5:
            used, since = now, time.monotonic()
        if time.monotonic() - since > SILENT_S:
            os.kill(pid, signal.SIGKILL)
            return


def _processor_time(pid: int) -> float:
    """Seconds of the processor that a process has used; zero where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _allow(seconds: float) -> None:
    """Let this process end when it has used so much more of the processor."""
    most = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _is_import(code: CodeType) -> bool:
    return code.co_name == "<module>"
