"""The tables of all parts that can be swapped, and which of them other packages have brought along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nnexp._identity import key_of
from nnexp._names import Registry
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS, INITIALIZERS
from nnexp.training import ALGORITHMS, CROSSOVERS, MUTATIONS, OPTIMIZERS, SCHEDULES, SELECTIONS

REGISTRIES: dict[str, Registry[Any]] = {
    "activation": ACTIVATIONS,
    "error function": ERROR_FUNCTIONS,
    "initializer": INITIALIZERS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "algorithm": ALGORITHMS,
    "selection": SELECTIONS,
    "crossover": CROSSOVERS,
    "mutation": MUTATIONS,
}


def plugins_in(value: Any) -> dict[str, str]:
    """Return the keys of the plug-ins that a value names, such as the parameters of a model; by kind and name.

    A name counts wherever it stands: a part that is not used after all costs nothing but a second run.
    """
    names = set(_texts(value))
    parts = {}
    for kind, registry in REGISTRIES.items():
        list(registry)  # loads what is declared
        for name in sorted(names & set(registry.plugins.parts)):
            parts[f"{kind} {name}"] = key_of(registry.plugins.parts[name])
    return parts


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield from _texts(value.get_params(deep=False))
