"""The nnexp command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from nnexp._errors import ExpectedError, printable, quoted, reason
from nnexp._files import as_path, replacing
from nnexp._names import Registry
from nnexp._output import Terminal, emit, outlasting_output
from nnexp._signals import status as status_of_signal
from nnexp._version import __version__
from nnexp.engine import BACKENDS
from nnexp.experiment import (
    Results,
    ResultsError,
    Specification,
    SpecificationError,
    load_results,
    load_specification,
    run_experiment,
)
from nnexp.experiment.datasets import DATA_PLUGINS, bundled_data
from nnexp.experiment.results import SWEEP_TABLES
from nnexp.experiment.runs import Beginning, Observer, check_models, load_data, sweeps_of
from nnexp.experiment.schema import NAME_RULE, is_name
from nnexp.experiment.specification import TRUST
from nnexp.experiment.sweeps import ModelSweep, work_on_sweeps
from nnexp.fitting.settings import VALIDATIONS
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS, INITIALIZERS
from nnexp.network.connections import PATTERNS
from nnexp.sweep import MODES, SAMPLERS, StoreError
from nnexp.sweep.doctor import examine
from nnexp.sweep.pruning import PRUNERS
from nnexp.sweep.store import DamagedStoreError, Outcome, Trial, without_password
from nnexp.sweep.sweep import open_store
from nnexp.sweep.tables import best_trial
from nnexp.training import ALGORITHMS, CROSSOVERS, DESCENT_MODES, MUTATIONS, OPTIMIZERS, SCHEDULES, SELECTIONS

_EXAMPLES = """\
examples:
  nnexp run experiments/quickstart.toml           run an experiment and write its report
  nnexp run experiments/quickstart.toml --quick   try the file on a small budget first
  nnexp run my.toml --set model.backprop.learning_rate=0.1
  nnexp sweep experiments/sweep.toml --workers 4  search for better parameters, and judge them on data no trial saw
  nnexp table results/quickstart                  print the comparison again
  nnexp verify results/quickstart --rerun 5       recompute the report, do 5 runs again, name what differs
  nnexp compare results/first results/second      join experiments that ran on the same splits
  nnexp report results/quickstart                 write the report again from the tables
  nnexp list activations                          what can be named in a file
"""

TABLES = ["runs", "curves", "times", *SWEEP_TABLES]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if runs failed, 2 for a mistake, 128 and the signal's number if stopped."""
    with outlasting_output() as output:
        try:
            given = _parser().parse_args(arguments)
            console = Terminal(highlight=False)
            if not console.is_terminal:
                console = Terminal(highlight=False, width=200)
            status: int = given.do(given, console)
        except ExpectedError as error:
            status = _refuse(str(error))
        except OSError as error:
            status = _refuse(f"{error.filename}: {reason(error)}." if error.filename else f"{reason(error)}.")
        except MemoryError as error:
            status = _refuse(str(error) or "There is not enough memory.")
        except KeyboardInterrupt:
            print("nnexp: stopped.", file=sys.stderr)
            status = status_of_signal()
        output.flush()
        if output.problem is not None and not isinstance(
            output.problem, BrokenPipeError
        ):  # else a reader left, as `| head` does
            return status or _refuse(f"The output could not be written: {reason(output.problem)}.")
    return status


