"""The sweeps of an experiment: a study for each tuned model, data set and, if nested, outer fold."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from nnexp._choices import AUTO
from nnexp.engine import Engine
from nnexp.experiment.datasets import DataError, DataSet
from nnexp.experiment.results import write_atomically
from nnexp.experiment.specification import ModelSpecification, Specification
from nnexp.sweep.evaluation import TrialScorer, directions_of
from nnexp.sweep.importance import importance_of
from nnexp.sweep.pruning import Pruning
from nnexp.sweep.samplers import seed_of
from nnexp.sweep.store import Outcome, Store, Trial
from nnexp.sweep.study import Settings, Study
from nnexp.sweep.sweep import (
    check_objectives,
    defaults_of,
    known_points,
    named,
    run_study,
    said_of_given_up,
    space_of,
    table_of,
)
from nnexp.sweep.tables import best_trial, column_of, curves_table, pareto_front, trial_times_table

KEYS = ["data", "model", "repeat", "fold"]
UNFINISHED = "Its sweep is not finished."


class UnfinishedError(RuntimeError):
    """The sweep that a run needs is not finished."""


@dataclass
class ModelSweep:
    """A study of an experiment.

    Attributes
    ----------
    data : str
    model : ModelSpecification
    repeat, fold : int
        Of the outer split; -1 where the sweep is not nested.
    study : Study
    """

    data: str
    model: ModelSpecification
    repeat: int
    fold: int
    study: Study

    def best(self) -> Trial | None:
        """Return the winner, if any trial was completed."""
        return best_trial(self.study.counted(), self.study.evaluation.directions[0])

    def short(self, name: str) -> str:
        """Return the name of a parameter, or of a part of one, as the file has it; in the pipeline it has a longer one."""
        long, dot, rest = name.partition(".")
        key = next((key for key in self.model.space if long == key or long.endswith(f"__{key}")), long)
        return f"{key}{dot}{rest}"

    def unfinished(self) -> str:
        """Return why the sweep has no winner yet, if the machine kept it from one.

        A deterministic sweep waits for each trial, so that what wins depends on no killed process.
        """
        lost = self.study.given_up()
        if lost and (self.study.settings.mode == "deterministic" or self.best() is None):
            return f"{UNFINISHED} {said_of_given_up(self.study.name, lost)}"
        return ""

    def winner(self) -> ModelSpecification | None:
        """Return the model with the winner's parameters, as the file would have them."""
        best = self.best()
        if best is None:
            return None
        chosen = self.study.evaluation.space.parameters(best.params)
        by_short_name = {self.short(name): value for name, value in chosen.items()}
        return replace(self.model, parameters={**self.model.parameters, **by_short_name}, space={})


def plan_sweeps(
    specification: Specification,
    data: dict[str, DataSet],
    splits: Callable[[str], Sequence[tuple[int, int, Any, Any]]],
    store: Store,
    make: Callable[[ModelSpecification, DataSet, int], Any],
    view: str = AUTO,
    other_versions: str | None = None,
) -> list[ModelSweep]:
    """List the studies of an experiment, checked against what is in the store.

    Parameters
    ----------
    specification : Specification
    data : dict of DataSet
    splits : callable
        Returns repeat, fold, training and test rows of each outer split of a data set.
    store : Store
    make : callable
        Returns the preparation of the columns and the model behind it.
    view : str, default="auto"
        Where Optuna studies show the trials, see `Sweep`.
    other_versions : {"redo", "keep"} or None, default=None
        What becomes of studies that were made with other versions.

    Raises
    ------
    StudyError
        If a study of that name was declared otherwise.
    """
    sweep = specification.sweep
    if sweep is None:
        return []
    sampler, sampler_settings = named(sweep.sampler, "sampler")
    pruner, pruner_settings = named(sweep.pruner, "pruner")
    sweeps = []
    for name, data_set in data.items():
        metrics = specification.evaluation.metrics.model_dump()[data_set.task]
        scoring = {metric: data_set.scorer(metric) for metric in metrics}
        objectives = check_objectives(sweep.objectives.get(data_set.task), scoring)  # type: ignore[call-overload]
        directions = tuple(directions_of(objectives))
        outer = list(splits(name)) if sweep.nested else [(-1, -1, np.arange(len(data_set.y)), None)]
        for repeat, fold, rows, _ in outer:
            X, y = data_set.X.iloc[rows], data_set.y[rows]
            seed = seed_of(specification.seed, "sweep", name, repeat, fold)
            splitter = StratifiedKFold if data_set.task == "classification" else KFold
            inner = splitter(sweep.folds, shuffle=True, random_state=seed)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The least populated class")
                try:
                    pairs = list(inner.split(X, y))
                except ValueError as error:
                    raise DataError(f"data.{name}: sweep.folds = {sweep.folds} is too many: {error}") from error
            for model in specification.models:
                if not model.space or data_set.task not in model.classes:
                    continue
                estimator = make(model, data_set, 0)
                space = space_of(model.space, estimator)
                evaluation = TrialScorer(
                    estimator, X, y, pairs, scoring, objectives, space,
                    Pruning(pruner, pruner_settings, directions), seed, sweep.max_seconds,
                )  # fmt: skip
                known = known_points(sweep.enqueued(model.space), space, estimator)
                settings = Settings(
                    sweep.n_trials, sampler, sampler_settings, sweep.batch_size, sweep.mode, seed, known=known, view=view,
                    other_versions=other_versions,
                )  # fmt: skip
                place = "" if repeat < 0 else f"/{repeat}.{fold}"
                study = Study(
                    store, f"{specification.name}/{_part(name)}/{_part(model.name)}{place}", evaluation, settings
                )
                sweeps.append(ModelSweep(name, model, repeat, fold, study))
    return sweeps


