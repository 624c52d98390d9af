"""Networks as they are judged on rows: scoring a population on a batch, and what its history says.

A generation is scored in stacked matrix products, all of it on one batch that is drawn anew, so that no network lives
on an old and lucky score.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.pieces import PiecewisePass
from nnexp.training.problem import Problem

Array = NDArray[Any]


class Scores:
    """Scores the networks of a population on a batch of a member's rows.

    Parameters
    ----------
    problem : Problem
    batch : int
        Samples of a batch, for each member; all of its rows, or a part that `draw` draws anew.

    Attributes
    ----------
    evaluations : int
        What scoring one network costs.
    whole : bool
        Whether a batch is all of a member's rows.
    rows : array of int, shape (batch,)
        The rows of the present batch.
    """

    def __init__(self, problem: Problem, batch: int) -> None:
        network, n = problem.network, problem.training_rows.shape[1]
        self._problem, self.evaluations, self.whole = problem, batch, batch == n
        self._targets: dict[int, tuple[Array, Array]] = {}
        self._sweeps: list[PiecewisePass] = []
        self._inputs = np.empty((0, problem.samples.width), dtype=problem.dtype)
        if self.whole:  # each member's rows stay the same
            self._sweeps = [
                PiecewisePass(network, problem.objective, problem.samples, rows) for rows in problem.training_rows
            ]
        else:
            self._inputs = np.empty((batch, problem.samples.width), dtype=problem.dtype)
            self._sweeps = [PiecewisePass(network, problem.objective, self._inputs)] * problem.n_members
        self._outputs = np.empty((0, batch, network.n_outputs), dtype=problem.dtype)
        self.rows, self.member = problem.training_rows[0], 0
        self.fitness: Array | None = None

    def draw(self, member: int, rng: np.random.Generator) -> None:
        """Take the next batch: that of a member, drawn by its generator."""
        problem, rows = self._problem, self._problem.training[member]
        if not self.whole:
            rows = rows[rng.choice(len(rows), self.evaluations, replace=False, shuffle=False)]
            problem.samples.take(rows, self._inputs)
        self.rows, self.member = rows, member
        if not self.whole or member not in self._targets:
            expected = np.ascontiguousarray(problem.expected_of(rows, member).T)
            self._targets[member] = expected, problem.weight_of(rows, member)
        self._expected, self._weight = self._targets[member]

    def inputs(self, count: int) -> Array:
        """Return the inputs of some rows of the present batch, evenly spaced, shape (count, n_inputs + 1)."""
        chosen = np.linspace(0, len(self.rows) - 1, min(count, len(self.rows))).astype(int)
        return self._problem.samples.block(self.rows[chosen])

    def errors(self, population: Array) -> Array:
        """Return the error of each network, shape (P,), on the present batch; note their fitness if that counts."""
        fitness, outputs = self._problem.fitness, None
        if fitness is not None:
            if len(self._outputs) < len(population):
                self._outputs = np.empty((len(population), *self._outputs.shape[1:]), dtype=population.dtype)
            outputs = self._outputs[: len(population)]
        sweep = self._sweeps[self.member]
        errors = sweep.errors(population, self._expected, self._weight, outputs)
        if fitness is not None and outputs is not None:
            fitness_of_member = fitness[self.member]
            self.fitness = np.array(
                [fitness_of_member(*both, self.rows) for both in zip(outputs, population, strict=True)],
                dtype=np.float64,
            )
        return errors

    def ranking(self, population: Array, errors: Array) -> Array:
        """Return what selection goes by, the lower the better: errors and penalties, or the negated fitness.

        What is NaN or infinite ranks last.
        """
        if self._problem.fitness is not None and self.fitness is not None:
            value = np.where(np.isfinite(errors), -self.fitness, np.inf)
        else:
            value = errors + self._problem.penalty_of(self.member, population)
        return np.where(np.isfinite(value), value, np.inf)


# Weights by which the diversity of a population is estimated.
_DIVERSITY_WEIGHTS = 512


class Spread:
    """Says how the networks of a population are spread, as the history has it."""

    def __init__(self, problem: Problem) -> None:
        scale = problem.network.initial_scale
        weights = np.flatnonzero(scale)
        chosen = weights[np.linspace(0, len(weights) - 1, min(len(weights), _DIVERSITY_WEIGHTS)).astype(int)]
        self._weights, self._scale = chosen, scale[chosen]

    def __call__(self, population: Array, errors: Array, fitness: Array | None, sigma: float) -> dict[str, float]:
        """Return the columns of one member: errors, the diversity of the weights, and the strength of mutation.

        The diversity is the standard deviation of a weight among the networks in units of its initial scale, the mean
        over the weights. A NaN among the errors comes last. Sigma is left out where it is NaN.
        """
        spread = np.sort(errors)
        columns = {
            "population_best_error": float(spread[0]),
            "population_median_error": float(spread[len(spread) // 2]),
            "population_worst_error": float(spread[-1]),
            "diversity": float((population[:, self._weights].std(axis=0) / self._scale).mean()),
        }
        if not math.isnan(sigma):
            columns["sigma"] = sigma
        if fitness is not None:
            columns["population_best_fitness"] = float(np.max(fitness, where=~np.isnan(fitness), initial=-np.inf))
            columns["population_median_fitness"] = float(np.median(fitness))
        return columns
