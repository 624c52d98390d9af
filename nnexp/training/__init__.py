"""How a stack of networks gets better."""

from nnexp.training.algorithm import ALGORITHMS, Algorithm
from nnexp.training.backprop import Backprop
from nnexp.training.cma_es import CMAES, SeparableCMAES
from nnexp.training.compose import Alternate, Chain
from nnexp.training.crossover import CROSSOVERS, Crossover
from nnexp.training.differential_evolution import DifferentialEvolution
from nnexp.training.evolution import Evolution
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.loop import Stopping, Training
from nnexp.training.memetic import Memetic
from nnexp.training.mutation import MUTATIONS, Mutation
from nnexp.training.openai_es import OpenAIES
from nnexp.training.optimizers import OPTIMIZERS, Optimizer
from nnexp.training.population_based import PopulationBasedTraining
from nnexp.training.problem import DESCENT_MODES, Descent, Problem
from nnexp.training.schedules import SCHEDULES, Schedule, resolve_schedule
from nnexp.training.selection import SELECTIONS, Selection
from nnexp.training.snes import SNES

for _part in (
    Backprop,
    Evolution,
    GeneticAlgorithm,
    SNES,
    OpenAIES,
    CMAES,
    SeparableCMAES,
    DifferentialEvolution,
    Memetic,
    Chain,
    Alternate,
    PopulationBasedTraining,
):
    ALGORITHMS.add(_part)

__all__ = [
    "ALGORITHMS",
    "CMAES",
    "CROSSOVERS",
    "DESCENT_MODES",
    "MUTATIONS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SELECTIONS",
    "SNES",
    "Algorithm",
    "Alternate",
    "Backprop",
    "Chain",
    "Crossover",
    "Descent",
    "DifferentialEvolution",
    "Evolution",
    "GeneticAlgorithm",
    "Memetic",
    "Mutation",
    "OpenAIES",
    "Optimizer",
    "PopulationBasedTraining",
    "Problem",
    "Schedule",
    "Selection",
    "SeparableCMAES",
    "Stopping",
    "Training",
    "resolve_schedule",
]
