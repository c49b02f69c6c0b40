"""The table of goals, the record of a run, and its picture; what they measure is never asserted."""

from __future__ import annotations

import json
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from oms.bench import every_goal
from oms.bench.chart import chart, lines
from oms.bench.figures import Setting, against, found, missing
from oms.bench.goals import GOALS, Mark
from oms.bench.peers.making import LOCK, make
from oms.bench.record import Figure, Machine, Record
from oms.cli import main, oms
from oms.errors import UsageError

NAMES = [f"G{number}" for number in range(1, 18) if number != 4]


def every_figure() -> list[Figure]:
    """A made-up run in which every mark has its bound as its figure, but for one that was not measured."""
    figures = []
    for goal in GOALS:
        for mark in goal.marks:
            bound = mark.at_most if mark.at_most is not None else mark.at_least
            assert bound is not None
            floor = against("the floor", [1.0, 2.0, 3.0], mark.unit, [bound])
            figures.append(found(goal.id, mark.name, [bound], "made up", floor=floor, peers=[floor]))
    return [*figures[:-1], *missing("G17", ["memory"], "not here")]


@pytest.fixture
def record() -> Record:
    machine = Machine(system="Linux", cores=2, load_before=0.5)
    return Record.of("quick", machine, {"dbos": "3.4.0"}, every_figure())


def test_every_goal_is_in_the_table() -> None:
    """G1 to G17, but for G4, which there is not; each with a sentence, a way to measure it, and bounds."""
    assert [goal.id for goal in GOALS] == NAMES
    assert all(goal.sentence and goal.how and goal.marks for goal in GOALS)
    assert all((mark.at_most is None) != (mark.at_least is None) for goal in GOALS for mark in goal.marks)


def test_every_goal_is_measured_by_something() -> None:
    """No goal is named in the table and then left out of the run."""
    assert set().union(*(able for able, _ in every_goal.MEASURES)) == set(NAMES)


def test_a_bound_is_kept_on_its_own_side_only() -> None:
    """At most and at least are not confused, nor is the bound itself missed."""
    most, least = Mark(name="m", sentence="", unit="", at_most=2.0), Mark(name="l", sentence="", unit="", at_least=2.0)
    assert (most.met(2.0), most.met(2.1), least.met(2.0), least.met(1.9)) == (True, False, True, False)
    assert (most.times_better(4.0), least.times_better(4.0)) == (0.5, 2.0)
    none = Mark(name="n", sentence="", unit="", at_most=0.0)
    assert none.times_better(0.0) >= 1 > none.times_better(3.0)


def test_goals_are_chosen_by_name() -> None:
    """A list with commas, in small letters too; a name that there is not is refused with those that there are."""
    assert every_goal.wanted_goals("g3, G14") == ["G3", "G14"]
    assert every_goal.wanted_goals(None) == NAMES
    for wrong in ("G4", "G3,G99", ","):
        with pytest.raises(UsageError, match="G17"):
            every_goal.wanted_goals(wrong)


def test_what_was_measured_wins_over_what_was_not() -> None:
    """Two measurements may speak of one mark; figures come in the order of the table."""
    late, early = found("G10", "sqlite", [1.0], ""), found("G1", "told-2", [3.0], "")
    kept = every_goal.in_order([*missing("G10", ["sqlite"], "no"), late, early, *missing("G10", ["sqlite"], "no")])
    assert kept == [early, late]


def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    """The JSON names its schema and is read again without loss; one of another kind is refused."""
    text = record.text()
    written = json.loads(text)
    assert written["schema"] == "oms.bench/1"
    assert {figure["goal"] for figure in written["figures"]} == set(NAMES)
    assert Record.model_validate_json(text) == record
    with pytest.raises(ValueError, match="schema"):
        Record.model_validate_json(text.replace("oms.bench/1", "oms.bench/2"))
    with pytest.raises(ValueError, match="surprise"):
        Record.model_validate({**written, "surprise": 1})


