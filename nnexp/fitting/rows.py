"""The samples that take part in a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import _check_sample_weight, check_array, check_consistent_length, column_or_1d

from nnexp._errors import quoted
from nnexp._names import check_number
from nnexp.fitting.outputs import Outputs
from nnexp.model import dense
from nnexp.targets import Classes, Labels

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Rows:
    """The samples that take part in a fit: those that weigh something.

    Attributes
    ----------
    features : array or sparse array of shape (n, n_features)
    y : array of shape (n,) or (n, n_outputs)
    weight : array of shape (n,), or None
        At most 1; None for equal weights.
    groups : array of int, shape (n,), or None
        Samples of one group are set aside together.
    numbers : array of int, shape (n,)
        Their numbers among the samples that were given.
    given : array or sparse array of shape (n_given, n_features)
        All samples that were given.
    """

    features: Any
    y: Array
    weight: Array | None
    groups: Array | None
    numbers: Array
    given: Any

    @staticmethod
    def of(features: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Rows:
        """Take what scikit-learn has checked; samples of weight 0 are left out.

        Raises
        ------
        ValueError, TypeError
            For weights or groups that are none.
        """
        n = features.shape[0]
        rows = Rows(features, dense(y), None, None, np.arange(n), features)
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, features, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise ValueError("sample_weight is zero for every sample: there is nothing to learn from.")
            # In units of the largest, so that no sum overflows; what is nothing beside it is left out.
            weight = weight / weight.max()
            weight[weight < np.finfo(np.float32).tiny] = 0.0
            rows = replace(rows, weight=weight)._that_weigh()
            assert rows.weight is not None
            if (rows.weight == rows.weight[0]).all():
                rows = replace(rows, weight=None)
        if groups is None:
            return rows
        try:
            groups = column_or_1d(check_array(groups, ensure_2d=False, dtype=None))
            groups = np.unique(groups, return_inverse=True)[1]
            check_consistent_length(groups, np.empty(n))
        except (ValueError, TypeError) as error:
            raise ValueError(f"groups must hold a number or a word for each sample: {error}") from error
        return replace(rows, groups=groups[rows.numbers])

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def n_given(self) -> int:
        """How many samples were given."""
        return int(self.given.shape[0])

    def left_out(self) -> tuple[Array, Any]:
        """Return the numbers of the samples that weigh nothing, and their features."""
        numbers = np.setdiff1d(np.arange(self.n_given), self.numbers)
        return numbers, self.given[numbers]

    def _that_weigh(self) -> Rows:
        assert self.weight is not None
        if self.weight.all():
            return self
        kept = np.flatnonzero(self.weight)
        return replace(
            self,
            features=self.features[kept],
            y=self.y[kept],
            weight=self.weight[kept],
            groups=None if self.groups is None else self.groups[kept],
            numbers=self.numbers[kept],
        )

    def weighted_by(self, of_class: Array, codes: Array) -> tuple[Rows, Array]:
        """Return the samples with their weights multiplied by those of their classes, and the latter on the same scale.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        weight = of_class[codes] * (1.0 if self.weight is None else self.weight)
        if not weight.any():
            raise ValueError("class_weight is zero for every sample: there is nothing to learn from.")
        rows = replace(self, weight=weight)._that_weigh()
        assert rows.weight is not None
        return replace(rows, weight=rows.weight / weight.max()), of_class / weight.max()


def weights_of_classes(given: Any, target: Classes | Labels, rows: Rows) -> Array | None:
    """Return the weight of each class that the parameter ``class_weight`` stands for, shape (n_classes,), or None.

    Raises
    ------
    ValueError, TypeError
        If it does not go with the classes.
    """
    if given is None:
        return None
    if target.has_labels:
        raise ValueError("class_weight is for one class a sample; for several labels use sample_weight.")
    if isinstance(given, str):
        if given != "balanced":
            raise ValueError(f"class_weight must be 'balanced', a mapping or None. Got {quoted(given)}.")
        codes = np.searchsorted(target.classes, rows.y)
        total = np.bincount(codes, weights=rows.weight, minlength=len(target.classes))
        return np.divide(total.sum(), (total > 0).sum() * total, out=np.zeros(len(total)), where=total > 0)
    if not isinstance(given, Mapping):
        raise TypeError(f"class_weight must be 'balanced', a mapping or None. Got {quoted(given)}.")
    classes = target.classes.tolist()
    unknown = [key for key in given if key not in classes]
    if unknown:
        raise ValueError(f"class_weight names {quoted(unknown[0])}, which is no class of y: {quoted(classes)}.")
    for value in given.values():
        check_number("class_weight", value, low=0, open_high=True)
    return np.array([float(given.get(label, 1.0)) for label in classes])


@dataclass(frozen=True, eq=False)
class Chosen:
    """Samples of the user's own that choose the best step; none of them is learnt from.

    Attributes
    ----------
    features : array or sparse array
    y : array
    given : array, sparse array or data frame
        X as it was given.
    weight : array or None
        Of their classes.
    """

    features: Any
    y: Array
    given: Any
    weight: Array | None = None

    @staticmethod
    def of(features: Any, y: Any, given: Any, like: Any, outputs: Outputs) -> Chosen:
        """Take what scikit-learn has checked; ``like`` are the features that train.

        Raises
        ------
        ValueError
            For a y that does not go with the one that is learnt.
        """
        target = outputs.target
        if target.is_numeric:
            y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
            if y.shape[1] != outputs.n_outputs:
                raise ValueError(f"y_val has {y.shape[1]} outputs, and y has {outputs.n_outputs}.")
            if not np.isfinite(y).all():
                raise ValueError("y_val holds missing or infinite values.")
            outputs.check_values(y)
        else:
            y = dense(y)
            if target.is_exclusive:
                y = column_or_1d(y)
            try:
                target.encode(y)
            except ValueError as error:
                raise ValueError(str(error).replace("y ", "y_val ", 1)) from error
        return Chosen(sparse.csr_array(features) if sparse.issparse(like) else dense(features), y, given)
