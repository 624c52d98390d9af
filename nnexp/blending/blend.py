"""Blend: estimators of any kind, averaged with weights that are chosen by what they say of samples they have not seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.model_selection import check_cv
from sklearn.utils import ClassifierTags, RegressorTags, Tags, get_tags
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import _num_samples

from nnexp._errors import quoted
from nnexp._names import check_number, is_integer
from nnexp.blending.blended import BlendedEstimator, blend
from nnexp.blending.fitting import complete, fit_candidate, samples_of
from nnexp.fitting.plan import seed_sequence
from nnexp.fitting.settings import check_jobs

Array = NDArray[Any]


class Blend(BlendedEstimator, _BaseComposition):
    """Several estimators as one: their average, weighted by what each says of samples that it has not learnt from.

    The samples are cut into ``cv`` folds, the same for all estimators. Each estimator is fitted once for each fold, to the
    samples that are not in it, and predicts the fold. By these predictions weights are chosen: one estimator after the other is
    picked, again and again, with which the average of all picked ones has the lowest loss. What is predicted afterwards is the
    weighted average of all that was fitted; probabilities are calibrated.

    A `BackpropMLP` of one network, or of ``cv`` networks, is trained as one stack: each network stops by the folds of
    others.

    Parameters
    ----------
    estimators : list of (str, estimator)
        Classifiers that give probabilities, or regressors; each with a name.
    cv : int, splitter of scikit-learn's, or iterable of pairs of arrays of int, default=8
        Folds; or what cuts the samples, each of which must be in one test part; estimators learn from the training parts. Of a
        number there are fewer where a fold would have less than 10 samples; with less than 80 samples there are none, each
        estimator learns from all samples, and all count the same.
    picks : int, default=20
        How often an estimator is picked; weights are multiples of ``1 / picks``.
    n_jobs : int or None, default=None
        Processes that fits are shared out among, as joblib counts them; None is 1.
    random_state : int, numpy RandomState or None, default=None
        Cuts the folds. Estimators have a ``random_state`` of their own.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Classification only; of a multilabel one the numbers of the labels.
    n_features_in_ : int
    feature_names_in_ : array of str, shape (n_features,)
        Where X has names of columns that are all strings.
    blend_ : pandas.DataFrame
        What the answer consists of: name, weight, loss out of fold (log loss, or the mean squared error in units of the variance
        of y) and seconds.
    cv_results_ : pandas.DataFrame
        The same for all estimators, those of weight 0 too.
    weights_ : array of float
        The weight of each of `members_`.
    members_ : list of tuples
        The name of each estimator whose weight is not 0, and all that were fitted: one stack of networks, or one estimator for
        each fold.
    oof_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs)
        For each sample the probabilities or values by what has not learnt from it, with weights and calibration that were chosen
        without its fold; samples of weight 0 have the answer of the blend.
    oof_score_, oof_score_error_ : float
        Accuracy or R² of that, and half the width of its 95 % interval.
    temperature_ : float
        What calibrates the probabilities.

    See Also
    --------
    TabularMLP : The same of networks alone, with a choice of its own.

    References
    ----------
    Caruana, Niculescu-Mizil, Crew and Ksikes (2004), "Ensemble selection from libraries of models", ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from nnexp import BackpropMLP, Blend
    >>> X, y = load_iris(return_X_y=True)
    >>> networks = BackpropMLP(hidden_layer_sizes=(8,), learning_rate=0.01, random_state=0)
    >>> trees = RandomForestClassifier(n_estimators=20, random_state=0)
    >>> model = Blend([("networks", networks), ("trees", trees)], cv=5, random_state=0).fit(X, y)
    >>> bool(model.oof_score_ > 0.9)
    True
    >>> sorted(model.cv_results_["name"])
    ['networks', 'trees']
    """

    def __init__(
        self, estimators: Any, *, cv: Any = 8, picks: int = 20, n_jobs: int | None = None, random_state: Any = None
    ) -> None:
        self.estimators = estimators
        self.cv = cv
        self.picks = picks
        self.n_jobs = n_jobs
        self.random_state = random_state

    def task_of_parameters(self) -> str:
        """Return what y is: what the estimators are for."""
        return "classification" if is_classifier(self.estimators[0][1]) else "regression"

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, groups: ArrayLike | None = None) -> Blend:
        """Fit all estimators and choose their weights.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            As the estimators take it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            Of fits, of the choice of weights and of the score; all estimators must take it.
        groups : array-like of shape (n_samples,), default=None
            Samples of one group come into one fold.

        Returns
        -------
        Blend
            Itself.

        Raises
        ------
        ValueError, TypeError
            For parameters or data that are impossible, each with a sentence; what an estimator raises.
        """
        self._check()
        X, y, sample_weight, probe = self.checked(X, y, sample_weight)
        seed = int(seed_sequence(self.random_state).generate_state(1)[0])
        n = _num_samples(X)
        cut = int(self.cv) if is_integer(self.cv) else _splits_of(self.cv, n, y, groups)
        samples = samples_of(self.task_of_parameters(), n, y, sample_weight, groups, cut, seed)
        y = y.toarray() if hasattr(y, "toarray") else y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        members = [
            fit_candidate(name, estimator, X, y, sample_weight, samples, self.n_jobs)
            for name, estimator in self.estimators
        ]
        self.take(complete(blend(samples, members, self.picks), X), probe)
        return self

    def _check(self) -> None:
        given = self.estimators
        pairs = isinstance(given, list | tuple) and all(
            isinstance(pair, tuple | list) and len(pair) == 2 for pair in given
        )
        if not pairs or not given:
            raise ValueError(f"estimators must be a list of pairs of a name and an estimator. Got {quoted(given)}.")
        for name, estimator in given:
            if not isinstance(name, str) or isinstance(estimator, type) or not hasattr(estimator, "fit"):
                raise TypeError(
                    f"estimators must be pairs of a name and an estimator. Got {quoted(name)} and {quoted(estimator)}."
                )
        self._validate_names([name for name, _ in given])
        kinds = [is_classifier if self.task_of_parameters() == "classification" else is_regressor]
        for name, estimator in given:
            if not kinds[0](estimator):
                what = "classifiers" if self.task_of_parameters() == "classification" else "regressors"
                raise ValueError(
                    f"estimators must be {what} all, or none; {name} is something else: {quoted(estimator)}."
                )
            if self.task_of_parameters() == "classification" and not hasattr(type(estimator), "predict_proba"):
                raise ValueError(
                    f"{name} gives no probabilities, which are what is averaged: {quoted(estimator)}. scikit-learn's "
                    "CalibratedClassifierCV gives it some."
                )
        if (
            is_integer(self.cv)
            or not (hasattr(self.cv, "split") or isinstance(self.cv, Iterable))
            or isinstance(self.cv, str)
        ):
            check_number("cv", self.cv, low=2, integer=True)
        check_number("picks", self.picks, low=1, integer=True)
        check_jobs("n_jobs", self.n_jobs)

    @property
    def members_(self) -> list[tuple[str, list[Any]]]:
        """The name of each estimator whose weight is not 0, and what was fitted."""
        if not self.__sklearn_is_fitted__():
            raise AttributeError("members_ exists after fit.")
        return [(member.name, list(member.fitted)) for member in self.blended_.weighty]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, with ``deep`` those of the estimators as well, as NAME__PARAMETER."""
        params: dict[str, Any] = self._get_params("estimators", deep=deep)
        return params

    def set_params(self, **params: Any) -> Blend:
        """Set parameters; NAME sets an estimator, NAME__PARAMETER one of its parameters."""
        self._set_params("estimators", **params)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        try:
            of_each = [get_tags(estimator) for _, estimator in self.estimators]
            classification = self.task_of_parameters() == "classification"
        except (TypeError, ValueError, IndexError, AttributeError):  # which fit says
            return tags
        tags.input_tags.sparse = all(each.input_tags.sparse for each in of_each)
        tags.input_tags.allow_nan = all(each.input_tags.allow_nan for each in of_each)
        tags.input_tags.string = all(each.input_tags.string for each in of_each)
        tags.target_tags.multi_output = all(each.target_tags.multi_output for each in of_each)
        tags.target_tags.single_output = all(each.target_tags.single_output for each in of_each)
        if classification:
            tags.estimator_type = "classifier"
            multi_label = all(each.classifier_tags is not None and each.classifier_tags.multi_label for each in of_each)
            tags.classifier_tags = ClassifierTags(multi_label=multi_label)
        else:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
        return tags


