"""BackpropMLP: the scikit-learn face of a network and its training."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
from threadpoolctl import ThreadpoolController

from nnexp._names import check_choice, check_number, is_integer
from nnexp.network import ACTIVATIONS, INITIALIZERS, Network
from nnexp.network.connections import resolve_connections
from nnexp.network.error_functions import (
    CrossEntropy,
    ErrorFunction,
    Objective,
    make_objective,
    resolve_error_function,
)
from nnexp.network.network import resolve_hidden_activations
from nnexp.training import ALGORITHMS, DESCENT_MODES, OPTIMIZERS, Algorithm, Descent, Problem, Stopping, Training

Array = NDArray[Any]

# Rows that predict works on at a time, so that its memory does not grow with their number.
_PREDICT_ROWS = 8192


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
            f"output_activation={_output_name(estimator)!r} gives no probabilities: use decision_function, or "
            "output_activation='softmax' or 'sigmoid'."
        )
    return True


def _is_margin(estimator: BackpropMLP) -> bool:
    """Whether the outputs are scores of classes that are no probabilities."""
    return _is_classifier(estimator) and _output_name(estimator) not in ("softmax", "sigmoid")


def _threshold(objective: Objective) -> float:
    """Return what one output that stands for two classes must exceed to mean the second."""
    low, high = objective.activation.limits
    return 0.5 if (low, high) == (0.0, 1.0) else objective.error_function.threshold


def _fingerprint(problem: Problem) -> str:
    """Return a hash of all that the errors of a problem depend on besides the weights."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (problem.inputs, problem.expected, problem.weight, problem.training, problem.validation):
        digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    digest.update(repr((problem.objective, problem.l2)).encode())
    return digest.hexdigest()


