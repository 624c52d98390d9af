import os
import pickle
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar as ScikitLearnProgressBar
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from nnexp import BackpropMLP, Checkpoint, ProgressBar, SweepCV, cross_validate
from nnexp.saving import SavingError
from tests.algorithms import EVERY, PARTLY, SLOWER, small
from tests.forked import Forked
from tests.plans import problem_of

ROOT = Path(__file__).parent.parent

IRIS = scale(load_iris().data), load_iris().target
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 12, "validation": "none", "random_state": 0, "n_iter_no_change": 1000}


class Recorder:
    def __init__(self, stop_at=10**9):
        self.stop_at = stop_at
        self.calls = []

    def on_start(self, state):
        self.calls.append(("start", state.step, state.max_iter))

    def on_step(self, state):
        self.calls.append((state.step, state.row["error"], state.row["evaluations"], state.watched))
        return state.step >= self.stop_at

    def on_end(self):
        self.calls.append("end")


@pytest.mark.parametrize("algorithm", PARTLY)
def test_a_callback_sees_every_step_and_changes_nothing(algorithm):
    recorder = Recorder()
    algorithm = small(algorithm)
    model = BackpropMLP(**SMALL, algorithm=algorithm, callbacks=[recorder]).fit(*IRIS)
    plain = BackpropMLP(**SMALL, algorithm=algorithm).fit(*IRIS)
    np.testing.assert_array_equal(model.parameters_, plain.parameters_)
    assert recorder.calls[0] == ("start", 0, 12)
    assert recorder.calls[-1] == "end"
    assert [call[0] for call in recorder.calls[1:-1]] == list(range(1, 13))
    assert [call[1] for call in recorder.calls[1:-1]] == model.history_.error.tolist()
    assert [call[2] for call in recorder.calls[1:-1]] == model.history_.evaluations.tolist()


def test_of_several_networks_a_callback_sees_the_mean_and_the_whole_cost():
    recorder = Recorder()
    model = BackpropMLP(**SMALL | {"validation": "cross"}, n_networks=3, callbacks=[recorder]).fit(*IRIS)
    steps = model.history_.groupby("step")
    np.testing.assert_allclose([call[1] for call in recorder.calls[1:-1]], steps.error.mean())
    np.testing.assert_allclose([call[3] for call in recorder.calls[1:-1]], steps.validation_error.mean())
    assert recorder.calls[-2][2] == model.evaluations_


@pytest.mark.parametrize("callback", [Recorder(stop_at=5), lambda state: state.step == 5], ids=["object", "function"])
def test_a_callback_stops_training(callback):
    model = BackpropMLP(**SMALL, n_networks=2, callbacks=callback).fit(*IRIS)
    assert model.n_iter_ == 5
    assert "stopped it after step 5" in model.stop_reason_


def test_a_callback_that_fails_leaves_the_model_as_it_was_and_is_ended():
    def fails(state):
        raise RuntimeError("no")

    recorder = Recorder()
    model = BackpropMLP(**SMALL).fit(*IRIS)
    before = model.predict_proba(IRIS[0])
    model.set_params(callbacks=[recorder, fails], random_state=1)
    with pytest.raises(RuntimeError, match="no"):
        model.fit(*IRIS)
    np.testing.assert_array_equal(model.predict_proba(IRIS[0]), before)
    assert recorder.calls[-1] == "end"


@pytest.mark.parametrize("callbacks", [[3], "bar", [Recorder]])
def test_what_is_no_callback_is_refused(callbacks):
    with pytest.raises(TypeError, match="callbacks must be objects with a method on_step"):
        BackpropMLP(**SMALL, callbacks=callbacks).fit(*IRIS)


def test_callbacks_need_one_process():
    with pytest.raises(ValueError, match="need n_jobs=1"):
        BackpropMLP(**SMALL, n_networks=2, n_jobs=2, callbacks=[Recorder()]).fit(*IRIS)


def test_a_progress_bar_says_how_far_it_is(capsys):
    BackpropMLP(**SMALL | {"validation": "holdout"}, callbacks=[ProgressBar()]).fit(*IRIS)
    out = capsys.readouterr().out
    assert "12/12" in out
    assert "error 0." in out
    assert "validation 0." in out


