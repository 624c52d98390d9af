"""Results made by hand, for tests of statistics and pages."""

from pathlib import Path

import numpy as np
import pandas as pd

from nnexp import Results
from nnexp.experiment.results import POPULATION


def make_results(
    scores,
    folder=Path("results/made"),
    task="classification",
    repeats=2,
    evaluations=None,
    planned=None,
    quick=False,
    validates=False,
):
    """Make results from {data: {model: scores of all splits, or None where a run failed}}."""
    rows = []
    for data, by_model in scores.items():
        for model, values in by_model.items():
            folds = len(values) // repeats
            for number, value in enumerate(values):
                repeat, fold = divmod(number, folds)
                key = {"data": data, "model": model, "repeat": repeat, "fold": fold}
                rows.append(
                    {
                        **key,
                        "task": task,
                        "n_train": 80,
                        "n_test": 20,
                        "status": "ok" if value is not None else "failed",
                        "problem": None if value is not None else "ValueError: it <b>broke</b>",
                        "accuracy": value,
                        "evaluations": (evaluations or {}).get(model, 1000.0),
                        "warnings": None,
                    }
                )
    runs = pd.DataFrame(rows)
    steps = np.tile(np.arange(1, 6), len(runs))
    curves = runs.loc[runs.index.repeat(5), ["data", "model", "repeat", "fold"]].reset_index(drop=True)
    curves = curves.assign(
        step=steps,
        error=1 / steps,
        validation_error=np.nan,
        validation_score=np.tile([0.5, 0.8, 0.6, 0.7, 0.9], len(runs)) if validates else np.nan,
        evaluations=300 * steps,
        **dict.fromkeys(POPULATION, np.nan),
    )
    models = list(dict.fromkeys(runs["model"]))
    experiment = {
        "name": "made",
        "question": "Which is <best>?",
        "seed": 0,
        "evaluation": {
            "folds": folds,
            "repeats": repeats,
            "metrics": {"classification": ["accuracy"], "regression": ["r2"]},
        },
        "data": {data: {} for data in scores},
        "model": {model: {"class": {task: "nnexp.BackpropMLP"}, "l2": 0.1} for model in models},
    }
    environment = {
        "command": "nnexp run made.toml",
        "planned_runs": planned or len(runs),
        "quick": quick,
        "written": "2026-01-01T00:00:00+00:00",
        "git_commit": None,
        "python": "3.11",
        "platform": "Linux",
        "versions": {"nnexp": "0"},
        "blas_threads": 1,
        "data": {data: {"fingerprint": "abc", "rows": 100, "columns": 4, "task": task} for data in scores},
    }
    times = runs[["data", "model", "repeat", "fold"]].assign(fit_seconds=0.5, score_seconds=0.01)
    return Results(Path(folder), runs, curves, times, experiment, environment)
