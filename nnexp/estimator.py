"""BackpropMLP: the scikit-learn face of a network and its training."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse, special
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, get_scorer, get_scorer_names, r2_score
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)
from sklearn.utils import ClassifierTags, RegressorTags, Tags, _safe_indexing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

import nnexp.saving as saving
from nnexp._errors import quoted
from nnexp._names import check_choice, check_number, is_integer, is_number
from nnexp.callbacks import Caller, Checkpoint, check_callbacks
from nnexp.network import ACTIVATIONS, INITIALIZERS, Activation, Network
from nnexp.network.connections import MOST_LAYERS, resolve_connections
from nnexp.network.error_functions import (
    CrossEntropy,
    ErrorFunction,
    SoftmaxCrossEntropy,
    ZeroOne,
    make_objective,
    resolve_error_function,
)
from nnexp.network.network import resolve_hidden_activations
from nnexp.network.samples import Samples
from nnexp.onnx_export import to_onnx
from nnexp.targets import Classes, Labels, Numbers, Target
from nnexp.training import (
    ALGORITHMS,
    DESCENT_MODES,
    OPTIMIZERS,
    Algorithm,
    Descent,
    Hyperparameters,
    Problem,
    Schedule,
    Stopping,
    Training,
    resolve_schedule,
)
from nnexp.training.loop import check_room
from nnexp.training.schedules import Constant
from nnexp.training.stack import Task, one_thread, train

try:  # experimental in scikit-learn: used where it is, needed nowhere
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


Array = NDArray[Any]

# From this many samples for each network on, several networks are cross-fitted unless told otherwise.
_CROSS_SAMPLES = 20
# From this many samples on, an algorithm that wants validation gets some unless told otherwise.
_WANTED_SAMPLES = 200
# The steps of a training that something else stops.
_UNLIMITED = 2**31 - 1
# What predict works on at a time, in rows and in bytes of their inputs, so that its memory does not grow with them.
_PREDICT_ROWS, _PREDICT_BYTES = 8192, 1 << 24

VALIDATIONS = {
    "auto": "cross-fitting for several networks, a part set aside from 10,000 samples on, else none",
    "none": "all samples train; nothing is restored",
    "holdout": "validation_fraction of the samples is set aside",
    "cross": "each network sets its own fold aside, so that every sample is unseen by one network",
}


def _output_name(estimator: BackpropMLP) -> str:
    """Return the name of the output activation: of the fitted network, or as the parameters have it before fit."""
    if "network_" in vars(estimator):
        return estimator.network_.activations[-1].name
    return estimator._output_parts()[1]


def _is_classifier(estimator: BackpropMLP) -> bool:
    return hasattr(estimator, "classes_") if "network_" in vars(estimator) else estimator.task == "classification"


def _is_probabilistic(estimator: BackpropMLP) -> bool:
    """Whether the outputs are probabilities of classes."""
    if not _is_classifier(estimator):
        raise AttributeError("predict_proba is for task='classification'.")
    if _output_name(estimator) not in ("softmax", "sigmoid"):
        raise AttributeError(
            f"output_activation={quoted(_output_name(estimator))} gives no probabilities: use decision_function, or "
            "output_activation='softmax' or 'sigmoid'."
        )
    return True


def _is_margin(estimator: BackpropMLP) -> bool:
    """Whether the outputs are scores of classes that are no probabilities."""
    return _is_classifier(estimator) and _output_name(estimator) not in ("softmax", "sigmoid")


def _streams(estimator: BackpropMLP) -> bool:
    """Whether the algorithm can train on a stream of data."""
    with contextlib.suppress(ValueError, TypeError):  # what fit says is wrong
        if not ALGORITHMS.resolve(estimator.algorithm, "algorithm").endless:
            raise AttributeError(
                "partial_fit trains on a stream of data, which has no end, and algorithm='chain' shares out a number of steps: use "
                "fit, or algorithm='alternate'."
            )
    return True


def _threshold(activation: Activation, error_function: ErrorFunction) -> float:
    """Return what one output that stands for two classes must exceed to mean the second."""
    return 0.5 if activation.limits == (0.0, 1.0) else error_function.threshold


def _fingerprint(problem: Problem, scores: Any) -> str:
    """Return a hash of all that the errors of a problem depend on besides the weights, and of the scores that decide."""
    digest = hashlib.blake2b(digest_size=16)
    arrays = [*problem.samples.parts, problem.expected, problem.weight, problem.shift]
    for array in (*arrays, *problem.training, *(problem.validation or [])):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
    settings = problem.settings
    digest.update(repr((problem.objective, settings.l1, settings.l2, problem.score_decides, scores)).encode())
    return digest.hexdigest()


@dataclass
class _Prepared:
    """A fit that is ready to be trained.

    Attributes
    ----------
    task : Task
    algorithm : Algorithm
        As the parameters have it; that of the task is what it chose.
    network : Network
    target : Target
        Of all networks, or for `Numbers` with a mean and a scale for each.
    rows : array of int
        The numbers of the samples that take part, those that weigh something, among those that were given.
    weight : array or None
        Of these samples.
    n_given : int
        Samples that were given.
    left_out : array, sparse array or None
        The samples that weigh nothing, where cross-fitting is to predict them too.
    validation : str
        The resolved way of validation.
    key : str
        A hash of parameters and data, where a warm start or a checkpoint needs it.
    """

    task: Task
    algorithm: Algorithm
    network: Network
    target: Target
    rows: Array
    weight: Array | None
    n_given: int
    left_out: Any
    validation: str
    key: str = ""


@dataclass
class _Left:
    """What a fit has left for the next one to go on from.

    Attributes
    ----------
    training : Training or None
        None where nothing but the weights is known.
    network, target, dtype, optimizer, schedule
        What may not change.
    key : str
        A hash of the data.
    """

    training: Training | None
    network: Network
    target: Target
    dtype: Any
    optimizer: Any = None
    schedule: Any = None
    key: str = ""


@dataclass
class _PlainScore:
    """Accuracy or R² of a network's outputs on its validation samples."""

    target: Target
    expected: Array
    weight: Array | None

    def __call__(self, outputs: Array, parameters: Array) -> float:
        return self.target.hits(
            self.target.values(outputs) if isinstance(self.target, Classes) else outputs, self.expected, self.weight
        )


class _ChosenScore:
    """A score of scikit-learn's or of the user's, computed from outputs that are known already."""

    def __init__(
        self,
        parameter: str,
        what: str,
        estimator: BackpropMLP,
        network: Network,
        target: Target,
        X: Any,
        y: Array,
        weight: Array | None,
    ) -> None:
        scoring = getattr(estimator, parameter)
        self._scorer, self._name = _scorer(parameter, scoring), f"{parameter}={quoted(scoring)}"
        self._what = what
        probe = copy.copy(estimator)
        for name in ("_left", "callbacks", "_skl_callbacks"):
            probe.__dict__.pop(name, None)
        probe.callbacks = None
        probe.network_, probe._target = network, target
        probe._history, probe.n_iter_ = [{"step": []}], 0
        self._probe, self._X = probe, X
        self._y = y[:, 0] if isinstance(target, Numbers) and target.flat else y
        self._weight = weight

    def __call__(self, outputs: Array, parameters: Array) -> float:
        score = self._of(outputs, parameters, self._X, self._y, self._weight)
        if not np.isfinite(score) and np.isfinite(outputs).all():
            raise ValueError(
                f"{self._name} gives {score} on the {len(self._y)} {self._what} samples: it needs more, or other ones."
            )
        return score

    def _of(self, outputs: Array, parameters: Array, X: Any, y: Array, weight: Array | None) -> float:
        """Return the score of a network whose outputs for X are known."""
        self._probe.parameters_ = parameters[np.newaxis]
        self._probe._known = (X, self._probe._target.values(outputs))
        weighted = {} if weight is None or not hasattr(self._scorer, "_sign") else {"sample_weight": weight}
        try:
            return float(self._scorer(self._probe, X, y, **weighted))
        except Exception as error:
            raise ValueError(f"{self._name} failed on the {len(y)} {self._what} samples: {error}") from error


class _Fitness(_ChosenScore):
    """A score by which evolution selects, on any rows. What it gives may be NaN, such as where a batch lacks a class."""

    _rows: Any = None

    def __call__(self, outputs: Array, parameters: Array, rows: Array) -> float:  # type: ignore[override]
        if rows is not self._rows:  # the same for a whole population
            self._rows, self._block = rows, self._X[rows]
        weight = None if self._weight is None else self._weight[rows]
        return self._of(outputs, parameters, self._block, self._y[rows], weight)


def _scorer(parameter: str, scoring: Any) -> Any:
    """Return the scorer that a name or a callable stands for."""
    if callable(scoring):
        return scoring
    if not isinstance(scoring, str):
        raise TypeError(f"{parameter} must be a name of scikit-learn's, a scorer or None. Got {quoted(scoring)}.")
    check_choice(parameter, scoring, get_scorer_names())
    return get_scorer(scoring)


