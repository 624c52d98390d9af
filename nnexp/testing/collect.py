"""Which checks a part has, and how pytest runs them one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nnexp.experiment.datasets import Bundled
from nnexp.network.activations import Activation
from nnexp.network.error_functions import ErrorFunction
from nnexp.network.initializers import Initializer
from nnexp.testing import algorithms, operators, parts
from nnexp.testing.settings import check_settings
from nnexp.training.algorithm import Algorithm
from nnexp.training.crossover import Crossover
from nnexp.training.mutation import Mutation
from nnexp.training.optimizers import Optimizer
from nnexp.training.schedules import Schedule
from nnexp.training.selection import Selection

Check = Callable[[Any], None]

_CHECKS: dict[type, tuple[Check, ...]] = {
    Algorithm: algorithms.CHECKS,
    Activation: (check_settings, *parts.ACTIVATION_CHECKS),
    ErrorFunction: (check_settings, *parts.ERROR_CHECKS),
    Initializer: (check_settings, *parts.INITIALIZER_CHECKS),
    Optimizer: (check_settings, *parts.OPTIMIZER_CHECKS),
    Schedule: (check_settings, *parts.SCHEDULE_CHECKS),
    Selection: (check_settings, *operators.SELECTION_CHECKS),
    Crossover: (check_settings, *operators.CROSSOVER_CHECKS),
    Mutation: (check_settings, *operators.MUTATION_CHECKS),
    Bundled: parts.DATA_CHECKS,
}


def checks_of(part: Any) -> list[Check]:
    """Return the checks of a part: functions that take it and raise an AssertionError with a sentence.

    Parameters
    ----------
    part : object
        An algorithm, activation, error function, initializer, optimizer, schedule, selection, crossover, mutation or data set.

    Raises
    ------
    TypeError
        For what is no part.

    Examples
    --------
    >>> from nnexp.training import OPTIMIZERS
    >>> [check.__name__ for check in checks_of(OPTIMIZERS["adam"])]
    ['check_settings', 'check_update', 'check_update_blocks']
    """
    for kind, checks in _CHECKS.items():
        if isinstance(part, kind):
            return list(checks)
    kinds = ", ".join(kind.__name__ for kind in _CHECKS)
    hint = f" Give an object, {part.__name__}(...)." if isinstance(part, type) else ""
    raise TypeError(f"There are checks for objects of {kinds}. Got {part!r}.{hint}")


def check_part(part: Any) -> None:
    """Check that a part of any kind keeps the promises that nnexp makes for all of its kind.

    Parameters
    ----------
    part : object
        See `checks_of`.

    Raises
    ------
    AssertionError
        With a sentence that says what it does instead.
    TypeError
        For what is no part.

    Examples
    --------
    >>> from nnexp import Activation
    >>> check_part(Activation.from_functions("cube", _cube, _cube_derivative))
    """
    for check in checks_of(part):
        check(part)


def _cube(z: Any) -> Any:
    return z**3


def _cube_derivative(z: Any, a: Any) -> Any:
    return 3 * z**2


def parametrize_with_checks(parts: Iterable[Any]) -> Any:
    """Return a decorator of a pytest function with the arguments ``part`` and ``check``, called for each check of each part.

    Parameters
    ----------
    parts : iterable
        Objects; see `checks_of`.

    Examples
    --------
    >>> from nnexp import SNES
    >>> @parametrize_with_checks([SNES(population_size=12, batch_size=20)])
    ... def test_my_parts(part, check):
    ...     check(part)
    """
    import pytest

    each = [(part, check) for part in parts for check in checks_of(part)]
    names = [f"{getattr(part, 'name', type(part).__name__)}-{check.__name__}" for part, check in each]
    return pytest.mark.parametrize(("part", "check"), each, ids=names)
