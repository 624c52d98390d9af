"""The nnexp command: what it understands. What a command needs is loaded when it is needed."""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from nnexp._choices import AUTO, BACKENDS, KINDS, MODES, SWEEP_TABLES, TRUST
from nnexp._errors import ExpectedError, reason
from nnexp._output import outlasting_output
from nnexp._signals import status as status_of_signal
from nnexp._version import __version__

_EXAMPLES = """\
examples:
  nnexp run experiments/quickstart.toml           run an experiment and write its report
  nnexp run experiments/quickstart.toml --quick   try the file on a small budget first
  nnexp run experiments/quickstart.toml --set model.descent.learning_rate=0.01
  nnexp sweep experiments/sweep.toml --workers 4  search for better parameters, and judge them on data no trial saw
  nnexp table results/quickstart                  print the comparison again
  nnexp verify results/quickstart --rerun 5       recompute the report, do 5 runs again, name what differs
  nnexp compare results/first results/second      join experiments that ran on the same splits
  nnexp report results/quickstart                 write the report again from the tables
  nnexp list activations                          what can be named in a file
"""

TABLES = ["runs", "curves", "times", *SWEEP_TABLES]
_PLACES = {
    "run": "running.run",
    "sweep": "running.sweep",
    "worker": "running.worker",
    "doctor": "running.doctor",
    "report": "reading.report",
    "verify": "reading.verify",
    "compare": "reading.compare",
    "table": "reading.table",
    "list": "listing.list_names",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if runs failed, 2 for a mistake, 128 and the signal's number if stopped."""
    with outlasting_output() as output:
        try:
            status = _do(_parse(sys.argv[1:] if arguments is None else arguments))
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


def _do(given: argparse.Namespace) -> int:
    """Do what a command says; return its exit status."""
    from nnexp._terminal import Terminal

    console = Terminal(highlight=False)
    if not console.is_terminal:
        console = Terminal(highlight=False, width=200)
    module, _, name = _PLACES[given.do].partition(".")
    status: int = getattr(importlib.import_module(f"nnexp.commands.{module}"), name)(given, console)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that says what was perhaps meant."""

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", message)
        super().error(message if wrong is None else message + _meant(wrong[1], re.findall(r"[\w-]+", wrong[2])))


def _meant(word: str, known: Iterable[str]) -> str:
    """Return a question whether the known word nearest to another was meant; nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f". Did you mean {near[0]!r}?" if near else ""


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the words after `nnexp` say; without any, those that ask for help."""
    parser, commands = _parser()
    given, unknown = parser.parse_known_args(arguments or ["--help"])
    if unknown:
        command = commands[given.do]
        known = re.findall(r"--[\w-]+", command.format_usage())
        hints = [_meant(word.partition("=")[0], known) for word in unknown if word.startswith("-")]
        command.error(f"unrecognized arguments: {' '.join(unknown)}{next(filter(None, hints), '')}")
    return given


def _refuse(text: str) -> int:
    """Say what is wrong; return the exit status for it."""
    for line in text.split("\n"):
        print(f"nnexp: {line}", file=sys.stderr)
    return 2


def _parser() -> tuple[_Parser, dict[str, _Parser]]:
    """Return what understands the words after `nnexp`, and of each command what understands those after it."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
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
    _add_versions(run)
    run.add_argument("--jobs", metavar="N", type=_positive, default=None, help="processes (default: one for each core)")
    run.set_defaults(do="run", trials=None, mode=None, storage=None, view=AUTO, backend="loky", scheduler=None)

    sweep = commands.add_parser(
        "sweep",
        help="search the space of a file's [sweep], judge the winners, write tables and report",
        description="Search the spaces of an experiment. What is finished is kept at any interruption; the same command goes on.",
        epilog="examples:\n  nnexp sweep experiments/sweep.toml --workers 4 --trials 100\n"
        "  nnexp sweep my.toml --refit model.nnexp\n"
        "  nnexp sweep my.toml --mode elastic --storage postgresql+psycopg://me@host/studies\n"
        "  nnexp sweep my.toml --backend dask --scheduler tcp://10.0.0.1:8786\n",
        formatter_class=raw,
    )
    _add_experiment(sweep)
    _add_versions(sweep)
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
    sweep.add_argument(
        "--view", metavar="PLACE", default=AUTO,
        help="where Optuna's dashboard can watch: a file, the URL of a database, or none (default: study.log beside the trials)",
    )  # fmt: skip
    sweep.add_argument(
        "--refit", metavar="FILE", default=None,
        help="fit the winner to all samples and save it there, such as model.nnexp; of several each in a file of its own",
    )  # fmt: skip
    sweep.add_argument("--forget", action="store_true", help="delete the studies of the file, and do nothing else")
    sweep.set_defaults(do="sweep")

    worker = commands.add_parser(
        "worker",
        help="join an elastic sweep, on this machine or another, and leave at will",
        description="Work on the trials of an elastic sweep until its budget is spent. Any number of workers may join and leave.",
    )
    _add_experiment(worker)
    worker.add_argument("--storage", metavar="PLACE", default=None, help="as for `nnexp sweep`")
    worker.add_argument("--view", metavar="PLACE", default=AUTO, help="as for `nnexp sweep`")
    worker.add_argument("--trials", metavar="N", type=_number_of_trials, default=None, help="as for `nnexp sweep`")
    _add_versions(worker)
    worker.set_defaults(do="worker", mode="elastic")

    doctor = commands.add_parser(
        "doctor",
        help="show how the studies of a storage are, and mend them",
        description="Show the studies of a storage: their trials by state, and which processes work on them.",
    )
    doctor.add_argument("storage", metavar="PLACE", help="a results folder, or the URL of a PostgreSQL database")
    doctor.add_argument(
        "--mend", action="store_true",
        help="free the trials of processes that are silent, and leave out damaged lines of a file (a copy is kept)",
    )  # fmt: skip
    doctor.add_argument(
        "--give-up", action="store_true",
        help="count as failed what has no result because its process was killed each time; else the next call tries it again",
    )  # fmt: skip
    doctor.set_defaults(do="doctor")

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
    report.set_defaults(do="report")

    check = commands.add_parser(
        "verify",
        help="check that results were not changed, that the report says what the tables say, that runs repeat",
        description="Compare the tables with the journal and their recorded hashes, seeds and splits with the experiment, the "
        "report with one computed anew. Exit status 0: all is the same; 1: something differs; 3: nothing differs, but something "
        "could not be checked.",
        epilog="examples:\n  nnexp verify results/example\n  nnexp verify results/example --rerun 5\n",
        formatter_class=raw,
    )
    check.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    check.add_argument(
        "--rerun",
        metavar="N",
        type=lambda text: text if text == "all" else _positive(text),
        default=0,
        help="do N runs, or all, again from scratch and compare them bit for bit; a forgery that is consistent everywhere shows "
        "only in that",
    )
    check.add_argument(
        "--allow-module", metavar="MODULE", action="append", default=[], dest="modules", help="as for `nnexp run`"
    )
    check.set_defaults(do="verify")

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
    compare.set_defaults(do="compare")

    table = commands.add_parser("table", help="print the comparison of a results folder")
    table.add_argument("folder", metavar="FOLDER", help="such as results/quickstart")
    table.add_argument(
        "name", metavar="TABLE", nargs="?", choices=TABLES,
        help=f"one of the tables instead: {', '.join(TABLES)}",
    )  # fmt: skip
    table.add_argument("--csv", action="store_true", help="as CSV, a row for each data set and model")
    table.add_argument("--parquet", metavar="FILE", default=None, help="write the table to a Parquet file")
    table.set_defaults(do="table")

    names = commands.add_parser("list", help="list what can be named, each with a line")
    names.add_argument("kind", metavar="KIND", nargs="?", choices=KINDS, help=", ".join(KINDS))
    names.set_defaults(do="list")
    return parser, commands.choices


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


def _add_versions(parser: argparse.ArgumentParser) -> None:
    versions = parser.add_mutually_exclusive_group()
    versions.add_argument(
        "--redo", action="store_const", const="redo", dest="other_versions",
        help="do finished runs again that were made with other versions of nnexp or its libraries, and forget such trials",
    )  # fmt: skip
    versions.add_argument(
        "--keep", action="store_const", const="keep", dest="other_versions",
        help="keep such runs and trials, marked in runs.csv, in trials.csv and in the report",
    )  # fmt: skip


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"must be from 1 to 1024, not {text}")
    return number


def _number_of_trials(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
