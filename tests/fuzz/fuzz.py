"""Files as nobody should write them: mutations of what nnexp reads back, given to what reads it.

Whatever is in a file, the answer is a result or a sentence: no traceback, none over 5 s or 1 GB, no file written outside the
folder, and no command run.

    python -m tests.fuzz --cases 20000 --seed 0
"""

import argparse
import collections
import contextlib
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from pathlib import Path

from tests.fuzz.mutate import dumped, mutate_bytes, mutate_json, mutate_table, mutate_toml

FIXTURES = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"
MOST_SECONDS, MOST_BYTES = 5.0, 1 << 30
TABLES = [
    "runs",
    "curves",
    "times",
    "confusion",
    "calibration",
    "networks",
    "trials",
    "trial_curves",
    "tuned",
    "importances",
]
TOML = """
question = "What makes a network learn?"
seed = 1
allow_modules = ["xgboost"]
[evaluation]
folds = 2
repeats = 1
equivalence = 0.02
metrics = { classification = ["accuracy", "neg_log_loss"], regression = ["r2"] }
[data.iris]
[data.own]
path = "own.csv"
target = "kind"
task = "classification"
drop = ["c"]
[defaults]
hidden_layer_sizes = [4, 3]
max_iter = 2
[model.network]
activation = ["tanh", "relu"]
batch_size = 16
learning_rate = 0.01
optimizer = { name = "momentum", momentum = 0.9 }
[model.genetic]
algorithm = { name = "genetic", population_size = 8 }
connections = "skip"
dropout = 0.1
[model.linear]
class = "sklearn.linear_model.LogisticRegression"
C = 1.0
[sweep]
trials = 2
folds = 2
sampler = { name = "tpe", n_startup_trials = 2 }
pruner = "median"
max_seconds = 5.0
[sweep.space]
learning_rate = { low = 0.001, high = 0.1, log = true }
hidden_layer_sizes = { layers = [1, 2], neurons = [2, 8], log = true }
activation = { per_layer = ["tanh", "relu"] }
"""


class Watch:
    """Notes what a file has no business to bring about."""

    def __init__(self):
        self.inside, self.seen = "", []
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if not self.inside:
            return
        if event == "subprocess.Popen" and arguments[0] == "fc-list":
            return  # matplotlib looks for fonts, once
        if event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "os.spawn",
            "socket.connect",
            "pty.spawn",
        ):
            self.seen.append(f"{event} {arguments!r}"[:300])
        elif event in (
            "os.remove",
            "os.rename",
            "os.mkdir",
            "os.rmdir",
            "os.link",
            "os.symlink",
            "os.truncate",
            "shutil.rmtree",
        ):
            self._place(event, arguments[0])
        elif event == "open":
            path, mode, flags = arguments
            writes = isinstance(mode, str) and any(own in mode for own in "wax+")
            if writes or (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                self._place(event, path)

    def _place(self, event, path):
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, int) or not isinstance(path, str | os.PathLike):
            return
        where = os.path.abspath(path)
        if not where.startswith((self.inside, _made["root"], "/dev/null", "/proc/self")):
            self.seen.append(f"{event} {where}"[:300])


def mutated_archive(path, rng):
    """Return the bytes of a model or a checkpoint with its header, an array or any byte changed."""
    if rng.random() < 0.25:
        return mutate_bytes(path.read_bytes(), rng)
    made = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        names = old.namelist()
        chosen = "header.json" if rng.random() < 0.8 else rng.choice(names)
        for name in names:
            data = old.read(name)
            if name == chosen:
                data = (
                    dumped(mutate_json(json.loads(data), rng), rng)
                    if name == "header.json"
                    else mutate_bytes(data, rng)
                )
            if name != chosen or rng.random() > 0.03:
                new.writestr(name, data)
    return made.getvalue()


def model_file(folder, rng):
    import numpy as np

    from nnexp import load

    source = rng.choice(sorted(FIXTURES.glob("*.nnexp")))
    path = folder / "m.nnexp"
    path.write_bytes(mutated_archive(source, rng))
    model = load(path)
    X = np.random.default_rng(0).normal(size=(5, model.n_features_in_))
    names = getattr(model, "feature_names_in_", None)
    if names is not None:
        import pandas as pd

        X = pd.DataFrame(X, columns=names)
    found = model.predict(X)
    assert len(found) == 5
    if model.task == "classification":
        assert np.isin(found, [*model.classes_, 0, 1]).all()
    assert model.history_ is not None
    model.save(folder / "again.nnexp")


def checkpoint(folder, rng):
    from sklearn.datasets import load_diabetes

    from nnexp import BackpropMLP, Checkpoint

    X, y = load_diabetes(return_X_y=True)
    path = folder / "c.nnexp"
    path.write_bytes(mutated_archive(_own_checkpoint(), rng))
    BackpropMLP(
        "regression",
        hidden_layer_sizes=(3,),
        max_iter=4,
        random_state=0,
        callbacks=[Checkpoint(path, every=2, resume=True)],
    ).fit(X[:60], y[:60])


