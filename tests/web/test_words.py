"""Checks that every word of the pages is there in both languages, with the same places for values."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from oms.configuration.notices import Topic
from oms.model.controls import CATALOGUE
from oms.model.detail import HaltScope, Outcome, SettledBy
from oms.model.difference import DifferenceKind
from oms.model.kinds import KINDS
from oms.model.order import OrdStatus
from oms.model.score import NAMES
from oms.questions.fleet import STATES
from oms.web.paint import CYCLE, FLEET, PAGES
from oms.web.words import Words, language_of

WEB = Path(__file__).parents[2] / "oms" / "web"
ENGLISH = json.loads((WEB / "words" / "en.json").read_text("utf-8"))
CHINESE = json.loads((WEB / "words" / "zh-CN.json").read_text("utf-8"))
TEMPLATES = sorted(WEB.glob("templates/*.html"))


def spoken_in_template(path: Path) -> Iterator[str]:
    """The sentences that a template hands to ``w``, ``w.raw`` and ``w.many``."""
    for call in Environment(autoescape=True).parse(path.read_text("utf-8")).find_all(nodes.Call):
        called = call.node
        if isinstance(called, nodes.Name) and called.name == "w":
            yield from constants(call.args[0])
        elif isinstance(called, nodes.Getattr) and isinstance(called.node, nodes.Name) and called.node.name == "w":
            chosen = {"raw": call.args[:1], "many": call.args[1:3]}.get(called.attr, [])
            yield from (sentence for argument in chosen for sentence in constants(argument))


def constants(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.CondExpr):
        yield from constants(node.expr1)
        if node.expr2 is not None:
            yield from constants(node.expr2)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value


def spoken_in_module(path: Path) -> Iterator[str]:
    """The sentences that a module hands to ``words``."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if is_words(called):
            yield from strings(node.args[0])
        elif isinstance(called, ast.Attribute) and is_words(called.value):
            chosen = {"raw": node.args[:1], "many": node.args[1:3]}.get(called.attr, [])
            yield from (sentence for argument in chosen for sentence in strings(argument))


def is_words(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "words") or (
        isinstance(node, ast.Attribute) and node.attr == "words"
    )


def strings(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from strings(node.body)
        yield from strings(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


SPOKEN = {
    **{sentence: path.name for path in TEMPLATES for sentence in spoken_in_template(path)},
    **{sentence: path.name for path in sorted(WEB.rglob("*.py")) for sentence in spoken_in_module(path)},
    **{page.title: "paint.py" for page in (*PAGES, CYCLE, FLEET)},
    **{rule.meaning: "controls.py" for rule in CATALOGUE},
}


def places(sentence: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", sentence))


def test_every_sentence_of_the_pages_is_there_in_chinese() -> None:
    """Whatever a template or a page says has its Chinese sentence, with the same values in it."""
    assert len(SPOKEN) > 300
    assert [f"{where}: {sentence}" for sentence, where in SPOKEN.items() if sentence not in CHINESE] == []
    assert [sentence for sentence in SPOKEN if places(sentence) != places(CHINESE[sentence])] == []


def test_no_chinese_sentence_is_left_over() -> None:
    """A sentence that no page says any more is taken out of the catalogue."""
    assert set(CHINESE) - set(ENGLISH) - set(SPOKEN) == set()


def test_both_languages_name_the_same_codes() -> None:
    """Phases, rules, statuses and kinds of facts are named in both."""
    assert {key for key in CHINESE if key in ENGLISH} == set(ENGLISH)


@pytest.mark.parametrize(
    ("domain", "codes"),
    [
        ("kind", KINDS),
        ("status", [each.value for each in OrdStatus]),
        ("outcome", [each.value for each in Outcome]),
        ("scope", [each.value for each in HaltScope]),
        ("settled", [each.value for each in SettledBy]),
        ("rule", [rule.name for rule in CATALOGUE]),
        ("factor", NAMES),
        ("topic", [each.value for each in Topic]),
        ("difference", [each.value for each in DifferenceKind]),
        ("fleet_state", STATES),
        ("worker_state", ("working", "draining", "ended", "gone")),
    ],
)
def test_every_code_that_the_journal_may_hold_has_a_name(domain: str, codes: list[str]) -> None:
    """A new kind of fact, status or outcome cannot come without a word for it."""
    assert [code for code in codes if not Words("en").says(domain, code)] == []


def test_no_template_speaks_without_the_catalogue() -> None:
    """Outside of tags and expressions a template holds no letters but names of programs and files."""
    for path in TEMPLATES:
        plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text("utf-8"), flags=re.DOTALL)
        left = re.sub(r"<[^>]*>", " ", plain)
        assert set(re.findall(r"[A-Za-z]{2,}", left)) <= {"oms", "JSON", "CSV", "MB", "kB", "middot", "amp"}, path.name


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en"),
        ("de-DE,zh;q=0.5", "zh-CN"),
        ("de", "en"),
        ("", "en"),
        ("en;q=x,zh;q=0.2", "zh-CN"),
    ],
)
def test_a_browser_is_answered_in_its_language(header: str, language: str) -> None:
    """The language that the browser likes best among ours; English where it knows none of them."""
    assert language_of(header) == language
