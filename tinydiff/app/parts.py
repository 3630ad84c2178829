"""What a report is made of: numbers and figures, each of which may fail without the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Parts:
    """The numbers and figures of a report, and why parts of it are missing.

    An error within ``part`` ends that part alone: training has taken its time, and the rest is still worth reading.
    """

    def __init__(self, watch: Callable[[str], None] = lambda name: None):
        self.numbers: dict[str, Any] = {}
        self.figures: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        self._watch = watch

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of this name; what it raises is kept as a line."""
        self._watch(name)
        try:
            yield
        except UnboundLocalError:
            self.failed[name] = "it needs a part that failed before it"
        except Exception as error:
            self.failed[name] = " ".join(f"{type(error).__name__}: {error}".split())
