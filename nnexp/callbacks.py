"""Callbacks: what is done after each step of training.

A callback is an object with a method ``on_step(state)`` that is given a `StepState` and may return True to stop; or a
plain function of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nnexp._errors import quoted
from nnexp._files import as_path
from nnexp._names import check_number
from nnexp.saving import load_training, save_training
from nnexp.training import Training


class Callback(Protocol):
    """What is called after each step."""

    def on_step(self, state: StepState) -> bool | None:
        """Look at the state; return True to stop training."""


@dataclass
class StepState:
    """How far training is.

    Attributes
    ----------
    estimator : BackpropMLP
        The estimator that is being fitted; its fitted attributes are those of an earlier fit, if any. See `fitted`.
    step : int
        Steps done.
    max_iter : int
        The step at which it ends at the latest.
    row : dict
        The last row of the history: step, error, validation_error, validation_score, evaluations, seconds and what the
        algorithm adds. Of several networks the mean of those that still train; evaluations are the sum, with those of companions.
    training : Training
        The networks themselves: `parameters`, one row each, companions last, and `state`, which is whole after `synchronise()`.
    key : str
        A hash of parameters and data: what decides the training.
    model : callable
        Returns the `Model` that training stands for.
    """

    estimator: Any
    step: int
    max_iter: int
    row: dict[str, Any]
    training: Training
    key: str = ""
    model: Callable[[], Any] | None = None

    def fitted(self) -> Any:
        """Return an estimator that predicts as training stands; what it shows does not change as training goes on."""
        assert self.model is not None
        return self.estimator.with_model(self.model())

    @property
    def watched(self) -> float:
        """What stopping looks at, the lower the better: the validation error where there is one, else the error."""
        error = self.row["validation_error"]
        return float(self.row["error"] if np.isnan(error) else error)


class ProgressBar:
    """Shows a bar with the steps done, the error and the time left.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> model = BackpropMLP(max_iter=20, callbacks=[ProgressBar()])
    """

    def __repr__(self) -> str:
        return "ProgressBar()"

    def on_start(self, state: StepState) -> None:
        """Open the bar."""
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        self._progress = Progress(*columns, TextColumn("{task.fields[progress]}"))
        self._progress.start()
        self._bar = self._progress.add_task("training", total=state.max_iter, completed=state.step, progress="")

    def on_step(self, state: StepState) -> None:
        """Move the bar on."""
        progress = f"error {state.row['error']:.4g}"
        if not np.isnan(state.row["validation_error"]):
            progress += f", validation {state.row['validation_error']:.4g}"
        self._progress.update(self._bar, completed=state.step, progress=progress)

    def on_end(self) -> None:
        """Close the bar, full where training has stopped early, also where the fit fails."""
        self._progress.update(self._bar, total=self._progress.tasks[0].completed)
        self._progress.stop()
        del self._progress, self._bar


class Checkpoint:
    """Saves the training every few steps, so that after a kill the same fit goes on where it was, to the same bits.

    Parameters
    ----------
    path : str or Path
        The file; or, for searches and cross-validation, where many fits share their callbacks, a folder that is there or a name
        with ``{key}`` in it: then each fit has a file of its own, by the key of its parameters and data. A file is replaced as a
        whole: a kill leaves the last complete one.
    every : int, default=10
        Steps between two savings.
    resume : bool, default=False
        Whether a fit goes on from the file if it exists. Its parameters and data must be those of the fit that wrote it.

    Examples
    --------
    >>> from nnexp import BackpropMLP
    >>> model = BackpropMLP(max_iter=1000, random_state=0, callbacks=[Checkpoint("fit.nnexp", resume=True)])
    """

    def __init__(self, path: str | Path, every: int = 10, resume: bool = False) -> None:
        if not isinstance(path, str | Path):
            raise TypeError(f"Checkpoint(path=...) must be a path. Got {quoted(path)}.")
        if not isinstance(resume, bool):
            raise TypeError(f"Checkpoint(resume=...) must be True or False. Got {quoted(resume)}.")
        self.path = path
        self.every = every
        self.resume = resume
        check_number("Checkpoint(every=...)", every, low=1, integer=True)
        if not as_path(path).parent.is_dir():
            raise ValueError(f"Checkpoint(path={quoted(str(path))}): there is no such folder.")

    def __repr__(self) -> str:
        return f"Checkpoint({quoted(str(self.path))}, every={self.every}, resume={self.resume})"

    def restore(self, key: str, first: Training) -> Training:
        """Return the training that the file holds, or first if there is no file or it is not wanted.

        Raises
        ------
        ValueError
            If the file was written by a fit with other parameters or data, named by the key.
        """
        path = self.file_of(key)
        if not self.resume or not path.exists():
            return first
        return load_training(path, key, first)

    def file_of(self, key: str) -> Path:
        """Return the file of the fit with this key."""
        path = as_path(self.path)
        if path.is_dir():
            return path / f"{key}.nnexp"
        return path.with_name(path.name.replace("{key}", key))

    def on_step(self, state: StepState) -> None:
        """Save if it is time."""
        if state.step % self.every == 0:
            state.training.synchronise()
            save_training(self.file_of(state.key), state.key, state.training)


class Caller:
    """Calls the callbacks of a fit.

    Parameters
    ----------
    callbacks : list
    estimator : BackpropMLP
    max_iter : int
        Steps of this fit at most.
    key : str
        See `StepState`.
    model_of : callable
        Returns the `Model` that a training stands for.
    """

    def __init__(
        self, callbacks: list[Any], estimator: Any, max_iter: int, key: str, model_of: Callable[[Training], Any]
    ) -> None:
        self._callbacks, self._estimator, self._max_iter, self._key = callbacks, estimator, max_iter, key
        self._model_of = model_of
        self._last = 0
        self._started: list[Any] = []

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        problem = None
        for callback in self._started:
            try:
                callback.on_end()
            except Exception as raised:  # the others are ended all the same
                problem = problem or raised
        if problem is not None and error is None:
            raise problem

    def begin(self, training: Training, resume: bool) -> None:
        """Tell the callbacks that want to know that training begins, or goes on within its steps."""
        done = int(training.n_iter.max())
        self._last = self._max_iter + (0 if resume else done)
        state = StepState(
            self._estimator, done, self._last, {}, training, self._key, lambda: self._model_of(training.copy())
        )
        for callback in self._callbacks:
            if hasattr(callback, "on_start"):
                callback.on_start(state)
            if hasattr(callback, "on_end"):
                self._started.append(callback)

    def __call__(self, training: Training) -> str | None:
        """Call all after a step; return the reason to stop, if one of them wants to."""
        row = training.last_row(self._estimator.n_networks)
        step = int(row["step"])
        state = StepState(
            self._estimator, step, self._last, row, training, self._key, lambda: self._model_of(training.copy())
        )
        reason = None
        for callback in self._callbacks:
            call: Callable[[StepState], Any] = callback.on_step if hasattr(callback, "on_step") else callback
            wants = call(state)
            name = getattr(callback, "__name__", type(callback).__name__)
            if wants is not None and not isinstance(wants, bool | np.bool_):
                raise TypeError(
                    f"The callback {name} must return True to stop, else False or None. Got {quoted(wants)}."
                )
            if wants:
                reason = f"The callback {name} stopped it after step {state.step}."
        return reason


class ScikitLearnCallbacks:
    """Calls the callbacks that were set by scikit-learn's `set_callbacks`, each step a task of the fit.

    Parameters
    ----------
    estimator : BackpropMLP
    X, y : array-like
        What it is fitted to.
    attributes : callable
        Returns what the estimator would have after the steps that a training has done.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, attributes: Callable[[Training], dict[str, Any]]) -> None:
        self._estimator, self._data, self._attributes = estimator, {"X": X, "y": y}, attributes
        self._context: Any = None

    def on_start(self, state: StepState) -> None:
        """Begin the task of the fit."""
        self._context = self._estimator._init_callback_context(max_subtasks=None)
        self._context.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def on_step(self, state: StepState) -> bool:
        """Begin and end the task of a step."""
        step = self._context.subcontext(task_name="step")
        step.call_on_fit_task_begin(estimator=self._estimator, **self._data)
        return bool(
            step.call_on_fit_task_end(
                estimator=self._estimator,
                **self._data,
                reconstruction_attributes=lambda: self._attributes(state.training),
            )
        )

    def on_end(self) -> None:
        """End the task of the fit."""
        self._context.call_on_fit_task_end(estimator=self._estimator, **self._data)


def print_row(state: StepState) -> None:
    """Print a line for a step."""
    row = state.row
    line = f"step {state.step:4d}  error {row['error']:.5f}"
    if not np.isnan(row["validation_error"]):
        line += f"  validation error {row['validation_error']:.5f}"
    print(f"{line}  evaluations {row['evaluations']:,}  {row['seconds']:.2f} s")
