"""Configurations that were: listed, compared by meaning, written back with their comments."""

from __future__ import annotations

import os
from decimal import Decimal

import pytest

from oms.backup import shelf, versions
from oms.backup.archive import read_archive
from oms.backup.manifest import CONFIG
from oms.backup.rewriting import rewritten, spelling
from oms.config import Config, load_config
from oms.configuration.keys import leaves
from oms.configuration.loosening import NEUTRAL, RISKIER, changes, value_of
from oms.errors import DamagedError, UsageError
from tests.backup.home import CONFIG as TEXT
from tests.backup.home import Home, dies_at


def config(**keys: object) -> Config:
    """A configuration with some keys set; a double underscore stands for the dot."""
    tree: dict[str, object] = {}
    for key, value in keys.items():
        section = tree
        *above, name = key.split("__")
        for part in above:
            section = section.setdefault(part, {})  # type: ignore[assignment]
        section[name] = value
    return Config.model_validate(tree)


# Comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_key_was_judged() -> None:
    """Each key either has a direction that is riskier, or was said to have none; no key is in both lists."""
    keys = {".".join(path) for path in leaves()}
    assert keys - RISKIER.keys() - NEUTRAL == set()
    assert not RISKIER.keys() & NEUTRAL


LOOSER: list[tuple[str, object, object]] = [
    ("mode", "dry_run", "paper"),
    ("execution__max_position_value", "5000", "5001"),
    ("execution__funds_fraction", "0.5", "0.8"),
    ("execution__collar", "0.5%", "0.6%"),
    ("execution__order_type", "limit", "market"),
    ("execution__fee_allowance", "0.2%", "0.1%"),
    ("risk__daily_loss_limit", "100", None),
    ("risk__daily_loss_limit", "100", "200"),
    ("risk__max_trades_per_day", 10, 11),
    ("risk__blacklist", ["F", "GM"], ["F", "TSLA"]),
    ("settlement__funds", "settled_cash", "cash"),
    ("settlement__allow_margin", False, True),
    ("in_doubt__then", "hold", "resend"),
    ("in_doubt__reads", 3, 2),
    ("market__no_buys_before_close", "10m", "5m"),
    ("market__max_quote_age", "30s", "60s"),
    ("broker__tiger__refuses_repeats", None, "10s"),
    ("broker__tiger__server_url", None, "https://elsewhere.example"),
    ("selection__min_score", "70", "60"),
    ("api__host", "127.0.0.1", "0.0.0.0"),
    ("backup__daily", True, False),
]


@pytest.mark.parametrize(("key", "old", "new"), LOOSER)
def test_the_riskier_direction_is_marked_and_the_other_is_not(key: str, old: object, new: object) -> None:
    """One way the change is loosened, with a reason; the other way it is not, but for those where any change counts."""
    before, after = config(**{key: old}), config(**{key: new})
    (there,), (back,) = changes(before, after), changes(after, before)
    assert there.key == key.replace("__", ".")
    assert there.loosened
    both = key in ("risk__blacklist", "broker__tiger__server_url")
    assert bool(back.loosened) == both
    assert (there.old, there.new) == (back.new, back.old)


def test_equal_values_in_other_words_are_no_change() -> None:
    """60s is 1m, 0.80 is 0.8."""
    assert not changes(config(market__max_quote_age="60s"), config(market__max_quote_age="1m"))
    assert not changes(config(execution__funds_fraction="0.80"), config(execution__funds_fraction="0.8"))


def test_a_password_is_never_shown() -> None:
    """A journal's address that came from the environment is compared and shown without its password."""
    (change,) = changes(config(), config(journal__url="postgresql+psycopg://me:hunter2@host/db"))
    assert "hunter2" not in str(change)


# Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rewritten_file_keeps_its_comments_and_reads_as_wanted() -> None:
    """Values that change are replaced where they stand; comments, other spellings and the order of keys stay."""
    from oms.resources import default_config_text

    text = default_config_text()
    target = config(
        execution__max_position_value="4000", risk__daily_loss_limit="300", risk__blacklist=["F", "ON", "BRK.B"]
    )
    after = rewritten(text, Config(), target)
    assert after.count("#") == text.count("#")
    assert "funds_fraction: 0.80 " in after
    assert "max_position_value: 4000" in after
    kept = [
        line
        for line in text.splitlines()
        if not any(w in line for w in ("max_position_value", "daily_loss", "blacklist"))
    ]
    assert all(line.split("#")[-1] in after for line in kept if "#" in line)


@pytest.mark.parametrize("name", [".".join(path) for path in leaves()])
def test_every_key_can_be_written_back(name: str, bare: Home) -> None:
    """Into a file without it, and into one that sets it, each key's default is spelled so that it reads the same."""
    path = tuple(name.split("."))
    value = value_of(Config(), path)
    indent = "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(path[:-1]))
    text = f"{indent}{'  ' * (len(path) - 1)}{path[-1]}: {spelling(path, value)}\n"
    bare.config_file.write_text(text)
    assert value_of(load_config(bare.config_file, {}).config, path) == value


def test_a_file_that_is_no_plain_yaml_is_not_rewritten() -> None:
    """What cannot be changed key by key is left to a person; exit 3."""
    with pytest.raises(DamagedError):
        rewritten("execution: [1, 2]\n", Config(), config(execution__max_position_value="4000"))


# History ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def tightened(home: Home) -> str:
    """Run one more cycle under a lower cap; the hash of the configuration before."""
    before = home.loaded.hash
    home.config_file.write_text(TEXT.replace("9000", "4000"))
    home.run()
    return before


def test_every_configuration_that_a_cycle_ran_under_is_kept(home: Home) -> None:
    """Oldest first, with its cycles; the one of now is marked, used or not."""
    first = tightened(home)
    home.config_file.write_text(TEXT.replace("9000", "3000"))
    found = versions.versions(home.loaded)
    assert [(each.cycles, each.current) for each in found] == [(1, False), (1, False), (0, True)]
    assert found[0].hash == first
    assert found[0].config().execution.max_position_value == Decimal(9000)


def test_a_version_is_named_by_the_beginning_of_its_hash(home: Home) -> None:
    """Four letters or more; none and several are wrong commands, 2."""
    first = tightened(home)
    assert versions.version(home.loaded, first[:12]).hash == first
    assert versions.version(home.loaded, "current").current
    for wrong in ("zzzz", first[:3], ""):
        with pytest.raises(UsageError):
            versions.version(home.loaded, wrong)


def test_a_rollback_brings_values_back_and_keeps_the_text(home: Home) -> None:
    """Only the keys that differ are written; the file of before is in a backup of its own."""
    first = tightened(home)
    tight = home.config_file.read_bytes()
    plan = versions.plan_rollback(home.loaded, first)
    assert [str(each) for each in plan.changes] == [
        "execution.max_position_value: 4000 -> 9000  LOOSENED: larger positions"
    ]
    made = versions.roll_back(plan, {})
    assert home.loaded.hash == first
    assert "max_position_value: 9000   # dollars; a comment that stays" in home.config_file.read_text()
    assert read_archive(made.path).texts[CONFIG] == tight
    assert made.manifest.reason == "rollback"


@pytest.mark.skipif(os.name != "posix", reason="processes that are killed")
@pytest.mark.parametrize("point", ["config.before_rename", "config.before_sync"])
def test_a_killed_rollback_leaves_the_old_file_or_the_new_one(point: str, home: Home) -> None:
    """SIGKILL while config.yaml is written: valid YAML either way."""
    first = tightened(home)
    tight = home.loaded.hash
    plan = versions.plan_rollback(home.loaded, first)
    assert dies_at(point, 1, lambda: versions.roll_back(plan, {}))
    assert home.loaded.hash == (tight if point == "config.before_rename" else first)
    versions.roll_back(versions.plan_rollback(home.loaded, first), {})
    assert sorted(path.name for path in home.folder.iterdir() if path.name.startswith(".")) == []
    assert len(shelf.every(home.loaded)) == 2
