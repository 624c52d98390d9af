"""Names for parts, and the sentences said when a name or a number is wrong.

A part (an activation, an error function, an optimiser, an algorithm) can be given in three ways everywhere:
by its name, by a mapping ``{"name": ..., parameter: value}`` as files have it, or as an object.
"""

from __future__ import annotations

import difflib
import inspect
import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Give the known names as the end of an error message, the nearest one first if there is one.

    Examples
    --------
    >>> nearest("tahn", ["relu", "tanh"])
    "Did you mean 'tanh'? Known: relu, tanh."
    """
    options = list(known)
    matches = difflib.get_close_matches(str(name).lower(), [option.lower() for option in options], n=1)
    hint = ""
    if matches:
        hint = f"Did you mean {next(o for o in options if o.lower() == matches[0])!r}? "
    return f"{hint}Known: {', '.join(options)}."


class Registry(Mapping[str, T], Generic[T]):
    """The table of names of one kind of part; a value is the class or the factory that makes the part."""

    def __init__(self, kind: str, base: type, parts: Iterable[type]) -> None:
        self.kind = kind
        self.base = base
        self._parts: dict[str, type] = {part.name: part for part in parts}  # type: ignore[attr-defined]

    def __getitem__(self, name: str) -> T:
        return self._parts[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def has(self, part: Any) -> bool:
        """Whether an object can be made anew from a name of this table and settings."""
        return any(type(part) is own for own in self._parts.values())

    def summary(self, name: str) -> str:
        """Return the first line of the part's docstring, and its settings with their defaults."""
        part = self._parts[name]
        line = (inspect.getdoc(part) or "").partition("\n")[0]
        settings = [f"{p.name} = {p.default!r}" for p in inspect.signature(part).parameters.values()]
        return f"{line} Settings: {', '.join(settings)}." if settings else line

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
            known = list(inspect.signature(cls).parameters)
            for key in settings:
                if key not in known:
                    raise ValueError(
                        f"{parameter}: {self.kind} {part['name']!r} has no parameter {key!r}. "
                        + (nearest(key, known) if known else "It has none.")
                    )
            return cls(**settings)
        raise TypeError(
            f"{parameter} must be the name of an {self.kind} ({', '.join(self)}), a mapping with its 'name', "
            f"or an object of {self.base.__name__}. Got {part!r}."
        )

    def _class(self, name: Any, parameter: str) -> type:
        if not isinstance(name, str) or name not in self._parts:
            raise ValueError(f"{parameter}: unknown {self.kind} {name!r}. {nearest(name, self)}")
        return self._parts[name]


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
        raise TypeError(f"{name} must be {'an integer' if integer else 'a number'}. Got {value!r}.")
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        left, right = ("(" if open_low else "["), (")" if open_high else "]")
        interval = f"{left}{low:g}, {high:g}{right}".replace("inf]", "inf)")
        raise ValueError(f"{name} must be in {interval}. Got {value!r}.")
    return value


def check_choice(name: str, value: Any, choices: Iterable[Any]) -> Any:
    """Return the value if it is one of the choices; name the nearest one otherwise."""
    options = list(choices)
    if not any(value is option or (isinstance(value, str) and value == option) for option in options):
        names = [str(option) for option in options]
        raise ValueError(f"{name}: unknown value {value!r}. {nearest(str(value), names)}")
    return value
