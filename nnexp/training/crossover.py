"""Crossover: how a child's weights come from two parents.

Each is a small frozen value, as activations are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from nnexp._names import Registry, check_number
from nnexp.training.genome import Genome

Array = NDArray[Any]


class Crossover(ABC):
    """Mixes the weights of two parents. A subclass is a frozen dataclass with a ``name`` and one method.

    Attributes
    ----------
    exchanges : bool
        Whether each of a child's numbers is that of one parent, and not made of both.
    moves : bool
        Whether it takes the weights of one neuron to another, and with them which of its connections exist.
    copies : float
        How many arrays of the children's size it makes for itself, for the promise of memory.
    """

    name: ClassVar[str]
    exchanges: ClassVar[bool] = True
    moves: ClassVar[bool] = False
    copies: ClassVar[float] = 0.0

    @abstractmethod
    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        """Change children, which are copies of their first parents, in place.

        Parameters
        ----------
        children, others : arrays of shape (m, D)
            The weights of the first and of the second parents; ``others`` may be overwritten.
        parents : array of int, shape (m, 2)
            Which networks of the genome's population they are.
        genome : Genome
        rng : numpy.random.Generator
        """

    def evaluations(self, batch: int) -> int:
        """Return what it costs for each network of the population, on a batch of so many rows."""
        return 0


def exchange(children: Array, others: Array, take: Array, genome: Genome) -> None:
    """Let children take from others the weights that take, shape (m, D) or (m, n_genes), is true for.

    By the bits of the numbers, which is exact and several times as fast as a mask.
    """
    kind = np.dtype(f"u{children.dtype.itemsize}")
    mask = -take.astype(kind)  # all bits, or none
    if mask.shape[1] != children.shape[1]:
        mask = np.take(mask, genome.gene, axis=1)
    bits, other = children.view(kind), others.view(kind)
    np.bitwise_xor(bits, other, out=other)
    np.bitwise_and(other, mask, out=other)
    np.bitwise_xor(bits, other, out=bits)


@dataclass(frozen=True)
class Uniform(Crossover):
    """Each weight by itself, by even chance (Syswerda 1989)."""

    name: ClassVar[str] = "uniform"

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        exchange(children, others, _coins(rng, children.shape), genome)


@dataclass(frozen=True)
class Neuron(Crossover):
    """All weights into a neuron at once, by even chance (Montana and Davis 1989)."""

    name: ClassVar[str] = "neuron"

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        exchange(children, others, _coins(rng, (len(children), genome.n_genes)), genome)


@dataclass(frozen=True)
class OnePoint(Crossover):
    """The weights up to a random place from one parent, the rest from the other (Holland 1975).

    They stand in the order of layers and of the neurons that they lead into.
    """

    name: ClassVar[str] = "one_point"

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        n = children.shape[1]
        cut = rng.integers(1, max(2, n), (len(children), 1))
        exchange(children, others, np.arange(n) >= cut, genome)


@dataclass(frozen=True)
class Arithmetic(Crossover):
    """A weighted mean of both parents, with a random share for each child (Michalewicz 1992)."""

    name: ClassVar[str] = "arithmetic"
    exchanges: ClassVar[bool] = False

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        share = rng.random((len(children), 1)).astype(children.dtype)
        np.subtract(others, children, out=others)
        np.multiply(others, share, out=others)
        np.add(children, others, out=children)


@dataclass(frozen=True)
class SimulatedBinary(Crossover):
    """Children as far apart as bits exchanged would make them, around the parents' mean (SBX, Deb and Agrawal 1995).

    Parameters
    ----------
    eta : float, default=15.0
        The larger, the nearer a child stays to a parent; at least 0.
    """

    name: ClassVar[str] = "sbx"
    copies: ClassVar[float] = 3.0
    exchanges: ClassVar[bool] = False
    eta: float = 15.0

    def __post_init__(self) -> None:
        check_number("SimulatedBinary(eta=...)", self.eta, low=0, high=1e3)

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        u = rng.random(children.shape, dtype=children.dtype)
        # β = (2 u)^(1 / (η + 1)) for u ≤ ½, else (1 / (2 − 2 u))^(1 / (η + 1)); of the two children one is kept
        spread = np.where(u <= 0.5, 2.0 * u, 0.5 / np.maximum(1.0 - u, np.finfo(u.dtype).eps))
        spread **= 1.0 / (self.eta + 1.0)
        spread *= np.where(_coins(rng, children.shape), 1, -1).astype(children.dtype)
        # ½ (a + b) ± ½ β (a − b)
        middle = 0.5 * (children + others)
        np.subtract(children, others, out=others)
        others *= 0.5 * spread
        np.add(middle, others, out=children)


@dataclass(frozen=True)
class Aligned(Crossover):
    """Neuron by neuron, after the hidden neurons of the second parent were matched to those of the first.

    Two networks may compute the same with their neurons in another order; neurons are matched by the correlation of their
    outputs on a part of the batch (Uriot and Izzo 2020, "Safe crossover of neural networks through neuron alignment").

    Parameters
    ----------
    samples : int, default=64
        Samples of the batch that the outputs are compared on.
    """

    name: ClassVar[str] = "aligned"
    moves: ClassVar[bool] = True
    copies: ClassVar[float] = 2.0
    samples: int = 64

    def __post_init__(self) -> None:
        check_number("Aligned(samples=...)", self.samples, low=2, integer=True)

    def evaluations(self, batch: int) -> int:
        return min(self.samples, batch)

    def cross(self, children: Array, others: Array, parents: Array, genome: Genome, rng: np.random.Generator) -> None:
        outputs = [_standardised(output) for output in genome.outputs(self.samples)]
        network = genome.network
        for layer, output in enumerate(outputs, start=1):
            alike = output[parents[:, 0]] @ output[parents[:, 1]].swapaxes(-1, -2)  # (m, neurons, neurons)
            order = np.stack([linear_sum_assignment(each, maximize=True)[1] for each in alike])
            for block in network.blocks:
                view = block.view(others)  # (m, rows, n_target)
                if block.target == layer:
                    view[...] = np.take_along_axis(view, order[:, np.newaxis, :], axis=2)
                if block.source == layer:
                    rows = view[:, : block.n_source]
                    rows[...] = np.take_along_axis(rows, order[:, :, np.newaxis], axis=1)
            if layer in network.choices:
                numbers = others[:, network.choices[layer]]
                others[:, network.choices[layer]] = np.take_along_axis(numbers, order, axis=1)
        if network.mask is not None:
            others *= network.mask
        exchange(children, others, _coins(rng, (len(children), genome.n_genes)), genome)


def _standardised(outputs: Array) -> Array:
    """Return outputs, shape (P, neurons, n), with mean 0 and length 1 over the samples; 0 where they are constant."""
    centred = outputs - outputs.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=-1, keepdims=True))
    scaled = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return np.nan_to_num(scaled, copy=False)


def _coins(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw True and False by even chance, a bit each."""
    count = int(np.prod(shape))
    words = rng.integers(0, 1 << 64, -(-count // 64), dtype=np.uint64)
    return np.unpackbits(words.view(np.uint8), count=count).view(bool).reshape(shape)


CROSSOVERS: Registry[Crossover] = Registry(
    "crossover", Crossover, [Neuron, Aligned, Uniform, OnePoint, Arithmetic, SimulatedBinary], "nnexp.crossovers"
)
