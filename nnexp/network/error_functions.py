"""Error functions: how wrong an output is, paired with the gradient of that; and their joints with an output.

An error function gives an error for each output neuron; the core adds them up over the outputs of a sample and
averages over the samples. Arrays are ``(..., outputs, samples)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nnexp._errors import quoted
from nnexp._names import Registry, check_number
from nnexp.network.activations import Activation, Exponential, Identity, Sigmoid, Softmax, read_only

Array = NDArray[Any]

_REAL = (-np.inf, np.inf)
_POSITIVE = (0.0, np.inf)
_UNIT = (0.0, 1.0)


class ErrorFunction(ABC):
    """What training minimises: an error for each output neuron, paired with its gradient.

    A subclass is a frozen dataclass with a ``name`` and two methods.
    For an error function made of two plain functions see `ErrorFunction.from_functions`.

    Attributes
    ----------
    name : str
        The name in tables and files.
    outputs : tuple of float
        What the network's outputs must lie between.
    targets : tuple of float
        What the expected values must lie between.
    output_activation : str
        The output activation that goes with it unless the user names another.
    threshold : float
        Of one output that stands for two classes, what is above it means the second class.
    differentiable : bool
        Whether descent can use it.
    """

    name: str
    outputs: ClassVar[tuple[float, float]] = _REAL
    targets: ClassVar[tuple[float, float]] = _REAL
    output_activation: ClassVar[str] = "identity"
    threshold: ClassVar[float] = 0.5
    differentiable: ClassVar[bool] = True

    @abstractmethod
    def value(self, actual: Array, expected: Array) -> Array:
        """Return the error of each output, in the shape (..., outputs, samples)."""

    @abstractmethod
    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        """Write the derivative of the error by the actual output into out."""

    @staticmethod
    def from_functions(
        name: str,
        value: Callable[[Array, Array], Array],
        gradient: Callable[[Array, Array], Array],
        outputs: tuple[float, float] = _REAL,
        targets: tuple[float, float] = _REAL,
        output_activation: str = "identity",
    ) -> ErrorFunction:
        """Make an error function of two plain functions.

        Parameters
        ----------
        name : str
            Its name in tables.
        value, gradient : callable
            ``value(actual, expected)`` returns the error of each output and ``gradient(actual, expected)`` its
            derivative by the actual output, both in the shape of the arrays given.
        outputs, targets : (float, float), default=(-inf, inf)
            What the network's outputs and the expected values lie between.
        output_activation : str, default="identity"
            The output activation that goes with it.

        Raises
        ------
        ValueError
            If the gradient is not that of the value, checked by finite differences.

        Examples
        --------
        >>> fourth = ErrorFunction.from_functions("fourth", lambda a, y: (a - y) ** 4, lambda a, y: 4 * (a - y) ** 3)
        >>> float(fourth.value(3.0, 1.0))
        16.0
        """
        function = FromFunctions(name, value, gradient, outputs, targets, output_activation)
        check_error_function(function)
        return function


@dataclass(frozen=True)
class FromFunctions(ErrorFunction):
    """An error function made of a user's value and gradient."""

    name: str
    value_function: Callable[[Array, Array], Array]
    gradient_function: Callable[[Array, Array], Array]
    outputs: tuple[float, float]  # type: ignore[misc]
    targets: tuple[float, float]  # type: ignore[misc]
    output_activation: str  # type: ignore[misc]

    def value(self, actual: Array, expected: Array) -> Array:
        return self.value_function(read_only(actual), read_only(expected))

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        out[...] = self.gradient_function(read_only(actual), read_only(expected))


@dataclass(frozen=True)
class SquaredError(ErrorFunction):
    """½ (expected − actual)²; its best answer is the mean."""

    name = "squared_error"

    def value(self, actual: Array, expected: Array) -> Array:
        difference = actual - expected
        return 0.5 * difference * difference

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.subtract(actual, expected, out=out)


@dataclass(frozen=True)
class AbsoluteError(ErrorFunction):
    """|expected − actual|; its best answer is the median."""

    name = "absolute_error"

    def value(self, actual: Array, expected: Array) -> Array:
        return np.abs(actual - expected)

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.subtract(actual, expected, out=out)
        np.sign(out, out=out)


