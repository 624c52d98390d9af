"""One part of each kind that nnexp can be given. Copy what you need.

A part is a small value: what it does follows from its settings alone, and two with equal settings are equal. Frozen dataclasses
are that; algorithms store their settings under the names of their arguments, as scikit-learn's estimators do. So they can be
compared, copied, searched over, written to files and sent to other processes.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.datasets import make_moons
from sklearn.utils import Bunch

from nnexp import Activation, Crossover, ErrorFunction, Mutation, Schedule, Selection
from nnexp.experiment import Bundled
from nnexp.network import Initializer
from nnexp.training import Optimizer
from nnexp.training.evolutionary import Evolutionary


@dataclass(frozen=True)
class Snake(Activation):
    """z + sin²(f z) / f, which extrapolates what repeats (Ziyin et al. 2020)."""

    name = "snake"
    frequency: float = 1.0

    # Arrays are (..., neurons, samples): axes before these two are networks of a stack, and work by themselves.
    def forward(self, z, out):
        np.multiply(z, self.frequency, out=out)
        np.sin(out, out=out)
        np.square(out, out=out)
        np.divide(out, self.frequency, out=out)
        np.add(out, z, out=out)

    # The gradient by the inputs z from that by the outputs a: here times 1 + sin(2 f z). z may be overwritten, a may not.
    def backward(self, gradient, z, a, out):
        np.multiply(z, 2 * self.frequency, out=z)
        np.sin(z, out=z)
        np.add(z, 1.0, out=z)
        np.multiply(gradient, z, out=out)

    # Without this method the activation cannot be exported to ONNX; all else works.
    def onnx(self, graph, z):
        sine = graph.node("Sin", graph.scaled(z, self.frequency))
        return graph.node("Add", z, graph.scaled(graph.node("Mul", sine, sine), 1 / self.frequency))


@dataclass(frozen=True)
class Fair(ErrorFunction):
    """c² (|r| / c − ln(1 + |r| / c)) of the residual r: an absolute error that is round at 0 (Fair 1974)."""

    name = "fair"
    c: float = 1.4

    def value(self, actual, expected):
        share = np.abs(actual - expected) / self.c
        return self.c**2 * (share - np.log1p(share))

    def gradient(self, actual, expected, out):
        np.subtract(actual, expected, out=out)
        np.divide(out, 1.0 + np.abs(out) / self.c, out=out)


@dataclass(frozen=True)
class Orthodox(Initializer):
    """Uniform with variance 1 / (3 fan_in), as neural networks began before 2010 (LeCun et al. 1998 for the variance 1 / fan_in)."""

    name = "orthodox"
    uniform = True  # on ±√3 · scale; else normal

    def scale(self, fan_in, fan_out, activation):
        return np.sqrt(1.0 / (3.0 * fan_in))


@dataclass(frozen=True)
class Sign(Optimizer):
    """w ← w − η sign(m), m a running mean of the gradient (Bernstein et al. 2018, signum)."""

    name = "sign"
    n_moments = 1  # arrays of the weights' shape that are kept, saved and resumed for it
    momentum: float = 0.9

    # Called once before training; what it returns is called at each update and should allocate nothing.
    def bind_block(self, parameters, gradient, moments, scratch):
        (mean,) = moments

        def update(learning_rate, t):
            np.multiply(mean, self.momentum, out=mean)
            np.multiply(gradient, 1.0 - self.momentum, out=gradient)
            np.add(mean, gradient, out=mean)
            np.sign(mean, out=scratch)
            np.multiply(scratch, learning_rate, out=scratch)
            np.subtract(parameters, scratch, out=parameters)

        return update


@dataclass(frozen=True)
class InverseRoot(Schedule):
    """1 / √(1 + k t), for t from 0 to 1 (Robbins and Monro 1951 for rates that fall so)."""

    name = "inverse_root"
    k: float = 99.0

    # Settings of all schedules, such as warmup, stand before one's own and are dealt with outside.
    def shape(self, t):
        return 1.0 / np.sqrt(1.0 + self.k * t)


class HillClimbing(Evolutionary):
    """Keeps a network and tries others around it, wider after a success and narrower after none (Rechenberg 1973, 1 + λ).

    Parameters
    ----------
    population_size : int, default=16
        Networks that are tried in a generation, with the one that is kept.
    sigma : float, default=0.3
        The width at the start, in units of each weight's initial scale.
    batch_size : int or None, default=None
        Samples drawn to score a generation; None for all training data.
    """

    name = "hill_climbing"

    def __init__(self, population_size=16, sigma=0.3, batch_size=None):
        self.population_size, self.sigma, self.batch_size = population_size, sigma, batch_size

    # Impossible settings are refused with a sentence before anything begins.
    def check(self):
        super().check()
        if not isinstance(self.sigma, int | float) or not 0 < self.sigma < np.inf:
            raise ValueError(f"HillClimbing(sigma=...) must be a number above 0. Got {self.sigma!r}.")

    # All that a member remembers: arrays, which are saved and resumed. What is random comes from the generator given.
    def first(self, problem, parameters, rng):
        return {
            "best": parameters.copy(),
            "width": self.sigma
            * problem.network.initial_scale.astype(parameters.dtype),  # 0 where there is no connection
        }

    # The networks to be scored, (P, D). Scoring, counting, choosing the best one and the history are done by the base.
    def ask(self, kept, rng):
        shape = self.population_size, len(kept["best"])
        population = kept["best"] + kept["width"] * rng.standard_normal(shape, dtype=kept["best"].dtype)
        population[0] = kept["best"]
        return population

    # What they are worth, (P,), the lower the better; infinite for what ranks last.
    def tell(self, kept, population, values):
        kept["width"] *= 1.2 if values[1:].min() < values[0] else 0.85
        kept["best"][:] = population[values.argmin()]

    # What another algorithm has found, where this one is a part of a chain.
    def accept(self, problem, descent, state, parameters):
        state.arrays["best"][:] = parameters


@dataclass(frozen=True)
class ExponentialRank(Selection):
    """Rank i with a probability in proportion to cⁱ (Blickle and Thiele 1996)."""

    name = "exponential_rank"
    c: float = 0.95

    # The ranks of two parents for each of n children, 0 for the best network.
    def draw(self, errors, n, rng):
        share = self.c ** np.arange(len(errors))
        return rng.choice(len(errors), (n, 2), p=share / share.sum())


@dataclass(frozen=True)
class Layers(Crossover):
    """A child has each layer of one parent as a whole."""

    name = "layers"

    # Children are copies of their first parents, and are changed in place.
    def cross(self, children, others, parents, genome, rng):
        for matrices, other in zip(genome.network.weights(children), genome.network.weights(others), strict=True):
            taken = rng.random(len(children)) < 0.5
            matrices[taken] = other[taken]


@dataclass(frozen=True)
class Cauchy(Mutation):
    """Adds Cauchy noise to a share of the weights: mostly small, now and then far (Yao, Liu and Lin 1999)."""

    name = "cauchy"
    sigma: float = 0.02
    rate: float = 0.1

    # Each child with a strength of its own; what has the scale 0 in the genome must not change.
    def perturb(self, children, sigma, genome, rng):
        noise = rng.standard_cauchy(children.shape) * (rng.random(children.shape) < self.rate)
        children += noise * sigma[:, np.newaxis] * genome.scale


def _load_moons(as_frame=True):
    X, y = make_moons(200, noise=0.1, random_state=0)
    return Bunch(data=pd.DataFrame(X, columns=["east", "north"]), target=pd.Series(y, name="moon"))


TWO_MOONS = Bundled("classification", _load_moons, "two half circles")
