"""The parameters of a fit, checked and resolved once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.metrics import get_scorer, get_scorer_names

from nnexp._errors import quoted
from nnexp._names import check_choice, check_number, is_integer, is_number
from nnexp.encoding import check_encoding
from nnexp.fitting.outputs import resolve_outputs
from nnexp.network import INITIALIZERS
from nnexp.network.connections import MOST_LAYERS, resolve_connections
from nnexp.network.network import resolve_hidden_activations
from nnexp.training import (
    ALGORITHMS,
    DESCENT_MODES,
    OPTIMIZERS,
    Algorithm,
    Descent,
    Optimizer,
    Schedule,
    resolve_schedule,
)
from nnexp.training.problem import samples_per_update

VALIDATIONS = {
    "auto": "cross for several networks and for one on few samples, holdout from 10,000 samples on, else none",
    "none": "all samples train; nothing is restored",
    "holdout": "validation_fraction of the samples is set aside",
    "cross": "each network sets its own fold aside, so that every sample is unseen by one; beside a single one train four that do",
}

Rule = Callable[[str, Any], None]


def is_auto(value: Any) -> bool:
    """Whether a parameter leaves the choice to this package."""
    return isinstance(value, str) and value == "auto"


def _number(**limits: Any) -> Rule:
    return lambda name, value: check_number(name, value, **limits)


def _choice(options: Any) -> Rule:
    return lambda name, value: check_choice(name, value, options)


def _or_none(rule: Rule) -> Rule:
    return lambda name, value: None if value is None else rule(name, value)


def _or_auto(rule: Rule) -> Rule:
    return lambda name, value: None if is_auto(value) else rule(name, value)


def _boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False. Got {quoted(value)}.")


def _boolean_or_integer(name: str, value: Any) -> None:
    if not is_integer(value):
        _boolean(name, value)


def _dtype(name: str, value: Any) -> None:
    if isinstance(value, np.ndarray) or value not in (np.float32, np.float64):
        check_choice(name, value, ["auto", "float32", "float64"])


def _patience(name: str, value: Any) -> None:
    if not (is_number(value) and value == np.inf):
        check_number(name, value, low=1, integer=True)


def check_jobs(name: str, value: Any) -> None:
    """Raise a ValueError unless a value is a number of processes as joblib counts them, or None."""
    if value is not None and (not is_integer(value) or value == 0):
        raise ValueError(f"{name} must be an integer other than 0, or None. Got {quoted(value)}.")


def _score(name: str, value: Any) -> None:
    if value is not None:
        scorer_of(name, value)


_positive = _or_none(_number(low=0, open_low=True))
_penalty = _number(low=0, open_high=True)
# What each parameter may be, where that depends on no other one.
RULES: dict[str, Rule] = {
    "task": _choice(["classification", "regression"]),
    "encoding": check_encoding,
    "descent": _choice(DESCENT_MODES),
    "validation": _choice(VALIDATIONS),
    "dtype": _dtype,
    "batch_size": _number(low=1, integer=True),
    "learning_rate": _number(low=0, open_low=True, open_high=True),
    "max_iter": _or_auto(_number(low=1, integer=True)),
    "max_seconds": _positive,
    "max_evaluations": _positive,
    "clip_norm": _positive,
    "validation_fraction": _number(low=0, high=1, open_low=True, open_high=True),
    "n_iter_no_change": _or_auto(_patience),
    "tol": _number(low=0),
    "l1": _penalty,
    "l2": _or_auto(_penalty),
    "weight_decay": _penalty,
    "label_smoothing": _number(low=0, high=1, open_high=True),
    "n_networks": _number(low=1, integer=True),
    "n_jobs": check_jobs,
    "shuffle": _boolean,
    "normalize_y": _boolean,
    "warm_start": _boolean,
    "bias": _boolean,
    "verbose": _boolean_or_integer,
    "scoring": _score,
    "fitness": _score,
}


def check_callbacks(callbacks: Any) -> list[Any]:
    """Return the callbacks as a list; raise a TypeError for what is none."""
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [] if callbacks is None else [callbacks]
    for callback in listed:
        if isinstance(callback, type) or not (callable(callback) or hasattr(callback, "on_step")):
            raise TypeError(
                f"callbacks must be objects with a method on_step(state), or functions of the state. Got {quoted(callback)}."
            )
    return listed


def scorer_of(name: str, scoring: Any) -> Any:
    """Return the scorer that the parameter of a name stands for: a name of scikit-learn's, or a callable."""
    if callable(scoring):
        return scoring
    if not isinstance(scoring, str):
        raise TypeError(f"{name} must be a name of scikit-learn's, a scorer or None. Got {quoted(scoring)}.")
    check_choice(name, scoring, get_scorer_names())
    return get_scorer(scoring)


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """Return the neurons of each hidden layer."""
    sizes = (given,) if is_integer(given) else given
    if isinstance(sizes, str) or not isinstance(sizes, list | tuple | np.ndarray):
        raise TypeError(f"hidden_layer_sizes must be an int or a sequence of int. Got {quoted(given)}.")
    if len(sizes) > MOST_LAYERS - 2:
        raise ValueError(f"hidden_layer_sizes must name at most {MOST_LAYERS - 2} layers. Got {len(sizes):,}.")
    for size in sizes:
        check_number("Each of hidden_layer_sizes", size, low=1, integer=True)
    return tuple(int(size) for size in sizes)


