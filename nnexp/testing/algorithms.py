"""What every training algorithm must do."""

from __future__ import annotations

import contextlib
import copy
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from nnexp.network.error_functions import make_objective, resolve_error_function
from nnexp.network.network import Network
from nnexp.network.passes import Workspace
from nnexp.network.samples import Samples
from nnexp.testing.settings import check_settings
from nnexp.training.algorithm import Algorithm, State
from nnexp.training.compose import Composite
from nnexp.training.evolutionary import Evolutionary
from nnexp.training.loop import Stopping, Training
from nnexp.training.optimizers import Adam
from nnexp.training.problem import Descent, Problem
from nnexp.training.schedules import Cosine

Array = NDArray[Any]

# Steps of a short training: enough for each part of a chain, and for what happens now and then.
STEPS = 12


@dataclass(frozen=True, eq=False)
class Case:
    """A small training for an algorithm."""

    algorithm: Algorithm
    problem: Problem
    descent: Descent
    parameters: Array

    @staticmethod
    def of(
        algorithm: Algorithm,
        members: int = 1,
        sizes: tuple[int, ...] = (3, 6, 2),
        rows: int = 60,
        n_validation: int = 0,
        connections: Any = "full",
    ) -> Case:
        """Make classes that are no plane apart; what each member learns from are the same samples in an order of its own."""
        described = Network(sizes, "tanh", "softmax", connections, random_state=0)
        network = algorithm.choose(described).extend(described)
        chosen = copy.deepcopy(algorithm).choose(network)
        rng = np.random.default_rng(0)
        X = rng.normal(size=(rows, sizes[0]))
        classes = (X[:, 0] * X[:, 1] > 0).astype(int)
        order = [np.random.default_rng(100 + i).permutation(rows) for i in range(members)]
        problem = Problem(
            network=network,
            objective=make_objective(network.activations[-1], resolve_error_function("cross_entropy")),
            samples=Samples(X, network.bias, np.float64),
            expected=np.eye(sizes[-1])[classes],
            weight=None,
            training=[kind[n_validation:] for kind in order],
            validation=[kind[:n_validation] for kind in order] if n_validation else None,
            shift=np.zeros(members, dtype=int),
            l1=np.zeros(members),
            l2=np.full(members, 1e-3),
        )
        settings = Descent.alike(members, [0.1] * (len(sizes) - 2), learning_rate=0.02)
        descent = Descent("mini-batch", 16, Adam(), True, Cosine(), STEPS, **settings)
        return Case(chosen, problem, descent, network.initialize(members, _generators(members, 1000)))

    def only(self, member: int) -> Case:
        """Return the training of one member."""
        chosen = np.array([member])
        return replace(
            self,
            problem=self.problem.select(chosen),
            descent=self.descent.select(chosen),
            parameters=self.parameters[chosen],
        )

    def begin(self, first: int = 0) -> Training:
        """Return a training that has not begun; generators are those of members from a number on."""
        rngs = _generators(self.problem.n_members, first)
        return Training(copy.deepcopy(self.algorithm), self.problem, self.descent, self.parameters, rngs)

    def run(self, training: Training, steps: int) -> Training:
        """Go on for some steps."""
        return training.run(self.problem, self.descent, Stopping(steps, 10**6, 0.0))


def _generators(n: int, first: int) -> list[np.random.Generator]:
    return [np.random.default_rng(7000 + first + i) for i in range(n)]


def _same(one: Array, other: Array) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def check_same_seed(algorithm: Algorithm) -> None:
    """The same generators give the same network, whatever was trained before, and no other randomness is used."""
    case = Case.of(algorithm)
    one = case.run(case.begin(), STEPS).parameters
    case.run(case.begin(first=50), 3)
    np.random.random()  # noqa: NPY002 - another state of what must not decide
    again = case.run(case.begin(), STEPS).parameters
    assert _same(one, again), (
        f"{algorithm!r} trains to other weights from the same generators. All that is random must be drawn from those of the "
        "state, one for each member."
    )
    other = case.run(case.begin(first=50), STEPS).parameters
    assert not _same(one, other) or not algorithm.evolves, (
        f"{algorithm!r} evolves to the same weights whatever its generators are."
    )


