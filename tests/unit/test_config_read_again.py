"""A worker of a fleet reads the same file for every account: what one account says otherwise never reaches the next."""

from __future__ import annotations

from pathlib import Path

from oms.config import load_config


def test_overrides_stay_with_the_one_who_has_them(tmp_path: Path) -> None:
    """The text of the file is parsed once, and each account's own settings are put into a tree of its own."""
    file = tmp_path / "config.yaml"
    file.write_text("account: fleet\nrisk: {max_trades_per_day: 7}\n", encoding="utf-8")
    first = load_config(file, {}, {"account": "one", "risk.max_trades_per_day": "9", "worker.interval": "5s"})
    second = load_config(file, {}, {"account": "two"})
    assert (first.config.account, first.config.risk.max_trades_per_day) == ("one", 9)
    assert (second.config.account, second.config.risk.max_trades_per_day) == ("two", 7)
    assert second.config.worker.interval != first.config.worker.interval
    assert load_config(file, {}).config.account == "fleet"


def test_a_file_that_was_changed_is_read_afresh(tmp_path: Path) -> None:
    """What counts is what the file says now."""
    file = tmp_path / "config.yaml"
    file.write_text("account: before\n", encoding="utf-8")
    assert load_config(file, {}).config.account == "before"
    file.write_text("account: afterw\n", encoding="utf-8")
    assert load_config(file, {}).config.account == "afterw"
