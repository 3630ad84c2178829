"""Data parallelism: each batch is divided among threads, or among MPI's ranks, and gradients are added up.

    L = Σ_r (B_r/B) L_r,    ∂L/∂θ = Σ_r (B_r/B) ∂L_r/∂θ,    with L_r the mean over B_r of the B rows

Threads take parts of a batch that do not depend on their number, and their gradients are added in the parts' order, so
that the number of threads changes no bit. Of ranks every one has the whole model.

Every rank draws the whole batch, from a generator in the same state, and then works on its own rows. So noise belongs
to a row and not to a rank, and what comes out does not depend on the number of ranks, but for the order of the sums. As
all ranks take the same step along the same sum, their parameters stay the same without ever being sent.

A communicator is mpi4py's, or anything with its rank, size and upper-case methods, which send buffers without pickles.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff.backend import Array, namespace, on_host
from tinydiff.learned.network import Network
from tinydiff.learned.objective import Weight, loss_and_grad, simple_weight
from tinydiff.learned.parts import each, even_parts
from tinydiff.processes import Level

Comm = Any
"""A communicator; mpi4py's own type would need mpi4py."""


def world() -> Comm:
    """All ranks that mpiexec started; one, without it. ValueError where mpi4py or its MPI is missing."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py found no MPI
        raise ValueError(f"this needs mpi4py and an MPI: pip install 'tinydiff[mpi]' brings both ({error}).") from error
    return MPI.COMM_WORLD


def leads(comm: Comm | None) -> bool:
    """Whether this process writes, shows and measures: rank 0 does, and one that has no others."""
    return comm is None or comm.rank == 0


def rows_of_rank(comm: Comm, n: int) -> slice:
    """The rows of n that this rank works on: contiguous, and as many as any other rank's or one more or less.

    Raises ValueError where there are fewer rows than ranks.
    """
    if n < comm.size:
        raise ValueError(f"each rank needs a row: start at most {n} ranks for {n} rows; got {comm.size} ranks.")
    return slice(n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size)


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_rows(
    objective: Callable, rows: slice, network: Network, theta: Array, now: Level, x0: Array, eps: Array,
    labels: Array | None, weight: Weight,
) -> tuple[float, Array]:  # fmt: skip
    """(B_r/B) L_r and (B_r/B) ∂L_r/∂θ (size,), what some rows add to the loss of their batch and its gradient."""
    own, share = None if labels is None else labels[rows], (rows.stop - rows.start) / x0.shape[0]
    loss, grad = objective(network, theta, now[rows], x0[rows, :], eps[rows, :], own, weight)
    grad *= share  # it is ours: no need of another vector
    return share * loss, grad


def in_parts(threads: int = 1, objective: Callable = loss_and_grad) -> Callable:
    """Divide each batch into parts, which threads share: an objective that is called as the one given is.

    A batch that is small enough, and one on another device than the host, stays whole.
    """

    def loss_and_grad_of_parts(
        network: Network,
        theta: Array,
        now: Level,
        x0: Array,
        eps: Array,
        labels: Array | None = None,
        weight: Weight = simple_weight,
    ) -> tuple[float, Array]:
        parts = even_parts(x0.shape[0], network.rows)
        if len(parts) == 1 or not on_host(theta):
            return objective(network, theta, now, x0, eps, labels, weight)

        def of_part(rows: slice) -> tuple[float, Array]:
            return share_of_rows(objective, rows, network, theta, now, x0, eps, labels, weight)

        losses, grads = zip(*each(of_part, parts, threads), strict=True)
        return sum(losses), sum(grads[1:], start=grads[0])

    return loss_and_grad_of_parts


def data_parallel(comm: Comm, objective: Callable = loss_and_grad) -> Callable:
    """Divide the rows of each batch among ranks: the objective for ``td.train(..., objective=data_parallel(comm))``.

    Every rank calls it with the same batch and θ, works on its own rows, and gets the loss and gradient of all of them.

    Parameters
    ----------
    comm : communicator
        mpi4py's, such as ``MPI.COMM_WORLD``, or anything with its ``rank``, ``size``, ``Allgather`` and ``Allreduce``.
    objective : callable, optional
        What a batch is worth, called as ``loss_and_grad`` is, which it is by default.

    Returns
    -------
    callable
        An objective of the same signature, which gives every rank the same (loss, gradient).

    Raises
    ------
    ValueError
        From that objective, where the ranks have different batches, as from generators of different seeds, and where a
        batch has fewer rows than there are ranks.

    Examples
    --------
    >>> import tinydiff as td
    >>> class Alone:  # what MPI.COMM_WORLD is without mpiexec
    ...     rank, size = 0, 1
    ...     def Allgather(self, mine, everyones): everyones[0] = mine
    ...     def Allreduce(self, mine, total): total[...] = mine
    >>> network, data, objective = td.TimeMLP(2, 8, 1), td.toys.ring8(), td.data_parallel(Alone())
    >>> state = td.last(td.train(network, td.VP(), data, steps=2, batch=16, objective=objective, rng=0))
    >>> state.loss == td.last(td.train(network, td.VP(), data, steps=2, batch=16, rng=0)).loss
    True
    """

    def loss_and_grad_of_all(
        network: Network,
        theta: Array,
        now: Level,
        x0: Array,
        eps: Array,
        labels: Array | None = None,
        weight: Weight = simple_weight,
    ) -> tuple[float, Array]:
        rows = rows_of_rank(comm, x0.shape[0])
        loss, grad = share_of_rows(objective, rows, network, theta, now, x0, eps, labels, weight)
        batch = float(namespace(x0).sum(x0 * eps))  # one number that tells batches apart
        of_ranks, total = np.empty((comm.size, 2)), namespace(grad).empty_like(grad)
        comm.Allgather(np.array([loss, batch]), of_ranks)
        if not np.allclose(of_ranks[:, 1], of_ranks[0, 1], rtol=1e-3, equal_nan=True):
            raise ValueError("the ranks drew different batches: give all the same data, the same seed and state.")
        comm.Allreduce(grad, total)
        return float(np.sum(of_ranks[:, 0])), total

    return loss_and_grad_of_all


OTHER_DRAWS = {name for name in dir(np.random.Generator) if name[0] != "_"} - {"standard_normal", "bit_generator"}
"""The methods of a generator that RowsOf does not have."""


class RowsOf(np.random.Generator):
    """A generator for some rows of n: it draws the noise of all and gives these theirs, whoever works on the others.

    It draws standard normal noise alone: anything else, of which it does not know the rows, is a TypeError.
    """

    def __init__(self, rng: np.random.Generator, rows: slice, n: int) -> None:
        super().__init__(rng.bit_generator)
        self.rows, self.n = rows, n

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Noise from N(0, 1) of this shape, whose first number is that of the rows."""
        wanted = self.rows.stop - self.rows.start
        if out is not None or not isinstance(size, tuple) or size[:1] != (wanted,):
            raise ValueError(f"this draws for {wanted} rows of {self.n}; got shape {size}.")
        return super().standard_normal((self.n, *size[1:]), dtype=dtype)[self.rows]

    def __getattribute__(self, name: str) -> Any:
        if name in OTHER_DRAWS:
            raise TypeError(f"a generator of {self.n} rows among ranks draws standard_normal alone; got {name}.")
        return super().__getattribute__(name)


def gathered(comm: Comm, x: np.ndarray) -> np.ndarray | None:
    """The rows of all ranks in their order, on rank 0; None on the others. x (B_r, ...), of one dtype on all ranks."""
    rows = np.empty(comm.size, np.int64)
    comm.Allgather(np.array([x.shape[0]]), rows)
    everyones = np.empty((int(rows.sum()), *x.shape[1:]), x.dtype) if comm.rank == 0 else None
    comm.Gatherv(np.ascontiguousarray(x), (everyones, rows * x[0].size) if comm.rank == 0 else None)
    return everyones
