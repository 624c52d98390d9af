"""The estimator as two classes, one for each task, for tools that go by classes and mixins."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags

from nnexp.estimator import BackpropMLP

_PARAMETERS = [
    parameter for parameter in inspect.signature(BackpropMLP.__init__).parameters.values() if parameter.name != "task"
]


class _OfOneTask(BackpropMLP):
    """A `BackpropMLP` whose task is that of its class."""

    TASK: ClassVar[Any]

    def __init__(self, **parameters: Any) -> None:
        super().__init__(self.TASK, **parameters)

    def __sklearn_tags__(self) -> Tags:
        return BackpropMLP.__sklearn_tags__(self)  # what a mixin says is less


# Those of BackpropMLP, written there once.
_OfOneTask.__init__.__signature__ = inspect.Signature(_PARAMETERS)  # type: ignore[attr-defined]


class BackpropMLPClassifier(ClassifierMixin, _OfOneTask):
    """`BackpropMLP` for classes: the same estimator with a fixed ``task="classification"`` and scikit-learn's ClassifierMixin.

    Some tools go by the class of an estimator, and not by what it says of itself; it is for these. All other parameters are
    those of `BackpropMLP`, by name.

    See Also
    --------
    BackpropMLP : All parameters, attributes and methods.
    BackpropMLPRegressor : The same for numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> BackpropMLPClassifier(hidden_layer_sizes=(16,), random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    TASK = "classification"
    score = BackpropMLP.score
    __sklearn_tags__ = _OfOneTask.__sklearn_tags__


class BackpropMLPRegressor(RegressorMixin, _OfOneTask):
    """`BackpropMLP` for numbers: the same estimator with a fixed ``task="regression"`` and scikit-learn's RegressorMixin.

    Some tools go by the class of an estimator, and not by what it says of itself; it is for these. All other parameters are
    those of `BackpropMLP`, by name.

    See Also
    --------
    BackpropMLP : All parameters, attributes and methods.
    BackpropMLPClassifier : The same for classes.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> BackpropMLPRegressor(hidden_layer_sizes=(16,), random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    TASK = "regression"
    score = BackpropMLP.score
    __sklearn_tags__ = _OfOneTask.__sklearn_tags__


_CLASSES = {cls.__name__: cls for cls in (BackpropMLP, BackpropMLPClassifier, BackpropMLPRegressor)}


def make(kind: str, parameters: dict[str, Any]) -> BackpropMLP:
    """Return an estimator of a class by its name."""
    cls = _CLASSES.get(kind, BackpropMLP)
    task = parameters.get("task")
    if issubclass(cls, _OfOneTask):
        if task != cls.TASK:
            raise ValueError(f"its class is {kind}, and its task {task!r}")
        parameters = {name: value for name, value in parameters.items() if name != "task"}
    return cls(**parameters)
