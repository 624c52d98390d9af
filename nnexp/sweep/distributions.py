"""What Optuna calls the values that a parameter may have."""

from __future__ import annotations

from functools import lru_cache
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


def stored_distribution(leaf: Leaf) -> str:
    """Return a leaf's distribution as Optuna stores it."""
    return _stored(repr(leaf), leaf)


@lru_cache(maxsize=4096)
def _stored(key: str, leaf: Leaf) -> str:
    """Return the same; the key tells 1 from True, which are equal."""
    from optuna.distributions import distribution_to_json

    return str(distribution_to_json(distribution(leaf)))
