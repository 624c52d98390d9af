import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from nnexp import BackpropMLP, GeneticAlgorithm
from nnexp._errors import ExpectedError
from nnexp.cli import main
from nnexp.experiment import DataError, SpecificationError, load_results, load_specification
from nnexp.experiment.runs import check_models, check_scores, load_data, make_model, outer_splits, run_experiment
from nnexp.fitting import Settings

GALLERY = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_every_experiment_of_the_gallery_is_valid(path):
    assert load_specification(path).question.endswith("?")


def test_models_are_made_from_defaults_and_their_own_settings(small):
    specification = load_specification(small)
    by_name = {model.name: model for model in specification.models}
    model = by_name["mini-batch"].make("classification", seed=7)
    assert isinstance(model, BackpropMLP)
    assert (model.task, model.hidden_layer_sizes, model.batch_size, model.random_state) == (
        "classification",
        [6],
        16,
        7,
    )
    assert by_name["mini-batch"].make("regression", seed=7).task == "regression"
    assert by_name["scikit-learn"].make("regression", seed=7).get_params()["random_state"] == 7
    genetic = by_name["genetic"].make("classification", 0)
    assert Settings.of(genetic.get_params(deep=False)).algorithm == GeneticAlgorithm(population_size=10)


def test_values_can_be_changed_by_key(small):
    changes = {
        "model.mini-batch.learning_rate": "0.1",
        "model.mini-batch.activation": "relu",
        "model.genetic.algorithm.population_size": "12",
        "evaluation.folds": "4",
        "data.wine": "{}",
    }
    specification = load_specification(small, changes)
    model = specification.models[0].make("classification", 0)
    assert (model.learning_rate, model.activation) == (0.1, "relu")
    assert specification.models[1].parameters["algorithm"]["population_size"] == 12
    assert specification.evaluation.folds == 4
    assert list(specification.data) == ["iris", "diabetes", "wine"]


def test_quick_shrinks_the_budget_and_has_a_name_of_its_own(small):
    quick = load_specification(small, quick=True)
    assert (quick.evaluation.folds, quick.evaluation.repeats, quick.name) == (2, 1, "small-quick")
    assert all(model.parameters["max_iter"] <= 10 for model in quick.models)


def test_the_resolved_experiment_can_be_run_itself(small, tmp_path):
    specification = load_specification(small)
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(specification.as_dict()))
    again = load_specification(path)
    assert again.as_dict() == specification.as_dict()


OTHER = '\n[model.other]\nclass = "tests.experiment.other.MyClassifier"\n'
ASKS = 'allow_modules = ["tests"]\n'


@pytest.mark.parametrize("asks", ["", ASKS])
def test_a_file_lets_no_module_in_by_itself(small, asks, monkeypatch):
    small.write_text(asks + small.read_text() + OTHER)
    with pytest.raises(SpecificationError, match="--allow-module tests, or NNEXP_ALLOW_MODULES=tests"):
        load_specification(small)
    with pytest.raises(SpecificationError, match="--allow-module tests"):
        load_specification(small, allow_modules=["xgboost"])
    with pytest.raises(SpecificationError, match="--allow-module tests"):
        load_specification(small, {"allow_modules": '["tests"]'})
    by_call = load_specification(small, allow_modules=["tests"])
    monkeypatch.setenv("NNEXP_ALLOW_MODULES", "xgboost, tests")
    for specification in (by_call, load_specification(small)):
        assert type(specification.models[-1].make("classification", 0)).__name__ == "MyClassifier"
        assert specification.allow_modules == ["tests"]  # what was used, for whoever reads the record


