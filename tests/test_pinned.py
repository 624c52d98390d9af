"""The numbers of a fixed set of fits are those that were kept; see `tests.pinned`."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnexp import BackpropMLP
from tests.pinned.__main__ import KEPT, SETTINGS
from tests.pinned.fits import SMALL, fits

# The eigenvectors of a covariance matrix are not unique, and each library finds others.
CHAOTIC = "cma_es", "evolution"
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def numbers():
    command = [sys.executable, "-m", "tests.pinned"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **SETTINGS}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout), json.loads(KEPT.read_text())


@pytest.mark.slow
def test_every_number_is_what_it_was(numbers):
    now, kept = numbers
    assert now.keys() == kept.keys()
    is_exact = now.pop("here") == kept.pop("here")
    changed = [name for name in kept if not are_equal(now[name], kept[name], is_exact, is_chaotic(name))]
    assert not changed


def is_chaotic(name):
    return name.startswith(CHAOTIC)


def are_equal(now, kept, is_exact, is_chaotic):
    """Whether the numbers of a fit are the same: to the bit, or to 1e-6 with other libraries."""
    if is_exact:
        return now == kept
    names = ["counts", "reason"] if is_chaotic else [name for name in kept if name != "bits"]
    return now.keys() == kept.keys() and all(are_close(now[name], kept[name]) for name in names)


def are_close(now, kept):
    if isinstance(kept, dict):
        return now.keys() == kept.keys() and all(are_close(now[name], kept[name]) for name in kept)
    if isinstance(kept, list):
        return len(now) == len(kept) and all(are_close(*both) for both in zip(now, kept, strict=True))
    return now == (pytest.approx(kept, rel=1e-6, abs=1e-8) if isinstance(kept, float) else kept)


def test_every_parameter_is_set_by_a_fit():
    named = set(SMALL).union(*(params for _, _, params, _ in fits()))
    assert named == set(inspect.signature(BackpropMLP).parameters)


@pytest.mark.slow
def test_numbers_that_differ_are_found(numbers):
    _, kept = numbers
    own = kept["backprop, classification"]
    other = {**own, "error": [*own["error"][:-1], own["error"][-1] * (1 + 1e-5)], "bits": ""}
    assert not are_equal(other, own, True, False)
    assert not are_equal(other, own, False, False)
    assert are_equal({**own, "bits": ""}, own, False, False)
