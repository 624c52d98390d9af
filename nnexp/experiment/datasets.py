"""Data sets: bundled ones by name, and CSV or Parquet files; and how their columns are prepared."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.utils import Bunch

from nnexp._errors import ExpectedError, quoted, reason
from nnexp._names import nearest
from nnexp._plugins import Plugins
from nnexp.encoding import Layout, Rules, TableEncoder, as_given, lay_out
from nnexp.scoring import Scorer

Array = NDArray[Any]


@dataclass(frozen=True)
class Bundled:
    """A data set that has a name: scikit-learn brings it along, or a plug-in.

    Attributes
    ----------
    task : {"classification", "regression"}
    load : callable
        ``load(as_frame=True)`` returns an object with a data frame ``data`` and a Series or data frame ``target``, as the
        loaders of scikit-learn do.
    summary : str
        A line for lists.
    """

    task: str
    load: Callable[..., Any]
    summary: str


def _drawn(make: Callable[[], tuple[Array, Array]]) -> Callable[..., Any]:
    """Return a loader of points in the plane with their classes, as those of scikit-learn are."""

    def load(as_frame: bool = True) -> Bunch:
        X, y = make()
        return Bunch(data=pd.DataFrame(X, columns=["x1", "x2"]), target=pd.Series(y, name="class"))

    return load


def _spirals() -> tuple[Array, Array]:
    """Return two spirals of 150 points each that wind once and a half around each other, with some noise."""
    rng = np.random.default_rng(0)
    angle = 3 * np.pi * np.sqrt(rng.uniform(0.02, 1, 150))
    arm = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / (3 * np.pi)
    points = np.concatenate([arm, -arm]) + 0.02 * rng.standard_normal((300, 2))
    return points, np.repeat([0, 1], 150)


BUNDLED: dict[str, Bundled] = {
    "iris": Bundled("classification", datasets.load_iris, "3 kinds of iris by the size of their flowers"),
    "wine": Bundled("classification", datasets.load_wine, "3 growers of wine by chemical analysis"),
    "breast_cancer": Bundled(
        "classification", datasets.load_breast_cancer, "benign or malignant by measures of cell nuclei"
    ),
    "digits": Bundled("classification", datasets.load_digits, "handwritten digits in 8 × 8 pixels"),
    "diabetes": Bundled("regression", datasets.load_diabetes, "progression of diabetes within a year"),
    "moons": Bundled(
        "classification",
        _drawn(lambda: datasets.make_moons(300, noise=0.2, random_state=0)),
        "2 half-moons in the plane, with noise, to draw boundaries in",
    ),
    "circles": Bundled(
        "classification",
        _drawn(lambda: datasets.make_circles(300, noise=0.1, factor=0.5, random_state=0)),
        "a circle within another in the plane",
    ),
    "spirals": Bundled("classification", _drawn(_spirals), "2 spirals in the plane that wind around each other"),
    "linnerud": Bundled("regression", datasets.load_linnerud, "3 measures of the body by exercise"),
}


def _check_bundled(name: str, part: Any) -> Bundled:
    if not isinstance(part, Bundled):
        raise TypeError(f"it must be an object of nnexp.experiment.Bundled, and is {quoted(part)}")
    if part.task not in ("classification", "regression"):
        raise ValueError(f"its task must be 'classification' or 'regression', and is {quoted(part.task)}")
    return part


DATA_PLUGINS = Plugins("nnexp.datasets", _check_bundled)


def bundled_data() -> dict[str, Bundled]:
    """Return all data sets that have a name: scikit-learn's and those of plug-ins."""
    DATA_PLUGINS.load(BUNDLED)
    return {**BUNDLED, **DATA_PLUGINS.parts}


class DataError(ExpectedError, ValueError):
    """A data set cannot be read or used; the message says why."""