def test_whoever_sits_at_the_terminal_is_asked_only_for_what_the_file_asks_for(small):
    asked = []

    def ask(module):
        asked.append(module)
        return len(asked) > 1

    small.write_text(small.read_text() + OTHER)
    with pytest.raises(SpecificationError, match="--allow-module tests"):
        load_specification(small, ask=ask)
    assert asked == []
    small.write_text(ASKS + small.read_text())
    with pytest.raises(SpecificationError, match="no leave to run it"):
        load_specification(small, ask=ask)
    assert load_specification(small, ask=ask).allow_modules == ["tests"]
    assert asked == ["tests", "tests"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('allow_modules = [""]\n', "the name of a module without dots"),
        ('allow_modules = ["a.b"]\n', "the name of a module without dots"),
        ('name = "../x"\n', "a name is made of letters, digits"),
        (f'name = "{"x" * 300}"\n', "a name is made of letters, digits"),
        ('name = "NUL"\n', "a name is made of letters, digits"),
    ],
)
def test_names_that_no_folder_or_module_can_have_are_refused(small, text, said):
    small.write_text(text + small.read_text())
    with pytest.raises(SpecificationError, match=said):
        load_specification(small)


@pytest.mark.parametrize(
    "path",
    [
        "sklearn." * 3000 + "X",
        "sklearn",
        "",
        "sklearn..svm",
        "sklearn.svm.\\u0000",
        "sklearn.frozen.FrozenEstimator",
        "sklearn.pipeline.Pipeline",
        "sklearn.nowhere.X",
        "nnexp.cli.main",
    ],
)
def test_a_class_that_cannot_be_a_model_is_a_sentence(small, path):
    small.write_text(small.read_text() + f'\n[model.other]\nclass = "{path}"\n')
    with pytest.raises(SpecificationError, match="model.other") as caught:
        load_specification(small)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("path", ["x" * 5000, "a\\u0000b", "~nosuchuser/x.csv", "/dev/zero", "/dev"])
def test_a_path_of_data_that_no_file_can_have_is_a_sentence(small, path):
    small.write_text(small.read_text() + f'\n[data.own]\npath = "{path}"\ntarget = "y"\ntask = "regression"\n')
    with pytest.raises(SpecificationError, match="data.own") as caught:
        load_specification(small)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "~nosuchuser/x.toml", "\ud800"])
def test_a_file_that_cannot_be_named_is_a_sentence(path):
    with pytest.raises(ExpectedError) as caught:
        load_specification(path)
    assert len(str(caught.value)) < 500


def checked(specification):
    check_models(specification, load_data(specification))


def test_settings_beyond_any_machine_are_refused_at_once(small):
    for change in (
        {"model.mini-batch.hidden_layer_sizes": str([1] * 100_000)},
        {"model.mini-batch.n_networks": "100000000"},
        {"model.mini-batch.activation": "[{ tanh = 1000000000 }]"},
        {"sweep.space.hidden_layer_sizes": "{ layers = [1, 1000000], neurons = [1, 2] }"},
    ):
        begun = time.perf_counter()
        with pytest.raises(SpecificationError):
            checked(load_specification(small, change))
        assert time.perf_counter() - begun < 5


def test_a_baseline_of_one_task_runs_on_data_of_that_task(small):
    small.write_text(small.read_text() + '\n[model.forest]\nclass = "sklearn.ensemble.RandomForestClassifier"\n')
    forest = load_specification(small).models[-1]
    assert list(forest.classes) == ["classification"]
    assert isinstance(forest.make("classification", 0), RandomForestClassifier)


