"""Mutation: how a child's weights change at random, and how the strength of that evolves along.

Each is a small frozen value, as activations are. The strength σ belongs to each network: a child inherits the geometric mean of
its parents', times exp(adaptation · N(0, 1)) (Schwefel 1981).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry, check_number
from nnexp.training.genome import Genome

Array = NDArray[Any]


class Mutation(ABC):
    """Changes weights at random. A subclass is a frozen dataclass with a ``name``, ``sigma`` and the method `perturb`.

    Attributes
    ----------
    copies : float
        How many arrays of the children's size it makes for itself, for the promise of memory.
    """

    name: ClassVar[str]
    sigma: float
    copies: ClassVar[float] = 0.0

    @abstractmethod
    def perturb(self, children: Array, sigma: Array, genome: Genome, rng: np.random.Generator) -> None:
        """Change children, shape (m, D), in place, each with a strength of its own, sigma of shape (m,).

        What has the scale 0 in the genome must not change.
        """

    def start(self, members: int, population: int) -> dict[str, Array]:
        """Return what it remembers besides each network's sigma, arrays with a first axis of members, by name."""
        return {}

    def inherit(self, sigma: Array, memory: dict[str, Array], rng: np.random.Generator) -> Array:
        """Return the strength for each child, shape (m,), by its parents', shape (m, 2)."""
        return np.sqrt(sigma[:, 0] * sigma[:, 1])

    def learn(self, errors: Array, memory: dict[str, Array], rng: np.random.Generator) -> None:  # noqa: B027
        """Take note of the errors of the children, shape (m,), in the order in which they were born."""

    def evaluations(self, batch: int, n_outputs: int) -> int:
        """Return what it costs for each child, on a batch of so many rows."""
        return 0


@dataclass(frozen=True)
class Gaussian(Mutation):
    """Adds N(0, σ²) to a share of the weights, the same σ for all.

    Parameters
    ----------
    sigma : float, default=0.05
        The standard deviation at the start.
    rate : float, default=0.1
        The share of a child's weights that change, in (0, 1].
    adaptation : float, default=0.1
        How fast a network's own σ changes; 0 keeps it as it is.
    """

    name: ClassVar[str] = "gaussian"
    sigma: float = 0.05
    rate: float = 0.1
    adaptation: float = 0.1

    def __post_init__(self) -> None:
        kind = type(self).__name__
        check_number(f"{kind}(sigma=...)", self.sigma, low=0, high=1e6, open_low=True)
        check_number(f"{kind}(rate=...)", self.rate, low=0, high=1, open_low=True)
        check_number(f"{kind}(adaptation=...)", self.adaptation, low=0, high=10)

    def inherit(self, sigma: Array, memory: dict[str, Array], rng: np.random.Generator) -> Array:
        changed = super().inherit(sigma, memory, rng) * np.exp(self.adaptation * rng.standard_normal(len(sigma)))
        return np.clip(changed, 1e-12, 1e6)

    def scales(self, genome: Genome) -> Array:
        """Return the unit of σ for each weight, shape (D,)."""
        return np.sign(genome.scale)

    def perturb(self, children: Array, sigma: Array, genome: Genome, rng: np.random.Generator) -> None:
        add_noise(children, sigma, self.scales(genome), self.rate, genome, rng)


@dataclass(frozen=True)
class Scaled(Gaussian):
    """Adds N(0, (σ · s)²) to a share of the weights, s the initial scale of each weight.

    Parameters
    ----------
    sigma : float, default=0.1
        The standard deviation at the start, in units of the weight's initial scale.
    rate : float, default=0.1
        The share of a child's weights that change, in (0, 1].
    adaptation : float, default=0.1
        How fast a network's own σ changes; 0 keeps it as it is.
    """

    name: ClassVar[str] = "scaled"
    sigma: float = 0.1

    def scales(self, genome: Genome) -> Array:
        return genome.scale


@dataclass(frozen=True)
class Polynomial(Gaussian):
    """Adds a bounded change, more often small than large (Deb and Goyal 1996).

    Parameters
    ----------
    sigma : float, default=3.0
        The largest change at the start, in units of the weight's initial scale.
    rate : float, default=0.1
        The share of a child's weights that change, in (0, 1].
    adaptation : float, default=0.1
        How fast a network's own σ changes; 0 keeps it as it is.
    eta : float, default=20.0
        The larger, the smaller most changes are; at least 0.
    """

    name: ClassVar[str] = "polynomial"
    copies: ClassVar[float] = 3.0
    sigma: float = 3.0
    eta: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("Polynomial(eta=...)", self.eta, low=0, high=1e3)

    def perturb(self, children: Array, sigma: Array, genome: Genome, rng: np.random.Generator) -> None:
        u = rng.random(children.shape, dtype=children.dtype)
        # δ = (2 u)^(1 / (η + 1)) − 1 for u < ½, else 1 − (2 − 2 u)^(1 / (η + 1))
        size = 1.0 - (1.0 - np.abs(2.0 * u - 1.0)) ** (1.0 / (self.eta + 1.0))
        change = np.copysign(size, u - 0.5)
        if self.rate < 1:
            change *= chosen(rng, children.size, self.rate).reshape(children.shape)
        change *= genome.scale
        change *= sigma[:, np.newaxis].astype(children.dtype)
        children += change


