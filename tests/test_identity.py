"""What decides a result has a part in its key, and nothing else has."""

import copy
import functools
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from collections import deque
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnexp import Activation, BackpropMLP, GeneticAlgorithm
from nnexp._identity import Unstable, files_beside, key_of
from tests import searched

ROOT = Path(__file__).parent.parent


def scorer_with(share):
    return lambda estimator, X, y: share * accuracy_score(y, estimator.predict(X))


def scaled_by(number):
    def score(estimator, X, y, by=number):
        return by

    return score


@dataclass(frozen=True)
class Pair:
    first: int
    second: object = None


class Counter:
    def __init__(self, start):
        self.start = start

    def up(self):
        return self.start + 1

    def down(self):
        return self.start - 1


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Private:
    __slots__ = ("__value",)

    def __init__(self, value):
        self.__value = value


@dataclass
class Derived:
    given: InitVar[int]
    value: int = field(init=False)

    def __post_init__(self, given):
        self.value = given


def closure_over(value):
    return lambda estimator, X, y: value.predict(X)


def executed(code):
    names = {}
    exec(f"def f():\n    {code}\n    return x", names)
    return names["f"]


def in_main(code):
    names = {"__name__": "__main__", "functools": functools}
    exec(code, names)
    return names["A"]


def ring_of_sets():
    own = Counter(1)
    own.peers = {own}
    return own


