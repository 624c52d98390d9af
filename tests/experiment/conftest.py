import pytest

SMALL = """
question = "Which descent mode is best?"
seed = 3

[evaluation]
folds = 3
repeats = 2
metrics = { classification = ["accuracy", "neg_log_loss"], regression = ["r2"] }

[data.iris]
[data.diabetes]

[defaults]
hidden_layer_sizes = [6]
max_iter = 8
validation = "none"

[model.mini-batch]
batch_size = 16
learning_rate = 0.01

[model.genetic]
algorithm = { name = "genetic", population_size = 10 }

[model.scikit-learn]
class = { classification = "sklearn.neural_network.MLPClassifier", regression = "sklearn.neural_network.MLPRegressor" }
hidden_layer_sizes = [6]
max_iter = 8
"""


@pytest.fixture
def trusted(monkeypatch):
    """Let experiments use the classes of the tests, in this process and in those that it starts."""
    monkeypatch.setenv("NNEXP_ALLOW_MODULES", "tests")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path
