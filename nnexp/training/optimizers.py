"""Optimizers: what a gradient does to the parameters. Each is a handful of in-place operations on one array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry, check_number

Array = NDArray[Any]

Update = Callable[[Any, Any], None]


def as_factor(value: Any, like: Array) -> Any:
    """Return a number, or an array in the precision of another, so that both give the same bits in a product."""
    return value if np.ndim(value) == 0 else value.astype(like.dtype, copy=False)


class Optimizer(ABC):
    """Settings of an update rule.

    Attributes
    ----------
    n_moments : int
        How many arrays of the parameters' shape it remembers from update to update.

    Notes
    -----
    A rule with a field ``weight_decay`` has its weights decay as by the estimator's parameter of that name.
    """

    name: ClassVar[str]
    n_moments: ClassVar[int] = 0

    # An update works on this many bytes of an array at a time, so that a block is still in the cache for the next
    # operation on it. Smaller blocks were measured to be slower.
    BLOCK_BYTES: ClassVar[int] = 1 << 20

    def bind(self, parameters: Array, gradient: Array, moments: Sequence[Array]) -> Update:
        """Return the function that updates these arrays in place, called once a batch.

        Parameters
        ----------
        parameters, gradient : array of shape (..., D)
            The gradient may be overwritten.
        moments : sequence of n_moments arrays of shape (..., D)
            Zeros before the first update.

        Returns
        -------
        callable
            ``update(learning_rate, t)`` with t = 1 for the first update. Both may be arrays of shape (members, 1).
        """
        if parameters.nbytes <= self.BLOCK_BYTES:
            return self.bind_block(parameters, gradient, moments, np.empty_like(parameters))
        wide = self.BLOCK_BYTES // parameters.itemsize
        size = parameters.shape[-1]
        high = max(1, wide // size)
        members = parameters.shape[0] if parameters.ndim == 2 else 1
        blocks: list[tuple[slice, Update]] = []
        scratch = np.empty(high * min(wide, size), dtype=parameters.dtype)
        for first in range(0, members, high):
            rows = slice(first, min(first + high, members))
            for start in range(0, size, wide):
                part: Any = (rows, slice(start, start + wide)) if parameters.ndim == 2 else slice(start, start + wide)
                parts = [moment[part] for moment in moments]
                block = parameters[part]
                room = scratch[: block.size].reshape(block.shape)
                blocks.append((rows, self.bind_block(block, gradient[part], parts, room)))

        def update(learning_rate: Any, t: Any) -> None:
            for rows, one in blocks:
                one(
                    learning_rate if np.ndim(learning_rate) == 0 else learning_rate[rows],
                    t if np.ndim(t) == 0 else t[rows],
                )

        return update

    @abstractmethod
    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        """Return the function that updates a block, with scratch of its shape; see `bind`."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """w ← w − η g, plain descent."""

    name: ClassVar[str] = "sgd"

    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        def update(learning_rate: Any, t: Any) -> None:
            np.multiply(gradient, as_factor(learning_rate, gradient), out=gradient)
            np.subtract(parameters, gradient, out=parameters)

        return update


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v ← μ v − η g, w ← w + v (Polyak 1964).

    Parameters
    ----------
    momentum : float, default=0.9
        μ, in [0, 1).
    """

    name: ClassVar[str] = "momentum"
    n_moments: ClassVar[int] = 1
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_number(f"{type(self).__name__}(momentum=...)", self.momentum, low=0, high=1, open_high=True)

    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        (velocity,) = moments

        def update(learning_rate: Any, t: Any) -> None:
            np.multiply(gradient, as_factor(learning_rate, gradient), out=gradient)
            np.multiply(velocity, self.momentum, out=velocity)
            np.subtract(velocity, gradient, out=velocity)
            np.add(parameters, velocity, out=parameters)

        return update


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v ← μ v − η g, w ← w + μ v − η g: momentum that looks ahead (Sutskever et al. 2013)."""

    name: ClassVar[str] = "nesterov"

    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        (velocity,) = moments

        def update(learning_rate: Any, t: Any) -> None:
            np.multiply(gradient, as_factor(learning_rate, gradient), out=gradient)
            np.multiply(velocity, self.momentum, out=velocity)
            np.subtract(velocity, gradient, out=velocity)
            np.multiply(velocity, self.momentum, out=scratch)
            np.subtract(scratch, gradient, out=scratch)
            np.add(parameters, scratch, out=parameters)

        return update


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v ← ρ v + (1 − ρ) g², w ← w − η g / (√v + ε) (Tieleman and Hinton 2012).

    Parameters
    ----------
    decay : float, default=0.9
        ρ, in [0, 1).
    epsilon : float, default=1e-8
        ε.
    """

    name: ClassVar[str] = "rmsprop"
    n_moments: ClassVar[int] = 1
    decay: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_number("RMSprop(decay=...)", self.decay, low=0, high=1, open_high=True)
        check_number("RMSprop(epsilon=...)", self.epsilon, low=0, open_low=True)

    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        (square,) = moments

        def update(learning_rate: Any, t: Any) -> None:
            np.multiply(gradient, gradient, out=scratch)
            np.multiply(scratch, 1.0 - self.decay, out=scratch)
            np.multiply(square, self.decay, out=square)
            np.add(square, scratch, out=square)
            np.sqrt(square, out=scratch)
            np.add(scratch, self.epsilon, out=scratch)
            np.divide(gradient, scratch, out=scratch)
            np.multiply(scratch, as_factor(learning_rate, scratch), out=scratch)
            np.subtract(parameters, scratch, out=parameters)

        return update