def check_resumes(algorithm: Algorithm) -> None:
    """Saved after any step and gone on with from what was saved, it comes to the same bits."""
    case = Case.of(algorithm, members=2, n_validation=12)
    whole = case.run(case.begin(), STEPS)
    for after in (1, 4, 7):
        part = case.run(case.begin(), after)
        again = part.copy()
        again.algorithm = copy.deepcopy(case.algorithm)  # what it keeps to itself is not saved
        again.state = _restored(part.state, algorithm)
        whose = f"{algorithm!r}, saved after step {after} and gone on with from there, "
        try:
            case.run(again, STEPS - after)
        except Exception as error:
            raise AssertionError(
                f"{whose}fails: {type(error).__name__}: {error}. All that it remembers must be in the arrays of its State."
            ) from error
        assert _same(again.parameters, whole.parameters), (
            f"{whose}comes to other weights than without a break. All that it remembers must be in the arrays of its State."
        )
        errors = (
            [[row["error"] for row in step] for step in again.history],
            [[row["error"] for row in step] for step in whole.history],
        )
        assert errors[0] == errors[1], f"{whose}reports other errors than without a break."
        for name, values in whole.state.arrays.items():
            assert _same(again.state.arrays[name], values), f"{whose}remembers another {name!r} than without a break."


def _restored(state: State, algorithm: Algorithm) -> State:
    """Return a state as one from a file is: nothing but arrays with a first axis of members, and generators."""
    members = len(state.updates)
    for name, values in state.arrays.items():
        assert isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and values.shape[:1] == (members,), (
            f"{algorithm!r}: {name!r} of its State must be an array of numbers with a first axis of {members} members, or it "
            f"cannot be saved. It is {np.asarray(values).dtype}, {np.shape(values)}."
        )
    rngs = [np.random.default_rng() for _ in state.rngs]
    for rng, kept in zip(rngs, state.rngs, strict=True):
        rng.bit_generator.state = kept.bit_generator.state
    return State(rngs, {name: values.copy() for name, values in state.arrays.items()}, state.updates.copy())


