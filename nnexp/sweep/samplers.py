"""Samplers: which points of the space are tried next. Optuna's by their names, and those that need no memory.

A sampler is a function of the study's seed, of the trials that it is shown and of the numbers that it is asked for.
Nothing else decides, so that a sweep that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nnexp._errors import ExpectedError, quoted
from nnexp._names import nearest
from nnexp.sweep.distributions import distribution
from nnexp.sweep.space import Direction, Leaf, Point, Space, Value
from nnexp.sweep.store import Trial


class SamplerError(ExpectedError, ValueError):
    """A sampler or a pruner is not known, or cannot be used here; the message says why."""


def seed_of(*parts: Any) -> int:
    """Return a seed that depends on these parts and nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little")


class Sampler(Protocol):
    """What proposes points.

    Attributes
    ----------
    by_number : bool
        Whether a point depends on the trial's number alone, and not on other trials.
    """

    by_number: bool

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        """Return a point for each number.

        Parameters
        ----------
        shown : sequence of Trial
            What may be learnt from, by number: finished trials, and those that run.
        numbers : sequence of int
            The trials to be.
        seed : any
            Decides what is random.
        """


class RandomSampler:
    """Each point by itself, as the space declares it to be likely."""

    by_number = True

    def __init__(self, space: Space, study_seed: int) -> None:
        self._space, self._seed = space, study_seed

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        points = []
        for number in numbers:
            rng = np.random.default_rng(seed_of(self._seed, "random", number))
            points.append(self._space.walk(lambda leaf, rng=rng: leaf.at(rng.random()))[0])  # type: ignore[misc]
        return points


class GridSampler:
    """Every point of the grid once."""

    by_number = True

    MOST = 100_000

    def __init__(self, space: Space) -> None:
        self._points = list(itertools.islice(space.grid(), self.MOST + 1))
        if len(self._points) > self.MOST:
            raise SamplerError(
                f"The grid has more than {self.MOST:,} points; 'quasi_random' covers such a space evenly."
            )

    def begin_with(self, points: Sequence[Point]) -> None:
        """Have these points first, which were tried when the grid was smaller, and then the others."""
        before = {tuple(sorted(point.items())) for point in points}
        rest = [point for point in self._points if tuple(sorted(point.items())) not in before]
        self._points = [dict(point) for point in points] + rest

    @property
    def size(self) -> int:
        """How many points there are."""
        return len(self._points)

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        return [dict(self._points[number]) for number in numbers]


class QuasiRandomSampler:
    """A scrambled Sobol sequence: points that fill the space more evenly than random ones.

    References
    ----------
    Owen (1998), "Scrambling Sobol' and Niederreiter-Xing points", Journal of Complexity 14.
    """

    by_number = True
    _AT_ONCE = 1 << 10

    def __init__(self, space: Space, study_seed: int) -> None:
        self._space = space
        self._place = {leaf.name: i for i, leaf in enumerate(space.leaves)}
        self._seed = seed_of(study_seed, "quasi-random")
        self._known = np.empty((0, len(self._place)))

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        wanted = max(numbers, default=-1) + 1
        if wanted > len(self._known):
            count = 1 << max(wanted - 1, self._AT_ONCE).bit_length()
            from scipy.stats import qmc  # loads all of scipy.stats

            engine = qmc.Sobol(len(self._place), scramble=True, rng=np.random.default_rng(self._seed))
            self._known = engine.random(count)
        rows = [self._known[number] for number in numbers]
        return [self._space.walk(lambda leaf, u=u: leaf.at(float(u[self._place[leaf.name]])))[0] for u in rows]  # type: ignore[misc]