def _share(beta: float, t: Any) -> Any:
    """Return 1 − βᵗ; for an array of t each as by itself, to the bit."""
    if np.ndim(t) == 0:
        return 1.0 - beta**t
    return np.array([1.0 - beta ** int(step) for step in np.ravel(t)]).reshape(np.shape(t))


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps of the size η by the first two moments of the gradient (Kingma and Ba 2015).

    Parameters
    ----------
    beta_1, beta_2 : float, default=0.9, 0.999
        How slowly the moments change, in [0, 1).
    epsilon : float, default=1e-8
        Keeps the quotient finite.
    """

    name: ClassVar[str] = "adam"
    n_moments: ClassVar[int] = 2
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("beta_1", "beta_2"):
            check_number(f"{type(self).__name__}({name}=...)", getattr(self, name), low=0, high=1, open_high=True)
        check_number(f"{type(self).__name__}(epsilon=...)", self.epsilon, low=0, open_low=True)

    def bind_block(self, parameters: Array, gradient: Array, moments: Sequence[Array], scratch: Array) -> Update:
        # The moments are kept without their factors (1 − β): m = Σ β₁ᵏ g, v = Σ β₂ᵏ g². That saves two
        # operations an update; the factors move into the two scalars below.
        first, second = moments

        def update(learning_rate: Any, t: Any) -> None:
            np.multiply(first, self.beta_1, out=first)
            np.add(first, gradient, out=first)
            np.multiply(gradient, gradient, out=gradient)
            np.multiply(second, self.beta_2, out=second)
            np.add(second, gradient, out=second)
            root = ((1.0 - self.beta_2) / _share(self.beta_2, t)) ** 0.5
            rate = learning_rate * (1.0 - self.beta_1) / _share(self.beta_1, t) / root
            np.sqrt(second, out=scratch)
            np.add(scratch, as_factor(self.epsilon / root, scratch), out=scratch)
            np.divide(first, scratch, out=scratch)
            np.multiply(scratch, as_factor(rate, scratch), out=scratch)
            np.subtract(parameters, scratch, out=parameters)

        return update


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, w ← w − η λ w, on all but bias weights (Loshchilov and Hutter 2019).

    Parameters
    ----------
    weight_decay : float, default=0.01
        λ, at least 0.
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("AdamW(weight_decay=...)", self.weight_decay, low=0)


OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer", Optimizer, [SGD, Momentum, Nesterov, RMSprop, Adam, AdamW], "nnexp.optimizers"
)
