"""What the soak runs: experiments and sweeps of both modes that take a second, and how two of them are compared."""

import json
from dataclasses import dataclass
from pathlib import Path

_RUN = """
question = "What is lost?"
[evaluation]
folds = 2
repeats = 2
metrics = { classification = ["accuracy"], regression = ["r2"] }
[data.iris]
[defaults]
hidden_layer_sizes = [2]
max_iter = 2
[model.network]
[model.linear]
class = { classification = "sklearn.naive_bayes.GaussianNB", regression = "sklearn.linear_model.LinearRegression" }
"""
_SWEEP = """
question = "What is lost?"
[evaluation]
folds = 2
repeats = 1
metrics = { classification = ["accuracy"], regression = ["r2"] }
[data.iris]
[defaults]
hidden_layer_sizes = [2]
max_iter = 2
[model.network]
[sweep]
trials = 4
folds = 2
batch_size = 2
nested = false
mode = "MODE"
sampler = "SAMPLER"
[sweep.space]
learning_rate = { low = 0.001, high = 0.1, log = true }
"""
FILES = {
    "run": _RUN,
    "deterministic": _SWEEP.replace("MODE", "deterministic").replace("SAMPLER", "tpe"),
    # Of the elastic ones, whose points depend on their number alone: any order of events gives the same.
    "elastic": _SWEEP.replace("MODE", "elastic").replace("SAMPLER", "random"),
}
TABLES = ["runs.csv", "curves.csv", "confusion.csv", "calibration.csv", "networks.csv", "trials.csv", "tuned.csv"]


@dataclass(frozen=True)
class Kept:
    """What is finished in a results folder, as the files themselves say.

    Attributes
    ----------
    runs : dict
        The lines of the journal by key, and how often each key is there.
    trials : dict
        How each finished trial of the study ended, by its identity.
    """

    runs: dict
    trials: dict


def kept(folder: Path) -> Kept:
    """Read what is finished, without nnexp."""
    runs: dict = {}
    for line in _whole_lines(folder / "journal.jsonl"):
        record = json.loads(line)
        if "row" in record and record.get("is_result", True):
            runs.setdefault(record["key"], []).append(line)
    trials: dict = {}
    for line in _whole_lines(folder / "study.jsonl"):
        content = json.loads(line)
        if "ended" in content:
            trials.setdefault((content["study"], content["ended"]), (content["state"], content["values"]))
    return Kept(runs, trials)


def _whole_lines(path: Path) -> list[bytes]:
    if not path.is_file():
        return []
    return path.read_bytes().split(b"\n")[:-1]


def tables(folder: Path) -> dict[str, str]:
    """Return the tables that do not depend on the machine."""
    return {name: (folder / name).read_text() for name in TABLES if (folder / name).is_file()}