def _refuse(text: str) -> int:
    """Say what is wrong; return the exit status for it."""
    for line in text.split("\n"):
        print(f"nnexp: {line}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="nnexp",
        description="Find out what makes a neural network learn: run experiments, compare, report.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    parser.color = False  # type: ignore[attr-defined]  # Python 3.14 would colour what is wrong
    parser.add_argument("--version", action="version", version=f"nnexp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="run an experiment, or what is missing of it, and write its report",
        description="Run an experiment. What is finished is kept at any interruption; the same command goes on.",
        epilog="examples:\n  nnexp run experiments/quickstart.toml --jobs 2\n"
        "  nnexp run my.toml --set seed=1 --set model.backprop.activation=relu --results elsewhere\n",
        formatter_class=raw,
    )
    _add_experiment(run)
    run.add_argument("--jobs", metavar="N", type=_positive, default=None, help="processes (default: one for each core)")
    run.set_defaults(do=_run, trials=None, mode=None, storage=None, backend="loky", scheduler=None)

    sweep = commands.add_parser(
        "sweep",
        help="search the space of a file's [sweep], judge the winners, write tables and report",
        description="Search the spaces of an experiment. What is finished is kept at any interruption; the same command goes on.",
        epilog="examples:\n  nnexp sweep experiments/sweep.toml --workers 4 --trials 100\n"
        "  nnexp sweep my.toml --mode elastic --storage postgresql+psycopg://me@host/studies\n"
        "  nnexp sweep my.toml --backend dask --scheduler tcp://10.0.0.1:8786\n",
        formatter_class=raw,
    )
    _add_experiment(sweep)
    sweep.add_argument(
        "--workers",
        metavar="N",
        type=_positive,
        default=None,
        dest="jobs",
        help="processes (default: one for each core)",
    )
    sweep.add_argument(
        "--trials",
        metavar="N",
        type=_number_of_trials,
        default=None,
        help="trials of each study, instead of the file's",
    )
    sweep.add_argument(
        "--mode", choices=list(MODES), default=None,
        help="deterministic: the same trials for any number of workers; elastic: workers may come and go",
    )  # fmt: skip
    sweep.add_argument(
        "--storage", metavar="PLACE", default=None,
        help="where trials are kept: a folder, or the URL of a PostgreSQL database (default: the experiment's folder)",
    )  # fmt: skip
    sweep.add_argument(
        "--backend", choices=list(BACKENDS), default="loky", help="where the processes are (default: loky)"
    )
    sweep.add_argument("--scheduler", metavar="ADDRESS", default=None, help="of the Dask cluster")
    sweep.set_defaults(do=_sweep)

    worker = commands.add_parser(
        "worker",
        help="join an elastic sweep, on this machine or another, and leave at will",
        description="Work on the trials of an elastic sweep until its budget is spent. Any number of workers may join and leave.",
    )
    _add_experiment(worker)
    worker.add_argument("--storage", metavar="PLACE", default=None, help="as for `nnexp sweep`")
    worker.add_argument("--trials", metavar="N", type=_number_of_trials, default=None, help="as for `nnexp sweep`")
    worker.set_defaults(do=_worker, mode="elastic")

    doctor = commands.add_parser(
        "doctor",
        help="show how the studies of a storage are, and mend them",
        description="Show the studies of a storage: their trials by state, and which processes work on them.",
    )
    doctor.add_argument("storage", metavar="PLACE", help="a results folder, or the URL of a PostgreSQL database")
    doctor.add_argument(
        "--mend", action="store_true",
        help="free the trials of processes that are silent, and cut off a damaged part of a file (a copy is kept)",
    )  # fmt: skip
    doctor.add_argument(
        "--give-up", action="store_true",
        help="count as failed what has no result because its process was killed each time; else the next call tries it again",
    )  # fmt: skip
    doctor.set_defaults(do=_doctor)

    report = commands.add_parser(
        "report",
        help="write report.html and report.md from the tables of a results folder",
        description="Write the report again from the tables, print it as JSON, or show what one of its claims rests on.",
        epilog="examples:\n  nnexp report results/quickstart --format json > report.json\n"
        "  nnexp report results/quickstart --claim A1\n",
        formatter_class=raw,
    )
    report.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    report.add_argument(
        "--format", choices=["html", "json"], default="html",
        help="html: write report.html and report.md; json: print the same for other programs (default: html)",
    )  # fmt: skip
    report.add_argument(
        "--claim",
        metavar="ID",
        default=None,
        help="show the test, the numbers and the rows of a claim, such as A1 or D3",
    )
    report.set_defaults(do=_report)

    check = commands.add_parser(
        "verify",
        help="check that results were not changed, that the report says what the tables say, that runs repeat",
        description="Compare the tables with their recorded hashes, seeds and splits with the experiment, the "
        "report with one computed "
        "anew. Exit status 1 if anything differs.",
        epilog="examples:\n  nnexp verify results/example\n  nnexp verify results/example --rerun 5\n",
        formatter_class=raw,
    )
    check.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    check.add_argument(
        "--rerun",
        metavar="N",
        type=_positive,
        default=0,
        help="do N runs again from scratch and compare them bit for bit",
    )
    check.add_argument(
        "--allow-module", metavar="MODULE", action="append", default=[], dest="modules", help="as for `nnexp run`"
    )
    check.set_defaults(do=_verify)

    compare = commands.add_parser(
        "compare",
        help="join experiments that ran on the same splits, and write one report",
        description="Join experiments where their splits and data agree, say where they do not, and write tables and report.",
        epilog="examples:\n  nnexp compare results/first results/second\n",
        formatter_class=raw,
    )
    compare.add_argument("folders", metavar="FOLDER", nargs="+", help="two results folders or more")
    compare.add_argument("--name", default=None, help="of the joined experiment (default: the names of all, joined)")
    compare.add_argument(
        "--results", metavar="DIR", default="results", help="where the joined folder goes (default: results)"
    )
    compare.set_defaults(do=_compare)

    table = commands.add_parser("table", help="print the comparison of a results folder")
    table.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    table.add_argument(
        "name", metavar="TABLE", nargs="?", choices=TABLES,
        help=f"one of the tables instead: {', '.join(TABLES)}",
    )  # fmt: skip
    table.add_argument("--csv", action="store_true", help="as CSV, a row for each data set and model")
    table.add_argument("--parquet", metavar="FILE", default=None, help="write the table to a Parquet file")
    table.set_defaults(do=_table)

    names = commands.add_parser("list", help="list what can be named, each with a line")
    names.add_argument("kind", metavar="KIND", nargs="?", choices=_KINDS, help=", ".join(_KINDS))
    names.set_defaults(do=_list)
    return parser


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="an experiment file (TOML)")
    parser.add_argument(
        "--results", metavar="DIR", default="results", help="where the experiment's folder goes (default: results)"
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="changes",
        help="change a value of the file, such as model.backprop.learning_rate=0.1; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--tables",
        metavar="FOLDER",
        default=None,
        help="run on the tables of a folder instead: CSV files with a column target, and manifest.csv with name and task",
    )
    parser.add_argument(
        "--allow-module", metavar="MODULE", action="append", default=[], dest="modules",
        help="let the experiment run the code of a module outside scikit-learn and nnexp; may be repeated "
        f"(or {TRUST} in the environment)",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="2 folds, 1 repeat, 10 steps, 8 trials: to try a file")
    versions = parser.add_mutually_exclusive_group()
    versions.add_argument(
        "--redo", action="store_const", const="redo", dest="other_versions",
        help="do finished runs again that were made with other versions of nnexp or its libraries",
    )  # fmt: skip
    versions.add_argument(
        "--keep", action="store_const", const="keep", dest="other_versions",
        help="keep them, marked in runs.csv and in the report",
    )  # fmt: skip


