"""Parts for nnexp, as another package brings them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.datasets import make_moons
from sklearn.utils import Bunch

from nnexp import Activation, Algorithm, Crossover, ErrorFunction, Mutation, Schedule, Selection
from nnexp.experiment import Bundled
from nnexp.network import Initializer
from nnexp.training import Optimizer
from nnexp.training.algorithm import State, StepReport


@dataclass(frozen=True)
class CubeRoot(Activation):
    """The cube root of z² + 1, times the sign of z."""

    name = "cube_root"
    power: float = 1 / 3

    def forward(self, z, out):
        np.copyto(out, np.sign(z) * ((z * z + 1) ** self.power - 1))

    def backward(self, gradient, z, a, out):
        np.copyto(out, gradient * np.abs(z) * 2 * self.power * (z * z + 1) ** (self.power - 1))


def _ready(z):
    return z / (1 + np.abs(z))


def _ready_derivative(z, a):
    return (1 - np.abs(a)) ** 2


READY = Activation.from_functions("ready", _ready, _ready_derivative)


class Wrong:
    """No activation at all."""


@dataclass(frozen=True)
class FourthPower(ErrorFunction):
    """(a − y)⁴."""

    name = "fourth_power"

    def value(self, actual, expected):
        return (actual - expected) ** 4

    def gradient(self, actual, expected, out):
        np.copyto(out, 4 * (actual - expected) ** 3)


class RandomSearch(Algorithm):
    """Draws networks and keeps the best."""

    name = "random_search"
    competes = True

    def __init__(self, draws=20):
        self.draws = draws

    def start(self, problem, descent, parameters, rngs):
        return State(rngs, {"first": parameters.copy()}, np.zeros(len(parameters), dtype=np.int64))

    def bind(self, problem, descent, state):
        def step():
            drawn = np.stack([problem.network.initialize(self.draws, rng, problem.dtype) for rng in state.rngs])
            return StepReport(drawn, np.full(problem.n_members, np.nan), evaluations=0)

        return step


@dataclass(frozen=True)
class Sign(Optimizer):
    """w ← w − η sign(g) (Riedmiller and Braun 1993, without their adaptation)."""

    name = "sign"

    def bind_block(self, parameters, gradient, moments, scratch):
        def update(learning_rate, t):
            np.sign(gradient, out=gradient)
            np.multiply(gradient, learning_rate, out=gradient)
            np.subtract(parameters, gradient, out=parameters)

        return update


@dataclass(frozen=True)
class Halving(Schedule):
    """Half the rate after each part of training."""

    name = "halving"
    parts: int = 4

    def shape(self, t):
        return 0.5 ** np.floor(np.minimum(t * self.parts, self.parts - 1))


@dataclass(frozen=True)
class SmallNormal(Initializer):
    """The same small standard deviation everywhere."""

    name = "small_normal"

    def scale(self, fan_in, fan_out, activation):
        return np.full(len(fan_in), 0.1)


@dataclass(frozen=True)
class BestTwo(Selection):
    """The best two are the parents of all."""

    name = "best_two"

    def draw(self, errors, n, rng):
        return np.tile([0, 1], (n, 1))


@dataclass(frozen=True)
class Mean(Crossover):
    """A child is the mean of its parents."""

    name = "mean"
    exchanges = False

    def cross(self, children, others, parents, genome, rng):
        children += others
        children *= 0.5


@dataclass(frozen=True)
class UniformNoise(Mutation):
    """Adds evenly distributed noise in units of each weight's initial scale."""

    name = "uniform_noise"
    sigma: float = 0.1

    def perturb(self, children, sigma, genome, rng):
        children += rng.uniform(-1.0, 1.0, children.shape) * sigma[:, np.newaxis] * genome.scale


def _load_moons(as_frame=True):
    X, y = make_moons(200, noise=0.1, random_state=0)
    return Bunch(data=pd.DataFrame(X, columns=["east", "north"]), target=pd.Series(y))


TWO_MOONS = Bundled("classification", _load_moons, "two half circles")