@dataclass(frozen=True)
class Huber(ErrorFunction):
    """Squared near 0 and absolute beyond delta (Huber 1964), so that outliers weigh less.

    Parameters
    ----------
    delta : float, default=1.0
        Where it changes, in units of the target.
    """

    name = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        check_number("Huber(delta=...)", self.delta, low=0, open_low=True)

    def value(self, actual: Array, expected: Array) -> Array:
        distance = np.abs(actual - expected)
        near = np.minimum(distance, self.delta)
        return near * (distance - 0.5 * near)

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.subtract(actual, expected, out=out)
        np.clip(out, -self.delta, self.delta, out=out)


@dataclass(frozen=True)
class LogCosh(ErrorFunction):
    """log cosh(expected − actual): squared near 0, absolute far away, smooth throughout."""

    name = "log_cosh"

    def value(self, actual: Array, expected: Array) -> Array:
        distance = np.abs(actual - expected)
        return distance + np.log1p(np.exp(-2.0 * distance)) - float(np.log(2.0))

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.subtract(actual, expected, out=out)
        np.tanh(out, out=out)


@dataclass(frozen=True)
class Poisson(ErrorFunction):
    """Half the Poisson deviance, y log(y / a) − y + a, for counts and rates."""

    name = "poisson"
    outputs = _POSITIVE
    targets = _POSITIVE
    output_activation = "exponential"

    def value(self, actual: Array, expected: Array) -> Array:
        actual = _above_zero(actual)
        return special.xlogy(expected, expected / actual) - expected + actual

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.divide(expected, _above_zero(actual), out=out)
        np.subtract(1.0, out, out=out)


@dataclass(frozen=True)
class Quantile(ErrorFunction):
    """The pinball error, whose best answer is a quantile (Koenker and Bassett 1978).

    Parameters
    ----------
    quantile : float, default=0.5
        The quantile to predict, in (0, 1).
    """

    name = "quantile"
    quantile: float = 0.5

    def __post_init__(self) -> None:
        check_number("Quantile(quantile=...)", self.quantile, low=0, high=1, open_low=True, open_high=True)

    def value(self, actual: Array, expected: Array) -> Array:
        difference = expected - actual
        return np.maximum(self.quantile * difference, (self.quantile - 1.0) * difference)

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        # −quantile below the expected value, 1 − quantile above it, and 0 where they are equal
        np.subtract(actual, expected, out=out)
        np.sign(out, out=out)
        np.clip(out, -self.quantile, 1.0 - self.quantile, out=out)


@dataclass(frozen=True)
class BinaryCrossEntropy(ErrorFunction):
    """−y log a − (1 − y) log(1 − a), each output a yes or no of its own."""

    name = "binary_cross_entropy"
    outputs = _UNIT
    targets = _UNIT
    output_activation = "sigmoid"

    def value(self, actual: Array, expected: Array) -> Array:
        no = _above_zero(1.0 - actual)
        return -special.xlogy(expected, _above_zero(actual)) - special.xlogy(1.0 - expected, no)

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        # (a − y) / (a (1 − a))
        np.subtract(actual, expected, out=out)
        np.divide(out, _above_zero(actual * (1.0 - actual)), out=out)


@dataclass(frozen=True)
class CrossEntropy(ErrorFunction):
    """−Σ y log a, the negative logarithm of the probability given to what happened."""

    name = "cross_entropy"
    outputs = _UNIT
    targets = _UNIT
    output_activation = "softmax"

    def value(self, actual: Array, expected: Array) -> Array:
        return -special.xlogy(expected, _above_zero(actual))

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        np.divide(expected, _above_zero(actual), out=out)
        np.negative(out, out=out)


