"""The space of a sweep: which parameters vary, over what, and which of them another one's choice decides.

A space is declared as a mapping, in Python or in TOML. Inside it is a tree whose leaves are single numbers or choices;
a point of the space gives each leaf that takes part a value, and is turned into parameters of an estimator.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from datetime import time as clock
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from nnexp._errors import ExpectedError, quoted
from nnexp._names import is_integer, is_number, nearest
from nnexp.network.connections import MOST_LAYERS

Value = float | int | str | bool | None
Direction = Literal["minimize", "maximize"]
Point = dict[str, Value]

_NUMBER = ["low", "high", "log", "step", "when"]
_LAYERS = ["layers", "neurons", "log", "step", "when"]


# What a space may have at most: a slip of the pen could ask for any number.
MOST_CHOICES, MOST_LEAVES = 10_000, 10_000


class SpaceError(ExpectedError, ValueError):
    """A space is empty or contradicts itself; the message names the parameter and the rule."""


@dataclass(frozen=True)
class Leaf:
    """One number, or one choice among several.

    Attributes
    ----------
    name : str
        Such as ``learning_rate`` or ``hidden_layer_sizes.neurons_1``.
    kind : {"float", "int", "choice"}
    low, high : float or int
        Both included.
    log : bool
        Whether equal ratios are equally likely.
    step : float, int or None
    choices : tuple
        Of a choice: what tables and Optuna call them.
    """

    name: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()

    @property
    def size(self) -> float:
        """How many values it has; infinite for a continuous one."""
        if self.kind == "choice":
            return len(self.choices)
        if self.step is None:
            return math.inf
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def values(self) -> list[Value]:
        """Return all its values, in order."""
        if self.kind == "choice":
            return list(self.choices)
        assert self.step is not None
        return [self._step_at(index) for index in range(int(self.size))]

    def _step_at(self, index: int) -> Value:
        """Return a stepped value; in decimals, so that 0.1 + 2 · 0.1 is 0.3."""
        if self.kind == "int":
            return int(self.low + index * int(self.step or 1))
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))

    def checked(self, value: Any) -> Value:
        """Return a value if it is one that the leaf can have.

        Raises
        ------
        SpaceError
            If it is not.
        """
        if self.kind == "choice":
            for choice in self.choices:
                if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                    return choice
            raise SpaceError(f"is one of {quoted(list(self.choices))}. Got {quoted(value)}.")
        if not is_number(value) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise SpaceError(f"is from {self.low} to {self.high}. Got {quoted(value)}.")
        if self.kind == "int" and not is_integer(value):
            raise SpaceError(f"is an integer. Got {quoted(value)}.")
        if self.step is not None:
            steps = round((value - self.low) / self.step)
            if not math.isclose(self.low + steps * self.step, value, rel_tol=1e-9, abs_tol=1e-12):
                raise SpaceError(f"goes from {self.low} in steps of {self.step}. Got {quoted(value)}.")
            return self._step_at(steps)
        return int(value) if self.kind == "int" else float(value)

    def covers(self, other: Leaf) -> bool:
        """Whether it can have every value that another leaf can have, on the same scale."""
        if (self.kind, self.log, self.step) != (other.kind, other.log, other.step):
            return False
        if self.kind == "choice":
            return {(type(choice), choice) for choice in other.choices} <= {
                (type(choice), choice) for choice in self.choices
            }
        try:
            self.checked(other.low)
            self.checked(other.high)
        except SpaceError:
            return False
        return True

    def at(self, u: float) -> Value:
        """Return the value at a place from 0 to 1, such that even places give values as they are declared to be likely."""
        if self.kind == "choice" or (self.step is not None and not self.log):
            values = self.values() if self.kind == "choice" else None
            index = min(int(u * self.size), int(self.size) - 1)
            if values is not None:
                return values[index]
            return self._step_at(index)
        if self.kind == "int":  # logarithmic, each integer with the share of the line around it
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return int(min(max(round(math.exp(low + u * (high - low))), self.low), self.high))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return float(min(max(math.exp(low + u * (high - low)), self.low), self.high))
        return float(self.low + u * (self.high - self.low))


# How near to the ends of a distribution, which may be infinite, a value is drawn, as a share.
_LEAST_SHARE = 1e-6
Draw = Callable[[Leaf], Value]


class _OpenError(Exception):
    """A leaf has no value yet."""


class _Node:
    """A declaration: draws what it needs and returns the parameter's value."""

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        raise NotImplementedError

    def place(self, value: Any) -> Point:
        """Return the values of the leaves that give a value: the inverse of `resolve`."""
        raise NotImplementedError

    def covers(self, other: _Node) -> bool:
        """Whether every point of another declaration is one of this, and means the same."""
        return False

    def leaves(self) -> Iterator[Leaf]:
        raise NotImplementedError


