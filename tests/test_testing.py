"""The checks of parts: nnexp's own parts pass them all, and each planted fault is found."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from nnexp import SNES, Activation, Backprop, ErrorFunction, GeneticAlgorithm
from nnexp.experiment import Bundled
from nnexp.experiment.datasets import BUNDLED
from nnexp.network import Initializer
from nnexp.network.activations import Tanh
from nnexp.network.error_functions import SquaredError
from nnexp.parts import REGISTRIES
from nnexp.testing import check_algorithm, check_part, checks_of, parametrize_with_checks
from nnexp.testing.algorithms import check_masks, check_memory, check_resumes, check_step
from nnexp.training import CROSSOVERS, MUTATIONS, SELECTIONS, Chain, DifferentialEvolution
from nnexp.training.backprop import Epoch
from nnexp.training.crossover import Uniform
from nnexp.training.mutation import Gaussian
from nnexp.training.optimizers import Momentum
from nnexp.training.schedules import Cosine, Plateau
from nnexp.training.selection import Truncation
from tests.algorithms import EVERY, VARIANTS, small


def own_parts():
    """Return nnexp's own parts; algorithms have settings for small problems."""
    for kind, registry in REGISTRIES.items():
        if kind == "algorithm":
            yield from (small(name) for name in EVERY)
        else:
            yield from (registry[name] for name in registry)
    yield from BUNDLED.values()


def is_composed(part):
    """Whether an algorithm is made of others, or a variant of one that is in the table too."""
    return part in VARIANTS.values() or hasattr(part, "algorithms")


@parametrize_with_checks([part for part in own_parts() if not is_composed(part)])
def test_a_part_of_nnexp_keeps_the_promises_of_its_kind(part, check):
    check(part)


@pytest.mark.slow
@parametrize_with_checks([part for part in own_parts() if is_composed(part)])
def test_an_algorithm_made_of_others_keeps_its_promises(part, check):
    check(part)


def every_operator():
    """Return genetic algorithms with each of the operators."""
    for registry, parameter in ((SELECTIONS, "selection"), (CROSSOVERS, "crossover"), (MUTATIONS, "mutation")):
        for name in registry:
            yield GeneticAlgorithm(50, elite=2, batch_size=20, **{parameter: name})


@pytest.mark.parametrize("algorithm", list(every_operator()), ids=repr)
@pytest.mark.parametrize(
    "check",
    [check_step, *(pytest.param(each, marks=pytest.mark.slow) for each in (check_memory, check_masks, check_resumes))],
)
def test_a_genetic_algorithm_with_each_operator_keeps_its_promises(algorithm, check):
    check(algorithm)


class ForgetsItsRandomState(DifferentialEvolution):
    def first(self, problem, parameters, rng):
        self.generator = np.random.default_rng(rng.integers(1 << 60))
        return super().first(problem, parameters, rng)

    def ask(self, own, rng):
        return super().ask(own, self.generator)


class DrawsFromNumpy(DifferentialEvolution):
    def ask(self, own, rng):
        return super().ask(own, np.random.default_rng(np.random.randint(1 << 30)))  # noqa: NPY002


class DiffersInAStack(Backprop):
    def bind(self, problem, descent, state):
        step = super().bind(problem, descent, state)

        def leaning():
            progress = step()
            state.arrays["parameters"] *= 1 - 0.01 * (state.arrays["parameters"].mean() > 0)
            state.arrays["parameters"] += 1e-3 * state.arrays["parameters"].mean(axis=0)
            return progress

        return leaning


class Miscounts(DifferentialEvolution):
    def bind(self, problem, descent, state):
        step = super().bind(problem, descent, state)

        def cheap():
            progress = step()
            progress.evaluations //= 2
            return progress

        return cheap


class ExpectsLess(DifferentialEvolution):
    def cost(self, network, n_training, n_validation, descent):
        return super().cost(network, n_training, n_validation, descent) // 2


class IgnoresMasks(SNES):
    def bind(self, problem, descent, state):
        step = super().bind(problem, descent, state)

        def everywhere():
            progress = step()
            progress.candidates += 1e-3
            return progress

        return everywhere


class BringsBack(DifferentialEvolution):
    keeps = ("connections", "activations")


class AllocatesPerStep(Backprop):
    def bind(self, problem, descent, state):
        step = super().bind(problem, descent, state)

        def copying():
            before = state.arrays["parameters"].copy()
            progress = step()
            state.arrays["parameters"] += 0.01 * (state.arrays["parameters"] - before)
            return progress

        return copying


class Remembers(SNES):
    def bind(self, problem, descent, state):
        step, seen = super().bind(problem, descent, state), []

        def keeping():
            progress = step()
            seen.append(progress.candidates.copy())
            return progress

        return keeping


