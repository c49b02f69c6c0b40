"""A law: one sentence that must hold of every evidence, and what it says where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps

from oms.sim.evidence import Evidence

Finding = tuple[str, str]
"""The order, cycle or row it is about, and the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One place where a law does not hold."""

    law: str
    """Its number in the catalogue of laws, such as I6."""
    sentence: str
    about: str
    """The order, cycle or row."""
    numbers: str

    def __str__(self) -> str:
        return f"{self.law} ({self.sentence}) is broken by {self.about}: {self.numbers}"


Law = Callable[[Evidence], list[Violation]]

LAWS: dict[str, Law] = {}
"""Every law by the name of its function, in the order in which they are written."""


def law(number: str) -> Callable[[Callable[[Evidence], Iterator[Finding]]], Law]:
    """Make a law of a function that finds violations; its name, read as words, is the sentence."""

    def make(find: Callable[[Evidence], Iterator[Finding]]) -> Law:
        sentence = find.__name__.replace("_", " ")

        @wraps(find)
        def judge(evidence: Evidence) -> list[Violation]:
            return [
                Violation(law=number, sentence=sentence, about=about, numbers=numbers)
                for about, numbers in find(evidence)
            ]

        LAWS[find.__name__] = judge
        return judge

    return make
