"""What Optuna calls the values that a parameter may have."""

from __future__ import annotations

from typing import Any

from nnexp.sweep.space import Leaf


def distribution(leaf: Leaf) -> Any:
    """Return Optuna's distribution of a leaf."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if leaf.kind == "choice":
        return CategoricalDistribution(leaf.choices)
    if leaf.kind == "int":
        return IntDistribution(int(leaf.low), int(leaf.high), log=leaf.log, step=int(leaf.step or 1))
    return FloatDistribution(leaf.low, leaf.high, log=leaf.log, step=leaf.step)