_made = {}


def _own_checkpoint():
    """Return a checkpoint of this version, whose key is that of the fit."""
    if "checkpoint" not in _made:
        from sklearn.datasets import load_diabetes

        from nnexp import BackpropMLP, Checkpoint

        X, y = load_diabetes(return_X_y=True)
        path = Path(_made["root"]) / "checkpoint.nnexp"
        saved = Checkpoint(path, every=2)
        BackpropMLP("regression", hidden_layer_sizes=(3,), max_iter=2, random_state=0, callbacks=[saved]).fit(
            X[:60], y[:60]
        )
        _made["checkpoint"] = path
    return _made["checkpoint"]


def _own_table(folder, rng):
    rows = ["a,b,c,kind"] + [f"{i % 7},{'xyz'[i % 3]},{i},{'uv'[i % 2]}" for i in range(40)]
    text = "\n".join(rows) + "\n"
    if rng.random() < 0.4:
        text = mutate_table(text, rng)
        if rng.random() < 0.3:
            (folder / "own.csv").write_bytes(mutate_bytes(text.encode(errors="replace"), rng))
            return
    (folder / "own.csv").write_text(text, errors="replace")


def experiment_file(folder, rng):
    from nnexp import cli

    _own_table(folder, rng)
    text = TOML if rng.random() < 0.2 else mutate_toml(TOML, rng)
    if rng.random() < 0.5:
        text = text.replace('allow_modules = ["xgboost"]', "")
    (folder / "e.toml").write_text(text, errors="replace")
    changes = []
    if rng.random() < 0.3:
        key = rng.choice(
            [
                "seed",
                "model.network.activation",
                "data.iris.path",
                "name",
                "sweep.trials",
                "",
                "a.b.c",
                "evaluation.folds",
            ]
        )
        from tests.fuzz.mutate import nasty

        changes = ["--set", f"{key}={str(nasty(rng))[:500]}".replace("\0", "")]
    _refuses_or_answers(cli, ["run", str(folder / "e.toml"), "--results", str(folder / "r"), *changes], only_check=True)


def results_folder(folder, rng):
    from nnexp import cli

    results = folder / "r" / "x"
    shutil.copytree(FIXTURES / "results" / rng.choice(["small", "tuned", "elastic", "died"]), results)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice([own for own in sorted(results.iterdir()) if own.is_file()])
        if rng.random() < 0.05:
            path.unlink()
            if rng.random() < 0.3:
                path.mkdir()
        elif path.suffix == ".json" and rng.random() < 0.85:
            with contextlib.suppress(ValueError):  # it was damaged before
                path.write_bytes(dumped(mutate_json(json.loads(path.read_bytes()), rng), rng))
        elif path.suffix == ".csv" and rng.random() < 0.8:
            path.write_text(mutate_table(path.read_text(errors="replace"), rng), errors="replace")
        elif path.suffix in (".jsonl", ".log") and rng.random() < 0.7:
            lines = path.read_bytes().split(b"\n")
            at = rng.randrange(len(lines))
            with contextlib.suppress(ValueError):
                lines[at] = dumped(mutate_json(json.loads(lines[at]), rng), rng)
            path.write_bytes(b"\n".join(lines))
        else:
            path.write_bytes(mutate_bytes(path.read_bytes(), rng))
    given = str(results)
    commands = [["table", given], ["table", given, "--csv"], ["compare", given, given, "--results", str(folder / "o")]]
    commands += [["doctor", given], ["doctor", given, "--mend"], ["report", given, "--claim", "A1"]]
    if rng.random() < 0.1:
        commands = [["report", given], ["verify", given], ["report", given, "--format", "json"]]
    _refuses_or_answers(cli, rng.choice(commands))
    if rng.random() < 0.3:
        from nnexp.experiment.results import Journal

        journal = Journal(results)
        journal.close()


def study_file(folder, rng):
    from nnexp.sweep.sweep import open_store

    path = folder / "study.log"
    shutil.copy(FIXTURES / "results" / rng.choice(["tuned", "elastic"]) / "study.log", path)
    if rng.random() < 0.7:  # else as an earlier version left it
        open_store(folder).close()
        path = folder / "study.jsonl"
    if rng.random() < 0.6:
        lines = path.read_bytes().split(b"\n")
        at = rng.randrange(len(lines))
        with contextlib.suppress(ValueError):
            lines[at] = dumped(mutate_json(json.loads(lines[at]), rng), rng)
        path.write_bytes(b"\n".join(lines))
    else:
        path.write_bytes(mutate_bytes(path.read_bytes(), rng))
    store = open_store(folder)
    for name in store.studies():
        store.trials(name), store.curves(name)


