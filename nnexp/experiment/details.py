"""What a fitted model shows of itself beside its scores: confusion, calibration, residuals, boundaries, its network.

Each is found at the end of a run, kept small, and becomes a table of the results: a report draws from tables alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nnexp.estimator import BackpropMLP
from nnexp.experiment.datasets import DataSet
from nnexp.experiment.results import write_atomically
from nnexp.network.activations import PerNeuron

# Confusion matrices of more classes are not legible.
MOST_CLASSES = 30
BINS = 10
_RESIDUALS = 200
_GRID = 50
_POINTS = 300
_CONNECTIONS = 400
_NEURONS = 40


def details_of(model: Any, data: DataSet, repeat: int, fold: int, test: Any) -> dict[str, Any]:
    """Return what a fitted pipeline shows of itself.

    Parameters
    ----------
    model : Pipeline
    data : DataSet
    repeat, fold : int
        Of the split. Residuals are kept of the first repeat, boundaries and networks of the first split.
    test : array of int
        The rows that the model has not seen.

    Returns
    -------
    dict of lists
        Rows of the tables by their names; JSON can hold it.
    """
    details: dict[str, Any] = {}
    X, y = data.X.iloc[test], data.y[test]
    if y.ndim > 1:
        return _network(model) if (repeat, fold) == (0, 0) else {}
    predicted = model.predict(X)
    if data.task == "classification":
        details |= _classified(model, X, y, predicted)
    elif repeat == 0:
        chosen = np.unique(np.linspace(0, len(y) - 1, min(len(y), _RESIDUALS)).astype(int))
        details["residuals"] = [[int(test[i]), float(y[i]), float(predicted[i])] for i in chosen]
    if (repeat, fold) == (0, 0):
        details |= _network(model) | _boundary(model, data)
    return details


def _classified(model: Any, X: pd.DataFrame, y: Any, predicted: Any) -> dict[str, Any]:
    classes = model.classes_
    kinds: dict[str, Any] = {}
    if len(classes) <= MOST_CLASSES:
        pairs, counts = np.unique(np.array([y, predicted], dtype=object).astype(str), axis=1, return_counts=True)
        kinds["confusion"] = [[*map(str, pair), int(n)] for pair, n in zip(pairs.T, counts, strict=True)]
    if hasattr(model, "predict_proba"):
        sure = model.predict_proba(X).max(axis=1)
        known = np.isfinite(sure)
        sure, right = sure[known], (predicted == y)[known]
        place = np.clip((sure * BINS).astype(int), 0, BINS - 1)
        kinds["calibration"] = [
            [int(b), int(count.sum()), float(sure[count].sum()), int(right[count].sum())]
            for b in np.unique(place)
            for count in [place == b]
        ]
    return kinds


def _boundary(model: Any, data: DataSet) -> dict[str, Any]:
    """Return predictions on a grid over data of two numeric columns."""
    if data.X.shape[1] != 2 or data.X.select_dtypes("number").shape[1] != 2:
        return {}
    values = data.X.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        return {}
    low, high = values.min(axis=0), values.max(axis=0)
    margin = 0.08 * (high - low)
    axes = [np.linspace(*ends, _GRID) for ends in zip(low - margin, high + margin, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    answers = model.predict(pd.DataFrame(grid, columns=data.X.columns).astype(data.X.dtypes.to_dict(), errors="ignore"))
    classes = np.unique(data.y) if data.task == "classification" else None
    codes = np.searchsorted(classes, answers) if classes is not None else answers
    if not np.isfinite(np.asarray(codes, dtype=float)).all():
        return {}
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), _POINTS)).astype(int))
    of = np.searchsorted(classes, data.y) if classes is not None else data.y
    return {
        "boundary": {
            "x": [float(v) for v in axes[0]], "y": [float(v) for v in axes[1]],
            "value": [float(f"{v:.4g}") for v in np.asarray(codes, dtype=float)],
            "points": [[*map(float, values[i]), float(f"{of[i]:.4g}")] for i in chosen],
        }
    }  # fmt: skip


def _network(model: Any) -> dict[str, Any]:
    """Return the neurons and the strongest connections of a BackpropMLP's first network."""
    fitted = model[-1]
    if not isinstance(fitted, BackpropMLP):
        return {}
    member = fitted.members_[0]
    network, row = member.network_, member.parameters_[0]
    neurons: list[list[Any]] = []
    for layer, size in enumerate(network.layer_sizes):
        activation = network.activations[layer - 1] if layer else None
        for i in range(min(size, _NEURONS)):
            function = activation.activations[i] if isinstance(activation, PerNeuron) else activation
            neurons.append([layer, i, size, function.name if function is not None else "input"])
    rows = []
    for block in network.blocks:
        weights = np.asarray(block.view(row)[: block.n_source], dtype=float)[:_NEURONS, :_NEURONS]
        for i, j in zip(*np.nonzero(weights), strict=True):
            rows.append([block.target, int(j), block.source, int(i), float(f"{weights[i, j]:.4g}")])
    rows.sort(key=lambda edge: (-abs(edge[4]), edge[:4]))
    return {"network": {"neurons": neurons, "connections": rows[:_CONNECTIONS]}}