BAD = [
    ("question = \"Which", "queston = \"Which", ["small.toml, line 2: queston: unknown key 'queston'. Did you mean 'question'?", "question: an experiment needs this key"]),
    ("seed = 3", "seed = -1", ["line 3: seed: input should be greater than or equal to 0. Got -1"]),
    ("seed = 3", "seed = \"3\"", ["seed: input should be a valid integer. Got '3'"]),
    ("folds = 3", "fold = 3", ["line 6: evaluation.fold: unknown key 'fold'. Did you mean 'folds'?"]),
    ("folds = 3", "folds = 1", ["evaluation.folds: input should be greater than or equal to 2. Got 1"]),
    ("folds = 3", "folds = 3 4", ["small.toml: ", "line 6"]),
    ("\"accuracy\"", "\"acuracy\"", ["unknown metric 'acuracy'. Did you mean 'accuracy'?"]),
    ("metrics = { classification", "metrics = { clasification", ["Did you mean 'classification'?"]),
    ("[data.iris]", "[data.iriss]", ["line 10: data.iriss: no bundled data set has this name. Did you mean 'iris'?"]),
    ("[data.iris]", "[data.iris]\ntarget = \"species\"", ["target, drop and missing go with a path"]),
    ("[data.iris]", "[data.iris]\ntask = \"regression\"", ["the task of iris is 'classification'"]),
    ("[data.iris]", "[data.iris]\npath = \"x.csv\"", ["needs the target", "needs the task"]),
    ("[data.iris]", "[data.iris]\ntask = \"regresion\"", ["data.iris.task: input should be 'classification' or 'regression'. Got 'regresion'"]),
    ("learning_rate = 0.01", "learning_rte = 0.01", ["line 20: model.mini-batch.learning_rte: BackpropMLP has no parameter 'learning_rte'. Did you mean 'learning_rate'?"]),
    ("learning_rate = 0.01", "learning_rate = -1", ["line 20: model.mini-batch.learning_rate: learning_rate must be in (0, inf). Got -1"]),
    ("learning_rate = 0.01", "activation = \"tahn\"", ["Did you mean 'tanh'?"]),
    ("learning_rate = 0.01", "activation = [\"tanh\", \"relu\"]", ["one entry for each hidden layer: 1. Got 2"]),
    ("learning_rate = 0.01", "random_state = 1", ["random_state is set by the experiment's seed"]),
    ("learning_rate = 0.01", "task = \"regression\"", ["task is set by the data set"]),
    ("population_size = 10", "population = 10", ["has no parameter 'population'. Did you mean 'population_size'?"]),
    ("population_size = 10", "population_size = 1", ["GeneticAlgorithm(population_size=...) must be in [2"]),
    ("[defaults]", "[defaults]\nmax_itr = 3", ["defaults.max_itr: BackpropMLP has no parameter 'max_itr'"]),
    ("\"sklearn.neural_network.MLPClassifier\"", "\"sklearn.neural_network.MLPClasifier\"", ["cannot be imported"]),
    ("\"sklearn.neural_network.MLPClassifier\"", "\"os.system\"", ["'os.system' is outside scikit-learn"]),
    ("\"sklearn.neural_network.MLPClassifier\"", "\"sklearn.base.clone\"", ["it is no scikit-learn estimator"]),
    ("\"sklearn.neural_network.MLPClassifier\"", "\"sklearn.preprocessing.StandardScaler\"", ["has no parameter 'hidden_layer_sizes'"]),
    ("\"sklearn.neural_network.MLPClassifier\"", "\"sklearn.neural_network.MLPRegressor\"", ["is no estimator for classification"]),
    ("hidden_layer_sizes = [6]\nmax_iter = 8\nvalidation", "hidden_layer_sizes = [0]\nmax_iter = 8\nvalidation", ["Each of hidden_layer_sizes must be in [1, inf). Got 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "sentences"), BAD, ids=[new.replace("\n", " ")[:50] for _, new, _ in BAD])
def test_a_mistake_is_named_with_its_place_and_rule(small, old, new, sentences):
    text = small.read_text()
    assert old in text
    small.write_text(text.replace(old, new, 1))
    with pytest.raises(SpecificationError) as caught:
        load_specification(small)
    for sentence in sentences:
        assert sentence in str(caught.value)


def test_a_baseline_that_cannot_answer_a_metric_is_named(small):
    small.write_text(small.read_text() + '\n[model.svc]\nclass = "sklearn.svm.LinearSVC"\n')
    with pytest.raises(
        SpecificationError, match="LinearSVC with these settings has no predict_proba, which the metric"
    ):
        load_specification(small)
    metrics = {"evaluation.metrics.classification": '["accuracy"]'}
    assert load_specification(small, metrics).models[-1].name == "svc"


def test_a_class_that_needs_arguments_is_named(small):
    small.write_text(small.read_text() + '\n[model.vote]\nclass = "sklearn.ensemble.VotingClassifier"\n')
    with pytest.raises(SpecificationError, match="VotingClassifier cannot be made with these settings"):
        load_specification(small)


def test_a_mistake_in_the_defaults_is_named_once(small):
    small.write_text(small.read_text().replace("[defaults]", "[defaults]\nmax_itr = 3"))
    with pytest.raises(SpecificationError) as caught:
        load_specification(small)
    assert len(str(caught.value).splitlines()) == 1


def test_all_mistakes_are_named_at_once(small):
    text = small.read_text().replace("[data.iris]", "[data.irs]").replace("learning_rate = 0.01", "learning_rate = 0")
    small.write_text(text)
    with pytest.raises(SpecificationError) as caught:
        load_specification(small)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model.minibatch.batch_size": "3"}, "has no model 'minibatch'. Did you mean 'mini-batch'?"),
        ({"question.x": "3"}, "'question' is not a table"),
        ({"evaluation.folds": "1"}, "--set: evaluation.folds: input should be greater than or equal to 2"),
    ],
)
def test_a_wrong_change_is_named(small, changes, sentence):
    with pytest.raises(SpecificationError) as caught:
        load_specification(small, changes)
    assert sentence in str(caught.value)


def test_a_missing_file_names_the_nearest(small):
    with pytest.raises(
        SpecificationError, match=r"There is no experiment file .*smal\.toml.*Did you mean .*small\.toml"
    ):
        load_specification(small.with_name("smal.toml"))


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "my tables"
    folder.mkdir()
    pd.DataFrame({"a": range(30), "target": [0, 1] * 15}).to_csv(folder / "coins.csv.gz", index=False)
    pd.DataFrame({"a": range(30), "target": np.linspace(0, 1, 30)}).to_csv(folder / "slope.csv", index=False)
    (folder / "pixels.npz").write_bytes(b"")
    (folder / "manifest.csv").write_text("name,task,rows\ncoins,binary,30\nslope,regression,30\npixels,multiclass,0\n")
    return folder


def test_tables_of_a_folder_take_the_place_of_the_data_sets(tables, tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('question = "?"\n[data.iris]\n[model.small]\nhidden_layer_sizes = [2]\n')
    specification = load_specification(file, tables=tables)
    assert specification.name == "own-mytables"
    assert {name: own.task for name, own in specification.data.items()} == {
        "coins": "classification",
        "slope": "regression",
    }
    loaded = load_data(load_specification(file, {"evaluation.folds": "2"}, tables=tables))
    assert {name: len(own.y) for name, own in loaded.items()} == {"coins": 30, "slope": 30}
    # The record names the files from where it stands.
    folder = tmp_path / "results" / "own"
    assert specification.as_dict(folder)["data"]["slope"]["path"] == "../../my tables/slope.csv"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "there is no file .*manifest.csv"),
        ("", "needs rows with the columns name and task"),
        ("name,kind\ncoins,binary\n", "needs rows with the columns name and task"),
        ("name,task\nlost,binary\n", "table 'lost': .* has no file of this name"),
        ("name,task\npixels,binary\n", "holds no CSV or Parquet file that manifest.csv names"),
        (
            "name,task\ncoins,clasification\n",
            "table 'coins': the task must be binary, multiclass, .* Got 'clasification'",
        ),
        ("name,task\n../coins,binary\n", "a name is that of a file"),
        ("name,task\n*,binary\n", "a name is that of a file"),
        ("name,task\ncoins,binary\ncoins,binary\n", "occurs once"),
    ],
)
def test_a_folder_of_tables_that_cannot_be_used_is_named(tables, tmp_path, manifest, said):
    file = tmp_path / "own.toml"
    file.write_text('question = "?"\n[data.iris]\n[model.small]\nhidden_layer_sizes = [2]\n')
    (tables / "manifest.csv").unlink()
    if manifest is not None:
        (tables / "manifest.csv").write_text(manifest)
    with pytest.raises(SpecificationError, match=said):
        load_specification(file, tables=tables)


