"""The winner of a sweep, fitted to all samples of its data set and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnexp._errors import quoted
from nnexp._threads import one_thread
from nnexp.experiment.datasets import DataSet
from nnexp.experiment.runs import make_model
from nnexp.experiment.specification import ModelSpecification, Specification, SpecificationError
from nnexp.sweep.samplers import seed_of


def check_refit(specification: Specification, path: Path) -> None:
    """Check, before a sweep begins, that its winners can be fitted and saved at a place.

    Raises
    ------
    SpecificationError
        If a tuned model is no network, or there is no such folder.
    """
    for model in specification.models:
        if model.space and not all(path_of.startswith("nnexp.") for path_of in model.classes.values()):
            classes = quoted(next(iter(model.classes.values())))
            raise SpecificationError(
                f"--refit saves networks, and model.{model.name} is of {classes}. Paste its settings from the report into Python."
            )
    if not path.parent.is_dir():
        raise SpecificationError(f"--refit {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise SpecificationError(f"--refit {path}: that is a folder; name a file, such as {path / 'model.nnexp'}.")


def refit(
    specification: Specification, data: DataSet, model: ModelSpecification, chosen: Mapping[str, Any], path: Path
) -> None:
    """Fit a tuned model with the settings that were chosen to all samples of a data set, and save it.

    Parameters
    ----------
    specification : Specification
        Its seed decides that of the fit.
    data : DataSet
    model : ModelSpecification
        As the file has it.
    chosen : mapping
        Settings of the winner; those that are not in the space are left out.
    path : Path
    """
    settings = {name: value for name, value in chosen.items() if name in model.space}
    whole = replace(model, parameters={**model.parameters, **settings}, space={})
    estimator = make_model(whole, data, seed_of(specification.seed, "refit", data.name, model.name))[-1]
    with one_thread(everything=True):
        estimator.fit(data.X, data.y)
    estimator.save(path)
