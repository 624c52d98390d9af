"""Every algorithm with settings for small problems. A new one in the table needs a line here; many tests go over all."""

import pytest

from nnexp import GeneticAlgorithm
from nnexp.training import ALGORITHMS

GENETIC = GeneticAlgorithm(population_size=16, elite=2, batch_size=20)
SMALL = {
    "backprop": {},
    "evolution": {},
    "genetic": {"population_size": 16, "elite": 2, "batch_size": 20},
    "snes": {"population_size": 12, "batch_size": 20},
    "openai_es": {"population_size": 12, "batch_size": 20},
    "cma_es": {"batch_size": 20},
    "sep_cma_es": {"batch_size": 20},
    "differential_evolution": {"population_size": 8, "batch_size": 20},
    "memetic": {"gradient_steps": 5, "evolution": {"population_size": 6, "batch_size": 20}},
    "chain": {"algorithms": [GENETIC, "backprop"], "shares": [10, 1]},
    "alternate": {"algorithms": [GENETIC, "backprop"], "steps": [2, 1]},
    "pbt": {"population_size": 4, "interval": 2},
}
# Variants whose state is more than that of the plain ones.
VARIANTS = {
    "islands": GeneticAlgorithm(
        population_size=16, elite=2, batch_size=20, islands=2, migration_interval=3, immigrants=0.2, stagnation=2,
        mutation={"name": "gesmr", "groups": 3},
    ),
    "structures": GeneticAlgorithm(
        population_size=16, elite=2, batch_size=20, crossover="aligned", mutation="safe", structure_rate=0.05,
        evolve=("weights", "activations", "connections"),
    ),
    "baldwinian": ALGORITHMS.resolve(
        {"name": "memetic", "gradient_steps": 3, "learning": "baldwinian", "evolution": {"population_size": 6, "batch_size": 20}},
        "algorithm",
    ),
    "mixture": ALGORITHMS.resolve(
        {"name": "chain", "algorithms": [{"name": "snes", "batch_size": 20}, {"name": "memetic", "gradient_steps": 3, "evolution": {"population_size": 4}}, "pbt"]},
        "algorithm",
    ),
}  # fmt: skip


def small(name):
    """Make an algorithm of the table, or a variant, with settings for a small problem."""
    if name in VARIANTS:
        return VARIANTS[name]
    return ALGORITHMS.resolve({"name": name, **SMALL[name]}, "algorithm")


EVERY = [*ALGORITHMS, *VARIANTS]
# The same for tests of which those that are made of others, and variants, run with the slow ones.
SLOWER = ("chain", "alternate", *VARIANTS)
PARTLY = [pytest.param(name, marks=pytest.mark.slow) if name in SLOWER else name for name in EVERY]
EVOLVING = [name for name in EVERY if not small(name).uses_gradient]
