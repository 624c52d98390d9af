"""Work on many networks and samples, cut into pieces that fit the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.error_functions import Objective
from nnexp.network.passes import Workspace
from nnexp.network.samples import Samples

if TYPE_CHECKING:
    from nnexp.network.network import Network

Array = NDArray[Any]


class PiecewisePass:
    """A pass of a stack over many samples, cut into pieces of networks and samples that fit the cache.

    Parameters
    ----------
    network : Network
    objective : Objective
    inputs : array of shape (n, n_inputs + 1), or (P, n, n_inputs + 1); or Samples
        With the column of ones, see `Network.with_ones`; or a table of which ``rows`` are seen.
    rows : array of int, shape (n,), or (P, n) with rows of its own for each network
        With a table of `Samples` only.
    gradient : bool, default=False
        Whether the workspaces are to go backward as well.
    by_inputs : bool, default=False
        Whether they are to compute the derivative by the inputs too.
    """

    # A piece's buffers together; half of the second-level cache of today's processors.
    PIECE_BYTES = 1 << 19
    # Rows of a table are copied once up to this size; a larger block is taken piece by piece in each pass.
    COPY_BYTES = 1 << 23

    def __init__(
        self,
        network: Network,
        objective: Objective,
        inputs: Array | Samples,
        rows: Array | None = None,
        *,
        gradient: bool = False,
        by_inputs: bool = False,
    ) -> None:
        self.network, self.objective = network, objective
        self._gradient, self._by_inputs = gradient, by_inputs
        self._workspaces: dict[tuple[int, int], Workspace] = {}
        self._table: Samples | None = None
        self._rows = rows
        if isinstance(inputs, Samples):
            assert rows is not None
            if rows.size * inputs.width * inputs.dtype.itemsize <= self.COPY_BYTES:
                self.inputs = inputs.block(rows)
            else:
                self._table, self.inputs = inputs, np.empty((0, 0), dtype=inputs.dtype)
        else:
            self.inputs = inputs
        self.dtype = self.inputs.dtype
        shape = self.inputs.shape[:-1] if self._table is None or rows is None else rows.shape
        self._shared = len(shape) == 1
        self.n_samples = shape[-1]
        sizes = self.network.layer_sizes
        own_inputs = not self._shared or self._table is not None
        per_sample = self.dtype.itemsize * (sum(sizes[1:]) + (sizes[0] if own_inputs else 0))
        self._samples = min(self.n_samples, max(64, self.PIECE_BYTES // per_sample))
        self._networks = max(1, self.PIECE_BYTES // (per_sample * self._samples))

    def part(self, networks: slice, samples: slice) -> Array:
        """Return the inputs of a piece, shape (..., n_inputs + 1, samples)."""
        if self._table is not None and self._rows is not None:
            rows = self._rows[samples] if self._shared else self._rows[networks, samples]
            return self._table.block(rows).swapaxes(-1, -2)
        if self._shared:
            return self.inputs[samples].T
        return self.inputs[networks, samples].swapaxes(-1, -2)

    def forward(self, parameters: Array) -> Iterator[tuple[slice, slice, Workspace]]:
        """Go forward piece by piece; yield the networks and samples of the piece and its workspace."""
        for first in range(0, len(parameters), self._networks):
            networks = slice(first, min(first + self._networks, len(parameters)))
            stack = parameters[networks]
            for start in range(0, self.n_samples, self._samples):
                samples = slice(start, min(start + self._samples, self.n_samples))
                workspace = self._workspace(stack.shape[0], samples.stop - samples.start)
                workspace.bind(stack).forward(self.part(networks, samples))
                yield networks, samples, workspace

    def errors(self, parameters: Array, expected: Array, weight: Array, outputs: Array | None = None) -> Array:
        """Return Σ weight · error over the samples for each network, shape (P,), in float64.

        ``expected`` is (..., outputs, samples) and ``weight`` (..., 1, samples), with or without the axis of
        networks. Where ``outputs``, shape (P, samples, outputs), is given, the outputs are written there.
        """
        errors = np.zeros(len(parameters))
        for networks, samples, workspace in self.forward(parameters):
            y, w = part_of(expected, networks, samples), part_of(weight, networks, samples)
            errors[networks] += (workspace.errors(y) * w[..., 0, :]).sum(axis=-1)
            if outputs is not None:
                outputs[networks, samples] = workspace.outputs[0].swapaxes(-1, -2)
        return errors

    def _workspace(self, n_networks: int, n_samples: int) -> Workspace:
        key = n_networks, n_samples
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(
                self.network,
                self.objective,
                (n_networks, n_samples),
                self.dtype,
                gradient="inputs" if self._by_inputs else "parameters" if self._gradient else "",
                shared=self._shared,
            )
        return self._workspaces[key]


def part_of(array: Array, networks: slice, samples: slice) -> Array:
    """Cut (..., k, samples) with or without an axis of networks."""
    return array[..., samples] if array.ndim == 2 else array[networks, :, samples]
