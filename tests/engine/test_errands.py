"""Work beside the trading: when it runs, what it may bring back, and that nothing of it is ever waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from oms.engine.errands import MOST_HANGING, Errand, Errands, Following
from oms.engine.register import WRITTEN_EVERY_S, Register
from oms.errors import StorageError
from oms.model.task import TaskHealth
from oms.ports import Follower, Handle, Hands
from tests.fakes.clock import FakeClock


class ManualHands(Hands):
    """Threads whose calls come back when the test says so."""

    def __init__(self) -> None:
        self.started: list[tuple[Callable[[], Any], Future[Any]]] = []

    def start(self, call: Callable[[], Any]) -> Handle[Any]:
        self.started.append((call, Future()))
        return self.started[-1][1]

    def come_back(self) -> None:
        call, future = self.started[-1]
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  # as real threads do
            future.set_exception(error)

    def wait(self, handles: Sequence[Handle[Any]], timeout: float) -> None:
        raise AssertionError("nobody waits for an errand")

    def close(self) -> None:
        """No thread is there."""


class Post(Errand):
    """An errand that does what the test says."""

    name = "post"
    interval = timedelta(seconds=100)
    limit = timedelta(seconds=30)

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.errors: list[Exception] = []
        self.wanted = False
        self.nothing = ""
        self.work: Callable[[], Any] = lambda: "letters"

    def is_wanted(self) -> bool:
        return self.wanted

    def begin(self) -> Callable[[], Any] | str:
        return self.nothing or self.work

    def take(self, answer: Any) -> str:
        self.answers.append(answer)
        return f"brought {answer}"

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


class Desk:
    """One errand, its register and its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.hands = ManualHands()
        self.kept: dict[str, TaskHealth] = {}
        self.said: list[str] = []
        self.writes = 0
        self.register = Register(self.clock, self._keep, say=self.said.append, names=("post",))
        self.errands = Errands(self.clock, self.hands, self.register)
        self.post = Post()
        self.errands.add(self.post)

    def _keep(self, tasks: Sequence[TaskHealth]) -> None:
        self.writes += 1
        self.kept.update({task.name: task for task in tasks})

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
        self.errands.tend()

    def run(self, *, fails: bool = False) -> None:
        """Let it come back at once."""
        if fails:
            self.post.work = self._fail
        self.errands.tend()
        self.hands.come_back()
        self.errands.tend()

    @staticmethod
    def _fail() -> None:
        raise OSError("no stamps")

    @property
    def runs(self) -> int:
        return len(self.hands.started)

    @property
    def health(self) -> TaskHealth:
        return self.register.task("post")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_run_is_at_once_and_the_next_ones_at_whole_intervals(desk: Desk) -> None:
    """However late a run is noticed and however long it took, the beat stays where it began."""
    desk.run()
    assert desk.post.answers == ["letters"]
    desk.pass_time(99)
    assert desk.runs == 1
    desk.pass_time(8)  # at 107 instead of 100
    desk.hands.come_back()
    desk.pass_time(1)
    desk.pass_time(91)  # at 199
    assert desk.runs == 2
    desk.pass_time(1)
    assert desk.runs == 3


def test_a_machine_that_slept_makes_up_for_one_run(desk: Desk) -> None:
    """Of a thousand missed runs one is made, and the next one is due at the old beat."""
    desk.run()
    desk.pass_time(100_050)
    desk.hands.come_back()
    desk.pass_time(0)
    assert desk.runs == 2
    desk.pass_time(49)
    assert desk.runs == 2
    desk.pass_time(1)
    assert desk.runs == 3


def test_a_wall_clock_that_jumps_moves_no_run(desk: Desk) -> None:
    """A day forward brings no run sooner, a day back none later; only what is shown as its time follows the wall."""
    desk.run()
    for days in (1, -2):
        desk.clock.jump(timedelta(days=days))
        desk.pass_time(10)
        assert desk.runs == 1
    desk.pass_time(80)
    assert desk.runs == 2


def test_a_run_that_hangs_is_given_up_and_said_and_only_a_few_pile_up(desk: Desk) -> None:
    """Its limit passes, the task is in error, later runs start beside it, and after three nothing more is started."""
    for number in range(MOST_HANGING):
        desk.pass_time(10_000)
        assert desk.runs == number + 1
        desk.pass_time(31)
        assert not desk.health.healthy
        assert "has not come back within 30 s" in desk.health.last_error
    desk.pass_time(10_000)
    assert desk.runs == MOST_HANGING
    assert "3 earlier runs still hang" in desk.health.last_error
    desk.hands.come_back()  # one of them is free again: its late answer is nobody's, and a new run may start
    desk.pass_time(10_000)
    assert desk.runs == MOST_HANGING + 1
    assert desk.post.answers == []