class NeedsMore(SNES):
    def bind(self, problem, descent, state):
        archive = np.zeros((200, problem.n_members, problem.network.n_parameters))
        step = super().bind(problem, descent, state)
        return lambda: (archive[:1].sum(), step())[1]


class CannotResume(SNES):
    def bind(self, problem, descent, state):
        step, count = super().bind(problem, descent, state), [0]

        def tired():
            count[0] += 1
            state.arrays["spread"] *= 0.9 if count[0] > 5 else 1.0
            return step()

        return tired


class LosesASetting(SNES):
    def __init__(self, population_size=12, batch_size=20, strength=1.0):
        super().__init__(population_size=population_size, batch_size=batch_size)


SMALL = {"population_size": 12, "batch_size": 20}
# The six that every algorithm could have, and others of their kind.
FAULTS = [
    (ForgetsItsRandomState(8), "check_resumes"),
    (DrawsFromNumpy(8), "check_same_seed"),
    (DiffersInAStack(), "check_stack"),
    (Miscounts(8), "check_cost"),
    (ExpectsLess(8), "check_cost"),
    (IgnoresMasks(**SMALL), "check_masks"),
    (BringsBack(8), "check_masks"),
    (AllocatesPerStep(), "check_step"),
    (Remembers(**SMALL), "check_step"),
    (NeedsMore(**SMALL), "check_memory"),
    (CannotResume(**SMALL), "check_resumes"),
    (LosesASetting(), "check_settings"),
    (Chain("snes", Remembers(**SMALL)), "check_step"),
    (Chain("backprop", NeedsMore(**SMALL)), "check_memory"),
]


@pytest.mark.parametrize(
    ("algorithm", "found_by"),
    [
        pytest.param(own, by, id=type(own).__name__, marks=pytest.mark.slow if is_composed(own) else ())
        for own, by in FAULTS
    ],
)
def test_a_planted_fault_of_an_algorithm_is_found_and_said(algorithm, found_by):
    with pytest.raises(AssertionError) as caught:
        check_algorithm(algorithm)
    by = [entry.name for entry in caught.traceback if entry.name.startswith("check_")]
    assert by[-1] == found_by
    assert type(getattr(algorithm, "algorithms", [algorithm])[-1]).__name__ in str(caught.value)
    assert str(caught.value).splitlines()[0].endswith(".")


@dataclass(frozen=True)
class WrongSlope(Tanh):
    def backward(self, gradient, z, a, out):
        np.multiply(gradient, 1 - a, out=out)


@dataclass(frozen=True)
class FirstNetworkOnly(Activation):
    name = "first_network_only"

    def forward(self, z, out):
        out[...] = z * (2 if z.ndim == 2 else 1)

    def backward(self, gradient, z, a, out):
        out[...] = gradient * (2 if z.ndim == 2 else 1)


@dataclass(frozen=True)
class WritesOver(Activation):
    name = "writes_over"

    def forward(self, z, out):
        z *= 2
        out[...] = z

    def backward(self, gradient, z, a, out):
        out[...] = gradient * 2


@dataclass(frozen=True)
class FarIsNothing(Activation):
    name = "far_is_nothing"

    def forward(self, z, out):
        out[...] = np.exp(z * 4) / (1 + np.exp(z * 4))

    def backward(self, gradient, z, a, out):
        out[...] = gradient * 4 * a * (1 - a)


@dataclass(frozen=True)
class HalfTheError(SquaredError):
    def gradient(self, actual, expected, out):
        out[...] = 0.5 * (actual - expected)


@dataclass(frozen=True)
class Across(ErrorFunction):
    name = "across"

    def value(self, actual, expected):
        return (actual - expected) ** 2 + 0 * actual + (actual.ndim == 3)

    def gradient(self, actual, expected, out):
        out[...] = 2 * (actual - expected)


@dataclass(frozen=True)
class Negative(Initializer):
    name = "negative"

    def scale(self, fan_in, fan_out, activation):
        return np.full(len(fan_in), -1.0)


@dataclass(frozen=True)
class Uphill(Momentum):
    name = "uphill"

    def bind_block(self, parameters, gradient, moments, scratch):
        def update(learning_rate, t):
            np.add(parameters, np.asarray(learning_rate) * gradient, out=parameters)

        return update


@dataclass(frozen=True)
class KeepsItsMoments(Momentum):
    name = "keeps_its_moments"

    def bind_block(self, parameters, gradient, moments, scratch):
        return super().bind_block(parameters, gradient, [np.zeros_like(parameters)], scratch)


