"""Data parallelism with MPI: every rank has the whole model and some rows of each batch, and gradients are added up.

    L = Σ_r (B_r/B) L_r,    ∂L/∂θ = Σ_r (B_r/B) ∂L_r/∂θ,    with L_r the mean over the B_r of B rows that rank r has

Every rank draws the whole batch, from a generator in the same state, and then works on its rows. So noise belongs to a
row and not to a rank: what comes out does not depend on the number of ranks, but for the order of the sums. And as all
ranks take the same step along the same sum, their parameters stay the same without ever being sent.

A communicator is mpi4py's, or anything with its rank, size and upper-case methods, which send buffers without pickles.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinydiff.backend import Array, Times, namespace
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.objective import Weight, loss_and_grad, simple
from tinydiff.processes import Process

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


def share(comm: Comm, n: int) -> slice:
    """The rows of n that this rank has: contiguous, and as many as any other rank's or one more or less.

    Raises ValueError where there are fewer rows than ranks.
    """
    if n < comm.size:
        raise ValueError(f"each rank needs a row: start at most {n} ranks for {n} rows; got {comm.size} ranks.")
    return slice(n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size)


def data_parallel(comm: Comm, objective: Callable = loss_and_grad) -> Callable:
    """The objective of a whole batch, its rows shared by all ranks: td.train(..., objective=data_parallel(comm)).

    Every rank must call it with the same batch and θ, and gets the same (loss, gradient). ValueError where the batches
    differ, as from generators of different seeds, and where a batch has fewer rows than there are ranks.
    """

    def shared(
        network: TimeMLP,
        process: Process,
        theta: Array,
        x0: Array,
        t: Times,
        eps: Array,
        labels: Array | None = None,
        weight: Weight = simple,
    ) -> tuple[float, Array]:
        rows, n = share(comm, x0.shape[0]), x0.shape[0]
        own = None if labels is None else labels[rows]
        loss, grad = objective(network, process, theta, x0[rows], t[rows], eps[rows], own, weight)
        part = (rows.stop - rows.start) / n
        batch = float(namespace(x0).sum(x0 * eps))  # one number that tells batches apart
        said, total = np.empty((comm.size, 2)), namespace(grad).empty_like(grad)
        comm.Allgather(np.array([part * loss, batch]), said)
        if not np.allclose(said[:, 1], said[0, 1], rtol=1e-3, equal_nan=True):
            raise ValueError("the ranks drew different batches: give all the same data, the same seed and state.")
        grad *= part  # it is ours: no need of another vector
        comm.Allreduce(grad, total)
        return float(np.sum(said[:, 0])), total

    return shared


class RowsOf:
    """A generator for some rows of n: it draws for all and gives back these, so that each has the noise it always has.

    It can draw noise alone; what else would be drawn for n rows fails.
    """

    def __init__(self, rng: np.random.Generator, rows: slice, n: int) -> None:
        self.rng, self.rows, self.n = rng, rows, n

    def standard_normal(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """N(0, 1) noise of this shape, whose first number is that of the rows."""
        if shape[0] != self.rows.stop - self.rows.start:
            raise ValueError(f"this draws for {self.rows.stop - self.rows.start} rows of {self.n}; got shape {shape}.")
        return self.rng.standard_normal((self.n, *shape[1:]), dtype=dtype)[self.rows]


def gathered(comm: Comm, x: np.ndarray) -> np.ndarray | None:
    """The rows of all ranks in their order, on rank 0; None on the others. x (B_r, ...), of one dtype on all ranks."""
    rows = np.empty(comm.size, np.int64)
    comm.Allgather(np.array([x.shape[0]]), rows)
    whole = np.empty((int(rows.sum()), *x.shape[1:]), x.dtype) if comm.rank == 0 else None
    comm.Gatherv(np.ascontiguousarray(x), (whole, rows * x[0].size) if comm.rank == 0 else None)
    return whole
