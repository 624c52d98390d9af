"""TableEncoder: the encoding of tables as a transformer of scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nnexp._errors import quoted
from nnexp._names import check_choice, nearest
from nnexp.encoding.columns import as_given
from nnexp.encoding.encoder import Encoder, lay_out, learn
from nnexp.encoding.layout import Layout, Rules

Array = NDArray[Any]

# A sparse result is given from this size on, in bytes of the dense one, where it has at most half of its size.
_LARGE = 1 << 26


class TableEncoder(TransformerMixin, BaseEstimator):
    """Makes finite numbers on one scale of a table with words, dates, gaps and numbers of any size.

    What a column is follows from its cells, on the whole of the table that is fitted:

    - *numbers* (integers, floats, decimals; durations in seconds): the median for gaps, then mean 0 and variance 1;
    - *booleans*: 0 and 1, 0.5 for gaps;
    - *categories* (words and the like): 0 or 1 for each of the ``max_levels`` most frequent values. Where there are more values,
      one input stands for all others, one says how frequent a value is, and ``hashed`` ones share the others out. A value that
      did not occur is 0 for each;
    - *times*: days, brought on a scale, and sine and cosine of where they stand in the year, the month, the week and the day, as
      far as they differ there.

    A column that has gaps has one more input, which says where. y is never looked at.

    Parameters
    ----------
    scale : {"standard", "robust", "none"}, default="standard"
        Numbers get mean 0 and variance 1, or median 0 and a distance of 1 between the quartiles.
    clip : bool, default=False
        Whether x / √(1 + (x / 3)²) keeps scaled numbers between -3 and 3.
    pieces : int, default=0
        Into how many pieces a column of numbers of more than two values is cut at most: of equally many rows, where no value
        alone has more than these; such a value is an edge. A piece from b to c gives the input
        2 · clip((x - b) / (c - b), 0, 1) - 1 beside the column itself.
    max_levels : int, default=30
        Values of a category with an input each.
    hashed : int, default=8
        Inputs that rarer values share, where there are more.
    kinds : mapping of column names to {"number", "boolean", "category", "time", "duration", "empty"}, default=None
        What columns are, where that is to be other than what their cells say.

    Attributes
    ----------
    layout_ : Layout
        What each column became; ``layout_.notes`` has what is to be said of that.
    n_features_in_ : int
    feature_names_in_ : array of str, shape (n_features,)

    References
    ----------
    Gorishniy, Rubachev and Babenko (2022), "On embeddings for numerical features in tabular deep learning", NeurIPS.

    Examples
    --------
    >>> import pandas as pd
    >>> from nnexp import TableEncoder
    >>> table = pd.DataFrame({"age": [20.0, None, 40.0], "city": ["Bern", "Rome", "Bern"]})
    >>> encoder = TableEncoder().set_output(transform="pandas")
    >>> encoder.fit_transform(table).round(2)
        age  age_missing  city_Bern  city_Rome
    0 -0.71          0.0        1.0        0.0
    1 -0.71          1.0        0.0        1.0
    2  1.41          0.0        1.0        0.0
    """

    def __init__(
        self,
        *,
        scale: str = "standard",
        clip: bool = False,
        pieces: int = 0,
        max_levels: int = 30,
        hashed: int = 8,
        kinds: Mapping[Any, str] | None = None,
    ) -> None:
        self.scale = scale
        self.clip = clip
        self.pieces = pieces
        self.max_levels = max_levels
        self.hashed = hashed
        self.kinds = kinds

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> TableEncoder:
        """Learn how to encode tables like X.

        Parameters
        ----------
        X : array-like, sparse matrix, or data frame of pandas, polars or pyarrow, of n_samples rows
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            A weight of 2 equals the row twice, 0 its absence.

        Returns
        -------
        TableEncoder
            Itself.

        Raises
        ------
        ValueError, TypeError
            For columns that are neither numbers nor words, infinite numbers, or parameters that are impossible.
        """
        rules, kinds = rules_of(self), kinds_of(self)
        given = self._checked(X, reset=True)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, given, dtype=np.float64, ensure_non_negative=True)
            if not weight.any():
                raise ValueError("sample_weight is zero for every sample: there is nothing to learn from.")
        names = getattr(self, "feature_names_in_", None)
        layout = lay_out(given, rules, kinds, names, weight)
        self._encoder = learn(layout, given, weight)
        for note in layout.notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return self

    def transform(self, X: Any) -> Any:
        """Return the inputs that a table gives, shape (n_samples, n_inputs).

        Returns
        -------
        array, or CSR array
            float32 for float32, else float64. A sparse X stays sparse, and so becomes a large table of many categories.

        Raises
        ------
        ValueError
            For other columns than in `fit`, cells that cannot be read, or infinite numbers.
        """
        check_is_fitted(self)
        given = self._checked(X, reset=False)
        dtype = np.float32 if getattr(given, "dtype", None) == np.float32 else np.float64
        encoder = self._encoder
        if (
            _is_wide(encoder, given)
            and getattr(self, "_sklearn_output_config", {}).get("transform", "default") == "default"
        ):
            size = max(1, _LARGE // (8 * encoder.n_inputs))
            blocks = [encoder.inputs(given.iloc[i : i + size], dtype) for i in range(0, len(given), size)]
            return sparse.csr_array(sparse.vstack([sparse.csr_array(block) for block in blocks]))
        return encoder.inputs(given, dtype)

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of the inputs.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The names of the columns of `fit`, or None.

        Raises
        ------
        ValueError
            If they are other names.
        """
        check_is_fitted(self)
        layout = self.layout_
        if input_features is not None:
            names = np.asarray(input_features, dtype=object)
            known = getattr(self, "feature_names_in_", None)
            if known is not None and not np.array_equal(names, known):
                raise ValueError("input_features is not equal to feature_names_in_")
            if len(names) != self.n_features_in_:
                raise ValueError(
                    f"input_features should have length equal to number of features ({self.n_features_in_}), got {len(names)}"
                )
            layout = layout.renamed([str(name) for name in names])
        return np.array(layout.names, dtype=object)

    @property
    def layout_(self) -> Layout:
        """What each column became."""
        encoder = vars(self).get("_encoder")
        if encoder is None:
            raise AttributeError("layout_ exists after fit.")
        layout: Layout = encoder.layout
        return layout

    def _checked(self, X: Any, reset: bool) -> Any:
        given = as_given(X)
        validate_data(self, X if hasattr(X, "columns") else given, reset=reset, skip_check_array=True)
        return given

    def __sklearn_is_fitted__(self) -> bool:
        return "_encoder" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = self.pieces == 0
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


