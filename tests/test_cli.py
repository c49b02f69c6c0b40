"""Checks the terminal's front door: the list of commands, what a start imports, and what a failure ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from oms import __version__, cli
from oms.cli import options
from oms.cli.environment import differences, pins
from oms.cli.quality import Beside, checks, workers
from oms.errors import HeldError, LeaseHeldError, TryAgainError, UsageError

ROOT = Path(__file__).parent.parent


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command, and every command below a command, under its full name."""
    context = click.Context(cli.oms)
    waiting = [(name, cli.oms.get_command(context, name)) for name in cli.oms.list_commands(context)]
    while waiting:
        name, command = waiting.pop(0)
        assert command is not None, name
        yield name, command
        if isinstance(command, click.Group):
            waiting += [
                (f"{name} {below}", command.get_command(context, below)) for below in command.list_commands(context)
            ]


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    """A command, and each of its options, says what it does in a sentence."""
    command = COMMANDS[name]
    assert (command.help or "").strip()
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_common_options(name: str) -> None:
    """``--config`` and ``--debug`` may stand behind any command."""
    if not isinstance(COMMANDS[name], click.Group):
        assert {"--config", "--debug"} <= {opt for each in COMMANDS[name].params for opt in each.opts}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_says_what_each_command_says(name: str) -> None:
    """The line shown by ``oms --help`` is the first paragraph of the command's own help."""
    first = (COMMANDS[name].help or "").partition("\n\n")[0]
    assert cli.COMMANDS[name].help == " ".join(first.split())