def test_a_file_that_is_not_there_is_looked_for_among_experiments(tmp_path):
    (tmp_path / "experiments").mkdir()
    for name in ("pyproject.toml", "experiments/quickstart.toml", "experiments/sweep.toml"):
        (tmp_path / name).write_text("")
    with pytest.raises(SpecificationError) as caught:
        load_specification(tmp_path / "quickstart.toml")
    assert f"Did you mean '{tmp_path / 'experiments' / 'quickstart.toml'}'?" in str(caught.value)
    assert "pyproject" not in str(caught.value)
    with pytest.raises(
        SpecificationError, match="is a folder, and no experiment file. Known: .*quickstart.toml, .*sweep.toml"
    ):
        load_specification(tmp_path / "experiments")


def test_of_very_many_mistakes_the_first_ones_are_named_and_soon(tmp_path):
    path = tmp_path / "many.toml"
    path.write_text(f"allow_modules = {[0] * 50_000}\n")
    begun = time.process_time()
    with pytest.raises(SpecificationError) as caught:
        load_specification(path)
    assert str(caught.value).count("\n") == 19
    assert time.process_time() - begun < 5


ONE_TASK = """
question = "?"
[evaluation]
folds = 2
repeats = 1
[defaults]
hidden_layer_sizes = [7]
[data.iris]
[model.m]
"""


