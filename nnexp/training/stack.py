"""Many trainings as one stack: what shares a network and a batch size trains together, the rest in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray

from nnexp._processes import let_workers_leave
from nnexp._threads import one_thread
from nnexp.training.algorithm import Algorithm
from nnexp.training.loop import Stopping, Training
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]

# Tables of different folds are put together up to this size, in bytes.
_JOIN_BYTES = 1 << 28


@dataclass
class Task:
    """A training that is ready to begin: one or more members.

    Attributes
    ----------
    algorithm : Algorithm
    problem : Problem
        What is to be learned.
    descent : Descent
        How gradient steps are made, by algorithms that make any.
    stopping : Stopping
    parameters : array of shape (members, D)
        The first parameters.
    rngs : list of numpy.random.Generator
        One for each member.
    """

    algorithm: Algorithm
    problem: Problem
    descent: Descent
    stopping: Stopping
    parameters: Array
    rngs: list[np.random.Generator]

    def goes_with(self, other: Task) -> bool:
        """Whether the two can train as one stack."""
        a, b = self.problem, other.problem
        return (
            a.network == b.network
            and a.objective == b.objective
            and self.descent.goes_with(other.descent)
            and self.algorithm == other.algorithm
            and self.stopping == other.stopping
            and a.dtype == b.dtype
            and a.samples.is_sparse == b.samples.is_sparse
            and (a.validation is None) == (b.validation is None)
            and (a.scorers is None) == (b.scorers is None)
            and a.score_decides == b.score_decides
            and (a.fitness is None) == (b.fitness is None)
            and (a.juries is None) == (b.juries is None)
        )


# Is given a training after each step of it, and for each task in it, by its number, the slice of its members.
Watch = Callable[[Training, dict[int, slice]], None]


def train(tasks: Sequence[Task], n_jobs: int | None = None, watch: Watch | None = None) -> list[Training]:
    """Train all tasks, each as it would train by itself, and return their trainings in the same order.

    Parameters
    ----------
    tasks : sequence of Task
    n_jobs : int or None, default=None
        Processes, as joblib counts them; the members are shared out among them.
    watch : callable, default=None
        Looks on after each step of all members, and may stop some by giving them a ``stop_reason``; in this process only.
    """
    jobs = effective_n_jobs(n_jobs)
    groups: list[list[int]] = []
    for number, task in enumerate(tasks):
        for group in groups:
            tables = {id(tasks[i].problem.samples): tasks[i].problem.samples for i in [*group, number]}
            size = sum(table.values.nbytes for table in tables.values())
            if task.goes_with(tasks[group[0]]) and (len(tables) == 1 or size <= _JOIN_BYTES):
                group.append(number)
                break
        else:
            groups.append([number])
    metrics: dict[int, Training] = {}
    for group in groups:
        joined = _join([tasks[i] for i in group])
        if watch is None and jobs > 1 and joined.problem.n_members > 1:
            whole = _train_in_processes(joined, jobs)
        elif watch is None:
            whole = _train(joined)
        else:
            ends = np.cumsum([tasks[i].problem.n_members for i in group]).tolist()
            spans = {i: slice(end - tasks[i].problem.n_members, end) for i, end in zip(group, ends, strict=True)}
            whole = _train(joined, partial(_look_on, watch, spans))
        if len(group) == 1:
            metrics[group[0]] = whole
            continue
        first = 0
        for i in group:
            members = tasks[i].problem.n_members
            metrics[i] = whole.select(np.arange(first, first + members))
            first += members
    return [metrics[i] for i in range(len(tasks))]


def _look_on(watch: Watch, spans: dict[int, slice], training: Training) -> None:
    """Let a watch look on at a training, with the members of each task."""
    watch(training, spans)


def _join(tasks: list[Task]) -> Task:
    first = tasks[0]
    if len(tasks) == 1:
        return first
    return Task(
        first.algorithm,
        Problem.join([task.problem for task in tasks]),
        Descent.join([task.descent for task in tasks]),
        first.stopping,
        np.concatenate([task.parameters for task in tasks]),
        [rng for task in tasks for rng in task.rngs],
    )


def _train_in_processes(task: Task, jobs: int) -> Training:
    juries = task.problem.juries
    apart = np.arange(task.problem.n_members)[:, np.newaxis] if juries is None else juries.apart()
    parts = [
        np.concatenate([apart[i] for i in share])
        for share in np.array_split(np.arange(len(apart)), min(jobs, len(apart)))
    ]
    cut = [
        Task(
            task.algorithm,
            task.problem.select(p),
            task.descent.select(p),
            task.stopping,
            task.parameters[p],
            [task.rngs[i] for i in p],
        )
        for p in parts
    ]
    if len(parts) == 1:
        return _train(task)
    let_workers_leave()
    return Training.join(Parallel(n_jobs=jobs)(delayed(_train)(part) for part in cut))


def _train(task: Task, on_step: Callable[[Training], str | None] | None = None) -> Training:
    with one_thread():
        training = Training(task.algorithm, task.problem, task.descent, task.parameters, task.rngs)
        return training.run(task.problem, task.descent, task.stopping, on_step)
