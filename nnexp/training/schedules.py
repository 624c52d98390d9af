"""Schedules: the factor by which the learning rate is multiplied, by the fraction of training that is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry, check_number, is_number

Array = NDArray[Any]


@dataclass(frozen=True)
class Schedule(ABC):
    """A factor of the learning rate over the course of training, for any optimiser.

    Parameters
    ----------
    warmup : float, default=0.0
        The fraction of training, in [0, 1), during which the factor first rises in proportion from 0 to 1. The
        schedule proper takes the rest.
    horizon : int or None, default=None
        Steps that the schedule is laid out for; None for those that the fit may take at most, ``max_iter``, in a
        warm start after those already done. Beyond its horizon a schedule keeps its last value.
    """

    name: ClassVar[str]
    warmup: float = 0.0
    horizon: int | None = None

    def __post_init__(self) -> None:
        self.check_range("warmup", low=0, high=1, open_high=True)
        if self.horizon is not None:
            self.check_range("horizon", low=1, integer=True)

    def check_range(self, parameter: str, **limits: Any) -> None:
        """Raise a ValueError or TypeError unless a parameter is a number within the limits."""
        check_number(f"{type(self).__name__}({parameter}=...)", getattr(self, parameter), **limits)

    @abstractmethod
    def shape(self, t: Array) -> Array:
        """Return the factor where the fraction t, in [0, 1], of the schedule is done."""

    def factors(self, t: Array, step: float) -> Array:
        """Return the factor of updates.

        Parameters
        ----------
        t : array
            The fraction of training that is done before each update.
        step : float
            The fraction of training that one update is.
        """
        t = np.minimum(t, 1.0)
        if not self.warmup:
            return self.shape(t)
        rising = np.minimum(1.0, (t + step) / self.warmup)
        rest = np.clip((t - self.warmup) / (1.0 - self.warmup), 0.0, 1.0)
        return rising * self.shape(rest)

    @property
    def is_constant(self) -> bool:
        """Whether the factor is always 1."""
        return False

    def start(self, members: int) -> dict[str, Array]:
        """Return what the schedule remembers from step to step, by name, with a first axis of members."""
        return {}

    def observe(self, memory: dict[str, Array], watched: Array) -> None:  # noqa: B027
        """Take note of the watched error after a step, shape (members,), in the memory."""

    def forget(self, memory: dict[str, Array]) -> None:  # noqa: B027
        """Forget the errors on other data, in the memory."""

    def scale(self, memory: dict[str, Array]) -> Array | None:
        """Return a further factor for each member by the memory, or None for 1."""
        return None


@dataclass(frozen=True)
class Constant(Schedule):
    """1 throughout."""

    name: ClassVar[str] = "constant"

    @property
    def is_constant(self) -> bool:
        return not self.warmup

    def shape(self, t: Array) -> Array:
        return np.ones_like(t)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to a final value (Loshchilov and Hutter 2017, without restarts).

    Parameters
    ----------
    final : float, default=0.0
        The last factor, in [0, 1].
    """

    name: ClassVar[str] = "cosine"
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("final", low=0, high=1)

    def shape(self, t: Array) -> Array:
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + np.cos(np.pi * t))


