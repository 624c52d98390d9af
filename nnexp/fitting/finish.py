"""What a finished training becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from nnexp._threads import one_thread
from nnexp.fitting.plan import Plan
from nnexp.model import Model, OutOfFold, chunks
from nnexp.targets import Target, r2_influence
from nnexp.training import Training

Array = NDArray[Any]


def finish(plan: Plan, training: Training, is_mixed: bool = False) -> Model:
    """Return what a training has made of a plan.

    With cross-fitting the probabilities are calibrated, and the predictions of samples by the network that has not seen
    them are kept; but not where ``is_mixed``, when it has learnt from other samples before, and perhaps from these.
    """
    model = plan.model_of(training)
    if plan.how != "cross" or is_mixed:
        return model
    return _with_out_of_fold(plan, model, plan.model_of(training, companions=True) if plan.has_companions else model)


def _with_out_of_fold(plan: Plan, model: Model, everyone: Model) -> Model:
    """Return a model, calibrated, with the predictions out of fold; ``everyone`` has all networks that set samples aside."""
    problem, target, rows = plan.task.problem, plan.target, plan.rows
    outputs, expected = _outputs_out_of_fold(plan, everyone)
    if target.is_numeric:
        assert problem.validation is not None
        outputs, expected = outputs.astype(np.float64), rows.y
        for member, validation in enumerate(problem.validation):
            outputs[validation] = target.of(member).values(outputs[validation])
    elif target.probabilistic and problem.objective.error_function.name.endswith("cross_entropy"):
        temperature = fit_temperature(outputs, expected, rows.weight)
        if (
            plan.has_companions
        ):  # that all of few samples were right is no reason to be surer than what has learnt from them
            temperature = max(1.0, temperature)
        model = model.calibrated(temperature)
        assert model.temperature is not None
        outputs = at_temperature(outputs, model.temperature)
    values = outputs if target.is_numeric else target.as_expected(outputs)
    score, score_error = score_and_error(target, values, expected, rows.weight)
    shown = target.shown(values)
    prediction = np.full((rows.n_given, *shown.shape[1:]), np.nan, dtype=shown.dtype)
    prediction[rows.numbers] = shown
    if len(rows) < rows.n_given:
        numbers, features = rows.left_out()
        prediction[numbers] = target.shown(model.values_of(features))
    return replace(model, out_of_fold=OutOfFold(prediction, score, score_error))


def _outputs_out_of_fold(plan: Plan, model: Model) -> tuple[Array, Array]:
    """Return for each sample the outputs of the network that has not learnt from it, and the expected ones."""
    problem, network = plan.task.problem, model.network
    outputs = np.empty((len(plan.rows), network.n_outputs), dtype=problem.dtype)
    expected = np.empty_like(outputs)
    assert problem.validation is not None
    with one_thread():
        for member, rows in enumerate(problem.validation):
            for here in chunks(len(rows), network.n_inputs):
                predicted = rows[here]
                block = problem.samples.block(predicted)[:, : problem.samples.n_inputs]
                outputs[predicted] = network.forward(model.parameters[member], block)
            expected[rows] = problem.expected_of(rows, member)
    return outputs, expected


def fit_temperature(outputs: Array, expected: Array, weight: Array | None, is_exclusive: bool | None = None) -> float:
    """Return the temperature at which probabilities give what happened the highest likelihood (Guo et al. 2017).

    Parameters
    ----------
    outputs : array of shape (n, n_outputs)
        Probabilities of classes; of one output, or of several labels, each by itself.
    expected : array of shape (n, n_outputs)
    weight : array of shape (n,), or None
    is_exclusive : bool or None, default=None
        Whether they are of classes that exclude each other; None to see whether they add up to 1.

    Returns
    -------
    float
        Between 0.2 and 20. What is divided by it are the inputs z of the output neurons.
    """
    adds_up = _adds_up(outputs) if is_exclusive is None else is_exclusive

    def error(log_temperature: float) -> float:
        p = at_temperature(outputs.astype(np.float64), float(np.exp(log_temperature)), is_exclusive)
        tiny = np.finfo(np.float64).tiny
        each = special.xlogy(expected, np.maximum(p, tiny))
        if p.shape[1] == 1 or not adds_up:
            each = each + special.xlogy(1.0 - expected, np.maximum(1.0 - p, tiny))
        return -float(np.average(each.sum(axis=1), weights=weight))

    minimum = optimize.minimize_scalar(error, bounds=(np.log(0.2), np.log(20.0)), method="bounded")
    return float(np.exp(minimum.x))


def at_temperature(outputs: Array, temperature: float, is_exclusive: bool | None = None) -> Array:
    """Return the probabilities that outputs would be if the inputs of their neurons were divided by a temperature."""
    tiny = np.finfo(outputs.dtype).tiny
    z = np.log(np.maximum(outputs, tiny))
    if outputs.shape[1] > 1 and (_adds_up(outputs) if is_exclusive is None else is_exclusive):
        return special.softmax(z / temperature, axis=1).astype(outputs.dtype)
    z -= np.log(np.maximum(1.0 - outputs, np.finfo(outputs.dtype).epsneg / 2))
    return special.expit(z / temperature).astype(outputs.dtype)


def _adds_up(outputs: Array) -> bool:
    return bool(np.allclose(outputs.sum(axis=1), 1.0, atol=1e-4))


def score_and_error(target: Target, values: Array, expected: Array, weight: Array | None) -> tuple[float, float]:
    """Return accuracy or R², and half the width of its 95 % interval by the influence of each sample on it."""
    score = target.hits(values, expected, weight)
    w = np.ones(len(values)) if weight is None else weight
    w = w / w.sum()
    influence = r2_influence(values, expected, weight) if target.is_numeric else target.right(values, expected) - score
    return score, float(1.96 * np.sqrt((w**2 * influence**2).sum()))
