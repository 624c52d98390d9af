"""BackpropMLP: the scikit-learn face of a network and its training."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags, RegressorTags, Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

import nnexp.saving as saving
from nnexp._errors import quoted
from nnexp._identity import Unstable, key_of
from nnexp._names import is_integer
from nnexp._threads import one_thread
from nnexp.callbacks import Caller, Checkpoint, ScikitLearnCallbacks, print_row
from nnexp.encoding import (
    Encoder,
    Layout,
    TableEncoder,
    as_given,
    check_encoding,
    encoder_named,
    fitted,
    kinds_of,
    lay_out,
    learn,
    rules_of,
)
from nnexp.fitting import Data, Left, Plan, Settings, Shared, finish, plan_fit, plan_step
from nnexp.fitting.outputs import name_of, resolve_outputs
from nnexp.fitting.settings import check_callbacks, is_auto
from nnexp.model import Model
from nnexp.network import Network
from nnexp.onnx_export import to_onnx
from nnexp.parts import REGISTRIES, plugins_in
from nnexp.targets import Classes, Labels
from nnexp.training import ALGORITHMS, Training
from nnexp.training.stack import train

try:  # experimental in scikit-learn: used where it is, needed nowhere
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is."""
        return method


Array = NDArray[Any]

# Parameters that do not decide what a fit becomes, or say where it begins.
_DECIDE_NOTHING = ("callbacks", "verbose", "n_jobs", "warm_start", "max_seconds", "random_state")


def _model_of(estimator: BackpropMLP) -> Model | None:
    return vars(estimator).get("_model")


def _output_name(estimator: BackpropMLP) -> str:
    """Return the name of the output activation: of the fitted network, or as the parameters have it before fit."""
    model = _model_of(estimator)
    if model is not None:
        return model.network.activations[-1].name
    return name_of(resolve_outputs(estimator.task, estimator.error_function, estimator.output_activation)[1])


def _is_classifier(estimator: BackpropMLP) -> bool:
    model = _model_of(estimator)
    return estimator.task == "classification" if model is None else not model.target.is_numeric


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


def _attributes_of(model: Model) -> dict[str, Any]:
    """Return what an estimator that shows a model has besides its parameters."""
    attributes: dict[str, Any] = {"_model": model, "n_features_in_": model.n_features}
    return attributes if model.feature_names is None else {**attributes, "feature_names_in_": model.feature_names}


class _Fitted:
    """An attribute that is there after a fit, and tells what the model says."""

    def __init__(self, read: Callable[[Model], Any], doc: str) -> None:
        self._read, self.__doc__ = read, doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, estimator: BackpropMLP | None, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        model = _model_of(estimator)
        if model is None:
            raise AttributeError(f"{self._name} exists after fit.")
        return self._read(model)

    def __set__(self, estimator: BackpropMLP, value: Any) -> None:
        raise AttributeError(f"{self._name} is what a fit has made; with_model makes an estimator with another model.")


_fitted: Any = _Fitted


def _classes(model: Model) -> Array:
    if not isinstance(model.target, Classes | Labels):
        raise AttributeError("classes_ is for task='classification'.")
    return model.target.classes


def _out_of_fold(model: Model) -> Any:
    if model.out_of_fold is None:
        raise AttributeError("Predictions of samples that were not learnt from are there with validation='cross'.")
    return model.out_of_fold


def _temperature(model: Model) -> float:
    if model.temperature is None:
        raise AttributeError("temperature_ is there with validation='cross' and probabilities.")
    return model.temperature


def _history(model: Model) -> pd.DataFrame:
    if model.n_networks == 1:
        return pd.DataFrame(model.history(0))
    frames = [pd.DataFrame({"network": i, **model.history(i)}) for i in range(model.n_networks)]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True, eq=False)
