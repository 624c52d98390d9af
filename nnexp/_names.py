"""Names for parts, and the sentences said when a name or a number is wrong.

A part (an activation, an error function, an optimiser, an algorithm) can be given in three ways everywhere:
by its name, by a mapping ``{"name": ..., parameter: value}`` as files have it, or as an object.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from nnexp._errors import quoted
from nnexp._plugins import Plugins

T = TypeVar("T")


# What parts are called in other libraries.
_ELSEWHERE = {
    "logistic": "sigmoid", "linear": "identity", "swish": "silu", "sin": "sine", "exp": "exponential", "mse": "squared_error",
    "mae": "absolute_error", "log_loss": "cross_entropy", "bce": "binary_cross_entropy", "pinball": "quantile",
    "adaptive": "plateau", "reduce_on_plateau": "plateau", "onecycle": "one_cycle", "ga": "genetic", "backpropagation": "backprop",
    "sgd_momentum": "momentum", "none": "constant",
}  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> str:
    """Give the known names as the end of an error message, the nearest one first if there is one.

    Examples
    --------
    >>> nearest("tahn", ["relu", "tanh"])
    "Did you mean 'tanh'? Known: relu, tanh."
    """
    options = list(known)
    meant = _ELSEWHERE.get(str(name).lower())
    if meant in options:
        return f"Here it is called {quoted(meant)}. Known: {', '.join(options)}."
    matches = difflib.get_close_matches(str(name).lower(), [option.lower() for option in options], n=1)
    hint = ""
    if matches:
        hint = f"Did you mean {quoted(next(o for o in options if o.lower() == matches[0]))}? "
    return f"{hint}Known: {', '.join(options)}."


def _shown(parameter: inspect.Parameter) -> str:
    """Return a setting of a part with its default."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"{parameter.name}, a list"
    if parameter.default is parameter.empty:
        return f"{parameter.name}, needed"
    if parameter.default is None:
        return f"{parameter.name}, which may be left out"
    return f"{parameter.name} = {parameter.default!r}"


