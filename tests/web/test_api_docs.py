"""Checks that docs/api.md and the API speak of the same paths."""

from __future__ import annotations

import re
from pathlib import Path

from oms.web.api.description import described
from tests.web.house import House, app_of

DOCS = Path(__file__).parent.parent.parent / "docs" / "api.md"


def test_every_path_of_the_api_is_told_about(house: House) -> None:
    """Each path of the description stands in docs/api.md, whole or by its last part; CSV twins by their list's name."""
    text = DOCS.read_text("utf-8")
    told = set(re.findall(r"[\w./{}-]+", text))
    paths = described(app_of(house))["paths"]
    assert isinstance(paths, dict)
    for path in paths:
        plain = re.sub(r"/\{[^}]*\}(/explain)?", "", path).removesuffix(".csv")
        last = f"/{plain.removeprefix('/api/v1/')}"
        assert plain in told or last in told or f"/{plain.rpartition('/')[2]}" in told, path


def test_every_path_that_is_told_about_exists(house: House) -> None:
    """No path of the API stands in docs/api.md that it does not have."""
    paths = described(app_of(house))["paths"]
    assert isinstance(paths, dict)
    known = {re.sub(r"/\{[^}]*\}", "", path) for path in paths} | {"/api/openapi.json"}
    for named in re.findall(r"`(/api/[\w./-]+)", DOCS.read_text("utf-8")):
        plain = re.sub(r"/(CYCLE|CL_ORD_ID|NAME|SYMBOL)\b.*", "", named)
        assert plain in known, named
