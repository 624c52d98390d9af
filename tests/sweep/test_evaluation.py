import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import BackpropMLP
from nnexp.sweep.evaluation import Job
from nnexp.sweep.pruning import REPORTS
from nnexp.sweep.samplers import seed_of
from nnexp.sweep.store import Trial
from tests.sweep.cases import X, evaluation, toy, y

JOBS = [
    Job(i, {"backpropmlp__hidden_layer_sizes": [4], "backpropmlp__learning_rate": rate})
    for i, rate in enumerate([0.001, 0.01, 0.03, 0.1])
]


def as_trials(outcomes):
    return [Trial(o.number, o.state, {}, o.values, o.steps, o.record, o.rungs) for o in outcomes]


def test_a_score_is_what_the_same_fit_gives_by_hand():
    """Preparation, seeds and folds by the rules, with scikit-learn alone."""
    own = evaluation(seed=5)
    (outcome,) = own.evaluate(JOBS[1:2])
    text = '{"backpropmlp__hidden_layer_sizes": [4], "backpropmlp__learning_rate": 0.01}'
    losses, cost = [], 0
    for fold, (train, test) in enumerate(own.splits):
        model = clone(own.estimator).set_params(**JOBS[1].parameters)
        model.set_params(backpropmlp__random_state=seed_of(5, "fit", text, fold)).fit(X[train], y[train])
        losses.append(-log_loss(y[test], model.predict_proba(X[test])))
        cost += model[-1].evaluations_
    np.testing.assert_allclose(outcome.record["scores"]["neg_log_loss"], losses, rtol=1e-9)
    assert outcome.values == [pytest.approx(np.mean(losses), rel=1e-9)]
    assert outcome.record["evaluations"] == cost == 12 * 3 * (3 * 100 + 4 * (3 * 75 + 25))  # with four companions


def test_trials_that_train_as_one_stack_are_what_they_are_alone():
    own = evaluation()
    together = own.evaluate(JOBS)
    for outcome, job in zip(together, JOBS, strict=True):
        (alone,) = own.evaluate([job])
        np.testing.assert_allclose(outcome.values, alone.values, rtol=1e-9)
        assert outcome.record["evaluations"] == alone.record["evaluations"]


def test_units_share_a_network_and_a_batch_size():
    jobs = [
        Job(i, {"backpropmlp__hidden_layer_sizes": [4 + i % 2], "backpropmlp__learning_rate": 0.01 * (1 + i)})
        for i in range(14)
    ]
    units = evaluation().units(jobs)
    assert sorted(job.number for unit in units for job in unit) == list(range(14))
    for unit in units:
        assert len({str(job.parameters["backpropmlp__hidden_layer_sizes"]) for job in unit}) == 1
        assert len(unit) <= 5  # of three folds each
    assert [len(unit) for unit in evaluation(max_seconds=5.0).units(jobs)] == [1] * 14


def test_a_mistake_of_one_trial_is_its_own():
    bad = Job(9, {"backpropmlp__hidden_layer_sizes": [4], "backpropmlp__learning_rate": -1.0})
    outcomes = evaluation().evaluate([*JOBS[:2], bad])
    assert [o.state for o in outcomes] == ["complete", "complete", "fail"]
    assert "learning_rate" in outcomes[2].record["problem"]
    assert outcomes[0].values == evaluation().evaluate(JOBS[:2])[0].values


def test_other_estimators_are_scored_as_scikit_learn_does():
    data = load_diabetes()
    own = evaluation(
        make_pipeline(StandardScaler(), Ridge()), {"alpha": [1.0, 9.0]}, scoring={"r2": "r2"}, X=data.data, y=data.target,
        splits=list(KFold(4).split(data.data)),
    )  # fmt: skip
    (outcome,) = own.evaluate([Job(0, {"ridge__alpha": 9.0})])
    expected = cross_val_score(make_pipeline(StandardScaler(), Ridge(alpha=9.0)), data.data, data.target, cv=KFold(4))
    np.testing.assert_allclose(outcome.record["scores"]["r2"], expected, rtol=1e-12)
    assert outcome.record["evaluations"] is None


def test_the_cost_of_scikit_learns_network_is_counted():
    own = evaluation(MLPClassifier((4,), max_iter=3, tol=0, early_stopping=False), {"alpha": [1e-4, 1e-3]})
    (outcome,) = own.evaluate([Job(0, {"alpha": 1e-4})])
    assert outcome.record["evaluations"] == 3 * 3 * 300  # steps, a pass forward and back, rows of three folds


def test_curves_have_a_row_for_each_fold_and_step():
    (outcome,) = evaluation().evaluate(JOBS[:1])
    curve = outcome.curve
    assert sorted(set(curve["fold"])) == [0, 1, 2]
    assert curve["step"] == list(range(1, 13)) * 3
    assert curve["evaluations"][11] == 12 * (3 * 100 + 4 * (3 * 75 + 25))
    assert {len(values) for values in curve.values()} == {36}


# Pruning


def bad_and_good(pruner, **more):
    """Six trials: four good ones first, which are shown to two worse ones."""
    own = evaluation(pruner=pruner, **more)
    good = own.evaluate([Job(i, {**JOBS[2].parameters, "backpropmlp__batch_size": 16 + i}) for i in range(4)])
    bad = [Job(4 + i, {**JOBS[0].parameters, "backpropmlp__learning_rate": 1e-5 * (1 + i)}) for i in range(2)]
    return own, good, own.evaluate(bad, as_trials(good)), bad