@dataclass(frozen=True)
class CosLog(Schedule):
    """½ (1 − cos 2π log₂(1 + (2ᶜ − 1) t)): c waves, each twice as long as the last one (Holzmüller et al. 2024).

    Parameters
    ----------
    cycles : int, default=4
        c, at least 1. It begins and ends at 0.
    """

    name: ClassVar[str] = "coslog4"
    cycles: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("cycles", low=1, high=30, integer=True)

    def shape(self, t: Array) -> Array:
        return 0.5 * (1.0 - np.cos(2.0 * np.pi * np.log2(1.0 + (2.0**self.cycles - 1.0) * t)))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from a fraction of the rate and down to almost nothing, in half cosines (Smith and Topin 2019).

    Parameters
    ----------
    peak : float, default=0.3
        The fraction of training, in (0, 1), at which the factor is 1.
    first, last : float, default=0.04, 4e-6
        The factors at the beginning and at the end, in [0, 1].
    """

    name: ClassVar[str] = "one_cycle"
    peak: float = 0.3
    first: float = 0.04
    last: float = 4e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("peak", low=0, high=1, open_low=True, open_high=True)
        self.check_range("first", low=0, high=1)
        self.check_range("last", low=0, high=1)

    def shape(self, t: Array) -> Array:
        rising = t < self.peak
        fraction = np.where(rising, t / self.peak, (t - self.peak) / (1.0 - self.peak))
        start, stop = np.where(rising, self.first, 1.0), np.where(rising, 1.0, self.last)
        return stop + (start - stop) * 0.5 * (1.0 + np.cos(np.pi * fraction))


@dataclass(frozen=True)
class Exponential(Schedule):
    """finalᵗ: falls by the same factor in each equal part of training.

    Parameters
    ----------
    final : float, default=0.01
        The last factor, in (0, 1].
    """

    name: ClassVar[str] = "exponential"
    final: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("final", low=0, high=1, open_low=True)

    def shape(self, t: Array) -> Array:
        return np.power(self.final, t)


@dataclass(frozen=True)
class Plateau(Schedule):
    """Falls by a factor whenever the watched error has not improved for some steps.

    Parameters
    ----------
    factor : float, default=0.5
        In (0, 1).
    patience : int, default=5
        Steps without improvement before the rate falls, at least 1.
    tol : float, default=1e-4
        What counts as an improvement, in units of the error function.
    lowest : float, default=0.001
        The factor below which it does not fall, in [0, 1].
    """

    name: ClassVar[str] = "plateau"
    factor: float = 0.5
    patience: int = 5
    tol: float = 1e-4
    lowest: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("factor", low=0, high=1, open_low=True, open_high=True)
        self.check_range("patience", low=1, integer=True)
        self.check_range("tol", low=0)
        self.check_range("lowest", low=0, high=1)

    def shape(self, t: Array) -> Array:
        return np.ones_like(t)

    def start(self, members: int) -> dict[str, Array]:
        return {
            "plateau_factor": np.ones(members),
            "plateau_best": np.full(members, np.inf),
            "plateau_wait": np.zeros(members, dtype=np.int64),
        }

    def observe(self, memory: dict[str, Array], watched: Array) -> None:
        best, wait, factor = (memory[f"plateau_{name}"] for name in ("best", "wait", "factor"))
        better = watched < best - self.tol
        best[better] = watched[better]
        wait += 1
        wait[better] = 0
        falls = wait >= self.patience
        factor[falls] = np.maximum(factor[falls] * self.factor, self.lowest)
        wait[falls] = 0

    def forget(self, memory: dict[str, Array]) -> None:
        memory["plateau_best"][:] = np.inf
        memory["plateau_wait"][:] = 0

    def scale(self, memory: dict[str, Array]) -> Array | None:
        return memory["plateau_factor"]


@dataclass(frozen=True)
class FromFunction(Schedule):
    """A function of the fraction of training that is done."""

    name: ClassVar[str] = "function"
    function: Callable[[float], float] = float

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shape(np.array([0.0, 0.25, 0.5, 1.0]))

    def shape(self, t: Array) -> Array:
        return np.array([self._at(float(step)) for step in np.ravel(t)]).reshape(np.shape(t))

    def _at(self, t: float) -> float:
        try:
            factor = self.function(t)
        except Exception as error:
            raise ValueError(f"schedule: the function fails at the fraction {t:g}: {error}") from error
        if not is_number(factor) or not (np.isfinite(factor) and factor >= 0):
            raise ValueError(
                f"schedule: the function must give finite factors of at least 0. It gives {factor!r} at {t:g}."
            )
        return float(factor)


SCHEDULES: Registry[Schedule] = Registry(
    "schedule", Schedule, [Constant, Cosine, CosLog, OneCycle, Exponential, Plateau], "nnexp.schedules"
)


def resolve_schedule(entry: Any) -> Schedule:
    """Make the schedule that a name, a mapping, an object or a function of the fraction of training stands for."""
    if callable(entry) and not isinstance(entry, Schedule | type):
        return FromFunction(function=entry)
    return SCHEDULES.resolve(entry, "schedule")