class BackpropMLP(BaseEstimator):
    """A multilayer perceptron in which everything can be swapped, trained by backpropagation or evolution.

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
        ``"backprop"``, ``"genetic"``, or an object such as `GeneticAlgorithm` with settings of its own.
    descent : {"stochastic", "mini-batch", "batch"}, default="mini-batch"
        An update after each sample, each batch_size samples, or all; with the average gradient of its samples.
    batch_size : int, default=64
        Samples of an update, for ``descent="mini-batch"``.
    optimizer : str, mapping or Optimizer, default="adam"
        What a gradient does to the weights.
    learning_rate : float, default=0.001
        How far an update goes.
    shuffle : bool, default=True
        Whether each epoch takes the samples in a new order.
    max_iter : int, default=200
        Steps at most: epochs of descent, or generations of evolution.
    early_stopping : bool or "auto", default="auto"
        Whether to set a part of the data aside, stop when the error there no longer improves, and keep the
        parameters with the lowest error there. ``"auto"`` does so from 10,000 samples on.
    validation_fraction : float, default=0.1
        The part set aside, in (0, 1); stratified by class in classification.
    n_iter_no_change : int or "auto", default="auto"
        Steps without improvement before training stops. ``"auto"`` is the algorithm's own patience: 10 epochs
        of descent, 50 generations of evolution.
    tol : float, default=1e-4
        What counts as an improvement, in units of the error function.
    l2 : float, default=0.003
        Adds ½ · l2 · Σ w² over all but bias weights to the mean error, whatever the batch size.
    normalize_y : bool, default=True
        Whether a regression learns y in units of its standard deviation around its mean. Predictions are in the
        units of y; errors, such as those in `history_`, in standardised ones. It has no effect on error functions
        for positive targets and on outputs that are not the identity.
    dtype : {"auto", "float32", "float64"}, default="auto"
        The precision of training and prediction. ``"auto"`` is that of X: float32 for float32, else float64.
        float32 is up to twice as fast.
    warm_start : bool, default=False
        Whether `fit` goes on where the last one ended: weights, optimiser and random numbers included. Set it before
        the first fit; a fit that diverged starts anew.
    random_state : int, numpy RandomState or None, default=None
        An int makes everything that is random repeatable.
    verbose : bool, default=False
        Whether to print a line for each step.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Classification only.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features_in_,)
        Where X has names of columns that are all strings.
    network_ : Network
    parameters_ : array of shape (1, D)
        The weights, as one row; see `Network.weights`.
    coefs_, intercepts_ : list of arrays
        The weights as scikit-learn's MLP shapes them, where each layer feeds the next one only.
    history_ : pandas.DataFrame
        One row a step: step, error (on the training data, without the penalty of l2), validation_error, evaluations
        and seconds so far; evolution adds columns on the population.
    n_iter_ : int
        Steps done.
    stop_reason_ : str
        Why training stopped, in a sentence.
    best_error_ : float
        The lowest error on the validation data if there is any, else on the training data.
    evaluations_ : int
        What training cost: forward passes of one network over one sample, a forward and backward pass counting
        three.

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
        learning_rate: float = 0.001,
        shuffle: bool = True,
        max_iter: int = 200,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str = "auto",
        tol: float = 1e-4,
        l2: float = 3e-3,
        normalize_y: bool = True,
        dtype: Any = "auto",
        warm_start: bool = False,
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
        self.shuffle = shuffle
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.l2 = l2
        self.normalize_y = normalize_y
        self.dtype = dtype
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> BackpropMLP:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Finite numbers. Features of similar size train best: put a StandardScaler before.
        y : array-like of shape (n_samples,), or (n_samples, n_outputs) for regression
            Classes of any type, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 equals the sample twice, 0 its absence.

        Returns
        -------
        BackpropMLP
            Itself.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that are impossible, each with a sentence.
        """
        before = dict(vars(self))
        try:
            return self._fit(X, y, sample_weight)
        except BaseException:  # a fit that fails, or is interrupted, leaves the model as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> BackpropMLP:
        algorithm = self._check_parameters()
        training = getattr(self, "_training", None) if self.warm_start else None
        classes = getattr(self, "classes_", None)
        self._forget_fit()
        features, expected, weight = self._check_data(X, y, sample_weight)
        if training is None:
            self._seed = _seed_sequence(self.random_state)
        # One stream of random numbers for each purpose, so that none depends on what another draws.
        wiring, member, split = (copy.deepcopy(self._seed)).spawn(3)
        network = self._make_network(features.shape[1], expected.shape[1], int(wiring.generate_state(1)[0]))
        self._check_trainable(network, algorithm)
        problem = self._make_problem(network, features, expected, weight, split)
        data = _fingerprint(problem) if self.warm_start else ""
        with _one_thread():
            if training is None:
                rng = np.random.default_rng(member)
                first = network.initialize(1, [rng], dtype=problem.inputs.dtype)
                training = Training(algorithm, problem, first, [rng])
            else:
                self._check_goes_on(training, problem, algorithm, classes)
                training = copy.deepcopy(training)  # an interruption must not leave it half way
            report = _print_row if self.verbose else None
            training.run(problem, self._stopping(algorithm), report, new_data=data != getattr(self, "_data", data))
        self.network_ = network
        self._threshold = _threshold(problem.objective)
        self._take(training)
        self._data, self._optimizer = data, problem.descent.optimizer
        return self

    def check_fit(self, X: ArrayLike, y: ArrayLike) -> None:
        """Check parameters and data as `fit` does, without training.

        Raises
        ------
        ValueError, TypeError
            As `fit` does.
        """
        probe = copy.deepcopy(self)
        algorithm = probe._check_parameters()
        features, expected, weight = probe._check_data(X, y, None)
        network = probe._make_network(features.shape[1], expected.shape[1], 0)
        probe._check_trainable(network, algorithm)
        probe._make_problem(network, features, expected, weight, np.random.SeedSequence(0))

    def _forget_fit(self) -> None:
        """Remove what only a fit of the other task sets."""
        for name in ("classes_", "_y_mean", "_y_scale", "_y_is_flat"):
            self.__dict__.pop(name, None)

    def _check_goes_on(self, training: Training, problem: Problem, algorithm: Algorithm, classes: Array | None) -> None:
        """Raise a ValueError unless a warm start can go on with what the last fit left."""
        same = {
            "the network": problem.network == self.network_,
            "the algorithm or its settings": algorithm == training.algorithm,
            "the optimizer or its settings": problem.descent.optimizer == self._optimizer,
            "the dtype": problem.inputs.dtype == training.parameters.dtype,
            "the classes": np.array_equal(getattr(self, "classes_", ()), () if classes is None else classes),
        }
        changed = [name for name, equal in same.items() if not equal]
        if changed:
            raise ValueError(
                f"warm_start=True goes on where the last fit ended, but {' and '.join(changed)} changed. Set "
                "warm_start=False to start anew."
            )

    def _take(self, training: Training) -> None:
        """Keep what training has reached."""
        self.parameters_ = training.parameters
        self.history_ = pd.DataFrame(training.history[0])
        self.n_iter_ = int(training.n_iter[0])
        self.stop_reason_ = training.stop_reason[0]
        validation = self.history_["validation_error"]
        self.best_error_ = float((self.history_["error"] if validation.isna().all() else validation).min())
        self.evaluations_ = int(training.evaluations[0])
        self.__dict__.pop("_training", None)
        if training.diverged[0]:
            warnings.warn(self.stop_reason_, ConvergenceWarning, stacklevel=4)
        elif self.warm_start:
            self._training = training

    def predict(self, X: ArrayLike) -> Array:
        """Return the predicted class of each sample, or its predicted value.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for a regression with several outputs
        """
        outputs = self._outputs(X)
        if not hasattr(self, "classes_"):
            values = (outputs * self._y_scale + self._y_mean).astype(outputs.dtype)
            return values[:, 0] if self._y_is_flat else values
        if outputs.shape[1] == 1:
            return self.classes_[(outputs[:, 0] > self._threshold).astype(int)]
        return self.classes_[outputs.argmax(axis=1)]

    @available_if(_is_probabilistic)
    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class, shape (n_samples, n_classes), in the order of `classes_`."""
        outputs = self._outputs(X)
        if outputs.shape[1] == 1:
            return np.hstack([1.0 - outputs, outputs])
        total = outputs.sum(axis=1, keepdims=True)  # one sigmoid a class does not add up to 1 by itself
        even = np.full_like(outputs, 1.0 / outputs.shape[1])
        return np.divide(outputs, total, out=even, where=total > 0)

    @available_if(_is_probabilistic)
    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Return the logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_is_margin)
    def decision_function(self, X: ArrayLike) -> Array:
        """Return a score for each class, or for the second of two, where outputs are no probabilities.

        Returns
        -------
        array of shape (n_samples,) for two classes, positive for the second one, else (n_samples, n_classes)
        """
        outputs = self._outputs(X)
        return outputs[:, 0] - self._threshold if outputs.shape[1] == 1 else outputs

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of a classification, or R² of a regression."""
        metric = accuracy_score if self.task == "classification" else r2_score
        return float(metric(y, self.predict(X), sample_weight=sample_weight))

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
        blocks = self.network_.blocks
        if any(block.target != block.source + 1 for block in blocks):
            raise AttributeError(
                "coefs_ and intercepts_ need connections between consecutive layers only; "
                "network_.weights(parameters_) has the weights of all blocks."
            )
        return list(zip(blocks, self.network_.weights(self.parameters_[0]), strict=True))

    def _outputs(self, X: ArrayLike) -> Array:
        """Return the outputs of the network, shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        dtype = self.parameters_.dtype
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        assert isinstance(X, np.ndarray)
        pieces = [X[first : first + _PREDICT_ROWS] for first in range(0, len(X), _PREDICT_ROWS)]
        with _one_thread(), np.errstate(over="ignore"):
            rounded = (piece.astype(dtype, copy=False) for piece in pieces)
            outputs = np.concatenate([self.network_.forward(self.parameters_[0], piece) for piece in rounded])
        if np.isnan(outputs).any():
            raise ValueError(f"X holds values too large for dtype={dtype.name!r}; rescale them.")
        return outputs

    def _check_parameters(self) -> Algorithm:
        """Check the parameters that need no data; return the algorithm."""
        check_choice("task", self.task, ["classification", "regression"])
        check_choice("descent", self.descent, DESCENT_MODES)
        if self.dtype not in (np.float32, np.float64):
            check_choice("dtype", self.dtype, ["auto", "float32", "float64"])
        check_number("batch_size", self.batch_size, low=1, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, open_low=True, open_high=True)
        check_number("max_iter", self.max_iter, low=1, integer=True)
        check_number("validation_fraction", self.validation_fraction, low=0, high=1, open_low=True, open_high=True)
        if self.n_iter_no_change != "auto":
            check_number("n_iter_no_change", self.n_iter_no_change, low=1, integer=True)
        check_number("tol", self.tol, low=0)
        check_number("l2", self.l2, low=0, open_high=True)
        if self.early_stopping != "auto":
            _check_bool("early_stopping", self.early_stopping)
        for name in ("shuffle", "normalize_y", "warm_start", "bias"):
            _check_bool(name, getattr(self, name))
        OPTIMIZERS.resolve(self.optimizer, "optimizer")
        INITIALIZERS.resolve(self.initializer, "initializer")
        sizes = self._hidden_sizes()
        resolve_hidden_activations(self.activation, sizes)
        self._output_parts()
        if not isinstance(self.connections, Mapping):  # masks need the numbers of inputs and outputs
            resolve_connections(self.connections, (1, *sizes, 1), np.random.default_rng(0))
        # A copy: training an object of the user's must not change it.
        algorithm = copy.deepcopy(ALGORITHMS.resolve(self.algorithm, "algorithm"))
        algorithm.check()
        return algorithm

    def _check_data(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None
    ) -> tuple[Array, Array, Array | None]:
        """Return X, the expected outputs (n, n_outputs) and the weights (at most 1, or None), without rows of weight 0."""
        regression = self.task == "regression"
        features: Array
        target: Array
        features, target = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=regression
        )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise ValueError("sample_weight is zero for every sample: there is nothing to learn from.")
            kept = weight > 0
            features, target, weight = features[kept], target[kept], weight[kept]
            # In units of the largest, so that no sum overflows.
            weight = None if (weight == weight[0]).all() else weight / weight.max()
        expected = self._expected_values(target, weight) if regression else self._expected_classes(target)
        return features, expected, weight

    def _expected_values(self, y: Array, weight: Array | None) -> Array:
        self._y_is_flat = y.ndim == 1 or y.shape[1] == 1
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.reshape(len(y), -1).astype(np.float64)
        error_function, output = self._output_parts()
        low, high = error_function.targets
        if y.min() < low or y.max() > high:
            raise ValueError(
                f"error_function={error_function.name!r} needs y in [{low:g}, {high:g}]. "
                f"Got values from {y.min():g} to {y.max():g}."
            )
        if output != "identity":
            given = self.output_activation
            low, high = ACTIVATIONS.resolve(output if given == "auto" else given, "output_activation").limits
            if y.min() < low or y.max() > high:
                raise ValueError(
                    f"output_activation={output!r} gives values in [{low:g}, {high:g}] and cannot reach y, which goes "
                    f"from {y.min():g} to {y.max():g}. Use 'identity', or rescale y."
                )
        self._y_mean, self._y_scale = np.zeros(y.shape[1]), np.ones(y.shape[1])
        if self.normalize_y and output == "identity" and np.isneginf(error_function.targets[0]):
            with np.errstate(over="ignore", invalid="ignore"):
                self._y_mean = np.average(y, axis=0, weights=weight)
                scale = np.sqrt(np.average((y - self._y_mean) ** 2, axis=0, weights=weight))
            # A constant leaves nothing but rounding errors around its mean.
            if not np.isfinite(scale).all():
                raise ValueError("y holds numbers too large to compute their variance; rescale it.")
            constant = scale <= 10 * np.finfo(np.float64).eps * np.abs(self._y_mean)
            self._y_scale = np.where(constant, 1.0, scale)
        return (y - self._y_mean) / self._y_scale

    def _expected_classes(self, y: Array) -> Array:
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind.startswith("continuous"):
            raise ValueError(
                f"Unknown label type: {kind}. y holds numbers that are no classes; for those use "
                "BackpropMLP(task='regression')."
            )
        if kind.startswith("multi") and kind != "multiclass":
            raise ValueError(f"y must be one class for each sample. Got {kind!r} of shape {y.shape}.")
        y = column_or_1d(y, warn=True)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) == 1:
            raise ValueError(f"y holds one class only, {classes[0]}; a classifier needs at least two classes.")
        self.classes_ = classes
        expected = (codes[:, np.newaxis] == np.arange(len(classes))).astype(np.float64)
        one_output = len(classes) == 2 and self._output_parts()[1] != "softmax"
        return expected[:, 1:] if one_output else expected

    def _output_parts(self) -> tuple[ErrorFunction, str]:
        """Return the error function and the name of the output activation, "auto" resolved."""
        output = self.output_activation
        chosen = (
            "auto"
            if isinstance(output, str) and output == "auto"
            else ACTIVATIONS.resolve(output, "output_activation").name
        )
        classification = self.task == "classification"
        two = len(getattr(self, "classes_", ())) == 2
        if isinstance(self.error_function, str) and self.error_function == "auto":
            if not classification:
                name = "squared_error"
            elif chosen == "auto":
                name = "binary_cross_entropy" if two else "cross_entropy"
            else:
                name = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}.get(chosen, "squared_error")
            error_function = resolve_error_function(name)
        else:
            error_function = resolve_error_function(self.error_function)
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
            raise TypeError(f"hidden_layer_sizes must be an int or a sequence of int. Got {hidden!r}.")
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
                f"error_function='cross_entropy' needs outputs that add up to 1, and output_activation={output!r} does not "
                "make them so: use 'softmax', or error_function='binary_cross_entropy'."
            )
        if output == "softmax" and network.n_outputs == 1:
            raise ValueError("output_activation='softmax' with one output is always 1; use another one.")
        if algorithm.uses_gradient:
            for activation in network.activations:
                if not activation.differentiable:
                    raise ValueError(
                        f"algorithm={algorithm.name!r} needs derivatives, and the activation {activation.name!r} has "
                        "none of use. Train it by evolution: algorithm='genetic'."
                    )

    def _make_problem(
        self, network: Network, X: Array, expected: Array, weight: Array | None, split: np.random.SeedSequence
    ) -> Problem:
        error_function, _ = self._output_parts()
        rows, validation = np.arange(len(X)), None
        stops_early = len(X) >= 10_000 if self.early_stopping == "auto" else self.early_stopping
        if stops_early:
            rows, validation = self._split(expected, int(split.generate_state(1)[0]))
        descent = Descent(
            self.descent,
            int(self.batch_size),
            OPTIMIZERS.resolve(self.optimizer, "optimizer"),
            float(self.learning_rate),
            bool(self.shuffle),
        )
        dtype = X.dtype if isinstance(self.dtype, str) and self.dtype == "auto" else np.dtype(self.dtype)
        with np.errstate(over="ignore"):
            inputs, targets = network.with_ones(X, dtype), expected.astype(dtype)
        for values, name in ((inputs, "X"), (targets, "y")):
            if not np.isfinite(values).all():
                raise ValueError(f"{name} holds values too large for dtype={dtype.name!r}; rescale them.")
        return Problem(
            network=network,
            objective=make_objective(network.activations[-1], error_function),
            inputs=inputs,
            expected=targets,
            weight=None if weight is None else weight.astype(dtype),
            training=rows[np.newaxis],
            validation=None if validation is None else validation[np.newaxis],
            l2=float(self.l2),
            descent=descent,
        )

    def _split(self, expected: Array, seed: int) -> tuple[Array, Array]:
        """Set a part of the rows aside for validation, of every class its share."""
        n = len(expected)
        strata = None
        if self.task == "classification":
            strata = expected.argmax(axis=1) if expected.shape[1] > 1 else expected[:, 0]
        size = max(round(self.validation_fraction * n), 1 if strata is None else len(np.unique(strata)))
        try:
            rows, validation = train_test_split(np.arange(n), test_size=size, random_state=seed, stratify=strata)
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot set validation_fraction={self.validation_fraction} of {n} samples aside: "
                f"{error}"
            ) from error
        return np.sort(rows), np.sort(validation)

    def _stopping(self, algorithm: Algorithm) -> Stopping:
        patience = algorithm.patience if self.n_iter_no_change == "auto" else self.n_iter_no_change
        return Stopping(int(self.max_iter), int(patience), float(self.tol))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if self.task == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
            tags.target_tags.multi_output = True
        else:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags()
        return tags


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
    raise TypeError(f"random_state must be an int, a numpy RandomState or Generator, or None. Got {random_state!r}.")


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False. Got {value!r}.")


def _print_row(row: dict[str, Any]) -> None:
    line = f"step {row['step']:4d}  error {row['error']:.5f}"
    if not np.isnan(row["validation_error"]):
        line += f"  validation error {row['validation_error']:.5f}"
    print(f"{line}  evaluations {row['evaluations']:,}  {row['seconds']:.2f} s")


_controller: ThreadpoolController | None = None


def _one_thread() -> Any:
    """Hold the linear algebra to one thread: small products gain nothing from more, and results stay the same."""
    global _controller
    if _controller is None:
        _controller = ThreadpoolController()
    return _controller.limit(limits=1, user_api="blas")
