"""`Sweep`: a search over a space in Python, with the tables of what was tried."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable

from nnexp._choices import AUTO, BACKENDS, MODES, NONE
from nnexp._errors import quoted
from nnexp._files import as_path
from nnexp._names import check_choice, is_integer, is_number, nearest
from nnexp._processes import scratch_folder
from nnexp.engine import Engine, WorkerDiedError
from nnexp.estimator import BackpropMLP
from nnexp.sweep.answer import Gain, SweepAnswer, answer_of, gain_over, p_against_best
from nnexp.sweep.evaluation import COSTS, TrialScorer, directions_of
from nnexp.sweep.importance import importance_of
from nnexp.sweep.pruning import Pruning
from nnexp.sweep.samplers import as_optuna_study
from nnexp.sweep.space import Point, Space, SpaceError
from nnexp.sweep.store import JournalStore, Outcome, Store, StoreError, Trial
from nnexp.sweep.study import BATCH, Settings, Study, StudyError
from nnexp.sweep.tables import best_trial, column_of, curves_table, pareto_front, trial_times_table, trials_table
from nnexp.together import last_step

OnTrial = Callable[[Outcome, list[Trial]], None]


@dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes
    ----------
    trials : pandas.DataFrame
        A row for each trial: number, state, parameters, scores, cost in evaluations, problem.
    curves : pandas.DataFrame
        The learning curves of each trial and fold.
    times : pandas.DataFrame
        Seconds of each trial; they differ from machine to machine and so stand apart.
    pareto : pandas.DataFrame
        The trials that no other one beats in an objective without being worse in another; of one objective, the best.
    best_params : dict
        Parameters of the estimator.
    best_value : float
        The mean of the first objective over the folds, at the best trial. It was chosen for being the best, and so promises
        more than it keeps: evaluate the winner on data that took no part, as ``nested = true`` in an experiment does.
    best_number : int
    is_complete : bool
        Whether the budget is spent.
    estimator : estimator
        Unfitted, with the best parameters.
    answer : SweepAnswer
        What the trials say, as values; ``print(result.answer)`` says it in sentences.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    times: pd.DataFrame
    pareto: pd.DataFrame
    best_params: dict[str, Any]
    best_value: float
    best_number: int
    is_complete: bool
    estimator: Any = field(repr=False)
    answer: SweepAnswer = field(repr=False)
    _trials: list[Trial] = field(repr=False)
    _space: Space = field(repr=False)
    _directions: list[Any] = field(repr=False)

    @cached_property
    def study(self) -> Any:
        """The trials as an Optuna study in memory, for Optuna's own plots; made when it is asked for."""
        return as_optuna_study(self._trials, self._space, self._directions)

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in self.trials["state"].value_counts().items())
        return f"<SweepResult: {len(self.trials)} trials ({states}); best {self.best_value:.4g} by {self.best_params}>"


