"""Targets: what a network's outputs stand for. They turn y into expected outputs, and outputs into predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted

Array = NDArray[Any]


class Target(ABC):
    """What the outputs of a fitted network stand for.

    All methods take outputs of shape (n, n_outputs), or with a leading axis of networks.

    Attributes
    ----------
    probabilistic : bool
        Whether outputs are probabilities of classes or labels.
    is_numeric : bool
        Whether y are numbers, as in a regression.
    is_exclusive : bool
        Whether each sample has one of several classes.
    has_labels : bool
        Whether each sample has any of several labels.
    """

    probabilistic: bool = False
    is_numeric: ClassVar[bool] = False
    is_exclusive: ClassVar[bool] = False
    has_labels: ClassVar[bool] = False

    def dtype_of_values(self, dtype: Any) -> Any:
        """Return the type of numbers that `values` makes of outputs of some type."""
        return np.float64 if self.is_numeric else dtype

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """How many outputs a network has."""

    def of(self, network: int) -> Target:
        """Return the target of one network of several."""
        return self

    @abstractmethod
    def encode(self, y: Array) -> Array:
        """Return the expected outputs, shape (n, n_outputs), in float64."""

    @abstractmethod
    def decode(self, values: Array) -> Array:
        """Return the predictions for values, shape (n, n_outputs), that `values` gave or an average of such."""

    @abstractmethod
    def hits(self, values: Array, expected: Array, weight: Array | None) -> float:
        """Return the accuracy or R² of values, given expected outputs in the same units."""

    def values(self, outputs: Array) -> Array:
        """Return outputs in the form in which several networks are averaged."""
        return outputs

    def as_expected(self, outputs: Array) -> Array:
        """Return outputs in the units of what `encode` gives, as `hits` compares them."""
        return self.values(outputs)

    def probabilities(self, values: Array) -> Array:
        """Return the probability of each class or label, shape (n, n_classes)."""
        return values

    def shown(self, values: Array) -> Array:
        """Return values as predictions are shown: probabilities of all classes where there are any, one axis where y had one."""
        return values

    def right(self, values: Array, expected: Array) -> Array:
        """Return 1.0 for each sample that is classified rightly, else 0.0."""
        raise TypeError("Numbers are not right or wrong.")


def r2(values: Array, expected: Array, weight: Array | None = None) -> float:
    """Return R², averaged over the outputs, shapes (n, k); NaN for a single sample.

    An output that does not vary gives 1 where it is predicted exactly, else 0, as in scikit-learn.
    """
    if len(values) < 2:
        return float("nan")
    residuals, deviations = _squares(values, expected, weight)
    return float(1.0 - _ratio(residuals, deviations, weight).mean())


def _squares(values: Array, expected: Array, weight: Array | None) -> tuple[Array, Array]:
    """Return the squared residuals, and the squared deviations from the mean, of each sample and output.

    Where squares would overflow or vanish they are those of numbers in units of a power of 2.
    """
    residual, deviation = values - expected, expected - np.average(expected, axis=0, weights=weight)
    largest = max(float(np.abs(residual).max(initial=0.0)), float(np.abs(deviation).max(initial=0.0)))
    if largest and not 1e-150 < largest < 1e150 and np.isfinite(largest):
        exponent = -int(np.frexp(largest)[1])
        residual, deviation = np.ldexp(residual, exponent), np.ldexp(deviation, exponent)
    return residual**2, deviation**2


def _ratio(residuals: Array, deviations: Array, weight: Array | None) -> Array:
    residual, total = (np.average(part, axis=0, weights=weight) for part in (residuals, deviations))
    return np.divide(residual, total, out=np.where(residual > 0, 1.0, 0.0), where=total > 0)


def r2_influence(values: Array, expected: Array, weight: Array | None) -> Array:
    """Return how much each sample moves R² per unit of its weight, shape (n,); its derivative by the weights."""
    residuals, deviations = _squares(values, expected, weight)
    total = np.average(deviations, axis=0, weights=weight)
    ratio = _ratio(residuals, deviations, weight)
    return ((residuals - ratio * deviations) / np.where(total > 0, total, 1.0)).mean(axis=1)


@dataclass(frozen=True)
class Numbers(Target):
    """A regression: outputs are y in units of a scale around a mean.

    Attributes
    ----------
    mean, scale : array of shape (n_outputs,), or (networks, 1, n_outputs)
    flat : bool
        Whether y had one axis.
    """

    mean: Array
    scale: Array
    flat: bool
    is_numeric: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        return int(self.mean.shape[-1])

    @staticmethod
    def fit(y: Array, weight: Array | None, standardise: bool) -> Numbers:
        """Take the mean and the scale from y, shape (n, n_outputs).

        Raises
        ------
        ValueError
            If the variance overflows.
        """
        mean, scale = np.zeros(y.shape[1]), np.ones(y.shape[1])
        if standardise:
            with np.errstate(over="ignore", invalid="ignore"):
                mean = np.average(y, axis=0, weights=weight)
                # In units of the largest deviation, whose square neither overflows nor vanishes.
                largest = np.abs(y - mean).max(axis=0)
                unit = np.where(largest > 0, largest, 1.0)
                scale = unit * np.sqrt(np.average(((y - mean) / unit) ** 2, axis=0, weights=weight))
            if not np.isfinite(scale).all():
                raise ValueError("y holds numbers too large to compute their variance; rescale it.")
            # A constant leaves nothing but rounding errors around its mean.
            constant = (scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)) | (largest == 0)
            scale = np.where(constant, 1.0, scale)
        return Numbers(mean, scale, True)

    @staticmethod
    def join(parts: list[Numbers]) -> Numbers:
        """Return one target for several networks, each with its own mean and scale."""
        if len(parts) == 1:
            return parts[0]
        mean, scale = (np.stack([getattr(part, name) for part in parts])[:, np.newaxis] for name in ("mean", "scale"))
        return Numbers(mean, scale, parts[0].flat)

    def of(self, network: int) -> Numbers:
        """Return the target of one of several networks."""
        if self.mean.ndim == 1:
            return self
        return replace(self, mean=self.mean[network, 0], scale=self.scale[network, 0])

    def encode(self, y: Array) -> Array:
        """Return y in units of the scale around the mean."""
        return (y - self.mean) / self.scale

    def values(self, outputs: Array) -> Array:
        """Return outputs in the units of y, in float64: a narrower number may have no room for them."""
        return outputs.astype(np.float64) * self.scale + self.mean

    def as_expected(self, outputs: Array) -> Array:
        return outputs

    def shown(self, values: Array) -> Array:
        return values[:, 0] if self.flat else values

    def decode(self, values: Array) -> Array:
        """Return the values, with one axis if y had one."""
        return values[..., 0] if self.flat else values

    def hits(self, values: Array, expected: Array, weight: Array | None) -> float:
        """Return R², averaged over the outputs; NaN for a single sample."""
        return r2(values, expected, weight)


@dataclass(frozen=True)
class Classes(Target):
    """A classification: an output for each class, or one output for the second of two.

    Attributes
    ----------
    classes : array of shape (n_classes,)
    one_output : bool
    threshold : float
        Of one output, what is above it means the second class.
    probabilistic : bool
    """

    classes: Array
    one_output: bool
    threshold: float = 0.5
    probabilistic: bool = True
    is_exclusive: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        return 1 if self.one_output else len(self.classes)

    def encode(self, y: Array) -> Array:
        """Return 1 for the class of each sample and 0 for the others.

        Raises
        ------
        ValueError
            For a class that is not among the known ones.
        """
        codes = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
        known = np.asarray(self.classes[codes] == y)
        if not known.all():
            raise ValueError(
                f"y holds the class {quoted(np.asarray(y)[~known].tolist()[0])}, which is not among the known classes "
                f"{quoted(self.classes.tolist())}."
            )
        if self.one_output:
            return codes[:, np.newaxis].astype(np.float64)
        expected = np.zeros((len(codes), len(self.classes)))
        expected[np.arange(len(codes)), codes] = 1.0
        return expected

    def values(self, outputs: Array) -> Array:
        """Return probabilities where outputs are such: one sigmoid a class does not add up to 1 by itself."""
        if not self.probabilistic or self.one_output:
            return outputs
        total = outputs.sum(axis=-1, keepdims=True)
        even = np.full_like(outputs, 1.0 / outputs.shape[-1])
        return np.divide(outputs, total, out=even, where=total > 0)

    def codes(self, values: Array) -> Array:
        """Return the number of the predicted class of each sample."""
        if self.one_output:
            return (values[..., 0] > self.threshold).astype(int)
        return values.argmax(axis=-1)

    def decode(self, values: Array) -> Array:
        """Return the predicted class of each sample."""
        return self.classes[self.codes(values)]

    def probabilities(self, values: Array) -> Array:
        """Return the probability of each class, shape (n, n_classes)."""
        return np.concatenate([1.0 - values, values], axis=-1) if self.one_output else values

    def shown(self, values: Array) -> Array:
        return self.probabilities(values) if self.probabilistic else values

    def right(self, values: Array, expected: Array) -> Array:
        return (self.codes(values) == self.codes(expected)).astype(float)

    def hits(self, values: Array, expected: Array, weight: Array | None) -> float:
        """Return the accuracy."""
        right = expected[:, 0] > 0.5 if self.one_output else expected.argmax(axis=1)
        return float(np.average(self.codes(values) == right, weights=weight))


@dataclass(frozen=True)
class Labels(Target):
    """A multilabel classification: an output for each label, which a sample has or has not.

    Attributes
    ----------
    classes : array of shape (n_labels,)
        The numbers of the labels.
    threshold : float
        What is above it means that the sample has the label.
    probabilistic : bool
    """

    classes: Array
    threshold: float = 0.5
    probabilistic: bool = True
    has_labels: ClassVar[bool] = True

    @property
    def n_outputs(self) -> int:
        return len(self.classes)

    def right(self, values: Array, expected: Array) -> Array:
        return (self.decode(values) == expected).all(axis=1).astype(float)

    def encode(self, y: Array) -> Array:
        """Return y as floats.

        Raises
        ------
        ValueError
            For another number of labels, or values other than 0 and 1.
        """
        if y.ndim != 2 or y.shape[1] != len(self.classes) or not np.isin(y, (0, 1)).all():
            raise ValueError(
                f"y must hold 0 and 1 for each of the {len(self.classes)} labels. Got an array of shape {y.shape}."
            )
        return y.astype(np.float64)

    def decode(self, values: Array) -> Array:
        """Return 1 for each label that a sample has, else 0."""
        return (values > self.threshold).astype(int)

    def hits(self, values: Array, expected: Array, weight: Array | None) -> float:
        """Return the share of samples all of whose labels are right."""
        return float(np.average((self.decode(values) == expected).all(axis=1), weights=weight))