ENCODINGS = {
    "auto": "tables become numbers: words, dates and gaps too; all on one scale",
    "pieces": "the same, with numbers cut into 16 pieces",
    "none": "X is numbers already, and is taken as it is",
}


def check_encoding(name: str, value: Any) -> None:
    """Raise a ValueError or a TypeError unless a value is a name of `ENCODINGS`, or a TableEncoder."""
    if isinstance(value, str):
        check_choice(name, value, ENCODINGS)
        return
    if not isinstance(value, TableEncoder | Mapping):
        raise TypeError(
            f"{name} must be 'auto', 'pieces', 'none', a TableEncoder or a mapping of its parameters. Got {quoted(value)}."
        )
    if isinstance(value, Mapping):
        known = TableEncoder().get_params()
        unknown = [key for key in value if key not in known]
        if unknown:
            raise ValueError(
                f"{name}: TableEncoder has no parameter {quoted(unknown[0])}. {nearest(str(unknown[0]), known)}"
            )
    encoder = encoder_named(value)
    assert encoder is not None
    rules_of(encoder)
    kinds_of(encoder)


def encoder_named(value: Any) -> TableEncoder | None:
    """Return the encoder that the parameter ``encoding`` stands for, not fitted; None for none."""
    if isinstance(value, TableEncoder):
        return value
    if isinstance(value, Mapping):
        return TableEncoder(**value)
    return None if value == "none" else TableEncoder(pieces=16) if value == "pieces" else TableEncoder()


def fitted(encoder: Encoder, names: Array | None) -> TableEncoder:
    """Return a transformer that shows what has been learnt of a table whose columns had such names."""
    rules = encoder.layout.rules
    shown = TableEncoder(
        scale=rules.scale, clip=rules.clip, pieces=rules.pieces, max_levels=rules.max_levels, hashed=rules.hashed
    )
    shown._encoder = encoder
    shown.n_features_in_ = len(encoder.layout.columns)
    if names is not None:
        shown.feature_names_in_ = names
    return shown


def rules_of(encoder: TableEncoder) -> Rules:
    """Return the parameters of an encoder, checked."""
    rules = Rules(encoder.scale, encoder.clip, encoder.pieces, encoder.max_levels, encoder.hashed)
    return Rules(str(rules.scale), bool(rules.clip), int(rules.pieces), int(rules.max_levels), int(rules.hashed))


def kinds_of(encoder: TableEncoder) -> dict[Any, str]:
    """Return what an encoder's parameters say of columns, checked."""
    if encoder.kinds is None:
        return {}
    if not isinstance(encoder.kinds, Mapping):
        raise TypeError(f"kinds must be a mapping of column names to kinds, or None. Got {quoted(encoder.kinds)}.")
    return dict(encoder.kinds)


def _is_wide(encoder: Encoder, given: Any) -> bool:
    """Whether the inputs are large and mostly 0."""
    layout = encoder.layout
    if not isinstance(given, pd.DataFrame) or layout.rules.pieces:
        return False
    filled = sum(len(c.inputs) if c.kind != "category" else 2 + bool(c.hashed) for c in layout.columns)
    return 8 * len(given) * layout.n_base > _LARGE and 4 * filled < layout.n_base
