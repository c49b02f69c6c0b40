"""``serve``: the dashboard and the API, with the engine beside them."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from oms.cli import beside, options
from oms.cli.stopping import outliving_terminal
from oms.errors import EXIT_DONE, UsageError
from oms.questions.asking import Desk

if TYPE_CHECKING:
    from oms.config import LoadedConfig

QUESTION_S = 5.0
"""Longest time that one question of a page or a program may take."""


@click.command()
@options.common
@click.option(
    "--no-engine", is_flag=True, help="Only look: run no engine; one that runs elsewhere is shown all the same."
)
@click.option("--token", "show_token", is_flag=True, help="Print the token that opens the API, and serve nothing.")
@click.option("--read-only", is_flag=True, help="With --token: the one that opens it for reading only.")
@click.option(
    "--new-token", is_flag=True, help="Make a new token and print it; the old one and every session then end."
)
@click.option(
    "--set-password", is_flag=True, help="Set the password with which a person may log in, from the terminal or stdin."
)
@click.option("--expose", is_flag=True, help="Listen beyond this machine without TLS and a password of its own.")
@click.option("--dry-run", is_flag=True, help="The dry run's own journal and engine.")
def serve(
    *,
    no_engine: bool,
    show_token: bool,
    read_only: bool,
    new_token: bool,
    set_password: bool,
    expose: bool,
    dry_run: bool,
) -> int:
    """Serve the dashboard and the API, and run the engine beside them.

    The engine is a process of its own, `run --loop`: it is started again where that helps, and ends with this one. Prints
    the link that opens the dashboard.
    """
    loaded = options.configuration()
    if show_token or new_token or set_password:
        return _secrets(loaded, read_only=read_only, new_token=new_token, set_password=set_password)
    if read_only:
        raise UsageError("--read-only belongs to --token")
    return _serve(loaded, engine=not no_engine, expose=expose, dry_run=dry_run)


def _secrets(loaded: LoadedConfig, *, read_only: bool, new_token: bool, set_password: bool) -> int:
    from oms.web import keys

    if set_password:
        keys.set_password(loaded, _typed())
        click.echo("oms: the password is set; every session has ended once `serve` has started again", err=True)
        return EXIT_DONE
    found = keys.renew(loaded) if new_token else keys.keys_of(loaded)
    if new_token:
        click.echo("oms: this token counts once `serve` has started again; the old one then opens nothing", err=True)
    click.echo(found.read if read_only else found.operate)
    return EXIT_DONE


def _typed() -> str:
    """The password: typed twice at a terminal, else the first line of stdin."""
    if sys.stdin is None:
        raise UsageError("there is no stdin to read the password from")
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")


def _serve(loaded: LoadedConfig, *, engine: bool, expose: bool, dry_run: bool) -> int:
    from oms.places import places
    from oms.web.gate import Doors
    from oms.web.keys import keys_of
    from oms.web.listening import link_of, listen, own_address, refuse_strangers, tls_of
    from oms.web.neighbour import Neighbour
    from oms.web.serving import Service
    from oms.web.sessions import Sessions

    places(loaded, dry_run=dry_run)
    keys, tls = keys_of(loaded), tls_of(loaded)
    refuse_strangers(loaded.config.api.host, keys, tls, expose=expose)
    desk = Desk(loaded=loaded, dry_run=dry_run, patience_s=QUESTION_S)
    listening = listen(loaded)
    with outliving_terminal(), listening:
        address = own_address(loaded, listening, tls)
        doors = Doors(
            address=address,
            keys=keys,
            sessions=Sessions(keys.signing, desk.now),
            cookie=f"oms_session_{listening.getsockname()[1]}",
            strangers=frozenset({"/api/status", "/metrics"}) if loaded.config.api.open_status else frozenset(),
            log=_say,
        )
        beside_us = Neighbour(beside.command(*_words(loaded, dry_run=dry_run)), _say) if engine else None
        click.echo(link_of(listening, address, keys.operate))
        click.echo("oms: open this link in a browser; Ctrl-C stops the dashboard and the engine", err=True)
        return Service(desk, doors, listening, tls, beside_us).run()


def _words(loaded: LoadedConfig, *, dry_run: bool) -> list[str]:
    """How the engine is started: with this very configuration."""
    words = ["run", "--loop"]
    if loaded.path is not None:
        words += ["--config", str(loaded.path.absolute())]
    return [*words, "--dry-run"] if dry_run else words


def _say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        click.echo(text if text.startswith("oms: ") else f"oms: {text}", err=True)
