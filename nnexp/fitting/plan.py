"""A fit that is ready to be trained."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._identity import key_of
from nnexp._names import check_number, is_integer
from nnexp.encoding import Encoder, encoder_named, rules_of
from nnexp.fitting.outputs import Outputs, make_outputs
from nnexp.fitting.rows import Chosen, Rows, weights_of_classes
from nnexp.fitting.scores import Asked, ChosenScore, Face, FitnessScore, PlainScore, decides
from nnexp.fitting.settings import Settings, is_auto
from nnexp.fitting.splits import Split, resolve_validation, split_by, split_rows
from nnexp.model import MOST_ROWS, Model, rows_of
from nnexp.network import Network
from nnexp.network.error_functions import CrossEntropy, SoftmaxCrossEntropy, make_objective
from nnexp.network.samples import Samples
from nnexp.targets import Classes, Labels, Numbers, Target
from nnexp.training import Algorithm, Descent, Problem, Stopping, Training
from nnexp.training.history import History
from nnexp.training.juries import Juries
from nnexp.training.loop import check_room
from nnexp.training.schedules import Constant
from nnexp.training.stack import Task

Array = NDArray[Any]

# With companions: for what share of the steps nothing need improve. Of few samples errors rest long before they fall.
_PATIENCE_SHARE = 5
# The steps of a training that something else stops.
_UNLIMITED = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Data:
    """What a fit is given, as scikit-learn has checked it.

    Attributes
    ----------
    features : array or sparse array of shape (n, n_columns), or (n, n_columns + 1) with a column of ones
        As a network sees them, but for pieces.
    y : array
    given : array, sparse array or data frame of n rows
        X as it was given: what scorers see.
    encoder : Encoder or None
        What made the features of it.
    feature_names : array of str, or None
    sample_weight, groups : array-like or None
    more : triple of arrays, or None
        Features and y of samples that choose the best step, and their X as it was given.
    classes : array-like or None
        All classes that will ever occur.
    random_state : Any
        As the parameter has it: the settings may be another estimator's.
    fold : array of int, shape (n,), or None
        The fold of each sample where several models are to have the same ones: each network sets its own aside.
    """

    features: Any
    y: Any
    given: Any
    encoder: Encoder | None = None
    feature_names: Array | None = None
    sample_weight: Any = None
    groups: Any = None
    more: tuple[Any, Any, Any] | None = None
    classes: Any = None
    random_state: Any = None
    fold: Array | None = None


@dataclass(frozen=True, eq=False)
class Left:
    """What a fit has left for the next one to go on from.

    Attributes
    ----------
    model : Model
    seed : SeedSequence or None
        From which the fit drew its random numbers.
    training : Training or None
        None where nothing but the weights is known.
    optimizer, schedule
        Of that fit.
    key, rows_key : str
        A hash of the data, and of the samples alone.
    is_mixed : bool
        Whether it has learnt from other samples than the last ones, so that nothing is known of samples that it has not seen.
    """

    model: Model
    seed: np.random.SeedSequence | None = None
    training: Training | None = None
    optimizer: Any = None
    schedule: Any = None
    key: str = ""
    rows_key: str = ""
    is_mixed: bool = False


@dataclass(frozen=True, eq=False)
class Plan:
    """A fit that is ready to be trained.

    Attributes
    ----------
    settings : Settings
    task : Task
        What is to be trained; its algorithm is what that of the settings chose.
    target : Target
        Of all networks, or for `Numbers` with a mean and a scale for each.
    rows : Rows
    how : {"none", "given", "holdout", "cross"}
        How it is validated.
    feature_names : array of str, or None
    seed : SeedSequence
    encoder : Encoder or None
    """

    settings: Settings
    task: Task
    target: Target
    rows: Rows
    how: str
    feature_names: Array | None
    seed: np.random.SeedSequence
    encoder: Encoder | None = None

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self.task.problem.network

    @cached_property
    def rows_key(self) -> str:
        """Return a hash of the samples, and of which each network learns from."""
        problem = self.task.problem
        digest = hashlib.blake2b(digest_size=16)
        arrays = [*problem.samples.parts, problem.expected, problem.weight, problem.shift]
        for array in (*arrays, *problem.training, *(problem.validation or [])):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @cached_property
    def data_key(self) -> str:
        """Return a hash of all that the errors depend on besides the weights, and of the scores that decide."""
        problem = self.task.problem
        digest = hashlib.blake2b(self.rows_key.encode(), digest_size=16)
        encoder = self.encoder
        for array in [] if encoder is None else [encoder.fill, encoder.center, encoder.scale, *encoder.edges]:
            digest.update(array.tobytes())
        scores = key_of(self.settings["scoring"], self.settings["fitness"])
        digest.update(repr((problem.objective, problem.l1, problem.l2, problem.score_decides, scores)).encode())
        return digest.hexdigest()

    @property
    def has_companions(self) -> bool:
        """Whether networks train beside the one asked for, that say when it is to stop."""
        return self.task.problem.n_members > self.settings.n_networks

    def model_of(self, training: Training, members: slice = slice(None), companions: bool = False) -> Model:
        """Return what some of the members of a training are, as it stands; with its companions, or without."""
        everyone = np.arange(len(training.n_iter))
        numbers = everyone[members]
        shown = numbers if companions else numbers[: self.settings.n_networks]
        return Model(
            network=self.network,
            parameters=training.parameters[shown],
            target=self.target if len(shown) == len(numbers) else self.target.of(0),
            algorithm=self.task.algorithm,
            # That of companions is kept with it: to part with it would take longer the more steps have been done.
            log=training.log.branch() if len(numbers) == len(everyone) else training.log.select(numbers),
            n_iter=int(training.n_iter[shown].max()),
            evaluations=int(training.evaluations[numbers].sum()),
            stop_reasons=tuple(training.stop_reason[i] for i in shown),
            judged_from=tuple(int(first) for first in training.judged_from[shown]),
            by_score=self.task.problem.score_decides,
            validated=self.task.problem.validation is not None,
            feature_names=self.feature_names,
            encoder=self.encoder,
        )


class Shared:
    """What several fits have in common: equal tables of inputs and networks are made once, and what was learnt of a table."""

    def __init__(self) -> None:
        self._encoded: dict[Any, Any] = {}
        self._tables: dict[Any, Any] = {}
        self._networks: dict[Any, Any] = {}

    def encoded(self, key: tuple[Any, ...], source: Any, make: Callable[[], Any]) -> Any:
        """Return what is made of a source, which a key names by its id among others: made once, and kept with the source."""
        if key not in self._encoded:
            self._encoded[key] = make(), source
        return self._encoded[key][0]

    def samples(self, rows: Rows, chosen: Chosen | None, encoder: Encoder | None, bias: bool, dtype: Any) -> Samples:
        """Return the table of inputs."""
        pieces, n_columns = (None, None) if encoder is None else (encoder.pieces, encoder.n_columns)
        more = None if chosen is None else chosen.features
        key = (id(rows.features), bias, dtype, None if more is None else id(more))
        if key not in self._tables:  # with what the id belongs to, so that no other object can get it
            self._tables[key] = Samples(rows.features, bias, dtype, more, pieces, n_columns), rows, chosen
        return self._tables[key][0]

    def network(self, settings: Settings, outputs: Outputs, n_inputs: int, wiring: int) -> Network:
        """Return the network that parameters describe, as the algorithm trains it."""
        key = (id(settings), n_inputs, outputs.n_outputs, wiring)
        if key not in self._networks:
            described = Network(
                (n_inputs, *settings.hidden, outputs.n_outputs),
                settings["activation"],
                outputs.given,
                settings["connections"],
                settings["bias"],
                settings["initializer"],
                random_state=wiring,
            )
            network = settings.algorithm.choose(described).extend(described)
            _check_trainable(settings, outputs, network, settings.algorithm.choose(network))
            self._networks[key] = network, settings
        return self._networks[key][0]


def plan_fit(
    settings: Settings, data: Data, face: Face, left: Left | None = None, shared: Shared | None = None
) -> Plan:
    """Plan a fit.

    Parameters
    ----------
    settings : Settings
    data : Data
    face : callable
        Makes a fitted estimator of a model, for scorers.
    left : Left, default=None
        What the last fit left, for one that goes on from there.
    shared : Shared, default=None
        What other fits have made already.

    Raises
    ------
    ValueError, TypeError
        For parameters and data that do not go together.
    """
    return _Planning(settings, data, face, left, shared, one_step=False).plan()


def plan_step(settings: Settings, data: Data, face: Face, left: Left | None = None) -> Plan:
    """Plan one more step, on data of a stream; see `plan_fit`."""
    return _Planning(settings, data, face, left, None, one_step=True).plan()


class _Planning:
    """What the parts of a plan are made from."""

    def __init__(
        self, settings: Settings, data: Data, face: Face, left: Left | None, shared: Shared | None, one_step: bool
    ) -> None:
        self.settings, self.data, self.face, self.left = settings, data, face, left
        self.shared, self.one_step = shared or Shared(), one_step
        dtype = settings["dtype"]
        self.dtype = data.features.dtype if is_auto(dtype) else np.dtype(dtype)

    def plan(self) -> Plan:
        """Return the plan."""
        settings, data, left = self.settings, self.data, self.left
        rows = Rows.of(data.features, data.y, data.sample_weight, data.groups)
        known = left.model.target if left is not None and self.one_step else None
        outputs, y = make_outputs(settings, rows.y, data.classes, known)
        rows, of_class = self._weighted(replace(rows, y=y), outputs)
        seed = (left.seed if left is not None else None) or seed_sequence(data.random_state)
        # One stream of random numbers for each purpose, so that none depends on what another draws.
        wiring, member, split_seed = copy.deepcopy(seed).spawn(3)
        n_inputs = rows.features.shape[1] if data.encoder is None else data.encoder.n_inputs
        network = self.shared.network(settings, outputs, n_inputs, _number(wiring))
        algorithm = settings.algorithm.choose(network)
        chosen = None
        if data.more is not None:
            chosen = Chosen.of(*data.more, like=rows.features, outputs=outputs)
            if of_class is not None:
                assert isinstance(outputs.target, Classes)
                chosen = replace(chosen, weight=of_class[np.searchsorted(outputs.target.classes, chosen.y)])
        how = "none" if self.one_step else "given"
        if chosen is None and not self.one_step:
            how = resolve_validation(settings, len(rows), algorithm)
            has_begun_alone = left is not None and left.training is not None and len(left.training.n_iter) == 1
            if how == "cross" and has_begun_alone and settings.n_networks == 1:
                if settings["validation"] != "auto":
                    raise ValueError(
                        "Training goes on where partial_fit ended, and there the network has no companions, which "
                        "validation='cross' needs from the first step on. Set validation='none', or warm_start=False to start anew."
                    )
                how = "none"
        if data.fold is not None:
            split = split_by(data.fold[rows.numbers], settings.n_networks)
        else:
            split = split_rows(settings, rows, outputs.target, how, _number(split_seed))
        if chosen is not None:
            more = np.arange(len(rows), len(rows) + chosen.features.shape[0])
            split = replace(split, validation=[more] * settings.n_networks)
        check_room(split.n_members, network.n_parameters)
        problem, target = self._problem(network, outputs, rows, chosen, split)
        descent = self._descent(algorithm, outputs, split)
        stopping = self._stopping(algorithm, network, descent, split)
        descent = self._laid_out(descent, stopping)
        rngs = [np.random.default_rng(child) for child in member.spawn(split.n_members)]
        if left is not None and left.training is None:
            parameters = np.array(left.model.parameters)
        else:
            parameters = network.initialize(split.n_members, rngs, dtype=problem.dtype)
        task = Task(algorithm, problem, descent, stopping, parameters, rngs)
        plan = Plan(settings, task, target, rows, split.how, data.feature_names, seed, data.encoder)
        if left is not None:
            _check_goes_on(plan, left)
        return plan

    def _weighted(self, rows: Rows, outputs: Outputs) -> tuple[Rows, Array | None]:
        """Return the samples with the weights of their classes, and these."""
        target = outputs.target
        if isinstance(target, Numbers):
            return rows, None
        assert isinstance(target, Classes | Labels)
        of_class = weights_of_classes(self.settings["class_weight"], target, rows)
        if of_class is None:
            return rows, None
        return rows.weighted_by(of_class, np.searchsorted(target.classes, rows.y))

    def _problem(
        self, network: Network, outputs: Outputs, rows: Rows, chosen: Chosen | None, split: Split
    ) -> tuple[Problem, Target]:
        settings = self.settings
        y = rows.y if chosen is None else np.concatenate([rows.y, chosen.y])
        targets, target = self._targets(outputs, rows, split)
        with np.errstate(over="ignore"):
            samples = self.shared.samples(rows, chosen, self.data.encoder, network.bias, self.dtype)
            expected = np.concatenate([target.encode(y).astype(self.dtype) for target in targets])
        for values, name in ((samples.values, "X"), (expected, "y")):
            parts = (values[first : first + MOST_ROWS] for first in range(0, len(values), MOST_ROWS))
            if not all(np.isfinite(part).all() for part in parts):
                raise ValueError(f"{name} holds values too large for dtype={quoted(self.dtype.name)}; rescale them.")
        weight = self._weight(rows, chosen, len(y), len(targets))
        objective = make_objective(network.activations[-1], outputs.error_function)
        if isinstance(objective, SoftmaxCrossEntropy) and target.is_exclusive and not settings["label_smoothing"]:
            objective = replace(objective, one_of_all=True)
        shift = np.arange(split.n_members) * len(y) if len(targets) > 1 else np.zeros(split.n_members, dtype=int)
        problem = Problem(
            network=network,
            objective=objective,
            samples=samples,
            expected=expected,
            weight=weight,
            training=split.training,
            validation=split.validation,
            shift=shift,
            l1=np.full(split.n_members, float(settings["l1"])),
            l2=np.full(split.n_members, self._l2(outputs, split)),
            score_decides=decides(settings, split.validation is not None) is not None,
            juries=Juries.of_folds(split.n_members) if split.how == "cross" else None,
        )
        if split.validation is None and not problem.score_decides and settings["fitness"] is None:
            return problem, target
        scorers, fitness = self._scores(problem, target, rows, chosen, split)
        return replace(problem, scorers=scorers, fitness=fitness), target

    def _targets(self, outputs: Outputs, rows: Rows, split: Split) -> tuple[list[Any], Target]:
        """Return the targets that networks have, one or one for each, and these as one."""
        target, networks = outputs.target, split.n_members
        if not isinstance(target, Numbers):
            return [target], target
        if self.left is not None and self.left.model.target is target:
            several = target.mean.ndim == 3  # each network goes on with its own scale
            return [target.of(i) for i in range(networks)] if several else [target], target
        distinct = split.training
        if all(training is distinct[0] for training in distinct):
            distinct = distinct[:1]
        standardise = outputs.standardises(self.settings["normalize_y"])
        targets = [
            replace(
                Numbers.fit(rows.y[training], None if rows.weight is None else rows.weight[training], standardise),
                flat=target.flat,
            )
            for training in distinct
        ]
        return targets, Numbers.join(targets)

    def _weight(self, rows: Rows, chosen: Chosen | None, n: int, n_targets: int) -> Array | None:
        """Return the weights of all samples, those that choose included; as often as there are targets."""
        if rows.weight is None:
            return None
        extra = np.full(n - len(rows), rows.weight.mean())
        if chosen is not None and chosen.weight is not None:  # a class counts there as it does here
            extra = np.maximum(chosen.weight, np.finfo(np.float32).tiny)
        return np.tile(np.concatenate([rows.weight, extra]), n_targets).astype(self.dtype)

    def _laid_out(self, descent: Descent, stopping: Stopping) -> Descent:
        """Return the same, with the schedule laid out for the steps that there are."""
        left = self.left
        done = 0 if left is None or left.training is None else int(left.training.n_iter.max())
        schedule = self.settings.schedule
        if self.one_step and schedule.horizon is None:
            schedule = Constant()  # a stream of data has no end that a schedule could be laid out for
        return replace(descent, schedule=schedule, horizon=int(schedule.horizon or done + stopping.max_iter))

    def _descent(self, algorithm: Algorithm, outputs: Outputs, split: Split) -> Descent:
        classification = not outputs.target.is_numeric
        # Nothing but dropout and l2 holds the weights back; or little, where companions learn from less than the network does.
        free = split.validation is None or split.has_companions
        n = len(split.training[0])
        random = algorithm.uses_gradient and self.settings.samples_per_update(n) < n
        return self.settings.descent(split.n_members, 0.1 if free and classification and random else 0.0)

    def _l2(self, outputs: Outputs, split: Split) -> float:
        given = self.settings["l2"]
        if not is_auto(given):
            return float(given)
        if split.validation is not None and not split.has_companions:
            return 1e-4
        return 3e-4 if outputs.target.is_numeric else 2e-3

    def _scores(
        self, problem: Problem, target: Target, rows: Rows, chosen: Chosen | None, split: Split
    ) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the scores that choose, and those by which evolution selects, for each network."""
        settings = self.settings
        name = decides(settings, split.validation is not None)
        what, judged = ("training", split.training) if split.validation is None else ("validation", split.validation)
        if split.has_companions:  # which has no samples of its own to be judged by
            judged = [split.training[0], *judged[1:]]
        y = rows.y if chosen is None else np.concatenate([rows.y, chosen.y])
        members = range(split.n_members)
        of = [target.of(i) for i in members]
        shown = [
            Model(
                problem.network,
                np.empty(0),
                alone,
                settings.algorithm,
                History(),
                feature_names=self.data.feature_names,
                encoder=self.data.encoder,
            )
            for alone in of
        ]
        scorers: list[Any] | None = None
        if split.validation is not None or name is not None:
            shared = all(judge is judged[0] for judge in judged)
            scorers = []
            for i in members:
                judge_of_network, shift = judged[i], problem.shift[i]
                weight = None if problem.weight is None else problem.weight[judge_of_network + shift].astype(np.float64)
                if name is None:
                    scorers.append(PlainScore(of[i], problem.expected[judge_of_network + shift], weight))
                elif shared and scorers:
                    scorers.append(scorers[0])
                else:
                    block = rows_of(self.data.given, rows.numbers[judge_of_network]) if chosen is None else chosen.given
                    scorers.append(
                        ChosenScore(
                            Asked(name, settings[name], what, self.face, shown[i], block, y[judge_of_network], weight)
                        )
                    )
        fitness: list[Any] | None = None
        if settings["fitness"] is not None:
            weight = None if problem.weight is None else problem.weight[: len(rows)].astype(np.float64)
            asked = ("fitness", settings["fitness"], "training", self.face)
            given = rows_of(self.data.given, rows.numbers)
            fitness = [FitnessScore(Asked(*asked, value, given, rows.y, weight)) for value in shown]
        return scorers, fitness

    def _stopping(self, algorithm: Algorithm, network: Network, descent: Descent, split: Split) -> Stopping:
        """Return when training stops."""
        settings, n, chosen_by = self.settings, len(split.training[0]), split.n_validation
        if self.one_step:
            return Stopping(1, np.inf, 0.0)
        steps = algorithm.default_steps(-(-n // descent.samples_per_update(n)))
        given = settings["max_evaluations"], settings["max_seconds"]
        budget, seconds = (np.inf if value is None else float(value) for value in given)
        if np.isfinite(budget) or (settings["max_seconds"] is not None and not algorithm.uses_gradient):
            steps = _UNLIMITED
        max_iter: Any = steps if is_auto(settings["max_iter"]) else settings["max_iter"]
        if np.isfinite(budget):
            cost = algorithm.cost(network, n, chosen_by, descent)
            max_iter = min(max_iter, max(1, int(budget // cost)))
        patience: Any = settings["n_iter_no_change"]
        if is_auto(patience):
            patience = algorithm.patience
            if algorithm.uses_gradient and not settings.schedule.is_constant:
                patience = 2 * patience if chosen_by else np.inf
                if split.has_companions:
                    patience = max(patience, int(max_iter) // _PATIENCE_SHARE)
        return Stopping(int(max_iter), patience, float(settings["tol"]), seconds, budget)


def _check_trainable(settings: Settings, outputs: Outputs, network: Network, algorithm: Algorithm) -> None:
    """Raise a ValueError if a network cannot be trained as the parameters say."""
    error_function, output = outputs.error_function, outputs.name
    if isinstance(error_function, CrossEntropy) and network.n_outputs == 1:
        raise ValueError(
            "error_function='cross_entropy' needs an output for each class. For one output use "
            "'binary_cross_entropy', or output_activation='softmax'."
        )
    if isinstance(error_function, CrossEntropy) and output != "softmax":
        raise ValueError(
            f"error_function='cross_entropy' needs outputs that add up to 1, and output_activation={quoted(output)} does not "
            "make them so: use 'softmax', or error_function='binary_cross_entropy'."
        )
    if output == "softmax" and network.n_outputs == 1:
        raise ValueError("output_activation='softmax' with one output is always 1; use another one.")
    described = f"algorithm={quoted(algorithm.name)}"
    if algorithm.uses_gradient:
        for activation in network.activations:
            if not activation.differentiable:
                raise ValueError(
                    f"{described} needs derivatives, and the activation {quoted(activation.name)} has none of use. Train it by "
                    "evolution: algorithm='evolution'."
                )
        if not error_function.differentiable:
            raise ValueError(
                f"{described} needs derivatives, and {quoted(error_function.name)} has none of use. Minimise it by evolution: "
                "algorithm='evolution'."
            )
        return
    of_descent = {
        "dropout": not is_auto(settings["dropout"]) and bool(np.any(settings["dropout"])),
        "label_smoothing": settings["label_smoothing"],
        "weight_decay": settings["weight_decay"],
        "clip_norm": settings["clip_norm"] is not None,
    }
    for name, is_used in of_descent.items():
        if is_used:
            raise ValueError(f"{name} acts on the updates of descent; {described} makes none.")


def _check_goes_on(plan: Plan, left: Left) -> None:
    """Raise a ValueError unless training can go on with what the last fit left."""
    task, training, model = plan.task, left.training, left.model
    same = {
        "the network": plan.network == model.network,
        "the dtype": task.problem.dtype == model.parameters.dtype,
        "the classes": np.array_equal(getattr(plan.target, "classes", ()), getattr(model.target, "classes", ())),
    }
    named = encoder_named(plan.settings["encoding"])
    before = None if model.encoder is None else model.encoder.layout.rules
    same["the encoding"] = before == (None if named is None else rules_of(named))
    if training is not None:
        same |= {
            "the algorithm or its settings": task.algorithm == training.algorithm,
            "the optimizer or its settings": plan.settings.optimizer == left.optimizer,
            "the schedule or its settings": plan.settings.schedule == left.schedule,
        }
    same["n_networks"] = plan.settings.n_networks == model.n_networks
    if training is not None and same["n_networks"] and same["the algorithm or its settings"]:
        same["validation"] = len(training.n_iter) >= task.problem.n_members
    changed = [name for name, is_same in same.items() if not is_same]
    if changed:
        raise ValueError(
            f"Training goes on where the last fit ended, but {' and '.join(changed)} changed. To start anew "
            "set warm_start=False and call fit."
        )


def _number(seed: np.random.SeedSequence) -> int:
    return int(seed.generate_state(1)[0])


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Return what a ``random_state`` stands for.

    Raises
    ------
    ValueError, TypeError
        If it is none.
    """
    if random_state is None:
        return np.random.SeedSequence()
    if is_integer(random_state):
        check_number("random_state", random_state, low=0, integer=True)
        return np.random.SeedSequence(int(random_state))
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(int(random_state.randint(np.iinfo(np.int32).max)))
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(int(random_state.integers(2**63)))
    raise TypeError(
        f"random_state must be an int, a numpy RandomState or Generator, or None. Got {quoted(random_state)}."
    )
