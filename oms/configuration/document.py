"""config.yaml as a tree of texts, each with its line and column.

We read the events of the YAML parser and not its objects: so a scalar keeps its own text (0.80 stays 0.80 and never
becomes a float), nothing is ever constructed from a tag, an alias is never followed, and depth and size are bounded
while they grow. ruamel is imported only when there is a file to read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oms.configuration.problems import Place, Problem, refuse
from oms.configuration.scalars import PlainText
from oms.model.foreign import printable, shown

MOST_DEPTH = 12
MOST_NODES = 20_000
_NOTHING = ("", "null", "Null", "NULL", "~")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The content of one source: mappings, lists, PlainText (unquoted), str (quoted) and None (null)."""

    root: Any
    places: dict[Path, Place] = field(default_factory=dict)
    """Where each value stands."""
    keys: dict[Path, Place] = field(default_factory=dict)
    """Where the key of each value in a mapping stands."""
    problems: list[Problem] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    path: Path
    value: dict[str, Any] | list[Any]
    key: str | None = None


def parse_document(text: str, source: str) -> Document:
    """Read one YAML document.

    What is wrong with its *content* (tags, anchors, duplicate keys) is collected in ``problems``. Raises UsageError where
    the text is not one YAML document at all, or exceeds the bounds of depth and size.
    """
    reader = _Reader(source)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
            if count > MOST_NODES:
                raise refuse([reader.problem(event, f"more than {MOST_NODES:,} values; expected fewer")])
            reader.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "it cannot be read"
        place = Place(source=source, line=mark.line + 1, column=mark.column + 1) if mark else Place(source=source)
        raise refuse([Problem(place=place, key="", sentence=f"not valid YAML: {_plain(what)}")]) from None
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as error:
        # The pure parser has gaps: on some broken input it stumbles over itself instead of naming the fault.
        sentence = f"not valid YAML (the parser stopped with {type(error).__name__})"
        raise refuse([Problem(place=Place(source=source), key="", sentence=sentence)]) from None
    return reader.document()


def _plain(sentence: str) -> str:
    return printable(sentence.replace("\n", " "))[:200]


class _Reader:
    """Builds the tree from events, without recursion."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._open: list[_Open] = []
        self._result = Document(root=None)
        self._root: Any = None
        self._documents = 0

    def document(self) -> Document:
        result = self._result
        return Document(root=self._root, places=result.places, keys=result.keys, problems=result.problems)

    def place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(source=self._source, line=mark.line + 1, column=mark.column + 1)

    def problem(self, event: Any, sentence: str) -> Problem:
        path = self._here()
        return Problem(place=self.place(event), key=dotted(path), sentence=sentence)

    def take(self, event: Any) -> None:
        """Add one event of the parser to the tree."""
        match type(event).__name__:
            case "DocumentStartEvent":
                self._documents += 1
                if self._documents > 1:
                    raise refuse([self.problem(event, "a second document begins; expected one, without further ---")])
            case "AliasEvent":
                self._add(event, None)
                self._result.problems.append(self.problem(event, "an alias (*); expected the value itself"))
            case "ScalarEvent":
                self._marked(event)
                self._add(event, self._scalar(event))
            case "MappingStartEvent" | "SequenceStartEvent" as kind:
                self._marked(event)
                value: dict[str, Any] | list[Any] = {} if kind == "MappingStartEvent" else []
                self._start(event, value)
            case "MappingEndEvent" | "SequenceEndEvent":
                self._open.pop()
            case _:
                pass  # the start and end of the stream and the document's end say nothing

    def _marked(self, event: Any) -> None:
        if event.anchor is not None:
            self._result.problems.append(
                self.problem(event, "an anchor (&); expected the value written out at each place")
            )
        if event.tag is not None:
            found = shown(str(event.tag))
            self._result.problems.append(self.problem(event, f"the tag {found}; expected a plain value without tags"))

    @staticmethod
    def _scalar(event: Any) -> str | None:
        text = str(event.value)
        if event.style not in (None, ""):
            return text
        return None if text in _NOTHING else PlainText(text)

    def _start(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        path = self._add(event, value)
        if len(self._open) >= MOST_DEPTH:
            raise refuse([self.problem(event, f"nested deeper than {MOST_DEPTH} levels; expected at most 4")])
        self._open.append(_Open(path, value))

    def _here(self) -> Path:
        if not self._open:
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return top.path if top.key is None else (*top.path, top.key)

    def _add(self, event: Any, value: Any) -> Path:
        """Put a value where the parser stands; answer its path."""
        if not self._open:
            self._root = value
            self._result.places[()] = self.place(event)
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            path: Path = (*top.path, len(top.value))
            top.value.append(value)
            self._result.places[path] = self.place(event)
            return path
        if top.key is None:
            return self._key(event, value, top)
        path = (*top.path, top.key)
        top.value[top.key] = value
        self._result.places[path] = self.place(event)
        top.key = None
        return path

    def _key(self, event: Any, value: Any, top: _Open) -> Path:
        key = value if isinstance(value, str) else PlainText(getattr(event, "value", "") or "null")
        path = (*top.path, key)
        problems = self._result.problems
        if not isinstance(value, (str, type(None))):
            problems.append(self.problem(event, "a mapping or a list as a key; expected a name"))
        if key == "<<":
            problems.append(self.problem(event, "a merge (<<); expected the keys themselves"))
        elif key in top.value:
            first = self._result.keys[path]
            problems.append(
                Problem(
                    place=self.place(event),
                    key=dotted(path),
                    sentence=f"a second time; it stands already in line {first.line}, expected once",
                )
            )
        else:
            self._result.keys[path] = self.place(event)
        top.key = key
        return path


def dotted(path: Path) -> str:
    """A path as a person writes it: ``risk.blacklist[1]``, with foreign letters escaped."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isascii() and part.replace("_", "").isalnum() else shown(part)
            text += f".{name}" if text else name
    return text
