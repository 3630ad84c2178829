"""The progress bar of a training."""

import math
from collections.abc import Callable, Generator, Iterable
from typing import Any


def watched(
    states: Iterable[Any], steps: int, watch: Callable[[Any], str] = lambda state: "", done: int = 0, looks: int = 20
) -> Generator[Any, None, None]:
    """The states, behind a progress bar that shows the smoothed loss and, a few times, what `watch` gives.

    steps: how many there are in all; done: how many of them were taken before.
    """
    from tqdm.auto import tqdm  # nobody else waits for its import

    loss, seen = math.nan, ""
    with tqdm(
        states, total=steps, initial=done, desc="training", unit="step", mininterval=0.2, dynamic_ncols=True
    ) as bar:
        for state in bar:
            loss = state.loss if math.isnan(loss) else 0.99 * loss + 0.01 * state.loss
            if state.step % max(1, steps // looks) == 0:
                seen = watch(state)
            bar.set_postfix_str(f"loss {loss:.4f} {seen}".rstrip(), refresh=False)
            yield state