class _ScikitLearnCallbacks:
    """Calls the callbacks that were set by scikit-learn's `set_callbacks`, each step a task of the fit."""

    def __init__(self, estimator: BackpropMLP, X: Any, y: Any, prepared: _Prepared) -> None:
        self._estimator, self._X, self._y, self._prepared = estimator, X, y, prepared
        self._context: Any = None

    def on_start(self, state: Any) -> None:
        estimator: Any = self._estimator
        self._context = estimator._init_callback_context(max_subtasks=None)
        self._context.call_on_fit_task_begin(estimator=estimator, X=self._X, y=self._y)

    def on_step(self, state: Any) -> bool:
        step = self._context.subcontext(task_name="step")
        step.call_on_fit_task_begin(estimator=self._estimator, X=self._X, y=self._y)
        return bool(
            step.call_on_fit_task_end(
                estimator=self._estimator, X=self._X, y=self._y, reconstruction_attributes=lambda: self._fitted(state)
            )
        )

    def on_end(self) -> None:
        self._context.call_on_fit_task_end(estimator=self._estimator, X=self._X, y=self._y)

    def _fitted(self, state: Any) -> dict[str, Any]:
        prepared, training = self._prepared, state.training
        members = range(len(training.parameters))
        found = {
            "network_": prepared.network,
            "parameters_": training.parameters.copy(),
            "_target": prepared.target,
            "_history": [training.log.columns(member) for member in members],
            "n_iter_": state.step,
        }
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(self._estimator, name):
                found[name] = getattr(self._estimator, name)
        return found


def _best_of(columns: dict[str, list[Any]], by_score: bool, first: int) -> tuple[float, float]:
    """Return the error and the score of the chosen step of one network, among those after the first ones."""
    if first < len(columns["step"]):
        columns = {name: values[first:] for name, values in columns.items()}
    validation, scores = columns["validation_error"], columns["validation_score"]
    if by_score and not np.isnan(scores).all():
        best = int(np.nanargmax(scores))
        return validation[best], scores[best]
    errors = columns["error"] if np.isnan(validation).all() else validation
    best = int(np.nanargmin(errors)) if not np.isnan(errors).all() else 0
    return errors[best], scores[best]


def _in_one_sentence(reasons: list[str]) -> str:
    """Put the reasons of several networks together."""
    counts = Counter(reasons)
    if len(reasons) == 1:
        return reasons[0]
    if len(counts) == 1:
        return f"All {len(reasons)} networks: {reasons[0]}"
    return " ".join(f"{count} of {len(reasons)} networks: {reason}" for reason, count in counts.most_common())