def _is_dialogue() -> bool:
    """Whether somebody at a terminal can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"must be from 1 to 1024, not {text}")
    return number


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
    if given.mode is not None and given.do is not _worker:
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


def _sweep(given: argparse.Namespace, console: Terminal) -> int:
    specification = _load(given, {})
    if specification.sweep is None:
        raise SpecificationError(f"{Path(given.file).name}: there is no [sweep] in it; `nnexp run` runs it as it is.")
    return _run(given, console)


def _worker(given: argparse.Namespace, console: Terminal) -> int:
    specification = _specification(given)
    if specification.sweep is None or specification.sweep.mode != "elastic":
        raise SpecificationError(
            f"{Path(given.file).name}: workers may come and go where sweep.mode is 'elastic'; "
            "`nnexp sweep FILE --workers N` uses more processes for a deterministic one."
        )
    data = load_data(specification)
    check_models(specification, data)
    store = open_store(given.storage or as_path(given.results, "--results") / specification.name)
    sweeps = sweeps_of(specification, data, store)
    total = sum(own.study.n_trials for own in sweeps)
    console.print(f"{len(sweeps)} studies of {total} trials in all, in {escape(store.where)}.")
    try:
        done = work_on_sweeps(sweeps)
    except KeyboardInterrupt:
        console.print("Stopped: what this worker was at is free for others. The same command joins again.")
        return status_of_signal()
    console.print(f"Nothing is left to do. This worker did {done} trials.")
    return 0


def _doctor(given: argparse.Namespace, console: Terminal) -> int:
    place = given.storage
    if "://" not in place and not (as_path(place, "The storage") / "study.log").is_file():
        raise StoreError(f"{place} holds no studies (no study.log).")
    try:
        store = open_store(place)
    except DamagedStoreError as error:
        if not given.mend:
            raise
        console.print(escape(error.cut()), style="yellow")
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


def _number_of_trials(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number


def _run(given: argparse.Namespace, console: Terminal) -> int:
    specification = _specification(given)
    jobs = given.jobs or _cores()
    with _Progress(console, specification.question) as progress:
        summary = run_experiment(
            specification,
            given.results,
            n_jobs=jobs,
            observer=progress,
            other_versions=given.other_versions,
            command=_command(given, specification),
            storage=given.storage,
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
    report = _write_report(results)
    _show(results, console)
    if summary.failed:
        console.print(
            f"{summary.failed} of {summary.planned} runs failed; runs.csv and the report say why.",
            style="yellow",
        )
    console.print(f"Report: {escape(str(report))}")
    return 1 if summary.failed else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _command(given: argparse.Namespace, specification: Specification) -> str:
    """Return the command that repeats this run."""
    parts = ["nnexp", "sweep" if given.do is _sweep else "run", given.file]
    for name in ("trials", "mode", "storage"):
        if getattr(given, name) is not None:
            parts += [f"--{name}", str(getattr(given, name)) if name != "storage" else without_password(given.storage)]
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


class _Progress(Observer):
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

    def __enter__(self) -> _Progress:
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
        found = [name for name in ("redo", "keep") if answer.strip() and name.startswith(answer.strip().lower())]
        return found[0] if found else None

    def begin(self, beginning: Beginning) -> None:
        """Begin with the numbers of planned and of known runs and trials, and what is done again."""
        planned, known, again = beginning.runs, beginning.known_runs, beginning.again
        trials, known_trials = beginning.trials, beginning.known_trials
        self._planned, self._known, self._trials, self._known_trials = planned, known, trials, known_trials
        found = f", {known} of them finished before" if known else ""
        self._console.print(f"[bold]{escape(self._question)}[/bold]")
        if trials:
            before = f", {known_trials} of them finished before" if known_trials else ""
            self._console.print(f"{trials} trials{before}, then {planned} runs{found}.")
        else:
            self._console.print(f"{planned} runs{found}.")
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
        said = f"; best so far {best[0]:.4g} in trial {best[1]} of {where}" if best is not None else ""
        if self._console.is_terminal:
            self._bar.update(self._trial_task, advance=1, description=printable(f"trials{said}"))
        else:
            self._console.print(f"{number} of {self._trials} trials finished{escape(said)}")

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


def _report(given: argparse.Namespace, console: Terminal) -> int:
    if given.claim is not None:
        return _show_claim(given, console)
    if given.format == "json":
        from nnexp.report import report_json

        emit(report_json(load_results(given.folder)))
        return 0
    console.print(f"Report: {escape(str(_write_report(load_results(given.folder))))}")
    return 0


def _verify(given: argparse.Namespace, console: Terminal) -> int:
    from nnexp.verify import verify

    marks = {"ok": ("ok", "green"), "differs": ("DIFFERS", "red"), "unknown": ("not checked", "yellow")}
    count = 0
    for finding in verify(given.folder, given.rerun, allow_modules=given.modules):
        mark, style = marks[finding.status]
        console.print(f"[{style}]{mark}[/{style}]: {escape(finding.text)}")
        count += finding.status == "differs"
    console.print(f"{count} differences." if count else "Nothing differs.")
    return 1 if count else 0


def _compare(given: argparse.Namespace, console: Terminal) -> int:
    from nnexp.experiment.joining import join

    if given.name is not None and not is_name(given.name):
        raise ResultsError(f"--name {quoted(given.name)}: {NAME_RULE}.")
    command = shlex.join(["nnexp", "compare", *given.folders, *(["--name", given.name] if given.name else []),
                          *(["--results", given.results] if given.results != "results" else [])])  # fmt: skip
    folder = join(given.folders, given.results, given.name, command)
    results = load_results(folder)
    report = _write_report(results)
    _show(results, console)
    console.print(f"Report: {escape(str(report))}")
    return 0


def _show_claim(given: argparse.Namespace, console: Terminal) -> int:
    """Print a claim of the report, what it rests on, and its rows."""
    from nnexp.report import claim_of, compare

    results = load_results(given.folder)
    comparison = compare(results)
    found = claim_of(results, comparison, given.claim)
    if found is None:
        known = [claim.id for claim in [*comparison.answer, *comparison.cautions]]
        raise ResultsError(
            f"{given.folder} has no claim {quoted(given.claim)}. It has {', '.join(known)}, and the rows of its tables, such as D1."
        )
    claim, rows = found
    console.print(f"[bold]{claim.id}[/bold] {escape(claim.text)}")
    console.print(f"Test: {escape(claim.test)}" if claim.test else "")
    for name, value in claim.numbers.items():
        console.print(f"  {name} = {value:.6g}" if isinstance(value, float) else f"  {name} = {value}")
    console.print(f"Rows: {len(rows)} of runs.csv")
    metrics = [name for task in results.experiment["evaluation"]["metrics"].values() for name in task if name in rows]
    shown = ["data", "model", "repeat", "fold", "status", *dict.fromkeys(metrics), "evaluations"]
    emit(rows[shown].dropna(axis=1, how="all").to_csv(index=False), end="")
    return 0


def _write_report(results: Results) -> Path:
    from nnexp.report import write_report

    return write_report(results)


def _table(given: argparse.Namespace, console: Terminal) -> int:
    if given.name is not None or given.parquet is not None:
        frame = getattr(load_results(given.folder), given.name or "runs")
        if frame.empty:
            raise ResultsError(
                f"{given.folder} has no table {given.name}: it is of an experiment without a sweep, or of one too short."
            )
        if given.parquet is None:
            emit(frame.to_csv(index=False), end="")
            return 0
        path = as_path(given.parquet, "--parquet")
        try:
            with replacing(path, follow=True) as file:
                frame.to_parquet(file, index=False)
        except ImportError as error:
            raise ResultsError("Parquet files need pyarrow: pip install 'nnexp[parquet]'.") from error
        except OSError as error:
            raise ResultsError(f"{path} cannot be written: {reason(error)}.") from error
        console.print(f"{len(frame)} rows in {escape(given.parquet)}")
        return 0
    if given.csv:
        from nnexp.report import compare

        cells = compare(load_results(given.folder)).cells.drop(columns="variance")
        emit(cells.to_csv(index=False), end="")
    else:
        _show(load_results(given.folder), console)
    return 0


def _show(results: Results, console: Terminal) -> None:
    """Print the answer, the leaderboard and the map."""
    from nnexp.report import compare, leaderboard_table, map_table, tuning_tables

    comparison = compare(results)
    if not comparison.models:
        console.print(comparison.answer[0].text)
        return
    head, rows = leaderboard_table(comparison)
    if not comparison.leaderboard["failed"].any():
        head, rows = head[:-1], [row[:-1] for row in rows]
    _print_table(head, rows, console)
    head, cells = map_table(comparison)
    body = [
        [f"{row[0]['text']} ({row[0]['note']})", *(("*" if c["best"] else "") + c["text"] for c in row[1:])]
        for row in cells
    ]
    console.print()
    _print_table(head, body, console)
    console.print()
    tuning = tuning_tables(results, comparison)
    if tuning["rows"]:
        _print_table(tuning["head"], [[str(cell) for cell in row] for row in tuning["rows"]], console)
        console.print(
            "Inner scores chose the winner and tend to promise too much; outer ones are on rows that no trial saw."
        )
        console.print()
    console.print("Scores: mean ± half of the 95 % interval; * best of its row.")
    console.print("Evaluations, seconds: summed over one fit (the median) on each data set.")
    for caution in comparison.cautions:
        console.print(escape(f"! {caution.text}"), style="yellow")
    console.print(escape("\n" + "\n".join(claim.text for claim in comparison.answer) + "\n"))


def _print_table(head: list[str], rows: Sequence[list[str]], console: Terminal) -> None:
    """Print a table in full, also where the terminal is narrower."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        table.add_column(escape(name), justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if console.is_terminal and needed > console.width and any("±" in cell for row in rows for cell in row):
        # Means alone fit more often; the report has the intervals.
        _print_table(head, [[cell.split(" ± ")[0] for cell in row] for row in rows], console)
    else:
        console.print(table, width=needed, crop=False, overflow="ignore", soft_wrap=True)


