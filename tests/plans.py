"""What a fit would train."""

from nnexp.estimator import plan_of


def problem_of(model, X, y, **more):
    """Return the problem that a fit of a model would train on."""
    return plan_of(model, {"X": X, "y": y, **more}).task.problem
