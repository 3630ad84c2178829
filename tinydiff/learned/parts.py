"""Batches in parts, so that what is computed at a time stays small, and several threads can share the work.

The parts depend on the batch alone, and what is made of them is put together in their order: so the number of threads
changes no bit. NumPy lets other threads run while it computes.
"""

import contextvars
import importlib.util
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def even_parts(n: int, most: int) -> list[slice]:
    """As few slices of n rows as have at most `most` each, alike to one row; one, if n is 0."""
    count = max(1, -(-n // most))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def each(f: Callable[[slice], T], parts: Iterable[slice], threads: int = 1) -> list[T]:
    """What f gives for each part, in their order, worked out by several threads, each with one thread of BLAS."""
    with one_blas_thread():  # for one thread too: BLAS sums in another order where it divides the work
        if threads == 1:
            return [f(part) for part in parts]
        with ThreadPoolExecutor(threads) as pool:
            context = contextvars.copy_context  # np.errstate is part of it
            return [future.result() for future in [pool.submit(context().run, f, part) for part in parts]]


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS takes one thread, where threadpoolctl is there to tell it so."""
    return controller().limit(limits=1, user_api="blas") if importlib.util.find_spec("threadpoolctl") else nullcontext()


@cache
def controller() -> Any:
    """What knows the BLAS of this process: found once, since to look for it takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