@dataclass(frozen=True)
class SeesItsNeighbours(Momentum):
    name = "sees_its_neighbours"

    def bind_block(self, parameters, gradient, moments, scratch):
        def update(learning_rate, t):
            parameters[...] -= np.asarray(learning_rate) * gradient / np.abs(gradient).max(axis=-1, keepdims=True)

        return update


@dataclass(frozen=True)
class BelowZero(Cosine):
    name = "below_zero"

    def shape(self, t):
        return np.cos(np.pi * t)


@dataclass(frozen=True)
class CountsInAll(Plateau):
    name = "counts_in_all"

    def observe(self, memory, watched):
        super().observe(memory, np.full(len(watched), watched.mean()))


@dataclass(frozen=True)
class BeyondTheLast(Truncation):
    name = "beyond_the_last"

    def draw(self, errors, n, rng):
        return rng.integers(0, len(errors) + 1, (n, 2))


@dataclass(frozen=True)
class Worst(Truncation):
    name = "worst"

    def draw(self, errors, n, rng):
        return len(errors) - 1 - super().draw(errors, n, rng)


@dataclass(frozen=True)
class MakesBoth(Uniform):
    name = "makes_both"

    def cross(self, children, others, parents, genome, rng):
        children += others
        children /= 2


@dataclass(frozen=True)
class OfItsOwn(Uniform):
    name = "of_its_own"

    def cross(self, children, others, parents, genome, rng):
        super().cross(children, others, parents, genome, np.random.default_rng())


@dataclass(frozen=True)
class DrawsForItself(Gaussian):
    name = "draws_for_itself"

    def perturb(self, children, sigma, genome, rng):
        super().perturb(children, sigma, genome, np.random.default_rng())


@dataclass(frozen=True)
class Everywhere(Gaussian):
    name = "everywhere"

    def perturb(self, children, sigma, genome, rng):
        children += rng.normal(size=children.shape) * sigma[:, np.newaxis]


@dataclass(frozen=True)
class DiesOut(Gaussian):
    name = "dies_out"

    def inherit(self, sigma, memory, rng):
        return super().inherit(sigma, memory, rng) * (rng.random(len(sigma)) > 0.1)


def _other_each_time(as_frame=True):
    return Bunch(data=pd.DataFrame({"x": np.random.random(5)}), target=pd.Series(range(5)))  # noqa: NPY002


PARTS = [
    (WrongSlope(), "check_activation_derivative"),
    (FirstNetworkOnly(), "check_activation_stack"),
    (WritesOver(), "check_activation_stack"),
    (FarIsNothing(), "check_activation_extremes"),
    (HalfTheError(), "check_error_gradient"),
    (Across(), "check_error_stack"),
    (Negative(), "check_first_weights"),
    (Uphill(), "check_update"),
    (KeepsItsMoments(), "check_update"),
    (SeesItsNeighbours(), "check_update_blocks"),
    (BelowZero(), "check_factors"),
    (CountsInAll(), "check_schedule_memory"),
    (BeyondTheLast(), "check_draw"),
    (Worst(), "check_pressure"),
    (MakesBoth(), "check_children"),
    (OfItsOwn(), "check_crossed_alike"),
    (Everywhere(), "check_changes"),
    (DrawsForItself(), "check_mutated_alike"),
    (DiesOut(), "check_inheritance"),
    (Bundled("classification", _other_each_time, "five points"), "check_data"),
]


@pytest.mark.parametrize(("part", "found_by"), PARTS, ids=[type(own).__name__ for own, _ in PARTS])
def test_a_planted_fault_of_another_part_is_found_and_said(part, found_by):
    with pytest.raises(AssertionError) as caught:
        check_part(part)
    by = [entry.name for entry in caught.traceback if entry.name in [check.__name__ for check in checks_of(part)]]
    assert by[-1] == found_by


@pytest.mark.parametrize("algorithm", [Chain("backprop", SNES(**SMALL)), Chain("pbt", "backprop")], ids=repr)
def test_a_chain_of_parts_that_keep_their_promises_keeps_its_own(algorithm):
    check_algorithm(algorithm)


def test_what_is_no_part_is_refused():
    with pytest.raises(
        TypeError, match=r"There are checks for objects of Algorithm, .* Give an object, GeneticAlgorithm\(...\)."
    ):
        check_part(GeneticAlgorithm)
    with pytest.raises(TypeError, match="Got 3"):
        checks_of(3)


def test_the_way_back_of_an_epoch_is_counted_twice():
    """What the checks count by is right itself: the rows of an epoch once forward and once backward."""
    from nnexp.testing.algorithms import Case, counting

    case = Case.of(Backprop())
    training = case.begin()
    with counting() as made, np.errstate(all="ignore"):
        Epoch(case.problem, case.descent, training.state)()
    assert made[0] == 3 * 60
