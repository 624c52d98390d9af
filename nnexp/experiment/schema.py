"""What an experiment may say, and what a results folder may hold: every file that is read is checked by these rules.

A file that somebody else wrote is a stranger's: types, names and sizes are checked before anything is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from nnexp._errors import QUOTED, printable, quoted
from nnexp.sweep.study import BATCH

# A name becomes a folder's, on any system.
MOST_LETTERS, _MOST_BYTES = 100, 200
_NAME = re.compile(r"\w(?:[\w.-]*[\w-])?")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
NAME_RULE = f"a name is made of letters, digits, dots and dashes, at most {MOST_LETTERS}, and is no device of a system"
# Data sets and models may be called anything that can be read.
_MOST_LABEL, _MOST_TEXT = 1_000, 10_000
_MOST_NUMBER = 2**53


def is_name(text: str) -> bool:
    """Whether a text can be the name of an experiment, which its folder has too.

    Examples
    --------
    >>> is_name("first-1.2"), is_name("../first"), is_name("a" * 101), is_name("NUL")
    (True, False, False, False)
    """
    short = len(text) <= MOST_LETTERS and len(text.encode(errors="replace")) <= _MOST_BYTES
    return short and _NAME.fullmatch(text) is not None and _RESERVED.fullmatch(text) is None


def _check_name(text: str) -> str:
    if not is_name(text):
        raise ValueError(NAME_RULE)
    return text


def _check_text(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds a character that no text has (NUL, or half of a pair of surrogates)")
    return text


def _check_module(text: str) -> str:
    if not text.isidentifier():
        raise ValueError('it is the name of a module without dots, such as "xgboost"')
    return text


Name = Annotated[str, AfterValidator(_check_name)]
Text = Annotated[str, Field(min_length=1, max_length=_MOST_TEXT), AfterValidator(_check_text)]
Label = Annotated[str, Field(min_length=1, max_length=_MOST_LABEL), AfterValidator(_check_text)]
AnyText = str  # of what is said or was read, which becomes no name
Module = Annotated[str, AfterValidator(_check_module)]
Count = Annotated[int, Field(ge=0, le=_MOST_NUMBER)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DataSpecification(_Section):
    """One data set: bundled by its name, or a CSV or Parquet file.

    Attributes
    ----------
    path : str or None
        A CSV or Parquet file, relative to the experiment file. None for a bundled data set.
    target : str or None
        The column to predict.
    task : "classification", "regression" or None
        Known for bundled data; needed with a path.
    drop : list of str
        Columns to leave out.
    missing : list of str or None
        What marks a gap in a CSV file, besides an empty cell.
    positive : str, number or bool, or None
        The positive class of two, for scores that ask for one.
    """

    path: Text | None = None
    target: AnyText | None = None
    task: Literal["classification", "regression"] | None = None
    drop: list[AnyText] = []
    missing: list[AnyText] | None = None
    positive: bool | int | float | AnyText | None = None


class Metrics(_Section):
    """The scores of each task, by scikit-learn's names; the first one decides."""

    classification: Annotated[list[Label], Field(min_length=1)] = ["accuracy", "neg_log_loss"]
    regression: Annotated[list[Label], Field(min_length=1)] = ["r2", "neg_mean_absolute_error"]


class EvaluationSection(_Section):
    """How models are judged: by repeated k-fold cross-validation, stratified for classification.

    Attributes
    ----------
    folds, repeats : int
    metrics : table of lists
        For each task the scores; the first one decides.
    equivalence : float or None
        Differences of the deciding score up to this one count as practically none. None is 0.01 for scores from 0 to 1 and for
        R², and a hundredth of the best mean for others.
    rare_classes : {"refuse", "drop", "merge"}
        What becomes of classes with fewer rows than there are folds: the data set is refused, their rows are left out, or they are
        one class, "other".
    """

    folds: Annotated[int, Field(ge=2, le=_MOST_NUMBER)] = 5
    repeats: Annotated[int, Field(ge=1, le=1000)] = 2
    metrics: Metrics = Metrics()
    equivalence: Annotated[float, Field(ge=0)] | None = None
    rare_classes: Literal["refuse", "drop", "merge"] = "refuse"


