"""The commands that run experiments and sweeps, and mend studies."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nnexp._choices import AUTO
from nnexp._errors import printable, quoted
from nnexp._files import as_path
from nnexp._signals import status as status_of_signal
from nnexp._terminal import Terminal
from nnexp.commands.reading import show, write
from nnexp.experiment import Specification, SpecificationError, load_results, load_specification, run_experiment
from nnexp.experiment.refit import check_refit, refit
from nnexp.experiment.results import Results
from nnexp.experiment.runs import Beginning, Observer, load_checked, load_data, sweeps_of
from nnexp.experiment.sweeps import ModelSweep, work_on_sweeps
from nnexp.report import sweep_sentences
from nnexp.sweep import StoreError
from nnexp.sweep.doctor import examine
from nnexp.sweep.store import DamagedStoreError, Outcome, Trial, without_password
from nnexp.sweep.study import forget
from nnexp.sweep.sweep import open_store
from nnexp.sweep.tables import best_trial


def run(given: argparse.Namespace, console: Terminal) -> int:
    """Run an experiment, and write its tables and its report; return 1 if runs failed."""
    specification = _specification(given)
    place = as_path(given.refit, "--refit") if getattr(given, "refit", None) is not None else None
    if place is not None:
        check_refit(specification, place)
    jobs = given.jobs or _cores()
    with _Shown(console, specification.question) as progress:
        summary = run_experiment(
            specification,
            given.results,
            n_jobs=jobs,
            observer=progress,
            other_versions=given.other_versions,
            command=_command(given, specification),
            storage=given.storage,
            view=given.view,
            backend=given.backend,
            scheduler=given.scheduler,
        )
    for note in summary.notes:
        console.print(escape(note), style="yellow")
    finished = summary.known + summary.done
    if summary.interrupted:
        trials = f"{summary.trials_done} of {summary.trials} trials and " if summary.trials else ""
        console.print(
            f"Stopped: {trials}{finished} of {summary.planned} runs are finished and kept in "
            f"{escape(str(summary.folder))}. The same command goes on from there."
        )
        return status_of_signal()
    results = load_results(summary.folder)
    report = write(results)
    show(results, console)
    if summary.failed:
        console.print(
            f"{summary.failed} of {summary.planned} runs failed; runs.csv and the report say why.",
            style="yellow",
        )
    console.print(f"Report: {escape(str(report))}")
    if place is not None and not _refit(specification, results, place, console):
        return 1
    return 1 if summary.failed else 0


def _refit(specification: Specification, results: Results, place: Path, console: Terminal) -> bool:
    """Fit each winner to all samples of its data set, save it, and say so; return whether all could be."""
    data = load_data(specification)
    models = {model.name: model for model in specification.models}
    told = {(says.data, says.model): says for says in sweep_sentences(results)}
    refitted = True
    for name, data_set in data.items():
        for model in models.values():
            if not model.space or data_set.task not in model.classes:
                continue
            says = told.get((name, model.name))
            if says is None or not says.settings:
                console.print(escape(f"{model.name} on {name} has no winner: nothing is fitted."), style="yellow")
                refitted = False
                continue
            of = "" if says.name == "best" else f"-{says.name.removeprefix('best-')}"
            path = place.with_name(f"{place.stem}{of}{place.suffix}")
            try:
                refit(specification, data_set, model, says.settings, path)
            except Exception as error:  # of one winner: the others are fitted all the same
                why = printable(str(error).strip().partition("\n")[0])
                console.print(
                    escape(f"{model.name} on {name} could not be fitted to all samples: {why}"), style="yellow"
                )
                refitted = False
                continue
            console.print(
                escape(
                    f"Fitted to all {len(data_set.y)} samples of {name}: {path}. nnexp.load({str(path)!r}) reads it."
                )
            )
    return refitted


def sweep(given: argparse.Namespace, console: Terminal) -> int:
    """Do the sweeps of an experiment, and then its runs."""
    specification = _load(given, {})
    if specification.sweep is None:
        raise SpecificationError(f"{Path(given.file).name}: there is no [sweep] in it; `nnexp run` runs it as it is.")
    if given.forget:
        return _forget(_specification(given), given, console)
    return run(given, console)


def _forget(specification: Specification, given: argparse.Namespace, console: Terminal) -> int:
    """Delete the studies of an experiment."""
    store = open_store(given.storage or as_path(given.results, "--results") / specification.name)
    first = f"{specification.name}/"
    names = [name for name in store.studies() if name.startswith(first)]
    count = sum(forget(store, name, given.view) for name in names)
    console.print(
        f"{len(names)} studies of {count} trials in all are forgotten in {escape(store.where)}. Finished runs stay; those of other "
        "winners are done anew."
    )
    store.close()
    return 0


def worker(given: argparse.Namespace, console: Terminal) -> int:
    """Work on the trials of an elastic sweep until none is left."""
    specification = _specification(given)
    if specification.sweep is None or specification.sweep.mode != "elastic":
        raise SpecificationError(
            f"{Path(given.file).name}: workers may come and go where sweep.mode is 'elastic'; "
            "`nnexp sweep FILE --workers N` uses more processes for a deterministic one."
        )
    specification, data, _ = load_checked(specification)
    store = open_store(given.storage or as_path(given.results, "--results") / specification.name)
    sweeps = sweeps_of(specification, data, store, given.view, given.other_versions)
    total = sum(sweep.study.n_trials for sweep in sweeps)
    console.print(f"{len(sweeps)} studies of {total} trials in all, in {escape(store.where)}.")
    try:
        done = work_on_sweeps(sweeps)
    except KeyboardInterrupt:
        console.print("Stopped: what this worker was at is free for others. The same command joins again.")
        return status_of_signal()
    console.print(f"Nothing is left to do. This worker did {done} trials.")
    return 0


def doctor(given: argparse.Namespace, console: Terminal) -> int:
    """Show how studies are, and mend them; return 1 if something is wrong."""
    place = given.storage
    folder = as_path(place, "The storage")
    if "://" not in place and not any((folder / name).is_file() for name in ("study.jsonl", "study.log")):
        raise StoreError(f"{place} holds no studies (no study.jsonl).")
    try:
        store = open_store(place)
    except DamagedStoreError as error:
        if not given.mend:
            raise
        console.print(escape(error.mend()), style="yellow")
        store = open_store(place)
    if store.lost:
        console.print(escape(store.lost), style="yellow")
    ill = 0
    for name in store.studies():
        health = examine(store, name, mend=given.mend, give_up=given.give_up)
        console.print(f"[bold]{escape(name)}[/bold]: {escape(health.summary)}")
        for line in health.problems:
            console.print(f"  {escape(line)}", style="yellow")
        ill += bool(health.problems) and not (given.mend or given.give_up)
    if ill:
        console.print(
            "`nnexp doctor PLACE --mend` frees what silent processes have; the next run takes it over by itself after a minute. "
            "`nnexp doctor PLACE --give-up` counts as failed what has no result."
        )
    return 1 if ill else 0


def _specification(given: argparse.Namespace) -> Specification:
    """Read the file with what the command changes of it."""
    changes = {}
    for change in given.changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise SpecificationError(f"--set {change}: write it as KEY=VALUE.")
        changes[key.strip()] = value.strip()
    if given.trials is not None:
        changes["sweep.trials"] = str(given.trials)
    if given.mode is not None and given.do != "worker":
        changes["sweep.mode"] = f'"{given.mode}"'
    return _load(given, changes)


def _load(given: argparse.Namespace, changes: dict[str, str]) -> Specification:
    ask = _ask if _is_dialogue() else None
    return load_specification(given.file, changes, given.quick, given.tables, allow_modules=given.modules, ask=ask)


_answers: dict[str, bool] = {}


def _ask(module: str) -> bool:
    """Ask whoever sits at the terminal whether a module may run its code."""
    if module not in _answers:
        print(f"The experiment asks to run the code of the module {quoted(module)}, which may do all that you may.")
        try:
            answer = input("Allow it? [y/N] ")
        except EOFError:
            answer = ""
        _answers[module] = answer.strip().lower() in ("y", "yes")
    return _answers[module]


def _is_dialogue() -> bool:
    """Whether somebody at a terminal can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _command(given: argparse.Namespace, specification: Specification) -> str:
    """Return the command that repeats this run."""
    parts = ["nnexp", "sweep" if given.do == "sweep" else "run", given.file]
    for name in ("trials", "mode", "storage", "view"):
        if getattr(given, name) not in (None, AUTO):
            parts += [f"--{name}", without_password(str(getattr(given, name)))]
    for change in given.changes:
        parts += ["--set", change]
    for module in specification.allow_modules:
        parts += ["--allow-module", module]
    if given.tables:
        parts += ["--tables", given.tables]
    if given.quick:
        parts.append("--quick")
    if given.results != "results":
        parts += ["--results", given.results]
    return shlex.join(parts).encode(errors="backslashreplace").decode()


