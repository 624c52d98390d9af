"""The experiment file: what is compared, on which data, how. Checked as a whole before anything runs."""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils import get_tags

from nnexp._choices import TRUST
from nnexp._errors import ExpectedError, PathError, quoted, reason, shortened
from nnexp._files import as_path, check_nesting, parse_json
from nnexp._names import nearest
from nnexp.blending import TabularMLP
from nnexp.estimator import BackpropMLP, settings_of
from nnexp.experiment.datasets import DATA_PLUGINS, bundled_data
from nnexp.experiment.schema import (
    DataSpecification,
    EvaluationSection,
    ExperimentFile,
    Metrics,
    SweepSpecification,
    is_name,
)
from nnexp.sweep.evaluation import directions_of
from nnexp.sweep.pruning import Pruning
from nnexp.sweep.samplers import make_sampler
from nnexp.sweep.space import Leaf, Space, SpaceError
from nnexp.sweep.sweep import check_objectives, known_points, named, space_of
from nnexp.together import can_stack
from nnexp.training import ALGORITHMS

# What a model of an experiment may not set, and who does.
_OF_BOTH_TASKS = (BackpropMLP, TabularMLP)
_SET_BY_EXPERIMENT = {"task": "the data set", "random_state": "the experiment's seed", "verbose": "the command"}


class SpecificationError(ExpectedError, ValueError):
    """An experiment file is wrong; the message names the file, the place and the rule for each mistake."""


@dataclass(frozen=True)
class ModelSpecification:
    """One model: a BackpropMLP with its parameters, or another estimator as a baseline.

    Attributes
    ----------
    name : str
    classes : dict
        For each task that it can do, the import path of its class.
    parameters : dict
    space : dict
        What a sweep varies of it; empty if it is not tuned.
    encoder : {"table", "none"}
        Whether columns are made numbers on one scale for it, or it gets them as they are, words as categories.
    """

    name: str
    classes: dict[str, str]
    parameters: dict[str, Any]
    space: dict[str, Any] = field(default_factory=dict)
    encoder: str = "table"

    @property
    def described(self) -> dict[str, Any]:
        """Its parameters as a file gives them."""
        return {**self.parameters, **({} if self.encoder == "table" else {"encoder": self.encoder})}

    def stacks(self, task: str) -> bool:
        """Whether several fits of this model gain by training as one stack."""
        model = self.make(task, 0)
        return can_stack(model) and model.n_networks == 1 and ALGORITHMS.resolve(model.algorithm, "algorithm").stacks

    def make(self, task: str, seed: int) -> BaseEstimator:
        """Make the estimator for a task, with its random numbers from the seed."""
        cls = _import(self.classes[task])
        fixed = {"task": task} if cls in _OF_BOTH_TASKS else {}
        estimator = cls(**fixed, **self.parameters)
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=seed)
        return estimator


@dataclass(frozen=True)
class Specification:
    """A checked experiment.

    Attributes
    ----------
    name, question : str
    seed : int
    evaluation : EvaluationSection
    data : dict of DataSpecification, by name
    models : list of ModelSpecification
    allow_modules : list of str
        The modules outside scikit-learn and nnexp that it uses, and that whoever runs it trusts.
    source : Path
        The file it came from.
    has_tables : bool
        Whether its data sets are the tables of a folder, of which one that cannot be used is left out.
    """

    name: str
    question: str
    seed: int
    evaluation: EvaluationSection
    data: dict[str, DataSpecification]
    models: list[ModelSpecification]
    allow_modules: list[str]
    source: Path
    quick: bool = False
    sweep: SweepSpecification | None = None
    has_tables: bool = False

    def as_dict(self, folder: Path | None = None) -> dict[str, Any]:
        """Return the experiment with everything that was left to a default, as JSON has it.

        The paths of data are relative to the folder, if one is given that can name them so, so that it can be moved with them.
        """
        models = {
            model.name: {"class": model.classes, **model.described, **({"space": model.space} if model.space else {})}
            for model in self.models
        }
        data = {name: entry.model_dump(exclude_none=True) for name, entry in self.data.items()}
        for entry in data.values():
            if "path" in entry:  # so that the record can be run from where it stands
                entry["path"] = os.path.abspath((self.source.parent / entry["path"]).expanduser())
                if folder is not None:
                    with contextlib.suppress(ValueError):  # on another drive
                        entry["path"] = os.path.relpath(entry["path"], folder.absolute())
        return {
            "name": self.name,
            "question": self.question,
            "seed": self.seed,
            "allow_modules": self.allow_modules,
            "evaluation": self.evaluation.model_dump(),
            "data": data,
            **self._sweep_as_dict(),
            "model": models,
        }

    def _sweep_as_dict(self) -> dict[str, Any]:
        if self.sweep is None:
            return {}
        # The spaces stand with the models.
        return {
            "sweep": self.sweep.model_dump(exclude={"space", "models"}) | {"trials": self.sweep.n_trials, "models": []}
        }


