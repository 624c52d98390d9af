"""What fitted models show of themselves agrees with their scores, which are computed by other means."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from nnexp import load_results
from nnexp.cli import main

FILE = """
question = "What do they show?"
[evaluation]
folds = 4
repeats = 2
[data.iris]
[data.diabetes]
[data.moons]
[model.net]
hidden_layer_sizes = [5, 3]
activation = ["relu", "tanh"]
max_iter = 15
validation = "none"
[model.linear]
class = { classification = "sklearn.linear_model.LogisticRegression", regression = "sklearn.linear_model.Ridge" }
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("details")
    (folder / "shown.toml").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nnexp.report.page.figures_of", lambda results, comparison: {})
        assert main(["run", str(folder / "shown.toml"), "--results", str(folder), "--jobs", "1"]) == 0
    return load_results(folder / "shown")


@pytest.mark.parametrize("data", ["iris", "moons"])
@pytest.mark.parametrize("model", ["net", "linear"])
def test_confusion_and_calibration_hold_the_accuracy(results, data, model):
    runs = results.runs.query("data == @data and model == @model")
    accuracy = np.average(runs["accuracy"], weights=runs["n_test"])
    counts = results.confusion.query("data == @data and model == @model")
    assert counts["count"].sum() == runs["n_test"].sum()
    assert counts.loc[counts["true"] == counts["predicted"], "count"].sum() / counts["count"].sum() == pytest.approx(
        accuracy
    )
    bins = results.calibration.query("data == @data and model == @model")
    assert bins["count"].sum() == runs["n_test"].sum()
    assert np.average(bins["accuracy"], weights=bins["count"]) == pytest.approx(accuracy)
    assert bins["confidence"].between(bins["bin"] / 10 - 1e-9, (bins["bin"] + 1) / 10 + 1e-9).all()


def test_residuals_hold_the_score_of_each_split(results):
    for (model, repeat, fold), own in results.residuals.groupby(["model", "repeat", "fold"]):  # noqa: B007
        run = results.runs.query("data == 'diabetes' and model == @model and repeat == @repeat and fold == @fold").iloc[
            0
        ]
        assert len(own) == run["n_test"]
        assert r2_score(own["target"], own["prediction"]) == pytest.approx(run["r2"], abs=1e-6)
    assert set(results.residuals["repeat"]) == {0}
    assert not results.residuals.duplicated(["model", "row"]).any()


def test_boundaries_are_of_data_of_two_columns_alone(results):
    assert set(results.boundaries["data"]) == {"moons"}
    grid = results.boundaries[results.boundaries["kind"] == "grid"]
    assert grid.groupby("model").size().to_dict() == {"net": 2500, "linear": 2500}
    assert set(grid["value"]) == {0, 1}
    # A linear model answers each class on one side of a line: along a row of the grid it changes at most once.
    linear = grid[grid["model"] == "linear"].pivot(index="y", columns="x", values="value")
    assert (linear.diff(axis=1).abs().sum(axis=1) <= 1).all()


def test_networks_are_those_that_were_asked_for(results):
    own = results.networks.query("data == 'iris'")
    assert set(own["model"]) == {"net"}
    neurons = own[own["weight"].isna()]
    assert neurons.groupby("layer")["size"].first().tolist() == [4, 5, 3, 3]
    assert neurons.groupby("layer")["activation"].first().tolist() == ["input", "relu", "tanh", "softmax"]
    edges = own[own["weight"].notna()]
    assert len(edges) <= 4 * 5 + 5 * 3 + 3 * 3
    assert (edges["layer"] == edges["from_layer"] + 1).all()
    assert edges["weight"].abs().is_monotonic_decreasing
