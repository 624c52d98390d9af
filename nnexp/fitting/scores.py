"""Scores of networks whose outputs are known: what chooses the best step, and what evolution selects by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp.fitting.settings import Settings, scorer_of
from nnexp.model import Model, rows_of
from nnexp.targets import Numbers, Target

Array = NDArray[Any]

# Makes of a model what a scorer of scikit-learn's or of a user's takes: a fitted estimator.
Face = Callable[[Model], Any]


@dataclass(frozen=True, eq=False)
class PlainScore:
    """Accuracy or R² of a network's outputs on its validation samples.

    Attributes
    ----------
    target : Target
    expected : array of shape (n, n_outputs)
    weight : array of shape (n,), or None
    """

    target: Target
    expected: Array
    weight: Array | None

    def __call__(self, outputs: Array, parameters: Array) -> float:
        """Return the score of a network."""
        values = self.target.as_expected(outputs)
        return self.target.hits(values, self.expected, self.weight)


@dataclass(frozen=True, eq=False)
class Asked:
    """A scorer, the samples that it is asked about, and a model that it is shown.

    Attributes
    ----------
    name : str
        The parameter that names the scorer.
    scoring : Any
        As that parameter has it.
    what : {"training", "validation"}
        Of what the samples are, for messages.
    face : callable
    model : Model
        What is known of every network that is scored, all but its parameters.
    X, y, weight : arrays
    """

    name: str
    scoring: Any
    what: str
    face: Face
    model: Model
    X: Any
    y: Array
    weight: Array | None
    _scorer: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_scorer", scorer_of(self.name, self.scoring))
        target = self.model.target
        if isinstance(target, Numbers) and target.flat:
            object.__setattr__(self, "y", self.y[:, 0])

    def score(self, outputs: Array, parameters: Array, X: Any, y: Array, weight: Array | None) -> float:
        """Return the score of a network whose outputs for X are known."""
        shown = self.face(self.model.answering(parameters, X, self.model.target.values(outputs)))
        weighted = {} if weight is None or not hasattr(self._scorer, "_sign") else {"sample_weight": weight}
        try:
            return float(self._scorer(shown, X, y, **weighted))
        except Exception as error:
            described = f"{self.name}={quoted(self.scoring)}"
            raise ValueError(f"{described} failed on the {len(y)} {self.what} samples: {error}") from error


@dataclass(frozen=True, eq=False)
class ChosenScore:
    """A score of scikit-learn's or of the user's, computed from outputs that are known already."""

    asked: Asked

    def __call__(self, outputs: Array, parameters: Array) -> float:
        """Return the score of a network; raise a ValueError if it is no number."""
        asked = self.asked
        score = asked.score(outputs, parameters, asked.X, asked.y, asked.weight)
        if not np.isfinite(score) and np.isfinite(outputs).all():
            described = f"{asked.name}={quoted(asked.scoring)}"
            raise ValueError(
                f"{described} gives {score} on the {len(asked.y)} {asked.what} samples: it needs more, or other ones."
            )
        return score


class FitnessScore:
    """A score by which evolution selects, on any rows. What it gives may be NaN, such as where a batch lacks a class."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._rows: Array | None = None
        self._block: Any = None

    def __call__(self, outputs: Array, parameters: Array, rows: Array) -> float:
        """Return the score of a network on some of the rows."""
        asked = self._asked
        if rows is not self._rows:  # the same for a whole population
            self._rows, self._block = rows, rows_of(asked.X, rows)
        weight = None if asked.weight is None else asked.weight[rows]
        return asked.score(outputs, parameters, self._block, asked.y[rows], weight)


def decides(settings: Settings, validates: bool) -> str | None:
    """Return the parameter whose score chooses the best step, or None where the error does."""
    name = "scoring" if settings["scoring"] is not None and validates else "fitness"
    return name if settings[name] is not None else None
