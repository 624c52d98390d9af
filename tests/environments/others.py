"""What other libraries do with the estimators, in an environment of their own: `make others`.

sktime and skforecast look at classes, imbalanced-learn puts samplers before an estimator.
"""

import warnings

import numpy as np
import pandas as pd
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline
from skforecast.recursive import ForecasterRecursive
from sklearn.datasets import make_classification
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from sktime.datasets import load_airline
from sktime.forecasting.compose import make_reduction
from sktime.performance_metrics.forecasting import mean_absolute_percentage_error

from nnexp import BackpropMLPClassifier, BackpropMLPRegressor

FEW = {"hidden_layer_sizes": (16,), "max_iter": 300, "learning_rate": 0.01, "random_state": 0}


def years():
    """Return the airline's passengers of each month, their growth over the same month a year before, and the last 12 months."""
    y = load_airline()
    growth = np.log(y).diff(12).dropna()
    return y, growth[:-12], y[-12:]


def error_of(growth):
    """Return the mean relative error of the forecast passengers of the last 12 months, by their growth."""
    y, _, last = years()
    return mean_absolute_percentage_error(last, y[-24:-12].to_numpy() * np.exp(np.ravel(growth)))


def sktime():
    """Forecast the growth by reduction to a regression."""
    _, growth, _ = years()
    months = np.arange(1, 13)
    found = {}
    for strategy in ("recursive", "direct"):
        forecaster = make_reduction(BackpropMLPRegressor(**FEW), window_length=12, strategy=strategy)
        found[strategy] = error_of(forecaster.fit(growth, fh=months).predict(months))
    print(
        f"sktime: mean relative error {found['recursive']:.3f} and {found['direct']:.3f}, with no growth {error_of(0 * months):.3f}"
    )
    assert max(found.values()) < error_of(0 * months)


def skforecast():
    """The same with skforecast, with its own lags."""
    _, growth, _ = years()
    series = pd.Series(growth.to_numpy(), index=pd.date_range("1950-01", periods=len(growth), freq="MS"))
    forecaster = ForecasterRecursive(BackpropMLPRegressor(**FEW), lags=12)
    forecaster.fit(series)
    error = error_of(forecaster.predict(12))
    print(f"skforecast: mean relative error {error:.3f}")
    assert error < error_of(np.zeros(12))


def imbalanced_learn():
    """Learn a rare class with samples of it repeated."""
    X, y = make_classification(2000, weights=[0.95], class_sep=0.8, random_state=0)
    plain = BackpropMLPClassifier(**FEW | {"max_iter": 40})
    sampled = make_pipeline(StandardScaler(), RandomOverSampler(random_state=0), plain)
    alone = make_pipeline(StandardScaler(), plain)
    scores = [
        balanced_accuracy_score(y[1000:], own.fit(X[:1000], y[:1000]).predict(X[1000:])) for own in (alone, sampled)
    ]
    print(f"imbalanced-learn: balanced accuracy {scores[1]:.3f}, without it {scores[0]:.3f}")
    assert scores[1] > scores[0]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sktime()
    skforecast()
    imbalanced_learn()
