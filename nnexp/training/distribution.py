"""Evolution strategies: a distribution of networks that moves to where the better ones are.

What they share: in each generation networks are drawn from the distribution, scored on one batch, and the distribution is
told how they turned out. The candidates are its middle and the best network drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._names import check_number
from nnexp.training.evolutionary import Evolutionary
from nnexp.training.generation import Breeder
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class SearchDistribution(Evolutionary):
    """The settings of an evolution strategy.

    Attributes
    ----------
    sigma : float
        The standard deviation at the start, in units of each weight's initial scale.
    """

    sigma: float
    n_candidates = 2
    keeps = ("activations",)  # what has no scale does not move

    def check(self) -> None:
        super().check()
        check_number(*self.said("sigma"), low=0, high=1e6, open_low=True)

    def memory(self, problem: Problem, descent: Descent) -> int:
        # the distributions, with a copy while they are at work; the networks and the noise of one member at a time
        kept = 4 * problem.n_members + self.n_candidates + 2 * self.size(problem.network.n_parameters)
        networks = kept + self.networks_at_once(problem.network)
        return int(networks * problem.network.n_parameters * problem.dtype.itemsize)


class Distribution(Breeder):
    """Draws networks from the distributions of the members of a stack, and moves them, in place in the state."""

    has_middle = True


def utilities(n: int) -> Array:
    """Return the utility of each rank, shape (n,), best first, sum 0 (Wierstra et al. 2014, equation 30)."""
    raw = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    return raw / raw.sum() - 1.0 / n