_REGISTRIES: dict[str, Registry[Any]] = {
    "activations": ACTIVATIONS,
    "error_functions": ERROR_FUNCTIONS,
    "algorithms": ALGORITHMS,
    "selections": SELECTIONS,
    "crossovers": CROSSOVERS,
    "mutations": MUTATIONS,
    "optimizers": OPTIMIZERS,
    "schedules": SCHEDULES,
    "initializers": INITIALIZERS,
}
_KINDS = [*_REGISTRIES, "connections", "descent", "validation", "samplers", "pruners", "data"]


def _kinds() -> dict[str, dict[str, str]]:
    kinds = {kind: {name: registry.summary(name) for name in registry} for kind, registry in _REGISTRIES.items()}
    kinds["connections"] = PATTERNS
    kinds["descent"] = DESCENT_MODES
    kinds["validation"] = VALIDATIONS
    kinds["samplers"] = SAMPLERS
    kinds["pruners"] = PRUNERS
    kinds["data"] = {name: f"{own.task}: {own.summary}" for name, own in bundled_data().items()}
    for name, package in DATA_PLUGINS.packages.items():
        kinds["data"][name] += f" (from {package})"
    return kinds


def _list(given: argparse.Namespace, console: Terminal) -> int:
    for kind, parts in _kinds().items():
        if given.kind in (None, kind):
            console.print(f"[bold]{kind}[/bold]")
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
            table.add_column(min_width=22, no_wrap=True)
            table.add_column()
            for name, summary in parts.items():
                table.add_row(f"  {name}", escape(summary))
            plugins = DATA_PLUGINS if kind == "data" else getattr(_REGISTRIES.get(kind), "plugins", None)
            for name, problem in (plugins.broken if plugins else {}).items():
                table.add_row(f"  {name}", f"[red]cannot be used.[/red] {escape(problem)}")
            console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