@dataclass(frozen=True)
class Hinge(ErrorFunction):
    """max(0, 1 − t a) with t = 2 y − 1: a margin of 1 on the right side of 0 costs nothing."""

    name = "hinge"
    targets = _UNIT
    threshold = 0.0

    def value(self, actual: Array, expected: Array) -> Array:
        return np.maximum(0.0, 1.0 - (2.0 * expected - 1.0) * actual)

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        side = 2.0 * expected - 1.0
        np.multiply(side, actual, out=out)
        np.less(out, 1.0, out=out)
        np.multiply(out, side, out=out)
        np.negative(out, out=out)


@dataclass(frozen=True)
class ZeroOne(ErrorFunction):
    """1 for a sample whose class is wrong, 0 where it is right; only evolution can minimise it.

    Parameters
    ----------
    each : bool, default=False
        Whether each output is a yes or no of its own, as for several labels; else the highest output is the class.
    """

    name = "zero_one"
    targets = _UNIT
    output_activation = "softmax"
    differentiable = False
    each: bool = False

    def value(self, actual: Array, expected: Array) -> Array:
        if self.each or actual.shape[-2] == 1:
            wrong = np.not_equal(actual > self.threshold, expected > 0.5)
            return np.where(np.isnan(actual), np.nan, wrong).astype(actual.dtype)
        wrong = np.not_equal(actual.argmax(axis=-2), expected.argmax(axis=-2))
        return np.where(np.isnan(actual).any(axis=-2), np.nan, wrong).astype(actual.dtype)[..., np.newaxis, :]

    def gradient(self, actual: Array, expected: Array, out: Array) -> None:
        raise ValueError("The zero_one error has no useful gradient: minimise it by evolution.")


def _above_zero(values: Array) -> Array:
    """Keep logarithms and quotients finite where a probability has underflowed to 0."""
    return np.maximum(values, np.finfo(values.dtype).tiny)


ERROR_FUNCTIONS: Registry[ErrorFunction] = Registry(
    "error function",
    ErrorFunction,
    [
        SquaredError,
        AbsoluteError,
        Huber,
        LogCosh,
        Poisson,
        Quantile,
        BinaryCrossEntropy,
        CrossEntropy,
        Hinge,
        ZeroOne,
    ],
    "nnexp.error_functions",
)


@dataclass(frozen=True)
class Objective:
    """An output activation and an error function together: the error and its derivative by the inputs z.

    Where the two are a matching pair, `Joint` computes both from z directly, which stays exact where the
    output itself has rounded to 0 or 1.
    """

    activation: Activation
    error_function: ErrorFunction

    def error(self, z: Array, a: Array, expected: Array) -> Array:
        """Return the error of each sample, shape (..., samples)."""
        return self.error_function.value(a, expected).sum(axis=-2)

    def gradient(self, z: Array, a: Array, expected: Array, out: Array, scratch: Array) -> None:
        """Write the gradient with respect to z, shape (..., outputs, samples), into out."""
        self.error_function.gradient(a, expected, scratch)
        self.activation.backward(scratch, z, a, out)


class Joint(Objective):
    """A pair whose gradient with respect to z is simply a − y."""

    def gradient(self, z: Array, a: Array, expected: Array, out: Array, scratch: Array) -> None:
        np.subtract(a, expected, out=out)


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Joint):
    """Σ y · log Σ exp(z) − Σ y z; the targets of a sample usually add up to 1.

    Attributes
    ----------
    one_of_all : bool
        Whether the targets of each sample are known to be one 1 and zeros, which saves half of the work.
    """

    one_of_all: bool = False

    def error(self, z: Array, a: Array, expected: Array) -> Array:
        if self.one_of_all:
            probability = np.add.reduce(a * expected, axis=-2)
            if np.minimum.reduce(probability, axis=None) > 1e-30:
                return -np.log(probability)
        # log Σ exp(z) = z_k − log a_k for any k; for the largest one a_k is at least 1 / outputs, so it is exact.
        # Its z is subtracted first, so that nothing is lost where all z are large.
        top = z.max(axis=-2, keepdims=True)
        log_sum = np.log(a.max(axis=-2))
        return -log_sum * expected.sum(axis=-2) - ((z - top) * expected).sum(axis=-2)

    def gradient(self, z: Array, a: Array, expected: Array, out: Array, scratch: Array) -> None:
        if self.one_of_all:
            np.subtract(a, expected, out=out)
            return
        np.multiply(a, np.add.reduce(expected, axis=-2, keepdims=True), out=out)
        np.subtract(out, expected, out=out)