@dataclass(frozen=True)
class GroupElite(Mutation):
    """Strengths that evolve as a population of their own, each judged by its best child (GESMR, Kumar et al. 2022).

    Children are dealt out in groups, one for each σ. The σ whose best child has the lowest error of all survives; the
    others descend from the better half, each times exp(spread · U(−1, 1)).

    Parameters
    ----------
    sigma : float, default=0.1
        The geometric middle of the first ones, in units of the weight's initial scale.
    groups : int, default=8
        How many strengths there are, at least 2.
    rate : float, default=0.1
        The share of a child's weights that change, in (0, 1].
    spread : float, default=0.7
        How far a σ may move in a generation, as a logarithm.
    """

    name: ClassVar[str] = "gesmr"
    sigma: float = 0.1
    groups: int = 8
    rate: float = 0.1
    spread: float = 0.7

    def __post_init__(self) -> None:
        check_number("GroupElite(sigma=...)", self.sigma, low=0, high=1e6, open_low=True)
        check_number("GroupElite(groups=...)", self.groups, low=2, high=1e6, integer=True)
        check_number("GroupElite(rate=...)", self.rate, low=0, high=1, open_low=True)
        check_number("GroupElite(spread=...)", self.spread, low=0, high=10, open_low=True)

    def start(self, members: int, population: int) -> dict[str, Array]:
        first = self.sigma * np.geomspace(0.1, 10.0, self.groups)
        return {"group_sigma": np.tile(first, (members, 1))}

    def _group(self, children: int) -> Array:
        return np.arange(children) % self.groups

    def inherit(self, sigma: Array, memory: dict[str, Array], rng: np.random.Generator) -> Array:
        return memory["group_sigma"][self._group(len(sigma))]

    def learn(self, errors: Array, memory: dict[str, Array], rng: np.random.Generator) -> None:
        best = np.full(self.groups, np.inf)
        np.minimum.at(best, self._group(len(errors)), errors)
        order = best.argsort(kind="stable")
        sigma = memory["group_sigma"]
        better = sigma[order[: max(1, self.groups // 2)]]
        drawn = rng.choice(better, self.groups) * np.exp(self.spread * rng.uniform(-1.0, 1.0, self.groups))
        drawn[0] = sigma[order[0]]
        sigma[:] = np.clip(drawn, 1e-8, 1e6)

    def perturb(self, children: Array, sigma: Array, genome: Genome, rng: np.random.Generator) -> None:
        add_noise(children, sigma, genome.scale, self.rate, genome, rng)


@dataclass(frozen=True)
class Safe(Gaussian):
    """Adds N(0, σ²) divided by how strongly a weight acts on the outputs (SM-G, Lehman et al. 2018).

    Weights that hardly matter may change much, and those on which all depends little; one that acts on nothing changes by
    σ. Only networks whose activations have derivatives can use it; a child costs a forward and, for each output, a backward pass.

    Parameters
    ----------
    sigma : float, default=0.02
        The standard deviation at the start, in units of the change of an output neuron's input.
    rate : float, default=0.1
        The share of a child's weights that change, in (0, 1].
    adaptation : float, default=0.1
        How fast a network's own σ changes; 0 keeps it as it is.
    samples : int, default=64
        Samples of the batch by which the derivatives are taken.
    """

    name: ClassVar[str] = "safe"
    copies: ClassVar[float] = 4.0
    sigma: float = 0.02
    samples: int = 64
    # What a sensitivity counts at least; the authors' code has the same bound for sums over samples instead of means.
    LEAST: ClassVar[float] = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("Safe(samples=...)", self.samples, low=1, integer=True)

    def evaluations(self, batch: int, n_outputs: int) -> int:
        return min(self.samples, batch) * (1 + 2 * n_outputs)

    def perturb(self, children: Array, sigma: Array, genome: Genome, rng: np.random.Generator) -> None:
        noise = np.zeros_like(children)
        add_noise(noise, sigma, np.sign(genome.scale), self.rate, genome, rng)
        sensitivity = genome.sensitivity(children, self.samples)
        sensitivity[sensitivity == 0] = 1.0  # what acts on nothing here may act elsewhere
        noise /= np.maximum(sensitivity, self.LEAST)
        children += noise


def chosen(rng: np.random.Generator, count: int, rate: float) -> Array:
    """Draw True with a probability, a whole number of 65536ths, for each of count."""
    bits = rng.integers(0, 1 << 64, -(-count // 4), dtype=np.uint64).view(np.uint16)[:count]
    return bits < max(1, min(round(rate * 65536), 65535))


def add_noise(
    children: Array, sigma: Array, scale: Array, rate: float, genome: Genome, rng: np.random.Generator
) -> None:
    """Add N(0, (sigma · scale)²) to a share of the weights of children, shape (m, D), in place."""
    own_sigma = sigma.astype(children.dtype)
    if rate < 0.5:  # draw for those that change only
        places = np.flatnonzero(chosen(rng, children.size, rate))
        strength = genome.buffer("noise", len(children))
        np.multiply(own_sigma[:, np.newaxis], scale, out=strength)
        noise = rng.standard_normal(len(places), dtype=children.dtype)
        noise *= strength.reshape(-1)[places]
        children.reshape(-1)[places] += noise
        return
    dense = genome.buffer("noise", len(children))
    rng.standard_normal(out=dense, dtype=dense.dtype)
    if rate < 1:
        dense *= chosen(rng, dense.size, rate).reshape(dense.shape)
    dense *= scale
    dense *= own_sigma[:, np.newaxis]
    children += dense


MUTATIONS: Registry[Mutation] = Registry(
    "mutation", Mutation, [Scaled, Gaussian, Polynomial, GroupElite, Safe], "nnexp.mutations"
)