CROSSED = {"n_networks": 3, "validation": "cross", "n_iter_no_change": 6, "max_iter": 30}


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        *(pytest.param(name, {}, marks=pytest.mark.slow if name in SLOWER else ()) for name in EVERY),
        *(
            pytest.param(name, CROSSED, marks=() if name in ("backprop", "genetic") else pytest.mark.slow)
            for name in EVERY
        ),
    ],
)
def test_a_fit_goes_on_from_a_checkpoint_to_the_same_bits(algorithm, more, tmp_path):
    settings = SMALL | {"algorithm": small(algorithm)} | more
    whole = BackpropMLP(**settings).fit(*IRIS)

    def breaks(state):
        if state.step == 8:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "c.nnexp", every=3, resume=True)
    with pytest.raises(KeyboardInterrupt):
        BackpropMLP(**settings, callbacks=[checkpoint, breaks]).fit(*IRIS)
    recorder = Recorder()
    model = BackpropMLP(**settings, callbacks=[checkpoint, recorder]).fit(*IRIS)
    assert recorder.calls[1][0] == 7  # step 6 was saved
    np.testing.assert_array_equal(model.parameters_, whole.parameters_)
    for name in ("error", "validation_error", "evaluations"):
        assert model.history_[name].tolist() == pytest.approx(whole.history_[name].tolist(), nan_ok=True)
    assert model.stop_reason_ == whole.stop_reason_
    assert model.n_iter_ == whole.n_iter_


FIT = """
import sys, time
import numpy as np
from nnexp import BackpropMLP, Checkpoint
from tests.algorithms import small
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 5)); y = (X[:, 0] * X[:, 1] > 0).astype(int)
slow = [lambda state: time.sleep(float(sys.argv[3]))]
algorithm = small(sys.argv[4])
more = {"dropout": 0.1} if algorithm.uses_gradient else {}
model = BackpropMLP(hidden_layer_sizes=(8,), max_iter=60, random_state=0, algorithm=algorithm, n_iter_no_change=1000, **more,
                    callbacks=[Checkpoint(sys.argv[1], every=1, resume=True), *slow]).fit(X, y)
np.save(sys.argv[2], model.parameters_)
"""


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["backprop", "genetic"])  # within one process it is shown for all
def test_a_fit_that_was_killed_goes_on_to_the_same_bits(algorithm, tmp_path):
    def start(checkpoint, out, pause):
        command = [sys.executable, "-c", FIT, tmp_path / checkpoint, tmp_path / out, str(pause), algorithm]
        return Forked(command, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, cwd=ROOT)

    assert start("whole.nnexp", "whole.npy", 0).wait(60) == 0
    for _ in range(2):  # killed while it works
        process = start("c.nnexp", "killed.npy", 0.05)
        deadline = time.monotonic() + 60
        while not (tmp_path / "c.nnexp").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed.npy").exists()
    assert start("c.nnexp", "killed.npy", 0).wait(60) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "killed.npy"), np.load(tmp_path / "whole.npy"))


def test_callbacks_say_what_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = BackpropMLP(callbacks=[ProgressBar(), Checkpoint("fit.nnexp", every=3)])
    assert "callbacks=[ProgressBar(), Checkpoint('fit.nnexp', every=3, resume=False)]" in " ".join(repr(model).split())


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    def fit(X=IRIS[0], resume=True, **more):
        return BackpropMLP(**SMALL | more, callbacks=[Checkpoint(tmp_path / "c.nnexp", every=1, resume=resume)]).fit(
            X, IRIS[1]
        )

    fit()
    for other in ({"learning_rate": 0.1}, {"X": IRIS[0] * 2}, {"random_state": 1}):
        with pytest.raises(SavingError, match="other parameters or other data"):
            fit(**other)
    fit(learning_rate=0.1, resume=False)
    (tmp_path / "c.nnexp").write_bytes((tmp_path / "c.nnexp").read_bytes()[:-100])
    with pytest.raises(SavingError, match="damaged"):
        fit(learning_rate=0.1)


def test_impossible_checkpoints_are_refused(tmp_path):
    with pytest.raises(ValueError, match="every=...\\) must be in"):
        Checkpoint(tmp_path / "c", every=0)
    with pytest.raises(ValueError, match="no such folder"):
        Checkpoint(tmp_path / "nowhere" / "c")