@dataclass(frozen=True)
class DataSet:
    """A data set in memory.

    Attributes
    ----------
    name : str
    task : {"classification", "regression"}
    X : pandas.DataFrame
    y : array of shape (n,) or (n, outputs)
    positive : object
        The positive class of two, if one is named.
    notes : tuple of str
        What is to be said of how it was read.
    """

    name: str
    task: str
    X: pd.DataFrame
    y: Array
    positive: Any = None
    notes: tuple[str, ...] = ()

    @cached_property
    def layout(self) -> Layout:
        """What its columns are to an encoder, by all rows and without y."""
        return lay_out(as_given(self.X), Rules(), {}, list(self.X))

    def encoder(self) -> TableEncoder:
        """Return what makes its columns numbers on one scale, to be fitted in each fold; what a column is follows from all rows."""
        if self.layout.is_numbers:
            return TableEncoder()
        kinds = {name: column.kind for name, column in zip(self.X, self.layout.columns, strict=True)}
        return TableEncoder(kinds=kinds)

    def scorer(self, metric: str) -> Scorer:
        """Return a score of scikit-learn's that knows the classes."""
        return Scorer(metric, self.positive, self._classes)

    def with_positive(self, named: Any) -> DataSet:
        """Return the data set with a positive class, which a file names as a number or a word.

        Raises
        ------
        DataError
            If there is no such class, or there are more than two.
        """
        known = self._classes or ()
        label = next((label for label in known if _is_named(label, named)), None)
        if label is None:
            shown = quoted(list(known[:10])) + (", …" if len(known) > 10 else "")
            raise DataError(f"data.{self.name}.positive: there is no class {quoted(named)}. Classes: {shown}.")
        if len(known) != 2:
            raise DataError(f"data.{self.name}.positive: of {len(known)} classes none is the positive one.")
        return replace(self, positive=label)

    def with_rare(self, least: int, what: str) -> DataSet:
        """Return the data set without its classes of fewer rows than ``least``, or with these as one class, "other"."""
        if self._classes is None:
            return self
        classes, codes, counts = np.unique(self.y, return_inverse=True, return_counts=True)
        rare = counts < least
        if not rare.any():
            return self
        few = rare[codes]
        named = ", ".join(str(label) for label in classes[rare].tolist()[:10]) + (", …" if rare.sum() > 10 else "")
        if what == "drop":
            note = f"{few.sum()} rows of the rare classes {named} are left out."
            return replace(self, X=self.X[~few], y=self.y[~few], notes=(*self.notes, note))
        y = np.where(few, "other", self.y.astype(str)).astype(object)
        return replace(
            self, y=y, notes=(*self.notes, f"the rare classes {named} are one, 'other', of {few.sum()} rows.")
        )

    @cached_property
    def _classes(self) -> tuple[Any, ...] | None:
        if self.task != "classification" or self.y.ndim > 1:
            return None
        return tuple(np.unique(self.y).tolist())

    @property
    def fingerprint(self) -> str:
        """A hash of names, types and values: equal data have equal ones."""
        digest = hashlib.sha256()
        digest.update(repr([(str(c), str(t)) for c, t in self.X.dtypes.items()]).encode())
        digest.update(pd.util.hash_pandas_object(self.X, index=False).to_numpy().tobytes())
        target = pd.DataFrame(self.y)
        digest.update(pd.util.hash_pandas_object(target, index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]


def _is_named(label: Any, named: Any) -> bool:
    """Whether a class is the one that a file names, as a value or as the word that a table has for it."""
    if isinstance(label, bool) or isinstance(named, bool):
        return str(label).lower() == str(named).lower()
    return bool(label == named) or str(label) == str(named)


def load_bundled(name: str) -> DataSet:
    """Load a data set that has a name."""
    bundled = bundled_data()[name]
    try:
        bunch = bundled.load(as_frame=True)
        return DataSet(name, bundled.task, bunch.data, bunch.target.to_numpy())
    except Exception as error:
        raise DataError(f"data.{name}: its loader failed: {type(error).__name__}: {error}") from error


def load_file(
    name: str, path: Path, target: str, task: str, drop: list[str] | None = None, missing: list[str] | None = None
) -> DataSet:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    name : str
        The data set's name in tables.
    path : Path
        Ends in .parquet, .pq, .csv or a compressed .csv.gz; anything else is read as CSV.
    target : str
        The column to predict.
    task : {"classification", "regression"}
    drop : list of str, default=None
        Columns to leave out.
    missing : list of str, default=None
        What marks a gap in a CSV file, besides an empty cell. None for what pandas takes for one, and "?", in a column whose other
        cells are numbers; in a column of words every word is one.

    Raises
    ------
    DataError
        With the data set, the file and what is wrong.
    """
    where = f"data.{name}: {path}"
    if not path.is_file():
        raise DataError(f"{where}: there is no such file.")
    frame, notes = _read(path, where, target, missing)
    for column in [target, *(drop or [])]:
        if column not in frame.columns:
            raise DataError(f"{where}: there is no column {quoted(column)}. {nearest(column, map(str, frame.columns))}")
    if target in (drop or []):
        raise DataError(f"{where}: the target {quoted(target)} is among the columns to drop.")
    if frame.empty:
        raise DataError(f"{where}: there is no row.")
    frame = frame.drop(columns=drop or [])
    if frame.shape[1] < 2:
        raise DataError(f"{where}: there is no column besides the target {quoted(target)}.")
    gaps = int(frame[target].isna().sum())
    if gaps:
        raise DataError(
            f"{where}: the target {quoted(target)} is missing in {gaps} of {len(frame)} rows. If it is not, say what marks a gap: "
            f'data.{name}.missing = ["NA"].'
        )
    for place in [place for place in frame.columns if frame[place].dtype == object]:
        frame[place] = _as_numbers(frame[place])
    y = frame.pop(target)
    if task == "regression" and not pd.api.types.is_numeric_dtype(y):
        raise DataError(
            f"{where}: a regression needs numbers, but the target {quoted(target)} holds {quoted(y.iloc[0])}."
        )
    if task == "classification" and pd.api.types.is_float_dtype(y) and (y != y.round()).any():
        raise DataError(
            f"{where}: the target {quoted(target)} holds numbers that are no classes, such as {y[y != y.round()].iloc[0]:g}. "
            'Set task = "regression".'
        )
    for column in frame.columns:
        kinds = set(frame[column].dropna().map(type)) if frame[column].dtype == object else set()
        if kinds & {list, dict, tuple, np.ndarray} or pd.api.types.is_timedelta64_dtype(frame[column]):
            raise DataError(f"{where}: column {quoted(column)} holds neither numbers nor words; drop it or convert it.")
    try:
        numbers = frame.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: a column holds numbers that are none on a line: {reason(error)}.") from error
    if np.isinf(numbers).any():
        raise DataError(f"{where}: a column holds an infinite number.")
    if task == "regression" and not np.isfinite(y.to_numpy(dtype=float)).all():
        raise DataError(f"{where}: the target {quoted(target)} holds an infinite number.")
    values = y.to_numpy() if pd.api.types.is_numeric_dtype(y) else y.astype(str).to_numpy(dtype=object)
    return DataSet(name, task, frame, values, notes=tuple(notes))


def _as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of decimals as numbers, any other as it is."""
    cells = column.dropna() if column.dtype == object else column[:0]
    return column.astype(float) if len(cells) and all(type(cell) is Decimal for cell in cells) else column


def _read(path: Path, where: str, target: str, missing: list[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Return a table, and what is to be said of how it was read."""
    try:
        if path.suffix in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
            return frame.reset_index() if frame.index.names != [None] else frame, []
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return _read_csv(path, where, target, missing)
    except DataError:
        raise
    except pd.errors.ParserWarning as error:
        raise DataError(f"{where}: rows have more fields than the header has names.") from error
    except ImportError as error:
        raise DataError(f"{where}: Parquet files need pyarrow: pip install 'nnexp[parquet]', or pyarrow.") from error
    except Exception as error:
        raise DataError(f"{where}: cannot be read: {str(error).strip()}") from error


def _read_csv(path: Path, where: str, target: str, missing: list[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Read a CSV file; what marks a gap depends on whether a column holds numbers or words."""
    head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
    names = head.iloc[0].tolist() if len(head) else []
    if names.count(target) > 1:
        raise DataError(f"{where}: {names.count(target)} columns are called {quoted(target)}, the target.")
    gaps = ["?"] if missing is None else missing
    # Without index_col=False a row with more fields than the header would shift all columns.
    frame = pd.read_csv(path, index_col=False, na_values=gaps, keep_default_na=missing is None)
    words = [column for column in frame if frame[column].isna().all() or not _is_numeric(frame[column])]
    if words:
        as_they_are = pd.read_csv(
            path, index_col=False, dtype=str, keep_default_na=False, na_values=["", *(missing or [])],
        )  # fmt: skip
        for column in words:
            is_logical = frame[column].dtype == bool or as_they_are[column].isna().all()
            if not is_logical:
                frame[column] = as_they_are[column]
    notes = []
    if missing is None:
        doubtful = [column for column in frame if column not in words and frame[column].isna().any()]
        marks = pd.read_csv(path, index_col=False, dtype=str, keep_default_na=False) if doubtful else None
        for column in doubtful:
            assert marks is not None
            count = int((marks[column].str.strip() == "?").sum())
            if count:
                notes.append(f"column {quoted(column)}: {count} cells hold ?, which is taken for a gap among numbers.")
    return frame, notes


def _is_numeric(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and column.dtype != bool


def as_categories() -> Any:
    """Return the step that leaves columns as they are, but for words, which become categories: for models that take these."""
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(to_categories, feature_names_out="one-to-one")


def to_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of other things than numbers are categories of their text."""
    others = frame.columns.difference(_numeric(frame), sort=False)
    return frame.assign(**{name: to_text(frame[[name]])[name].astype("category") for name in others})


def _numeric(X: pd.DataFrame) -> list[Any]:
    return list(X.select_dtypes(include=["number"]).columns)


def doubtful_columns(data: DataSet) -> list[str]:
    """Say which columns are taken for something else than they may seem, and which words look like identifiers or free text."""
    notes = [f"data.{data.name}: {note[0].lower()}{note[1:]}" for note in data.layout.notes]
    for name, column in zip(data.X, data.layout.columns, strict=True):
        values, rows = data.X[name].nunique(), data.X[name].notna().sum()
        if column.kind == "category" and values > 50 and values > rows / 2:
            notes.append(
                f"data.{data.name}: column {quoted(name)} has {values} different values in {rows} rows, as identifiers and free "
                f"text have. If it is one, leave it out: drop = [{quoted(str(name))}]."
            )
    return notes


# From this share of rows on that occur more than once it is said.
_MANY_TWINS = 0.05


def leaks_of(data: DataSet) -> list[str]:
    """Say what may let a model see what it is to predict: columns that tell the target or count the rows, rows that occur twice."""
    notes = [f"data.{data.name}: {note}" for note in data.notes]
    for column in data.X.columns:
        values = data.X[column]
        if _counts_rows(str(column), values):
            what = "counts the rows: it tells where a row stands, and nothing of what it is of"
        elif data.y.ndim == 1 and _tells(values, data.y, data.task):
            what = "tells the target exactly"
        else:
            continue
        notes.append(
            f"data.{data.name}: column {quoted(str(column))} {what}. Leave it out: drop = [{quoted(str(column))}]."
        )
    whole = data.X.assign(**{f"target {i}": part for i, part in enumerate(np.atleast_2d(data.y.T))})
    try:
        twins = int(whole.duplicated(keep=False).sum())
    except TypeError:  # cells that have no hash
        twins = 0
    if twins >= _MANY_TWINS * len(whole):
        notes.append(
            f"data.{data.name}: {twins} of {len(whole)} rows occur more than once: a model is tested on rows that it has learnt."
        )
    return notes


def _counts_rows(name: str, values: pd.Series[Any]) -> bool:
    if not pd.api.types.is_integer_dtype(values) or len(values) < 10:
        return False
    first = values.iloc[0]
    return first in (0, 1) and bool((values.to_numpy() == np.arange(first, first + len(values))).all())


def _tells(values: pd.Series[Any], y: Array, task: str) -> bool:
    """Whether each value of a column stands for one value of the target, and the other way round."""
    if task == "regression":
        if not _is_numeric(values) or values.isna().any() or values.nunique() < 3:
            return False
        x = values.to_numpy(dtype=float)
        return bool(x.std() > 0 and y.std() > 0 and abs(np.corrcoef(x, y)[0, 1]) > 1 - 1e-12)
    pairs = pd.DataFrame({"value": values.astype(str).to_numpy(), "class": pd.Series(y).astype(str).to_numpy()})
    kinds = len(pairs.drop_duplicates())
    return kinds == pairs["value"].nunique() == pairs["class"].nunique()


def to_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells as text, missing ones as None."""
    text = frame.astype(object).where(frame.notna(), None)
    return text.map(lambda cell: None if cell is None else str(cell))
