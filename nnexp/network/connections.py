"""Connections: which neurons of which earlier layers feed a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._names import is_integer, is_number, nearest

Array = NDArray[Any]


PATTERNS = {
    "full": "each layer feeds the next one",
    "skip": "each layer feeds every later one",
    "a density": "a number in (0, 1]: the share of the connections between consecutive layers that is kept",
    "masks": 'a mapping from pairs of layers, such as "input -> hidden_1", to "full", a density or a mask of 0 and 1',
}


@dataclass(frozen=True, eq=False)
class Connection:
    """The connections from one layer to a later one.

    Attributes
    ----------
    source, target : int
        Numbers of the layers; 0 is the input.
    mask : array of bool, shape (neurons of source, neurons of target), or None
        Which of them exist; None for all.
    """

    source: int
    target: int
    mask: Array | None = None


# What a network may have at most: a file, or a slip of the pen, could ask for any number.
MOST_LAYERS, MOST_PAIRS = 1_000, 20_000


def layer_names(n_layers: int) -> list[str]:
    """Return the names of the layers: input, hidden_1, ..., output.

    Examples
    --------
    >>> layer_names(3)
    ['input', 'hidden_1', 'output']
    """
    return ["input", *(f"hidden_{i}" for i in range(1, n_layers - 1)), "output"]


def resolve_connections(connections: Any, layer_sizes: Sequence[int], rng: np.random.Generator) -> list[Connection]:
    """Make the list of connections, by target and then by source, that a user's word or masks stand for.

    Parameters
    ----------
    connections : "full", "skip", float in (0, 1], or mapping
        See `Network`.
    layer_sizes : sequence of int
        Neurons of each layer, input first.
    rng : numpy.random.Generator
        Draws the connections that a density keeps.
    """
    n_layers = len(layer_sizes)
    given = n_layers * (n_layers - 1) // 2 if isinstance(connections, str) and connections == "skip" else 0
    given = len(connections) if isinstance(connections, Mapping) else given
    if given > min(MOST_PAIRS, n_layers**2):
        raise ValueError(
            f"connections: {given:,} pairs of layers are too many for {n_layers} layers; at most {MOST_PAIRS:,} can be connected."
        )
    consecutive = [(target - 1, target) for target in range(1, n_layers)]
    if isinstance(connections, str):
        if connections == "full":
            return [Connection(*pair) for pair in consecutive]
        if connections == "skip":
            return [Connection(i, j) for j in range(1, n_layers) for i in range(j)]
        raise ValueError(
            f"connections: unknown pattern {quoted(connections)}. {nearest(connections, ['full', 'skip'])}"
        )
    if is_number(connections):
        return [_make(pair, connections, layer_sizes, rng) for pair in consecutive]
    if isinstance(connections, Mapping):
        numbers = {name: number for number, name in enumerate(layer_names(n_layers))}
        pairs = {_pair(key, numbers): value for key, value in connections.items()}
        made = [_make(pair, pairs[pair], layer_sizes, rng) for pair in sorted(pairs, key=lambda pair: pair[::-1])]
        _check_complete(made, layer_sizes)
        return made
    raise TypeError(
        "connections must be 'full', 'skip', a density in (0, 1], or a mapping from pairs of layers to masks. "
        f"Got {quoted(connections)}."
    )


def _make(pair: tuple[int, int], value: Any, layer_sizes: Sequence[int], rng: np.random.Generator) -> Connection:
    source, target = pair
    shape = layer_sizes[source], layer_sizes[target]
    if isinstance(value, str) and value == "full":
        return Connection(source, target)
    if is_number(value):
        if not 0 < value <= 1:
            raise ValueError(f"The density of connections must be in (0, 1]. Got {quoted(value)}.")
        return Connection(source, target, None if value == 1 else _random_mask(shape, float(value), rng))
    names = layer_names(len(layer_sizes))
    title = f"The mask of the connections {names[source]} -> {names[target]}"
    mask = np.asarray(value)
    if mask.shape != shape:
        raise ValueError(
            f"{title} must have the shape {shape}, a row a neuron of {names[source]} and a column a neuron of "
            f"{names[target]}. Got {mask.shape}."
        )
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(f"{title} must hold 0 and 1 only, or False and True.")
    kept = mask.astype(bool)
    kept.setflags(write=False)
    return Connection(source, target, None if kept.all() else kept)


def _random_mask(shape: tuple[int, int], density: float, rng: np.random.Generator) -> Array:
    mask = rng.random(shape) < density
    (lonely,) = np.nonzero(~mask.any(axis=0))
    mask[rng.integers(shape[0], size=lonely.size), lonely] = True  # no neuron is left without input
    mask.setflags(write=False)
    return mask


def _pair(key: Any, numbers: Mapping[str, int]) -> tuple[int, int]:
    """Read a pair of layers: (0, 2), ("input", "output") or "input -> output"."""
    parts: Any = [part.strip() for part in key.split("->")] if isinstance(key, str) else key
    if not isinstance(parts, Sequence) or len(parts) != 2:
        raise ValueError(f"connections: a key must name two layers, such as 'input -> hidden_1'. Got {quoted(key)}.")
    names = list(numbers)
    blocks: list[int] = []
    for part in parts:
        if isinstance(part, str) and part in numbers:
            blocks.append(numbers[part])
        elif is_integer(part) and 0 <= part < len(names):
            blocks.append(int(part))
        else:
            raise ValueError(f"connections: unknown layer {quoted(part)} in {quoted(key)}. {nearest(str(part), names)}")
    source, target = blocks
    if source >= target:
        raise ValueError(
            f"connections: {names[source]} -> {names[target]} runs backwards; a layer is fed by earlier layers."
        )
    return source, target


def _check_complete(made: list[Connection], layer_sizes: Sequence[int]) -> None:
    names = layer_names(len(layer_sizes))
    by_target: dict[int, list[Connection]] = {}
    for connection in made:
        by_target.setdefault(connection.target, []).append(connection)
    for layer, name in enumerate(names[1:], start=1):
        incoming = by_target.get(layer)
        if not incoming:
            raise ValueError(
                f"connections: no connection leads to the layer {name}. A mapping names all connections; what it leaves "
                f"out does not exist: add '{names[layer - 1]} -> {name}'."
            )
        fed = np.zeros(layer_sizes[layer], dtype=bool)
        for connection in incoming:
            fed |= True if connection.mask is None else connection.mask.any(axis=0)
        if not fed.all():
            raise ValueError(f"connections: neuron {int(np.flatnonzero(~fed)[0])} of {name} is left without input.")
    for layer, name in enumerate(names[:-1]):
        if not any(connection.source == layer for connection in made):
            raise ValueError(f"connections: no connection leaves the layer {name}.")
