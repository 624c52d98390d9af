"""Data flows one way, and so do imports."""

import ast
from functools import cache
from pathlib import Path

import pytest

import nnexp

ROOT = Path(nnexp.__file__).parent
BELOW = (
    "_choices",
    "_errors",
    "_files",
    "_identity",
    "_names",
    "_plugins",
    "_processes",
    "_signals",
    "_threads",
    "_version",
)
ANYWHERE = {f"nnexp.{name}" for name in BELOW}


@cache
def parsed(path):
    return ast.parse(path.read_text())


# For each part, what it may import of the others.
MAY_IMPORT = {
    "network": set(),
    "training": {"network"},
    "encoding": {"network.samples"},
    "targets": set(),
    "intervals": set(),
    "statistics": set(),
    "words": set(),
    "parts": {"network", "training"},
    "model": {"network", "training", "targets", "encoding"},
    "fitting": {"network", "training", "targets", "encoding", "model"},
    "saving": {"network", "training", "targets", "encoding", "model", "fitting", "parts"},
    "onnx_export": {"network", "targets", "encoding"},
    "callbacks": {"training", "saving"},
    "estimator": {
        "network",
        "training",
        "targets",
        "encoding",
        "model",
        "fitting",
        "callbacks",
        "saving",
        "onnx_export",
        "parts",
    },
    "by_task": {"estimator"},
    "blending": {
        "training",
        "targets",
        "encoding",
        "model",
        "fitting",
        "estimator",
        "together",
        "saving",
        "onnx_export",
        "intervals",
    },
    "loading": {"blending", "by_task", "saving"},
    "trusted": {
        "network",
        "training",
        "targets",
        "encoding",
        "model",
        "fitting",
        "parts",
        "estimator",
        "by_task",
        "blending",
        "intervals",
    },
    "together": {"training", "encoding", "fitting", "estimator"},
    "scoring": set(),
    "engine": set(),
    "sweep": {
        "engine",
        "estimator",
        "together",
        "training",
        "network.connections",
        "parts",
        "scoring",
        "statistics",
        "words",
    },
    "experiment": {
        "blending",
        "network",
        "training",
        "encoding",
        "fitting.settings",
        "estimator",
        "together",
        "engine",
        "sweep",
        "parts",
        "scoring",
    },
    "report": {"experiment.results", "statistics", "sweep.answer", "sweep.space", "sweep.tables", "words"},
    "verify": {"experiment", "report", "sweep"},
    "testing": {"network", "training", "experiment.datasets"},
    "_output": set(),
    "_terminal": set(),
    "cli": {"_output", "_terminal"},
    "commands": {
        "_output",
        "_terminal",
        "verify",
        "network",
        "training",
        "fitting.settings",
        "experiment",
        "report",
        "sweep",
    },
}
FOREIGN = {
    "sklearn": {
        "encoding",
        "fitting",
        "estimator",
        "by_task",
        "together",
        "blending",
        "sweep",
        "experiment",
        "scoring",
    },
    "optuna": {"sweep"},
    "pandas": {"encoding", "estimator", "blending", "sweep", "experiment", "report", "verify", "testing"},
}


def imports(path):
    for node in ast.walk(parsed(path)):
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


