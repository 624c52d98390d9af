"""nnexp: find out what makes a neural network learn."""

from nnexp._version import __version__
from nnexp.estimator import BackpropMLP
from nnexp.experiment.results import Results, load_results
from nnexp.network import Activation, ErrorFunction, Network
from nnexp.training import Algorithm, GeneticAlgorithm

__all__ = [
    "Activation",
    "Algorithm",
    "BackpropMLP",
    "ErrorFunction",
    "GeneticAlgorithm",
    "Network",
    "Results",
    "__version__",
    "load_results",
]