@dataclass(frozen=True)
class _Constant(_Node):
    value: Any

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        return self.value

    def place(self, value: Any) -> Point:
        if not _equal(self.value, value):
            raise SpaceError(f"is {quoted(self.value)}. Got {quoted(value)}.")
        return {}

    def covers(self, other: _Node) -> bool:
        return isinstance(other, _Constant) and _equal(plain(self.value), plain(other.value))

    def leaves(self) -> Iterator[Leaf]:
        return iter(())


@dataclass(frozen=True)
class _Number(_Node):
    leaf: Leaf

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        return draw(self.leaf)

    def place(self, value: Any) -> Point:
        return {self.leaf.name: self.leaf.checked(value)}

    def covers(self, other: _Node) -> bool:
        return isinstance(other, _Number) and self.leaf.covers(other.leaf)

    def leaves(self) -> Iterator[Leaf]:
        yield self.leaf


@dataclass(frozen=True)
class _Drawn(_Node):
    """A value of one of SciPy's distributions, by the share of values below it."""

    leaf: Leaf
    distribution: Any

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        share = float(draw(self.leaf))  # type: ignore[arg-type]
        value = self.distribution.ppf(min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE))
        return int(value) if hasattr(self.distribution, "pmf") else float(value)

    def place(self, value: Any) -> Point:
        if not is_number(value):
            raise SpaceError(f"must be a number. Got {quoted(value)}.")
        return {self.leaf.name: float(self.distribution.cdf(value))}

    def leaves(self) -> Iterator[Leaf]:
        yield self.leaf


@dataclass(frozen=True)
class _Choice(_Node):
    leaf: Leaf
    options: tuple[_Node, ...]

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        chosen = self.leaf.choices.index(draw(self.leaf))
        return self.options[chosen].resolve(draw, so_far)

    def place(self, value: Any) -> Point:
        for label, option in zip(self.leaf.choices, self.options, strict=True):
            with contextlib.suppress(SpaceError):
                return {self.leaf.name: label, **option.place(value)}
        raise SpaceError(f"is one of {quoted(list(self.leaf.choices))}. Got {quoted(value)}.")

    def covers(self, other: _Node) -> bool:
        if not (isinstance(other, _Choice) and self.leaf.covers(other.leaf)):
            return False
        now = {(type(label), label): option for label, option in zip(self.leaf.choices, self.options, strict=True)}
        before = zip(other.leaf.choices, other.options, strict=True)
        return all(now[type(label), label].covers(option) for label, option in before)

    def leaves(self) -> Iterator[Leaf]:
        yield self.leaf
        for option in self.options:
            yield from option.leaves()


@dataclass(frozen=True)
class _Table(_Node):
    entries: tuple[tuple[str, _Node], ...]

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        return {key: node.resolve(draw, so_far) for key, node in self.entries}

    def place(self, value: Any) -> Point:
        if not isinstance(value, Mapping) or set(value) != {key for key, _ in self.entries}:
            raise SpaceError(f"is a table of {', '.join(key for key, _ in self.entries)}. Got {quoted(value)}.")
        return {name: part for key, node in self.entries for name, part in node.place(value[key]).items()}

    def covers(self, other: _Node) -> bool:
        if not isinstance(other, _Table) or [key for key, _ in self.entries] != [key for key, _ in other.entries]:
            return False
        pairs = zip(self.entries, other.entries, strict=True)
        return all(node.covers(before) for (_, node), (_, before) in pairs)

    def leaves(self) -> Iterator[Leaf]:
        for _, node in self.entries:
            yield from node.leaves()