class CmaEsSampler:
    """A normal distribution over the numbers of the space that follows the better trials; choices are random.

    A generation is as many trials as CMA-ES would have in one; only finished generations are learnt from.

    References
    ----------
    Hansen (2016), "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772.
    """

    by_number = False

    def __init__(self, space: Space, study_seed: int, maximize: bool) -> None:
        self._space, self._seed, self._sign = space, study_seed, -1.0 if maximize else 1.0
        self._numeric = [leaf for leaf in space.leaves if leaf.kind != "choice"]
        if not self._numeric:
            raise SamplerError("The sampler 'cma_es' needs a number that varies; this space has choices only.")
        # cmaes wants two dimensions at least; the second one of a single number is not looked at.
        self._dimensions = max(2, len(self._numeric))
        self._told = 0
        self._optimizer = self._begin()

    def _begin(self) -> Any:
        from cmaes import CMA  # loads much of SciPy

        bounds = np.tile([0.0, 1.0], (self._dimensions, 1))
        seed = seed_of(self._seed, "cma_es") % (1 << 31)
        return CMA(mean=np.full(self._dimensions, 0.5), sigma=0.25, bounds=bounds, seed=seed)

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        size = self._optimizer.population_size
        whole = 0
        while whole < len(shown) and shown[whole].number == whole and shown[whole].is_finished:
            whole += 1
        for first in range(self._told, whole // size * size, size):
            told = []
            for trial in shown[first : first + size]:
                rng = np.random.default_rng(seed_of(self._seed, "place", trial.number))
                value = trial.values[0] if trial.values and trial.state != "fail" else math.inf * self._sign
                told.append((self._place(trial.params, rng), self._sign * value))
            worst = max([v for _, v in told if math.isfinite(v)], default=0.0)
            self._optimizer.tell([(x, v if math.isfinite(v) else worst + 1.0) for x, v in told])
            if self._optimizer.should_stop():
                self._optimizer = self._begin()
            self._told = first + size
        points = []
        for number in numbers:
            rng = np.random.default_rng(seed_of(self._seed, "ask", number, seed))
            # The normals of cmaes come from a state of its own: it is set by the number, so that a restart changes nothing.
            self._optimizer._rng = np.random.RandomState(seed_of(self._seed, "normals", number, seed) % (1 << 31))
            place = dict(zip([leaf.name for leaf in self._numeric], self._optimizer.ask(), strict=False))
            points.append(
                self._space.walk(
                    lambda leaf, p=place, r=rng: leaf.at(float(p[leaf.name]) if leaf.name in p else r.random())  # type: ignore[misc]
                )[0]
            )
        return points

    def _place(self, params: Point, rng: np.random.Generator) -> Any:
        place = rng.random(self._dimensions)
        for i, leaf in enumerate(self._numeric):
            if leaf.name in params:
                place[i] = _place_of(leaf, params[leaf.name])
        return place


def _place_of(leaf: Leaf, value: Value) -> float:
    """Return the place from 0 to 1 that a number comes from: the inverse of `Leaf.at`."""
    number = float(value)  # type: ignore[arg-type]
    if leaf.log:
        shift = 0.5 if leaf.kind == "int" else 0.0
        low, high = math.log(leaf.low - shift), math.log(leaf.high + shift)
        return min(max((math.log(number) - low) / (high - low), 0.0), 1.0)
    if leaf.step is not None:
        return ((number - leaf.low) / leaf.step + 0.5) / leaf.size
    return (number - leaf.low) / (leaf.high - leaf.low)


class OptunaSampler:
    """One of Optuna's samplers, made anew for each batch; its study is a picture in memory of the trials shown."""

    by_number = False

    def __init__(self, name: str, space: Space, directions: Sequence[Direction], settings: Mapping[str, Any]) -> None:
        self._name, self._space, self._directions, self._settings = name, space, list(directions), dict(settings)
        self._study: Any = None
        self._idle: Any = None  # what takes the sampler's place where nothing is sampled
        self._in_picture: set[int] = set()
        self._passed = 0
        if name == "gp" and importlib.util.find_spec("torch") is None:
            raise SamplerError("The sampler 'gp' needs a package that is not there: pip install torch.")
        self._make(0)

    def _make(self, seed: int) -> Any:
        import optuna

        classes = {
            "tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler,
        }  # fmt: skip
        settings: dict[str, Any] = {**self._settings}
        if self._name == "tpe":  # what Optuna 5 takes by default, said so that earlier versions take it too
            settings.setdefault("group", self._space.is_conditional)
            settings.setdefault("multivariate", len(self._directions) == 1 or settings["group"])
            settings.setdefault("constant_liar", True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is experimental
                return classes[self._name](seed=seed, **settings)
        except ImportError as error:
            raise SamplerError(
                f"The sampler {quoted(self._name)} needs a package that is not there: {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise SamplerError(
                f"The sampler {quoted(self._name)} cannot be made with these settings: {error}"
            ) from error

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        from optuna.trial import TrialState

        if not numbers:
            return []
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            passing: list[Any] = self._picture(shown)
            self._study.sampler = self._make(seed_of(self._name, seed))
            points = []
            try:
                for _ in numbers:
                    trial = self._study.ask()
                    passing.append(trial)
                    points.append(self._space.walk(lambda leaf, t=trial: suggest_place(t, leaf))[0])  # type: ignore[misc]
            except ImportError as error:
                raise SamplerError(
                    f"The sampler {quoted(self._name)} needs a package that is not there: {error}"
                ) from error
            except (TypeError, ValueError, AttributeError, ZeroDivisionError, IndexError) as error:
                raise SamplerError(f"The sampler {quoted(self._name)} fails with its settings: {error}") from error
            finally:
                self._passed += len(passing)
                self._study.sampler = self._idle
                for (
                    trial
                ) in passing:  # what is not finished leaves the picture; samplers do not look at what has failed
                    self._study.tell(trial, state=TrialState.FAIL)
        return points

    def _picture(self, shown: Sequence[Trial]) -> list[Any]:
        """Make the study in memory hold the trials shown; return the numbers there of those that run."""
        import optuna

        finished = {trial.number: trial for trial in shown if trial.is_finished}
        running = [frozen(trial, self._space, places=True) for trial in shown if not trial.is_finished]
        if self._study is None or not self._in_picture <= finished.keys() or self._passed > 64 + len(finished):
            self._passed = 0
            self._idle = optuna.samplers.RandomSampler()
            self._study = optuna.create_study(directions=self._directions, sampler=self._idle)
            self._in_picture = set()
        new = [frozen(trial, self._space, places=True) for n, trial in finished.items() if n not in self._in_picture]
        self._study.add_trials([*new, *running])
        self._in_picture = set(finished)
        count = len(self._study.get_trials(deepcopy=False))
        return list(range(count - len(running), count))


class KnownFirst:
    """Some points first, and then what another sampler proposes.

    What a point leaves open is random. A sampler whose points depend on numbers alone begins with its first one afterwards.
    """

    def __init__(self, sampler: Sampler, space: Space, known: Sequence[Point], study_seed: int) -> None:
        self._sampler, self._space, self._known, self._seed = (
            sampler,
            space,
            [dict(point) for point in known],
            study_seed,
        )
        self.by_number = sampler.by_number

    @property
    def n_known(self) -> int:
        """How many points are known."""
        return len(self._known)

    def propose(self, shown: Sequence[Trial], numbers: Sequence[int], seed: Any) -> list[Point]:
        n_known = len(self._known)
        rest = [number for number in numbers if number >= n_known]
        shift = n_known if self.by_number else 0
        first = [self._point(number) for number in numbers if number < n_known]
        return first + (self._sampler.propose(shown, [number - shift for number in rest], seed) if rest else [])

    def _point(self, number: int) -> Point:
        rng, known = np.random.default_rng(seed_of(self._seed, "known", number)), self._known[number]
        return self._space.walk(lambda leaf: known[leaf.name] if leaf.name in known else leaf.at(rng.random()))[0]


def suggest(trial: Any, leaf: Leaf) -> Value:
    """Let an Optuna trial give a leaf its value."""
    if leaf.kind == "choice":
        return trial.suggest_categorical(leaf.name, leaf.choices)
    if leaf.kind == "int":
        return trial.suggest_int(leaf.name, leaf.low, leaf.high, step=int(leaf.step or 1), log=leaf.log)
    return trial.suggest_float(leaf.name, leaf.low, leaf.high, step=leaf.step, log=leaf.log)


def suggest_place(trial: Any, leaf: Leaf) -> Value:
    """Let an Optuna trial give a leaf its value, where it has many whole ones by a place from 0 to 1.

    Optuna's estimator spends milliseconds on the mass of each whole number; on a scale of places it takes a tenth of that.
    """
    if _has_places(leaf):
        return leaf.at(trial.suggest_float(leaf.name, 0.0, 1.0))
    return suggest(trial, leaf)


def _has_places(leaf: Leaf) -> bool:
    return leaf.kind == "int" and leaf.size > 8


def frozen(trial: Trial, space: Space, places: bool = False, with_rungs: bool = True) -> Any:
    """Return a trial as Optuna has it; with ``places`` as `suggest_place` draws it."""
    from optuna.distributions import FloatDistribution
    from optuna.trial import TrialState, create_trial

    states = {
        "complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "fail": TrialState.FAIL, "running": TrialState.RUNNING,
    }  # fmt: skip
    by_name = {leaf.name: leaf for leaf in space.leaves}
    state, values, steps = trial.state, list(trial.values), dict(trial.steps)
    if state in ("complete", "pruned") and not values:
        state = "fail"
    if state == "pruned" and len(values) > 1:  # Optuna knows no pruned trials of several objectives
        state, steps = "complete", {}
    if places and state == "fail":  # so that the sampler learns from it: what was pruned without a report ranks last
        state, values, steps = "pruned", [], {}
    params, kinds = dict(trial.params), {name: distribution(by_name[name]) for name in trial.params}
    for name in params if places else ():
        if _has_places(by_name[name]):
            params[name], kinds[name] = _place_of(by_name[name], params[name]), FloatDistribution(0.0, 1.0)
    return create_trial(
        state=states[state],
        values=values if state in ("complete", "pruned") and values else None,
        params=params,
        distributions=kinds,
        intermediate_values=steps,
        system_attrs=dict(trial.rungs) if with_rungs else {},
    )


def as_optuna_study(trials: Sequence[Trial], space: Space, directions: Sequence[Any]) -> Any:
    """Return trials as a study of Optuna's, in memory."""
    import optuna

    with quiet():
        study = optuna.create_study(directions=list(directions))
        study.add_trials([frozen(trial, space, with_rungs=False) for trial in trials])
    return study


class quiet:  # noqa: N801 - a context manager
    """Keep Optuna from printing a line for each trial."""

    def __enter__(self) -> None:
        import optuna

        self._before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)

    def __exit__(self, *error: object) -> None:
        import optuna

        optuna.logging.set_verbosity(self._before)


SAMPLERS = {
    "tpe": "Optuna's tree-structured Parzen estimator: learns from all trials; up to some thousand of them",
    "random": "each point by itself; any number of trials",
    "grid": "every point of the grid once",
    "quasi_random": "a scrambled Sobol sequence: more even than random; any number of trials",
    "cma_es": "a normal distribution that follows the better trials; for numbers",
    "gp": "a Gaussian process; up to some hundred trials; needs torch",
}


def make_sampler(
    name: str, space: Space, study_seed: int, directions: Sequence[Direction], settings: Mapping[str, Any]
) -> Sampler:
    """Return a sampler by its name.

    Raises
    ------
    SamplerError, SpaceError
        If the name is not known, or the sampler cannot be used for the space.
    """
    if name not in SAMPLERS:
        raise SamplerError(f"unknown sampler {quoted(name)}. {nearest(name, SAMPLERS)}")
    if settings and name not in ("tpe", "gp"):
        raise SamplerError(f"The sampler {quoted(name)} has no settings. Got {', '.join(settings)}.")
    if name == "random":
        return RandomSampler(space, study_seed)
    if name == "grid":
        return GridSampler(space)
    if name == "quasi_random":
        return QuasiRandomSampler(space, study_seed)
    if name == "cma_es":
        if len(directions) > 1:
            raise SamplerError("The sampler 'cma_es' has one objective; take 'tpe' for several.")
        return CmaEsSampler(space, study_seed, directions[0] == "maximize")
    return OptunaSampler(name, space, directions, settings)
