"""How a stack of networks gets better."""

from nnexp._names import Registry
from nnexp.training.algorithm import Algorithm
from nnexp.training.backprop import Backprop
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.loop import Stopping, Training
from nnexp.training.optimizers import OPTIMIZERS, Optimizer
from nnexp.training.problem import DESCENT_MODES, Descent, Hyperparameters, Problem
from nnexp.training.schedules import SCHEDULES, Schedule, resolve_schedule

ALGORITHMS: Registry[Algorithm] = Registry("algorithm", Algorithm, [Backprop, GeneticAlgorithm], "nnexp.algorithms")

__all__ = [
    "ALGORITHMS",
    "DESCENT_MODES",
    "OPTIMIZERS",
    "SCHEDULES",
    "Algorithm",
    "Backprop",
    "Descent",
    "GeneticAlgorithm",
    "Hyperparameters",
    "Optimizer",
    "Problem",
    "Schedule",
    "Stopping",
    "Training",
    "resolve_schedule",
]