def check_stack(algorithm: Algorithm) -> None:
    """A network trained in a stack becomes what it becomes alone, at the same cost."""
    case = Case.of(algorithm, members=3, n_validation=12)
    together = case.run(case.begin(), STEPS)
    for member in range(3):
        case_alone = case.only(member)
        alone = case_alone.run(case_alone.begin(first=member), STEPS)
        whose = f"{algorithm!r}: member {member} of a stack of 3 "
        assert np.allclose(together.parameters[member], alone.parameters[0], rtol=1e-6, atol=1e-9), (
            f"{whose}becomes another network than alone. What a member becomes must follow from its own rows, generator and "
            "arrays of the state."
        )
        assert together.evaluations[member] == alone.evaluations[0], (
            f"{whose}costs {together.evaluations[member]:,} evaluations, and {alone.evaluations[0]:,} alone."
        )


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Count evaluations as they happen: a network over a sample is one, and its way back two more."""
    count = [0]
    forward, backward = Workspace.forward, Workspace.backward

    def of(workspace: Workspace) -> int:
        return int(np.prod(workspace.leading, dtype=int)) * workspace.n_samples

    def counted_forward(self: Workspace, inputs: Array, slot: int = 0) -> None:
        count[0] += of(self)
        forward(self, inputs, slot)

    def counted_backward(self: Workspace, inputs: Array, expected: Array, scale: Any, slot: int = 0) -> None:
        count[0] += 2 * of(self)
        backward(self, inputs, expected, scale, slot)

    with (
        mock.patch.object(Workspace, "forward", counted_forward),
        mock.patch.object(Workspace, "backward", counted_backward),
    ):
        yield count


def check_cost(algorithm: Algorithm) -> None:
    """It counts the evaluations that it makes, and `cost` says beforehand what a step costs."""
    for n_validation in (0, 12):
        case = Case.of(algorithm, n_validation=n_validation)
        training = case.begin()
        with counting() as made:
            case.run(training, STEPS)
        counted = int(training.evaluations[0])
        where = "with validation rows" if n_validation else "without validation rows"
        assert made[0] <= counted * 1.02 and counted <= made[0] * 1.02, (
            f"{algorithm!r}, {where}: {STEPS} steps made {made[0]:,} evaluations, and {counted:,} were counted. A forward pass "
            "of a network over a sample is 1, a way back 2 more."
        )
        rows = len(case.problem.training[0])
        promised = case.algorithm.cost(case.problem.network, rows, n_validation, case.descent)
        step = counted / int(training.n_iter[0])
        least, most = (
            (0.5, 2.0) if isinstance(algorithm, Composite) else (0.8, 1.25)
        )  # of few steps each part has whole ones
        assert least * step <= promised <= most * step, (
            f"{algorithm!r}, {where}: a step costs {step:,.0f} evaluations, and `cost` says {promised:,}."
        )


def check_masks(algorithm: Algorithm) -> None:
    """Connections that a network does not have stay absent, and those that evolution has removed."""
    case = Case.of(algorithm, connections=0.5)
    absent = (case.problem.network.initial_scale == 0) & ~case.problem.network.bias_mask
    for values in case.problem.network.choices.values():
        absent[values] = False
    seen: list[Array] = []
    training = case.begin()
    for _ in range(STEPS):
        case.run(training, 1)
        seen += [training.parameters, training.state.arrays.get("parameters", training.parameters)]
    assert not any(row[..., absent].any() for row in seen), (
        f"{algorithm!r} gives weights to connections that the network does not have: where `Network.initial_scale` is 0 they must "
        "stay 0."
    )
    described = Network((3, 6, 2), "tanh", "softmax").evolvable(connections=True)
    try:
        network = algorithm.choose(described).extend(described)
    except ValueError:
        return  # it says that it cannot
    if Case.of(algorithm).problem.network.zero_is_absent:
        return  # they are its own to evolve
    case = Case.of(algorithm)
    case = replace(case, problem=replace(case.problem, network=network))
    first = network.initialize(1, _generators(1, 1000))
    removed = np.flatnonzero(network.penalty_mask)[::3]
    first[:, removed] = 0.0
    training = replace(case, parameters=first).begin()
    for _ in range(STEPS):
        case.run(training, 1)
        assert not training.parameters[:, removed].any(), (
            f"{algorithm!r} brings back connections that evolution has removed. Refuse such a network in `extend`, as "
            "`Evolutionary` does unless `keeps` names 'connections'."
        )


def check_memory(algorithm: Algorithm) -> None:
    """It needs no more memory than `memory` says, beside a few networks for each member."""
    if isinstance(algorithm, Composite):  # one works at a time
        for part in algorithm.parts:
            check_memory(part)
        return
    case = Case.of(algorithm, members=2, sizes=_wide(algorithm), rows=8)
    size = case.parameters[0].nbytes
    promised = case.algorithm.memory(case.problem, case.descent)
    needed, _, _ = _traced(case)
    assert needed <= 1.1 * promised + 2 * _FEW * size + (1 << 20), (
        f"{algorithm!r}: `memory` says {promised / 1e6:.1f} MB, and {needed / 1e6:.1f} MB were needed for networks of "
        f"{size / 1e6:.2f} MB. More than {_FEW} networks a member must be said."
    )
    assert promised <= 4 * needed + 2 * _FEW * size, (
        f"{algorithm!r}: `memory` says {promised / 1e6:.1f} MB, and {needed / 1e6:.1f} MB were needed: it would refuse what fits."
    )


def check_step(algorithm: Algorithm) -> None:
    """A step leaves nothing behind, and makes no room that could have been made before the first."""
    if isinstance(algorithm, Composite):  # one works at a time
        for part in algorithm.parts:
            check_step(part)
        return
    case = Case.of(algorithm, members=2, sizes=_wide(algorithm), rows=8)
    size = case.parameters[0].nbytes
    _, temporary, kept = _traced(case)
    assert kept <= 0.1 * size + 1000, (
        f"{algorithm!r}: a step leaves {kept / 1e3:.0f} kB behind, for networks of {size / 1e3:.0f} kB: its memory grows with the "
        "steps."
    )
    allowed = _allowed(case.algorithm, case.problem.network, 2) * size
    assert temporary <= allowed, (
        f"{algorithm!r}: a step takes {temporary / 1e6:.2f} MB of memory anew, for networks of {size / 1e6:.2f} MB; at most "
        f"{allowed / 1e6:.2f} MB are allowed. Make arrays in `bind`, and write into them with out=."
    )


# Networks that a member may need without saying so: its weights, the best and the last good ones, gradients, moments.
_FEW = 8


def _wide(algorithm: Algorithm) -> tuple[int, ...]:
    """Return a network whose weights are large beside what they compute; small for what needs a matrix of them."""
    return (70, 70, 2) if algorithm.choose(Network((70, 70, 2))).name != "cma_es" else (6, 8, 2)


def _allowed(algorithm: Algorithm, network: Network, members: int) -> float:
    """Return how many networks a step may make room for: none, or those that an evolution asks to be scored."""
    if isinstance(algorithm, Evolutionary):
        return algorithm.networks_at_once(network)
    return 0.5 * members * int(getattr(algorithm, "population_size", 1) or 1)


def _traced(case: Case) -> tuple[int, int, int]:
    """Return the bytes that a training needs, that a step takes for a while, and that it leaves behind."""
    algorithm, problem, descent = copy.deepcopy(case.algorithm), case.problem, case.descent
    state = algorithm.start(problem, descent, case.parameters, _generators(problem.n_members, 0))
    algorithm.bind(problem, descent, state)()  # what is loaded for the first step is no matter
    del state
    rngs = _generators(problem.n_members, 0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        state = algorithm.start(problem, descent, case.parameters, rngs)
        step = algorithm.bind(problem, descent, state)
        with np.errstate(all="ignore"):
            for _ in range(3):
                step()
            temporary, begun = 0, tracemalloc.get_traced_memory()[0]
            needed = tracemalloc.get_traced_memory()[1] - before
            for _ in range(8):
                tracemalloc.reset_peak()
                now = tracemalloc.get_traced_memory()[0]
                progress = step()
                temporary = max(temporary, tracemalloc.get_traced_memory()[1] - now)
                del progress
            kept = (tracemalloc.get_traced_memory()[0] - begun) // 8
    finally:
        tracemalloc.stop()
    return needed, temporary, kept


CHECKS = (
    check_settings,
    check_same_seed,
    check_resumes,
    check_stack,
    check_cost,
    check_masks,
    check_memory,
    check_step,
)


def check_algorithm(algorithm: Algorithm) -> None:
    """Check that a training algorithm keeps the promises that nnexp makes for all of them.

    It must have settings that are read, set, copied and compared; train to the same bits from the same generators and after a
    break; train a network in a stack as alone; count what it costs; leave absent connections absent; need no more memory than
    it says; and allocate nothing from step to step.

    Parameters
    ----------
    algorithm : Algorithm
        With settings for a small problem: a population of some 10 networks.

    Raises
    ------
    AssertionError
        With a sentence that says what it does instead.

    Examples
    --------
    >>> from nnexp import SNES
    >>> check_algorithm(SNES(population_size=12, batch_size=20))
    """
    for check in CHECKS:
        check(algorithm)