def _splits_of(cv: Any, X_rows: int, y: Array, groups: Any) -> list[tuple[Array, Array]]:
    """Return the samples that train and those that are set aside, each sample once, for each fold.

    Raises
    ------
    ValueError
        If some are in no part that is set aside, or in several; if there is one part only, or groups are torn apart.
    """
    n, rows = X_rows, np.arange(X_rows)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")  # which is refused below
            parts = check_cv(cv, y).split(np.empty((n, 1)), y, groups)
            splits = [(rows[training], rows[part]) for training, part in parts]
    except (TypeError, IndexError) as error:
        raise ValueError(f"cv must give pairs of rows that train and rows that are set aside: {error}.") from error
    times, fold = np.zeros(n, dtype=int), np.zeros(n, dtype=int)
    for number, (_, part) in enumerate(splits):
        times[part] += 1
        fold[part] = number
    if (times != 1).any():
        raise ValueError(
            "cv must cut the samples into parts, each sample into one: what is averaged is what was predicted of each. "
            f"{int((times == 0).sum())} samples are in no test part, {int((times > 1).sum())} in several."
        )
    if len(splits) < 2:
        raise ValueError("cv must cut the samples into two parts or more. Got 1.")
    if groups is not None:
        labels = np.asarray(groups).tolist()
        if len(set(zip(labels, fold.tolist(), strict=True))) > len(set(labels)):
            raise ValueError(
                "cv tears groups apart: take a splitter that heeds them, such as GroupKFold, or a number of folds."
            )
    return splits
