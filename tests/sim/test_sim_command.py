"""``oms sim run|replay|sweep`` at the terminal: figures, the line that lives a failure again, and exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oms.cli import oms
from oms.errors import UsageError
from tests.sim.planted.bugs import BUGS, planted


def sim(*words: str) -> Result:
    """One command; its exit code is what the program would end with."""
    done = CliRunner().invoke(oms, ["sim", *words], standalone_mode=False, catch_exceptions=False)
    done.exit_code = done.return_value or 0
    return done


def test_a_run_counts_what_happened() -> None:
    """Cycles, faults, deaths, coverage with its unvisited corners, and no failure."""
    done = sim("run", "--seeds", "12", "--jobs", "1", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["schema"] == "oms.sim-run/1"
    assert (answer["seeds"], answer["failures"], answer["store"]) == (12, [], "sqlite in memory")
    assert answer["cycles"] == sum(answer["outcomes"].values()) > 10
    assert sum(answer["faults"].values()) > 50
    assert answer["unvisited"]


def test_a_run_for_people() -> None:
    """The same as tables, with the verdict in the last line."""
    done = sim("run", "--seeds", "5", "--jobs", "1", "--in-ram")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "no law was broken"
    assert "between" in done.stdout


def test_a_run_of_long_lives() -> None:
    """With --cycles each world lives so many, and the line that lives one again says it."""
    (found,) = [bug for bug in BUGS if bug.name == "more is sold than is held"]
    with planted(found):
        done = sim("run", "--seeds", "4", "--cycles", "10", "--jobs", "1", "--in-ram")
        assert done.exit_code == 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("  oms sim replay "))
        assert line.endswith("--in-ram --cycles 10")
        assert sim(*line.split()[2:]).exit_code == 1
    again = sim(*line.split()[2:])
    assert again.exit_code == 0
    assert any(line.startswith("10 cycles, ") for line in again.stdout.splitlines())


def test_a_failing_seed_prints_the_line_that_lives_it_again() -> None:
    """Exit code 1; the printed replay fails too, and shrinks."""
    (found,) = [bug for bug in BUGS if bug.name == "more is sold than is held"]
    with planted(found):
        done = sim("run", "--seeds", "60", "--jobs", "1", "--in-ram")
        assert done.exit_code == 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("  oms sim replay "))
        again = sim(*line.split()[2:], "--shrink")
        assert again.exit_code == 1
        assert "--without" in again.stdout
    assert sim(*line.split()[2:]).exit_code == 0


def test_a_replay_shows_every_event() -> None:
    """Facts, requests and crash points stand in it in order, and two replays are the same."""
    first, second = sim("replay", "3", "--trace"), sim("replay", "3", "--trace")
    assert first.exit_code == 0
    assert first.stdout == second.stdout
    assert "process 1 starts" in first.stdout
    assert ". journal.after_barrier" in first.stdout


def test_a_user_rehearses_his_own_limits(tmp_path: Path) -> None:
    """With --config the cycles run under the limits of that file."""
    file = tmp_path / "config.yaml"
    file.write_text("account: test\nmode: paper\nexecution:\n  max_position_value: 500\n")
    done = sim("replay", "2", "--trace", "--config", str(file))
    assert done.exit_code == 0, done.output
    quantities = [line for line in done.stdout.splitlines() if "max_position_value" in line]
    assert quantities


def test_a_configuration_that_lies_about_is_not_taken_for_the_one_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --config each seed draws its own limits, and where a config.yaml lies in the folder that is said."""
    monkeypatch.chdir(tmp_path)
    silent = sim("run", "--seeds", "1", "--jobs", "1", "--in-ram")
    (tmp_path / "config.yaml").write_text("account: test\n")
    told = sim("run", "--seeds", "1", "--jobs", "1", "--in-ram")
    assert (silent.stderr, silent.exit_code, told.exit_code) == ("", 0, 0)
    assert "`--config config.yaml` rehearses its limits" in told.stderr
    assert told.stdout.startswith("1 world from seed 0, each with limits of its own")
    asked = sim("run", "--seeds", "1", "--jobs", "1", "--in-ram", "--config", "config.yaml")
    assert asked.stderr == ""
    assert asked.stdout.startswith("1 world from seed 0, under the limits of config.yaml")


def test_a_failing_seed_of_ones_own_limits_is_lived_again_under_them(tmp_path: Path) -> None:
    """The line that lives it again names the configuration; without it, it would be another world."""
    file = tmp_path / "my limits.yaml"
    file.write_text("account: test\n")
    (found,) = [bug for bug in BUGS if bug.name == "more is sold than is held"]
    with planted(found):
        done = sim("run", "--seeds", "60", "--jobs", "1", "--in-ram", "--config", str(file))
        assert done.exit_code == 1
        line = next(line for line in done.stdout.splitlines() if line.startswith("  oms sim replay "))
        assert line.endswith(f"--in-ram --config '{file}'")
        assert sim(*shlex.split(line)[2:]).exit_code == 1


def test_a_replay_is_a_story_in_plain_lines() -> None:
    """Weather with its meaning, the wire, the facts; no crash points, no reprs; --without takes only what there is."""
    done = sim("replay", "3")
    lines = done.stdout.splitlines()
    assert "no_quote#2: a quote is missing" in done.stdout
    assert any("> place " in line for line in lines)
    assert not any("Decimal(" in line or "  . " in line or "<Side" in line for line in lines)
    assert max(map(len, lines[:-3])) < 190
    assert sim("replay", "3", "--without", "no_quote, AAA/1").exit_code == 0
    with pytest.raises(UsageError, match="--without nonsense: no such part of a world"):
        sim("replay", "3", "--without", "nonsense")


def test_a_sweep_counts_its_lives() -> None:
    """The first crash point of every hundred, all deaths and faults, as a table of counts."""
    done = sim("sweep", "--step", "100", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["lives"] == sum(row["lives"] for row in answer["rows"]) > 100
    assert not any(row["broken"] for row in answer["rows"])