def test_the_picture_shows_every_figure(record: Record) -> None:
    """One bar for each measured mark, its value in words, and the whole told to who cannot see it."""
    drawn = ET.fromstring(chart(record))
    bars = [each for each in drawn.iter() if each.get("class") in ("met", "missed")]
    measured = [figure for figure in record.figures if figure.measured is not None]
    assert len(bars) == len(measured) == len(lines(record))
    assert all(float(bar.get("width", "0")) > 0 for bar in bars)
    assert all(len(line.label) <= 60 for line in lines(record)), "a label that is longer runs into its bar"
    told = "".join(drawn.itertext())
    assert all(figure.sentence in told for figure in measured)


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(oms, ["bench", *arguments])


def test_a_record_is_drawn_and_shown_from_its_file(record: Record, tmp_path: Path) -> None:
    """`bench chart` and `bench show` need no measuring."""
    file, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    file.write_text(record.text(), "utf-8")
    assert asked("chart", str(file), str(picture)).exit_code == 0
    assert picture.read_text("utf-8") == chart(record)
    shown = asked("show", str(file)).output
    assert all(f"\n{name}  " in shown for name in NAMES)
    assert "not measured  late against early: not here" in shown


def test_a_file_that_is_no_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its name and what was expected, and exit code 2."""
    file = tmp_path / "other.json"
    for text in ("{}", "no JSON"):
        file.write_text(text, "utf-8")
        with pytest.raises(SystemExit) as ended:
            main(["bench", "show", str(file)])
        assert ended.value.code == 2
        assert "expected the JSON that `bench all --json FILE` writes" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_refused_before_an_hour_of_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and nothing was measured."""
    monkeypatch.setattr(every_goal, "measured", None)
    for option in ("--json", "--chart"):
        with pytest.raises(SystemExit) as ended:
            main(["bench", "all", option, str(tmp_path / "nowhere" / "file")])
        assert ended.value.code == 2
        assert "its folder is not there" in capsys.readouterr().err


def test_what_was_measured_is_kept_although_the_rest_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file holds each figure as soon as there is one; one that fails is told as not measured, with its reason."""

    def fails(_: Setting, __: object) -> list[Figure]:
        raise OSError("the disk is gone")

    def works(_: Setting, __: object) -> list[Figure]:
        return [found("G14", "screen", [1.0], "made up")]

    monkeypatch.setattr(every_goal, "MEASURES", ((frozenset({"G14"}), works), (frozenset({"G17"}), fails)))
    file = tmp_path / "bench.json"
    assert asked("all", "--only", "G14,G17", "--json", str(file)).exit_code == 0
    figures = Record.model_validate_json(file.read_text("utf-8")).figures
    assert [(figure.goal, figure.met, figure.why_not) for figure in figures] == [
        ("G14", True, None),
        ("G17", None, "failed: OSError: the disk is gone"),
    ]


def test_an_interpreter_without_the_other_products_is_refused() -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match=r"requirements-peers\.lock"):
        every_goal.peer_versions("/nowhere/python")


def test_the_lock_of_the_other_products_pins_what_is_declared() -> None:
    """The very releases that the extra ``peers`` names, each with its hashes, and no address of where they come from."""
    declared = tomllib.loads((LOCK.parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    lines = LOCK.read_text("utf-8").splitlines()
    pinned = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert set(declared["peers"]) <= pinned
    assert all("--hash=sha256:" in line for line in lines if line.startswith(" "))
    assert "://" not in LOCK.read_text("utf-8")


def test_the_other_products_are_put_into_a_new_folder_only(tmp_path: Path) -> None:
    """A folder that is there is left alone; without the lock nothing is made."""
    with pytest.raises(UsageError, match="new folder"):
        make(tmp_path)
    with pytest.raises(UsageError, match="source tree"):
        make(tmp_path / "new", tmp_path / "no.lock")
    assert not (tmp_path / "new").exists()


def test_the_recorded_run_is_one_of_this_release() -> None:
    """The record in docs has this schema, and the picture beside it is drawn from it."""
    folder = Path(__file__).parents[2] / "docs"
    recorded = Record.model_validate_json((folder / "bench.json").read_text("utf-8"))
    assert (folder / "pictures" / "bench.svg").read_text("utf-8") == chart(recorded)
