"""The nnexp command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
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

from nnexp._names import Registry
from nnexp._version import __version__
from nnexp.estimator import VALIDATIONS
from nnexp.experiment import (
    DataError,
    ResultsError,
    SpecificationError,
    load_results,
    load_specification,
    run_experiment,
)
from nnexp.experiment.datasets import DATA_PLUGINS, bundled_data
from nnexp.network import ACTIVATIONS, ERROR_FUNCTIONS, INITIALIZERS
from nnexp.network.connections import PATTERNS
from nnexp.training import ALGORITHMS, CROSSOVERS, DESCENT_MODES, MUTATIONS, OPTIMIZERS, SCHEDULES, SELECTIONS

_EXAMPLES = """\
examples:
  nnexp run experiments/quickstart.toml           run an experiment and write its report
  nnexp run experiments/quickstart.toml --quick   try the file on a small budget first
  nnexp run my.toml --set model.backprop.learning_rate=0.1
  nnexp table results/quickstart                  print the comparison again
  nnexp report results/quickstart                 write the report again from the tables
  nnexp list activations                          what can be named in a file
"""

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if runs failed, 2 for a mistake, 130 if interrupted."""
    parser = _parser()
    given = parser.parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    try:
        status: int = given.do(given, console)
    except (SpecificationError, DataError, ResultsError) as error:
        for line in str(error).splitlines():
            print(f"nnexp: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="nnexp",
        description="Find out what makes a neural network learn: run experiments, compare, report.",
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
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
    run.add_argument("file", metavar="FILE", help="an experiment file (TOML)")
    run.add_argument(
        "--results",
        metavar="DIR",
        default="results",
        help="where the experiment's folder goes (default: results)",
    )
    run.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="changes",
        help="change a value of the file, such as model.backprop.learning_rate=0.1; may be repeated",
    )  # fmt: skip
    run.add_argument(
        "--tables",
        metavar="FOLDER",
        default=None,
        help="run on the tables of a folder instead: CSV files with a column target, and manifest.csv with name and task",
    )
    run.add_argument("--quick", action="store_true", help="2 folds, 1 repeat, 10 steps: to try a file")
    run.add_argument("--jobs", metavar="N", type=_positive, default=None, help="processes (default: one for each core)")
    run.set_defaults(do=_run)

    report = commands.add_parser("report", help="write report.html and report.md from the tables of a results folder")
    report.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    report.set_defaults(do=_report)

    table = commands.add_parser("table", help="print the comparison of a results folder")
    table.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    table.add_argument("--csv", action="store_true", help="as CSV, a row for each data set and model")
    table.set_defaults(do=_table)

    names = commands.add_parser("list", help="list what can be named, each with a line")
    names.add_argument("kind", metavar="KIND", nargs="?", choices=_KINDS, help=", ".join(_KINDS))
    names.set_defaults(do=_list)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"must be from 1 to 1024, not {text}")
    return number


def _run(given: argparse.Namespace, console: Console) -> int:
    changes = {}
    for change in given.changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise SpecificationError(f"--set {change}: write it as KEY=VALUE.")
        changes[key.strip()] = value.strip()
    specification = load_specification(given.file, changes, given.quick, given.tables)
    jobs = given.jobs or _cores()
    with _Progress(console, specification.question) as progress:
        summary = run_experiment(
            specification,
            given.results,
            n_jobs=jobs,
            on_start=progress.start,
            on_run=progress.advance,
            command=_command(given),
        )
    for note in summary.notes:
        console.print(escape(note), style="yellow")
    finished = summary.known + summary.done
    if summary.interrupted:
        console.print(
            f"Stopped: {finished} of {summary.planned} runs are finished and kept in {escape(str(summary.folder))}. "
            "The same command goes on from there."
        )
        return INTERRUPTED
    _show(summary.folder, console)
    report = _write_report(summary.folder)
    if summary.failed:
        console.print(
            f"{summary.failed} of {summary.planned} runs failed; runs.csv and the report say why.",
            style="yellow",
        )
    console.print(f"Report: {escape(str(report))}")
    return 1 if summary.failed else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _command(given: argparse.Namespace) -> str:
    """Return the command that repeats this run."""
    parts = ["nnexp", "run", given.file]
    for change in given.changes:
        parts += ["--set", change]
    if given.tables:
        parts += ["--tables", given.tables]
    if given.quick:
        parts.append("--quick")
    if given.results != "results":
        parts += ["--results", given.results]
    return shlex.join(parts)


class _Progress:
    """A bar with the time left on a terminal; a line for each tenth elsewhere."""

    def __init__(self, console: Console, question: str) -> None:
        self._console, self._question = console, question
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("runs ·"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._done = self._planned = self._known = 0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def start(self, planned: int, known: int) -> None:
        """Begin with the numbers of planned and of known runs."""
        self._planned, self._known = planned, known
        found = f", {known} of them finished before" if known else ""
        self._console.print(f"[bold]{escape(self._question)}[/bold]")
        self._console.print(f"{planned} runs{found}.")
        if self._console.is_terminal and planned > known:
            self._bar.start()
            self._task = self._bar.add_task("running", total=planned - known)

    def advance(self, row: dict[str, Any]) -> None:
        """Count a finished run."""
        self._done += 1
        if row["status"] == "failed":
            where = f"{row['model']} on {row['data']}, repeat {row['repeat']}, fold {row['fold']}"
            self._console.print(f"failed: {escape(where)}: {escape(row['problem'])}", style="red")
        total = self._planned - self._known
        if self._console.is_terminal:
            self._bar.advance(self._task)
        elif self._done * 10 // total > (self._done - 1) * 10 // total:
            self._console.print(f"{self._done + self._known} of {self._planned} runs finished")


def _report(given: argparse.Namespace, console: Console) -> int:
    console.print(f"Report: {escape(str(_write_report(Path(given.folder))))}")
    return 0


def _write_report(folder: Path) -> Path:
    from nnexp.report import write_report

    return write_report(load_results(folder))


def _table(given: argparse.Namespace, console: Console) -> int:
    if given.csv:
        from nnexp.report import compare

        cells = compare(load_results(given.folder)).cells.drop(columns="variance")
        print(cells.to_csv(index=False), end="")
    else:
        _show(Path(given.folder), console)
    return 0


def _show(folder: Path, console: Console) -> None:
    """Print the answer, the leaderboard and the map."""
    from nnexp.report import compare, leaderboard_table, map_table

    comparison = compare(load_results(folder))
    if not comparison.models:
        console.print(comparison.answer[0])
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
    console.print("Scores: mean ± half of the 95 % interval; * best of its row.")
    console.print("Evaluations, seconds: summed over one fit (the median) on each data set.")
    for caution in comparison.cautions:
        console.print(escape(f"! {caution}"), style="yellow")
    console.print(escape("\n" + "\n".join(comparison.answer) + "\n"))


def _print_table(head: list[str], rows: Sequence[list[str]], console: Console) -> None:
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
_KINDS = [*_REGISTRIES, "connections", "descent", "validation", "data"]


def _kinds() -> dict[str, dict[str, str]]:
    kinds = {kind: {name: registry.summary(name) for name in registry} for kind, registry in _REGISTRIES.items()}
    kinds["connections"] = PATTERNS
    kinds["descent"] = DESCENT_MODES
    kinds["validation"] = VALIDATIONS
    kinds["data"] = {name: f"{own.task}: {own.summary}" for name, own in bundled_data().items()}
    for name, package in DATA_PLUGINS.packages.items():
        kinds["data"][name] += f" (from {package})"
    return kinds


def _list(given: argparse.Namespace, console: Console) -> int:
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
