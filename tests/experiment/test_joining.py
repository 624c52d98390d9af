"""Experiments are joined where their splits and data agree, and where they do not it is said."""

import numpy as np
import pandas as pd
import pytest

from nnexp import load_results
from nnexp.cli import main

HEAD = 'question = "Which?"\nseed = {seed}\n[evaluation]\nfolds = 5\nrepeats = {repeats}\n'
MODEL = "[model.{name}]\nhidden_layer_sizes = [{width}]\nmax_iter = 5\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(name, models, data="[data.iris]\n", seed=0, repeats=1):
        text = HEAD.format(seed=seed, repeats=repeats) + data
        text += "".join(MODEL.format(name=model, width=width) for model, width in models.items())
        (tmp_path / f"{name}.toml").write_text(text)
        assert main(["run", f"{name}.toml", "--jobs", "1"]) == 0
        return f"results/{name}"

    return make


def joined(*folders, name="both"):
    assert main(["compare", *folders, "--name", name]) == 0
    return load_results(f"results/{name}")


@pytest.mark.slow
def test_two_experiments_become_one_comparison(run, capsys):
    results = joined(run("first", {"a": 2}), run("second", {"b": 8}))
    assert set(results.runs["model"]) == {"a", "b"}
    assert len(results.runs) == 10
    assert results.runs.groupby(["repeat", "fold"])["split"].nunique().eq(1).all()
    first = load_results("results/first").runs.set_index(["repeat", "fold"])["accuracy"]
    own = results.runs[results.runs["model"] == "a"].set_index(["repeat", "fold"])["accuracy"]
    pd.testing.assert_series_equal(own, first)
    page = (results.folder / "report.html").read_text()
    assert "How do the models of first and second compare?" in page
    assert results.environment["notes"] == []
    assert main(["verify", "results/both"]) == 3  # what they follow from is in their own folders


@pytest.mark.slow
def test_splits_that_differ_are_left_out_and_said(run, capsys):
    results = joined(run("first", {"a": 2}, repeats=2), run("second", {"b": 8}))
    assert len(results.runs) == 10
    said = "On iris the splits differ (first 10, second 5): the 5 that all share are compared."
    assert said in results.environment["notes"]
    assert said in " ".join((results.folder / "report.md").read_text().split())


@pytest.mark.slow
def test_nothing_in_common_is_a_sentence_and_writes_nothing(run, capsys, tmp_path):
    first, second = run("first", {"a": 2}), run("second", {"b": 8}, seed=1)
    assert main(["compare", first, second, "--name", "both"]) != 0
    assert "iris is left out: the experiments share no split of it." in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "results" / "both").exists()


@pytest.mark.slow
def test_different_data_under_one_name_are_left_out(run, tmp_path):
    frame = pd.DataFrame({"u": np.arange(60.0), "y": ["p", "q"] * 30})
    own = '[data.iris]\n[data.mine]\npath = "{}"\ntarget = "y"\ntask = "classification"\n'
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.assign(u=frame["u"] + 1).to_csv(tmp_path / "two.csv", index=False)
    results = joined(run("first", {"a": 2}, own.format("one.csv")), run("second", {"b": 8}, own.format("two.csv")))
    assert set(results.runs["data"]) == {"iris"}
    assert any("mine is left out: different data under one name" in note for note in results.environment["notes"])


@pytest.mark.slow
def test_models_of_one_name_are_told_apart_unless_they_are_one(run):
    results = joined(run("first", {"a": 2, "same": 4}), run("second", {"a": 8, "same": 4}))
    assert set(results.runs["model"]) == {"a", "a (second)", "same"}
    assert "same ran alike in several experiments, and counts once." in results.environment["notes"]
    assert not results.runs.duplicated(["data", "model", "repeat", "fold"]).any()


@pytest.mark.slow
def test_results_of_an_experiment_are_not_overwritten(run, capsys):
    first, second = run("first", {"a": 2}), run("second", {"b": 8})
    before = load_results(first).runs
    assert main(["compare", first, second, "--name", "first"]) != 0
    assert "--name" in capsys.readouterr().err
    pd.testing.assert_frame_equal(load_results(first).runs, before)
    assert main(["compare", first]) != 0
    assert main(["compare", first, first]) != 0