class _Shown(Observer):
    """A bar with the time left on a terminal; a line for each tenth elsewhere."""

    def __init__(self, console: Terminal, question: str) -> None:
        self._console, self._question = console, question
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("·"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._done = self._planned = self._known = self._trials = self._known_trials = self._trials_done = 0
        self._task: Any = None
        self._told: set[str] = set()
        self._best: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar.live.is_started:  # else it would leave an empty line
            self._bar.stop()

    def ask(self, question: str) -> str | None:
        """Ask on a terminal what becomes of runs that were made with other versions."""
        if not _is_dialogue():
            return None
        self._console.print(escape(question), style="yellow")
        try:
            answer = input("Do them again, or keep them, marked as such? [redo/keep] ")
        except EOFError:
            return None
        answers = [name for name in ("redo", "keep") if answer.strip() and name.startswith(answer.strip().lower())]
        return answers[0] if answers else None

    def begin(self, beginning: Beginning) -> None:
        """Begin with the numbers of planned and of known runs and trials, and what is done again."""
        planned, known, again = beginning.runs, beginning.known_runs, beginning.again
        trials, known_trials = beginning.trials, beginning.known_trials
        self._planned, self._known, self._trials, self._known_trials = planned, known, trials, known_trials
        finished_before = f", {known} of them finished before" if known else ""
        self._console.print(f"[bold]{escape(self._question)}[/bold]")
        if trials:
            before = f", {known_trials} of them finished before" if known_trials else ""
            self._console.print(f"{trials} trials{before}, then {planned} runs{finished_before}.")
        else:
            self._console.print(f"{planned} runs{finished_before}.")
        if again:
            self._console.print(escape(again), style="yellow")
        if self._console.is_terminal and trials > known_trials:
            self._bar.start()
            self._trial_task = self._bar.add_task("trials", total=trials, completed=known_trials)
        if self._console.is_terminal and planned > known:
            self._bar.start()
            self._task = self._bar.add_task("running", total=planned - known)

    def trial(self, sweep: ModelSweep, outcome: Outcome, trials: list[Trial]) -> None:
        """Count a trial that has ended."""
        self._trials_done += 1
        where = f"{sweep.model.name} on {sweep.data}"
        if sweep.repeat >= 0:
            where += f", repeat {sweep.repeat}, fold {sweep.fold}"
        problem = outcome.record.get("problem", "")
        if outcome.state == "fail" and problem not in self._told:
            self._told.add(problem)
            self._console.print(f"failed: {escape(where)}, trial {outcome.number}: {escape(problem)}", style="red")
        if sweep.study.name not in self._best:
            first = best_trial(trials, sweep.study.evaluation.directions[0])
            if first is not None:
                self._best[sweep.study.name] = first.values[0], first.number
        elif outcome.state == "complete" and outcome.values[0] > self._best[sweep.study.name][0]:
            self._best[sweep.study.name] = outcome.values[0], outcome.number  # the first objective is a score
        number = self._known_trials + self._trials_done
        tenth = number * 10 // self._trials > (number - 1) * 10 // self._trials
        if not (self._console.is_terminal or tenth):
            return
        best = self._best.get(sweep.study.name)
        best_so_far = f"; best so far {best[0]:.4g} in trial {best[1]} of {where}" if best is not None else ""
        if self._console.is_terminal:
            self._bar.update(self._trial_task, advance=1, description=printable(f"trials{best_so_far}"))
        else:
            self._console.print(f"{number} of {self._trials} trials finished{escape(best_so_far)}")

    def run(self, row: dict[str, Any]) -> None:
        """Count a finished run."""
        self._done += 1
        if row["status"] == "failed":
            where = f"{row['model']} on {row['data']}, repeat {row['repeat']}, fold {row['fold']}"
            self._console.print(f"failed: {escape(where)}: {escape(row['problem'])}", style="red")
        total = max(self._planned - self._known, self._done)  # other winners of a sweep are more runs than were planned
        if self._console.is_terminal:
            if self._task is None:
                self._bar.start()
                self._task = self._bar.add_task("running", total=total)
            self._bar.advance(self._task)
        elif self._done * 10 // total > (self._done - 1) * 10 // total:
            self._console.print(f"{self._done + self._known} of {self._planned} runs finished")