RIDGE, OTHER_RIDGE = Ridge().fit([[0.0], [1.0]], [0, 1]), Ridge().fit([[0.0], [1.0]], [0, 2])
SCALER = StandardScaler().fit([[0.0], [1.0]])
OTHER_SCALER = StandardScaler().fit([[0.0], [5.0]])
DIFFERENT = [
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    ("a", b"a"),
    ([1, 2], (1, 2)),
    ({"tanh": 2, "relu": 3}, {"relu": 3, "tanh": 2}),  # the order of neurons
    (np.zeros(2), np.zeros(3)),
    (np.zeros(2), np.zeros(2, dtype=np.float32)),
    (np.array(["a", None], dtype=object), np.array(["b", None], dtype=object)),
    (sparse.csr_array([[0, 1]]), sparse.csr_array([[1, 0]])),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
    (np.random.default_rng(0), np.random.default_rng(1)),
    (np.tanh, np.sin),
    (len, min),
    (scorer_with(1), scorer_with(2)),  # another closure
    (scaled_by(1), scaled_by(2)),  # another default
    (lambda e, X, y: e.score(X, y), lambda e, X, y: e.predict(X)),  # another method, with the same instructions
    (lambda x: {1, 2}, lambda x: {1, 3}),
    (Counter(1).up, Counter(1).down),
    (Counter(1).up, Counter(2).up),
    (functools.partial(f1_score, average="macro"), functools.partial(f1_score, average="micro")),
    (make_scorer(f1_score), make_scorer(accuracy_score)),
    (make_scorer(f1_score, greater_is_better=True), make_scorer(f1_score, greater_is_better=False)),
    (Pair(1), Pair(2)),
    (Pair(1, Counter(1)), Pair(1, Counter(2))),
    (Slotted(1), Slotted(2)),
    (Ridge(alpha=1), Ridge(alpha=2)),
    (LogisticRegression(), Ridge()),
    (make_pipeline(StandardScaler(), Ridge(alpha=1)), make_pipeline(StandardScaler(), Ridge(alpha=2))),
    (FrozenEstimator(SCALER), FrozenEstimator(OTHER_SCALER)),
    (GeneticAlgorithm(elite=2), GeneticAlgorithm(elite=3)),
    (Activation.from_functions("own", np.tanh, lambda z, a: 1 - a * a), Activation.from_functions("own", np.sin, lambda z, a: np.cos(z))),
    (StandardScaler, LogisticRegression),
    (deque([1]), deque([2])),
    (timedelta(1), timedelta(2)),
    (Decimal("1"), Decimal("2")),
    (re.compile("a"), re.compile("b")),
    (itemgetter(1), itemgetter(2)),
    (pd.Series([1.0], index=["a"]), pd.Series([1.0], index=["b"])),
    (np.ma.masked_array([1, 2], [True, False]), np.ma.masked_array([1, 2], [False, True])),
    (np.zeros(1, dtype=[("a", int)]), np.zeros(1, dtype=[("b", int)])),
    (Private(1), Private(2)),
    (Derived(1), Derived(2)),
    (closure_over(RIDGE), closure_over(OTHER_RIDGE)),  # what it has learnt counts where it is used as it is
    (RIDGE.predict, OTHER_RIDGE.predict),
    (Path("a"), Path("b")),
    (executed("x = 1"), executed("x = 2")),
    (pd.DataFrame({"a": [[1]]}), pd.DataFrame({"a": [[2]]})),
    (in_main("class A:\n    @functools.cached_property\n    def f(self): return 1"), in_main("class A:\n    @functools.cached_property\n    def f(self): return 2")),
    (in_main("class A:\n    f = functools.partialmethod(print, 1)"), in_main("class A:\n    f = functools.partialmethod(print, 2)")),
    (in_main("def A(): import json"), in_main("def A(): import csv")),
    (in_main("@functools.cache\ndef A(): return 1"), in_main("@functools.cache\ndef A(): return 2")),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_has_another_key(one, other):
    unstable = Unstable()
    assert key_of(one, unstable=unstable) != key_of(other, unstable=unstable)
    assert not unstable


def used_path():
    path = Path("a")
    hash(path), str(path)
    return path


def copied_of_main():
    own = in_main("class A: pass")()
    copy.copy(own)
    return own


@functools.singledispatch
def described(value):
    return "object"


def called_before():
    described(1)
    return described


EQUAL = [
    (lambda: [1, "a", {"b": (None, 2.0)}],) * 2,
    (lambda: {"a", "b", "c"}, lambda: {"c", "b", "a"}),
    (lambda: scorer_with(0.5),) * 2,
    (lambda: Counter(3).up,) * 2,
    (lambda: Ridge(alpha=2), lambda: Ridge(alpha=2).fit([[0.0], [1.0]], [0, 1])),  # what it has learnt is not cloned
    (lambda: BackpropMLP(algorithm=GeneticAlgorithm(elite=3)),) * 2,
    (lambda: pd.DataFrame({"a": [1.5]}),) * 2,
    (lambda: np.random.default_rng(3),) * 2,
    (lambda: Path("a"), used_path),
    (lambda: stats.norm,) * 2,
    (ring_of_sets,) * 2,
    (lambda: in_main("class A: pass")(), copied_of_main),
    (lambda: in_main("class A: pass")(), lambda: pickle.loads(cloudpickle.dumps(in_main("class A: pass")()))),
    (
        lambda: in_main("def A(x): return functools.reduce(len, x)"),
        lambda: pickle.loads(cloudpickle.dumps(in_main("def A(x): return functools.reduce(len, x)"))),
    ),
    (lambda: described, called_before),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_what_is_equal_has_one_key(one, other):
    assert key_of(one()) == key_of(other())


@pytest.mark.parametrize(
    "value", [threading.Lock(), Pair(1, threading.Lock()), (x for x in [1]), [sys.stdout], np.frompyfunc(len, 1, 1)]
)
def test_what_has_no_stable_key_is_named_and_never_used_again(value):
    unstable = Unstable()
    assert key_of(value, unstable=unstable) != key_of(value)
    assert len(unstable.named) == 1


def test_what_holds_itself_has_a_key():
    def ring(value):
        own = [value]
        own.append(own)
        return own

    assert key_of(ring(1)) == key_of(ring(1)) != key_of(ring(2))


@pytest.mark.slow
def test_two_processes_and_two_hash_seeds_agree(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "own.py").write_text(
        "import helper\n\nclass Score:\n    names = {'a', 'b', 'c'}\n\n"
        "    def __call__(self, estimator, X, y):\n        return helper.double(estimator.score(X, y))\n"
    )
    code = """
        import numpy as np
        from sklearn.metrics import make_scorer, f1_score
        from nnexp import BackpropMLP, GeneticAlgorithm
        from nnexp._identity import key_of
        from own import Score
        LIMIT = 3
        def above(estimator, X, y):
            return float(len(X) > LIMIT)
        class Here:
            chosen = frozenset("abc")
            def __call__(self, estimator, X, y):
                return above(estimator, X, y)
        print(key_of(Score(), above, Here(), make_scorer(f1_score), {"x", "y", "z"}, np.arange(3),
                     BackpropMLP(algorithm=GeneticAlgorithm()), lambda X: {1, "a"}))
    """

    def key(seed, folder=tmp_path):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": searched(folder, ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    first = key(1)
    assert key(2) == first
    (tmp_path / "helper.py").write_text("def double(x):\n    return x + x\n")  # a helper that the module imports
    edited = key(1)
    assert edited != first
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    assert key(3) == edited


def test_a_module_counts_with_what_it_imports_from_its_folder(tmp_path):
    for name, text in {
        "own.py": "import numpy\nimport first\nfrom package import inner\n",
        "first.py": "from second import thing\n",
        "second.py": "def thing():\n    import own\n",
        "other.py": "",
        "package/__init__.py": "",
        "package/inner.py": "",
        "package/unused.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {str(file.relative_to(tmp_path.resolve())) for file in files_beside(tmp_path / "own.py")}
    assert found == {"own.py", "first.py", "second.py", "package/__init__.py", "package/inner.py"}
