"""The columns of a table of any kind: which kind each is of, and its cells as numbers, words or times."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_array

from nnexp._errors import quoted

Array = NDArray[Any]

KINDS = {
    "number": "integers, floats, decimals",
    "boolean": "true or false",
    "category": "words, or anything else that has few values",
    "time": "dates, with or without the time of day",
    "duration": "differences of times",
    "empty": "nothing but gaps",
}
# A column of words that are all numbers is one of numbers if it has more values than this.
_MOST_CODES = 30
# What pandas calls columns of numbers.
_NUMBERS = ("floating", "integer", "mixed-integer-float", "decimal", "integer-na")
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_BLANK = {"", "?", "NA", "N/A", "NaN", "nan", "null", "None"}


def is_plain(X: Any) -> bool:
    """Whether X is numbers throughout: an array of them, a sparse one, or a data frame of plain columns."""
    if sparse.issparse(X):
        return True
    if isinstance(X, np.ndarray):
        return X.dtype.kind in "biufc"
    if isinstance(X, pd.DataFrame):
        return all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in X.dtypes)
    return False


def as_given(X: Any) -> Any:
    """Return X as a float array, a CSR array, or a pandas data frame where it is a table of several kinds.

    Parameters
    ----------
    X : array-like, sparse matrix, or data frame of pandas, polars or pyarrow

    Raises
    ------
    ValueError, TypeError
        With scikit-learn's sentences, for what is no table.
    """
    table = _as_pandas(X)
    if table is None and not is_plain(X):
        cells = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object if _has_words(X) else None)
        if cells.dtype.kind in "Mm" and cells.ndim == 2 and cells.size:
            table = pd.DataFrame(cells)
        elif cells.dtype.kind in "OUST" and cells.ndim == 2 and cells.size and not _holds_numbers(cells):
            table = pd.DataFrame(cells.astype(object)).infer_objects()
        else:
            X = cells
    if table is not None and not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise ValueError(f"Columns must have names of their own. {quoted(twice)} occurs several times.")
    if table is not None and 0 in table.shape:
        what = "feature" if table.shape[1] == 0 else "sample"
        raise ValueError(f"Found array with 0 {what}(s) (shape={table.shape}) while a minimum of 1 is required.")
    if table is None or is_plain(table):
        kinds: dict[str, Any] = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "input_name": "X"}
        checked = check_array(X if table is None else table, ensure_all_finite="allow-nan", **kinds)
        return _csr(checked) if sparse.issparse(checked) else checked
    return table


def _csr(X: Any) -> Any:
    return sparse.csr_array(X)


def _has_words(X: Any) -> bool:
    """Whether a list of rows has words in its first one, which NumPy would make words of all of."""
    try:
        return any(not isinstance(cell, int | float | np.number) for cell in X[0])
    except (TypeError, IndexError, KeyError):
        return False


def _holds_numbers(cells: Array) -> bool:
    return cells.dtype.kind == "O" and all(isinstance(cell, int | float | np.number | np.bool_) for cell in cells.flat)


def _as_pandas(X: Any) -> pd.DataFrame | None:
    """Return a data frame of pandas, polars or pyarrow as one of pandas, anything else as None."""
    if isinstance(X, pd.DataFrame):
        return X
    module = type(X).__module__.partition(".")[0]
    if module == "pyarrow" and hasattr(X, "to_pandas"):
        frame = X.to_pandas()
        return frame if isinstance(frame, pd.DataFrame) else None
    if module == "polars":
        if not hasattr(X, "get_column"):
            raise TypeError(
                f"X must be a table whose rows are there. Got {quoted(type(X).__name__)}: call its collect()."
            )
        return pd.DataFrame({name: _of_polars(X.get_column(name)) for name in X.columns}, columns=list(X.columns))
    return None


def _of_polars(column: Any) -> Any:
    values = column.to_numpy()
    if values.dtype.kind == "O" and str(column.dtype) == "Boolean":
        return pd.array(values, dtype="boolean")
    return values


@dataclass(frozen=True)
class Column:
    """A column of a data frame.

    Attributes
    ----------
    name : hashable
    cells : pandas.Series
    """

    name: Hashable
    cells: pd.Series[Any]

    @property
    def called(self) -> str:
        """How messages call it."""
        return f"Column {quoted(self.name)}"

    @cached_property
    def holds(self) -> str:
        """What the cells are, in the words of `pandas.api.types.infer_dtype`."""
        dtype = self.cells.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            return "categorical"
        if pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype):
            return pd.api.types.infer_dtype(self.cells, skipna=True)
        if pd.api.types.is_bool_dtype(dtype):
            return "boolean"
        if pd.api.types.is_complex_dtype(dtype):
            return "complex"
        if pd.api.types.is_numeric_dtype(dtype):
            return "floating"
        if pd.api.types.is_datetime64_any_dtype(dtype):
            return "datetime"
        if pd.api.types.is_timedelta64_dtype(dtype):
            return "timedelta"
        if isinstance(dtype, pd.PeriodDtype):
            return "period"
        return pd.api.types.infer_dtype(self.cells, skipna=True)

    def kind(self) -> tuple[str, str]:
        """Return of which kind the column is, and what is to be said of that.

        Raises
        ------
        ValueError
            If its cells are lists, complex numbers or the like.
        """
        holds = self.holds
        if holds in _NUMBERS:
            return "number", ""
        if holds == "boolean":
            return "boolean", ""
        if holds in ("datetime", "datetime64", "date", "period"):
            return "time", ""
        if holds in ("timedelta", "timedelta64"):
            return "duration", ""
        if holds == "complex":
            raise ValueError(f"Complex data not supported. {self.called} holds complex numbers.")
        if holds == "empty":
            return "empty", ""
        if holds != "categorical":
            _, values = self._factors()
            return self._kind_of_words([value for value in values if isinstance(value, str)], len(values))
        return "category", ""

    def _kind_of_words(self, words: list[str], n_values: int) -> tuple[str, str]:
        if len(words) < n_values:
            return "category", ""
        known = [word for word in words if word.strip() not in _BLANK]
        if known and all(_ISO.fullmatch(word) for word in known) and _as_times(pd.Series(known)).notna().all():
            return "time", f"{self.called} holds dates written as words."
        if known and np.isfinite(pd.to_numeric(pd.Series(known), errors="coerce")).all():
            if len(known) > _MOST_CODES:
                return "number", f"{self.called} holds numbers written as words. They are taken as numbers."
            return "category", f"{self.called} holds numbers written as words. They are taken as categories."
        return "category", ""

    def _factors(self) -> tuple[Array, Sequence[Any]]:
        """Return a number for each cell, -1 for gaps, and the different values that the numbers stand for.

        Raises
        ------
        ValueError
            If cells are lists or the like.
        """
        if isinstance(self.cells.dtype, pd.CategoricalDtype):
            return self.cells.cat.codes.to_numpy(), list(self.cells.cat.categories)
        try:
            codes, values = pd.factorize(self.cells)
        except (TypeError, NotImplementedError) as error:
            raise ValueError(
                f"{self.called} holds neither numbers nor words: {error}. Leave it out, or make columns of it."
            ) from error
        bad = next((value for value in values if isinstance(value, tuple | frozenset | np.ndarray)), None)
        if bad is not None:
            raise ValueError(
                f"{self.called} holds neither numbers nor words, but {quoted(bad)}. Leave it out, or make columns of it."
            )
        return codes, list(values)

    def numbers(self) -> Array:
        """Return the cells as float64, NaN for gaps.

        Raises
        ------
        ValueError
            If a cell is no number.
        """
        if self.holds in ("timedelta", "timedelta64"):
            raise ValueError(f"{self.called} is one of numbers, and holds durations.")
        try:
            if self.holds in (*_NUMBERS, "boolean", "empty"):
                cells: Any = self.cells
                if pd.api.types.is_object_dtype(cells.dtype):
                    cells = cells.where(cells.notna(), np.nan).astype(np.float64)
                return np.asarray(cells.to_numpy(dtype=np.float64, na_value=np.nan))
            codes, values = self._factors()
            read = [_number(value) for value in values]
        except (TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{self.called} is one of numbers, and holds what is none: {error}") from error
        return np.append(read, np.nan)[codes]

    def seconds(self) -> Array:
        """Return durations in seconds, as float64, NaN for gaps."""
        try:
            cells = pd.to_timedelta(_of_numpy(self.cells))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.called} is one of durations, and holds what is none: {error}") from error
        return cells.dt.total_seconds().to_numpy(dtype=np.float64)

    def times(self) -> pd.Series[Any]:
        """Return times as the clock showed them, without a time zone, NaT for gaps."""
        cells: Any = _of_numpy(self.cells)
        if cells.isna().all():
            return pd.Series(np.full(len(cells), "NaT", dtype="datetime64[us]"), index=cells.index)
        try:
            if isinstance(cells.dtype, pd.PeriodDtype):
                return cells.dt.to_timestamp()
            if self.holds == "period":
                cells = pd.Series([None if pd.isna(cell) else cell.to_timestamp() for cell in cells], index=cells.index)
            if not pd.api.types.is_datetime64_any_dtype(cells.dtype):
                if cells.dtype == object or isinstance(cells.dtype, pd.StringDtype):
                    words = cells.map(lambda cell: None if isinstance(cell, str) and cell.strip() in _BLANK else cell)
                    cells = _as_times(words, format="ISO8601" if self.holds == "string" else None, errors="raise")
                else:
                    raise TypeError(f"{cells.dtype}")
            return cells.dt.tz_localize(None) if getattr(cells.dtype, "tz", None) is not None else cells
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{self.called} is one of times, and holds what is none: {error}") from error

    def words(self) -> tuple[Array, list[str]]:
        """Return a number for each cell, -1 for gaps, and the word that each number stands for."""
        codes, values = self._factors()
        return codes, [_word(value) for value in values]


def columns_of(table: pd.DataFrame) -> list[Column]:
    """Return the columns of a data frame, also where two have one name."""
    return [Column(name, table.iloc[:, i]) for i, name in enumerate(table.columns)]


def _of_numpy(cells: Any) -> Any:
    """Return a column of Arrow's types as one of objects."""
    return cells.astype(object) if isinstance(cells.dtype, pd.ArrowDtype) else cells


def _as_times(cells: Any, format: str | None = "ISO8601", errors: Any = "coerce") -> Any:
    """Return times; those of several time zones as UTC."""
    try:
        return pd.to_datetime(cells, format=format, errors=errors)
    except ValueError as error:
        if "tz-aware" not in str(error).lower() and "timezones" not in str(error).lower():
            raise
        return pd.to_datetime(cells, format=format, errors=errors, utc=True)


def _number(value: Any) -> float:
    if isinstance(value, str) and value.strip() in _BLANK:
        return np.nan
    return float(value)


def _word(value: Any) -> str:
    """Return a value as a word; the whole numbers 1 and 1.0 are one."""
    if isinstance(value, float | np.floating | Decimal) and np.isfinite(float(value)) and value == value // 1:
        return str(int(value))
    return str(value)
