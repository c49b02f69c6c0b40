"""Runs the wrapper as a process, in copies of the project whose installers are fakes that write down what they are told.

A fake ``uv`` or ``pip3`` does what the real one does to the folder: ``uv venv`` makes it, an installation leaves a file.
No test reaches a network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent

posix_only = pytest.mark.skipif(os.name == "nt", reason="the fake installers are scripts with a first line for a shell")

# The program of the copies: it says in which environment and process it runs, and ends as it is told.
PROGRAM = """
import json, os, sys
def main():
    print(json.dumps({"prefix": sys.prefix, "arguments": sys.argv[1:], "pid": os.getpid()}))
    sys.exit(int(os.environ.get("END_WITH", "0")))
"""

INSTALLER = """#!{python}
import os, signal, subprocess, sys
with open({log!r}, "a") as log:
    print({name!r}, *sys.argv[1:], sep="\\t", file=log)
behaviour = {behaviour!r}
if sys.argv[1] == "venv":
    subprocess.run([{python!r}, "-m", "venv", "--without-pip", sys.argv[-1]], check=True)
elif behaviour == "fails":
    sys.exit(2)
elif behaviour == "kills":
    os.kill(os.getppid(), signal.SIGKILL)
"""


def make_python(place: Path, *, ensurepip: bool = True) -> Path:
    """A Python without any package, and without ensurepip where it shall be like Debian's."""
    venv.create(place, with_pip=False, symlinks=os.name != "nt")
    if not ensurepip:
        site = next(place.glob("lib/python*/site-packages"))
        (site / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n", "utf-8")
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package."""
    return make_python(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package, nor ensurepip."""
    return make_python(tmp_path_factory.mktemp("debian"), ensurepip=False)


@dataclass(frozen=True)
class Project:
    """A copy of what the wrapper needs, in a folder whose name has a space, with a folder of installers for its PATH."""

    root: Path
    tools: Path
    python: Path

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def log(self) -> list[list[str]]:
        path = self.tools / "log"
        return [line.split("\t") for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def installations(self) -> list[str]:
        """The lock of each installation that was begun."""
        return [Path(words[-1]).name for words in self.log if "install" in words]

    def put(self, name: str, behaviour: str = "works") -> None:
        """Put a fake installer on the PATH."""
        text = INSTALLER.format(python=str(self.python), log=str(self.tools / "log"), name=name, behaviour=behaviour)
        (self.tools / name).write_text(text, "utf-8")
        (self.tools / name).chmod(0o755)

    def lock(self, text: str, name: str = "requirements.lock") -> None:
        (self.root / name).write_text(text, "utf-8")

    def start(self, *arguments: str, python: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [python or self.python, "cli.py", *arguments],
            cwd=self.root,
            env={"PATH": str(self.tools), "SYSTEMROOT": os.environ.get("SYSTEMROOT", ""), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, python: Path | None = None, **environment: str) -> tuple[int, str, str]:
        """Start the wrapper, wait for its end, and answer its exit code, stdout and stderr."""
        with self.start(*arguments, python=python, **environment) as process:
            out, err = process.communicate(timeout=240)
        return process.returncode, out, err


@pytest.fixture
def project(tmp_path: Path, bare: Path) -> Project:
    return make_project(tmp_path, bare)


def make_project(place: Path, python: Path) -> Project:
    root, tools = place / "a project", place / "tools"
    (root / "oms" / "cli").mkdir(parents=True)
    tools.mkdir()
    for name in ("cli.py", "oms/__init__.py", "oms/bootstrap.py"):
        shutil.copy(ROOT / name, root / name)
    (root / "oms" / "cli" / "__init__.py").write_text(PROGRAM, "utf-8")
    made = Project(root, tools, python)
    made.lock("# nothing yet\n")
    made.lock("# nothing yet, and the tools\n", "requirements-dev.lock")
    return made


# ---- the first start -------------------------------------------------------------------------------------------------


@posix_only
def test_the_first_start_installs_with_uv_and_then_is_the_program(project: Project) -> None:
    """The first start fills .venv with hashes checked, says so on stderr, and goes on as the same process in there."""
    project.put("uv")
    with project.start("status", "--watch", END_WITH="7") as process:
        out, err = process.communicate(timeout=240)
    answer = json.loads(out)
    assert process.returncode == 7
    assert Path(answer["prefix"]).resolve() == project.venv.resolve()
    assert answer["arguments"] == ["status", "--watch"]
    assert answer["pid"] == process.pid
    assert "installing the packages of requirements.lock" in err
    assert "--require-hashes" in project.log[-1]


@posix_only
def test_the_second_start_installs_nothing_and_says_nothing(project: Project) -> None:
    """Once set up, a start asks no installer."""
    project.put("uv")
    project.run("status")
    code, _, err = project.run("status")
    assert (code, err, len(project.installations())) == (0, "", 1)


@posix_only
def test_debians_python_installs_with_a_pip_from_outside(tmp_path: Path, debian: Path) -> None:
    """Without uv and ensurepip, the pip that is found installs into .venv."""
    project = make_project(tmp_path, debian)
    project.put("pip3")
    code, _, _ = project.run("status")
    assert code == 0
    _, option, python, command, *_ = project.log[-1]
    assert (option, command) == ("--python", "install")
    assert Path(python).is_relative_to(project.venv)


@posix_only
def test_where_uv_fails_pip_is_tried(tmp_path: Path, debian: Path) -> None:
    """An installer that fails leaves the work, from the beginning, to the next one."""
    project = make_project(tmp_path, debian)
    project.put("uv", "fails")
    project.put("pip3")
    code, _, err = project.run("status")
    assert code == 0
    assert "that did not work" in err
    assert project.log[-1][0] == "pip3"


def test_without_pip_and_uv_it_names_what_to_install(tmp_path: Path, debian: Path) -> None:
    """With nothing to install with, the sentence names Debian's packages, and nothing is left behind."""
    project = make_project(tmp_path, debian)
    code, out, err = project.run("status")
    assert (code, out) == (1, "")
    assert "python3-venv" in err
    assert "python3-pip" in err
    assert not project.venv.exists()


@posix_only
def test_where_all_installers_fail_it_ends_with_1_and_tries_again_next_time(tmp_path: Path, debian: Path) -> None:
    """A failed installation is not taken for one: the next start begins it again."""
    project = make_project(tmp_path, debian)
    project.put("uv", "fails")
    code, out, err = project.run("status")
    assert (code, out) == (1, "")
    assert "could not be installed" in err
    project.put("uv")
    assert project.run("status")[0] == 0


@posix_only
def test_only_the_test_command_installs_the_test_tools(project: Project) -> None:
    """``test``, wherever the options stand, takes the larger lock; a command with that word behind it does not."""
    project.put("uv")
    project.run("notify", "test")
    project.run("--config", "test", "status")
    assert project.installations() == ["requirements.lock"]
    project.run("--debug", "--config", "x.yaml", "test")
    project.run("status")
    assert project.installations() == ["requirements.lock", "requirements-dev.lock"]


# ---- when nothing shall be installed -----------------------------------------------------------------------------------


@posix_only
def test_no_setup_refuses_to_install_but_not_to_run(project: Project) -> None:
    """OMS_NO_SETUP=1 ends with 1 and a sentence where something would be installed, and changes nothing elsewhere."""
    project.put("uv")
    code, out, err = project.run("status", OMS_NO_SETUP="1")
    assert (code, out) == (1, "")
    assert "OMS_NO_SETUP" in err
    assert not project.venv.exists()
    project.run("status")
    assert project.run("status", OMS_NO_SETUP="1")[0] == 0


@posix_only
def test_where_the_packages_are_at_hand_nothing_is_installed(project: Project) -> None:
    """An interpreter that has all packages runs the program itself."""
    project.put("uv")
    code, out, err = project.run("status", python=Path(sys.executable))
    assert (code, err, project.log) == (0, "", [])
    assert Path(json.loads(out)["prefix"]).resolve() == Path(sys.prefix).resolve()


def test_an_older_python_is_told_which_one_is_needed() -> None:
    """Before anything else, a Python older than 3.11 ends with 1 and a sentence."""
    pretend = "import sys; sys.version_info = (3, 10, 4); exec(open('cli.py', encoding='utf-8').read())"
    done = subprocess.run([sys.executable, "-c", pretend], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs Python 3.11 or newer; this is 3.10" in done.stderr


# ---- changes, interruptions, neighbours ----------------------------------------------------------------------------------


@posix_only
def test_a_changed_lock_is_installed_at_the_next_start(project: Project) -> None:
    """An update of the project brings its packages along, into the same .venv."""
    project.put("uv")
    project.run("status")
    (project.venv / "kept").touch()
    project.lock("# something new\n")
    assert project.run("status")[0] == 0
    assert len(project.installations()) == 2
    assert (project.venv / "kept").exists()


@posix_only
def test_a_killed_installation_is_begun_anew(project: Project) -> None:
    """A kill in the middle of an installation leaves no .venv that a later start would trust."""
    project.put("uv", "kills")
    code, out, _ = project.run("status")
    assert (code, out) == (-9, "")
    (project.venv / "half a package").touch()
    project.put("uv")
    code, _, err = project.run("status")
    assert code == 0
    assert "interrupted" in err
    assert not (project.venv / "half a package").exists()


@posix_only
def test_a_kill_while_updating_is_repaired_too(project: Project) -> None:
    """The old stamp is gone before the first change, so a half updated .venv is made anew."""
    project.put("uv")
    project.run("status")
    project.lock("# something new\n")
    project.put("uv", "kills")
    project.run("status")
    project.lock("# nothing yet\n")  # the older lock again: its stamp must not be believed
    project.put("uv")
    code, _, err = project.run("status")
    assert code == 0
    assert "made anew" in err


@posix_only
def test_two_first_starts_at_once_install_once(project: Project) -> None:
    """Whoever comes second waits, finds the work done, and runs."""
    project.put("uv")
    with project.start("one") as one, project.start("two") as two:
        one.communicate(timeout=240)
        two.communicate(timeout=240)
    assert (one.returncode, two.returncode) == (0, 0)
    assert len(project.installations()) == 1


@posix_only
def test_a_venv_whose_python_is_gone_is_made_anew(project: Project) -> None:
    """Where the Python that .venv was made with has been removed, a start makes .venv with the one that runs."""
    project.put("uv")
    project.run("status")
    python = project.venv / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    assert project.run("status")[0] == 0


@posix_only
def test_repair_makes_the_venv_anew(project: Project) -> None:
    """``setup --repair`` trusts nothing that is there."""
    project.put("uv")
    project.run("status")
    (project.venv / "damaged").touch()
    assert project.run("setup", "--repair")[0] == 0
    assert not (project.venv / "damaged").exists()


@posix_only
def test_a_missing_package_is_named_with_its_remedy(project: Project) -> None:
    """A package that somebody removed from .venv costs one sentence, not a traceback."""
    project.put("uv")
    (project.root / "oms" / "cli" / "__init__.py").write_text("import no_such_package\n", "utf-8")
    code, _, err = project.run("status")
    assert code == 1
    assert "'no_such_package' is missing" in err
    assert "setup --repair" in err


@posix_only
def test_a_place_where_no_venv_can_be_made_costs_one_sentence(project: Project) -> None:
    """Where the folder cannot be made, the sentence says which and why."""
    project.put("uv")
    project.venv.write_text("a file is in the way", "utf-8")
    code, out, err = project.run("status")
    assert (code, out) == (1, "")
    assert "cannot make" in err
    assert "Traceback" not in err


def test_a_child_passes_its_exit_code_on() -> None:
    """Where a process cannot become another, the child's exit code is the wrapper's."""
    assert load_bootstrap().run_as_child([sys.executable, "-c", "raise SystemExit(75)"]) == 75


def load_bootstrap() -> ModuleType:
    from oms import bootstrap

    return bootstrap


# ---- the locks and the package ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_names_no_place(name: str) -> None:
    """Each pinned package has its hashes, and no index or address is named."""
    text = (ROOT / name).read_text("utf-8")
    entries = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE)
    assert "".join(entries) == "".join(line + "\n" for line in text.splitlines() if not line.startswith("#"))
    assert "://" not in text
    assert "index" not in text


def pins(name: str) -> set[str]:
    return set(re.findall(r"^[^ #\n]+==[^\\\n]*", (ROOT / name).read_text("utf-8"), re.MULTILINE))


def test_the_tools_lock_holds_all_of_the_programs_lock() -> None:
    """Tests run against the very versions that trade."""
    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def canonical(requirement: str) -> str:
    return re.split(r"[\[<>=;~! ]", requirement)[0].lower().replace(".", "-").replace("_", "-")


def test_the_locks_hold_what_the_project_declares() -> None:
    """Each dependency of pyproject.toml is in the lock, and the wrapper looks for it before it starts the program."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    looked_for = {name.replace(".", "-").replace("_", "-") for name in load_bootstrap().PACKAGES}
    assert {canonical(each) for each in declared["dependencies"]} == looked_for
    locked = {canonical(each) for each in pins("requirements-dev.lock")}
    extras = declared["optional-dependencies"]
    tested = [each for extra in ("dev", "postgres", "audit", "encrypt") for each in extras[extra]]
    assert looked_for | {canonical(each) for each in tested} - {"oms"} <= locked


@pytest.mark.parametrize("name", [*load_bootstrap().PACKAGES, *load_bootstrap().DEV_PACKAGES])
def test_what_the_wrapper_looks_for_exists_under_that_name(name: str) -> None:
    """Each name the wrapper looks for can be imported once the lock is installed."""
    assert importlib.util.find_spec(name) is not None


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel, as pip would lay it out."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.whl")
    shutil.unpack_archive(built, place / "unpacked", "zip")
    return place / "unpacked"


def test_the_wheel_brings_migrations_configuration_and_universe(wheel: Path) -> None:
    """An installed program finds the files that a checkout keeps at its top level."""
    ask = (
        "from oms import resources as r; from pathlib import Path; import oms; "
        "assert str(r.migrations_dir()).startswith(str(Path(oms.__file__).parent)); "
        "print(sum(1 for _ in r.migrations_dir().iterdir()), len(r.default_config_text()), "
        "len(r.default_universe_text().split()))"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=wheel, capture_output=True, text=True, check=True)
    files, config, symbols = map(int, done.stdout.split())
    assert files > 0
    assert config > 0
    assert symbols == 118


def test_the_wheel_installs_the_command(wheel: Path) -> None:
    """The installed ``oms`` is the same program as ``python3 cli.py``."""
    (points,) = wheel.glob("*.dist-info/entry_points.txt")
    assert "oms = oms.cli:main" in points.read_text("utf-8")


def test_a_checkout_finds_the_same_files() -> None:
    """In a checkout, the files at the top level are the ones."""
    from oms import resources

    assert resources.migrations_dir() == ROOT / "migrations"
    assert len(resources.default_universe_text().split()) == 118
