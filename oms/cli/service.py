"""``service``: the engine as a service of the operating system, started with the machine and watched."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from oms.cli import options
from oms.cli.reading import Answer, show
from oms.errors import EXIT_DONE, DamagedError

SYSTEMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@click.group()
def service() -> None:
    """The engine as a service of the operating system: install it, see how it is."""


@service.command()
@options.common
@click.option("--user", "own", is_flag=True, help="A unit of your own, which needs no root and less of the hardening.")
@click.option("--print", "only_print", is_flag=True, help="Only print it; write nothing.")
@click.option(
    "--for", "system", type=click.Choice(["linux", "macos", "windows"]), help="For another system; it is only printed."
)
def install(*, own: bool, only_print: bool, system: str | None) -> int:
    """Print the unit that runs `run --loop`, write it to its place, and say what starts it.

    On macOS and Windows the equivalent is printed: a launchd agent, or commands for PowerShell.
    """
    from oms.service import unit
    from oms.service.manager import service_of, unit_file, write_unit

    loaded = options.configuration()
    here = SYSTEMS.get(sys.platform, "linux")
    system = system or here
    found = service_of(loaded, user=None if own or system != "linux" else _owner(loaded.base))
    if system == "macos":
        click.echo(unit.launchd_agent(found), nl=False)
        click.echo(
            f"oms: save it as ~/Library/LaunchAgents/{found.name}.plist, then `launchctl load -w` that file. launchd "
            "starts the engine again whatever it ended with: `status` says when a person must look",
            err=True,
        )
        return EXIT_DONE
    if system == "windows":
        click.echo(unit.windows_task(found), nl=False)
        click.echo(
            "oms: run it in PowerShell as the owner of the account's files. Windows starts the engine again whatever it "
            "ended with: `status` says when a person must look",
            err=True,
        )
        return EXIT_DONE
    text = unit.systemd_unit(found)
    click.echo(text, nl=False)
    if only_print or system != here:
        return EXIT_DONE
    if found.user == "root":
        click.echo(
            f"oms: it will run as root, who owns {loaded.base}; better give the folder to a user of its own first",
            err=True,
        )
    path = unit_file(found)
    write_unit(path, text)
    scope = " --user" if own else ""
    click.echo(f"oms: written to {path}", err=True)
    click.echo(
        f"oms: start it with `systemctl{scope} daemon-reload && systemctl{scope} enable --now {found.name}`", err=True
    )
    click.echo(
        f"oms: stop with `systemctl{scope} stop {found.name}`, check with `doctor` and `status`, then start: "
        "docs/worker.md has the sequence",
        err=True,
    )
    return EXIT_DONE


def _owner(base: Path) -> str:
    """Whom the engine runs as: the owner of its configuration, and not whoever installs it."""
    try:
        return base.owner()
    except (OSError, KeyError, NotImplementedError):
        return os.environ.get("SUDO_USER") or getpass.getuser()


@service.command()
@options.common
@options.as_json
@click.option("--user", "own", is_flag=True, help="The unit of your own.")
def status(*, json_: bool, own: bool) -> int:
    """Say what the service manager knows of the engine; ends with 3 where a person must look."""
    from oms.service.manager import advice, asked

    loaded = options.configuration()
    name = f"oms-{loaded.config.account}"
    found = asked(name, user=own)
    answer: dict[str, Any] = {"schema": "oms.service-status/1", "name": name, "manager": None, "advice": _nobody()}
    if found is not None:
        answer |= {
            "manager": "systemd",
            "state": found["ActiveState"],
            "detail": found["SubState"],
            "exit_status": found["ExecMainStatus"],
            "restarts": found["NRestarts"],
            "says": found["StatusText"],
            "advice": advice(found),
        }
    show(answer, _lines, json_=json_)
    return DamagedError.exit_code if answer.get("state") == "failed" else EXIT_DONE


def _nobody() -> str:
    return "there is no systemd here to ask; `status` says whether an engine runs"


def _lines(answer: Answer) -> Iterator[str]:
    if answer["manager"] is None:
        yield answer["advice"]
        return
    yield f"{answer['name']} {answer['state']} ({answer['detail']}), started again {answer['restarts'] or 0}×"
    if answer["says"]:
        yield f"it says: {answer['says']}"
    yield answer["advice"]