# Asks whoever runs an experiment whether it may run the code of a module.
Ask = Callable[[str], bool]


@dataclass
class _Trust:
    """Which modules may run their code. Trust is the user's to give: a file, which may be anybody's, can only ask for it."""

    given: set[str]
    asked_for: set[str]
    ask: Ask | None
    used: dict[str, bool] = field(default_factory=dict)

    def allows(self, module: str) -> bool:
        """Whether the module may run its code; whoever can be asked is asked once."""
        if module in ("sklearn", "nnexp"):
            return True
        if module not in self.used:
            asks = module in self.asked_for and self.ask is not None
            self.used[module] = module in self.given or (asks and bool(self.ask and self.ask(module)))
        return self.used[module]

    def refusal(self, path: str) -> str:
        """Return what to type to let a class in."""
        module = path.partition(".")[0]
        told = (
            " That the file itself names it in allow_modules is no leave to run it." if module in self.asked_for else ""
        )
        return (
            f"{quoted(path)} is outside scikit-learn, and to use it is to run its code.{told} If you trust the module, say so: "
            f"--allow-module {module}, or {TRUST}={module} in the environment, or "
            f"load_specification(..., allow_modules=[{quoted(module)}]) in Python."
        )


def _trust_of(file: ExperimentFile, allow_modules: Sequence[str], ask: Ask | None) -> _Trust:
    named = [module.strip() for module in re.split(r"[,;:\s]+", os.environ.get(TRUST, ""))]
    return _Trust({module for module in (*allow_modules, *named) if module}, set(file.allow_modules), ask)


# Mistakes of one file that are named; who mends these sees the next ones.
_MOST_MISTAKES = 20


@dataclass
class _Mistakes:
    """What is wrong with a file, each with its place."""

    source: Path
    text: str
    changed: set[str]
    lines: list[str] = field(default_factory=list)

    def add(self, key: str, rule: str) -> None:
        where = f"{self.source.name}"
        if key in self.changed or any(changed.startswith(f"{key}.") for changed in self.changed):
            where = "--set"
        elif line := _line_of(self.text, key):
            where += f", line {line}"
        mistake = f"{where}: {key}: {rule}" if key else f"{where}: {rule}"
        if mistake not in self.lines:  # one in the defaults is met again in each model
            self.lines.append(mistake)

    def raise_if_any(self) -> None:
        if self.lines:
            raise SpecificationError("\n".join(self.lines))


