"""What tells one fit, run or trial from another: keys of values, of functions and objects, of the code behind them.

A key holds what decides a result and nothing else, and is the same in every process. Of what a value is made of, code in an
installed package counts by the files of its distribution, code in a file beside by that file and what it imports from its
folder, and code without a file by what it does.
"""

from __future__ import annotations

import ast
import copyreg
import dis
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import types
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Libraries whose versions each key names by itself, so that they can be asked about.
LIBRARIES = ("numpy", "scipy", "pandas", "scikit-learn")

# Where values are kept inside each other deeper than this, something is wrong.
_DEEPEST = 100


class Unstable:
    """Notes of what has no key that would be the same in another process."""

    def __init__(self) -> None:
        self.named: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.named)


def key_of(*values: Any, unstable: Unstable | None = None) -> str:
    """Return a key of values, 24 hexadecimal digits.

    Parameters
    ----------
    *values : Any
    unstable : Unstable, default=None
        Is told what has no stable key; what depends on such a value is not to be used again.

    Examples
    --------
    >>> key_of([1, "a"]) == key_of([1, "a"]) != key_of([1, "b"])
    True
    """
    return _hash(_Content(Unstable() if unstable is None else unstable).of(values))[:24]


def digest_of(files: Iterable[Path]) -> str:
    """Return a hash of the content of files, whatever their order."""
    return _hash(sorted(_hash_of_file(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files))


def _hash(content: Any) -> str:
    return hashlib.sha256(repr(content).encode(errors="surrogatepass")).hexdigest()


@functools.lru_cache(maxsize=4096)
def _hash_of_file(path: str, changed: int, size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# What Python, and what copies and pickles, note on a class.
_OF_NO_MATTER = {
    "__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__slotnames__", "__firstlineno__",
    "__static_attributes__", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__",
    "__orig_bases__", "__abstractmethods__", "__slots__",
}  # fmt: skip


class _Content:
    """Says in texts, tuples and numbers what values are."""

    def __init__(self, unstable: Unstable) -> None:
        self._unstable = unstable
        self._known: dict[tuple[int, bool], str] = {}
        self._kept: list[Any] = []  # so that no other object gets the number of one that is known
        self._inside: list[int] = []
        # Whether an estimator counts with all that it has learnt, and not as its clone would.
        self._whole = False

    def of(self, value: Any) -> Any:
        """Return what a value is."""
        if value is None or (
            isinstance(value, bool | int | float | complex | str | bytes) and type(value).__module__ == "builtins"
        ):
            return type(value).__name__, repr(value)
        if isinstance(value, np.generic) and not isinstance(value, np.void):
            return "scalar", value.dtype.str, repr(value.item())
        if id(value) in self._inside:  # it holds itself
            return "above", len(self._inside) - self._inside.index(id(value))
        key = id(value), self._whole
        if key not in self._known:
            if len(self._inside) > _DEEPEST:
                return self._no_key(value)
            self._inside.append(id(value))
            try:
                made = _hash(self._compound(value))
            except Exception:  # whatever a foreign object may say to being looked at
                return self._no_key(value)
            finally:
                self._inside.pop()
            self._known[key] = made
            self._kept.append(value)
        return self._known[key]

    def _learnt(self, value: Any) -> Any:
        """Return what a value is that is used as it is, and not cloned first."""
        before, self._whole = self._whole, True
        try:
            return self.of(value)
        finally:
            self._whole = before

    def _compound(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.dtype):
            return "dtype", value.str, value.names
        if isinstance(value, Mapping) and type(value).__module__ in ("builtins", "collections", "types"):
            return "mapping", type(value).__name__, [(self.of(key), self.of(item)) for key, item in value.items()]
        if isinstance(value, set | frozenset):
            return "set", sorted(repr(self.of(item)) for item in value)
        if isinstance(value, list | tuple) and type(value).__module__ == "builtins":
            return type(value).__name__, [self.of(item) for item in value]
        if isinstance(value, slice | range):
            return type(value).__name__, repr(value)
        if isinstance(value, os.PathLike):
            return "path", os.fspath(value)
        if isinstance(value, types.ModuleType):
            return "module", value.__name__, home_of(value.__name__)
        if isinstance(value, type):
            return self._class(value)
        return self._callable_or_object(value)

    def _array(self, value: Any) -> Any:
        if isinstance(value, np.ma.MaskedArray):
            return "masked", self.of(np.asarray(value.data)), self.of(np.ma.getmaskarray(value))
        if value.dtype.hasobject:
            return "objects", value.shape, value.dtype.str, [self.of(element) for element in value.ravel().tolist()]
        return "array", value.shape, str(value.dtype), _hash(np.ascontiguousarray(value).tobytes())

    def _callable_or_object(self, value: Any) -> Any:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return "method", self.of(value.__func__), self._learnt(value.__self__)
        if isinstance(value, functools.partial):
            return "partial", [self._learnt(part) for part in (value.func, value.args, value.keywords)]
        if isinstance(value, types.BuiltinFunctionType):
            owner = getattr(value, "__self__", None)
            if owner is not None and not isinstance(owner, types.ModuleType):
                return "method", value.__name__, self._learnt(owner)
            return "builtin", value.__module__, value.__qualname__
        if isinstance(value, np.ufunc):
            homes = [name for name in ("numpy", "scipy.special") if name in sys.modules]
            names = [name for name in homes if getattr(sys.modules[name], value.__name__, None) is value]
            return ("ufunc", names[0], value.__name__) if names else self._no_key(value)
        if callable(value) and hasattr(value, "__wrapped__"):  # such as of functools.cache
            return "wrapped", type(value).__qualname__, self.of(value.__wrapped__)
        frame = _frame(value, self)
        return self._object(value) if frame is None else ("frame", *frame)

    def _object(self, value: Any) -> Any:
        what = self._class(type(value))
        if hasattr(value, "get_params") and not self._whole:
            if not _is_cloned_whole(type(value)):
                added = getattr(type(value), "PARAMETERS_ADDED", {})
                params = value.get_params(deep=False)
                kept = {name: v for name, v in params.items() if not (name in added and is_same(v, added[name]))}
                return "object", what, self.of(kept)
            return "object", what, self._learnt(dict(vars(value)))
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):  # the name of what its module has once
            return "object", what, reduced
        parts = [list(part) if isinstance(part, Iterator) else part for part in reduced[1:]]
        return "object", what, [self._learnt(part) for part in parts if not isinstance(part, type)]

    def _class(self, cls: type) -> Any:
        home = home_of(cls.__module__)
        if home is not None:
            return "class", cls.__module__, cls.__qualname__, home
        members = {n: part for n, part in vars(cls).items() if n not in _OF_NO_MATTER and not n.startswith("_abc_")}
        parts = [(name, [self._learnt(inner) for inner in _inside_of(part)]) for name, part in sorted(members.items())]
        return "class", cls.__qualname__, [self.of(base) for base in cls.__bases__], parts

    def _function(self, function: types.FunctionType) -> Any:
        if hasattr(function, "registry") and hasattr(function, "dispatch"):  # of functools.singledispatch
            return "dispatch", [(self.of(kind), self.of(method)) for kind, method in function.registry.items()]
        home = home_of(function.__module__)
        cells = [_cell(cell) for cell in function.__closure__ or ()]
        parts = [function.__defaults__, function.__kwdefaults__, cells, function.__dict__]
        inside = [self._learnt(part) for part in parts]
        if home is None:  # what it uses is no file's either
            names, modules = _names(function.__code__)
            used = {name: function.__globals__[name] for name in names if name in function.__globals__}
            inside += [self._learnt(used), [(name, home_of(name)) for name in modules]]
        # The module may be __main__ here and have a name elsewhere.
        return "function", function.__qualname__, home, _code(function.__code__), inside

    def _no_key(self, value: Any) -> Any:
        self._unstable.named.append(f"{type(value).__module__}.{type(value).__qualname__}")
        return "unknown", uuid.uuid4().hex


def _is_cloned_whole(cls: type) -> bool:
    """Whether a clone keeps more than the parameters, such as what another estimator has learnt."""
    clone = getattr(cls, "__sklearn_clone__", None)
    return clone is not None and not clone.__module__.startswith(("sklearn.base", "nnexp."))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _inside_of(part: Any) -> list[Any]:
    """Return what an attribute of a class is made of: the functions of a property and its like, or the attribute itself."""
    if isinstance(part, types.FunctionType | type) or not hasattr(type(part), "__get__"):
        return [part]
    names = ("__func__", "__wrapped__", "func", "fget", "fset", "fdel", "fn", "check", "dispatcher", "args", "keywords")
    inside = [getattr(part, name) for name in names if hasattr(part, name)]
    return [type(part).__name__, *inside]


def _code(code: types.CodeType) -> Any:
    """Return what a function does: its instructions, names and constants, and the functions inside it."""
    constants = [
        _code(constant) if isinstance(constant, types.CodeType) else _constant(constant) for constant in code.co_consts
    ]
    return code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants


def _constant(value: Any) -> str:
    return f"frozenset {sorted(map(repr, value))}" if isinstance(value, frozenset) else repr(value)


def _names(code: types.CodeType) -> tuple[list[str], list[str]]:
    """Return the global names that a function looks up, and the modules that it imports."""
    names, modules = set[str](), set[str]()
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(str(step.argval))
        elif step.opname == "IMPORT_NAME":
            modules.add(str(step.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = _names(constant)
            names.update(inner[0])
            modules.update(inner[1])
    return sorted(names), sorted(modules)


def _frame(value: Any, content: _Content) -> tuple[Any, ...] | None:
    """Return what a table of pandas or a sparse array of SciPy holds, or None for what is neither."""
    if hasattr(value, "tocsr"):
        rows = value.tocsr()
        return value.shape, rows.dtype.str, *(_hash(part.tobytes()) for part in (rows.data, rows.indices, rows.indptr))
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
        return None
    if isinstance(value, pandas.DataFrame):
        columns = [content.of(value.iloc[:, i].to_numpy()) for i in range(value.shape[1])]
        kinds = [str(kind) for kind in value.dtypes]
        return content.of(value.columns.tolist()), kinds, columns, content.of(value.index.to_numpy())
    index = content.of(value.index.to_numpy()) if isinstance(value, pandas.Series) else None
    return content.of(value.name), str(value.dtype), content.of(value.to_numpy()), index


def is_same(value: Any, other: str) -> bool:
    """Whether a value is a word."""
    return isinstance(value, str) and value == other


def key_of_data(part: Any) -> str:
    """Return a hash of a table, an array or a sparse array, however it is held in memory."""
    import pandas as pd

    if part is None:
        return "none"
    if hasattr(part, "tocsr"):
        rows = part.tocsr()
        part = np.concatenate([rows.data, rows.indices, rows.indptr]).astype(float)
    if isinstance(part, pd.DataFrame | pd.Series):
        return hashlib.sha256(pd.util.hash_pandas_object(part, index=False).to_numpy().tobytes()).hexdigest()
    array = np.asarray(part)
    content = repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(str((array.shape, array.dtype)).encode() + content).hexdigest()


# Code


@functools.lru_cache(maxsize=8)
def own_code(*rooms: str) -> str:
    """Return a hash of nnexp's own code in some of its rooms: modules and packages by name."""
    root = Path(__file__).parent
    files = [path for room in rooms for path in (root / room, root / f"{room}.py") if path.exists()]
    return digest_of(file for path in files for file in (path.rglob("*.py") if path.is_dir() else [path]))[:16]


# What a fit is computed by.
FITTING = (
    "network", "training", "fitting", "model", "targets", "estimator", "callbacks", "together", "_names", "_threads",
    "_identity",
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def libraries() -> Mapping[str, str]:
    """Return the versions of the libraries that decide the last bits of a result, by name."""
    return {name: importlib.metadata.version(name) for name in (*LIBRARIES, "joblib")}


def home_of(module: str | None) -> str | None:
    """Return the version of the library that a module belongs to, or a hash of its code; None for a module without a file.

    Parameters
    ----------
    module : str
        Its name, as ``__module__`` of a class or a function has it.
    """
    if module is None or module == "__main__":  # in another process that is another module
        return None
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "python"
    if top == "nnexp":  # whose own code each key names by itself
        return "nnexp"
    file = _file_of(module)
    distribution = _distributions().get(top, [None])[0]
    if distribution is not None and (file is None or Path(file).resolve().is_relative_to(_root_of(distribution))):
        return code_of_distribution(distribution)
    if file is None or not file.endswith(".py") or not Path(file).is_file():
        return None
    package = _file_of(top)
    if package is not None and Path(package).name == "__init__.py":
        return code_of_folder(Path(package).parent)
    return digest_of(files_beside(Path(file)))


def _file_of(module: str) -> str | None:
    """Return the file of a module that is loaded, or that would be."""
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None else spec.origin


@functools.lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


@functools.lru_cache(maxsize=128)
def _root_of(distribution: str) -> Path:
    """Return the folder that a distribution is installed in; the code of one that is being worked on is elsewhere."""
    return Path(str(importlib.metadata.distribution(distribution).locate_file(""))).resolve()


@functools.lru_cache(maxsize=128)
def code_of_distribution(name: str) -> str:
    """Return the version of a library, or a hash of all its files where it extends nnexp."""
    if name in LIBRARIES:
        return name
    distribution = importlib.metadata.distribution(name)
    if not any(entry.group.startswith("nnexp.") for entry in distribution.entry_points):
        return f"{name} {distribution.version}"
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
    return digest_of(file for file in files if file.suffix in (".py", ".so", ".pyd") and file.is_file())


def code_of_folder(folder: Path) -> str:
    """Return a hash of all files of Python in a folder, those in hidden folders left out."""
    files = folder.rglob("*.py")
    return digest_of(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


def files_beside(file: Path) -> set[Path]:
    """Return a file of Python and those that it imports from its folder, and what these import."""
    file = file.resolve()
    folder, contents, waiting = file.parent, set[Path](), [file]
    while waiting:
        module = waiting.pop()
        if module in contents:
            continue
        contents.add(module)
        try:
            tree = ast.parse(module.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        waiting += [path for name in _imported(tree) for path in _files_of(folder, name) if path not in contents]
    return contents


def _imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or "", *(f"{node.module}.{a.name}" if node.module else a.name for a in node.names)]
    return [name for name in names if name]


def _files_of(folder: Path, name: str) -> list[Path]:
    """Return the files that a module's name stands for in a folder, its packages included."""
    parts, files = name.split("."), []
    for i in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:i])
        files += [place.with_suffix(".py"), place / "__init__.py"]
    return [part.resolve() for part in files if part.is_file()]