class Sweep:
    """Searches a space of parameters for the best ones.

    Parameters
    ----------
    space : mapping or Space
        What varies, see `Space`. In a pipeline a parameter of one step may be named without the step's name.
    estimator : estimator, default=None
        What is tuned; None for ``BackpropMLP()``. Any scikit-learn estimator will do, but a BackpropMLP, or a pipeline that
        ends in one, trains the folds of a trial, and trials that share a network and a batch size, as one stack.
    n_trials : int or None, default=100
        The budget; None for all points of a grid.
    scoring : str, sequence of str, mapping or None, default=None
        Scores by scikit-learn's names, or scorers by names of your own; higher is better. None for the estimator's own.
    objectives : sequence of str, default=None
        What is sought: a score, or a score and ``"evaluations"``, which is to be low. None for the first score.
    cv : int, splitter or iterable, default=5
        As scikit-learn has it.
    sampler : str or mapping, default="tpe"
        ``"tpe"``, ``"random"``, ``"grid"``, ``"quasi_random"``, ``"cma_es"`` or ``"gp"``; a mapping for settings of Optuna's, as
        ``{"name": "tpe", "n_startup_trials": 20}``.
    pruner : str or mapping, default="none"
        Which trials are given up early: ``"median"``, ``"percentile"``, ``"successive_halving"``, ``"hyperband"``, ``"threshold"``,
        ``"wilcoxon"``, or ``"dominance"`` for two objectives. The mean of the folds' scores is what it sees.
    batch_size : int, default=16
        Trials asked for at once in the deterministic mode.
    mode : {"deterministic", "elastic"}, default="deterministic"
        Whether the trials are the same for any number of workers and any interruption, or each process goes its own way.
    workers : int, default=1
        Processes.
    backend : {"loky", "dask"}, default="loky"
        Where they are: on this machine, or on a Dask cluster.
    scheduler : str, default=None
        The address of the Dask scheduler.
    enqueue : sequence of mapping or "defaults", default=()
        Parameters of the first trials, such as earlier winners (`SweepResult.best_params`), or the estimator's own: what one leaves
        open is random. They count as trials.
    storage : str or Path, default=None
        Where the trials are kept, so that a later run goes on with them: a folder, or the URL of a PostgreSQL database.
        None keeps nothing.
    view : str or Path, default="auto"
        Where an Optuna study shows the trials, for its dashboard; trials that wait in it, as after ``enqueue_trial``, are run.
        The path of a file in the format of Optuna's journal, the URL of a database, ``"auto"`` for ``study.log`` in the storage
        where that is a folder, or ``"none"``.
    other_versions : {"redo", "keep"} or None, default=None
        What becomes of a study in the storage that was made with other versions of nnexp or its libraries: it is forgotten and
        done again, or its trials are kept, marked in the table with what they were made with. None refuses it.
    name : str, default="sweep"
        The study's name in the storage.
    max_seconds : float, default=None
        Time for a trial; what takes longer fails.
    random_state : int, default=0

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnexp import Sweep
    >>> X, y = load_iris(return_X_y=True)
    >>> space = {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "batch_size": [16, 64]}
    >>> from nnexp import BackpropMLP
    >>> sweep = Sweep(space, BackpropMLP(hidden_layer_sizes=(8,), max_iter=20), n_trials=8, cv=3, batch_size=4)
    >>> result = sweep.run(X, y)
    >>> len(result.trials), sorted(result.best_params)
    (8, ['batch_size', 'learning_rate'])
    """

    def __init__(
        self,
        space: Mapping[str, Any] | Space,
        estimator: Any = None,
        *,
        n_trials: int | None = 100,
        scoring: Any = None,
        objectives: Sequence[str] | None = None,
        cv: Any = 5,
        sampler: Any = "tpe",
        pruner: Any = "none",
        batch_size: int = BATCH,
        mode: str = "deterministic",
        workers: int = 1,
        backend: str = "loky",
        scheduler: str | None = None,
        enqueue: Sequence[Any] = (),
        storage: str | Path | None = None,
        view: str | Path = AUTO,
        other_versions: str | None = None,
        name: str = "sweep",
        max_seconds: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.estimator = BackpropMLP() if estimator is None else estimator
        if not isinstance(self.estimator, BaseEstimator):
            raise TypeError(f"estimator must be a scikit-learn estimator. Got {quoted(self.estimator)}.")
        self.space = space_of(space, self.estimator)
        self.known = known_points(enqueue, self.space, self.estimator)
        self.sampler, self.sampler_settings = named(sampler, "sampler")
        self.pruner, self.pruner_settings = named(pruner, "pruner")
        for key, value in {"n_trials": n_trials, "batch_size": batch_size, "workers": workers}.items():
            if (value is not None or key != "n_trials") and (not is_integer(value) or value < 1):  # type: ignore[operator]
                raise ValueError(f"{key} must be an integer from 1 on. Got {quoted(value)}.")
        if max_seconds is not None and not (is_number(max_seconds) and 0 < max_seconds < math.inf):
            raise ValueError(f"max_seconds must be a number above 0, or None. Got {quoted(max_seconds)}.")
        if not is_integer(random_state) or random_state < 0:
            raise ValueError(
                f"random_state must be an integer from 0 on: a sweep is always repeatable. Got {quoted(random_state)}."
            )
        check_choice("mode", mode, MODES)
        check_choice("backend", backend, BACKENDS)
        check_storage(storage)
        check_name(name)
        check_view(view)
        check_other_versions(other_versions)
        self.other_versions = other_versions
        self.n_trials, self.batch_size, self.mode, self.workers = n_trials, batch_size, mode, workers
        self.scoring, self.objectives, self.cv = scoring, objectives, cv
        self.backend, self.scheduler, self.storage, self.name = backend, scheduler, storage, name
        self.view, self.max_seconds, self.random_state = view, max_seconds, int(random_state)

    def run(
        self,
        X: Any,
        y: Any = None,
        *,
        groups: Any = None,
        params: Mapping[str, Any] | None = None,
        on_trial: OnTrial | None = None,
    ) -> SweepResult:
        """Do what is missing of the sweep.

        Parameters
        ----------
        X, y : array-like
        groups : array-like, default=None
            For the splitter.
        params : mapping, default=None
            Further arguments of the estimator's ``fit``.
        on_trial : callable, default=None
            Is given how each trial ended, and all trials.

        Returns
        -------
        SweepResult
        """
        X, y, groups = indexable(X, y, groups)
        splits = list(check_cv(self.cv, y, classifier=is_classifier(self.estimator)).split(X, y, groups))
        if not splits:
            raise ValueError(f"cv={quoted(self.cv)} gives no split; a generator can be used once only.")
        scoring = scores_by_name(self.scoring)
        objectives = check_objectives(self.objectives, scoring)
        directions = tuple(directions_of(objectives))
        evaluation = TrialScorer(
            self.estimator, X, y, splits, scoring, objectives, self.space,
            Pruning(self.pruner, self.pruner_settings, directions), self.random_state, self.max_seconds, dict(params or {}),
        )  # fmt: skip
        settings = Settings(
            self.n_trials,
            self.sampler,
            self.sampler_settings,
            self.batch_size,
            self.mode,
            self.random_state,
            is_kept=self.storage is not None,
            known=self.known,
            view=view_beside(self.view, self.storage),
            other_versions=self.other_versions,
        )
        folder = None
        if self.storage is None:
            folder = tempfile.mkdtemp(dir=scratch_folder())
        place = str(folder or self.storage)
        store: Store | None = None
        try:
            store = open_store(place)
            study = Study(store, self.name, evaluation, settings)
            with Engine(self.workers, self.backend, self.scheduler) as engine:
                run_study(study, engine, place, on_trial)
            warn_of_given_up(study)
            return collect(study)
        finally:
            if store is not None:
                store.close()
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def warn_of_given_up(study: Study) -> None:
    """Warn of trials that have no result because of the machine."""
    if lost := study.given_up():
        warnings.warn(f"The sweep is not finished. {said_of_given_up(study.name, lost)}", RuntimeWarning, stacklevel=3)


def said_of_given_up(name: str, trials: Sequence[Trial]) -> str:
    """Return a sentence about trials that have no result because of the machine."""
    numbers = ", ".join(str(trial.number) for trial in trials[:8]) + (", …" if len(trials) > 8 else "")
    problem = trials[0].problem or str(WorkerDiedError())
    return f"{name}: of trial {numbers} there is no result. {problem}"


def table_of(study: Study) -> pd.DataFrame:
    """Return the table of a study's trials."""
    trials, evaluation = study.counted(), study.evaluation
    best = best_trial(trials, evaluation.directions[0])
    p = p_against_best(trials, best, evaluation.objectives[0], *evaluation.fold_sizes)
    return trials_table(trials, evaluation.space, list(evaluation.scoring), p)


def answer_of_study(study: Study, table: pd.DataFrame) -> SweepAnswer | None:
    """Return what a study's trials say; None if none was completed."""
    trials, evaluation = study.counted(), study.evaluation
    best = best_trial(trials, evaluation.directions[0])
    if best is None:
        return None
    metric, names = evaluation.objectives[0], [leaf.name for leaf in evaluation.space.leaves]
    parameters = evaluation.space.parameters(best.params)
    importances = {column_of(name): share for name, share in importance_of(study).items()}
    return answer_of(
        table, [column_of(name) for name in names], metric, len(evaluation.splits), parameters, importances,
        defaults_of(study),
    )  # fmt: skip


def defaults_of(study: Study) -> tuple[int, Gain | None] | None:
    """Return the completed trial of the estimator's own parameters, and how far the best one is ahead of it.

    None where there is no such trial; no gain where it is the best.
    """
    trials, evaluation = study.counted(), study.evaluation
    best = best_trial(trials, evaluation.directions[0])
    of_estimator = evaluation.estimator.get_params()
    try:
        point = evaluation.space.place({name: of_estimator[name] for name in evaluation.space.names})
    except SpaceError:  # the defaults are no point of the space
        return None
    for trial in trials:
        # A parameter that takes no part in the defaults is in the point and not in the trial.
        is_it = trial.params.items() <= point.items() if trial.state == "complete" else False
        if best is not None and is_it:
            if trial.params == best.params:
                return trial.number, None
            return trial.number, gain_over(trial, best, evaluation.objectives[0], *evaluation.fold_sizes)
    return None


def collect(study: Study) -> SweepResult:
    """Return the tables of a study and its best trial."""
    trials, evaluation = study.counted(), study.evaluation
    table = table_of(study)
    best = best_trial(trials, evaluation.directions[0])
    if best is None:
        problems = table.loc[table["problem"] != "", "problem"]
        why = f" The first one says: {problems.iloc[0]}" if len(problems) else ""
        raise StoreError(f"None of the {len(table)} trials of {quoted(study.name)} was completed.{why}")
    answer = answer_of_study(study, table)
    assert answer is not None
    parameters = evaluation.space.parameters(best.params)
    front = [trial.number for trial in pareto_front(trials, evaluation.directions)]
    return SweepResult(
        trials=table,
        curves=curves_table(study.store.curves(study.name), trials),
        times=trial_times_table(trials),
        pareto=table[table["number"].isin(front)].reset_index(drop=True),
        best_params=parameters,
        best_value=best.values[0],
        best_number=best.number,
        is_complete=study.is_done,
        estimator=clone(evaluation.estimator).set_params(**parameters),
        answer=answer,
        _trials=trials,
        _space=evaluation.space,
        _directions=evaluation.directions,
    )


def run_study(study: Study, engine: Engine, place: str, on_trial: OnTrial | None = None) -> None:
    """Do what is missing of a study on the processes of an engine, in the study's mode."""
    if study.settings.mode == "deterministic":
        study.run(engine, on_trial)
    elif engine.n_jobs == 1 and engine.backend != "dask":
        study.open()
        study.try_again()
        study.work(on_trial)
    else:
        study.open()
        study.try_again()
        over = threading.Event()
        thread = threading.Thread(target=_watch_store, args=(study, on_trial, over), daemon=True)
        thread.start()
        try:
            shared = place, study.name, study.evaluation, replace(study.settings, view=NONE), study.declared
            while True:
                for _ in engine.run(_work, shared, range(engine.n_workers), endless=True):
                    pass
                if not any(trial.tries == 0 and not trial.is_finished for trial in study.trials()):
                    break  # else a waiting trial of the view was taken when all had left
        finally:
            over.set()
            thread.join()
        study.show(last=True)
        if not (study.is_done or study.has_given_up):
            raise StudyError(
                f"The processes of the study {quoted(study.name)} were killed again and again, perhaps for lack of memory. What is "
                "finished is kept; the same command goes on."
            )


def _work(shared: tuple[str, str, TrialScorer, Settings, dict[str, Any]], unit: int) -> int:
    place, name, evaluation, settings, declared = shared
    store = open_store(place)
    try:
        return Study(store, name, evaluation, settings, declared).work()
    finally:
        store.close()


def _watch_store(study: Study, on_trial: OnTrial | None, over: threading.Event) -> None:
    """Tell of what other processes finish."""
    known = {trial.number for trial in study.trials() if trial.is_finished}
    last = False
    while not last:
        last = over.wait(0.5)
        try:
            if not last:  # nobody would run what is taken now
                study.attend()
            trials = study.trials()
        except StoreError:  # which whoever works on it is told too
            return
        for trial in trials:
            if on_trial is not None and trial.is_finished and trial.number not in known:
                known.add(trial.number)
                on_trial(Outcome(trial.number, trial.state, trial.values, trial.record), trials)


def check_storage(storage: Any) -> None:
    """Raise a TypeError unless a storage is a path, a URL, or None for none."""
    if not (storage is None or isinstance(storage, str | os.PathLike)):
        raise TypeError(f"storage must be a folder or the URL of a database. Got {quoted(storage)}.")


def check_name(name: Any) -> None:
    """Raise a TypeError or a ValueError unless a study can be called so."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a text. Got {quoted(name)}.")
    if not name or len(name) > 500:
        raise ValueError(f"name must have 1 to 500 characters. Got {quoted(name)}.")


def check_view(view: Any) -> None:
    """Raise a TypeError unless a view is a path, a URL, "auto" or "none"."""
    if not isinstance(view, str | os.PathLike):
        raise TypeError(f'view must be a path, the URL of a database, "auto" or "none". Got {quoted(view)}.')


def check_other_versions(other_versions: Any) -> None:
    """Raise a ValueError unless it is "redo", "keep" or None."""
    if other_versions is not None:
        check_choice("other_versions", other_versions, ["redo", "keep"])


def view_beside(view: str | Path, storage: Any) -> str:
    """Return where the view of a study is; what is not kept has one only if it is named."""
    return NONE if storage is None and str(view) == AUTO else str(view)


def is_of_earlier_version(log: Path) -> bool:
    """Whether a file holds a study as earlier versions of nnexp wrote it."""
    try:
        return b'"user_attr":{"nnexp":' in log.read_bytes().replace(b" ", b"")
    except OSError:
        return False


def open_store(place: str | Path) -> Store:
    """Return the store in a folder, or behind the URL of a database."""
    check_storage(place)
    if "://" in str(place):
        from nnexp.sweep.sql import SqlStore

        return SqlStore(str(place))
    folder = as_path(place, "The storage")
    if folder.is_file():
        raise StoreError(f"The storage {folder} is a file; name a folder.")
    store = JournalStore(folder / "study.jsonl")
    if (folder / "study.log").is_file() and not store.studies() and is_of_earlier_version(folder / "study.log"):
        from nnexp.sweep.taken_over import take_over

        take_over(store, folder / "study.log")
    return store


def known_points(enqueue: Any, space: Space, estimator: Any) -> list[Point]:
    """Return the points of the first trials, from parameters or the word "defaults".

    Raises
    ------
    SpaceError
        If one of them is not in the space, with a line for each thing that is not.
    """
    if isinstance(enqueue, str | Mapping):
        enqueue = [enqueue]
    if not isinstance(enqueue, list | tuple):
        raise TypeError(f'enqueue must be a list of mappings, or of "defaults". Got {quoted(enqueue)}.')
    points, problems = [], []
    for number, given in enumerate(enqueue):
        is_defaults = given == "defaults"
        if is_defaults:
            of_estimator = estimator.get_params()
            given = {name: of_estimator[name] for name in space.names}
        if not isinstance(given, Mapping):
            raise TypeError(f'enqueue[{number}] must be a mapping of parameters, or "defaults". Got {quoted(given)}.')
        try:
            points.append(space.place(given))
        except SpaceError as error:
            if is_defaults:
                why = " ".join(str(error).splitlines())
                problems.append(
                    f"enqueue[{number}]: the defaults are no point of the space: {why} Give the model itself values that are, or "
                    'leave out "defaults".'
                )
                continue
            problems += [f"enqueue[{number}]: {line}" for line in str(error).splitlines()]
    if problems:
        raise SpaceError("\n".join(problems))
    return points


def space_of(space: Any, estimator: Any) -> Space:
    """Return the space of an estimator, with its parameters by their full names.

    Raises
    ------
    SpaceError
        If a name is none of its parameters.
    """
    declaration = space.raw if isinstance(space, Space) else space
    if not isinstance(declaration, Mapping) or not declaration:
        raise SpaceError("A space needs at least one parameter that varies, such as learning_rate = [0.01, 0.1].")
    known = estimator.get_params()
    full: dict[str, str] = {}
    problems = []
    for name in declaration:
        longer = [setting for setting in known if setting.endswith(f"__{name}")]
        if name in known:
            full[name] = name
        elif longer:
            if isinstance(estimator, Pipeline):  # of several steps the last one is meant
                longer = [name for name in longer if name.startswith(f"{estimator.steps[-1][0]}__")] or longer
            depth = min(name.count("__") for name in longer)
            nearest_ones = [name for name in longer if name.count("__") == depth]
            full[name] = nearest_ones[0]
            if len(nearest_ones) > 1:
                problems.append(f"{name}: may be {' or '.join(nearest_ones)}; write the whole name.")
        else:
            last = last_step(estimator)
            last = getattr(last, "regressor", last)
            options = last.get_params(deep=False)
            problems.append(f"{name}: {type(last).__name__} has no such parameter. {nearest(str(name), options)}")
    for name, value in full.items():
        last = value.rpartition("__")[2]
        if last in _SET_ELSEWHERE and (last == "random_state" or isinstance(_owner(estimator, value), BackpropMLP)):
            problems.append(f"{name}: is set by {_SET_ELSEWHERE[last]}.")
    if len(set(full.values())) < len(full):
        problems.append("Two names of this space are the same parameter.")
    if problems:
        raise SpaceError("\n".join(problems))
    renamed = {}
    for name, declared in declaration.items():
        if isinstance(declared, Mapping) and isinstance(declared.get("when"), Mapping):
            when = {full.get(other, other): values for other, values in declared["when"].items()}
            declared = {**declared, "when": when}
        renamed[full[name]] = declared
    return Space(_layers_first(renamed), estimator)


_SET_ELSEWHERE = {
    "random_state": "the sweep's seed", "task": "the data", "verbose": "the command", "callbacks": "the sweep",
    "warm_start": "the sweep",
}  # fmt: skip


def _owner(estimator: Any, name: str) -> Any:
    """Return the estimator that has a parameter."""
    step = name.rpartition("__")[0]
    return estimator.get_params().get(step, None) if step else estimator


def _layers_first(declaration: dict[str, Any]) -> dict[str, Any]:
    """Put the layers before what has an entry for each of them."""
    first = {
        name: part
        for name, part in declaration.items()
        if name.rpartition("__")[2] == "hidden_layer_sizes" and not (isinstance(part, Mapping) and "when" in part)
    }
    return {**first, **declaration}


def named(given: Any, what: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings of a sampler or a pruner."""
    if isinstance(given, str):
        return given, {}
    if isinstance(given, Mapping) and isinstance(given.get("name"), str):
        return given["name"], {str(key): value for key, value in given.items() if key != "name"}
    raise ValueError(f"{what} must be a name, or a mapping with a name and settings. Got {quoted(given)}.")


def scores_by_name(scoring: Any) -> dict[str, Any]:
    """Return scores by their names."""
    if scoring is None:
        return {"score": passthrough}
    if isinstance(scoring, str):
        scoring = [scoring]
    if callable(scoring):
        return {"score": scoring}
    if isinstance(scoring, Mapping):
        scorers = {str(name): scorer for name, scorer in scoring.items()}
    else:
        scorers = {str(name): name for name in scoring}
    if not scorers:
        raise ValueError("scoring names no score.")
    for scorer in scorers.values():
        if isinstance(scorer, str) and scorer not in get_scorer_names():
            raise ValueError(f"unknown score {quoted(scorer)}. {nearest(scorer, get_scorer_names())}")
    return scorers


def passthrough(estimator: Any, X: Any, y: Any = None, **params: Any) -> float:
    """Return the estimator's own score."""
    return float(estimator.score(X, y, **params) if y is not None else estimator.score(X, **params))


def check_objectives(objectives: Any, scoring: Mapping[str, Any]) -> list[str]:
    """Return the objectives: scores, or the cost, by name."""
    if objectives is None:
        return [next(iter(scoring))]
    names = [objectives] if isinstance(objectives, str) else list(objectives)
    for name in names:
        if name not in scoring and name not in COSTS:
            raise ValueError(f"unknown objective {quoted(name)}. {nearest(str(name), [*scoring, *COSTS])}")
    if not names or names[0] in COSTS or len(set(names)) < len(names):
        raise ValueError(f"objectives must be different ones, and the first one a score. Got {quoted(names)}.")
    return names
