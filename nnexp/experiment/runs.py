"""Runs: every data set × model × repeat × fold, each once, in any order, on any number of processes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import math
import platform
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyRegressor
from sklearn.metrics import get_scorer_names
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from threadpoolctl import threadpool_info

from nnexp._choices import AUTO, SWEEP_TABLES
from nnexp._errors import is_of_the_machine, quoted, reason, shortened
from nnexp._files import as_path
from nnexp._identity import FITTING, key_of, libraries, own_code
from nnexp._names import check_choice
from nnexp._threads import one_thread
from nnexp._version import __version__
from nnexp.blending import TabularMLP
from nnexp.engine import Engine, WorkerDiedError
from nnexp.estimator import BackpropMLP
from nnexp.experiment.commit import commit_of
from nnexp.experiment.datasets import (
    DataError,
    DataSet,
    as_categories,
    doubtful_columns,
    leaks_of,
    load_bundled,
    load_file,
)
from nnexp.experiment.details import details_of, write_details
from nnexp.experiment.results import (
    DETAIL_TABLES,
    MADE_WITH,
    POPULATION,
    Journal,
    JournalContent,
    ResultsError,
    blocks_of,
    hash_of,
    write_atomically,
    write_tables,
)
from nnexp.experiment.specification import ModelSpecification, Specification, SpecificationError
from nnexp.experiment.sweeps import (
    UNFINISHED,
    ModelSweep,
    UnfinishedError,
    plan_sweeps,
    run_sweeps,
    said_of_batches,
    write_sweep_tables,
)
from nnexp.parts import plugins_in
from nnexp.scoring import Guess, Scorer
from nnexp.sweep.evaluation import cost_of
from nnexp.sweep.store import Outcome, Store, Trial
from nnexp.sweep.sweep import open_store, said_of_given_up
from nnexp.together import Fit, can_stack, fit_alone, fit_together


@dataclass(frozen=True)
class Run:
    """One model, to be fitted once, on one split, with one seed.

    Attributes
    ----------
    key : str
        A hash of everything that decides the result: a run with a known key need not run again.
    problem : str
        Why it cannot run, if it cannot.
    decided_by : dict of str
        What the key is made of, by name: a version, or the beginning of a hash.
    """

    key: str
    data: str
    task: str
    model: ModelSpecification
    repeat: int
    fold: int
    seed: int
    training: Any
    test: Any
    metrics: list[str]
    fingerprint: str = ""
    problem: str = ""
    decided_by: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """How running an experiment went.

    Attributes
    ----------
    folder : Path
    planned, known, done, failed : int
        Runs in all, found finished, finished now, and how many of all failed.
    interrupted : bool
    notes : list of str
    trials, trials_done : int
        Trials of all sweeps that are planned, and that have ended.
    """

    folder: Path
    planned: int
    known: int
    done: int
    failed: int
    interrupted: bool
    notes: list[str]
    trials: int = 0
    trials_done: int = 0


def check_models(specification: Specification, data: dict[str, DataSet]) -> None:
    """Check what a model's parameters can only be checked for with the data: the network and its error function.

    Raises
    ------
    SpecificationError
        With a line for each model and data set that do not fit.
    """
    problems = []
    for name, data_set in data.items():
        rows = _rows_to_check(data_set)
        X, y = data_set.X.iloc[rows], data_set.y[rows]
        for model in specification.models:
            if data_set.task not in model.classes:
                continue
            estimator = model.make(data_set.task, seed=0)
            if isinstance(estimator, BackpropMLP):
                try:
                    estimator.check_fit(X, y)
                except (ValueError, TypeError, MemoryError) as error:
                    problems.append(f"{specification.source.name}: model.{model.name} on {name}: {error}")
    if problems:
        raise SpecificationError("\n".join(dict.fromkeys(problems)))


def check_scores(specification: Specification, data: dict[str, DataSet]) -> None:
    """Try each score on the labels of each data set, by what a guess is worth.

    Raises
    ------
    SpecificationError
        With a line for each score that does not fit, which names what does.
    """
    problems = []
    metrics = specification.evaluation.metrics.model_dump()
    for name, data_set in data.items():
        rows = _rows_to_check(data_set)
        y = data_set.y[rows]
        for metric in metrics[data_set.task]:
            problem = _problem_of(data_set.scorer(metric), y, data_set.task)
            if problem:
                hint = _hint(metric, y, data_set)
                problems.append(
                    f"{specification.source.name}: evaluation.metrics.{data_set.task}: {quoted(metric)} cannot be computed on "
                    f"{name}: {problem.partition('. Please')[0].rstrip('.')}.{hint}"
                )
    if problems:
        raise SpecificationError("\n".join(problems))


def _problem_of(score: Any, y: Any, task: str) -> str:
    """Return why a score cannot be computed of a guess, or nothing."""
    if y.ndim > 1 and task == "classification":  # several labels; what is guessed depends on the model
        return ""
    guess = Guess(y) if task == "classification" else DummyRegressor().fit(np.zeros((len(y), 1)), y)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            value = score(guess, np.zeros((len(y), 1)), y)
        return "" if np.isfinite(value) else f"it is {value}"
    except Exception as error:  # whatever a score raises
        return _first_line(error)


def _hint(metric: str, y: Any, data: DataSet) -> str:
    """Say what fits the labels in the place of a score."""
    if data.task == "regression":
        return ""
    classes = np.unique(y)
    ways = []
    if data.positive is None and len(classes) == 2:
        positive = classes.tolist()[-1]
        if not _problem_of(Scorer(metric, positive), y, data.task):
            shown = json.dumps(positive) if isinstance(positive, str | int | float | bool) else quoted(positive)
            ways.append(f"name the positive class, such as data.{data.name}.positive = {shown}")
    base = metric.removesuffix("_micro").removesuffix("_weighted")
    names = [f"{base}_macro", f"{base}_weighted", f"{base}_ovr", f"{base}_ovo"]
    fitting = [n for n in names if n in get_scorer_names() and not _problem_of(data.scorer(n), y, data.task)]
    if fitting:
        ways.append(f"take {quoted(fitting[0])}")
    text = ", or ".join(ways)
    return f" {text[0].upper()}{text[1:]}." if ways else ""


# Classes and rows that a check before the runs looks at; a check of all would take as long as a fit.
_CHECKED_CLASSES, _CHECKED_ROWS = 1_000, 20_000


def _rows_to_check(data: DataSet) -> Any:
    """Return the rows of a data set that tell whether a model fits it: all, but of very many classes or rows a part."""
    rows = np.arange(len(data.y))
    if (len(rows) <= _CHECKED_ROWS and data.task == "regression") or data.y.ndim > 1:
        return rows
    if data.task == "regression":
        return rows[:: -(-len(rows) // _CHECKED_ROWS)]
    codes = np.unique(data.y, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    first = np.searchsorted(codes[order], codes[order])
    within = np.empty(len(rows), dtype=int)  # the how-manieth of its class a row is
    within[order] = rows - first
    n_classes = int(codes.max()) + 1
    few = max(10, _CHECKED_ROWS // n_classes)
    return rows[(within < few) & (codes < _CHECKED_CLASSES)]


def load_data(specification: Specification) -> dict[str, DataSet]:
    """Load every data set of an experiment, and check that it can be split as wanted.

    Raises
    ------
    DataError
        With a line for each data set that cannot be used.
    """
    loaded, problems = {}, []
    for name in specification.data:
        try:
            loaded[name] = _load(specification, name)
            _ = loaded[name].layout  # which the columns decide
        except DataError as error:
            problems.append(str(error))
        except (ValueError, TypeError) as error:  # of the columns
            problems.append(f"data.{name}: {_first_line(error)}")
    if problems:
        raise DataError("\n".join(problems))
    return loaded


def load_checked(specification: Specification) -> tuple[Specification, dict[str, DataSet], list[str]]:
    """Load the data of an experiment, and check its models and scores on them.

    Of the tables of a folder one that cannot be used is left out.

    Returns
    -------
    specification : Specification
        With the data sets that are left.
    data : dict of DataSet
    notes : list of str
        What is left out, and why.

    Raises
    ------
    DataError, SpecificationError
        With a line for each thing that is wrong; for tables, if none can be used.
    """
    if not specification.has_tables:
        data = load_data(specification)
        check_models(specification, data)
        check_scores(specification, data)
        return specification, data, []
    data, problems = {}, []
    for name in specification.data:
        try:
            one = {name: _load(specification, name)}
            check_models(specification, one)
            check_scores(specification, one)
            data |= one
        except (DataError, SpecificationError) as error:
            problems.append(f"The table {name} is left out: {error}")
    if not data:
        raise DataError("\n".join(problems))
    return replace(specification, data={name: specification.data[name] for name in data}), data, problems


def _load(specification: Specification, name: str) -> DataSet:
    entry, evaluation = specification.data[name], specification.evaluation
    if entry.path is None:
        data = load_bundled(name)
    else:
        path = specification.source.parent / as_path(entry.path)
        data = load_file(name, path, str(entry.target), str(entry.task), entry.drop, entry.missing)
    if evaluation.rare_classes != "refuse":
        data = data.with_rare(evaluation.folds, evaluation.rare_classes)
    if entry.positive is not None:
        data = data.with_positive(entry.positive)
    _check_folds(data, evaluation.folds)
    return data


def _check_folds(data: DataSet, folds: int) -> None:
    if data.task == "regression":
        if len(data.y) < 2 * folds:
            raise DataError(f"data.{data.name}: {len(data.y)} rows are too few for evaluation.folds = {folds}.")
        return
    classes, counts = np.unique(data.y, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"data.{data.name}: the target holds one class only, {shortened(str(classes[0]))}.")
    if counts.min() < folds:
        rare = (
            f"class {shortened(str(classes[counts.argmin()]))} has {counts.min()} row{'s' if counts.min() > 1 else ''}"
        )
        hint = ' evaluation.rare_classes = "drop" or "merge" goes on without.'
        if len(classes) > 30:
            hint = ' If the target is a number, set task = "regression"; else' + hint
        raise DataError(f"data.{data.name}: {rare}, fewer than evaluation.folds = {folds}.{hint}")


def outer_splits(specification: Specification, data_set: DataSet) -> list[tuple[int, int, Any, Any]]:
    """Return repeat, fold, training and test rows of each split of a data set."""
    evaluation = specification.evaluation
    splitter = RepeatedStratifiedKFold if data_set.task == "classification" else RepeatedKFold
    seed = _seed(specification.seed, "split", data_set.name)
    splits = splitter(n_splits=evaluation.folds, n_repeats=evaluation.repeats, random_state=seed)
    return [
        (*divmod(number, evaluation.folds), *rows) for number, rows in enumerate(splits.split(data_set.X, data_set.y))
    ]


def plan(
    specification: Specification,
    data: dict[str, DataSet],
    winners: Mapping[Any, ModelSpecification | str | None] | None = None,
) -> list[Run]:
    """List all runs, ordered so that any beginning of the list compares all models on equal splits.

    ``winners`` are the tuned models by data set, name, repeat and fold; None for one of whose trials none was completed, and a
    sentence for one whose sweep is not finished.
    """
    evaluation = specification.evaluation
    metrics = evaluation.metrics.model_dump()
    # What decides all runs. Each part has a name, so that it can be said which of them has changed.
    versions = dict(libraries())
    code = key_of(__version__, own_code(*FITTING, "experiment"))
    shared = {"nnexp": code, **versions}
    code_of_model = {model.name: _code_of(model) for model in specification.models}
    runs = []
    for name, data_set in data.items():
        split_seed = _seed(specification.seed, "split", name)
        fingerprint = data_set.fingerprint
        positive = [] if data_set.positive is None else [data_set.positive]
        for repeat, fold, training, test in outer_splits(specification, data_set):
            seed = _seed(specification.seed, "fit", name, repeat, fold)
            for described in specification.models:
                if data_set.task not in described.classes:
                    continue
                model, problem = described, ""
                if described.space:
                    place = (repeat, fold) if (name, described.name, repeat, fold) in (winners or {}) else (-1, -1)
                    winner = (winners or {}).get((name, described.name, *place))
                    if isinstance(winner, ModelSpecification):
                        model = winner
                    else:
                        problem = winner or "None of its trials was completed."
                parameters = json.dumps(
                    [data_set.task, model.classes[data_set.task], model.described, problem],
                    sort_keys=True,
                    default=str,
                )
                decided_by = {
                    **shared,
                    **code_of_model[model.name],
                    f"the parameters of {model.name}": key_of(parameters),
                    f"the data {name}": fingerprint,
                    "seed": key_of(split_seed, seed),
                    "evaluation": key_of(evaluation.folds, metrics[data_set.task], *positive),
                }
                key = key_of(name, model.name, repeat, fold, decided_by)
                decided_by = {part: value if part in versions else value[:8] for part, value in decided_by.items()}
                decided_by["nnexp"] = f"{__version__}+{code[:8]}"
                facts = (fold, seed, training, test, metrics[data_set.task], fingerprint, problem, decided_by)
                runs.append(Run(key, name, data_set.task, model, repeat, *facts))
    names = list(data)
    models = [model.name for model in specification.models]
    runs.sort(key=lambda r: (r.repeat, r.fold, names.index(r.data), models.index(r.model.name)))
    return runs


def _code_of(model: ModelSpecification) -> dict[str, str]:
    """Return the keys of the code that a model's class and parameters name besides nnexp's own, by what they are called."""
    keys = {f"the plug-in {name}": key for name, key in plugins_in([model.parameters, model.space]).items()}
    for path in dict.fromkeys(model.classes.values()):
        module, _, name = path.rpartition(".")
        if not path.startswith("nnexp."):
            keys[f"the class {path}"] = key_of(getattr(importlib.import_module(module), name))
    return keys


@dataclass(frozen=True)
class Changes:
    """Finished runs that are no longer what the plan asks for, and why.

    Attributes
    ----------
    again : int
        Runs of which more has changed than versions: they are done again.
    what : tuple of str
        What has changed for them, by name.
    of_version : dict
        Runs that other versions of nnexp or of its libraries have made, and that differ in nothing else; each with its record.
    unknown : int
        Runs that an earlier version of nnexp has made, which did not note with what.
    """

    again: int
    what: tuple[str, ...]
    of_version: dict[str, tuple[Run, dict[str, Any]]]
    unknown: int

    @staticmethod
    def of(runs: list[Run], journal: Journal) -> Changes:
        """Compare the runs that are not finished with what the journal has at their places."""
        there: dict[Any, list[dict[str, Any]]] = {}
        for record in journal.records.values():
            there.setdefault(_place_of(record["row"]), []).append(record)
        planned = {run.key for run in runs}
        what: dict[str, None] = {}
        of_version: dict[str, tuple[Run, dict[str, Any]]] = {}
        again = unknown = 0
        for run in runs:
            records = there.get((run.data, run.model.name, run.repeat, run.fold), [])
            if run.key in journal.records or not records or any(record["key"] in planned for record in records):
                continue
            like = [record for record in records if "decided_by" in record and _differ_in_versions(record, run)]
            if like:  # parameters may have been others in between
                of_version[run.key] = run, like[-1]
            elif "decided_by" not in records[-1]:
                unknown += 1
            else:
                again += 1
                what |= dict.fromkeys(_changed(records[-1]["decided_by"], run.decided_by))
        return Changes(again, tuple(what), of_version, unknown)

    def said(self) -> str:
        """Say how many runs are done again because of what has changed; nothing where none is."""
        if not self.again:
            return ""
        return f"{self.again} finished runs are done again, because of what has changed since: {', '.join(self.what)}."

    def question(self) -> str:
        """Say which runs were made with other versions; nothing where none was."""
        sentences = []
        if self.of_version:
            made: dict[str, dict[str, None]] = {}
            here: dict[str, str] = {}
            for run, record in self.of_version.values():
                before, now = record["decided_by"], run.decided_by
                for part in _changed(before, now):
                    made.setdefault(part, {})[_version(before.get(part), now.get(part))] = None
                    here[part] = _version(now.get(part), before.get(part))
            parts = "; ".join(
                f"{name} {' and '.join(versions_then)}, here {here[name]}" for name, versions_then in made.items()
            )
            sentences.append(f"{len(self.of_version)} finished runs were made with other versions: {parts}.")
        if self.unknown:
            sentences.append(
                f"{self.unknown} finished runs were made by an earlier version of nnexp, which did not note with what."
            )
        return " ".join(sentences)

    def keep(self, journal: Journal) -> None:
        """Let the runs that were made with other versions stand, marked in their rows; what they were made with stays noted."""
        for run, record in self.of_version.values():
            before, now = record["decided_by"], run.decided_by
            made = ", ".join(f"{part} {_version(before.get(part), now.get(part))}" for part in _changed(before, now))
            row = {**record["row"], MADE_WITH: made}
            journal.append({**record, "key": run.key, "row": row, "kept_with": _versions_in(now)})


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of what is not the same."""
    return [part for part in {**before, **now} if before.get(part) != now.get(part)]