class Registry(Mapping[str, T], Generic[T]):
    """The table of names of one kind of part; a value is the class or the factory that makes the part.

    Parameters
    ----------
    kind : str
        Such as "activation", for messages.
    base : type
        The class of all parts.
    parts : iterable of types
    group : str, default=""
        The group of entry points by which other packages declare more parts: a class with a ``name``, or an object.
    """

    def __init__(self, kind: str, base: type, parts: Iterable[type], group: str = "") -> None:
        self.kind = kind
        self.base = base
        self._own: dict[str, type] = {part.name: part for part in parts}  # type: ignore[attr-defined]
        self.plugins = Plugins(group, self._check_plugin)

    def add(self, part: type) -> None:
        """Put a part into the table."""
        self._own[part.name] = part  # type: ignore[attr-defined]

    @property
    def _parts(self) -> dict[str, Any]:
        if not self.plugins.group:
            return self._own
        self.plugins.load(self._own)
        return {**self._own, **self.plugins.parts}

    def _check_plugin(self, name: str, part: Any) -> Any:
        if isinstance(part, type) and issubclass(part, self.base):
            made = part()
        elif isinstance(part, self.base):
            made, part = part, _Ready(part)
        else:
            raise TypeError(f"it must be a subclass or an object of {self.base.__name__}, and is {quoted(part)}")
        if getattr(made, "name", None) != name:
            raise ValueError(
                f"the entry point is called {quoted(name)}, and the part {quoted(getattr(made, 'name', None))}"
            )
        return part

    def __getitem__(self, name: str) -> T:
        return self._parts[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def describe(self, part: Any) -> tuple[str, dict[str, Any]] | None:
        """Return the name and the settings that make an object anew from this table, or None if it has none there."""
        for name, entry in self._parts.items():
            if isinstance(entry, _Ready) and entry.part == part:
                return name, {}
            if type(part) is entry:
                if dataclasses.is_dataclass(part):
                    return name, {
                        field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init
                    }
                return name, {key: getattr(part, key) for key in inspect.signature(entry).parameters}
        return None

    def types(self) -> list[type]:
        """Return the classes of nnexp's own parts."""
        return list(self._own.values())

    def summary(self, name: str) -> str:
        """Return the first line of the part's docstring, and its settings with their defaults."""
        part = self._parts[name]
        line = (inspect.getdoc(part) or "").partition("\n")[0]
        settings = [_shown(parameter) for parameter in inspect.signature(part).parameters.values()]
        described = f"{line} Settings: {', '.join(settings)}." if settings else line
        return f"{described} (from {self.plugins.packages[name]})" if name in self.plugins.packages else described

    def resolve(self, part: Any, parameter: str) -> T:
        """Make the part that a name, a mapping with a name, or an object stands for.

        Parameters
        ----------
        part : str, mapping or object
            What the user gave.
        parameter : str
            The parameter it was given for, named in the error message.

        Raises
        ------
        ValueError
            For an unknown name or parameter; the nearest match is named.
        TypeError
            For anything that is no part.
        """
        if isinstance(part, self.base):
            return part  # type: ignore[return-value]
        if isinstance(part, str):
            return self._class(part, parameter)()
        if isinstance(part, Mapping) and "name" in part:
            settings = {key: value for key, value in part.items() if key != "name"}
            cls = self._class(part["name"], parameter)
            signature = inspect.signature(cls).parameters
            known = list(signature)
            for key in settings:
                if key not in known:
                    moved = getattr(cls, "MOVED", {}).get(key)
                    raise ValueError(
                        f"{parameter}: {self.kind} {quoted(part['name'])} has no parameter {quoted(key)}. "
                        + (moved or (nearest(key, known) if known else "It has none."))
                    )
            several = next(
                (parameter.name for parameter in signature.values() if parameter.kind is parameter.VAR_POSITIONAL), ""
            )
            positional = settings.pop(several, ())
            if several and not isinstance(positional, list | tuple):
                raise TypeError(f"{parameter}: {several} must be a list. Got {quoted(positional)}.")
            return cls(*positional, **settings)
        article = "an" if self.kind[0] in "aeiou" else "a"
        raise TypeError(
            f"{parameter} must be the name of {article} {self.kind} ({', '.join(self)}), a mapping with its 'name', "
            f"or an object of {self.base.__name__}. Got {quoted(part)}."
        )

    def _class(self, name: Any, parameter: str) -> Any:
        if not isinstance(name, str) or name not in self._parts:
            if isinstance(name, str) and name in self.plugins.broken:
                raise ValueError(f"{parameter}: the plug-in {quoted(name)} cannot be used. {self.plugins.broken[name]}")
            raise ValueError(f"{parameter}: unknown {self.kind} {quoted(name)}. {nearest(name, self)}")
        return self._parts[name]


class _Ready:
    """A part that a plug-in declares as an object, without settings."""

    def __init__(self, part: Any) -> None:
        self.part = part
        self.__doc__ = f"{getattr(part, 'name', '')}: {inspect.getdoc(type(part)) or ''}".partition("\n")[0]

    def __call__(self) -> Any:
        return self.part


def is_number(value: Any) -> bool:
    """Whether the value is a real number; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Whether the value is a whole number of an integer type; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -float("inf"),
    high: float = float("inf"),
    open_low: bool = False,
    open_high: bool = False,
    integer: bool = False,
) -> Any:
    """Return the value if it is a number inside its interval; say what is wrong otherwise."""
    if isinstance(value, numbers.Integral) and abs(int(value)) > 2**62:
        raise ValueError(f"{name} is too large: more than 2⁶².")
    if not (is_integer(value) if integer else is_number(value)):
        raise TypeError(f"{name} must be {'an integer' if integer else 'a number'}. Got {quoted(value)}.")
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left, right = ("(" if open_low else "["), (")" if open_high else "]")
        interval = f"{left}{low:g}, {high:g}{right}".replace("inf]", "inf)")
        raise ValueError(f"{name} must be in {interval}. Got {quoted(value)}.")
    return value


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return the value if it is one of the choices; name the nearest one otherwise."""
    options = list(choices)
    if not any(value is option or (isinstance(value, str) and value == option) for option in options):
        names = [str(option) for option in options]
        raise ValueError(f"{name}: unknown value {quoted(value)}. {nearest(str(value), names)}")
    return value