class SweepSpecification(_Section):
    """How models with a space are tuned.

    Attributes
    ----------
    trials : int or None
        Of each model, on each data set and, if nested, each outer fold. None is 50, or all points of a grid.
    sampler, pruner : str or table
        A name, or a table with a name and settings.
    batch_size : int
        Trials asked for at once in the deterministic mode.
    mode : {"deterministic", "elastic"}
    nested : bool
        Whether each outer fold has its own sweep, on its training rows, and scores the winner on rows that no trial saw.
    folds : int
        Of a trial.
    max_seconds : float or None
        Time for a trial.
    objectives : table of lists
        For each task what is sought: a metric, or a metric and ``"evaluations"``; by default the first metric.
    models : list of str
        What `space` applies to; by default every BackpropMLP, unless some model has a space of its own.
    enqueue : list of tables, or "defaults"
        Parameters of the first trials of each model that has them in its space.
    space : table
        What varies, see `nnexp.Space`; a model's own ``space`` is added to it.
    """

    trials: Annotated[int, Field(ge=1, le=_MOST_NUMBER)] | None = None
    sampler: AnyText | dict[str, Any] = "tpe"
    pruner: AnyText | dict[str, Any] = "none"
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = BATCH
    mode: Literal["deterministic", "elastic"] = "deterministic"
    nested: bool = True
    folds: Annotated[int, Field(ge=2, le=_MOST_NUMBER)] = 3
    max_seconds: Annotated[float, Field(gt=0, le=1e7)] | None = None
    objectives: dict[Literal["classification", "regression"], Annotated[list[Label], Field(min_length=1)]] = {}
    models: list[Label] | None = None
    enqueue: list[dict[AnyText, Any] | Literal["defaults"]] | Literal["defaults"] = []
    space: dict[AnyText, Any] = {}

    @property
    def n_trials(self) -> int | None:
        """The budget; None for all points of a grid."""
        sampler = self.sampler.get("name") if isinstance(self.sampler, dict) else self.sampler
        return self.trials or (None if sampler == "grid" else 50)

    def enqueued(self, space: dict[str, Any]) -> list[Any]:
        """Return what is to be tried first of a model: the entries all of whose parameters vary in its space."""
        entries: list[Any] = ["defaults"] if isinstance(self.enqueue, str) else list(self.enqueue)
        return [entry for entry in entries if entry == "defaults" or set(entry) <= set(space)]


class ExperimentFile(_Section):
    """An experiment, as a TOML file or the ``experiment.json`` of a results folder has it."""

    name: Name | None = None
    question: Text
    seed: Annotated[int, Field(ge=0, le=2**64)] = 0
    allow_modules: list[Module] = []
    evaluation: EvaluationSection = EvaluationSection()
    data: Annotated[dict[Label, DataSpecification], Field(min_length=1)]
    defaults: dict[Label, Any] = {}
    sweep: SweepSpecification | None = None
    model: Annotated[dict[Label, dict[AnyText, Any]], Field(min_length=1)]


class ModelRecord(BaseModel):
    """A model of ``experiment.json``: its class for each task, and its parameters."""

    model_config = ConfigDict(extra="allow", strict=True)
    classes: Annotated[dict[Literal["classification", "regression"], Text], Field(alias="class", min_length=1)]
    __pydantic_extra__: dict[str, JsonValue]


class ExperimentRecord(ExperimentFile):
    """``experiment.json``: an experiment with everything that was left to a default."""

    name: Name
    seed: Annotated[int, Field(ge=0, le=2**64)]
    evaluation: EvaluationSection
    model: Annotated[dict[Label, ModelRecord], Field(min_length=1)]  # type: ignore[assignment]