def load_specification(
    path: str | Path,
    changes: Mapping[str, str] | None = None,
    quick: bool = False,
    tables: str | Path | None = None,
    *,
    allow_modules: Sequence[str] = (),
    ask: Ask | None = None,
) -> Specification:
    """Read and check an experiment file.

    Parameters
    ----------
    path : str or Path
        A TOML file, or the ``experiment.json`` that a run wrote.
    changes : mapping, default=None
        Values by dotted key, such as ``{"model.backprop.learning_rate": "0.1"}``, written as TOML has them.
    quick : bool, default=False
        Whether to shrink it to a small budget, to try the file: 2 folds, 1 repeat, 10 steps.
    tables : str or Path, default=None
        A folder whose tables take the place of the file's data sets: CSV or Parquet files with a column ``target``, and
        ``manifest.csv`` with their ``name`` (of the file, without its endings) and ``task``, in that order.
    allow_modules : sequence of str, default=()
        Modules besides scikit-learn and nnexp whose code the experiment may run, such as ``["xgboost"]``; those that the
        environment variable ``NNEXP_ALLOW_MODULES`` names are added. A file may come from anybody: that it names a module itself
        does not suffice.
    ask : callable, default=None
        Is given the name of a module that the file itself asks for, and returns whether it may run.

    Raises
    ------
    SpecificationError
        With a line for each mistake.
    """
    source = as_path(path, "The experiment file")
    content, text = _read(source)
    if tables is not None:
        content["data"] = _tables(as_path(tables, "--tables:"))
    for key, value in (changes or {}).items():
        _change(content, key, value, source)
    mistakes = _Mistakes(source, text, set(changes or {}))
    try:
        file = ExperimentFile.model_validate(content)
    except ValidationError as error:
        for problem in error.errors(include_url=False)[:_MOST_MISTAKES]:
            mistakes.add(*_explain(problem))
        mistakes.raise_if_any()
        raise
    trust = _trust_of(file, allow_modules, ask)
    _check_data(file, mistakes)
    _check_metrics(file, mistakes)
    models = _make_models(file, mistakes, trust)
    _check_sweep(file, models, mistakes)
    mistakes.raise_if_any()
    evaluation, name = file.evaluation, file.name or _as_name(source.stem) or "experiment"
    if tables is not None:
        name = f"{name}-{_as_name(Path(tables).name) or 'tables'}"
    if not is_name(f"{name}-quick" if quick else name):
        raise SpecificationError(
            f'{source.name}: its name makes no name of a folder; write a shorter one: name = "first".'
        )
    if quick:
        evaluation = evaluation.model_copy(update={"folds": 2, "repeats": 1})
        models, name = [_quick(model) for model in models], f"{name}-quick"
    sweep = file.sweep
    if quick and sweep is not None:
        sweep = sweep.model_copy(update={"trials": min(sweep.n_trials or 8, 8), "folds": 2})
    return Specification(
        name,
        file.question,
        file.seed,
        evaluation,
        file.data,
        models,
        sorted(module for module, allowed in trust.used.items() if allowed),
        source,
        quick,
        sweep,
        tables is not None,
    )