def _differ_in_versions(record: Mapping[str, Any], run: Run) -> bool:
    """Whether a run would be what a record has, with other versions."""
    return set(_changed(record["decided_by"], run.decided_by)) <= {"nnexp", *libraries()}


def _versions_in(decided_by: Mapping[str, str]) -> dict[str, str]:
    """Return the versions among what decides a run."""
    return {part: value for part, value in decided_by.items() if part in {"nnexp", *libraries()}}


def _version(one: str | None, other: str | None) -> str:
    """Return a version; with the hash of the code, which nnexp's has, where only that tells it from another."""
    if one is None:
        return "none"
    short = one.partition("+")[0]
    if "." not in short:  # an earlier version noted the hash alone
        return f"of code {one}"
    return one if other is not None and short == other.partition("+")[0] else short


def _place_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["data"], row["model"], row["repeat"], row["fold"]


def _seed(*parts: Any) -> int:
    """Return a seed that depends on these parts and nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


@dataclass(frozen=True)
class Beginning:
    """With what an experiment begins: how many runs and trials are planned, and how many of them were finished before.

    Attributes
    ----------
    runs, known_runs, trials, known_trials : int
    again : str
        A sentence where finished runs are done again, else empty.
    """

    runs: int
    known_runs: int
    trials: int
    known_trials: int
    again: str


class Observer:
    """Is told how an experiment goes. Each method does nothing: a subclass has those that it wants."""

    def begin(self, beginning: Beginning) -> None:
        """Take note of how much there is to do."""

    def run(self, row: dict[str, Any]) -> None:
        """Take note of a finished run, by its row."""

    def trial(self, sweep: ModelSweep, outcome: Outcome, trials: list[Trial]) -> None:
        """Take note of how a trial of a sweep has ended, with all its trials."""

    def ask(self, question: str) -> str | None:
        """Say what becomes of finished runs that were made with other versions: "redo", "keep", or None for no answer."""
        return None


def run_experiment(
    specification: Specification,
    results: str | Path = "results",
    n_jobs: int = 1,
    *,
    observer: Observer | None = None,
    other_versions: str | None = None,
    command: str = "",
    storage: str | None = None,
    view: str = AUTO,
    backend: str = "loky",
    scheduler: str | None = None,
) -> Summary:
    """Run what is missing of an experiment, its sweeps first, and write its tables.

    Parameters
    ----------
    specification : Specification
    results : str or Path, default="results"
        The folder in which the experiment's folder stands.
    n_jobs : int, default=1
        Processes. The tables do not depend on it, but for elastic sweeps.
    observer : Observer, default=None
        Is told how it goes.
    other_versions : {"redo", "keep"} or None, default=None
        What becomes of finished runs that were made with other versions of nnexp, NumPy, SciPy, pandas, scikit-learn or joblib, and
        differ in nothing else: they are done again, or kept and marked. None asks the observer, and is refused without an answer.
    command : str, default=""
        The command to be recorded.
    storage : str, default=None
        Where the sweeps' trials are kept: a folder, or the URL of a PostgreSQL database. None for the experiment's folder.
    view : str, default="auto"
        Where Optuna studies show the trials: the path of a file in the format of Optuna's journal, the URL of a database,
        "auto" for ``study.log`` beside the trials where they are kept in a folder, or "none".
    backend : {"loky", "dask"}, default="loky"
    scheduler : str, default=None
        The address of the Dask scheduler.

    Returns
    -------
    Summary

    Raises
    ------
    ResultsError
        If the results cannot be written, or were made with other versions and nobody says what becomes of them.
    """
    if other_versions is not None:
        check_choice("other_versions", other_versions, ["redo", "keep"])
    specification, data, left_out = load_checked(specification)
    folder = as_path(results, "The folder of results") / specification.name
    sweeps: list[ModelSweep] = []
    place = storage or str(folder)
    store = None
    if specification.sweep is not None:
        store = open_store(place)
        sweeps = sweeps_of(specification, data, store, view, other_versions)
    if sweeps and (storage is not None or view != AUTO):
        sweeps[0].study.open()  # so that a storage that cannot be used leaves no folder behind
    with Engine(n_jobs, backend, scheduler) as engine:
        journal = Journal(folder)
        try:
            work = _Work(specification, data, folder, journal, sweeps, place, observer or Observer(), command, left_out)
            work.settle(other_versions)
            return work.do(engine)
        except OSError as error:
            raise ResultsError(f"The results cannot be written to {folder}: {reason(error)}.") from error
        finally:
            journal.close()
            if store is not None:
                store.close()


def sweeps_of(
    specification: Specification,
    data: dict[str, DataSet],
    store: Store,
    view: str = AUTO,
    other_versions: str | None = None,
) -> list[ModelSweep]:
    """List the sweeps of an experiment, checked against what is in the store."""
    return plan_sweeps(
        specification,
        data,
        lambda name: outer_splits(specification, data[name]),
        store,
        make_model,
        view,
        other_versions,
    )


@dataclass(frozen=True, eq=False)
class _Work:
    """An experiment that is being run."""

    specification: Specification
    data: dict[str, DataSet]
    folder: Path
    journal: Journal
    sweeps: list[ModelSweep]
    place: str
    observer: Observer
    command: str
    left_out: list[str]
    redone: set[str] = field(default_factory=set)  # keys of finished runs that are to be done again

    def plan(self) -> list[Run]:
        """List all runs, as far as the sweeps have come."""
        return plan(self.specification, self.data, _winners(self.sweeps))

    def known(self, runs: list[Run]) -> int:
        """Return how many runs are finished."""
        return sum(run.key in self.journal.records and run.key not in self.redone for run in runs)

    def settle(self, other_versions: str | None) -> None:
        """Keep finished runs that were made with other versions, or not."""
        runs = self.plan()
        if other_versions == "redo":  # also what was kept before
            records = self.journal.records
            self.redone.update(run.key for run in runs if records.get(run.key, {}).get("row", {}).get(MADE_WITH))
        changes = Changes.of(runs, self.journal)
        if not changes.question():
            return
        answer = other_versions or self.observer.ask(changes.question())
        if answer is None:
            raise ResultsError(
                f"{self.folder}: {changes.question()} Say what becomes of them: --redo does them again, --keep keeps them, marked "
                "in runs.csv and in the report."
            )
        check_choice("The answer of an observer", answer, ["redo", "keep"])
        if answer == "keep" and changes.unknown:
            raise ResultsError(
                f"{self.folder}: {changes.question()} They cannot be kept, since nothing tells whether they are what the file asks "
                "for. --redo does them again; another folder (--results) leaves them as they are."
            )
        if answer == "keep":
            changes.keep(self.journal)

    def do(self, engine: Engine) -> Summary:
        """Run what is missing, and write the tables."""
        folder, journal, sweeps, observer = self.folder, self.journal, self.sweeps, self.observer
        n_trials = sum(sweep.study.n_trials for sweep in sweeps)
        before = sum(trial.is_finished for sweep in sweeps for trial in sweep.study.counted())
        runs = self.plan()
        known = self.known(runs)
        changes = Changes.of(runs, journal)
        again = " ".join(
            filter(None, (changes.said(), changes.question() and f"{changes.question()} They are done again."))
        )
        observer.begin(Beginning(len(runs), known, n_trials, before, again))
        notes = [journal.lost] if journal.lost else []
        notes += [sweeps[0].study.store.lost] if sweeps and sweeps[0].study.store.lost else []
        leaks = self.left_out + [note for data_set in self.data.values() for note in leaks_of(data_set)]
        notes += [note for data_set in self.data.values() for note in doubtful_columns(data_set)] + leaks
        notes += said_of_batches(self.specification)
        environment = _environment(self.specification, self.data, self.command, len(runs))
        if leaks:
            environment["notes"] = leaks
        experiment = self.specification.as_dict(folder)
        write_atomically(folder / "experiment.json", json.dumps(experiment, indent=2) + "\n")
        write_atomically(folder / "environment.json", json.dumps(environment, indent=2) + "\n")
        journal.declare(experiment, declared_of(environment), _versions_in(runs[0].decided_by) if runs else {})
        interrupted = False
        try:
            run_sweeps(sweeps, engine, self.place, observer.trial)
            runs = self.plan()
            known = self.known(runs)
            self._finish(runs, engine)
        except KeyboardInterrupt:
            interrupted = True
            journal.read()  # it may have come between a line's writing and its counting
        if sweeps:
            write_sweep_tables(folder, sweeps)
        finished = self._write(runs)
        record_hashes(folder, environment)
        results = self.known(runs)
        notes += [
            f"{said_of_given_up(sweep.study.name, lost)} `nnexp doctor {self.place} --give-up` counts it as failed, and the sweep "
            "goes on."
            for sweep in sweeps
            if (lost := sweep.study.given_up())
        ]
        failed = sum(record["row"]["status"] == "failed" for record in finished)
        trials_done = sum(
            trial.is_finished for sweep in sweeps for trial in sweep.study.trials()[: sweep.study.n_trials]
        )
        return Summary(folder, len(runs), known, results - known, failed, interrupted, notes, n_trials, trials_done)

    def _finish(self, runs: list[Run], engine: Engine) -> None:
        """Do the runs that are missing, each kept as it is finished."""
        wanted = {run.key for run in runs if run.key not in self.journal.records or run.key in self.redone}
        decided_by = {run.key: run.decided_by for run in runs}
        for record in _execute(_units(runs, wanted), self.data, engine):
            if record["key"] in wanted:
                self.journal.append({**record, "decided_by": decided_by[record["key"]]})
                self.redone.discard(record["key"])
                self.observer.run(record["row"])

    def _write(self, runs: list[Run]) -> list[dict[str, Any]]:
        """Write the tables of runs, and return their records."""
        kept = [self.journal.row_of(run.key) for run in _by_name(runs, self.specification)]
        finished = [record for record in kept if record is not None]
        write_tables_of(self.folder, finished, self.specification, self.data)
        return finished


def write_tables_of(
    folder: Path, records: list[dict[str, Any]], specification: Specification, data: dict[str, DataSet]
) -> None:
    """Write the tables of runs from their records, in the order given."""
    metrics = specification.evaluation.metrics.model_dump()
    tasks = dict.fromkeys(data_set.task for data_set in data.values())
    write_tables(folder, records, list(dict.fromkeys(name for task in tasks for name in metrics[task])))
    write_details(folder, records)


def records_of(runs: list[Run], journal: JournalContent, specification: Specification) -> list[dict[str, Any]]:
    """Return the records of runs that a journal has, in the order of the tables.

    Of records that differ in versions only, that of the versions counts with which the experiment was last run.
    """
    versions = (journal.declared or {}).get("versions")
    by_place: dict[Any, list[dict[str, Any]]] = {}
    for record in [*journal.deaths.values(), *journal.records.values()]:
        by_place.setdefault(_place_of(record["row"]), []).append(record)
    there = []
    for run in _by_name(runs, specification):
        at_its_place = by_place.get((run.data, run.model.name, run.repeat, run.fold), [])
        like = [record for record in at_its_place if "decided_by" not in record or _differ_in_versions(record, run)]
        exact = journal.row_of(run.key)
        last = [
            record for record in like if record.get("kept_with", _versions_in(record.get("decided_by", {}))) == versions
        ]
        there += last[-1:] or ([exact] if exact is not None else like[-1:])
    return there


def declared_of(environment: dict[str, Any]) -> dict[str, Any]:
    """Return what of environment.json a journal notes: all but when it was written, and the hashes."""
    return {key: value for key, value in environment.items() if key not in ("written", "files", "blocks")}


def record_hashes(folder: Path, environment: dict[str, Any]) -> None:
    """Write environment.json with the hash of each table and of the experiment, by which a later change is found."""
    names = ["experiment.json", *(f"{name}.csv" for name in ("runs", "curves", "times", *DETAIL_TABLES, *SWEEP_TABLES))]
    files = {name: hash_of(folder / name) for name in names if (folder / name).is_file()}
    content = {**environment, "files": files, "blocks": blocks_of(folder / "runs.csv")}
    write_atomically(folder / "environment.json", json.dumps(content, indent=2) + "\n")


def _winners(sweeps: list[ModelSweep]) -> dict[Any, ModelSpecification | str | None]:
    return {
        (sweep.data, sweep.model.name, sweep.repeat, sweep.fold): sweep.unfinished() or sweep.winner()
        for sweep in sweeps
    }


def _by_name(runs: list[Run], specification: Specification) -> list[Run]:
    """Order runs for the tables: by data set, model, repeat and fold."""
    models = [model.name for model in specification.models]
    names = list(specification.data)
    return sorted(runs, key=lambda r: (names.index(r.data), models.index(r.model.name), r.repeat, r.fold))


def _units(runs: list[Run], wanted: set[str]) -> list[list[Run]]:
    """Put together the runs that train as one stack: the folds of one repeat, for models that gain by it.

    A stack with a missing run is done again as a whole, so that results do not depend on when it was interrupted.
    """
    units: dict[Any, list[Run]] = {}
    for run in runs:
        alone = bool(run.problem) or not run.model.stacks(run.task)
        units.setdefault(run.key if alone else (run.data, run.model.name, run.repeat), []).append(run)
    return [unit for unit in units.values() if any(run.key in wanted for run in unit)]


def _execute(units: list[list[Run]], data: dict[str, DataSet], engine: Engine) -> Iterator[dict[str, Any]]:
    """Yield the record of each run as its unit is finished."""
    for number, records in engine.run(_execute_unit, data, units):
        if isinstance(records, WorkerDiedError):
            yield from (_record_of_death(run, data[run.data], records) for run in units[number])
        else:
            yield from records


def _execute_unit(data: dict[str, DataSet], unit: list[Run]) -> list[dict[str, Any]]:
    return execute(unit, data[unit[0].data])


def _record_of_death(run: Run, data: DataSet, death: Exception) -> dict[str, Any]:
    return _score(run, Fit(None, None, None, {}, error=death), data)


def execute(unit: list[Run], data: DataSet) -> list[dict[str, Any]]:
    """Do some runs, as one stack where there are several; whatever goes wrong in one becomes part of its row."""
    # scikit-learn's splits are row numbers; y may be one column or several.
    if unit[0].problem:
        error = (
            UnfinishedError(unit[0].problem)
            if unit[0].problem.startswith(UNFINISHED)
            else RuntimeError(unit[0].problem)
        )
        return [_record_of_death(run, data, error) for run in unit]
    fits = [Fit(None, data.X.iloc[run.training], data.y[run.training], {}, whole=data.X) for run in unit]
    for run, fit in zip(unit, fits, strict=True):
        with fit.watched():
            fit.model = make_model(run.model, data, run.seed)
    made = [fit for fit in fits if fit.error is None]
    with one_thread(everything=True):
        # One fit too is done so: what a column is then follows from all rows, whether or not others are fitted beside it.
        if len(made) > 1 or (made and can_stack(made[0].model)):
            fit_together(made)
        elif made:
            with made[0].watched():
                fit_alone(made[0])
        return [_score(run, fit, data) for run, fit in zip(unit, fits, strict=True)]


def make_model(model: ModelSpecification, data: DataSet, seed: int) -> Any:
    """Return the preparation of the columns and the model behind it."""
    estimator = model.make(data.task, seed)
    whole = estimator
    positive = get_tags(estimator).target_tags.positive_only
    if data.task == "regression" and not positive and not isinstance(estimator, BackpropMLP | TabularMLP):
        # Networks of ours standardise the target by themselves; so that baselines are not worse off, they get it too.
        whole = TransformedTargetRegressor(estimator, transformer=StandardScaler())
    if isinstance(estimator, BackpropMLP | TabularMLP):  # which say by themselves how they take columns
        return make_pipeline(whole)
    return make_pipeline(as_categories() if model.encoder == "none" else data.encoder(), whole)


def split_of(test: Any) -> str:
    """Return a hash of the test rows of a split: equal ones are the same split."""
    return hashlib.sha256(np.asarray(test, dtype="<i8").tobytes()).hexdigest()[:8]


def _score(run: Run, fit: Fit, data: DataSet) -> dict[str, Any]:
    """Score a fit on the test rows and return its record."""
    row: dict[str, Any] = {
        "data": run.data,
        "task": data.task,
        "model": run.model.name,
        "repeat": run.repeat,
        "fold": run.fold,
        "seed": run.seed,
        "fingerprint": run.fingerprint,
        "split": split_of(run.test),
        "n_train": len(run.training),
        "n_test": len(run.test),
        "status": "ok",
        "problem": "",
        **dict.fromkeys(run.metrics),
        "evaluations": None,
        "n_iter": None,
        "n_parameters": None,
        "stop_reason": "",
        "warnings": "",
    }
    detail: dict[str, Any] = {}
    times: dict[str, float | None] = {"fit_seconds": fit.seconds if fit.error is None else None, "score_seconds": None}
    curve: dict[str, list[Any]] = {}
    without: list[str] = []
    if fit.error is None:
        start = time.perf_counter()
        with fit.watched():
            for name in run.metrics:
                try:
                    row[name] = _score_of(name, fit.model, data, run.test)
                except Exception as error:
                    if name == run.metrics[0]:  # without the one that decides a run is worth nothing
                        raise
                    without.append(f"{name} has no value: {type(error).__name__}: {_first_line(error)}")
            times["score_seconds"] = time.perf_counter() - start
            fitted = fit.model[-1]
            facts, curve = _learned(getattr(fitted, "regressor_", fitted))
            row.update(facts)
            try:
                detail = details_of(fit.model, data, run.repeat, run.fold, run.test)
            except Exception as error:  # what a model shows of itself decides nothing
                without.append(f"No details: {type(error).__name__}: {_first_line(error)}")
    if fit.error is not None:
        problem = f"{type(fit.error).__name__}: {fit.error}"
        row.update(dict.fromkeys(run.metrics), status="failed", problem=problem)
    messages = (f"{w.category.__name__}: {_first_line(w.message)}" for w in fit.warnings)
    row["warnings"] = " | ".join(dict.fromkeys([*without, *messages]))
    record: dict[str, Any] = {"key": run.key, "row": row, "times": times, "curve": curve, "detail": detail}
    if isinstance(fit.error, WorkerDiedError | UnfinishedError) or is_of_the_machine(fit.error):
        record["is_result"] = False
        if "no result" not in row["problem"]:
            row["problem"] += " That is no result: the same command tries it again."
    return record


def _score_of(name: str, model: Any, data: DataSet, rows: Any) -> float:
    score = data.scorer(name)(model, data.X.iloc[rows], data.y[rows])
    if not np.isfinite(score):
        raise ValueError(f"The score {name} is {score}.")
    return score


def _first_line(message: Any) -> str:
    return str(message).strip().split("\n")[0]


def _learned(estimator: BaseEstimator) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what a fitted estimator tells of its training: cost and size, and the learning curve."""
    if isinstance(estimator, BackpropMLP):
        history = estimator.history_
        columns = ["step", "error", "validation_error", "validation_score", "evaluations"]
        columns += [name for name in POPULATION if name in history]
        if "network" in history:  # the mean of the networks that still train, and what all have cost
            costs = history.pivot_table(index="step", columns="network", values="evaluations").ffill().sum(axis=1)
            history = (
                history.groupby("step", as_index=False)[[*columns[1:4], *columns[5:]]]
                .mean()
                .assign(evaluations=costs.to_numpy())
            )
        facts = {
            "evaluations": estimator.evaluations_,
            "n_iter": estimator.n_iter_,
            "n_parameters": estimator.parameters_.size,
            "stop_reason": estimator.stop_reason_,
        }
        curve = {c: [v if math.isfinite(v) else None for v in history[c].tolist()] for c in columns}
        return facts, curve
    if isinstance(estimator, TabularMLP):
        stacks = [stack for _, stack in estimator.members_]
        facts = {
            "evaluations": estimator.evaluations_,
            "n_iter": max(stack.n_iter_ for stack in stacks),
            "n_parameters": sum(stack.parameters_.size for stack in stacks),
        }
        return facts, {}
    if isinstance(estimator, MLPClassifier | MLPRegressor):
        steps: list[Any] = list(range(1, len(getattr(estimator, "loss_curve_", [])) + 1))
        cost = cost_of(estimator)
        facts = {
            "evaluations": cost,
            "n_iter": int(estimator.n_iter_),
            "n_parameters": sum(w.size for w in [*estimator.coefs_, *estimator.intercepts_]),
        }
        curve = {
            "step": steps,
            "error": [float(e) if math.isfinite(e) else None for e in getattr(estimator, "loss_curve_", [])],
            "validation_error": [None] * len(steps),
            "validation_score": [None] * len(steps),
            "evaluations": [round((cost or 0) * step / max(len(steps), 1)) for step in steps],
        }
        return facts, curve if steps else {}
    return {}, {}