class _Before:
    """What is there before data are looked at.

    Attributes
    ----------
    known : Model, Encoder, Layout or None
        A model whose features the data must have, what has been learnt of a table, or how one is laid out that X is a part of.
    fold : array of int, shape (n_samples,), or None
        The fold of each sample, where that is settled.
    shared : Shared or None
        What other fits have made already.
    """

    known: Any = None
    fold: Array | None = None
    shared: Shared | None = None


class BackpropMLP(CallbackSupportMixin, BaseEstimator):
    """A multilayer perceptron in which everything can be swapped, trained by backpropagation or evolution.

    It takes tables as they are: words, dates, gaps and numbers of any size; see ``encoding``.

    Parameters
    ----------
    task : {"classification", "regression"}, default="classification"
        What y is; never guessed from it.
    encoding : {"auto", "pieces", "none"}, TableEncoder or mapping, default="auto"
        How columns of X become inputs, learnt from the X of `fit` (of the first one, with ``warm_start`` or `partial_fit`)
        without a look at y. ``"auto"`` makes numbers of words and dates, fills gaps and brings all columns on one scale.
        ``"pieces"`` also cuts numbers into pieces, which suits irregular targets. ``"none"`` is X as it is: finite numbers.
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
        ``"cma_es"``, ``"sep_cma_es"``, ``"differential_evolution"``; ``"memetic"`` and ``"pbt"``, which evolve and descend; or
        an object with settings of its own, such as `GeneticAlgorithm`, or made of others: `Chain`, `Alternate`.
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
        Which samples stop the training and choose the best parameters. ``"holdout"`` sets a part aside. ``"cross"``
        lets each of several networks set aside its own fold and learn from the rest; four to seven form a jury, and when one
        stops the mean error of the others decides, each on its own fold. A single network learns from all samples, and four
        companions beside it, which are not kept, set a fold aside each and decide. ``"auto"`` is, for several networks,
        ``"cross"`` from 10 samples for each on; for one, under descent and without ``max_evaluations``, ``"cross"`` from 40
        samples on and below 1,000 of a classification or 400 of a regression; else ``"holdout"`` from 10,000 samples on, else
        ``"none"``. Samples of your own, ``fit(X, y, X_val=..., y_val=...)``, come before all these.
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
        a constant rate; under a schedule, which improves most at its end, 20 where there is validation, with companions at
        least a fifth of ``max_iter``, and any number elsewhere; 50 generations of evolution.
    tol : float, default=1e-4
        What counts as an improvement, in units of the error function, or of the score.
    l1 : float, default=0.0
        Adds l1 · Σ abs(w) over all but bias weights to the mean error, whatever the batch size.
    l2 : float or "auto", default="auto"
        Adds ½ · l2 · Σ w² over all but bias weights to the mean error, whatever the batch size. ``"auto"`` is 0.0001
        where samples that a network has set aside stop it; elsewhere 0.002 for classification and 0.0003 for regression.
    weight_decay : float, default=0.0
        λ of w ← w − η λ w at each update of descent, on all but bias weights; decoupled from the gradient.
    dropout : float, sequence of float or "auto", default="auto"
        The probability, in [0, 1), that a hidden neuron's output is left out of an update of descent; one for all
        hidden layers, or one for each. ``"auto"`` is 0.1 for classification where a network learns from all samples and
        an update sees a part of them only, so that it is random anyway; else 0.
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
        Processes that the networks are shared out among, as joblib counts them, those of a jury together; None is 1.
    random_state : int, numpy RandomState or None, default=None
        An int makes everything that is random repeatable.
    verbose : bool, default=False
        Whether to print a line for each step.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Classification only; of a multilabel one the numbers of the labels.
    n_features_in_ : int
    feature_names_in_ : array of str, shape (n_features,)
        Where X has names of columns that are all strings.
    network_ : Network
        The same for all networks of a stack; they differ in their weights.
    algorithm_ : Algorithm
        What trained them: ``algorithm``, or what it chose.
    architecture_ : pandas.DataFrame
        A row for each network: its connections whose weight is not 0, how many there could be, and its hidden neurons of each
        activation. What evolution has made of them, or what the parameters say.
    encoder_ : TableEncoder or None
        What makes the inputs of the networks of X, with their names; None with ``encoding="none"``.
    parameters_ : array of shape (n_networks, D)
        The weights, one row for each network, see `Network.weights`; those of the first layer are of inputs as encoded.
        Probabilities of cross-fitting are calibrated: the weights into the output neurons are divided by `temperature_`.
    members_ : list of BackpropMLP
        Each network by itself, as a fitted estimator.
    coefs_, intercepts_ : list of arrays
        The weights as scikit-learn's MLP shapes them, for one network where each layer feeds the next one only. They are of X as
        given, where the encoding does no more than to bring columns on a scale.
    history_ : pandas.DataFrame
        One row a step: step, error (on the training data, without the penalties), validation_error, validation_score
        (accuracy or R², or that of ``scoring``), evaluations, with those of companions, and seconds so far; evolution adds
        columns on the population. Of several networks, one row for each and step, with a column network. With
        ``validation="cross"`` the validation error of a network is the mean over the others of its jury.
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
        three; of all networks, companions included.
    oof_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs)
        With ``validation="cross"``: for each sample the probabilities (or outputs, or values) by the one network, or
        companion, that has not learnt from it; samples of weight 0 have the answer of the fitted model.
    oof_score_, oof_score_error_ : float
        Accuracy or R² of that, and half the width of its 95 % interval: an estimate without a test set. It is a little
        too low: one network that has learnt from a part predicts each sample, and the average of all, or what has learnt from
        all, is better. Where evolution brings several candidates a step, the fold has chosen among these, which flatters it.
    temperature_ : float
        With ``validation="cross"`` and probabilities: what calibrates them, fitted to `oof_prediction_`; of a single network
        it is at least 1.

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

    # What later versions brought, with the value that means what was before: keys of studies leave these out.
    PARAMETERS_ADDED: ClassVar[Mapping[str, str]] = {"encoding": "none"}

    def __init__(
        self,
        task: Literal["classification", "regression"] = "classification",
        *,
        encoding: Any = "auto",
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
        self.encoding = encoding
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
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Arrays, data frames of pandas, polars or pyarrow, CSR. A sparse X stays sparse but for the samples at work.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes of any type, 0 and 1 for each of several labels, or numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 0 is the sample's absence; 2 equals the sample twice where none are set aside, since a copy may be in
            another fold.
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
        return self._fit(X, y, sample_weight, X_val, y_val, groups)

    @with_callbacks
    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any,
        y_val: Any,
        groups: Any,
        fold: Array | None = None,
        known: Any = None,
    ) -> BackpropMLP:
        left = vars(self).get("_left") if self.warm_start else None
        if left is not None and left.training is None:  # it ended in a way that nothing can go on from
            left = None
        settings = Settings.of(self._given())
        known = known if left is None else left.model.encoder
        data = self._data(X, y, sample_weight, groups, X_val, y_val, before=_Before(known, fold))
        plan = plan_fit(settings, data, self.with_model, left)
        self._show(self._outcome(plan, self._train(plan, left, X, y), self.warm_start, left))
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
        settings = Settings.of(self._given())
        left, model = vars(self).get("_left"), _model_of(self)
        if left is None and model is not None:  # a loaded model
            left = Left(model)
        if left is None and self.task == "classification" and classes is None:
            raise ValueError("classes must be given in the first call of partial_fit: all classes that will occur.")
        data = self._data(X, y, sample_weight, classes=classes, before=_Before(model))
        plan = plan_step(settings, data, self.with_model, left)
        self._show(self._outcome(plan, self._train(plan, left, X, y), True, left))
        return self

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

        The graph takes ``X`` of shape (n, n_features) and computes in float32. Of a table with words it takes ``X0``, ``X1`` and so
        on, a column each of shape (n, 1): words, empty for gaps, or numbers, NaN for gaps. A classification gives ``label``
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
        plan_fit(Settings.of(self._given()), self._data(X, y), self.with_model)

    def with_model(self, model: Model) -> BackpropMLP:
        """Return a fitted estimator with the parameters of this one that shows a model.

        Parameters
        ----------
        model : Model
            Such as `model_` of another estimator, or what a callback sees while it is trained.

        Returns
        -------
        BackpropMLP
            It shares the parameters, and calls no callbacks.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> model = BackpropMLP(max_iter=5, random_state=0).fit(X, y)
        >>> bool((BackpropMLP().with_model(model.model_).predict(X) == model.predict(X)).all())
        True
        """
        if not isinstance(model, Model):
            raise TypeError(f"model must be a Model, such as model_ of a fitted estimator. Got {quoted(model)}.")
        twin = self._twin()
        for name in ("_left", "_skl_callbacks", "n_features_in_", "feature_names_in_"):
            twin.__dict__.pop(name, None)
        twin.callbacks = None
        twin.__dict__.update(_attributes_of(model))
        return twin

    def _twin(self) -> BackpropMLP:
        """Return an estimator that shares everything with this one."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(vars(self))
        return twin

    def _given(self) -> dict[str, Any]:
        return {"task": self.task, **{name: getattr(self, name) for name in self._get_param_names()}}

    def _data(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        groups: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        classes: Any = None,
        before: _Before | None = None,
    ) -> Data:
        """Have data checked and encoded."""
        known, fold, shared = (None, None, None) if before is None else (before.known, before.fold, before.shared)
        probe = self._twin()  # what scikit-learn notes of the data is for a model that is not there yet
        given, checked = _check_together(probe, X, y, reset=not isinstance(known, Model))
        if (X_val is None) is not (y_val is None):
            raise ValueError("X_val and y_val belong together; one of them is missing.")
        val, y_val = (None, None) if X_val is None else _check_together(probe, X_val, y_val, reset=False)
        names = vars(probe).get("feature_names_in_")
        named = encoder_named(self.encoding)
        features, features_val = given, val
        encoder = known.encoder if isinstance(known, Model) else known if isinstance(known, Encoder) else None
        if named is not None:
            dtype = _dtype_of(self.dtype, given)
            is_dense = not any(hasattr(part, "nnz") for part in (given, val))

            def encode() -> tuple[Encoder | None, Any]:
                learnt = encoder
                if learnt is None and not isinstance(known, Model):
                    learnt = _learnt(named, given, names, sample_weight, known if isinstance(known, Layout) else None)
                return learnt, given if learnt is None else learnt.encode(
                    given, dtype, self._has_ones(learnt, is_dense)
                )

            if shared is None:
                encoder, features = encode()
            else:
                of_encoder = rules_of(named), tuple(kinds_of(named).items()), dtype, bool(self.bias), is_dense
                source = X, sample_weight, known
                encoder, features = shared.encoded((*(id(part) for part in source), *of_encoder), source, encode)
            if encoder is not None and val is not None:
                features_val = encoder.encode(val, dtype, self._has_ones(encoder, is_dense))
        more = None if val is None else (features_val, y_val, val)
        return Data(
            features, checked, given, encoder, names, sample_weight, groups, more, classes, self.random_state, fold
        )

    def _has_ones(self, encoder: Encoder, is_dense: bool) -> bool:
        """Whether what is encoded gets a column of ones, for the bias."""
        return bool(self.bias) and encoder.pieces is None and is_dense

    def _train(self, plan: Plan, left: Left | None, X: Any, y: Any) -> Training:
        """Train what was planned, from the start or from what the last fit left."""
        task = plan.task
        callbacks = check_callbacks(self.callbacks)
        if self.verbose:
            callbacks = [*callbacks, print_row]
            given = ALGORITHMS.resolve(self.algorithm, "algorithm")
            if type(given) is not type(task.algorithm):
                print(
                    f"algorithm={quoted(given.name)}: {quoted(task.algorithm)} for {plan.network.n_parameters:,} weights"
                )
        if getattr(self, "_skl_callbacks", []) or hasattr(self, "_parent_callback_ctx"):
            callbacks = [
                *callbacks,
                ScikitLearnCallbacks(self, X, y, lambda t: _attributes_of(plan.model_of(t.copy()))),
            ]
        old = None if left is None else left.training
        if old is not None and len(old.n_iter) > task.problem.n_members:  # what goes on has no companions any more
            spent = old.evaluations.sum()
            old = old.select(np.arange(task.problem.n_members))
            old.evaluations[-1] += spent - old.evaluations.sum()
        if old is None and not callbacks:
            return train([task], self.n_jobs)[0]
        if effective_n_jobs(self.n_jobs) > 1 and callbacks:
            raise ValueError("callbacks and verbose need n_jobs=1: they look at all networks after each step.")
        key = self._key_of_fit(plan) if callbacks else ""
        with one_thread(), Caller(callbacks, self, task.stopping.max_iter, key, plan.model_of) as caller:
            if old is None:
                training = Training(task.algorithm, task.problem, task.descent, task.parameters, task.rngs)
                first = training
                for callback in callbacks:
                    if isinstance(callback, Checkpoint):
                        if callback.resume and not is_integer(self.random_state):
                            raise ValueError(
                                "Checkpoint(resume=True) needs a random_state that is an int, to go on with it."
                            )
                        training = callback.restore(key, training)
                resume = training is not first
            else:
                training, resume = old.copy(), False  # an interruption must not leave it half way
            caller.begin(training, resume)
            new_data = left is not None and left.key != self._key_of_data(plan)
            return training.run(
                task.problem, task.descent, task.stopping, caller if callbacks else None, new_data, resume
            )

    def _outcome(self, plan: Plan, training: Training, goes_on: bool, left: Left | None = None) -> Left:
        """Return what a fit has come to, and with ``goes_on`` what the next one needs to go on from there."""
        has_begun = left is not None and left.training is not None
        is_mixed = left is not None and has_begun and (left.is_mixed or left.rows_key != plan.rows_key)
        model = finish(plan, training, is_mixed)
        if training.diverged.any():
            reason = next(r for r, bad in zip(training.stop_reason, training.diverged, strict=True) if bad)
            warnings.warn(reason, ConvergenceWarning, stacklevel=5)
            goes_on = False
        if not goes_on:
            return Left(model, plan.seed)
        settings = plan.settings
        parts = settings.optimizer, settings.schedule
        return Left(model, plan.seed, training, *parts, self._key_of_data(plan), plan.rows_key, is_mixed)

    def _show(self, outcome: Left) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        self.__dict__.update(_attributes_of(outcome.model), _left=outcome)

    def _key_of_data(self, plan: Plan) -> str:
        """Return a hash of the data where somebody may ask whether they are the same as before."""
        asked = self.warm_start or any(isinstance(callback, Checkpoint) for callback in check_callbacks(self.callbacks))
        return plan.data_key if asked else ""

    def _key_of_fit(self, plan: Plan, data_key: str | None = None) -> str:
        """Return a hash of the parameters that decide a fit, and of its data."""
        unstable = Unstable()
        given = {name: value for name, value in plan.settings.given.items() if name not in _DECIDE_NOTHING}
        decides: tuple[Any, ...] = (given, plugins_in(given), plan.network.key, plan.seed.entropy)
        decides = (*decides, self._key_of_data(plan) if data_key is None else data_key)
        key = key_of(*decides, unstable=unstable)
        resumes = any(
            isinstance(callback, Checkpoint) and callback.resume for callback in check_callbacks(self.callbacks)
        )
        if unstable and resumes:
            raise ValueError(
                f"Checkpoint(resume=True) cannot tell whether this is the fit that it has saved: a parameter holds an object of "
                f"{unstable.named[0]}, which has no key that is the same in another process."
            )
        return key

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predicted class of each sample, its labels, or its predicted value.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether a regression also returns the standard deviation of the networks' predictions: how far they differ,
            which is only a part of the uncertainty. It needs several networks.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several outputs or labels
            With ``return_std`` a pair of such arrays.
        """
        if not return_std:
            return self._decoded(self._values(X))
        check_is_fitted(self)
        if not self.model_.target.is_numeric:
            raise ValueError("return_std is for task='regression'.")
        if self.model_.n_networks == 1:
            raise ValueError(
                "return_std tells how far several networks differ, and this model is one: its 0 would look like certainty. "
                "Fit with n_networks of 2 or more."
            )
        mean, spread = self.model_.spread(self._checked(X))
        return self._decoded(mean), self._decoded(spread)

    @available_if(_is_probabilistic)
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, shape (n_samples, n_classes), in the order of `classes_`.

        Of a multilabel classification the probability of each label, shape (n_samples, n_labels).
        """
        values, target = self._values(X), self.model_.target
        return target.probabilities(values)

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
        threshold = getattr(self.model_.target, "threshold", 0.0)
        return outputs[:, 0] - threshold if outputs.shape[1] == 1 else outputs

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of a classification, for several labels that of all together, or R² of a regression."""
        predicted = self.predict(X)
        metric = accuracy_score if self.task == "classification" else r2_score
        plain = isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuOU" and sample_weight is None
        if metric is accuracy_score and plain and y.shape == predicted.shape:
            return float((y == predicted).mean())  # the same, without a millisecond of checks
        return float(metric(y, predicted, sample_weight=sample_weight))

    def _decoded(self, values: Array) -> Any:
        return self.model_.target.decode(values)

    def _values(self, X: Any) -> Array:
        """Return the average of the networks' outputs, as probabilities or in the units of y, (n_samples, n_outputs)."""
        check_is_fitted(self)
        if self.model_.answer is not None and self.model_.answer[0] is X:
            return self.model_.answer[1]
        return self.model_.values(self._checked(X))

    def values_of_each(self, X: Any) -> Array:
        """Return what each network predicts, as probabilities of the outputs or in the units of y.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_networks, n_samples, n_outputs)
            With cross-fitting that of a network is what has not learnt from its fold.
        """
        check_is_fitted(self)
        return self.model_.values_of_each(self._checked(X))

    def _checked(self, X: Any) -> Any:
        return _check(self, X, reset=False, is_encoded=self.model_.encoder is not None)

    model_: Model = _fitted(lambda model: model, "All that is known of the fitted networks, as a value.")
    classes_: Array = _fitted(_classes, "The classes; of a multilabel classification the numbers of the labels.")
    encoder_: TableEncoder | None = _fitted(
        lambda model: None if model.encoder is None else fitted(model.encoder, model.feature_names),
        "What makes inputs of X.",
    )
    network_: Network = _fitted(lambda model: model.network, "The network that was trained.")
    algorithm_: Any = _fitted(lambda model: model.algorithm, "What trained it.")
    parameters_: Array = _fitted(lambda model: model.parameters, "The weights, one row for each network.")
    history_: pd.DataFrame = _fitted(_history, "One row a step; see the class.")
    n_iter_: int = _fitted(lambda model: model.n_iter, "Steps done; the most of all networks.")
    evaluations_: int = _fitted(lambda model: model.evaluations, "What training cost; see the class.")
    stop_reason_: str = _fitted(lambda model: model.stop_reason, "Why training stopped.")
    best_error_: float = _fitted(lambda model: model.best[0], "The lowest error; see the class.")
    best_validation_score_: float | None = _fitted(lambda model: model.best[1], "The score; see the class.")
    architecture_: pd.DataFrame = _fitted(lambda m: pd.DataFrame(m.architecture()), "A row for each network.")
    coefs_: list[Array] = _fitted(Model.coefs, "The weights between consecutive layers.")
    intercepts_: list[Array] = _fitted(Model.intercepts, "The weights of the bias neurons.")
    oof_prediction_: Array = _fitted(lambda model: _out_of_fold(model).prediction, "See the class.")
    oof_score_: float = _fitted(lambda model: _out_of_fold(model).score, "See the class.")
    oof_score_error_: float = _fitted(lambda model: _out_of_fold(model).score_error, "See the class.")
    temperature_: float = _fitted(_temperature, "What calibrates the probabilities; see the class.")

    @property
    def members_(self) -> list[BackpropMLP]:
        """Each network by itself, as a fitted estimator that shares its weights."""
        members = [self.with_model(self.model_.member(i)) for i in range(self.model_.n_networks)]
        for member in members:
            member.n_networks = 1
            if member.validation == "cross":
                member.validation = "auto"
        return members

    def set_params(self, **params: Any) -> BackpropMLP:
        """Set parameters; ``algorithm__population_size`` and its like are settings of a part that is given as an object.

        Raises
        ------
        ValueError
            For parameters that do not exist, or settings of a part that is given by its name.
        """
        for name in params:
            part, is_setting, _ = name.partition("__")
            value = params.get(part, getattr(self, part, None))
            if is_setting and isinstance(value, str | Mapping):
                made = next(
                    (
                        r.resolve(value, part)
                        for kind, r in REGISTRIES.items()
                        if part in (kind, kind.replace(" ", "_"))
                    ),
                    None,
                )
                hint = "" if made is None else f" Give an object, such as {part}={type(made).__name__}(...)."
                raise ValueError(f"{name}: {part}={quoted(value)} is a name, whose settings cannot be set.{hint}")
        return super().set_params(**params)

    def _encoder_named(self) -> TableEncoder | None:
        try:
            return encoder_named(self.encoding)
        except TypeError:  # which fit says
            return None

    def __sklearn_is_fitted__(self) -> bool:
        return _model_of(self) is not None

    @classmethod
    @functools.cache
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters; reading the signature each time takes a good part of a clone."""
        return super()._get_param_names()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        encoder = self._encoder_named()
        tags.input_tags.sparse = encoder is None or encoder.pieces == 0
        if encoder is not None:
            tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        if self.task == "regression":
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        else:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_label=True)
        return tags


def _check(estimator: BackpropMLP, X: Any, reset: bool, is_encoded: bool) -> Any:
    """Return X as scikit-learn or the encoding checks it, with the number and the names of columns that it must have."""
    if not is_encoded:
        return validate_data(estimator, X, reset=reset, **_KINDS)
    given = as_given(X)
    validate_data(estimator, X if hasattr(X, "columns") else given, reset=reset, skip_check_array=True)
    return given


def _check_together(estimator: BackpropMLP, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
    """Return X and y as they are checked, with as many rows each."""
    of_y: dict[str, Any] = {"multi_output": True, "y_numeric": estimator.task == "regression"}
    if isinstance(estimator.encoding, str) and estimator.encoding == "none":
        both: tuple[Any, Any] = validate_data(estimator, X, y, reset=reset, **of_y, **_KINDS)
        return both
    given = _check(estimator, X, reset, is_encoded=True)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    checked = _check_y(y, estimator=estimator, **of_y)
    check_consistent_length(given, checked)
    return given, checked


def _dtype_of(named: Any, given: Any) -> Any:
    """Return the precision in which networks see X."""
    if not is_auto(named):
        return np.dtype(named)
    return np.float32 if getattr(given, "dtype", None) == np.float32 else np.float64


def _learnt(named: TableEncoder, given: Any, names: Any, sample_weight: Any, layout: Layout | None) -> Encoder:
    """Return what is learnt of X: how its columns are laid out, if that is not known, and scales."""
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, given, dtype=np.float64, ensure_non_negative=True)
        weight = weight if weight.any() else None  # which is refused where weights are looked at
    if layout is None:
        layout = lay_out(given, rules_of(named), kinds_of(named), names, weight)
        for note in layout.notes:
            warnings.warn(note, UserWarning, stacklevel=7)
    return learn(layout, given, weight)


# What scikit-learn lets through as X.
_KINDS: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}


def plan_of(
    estimator: BackpropMLP,
    data: dict[str, Any],
    feature_names: Array | None = None,
    shared: Shared | None = None,
    settings: Settings | None = None,
) -> Plan:
    """Return the plan of a fit that is to be trained with others.

    Parameters
    ----------
    estimator : BackpropMLP
    data : dict
        Arguments of its `fit`; besides, as ``fold``, the fold of each sample where that is settled, and as ``known`` how a table
        is laid out that X is a part of.
    feature_names : array of str, default=None
        The names of the columns, where X was cut out of a table.
    shared : Shared, default=None
        What other fits have made already.
    settings : Settings, default=None
        The checked parameters of an estimator with the same ones.
    """
    before = _Before(data.get("known"), data.get("fold"), shared)
    arguments = {name: value for name, value in data.items() if name not in ("known", "fold")}
    checked = estimator._data(**arguments, before=before)
    if feature_names is not None:
        checked = replace(checked, feature_names=feature_names)
    return plan_fit(settings or Settings.of(estimator._given()), checked, estimator.with_model, shared=shared)


def layout_of(estimator: BackpropMLP, X: Any) -> Layout | None:
    """Return how an estimator lays out a table, parts of which it is to be fitted to; None where it encodes nothing."""
    named = encoder_named(estimator.encoding)
    if named is None:
        return None
    given = as_given(X)
    probe = estimator._twin()
    validate_data(probe, X if hasattr(X, "columns") else given, reset=True, skip_check_array=True)
    return lay_out(given, rules_of(named), kinds_of(named), vars(probe).get("feature_names_in_"))


def layout_rules(estimator: BackpropMLP) -> tuple[Any, ...] | None:
    """Return what decides how an estimator lays out a table; None where it encodes nothing."""
    check_encoding("encoding", estimator.encoding)
    named = encoder_named(estimator.encoding)
    return None if named is None else (rules_of(named), tuple(kinds_of(named).items()))


def settings_of(estimator: BackpropMLP) -> Settings:
    """Return the parameters of an estimator, checked; see `Settings.of`."""
    return Settings.of(estimator._given())


def fit_by_folds(estimator: BackpropMLP, X: Any, y: Any, sample_weight: Any, fold: Array) -> None:
    """Fit an estimator with ``validation="cross"`` by given folds: one for each sample, as many as there are networks."""
    estimator._fit(X, y, sample_weight, None, None, None, fold)


def fit_laid_out(estimator: BackpropMLP, X: Any, y: Any, whole: Any) -> None:
    """Fit an estimator to a part of a table; what a column is follows from the whole."""
    estimator._fit(X, y, None, None, None, None, known=layout_of(estimator, whole))


def key_of_plan(estimator: BackpropMLP, plan: Plan) -> str:
    """Return a hash of the parameters that decide the fit of an estimator, and of its data."""
    return estimator._key_of_fit(plan, plan.data_key)


def outcome_of(estimator: BackpropMLP, plan: Plan, training: Training) -> Left:
    """Return what the training of an estimator's plan has come to."""
    return estimator._outcome(plan, training, estimator.warm_start)


def show(estimator: BackpropMLP, outcome: Left) -> None:
    """Have an estimator show what a fit has come to."""
    estimator._show(outcome)