@pytest.mark.parametrize("setting", ['class_weight = "balanced"', "label_smoothing = 0.1"])
def test_what_one_task_alone_knows_is_taken_where_there_is_no_other(tmp_path, setting):
    path = tmp_path / "one.toml"
    path.write_text(ONE_TASK + setting)
    (model,) = load_specification(path).models
    assert getattr(model.make("classification", 0), setting.partition(" ")[0]) in ("balanced", 0.1)
    path.write_text(ONE_TASK.replace("[data.iris]", "[data.iris]\n[data.diabetes]") + setting)
    with pytest.raises(SpecificationError, match="is for task=.classification."):
        load_specification(path)


@pytest.mark.parametrize(
    "named",
    [
        "",
        'class = "nnexp.BackpropMLP"',
        'class = "nnexp.estimator.BackpropMLP"',
        'class = "nnexp.BackpropMLPClassifier"',
        'class = { classification = "nnexp.BackpropMLP" }',
        'class = { classification = "nnexp.BackpropMLPClassifier" }',
        'class = { classification = "nnexp.BackpropMLP", regression = "nnexp.BackpropMLPRegressor" }',
    ],
)
def test_the_defaults_reach_every_backprop_mlp_however_it_is_named(tmp_path, named):
    path = tmp_path / "one.toml"
    path.write_text(ONE_TASK + named)
    specification = load_specification(path)
    (model,) = specification.models
    assert model.make("classification", 0).hidden_layer_sizes == [7]
    assert checked(specification) is None


def test_the_defaults_and_the_space_reach_a_subclass_of_ones_own(tmp_path):
    path = tmp_path / "one.toml"
    sweep = "[sweep]\ntrials = 2\n[sweep.space]\nlearning_rate = [0.01, 0.1]\n"
    path.write_text(ONE_TASK.replace("[data.iris]", f"{sweep}[data.iris]") + 'class = "tests.experiment.other.MyMLP"')
    (model,) = load_specification(path, allow_modules=["tests"]).models
    assert model.make("classification", 0).hidden_layer_sizes == [7]
    assert list(model.space) == ["learning_rate"]


def test_the_class_of_a_task_that_there_are_no_data_of_is_no_reason_to_refuse(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        ONE_TASK + 'class = { classification = "nnexp.BackpropMLP", regression = "sklearn.linear_model.Ridge" }'
    )
    (model,) = load_specification(path).models
    assert model.make("classification", 0).hidden_layer_sizes == [7]


def test_defaults_that_would_reach_another_class_too_are_refused(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        ONE_TASK.replace("[data.iris]", "[data.iris]\n[data.diabetes]")
        + 'class = { classification = "nnexp.BackpropMLP", regression = "sklearn.linear_model.Ridge" }'
    )
    with pytest.raises(SpecificationError, match="a BackpropMLP for one task alone.*Make two models of it"):
        load_specification(path)