def test_scikit_learns_callbacks_are_called(capsys):
    model = BackpropMLP(**SMALL)
    monitor = ScoringMonitor(scoring="accuracy")
    model.set_callbacks(ScikitLearnProgressBar(), monitor)
    model.fit(*IRIS)
    scores = monitor.get_logs(select="most_recent").data_as_pandas["accuracy"]
    assert len(scores) == 12
    assert scores.iloc[-1] == model.score(*IRIS)
    np.testing.assert_array_equal(model.parameters_, BackpropMLP(**SMALL).fit(*IRIS).parameters_)
    assert "BackpropMLP" in capsys.readouterr().out
    search = GridSearchCV(clone(BackpropMLP(**SMALL)), {"learning_rate": [0.01, 0.1]}, cv=2)
    assert search.fit(*IRIS).best_score_ > 0.5


def test_an_estimator_with_callbacks_is_cloned_and_pickled():
    model = BackpropMLP(**SMALL, callbacks=[Recorder()])
    assert clone(model).callbacks[0].calls == []
    fitted = model.fit(*IRIS)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(IRIS[0]), fitted.predict(IRIS[0]))


def test_a_checkpoint_knows_its_sparse_data_and_its_connections(tmp_path):
    def fit(columns, resume, mask):
        X = sparse.csr_array((np.ones(60), (np.arange(60), columns)), shape=(60, 60))
        callbacks = [Checkpoint(tmp_path / "c.nnexp", every=1, resume=resume)]
        model = BackpropMLP(
            hidden_layer_sizes=60,
            max_iter=2,
            random_state=0,
            connections={(0, 1): mask, (1, 2): "full"},
            callbacks=callbacks,
        )
        return model.fit(X, np.arange(60) % 2)

    masks = np.random.default_rng(0).random((2, 60, 60)) < 0.5
    fit(np.arange(60) % 4, False, masks[0])
    for columns, mask in ((np.arange(60) % 5, masks[0]), (np.arange(60) % 4, masks[1])):
        with pytest.raises(SavingError, match="other parameters or other data"):
            fit(columns, True, mask)
    fit(np.arange(60) % 4, True, masks[0])


def test_a_checkpoint_goes_on_with_a_function_as_schedule_and_needs_a_seed(tmp_path):
    for _ in range(2):  # two functions of the same content
        settings = SMALL | {"schedule": lambda t: 1 - 0.5 * t}
        BackpropMLP(**settings, callbacks=[Checkpoint(tmp_path / "c", every=1, resume=True)]).fit(*IRIS)
    with pytest.raises(ValueError, match="needs a random_state that is an int"):
        BackpropMLP(callbacks=[Checkpoint(tmp_path / "c", resume=True)]).fit(*IRIS)


class Fails(Recorder):
    def on_end(self):
        super().on_end()
        raise RuntimeError("at the end")


def test_all_callbacks_are_ended_and_a_strange_answer_is_named():
    last = Recorder()
    with pytest.raises(RuntimeError, match="at the end"):
        BackpropMLP(**SMALL, callbacks=[Fails(), last]).fit(*IRIS)
    assert last.calls[-1] == "end"
    with pytest.raises(TypeError, match="The callback <lambda> must return True to stop"):
        BackpropMLP(**SMALL, callbacks=[lambda state: np.ones(3)]).fit(*IRIS)


def test_members_in_several_groups_count_alike():
    """11 folds of 150 samples have 13 or 14 of them, so they train in two groups."""
    recorder = Recorder()
    model = BackpropMLP(**SMALL | {"validation": "cross"}, n_networks=7, callbacks=[recorder])
    model.fit(IRIS[0][:148], IRIS[1][:148])
    assert len({len(rows) for rows in problem_of(clone(model), IRIS[0][:148], IRIS[1][:148]).training}) > 1
    means = model.history_.groupby("step").error.mean()
    np.testing.assert_allclose([call[1] for call in recorder.calls[1:-1]], means)