def imported_by(*arguments: str) -> set[str]:
    """The modules that a start with these arguments imports."""
    ask = (
        "import json, sys\nfrom oms.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "print(json.dumps(list(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_no_command() -> None:
    """``oms --help`` costs click and the front door: no command's module, and none of the large packages."""
    imported = imported_by("--help")
    assert {name for name in imported if name.partition(".")[0] == "oms"} == {
        "oms",
        "oms.cli",
        "oms.cli.options",
        "oms.errors",
    }
    dear = {
        "rich",
        "structlog",
        "pydantic",
        "sqlalchemy",
        "alembic",
        "pandas",
        "numpy",
        "tigeropen",
        "yfinance",
        "asyncio",
    }
    assert not dear & imported


def test_a_command_imports_no_other_command() -> None:
    """Only the module of the command that was called is imported."""
    assert "oms.cli.environment" not in imported_by("test", "--help")


def test_the_start_of_the_wrapper_imports_next_to_nothing() -> None:
    """Where nothing is to be set up, the wrapper itself imports no module that Python had not loaded already."""
    ask = "import sys; before = set(sys.modules); import oms.bootstrap; print(sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {ask}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['__future__', 'oms', 'oms.bootstrap']"


# ---- how a start ends ------------------------------------------------------------------------------------------------


@click.command()
@options.common
@options.as_json
def answering(json_: bool) -> None:
    """Say which configuration was chosen."""
    chosen = options.config_file()
    if json_:
        options.print_json("oms.answering/1", {"config": str(chosen)})
    else:
        click.echo(str(chosen))


def failing(error: BaseException) -> click.Command:
    @click.command()
    @options.common
    def fail() -> None:
        """Fail."""
        raise error

    return fail


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run a command under the name ``it``, and answer exit code, stdout and stderr."""

    def start(command: click.Command, *arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys.modules[__name__], "it", command, raising=False)
        monkeypatch.setitem(sys.modules, "tests_cli_it", sys.modules[__name__])
        monkeypatch.setitem(cli.COMMANDS, "it", cli.Entry("tests_cli_it:it", "It."))
        with pytest.raises(SystemExit) as end:
            cli.main(list(arguments))
        out, err = capfd.readouterr()
        return end.value.code or 0, out, err

    return start


@pytest.mark.parametrize(
    "error", [UsageError("no such key"), LeaseHeldError("held by 17"), HeldError("halted"), TryAgainError("disk full")]
)
def test_a_known_failure_is_one_sentence_and_its_exit_code(run, error) -> None:
    """An error of the family prints its sentence on stderr, nothing on stdout, and ends with its class's code."""
    assert run(failing(error), "it") == (error.exit_code, "", f"oms: {error}\n")


def test_a_bug_is_one_sentence_that_keeps_secrets(run) -> None:
    """An unforeseen error ends with 1, names its kind and place, and shows its text only with --debug."""
    code, out, err = run(failing(ValueError("private_key=MIIC")), "it")
    assert (code, out) == (1, "")
    assert "a bug: ValueError in " in err
    assert "MIIC" not in err
    assert "Traceback" not in err
    code, _, err = run(failing(ValueError("private_key=MIIC")), "it", "--debug")
    assert code == 1
    assert "Traceback" in err


def test_ctrl_c_ends_with_130(run) -> None:
    """An interrupt is not a failure and shows no traceback."""
    assert run(failing(KeyboardInterrupt()), "it")[::2] == (130, "\ninterrupted\n")


def test_a_wrong_option_ends_with_2(run) -> None:
    """A usage error says what was expected and ends with 2."""
    code, out, err = run(answering, "it", "--nope")
    assert (code, out) == (2, "")
    assert "--nope" in err


def test_a_command_may_end_with_a_code_of_its_own(run) -> None:
    """What a command passes to sys.exit is what the process ends with."""
    assert run(failing(SystemExit(3)), "it")[0] == 3


def test_config_may_stand_before_and_behind_the_command(run) -> None:
    """``--config`` is understood in both places; the one behind the command wins."""
    assert run(answering, "--config", "a.yaml", "it") == (0, "a.yaml\n", "")
    assert run(answering, "it", "-c", "b.yaml") == (0, "b.yaml\n", "")
    assert run(answering, "--config", "a.yaml", "it", "--config", "b.yaml") == (0, "b.yaml\n", "")
    assert run(answering, "it") == (0, "None\n", "")


def test_json_is_one_object_that_names_its_schema(run) -> None:
    """``--json`` answers with one object whose first field is its schema."""
    _, out, _ = run(answering, "it", "--json")
    assert list(json.loads(out)) == ["schema", "config"]


def test_the_version_is_the_packages() -> None:
    """``--version`` prints the version of the package."""
    done = subprocess.run([sys.executable, "cli.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"oms, version {__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a closed pipe is told otherwise there")
def test_a_reader_that_leaves_early_is_no_failure() -> None:
    """``oms --help | head -0`` ends quietly."""
    with subprocess.Popen(
        [sys.executable, "cli.py", "--help"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=240)
    assert (process.returncode, err) == (0, b"")


# ---- setup and test --------------------------------------------------------------------------------------------------


def test_a_missing_and_a_different_package_are_found(tmp_path: Path) -> None:
    """``setup`` compares what is installed with the lock; what only other systems need may be missing."""
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "click==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n    --hash=sha256:00\n"
        "no-such-either==2.0 ; sys_platform == 'elsewhere' \\\n    --hash=sha256:00\n",
        "utf-8",
    )
    found = {each.name: (each.wanted, bool(each.found)) for each in differences(pins(lock))}
    assert found == {"click": ("0.1", True), "no-such-package": ("1.0", False)}


def test_pytest_runs_last_and_takes_what_follows() -> None:
    """The suite's closing line closes the output of ``test``, and further words are pytest's."""
    heading, command = checks(nightly=False, pytest_arguments=("tests/unit", "-x"))[-1]
    assert heading == "pytest"
    assert command[-2:] == ["tests/unit", "-x"]


def test_nightly_lifts_the_filter() -> None:
    """``test --nightly`` runs the marked tests besides the others."""
    assert "nightly or not nightly" in checks(nightly=True, pytest_arguments=())[-1][1]


@pytest.mark.parametrize(("code", "verdict"), [(0, ""), (3, "types: failed\n")])
def test_a_check_beside_the_tests_is_heard_and_counts(
    code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it says stands below its heading, whole, and its exit code decides like that of any other."""
    command = [sys.executable, "-c", f"print('seen'); raise SystemExit({code})"]
    assert Beside("types", command, ROOT).wait() is (code == 0)
    heading, _, said = capsys.readouterr().out.lstrip().partition("\n")
    assert heading == "── types ".ljust(100, "─")
    assert said == f"seen\n{verdict}"


def test_the_number_of_workers_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left alone, there are more of them than cores, since many tests wait; the variable of pytest-xdist wins."""
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    assert workers() > len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers() > 1
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "7")
    assert workers() == 7
