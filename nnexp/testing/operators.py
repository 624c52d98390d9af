"""What every operator of the genetic algorithm must do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp.network.network import Network
from nnexp.testing.algorithms import Case
from nnexp.training.crossover import Aligned, Crossover
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.genome import Genome
from nnexp.training.mutation import Mutation
from nnexp.training.selection import Selection

Array = NDArray[Any]


def check_draw(selection: Selection) -> None:
    """Two ranks for each child, within the population, from the generator that it is given alone."""
    for errors in (np.linspace(0.1, 2.0, 9), np.array([0.5, 0.5, np.inf, np.inf]), np.array([1.0, 2.0])):
        ranks = selection.draw(errors.copy(), 40, np.random.default_rng(3))
        assert isinstance(ranks, np.ndarray) and ranks.shape == (40, 2) and ranks.dtype.kind in "iu", (
            f"{selection!r} must draw an array of whole numbers of shape (40, 2) for 40 children."
        )
        assert ((ranks >= 0) & (ranks < len(errors))).all(), (
            f"{selection!r} draws ranks from {ranks.min()} to {ranks.max()}, of {len(errors)} networks."
        )
        again = selection.draw(errors.copy(), 40, np.random.default_rng(3))
        assert np.array_equal(ranks, again), f"{selection!r} draws other parents from the same generator."


def check_pressure(selection: Selection) -> None:
    """The better half of a population has at least half of the children."""
    ranks = selection.draw(np.linspace(0.1, 2.0, 10), 4000, np.random.default_rng(0))
    assert (ranks < 5).mean() >= 0.48, (
        f"{selection!r} takes {(ranks >= 5).mean():.0%} of the parents from the worse half."
    )


@dataclass(frozen=True, eq=False)
class Family:
    """A population, and children that are copies of their first parents; some connections are absent, neurons have a choice."""

    genome: Genome
    children: Array
    others: Array
    parents: Array

    @staticmethod
    def of() -> Family:
        """Make 20 children of 8 networks."""
        algorithm = GeneticAlgorithm(evolve=("weights", "activations"), activations=("tanh", "sine"))
        network = Network((3, 5, 2), "tanh", "softmax", 0.6, random_state=1).evolvable(algorithm.choice())
        problem = replace(Case.of(algorithm).problem, network=network)
        genome = Genome(problem)
        population = network.initialize(8, [np.random.default_rng(i) for i in range(8)])
        genome.begin(population, lambda count: problem.samples.block(np.arange(30)[:count]))
        parents = np.random.default_rng(5).integers(0, 8, (20, 2))
        return Family(genome, population[parents[:, 0]], population[parents[:, 1]], parents)

    @property
    def fixed(self) -> Array:
        """Which of the D numbers an operator may not change: weights of absent connections."""
        fixed = self.genome.scale == 0
        fixed[self.genome.choices] = False
        return fixed & ~self.genome.network.bias_mask


def _crossed(crossover: Crossover, seed: int = 0) -> tuple[Family, Array]:
    family = Family.of()
    children = family.children.copy()
    crossover.cross(children, family.others.copy(), family.parents, family.genome, np.random.default_rng(seed))
    return family, children


def check_children(crossover: Crossover) -> None:
    """Children are finite, each number of one parent where it `exchanges`; absent connections stay absent."""
    family, children = _crossed(crossover)
    weights = np.setdiff1d(np.arange(children.shape[1]), family.genome.choices)
    assert np.isfinite(children).all(), f"{crossover!r} makes weights that are infinite or NaN."
    assert not children[:, family.fixed].any(), f"{crossover!r} gives weights to connections that do not exist."
    of_one = (children == family.children) | (children == family.others)
    assert of_one[:, weights].all() or not crossover.exchanges or isinstance(crossover, Aligned), (
        f"{crossover!r} says exchanges=True, and makes numbers that neither parent has. Set exchanges = False."
    )
    assert (children != family.children)[:, weights].any(), (
        f"{crossover!r} leaves all children as their first parents are."
    )


def check_crossed_alike(crossover: Crossover) -> None:
    """The same generator gives the same children, and the population is left alone."""
    (family, one), (_, again) = _crossed(crossover, 4), _crossed(crossover, 4)
    assert np.array_equal(one, again), f"{crossover!r} makes other children with the same generator."
    assert np.array_equal(family.genome.population, Family.of().genome.population), (
        f"{crossover!r} changes the population."
    )


def _mutated(mutation: Mutation, seed: int = 0, sigma: float | None = None) -> tuple[Family, Array]:
    family = Family.of()
    children = family.children.copy()
    strength = np.full(len(children), mutation.sigma if sigma is None else sigma)
    mutation.perturb(children, strength, family.genome, np.random.default_rng(seed))
    return family, children


def check_changes(mutation: Mutation) -> None:
    """Children change, stay finite, and what does not exist or is a choice stays as it is."""
    family, children = _mutated(mutation)
    assert np.isfinite(children).all(), f"{mutation!r} makes weights that are infinite or NaN."
    assert not children[:, family.fixed].any(), (
        f"{mutation!r} gives weights to connections that do not exist: what has the scale 0 in the genome must not change."
    )
    choices = family.genome.choices
    assert np.array_equal(children[:, choices], family.children[:, choices]), (
        f"{mutation!r} changes the numbers of activations: what has the scale 0 in the genome must not change."
    )
    assert (children != family.children).any(), f"{mutation!r} changes nothing."


def check_mutated_alike(mutation: Mutation) -> None:
    """The same generator gives the same children."""
    (_, one), (_, again) = _mutated(mutation, 4), _mutated(mutation, 4)
    assert np.array_equal(one, again), f"{mutation!r} makes other children with the same generator."


def check_inheritance(mutation: Mutation) -> None:
    """The strength of children is positive and finite, and what the mutation remembers can be saved."""
    memory = mutation.start(2, 20)
    for name, values in memory.items():
        assert isinstance(values, np.ndarray) and values.shape[:1] == (2,) and values.ndim > 1, (
            f"{mutation!r}: {name!r} must be an array with a first axis of members, and another one."
        )
    of_one = {name: values[0] for name, values in memory.items()}
    rng = np.random.default_rng(0)
    for _ in range(50):
        strength = np.asarray(mutation.inherit(np.full((20, 2), float(mutation.sigma)), of_one, rng))
        assert strength.shape == (20,) and np.isfinite(strength).all() and (strength > 0).all(), (
            f"{mutation!r} must inherit a positive and finite sigma for each child."
        )
        mutation.learn(np.where(rng.random(20) < 0.1, np.inf, rng.random(20)), of_one, rng)


SELECTION_CHECKS = (check_draw, check_pressure)
CROSSOVER_CHECKS = (check_children, check_crossed_alike)
MUTATION_CHECKS = (check_changes, check_mutated_alike, check_inheritance)
