"""How a stack of networks gets better."""

from nnexp.training.algorithm import ALGORITHMS, Algorithm
from nnexp.training.backprop import Backprop
from nnexp.training.cma_es import CMAES, SeparableCMAES
from nnexp.training.compose import Alternate, Chain
from nnexp.training.evolution import Evolution
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.loop import Stopping, Training
from nnexp.training.memetic import Memetic
from nnexp.training.openai_es import OpenAIES
from nnexp.training.optimizers import OPTIMIZERS, Optimizer
from nnexp.training.population_based import PopulationBasedTraining
from nnexp.training.problem import DESCENT_MODES, Descent, Hyperparameters, Problem
from nnexp.training.schedules import SCHEDULES, Schedule, resolve_schedule
from nnexp.training.snes import SNES

for _part in (
    Backprop,
    Evolution,
    GeneticAlgorithm,
    SNES,
    OpenAIES,
    CMAES,
    SeparableCMAES,
    Memetic,
    Chain,
    Alternate,
    PopulationBasedTraining,
):
    ALGORITHMS.add(_part)

__all__ = [
    "ALGORITHMS",
    "CMAES",
    "DESCENT_MODES",
    "OPTIMIZERS",
    "SCHEDULES",
    "SNES",
    "Algorithm",
    "Alternate",
    "Backprop",
    "Chain",
    "Descent",
    "Evolution",
    "GeneticAlgorithm",
    "Hyperparameters",
    "Memetic",
    "OpenAIES",
    "Optimizer",
    "PopulationBasedTraining",
    "Problem",
    "Schedule",
    "SeparableCMAES",
    "Stopping",
    "Training",
    "resolve_schedule",
]
