"""Many fits as one stack: `fit_many`, and `cross_validate` with scikit-learn's signature and result."""

from __future__ import annotations

import contextlib
import numbers
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.model_selection import cross_validate as cross_validate_one_by_one
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_feature_names, _check_method_params

from nnexp._errors import quoted
from nnexp._names import is_number
from nnexp._processes import let_workers_leave
from nnexp.encoding import Layout
from nnexp.estimator import BackpropMLP, fit_laid_out, layout_of, layout_rules, outcome_of, plan_of, show
from nnexp.fitting import Left, Plan, Settings, Shared
from nnexp.fitting.settings import check_jobs
from nnexp.training.loop import Training
from nnexp.training.stack import Task, train

Array = NDArray[Any]

# Folds are prepared and trained together as long as their data take up no more than this, in bytes.
_TOGETHER_BYTES = 1 << 29


@dataclass
class Fit:
    """One model to be fitted, and how it went.

    Attributes
    ----------
    model : BackpropMLP or Pipeline
        A pipeline ends in a BackpropMLP.
    X, y : array-like
        What it learns from.
    params : dict
        Further arguments of its `fit`.
    feature_names : array of str, or None
        The names of the columns, where X was cut out of a table.
    whole : array-like or None
        The table that X is a part of: its columns are laid out by all of it, so that all parts give the same inputs.
    error : Exception or None
        Why it failed.
    seconds : float
        Its own time, and its share of the time of the stack.
    warnings : list of warnings.WarningMessage
    """

    model: Any
    X: Any
    y: Any
    params: dict[str, Any]
    feature_names: Array | None = None
    whole: Any = None
    error: Exception | None = None
    seconds: float = 0.0
    warnings: Sequence[warnings.WarningMessage] = ()

    @property
    def network(self) -> BackpropMLP:
        """The estimator proper."""
        last = last_step(self.model)
        assert isinstance(last, BackpropMLP)
        return last

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Note the time, the warnings and the error of a part of the fit."""
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield
            except Exception as error:
                self.error = error
        self.warnings = [*self.warnings, *caught]
        self.seconds += time.perf_counter() - start


def last_step(model: Any) -> Any:
    """Return the estimator of a pipeline, or a model itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def can_stack(model: Any) -> bool:
    """Whether a model is a BackpropMLP, or a pipeline that ends in one, that can be fitted in a stack with others."""
    if isinstance(model, Pipeline):
        names = [name for name, _ in model.steps]
        if not names or len(set(names)) < len(names):
            return False
    last = last_step(model)
    if not hasattr(type(model), "fit") or not hasattr(type(last), "fit"):
        return False
    own_fit = type(model).fit not in (Pipeline.fit, BackpropMLP.fit) or type(last).fit is not BackpropMLP.fit
    if own_fit or not isinstance(last, BackpropMLP) or last.callbacks or last.verbose or last.warm_start:
        return False
    return not getattr(last, "_skl_callbacks", None) and last.max_seconds is None


# Is given a training after each step of it, and for each fit in it, by its number, its network as it stands and the slice of
# its members.
WatchFits = Callable[[Training, Mapping[int, tuple[Callable[[], BackpropMLP], slice]]], None]


