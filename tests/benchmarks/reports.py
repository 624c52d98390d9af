"""What a report over 100,000 runs costs: `python -m tests.benchmarks.reports`.

The tables are made up: 30 models on 100 data sets with 34 splits each, and 10 steps of a learning curve for each run. `nnexp
report` reads them and writes its page in a process of its own, whose time and greatest memory are printed.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

MODELS, DATA, FOLDS, REPEATS, STEPS = 30, 100, 17, 2, 10


def write_made_up(folder: Path) -> None:
    rng = np.random.default_rng(0)
    models, data = [f"model {i}" for i in range(MODELS)], [f"set {i}" for i in range(DATA)]
    index = pd.MultiIndex.from_product(
        [data, range(REPEATS), range(FOLDS), models], names=["data", "repeat", "fold", "model"]
    )
    runs = index.to_frame(index=False)[["data", "model", "repeat", "fold"]]
    ease = dict(zip(data, rng.uniform(0.6, 0.9, DATA), strict=True))
    skill = dict(zip(models, rng.normal(0, 0.01, MODELS), strict=True))
    split = pd.Series(rng.normal(0, 0.02, DATA * REPEATS * FOLDS)).repeat(MODELS).to_numpy()
    runs["accuracy"] = (
        (runs["data"].map(ease) + runs["model"].map(skill) + split + rng.normal(0, 0.015, len(runs)))
        .clip(0, 1)
        .round(6)
    )
    runs = runs.assign(
        task="classification", seed=rng.integers(0, 2**31, len(runs)), fingerprint="0" * 16, split="0" * 12, n_train=940, n_test=60,
        status="ok", problem="", evaluations=rng.integers(1, 9, len(runs)) * 10_000, n_iter=10, n_parameters=100, stop_reason="", warnings="",
    )  # fmt: skip
    runs.to_csv(folder / "runs.csv", index=False)
    keys = runs[["data", "model", "repeat", "fold"]]
    keys.assign(fit_seconds=rng.uniform(0.1, 1, len(runs)).round(4), score_seconds=0.01).to_csv(
        folder / "times.csv", index=False
    )
    curves = keys.loc[keys.index.repeat(STEPS)].reset_index(drop=True)
    curves["step"] = np.tile(np.arange(1, STEPS + 1), len(runs))
    curves["error"] = (1 / curves["step"] + rng.uniform(0, 0.1, len(curves))).round(6)
    curves["validation_error"] = ""
    curves["evaluations"] = 1000 * curves["step"]
    curves.to_csv(folder / "curves.csv", index=False)
    experiment = {
        "name": folder.name, "question": "Which of 30 models is best?", "seed": 0,
        "evaluation": {"folds": FOLDS, "repeats": REPEATS, "metrics": {"classification": ["accuracy"], "regression": ["r2"]}},
        "data": {name: {} for name in data},
        "model": {name: {"class": {"classification": "nnexp.BackpropMLP"}} for name in models},
    }  # fmt: skip
    facts = {"fingerprint": "0" * 16, "rows": 1000, "columns": 10, "task": "classification"}
    environment = {
        "command": "nnexp run made_up.toml", "planned_runs": len(runs), "quick": False, "written": "2026-01-01T00:00:00+00:00",
        "git_commit": None, "python": "3.11", "platform": "Linux", "versions": {"nnexp": "0"}, "blas_threads": 1,
        "data": dict.fromkeys(data, facts),
    }  # fmt: skip
    (folder / "experiment.json").write_text(json.dumps(experiment))
    (folder / "environment.json").write_text(json.dumps(environment))


def main() -> None:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(parent) / "made_up"
        folder.mkdir(parents=True, exist_ok=True)
        write_made_up(folder)
        start = time.perf_counter()
        subprocess.run([str(Path(sys.executable).parent / "nnexp"), "report", str(folder)], check=True)
        seconds = time.perf_counter() - start
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        size = (folder / "report.html").stat().st_size / 1e6
        n = MODELS * DATA * FOLDS * REPEATS
        print(f"{'runs':>8} {'steps':>10} {'seconds':>8} {'GiB':>6} {'report.html':>12}")
        print(f"{n:>8} {n * STEPS:>10} {seconds:>8.1f} {memory:>6.2f} {size:>9.2f} MB")


if __name__ == "__main__":
    main()
