"""What makes averaged probabilities such as can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from nnexp.fitting.finish import at_temperature, fit_temperature

Array = NDArray[Any]

# The lowest probability that is taken at its word.
_LOWEST = 1e-5


@dataclass(frozen=True)
class Calibration:
    """A temperature of probabilities (Guo et al. 2017), none of which is 0.

    Attributes
    ----------
    temperature : float
        What the logarithms of probabilities are divided by: above 1 they were too sure.
    lowest : float
        What each case has at least: to rule out what happens must not cost more than all the rest.
    is_exclusive : bool
        Whether a sample has one of several classes, and not any of several labels.
    """

    temperature: float
    lowest: float
    is_exclusive: bool

    @staticmethod
    def fit(values: Array, expected: Array, weight: Array | None, is_exclusive: bool) -> Calibration:
        """Take it from predictions of samples, shape (n, n_outputs), that what predicted them had not learnt from."""
        raw = Calibration(1.0, _LOWEST, is_exclusive)
        temperature = fit_temperature(raw.raised(values), expected, weight, is_exclusive)
        return Calibration(temperature, raw.lowest, is_exclusive)

    def apply(self, values: Array) -> Array:
        """Return calibrated probabilities, shape (n, n_outputs)."""
        return self.raised(at_temperature(self.raised(values), self.temperature, self.is_exclusive))

    def raised(self, values: Array) -> Array:
        """Return probabilities with a little of the same for all, so that each is at least the lowest one."""
        n_cases = values.shape[1] if self.is_exclusive else 2
        return values * (1.0 - n_cases * self.lowest) + self.lowest
