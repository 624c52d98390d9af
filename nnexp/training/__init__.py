"""How a stack of networks gets better."""

from nnexp._names import Registry
from nnexp.training.algorithm import (
    DESCENT_MODES,
    Algorithm,
    Descent,
    Hyperparameters,
    Problem,
    Stopping,
    Training,
)
from nnexp.training.backprop import Backprop
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.optimizers import OPTIMIZERS, Optimizer
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