class _Read(BaseModel):
    """A part of a file that a later version may add to."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class DataRecord(_Read):
    """What ``environment.json`` holds of a data set."""

    fingerprint: Label
    rows: Count
    columns: Count
    task: Literal["classification", "regression"]
    classes: dict[AnyText, Count] = {}
    features: Annotated[list[AnyText], Field(min_length=2, max_length=2)] | None = None


class JoinedRecord(_Read):
    """What ``environment.json`` holds of an experiment that was joined with others."""

    name: Text
    command: AnyText = ""
    files: dict[Label, Label] = {}


class EnvironmentRecord(_Read):
    """``environment.json``: versions, platform, data, hashes of the tables, the command."""

    command: AnyText
    planned_runs: Count
    quick: bool = False
    written: AnyText = ""
    git_commit: AnyText | None = None
    python: AnyText = ""
    platform: AnyText = ""
    versions: dict[Label, Label]
    blas_threads: Count = 1
    blas: AnyText = ""
    data: dict[Label, DataRecord]
    notes: list[AnyText] = []
    joined: list[JoinedRecord] = []
    files: dict[Label, Label] = {}
    blocks: dict[AnyText, Label] = {}


_Neuron = tuple[Count, Count, Count, AnyText]
_Connection = tuple[Count, Count, Count, Count, float]
_Numbers = list[float]


class _Found(BaseModel):
    """Whatever a run has found: values as JSON has them, and infinite ones, which a training that diverges has."""

    model_config = ConfigDict(extra="allow")


class _NetworkDetail(_Found):
    neurons: list[_Neuron]
    connections: list[_Connection]


class _BoundaryDetail(_Found):
    x: _Numbers
    y: _Numbers
    value: _Numbers
    points: list[tuple[float, float, float]]


class _Details(_Found):
    confusion: list[tuple[AnyText, AnyText, Count]] = []
    calibration: list[tuple[Count, Annotated[int, Field(ge=1)], float, Count]] = []
    residuals: list[tuple[Count, float, float]] = []
    network: _NetworkDetail | None = None
    boundary: _BoundaryDetail | None = None


class _Row(_Found):
    data: Label
    model: Label
    task: Literal["classification", "regression"]
    repeat: Count
    fold: Count
    status: Literal["ok", "failed"]
    problem: AnyText = ""
    __pydantic_extra__: dict[str, str | int | float | None]


class RunRecord(_Found):
    """A line of a journal: a finished run, or one whose process died."""

    key: Label
    row: _Row
    times: dict[str, float | None]
    curve: dict[str, list[float | int | None]]
    detail: _Details | None = None
    is_result: bool = True
    decided_by: dict[str, str] = {}
    kept_with: dict[str, str] = {}


_RUN_RECORD = TypeAdapter(RunRecord)


class _Declared(_Read):
    experiment: ExperimentRecord
    environment: EnvironmentRecord
    versions: dict[Label, Label] = {}


class _Declaration(_Read):
    declared: _Declared


def is_declaration(record: Any) -> bool:
    """Whether the line of a journal says what was asked, and where it was run."""
    try:
        _Declaration.model_validate(record)
    except (ValidationError, RecursionError):
        return False
    return True


def is_run_record(record: Any) -> bool:
    """Whether the line of a journal is the record of a run."""
    try:
        checked = _RUN_RECORD.validate_python(record)
    except (ValidationError, RecursionError):
        return False
    boundary = checked.detail.boundary if checked.detail is not None else None
    if boundary is not None and len(boundary.value) != len(boundary.x) * len(boundary.y):
        return False
    return len({len(values) for values in checked.curve.values()}) <= 1


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a file: its place, the rule, what is there."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"it has no key {quoted(place)}"
    got = "" if isinstance(problem["input"], dict | list) else f"; it is {quoted(problem['input'])}"
    return f"{quoted(place)}: {message[0].lower()}{message[1:]}{got}"


# Tables. What a column holds: text; a name of a data set or model; a count; a whole number; any number, or none ("?").
_KEYS = {"data": "data", "model": "model", "repeat": "count", "fold": "count"}
_SWEEP_KEYS = {"data": "data", "model": "model", "repeat": "count?", "fold": "count?"}
TABLES: dict[str, dict[str, str]] = {
    "runs": {
        **_KEYS, "task": "task", "n_train": "count", "n_test": "count", "status": "status", "problem": "text",
        "evaluations": "count?", "warnings": "text",
    },
    "curves": {**_KEYS, "step": "count", "error": "real?", "validation_error": "real?", "evaluations": "count?"},
    "times": {**_KEYS, "fit_seconds": "number?", "score_seconds": "number?"},
    "confusion": {"data": "data", "model": "model", "true": "text", "predicted": "text", "count": "count"},
    "calibration": {
        "data": "data", "model": "model", "bin": "count", "count": "count", "confidence": "number", "accuracy": "number",
    },
    "residuals": {**_KEYS, "row": "count", "target": "number", "prediction": "number"},
    "boundaries": {
        "data": "data", "model": "model or none", "kind": "text", "x": "number", "y": "number", "value": "number",
    },
    "networks": {
        "data": "data", "model": "model", "layer": "count", "neuron": "count", "size": "count?", "activation": "text?",
        "from_layer": "count?", "from_neuron": "count?", "weight": "number?",
    },
    "trials": {
        **_SWEEP_KEYS, "number": "count", "state": "state", "value": "number?", "is_best": "count", "evaluations": "count?",
        "pruned_at": "count?", "reused_from": "text?", "problem": "text",
    },
    "trial_curves": {
        **_SWEEP_KEYS, "number": "count", "trial_fold": "count", "step": "count", "error": "real?",
        "validation_error": "real?", "evaluations": "count?",
    },
    "trial_times": {**_SWEEP_KEYS, "number": "count", "seconds": "number?", "tries": "count", "process": "text"},
    "tuned": {
        **_SWEEP_KEYS, "trials": "count", "best": "count?", "objective": "text", "inner_score": "number?",
        "tuning_evaluations": "count?", "parameters": "json",
    },
    "importances": {**_SWEEP_KEYS, "parameter": "text", "importance": "number"},
}  # fmt: skip
# What tables may have besides, and have had only since a later version.
_MORE: dict[str, dict[str, str]] = {
    "runs": {
        "fingerprint": "text", "split": "text", "seed": "number?", "n_iter": "count?", "n_parameters": "count?",
        "stop_reason": "text", "made_with": "text",
    },
    "trials": {"made_with": "text?"},
    "tuned": {
        "defaults": "count?", "over_defaults": "number?", "over_defaults_half_width": "number?", "p_over_defaults": "number?",
    },
}  # fmt: skip
_OTHERS = {"runs": "number?", "curves": "real?", "times": "number?"}  # of what is named nowhere, such as scores


class TableError(ValueError):
    """A table does not hold what it must; the message says where."""


def check_table(name: str, frame: pd.DataFrame, experiment: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table that was read as text with its columns as they are, or say what is wrong with it.

    Parameters
    ----------
    name : str
    frame : pandas.DataFrame
        Of text.
    experiment : mapping
        What ``experiment.json`` holds: a table names no other data sets and models.

    Raises
    ------
    TableError
    """
    columns = TABLES[name]
    for column in columns:
        if column not in frame.columns:
            raise TableError(f"it has no column {quoted(column)}")
    checked: dict[str, Any] = {}
    for column in frame.columns:
        kind = columns.get(column) or _MORE.get(name, {}).get(column) or _OTHERS.get(name, "any")
        checked[column] = _column(str(column), kind, frame[column], experiment)
    made = pd.DataFrame(checked, columns=frame.columns, index=frame.index)
    if name == "trials":
        _refuse(
            "value",
            frame["value"],
            (made["state"] == "complete") & made["value"].isna(),
            "is no value of a completed trial",
        )
    if name == "networks":  # a row with a weight is a connection, one without a neuron
        neurons = made["weight"].isna()
        _refuse(
            "activation", frame["activation"], neurons & (frame["activation"] == ""), "is no activation of a neuron"
        )
        place = made[neurons].duplicated(["data", "model", "layer", "neuron"]).reindex(made.index, fill_value=False)
        _refuse("neuron", frame["neuron"], place, "is there twice")
    return made


