"""Estimators from outside scikit-learn, for tests."""

import os
import signal
import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from nnexp import BackpropMLPClassifier


class MyClassifier(ClassifierMixin, BaseEstimator):
    """Predicts the first class; fails, waits, dies or swallows what comes meanwhile on request."""

    def __init__(self, fails=False, waits=0.0, dies_once="", dies_always=False, swallows=""):
        self.fails = fails
        self.waits = waits
        self.dies_once = dies_once
        self.dies_always = dies_always
        self.swallows = swallows

    def fit(self, X, y):
        if self.fails:
            raise RuntimeError("this one fails")
        if self.dies_always:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.dies_once and not os.path.exists(self.dies_once):
            open(self.dies_once, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.swallows:
            try:
                open(self.swallows, "w").close()
                time.sleep(30)
            except:  # noqa: E722  # as some libraries have it
                pass
        time.sleep(self.waits)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class NoProbabilities(MyClassifier):
    """Cannot tell how sure it is, and says so when asked."""

    def predict_proba(self, X):
        raise RuntimeError("none today")


class MyMLP(BackpropMLPClassifier):
    """One of ours under another name."""
