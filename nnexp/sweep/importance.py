"""How much each parameter of a space decides."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from nnexp.sweep.samplers import as_optuna_study, quiet
from nnexp.sweep.study import Study

# Trials that the importances are computed from at most.
_IMPORTANCE_TRIALS = 2_000


def importance_of(study: Study) -> dict[str, float]:
    """Return how much each parameter decides about the first objective, by PED-ANOVA; empty where too little is known.

    References
    ----------
    Watanabe, Bansal and Hutter (2023), "PED-ANOVA", IJCAI.
    """
    import optuna

    evaluation = study.evaluation
    trials = [trial for trial in study.trials() if trial.state == "complete"]
    if len(trials) < 10:
        return {}
    if len(trials) > _IMPORTANCE_TRIALS:
        trials = [trials[i] for i in np.linspace(0, len(trials) - 1, _IMPORTANCE_TRIALS).astype(int)]
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lean = [replace(trial, values=trial.values[:1], steps={}) for trial in trials]
        picture = as_optuna_study(lean, evaluation.space, evaluation.directions[:1])
        try:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            importances = optuna.importance.get_param_importances(picture, evaluator=evaluator)
        except (ValueError, RuntimeError):  # as where all trials are alike
            return {}
    return {name: float(value) for name, value in importances.items()}
