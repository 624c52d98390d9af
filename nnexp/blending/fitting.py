"""How candidates of a blend are fitted: all by the same folds."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import has_fit_parameter

from nnexp._errors import quoted
from nnexp._processes import let_workers_leave
from nnexp.blending.blended import Blended, Member, Samples, is_stack, values_of
from nnexp.estimator import BackpropMLP, fit_by_folds, settings_of
from nnexp.fitting.outputs import make_outputs
from nnexp.fitting.rows import Rows
from nnexp.fitting.splits import folds
from nnexp.model import OutOfFold
from nnexp.targets import Classes, Target
from nnexp.together import Fit, can_stack, fit_together

Array = NDArray[Any]
Splits = Sequence[tuple[Array, Array]]

# With fewer samples than this none are set aside; and a fold has at least so many, or there are fewer folds.
_LEAST_SAMPLES, _FOLD_SAMPLES = 80, 10


def samples_of(task: str, n: int, y: Any, sample_weight: Any, groups: Any, cut: int | Splits, seed: int) -> Samples:
    """Return the samples that weigh something, cut into at most so many folds, or as given.

    Parameters
    ----------
    task : {"classification", "regression"}
    n : int
        How many rows X has.
    y : array
        As scikit-learn has checked it.
    sample_weight, groups : array-like, or None
    cut : int or list of pairs of arrays of int
        How many folds there are at most, or for each the samples that train and those that are set aside.
    seed : int

    Raises
    ------
    ValueError, TypeError
        For y, weights or groups that are none.
    """
    rows = Rows.of(np.empty((n, 1)), y, sample_weight, groups)
    outputs, y = make_outputs(settings_of(BackpropMLP(task)), rows.y, None, None)  # type: ignore[arg-type]
    target: Target = outputs.target
    if isinstance(target, Classes):
        target = replace(target, one_output=False)
    if not isinstance(cut, int | np.integer):
        of_each, training = _as_cut(cut, rows.numbers, n)
        return Samples(target, target.encode(y), rows.weight, of_each, rows.numbers, n, training)
    k = min(cut, len(rows) // _FOLD_SAMPLES) if len(rows) >= _LEAST_SAMPLES else 1
    if rows.groups is not None:
        k = min(k, len(np.unique(rows.groups)))
    fold = None
    if k > 1:
        fold = folds(len(rows), k, y if target.is_exclusive else None, rows.groups, seed)
    return Samples(target, target.encode(y), rows.weight, fold, rows.numbers, n)


def _as_cut(splits: Splits, numbers: Array, n: int) -> tuple[Array, tuple[Array, ...]]:
    """Return the fold of each sample that weighs something, and for each fold those of them that train."""
    place, fold = np.full(n, -1), np.zeros(n, dtype=int)
    place[numbers] = np.arange(len(numbers))
    kept = [(training, apart) for training, apart in splits if (place[apart] >= 0).any()]
    for number, (_, apart) in enumerate(kept):
        fold[apart] = number
    training = tuple(place[part][place[part] >= 0] for part, _ in kept)
    return fold[numbers], training


def complete(blended: Blended, X: Any) -> Blended:
    """Return the same with a prediction out of fold for samples of weight 0 too: the answer for them."""
    known = blended.out_of_fold
    if known is None or not np.isnan(known.prediction).any():
        return blended
    prediction = known.prediction.copy()
    missing = np.flatnonzero(np.isnan(prediction.reshape(len(prediction), -1)).any(axis=1))
    prediction[missing] = blended.target.shown(blended.values(_safe_indexing(X, missing)))
    return replace(blended, out_of_fold=OutOfFold(prediction, known.score, known.score_error))


def fit_stack(
    name: str, estimator: BackpropMLP, X: Any, y: Any, sample_weight: Any, samples: Samples, n_jobs: int | None = None
) -> Member:
    """Fit a network as one stack with a network for each fold."""
    assert samples.fold is not None
    fold = np.zeros(samples.n_given, dtype=int)
    fold[samples.numbers] = samples.fold
    jobs = {} if n_jobs is None or estimator.n_jobs is not None else {"n_jobs": n_jobs}
    stack = clone(estimator).set_params(n_networks=int(samples.fold.max()) + 1, validation="cross", **jobs)
    begun = time.perf_counter()
    fit_by_folds(stack, X, y, sample_weight, fold)
    values = np.asarray(stack.oof_prediction_, dtype=np.float64)[samples.numbers]
    return Member(name, (stack,), values.reshape(len(values), -1), time.perf_counter() - begun)


def _raise(fit: Fit) -> None:
    """Pass on what a fit has warned of or failed with."""
    if fit.error is not None:
        raise fit.error
    for warning in fit.warnings:
        warnings.warn(warning.message, warning.category, stacklevel=4)


def fit_member(
    name: str, estimator: Any, X: Any, y: Any, sample_weight: Any, samples: Samples, n_jobs: int | None = None
) -> Member:
    """Fit any estimator: one for each fold, to the samples that are not in it; or one to all where there are no folds.

    Raises
    ------
    ValueError
        If it takes no weights, and there are any.
    """
    weight = None if sample_weight is None else np.asarray(sample_weight)[samples.numbers]
    given = {} if weight is None else {_name_of_weight(name, estimator): weight}
    fold = samples.fold
    parts = [np.arange(len(samples.numbers))] if fold is None else list(samples.training_parts())
    begun = time.perf_counter()
    learnt = [samples.numbers[part] for part in parts]
    fits = [
        Fit(
            clone(estimator),
            _safe_indexing(X, rows),
            _safe_indexing(y, rows),
            {key: value[part] for key, value in given.items()},
            whole=X,
        )
        for part, rows in zip(parts, learnt, strict=True)
    ]
    if can_stack(estimator) and not (given and isinstance(estimator, Pipeline)):
        fit_together(fits, n_jobs, same_parameters=True)
        for fit in fits:
            _raise(fit)
        fitted = [fit.model for fit in fits]
    else:
        let_workers_leave()
        fitted = Parallel(n_jobs=n_jobs)(delayed(_fitted)(name, fit.model, fit.X, fit.y, fit.params) for fit in fits)
    values = None
    if fold is not None:
        values = np.empty_like(samples.expected)
        for number, model in enumerate(fitted):
            apart = np.flatnonzero(fold == number)
            values[apart] = values_of(model, _safe_indexing(X, samples.numbers[apart]), samples.target)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} predicts values that are missing or infinite: {quoted(estimator)}.")
    return Member(name, tuple(fitted), values, time.perf_counter() - begun)


def _fitted(name: str, estimator: Any, X: Any, y: Any, params: dict[str, Any]) -> Any:
    try:
        return estimator.fit(X, y, **params)
    except ValueError as error:
        if y.ndim == 1 and is_classifier(estimator) and len(np.unique(y)) == 1:
            raise ValueError(
                f"{name} cannot learn from the samples outside a fold, which have one class only, {quoted(y[0].item())}: other "
                f"folds (cv), or estimators that take one class, may do. {error}"
            ) from error
        raise


def _name_of_weight(name: str, estimator: Any) -> str:
    """Return what fit calls the weights of samples."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    takes_more = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(last.fit).parameters.values())
    if not has_fit_parameter(last, "sample_weight") and not takes_more:
        raise ValueError(f"sample_weight is given, and {name} takes none: {quoted(estimator)}.")
    return f"{estimator.steps[-1][0]}__sample_weight" if isinstance(estimator, Pipeline) else "sample_weight"


def fit_candidate(
    name: str, estimator: Any, X: Any, y: Any, sample_weight: Any, samples: Samples, n_jobs: int | None = None
) -> Member:
    """Fit one candidate of any kind."""
    k = 0 if samples.fold is None else int(samples.fold.max()) + 1
    if k and is_stack(estimator, k) and samples.trains_all_others():
        return fit_stack(name, estimator, X, y, sample_weight, samples, n_jobs)
    return fit_member(name, estimator, X, y, sample_weight, samples, n_jobs)
