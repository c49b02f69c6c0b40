"""``replace`` for the frozen values of the model: what ``dataclasses.replace`` gives, at a third of its cost.

An order changes a few times in its life and a fold of a whole journal makes every one of these changes again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The checker knows the names and types of the fields for the original.
    from dataclasses import replace as replace  # noqa: PLC0414  # said twice so that it may be imported from here
else:

    def replace(value: Any, /, **changes: Any) -> Any:
        """The same value with some fields changed; its class is frozen, has slots and no ``__post_init__``.

        Raises:
            KeyError: the class has no such field.
        """
        key = (type(value), *changes)
        made = _MAKERS.get(key)
        if made is None:
            made = _MAKERS[key] = _maker(key[0], tuple(changes))
        return made(value, **changes)


_MAKERS: dict[tuple[Any, ...], Callable[..., Any]] = {}
"""By the class and the names of the fields that are changed."""


def _maker(cls: type, changed: tuple[str, ...]) -> Callable[..., Any]:
    """A function that makes such a value, written for this class as ``dataclasses`` writes its ``__init__``."""
    names = [field.name for field in fields(cls)]
    for name in changed:
        if name not in names:
            raise KeyError(name)
    # No field of ours begins with an underscore, so none is taken for one of these names.
    lines = (f"  _put_{name}(_made, {name if name in changed else '_old.' + name})\n" for name in names)
    puts = ", ".join(f"_put_{name}" for name in names)
    source = (
        f"def outer(_new, _cls, {puts}):\n def make(_old, {'*, ' if changed else ''}{', '.join(changed)}):\n"
        f"  _made = _new(_cls)\n{''.join(lines)}  return _made\n return make"
    )
    found: dict[str, Callable[..., Callable[..., Any]]] = {}
    exec(source, found)  # noqa: S102  # of names of fields alone
    # The slot itself is set: the frozen class refuses only what goes through its own __setattr__.
    return found["outer"](object.__new__, cls, *(getattr(cls, name).__set__ for name in names))
