"""`SweepCV`: a sweep as a scikit-learn search."""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import Tags, check_random_state, column_or_1d, get_tags, indexable
from sklearn.utils.validation import _check_method_params

from nnexp._choices import AUTO
from nnexp._errors import quoted
from nnexp._names import is_integer, is_number
from nnexp._processes import scratch_folder
from nnexp.engine import Engine
from nnexp.sweep.evaluation import TrialScorer
from nnexp.sweep.pruning import Pruning
from nnexp.sweep.store import Trial
from nnexp.sweep.study import BATCH, Settings, Study
from nnexp.sweep.sweep import (
    check_name,
    check_other_versions,
    check_storage,
    check_view,
    collect,
    known_points,
    named,
    open_store,
    run_study,
    space_of,
    view_beside,
    warn_of_given_up,
)


class SweepCV(BaseSearchCV):
    """A scikit-learn search over a space by Optuna's samplers, with all folds of a trial trained as one stack.

    Parameters
    ----------
    estimator : estimator
        A BackpropMLP, a pipeline, or any other one.
    space : mapping or Space
        What varies, see `Space`. In a pipeline a parameter of one step may be named without the step's name.
    n_trials : int or None, default=50
        None for all points of a grid.
    scoring, n_jobs, refit, cv, error_score, return_train_score
        As scikit-learn's searches have them. With several scores ``refit`` names the one that is sought. The result does
        not depend on ``n_jobs``.
    sampler, pruner, batch_size, enqueue, storage, view, other_versions, name, max_seconds
        As for `Sweep`.
    random_state : int, RandomState or None, default=None
        Decides the trials, the first weights in each fold of each, and those of the winner's last fit, unless the estimator
        has a ``random_state`` of its own.
    verbose : int, default=0
        Whether to print a line for each trial.

    Attributes
    ----------
    best_estimator_, best_params_, best_score_, best_index_, cv_results_, scorer_, n_splits_, refit_time_, multimetric_
        As scikit-learn's searches have them. ``cv_results_`` has a row for each trial, and besides scikit-learn's columns
        ``state``, how each ended, and ``evaluations``, what it cost; the scores of what failed or was pruned are
        ``error_score``.
    sweep_ : SweepResult
        The trials as tables; ``sweep_.answer`` says which one won and how clearly, ``sweep_.study`` is Optuna's study of them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from nnexp import BackpropMLP, SweepCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), BackpropMLP(hidden_layer_sizes=(8,), max_iter=60))
    >>> space = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}
    >>> search = SweepCV(model, space, n_trials=6, cv=3, random_state=0).fit(X, y)
    >>> bool(search.score(X, y) > 0.9)
    True
    >>> len(search.sweep_.study.trials)
    6
    """

    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        n_trials: int | None = 50,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        sampler: Any = "tpe",
        pruner: Any = "none",
        batch_size: int = BATCH,
        enqueue: Any = (),
        storage: Any = None,
        view: Any = AUTO,
        other_versions: str | None = None,
        name: str = "sweep",
        max_seconds: float | None = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.space = space
        self.n_trials = n_trials
        self.sampler = sampler
        self.pruner = pruner
        self.batch_size = batch_size
        self.enqueue = enqueue
        self.storage = storage
        self.view = view
        self.other_versions = other_versions
        self.name = name
        self.max_seconds = max_seconds
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        given = get_tags(self.estimator).input_tags
        for name in ("allow_nan", "string", "categorical"):
            setattr(tags.input_tags, name, getattr(given, name))
        return tags

    def fit(self, X: Any, y: Any = None, **params: Any) -> SweepCV:
        """Search, and fit the winner on all of the data.

        Parameters
        ----------
        X, y : array-like
        **params
            Further arguments: of the estimator's ``fit``, of the scorer and of the splitter, as scikit-learn routes them.

        Returns
        -------
        SweepCV
            Itself.
        """
        self._check()
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 and not get_tags(self.estimator).target_tags.multi_output:
            y = column_or_1d(y, warn=True)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        with np.errstate(invalid="ignore"):  # what is wrong with y is said by the estimator
            splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        splits = list(splitter.split(X, y, **routed.splitter.split))
        if not splits:
            raise ValueError(f"cv={quoted(self.cv)} gives no split.")
        self.n_splits_ = len(splits)
        scoring = dict(getattr(scorers, "_scorers", None) or {"score": scorers})
        objective = refit_metric if refit_metric in scoring else next(iter(scoring))
        scoring = {objective: scoring[objective], **scoring}
        if callable(self.scoring) and isinstance(self.refit, str):
            objective = self.refit  # one of several scores that the function returns
        seed = int(check_random_state(self.random_state).randint(1 << 31))
        base = clone(self.estimator)
        space = space_of(self.space, base)
        evaluation = TrialScorer(
            base, X, y, splits, scoring, [objective], space, Pruning(*named(self.pruner, "pruner"), ("maximize",)), seed,
            self.max_seconds, dict(routed.estimator.fit), dict(routed.scorer.score), self.return_train_score,
        )  # fmt: skip
        sampler, settings = named(self.sampler, "sampler")
        trials = self._search(
            evaluation,
            Settings(
                self.n_trials,
                sampler,
                settings,
                self.batch_size,
                seed=seed,
                is_kept=self.storage is not None,
                known=known_points(self.enqueue, space, base),
                view=view_beside(self.view, self.storage),
                other_versions=self.other_versions,
            ),
        )
        results = self._results(trials, evaluation)
        if callable(self.scoring) and self.multimetric_:
            first = next(trial.record["scores"] for trial in trials if trial.state == "complete")
            self._check_refit_for_multimetric(first)
            refit_metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        if self.refit:
            self.best_estimator_ = clone(base).set_params(**clone(self.best_params_, safe=False))
            for key, value in self.best_estimator_.get_params().items():
                if key.rpartition("__")[2] == "random_state" and value is None and self.random_state is not None:
                    self.best_estimator_.set_params(**{key: seed})
            begun = time.time()
            target = {} if y is None else {"y": y}
            self.best_estimator_.fit(X, **target, **routed.estimator.fit)
            self.refit_time_ = time.time() - begun
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        self.cv_results_ = results
        return self

    def _check(self) -> None:
        for key in ("n_trials", "batch_size"):
            value = getattr(self, key)
            if (value is not None or key != "n_trials") and (not is_integer(value) or value < 1):
                raise ValueError(f"{key} must be an integer from 1 on. Got {quoted(value)}.")
        if not (isinstance(self.error_score, str) and self.error_score == "raise") and not is_number(self.error_score):
            raise ValueError(f"error_score must be 'raise' or a number. Got {quoted(self.error_score)}.")
        check_storage(self.storage)
        check_name(self.name)
        check_view(self.view)
        check_other_versions(self.other_versions)
        limit = self.max_seconds
        if limit is not None and not (is_number(limit) and 0 < limit < np.inf):
            raise ValueError(f"max_seconds must be a number above 0, or None. Got {quoted(limit)}.")
        if not hasattr(self.estimator, "fit"):
            raise TypeError(f"estimator must have a method fit. Got {quoted(self.estimator)}.")

    def _search(self, evaluation: TrialScorer, settings: Settings) -> list[Trial]:
        folder = tempfile.mkdtemp(dir=scratch_folder()) if self.storage is None else None
        place = str(folder or self.storage)
        try:
            store = open_store(place)
            study = Study(store, self.name, evaluation, settings)
            with Engine(effective_n_jobs(self.n_jobs)) as engine:
                run_study(study, engine, place, self._print if self.verbose else None)
            warn_of_given_up(study)
            if any(trial.state == "complete" for trial in study.counted()):
                self.sweep_ = collect(study)
            return [trial for trial in study.counted() if trial.is_finished]
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _print(self, outcome: Any, trials: list[Trial]) -> None:
        result = outcome.record.get("problem") or ", ".join(f"{value:.5g}" for value in outcome.values)
        print(f"trial {outcome.number}: {outcome.state}: {result}")

    def _results(self, trials: list[Trial], evaluation: TrialScorer) -> dict[str, Any]:
        """Return what was found as `cv_results_` has it."""
        failed = [trial for trial in trials if trial.state == "fail"]
        first = failed[0].record.get("problem", "") if failed else ""
        if failed and self.error_score == "raise":
            evaluation.raise_again(evaluation.space.parameters(failed[0].params))
            raise ValueError(f"Trial {failed[0].number} failed. {first}")
        complete = [trial for trial in trials if trial.state == "complete"]
        if not complete:
            raise ValueError(f"All the {len(trials)} trials failed or were pruned. The first one says: {first}")
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(trials)} trials failed. The first one says: {first} Their scores are "
                f"error_score={quoted(self.error_score)}.",
                FitFailedWarning,
                stacklevel=3,
            )
        names = list(complete[0].record["scores"])
        tests = [name for name in names if not name.startswith("train_")]
        self.multimetric_ = not (len(tests) == 1 and tests[0] == "score")
        out = []
        for trial in trials:
            scores = trial.record.get("scores", {}) if trial.state == "complete" else {}
            seconds = float(trial.record.get("seconds", 0.0)) / self.n_splits_
            for fold in range(self.n_splits_):
                missing = self.error_score if trial.state == "fail" else np.nan  # what was pruned never wins
                values = {name: scores[name][fold] if name in scores else missing for name in names}
                row: dict[str, Any] = {"fit_time": seconds, "score_time": 0.0}
                test = {name: values[name] for name in tests}
                train = {name: values[f"train_{name}"] for name in tests if f"train_{name}" in values}
                row["test_scores"] = test if self.multimetric_ else test["score"]
                if self.return_train_score:
                    row["train_scores"] = train if self.multimetric_ else train["score"]
                out.append(row)
        more = {
            "state": [trial.state for trial in trials],
            "evaluations": [trial.record.get("evaluations") or 0 for trial in trials],
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite")  # it was said above
            return dict(
                self._format_results(
                    [evaluation.space.parameters(trial.params) for trial in trials], self.n_splits_, out, more
                )
            )
