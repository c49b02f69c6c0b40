"""Every word of the pages in English and in Chinese; the English sentence is its own key.

``en.json`` names the codes of the trade (phases, rules, kinds of facts); ``zh-CN.json`` holds the same codes and every
sentence. A test compares both with what the templates and the pages say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = {"en": "English", "zh-CN": "简体中文"}
"""What a reader can choose, each in its own words."""


class Words:
    """The sentences of one language."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else "en"
        self._known = _catalogue(self.language)

    def __call__(self, sentence: str, **values: object) -> str:
        """A sentence with its values put in."""
        return self._known.get(sentence, sentence).format(**values)

    def raw(self, sentence: str) -> str:
        """A sentence whose values are put in elsewhere."""
        return self._known.get(sentence, sentence)

    def many(self, number: int, one: str, others: str, **values: object) -> str:
        """A sentence about a number of things; ``{n}`` is the number."""
        sentence = one if number == 1 else others
        return self(sentence, n=f"{number:,}", **values)

    def name(self, domain: str, code: str | None) -> str:
        """What a code of the trade is called, such as ``rule`` and ``funds_fraction``; the code itself where it is new."""
        if code is None:
            return ""
        return self._known.get(f"{domain}.{code}", code.replace("_", " ") if code.isidentifier() else code)

    def says(self, domain: str, code: str) -> bool:
        """Whether a code has a name of its own."""
        return f"{domain}.{code}" in self._known


def language_of(header: str) -> str:
    """The language that a browser asks for; English where it asks for none of ours."""
    ranked = []
    for place, part in enumerate(header.split(",")):
        name, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((-float(weight or 1), place, name.strip().lower()))
        except ValueError:
            continue
    for _, _, name in sorted(ranked):
        if name.startswith("zh"):
            return "zh-CN"
        if name.startswith("en"):
            return "en"
    return "en"


@cache
def _catalogue(language: str) -> Mapping[str, str]:
    text = files(__name__).joinpath(f"{language}.json").read_text("utf-8")
    found: dict[str, str] = json.loads(text)
    return found
