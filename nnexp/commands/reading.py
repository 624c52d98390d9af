"""The commands that read results: reports, tables, checks, joined experiments."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from nnexp._errors import quoted, reason
from nnexp._files import as_path, replacing
from nnexp._output import emit
from nnexp._terminal import Terminal
from nnexp.experiment.results import Results, ResultsError, load_results
from nnexp.experiment.schema import NAME_RULE, is_name


def report(given: argparse.Namespace, console: Terminal) -> int:
    """Write the report again, print it as JSON, or show what a claim rests on."""
    if given.claim is not None:
        return _show_claim(given, console)
    if given.format == "json":
        from nnexp.report import report_json

        emit(report_json(load_results(given.folder)))
        return 0
    console.print(f"Report: {escape(str(write(load_results(given.folder))))}")
    return 0


def verify(given: argparse.Namespace, console: Terminal) -> int:
    """Compare results with what they say of themselves; return 0 if they are the same, 1 if anything differs, 3 if not checked."""
    from nnexp.verify import verify

    marks = {"ok": ("ok", "green"), "differs": ("DIFFERS", "red"), "unknown": ("not checked", "yellow")}
    findings = []
    for finding in verify(given.folder, given.rerun, allow_modules=given.modules):
        if finding.status != "unknown":
            mark, style = marks[finding.status]
            console.print(f"[{style}]{mark}[/{style}]: {escape(finding.text)}")
        findings.append(finding)
    unknown = [finding for finding in findings if finding.status == "unknown"]
    differences = sum(finding.status == "differs" for finding in findings)
    if unknown:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("not checked", style="yellow", no_wrap=True)
        table.add_column("why")
        for finding in unknown:
            table.add_row(escape(finding.what), escape(finding.text))
        console.print()
        console.print(table)
        console.print()
    if differences:
        also = f" Not checked: {_things(unknown)}." if unknown else ""
        console.print(f"Different: {differences} difference{'s' if differences > 1 else ''}.{also}")
        return 1
    if unknown:
        console.print(f"Not checked: {_things(unknown)}. Nothing that was checked differs.")
        return 3
    console.print(
        "Same: tables, report, plan and data follow from the journal. "
        + _done_again(given.rerun, sum(finding.done_again for finding in findings))
    )
    return 0


def _things(findings: Sequence[Any]) -> str:
    return f"{len(findings)} thing{'s' if len(findings) > 1 else ''}"


def _done_again(rerun: int | str, number: int) -> str:
    if rerun == "all":
        return f"All {number} runs were done again."
    done = f"{number} runs were" if number != 1 else "1 run was"
    return f"{done} done again; a forgery that is consistent everywhere shows only with --rerun all."


def compare(given: argparse.Namespace, console: Terminal) -> int:
    """Join experiments, and write one report."""
    from nnexp.experiment.joining import join

    if given.name is not None and not is_name(given.name):
        raise ResultsError(f"--name {quoted(given.name)}: {NAME_RULE}.")
    command = shlex.join(["nnexp", "compare", *given.folders, *(["--name", given.name] if given.name else []),
                          *(["--results", given.results] if given.results != "results" else [])])  # fmt: skip
    folder = join(given.folders, given.results, given.name, command)
    results = load_results(folder)
    report = write(results)
    show(results, console)
    console.print(f"Report: {escape(str(report))}")
    return 0


def table(given: argparse.Namespace, console: Terminal) -> int:
    """Print a table, or the comparison."""
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
        show(load_results(given.folder), console)
    return 0


def _show_claim(given: argparse.Namespace, console: Terminal) -> int:
    """Print a claim of the report, what it rests on, and its rows."""
    from nnexp.report import claim_of, compare

    results = load_results(given.folder)
    comparison = compare(results)
    looked_up = claim_of(results, comparison, given.claim)
    if looked_up is None:
        known = [claim.id for claim in [*comparison.answer, *comparison.cautions]]
        raise ResultsError(
            f"{given.folder} has no claim {quoted(given.claim)}. It has {', '.join(known)}, and the rows of its tables, such as D1."
        )
    claim, rows = looked_up
    console.print(f"[bold]{claim.id}[/bold] {escape(claim.text)}")
    console.print(f"Test: {escape(claim.test)}" if claim.test else "")
    for name, value in claim.numbers.items():
        console.print(f"  {name} = {value:.6g}" if isinstance(value, float) else f"  {name} = {value}")
    console.print(f"Rows: {len(rows)} of runs.csv")
    metrics = [name for task in results.experiment["evaluation"]["metrics"].values() for name in task if name in rows]
    shown = ["data", "model", "repeat", "fold", "status", *dict.fromkeys(metrics), "evaluations"]
    emit(rows[shown].dropna(axis=1, how="all").to_csv(index=False), end="")
    return 0


def write(results: Results) -> Path:
    """Write the report of results, and return where it is."""
    from nnexp.report import write_report

    return write_report(results)


def show(results: Results, console: Terminal) -> None:
    """Print the answer, the leaderboard and the map."""
    from nnexp.report import compare, leaderboard_table, map_table, sweep_sentences, tuning_tables

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
    for says in sweep_sentences(results):
        console.print(f"\n[bold]{escape(says.model)} on {escape(says.data)}[/bold]")
        console.print(escape("\n".join(says.lines)), emoji=False)
        if says.settings:
            console.print(escape(says.as_toml), soft_wrap=True, emoji=False)
    first, *rest = (escape(claim.text) for claim in comparison.answer)
    console.print("\n" + "\n".join([f"[bold]{first}[/bold]", *rest]) + "\n")


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
