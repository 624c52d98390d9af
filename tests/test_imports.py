"""Data flows one way, and so do imports."""

import ast
from pathlib import Path

import pytest

import nnexp

ROOT = Path(nnexp.__file__).parent
BELOW = ("_errors", "_files", "_identity", "_names", "_plugins", "_processes", "_threads", "_version")
ANYWHERE = {f"nnexp.{name}" for name in BELOW}
# For each part, what it may import of the others.
MAY_IMPORT = {
    "network": set(),
    "training": {"network"},
    "targets": set(),
    "model": {"network", "training", "targets"},
    "fitting": {"network", "training", "targets", "model"},
    "saving": {"network", "training", "targets", "model", "fitting"},
    "onnx_export": {"network", "targets"},
    "callbacks": {"training", "saving"},
    "estimator": {"network", "training", "targets", "model", "fitting", "callbacks", "saving", "onnx_export"},
    "together": {"training", "fitting", "estimator"},
    "engine": set(),
    "sweep": {"engine", "estimator", "together", "training", "network.connections"},
    "experiment": {"network", "training", "fitting.settings", "estimator", "together", "engine", "sweep"},
    "report": {"experiment.results"},
    "verify": {"experiment", "report"},
    "_output": set(),
    "_signals": set(),
    "cli": {
        "_output",
        "_signals",
        "verify",
        "network",
        "training",
        "fitting.settings",
        "experiment",
        "report",
        "cli",
        "sweep",
        "engine",
    },
}
FOREIGN = {
    "sklearn": {"fitting", "estimator", "together", "sweep", "experiment"},
    "optuna": {"sweep"},
    "pandas": {"estimator", "sweep", "experiment", "report", "verify"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            yield node.module


def part(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = [path for path in sorted(ROOT.rglob("*.py")) if part(path) not in ("__init__", "__main__", *BELOW)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_runs_back(path):
    own = part(path)
    for name in imports(path):
        if name == "nnexp" or name in ANYWHERE:
            assert name != "nnexp", f"{path}: import from the module that defines the name"
            continue
        if name.startswith("nnexp."):
            inside = name.removeprefix("nnexp.")
            allowed = {own, *MAY_IMPORT[own]}
            assert any(inside == a or inside.startswith(f"{a}.") for a in allowed), f"{path} imports {name}"
        for library, parts in FOREIGN.items():
            if name.split(".")[0] == library:
                assert own in parts or path.name in parts, f"{path} imports {library}"


def test_every_part_has_its_rule():
    assert {part(path) for path in FILES} == set(MAY_IMPORT)


def test_the_public_names_are_there():
    for name in nnexp.__all__:
        assert hasattr(nnexp, name)