def fit_temperature(outputs: Array, expected: Array, weight: Array | None) -> float:
    """Return the temperature at which probabilities give what happened the highest likelihood (Guo et al. 2017).

    Parameters
    ----------
    outputs : array of shape (n, n_outputs)
        Probabilities of classes; of one output, or of several labels, each by itself.
    expected : array of shape (n, n_outputs)
    weight : array of shape (n,), or None

    Returns
    -------
    float
        Between 0.2 and 20. What is divided by it are the inputs z of the output neurons.
    """

    def error(log_temperature: float) -> float:
        p = at_temperature(outputs.astype(np.float64), float(np.exp(log_temperature)))
        tiny = np.finfo(np.float64).tiny
        each = special.xlogy(expected, np.maximum(p, tiny))
        if p.shape[1] == 1 or not _adds_up(outputs):
            each = each + special.xlogy(1.0 - expected, np.maximum(1.0 - p, tiny))
        return -float(np.average(each.sum(axis=1), weights=weight))

    found = optimize.minimize_scalar(error, bounds=(np.log(0.2), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def at_temperature(outputs: Array, temperature: float) -> Array:
    """Return the probabilities that outputs would be if the inputs of their neurons were divided by a temperature."""
    tiny = np.finfo(outputs.dtype).tiny
    z = np.log(np.maximum(outputs, tiny))
    if outputs.shape[1] > 1 and _adds_up(outputs):
        return special.softmax(z / temperature, axis=1).astype(outputs.dtype)
    z -= np.log(np.maximum(1.0 - outputs, np.finfo(outputs.dtype).epsneg / 2))
    return special.expit(z / temperature).astype(outputs.dtype)


def _adds_up(outputs: Array) -> bool:
    return bool(np.allclose(outputs.sum(axis=1), 1.0, atol=1e-4))


def _score_and_error(target: Target, values: Array, expected: Array, weight: Array | None) -> tuple[float, float]:
    """Return accuracy or R², and half the width of its 95 % interval by the influence of each sample on it."""
    score = target.hits(values, expected, weight)
    w = np.ones(len(values)) if weight is None else weight
    w = w / w.sum()
    if isinstance(target, Numbers):
        mean = (w[:, np.newaxis] * expected).sum(axis=0)
        squares = (expected - mean) ** 2
        total = (w[:, np.newaxis] * squares).sum(axis=0)
        ratio = (w[:, np.newaxis] * (values - expected) ** 2).sum(axis=0) / np.where(total > 0, total, 1.0)
        influence = (((values - expected) ** 2 - ratio * squares) / np.where(total > 0, total, 1.0)).mean(axis=1)
    else:
        influence = _right(target, values, expected) - score
    return score, float(1.96 * np.sqrt((w**2 * influence**2).sum()))


def _right(target: Target, values: Array, expected: Array) -> Array:
    """Return 1 for each sample that is classified rightly, else 0."""
    if isinstance(target, Labels):
        return (target.decode(values) == expected).all(axis=1).astype(float)
    assert isinstance(target, Classes)
    return (target.codes(values) == target.codes(expected)).astype(float)


class BackpropMLP(CallbackSupportMixin, BaseEstimator):
    """A multilayer perceptron in which everything can be swapped, trained by backpropagation or evolution.

    Features of similar size train best: put a StandardScaler before it.

    Parameters
    ----------
    task : {"classification", "regression"}, default="classification"
        What y is; never guessed from it.
    hidden_layer_sizes : int or sequence of int, default=(64, 64)
        Neurons of each hidden layer. An empty sequence gives a linear model.
    activation : str, Activation, mapping or list, default="tanh"
        Of all hidden layers, or a list with one entry for each. An entry may be a mapping of names to numbers of
        neurons (``{"tanh": 16, "relu": 16}``) or a list with one name for each neuron. ``nnexp list`` shows the
        names.
    output_activation : str or Activation, default="auto"
        ``"auto"`` is what goes with the task and the error function: softmax for several classes, sigmoid for
        two, identity for regression.
    error_function : str, mapping or ErrorFunction, default="auto"
        What training minimises. ``"auto"`` is cross-entropy for classification and squared error for regression.
    connections : "full", "skip", float or mapping, default="full"
        Which neurons feed which; see `Network`.
    bias : bool, default=True
        Whether each layer has a bias neuron.
    initializer : str or Initializer, default="auto"
        How the first weights are drawn.
    algorithm : str, mapping or Algorithm, default="backprop"
        ``"backprop"``; ``"evolution"``, which chooses among evolution strategies; ``"genetic"``, ``"snes"``, ``"openai_es"``,
        ``"cma_es"``, ``"sep_cma_es"``; ``"memetic"`` and ``"pbt"``, which evolve and descend; or an object with settings of
        its own, such as `GeneticAlgorithm`, or made of others: `Chain`, `Alternate`.
    descent : {"stochastic", "mini-batch", "batch"}, default="mini-batch"
        An update after each sample, each batch_size samples, or all; with the average gradient of its samples.
    batch_size : int, default=64
        Samples of an update, for ``descent="mini-batch"``.
    optimizer : str, mapping or Optimizer, default="adam"
        What a gradient does to the weights.
    learning_rate : float, default=0.005
        How far an update goes.
    schedule : str, mapping, Schedule or callable, default="cosine"
        A factor of the learning rate over the course of training: ``"constant"``, ``"cosine"``, ``"coslog4"``, ``"one_cycle"``,
        ``"exponential"``, ``"plateau"``, with settings such as ``{"name": "cosine", "warmup": 0.1}``, or a function of
        the fraction of training that is done.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    max_iter : int or "auto", default="auto"
        Steps at most: epochs of descent, or generations of evolution. ``"auto"`` is as many as max_evaluations allows, if
        that is given, and for evolution as many as max_seconds allows; else 100 epochs, or more where those make fewer than
        1,000 updates, and 200 generations. A schedule is laid out for that number.
    max_seconds : float or None, default=None
        Time at most; looked at after each step. Results then depend on the machine.
    max_evaluations : int or None, default=None
        Cost at most, of each network; training stops before a step that would exceed it, but not before the first.
    validation : {"auto", "none", "holdout", "cross"}, default="auto"
        Which samples stop the training and choose the best parameters. ``"holdout"`` sets a part aside. ``"cross"``,
        for ``n_networks`` of 2 or more, lets each network set aside its own fold and learn from the rest. ``"auto"``
        is ``"cross"`` for several networks, else ``"holdout"`` from 10,000 samples on, else ``"none"``. Samples of
        your own, ``fit(X, y, X_val=..., y_val=...)``, come before all these.
    validation_fraction : float, default=0.1
        The part set aside, in (0, 1); stratified by class, or by whole groups where `fit` is given ``groups``.
    scoring : str, callable or None, default=None
        The score that chooses, by scikit-learn's names or as a scorer. None for the error.
    fitness : str, callable or None, default=None
        The score that evolution selects by instead of the error, and that chooses where ``scoring`` names none; by
        scikit-learn's names or as a scorer. It is computed network by network: ``error_function="zero_one"`` is faster than
        ``fitness="accuracy"``.
    n_iter_no_change : int, inf or "auto", default="auto"
        Steps without improvement before training stops; infinite for any number. ``"auto"`` is 10 epochs of descent at
        a constant rate; under a schedule, which improves most at its end, 20 where there is validation and any number
        elsewhere; 50 generations of evolution.
    tol : float, default=1e-4
        What counts as an improvement, in units of the error function, or of the score.
    l1 : float, default=0.0
        Adds l1 · Σ |w| over all but bias weights to the mean error, whatever the batch size.
    l2 : float or "auto", default="auto"
        Adds ½ · l2 · Σ w² over all but bias weights to the mean error, whatever the batch size. ``"auto"`` is 0.0001
        where validation stops the training; elsewhere 0.002 for classification and 0.0003 for regression.
    weight_decay : float, default=0.0
        λ of w ← w − η λ w at each update of descent, on all but bias weights; decoupled from the gradient.
    dropout : float, sequence of float or "auto", default="auto"
        The probability, in [0, 1), that a hidden neuron's output is left out of an update of descent; one for all
        hidden layers, or one for each. ``"auto"`` is 0.1 for classification where no validation stops the training and
        an update sees a part of the samples only, so that it is random anyway; else 0.
    label_smoothing : float, default=0.0
        The share of an expected class, in [0, 1), that descent spreads evenly over all classes.
    clip_norm : float or None, default=None
        The longest that the gradient of an update may be.
    class_weight : mapping, "balanced" or None, default=None
        Weights of the classes, multiplied with those of the samples. ``"balanced"`` gives all classes the same total.
    n_networks : int, default=1
        Networks that are trained as one stack from different first weights; predictions are their average.
    normalize_y : bool, default=True
        Whether a regression learns y in units of its standard deviation around its mean, as of the samples that train.
        Predictions are in the units of y; errors, such as those in `history_`, in standardised ones. It has no effect
        on error functions for positive targets and on outputs that are not the identity.
    dtype : {"auto", "float32", "float64"}, default="auto"
        The precision of training and prediction. ``"auto"`` is that of X: float32 for float32, else float64.
        float32 is up to twice as fast.
    warm_start : bool, default=False
        Whether `fit` goes on where the last one ended: weights, optimiser, schedule and random numbers included. Set it
        before the first fit; a fit that diverged starts anew.
    callbacks : list or None, default=None
        Objects with a method ``on_step(state)``, or functions of the state, called after each step; what returns True
        stops training. See `ProgressBar` and `Checkpoint`.
    n_jobs : int or None, default=None
        Processes that the networks are shared out among, as joblib counts them; None is 1.
    random_state : int, numpy RandomState or None, default=None
        An int makes everything that is random repeatable.
    verbose : bool, default=False
        Whether to print a line for each step.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Classification only; of a multilabel one the numbers of the labels.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features_in_,)
        Where X has names of columns that are all strings.
    network_ : Network
        The same for all networks of a stack; they differ in their weights.
    algorithm_ : Algorithm
        What trained them: ``algorithm``, or what it chose.
    architecture_ : pandas.DataFrame
        A row for each network: its connections whose weight is not 0, how many there could be, and its hidden neurons of each
        activation. What evolution has made of them, or what the parameters say.
    parameters_ : array of shape (n_networks, D)
        The weights, one row for each network, see `Network.weights`. Probabilities of cross-fitting are calibrated:
        the weights into the output neurons are divided by `temperature_`.
    members_ : list of BackpropMLP
        Each network by itself, as a fitted estimator.
    coefs_, intercepts_ : list of arrays
        The weights as scikit-learn's MLP shapes them, for one network where each layer feeds the next one only.
    history_ : pandas.DataFrame
        One row a step: step, error (on the training data, without the penalties), validation_error, validation_score
        (accuracy or R², or that of ``scoring``), evaluations and seconds so far; evolution adds columns on the
        population. Of several networks, one row for each and step, with a column network.
    n_iter_ : int
        Steps done; the most of all networks.
    stop_reason_ : str
        Why training stopped, in a sentence.
    best_error_ : float
        The lowest error on the validation data if there is any, else on the training data; the mean over networks.
    best_validation_score_ : float or None
        The score of the chosen parameters on the validation data, if there is any; the mean over networks.
    evaluations_ : int
        What training cost: forward passes of one network over one sample, a forward and backward pass counting
        three; of all networks.
    oof_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs)
        With ``validation="cross"``: for each sample the probabilities (or outputs, or values) by the one network that
        has not learnt from it; samples of weight 0 have the average of all.
    oof_score_, oof_score_error_ : float
        Accuracy or R² of that, and half the width of its 95 % interval: an estimate without a test set. Two things pull
        at it: one network predicts each sample, and the average of all is better; and the fold has chosen the step at
        which its network stopped, which flatters it on few samples, and more where ``scoring`` chooses.
    temperature_ : float
        With ``validation="cross"`` and probabilities: what calibrates them, fitted to `oof_prediction_`.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating errors", Nature 323.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BackpropMLP(hidden_layer_sizes=(16,), learning_rate=0.01, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    >>> model.network_
    <Network 4-16-3: tanh, softmax; connections full; 131 parameters>
    """

    network_: Network

    def __init__(
        self,
        task: Literal["classification", "regression"] = "classification",
        *,
        hidden_layer_sizes: Any = (64, 64),
        activation: Any = "tanh",
        output_activation: Any = "auto",
        error_function: Any = "auto",
        connections: Any = "full",
        bias: bool = True,
        initializer: Any = "auto",
        algorithm: Any = "backprop",
        descent: str = "mini-batch",
        batch_size: int = 64,
        optimizer: Any = "adam",
        learning_rate: float = 0.005,
        schedule: Any = "cosine",
        shuffle: bool = True,
        max_iter: int | str = "auto",
        max_seconds: float | None = None,
        max_evaluations: int | None = None,
        validation: str = "auto",
        validation_fraction: float = 0.1,
        scoring: Any = None,
        fitness: Any = None,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        l1: float = 0.0,
        l2: float | str = "auto",
        weight_decay: float = 0.0,
        dropout: Any = "auto",
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        class_weight: Any = None,
        n_networks: int = 1,
        normalize_y: bool = True,
        dtype: Any = "auto",
        warm_start: bool = False,
        callbacks: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.task = task
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
        self.error_function = error_function
        self.connections = connections
        self.bias = bias
        self.initializer = initializer
        self.algorithm = algorithm
        self.descent = descent
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.shuffle = shuffle
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.max_evaluations = max_evaluations
        self.validation = validation
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.fitness = fitness
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.l1 = l1
        self.l2 = l2
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.class_weight = class_weight
        self.n_networks = n_networks
        self.normalize_y = normalize_y
        self.dtype = dtype
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        groups: ArrayLike | None = None,
    ) -> BackpropMLP:
        """Train the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Finite numbers; arrays, data frames, CSR. Features of similar size train best: put a StandardScaler before.
            A sparse X stays sparse but for the samples at work.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes of any type, 0 and 1 for each of several labels, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 equals the sample twice, 0 its absence.
        X_val, y_val : array-like, default=None
            Samples of your own that stop the training and choose the best parameters; none of them is learnt from.
        groups : array-like of shape (n_samples,), default=None
            Samples of one group are set aside together.

        Returns
        -------
        BackpropMLP
            Itself.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that are impossible, each with a sentence.
        """
        with self._restored_on_failure():
            return self._fit(X, y, sample_weight, X_val, y_val, groups)

    @with_callbacks
    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, groups: Any) -> BackpropMLP:
        left = getattr(self, "_left", None) if self.warm_start else None
        prepared = self._prepare(X, y, sample_weight, X_val, y_val, groups, left=left)
        training = self._train(prepared, left, X, y)
        self._take(prepared, training)
        return self

    @available_if(_streams)
    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> BackpropMLP:
        """Do one step of training, an epoch or a generation, on the samples given.

        It goes on from the last call of `partial_fit` or from a `fit`; from one without ``warm_start`` it takes the
        weights, and the optimiser and the history start anew. Nothing is set aside, and the learning rate is constant
        unless the schedule has a horizon.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The mean and the scale of a regression's target are those of the first call.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur; needed in the first call of a classification.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        BackpropMLP
            Itself.
        """
        with self._restored_on_failure():
            left = getattr(self, "_left", None)
            if left is None and "network_" in vars(self):  # after a fit that kept nothing but the weights
                left = _Left(None, self.network_, self._target, self.parameters_.dtype)
            if left is None and self.task == "classification" and classes is None:
                raise ValueError("classes must be given in the first call of partial_fit: all classes that will occur.")
            prepared = self._prepare(X, y, sample_weight, left=left, classes=classes, one_step=True)
            training = self._train(prepared, left, X, y)
            self._take(prepared, training, keep=True)
            return self

    @contextlib.contextmanager
    def _restored_on_failure(self) -> Iterator[None]:
        """Leave the model as it was where a fit fails or is interrupted."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def save(self, path: str | Path) -> None:
        """Write the fitted model to a file of arrays and JSON, which `nnexp.load` reads.

        The file holds no code: parameters ``callbacks``, a callable ``scoring`` and a ``random_state`` that is no int
        are left out, and parts made of functions of your own are refused. Nor does it hold the state of training: a warm
        start of the loaded model begins anew, and `partial_fit` goes on from the weights.

        Parameters
        ----------
        path : str or Path
            Such as ``"model.nnexp"``. An existing file is replaced as a whole.

        Raises
        ------
        SavingError
            If the model is not fitted, holds code of your own, or the file cannot be written.
        """
        saving.save(path, self)

    def to_onnx(self, path: str | Path | None = None) -> Any:
        """Return the fitted model as an ONNX graph, for programs without Python; needs the extra ``nnexp[onnx]``.

        The graph takes ``X`` of shape (n, n_features) and computes in float32. A classification gives ``label``
        and ``probabilities`` (or ``scores`` where outputs are no probabilities), one of several labels ``labels`` and
        ``probabilities``, a regression ``prediction`` of shape (n, n_outputs).

        Parameters
        ----------
        path : str or Path, default=None
            Where to write it as well.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ImportError
            Without the package onnx.
        ValueError
            For an activation of your own, or a model that is not fitted.
        """
        return to_onnx(self, path)

    def check_fit(self, X: ArrayLike, y: ArrayLike) -> None:
        """Check parameters and data as `fit` does, without training.

        Raises
        ------
        ValueError, TypeError
            As `fit` does.
        """
        copy.deepcopy(self)._prepare(X, y)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        groups: Any = None,
        left: _Left | None = None,
        classes: Any = None,
        one_step: bool = False,
        tables: dict[Any, Any] | None = None,
        checked: Algorithm | None = None,
    ) -> _Prepared:
        """Check everything and make the task; nothing of the estimator but what describes the data changes.

        ``tables`` keeps the tables of inputs and the networks of several fits, so that equal ones are shared. ``checked`` is
        the algorithm of an estimator with the same parameters, which then need no second check.
        """
        algorithm = self._check_parameters() if checked is None else checked
        known = left.target if left is not None and one_step else None
        for name in ("classes_", "_target"):  # what only a fit of the other task sets
            self.__dict__.pop(name, None)
        features, y, weight, rows, n_given = self._check_data(X, y, sample_weight, reset=known is None)
        if groups is not None:
            try:
                groups = column_or_1d(check_array(groups, ensure_2d=False, dtype=None))
                groups = np.unique(groups, return_inverse=True)[1]
                check_consistent_length(groups, np.empty(n_given))
            except (ValueError, TypeError) as error:
                raise ValueError(f"groups must hold a number or a word for each sample: {error}") from error
            groups = groups[rows]
        target, y = self._make_target(y, classes, known)
        of_class = None
        if isinstance(target, Classes | Labels):
            self.classes_ = target.classes
            features, y, weight, rows, groups, of_class = self._apply_class_weight(
                target, features, y, weight, rows, groups
            )
        if left is None or not hasattr(self, "_seed"):
            self._seed = _seed_sequence(self.random_state)
        # One stream of random numbers for each purpose, so that none depends on what another draws.
        wiring, member, split = copy.deepcopy(self._seed).spawn(3)
        n_outputs = y.shape[1] if y.ndim == 2 else 1
        if isinstance(target, Classes):
            n_outputs = 1 if target.one_output else len(target.classes)
        key = ("network", features.shape[1], n_outputs, int(wiring.generate_state(1)[0]))
        network = tables.get(key) if tables is not None and checked is not None else None
        if network is None:
            network = self._make_network(*key[1:])
            network = algorithm.choose(network).extend(network)
            self._check_trainable(network, algorithm.choose(network))
        if tables is not None:
            tables[key] = network
        described, algorithm = algorithm, algorithm.choose(network)
        check_room(self.n_networks, network.n_parameters)

        more = self._check_validation_data(X_val, y_val, features, target)
        how = "none" if one_step else "given" if more is not None else self._resolve_validation(len(rows), algorithm)
        training, validation = self._split(target, y, groups, int(split.generate_state(1)[0]), how)
        if more is not None and isinstance(target, Classes) and of_class is not None:
            more = (*more, of_class[np.searchsorted(target.classes, more[1])])
        if more is not None:
            validation = [np.arange(len(rows), len(rows) + more[0].shape[0])] * self.n_networks
        chosen_by = 0 if validation is None else len(validation[0])
        stopping = self._stopping(algorithm, network, len(training[0]), chosen_by, one_step)
        done = 0 if left is None or left.training is None else int(left.training.n_iter.max())
        schedule = resolve_schedule(self.schedule)
        if one_step and schedule.horizon is None:
            schedule = Constant()  # a stream of data has no end that a schedule could be laid out for
        descent = self._descent(schedule, int(schedule.horizon or done + stopping.max_iter))
        problem, target = self._make_problem(
            network, features, y, weight, target, training, validation, more, left, tables, descent, algorithm
        )
        children = member.spawn(self.n_networks)
        rngs = [np.random.default_rng(child) for child in children]
        if left is not None and left.training is None:
            parameters = np.array(self.parameters_)
        else:
            parameters = network.initialize(self.n_networks, rngs, dtype=problem.dtype)
        task = Task(algorithm, problem, stopping, parameters, rngs)
        left_out = None
        if how == "cross" and len(rows) < n_given:
            left_out = _safe_indexing(X, np.setdiff1d(np.arange(n_given), rows))
        prepared = _Prepared(task, described, network, target, rows, weight, n_given, left_out, how)
        if self.warm_start or any(isinstance(own, Checkpoint) for own in check_callbacks(self.callbacks)):
            prepared.key = _fingerprint(problem, _content([self.scoring, self.fitness]))
        if left is not None:
            self._check_goes_on(left, prepared)
        return prepared

    def _check_goes_on(self, left: _Left, prepared: _Prepared) -> None:
        """Raise a ValueError unless training can go on with what the last fit left."""
        task, training = prepared.task, left.training
        same = {
            "the network": prepared.network == left.network,
            "the dtype": task.problem.dtype == left.dtype,
            "the classes": np.array_equal(getattr(prepared.target, "classes", ()), getattr(left.target, "classes", ())),
        }
        if training is not None:
            same |= {
                "the algorithm or its settings": task.algorithm == training.algorithm,
                "the optimizer or its settings": task.problem.descent.optimizer == left.optimizer,
                "the schedule or its settings": resolve_schedule(self.schedule) == left.schedule,
            }
        same["n_networks"] = task.problem.n_members == len(
            self.parameters_ if training is None else training.parameters
        )
        changed = [name for name, equal in same.items() if not equal]
        if changed:
            raise ValueError(
                f"Training goes on where the last fit ended, but {' and '.join(changed)} changed. To start anew call fit "
                "with warm_start=False."
            )

    def _train(self, prepared: _Prepared, left: _Left | None, X: Any, y: Any) -> Training:
        """Train what was prepared, from the start or from what the last fit left."""
        task = prepared.task
        callbacks = check_callbacks(self.callbacks)
        if self.verbose:
            callbacks = [*callbacks, _print_row]
            given = ALGORITHMS.resolve(self.algorithm, "algorithm")
            if type(given) is not type(task.algorithm):
                print(
                    f"algorithm={quoted(given.name)}: {quoted(task.algorithm)} for {prepared.network.n_parameters:,} weights"
                )
        if getattr(self, "_skl_callbacks", []) or hasattr(self, "_parent_callback_ctx"):
            callbacks = [*callbacks, _ScikitLearnCallbacks(self, X, y, prepared)]
        old = None if left is None else left.training
        if old is None and not callbacks:
            return train([task], self.n_jobs)[0]
        if effective_n_jobs(self.n_jobs) > 1 and callbacks:
            raise ValueError("callbacks and verbose need n_jobs=1: they look at all networks after each step.")
        steps = task.stopping.max_iter
        with one_thread(), Caller(callbacks, self, steps, self._key_of_fit(prepared)) as caller:
            resume = False
            if old is None:
                training = Training(task.algorithm, task.problem, task.parameters, task.rngs)
                for callback in callbacks:
                    if isinstance(callback, Checkpoint):
                        if callback.resume and not is_integer(self.random_state):
                            raise ValueError(
                                "Checkpoint(resume=True) needs a random_state that is an int, to go on with it."
                            )
                        first, training = training, callback.restore(self._key_of_fit(prepared), training)
                        resume = resume or training is not first
            else:
                training = copy.deepcopy(old)  # an interruption must not leave it half way
            caller.begin(training, resume)
            new_data = left is not None and left.key != prepared.key
            return training.run(task.problem, task.stopping, caller if callbacks else None, new_data, resume)

    def _key_of_fit(self, prepared: _Prepared) -> str:
        """Return a hash of the parameters that decide a fit, and of its data."""
        left_out = ("callbacks", "verbose", "n_jobs", "warm_start", "max_seconds", "random_state")
        params = {name: value for name, value in self.get_params(deep=False).items() if name not in left_out}
        content = [_content(params), prepared.network._key, self._seed.entropy, prepared.key]
        return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()

    def _as_of(self, prepared: _Prepared, training: Training, members: slice) -> BackpropMLP:
        """Return an estimator that predicts as training stands; it shares everything with this one."""
        own = copy.copy(self)
        own.network_, own._target = prepared.network, prepared.target
        own.parameters_ = training.parameters[members]
        return own

    def _take(self, prepared: _Prepared, training: Training, keep: bool = False) -> None:
        """Keep what training has reached."""
        problem = prepared.task.problem
        self.network_ = prepared.network
        self.algorithm_ = prepared.task.algorithm
        self.parameters_ = training.parameters
        self._target = prepared.target
        self._history = [training.log.columns(member) for member in range(problem.n_members)]
        self.n_iter_ = int(training.n_iter.max())
        self.stop_reason_ = _in_one_sentence(training.stop_reason)
        self.evaluations_ = int(training.evaluations.sum())
        best = [
            _best_of(columns, problem.score_decides, int(first))
            for columns, first in zip(self._history, training.judged_from, strict=True)
        ]
        self.best_error_ = float(np.mean([error for error, _ in best]))
        scores = [score for _, score in best]
        self.best_validation_score_ = None if problem.validation is None else float(np.mean(scores))
        for name in ("_left", "oof_prediction_", "oof_score_", "oof_score_error_", "temperature_"):
            self.__dict__.pop(name, None)
        if training.diverged.any():
            reason = next(r for r, bad in zip(training.stop_reason, training.diverged, strict=True) if bad)
            warnings.warn(reason, ConvergenceWarning, stacklevel=5)
        elif self.warm_start or keep:
            optimizer, schedule = problem.descent.optimizer, resolve_schedule(self.schedule)
            self._left = _Left(training, self.network_, self._target, problem.dtype, optimizer, schedule, prepared.key)
        if prepared.validation == "cross":
            self._take_out_of_fold(prepared)

    def _take_out_of_fold(self, prepared: _Prepared) -> None:
        """Calibrate the probabilities, and keep the predictions of samples by the network that has not seen them."""
        problem, target = prepared.task.problem, prepared.target
        assert problem.validation is not None
        n = len(prepared.rows)
        outputs = np.empty((n, self.network_.n_outputs), dtype=problem.dtype)
        expected = np.empty_like(outputs)
        with one_thread():
            for member, rows in enumerate(problem.validation):
                for here in _pieces(len(rows), self.network_.n_inputs):
                    own = rows[here]
                    block = problem.samples.block(own)[:, : problem.samples.n_inputs]
                    outputs[own] = self.network_.forward(self.parameters_[member], block)
                expected[rows] = problem.expected_of(rows, member)
        if isinstance(target, Numbers):
            for member, rows in enumerate(problem.validation):
                units = target.of(member)
                outputs[rows], expected[rows] = units.values(outputs[rows]), units.values(expected[rows])
        elif target.probabilistic and problem.objective.error_function.name.endswith("cross_entropy"):
            self.temperature_ = fit_temperature(outputs, expected, prepared.weight)
            outputs = at_temperature(outputs, self.temperature_)
            self.parameters_ = self.parameters_.copy()
            for into in self.network_.blocks:
                if into.target == self.network_.n_layers - 1:
                    into.view(self.parameters_)[...] /= self.temperature_
        values = outputs if isinstance(target, Numbers) else target.values(outputs)
        self.oof_score_, self.oof_score_error_ = _score_and_error(target, values, expected, prepared.weight)
        shown = target.probabilities(values) if isinstance(target, Classes) and target.probabilistic else values
        if isinstance(target, Numbers) and target.flat:
            shown = shown[:, 0]
        self.oof_prediction_ = np.full((prepared.n_given, *shown.shape[1:]), np.nan, dtype=shown.dtype)
        self.oof_prediction_[prepared.rows] = shown
        if prepared.left_out is not None:
            values = self._values(prepared.left_out)
            if isinstance(target, Classes) and target.probabilistic:
                values = target.probabilities(values)
            others = np.setdiff1d(np.arange(prepared.n_given), prepared.rows)
            self.oof_prediction_[others] = values.reshape(len(others), *shown.shape[1:])

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predicted class of each sample, its labels, or its predicted value.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether a regression also returns the standard deviation of the networks' predictions: how far they differ,
            which is only a part of the uncertainty.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several outputs or labels
            With ``return_std`` a pair of such arrays.
        """
        if not return_std:
            values = self._values(X)
            return self._target.decode(values)
        check_is_fitted(self)
        if not isinstance(self._target, Numbers):
            raise ValueError("return_std is for task='regression'.")
        mean, spread = self._values_and_spread(X)
        return self._target.decode(mean), self._target.decode(spread)

    @available_if(_is_probabilistic)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (n_samples, n_classes), in the order of `classes_`.

        Of a multilabel classification the probability of each label, shape (n_samples, n_labels).
        """
        values = self._values(X)
        return self._target.probabilities(values) if isinstance(self._target, Classes) else values

    @available_if(_is_probabilistic)
    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_is_margin)
    def decision_function(self, X: Any) -> Array:
        """Return a score for each class, or for the second of two, where outputs are no probabilities.

        Returns
        -------
        array of shape (n_samples,) for two classes, positive for the second one, else (n_samples, n_classes)
        """
        outputs = self._values(X)
        threshold = getattr(self._target, "threshold", 0.0)
        return outputs[:, 0] - threshold if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of a classification, for several labels that of all together, or R² of a regression."""
        predicted = self.predict(X)
        metric = accuracy_score if self.task == "classification" else r2_score
        plain = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuOU" and sample_weight is None
        if metric is accuracy_score and plain and y.shape == predicted.shape:
            return float((y == predicted).mean())  # the same, without a millisecond of checks
        return float(metric(y, predicted, sample_weight=sample_weight))

    @property
    def history_(self) -> pd.DataFrame:
        """One row a step; see the class."""
        if "_history" not in vars(self):
            raise AttributeError("history_ exists after fit.")
        if len(self._history) == 1:
            return pd.DataFrame(self._history[0])
        frames = [pd.DataFrame({"network": i, **columns}) for i, columns in enumerate(self._history)]
        return pd.concat(frames, ignore_index=True)

    @property
    def architecture_(self) -> pd.DataFrame:
        """A row for each network; see the class."""
        if "network_" not in vars(self):
            raise AttributeError("architecture_ exists after fit.")
        network = self.network_
        possible = sum(b.n_source * b.n_target if b.mask is None else int(b.mask.sum()) for b in network.blocks)
        rows = []
        for parameters in self.parameters_:
            found = network.architecture(parameters)
            rows.append({"connections": found.pop("connections"), "possible_connections": possible, **found})
        return pd.DataFrame(rows)

    @property
    def members_(self) -> list[BackpropMLP]:
        """Each network by itself, as a fitted estimator that shares its weights."""
        if "network_" not in vars(self):
            raise AttributeError("members_ exists after fit.")
        members = []
        for i, columns in enumerate(self._history):
            member = copy.copy(self)
            for name in ("_left", "oof_prediction_", "oof_score_", "oof_score_error_"):
                member.__dict__.pop(name, None)
            target = self._target.of(i) if isinstance(self._target, Numbers) else self._target
            member.n_networks, member.parameters_, member._target = 1, self.parameters_[i : i + 1], target
            if self.network_.is_evolvable:  # each has become a network of its own
                member.network_, row = self.network_.plain(self.parameters_[i])
                member.parameters_ = row[np.newaxis]
            if member.validation == "cross":
                member.validation = "auto"
            member._history, member.n_iter_ = [columns], len(columns["step"])
            member.evaluations_ = columns["evaluations"][-1]
            members.append(member)
        return members

    @property
    def coefs_(self) -> list[Array]:
        """The weights between consecutive layers, each of shape (n_source, n_target)."""
        return [weights[: block.n_source] for block, weights in self._consecutive()]

    @property
    def intercepts_(self) -> list[Array]:
        """The weights of the bias neurons, each of shape (n_target,)."""
        return [
            weights[-1] if block.has_bias else np.zeros(block.n_target, weights.dtype)
            for block, weights in self._consecutive()
        ]

    def _consecutive(self) -> list[tuple[Any, Array]]:
        if "network_" not in vars(self):
            raise AttributeError("coefs_ and intercepts_ exist after fit.")
        if len(self.parameters_) > 1:
            raise AttributeError("coefs_ and intercepts_ are those of one network: see members_.")
        blocks = self.network_.blocks
        if any(block.target != block.source + 1 for block in blocks):
            raise AttributeError(
                "coefs_ and intercepts_ need connections between consecutive layers only; "
                "network_.weights(parameters_) has the weights of all blocks."
            )
        return list(zip(blocks, self.network_.weights(self.parameters_[0]), strict=True))

    def _values(self, X: Any) -> Array:
        """Return the average of the networks' outputs, as probabilities or in the units of y, (n_samples, n_outputs)."""
        known = getattr(self, "_known", None)
        if known is not None and known[0] is X:
            return known[1]
        return self._values_and_spread(X, spread=False)[0]

    def _values_and_spread(self, X: Any, spread: bool = True) -> tuple[Array, Array]:
        check_is_fitted(self)
        dtype, network = self.parameters_.dtype, self.network_
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
        n, several = X.shape[0], len(self.parameters_) > 1
        mean = np.empty((n, network.n_outputs), dtype=dtype)
        deviation = np.zeros((n if spread else 0, network.n_outputs), dtype=dtype)
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            for here in _pieces(n, network.n_inputs):
                piece = _dense(X[here])
                outputs = network.forward(self.parameters_, piece.astype(dtype, copy=False))
                values = self._target.values(outputs)
                mean[here] = values.mean(axis=0) if several else values[0]
                if spread and several:
                    deviation[here] = values.std(axis=0)
        if np.isnan(mean).any():
            raise ValueError(f"X holds values too large for dtype={quoted(dtype.name)}; rescale them.")
        return mean, deviation

    def _check_parameters(self) -> Algorithm:
        """Check the parameters that need no data; return the algorithm."""
        check_choice("task", self.task, ["classification", "regression"])
        check_choice("descent", self.descent, DESCENT_MODES)
        check_choice("validation", self.validation, VALIDATIONS)
        if isinstance(self.dtype, np.ndarray) or self.dtype not in (np.float32, np.float64):
            check_choice("dtype", self.dtype, ["auto", "float32", "float64"])
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True, open_high=True)
        if not _is_auto(self.max_iter):
            check_number("max_iter", self.max_iter, low=1, integer=True)
        for name in ("max_seconds", "max_evaluations", "clip_norm"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=0, open_low=True)
        check_number("validation_fraction", self.validation_fraction, low=0, high=1, open_low=True, open_high=True)
        patience = self.n_iter_no_change
        if not _is_auto(patience) and not (is_number(patience) and patience == np.inf):
            check_number("n_iter_no_change", patience, low=1, integer=True)
        check_number("tol", self.tol, low=0)
        for name in ("l1", "l2", "weight_decay"):
            if not (name == "l2" and _is_auto(self.l2)):
                check_number(name, getattr(self, name), low=0, open_high=True)
        check_number("label_smoothing", self.label_smoothing, low=0, high=1, open_high=True)
        check_number("n_networks", self.n_networks, low=1, integer=True)
        if self.n_jobs is not None and (not is_integer(self.n_jobs) or self.n_jobs == 0):
            raise ValueError(f"n_jobs must be an integer other than 0, or None. Got {quoted(self.n_jobs)}.")
        for name in ("shuffle", "normalize_y", "warm_start", "bias"):
            _check_bool(name, getattr(self, name))
        if not is_integer(self.verbose):
            _check_bool("verbose", self.verbose)
        if self.label_smoothing and self.task == "regression":
            raise ValueError("label_smoothing is for task='classification'.")
        if self.class_weight is not None and self.task == "regression":
            raise ValueError("class_weight is for task='classification'.")
        if self.validation == "cross" and self.n_networks < 2:
            raise ValueError(
                "validation='cross' lets each of several networks set its own fold aside: it needs n_networks of 2 or more."
            )
        for name in ("scoring", "fitness"):
            if getattr(self, name) is not None:
                _scorer(name, getattr(self, name))
        check_callbacks(self.callbacks)
        OPTIMIZERS.resolve(self.optimizer, "optimizer")
        resolve_schedule(self.schedule)
        INITIALIZERS.resolve(self.initializer, "initializer")
        sizes = self._hidden_sizes()
        self._dropout(len(sizes), 0.0)
        resolve_hidden_activations(self.activation, sizes)
        self._output_parts()
        if not isinstance(self.connections, Mapping):  # masks need the numbers of inputs and outputs
            resolve_connections(self.connections, (1, *sizes, 1), np.random.default_rng(0))
        # A copy: training an object of the user's must not change it.
        algorithm = copy.deepcopy(ALGORITHMS.resolve(self.algorithm, "algorithm"))
        algorithm.check()
        if self.fitness is not None and not algorithm.evolves:
            raise ValueError(
                f"fitness is what evolution selects by, and algorithm={quoted(algorithm.name)} selects nothing. For a score that "
                "chooses the best step use scoring."
            )
        return algorithm

    def _dropout(self, hidden_layers: int, auto: float) -> list[float]:
        """Return the probability of dropout in each hidden layer; auto is what "auto" means."""
        given = auto if isinstance(self.dropout, str) and self.dropout == "auto" else self.dropout
        rates = [given] * hidden_layers if is_number(given) else given
        if isinstance(rates, str) or not isinstance(rates, list | tuple | np.ndarray) or np.ndim(rates) != 1:
            raise TypeError(
                f"dropout must be a number, or a sequence with one for each hidden layer. Got {quoted(given)}."
            )
        if len(rates) != hidden_layers:
            raise ValueError(f"dropout needs a number for each hidden layer: {hidden_layers}. Got {len(rates)}.")
        for rate in [*rates, given] if is_number(given) else rates:
            check_number("dropout", rate, low=0, high=1, open_high=True)
        return [float(rate) for rate in rates]

    def _check_data(
        self, X: Any, y: Any, sample_weight: Any, reset: bool
    ) -> tuple[Any, Array, Array | None, Array, int]:
        """Return X, y, the weights (at most 1, or None), the samples' numbers and how many were given.

        Samples of weight 0 are left out.
        """
        regression = self.task == "regression"
        kinds = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        features, target = validate_data(self, X, y, reset=reset, multi_output=True, y_numeric=regression, **kinds)
        target = _dense(target)
        n = features.shape[0]
        rows, weight = np.arange(n), None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise ValueError("sample_weight is zero for every sample: there is nothing to learn from.")
            # In units of the largest, so that no sum overflows; what is nothing beside it is left out.
            weight = weight / weight.max()
            weight[weight < np.finfo(np.float32).tiny] = 0.0
            if not weight.all():
                rows = np.flatnonzero(weight)
                features, target, weight = features[rows], target[rows], weight[rows]
            weight = None if (weight == weight[0]).all() else weight
        return features, target, weight, rows, n

    def _make_target(self, y: Array, classes: Any, known: Target | None) -> tuple[Target, Array]:
        """Return what the outputs stand for, and y as its `encode` takes it."""
        if self.task == "regression":
            flat = y.ndim == 1 or y.shape[1] == 1
            if y.ndim == 2 and y.shape[1] == 1:
                y = column_or_1d(y, warn=True)
            y = y.reshape(len(y), -1).astype(np.float64)
            if not np.isfinite(y).all():
                raise ValueError("y holds missing or infinite values.")
            self._check_values(y)
            if known is not None:
                return known, y
            return Numbers(np.zeros(y.shape[1]), np.ones(y.shape[1]), flat), y
        plain = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuU"  # what needs no closer look
        kind = "multiclass" if plain else type_of_target(y, input_name="y", raise_unknown=True)
        if kind.startswith("continuous"):
            raise ValueError(
                f"Unknown label type: {kind}. y holds numbers that are no classes; for those use "
                "BackpropMLP(task='regression')."
            )
        if kind == "multiclass-multioutput":
            raise ValueError(
                "y must be one class for each sample, or 0 and 1 for each of several labels. "
                f"Got {quoted(kind)} of shape {y.shape}."
            )
        if kind != "multilabel-indicator" and not plain:
            y = column_or_1d(y, warn=True)
        if known is not None:
            given = getattr(known, "classes", np.array([]))
            if classes is not None and not np.array_equal(np.unique(np.asarray(classes)), given):
                raise ValueError(
                    f"classes={quoted(classes)} is not the same as in the first call of partial_fit: {quoted(given.tolist())}."
                )
            return known, y
        labels: Array = np.unique(np.asarray(y if classes is None else classes))
        if kind == "multilabel-indicator":
            if classes is not None and not np.array_equal(labels, np.arange(y.shape[1])):
                raise ValueError(
                    f"y has {y.shape[1]} labels: classes must be their numbers, from 0. Got {quoted(classes)}."
                )
            labels = np.arange(y.shape[1])
        if len(labels) == 1:
            what = "y holds" if classes is None else "classes names"
            raise ValueError(f"{what} one class only, {labels[0]}; a classifier needs at least two classes.")
        self.classes_ = labels  # what "auto" means depends on them
        self._multilabel = kind == "multilabel-indicator"
        error_function, output = self._output_parts()
        threshold = _threshold(self._output_activation(output), error_function)
        probabilistic = output in ("softmax", "sigmoid")
        if kind == "multilabel-indicator":
            if output == "softmax":
                raise ValueError("output_activation='softmax' chooses one class; several labels need 'sigmoid'.")
            return Labels(labels, threshold, probabilistic), y
        one_output = len(labels) == 2 and output != "softmax"
        return Classes(labels, one_output, threshold, probabilistic), y

    def _output_activation(self, name: str) -> Any:
        given = self.output_activation
        return ACTIVATIONS.resolve(name if isinstance(given, str) and given == "auto" else given, "output_activation")

    def _check_values(self, y: Array) -> None:
        """Raise a ValueError if the error function or the output activation cannot take the values."""
        error_function, output = self._output_parts()
        low, high = error_function.targets
        if y.min() < low or y.max() > high:
            raise ValueError(
                f"error_function={quoted(error_function.name)} needs y in [{low:g}, {high:g}]. "
                f"Got values from {y.min():g} to {y.max():g}."
            )
        if output != "identity":
            low, high = self._output_activation(output).limits
            if y.min() < low or y.max() > high:
                raise ValueError(
                    f"output_activation={quoted(output)} gives values in [{low:g}, {high:g}] and cannot reach y, which goes "
                    f"from {y.min():g} to {y.max():g}. Use 'identity', or rescale y."
                )

    def _standardises(self) -> bool:
        error_function, output = self._output_parts()
        return bool(self.normalize_y and output == "identity" and np.isneginf(error_function.targets[0]))

    def _apply_class_weight(
        self, target: Classes | Labels, features: Any, y: Array, weight: Array | None, rows: Array, groups: Any
    ) -> tuple[Any, Array, Array | None, Array, Any, Array | None]:
        """Multiply the weights of samples with those of their classes; leave out what then weighs nothing.

        The last thing returned are the weights of the classes, for samples that only validate.
        """
        given = self.class_weight
        if given is None:
            return features, y, weight, rows, groups, None
        if isinstance(target, Labels):
            raise ValueError("class_weight is for one class a sample; for several labels use sample_weight.")
        codes = np.searchsorted(target.classes, y)
        total = np.bincount(codes, weights=weight, minlength=len(target.classes))
        if isinstance(given, str):
            if given != "balanced":
                raise ValueError(f"class_weight must be 'balanced', a mapping or None. Got {quoted(given)}.")
            of_class = np.divide(total.sum(), (total > 0).sum() * total, out=np.zeros(len(total)), where=total > 0)
        elif isinstance(given, Mapping):
            classes = target.classes.tolist()
            unknown = [key for key in given if key not in classes]
            if unknown:
                raise ValueError(
                    f"class_weight names {quoted(unknown[0])}, which is no class of y: {quoted(target.classes.tolist())}."
                )
            for value in given.values():
                check_number("class_weight", value, low=0, open_high=True)
            of_class = np.array([float(given.get(own, 1.0)) for own in classes])
        else:
            raise TypeError(f"class_weight must be 'balanced', a mapping or None. Got {quoted(given)}.")
        weight = of_class[codes] * (1.0 if weight is None else weight)
        if not weight.any():
            raise ValueError("class_weight is zero for every sample: there is nothing to learn from.")
        if not weight.all():
            kept = np.flatnonzero(weight)
            features, y, weight, rows = features[kept], y[kept], weight[kept], rows[kept]
            groups = None if groups is None else groups[kept]
        return features, y, weight / weight.max(), rows, groups, of_class / weight.max()

    def _check_validation_data(self, X_val: Any, y_val: Any, features: Any, target: Target) -> tuple[Any, ...] | None:
        """Return the samples of the user's that choose, or None."""
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            raise ValueError("X_val and y_val belong together; one of them is missing.")
        kinds = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
        X_val, y_val = validate_data(
            self, X_val, y_val, reset=False, multi_output=True, y_numeric=self.task == "regression", **kinds
        )
        if isinstance(target, Numbers):
            y_val = np.asarray(y_val, dtype=np.float64).reshape(len(y_val), -1)
            if y_val.shape[1] != len(target.mean):
                raise ValueError(f"y_val has {y_val.shape[1]} outputs, and y has {len(target.mean)}.")
            if not np.isfinite(y_val).all():
                raise ValueError("y_val holds missing or infinite values.")
            self._check_values(y_val)
        else:
            y_val = _dense(y_val)
            if isinstance(target, Classes):
                y_val = column_or_1d(y_val)
            try:
                target.encode(y_val)
            except ValueError as error:
                raise ValueError(str(error).replace("y ", "y_val ", 1)) from error
        X_val = sparse.csr_array(X_val) if sparse.issparse(features) else _dense(X_val)
        return X_val, y_val

    def _output_parts(self) -> tuple[ErrorFunction, str]:
        """Return the error function and the name of the output activation, "auto" resolved."""
        output = self.output_activation
        chosen = (
            "auto"
            if isinstance(output, str) and output == "auto"
            else ACTIVATIONS.resolve(output, "output_activation").name
        )
        classification = self.task == "classification"
        apart = len(getattr(self, "classes_", ())) == 2 or getattr(self, "_multilabel", False)
        if isinstance(self.error_function, str) and self.error_function == "auto":
            if not classification:
                name = "squared_error"
            elif chosen == "auto":
                name = "binary_cross_entropy" if apart else "cross_entropy"
            else:
                name = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}.get(chosen, "squared_error")
            error_function = resolve_error_function(name)
        else:
            error_function = resolve_error_function(self.error_function)
        if isinstance(error_function, ZeroOne):
            error_function = replace(error_function, each=error_function.each or getattr(self, "_multilabel", False))
            chosen = "sigmoid" if chosen == "auto" and apart else chosen
        if chosen == "auto":
            chosen = error_function.output_activation
            bounded = error_function.name in ("squared_error", "absolute_error", "huber", "log_cosh")
            if classification and bounded:
                chosen = "sigmoid"
        return error_function, chosen

    def _hidden_sizes(self) -> tuple[int, ...]:
        hidden = self.hidden_layer_sizes
        sizes = (hidden,) if is_integer(hidden) else hidden
        if isinstance(sizes, str) or not isinstance(sizes, list | tuple | np.ndarray):
            raise TypeError(f"hidden_layer_sizes must be an int or a sequence of int. Got {quoted(hidden)}.")
        if len(sizes) > MOST_LAYERS - 2:
            raise ValueError(f"hidden_layer_sizes must name at most {MOST_LAYERS - 2} layers. Got {len(sizes):,}.")
        for size in sizes:
            check_number("Each of hidden_layer_sizes", size, low=1, integer=True)
        return tuple(int(size) for size in sizes)

    def _make_network(self, n_inputs: int, n_outputs: int, wiring: int) -> Network:
        output = self.output_activation
        return Network(
            (n_inputs, *self._hidden_sizes(), n_outputs),
            self.activation,
            self._output_parts()[1] if isinstance(output, str) and output == "auto" else output,
            self.connections,
            self.bias,
            self.initializer,
            random_state=wiring,
        )

    def _check_trainable(self, network: Network, algorithm: Algorithm) -> None:
        error_function, output = self._output_parts()
        if isinstance(error_function, CrossEntropy) and network.n_outputs == 1:
            raise ValueError(
                "error_function='cross_entropy' needs an output for each class. For one output use "
                "'binary_cross_entropy', or output_activation='softmax'."
            )
        if isinstance(error_function, CrossEntropy) and output != "softmax":
            raise ValueError(
                f"error_function='cross_entropy' needs outputs that add up to 1, and output_activation={quoted(output)} does not "
                "make them so: use 'softmax', or error_function='binary_cross_entropy'."
            )
        if output == "softmax" and network.n_outputs == 1:
            raise ValueError("output_activation='softmax' with one output is always 1; use another one.")
        if algorithm.uses_gradient:
            for activation in network.activations:
                if not activation.differentiable:
                    raise ValueError(
                        f"algorithm={quoted(algorithm.name)} needs derivatives, and the activation {quoted(activation.name)} has "
                        "none of use. Train it by evolution: algorithm='evolution'."
                    )
            if not error_function.differentiable:
                raise ValueError(
                    f"algorithm={quoted(algorithm.name)} needs derivatives, and {quoted(error_function.name)} has none of "
                    "use. Minimise it by evolution: algorithm='evolution'."
                )
        else:
            dropout = not isinstance(self.dropout, str) and bool(np.any(self.dropout))
            descends = {"dropout": dropout, "label_smoothing": self.label_smoothing}
            descends |= {"weight_decay": self.weight_decay, "clip_norm": self.clip_norm is not None}
            for name, used in descends.items():
                if used:
                    raise ValueError(
                        f"{name} acts on the updates of descent; algorithm={quoted(algorithm.name)} makes none."
                    )

    def _resolve_validation(self, n: int, algorithm: Algorithm) -> str:
        if self.validation != "auto":
            return self.validation
        if self.n_networks > 1:
            return "cross" if n >= _CROSS_SAMPLES * self.n_networks else "none"
        return "holdout" if n >= (_WANTED_SAMPLES if algorithm.wants_validation else 10_000) else "none"

    def _split(
        self, target: Target, y: Array, groups: Any, seed: int, how: str
    ) -> tuple[list[Array], list[Array] | None]:
        """Return for each network the samples that it learns from and those that choose."""
        n, networks = len(y), self.n_networks
        if how in ("none", "given"):
            return [np.arange(n)] * networks, None
        strata = y if isinstance(target, Classes) else None
        try:
            if how == "holdout":
                rows, validation = self._hold_out(n, strata, groups, seed)
                return [rows] * networks, [validation] * networks
            if n < networks:
                raise ValueError(f"n_networks={networks} folds need at least as many samples.")
            return self._folds(n, strata, groups, seed)
        except ValueError as error:
            part = f"validation_fraction={self.validation_fraction}" if how == "holdout" else f"{networks} folds"
            raise ValueError(f"validation={quoted(how)} cannot set {part} of {n} samples aside: {error}") from error

    def _hold_out(self, n: int, strata: Any, groups: Any, seed: int) -> tuple[Array, Array]:
        """Set a part of the samples aside: of every class its share, or whole groups."""
        if groups is not None:
            splitter = GroupShuffleSplit(1, test_size=self.validation_fraction, random_state=seed)
            rows, validation = next(splitter.split(np.empty(n), groups=groups))
        else:
            size = max(round(self.validation_fraction * n), 1 if strata is None else len(np.unique(strata)))
            rows, validation = train_test_split(np.arange(n), test_size=size, random_state=seed, stratify=strata)
        return np.sort(rows), np.sort(validation)

    def _folds(self, n: int, strata: Any, groups: Any, seed: int) -> tuple[list[Array], list[Array]]:
        """Cut the samples into a fold for each network: of every class its share, and whole groups."""
        k = self.n_networks
        if strata is not None and np.unique(strata, return_counts=True)[1].max() < k:
            strata = None  # no class has a sample for each fold
        grouped = groups is not None
        if strata is None:
            splitter = (GroupKFold if grouped else KFold)(k, shuffle=True, random_state=seed)
        else:
            splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(k, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class")
            pairs = list(splitter.split(np.empty((n, 1)), strata, groups))
        return [rows for rows, _ in pairs], [fold for _, fold in pairs]

    def _make_problem(
        self,
        network: Network,
        features: Any,
        y: Array,
        weight: Array | None,
        target: Target,
        training: list[Array],
        validation: list[Array] | None,
        more: tuple[Any, ...] | None,
        left: _Left | None,
        tables: dict[Any, Any] | None,
        descent: Descent,
        algorithm: Algorithm,
    ) -> tuple[Problem, Target]:
        error_function, _ = self._output_parts()
        dtype = features.dtype if isinstance(self.dtype, str) and self.dtype == "auto" else np.dtype(self.dtype)
        networks = self.n_networks
        y_all = y if more is None else np.concatenate([y, more[1]])
        targets: list[Any] = [target]
        if isinstance(target, Numbers) and target.mean.ndim == 3:  # each network goes on with its own scale
            targets = [target.of(i) for i in range(networks)]
        if isinstance(target, Numbers) and not (left is not None and left.target is target):
            distinct = training if any(rows is not training[0] for rows in training) else training[:1]
            standardise = self._standardises()
            targets = [
                replace(Numbers.fit(y[rows], None if weight is None else weight[rows], standardise), flat=target.flat)
                for rows in distinct
            ]
            target = Numbers.join(targets)
        with np.errstate(over="ignore"):
            key = (id(features), network.bias, dtype, None if more is None else id(more[0]))
            samples, _ = (tables or {}).get(key, (None, None))
            if samples is None:
                samples = Samples(features, network.bias, dtype, None if more is None else more[0])
            if tables is not None:  # with what the id belongs to, so that no other object can get it
                tables[key] = samples, (features, more)
            expected = np.concatenate([own.encode(y_all).astype(dtype) for own in targets])
        for values, name in ((samples.values, "X"), (expected, "y")):
            pieces = (values[first : first + _PREDICT_ROWS] for first in range(0, len(values), _PREDICT_ROWS))
            if not all(np.isfinite(piece).all() for piece in pieces):
                raise ValueError(f"{name} holds values too large for dtype={quoted(dtype.name)}; rescale them.")
        if weight is not None:
            extra = np.full(len(y_all) - len(y), weight.mean())
            if more is not None and len(more) == 3:  # a class counts there as it does here
                extra = np.maximum(more[2], np.finfo(np.float32).tiny)
            weight = np.tile(np.concatenate([weight, extra]), len(targets)).astype(dtype)
        hidden = self._hidden_sizes()
        free = validation is None  # nothing but these holds the weights back
        n = len(training[0])
        random = algorithm.uses_gradient and descent.samples_per_update(n) < n
        classification = not isinstance(target, Numbers)
        auto = (2e-3 if classification else 3e-4) if free else 1e-4
        settings = Hyperparameters.of(
            networks,
            len(hidden),
            learning_rate=self.learning_rate,
            l1=self.l1,
            l2=auto if isinstance(self.l2, str) else self.l2,
            weight_decay=self.weight_decay,
            clip_norm=np.inf if self.clip_norm is None else self.clip_norm,
            label_smoothing=self.label_smoothing,
            dropout=self._dropout(len(hidden), 0.1 if free and classification and random else 0.0),
        )
        scorers: list[Any] | None = None
        chooses = "scoring" if self.scoring is not None and validation is not None else "fitness"
        by_score = getattr(self, chooses) is not None
        if validation is not None or by_score:
            judged = training if validation is None else validation
            what = "training" if validation is None else "validation"
            shared = judged[0] if all(rows is judged[0] for rows in judged) else None
            scorers = []
            for i, rows in enumerate(judged):
                own = target.of(i) if isinstance(target, Numbers) else target
                shift = i * len(y_all) if len(targets) > 1 else 0
                own_weight = None if weight is None else weight[rows + shift].astype(np.float64)
                if not by_score:
                    scorers.append(_PlainScore(own, expected[rows + shift], own_weight))
                elif shared is not None and scorers:
                    scorers.append(scorers[0])
                else:
                    block = more[0] if more is not None and validation is not None else features[rows]
                    scorers.append(_ChosenScore(chooses, what, self, network, own, block, y_all[rows], own_weight))
        fitness: list[Any] | None = None
        if self.fitness is not None:
            fitness = []
            for i in range(networks):
                own = target.of(i) if isinstance(target, Numbers) else target
                own_weight = None if weight is None else weight[: len(y)].astype(np.float64)
                fitness.append(_Fitness("fitness", "training", self, network, own, features, y, own_weight))
        objective = make_objective(network.activations[-1], error_function)
        if isinstance(objective, SoftmaxCrossEntropy) and isinstance(target, Classes) and not self.label_smoothing:
            objective = replace(objective, one_of_all=True)
        problem = Problem(
            network=network,
            objective=objective,
            samples=samples,
            expected=expected,
            weight=weight,
            training=training,
            validation=validation,
            shift=np.arange(networks) * len(y_all) if len(targets) > 1 else np.zeros(networks, dtype=int),
            settings=settings,
            descent=descent,
            scorers=scorers,
            score_decides=by_score,
            fitness=fitness,
        )
        return problem, target

    def _descent(self, schedule: Schedule, horizon: int) -> Descent:
        optimizer = OPTIMIZERS.resolve(self.optimizer, "optimizer")
        return Descent(self.descent, int(self.batch_size), optimizer, bool(self.shuffle), schedule, horizon)

    def _stopping(self, algorithm: Algorithm, network: Network, n: int, chosen_by: int, one_step: bool) -> Stopping:
        """Return when training on n samples stops, chosen_by others choosing the best step."""
        if one_step:
            return Stopping(1, np.inf, 0.0)
        schedule = resolve_schedule(self.schedule)
        descent = self._descent(schedule, 1)
        steps = algorithm.default_steps(-(-n // descent.samples_per_update(n)))
        budget = np.inf if self.max_evaluations is None else float(self.max_evaluations)
        if np.isfinite(budget) or (self.max_seconds is not None and not algorithm.uses_gradient):
            steps = _UNLIMITED
        max_iter: Any = steps if _is_auto(self.max_iter) else self.max_iter
        if np.isfinite(budget):
            cost = algorithm.cost(network, n, chosen_by, descent)
            max_iter = min(max_iter, max(1, int(budget // cost)))
        patience: Any = self.n_iter_no_change
        if patience == "auto":
            patience = algorithm.patience
            if algorithm.uses_gradient and not schedule.is_constant:
                patience = 2 * patience if chosen_by else np.inf
        return Stopping(
            int(max_iter),
            patience,
            float(self.tol),
            np.inf if self.max_seconds is None else float(self.max_seconds),
            budget,
        )

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters; reading the signature each time takes a good part of a clone."""
        return super()._get_param_names()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.input_tags.sparse = True
        if self.task == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        else:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_label=True)
        return tags


def load(path: str | Path) -> BackpropMLP:
    """Read a model that `BackpropMLP.save` wrote. Nothing in the file can run code.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    BackpropMLP
        It predicts as the saved one, to the bit.

    Raises
    ------
    SavingError
        If the file is damaged, is none of nnexp's or comes from a later version.
    FileNotFoundError
        If there is no such file.
    """
    model: BackpropMLP = saving.load(path, BackpropMLP)
    return model


def _seed_sequence(random_state: Any) -> np.random.SeedSequence:
    if random_state is None:
        return np.random.SeedSequence()
    if is_integer(random_state):
        check_number("random_state", random_state, low=0, integer=True)
        return np.random.SeedSequence(int(random_state))
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(int(random_state.randint(np.iinfo(np.int32).max)))
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(int(random_state.integers(2**63)))
    raise TypeError(
        f"random_state must be an int, a numpy RandomState or Generator, or None. Got {quoted(random_state)}."
    )


def _content(value: Any) -> Any:
    """Return what a parameter says, as text that is the same in another process: arrays and functions by content."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return [(_content(key), _content(own)) for key, own in value.items()]
    if isinstance(value, list | tuple):
        return [_content(own) for own in value]
    if hasattr(value, "__code__"):
        return value.__module__, value.__qualname__, value.__code__.co_code, repr(value.__code__.co_consts)
    if isinstance(value, Algorithm):
        return type(value).__qualname__, _content(value.get_params())
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__qualname__, [_content(getattr(value, field.name)) for field in fields(value)]
    return repr(value)


def _pieces(n: int, n_inputs: int) -> Iterator[slice]:
    """Cut n rows into pieces that predictions work on one after the other."""
    size = max(1, min(_PREDICT_ROWS, _PREDICT_BYTES // (8 * n_inputs)))
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))


def _dense(array: Any) -> Any:
    """Return an array that may be sparse as a dense one."""
    return array.toarray() if hasattr(array, "toarray") else array


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False. Got {quoted(value)}.")


def _print_row(state: Any) -> None:
    row = state.row
    line = f"step {state.step:4d}  error {row['error']:.5f}"
    if not np.isnan(row["validation_error"]):
        line += f"  validation error {row['validation_error']:.5f}"
    print(f"{line}  evaluations {row['evaluations']:,}  {row['seconds']:.2f} s")
