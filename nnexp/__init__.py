"""nnexp: find out what makes a neural network learn."""

from nnexp._version import __version__
from nnexp.callbacks import Checkpoint, ProgressBar
from nnexp.estimator import BackpropMLP, load
from nnexp.experiment.results import Results, load_results
from nnexp.network import Activation, ErrorFunction, Network
from nnexp.sweep import OptunaPruning, Space, Sweep, SweepCV, SweepResult
from nnexp.together import cross_validate, fit_many
from nnexp.training import (
    CMAES,
    SNES,
    Algorithm,
    Alternate,
    Backprop,
    Chain,
    Crossover,
    GeneticAlgorithm,
    Memetic,
    Mutation,
    OpenAIES,
    PopulationBasedTraining,
    Schedule,
    Selection,
    SeparableCMAES,
)

__all__ = [
    "CMAES",
    "SNES",
    "Activation",
    "Algorithm",
    "Alternate",
    "Backprop",
    "BackpropMLP",
    "Chain",
    "Checkpoint",
    "Crossover",
    "ErrorFunction",
    "GeneticAlgorithm",
    "Memetic",
    "Mutation",
    "Network",
    "OpenAIES",
    "OptunaPruning",
    "PopulationBasedTraining",
    "ProgressBar",
    "Results",
    "Schedule",
    "Selection",
    "SeparableCMAES",
    "Space",
    "Sweep",
    "SweepCV",
    "SweepResult",
    "__version__",
    "cross_validate",
    "fit_many",
    "load",
    "load_results",
]
