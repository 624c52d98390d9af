"""Which samples each network learns from, and which choose its best step."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    train_test_split,
)

from nnexp._errors import quoted
from nnexp.fitting.rows import Rows
from nnexp.fitting.settings import Settings
from nnexp.targets import Target
from nnexp.training import Algorithm

Array = NDArray[Any]

# From this many samples for each network on, several networks are cross-fitted unless told otherwise.
_CROSS_SAMPLES = 10
# One network has so many companions where it is cross-fitted; it is, unless told otherwise, from so many samples on and with
# fewer than so many: what is sure of everything loses more by it than what is off by a number.
_COMPANIONS, _COMPANION_SAMPLES = 4, {"classification": (40, 1_000), "regression": (40, 400)}
# From this many samples on, an algorithm that wants validation gets some unless told otherwise; any other from more on.
_WANTED_SAMPLES, _MANY_SAMPLES = 200, 10_000


@dataclass(frozen=True, eq=False)
class Split:
    """Which samples each network learns from, and which choose.

    Attributes
    ----------
    how : {"none", "given", "holdout", "cross"}
    training : list of arrays of int
        For each network, and for its companions.
    validation : list of arrays of int, or None
    """

    how: str
    training: list[Array]
    validation: list[Array] | None

    @property
    def n_validation(self) -> int:
        """How many samples choose: those that one network has set aside."""
        return 0 if self.validation is None else len(self.validation[-1])

    @property
    def n_members(self) -> int:
        """How many networks train."""
        return len(self.training)

    @property
    def has_companions(self) -> bool:
        """Whether the first network learns from all samples, and others beside it set some aside."""
        return self.validation is not None and not len(self.validation[0])


def split_rows(settings: Settings, rows: Rows, target: Target, how: str, seed: int) -> Split:
    """Set samples aside for each network.

    Raises
    ------
    ValueError
        If there are too few, and it was asked for by name: "auto" does what the samples allow.
    """
    n, networks = len(rows), settings.n_networks
    is_asked = settings["validation"] != "auto"
    if how in ("none", "given"):
        return Split(how, [np.arange(n)] * networks, None)
    n_folds = networks if networks > 1 else _COMPANIONS
    if how == "cross" and networks == 1 and not is_asked and not _can_score(settings, rows, target):
        return Split("none", [np.arange(n)], None)
    strata = rows.y if target.is_exclusive else None
    fraction = settings["validation_fraction"]
    try:
        if how == "holdout":
            training, validation = _hold_out(n, fraction, strata, rows.groups, seed, keep_single=not is_asked)
            return Split(how, [training] * networks, [validation] * networks)
        if n < n_folds:
            raise ValueError(f"{n_folds} folds need at least as many samples.")
        learnt, apart = _apart(folds(n, n_folds, strata, rows.groups, seed), n_folds)
        if networks > 1:
            return Split(how, learnt, apart)
        # The network itself learns from all; its companions set a fold aside, and say when it is to stop.
        return Split(how, [np.arange(n), *learnt], [np.arange(0), *apart])
    except ValueError as error:
        if not is_asked:
            return Split("none", [np.arange(n)] * networks, None)
        part = f"validation_fraction={fraction}" if how == "holdout" else f"{n_folds} folds"
        raise ValueError(f"validation={quoted(how)} cannot set {part} of {n} samples aside: {error}") from error


def _can_score(settings: Settings, rows: Rows, target: Target) -> bool:
    """Whether a score that chooses has all classes in each fold of the companions, without which many scores are undefined."""
    if target.is_numeric or (settings["scoring"] is None and settings["fitness"] is None):
        return True
    return target.is_exclusive and bool(np.unique(rows.y, return_counts=True)[1].min() >= _COMPANIONS)


def resolve_validation(settings: Settings, n: int, algorithm: Algorithm) -> str:
    """Return how n samples are validated, "auto" resolved."""
    if settings["validation"] != "auto":
        return str(settings["validation"])
    if settings.n_networks > 1:
        return "cross" if n >= _CROSS_SAMPLES * settings.n_networks else "none"
    least, less = _COMPANION_SAMPLES[settings["task"]]
    # What names its cost in evaluations is not to spend them on companions.
    if algorithm.uses_gradient and not algorithm.competes and settings["max_evaluations"] is None and least <= n < less:
        return "cross"
    return "holdout" if n >= (_WANTED_SAMPLES if algorithm.wants_validation else _MANY_SAMPLES) else "none"


def _hold_out(n: int, fraction: float, strata: Any, groups: Any, seed: int, keep_single: bool) -> tuple[Array, Array]:
    """Set a part of the samples aside: of every class its share, or whole groups.

    With ``keep_single`` the only sample of a class is learnt from, and no reason to refuse.
    """
    if groups is not None:
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        training, validation = next(splitter.split(np.empty(n), groups=groups))
    else:
        shared, single = np.arange(n), np.arange(0)
        if strata is not None and keep_single:
            of_class, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
            single, shared = (np.flatnonzero(part) for part in ((counts == 1)[of_class], (counts > 1)[of_class]))
            strata = strata[shared]
        size = max(round(fraction * n), 1 if strata is None else len(np.unique(strata)))
        training, validation = train_test_split(shared, test_size=size, random_state=seed, stratify=strata)
        training = np.concatenate([training, single])
    return np.sort(training), np.sort(validation)


def split_by(fold: Array, networks: int) -> Split:
    """Return the split in which each network sets aside the samples of its own fold, given the fold of each sample.

    Raises
    ------
    ValueError
        If a network would have no sample to choose by, or none to learn from.
    """
    counts = np.bincount(fold, minlength=networks)
    if len(counts) > networks or not counts.all() or networks < 2:
        raise ValueError(f"{networks} networks need as many folds, each with samples. Got folds of {counts.tolist()}.")
    return Split("cross", *_apart(fold, networks))


def _apart(fold: Array, k: int) -> tuple[list[Array], list[Array]]:
    """Return for each fold the samples that are not in it, and those that are."""
    parts = [fold == number for number in range(k)]
    return [np.flatnonzero(~part) for part in parts], [np.flatnonzero(part) for part in parts]


def folds(n: int, k: int, strata: Any, groups: Any, seed: int) -> Array:
    """Cut n samples into k folds, of every class its share, and whole groups.

    Parameters
    ----------
    n, k : int
    strata : array of shape (n,), or None
        The class of each sample.
    groups : array of shape (n,), or None
        Samples of one group come into one fold.
    seed : int

    Returns
    -------
    array of int, shape (n,)
        The fold of each sample.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    if strata is not None and np.unique(strata, return_counts=True)[1].max() < k:
        strata = None  # no class has a sample for each fold
    grouped = groups is not None
    if strata is None:
        splitter = (GroupKFold if grouped else KFold)(k, shuffle=True, random_state=seed)
    else:
        splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(k, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        of_sample = np.empty(n, dtype=int)
        for number, (_, part) in enumerate(splitter.split(np.empty((n, 1)), strata, groups)):
            of_sample[part] = number
    return of_sample