@pytest.mark.parametrize(
    "pruner",
    [
        ("median", {"n_startup_trials": 3}),
        *(
            pytest.param(pruner, marks=pytest.mark.slow)
            for pruner in (
                ("percentile", {"percentile": 50.0, "n_startup_trials": 3}),
                ("threshold", {"lower": -0.9, "n_warmup_steps": 2}),
                ("successive_halving", {"min_resource": 1, "reduction_factor": 2}),
                ("wilcoxon", {"p_threshold": 0.3, "n_startup_steps": 2}),
            )
        ),
    ],
    ids=lambda pruner: pruner[0],
)
def test_worse_trials_are_given_up_and_cost_less(pruner):
    many = {
        "splits": [
            (np.delete(np.arange(150), s), s) for s in np.array_split(np.random.default_rng(0).permutation(150), 6)
        ]
    }
    own, good, pruned, bad = bad_and_good(pruner, **many)
    assert [outcome.state for outcome in good] == ["complete"] * 4
    whole = evaluation(**many).evaluate(bad)
    for outcome, to_the_end in zip(pruned, whole, strict=True):
        assert outcome.state == "pruned"
        assert 0 < outcome.record["evaluations"] < to_the_end.record["evaluations"]
        assert outcome.record["pruned_at"] == max(outcome.steps)
        assert len(outcome.values) == 1


def test_what_is_reported_is_the_mean_of_the_folds_scores_at_that_step():
    own = evaluation(pruner=("median", {"n_startup_trials": 99}))
    constant_rate = {"schedule": "constant", "validation": "none"}
    (outcome,) = own.evaluate(JOBS[2:3])
    assert list(outcome.steps) == [step for step in REPORTS if step < 12]
    for step in (1, 4, 8):
        shorter = evaluation(make_pipeline(StandardScaler(), BackpropMLP(max_iter=step, **constant_rate)))
        constant = evaluation(
            make_pipeline(StandardScaler(), BackpropMLP(max_iter=12, **constant_rate)), pruner=("median", {"n_startup_trials": 99})
        )  # fmt: skip
        expected = shorter.evaluate(JOBS[2:3])[0].values[0]
        assert constant.evaluate(JOBS[2:3])[0].steps[step] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["neg_log_loss", "accuracy", "r2"])
def test_quick_scores_are_scikit_learns(name):
    from sklearn.metrics import get_scorer

    data = load_diabetes()
    regression = name == "r2"
    own_X, own_y = (data.data, data.target) if regression else (X, np.array(["a", "b", "c"])[y])
    model = BackpropMLP(
        "regression" if regression else "classification", hidden_layer_sizes=(4,), max_iter=30, random_state=0
    )
    model.fit(own_X, own_y)
    own = evaluation(
        model,
        {"learning_rate": [0.1, 0.2]},
        scoring={name: name},
        X=own_X,
        y=own_y,
        splits=[(np.arange(99), np.arange(99, 140))],
    )
    expected = get_scorer(name)(model, own_X, own_y)
    assert own.score_now(name, model, own_X, own_y, np.arange(len(own_y))) == pytest.approx(expected, rel=1e-12)


def test_a_pruner_that_prunes_nothing_changes_nothing():
    plain = evaluation().evaluate(JOBS)
    watched = evaluation(pruner=("median", {"n_startup_trials": 99})).evaluate(JOBS)
    for one, other in zip(plain, watched, strict=True):
        assert one.values == other.values


@pytest.mark.slow
def test_hyperband_keeps_its_brackets():
    own = evaluation(pruner=("hyperband", {"min_resource": 1, "max_resource": 12, "reduction_factor": 2}))
    shown = []
    for start in range(0, 24, 6):
        rng = np.random.default_rng(start)
        jobs = [
            Job(start + i, {**JOBS[0].parameters, "backpropmlp__learning_rate": float(10 ** rng.uniform(-5, -1))})
            for i in range(6)
        ]
        shown += as_trials(own.evaluate(jobs, shown))
    assert {trial.state for trial in shown} == {"complete", "pruned"}
    assert any("completed_rung_0" in trial.rungs for trial in shown)


def test_dominated_trials_are_given_up_under_two_objectives():
    more = {"scoring": {"neg_log_loss": "neg_log_loss"}, "objectives": ["neg_log_loss", "evaluations"]}
    settings = {"n_startup_trials": 3, "n_warmup_steps": 2}
    _, good, pruned, _ = bad_and_good(("dominance", settings), **more)
    assert [outcome.state for outcome in good] == ["complete"] * 4
    for outcome in pruned:
        assert outcome.state == "pruned"
        # At its last report most of the others were better at no higher cost, as their paths say.
        cost, value = outcome.record["path"][-1]
        better = sum(any(c <= cost and v > value for c, v in other.record["path"]) for other in good)
        assert better > 2
    assert len(good[0].values) == 2
    assert good[0].values[1] == good[0].record["evaluations"]


def test_scores_that_are_not_finite_fail():
    def nan(model, X, y):
        return float("nan")

    (outcome,) = evaluation(scoring={"nan": nan}).evaluate(JOBS[:1])
    assert outcome.state == "fail"
    assert "The score nan is nan" in outcome.record["problem"]


def test_a_key_holds_everything_that_decides():
    base = toy().key()
    assert toy().key() == base
    others = [
        toy(seed=1),
        toy(waits=0.1),
        toy(max_seconds=3.0),
        evaluation(toy().estimator, toy().space, scoring={"accuracy": "accuracy"}),
    ]
    other = toy()
    other.X = other.X + 1e-9
    splits = toy()
    splits.splits = splits.splits[:2]
    keys = [own.key() for own in [*others, other, splits]]
    assert base not in keys
    assert len(set(keys)) == len(keys)