def _refuses_or_answers(cli, arguments, only_check=False):
    """Give a command to the command line; what is wrong must be an exit status and a sentence."""
    from unittest import mock

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            stop = (
                mock.patch("nnexp.experiment.runs.plan", side_effect=KeyboardInterrupt)
                if only_check
                else contextlib.nullcontext()
            )
            with stop:
                status = cli.main(arguments)
        except SystemExit as error:
            status = error.code
    text = said.getvalue()
    assert status in (0, 1, 2, 3, 130), status
    assert "Traceback" not in text, text[-2000:]
    assert not any(own in text for own in "\x1b\x07\x9b"), repr(text[-2000:])
    longest = max((len(line) for line in text.split("\n") if line.startswith("nnexp: ")), default=0)
    assert longest < 5000, text[:1000]


TARGETS = {
    model_file: 0.3, checkpoint: 0.1, experiment_file: 0.2, results_folder: 0.3, study_file: 0.1,
}  # fmt: skip


class TooLongError(BaseException):
    pass


def one(number, seed, root, watch):
    """Do a case; return what it was, how it ended, and what went wrong."""
    from nnexp._errors import ExpectedError

    rng = random.Random(f"{seed} {number}")
    target = rng.choices(list(TARGETS), list(TARGETS.values()))[0]
    folder = Path(root) / f"case-{number}"
    folder.mkdir()
    wrong, ended = "", "answered"
    begun = time.perf_counter()

    def late(*_):
        raise TooLongError

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 4 * MOST_SECONDS)
    watch.seen.clear()
    watch.inside = str(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(folder, rng)
    except ExpectedError:
        ended = "refused"
    except TooLongError:
        wrong = "it never ends: " + traceback.format_exc(limit=-6)
    except Exception:
        wrong = traceback.format_exc(limit=-8)
    finally:
        watch.inside = ""
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.perf_counter() - begun
    wrong = wrong or (f"it takes {seconds:.1f} s" if seconds > MOST_SECONDS else "")
    wrong = wrong or "; ".join(watch.seen[:3])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    wrong = wrong or (f"it takes {peak / 1e9:.1f} GB" if peak > _made.get("base", 0) + MOST_BYTES else "")
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return target.__name__, ended, wrong, seconds


def work(numbers, seed, root, answers):
    """Do some cases in a process of their own, which is told of after each."""
    _made["root"] = tempfile.mkdtemp(dir=root)
    os.environ.update(TMPDIR=_made["root"], MPLCONFIGDIR=_made["root"])
    tempfile.gettempdir()
    import nnexp.cli
    import nnexp.report.figures  # noqa: F401

    _own_checkpoint()
    _made["base"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    watch = Watch()
    for number in numbers:
        answers.send(("begin", number))
        answers.send(("end", number, *one(number, seed, root, watch)))
    answers.send(("over",))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first case, to do one again")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MPLBACKEND="agg")
    begun = time.monotonic()
    root = tempfile.mkdtemp(prefix="fuzz-")
    context = multiprocessing.get_context("spawn")
    waiting = {i: list(range(given.first + i, given.first + given.cases, given.workers)) for i in range(given.workers)}
    running, counts, failures, slowest, kinds = {}, collections.Counter(), [], 0.0, {}
    while waiting or running:
        for i in [i for i in waiting if i not in running]:
            here, there = context.Pipe(duplex=False)
            numbers = waiting.pop(i)
            process = context.Process(target=work, args=(numbers, given.seed, root, there), daemon=True)
            process.start()
            there.close()
            running[i] = process, here, [None], numbers
        for i, (process, here, current, numbers) in list(running.items()):
            over = False
            try:
                while here.poll(0.02):
                    what, *answer = here.recv()
                    if what == "begin":
                        current[0] = answer[0]
                    elif what == "over":
                        over = True
                        break
                    else:
                        number, target, ended, wrong, seconds = answer
                        slowest = max(slowest, seconds)
                        counts[f"{target} {'wrong' if wrong else ended}"] += 1
                        if wrong:
                            failures.append(number)
                            kind = f"{target}: {wrong.strip().splitlines()[-1][:160]}"
                            kinds.setdefault(kind, []).append(number)
                            if len(kinds[kind]) == 1:
                                print(f"case {number}, {target}\n{wrong}", flush=True)
            except EOFError:
                failures.append(current[0])
                print(f"case {current[0]}: its process died", flush=True)
                rest = [] if current[0] is None else [number for number in numbers if number > current[0]]
                over = True
                if rest:
                    waiting[i] = rest
            if over:
                process.join()
                del running[i]
    for kind, numbers in kinds.items():
        print(f"{len(numbers)} × {kind}  (such as case {numbers[0]})")
    told = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    took = time.monotonic() - begun
    print(
        f"{sum(counts.values())} cases with seed {given.seed} ({told}) in {took:.0f} s, the slowest {slowest:.1f} s: {len(failures)} went wrong."
    )
    if not failures:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if failures else 0
