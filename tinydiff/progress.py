"""Progress of what takes long: tqdm's bars or, where tqdm is missing, a plain line now and then."""

import math
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self

EVERY = 5.0
"""Seconds between two plain lines."""


def watched(
    states: Iterable[Any], steps: int, watch: Callable[[Any], str] = lambda state: "", done: int = 0, looks: int = 20
) -> Generator[Any, None, None]:
    """The states, behind a progress bar that shows the smoothed loss and, a few times, what `watch` gives.

    steps: how many there are in all; done: how many of them were taken before.
    """
    loss, seen = math.nan, ""
    with progress_bar(states, total=steps, initial=done, desc="training", unit="step", mininterval=0.2) as bar:
        for state in bar:
            loss = state.loss if math.isnan(loss) else 0.99 * loss + 0.01 * state.loss
            if state.step % max(1, steps // looks) == 0:
                seen = watch(state)
            bar.set_postfix_str(f"loss {loss:.4f} {seen}".rstrip(), refresh=False)
            yield state


def progress_bar(items: Iterable[Any] | None = None, **options: Any) -> Any:
    """A progress bar over the items, or one that ``update`` moves, with tqdm's options."""
    try:
        from tqdm.auto import tqdm  # nobody else waits for its import
    except ModuleNotFoundError:
        return PlainLines(items, **options)
    return tqdm(items, dynamic_ncols=True, **options)


class PlainLines:
    """What a progress bar does, by a line on stderr every few seconds."""

    def __init__(
        self, items: Iterable[Any] | None, *, total: int, desc: str, unit: str = "", initial: int = 0,
        disable: bool = False, **others: Any,
    ):  # fmt: skip
        self.items, self.total, self.desc, self.unit = items, total, desc, unit
        self.done, self.disable, self.postfix, self.said = initial, disable, "", time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.say()

    def __iter__(self) -> Iterator[Any]:
        for item in self.items or ():
            yield item
            self.update()

    def update(self, n: int = 1) -> None:
        """Count n more."""
        self.done += n
        if time.monotonic() - self.said >= EVERY:
            self.say()

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        """What stands behind the count."""
        self.postfix = text

    def say(self) -> None:
        """Print the line."""
        self.said = time.monotonic()
        if not self.disable:
            postfix = f", {self.postfix}" if self.postfix else ""
            count = f"{self.unit} {self.done}".strip()
            print(f"{self.desc}: {count} of {self.total}{postfix}", file=sys.stderr)
