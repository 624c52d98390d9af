"""What operators of a genetic algorithm may know: how weights belong to neurons, what neurons put out, how weights act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.error_functions import Objective
from nnexp.network.network import Network
from nnexp.network.passes import Workspace
from nnexp.training.problem import Problem

Array = NDArray[Any]


class _OutputInputs(Objective):
    """Stands for an error whose derivative by the inputs z of the output neurons is what is expected."""

    def gradient(self, z: Array, a: Array, expected: Array, out: Array, scratch: Array) -> None:
        np.copyto(out, expected)


class Genome:
    """A population's weights as operators see them.

    Attributes
    ----------
    network : Network
    gene : array of int, shape (D,)
        The neuron that each weight leads into.
    n_genes : int
        Neurons with weights of their own.
    scale : array of shape (D,)
        The standard deviation of each first weight; 0 for what must not change.
    choices : array of int
        Which of the D are no weights but numbers of activations.
    population : array of shape (P, D)
        The parents.
    """

    def __init__(self, problem: Problem) -> None:
        self.network: Network = problem.network
        self._problem = problem
        self.dtype = problem.dtype
        self.gene = self.network.neuron_of_parameter
        self.n_genes = int(self.gene.max()) + 1
        self.scale = self.network.initial_scale.astype(problem.dtype)
        places = [np.arange(place.start, place.stop) for place in self.network.choices.values()]
        self.choices = np.concatenate(places) if places else np.empty(0, dtype=np.intp)
        self.population = np.empty((0, self.network.n_parameters), dtype=problem.dtype)
        self._sample: Callable[[int], Array] = self._no_sample
        self._outputs: Sequence[Array] | None = None
        self._workspaces: dict[tuple[int, int, str], Workspace] = {}
        self._buffers: dict[str, Array] = {}

    def _no_sample(self, count: int) -> Array:
        return np.empty((0, self._problem.samples.width), dtype=self.dtype)

    def begin(self, population: Array, sample: Callable[[int], Array]) -> None:
        """Take the parents of a generation, and a function that returns inputs, shape (n, n_inputs + 1), of the batch."""
        self.population, self._sample, self._outputs = population, sample, None

    def buffer(self, name: str, rows: int) -> Array:
        """Return room of shape (rows, D) that is used again in each generation."""
        kept = self._buffers.get(name)
        if kept is None or len(kept) < rows:
            kept = self._buffers[name] = np.empty((rows, self.network.n_parameters), dtype=self.dtype)
        return kept[:rows]

    def outputs(self, rows: int) -> Sequence[Array]:
        """Return what the hidden neurons of all parents put out on some rows of the batch.

        One array of shape (P, neurons, rows) for each hidden layer; computed once a generation.
        """
        if self._outputs is None:
            inputs = self._sample(rows)
            workspace = self._workspace(len(self.population), len(inputs), "")
            workspace.bind(self.population).forward(inputs.T)
            self._outputs = [workspace.fed(layer).copy() for layer in range(1, self.network.n_layers - 1)]
        return self._outputs

    def sensitivity(self, parameters: Array, rows: int) -> Array:
        """Return how strongly each weight acts on the outputs, shape (m, D).

        The root of the sum over the output neurons of the squared mean derivative of their inputs z by the weight (SM-G-SUM
        of Lehman et al. 2018).
        """
        inputs = self._sample(rows)
        workspace = self._workspace(len(parameters), len(inputs), "parameters")
        workspace.bind(parameters).forward(inputs.T)
        total = np.zeros_like(parameters)
        for output in range(self.network.n_outputs):
            one = np.zeros((self.network.n_outputs, len(inputs)), dtype=self.dtype)
            one[output] = 1.0 / len(inputs)
            workspace.backward(inputs.T, one, 1.0)
            total += np.square(workspace.gradient)
        return np.sqrt(total)

    def _workspace(self, networks: int, rows: int, gradient: str) -> Workspace:
        key = networks, rows, gradient
        if key not in self._workspaces:
            objective = _OutputInputs(self._problem.objective.activation, self._problem.objective.error_function)
            self._workspaces[key] = Workspace(
                self.network, objective, (networks, rows), self.dtype, gradient=gradient, shared=True
            )
        return self._workspaces[key]
