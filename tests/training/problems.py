"""Small problems for tests of training."""

import inspect

import numpy as np

from nnexp import Network
from nnexp.network.error_functions import make_objective, resolve_error_function
from nnexp.network.samples import Samples
from nnexp.training import OPTIMIZERS, Descent, Problem, resolve_schedule


def make_problem(members=1, n=60, validation=0, weight=None, dtype=np.float64, network=None, seed=0, l1=0.0, l2=0.0):
    rng = np.random.default_rng(seed)
    network = network or Network((3, 6, 2), "tanh", "softmax")
    X = rng.normal(size=(n, 3))
    classes = (X[:, 0] * X[:, 1] > 0).astype(int)
    rows = np.stack([np.random.default_rng(100 + i).permutation(n) for i in range(members)])
    return Problem(
        network=network,
        objective=make_objective(network.activations[-1], resolve_error_function("cross_entropy")),
        samples=Samples(X, network.bias, dtype),
        expected=np.eye(2, dtype=dtype)[classes],
        weight=weight,
        training=list(rows[:, validation:]),
        validation=list(rows[:, :validation]) if validation else None,
        shift=np.zeros(members, dtype=int),
        l1=np.full(members, l1),
        l2=np.full(members, l2),
    )


def make_descent(
    members=1, mode="mini-batch", batch_size=16, optimizer="adam", schedule="constant", horizon=12, dropout=(0.0,),
    learning_rate=0.01, **settings,
):  # fmt: skip
    arrays = Descent.alike(members, dropout, learning_rate, **settings)
    return Descent(
        mode,
        batch_size,
        OPTIMIZERS.resolve(optimizer, "optimizer"),
        True,
        resolve_schedule(schedule),
        horizon,
        **arrays,
    )


def make_both(members=1, **settings):
    """Return what is to be learned, and how."""
    of_problem = {name: settings.pop(name) for name in inspect.signature(make_problem).parameters if name in settings}
    problem = make_problem(members, **of_problem)
    settings.setdefault("dropout", [0.0] * (problem.network.n_layers - 2))
    return problem, make_descent(members, **settings)


def seeds(members, first=0):
    return [np.random.default_rng(1000 + first + i) for i in range(members)]