def test_a_resumed_fit_has_the_groups_of_an_undisturbed_one(tmp_path):
    """Networks so wide that a group holds a few of them, which stop at different steps; the labels are half noise."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 20)), rng.integers(0, 2, 300)
    settings = {
        "hidden_layer_sizes": (1500,), "n_networks": 5, "validation": "cross", "n_iter_no_change": 2, "batch_size": 128,
        "dropout": 0.2, "max_iter": 12, "random_state": 0,
    }  # fmt: skip
    whole = BackpropMLP(**settings).fit(X, y)

    def breaks(state):
        if state.step == 5:
            raise KeyboardInterrupt

    checkpoint, recorder = Checkpoint(tmp_path / "c", every=1, resume=True), Recorder()
    with pytest.raises(KeyboardInterrupt):
        BackpropMLP(**settings, callbacks=[checkpoint, breaks]).fit(X, y)
    model = BackpropMLP(**settings, callbacks=[checkpoint, recorder]).fit(X, y)
    np.testing.assert_array_equal(model.parameters_, whole.parameters_)
    assert recorder.calls[0] == ("start", 5, 12)


def test_a_callback_can_ask_for_an_estimator_as_training_stands():
    seen = []

    def look(state):
        model = state.fitted()
        seen.append((state.step, model, model.predict_proba(IRIS[0]), model.classes_.tolist()))

    model = BackpropMLP(**SMALL, callbacks=[look]).fit(*IRIS)
    assert [step for step, *_ in seen] == list(range(1, model.n_iter_ + 1))
    for step, own, before, classes in seen:
        assert classes == [0, 1, 2]
        assert own.n_iter_ == len(own.history_) == step
        np.testing.assert_array_equal(own.predict_proba(IRIS[0]), before)  # it has not gone on
        assert own.callbacks is None
    np.testing.assert_array_equal(seen[-1][2], model.predict_proba(IRIS[0]))
    assert (seen[0][2] != seen[-1][2]).any()


def kept_in(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "n_jobs"),
    [
        ("", 1),
        pytest.param("", 2, marks=pytest.mark.slow),
        *(pytest.param("fit-{key}.nnexp", jobs, marks=pytest.mark.slow) for jobs in (1, 2)),
    ],
)
def test_each_fit_of_a_search_has_a_checkpoint_of_its_own(tmp_path, name, n_jobs):
    checkpoint = Checkpoint(tmp_path / name, every=2, resume=True)
    model = BackpropMLP(**SMALL, callbacks=[checkpoint])
    grid = {"learning_rate": [0.001, 0.01, 0.1]}
    plain = GridSearchCV(BackpropMLP(**SMALL), grid, cv=3, refit=False).fit(*IRIS)
    first = GridSearchCV(model, grid, cv=3, refit=False, n_jobs=n_jobs, error_score="raise").fit(*IRIS)
    kept = kept_in(tmp_path)
    assert len(kept) == 9
    again = GridSearchCV(model, grid, cv=3, refit=False, n_jobs=n_jobs, error_score="raise").fit(*IRIS)
    assert kept_in(tmp_path) == kept  # each went on from its end
    for search in (first, again):
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])


def test_checkpoints_go_into_a_folder_from_cross_validation_sweeps_and_bagging(tmp_path):
    def model(name):
        (tmp_path / name).mkdir()
        return BackpropMLP(**SMALL, callbacks=[Checkpoint(tmp_path / name, every=1, resume=True)])

    found = cross_validate(model("cv"), *IRIS, cv=3)
    np.testing.assert_array_equal(found["test_score"], cross_validate(BackpropMLP(**SMALL), *IRIS, cv=3)["test_score"])
    assert len(kept_in(tmp_path / "cv")) == 3
    space = {"learning_rate": [0.01, 0.1]}
    SweepCV(model("sweep"), space, n_trials=2, sampler="grid", cv=2, refit=False).fit(*IRIS)
    assert len(kept_in(tmp_path / "sweep")) == 4
    BaggingClassifier(model("bag"), n_estimators=3, random_state=0).fit(*IRIS)
    assert len(kept_in(tmp_path / "bag")) == 3


def test_a_fit_that_was_cut_short_goes_on_from_its_file_in_the_folder(tmp_path):
    class StopError(Exception):
        pass

    def stop(state):
        if state.step == 3:
            raise StopError

    checkpoint = Checkpoint(tmp_path, every=1, resume=True)
    with pytest.raises(StopError):
        BackpropMLP(**SMALL, callbacks=[checkpoint, stop]).fit(*IRIS)
    steps = []
    resumed = BackpropMLP(**SMALL, callbacks=[checkpoint, lambda state: steps.append(state.step)]).fit(*IRIS)
    assert steps[0] == 4
    np.testing.assert_array_equal(resumed.parameters_, BackpropMLP(**SMALL).fit(*IRIS).parameters_)


def test_a_file_that_another_fit_has_written_says_what_to_do(tmp_path):
    callbacks = [Checkpoint(tmp_path / "one", every=1, resume=True)]
    BackpropMLP(**SMALL, callbacks=callbacks).fit(*IRIS)
    with pytest.raises(ValueError, match="name a folder: each has a file of its own there"):
        BackpropMLP(**SMALL | {"learning_rate": 0.5}, callbacks=callbacks).fit(*IRIS)