def _environment(specification: Specification, data: dict[str, DataSet], command: str, planned: int) -> dict[str, Any]:
    packages = ["nnexp", *libraries(), "threadpoolctl", "matplotlib", *(["optuna"] if specification.sweep else [])]
    return {
        "command": command,
        "planned_runs": planned,
        "quick": specification.quick,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": commit_of(specification.source.resolve().parent),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "blas_threads": 1,
        "blas": blas(),
        "data": {
            name: {
                "fingerprint": data_set.fingerprint,
                "rows": len(data_set.y),
                "columns": data_set.X.shape[1],
                "task": data_set.task,
                "kinds": dict(Counter(column.kind for column in data_set.layout.columns)),
                **_facts(data_set),
            }
            for name, data_set in data.items()
        },
    }


def blas() -> str:
    """Return the library of linear algebra and the kind of processor it is tuned for: both decide the last bits of results."""
    libraries_of_blas = [
        library for library in threadpool_info() if library["user_api"] == "blas" and "numpy" in library["filepath"]
    ]
    libraries_of_blas = libraries_of_blas or [library for library in threadpool_info() if library["user_api"] == "blas"]
    return (
        " ".join(str(libraries_of_blas[0].get(key) or "") for key in ("internal_api", "version", "architecture"))
        if libraries_of_blas
        else ""
    )


def _facts(data_set: DataSet) -> dict[str, Any]:
    """Return how the classes are spread, and the names of two columns that boundaries can be drawn over."""
    facts: dict[str, Any] = {}
    if data_set.task == "classification" and data_set.y.ndim == 1:
        classes, counts = np.unique(data_set.y, return_counts=True)
        if len(classes) <= 100:
            facts["classes"] = {str(label): int(n) for label, n in zip(classes, counts, strict=True)}
    if data_set.X.shape[1] == 2:
        facts["features"] = [str(column) for column in data_set.X.columns]
    return facts