def fit_together(
    fits: Sequence[Fit],
    n_jobs: int | None = None,
    same_parameters: bool = False,
    watch: WatchFits | None = None,
    all_or_none: bool = False,
    shared: Shared | None = None,
) -> None:
    """Fit all models, each as it would be fitted alone; one that fails keeps its error and stops no other.

    ``same_parameters`` says that all are clones of one, whose parameters need no second check. ``watch`` looks on after each
    step and may stop members by giving them a ``stop_reason``. With ``all_or_none`` no model shows anything where one fails.
    ``shared`` is what fits of before have made already.
    """
    settings: Settings | None = None
    ready: list[tuple[Fit, Plan, Any]] = []
    shared = shared or Shared()
    layouts: dict[tuple[int, Any], Layout | None] = {}
    for fit in fits:
        with fit.watched():
            X = fit.X
            if isinstance(fit.model, Pipeline) and len(fit.model.steps) > 1:
                head = fit.model[:-1]
                X = head.fit_transform(X, fit.y)
                fit.model.steps[:-1] = head.steps
            elif fit.whole is not None:
                key = id(fit.whole), layout_rules(fit.network)
                if key not in layouts:
                    layouts[key] = layout_of(fit.network, fit.whole)
                if layouts[key] is not None:
                    fit.params = {**fit.params, "known": layouts[key]}
            plan = plan_of(fit.network, {"X": X, "y": fit.y, **fit.params}, fit.feature_names, shared, settings)
            ready.append((fit, plan, X))
            if same_parameters:
                settings = plan.settings
    if not ready:
        return
    start = time.perf_counter()
    tasks: list[Task] = [plan.task for _, plan, _ in ready]
    outcomes: list[tuple[Fit, Left]] = []
    try:
        trainings = train(tasks, n_jobs, None if watch is None else _watch(fits, ready, watch))
    except Exception:  # a scorer or a schedule of the user's failed: each by itself shows whose
        for fit, _, X in ready:
            with fit.watched():
                plan = plan_of(fit.network, {"X": X, "y": fit.y, **fit.params}, fit.feature_names)
                outcomes.append((fit, outcome_of(fit.network, plan, train([plan.task])[0])))
    else:
        share = (time.perf_counter() - start) / len(ready)
        for (fit, plan, _), training in zip(ready, trainings, strict=True):
            fit.seconds += share
            with fit.watched():
                outcomes.append((fit, outcome_of(fit.network, plan, training)))
    if all_or_none and any(fit.error is not None for fit in fits):
        return
    for fit, outcome in outcomes:
        show(fit.network, outcome)


def fit_alone(fit: Fit) -> None:
    """Fit one model as it fits itself; what the columns of a network are follows from the whole table there too."""
    last = last_step(fit.model)
    is_network = isinstance(last, BackpropMLP) and type(last).fit is BackpropMLP.fit
    has_steps = isinstance(fit.model, Pipeline) and len(fit.model.steps) > 1
    if fit.whole is None or not is_network or has_steps or fit.params:
        fit.model.fit(fit.X, fit.y, **fit.params)
    else:
        fit_laid_out(last, fit.X, fit.y, fit.whole)


def _watch(fits: Sequence[Fit], ready: list[tuple[Fit, Plan, Any]], watch: WatchFits) -> Any:
    numbers = {id(fit): number for number, fit in enumerate(fits)}

    def look(training: Training, spans: dict[int, slice]) -> None:
        groups = {}
        for i, span in spans.items():
            fit, plan, _ = ready[i]
            groups[numbers[id(fit)]] = partial(_as_of, fit.network, plan, training, span), span
        watch(training, groups)

    return look


def _as_of(estimator: BackpropMLP, plan: Plan, training: Training, members: slice) -> BackpropMLP:
    """Return an estimator that predicts as training stands."""
    return estimator.with_model(plan.model_of(training, members))