# What is private of other libraries and is used all the same, each with its reason and the test that would notice a change.
FOREIGN_PRIVATE = {
    "os._exit": "ends a process without running what is registered for its end; tests/test_processes.py",
    "_ExecutorManagerThread": "of joblib: looks after its workers; tests/test_engine.py",
    "_initializer": "of joblib's pools: what a worker begins with; tests/test_engine.py",
    "_processes_management_lock": "of joblib's pools: held where a worker is begun; tests/test_engine.py",
    "_adjust_process_count": "of joblib's pools: begins the workers that are missing; tests/test_engine.py",
    "_init_callback_context": "scikit-learn's way for estimators to call callbacks; tests/test_callbacks.py",
    "_skl_callbacks": "where scikit-learn keeps callbacks; tests/test_callbacks.py",
    "_parent_callback_ctx": "where a meta-estimator of scikit-learn's leaves its callbacks; tests/test_callbacks.py",
    "_check_sample_weight": "scikit-learn's check of weights, with its messages; tests/test_estimator_checks.py",
    "_check_y": "scikit-learn's check of y, with its messages; tests/test_estimator_checks.py",
    "_sklearn_output_config": "whether a data frame is asked for; tests/encoding/test_table_encoder.py",
    "_check_feature_names": "scikit-learn's check of columns, with its messages; tests/test_together.py",
    "_check_method_params": "cuts arguments of fit by rows; tests/test_together.py, tests/sweep/test_search.py",
    "_BaseComposition": "parameters of estimators with names, as in scikit-learn's pipelines; tests/blending/test_blend.py",
    "_get_params": "the same; tests/blending/test_blend.py",
    "_set_params": "the same; tests/blending/test_blend.py",
    "_validate_names": "the same; tests/blending/test_blend.py",
    "_num_features": "how many columns any table has; tests/blending/test_tabular.py",
    "_num_samples": "how many rows any table has; tests/blending/test_blend.py",
    "_safe_indexing": "cuts tables of any kind by rows; tests/blending/test_blend.py",
    "_safe_split": "cuts samples as scikit-learn's searches do; tests/test_together.py, tests/sweep/test_evaluation.py",
    "_estimator_type": "of estimators from before scikit-learn's tags; tests/sweep/test_evaluation.py",
    "_sign": "tells scorers that take weights; tests/test_estimator.py",
    "_response_method": "tells what a scorer asks for; tests/experiment/test_specification.py",
    "_parameter_constraints": "scikit-learn's rules of parameters, as data; tests/experiment/test_specification.py",
    "_validate_params": "checks them; tests/experiment/test_specification.py",
    "_get_param_names": "the parameters of a class that needs arguments; tests/experiment/test_specification.py",
    "_get_scorers": "of BaseSearchCV, which SweepCV is; tests/sweep/test_search.py",
    "_get_routed_params_for_fit": "of BaseSearchCV; tests/sweep/test_search.py",
    "_check_refit_for_multimetric": "of BaseSearchCV; tests/sweep/test_search.py",
    "_select_best_index": "of BaseSearchCV; tests/sweep/test_search.py",
    "_format_results": "of BaseSearchCV; tests/sweep/test_search.py",
    "_scorers": "of scikit-learn's scorers for several scores; tests/sweep/test_search.py",
    "_rng": "of cmaes: its random numbers do not come from those of the trial; tests/sweep/test_samplers.py",
    "_funhist_values": "of cmaes: is left uninitialised; tests/training/test_cma_es.py",
    "_eigen_decomposition": "of cmaes: its ask draws from numbers of its own; tests/training/test_cma_es.py",
    "_sigma": "of cmaes: the width of the distribution; tests/training/test_cma_es.py",
}  # fmt: skip


# What an object of a module's own is called in it.
OWN = ("self", "own")


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def names_made_in(tree):
    """Yield the names that a module gives to what is its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) in OWN:
            yield node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            yield ast.unparse(node.args[1]).strip("'")


def private_names_of_others(path):
    """Yield the private names of others that a module uses, with what they are names of."""
    tree = parsed(path)
    own = set(names_made_in(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if is_private(name) and name not in own:
                yield f"{ast.unparse(node.args[0])}.{name}"


def test_no_module_uses_a_private_name_of_another():
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted(ROOT.rglob("*.py"))
        for name in private_names_of_others(path)
    }
    foreign = {said for said in found if {said.partition(": ")[2], said.rpartition(".")[2]} & set(FOREIGN_PRIVATE)}
    assert not found - foreign
    used = {name for name in FOREIGN_PRIVATE for said in foreign if said.endswith(name)}
    assert used == set(FOREIGN_PRIVATE)  # what is no longer used leaves the list


def test_every_part_has_its_rule():
    assert {part(path) for path in FILES} == set(MAY_IMPORT)


def test_the_public_names_are_there():
    for name in nnexp.__all__:
        assert hasattr(nnexp, name)


# What users call may have as many parameters as they want to set.
LONG_SIGNATURES = {
    "blending.tabular.TabularMLP.__init__",
    "estimator.BackpropMLP.__init__",
    "experiment.runs.run_experiment",
    "sweep.search.SweepCV.__init__",
    "sweep.sweep.Sweep.__init__",
    "together.cross_validate",
    "training.genetic.GeneticAlgorithm.__init__",
}


def test_no_function_but_a_public_one_has_more_than_8_parameters():
    found = set()
    for path in ROOT.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name, function in functions(parsed(path)):
            every = function.args
            own = [a.arg for a in (*every.posonlyargs, *every.args, *every.kwonlyargs) if a.arg not in ("self", "cls")]
            if len(own) > 8:
                found.add(f"{module}.{name}")
    assert found == LONG_SIGNATURES


def functions(node, prefix=""):
    """Yield each function below a node, with its name in full."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}", child
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from functions(child, f"{prefix}{child.name}." if named else prefix)


def test_locals_are_named_for_what_they_hold():
    """And not for where they come from."""
    vague = {}
    for path in sorted(ROOT.rglob("*.py")):
        tree = parsed(path)
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        given = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        vague[path.name] = {"own", "found", "said"} & (stored | given)
    assert not {name: names for name, names in vague.items() if names}