def said_of_batches(specification: Specification) -> list[str]:
    """Say where a sampler that learns from trials sees none before it has drawn all."""
    sweep = specification.sweep
    if sweep is None or sweep.mode != "deterministic" or sweep.n_trials is None or sweep.n_trials > sweep.batch_size:
        return []
    sampler, _ = named(sweep.sampler, "sampler")
    if sampler in ("random", "quasi_random", "grid") or sweep.n_trials < 2:
        return []
    return [
        f"sweep: the sampler {sampler} draws {sweep.batch_size} trials at a time (batch_size), and there are {sweep.n_trials}: it "
        "learns from none. A smaller batch_size lets it."
    ]


def _part(name: str) -> str:
    """Return a name as a part of a study's name, which are told apart by slashes."""
    return name.replace("%", "%25").replace("/", "%2F")


def run_sweeps(
    sweeps: Sequence[ModelSweep],
    engine: Engine,
    place: str,
    on_trial: Callable[[ModelSweep, Outcome, list[Trial]], None] | None = None,
) -> None:
    """Do what is missing of all studies."""
    for sweep in sweeps:
        if on_trial is None:
            run_study(sweep.study, engine, place)
        else:
            run_study(sweep.study, engine, place, lambda outcome, trials, s=sweep: on_trial(s, outcome, trials))  # type: ignore[misc]


def work_on_sweeps(sweeps: Sequence[ModelSweep], on_trial: Any = None) -> int:
    """Work on all studies as one of any number of processes; return how many trials it did."""
    done = 0
    for sweep in sweeps:
        notify = None if on_trial is None else lambda outcome, trials, s=sweep: on_trial(s, outcome, trials)
        done += sweep.study.work(notify)
    return done


def write_sweep_tables(folder: Path, sweeps: Sequence[ModelSweep]) -> None:
    """Write trials.csv, trial_curves.csv, trial_times.csv, tuned.csv and importances.csv."""
    trials, curves, times, tuned, importances = [], [], [], [], []
    for sweep in sweeps:
        key = {"data": sweep.data, "model": sweep.model.name, "repeat": sweep.repeat, "fold": sweep.fold}
        if sweep.repeat < 0:
            key |= {"repeat": None, "fold": None}
        evaluation, rows = sweep.study.evaluation, sweep.study.counted()
        table = table_of(sweep.study)
        table = table.rename(
            columns={column_of(leaf.name): column_of(sweep.short(leaf.name)) for leaf in evaluation.space.leaves}
        )
        front = {trial.number for trial in pareto_front(rows, evaluation.directions)}
        table.insert(3, "is_best", [int(number in front) for number in table["number"]])
        trials.append(_with(key, table))
        curves.append(_with(key, curves_table(sweep.study.store.curves(sweep.study.name), rows), "trial_fold"))
        times.append(_with(key, trial_times_table(rows)))
        best = sweep.best()
        spent = [
            trial.record.get("evaluations") for trial in rows if trial.is_finished and "reused_from" not in trial.record
        ]
        known = [cost for cost in spent if cost is not None]
        winner = sweep.winner()
        chosen = (
            {} if winner is None else {n: winner.parameters[n] for n in sweep.model.space if n in winner.parameters}
        )
        tuned.append({
            **key, "trials": sum(trial.is_finished for trial in rows), "best": None if best is None else best.number,
            "objective": evaluation.objectives[0], "inner_score": None if best is None else best.values[0],
            "tuning_evaluations": sum(known) if known else None,
            "parameters": json.dumps(chosen, default=str), **_over_defaults(sweep.study),
        })  # fmt: skip
        importances += [
            {**key, "parameter": sweep.short(n), "importance": v} for n, v in importance_of(sweep.study).items()
        ]
    write = [
        ("trials.csv", pd.concat([_plain(t) for t in trials], ignore_index=True)),
        ("trial_curves.csv", pd.concat(curves, ignore_index=True)),
        ("trial_times.csv", pd.concat(times, ignore_index=True)),
        ("tuned.csv", pd.DataFrame(tuned)),
        ("importances.csv", pd.DataFrame(importances, columns=[*KEYS, "parameter", "importance"])),
    ]
    for name, table in write:
        if name == "trials.csv":  # parameters of different spaces, then scores, then how it ended
            table = table[_in_order(list(table.columns))]
        for column in ("repeat", "fold", "best", "tuning_evaluations", "defaults"):
            if column in table:
                table[column] = table[column].astype("Int64")
        write_atomically(folder / name, table.to_csv(index=False, lineterminator="\n"))


def _over_defaults(study: Study) -> dict[str, Any]:
    """Return which trial was of the model's own parameters, and how far the best one is ahead of it."""
    number, gain = defaults_of(study) or (None, None)
    of_gain = (None, None, None) if gain is None else (gain.difference, gain.half_width, gain.p)
    names = "over_defaults", "over_defaults_half_width", "p_over_defaults"
    return {"defaults": number, **dict(zip(names, of_gain, strict=True))}


_LAST = ["p_against_best", "evaluations", "pruned_at", "reused_from", "problem", "made_with"]


def _in_order(columns: list[str]) -> list[str]:
    scores = [name for name in columns if name.startswith(("score.", "error."))]
    last = [name for name in _LAST if name in columns]
    return [name for name in columns if name not in [*scores, *last]] + scores + last


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(object)


def _with(key: dict[str, Any], table: pd.DataFrame, fold: str = "fold") -> pd.DataFrame:
    table = table.rename(columns={"fold": fold}) if fold != "fold" else table
    for place, (name, value) in enumerate(key.items()):
        kind = "Int64" if name in ("repeat", "fold") else None
        table.insert(place, name, pd.Series([value] * len(table), dtype=kind))
    return table
