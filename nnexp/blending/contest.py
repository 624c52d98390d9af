"""A contest of stacks: all train by the same folds, and the worse ones are given up on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from nnexp._identity import key_of
from nnexp._processes import let_workers_leave
from nnexp._threads import one_thread
from nnexp.blending.blended import Member, Samples
from nnexp.blending.weights import Evidence
from nnexp.estimator import BackpropMLP, key_of_plan, plan_of
from nnexp.fitting import Plan, Shared, finish
from nnexp.saving import load_training, save_training
from nnexp.training import Descent, Problem, Training
from nnexp.training.stack import Task

Array = NDArray[Any]

# Seconds between two savings of a training that goes on.
_SAVE_SECONDS = 20.0
# What the loop around an evaluation takes, in weights that could be evaluated meanwhile: measured at 8 networks.
_LOOP_WEIGHTS = 8_000


@dataclass(eq=False)
class Contender:
    """A stack of networks on its way.

    Attributes
    ----------
    name : str
    recipe : mapping
        Its parameters of `BackpropMLP`, as far as it has any of its own.
    network : BackpropMLP
    plan : Plan
    training : Training
    without : frozenset of int
        Folds for which it was given up by the samples of all others; -1 for all samples.
    """

    name: str
    recipe: Mapping[str, Any]
    network: BackpropMLP
    plan: Plan
    training: Training
    without: frozenset[int] = frozenset()
    _known: tuple[int, Member] | None = field(default=None, repr=False)

    @staticmethod
    def enter(
        name: str, recipe: Mapping[str, Any], network: BackpropMLP, data: dict[str, Any], shared: Shared
    ) -> Contender:
        """Return one that has not begun; ``data`` are the arguments of a fit."""
        plan = plan_of(network, data, shared=shared)
        task = plan.task
        training = Training(task.algorithm, task.problem, task.descent, task.parameters, task.rngs)
        return Contender(name, recipe, network, plan, training)

    @property
    def last_step(self) -> int:
        """The step at which it ends at the latest."""
        return self.plan.task.stopping.max_iter

    @property
    def cost(self) -> float:
        """What training has cost: evaluations, each in weights and what the loop around them takes."""
        return float(self.training.evaluations.sum()) * self._of_evaluation

    @property
    def whole_cost(self) -> float:
        """What training to the last step costs."""
        task, split = self.plan.task, self.plan.task.problem
        n_validation = 0 if split.validation is None else len(split.validation[0])
        step = task.algorithm.cost(self.plan.network, len(split.training[0]), n_validation, task.descent)
        return float(step) * self.last_step * split.n_members * self._of_evaluation

    @property
    def _of_evaluation(self) -> float:
        return self.plan.network.n_parameters + _LOOP_WEIGHTS

    @property
    def has_failed(self) -> bool:
        """Whether the error of one of its networks became infinite or NaN."""
        return bool(self.training.diverged.any())

    def member(self, samples: Samples) -> Member:
        """Return it as it stands; where samples are cut into folds, with its values of them."""
        steps = int(self.training.n_iter.sum())
        if self._known is None or self._known[0] != steps:
            model = finish(self.plan, self.training)
            # A prediction must not depend on what else is predicted, to more digits than float32 has.
            shown = self.network.with_model(replace(model, parameters=model.parameters.astype(np.float64)))
            values = None
            if samples.fold is not None:
                values = np.asarray(shown.oof_prediction_, dtype=np.float64)[samples.numbers]
                values = values.reshape(len(values), -1)
            self._known = steps, Member(self.name, (shown,), values, self.training.seconds)
        return replace(self._known[1], without=tuple(sorted(self.without)))


def advance(
    contenders: Sequence[Contender], share: float, folder: Path | None = None, n_jobs: int | None = None
) -> list[Path]:
    """Train contenders until a share of their steps is done; those that share a network train as one stack.

    Parameters
    ----------
    contenders : sequence of Contender
        All have done equally large a share.
    share : float
        In (0, 1].
    folder : Path, default=None
        Where trainings are kept, so that the same contest goes on after a kill.
    n_jobs : int or None, default=None
        Processes, as joblib counts them.

    Returns
    -------
    list of Path
        The files that were written.
    """
    groups: list[list[Contender]] = []
    for contender in contenders:
        for group in groups:
            if contender.plan.task.goes_with(group[0].plan.task):
                group.append(contender)
                break
        else:
            groups.append([contender])
    jobs, files = [], []
    for group in groups:
        step = max(1, round(share * group[0].last_step))
        file, key = None, ""
        if folder is not None:
            key = key_of(step, [key_of_plan(contender.network, contender.plan) for contender in group])
            file = folder / f"{key}.nnexp"
            files.append(file)
        tasks = [contender.plan.task for contender in group]
        together = tasks[0] if len(group) == 1 else None
        problem = together.problem if together else Problem.join([task.problem for task in tasks])
        descent = together.descent if together else Descent.join([task.descent for task in tasks])
        training = group[0].training if together else Training.join([contender.training for contender in group])
        seconds = training.seconds
        jobs.append((replace(tasks[0], problem=problem, descent=descent), training, step, file, key, seconds))
    let_workers_leave()
    trained = Parallel(n_jobs=n_jobs)(delayed(_trained)(*job[:5]) for job in jobs)
    for group, whole, job in zip(groups, trained, jobs, strict=True):
        took, first = (whole.seconds - job[5]) / len(group), 0
        for contender in group:
            n = contender.plan.task.problem.n_members
            seconds = contender.training.seconds + took
            contender.training = whole if len(group) == 1 else whole.select(np.arange(first, first + n))
            contender.training.seconds = seconds
            first += n
    return files


def _trained(task: Task, training: Training, step: int, file: Path | None, key: str) -> Training:
    """Return a training that has gone on to a step, from where a file has it if there is one."""
    if file is not None and file.exists():
        training = load_training(file, key, training)
    saved = time.perf_counter()

    def keep(now: Training) -> None:
        nonlocal saved
        if file is not None and time.perf_counter() - saved > _SAVE_SECONDS:
            now.synchronise()
            save_training(file, key, now)
            saved = time.perf_counter()

    with one_thread():
        training.run(task.problem, task.descent, replace(task.stopping, max_iter=step), keep, resume=True)
    if file is not None:
        save_training(file, key, training)
    members = training.members
    for i, has_ended in enumerate(
        members.diverged | members.out_of_patience | (members.n_iter >= task.stopping.max_iter)
    ):
        if not has_ended:
            training.stop_reason[i] = ""
    return training


def best_half(contenders: Sequence[Contender], samples: Samples) -> list[Contender]:
    """Return those that go on: of all samples, or of all but one fold, they are among the better half by the loss out of fold.

    What is predicted for a fold in the end is by those which go on without it: `Contender.without` has the folds that one is given
    up for.
    """
    assert samples.fold is not None
    going = [contender for contender in contenders if not contender.has_failed]
    if not going:
        return []
    values = [contender.member(samples).values for contender in going]
    evidence = Evidence.of(values, samples.target, samples.expected, samples.weight)  # type: ignore[arg-type]
    kept: set[int] = set()
    for version in range(-1, int(samples.fold.max()) + 1):
        among = [i for i, contender in enumerate(going) if version not in contender.without]
        if not among:
            continue
        chosen = evidence.of_some(np.array(among)).select(np.flatnonzero(samples.fold != version))
        order = np.argsort(chosen.losses(chosen.of_each), kind="stable")
        best = {among[place] for place in order[: max(1, (len(among) + 1) // 2)]}
        kept |= best
        for i in set(among) - best:
            going[i].without |= {version}
    return [going[i] for i in sorted(kept)]