class SigmoidBinaryCrossEntropy(Joint):
    """log(1 + exp(z)) − y z, summed over the outputs."""

    def error(self, z: Array, a: Array, expected: Array) -> Array:
        errors = np.maximum(z, 0.0) - z * expected + np.log1p(np.exp(-np.abs(z)))
        return errors.sum(axis=-2)


_JOINTS: dict[tuple[type, type], type[Objective]] = {
    (Identity, SquaredError): Joint,
    (Exponential, Poisson): Joint,
    (Softmax, CrossEntropy): SoftmaxCrossEntropy,
    (Sigmoid, BinaryCrossEntropy): SigmoidBinaryCrossEntropy,
}


def make_objective(activation: Activation, error_function: ErrorFunction) -> Objective:
    """Put an output activation and an error function together.

    Raises
    ------
    ValueError
        If the outputs can leave the interval in which the error function is defined.
    """
    low, high = error_function.outputs
    if activation.limits[0] < low or activation.limits[1] > high:
        raise ValueError(
            f"error_function={quoted(error_function.name)} is defined for outputs in [{low:g}, {high:g}], and "
            f"output_activation={quoted(activation.name)} gives [{activation.limits[0]:g}, {activation.limits[1]:g}]. "
            f"Use output_activation={quoted(error_function.output_activation)}."
        )
    joint = _JOINTS.get((type(activation), type(error_function)), Objective)
    return joint(activation, error_function)


def resolve_error_function(entry: Any, parameter: str = "error_function") -> ErrorFunction:
    """Make the error function that a name, a mapping or an object stands for; check a user's own."""
    error_function = ERROR_FUNCTIONS.resolve(entry, parameter)
    if type(error_function).__module__ != __name__:
        check_error_function(error_function)
    return error_function


def check_error_function(error_function: ErrorFunction) -> None:
    """Raise a ValueError unless the error function keeps shapes, is finite and its gradient is right."""
    name = f"error function {quoted(error_function.name)}"
    rng = np.random.default_rng(0)
    actual = _inside(error_function.outputs, rng.uniform(0.1, 0.9, (3, 7)))
    expected = _inside(error_function.targets, rng.uniform(0.1, 0.9, (3, 7)))
    got = np.empty_like(actual)
    got[:] = 0.0
    try:
        value = np.asarray(error_function.value(actual, expected))
        if error_function.differentiable:
            error_function.gradient(actual, expected, got)
    except Exception as error:
        raise ValueError(f"The {name} fails on arrays of shape {actual.shape}: {error}") from error
    if value.ndim != 2 or value.shape[1] != actual.shape[1] or value.shape[0] not in (1, actual.shape[0]):
        raise ValueError(
            f"The value of {name} must have the shape of the outputs, (outputs, samples) = {actual.shape}. "
            f"Got {value.shape}."
        )
    if not (np.isfinite(value).all() and np.isfinite(got).all()):
        raise ValueError(f"The {name} is not finite for outputs near {actual[0, 0]:.3g}.")
    step = 1e-6
    for row in range(actual.shape[0] if error_function.differentiable else 0):
        shift = np.zeros_like(actual)
        shift[row] = step
        plus = np.asarray(error_function.value(actual + shift, expected)).sum(axis=0)
        minus = np.asarray(error_function.value(actual - shift, expected)).sum(axis=0)
        wrong = ~np.isclose(got[row], (plus - minus) / (2 * step), rtol=1e-4, atol=1e-6)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"The gradient of {name} is wrong: at actual = {actual[row, at]:.3g}, "
                f"expected = {expected[row, at]:.3g} it gives {got[row, at]:.3g}, finite differences "
                f"{(plus - minus)[at] / (2 * step):.3g}."
            )


def _inside(interval: tuple[float, float], share: Array) -> Array:
    low, high = interval
    if np.isinf(low):
        return 4.0 * share - 2.0
    return low + share * (high - low) if np.isfinite(high) else low + 3.0 * share