def test_failures_are_tried_again_sooner_than_the_interval_and_then_later_and_later(desk: Desk) -> None:
    """A minute, two, four, up to ten; the first success brings the beat back."""
    desk.run(fails=True)
    for pause in (60, 120, 240, 480, 600, 600):
        before = desk.runs
        desk.pass_time(pause - 1)
        assert desk.runs == before
        desk.pass_time(1)
        assert desk.runs == before + 1
        desk.hands.come_back()
        desk.pass_time(0)
    assert desk.health.failures == 7
    desk.post.work = lambda: "letters"
    desk.pass_time(600)
    desk.hands.come_back()
    desk.pass_time(0)
    assert (desk.health.healthy, desk.health.failures, desk.health.last_error) == (True, 0, "no stamps")


def test_one_that_is_wanted_runs_before_its_time_unless_it_has_just_failed(desk: Desk) -> None:
    """A new trading day brings a selection at once; a source that fails is not hammered for it."""
    desk.run()
    desk.post.wanted = True
    desk.post.work = desk._fail
    desk.pass_time(1)
    assert desk.runs == 2
    desk.hands.come_back()
    desk.pass_time(1)
    desk.pass_time(1)
    assert desk.runs == 2


def test_nothing_to_do_is_no_run(desk: Desk) -> None:
    """What it says then stands in the register, with when it is looked at again, and it is healthy."""
    desk.post.nothing = "a cycle is open"
    desk.errands.tend()
    assert (desk.runs, desk.health.runs, desk.health.text, desk.health.healthy) == (0, 0, "a cycle is open", True)
    assert desk.health.next_run == desk.clock.now() + timedelta(seconds=100)


def test_a_failure_is_said_once_and_so_is_the_recovery(desk: Desk) -> None:
    """The same words twice are one line; another failure is another one."""
    desk.run(fails=True)
    desk.pass_time(60)
    desk.hands.come_back()
    desk.pass_time(0)
    assert [line.partition(";")[0] for line in desk.said] == ["post failed: no stamps"]
    desk.post.work = lambda: "letters"
    desk.pass_time(120)
    desk.hands.come_back()
    desk.pass_time(0)
    assert desk.said[1:] == ["post works again: brought letters"]


def test_health_is_written_at_most_once_a_second_and_a_failure_at_once(desk: Desk) -> None:
    """A replay that trades many days a second does not write as often; who looks sees a failure without delay."""
    desk.run()
    before = desk.writes
    for _ in range(10):
        desk.register.went_well("post", f"at {desk.clock.elapsed()}")
        desk.pass_time(WRITTEN_EVERY_S / 20)
    assert desk.writes == before
    desk.register.went_wrong("post", "lost")
    desk.errands.tend()
    assert (desk.writes, desk.kept["post"].last_error) == (before + 1, "lost")


def test_a_storage_failure_in_taking_in_ends_the_process(desk: Desk) -> None:
    """The journal's own failure is no failure of the errand: it goes through."""

    def broken(answer: Any) -> str:
        raise StorageError(f"the disk is full, {answer} is lost")

    desk.post.take = broken  # type: ignore[method-assign]
    desk.errands.tend()
    desk.hands.come_back()
    with pytest.raises(StorageError):
        desk.errands.tend()


def test_foreign_text_stays_on_one_line(desk: Desk) -> None:
    """An error's text from outside can neither forge a line of the log nor fill the table."""
    desk.register.went_wrong("post", "a\nb\x1b[31m" + "x" * 1000)
    assert "\n" not in desk.health.last_error
    assert "\x1b" not in desk.health.last_error
    assert len(desk.health.last_error) <= 301


def test_a_follower_runs_in_a_thread_and_its_outage_costs_nothing(desk: Desk) -> None:
    """A notification that hangs is not waited for: each look returns at once, and its health says so."""

    class Bell(Follower):
        name = "notification"
        interval = timedelta(seconds=5)

        def step(self) -> str:
            return "2 told"

        def close(self) -> None:
            """It holds nothing."""

    desk.errands.add(Following(Bell()))
    desk.errands.tend()
    desk.hands.come_back()
    desk.errands.tend()
    assert desk.register.task("notification").text == "2 told"
    desk.pass_time(5)  # it hangs now
    desk.pass_time(121)
    assert not desk.register.task("notification").healthy
