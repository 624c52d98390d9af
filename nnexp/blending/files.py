"""A fitted `TabularMLP` as a file without code; see `nnexp.saving`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nnexp._errors import quoted
from nnexp.blending.blended import Blended, ByFold, Member
from nnexp.blending.calibration import Calibration
from nnexp.blending.tabular import TabularMLP
from nnexp.intervals import Unseen
from nnexp.model import OutOfFold
from nnexp.saving import (
    Reader,
    SavingError,
    Writer,
    estimator_of,
    header_of,
    is_real,
    is_whole,
    names_from_json,
    params_of,
    target_from_json,
    target_to_json,
    write_file,
)
from nnexp.targets import Classes, Labels, Target

KIND = "blend"


def save_blend(path: str | Path, estimator: TabularMLP) -> None:
    """Write a fitted blend of networks to a file; see `TabularMLP.save`."""
    if not hasattr(estimator, "blended_"):
        raise SavingError("The model is not fitted: there is nothing to save.")
    blended, writer = estimator.blended_, Writer()
    out_of_fold, names = blended.out_of_fold, getattr(estimator, "feature_names_in_", None)
    header = {
        "kind": KIND,
        "class": type(estimator).__name__,
        "params": params_of(estimator, writer),
        "target": target_to_json(blended.target, writer),
        "members": [
            {"name": member.name, "seconds": member.seconds, "model": header_of(member.fitted[0], writer)}
            for member in blended.members
        ],
        "weights": [float(weight) for weight in blended.weights],
        "calibration": _described(blended.calibration),
        "out_of_fold": None
        if out_of_fold is None
        else [writer.array(out_of_fold.prediction), out_of_fold.score, out_of_fold.score_error],
        "by_fold": None if blended.by_fold is None else _folds_described(blended.by_fold, writer),
        "rows": [writer.value(row, "a row") for row in blended.rows],
        "n_features": estimator.n_features_in_,
        "features": None if names is None else list(names),
    }
    write_file(path, header, writer.arrays)


def blend_of(header: dict[str, Any], reader: Reader, make: Callable[[str, dict[str, Any]], Any]) -> TabularMLP:
    """Return the fitted blend that a header stands for; make returns networks by their class and parameters."""
    estimator = TabularMLP(**{name: reader.value(value) for name, value in header["params"].items()})
    target = target_from_json(header["target"], reader)
    if target.is_numeric is not (estimator.task == "regression") or getattr(target, "one_output", False):
        raise ValueError(f"its target does not fit its task, {quoted(estimator.task)}")
    members, weights, calibration = header["members"], header["weights"], header["calibration"]
    if not isinstance(members, list) or not isinstance(weights, list) or len(weights) != len(members) or not members:
        raise ValueError("its weights do not fit its members")
    if not all(is_real(weight) and weight >= 0 for weight in weights) or abs(sum(weights) - 1) > 1e-9:
        raise ValueError("its weights do not add up to 1")
    calibration = _calibration_of(calibration, target)
    if not is_whole(header["n_features"], 1):
        raise ValueError("its number of features is no number")
    n_features = header["n_features"]
    names = names_from_json(header["features"], n_features)
    made = []
    for member in members:
        model = estimator_of(member["model"], reader, make)
        if model.n_features_in_ != n_features or not _fit(model.model_.target, target):
            raise ValueError("one of its members does not fit it")
        made.append(Member(str(member["name"]), (model,), None, float(member["seconds"])))
    out_of_fold = None
    if header["out_of_fold"] is not None:
        prediction, score, score_error = header["out_of_fold"]
        prediction = reader.value(prediction)
        if prediction.dtype.kind != "f" or prediction.ndim > 2 or not all(map(_is_number, (score, score_error))):
            raise ValueError("its predictions are no numbers")
        out_of_fold = OutOfFold(prediction, score, score_error)
    by_fold = None
    if header["by_fold"] is not None:
        by_fold = _folds_of(header["by_fold"], reader, target, made)
    rows = tuple(reader.value(row) for row in header["rows"])
    if not rows or not all(isinstance(row, dict) and {"name", "weight", "loss", "seconds"} <= set(row) for row in rows):
        raise ValueError("its rows lack columns")
    blended = Blended(target, tuple(made), np.array(weights), calibration, out_of_fold, by_fold, rows)
    return estimator.with_blended(blended, n_features, names)


def _described(calibration: Calibration | None) -> Any:
    return None if calibration is None else [calibration.temperature, calibration.lowest]


def _calibration_of(content: Any, target: Target) -> Calibration | None:
    if content is None:
        return None
    temperature, lowest = content
    if target.is_numeric or not (is_real(temperature) and is_real(lowest) and temperature > 0 and 0 < lowest < 0.5):
        raise ValueError("its calibration is none")
    return Calibration(temperature, lowest, target.is_exclusive)


def _folds_described(by_fold: ByFold, writer: Writer) -> dict[str, Any]:
    unseen = by_fold.unseen
    arrays = {"weights": by_fold.weights, "scores": unseen.scores, "fold": unseen.fold, "weight": unseen.weight}
    described: dict[str, Any] = {name: writer.array(values) for name, values in arrays.items()}
    return {**described, "calibrations": [_described(calibration) for calibration in by_fold.calibrations]}


def _folds_of(content: dict[str, Any], reader: Reader, target: Target, members: list[Member]) -> ByFold:
    weights, scores, fold, weight = (reader.value(content[name]) for name in ("weights", "scores", "fold", "weight"))
    calibrations = tuple(_calibration_of(each, target) for each in content["calibrations"])
    n, k = len(fold), len(calibrations)
    numbers = all(values.dtype.kind == "f" and np.isfinite(values).all() for values in (weights, scores, weight))
    shapes = weights.shape == (k, len(members)) and weight.shape == fold.shape == (n,) and fold.dtype.kind == "i"
    if not numbers or not shapes or scores.shape != (n, 1 if target.is_exclusive else target.n_outputs):
        raise ValueError("what it says of its folds does not fit it")
    if not n or set(np.unique(fold).tolist()) != set(range(k)) or (weight <= 0).any() or (weights < 0).any():
        raise ValueError("what it says of its folds does not fit it")
    if any(member.fitted[0].model_.n_networks != k for member in members):
        raise ValueError("its members do not have a network for each fold")
    return ByFold(weights, calibrations, Unseen(scores, fold, weight))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fit(target: Target, whole: Target) -> bool:
    """Whether what a member predicts is what the blend averages."""
    if isinstance(target, Classes | Labels) and isinstance(whole, Classes | Labels):
        same = target.probabilistic and np.array_equal(target.classes, whole.classes)
        return same and target.has_labels is whole.has_labels
    return target.is_numeric and whole.is_numeric and target.n_outputs == whole.n_outputs