def write_details(folder: Path, records: Iterable[dict[str, Any]]) -> list[str]:
    """Write confusion.csv, calibration.csv, residuals.csv, boundaries.csv and networks.csv, those that have a row.

    Returns
    -------
    list of str
        The names of the files.
    """
    confusion: dict[tuple[str, ...], int] = {}
    calibration: dict[tuple[Any, ...], list[float]] = {}
    tables: dict[str, list[list[Any]]] = {"residuals": [], "boundaries": [], "networks": []}
    drawn: set[str] = set()
    for record in records:
        detail, row = record.get("detail") or {}, record["row"]
        key = (row["data"], row["model"])
        for true, predicted, n in detail.get("confusion", ()):
            place = (*key, true, predicted)
            confusion[place] = confusion.get(place, 0) + n
        for number, *sums in detail.get("calibration", ()):
            before = calibration.setdefault((*key, number), [0, 0.0, 0])
            calibration[*key, number] = [a + b for a, b in zip(before, sums, strict=True)]
        tables["residuals"] += [[*key, row["repeat"], row["fold"], *rest] for rest in detail.get("residuals", ())]
        if "boundary" in detail:
            tables["boundaries"] += _boundary_rows(key, detail["boundary"], with_points=row["data"] not in drawn)
            drawn.add(row["data"])
        if "network" in detail:
            network = detail["network"]
            tables["networks"] += [[*key, *neuron, None, None, None] for neuron in network["neurons"]]
            tables["networks"] += [
                [*key, target, j, None, "", source, i, weight]
                for target, j, source, i, weight in network["connections"]
            ]
    by_bin = sorted(calibration.items(), key=_by_order(calibration))
    frames = {
        "confusion": pd.DataFrame(
            [[*key, n] for key, n in confusion.items()], columns=["data", "model", "true", "predicted", "count"]
        ),
        "calibration": pd.DataFrame(
            [[*key, int(n), sure / n, right / n] for key, (n, sure, right) in by_bin],
            columns=["data", "model", "bin", "count", "confidence", "accuracy"],
        ),
        "residuals": pd.DataFrame(
            tables["residuals"], columns=["data", "model", "repeat", "fold", "row", "target", "prediction"]
        ),
        "boundaries": pd.DataFrame(tables["boundaries"], columns=["data", "model", "kind", "x", "y", "value"]),
        "networks": pd.DataFrame(
            tables["networks"],
            columns=["data", "model", "layer", "neuron", "size", "activation", "from_layer", "from_neuron", "weight"],
        ),
    }  # fmt: skip
    for column in ("size", "from_layer", "from_neuron"):
        frames["networks"][column] = frames["networks"][column].astype("Int64")
    written = []
    for name, frame in frames.items():
        if len(frame):
            write_atomically(folder / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
            written.append(f"{name}.csv")
        else:
            (folder / f"{name}.csv").unlink(missing_ok=True)
    return written


def _by_order(values: dict[tuple[Any, ...], Any]) -> Any:
    """Return a sort key: data set and model as they came, then the bin."""
    order = {pair: number for number, pair in enumerate(dict.fromkeys(key[:2] for key in values))}
    return lambda item: (order[item[0][:2]], item[0][2])


def _boundary_rows(key: tuple[str, str], details: dict[str, Any], with_points: bool) -> list[list[Any]]:
    places = [(x, y) for y in details["y"] for x in details["x"]]
    rows = [[*key, "grid", x, y, value] for (x, y), value in zip(places, details["value"], strict=True)]
    if with_points:
        rows += [[key[0], "", "point", *point] for point in details["points"]]
    return rows
