"""Plug-ins: parts that other packages declare by entry points."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Plugins:
    """What installed packages declare in one group of entry points, loaded when it is first asked for.

    Attributes
    ----------
    group : str
        Such as ``"nnexp.activations"``.
    check : callable
        Is given the name and the loaded object, and returns what is to be used; it raises an error for what cannot be.
    parts : dict
        What was loaded, by name.
    broken : dict of str
        Why a plug-in cannot be used, by name. It stops nobody else.
    packages : dict of str
        The package, with its version, that each name comes from.
    """

    group: str
    check: Callable[[str, Any], Any]
    parts: dict[str, Any] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    _loaded: bool = False

    def load(self, taken: Any = ()) -> None:
        """Load all that are declared, once; a name that is taken already is refused."""
        if self._loaded:
            return
        self._loaded = True
        for entry in importlib.metadata.entry_points(group=self.group):
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
            try:
                if entry.name in taken or entry.name in self.parts:
                    raise ValueError("the name is taken")
                self.parts[entry.name] = self.check(entry.name, entry.load())
            except Exception as error:  # whatever another package's import may raise
                self.broken[entry.name] = f"{package}: {type(error).__name__}: {error}"
            else:
                self.packages[entry.name] = package