@dataclass(frozen=True)
class _Layers(_Node):
    """A number of layers, and for each its number of neurons."""

    count: Leaf
    neurons: tuple[Leaf, ...]

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        count = int(draw(self.count))  # type: ignore[arg-type]
        return [draw(leaf) for leaf in self.neurons[:count]]

    def place(self, value: Any) -> Point:
        if not isinstance(value, list | tuple):
            raise SpaceError(f"is a list of layers. Got {quoted(value)}.")
        count = self.count.checked(len(value))
        return {self.count.name: count} | {
            leaf.name: leaf.checked(n) for leaf, n in zip(self.neurons, value, strict=False)
        }

    def covers(self, other: _Node) -> bool:
        return (
            isinstance(other, _Layers)
            and self.count.covers(other.count)
            and all(leaf.covers(before) for leaf, before in zip(self.neurons, other.neurons, strict=False))
        )

    def leaves(self) -> Iterator[Leaf]:
        yield self.count
        yield from self.neurons


@dataclass(frozen=True)
class _PerLayer(_Node):
    """One choice for each hidden layer that there is."""

    options: tuple[_Choice, ...]
    fixed: int | None
    layers: str

    def resolve(self, draw: Draw, so_far: dict[str, Any]) -> Any:
        sizes = so_far.get(self.layers)
        count = self.fixed if self.fixed is not None else len(sizes) if isinstance(sizes, list | tuple) else 1
        return [option.resolve(draw, so_far) for option in self.options[:count]]

    def place(self, value: Any) -> Point:
        if not isinstance(value, list | tuple) or len(value) > len(self.options):
            raise SpaceError(f"is a list of at most {len(self.options)} entries. Got {quoted(value)}.")
        return {
            name: part
            for option, each in zip(self.options, value, strict=False)
            for name, part in option.place(each).items()
        }

    def covers(self, other: _Node) -> bool:
        return (
            isinstance(other, _PerLayer)
            and (self.fixed, self.layers) == (other.fixed, other.layers)
            and len(self.options) >= len(other.options)
            and all(option.covers(before) for option, before in zip(self.options, other.options, strict=False))
        )

    def leaves(self) -> Iterator[Leaf]:
        for option in self.options:
            yield from option.leaves()


@dataclass(frozen=True)
class _Parameter:
    name: str
    node: _Node
    when: tuple[tuple[str, tuple[Any, ...]], ...]


