"""nnexp: find out what makes a neural network learn.

The public names are loaded when they are first used: a command that needs few of them starts sooner.
"""

from __future__ import annotations

import importlib

from nnexp._version import __version__

TYPE_CHECKING = False  # as type checkers know it; to load typing takes as long as all the rest
if TYPE_CHECKING:
    from typing import Any

    from nnexp.blending import Blend, TabularMLP, coverage_by_group
    from nnexp.by_task import BackpropMLPClassifier, BackpropMLPRegressor
    from nnexp.callbacks import Checkpoint, ProgressBar
    from nnexp.encoding import TableEncoder
    from nnexp.estimator import BackpropMLP
    from nnexp.experiment.results import Results, load_results
    from nnexp.loading import load
    from nnexp.network import Activation, ErrorFunction, Network
    from nnexp.scoring import scorer
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
        DifferentialEvolution,
        GeneticAlgorithm,
        Memetic,
        Mutation,
        OpenAIES,
        PopulationBasedTraining,
        Schedule,
        Selection,
        SeparableCMAES,
    )
    from nnexp.trusted import TRUSTED_TYPES

__all__ = [
    "CMAES",
    "SNES",
    "TRUSTED_TYPES",
    "Activation",
    "Algorithm",
    "Alternate",
    "Backprop",
    "BackpropMLP",
    "BackpropMLPClassifier",
    "BackpropMLPRegressor",
    "Blend",
    "Chain",
    "Checkpoint",
    "Crossover",
    "DifferentialEvolution",
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
    "TableEncoder",
    "TabularMLP",
    "__version__",
    "coverage_by_group",
    "cross_validate",
    "fit_many",
    "load",
    "load_results",
    "scorer",
]

_PLACES = {
    "nnexp.by_task": ("BackpropMLPClassifier", "BackpropMLPRegressor"),
    "nnexp.blending": ("Blend", "TabularMLP", "coverage_by_group"),
    "nnexp.loading": ("load",),
    "nnexp.callbacks": ("Checkpoint", "ProgressBar"),
    "nnexp.encoding": ("TableEncoder",),
    "nnexp.estimator": ("BackpropMLP",),
    "nnexp.experiment.results": ("Results", "load_results"),
    "nnexp.network": ("Activation", "ErrorFunction", "Network"),
    "nnexp.scoring": ("scorer",),
    "nnexp.sweep": ("OptunaPruning", "Space", "Sweep", "SweepCV", "SweepResult"),
    "nnexp.together": ("cross_validate", "fit_many"),
    "nnexp.trusted": ("TRUSTED_TYPES",),
    "nnexp.training": (
        "Algorithm",
        "Alternate",
        "Backprop",
        "CMAES",
        "Chain",
        "Crossover",
        "DifferentialEvolution",
        "GeneticAlgorithm",
        "Memetic",
        "Mutation",
        "OpenAIES",
        "PopulationBasedTraining",
        "SNES",
        "Schedule",
        "Selection",
        "SeparableCMAES",
    ),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _PLACE_OF:
        value = getattr(importlib.import_module(_PLACE_OF[name]), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"nnexp.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"nnexp.{name}":
                raise
    raise AttributeError(f"module 'nnexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
