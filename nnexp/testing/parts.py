"""What every activation, error function, initializer, optimizer, schedule and data set must do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnexp.experiment.datasets import Bundled
from nnexp.network.activations import Activation, check_activation
from nnexp.network.error_functions import ErrorFunction, check_error_function
from nnexp.network.initializers import Initializer
from nnexp.network.network import Network
from nnexp.training.optimizers import Optimizer
from nnexp.training.schedules import Schedule

Array = NDArray[Any]


def check_activation_derivative(activation: Activation) -> None:
    """It keeps shapes, is finite, and its derivative is that of the function, by finite differences."""
    try:
        check_activation(activation)
    except ValueError as error:
        raise AssertionError(str(error)) from error


def _outputs(activation: Activation, z: Array) -> Array:
    z = z.copy()
    out = z if activation.in_place else np.full_like(z, np.nan)
    activation.forward(z, out)
    return out


def check_activation_stack(activation: Activation) -> None:
    """Networks of a stack, and both precisions, have the outputs of each alone; nothing else is written."""
    z = np.random.default_rng(0).normal(size=(3, 4, 5))
    together = _outputs(activation, z)
    for output, alone in zip(together, z, strict=True):
        assert np.allclose(output, _outputs(activation, alone), rtol=1e-12), (
            f"{activation!r} has other outputs for a network in a stack than alone: only the last two axes are neurons and samples."
        )
    low = _outputs(activation, z.astype(np.float32))
    assert low.dtype == np.float32 and np.allclose(low, together, rtol=1e-3, atol=1e-4), (
        f"{activation!r} has other outputs in float32."
    )
    before, a = z.copy(), together.copy()
    if not activation.in_place:
        activation.forward(before, np.empty_like(before))
        assert np.array_equal(before, z), f"{activation!r} writes over its inputs; say so with in_place = True."
    if not activation.differentiable:
        return
    activation.backward(np.ones_like(z), z.copy() if not activation.in_place else a, a, np.empty_like(z))
    assert np.array_equal(a, together), (
        f"{activation!r} writes over its outputs in `backward`, where they are still needed."
    )


def check_activation_extremes(activation: Activation) -> None:
    """Far from 0 an output is a number, in both precisions."""
    for dtype, far in ((np.float64, 300.0), (np.float32, 80.0)):
        z = np.array([[-far, -1e-30, 0.0, 1e-30, far]], dtype=dtype)
        with np.errstate(all="ignore"):
            assert not np.isnan(_outputs(activation, z)).any(), (
                f"{activation!r} is NaN at one of {z[0].tolist()}, {z.dtype}."
            )


def check_error_gradient(function: ErrorFunction) -> None:
    """It keeps shapes, is finite, and its gradient is that of the value, by finite differences."""
    try:
        check_error_function(function)
    except ValueError as error:
        raise AssertionError(str(error)) from error


def check_error_stack(function: ErrorFunction) -> None:
    """Networks of a stack have the errors and gradients of each alone; what is compared is not written to."""
    rng = np.random.default_rng(0)
    low, high = (float(np.clip(limit, -3, 3)) for limit in function.outputs)
    actual = rng.uniform(low, high, (3, 2, 5)) * 0.9 + 0.05 * (low + high)
    low, high = (float(np.clip(limit, -3, 3)) for limit in function.targets)
    expected = rng.uniform(low, high, (2, 5)) * 0.9 + 0.05 * (low + high)
    kept = actual.copy(), expected.copy()
    value, gradient = function.value(actual, expected), np.zeros_like(actual)
    if function.differentiable:
        function.gradient(actual, expected, gradient)
    assert np.array_equal(actual, kept[0]) and np.array_equal(expected, kept[1]), (
        f"{function!r} writes to what it compares."
    )
    for i in range(3):
        alone = np.zeros_like(actual[i])
        if function.differentiable:
            function.gradient(actual[i].copy(), expected, alone)
        same = np.allclose(np.broadcast_to(value, actual.shape)[i], function.value(actual[i], expected), rtol=1e-12)
        assert same and np.allclose(gradient[i], alone, rtol=1e-12), (
            f"{function!r} has another error for a network in a stack than alone."
        )


def check_first_weights(initializer: Initializer) -> None:
    """Scales are finite and positive, first weights have them, and absent connections have none."""
    network = Network((40, 30, 2), "tanh", "softmax", 0.5, initializer=initializer, random_state=0)
    scale = network.initial_scale
    assert np.isfinite(scale).all() and (scale >= 0).all() and scale.any(), (
        f"{initializer!r} must give finite scales, none below 0 and some above."
    )
    drawn = network.initialize(400, np.random.default_rng(0))
    weights = ~network.bias_mask & (scale > 0)
    assert np.allclose(drawn[:, weights].std(axis=0), scale[weights], rtol=0.25), (
        f"{initializer!r}: the first weights do not have the standard deviations that it says."
    )
    assert not drawn[:, ~network.bias_mask & (scale == 0)].any(), (
        f"{initializer!r} gives weights to absent connections."
    )


def _descended(optimizer: Optimizer, members: int, updates: list[int]) -> Array:
    """Go down a quadratic bowl, with a break between the parts; return the weights."""
    target = np.linspace(-1.0, 2.0, 6) + np.arange(members)[:, np.newaxis]
    parameters, gradient = np.zeros((members, 6)), np.empty((members, 6))
    moments = np.zeros((optimizer.n_moments, members, 6))
    t = 0
    for part in updates:
        moments = moments.copy()
        update = optimizer.bind(parameters, gradient, list(moments))
        for _ in range(part):
            t += 1
            np.subtract(parameters, target, out=gradient)
            update(0.05, t)
    return parameters


def check_update(optimizer: Optimizer) -> None:
    """It goes downhill, treats members of a stack as alone, and remembers nothing but its moments."""
    whole = _descended(optimizer, 3, [40])
    distance = np.abs(whole - np.linspace(-1.0, 2.0, 6) - np.arange(3)[:, np.newaxis]).mean()
    assert distance < np.abs(np.linspace(-1.0, 2.0, 6) + np.arange(3)[:, np.newaxis]).mean(), (
        f"{optimizer!r} does not come nearer to the lowest point of a bowl in 40 updates."
    )
    assert np.allclose(whole[:1], _descended(optimizer, 1, [40]), rtol=1e-9), (
        f"{optimizer!r} moves a member of a stack otherwise than alone."
    )
    assert np.array_equal(whole, _descended(optimizer, 3, [1, 16, 23])), (
        f"{optimizer!r} goes on otherwise after a break: what it remembers must be in its n_moments moments."
    )


def check_update_blocks(optimizer: Optimizer) -> None:
    """Weights that are updated block by block become what they become at once."""
    rng = np.random.default_rng(0)
    first, slopes = rng.normal(size=(2, 70)), rng.normal(size=(5, 2, 70))

    class Blocks(type(optimizer)):  # type: ignore[misc]
        BLOCK_BYTES = 8 * 32

    problems = []
    for cls in (type(optimizer), Blocks):
        part: Any = object.__new__(cls)
        part.__dict__.update(vars(optimizer))
        parameters, gradient = first.copy(), np.empty_like(first)
        update = part.bind(parameters, gradient, list(np.zeros((optimizer.n_moments, 2, 70))))
        for t, slope in enumerate(slopes, 1):
            gradient[:] = slope
            update(np.array([[0.01], [0.02]]), t)
        problems.append(parameters)
    assert np.allclose(problems[0], problems[1], rtol=1e-12), (
        f"{optimizer!r}: each weight must be updated by itself, since large stacks are cut."
    )


def check_factors(schedule: Schedule) -> None:
    """Factors are finite, at least 0 and not all 0, and those of one update are the same alone and among others."""
    t = np.linspace(0.0, 1.3, 27)
    factors = np.asarray(schedule.factors(t, 0.01))
    assert factors.shape == t.shape and np.isfinite(factors).all() and (factors >= 0).all() and factors.any(), (
        f"{schedule!r} must give a finite factor of at least 0 for each update, and not only 0."
    )
    alone = np.array([schedule.factors(item[np.newaxis], 0.01)[0] for item in t])
    assert np.allclose(factors, alone, rtol=1e-12), (
        f"{schedule!r} gives an update another factor among others than alone."
    )
    assert np.allclose(factors[t > 1], factors[t > 1][0]), f"{schedule!r} changes beyond its horizon."


def check_schedule_memory(schedule: Schedule) -> None:
    """What it remembers are arrays of members, each of which goes by its own errors."""
    memory, alone = schedule.start(2), schedule.start(1)
    for name, values in memory.items():
        assert isinstance(values, np.ndarray) and values.shape[:1] == (2,), (
            f"{schedule!r}: {name!r} must be an array with a first axis of members."
        )
    for i, error in enumerate([*np.linspace(1.0, 0.5, 6), *np.full(30, 0.5), np.nan, np.inf]):
        schedule.observe(memory, np.array([error, 9.0 - 0.2 * i]))  # the other one gets better all the time
        schedule.observe(alone, np.array([error]))
        both, one = schedule.scale(memory), schedule.scale(alone)
        assert (both is None) == (one is None), f"{schedule!r}: `scale` is None now and then."
        assert both is None or one is None or both[0] == one[0], (
            f"{schedule!r} has another factor for a member of a stack."
        )


def check_data(data: Bundled) -> None:
    """It is loaded as a data frame and a target, equal each time."""
    assert data.task in ("classification", "regression"), (
        f"task must be classification or regression, and is {data.task!r}."
    )
    one, again = data.load(as_frame=True), data.load(as_frame=True)
    assert isinstance(one.data, pd.DataFrame) and isinstance(one.target, pd.Series | pd.DataFrame), (
        "load(as_frame=True) must return an object with a data frame `data` and a Series or data frame `target`."
    )
    assert len(one.data) == len(one.target) > 1, (
        f"There are {len(one.data)} rows of data and {len(one.target)} of the target."
    )
    pd.testing.assert_frame_equal(one.data, again.data)
    assert np.array_equal(np.asarray(one.target), np.asarray(again.target)), "The target is another one each time."
    assert data.summary, "A summary of one line is missing."


ACTIVATION_CHECKS = (check_activation_derivative, check_activation_stack, check_activation_extremes)
ERROR_CHECKS = (check_error_gradient, check_error_stack)
INITIALIZER_CHECKS = (check_first_weights,)
OPTIMIZER_CHECKS = (check_update, check_update_blocks)
SCHEDULE_CHECKS = (check_factors, check_schedule_memory)
DATA_CHECKS = (check_data,)