@pytest.fixture
def scored(tmp_path):
    """Return a function that checks an experiment with some scores on a table of two words and numbers."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    frame["target"] = np.where(frame.a > 0, "yes", "no")
    frame.to_csv(tmp_path / "t.csv", index=False)

    def load(metrics, task="classification", target="target", more=""):
        path = tmp_path / "m.toml"
        path.write_text(
            f'question = "q"\n[evaluation]\nfolds = 2\nrepeats = 1\nmetrics.{task} = {json.dumps(metrics)}\n[data.t]\n'
            f'path = "t.csv"\ntarget = "{target}"\ntask = "{task}"\n{more}\n[model.m]\nhidden_layer_sizes = [3]\nmax_iter = 2\n'
        )
        specification = load_specification(path)
        check_scores(specification, load_data(specification))
        return path

    return load


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("f1", "Name the positive class, such as data.t.positive = \"yes\", or take 'f1_macro'."),
        ("precision", "Name the positive class, such as data.t.positive = \"yes\", or take 'precision_macro'."),
        ("average_precision", 'Name the positive class, such as data.t.positive = "yes".'),
        ("neg_brier_score", 'Name the positive class, such as data.t.positive = "yes".'),
    ],
)
def test_a_score_that_asks_for_the_positive_class_is_found_before_anything_runs(scored, metric, way):
    with pytest.raises(SpecificationError) as caught:
        scored(["accuracy", metric])
    assert f"'{metric}' cannot be computed on t" in str(caught.value)
    assert str(caught.value).endswith(way)
    scored(["accuracy", metric], more='positive = "yes"')


def test_a_score_of_two_classes_on_three_is_found_before_anything_runs(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(
        ONE_TASK.replace("repeats = 1", 'repeats = 1\nmetrics.classification = ["accuracy", "roc_auc", "f1"]')
    )
    specification = load_specification(path)
    with pytest.raises(SpecificationError) as caught:
        check_scores(specification, load_data(specification))
    first, second = str(caught.value).splitlines()
    assert "'roc_auc' cannot be computed on iris" in first
    assert first.endswith("Take 'roc_auc_ovr'.")
    assert second.endswith("Take 'f1_macro'.")


def test_a_score_of_logarithms_on_negative_numbers_is_found_before_anything_runs(scored):
    with pytest.raises(SpecificationError, match="'neg_mean_squared_log_error' cannot be computed on t"):
        scored(["r2", "neg_mean_squared_log_error"], "regression", "a")


@pytest.mark.parametrize(
    ("more", "task", "target", "said"),
    [
        ('positive = "maybe"', "classification", "target", "there is no class 'maybe'. Classes: \\['no', 'yes'\\]"),
        ("positive = 1", "regression", "a", "data.t.positive: is of a classification"),
    ],
)
def test_a_positive_class_that_is_none_is_a_sentence(scored, more, task, target, said):
    with pytest.raises((SpecificationError, DataError), match=said):
        scored(["accuracy" if task == "classification" else "r2"], task, target, more)


def test_of_three_classes_none_is_positive(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(ONE_TASK.replace("[data.iris]", "[data.iris]\npositive = 1"))
    with pytest.raises(DataError, match="data.iris.positive: of 3 classes none is the positive one"):
        load_data(load_specification(path))


TABLES = """
question = "Are networks better?"
seed = 0
[evaluation]
folds = 2
repeats = 1
[data.shop]
path = "shop.csv"
target = "bought"
task = "classification"
[data.prices]
path = "shop.csv"
target = "price"
task = "regression"
[model.blend]
class = "nnexp.TabularMLP"
n_networks = 2
effort = 0.3
[model.boosting]
class = { classification = "sklearn.ensemble.HistGradientBoostingClassifier", regression = "sklearn.ensemble.HistGradientBoostingRegressor" }
encoder = "none"
max_iter = 10
"""


@pytest.fixture
def shop(tmp_path):
    """An experiment on a table with words and gaps, where the word tells the class."""
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue", ""], 120)
    table = pd.DataFrame({"colour": colour, "age": rng.integers(18, 80, 120).astype(float)})
    table["price"] = (10 * (colour == "red") + rng.normal(size=120)).round(3)
    table.loc[::5, "age"] = np.nan
    table.assign(bought=np.where(colour == "red", "yes", "no")).to_csv(tmp_path / "shop.csv", index=False)
    path = tmp_path / "shop.toml"
    path.write_text(TABLES)
    return path


def test_networks_and_boosting_get_columns_as_they_are(shop):
    specification = load_specification(shop)
    data = load_data(specification)
    for name, task in (("shop", "classification"), ("prices", "regression")):
        blend, boosting = (make_model(model, data[name], 3) for model in specification.models)
        assert [type(step).__name__ for _, step in blend.steps] == ["TabularMLP"]
        assert (blend[-1].task, blend[-1].random_state, blend[-1].n_networks) == (task, 3, 2)
        seen = boosting[0].fit_transform(data[name].X)
        assert seen["colour"].dtype == "category"
        assert seen["age"].isna().sum() == 24
        for model in (blend, boosting):
            model.fit(data[name].X, data[name].y)
            assert (
                data[name].scorer({"shop": "accuracy", "prices": "r2"}[name])(model, data[name].X, data[name].y) > 0.8
            )


@pytest.mark.slow
def test_a_blend_of_an_experiment_tells_what_it_cost(shop, tmp_path):
    summary = run_experiment(load_specification(shop), tmp_path / "results", n_jobs=1)
    rows = load_results(summary.folder).runs
    assert (rows["status"] == "ok").all()
    of_blend = rows[rows["model"] == "blend"]
    assert (of_blend["evaluations"] > 0).all()
    assert (of_blend["n_parameters"] > 0).all()


@pytest.mark.slow
def test_a_blend_and_the_encoder_of_a_network_are_swept(shop, tmp_path):
    """All values are tried, and the outer score of a blend is that of the winner's settings, fitted by hand."""
    without = TABLES[: TABLES.index("[data.prices]")] + TABLES[TABLES.index("[model.blend]") :]
    space = """
[sweep]
trials = 2
folds = 2
sampler = "grid"
[model.blend.space]
effort = [0.3, 0.5]
[model.network]
max_iter = 10
[model.network.space]
encoding = ["auto", "pieces"]
"""
    shop.write_text(without.replace("effort = 0.3\n", "") + space)
    assert main(["sweep", str(shop), "--results", str(tmp_path / "results"), "--workers", "1"]) == 0
    results, specification = load_results(tmp_path / "results" / "shop"), load_specification(shop)
    assert set(results.trials["state"]) == {"complete"}
    tuned = results.tuned.set_index("model")
    assert (tuned["trials"] == 2).all()
    tried = results.trials.groupby("model")[["effort", "encoding"]].agg(lambda column: set(column.dropna()))
    assert {float(effort) for effort in tried.loc["blend", "effort"]} == {0.3, 0.5}
    assert tried.loc["network", "encoding"] == {"auto", "pieces"}
    assert (tuned["tuning_evaluations"] > 0).all()
    data = load_data(specification)["shop"]
    described = next(model for model in specification.models if model.name == "blend")
    for row in tuned.loc["blend"].itertuples():
        run = results.runs.query("model == 'blend' and fold == @row.fold").iloc[0]
        _, _, train, test = outer_splits(specification, data)[row.fold]
        blend = make_model(described, data, int(run["seed"]))
        blend[-1].set_params(**json.loads(row.parameters))
        blend.fit(data.X.iloc[train], data.y[train])
        score = data.scorer("neg_log_loss")(blend, data.X.iloc[test], data.y[test])
        assert run["neg_log_loss"] == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('encoder = "none"', 'encoder = "raw"', 'model.boosting.encoder.*must be "table".*or "none"'),
        ("effort = 0.3", 'encoder = "none"', "model.blend.encoder.*a network says by encoding"),
        ("effort = 0.3", "effort = -1", "effort must be"),
        ("effort = 0.3", "random_state = 1", "random_state is set by the experiment's seed"),
        ("effort = 0.3", 'task = "regression"', "task is set by the data set"),
        ("effort = 0.3", "hidden_layer_sizes = [3]", "TabularMLP has no parameter"),
    ],
)
def test_a_mistake_about_tables_is_named(shop, old, new, sentence):
    shop.write_text(TABLES.replace(old, new))
    with pytest.raises(SpecificationError, match=sentence):
        load_specification(shop)


def test_a_quick_blend_tries_one_candidate(shop):
    shop.write_text(TABLES.replace("effort = 0.3", "effort = 8"))
    blend = load_specification(shop, quick=True).models[0]
    assert blend.parameters["effort"] == 1 / 3