_WORDS = {"task": ["classification", "regression"], "status": ["ok", "failed"], "state": ["complete", "pruned", "fail"]}


def _column(column: str, kind: str, text: pd.Series, experiment: Mapping[str, Any]) -> Any:
    if kind in ("data", "model", "model or none"):
        known = set(experiment[kind.partition(" ")[0]]) | ({""} if "or none" in kind else set())
        _refuse(column, text, ~text.isin(known), f"is no {kind.partition(' ')[0]} of experiment.json")
        return text
    if kind in _WORDS:
        _refuse(column, text, ~text.isin(_WORDS[kind]), f"is none of {', '.join(_WORDS[kind])}")
        return text
    if kind == "json":
        _refuse(column, text, ~text.map(_is_json_table), "is no table in JSON")
        return text
    if kind == "text":
        return text
    if kind == "text?":
        return text.replace("", np.nan)
    numbers = pd.to_numeric(text.replace("", None), errors="coerce")
    there = text != ""
    if kind == "any":  # a parameter: numbers, or yes and no, if all are
        if not (there & numbers.isna()).any():
            return numbers
        return (
            text.map({"True": True, "False": False})
            if text[there].isin(["True", "False"]).all()
            else text.replace("", np.nan)
        )
    if kind == "real?":  # an error of a training that diverges may be infinite
        _refuse(column, text, there & numbers.isna() & (text.str.lower() != "nan"), "is no number")
        return numbers
    wrong = (there & ~np.isfinite(numbers.to_numpy(dtype=float, na_value=np.nan))) | (~there & (not kind.endswith("?")))
    _refuse(column, text, wrong, "is no number")
    if kind.startswith("count"):
        values = numbers.to_numpy(dtype=float, na_value=0)
        _refuse(column, text, (values < 0) | (values > _MOST_NUMBER) | (values != np.floor(values)), "is no count")
    return numbers


def _is_json_table(text: str) -> bool:
    try:
        _JSON_TABLE.validate_json(text)
    except ValidationError:
        return False
    return True


_JSON_TABLE = TypeAdapter(dict[str, JsonValue])


def _refuse(column: str, text: pd.Series, wrong: Any, why: str) -> None:
    places = np.flatnonzero(np.asarray(wrong, dtype=bool))
    if len(places):
        column = printable(column) if len(column) <= QUOTED else quoted(column)
        raise TableError(f"line {places[0] + 2}: {column} is {quoted(text.iloc[places[0]])}, which {why}")
