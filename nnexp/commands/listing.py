"""The command that lists what can be named."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape
from rich.table import Table

from nnexp._names import Registry
from nnexp._terminal import Terminal
from nnexp.experiment.datasets import DATA_PLUGINS, bundled_data
from nnexp.fitting.settings import VALIDATIONS
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS, INITIALIZERS
from nnexp.network.connections import PATTERNS
from nnexp.sweep import SAMPLERS
from nnexp.sweep.pruning import PRUNERS
from nnexp.training import ALGORITHMS, CROSSOVERS, DESCENT_MODES, MUTATIONS, OPTIMIZERS, SCHEDULES, SELECTIONS

_REGISTRIES: dict[str, Registry[Any]] = {
    "activations": ACTIVATIONS,
    "error_functions": ERROR_FUNCTIONS,
    "algorithms": ALGORITHMS,
    "selections": SELECTIONS,
    "crossovers": CROSSOVERS,
    "mutations": MUTATIONS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "initializers": INITIALIZERS,
}


def _kinds() -> dict[str, dict[str, str]]:
    kinds = {kind: {name: registry.summary(name) for name in registry} for kind, registry in _REGISTRIES.items()}
    kinds["connections"] = PATTERNS
    kinds["descent"] = DESCENT_MODES
    kinds["validation"] = VALIDATIONS
    kinds["samplers"] = SAMPLERS
    kinds["pruners"] = PRUNERS
    kinds["data"] = {name: f"{data_set.task}: {data_set.summary}" for name, data_set in bundled_data().items()}
    for name, package in DATA_PLUGINS.packages.items():
        kinds["data"][name] += f" (from {package})"
    return kinds


def list_names(given: argparse.Namespace, console: Terminal) -> int:
    """Print what can be named, each with a line."""
    for kind, parts in _kinds().items():
        if given.kind in (None, kind):
            console.print(f"[bold]{kind}[/bold]")
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
            table.add_column(min_width=22, no_wrap=True)
            table.add_column()
            for name, summary in parts.items():
                table.add_row(f"  {name}", escape(summary))
            plugins = DATA_PLUGINS if kind == "data" else getattr(_REGISTRIES.get(kind), "plugins", None)
            for name, problem in (plugins.broken if plugins else {}).items():
                table.add_row(f"  {name}", f"[red]cannot be used.[/red] {escape(problem)}")
            console.print(table)
    return 0