def _read(source: Path) -> tuple[dict[str, Any], str]:
    if not source.is_file():
        places = [source] if source.is_dir() else [source.parent, source.parent / "experiments"]
        near = [str(file) for place in places for file in sorted(place.glob("*.toml")) if file.name != "pyproject.toml"]
        known = f"Known: {', '.join(near)}." if source.is_dir() else nearest(str(source), near)
        hint = f" {known}" if near else ""
        what = (
            f"{source} is a folder, and no experiment file."
            if source.is_dir()
            else f"There is no experiment file {source}."
        )
        raise SpecificationError(what + hint)
    try:
        with open(source, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise SpecificationError(f"{source.name}: an experiment file has at most {_MOST_BYTES >> 20} MiB.")
        text = raw.decode("utf-8-sig")
        content = parse_json(text) if source.suffix == ".json" else tomllib.loads(text)
        check_nesting(content)
    except RecursionError as error:
        raise SpecificationError(f"{source.name}: its tables and lists are nested too deeply.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, SpecificationError):
            raise
        raise SpecificationError(f"{source.name}: {reason(error)}") from error
    if not isinstance(content, dict):
        raise SpecificationError(f"{source.name}: an experiment is a table of keys.")
    return content, text


# Of an experiment file.
_MOST_BYTES = 1 << 23
_TABLE_ENDINGS = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip", ".parquet")


def _as_name(text: str) -> str:
    """Return what of a text can be a part of a folder's name."""
    return re.sub(r"^\W+|[^\w.-]", "", text)


def _tables(folder: Path) -> dict[str, Any]:
    """Return the data sets of a folder of tables, as a file would have them."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise SpecificationError(
            f"--tables: there is no file {manifest}, with the columns name and task of the tables."
        )
    tables: dict[str, Any] = {}
    try:
        with open(manifest, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SpecificationError(f"--tables: {manifest} cannot be read: {error}") from error
    if not rows or not {"name", "task"} <= set(rows[0]):
        raise SpecificationError(f"--tables: {manifest} needs rows with the columns name and task.")
    for row in rows:
        name, task = row["name"] or "", row["task"] or ""
        where = f"--tables: {manifest}, table {quoted(name)}"
        if not re.fullmatch(r"\w[\w.-]*", name) or name in tables:
            raise SpecificationError(f"{where}: a name is that of a file without its endings, and occurs once.")
        if task not in ("binary", "multiclass", "classification", "regression"):
            raise SpecificationError(
                f"{where}: the task must be binary, multiclass, classification or regression. Got {quoted(task)}."
            )
        files = [folder / f"{name}{ending}" for ending in _TABLE_ENDINGS if (folder / f"{name}{ending}").is_file()]
        if files:
            task = "regression" if task == "regression" else "classification"
            tables[name] = {"path": os.path.abspath(files[0]), "target": "target", "task": task}
        elif not any(
            file.name.startswith(f"{name}.") for file in folder.iterdir()
        ):  # another kind of file is not for this
            raise SpecificationError(f"{where}: {folder} has no file of this name.")
    if not tables:
        raise SpecificationError(f"--tables: {folder} holds no CSV or Parquet file that {manifest.name} names.")
    return tables


def _change(content: dict[str, Any], key: str, value: str, source: Path) -> None:
    *tables, last = key.split(".")
    table = content
    for depth, name in enumerate(tables):
        if name not in table and depth > 0 and tables[0] in ("model", "data") and depth == 1:
            raise SpecificationError(
                f"--set {key}: {source.name} has no {tables[0]} {quoted(name)}. {nearest(name, content.get(tables[0], {}))}"
            )
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise SpecificationError(f"--set {key}: {quoted(name)} is not a table.")
    if "\n" in value:
        raise SpecificationError(f"--set {key}: the value must be one line.")
    try:
        table[last] = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, KeyError, RecursionError):
        table[last] = value  # a bare word is a string


def _explain(problem: Any) -> tuple[str, str]:
    """Turn a problem that pydantic found into a key and a rule."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return key, f"unknown key {quoted(problem['loc'][-1])}. {nearest(problem['loc'][-1], section.model_fields)}"
    if problem["type"] == "missing":
        return key, "is missing." if len(problem["loc"]) > 1 else "an experiment needs this key."
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = problem["input"]
    return key, f"{message}. Got {quoted(given)}." if not isinstance(given, dict) else f"{message}."


def _section(location: tuple[Any, ...]) -> type[BaseModel]:
    sections: dict[str, type[BaseModel]] = {
        "evaluation": EvaluationSection, "data": DataSpecification, "sweep": SweepSpecification,
    }  # fmt: skip
    if not location:
        return ExperimentFile
    return Metrics if location[-1] == "metrics" else sections[str(location[0])]


def _check_data(file: ExperimentFile, mistakes: _Mistakes) -> None:
    known_data = bundled_data()
    for name, data in file.data.items():
        key = f"data.{name}"
        if data.path is not None:
            try:
                place = as_path(mistakes.source.parent / as_path(data.path))
                if not place.is_file():
                    mistakes.add(f"{key}.path", f"there is no file {quoted(str(place))}.")
            except PathError as error:
                mistakes.add(f"{key}.path", str(error))
        if data.positive is not None and "regression" in (data.task, getattr(known_data.get(name), "task", None)):
            mistakes.add(f"{key}.positive", "is of a classification, and this data set is a regression.")
        if data.path is None:
            if name in DATA_PLUGINS.broken:
                mistakes.add(key, f"the plug-in of this data set cannot be used. {DATA_PLUGINS.broken[name]}")
            elif name not in known_data:
                mistakes.add(
                    key,
                    f"no bundled data set has this name. {nearest(name, known_data)} For a file, set its path.",
                )
            elif data.target or data.drop or data.missing is not None:
                mistakes.add(key, "target, drop and missing go with a path; a bundled data set has its own target.")
            elif data.task not in (None, known_data[name].task):
                mistakes.add(
                    f"{key}.task", f"the task of {name} is {quoted(known_data[name].task)}. Got {quoted(data.task)}."
                )
            continue
        if data.target is None:
            mistakes.add(key, "a path needs the target, the name of the column to predict.")
        if data.task is None:
            mistakes.add(key, "a path needs the task, 'classification' or 'regression'; it is never guessed.")


def _check_metrics(file: ExperimentFile, mistakes: _Mistakes) -> None:
    for task, names in file.evaluation.metrics.model_dump().items():
        for name in names:
            if name not in get_scorer_names():
                mistakes.add(
                    f"evaluation.metrics.{task}",
                    f"unknown metric {quoted(name)}. {nearest(name, get_scorer_names())}",
                )


def _make_models(file: ExperimentFile, mistakes: _Mistakes, trust: _Trust) -> list[ModelSpecification]:
    models = []
    used = {data.task or getattr(bundled_data().get(name), "task", None) for name, data in file.data.items()}
    for name, table in file.model.items():
        key = f"model.{name}"
        entry = table.get("class")
        given = {k: v for k, v in table.items() if k not in ("class", "space", "encoder")}
        space = table.get("space", {})
        encoder = table.get("encoder", "table")
        if encoder not in ("table", "none"):
            mistakes.add(
                f"{key}.encoder", f'must be "table", columns as numbers on one scale, or "none". Got {quoted(encoder)}.'
            )
            continue
        if entry is None:
            classes = dict.fromkeys(("classification", "regression"), "nnexp.BackpropMLP")
            parameters = {**file.defaults, **given}
        elif isinstance(entry, str):
            classes, parameters = {"": entry}, given
            if _is_class_path(entry) and trust.allows(entry.partition(".")[0]) and _is_ours(entry):
                parameters = {**file.defaults, **given}
                if _import(entry) is BackpropMLP:
                    classes = dict.fromkeys(("classification", "regression"), "nnexp.BackpropMLP")
            elif _is_class_path(entry) and trust.allows(entry.partition(".")[0]) and _is_tabular(entry):
                classes = dict.fromkeys(("classification", "regression"), "nnexp.TabularMLP")
        elif isinstance(entry, dict) and entry and set(entry) <= {"classification", "regression"}:
            classes, parameters = {str(k): str(v) for k, v in entry.items()}, given
            paths = [path for task, path in classes.items() if task in used] or list(classes.values())
            known = [path for path in paths if _is_class_path(path) and trust.allows(path.partition(".")[0])]
            ours = [_is_ours(path) for path in known]
            if len(known) == len(paths) and all(ours):
                parameters = {**file.defaults, **given}
            elif any(ours) and file.defaults and all(map(_can_be_imported, known)):
                mistakes.add(
                    f"{key}.class",
                    "is a BackpropMLP for one task alone, and the parameters of [defaults] would go to the other class too. Make "
                    "two models of it, one for each class.",
                )
                continue
        else:
            mistakes.add(f"{key}.class", "must be an import path, or a table of one for each task.")
            continue
        if "encoder" in table and any(map(_encodes, classes.values())):
            mistakes.add(f"{key}.encoder", "is for other models: a network says by encoding how it takes columns.")
            continue
        before = len(mistakes.lines)
        tasks = _check_model(key, classes, parameters, file, given, mistakes, trust)
        if len(mistakes.lines) == before:
            own_space = _space_of(file, name, next(iter(tasks.values()), ""), space, key, mistakes)
            models.append(ModelSpecification(name, tasks, parameters, own_space, encoder))
    return models


def _space_of(file: ExperimentFile, name: str, path: str, space: Any, key: str, mistakes: _Mistakes) -> dict[str, Any]:
    """Return what a sweep varies of a model: its own space, and the one of the sweep where that applies."""
    if not isinstance(space, dict):
        mistakes.add(f"{key}.space", "must be a table of parameters and what they vary over.")
        return {}
    if file.sweep is None:
        if space:
            mistakes.add(f"{key}.space", "needs a [sweep] that says how it is searched, if only [sweep] trials = 50.")
        return {}
    if file.sweep.models is None:
        own_ones = any(isinstance(table.get("space"), dict) for table in file.model.values())
        applies = _is_ours(path) and (bool(space) or not own_ones)
    else:
        applies = name in file.sweep.models
    return {**(file.sweep.space if applies else {}), **space}


def _check_sweep(file: ExperimentFile, models: list[ModelSpecification], mistakes: _Mistakes) -> None:
    """Check the sweep, and the space of each model against its estimator."""
    sweep = file.sweep
    if sweep is None or mistakes.lines:
        return
    for name in sweep.models or []:
        if name not in file.model:
            mistakes.add("sweep.models", f"there is no model {quoted(name)}. {nearest(name, file.model)}")
    tuned = [model for model in models if model.space]
    for number, entry in enumerate(sweep.enqueue if isinstance(sweep.enqueue, list) else []):
        if entry != "defaults" and not any(set(entry) <= set(model.space) for model in tuned):
            varied = dict.fromkeys(name for model in tuned for name in model.space)
            mistakes.add(
                "sweep.enqueue",
                f"entry {number + 1}: no model varies {', '.join(entry)}. Varied: {', '.join(varied)}.",
            )
    if not tuned:
        mistakes.add("sweep", "no model has a space: write [sweep.space], or [model.NAME.space] for one model.")
    for model in tuned:
        is_tuned = isinstance(file.model[model.name].get("space"), dict) and bool(file.model[model.name]["space"])
        key = f"model.{model.name}.space" if is_tuned else "sweep.space"
        used = {entry.task or getattr(bundled_data().get(name), "task", None) for name, entry in file.data.items()}
        for task, path in model.classes.items():
            if task not in used:
                continue
            estimator = model.make(task, 0)
            try:
                space = space_of(model.space, estimator)
                _check_reach(space, estimator, _is_ours(path))
            except SpaceError as error:
                for line in str(error).splitlines():
                    parameter, colon, rule = line.partition(": ")
                    known = colon and parameter.partition(".")[0] in model.space
                    mistakes.add(f"{key}.{parameter}" if known else key, rule if known else line)
                continue
            try:
                known_points(sweep.enqueued(model.space), space, estimator)
            except (SpaceError, TypeError) as error:
                for line in str(error).splitlines():
                    mistakes.add("sweep.enqueue", f"model {quoted(model.name)}: {line.partition(': ')[2] or line}")
                continue
            try:
                metrics = file.evaluation.metrics.model_dump()[task]
                objectives = check_objectives(
                    sweep.objectives.get(task),  # type: ignore[call-overload]
                    {name: name for name in metrics},
                )
                directions = tuple(directions_of(objectives))
                sampler, settings = named(sweep.sampler, "sampler")
                make_sampler(sampler, space, file.seed, directions, settings)
                pruner, settings = named(sweep.pruner, "pruner")
                Pruning(pruner, settings, directions)
            except SpaceError as error:
                mistakes.add("sweep.sampler", str(error))
            except ValueError as error:
                place = "objectives" if "objective" in str(error) else "pruner" if "pruner" in str(error) else "sampler"
                mistakes.add(f"sweep.{place}", str(error))


def _check_reach(space: Space, estimator: BaseEstimator, is_ours: bool) -> None:
    """Check the ends of each parameter's range, and each choice, by making the estimator with them."""
    if not is_ours:
        return
    for end in (0.0, 1.0 - 1e-12):
        for turn in range(max([len(leaf.choices) for leaf in space.leaves], default=1) or 1):

            def draw(leaf: Leaf, end: float = end, turn: int = turn) -> Any:
                return leaf.choices[turn % len(leaf.choices)] if leaf.kind == "choice" else leaf.at(end)

            parameters = space.walk(draw)[1]
            problem = _impossible(clone(estimator).set_params(**parameters))
            if problem:
                named = next((name for name in parameters if re.search(rf"\b{name}\b", problem)), None)
                raise SpaceError(f"{named}: {problem}" if named else problem)


def _check_model(
    key: str,
    classes: dict[str, str],
    parameters: dict[str, Any],
    file: ExperimentFile,
    settings: dict[str, Any],
    mistakes: _Mistakes,
    trust: _Trust,
) -> dict[str, str]:
    """Check a model's classes and parameters for the tasks that there are data of; return its class for each task."""
    tasks = {}
    used = {data.task or getattr(bundled_data().get(name), "task", None) for name, data in file.data.items()}
    for named_task, path in classes.items():
        if not _is_class_path(path):
            mistakes.add(
                f"{key}.class", f"must be the import path of a class, such as sklearn.svm.SVC. Got {quoted(path)}."
            )
            return {}
        if not trust.allows(path.partition(".")[0]):
            mistakes.add(f"{key}.class", trust.refusal(path))
            return {}
        try:
            cls = _import(path)
        except Exception as error:  # whatever a module raises while it is imported
            mistakes.add(f"{key}.class", f"{quoted(path)} cannot be imported: {reason(error)}.")
            return {}
        if named_task and named_task not in used and used & set(classes):
            tasks[named_task] = path
            continue
        wrong = False
        known = [
            name
            for name in _parameters_of(cls)
            if not issubclass(cls, _OF_BOTH_TASKS) or name not in _SET_BY_EXPERIMENT
        ]
        for name in parameters:
            place = f"{key}.{name}" if name in settings else f"defaults.{name}"
            if name in _SET_BY_EXPERIMENT and (issubclass(cls, _OF_BOTH_TASKS) or name == "random_state"):
                wrong = True
                mistakes.add(place, f"{name} is set by {_SET_BY_EXPERIMENT[name]}, the same for all models.")
            elif name not in known:
                wrong = True
                mistakes.add(place, f"{cls.__name__} has no parameter {quoted(name)}. {nearest(name, known)}")
        if wrong:
            return {}
        try:
            estimator = cls(**parameters, **({"task": named_task} if cls in _OF_BOTH_TASKS else {}))
        except Exception as error:
            mistakes.add(key, f"{cls.__name__} cannot be made with these settings: {shortened(str(error))}")
            return {}
        problem = _impossible(estimator)
        if problem:
            named = next((n for n in settings if re.search(rf"\b{n}\b", problem)), None)
            mistakes.add(f"{key}.{named}" if named else key, problem)
            return {}
        try:
            can = {"classification": is_classifier(estimator), "regression": is_regressor(estimator)}
            get_tags(estimator)
        except Exception as error:  # such as of one that holds another, which no file can give it
            mistakes.add(key, f"{cls.__name__} cannot be used with these settings: {reason(error)}.")
            return {}
        if named_task and not can[named_task]:
            mistakes.add(f"{key}.class.{named_task}", f"{quoted(path)} is no estimator for {named_task}.")
            return {}
        for task in [named_task] if named_task else [task for task, able in can.items() if able]:
            for metric, needed in _cannot_answer(estimator, file.evaluation.metrics.model_dump()[task]):
                mistakes.add(
                    key,
                    f"{cls.__name__} with these settings has no {needed}, which the metric {quoted(metric)} needs. Choose: "
                    f'evaluation.metrics.{task} = ["accuracy"].',
                )
                return {}
        tasks.update({named_task: path} if named_task else {task: path for task, able in can.items() if able})
    if not tasks and not mistakes.lines:
        mistakes.add(f"{key}.class", "is neither a classifier nor a regressor.")
    if tasks and not used & set(tasks):
        mistakes.add(key, f"is for {' and '.join(tasks)}, and no data set has that task.")
    return tasks


def _cannot_answer(estimator: BaseEstimator, metrics: list[str]) -> list[tuple[str, str]]:
    """Return the metrics that ask for a method which the estimator does not have."""
    missing = []
    for metric in metrics:
        if metric not in get_scorer_names():
            continue
        asked = getattr(get_scorer(metric), "_response_method", "predict")
        methods = [asked] if isinstance(asked, str) else list(asked)
        if not any(hasattr(estimator, method) for method in methods):
            missing.append((metric, " or ".join(methods)))
    return missing


def _impossible(estimator: BaseEstimator) -> str:
    """Return what is wrong with an estimator's parameters, or nothing."""
    if isinstance(estimator, BackpropMLP):
        check: Callable[[], Any] = partial(settings_of, estimator)
    elif isinstance(estimator, TabularMLP):
        check = estimator.check
    elif hasattr(estimator, "_parameter_constraints"):  # scikit-learn's own estimators have rules as data
        check = estimator._validate_params
    else:
        return ""
    try:
        check()
    except (ValueError, TypeError) as error:
        return shortened(str(error))
    return ""


def _is_class_path(path: str) -> bool:
    """Whether a text is an import path: names with dots between, not more than a package is deep."""
    parts = path.split(".") if len(path) <= 500 else []
    return 2 <= len(parts) <= 20 and all(part.isidentifier() for part in parts)


def _is_ours(path: str) -> bool:
    """Whether an import path is that of a BackpropMLP."""
    try:
        return issubclass(_import(path), BackpropMLP)
    except Exception:  # no such class; that is said elsewhere
        return False


def _is_tabular(path: str) -> bool:
    """Whether an import path is that of TabularMLP."""
    try:
        return _import(path) is TabularMLP
    except Exception:  # no such class; that is said elsewhere
        return False


def _encodes(path: str) -> bool:
    """Whether an import path is that of a model which takes tables as they are."""
    return _is_class_path(path) and (_is_ours(path) or _is_tabular(path))


def _can_be_imported(path: str) -> bool:
    try:
        _import(path)
    except Exception:  # whatever a module raises; that is said elsewhere
        return False
    return True


def _parameters_of(cls: type) -> list[str]:
    try:
        return list(cls().get_params(deep=False))
    except Exception:  # a class that needs arguments
        return list(cls._get_param_names())  # type: ignore[attr-defined]


def _import(path: str) -> Any:
    module, _, name = path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    if not (isinstance(cls, type) and issubclass(cls, BaseEstimator)):
        raise ValueError("it is no scikit-learn estimator")
    return cls


def _quick(model: ModelSpecification) -> ModelSpecification:
    cls = _import(next(iter(model.classes.values())))
    if cls is TabularMLP:
        return replace(model, parameters={**model.parameters, "effort": min(1 / 3, model.parameters.get("effort", 1))})
    if "max_iter" not in _parameters_of(cls):
        return model
    given = model.parameters.get("max_iter", 10)
    steps = 10 if isinstance(given, str) else min(int(given), 10)
    return replace(model, parameters={**model.parameters, "max_iter": steps})


def _line_of(text: str, key: str) -> int | None:
    """Return the line of a TOML text on which a dotted key, or the nearest table above it, stands."""
    parts = key.split(".")
    table: list[str] = []
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?([^\]]+)\]", line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            here = table
        elif assignment := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            here = table + [part.strip("\"'") for part in assignment[1].split(".")]
        else:
            continue
        if here == parts[: len(here)] and (best is None or len(here) > best[0]):
            best = len(here), number
    return best[1] if best else None
