"""What a network's outputs are, and what they stand for. "auto" ends here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from nnexp._errors import quoted
from nnexp.network import ACTIVATIONS, Activation
from nnexp.network.error_functions import ErrorFunction, ZeroOne, resolve_error_function
from nnexp.targets import Classes, Labels, Numbers, Target

if TYPE_CHECKING:
    from nnexp.fitting.settings import Settings

Array = NDArray[Any]

# From more different numbers than this, and than a fifth of the samples, on, they may be quantities and no classes.
_MOST_CLASSES = 50


def resolve_outputs(
    task: str, error_function: Any, output_activation: Any, apart: bool = False, labels: bool = False
) -> tuple[ErrorFunction, Any]:
    """Return the error function and the output activation, or its name, that parameters stand for.

    Parameters
    ----------
    task : {"classification", "regression"}
    error_function, output_activation : Any
        As the parameters have them.
    apart : bool, default=False
        Whether each output is a yes or no of its own: for two classes, or for labels.
    labels : bool, default=False
        Whether a sample may have several labels.
    """
    given = output_activation
    chosen = given if _is_auto(given) else ACTIVATIONS.resolve(given, "output_activation").name
    classification = task == "classification"
    if _is_auto(error_function):
        if not classification:
            name = "squared_error"
        elif chosen == "auto":
            name = "binary_cross_entropy" if apart else "cross_entropy"
        else:
            name = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}.get(chosen, "squared_error")
        error_function = resolve_error_function(name)
    else:
        error_function = resolve_error_function(error_function)
    if isinstance(error_function, ZeroOne):
        error_function = replace(error_function, each=error_function.each or labels)
        chosen = "sigmoid" if chosen == "auto" and apart else chosen
    if chosen == "auto":
        chosen = error_function.output_activation
        bounded = error_function.name in ("squared_error", "absolute_error", "huber", "log_cosh")
        if classification and bounded:
            chosen = "sigmoid"
    return error_function, chosen if _is_auto(given) else given


def name_of(activation: Any) -> str:
    """Return the name of an activation that may be given by name."""
    return ACTIVATIONS.resolve(activation, "output_activation").name


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network's outputs are, and what they stand for.

    Attributes
    ----------
    error_function : ErrorFunction
    given : Any
        The output activation as `Network` takes it.
    target : Target
        Of a regression without the units, which the samples that train decide.
    """

    error_function: ErrorFunction
    given: Any
    target: Target

    @property
    def activation(self) -> Activation:
        """The output activation."""
        return ACTIVATIONS.resolve(self.given, "output_activation")

    @property
    def name(self) -> str:
        """The name of the output activation."""
        return self.activation.name

    @property
    def n_outputs(self) -> int:
        """How many outputs there are."""
        return self.target.n_outputs

    def standardises(self, normalize_y: bool) -> bool:
        """Whether y is learned in units of its standard deviation."""
        return bool(normalize_y and self.name == "identity" and np.isneginf(self.error_function.targets[0]))

    def check_values(self, y: Array) -> None:
        """Raise a ValueError if the error function or the output activation cannot take the values of a regression."""
        low, high = self.error_function.targets
        if y.min() < low or y.max() > high:
            raise ValueError(
                f"error_function={quoted(self.error_function.name)} needs y in [{low:g}, {high:g}]. "
                f"Got values from {y.min():g} to {y.max():g}."
            )
        if self.name != "identity":
            low, high = self.activation.limits
            if y.min() < low or y.max() > high:
                raise ValueError(
                    f"output_activation={quoted(self.name)} gives values in [{low:g}, {high:g}] and cannot reach y, which goes "
                    f"from {y.min():g} to {y.max():g}. Use 'identity', or rescale y."
                )


def make_outputs(settings: Settings, y: Array, classes: Any, known: Target | None) -> tuple[Outputs, Array]:
    """Return what the outputs are, and y as the target's `encode` takes it.

    Parameters
    ----------
    settings : Settings
    y : array
    classes : array-like or None
        All classes that will ever occur, where y may lack some.
    known : Target or None
        That of an earlier step, where training goes on with other data.

    Raises
    ------
    ValueError
        If y does not go with the task or the settings.
    """
    return _numbers(settings, y, known) if not settings.is_classification else _classes(settings, y, classes, known)


def _resolved(settings: Settings, target: Target) -> Outputs:
    labels = target.has_labels
    apart = labels or (isinstance(target, Classes) and len(target.classes) == 2)
    return Outputs(
        *resolve_outputs(settings["task"], settings["error_function"], settings["output_activation"], apart, labels),
        target,
    )


def _numbers(settings: Settings, y: Array, known: Target | None) -> tuple[Outputs, Array]:
    flat = y.ndim == 1 or y.shape[1] == 1
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    y = y.reshape(len(y), -1).astype(np.float64)
    if not np.isfinite(y).all():
        raise ValueError("y holds missing or infinite values.")
    outputs = _resolved(settings, known or Numbers(np.zeros(y.shape[1]), np.ones(y.shape[1]), flat))
    outputs.check_values(y)
    return outputs, y


def _classes(settings: Settings, y: Array, classes: Any, known: Target | None) -> tuple[Outputs, Array]:
    plain = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuU"  # what needs no closer look
    kind = "multiclass" if plain else type_of_target(y, input_name="y", raise_unknown=True)
    if kind.startswith("continuous"):
        raise ValueError(
            f"Unknown label type: {kind}. y holds numbers that are no classes; for those use "
            "BackpropMLP(task='regression')."
        )
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y must be one class for each sample, or 0 and 1 for each of several labels. "
            f"Got {quoted(kind)} of shape {y.shape}."
        )
    several = kind == "multilabel-indicator"
    if not several and not plain:
        y = column_or_1d(y, warn=True)
    if known is not None:
        given = getattr(known, "classes", np.array([]))
        if classes is not None and not np.array_equal(np.unique(np.asarray(classes)), given):
            raise ValueError(
                f"classes={quoted(classes)} is not the same as in the first call of partial_fit: {quoted(given.tolist())}."
            )
        return _resolved(settings, known), y
    labels: Array = np.unique(np.asarray(y if classes is None else classes))
    if several:
        if classes is not None and not np.array_equal(labels, np.arange(y.shape[1])):
            raise ValueError(
                f"y has {y.shape[1]} labels: classes must be their numbers, from 0. Got {quoted(classes)}."
            )
        labels = np.arange(y.shape[1])
    if len(labels) == 1:
        what = "y holds" if classes is None else "classes names"
        raise ValueError(f"{what} one class only, {labels[0]}; a classifier needs at least two classes.")
    if classes is None and labels.dtype.kind in "iuf" and len(labels) > max(_MOST_CLASSES, len(y) / 5):
        warnings.warn(
            f"y holds {len(labels)} different numbers in {len(y)} samples, and each is taken for a class. If they are quantities, "
            'set task="regression".',
            stacklevel=2,
        )
    outputs = _resolved(settings, Labels(labels) if several else Classes(labels, False))
    threshold = 0.5 if outputs.activation.limits == (0.0, 1.0) else outputs.error_function.threshold
    probabilistic = outputs.name in ("softmax", "sigmoid")
    target: Target
    if several:
        if outputs.name == "softmax":
            raise ValueError("output_activation='softmax' chooses one class; several labels need 'sigmoid'.")
        target = Labels(labels, threshold, probabilistic)
    else:
        target = Classes(labels, len(labels) == 2 and outputs.name != "softmax", threshold, probabilistic)
    return replace(outputs, target=target), y