@dataclass(frozen=True, eq=False)
class Settings:
    """The parameters of a fit, checked and resolved once.

    Attributes
    ----------
    given : dict
        All parameters as they were given, by name.
    hidden : tuple of int
        Neurons of each hidden layer.
    algorithm : Algorithm
        A copy: training an object of the user's must not change it.
    optimizer : Optimizer
    schedule : Schedule
    """

    given: Mapping[str, Any] = field(repr=False)
    hidden: tuple[int, ...]
    algorithm: Algorithm
    optimizer: Optimizer
    schedule: Schedule

    @staticmethod
    def of(given: Mapping[str, Any]) -> Settings:
        """Check the parameters of `BackpropMLP`, as far as that needs no data.

        Raises
        ------
        ValueError, TypeError
            For parameters that are impossible, each with a sentence.
        """
        for name, rule in RULES.items():
            rule(name, given[name])
        _check_together(given)
        check_callbacks(given["callbacks"])
        INITIALIZERS.resolve(given["initializer"], "initializer")
        sizes = hidden_sizes(given["hidden_layer_sizes"])
        _dropout(given["dropout"], len(sizes), 0.0)
        resolve_hidden_activations(given["activation"], sizes)
        resolve_outputs(given["task"], given["error_function"], given["output_activation"])
        if not isinstance(given["connections"], Mapping):  # masks need the numbers of inputs and outputs
            resolve_connections(given["connections"], (1, *sizes, 1), np.random.default_rng(0))
        algorithm = copy.deepcopy(ALGORITHMS.resolve(given["algorithm"], "algorithm"))
        algorithm.check()
        if given["fitness"] is not None and not algorithm.evolves:
            raise ValueError(
                f"fitness is what evolution selects by, and algorithm={quoted(algorithm.name)} selects nothing. For a score that "
                "chooses the best step use scoring."
            )
        return Settings(
            dict(given),
            sizes,
            algorithm,
            OPTIMIZERS.resolve(given["optimizer"], "optimizer"),
            resolve_schedule(given["schedule"]),
        )

    def __getitem__(self, name: str) -> Any:
        """Return a parameter as it was given."""
        return self.given[name]

    @property
    def n_networks(self) -> int:
        """How many networks are asked for."""
        return int(self["n_networks"])

    @property
    def is_classification(self) -> bool:
        """Whether y holds classes."""
        return bool(self["task"] == "classification")

    def descent(self, n_members: int, auto_dropout: float) -> Descent:
        """Return how updates are made, with what dropout="auto" means; the schedule is not yet laid out."""
        members = Descent.alike(
            n_members,
            _dropout(self["dropout"], len(self.hidden), auto_dropout),
            self["learning_rate"],
            self["weight_decay"],
            np.inf if self["clip_norm"] is None else self["clip_norm"],
            self["label_smoothing"],
        )
        batch_size, shuffle = int(self["batch_size"]), bool(self["shuffle"])
        return Descent(self["descent"], batch_size, self.optimizer, shuffle, self.schedule, 1, **members)

    def samples_per_update(self, n: int) -> int:
        """Return how many of n samples an update averages over."""
        return samples_per_update(self["descent"], int(self["batch_size"]), n)


def _dropout(given: Any, hidden_layers: int, auto: float) -> list[float]:
    given = auto if is_auto(given) else given
    rates = [given] * hidden_layers if is_number(given) else given
    if isinstance(rates, str) or not isinstance(rates, list | tuple | np.ndarray) or np.ndim(rates) != 1:
        raise TypeError(f"dropout must be a number, or a sequence with one for each hidden layer. Got {quoted(given)}.")
    if len(rates) != hidden_layers:
        raise ValueError(f"dropout needs a number for each hidden layer: {hidden_layers}. Got {len(rates)}.")
    for rate in [*rates, given] if is_number(given) else rates:
        check_number("dropout", rate, low=0, high=1, open_high=True)
    return [float(rate) for rate in rates]


def _check_together(given: Mapping[str, Any]) -> None:
    """Raise a ValueError for parameters that do not go with each other."""
    for name, is_set in (
        ("label_smoothing", given["label_smoothing"]),
        ("class_weight", given["class_weight"] is not None),
    ):
        if is_set and given["task"] == "regression":
            raise ValueError(f"{name} is for task='classification'.")
