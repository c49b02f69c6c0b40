"""What cannot change any more is made once: the newest of it is kept, by what it was made of, up to a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """A shelf of bounded size for all threads of the server; what was longest not asked for leaves it first."""

    def __init__(self, most: int, size: Callable[[Made], int]) -> None:
        """``most`` is how large all together may be, as ``size`` measures each."""
        self._most = most
        self._size = size
        self._all: OrderedDict[Hashable, Made] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Made | None:
        """What was made of this; None where it is not kept."""
        with self._lock:
            found = self._all.get(key)
            if found is not None:
                self._all.move_to_end(key)
            return found

    def keep(self, key: Hashable, made: Made) -> None:
        """Put it on the shelf; what alone is larger than the shelf is not kept."""
        size = self._size(made)
        if size > self._most:
            return
        with self._lock:
            before = self._all.pop(key, None)
            self._used += size - (0 if before is None else self._size(before))
            self._all[key] = made
            while self._used > self._most:
                self._used -= self._size(self._all.popitem(last=False)[1])
