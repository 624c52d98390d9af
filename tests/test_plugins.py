"""A small package in tests/plugin, installed by pip into a folder of its own, brings parts along."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import WITHOUT_FIGURES, searched
from tests.forked import run

PACKAGE = Path(__file__).parent / "plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the environment of a process in which the package is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    source.mkdir()
    for file in PACKAGE.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", folder / "site", source], check=True, timeout=300)
    return {**os.environ, "PYTHONPATH": searched(folder / "site", WITHOUT_FIGURES), "COLUMNS": "200"}


PARTS = [
    "cube_root", "ready", "fourth_power", "random_search", "two_moons", "sign", "halving", "small_normal", "best_two", "mean",
    "uniform_noise",
]  # fmt: skip


def python(code, environment):
    done = run([sys.executable, "-c", code], env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def nnexp(*arguments, environment, **settings):
    return run([sys.executable, "-m", "nnexp.cli", *map(str, arguments)], env=environment, **settings)


def test_parts_are_listed_and_broken_ones_are_named(installed):
    said = nnexp("list", environment=installed).stdout
    for name in PARTS:
        assert name in said
    assert "(from nnexp-example-plugin 0.3)" in said
    assert "Settings: power = 0.333" in said
    for problem in (
        "nnexp-example-plugin 0.3: ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
        "must be a subclass or an object of Activation",
        "ValueError: the name is taken",
        "has no attribute 'no_such_name'",
    ):
        assert problem in said


@pytest.mark.slow
def test_parts_work_in_estimators_in_clones_and_in_files_without_code(installed, tmp_path):
    code = f"""
import numpy as np, nnexp
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
X, y = load_iris(return_X_y=True)
for activation in ("cube_root", "ready", {{"name": "cube_root", "power": 0.4}}, [{{"cube_root": 4, "tanh": 4}}]):
    model = nnexp.BackpropMLP(hidden_layer_sizes=(8,), activation=activation, error_function="fourth_power",
                              output_activation="identity", learning_rate=0.02, random_state=0)
    model = clone(model).fit(X, y)
    assert model.score(X, y) > 0.8, model.score(X, y)
    model.save(r"{tmp_path}/m.nnexp")
    assert (nnexp.load(r"{tmp_path}/m.nnexp").decision_function(X) == model.decision_function(X)).all()
search = GridSearchCV(nnexp.BackpropMLP(hidden_layer_sizes=(8,), algorithm="random_search", max_iter=20, random_state=0),
                      {{"activation": ["cube_root", "tanh"]}}, cv=2)
print(search.fit(X, y).best_score_ > 0.5)
try:
    nnexp.BackpropMLP(activation="absent").fit(X, y)
except ValueError as error:
    print(error)
"""
    found, message = python(code, installed).splitlines()
    assert found == "True"
    assert message.startswith("activation: the plug-in 'absent' cannot be used. nnexp-example-plugin 0.3:")


@pytest.mark.slow
def test_optimizers_schedules_initializers_and_operators_come_from_elsewhere_too(installed, tmp_path):
    code = f"""
import nnexp, pickle
from sklearn.base import clone
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
operators = dict(name="genetic", population_size=20, selection="best_two", crossover="mean", mutation="uniform_noise")
for settings in (dict(optimizer="sign", schedule={{"name": "halving", "parts": 3}}, initializer="small_normal", learning_rate=0.01),
                 dict(algorithm=operators, initializer="small_normal")):
    model = clone(nnexp.BackpropMLP(hidden_layer_sizes=(8,), random_state=0, **settings)).fit(X, y)
    assert model.score(X, y) > 0.8, model.score(X, y)
    model.save(r"{tmp_path}/m.nnexp")
    loaded = nnexp.load(r"{tmp_path}/m.nnexp")
    assert (loaded.predict_proba(X) == model.predict_proba(X)).all()
    assert loaded.get_params()["initializer"] == "small_normal"
    again = pickle.loads(pickle.dumps(model)).set_params(random_state=0).fit(X, y)
    assert (again.parameters_ == model.parameters_).all()
print("right")
"""
    assert python(code, installed).strip() == "right"


@pytest.mark.slow
def test_parts_work_in_experiment_files(installed, tmp_path):
    (tmp_path / "own.toml").write_text("""
question = "Does a plug-in run?"
[evaluation]
folds = 2
repeats = 1
[data.two_moons]
[defaults]
hidden_layer_sizes = [4]
max_iter = 5
[model.plain]
[model.plugin]
activation = { name = "cube_root", power = 0.5 }
[model.search]
algorithm = { name = "random_search", draws = 5 }
""")
    done = nnexp("run", "own.toml", "--jobs", "1", environment=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    experiment = json.loads((tmp_path / "results" / "own" / "experiment.json").read_text())
    assert experiment["model"]["plugin"]["activation"]["name"] == "cube_root"
    runs = (tmp_path / "results" / "own" / "runs.csv").read_text()
    assert runs.count(",ok,") == 6
    (tmp_path / "bad.toml").write_text('question = "?"\n[data.nothing]\n[model.plain]\n')
    bad = nnexp("run", "bad.toml", environment=installed, cwd=tmp_path)
    assert bad.returncode != 0
    assert "the plug-in of this data set cannot be used. nnexp-example-plugin 0.3" in bad.stdout + bad.stderr


@pytest.mark.slow
def test_an_edited_plugin_is_run_again_and_an_unrelated_one_changes_nothing(installed, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(installed["PYTHONPATH"].split(os.pathsep)[0], site)
    environment = {**installed, "PYTHONPATH": searched(site)}
    (tmp_path / "own.toml").write_text("""
question = "Does a plug-in count?"
[evaluation]
folds = 2
repeats = 1
[data.iris]
[defaults]
hidden_layer_sizes = [4]
max_iter = 5
[model.plain]
[model.plugin]
activation = "cube_root"
""")

    def run():
        done = nnexp("run", "own.toml", "--jobs", "1", environment=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        rows = (tmp_path / "results" / "own" / "runs.csv").read_text().splitlines()
        return done.stdout, [row for row in rows if ",plain," in row], [row for row in rows if ",plugin," in row]

    _, plain, plugin = run()
    said, *rows = run()
    assert "4 runs, 4 of them finished before." in said
    assert rows == [plain, plugin]
    about = site / "unrelated-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: unrelated\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[nnexp.activations]\nother = unrelated:Other\n")
    (site / "unrelated.py").write_text(
        "from example_plugin import CubeRoot\n\n\nclass Other(CubeRoot):\n    name = 'other'\n"
    )
    assert "other" in nnexp("list", environment=environment).stdout
    assert "4 runs, 4 of them finished before." in run()[0]
    source = site / "example_plugin.py"
    source.write_text(source.read_text().replace("power: float = 1 / 3", "power: float = 1 / 2"))
    said, plain_again, plugin_again = run()
    assert "4 runs, 2 of them finished before." in said
    assert (
        "2 finished runs are done again, because of what has changed since: the plug-in activation cube_root."
        in " ".join(said.split())
    )
    assert plain_again == plain
    assert plugin_again != plugin


def test_without_the_package_nothing_of_it_is_known():
    environment = {**os.environ, "COLUMNS": "200"}
    assert "cube_root" not in nnexp("list", environment=environment).stdout