def fit_many(
    estimators: Sequence[BackpropMLP],
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    X_val: Any = None,
    y_val: Any = None,
    groups: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> list[BackpropMLP]:
    """Fit several estimators on the same data; those that share a network and a batch size train as one stack.

    What may differ within a stack: random_state, learning_rate, l1, l2, weight_decay, dropout, clip_norm, class_weight and
    n_networks. What differs otherwise trains in a stack of its own.

    Parameters
    ----------
    estimators : sequence of BackpropMLP
        Each is fitted as `fit` would fit it.
    X, y, sample_weight, X_val, y_val, groups
        As for `BackpropMLP.fit`.
    n_jobs : int or None, default=None
        Processes that the networks are shared out among, as joblib counts them; None is 1.

    Returns
    -------
    list of BackpropMLP
        The estimators.

    Raises
    ------
    ValueError, TypeError
        If one of them cannot be fitted; all are then as they were.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP, fit_many
    >>> X, y = load_iris(return_X_y=True)
    >>> models = [BackpropMLP(hidden_layer_sizes=(8,), learning_rate=r, random_state=0) for r in (0.003, 0.01, 0.03)]
    >>> [model.score(X, y) > 0.9 for model in fit_many(models, X, y)]
    [True, True, True]
    """
    if isinstance(estimators, BaseEstimator) or not isinstance(estimators, Iterable):
        raise TypeError(f"estimators must be a sequence of BackpropMLP objects. Got {quoted(estimators)}.")
    models = list(estimators)
    check_jobs("n_jobs", n_jobs)
    for model in models:
        if not isinstance(model, BackpropMLP):
            raise TypeError(f"estimators must be BackpropMLP objects. Got {quoted(model)}.")
        if not can_stack(model):
            raise ValueError(
                "fit_many takes no estimators with callbacks, verbose, warm_start or max_seconds: they need a fit of their own."
            )
    if len({id(model) for model in models}) < len(models):
        raise ValueError("estimators must be different objects; clone the one that occurs twice.")
    values, values_val, names = X, X_val, None
    as_it_is = all(layout_rules(model) is None for model in models)
    if (
        hasattr(X, "columns") and models and as_it_is
    ):  # one array for all, so that it is kept once; names are checked here
        probe = BackpropMLP()
        _check_feature_names(probe, X, reset=True)
        if X_val is not None:
            _check_feature_names(probe, X_val, reset=False)
        with contextlib.suppress(Exception):
            values, values_val = np.asarray(X), None if X_val is None else np.asarray(X_val)
            if values.dtype.kind not in "biuf":
                values, values_val = X, X_val
            else:
                names = vars(probe).get("feature_names_in_")
    params = {"sample_weight": sample_weight, "X_val": values_val, "y_val": y_val, "groups": groups}
    fits = [Fit(model, values, y, params, names) for model in models]
    fit_together(fits, n_jobs, all_or_none=True)
    for fit in fits:
        if fit.error is not None:
            raise fit.error
        _warn_again(fit)
    return models


def _warn_again(fit: Fit) -> None:
    for warning in fit.warnings:
        warnings.warn(warning.message, warning.category, stacklevel=3)


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    groups: ArrayLike | None = None,
    scoring: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    params: dict[str, Any] | None = None,
    pre_dispatch: Any = "2*n_jobs",
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
    error_score: Any = np.nan,
) -> dict[str, Any]:
    """Evaluate by cross-validation, with all folds trained together as one stack.

    The signature and the result are those of `sklearn.model_selection.cross_validate`. For a BackpropMLP, or a pipeline
    that ends in one, each fold is trained as it would be alone, with the same random numbers; other estimators, and
    those with callbacks, verbose, warm_start or max_seconds, go to scikit-learn's function.

    Parameters
    ----------
    estimator : BackpropMLP, Pipeline or another estimator
    X, y : array-like
    groups, scoring, cv, n_jobs, verbose, params, pre_dispatch, return_train_score, return_estimator, return_indices,
    error_score
        As scikit-learn has them. ``n_jobs`` shares the networks out among processes.

    Returns
    -------
    dict of arrays
        ``test_score`` (or ``test_NAME`` for several scores), ``fit_time``, ``score_time``, and what else was asked
        for. The time of a fit is its share of the time of the stack.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import BackpropMLP, cross_validate
    >>> X, y = load_iris(return_X_y=True)
    >>> model = BackpropMLP(hidden_layer_sizes=(8,), learning_rate=0.01, max_iter=60, random_state=0)
    >>> bool(cross_validate(model, X, y, cv=10)["test_score"].mean() > 0.9)
    True
    """
    routed = bool(get_config()["enable_metadata_routing"])
    if not can_stack(estimator) or (params and (routed or isinstance(estimator, Pipeline))):
        let_workers_leave()
        return cross_validate_one_by_one(
            estimator, X, y, groups=groups, scoring=scoring, cv=cv, n_jobs=n_jobs, verbose=verbose, params=params,
            pre_dispatch=pre_dispatch, return_train_score=return_train_score, return_estimator=return_estimator,
            return_indices=return_indices, error_score=error_score,
        )  # fmt: skip
    check_jobs("n_jobs", n_jobs)
    if not (isinstance(error_score, str) and error_score == "raise") and not is_number(error_score):
        raise ValueError(f"error_score must be 'raise' or a number. Got {quoted(error_score)}.")
    if params is not None and not isinstance(params, dict):
        raise TypeError(f"params must be a dict of arguments of fit, or None. Got {quoted(params)}.")
    X, y, groups = indexable(X, y, groups)
    splitter = check_cv(cv, y, classifier=is_classifier(estimator))
    scorer = check_scoring(estimator, scoring=scoring, raise_exc=error_score == "raise")
    splits = list(splitter.split(X, y, groups))
    if not splits:
        raise ValueError(f"cv={quoted(cv)} gives no split.")
    results: dict[str, list[Any]] = {"fit_time": [], "score_time": []}
    models: list[BaseEstimator] = []
    failures: list[str] = []
    scores: list[dict[str, Any] | None] = []
    at_once = max(1, _TOGETHER_BYTES // max(1, _size(X)))
    for first in range(0, len(splits), at_once):
        part = splits[first : first + at_once]
        fits = []
        for train_rows, _ in part:
            own_X, own_y = _part(estimator, X, y, train_rows)
            given = _check_method_params(X, params or {}, indices=train_rows)
            fits.append(Fit(clone(estimator), own_X, own_y, given, whole=X))
        fit_together(fits, n_jobs, same_parameters=True)
        for fit, (_, test_rows) in zip(fits, part, strict=True):
            _warn_again(fit)
            results["fit_time"].append(fit.seconds)
            start = time.perf_counter()
            scores_of_fit: dict[str, Any] | None = None
            if fit.error is None:
                test_X, test_y = _part(estimator, X, y, test_rows)
                scores_of_fit = _scores(scorer, fit.model, test_X, test_y, "test", error_score)
                results["score_time"].append(time.perf_counter() - start)
                if return_train_score:
                    scores_of_fit |= _scores(scorer, fit.model, fit.X, fit.y, "train", error_score)
            else:
                if error_score == "raise":
                    raise fit.error
                failures.append("".join(traceback.format_exception(fit.error)))
                results["score_time"].append(0.0)
            scores.append(scores_of_fit)
            models.append(fit.model)
            fit.X = fit.y = None
    if failures:
        failed = f"{len(failures)} of {len(splits)} fits failed. The first one:\n{failures[0]}"
        if len(failures) == len(splits):
            raise ValueError(f"All the {failed}")
        warnings.warn(f"{failed}Their scores are error_score={quoted(error_score)}.", FitFailedWarning, stacklevel=2)
    names = dict.fromkeys(name for scores_of_split in scores if scores_of_split is not None for name in scores_of_split)
    if len(names) > 2:  # several metrics; a scorer that failed as a whole knows no names
        names = {name: None for name in names if name not in ("test_score", "train_score")}
    filled = [dict.fromkeys(names, error_score) | (scores_of_split or {}) for scores_of_split in scores]
    arrays = {name: np.array(values) for name, values in results.items()}
    if return_estimator:
        arrays["estimator"] = models  # type: ignore[assignment]
    if return_indices:
        arrays["indices"] = {  # type: ignore[assignment]
            "train": tuple(rows for rows, _ in splits), "test": tuple(rows for _, rows in splits),
        }  # fmt: skip
    for name in sorted(names, key=lambda value: value.removeprefix("train_").removeprefix("test_")):
        arrays[name] = np.array([value[name] for value in filled])
    return arrays


def _scores(scorer: Any, model: Any, X: Any, y: Any, prefix: str, error_score: Any) -> dict[str, Any]:
    """Return the scores of a fitted model by name; a score that fails is error_score."""
    try:
        score = scorer(model, X, y)
        for value in score.values() if isinstance(score, dict) else [score]:
            if not isinstance(value, numbers.Number | str) or (isinstance(value, str) and not isinstance(score, dict)):
                raise ValueError(f"scoring must return a number. Got {quoted(value)}.")
    except Exception:
        if error_score == "raise":
            raise
        message = f"Scoring failed; the score is error_score={quoted(error_score)}. {traceback.format_exc()}"
        warnings.warn(message, UserWarning, stacklevel=3)
        score = error_score
    if not isinstance(score, dict):
        return {f"{prefix}_score": float(score)}
    bad = {name: value for name, value in score.items() if isinstance(value, str)}
    if bad:
        warnings.warn(
            f"Scoring failed; the score is error_score={quoted(error_score)}. {bad}", UserWarning, stacklevel=3
        )
    return {f"{prefix}_{name}": error_score if name in bad else value for name, value in score.items()}


def _part(estimator: Any, X: Any, y: Any, rows: Array) -> tuple[Any, Any]:
    """Return some of the samples, as scikit-learn cuts them; plain arrays without its checks."""
    if type(X) is np.ndarray and type(y) is np.ndarray and rows.dtype.kind == "i":
        return X[rows], y[rows]
    return _safe_split(estimator, X, y, rows)


def _size(X: Any) -> int:
    """Return about how many bytes X takes up."""
    if hasattr(X, "nnz"):
        return 8 * int(X.nnz)
    if hasattr(X, "nbytes"):
        return int(X.nbytes)
    if hasattr(X, "columns"):
        return 8 * len(X) * len(X.columns)
    return 8 * len(X) * (len(X[0]) if len(X) and hasattr(X[0], "__len__") else 1)
