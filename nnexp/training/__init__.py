"""How a stack of networks gets better."""

from nnexp._names import Registry
from nnexp.training.algorithm import DESCENT_MODES, Algorithm, Descent, Problem, Stopping, Training
from nnexp.training.backprop import Backprop
from nnexp.training.genetic import GeneticAlgorithm
from nnexp.training.optimizers import OPTIMIZERS, Optimizer

ALGORITHMS: Registry[Algorithm] = Registry("algorithm", Algorithm, [Backprop, GeneticAlgorithm])

__all__ = [
    "ALGORITHMS",
    "DESCENT_MODES",
    "OPTIMIZERS",
    "Algorithm",
    "Backprop",
    "Descent",
    "GeneticAlgorithm",
    "Optimizer",
    "Problem",
    "Stopping",
    "Training",
]