class Space:
    """The parameters that a sweep varies.

    Parameters
    ----------
    declaration : mapping
        From the name of a parameter to what it varies over:

        - ``[a, b, c]``: a choice among these. One of them may be a table such as ``{"name": "sgd", "momentum": {...}}``, whose
          own declarations take part where it is chosen.
        - ``{"low": a, "high": b}``: a number, an integer if both ends are, with ``log=True`` by its ratio, and with
          ``step`` in steps.
        - ``{"layers": [a, b], "neurons": [c, d]}``: for ``hidden_layer_sizes``, a number of layers and for each a number of
          neurons, with ``log`` and ``step`` of the neurons.
        - ``{"per_layer": [a, b]}``: for ``activation``, one choice for each hidden layer.
        - a distribution of Optuna.
        - a frozen distribution of SciPy, such as ``scipy.stats.loguniform(1e-4, 1e-1)``. A uniform, loguniform or randint one is a
          range; of any other a trial notes the share of values below the one it has.

        The values of a choice may be of any kinds, ``["auto", 0.001, None]``.

        A table with ``when={"other": value}`` takes part only where the other parameter, declared before it, has that value,
        or one of a list of values.

    estimator : estimator, default=None
        What has the parameters; its own ``hidden_layer_sizes`` counts where that does not vary.

    Raises
    ------
    SpaceError
        With a line for each mistake.

    Examples
    --------
    >>> space = Space({
    ...     "hidden_layer_sizes": {"layers": [1, 2], "neurons": [8, 32], "log": True},
    ...     "optimizer": ["adam", {"name": "momentum", "momentum": {"low": 0.5, "high": 0.99}}],
    ... })
    >>> [leaf.name for leaf in space.leaves][:3]
    ['hidden_layer_sizes.layers', 'hidden_layer_sizes.neurons_1', 'hidden_layer_sizes.neurons_2']
    >>> space.parameters({"hidden_layer_sizes.layers": 1, "hidden_layer_sizes.neurons_1": 16, "optimizer": "adam"})
    {'hidden_layer_sizes': [16], 'optimizer': 'adam'}
    """

    def __init__(self, declaration: Mapping[str, Any], estimator: Any = None) -> None:
        self.raw, self._estimator = declaration, estimator
        self.declaration = plain(declaration) if isinstance(declaration, Mapping) else declaration
        if not isinstance(declaration, Mapping) or not declaration:
            raise SpaceError("A space needs at least one parameter that varies, such as learning_rate = [0.01, 0.1].")
        self._parameters: list[_Parameter] = []
        problems = []
        for name, declared in declaration.items():
            try:
                self._parameters.append(self._parse(str(name), declared, declaration, estimator))
            except SpaceError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise SpaceError("\n".join(problems))
        self.leaves = [leaf for parameter in self._parameters for leaf in parameter.node.leaves()]
        if len(self.leaves) > MOST_LEAVES:
            raise SpaceError(
                f"This space has {len(self.leaves):,} numbers and choices; at most {MOST_LEAVES:,} can be searched."
            )
        if not self.leaves:
            raise SpaceError("Nothing in this space varies: every parameter has one value only.")
        if len({leaf.name for leaf in self.leaves}) < len(self.leaves):
            raise SpaceError("Two choices of this space have the same name; give each table another name.")
        self._conditional = any(p.when for p in self._parameters) or any(
            isinstance(p.node, _Layers | _PerLayer | _Choice) and len(list(p.node.leaves())) > 1
            for p in self._parameters
        )

    def __repr__(self) -> str:
        return f"<Space of {len(self.names)} parameters: {', '.join(self.names)}>"

    @property
    def names(self) -> list[str]:
        """The parameters of the estimator that vary."""
        return [parameter.name for parameter in self._parameters]

    @property
    def is_conditional(self) -> bool:
        """Whether some leaves take part only where others have certain values."""
        return self._conditional

    def walk(self, draw: Draw) -> tuple[Point, dict[str, Any]]:
        """Draw a value for each leaf that takes part; return the point and the parameters of the estimator."""
        point: Point = {}
        chosen: dict[str, Any] = {}

        def noted(leaf: Leaf) -> Value:
            point[leaf.name] = value = draw(leaf)
            return value

        for parameter in self._parameters:
            if all(other in chosen and _chosen(chosen[other], values) for other, values in parameter.when):
                chosen[parameter.name] = parameter.node.resolve(noted, chosen)
        return point, chosen

    def has(self, point: Point) -> bool:
        """Whether a point is in the space: it has a value of each leaf that takes part, and no other."""
        try:
            walked = self.walk(lambda leaf: leaf.checked(point[leaf.name]))[0]
        except (KeyError, SpaceError):
            return False
        return walked == point

    def lacks(self, declaration: Any) -> str:
        """Return what another space, given by its plain declaration, has and this one has not, or how it is other; else nothing."""
        try:
            before = Space(declaration, self._estimator)
        except (SpaceError, TypeError, ValueError):
            return "what it was is not known"
        now = {parameter.name: parameter for parameter in self._parameters}
        for parameter in before._parameters:
            name = parameter.name
            if name not in now:
                return f"{name} is missing"
            if plain(parameter.when) != plain(now[name].when):
                return f"{name} takes part where it did not, or the other way round"
            is_same = declaration[name] == self.declaration[name]
            if not (is_same or now[name].node.covers(parameter.node)):
                return f"{name} does not have all that it had, on the same scale"
        new = [name for name in now if name not in declaration]
        return f"{new[0]} is new" if new else ""

    def place(self, parameters: Mapping[str, Any]) -> Point:
        """Return the values of leaves that some parameters of the estimator fix; of what is not named none.

        Raises
        ------
        SpaceError
            If a parameter does not vary, or cannot have its value, with a line for each.
        """
        nodes = {parameter.name: parameter.node for parameter in self._parameters}
        point: Point = {}
        problems = []
        for given, value in parameters.items():
            name = given if given in nodes else next((full for full in nodes if full.endswith(f"__{given}")), None)
            if name is None:
                problems.append(f"{quoted(given)} does not vary. {nearest(str(given), nodes)}")
                continue
            try:
                point |= nodes[name].place(value)
            except SpaceError as error:
                problems.append(f"{given} {error}")
        if problems:
            raise SpaceError("\n".join(problems))
        return point

    def parameters(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """Return the parameters of the estimator at a point."""
        try:
            return self.walk(lambda leaf: point[leaf.name])[1]
        except KeyError as error:
            raise SpaceError(f"A point of a space lacks {quoted(error.args[0])}.") from error

    def grid(self) -> Iterator[Point]:
        """Yield every point once, in order.

        Raises
        ------
        SpaceError
            If a number is continuous.
        """
        for leaf in self.leaves:
            if leaf.size == math.inf:
                raise SpaceError(f"{leaf.name}: a grid needs a step, or a list of values.")
        yield from self._expand({})

    def _expand(self, fixed: Point) -> Iterator[Point]:
        missing: list[Leaf] = []

        def draw(leaf: Leaf) -> Value:
            if leaf.name not in fixed:
                missing.append(leaf)
                raise _OpenError
            return fixed[leaf.name]

        try:
            point, _ = self.walk(draw)
        except _OpenError:
            for value in missing[0].values():
                yield from self._expand({**fixed, missing[0].name: value})
        else:
            yield point

    def grid_size(self) -> int:
        """Return how many points the grid has."""
        return sum(1 for _ in self.grid())

    def _parse(self, name: str, declared: Any, whole: Mapping[str, Any], estimator: Any) -> _Parameter:
        when: list[tuple[str, tuple[Any, ...]]] = []
        if isinstance(declared, Mapping) and "when" in declared:
            conditions = declared["when"]
            declared = {key: value for key, value in declared.items() if key != "when"}
            if not isinstance(conditions, Mapping) or not conditions:
                raise SpaceError(
                    'when must be a table of other parameters and values, such as { descent = "mini-batch" }.'
                )
            before = self.names
            for other, values in conditions.items():
                if other not in before:
                    reason = "is declared after it" if other in whole and other != name else "does not vary"
                    raise SpaceError(f"when names {quoted(other)}, which {reason}. {nearest(str(other), before)}")
                allowed = tuple(values) if isinstance(values, list | tuple) else (values,)
                if not allowed:
                    raise SpaceError(f"when has no value of {quoted(other)}.")
                self._check_reachable(other, allowed)
                when.append((other, allowed))
            if set(declared) == {"choices"}:
                declared = declared["choices"]
        node = self._node(name, declared)
        if isinstance(declared, Mapping) and "per_layer" in declared:
            node = self._per_layer(name, declared, estimator)
        return _Parameter(name, node, tuple(when))

    def _check_reachable(self, other: str, allowed: tuple[Any, ...]) -> None:
        node = next(parameter.node for parameter in self._parameters if parameter.name == other)
        if isinstance(node, _Choice):
            for value in allowed:
                constants = [option.value for option in node.options if isinstance(option, _Constant)]
                if not any(value == choice for choice in (*node.leaf.choices, *constants)):
                    raise SpaceError(
                        f"{other} is never {quoted(value)}. {nearest(str(value), map(str, node.leaf.choices))}"
                    )
        elif isinstance(node, _Number):
            for value in allowed:
                if not is_number(value) or not node.leaf.low <= value <= node.leaf.high:
                    raise SpaceError(
                        f"{other} is never {quoted(value)}: it is from {node.leaf.low} to {node.leaf.high}."
                    )
        else:
            raise SpaceError(f"when can name a choice or a number, and {other} is neither.")

    def _per_layer(self, name: str, declared: Mapping[str, Any], estimator: Any) -> _PerLayer:
        if set(declared) != {"per_layer"}:
            raise SpaceError(f"per_layer goes with nothing else. Got {', '.join(map(str, declared))}.")
        layers = name[: len(name) - len(name.rpartition("__")[2])] + "hidden_layer_sizes"
        sizes = next((p for p in self._parameters if p.name == layers), None)
        fixed = None
        if sizes is None:
            given = None if estimator is None else estimator.get_params().get(layers)
            if given is None:
                raise SpaceError("per_layer needs hidden_layer_sizes, declared before it.")
            count = fixed = len(given) if isinstance(given, list | tuple) else 1
        elif isinstance(sizes.node, _Layers):
            count = len(sizes.node.neurons)
        else:
            lists = [o.value for o in getattr(sizes.node, "options", ()) if isinstance(getattr(o, "value", None), list)]
            count = max((len(choices) for choices in lists), default=1)
        options = tuple(self._choice(f"{name}.layer_{i + 1}", declared["per_layer"]) for i in range(count))
        return _PerLayer(options, fixed, layers)

    def _node(self, name: str, declared: Any) -> _Node:
        if isinstance(declared, np.ndarray | range | set | frozenset):
            declared = sorted(declared) if isinstance(declared, set | frozenset) else [*np.asarray(declared).tolist()]
        if _is_of_scipy(declared):
            return self._from_scipy(name, declared)
        if hasattr(declared, "rvs"):
            raise SpaceError(
                "is a distribution without parameters; freeze it, such as loguniform(0.001, 0.1), or write a range, such as "
                "{low = 0.001, high = 0.1, log = true}."
            )
        if isinstance(declared, list | tuple):
            return self._choice(name, declared)
        if isinstance(declared, Mapping):
            if "low" in declared or "high" in declared:
                return _Number(_number(name, declared))
            if "layers" in declared or "neurons" in declared:
                return _layers(name, declared)
            if "per_layer" in declared:
                return _Constant(None)  # comes once the layers are known
            return _Table(tuple((str(key), self._node_inside(f"{name}.{key}", part)) for key, part in declared.items()))
        if hasattr(declared, "to_internal_repr"):  # a distribution of Optuna
            return self._from_optuna(name, declared)
        return _Constant(declared)

    def _node_inside(self, name: str, declared: Any) -> _Node:
        """Return what stands in a table: a list there is a value like any other, and `choices` makes a choice."""
        if isinstance(declared, Mapping) and set(declared) == {"choices"}:
            return self._choice(name, declared["choices"])
        return _Constant(declared) if isinstance(declared, list | tuple) else self._node(name, declared)

    def _from_optuna(self, name: str, distribution: Any) -> _Node:
        if hasattr(distribution, "choices"):
            return self._choice(name, list(distribution.choices))
        ends = {"low": distribution.low, "high": distribution.high, "log": distribution.log}
        if distribution.step is not None and not (is_integer(distribution.low) and distribution.log):
            ends["step"] = distribution.step
        return _Number(_number(name, ends))

    def _from_scipy(self, name: str, distribution: Any) -> _Node:
        kind = distribution.dist.name
        low, high = (end.item() if hasattr(end, "item") else end for end in distribution.support())
        if kind in ("uniform", "loguniform", "reciprocal"):
            return _Number(_range(name, float(low), float(high), kind != "uniform", None))
        if kind == "randint":
            low, high = int(low), int(high)
            return _Number(_range(name, low, high, False, None)) if low < high else _Constant(low)
        return _Drawn(Leaf(name, "float", 0.0, 1.0), distribution)

    def _choice(self, name: str, options: Any) -> _Choice:
        if not isinstance(options, list | tuple) or not options:
            raise SpaceError("has no value to choose from.")
        if len(options) > MOST_CHOICES:
            raise SpaceError(f"has {len(options):,} values to choose from; at most {MOST_CHOICES:,} can be told apart.")
        if any(isinstance(option, date | clock) for option in options):
            raise SpaceError("holds a date, which is no parameter of an estimator.")
        labels: list[Value] = []
        seen: set[tuple[type, Value]] = set()
        nodes: list[_Node] = []
        for option in options:
            scalar = option is None or isinstance(option, bool | str) or is_number(option)
            label: Value = option if scalar else _label(option)
            if is_number(label) and not isinstance(label, bool):
                if not -1e308 < label < 1e308:  # type: ignore[operator]
                    raise SpaceError("holds a number that is not finite, or too large.")
                label = int(label) if is_integer(label) else float(label)  # type: ignore[arg-type]
            if (type(label), label) in seen:
                raise SpaceError(f"{quoted(label)} stands there twice.")
            if label in labels:
                raise SpaceError(f"holds {labels[labels.index(label)]} and {label}, which Python takes for equal.")
            seen.add((type(label), label))
            labels.append(label)
            if isinstance(option, Mapping) and all(isinstance(key, str) for key in option):
                nodes.append(
                    _Table(tuple((str(k), self._node_inside(f"{name}.{label}.{k}", v)) for k, v in option.items()))
                )
            else:
                nodes.append(_Constant(list(option) if isinstance(option, tuple) else option))
        return _Choice(Leaf(name, "choice", choices=tuple(labels)), tuple(nodes))


def _chosen(value: Any, allowed: Sequence[Any]) -> bool:
    name = _label(value) if isinstance(value, Mapping | list | tuple) else value
    return any(choice in (value, name) for choice in allowed)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are the same; a list is the same as a tuple."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    try:
        return bool(one == other)
    except (TypeError, ValueError):
        return one is other


def _is_of_scipy(value: Any) -> bool:
    """Whether an object is one of SciPy's distributions with its parameters."""
    return all(hasattr(value, name) for name in ("dist", "args", "kwds", "ppf", "support"))


def _label(option: Any) -> str:
    """Return what a table or a list is called: by its name, or as JSON."""
    if isinstance(option, Mapping) and isinstance(option.get("name"), str):
        return str(option["name"])
    if isinstance(option, Mapping | list | tuple):
        return json.dumps(plain(option), default=str)
    return _shown(option)


def _shown(value: Any) -> str:
    """Return an object as text that is the same in each process."""
    if _is_of_scipy(value):
        given = [*map(repr, value.args), *(f"{name}={part!r}" for name, part in value.kwds.items())]
        return f"{value.dist.name}({', '.join(given)})"
    if callable(value) and hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _number(name: str, declared: Mapping[str, Any]) -> Leaf:
    _check_keys(declared, _NUMBER)
    for end in ("low", "high"):
        if end not in declared:
            raise SpaceError(f"has no {end}.")
    low, high = declared["low"], declared["high"]
    return _range(name, low, high, declared.get("log", False), declared.get("step"))


def _range(name: str, low: Any, high: Any, log: Any, step: Any) -> Leaf:
    for value in (low, high):
        if not is_number(value) or isinstance(value, bool) or abs(value) > 1e18 or value != value:
            raise SpaceError(f"low and high must be finite numbers of at most 10¹⁸. Got {str(value)[:40]}.")
    if not isinstance(log, bool):
        raise SpaceError(f"log must be true or false. Got {quoted(log)}.")
    if low >= high:
        raise SpaceError(f"low={low} must be below high={high}.")
    whole = is_integer(low) and is_integer(high)
    if log and low <= 0:
        raise SpaceError(f"on a log scale low must be above 0. Got {low}.")
    if step is not None:
        if not is_number(step) or isinstance(step, bool) or not 0 < step <= high - low:
            raise SpaceError(f"step must be a number above 0 and at most high − low. Got {quoted(step)}.")
        if log:
            raise SpaceError("log and step contradict each other: take one of them.")
        whole = whole and is_integer(step)
    if whole:
        gap = int(step) if step is not None else 1
        top = int(low) + (int(high) - int(low)) // gap * gap
        return Leaf(name, "int", int(low), top, log, gap)
    if step is not None:
        high = float(Decimal(str(low)) + math.floor((high - low) / step + 1e-9) * Decimal(str(step)))
    return Leaf(name, "float", float(low), float(high), log, None if step is None else float(step))


def _layers(name: str, declared: Mapping[str, Any]) -> _Layers:
    _check_keys(declared, _LAYERS)
    ends = []
    for key in ("layers", "neurons"):
        if key not in declared:
            raise SpaceError(f"has no {key}.")
        pair = [declared[key]] * 2 if is_integer(declared[key]) else declared[key]
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(is_integer(end) for end in pair):
            raise SpaceError(f"{key} must be two integers, the least and the most. Got {quoted(declared[key])}.")
        if not (0 if key == "layers" else 1) <= pair[0] <= pair[1]:
            raise SpaceError(f"{key} must be two integers, the least before the most. Got {list(pair)}.")
        ends.append((int(pair[0]), int(pair[1])))
    (fewest, most), (low, high) = ends
    if most == 0:
        raise SpaceError("there is no layer to vary.")
    if most > MOST_LAYERS - 2:
        raise SpaceError(f"layers must be at most {MOST_LAYERS - 2}. Got {most:,}.")
    if not isinstance(declared.get("log", False), bool):
        raise SpaceError(f"log must be true or false. Got {quoted(declared['log'])}.")

    def leaf(part: str, a: int, b: int, log: bool, step: Any) -> Leaf:
        whole = f"{name}.{part}"
        return Leaf(whole, "choice", choices=(a,)) if a == b else _range(whole, a, b, log, step)

    count = leaf("layers", fewest, most, False, None)
    neurons = tuple(
        leaf(f"neurons_{i + 1}", low, high, declared.get("log", False), declared.get("step")) for i in range(most)
    )
    return _Layers(count, neurons)


def _check_keys(declared: Mapping[str, Any], known: list[str]) -> None:
    for key in declared:
        if key not in known:
            raise SpaceError(f"unknown key {quoted(key)}. {nearest(str(key), known)}")


def plain(value: Any) -> Any:
    """Return a declaration in what JSON has, with objects as they show themselves."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _shown(value)
