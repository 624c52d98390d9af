"""Verify results: that nothing was changed by hand, that the report is what the tables say, that runs repeat to the bit."""

from __future__ import annotations

import difflib
import html
import importlib.metadata
import json
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nnexp._choices import SWEEP_TABLES
from nnexp._errors import ExpectedError, quoted, reason
from nnexp._files import as_path, parse_json
from nnexp.experiment.datasets import DataSet
from nnexp.experiment.results import (
    DETAIL_TABLES,
    MADE_WITH,
    RUN_KEYS,
    JournalContent,
    Results,
    ResultsError,
    blocks_of,
    hash_of,
    load_environment,
    load_results,
    read_journal,
    text_table,
)
from nnexp.experiment.runs import (
    Run,
    blas,
    declared_of,
    execute,
    load_data,
    plan,
    records_of,
    sweeps_of,
    write_tables_of,
)
from nnexp.experiment.specification import ModelSpecification, Specification, load_specification
from nnexp.experiment.sweeps import ModelSweep, write_sweep_tables
from nnexp.report import render
from nnexp.sweep.sweep import open_store

_NAMED = 5  # differences that are named one by one


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    status : {"ok", "differs", "unknown"}
        ``"unknown"`` where something could not be checked.
    text : str
    what : str
        What could not be checked, in a few words.
    done_again : int
        How many runs were done again.
    """

    status: str
    text: str
    what: str = ""
    done_again: int = 0


@dataclass(frozen=True, eq=False)
class _Again:
    """An experiment that is planned again: its runs, and what they need."""

    specification: Specification
    data: dict[str, DataSet]
    runs: list[Run]
    sweeps: list[ModelSweep]
    without_sweeps: str = ""  # why there are none, where the experiment has some


def verify(
    folder: str | Path, rerun: int | str = 0, seed: int | None = None, *, allow_modules: Sequence[str] = ()
) -> Iterator[Finding]:
    """Check a results folder, and yield what each check found.

    Parameters
    ----------
    folder : str or Path
        Such as ``results/example``.
    rerun : int or "all", default=0
        How many runs are done again from scratch, a random sample. Those of changed rows come first.
    seed : int, default=None
        Draws the sample; None draws another one each time.
    allow_modules : sequence of str, default=()
        See `load_specification`.

    Yields
    ------
    Finding

    Raises
    ------
    ResultsError
        If the folder holds no results that can be read.

    Notes
    -----
    Without a finding that differs or is unknown, tables, report, plan and data follow from the journal. A journal that was forged
    as a whole, with tables and hashes that go with it, shows only where runs are done again.
    """
    place = as_path(folder, "The results folder")
    environment = load_environment(place)
    yield from _check_files(place, environment)
    journal, findings = _journal_of(place)
    yield from findings
    try:
        results = load_results(place)
    except ResultsError as error:
        if not environment.get("files") or not (place / "runs.csv").is_file():
            raise
        yield Finding("differs", str(error))
        return
    again: _Again | None = None
    if "joined" in results.environment:
        if journal is not None:
            yield Finding(
                "differs", "environment.json calls it a joined experiment, and it has a journal of its own runs."
            )
        yield Finding(
            "unknown",
            "These are joined experiments: their splits and seeds are verified in their own folders.",
            "plan and data",
        )
    elif journal is not None:
        yield from _check_declared(results, journal)
    with tempfile.TemporaryDirectory() as scratch:
        if "joined" not in results.environment:
            try:
                again = _planned_again(results, Path(scratch), allow_modules)
            except (ExpectedError, OSError) as error:
                yield Finding("unknown", f"The runs cannot be planned again: {error}", "plan and data")
            else:
                yield from _check_data(results, again.data)
                yield from _check_plan(results, again.runs)
        if journal is not None:
            yield from _check_tables(results, journal, again, Path(scratch))
    yield from _check_report(results)
    if rerun:
        yield from _rerun(results, again, rerun, seed)


def _journal_of(folder: Path) -> tuple[JournalContent | None, list[Finding]]:
    """Read the journal; say where there is none that could be compared."""
    what = "tables against the journal"
    try:
        journal, damaged = read_journal(folder)
    except FileNotFoundError:
        return None, [
            Finding("unknown", "There is no journal.jsonl: what the tables say has nothing to follow from.", what)
        ]
    except OSError as error:
        return None, [Finding("unknown", f"journal.jsonl cannot be read: {reason(error)}.", what)]
    if damaged:
        lines = "line is" if damaged == 1 else "lines are"
        return journal, [Finding("differs", f"journal.jsonl: {damaged} {lines} no record of a run.")]
    return journal, []


def _check_declared(results: Results, journal: JournalContent) -> Iterator[Finding]:
    """Compare experiment.json and environment.json with what the journal notes of them."""
    if journal.declared is None:
        yield Finding(
            "unknown",
            "The journal is of an earlier version, which did not note what was asked.",
            "experiment.json and environment.json",
        )
        return
    # As they are in the files: what is read of them has its defaults filled in.
    experiment, environment = (_content(results.folder / name) for name in ("experiment.json", "environment.json"))
    pairs = {
        "experiment.json": (experiment, journal.declared["experiment"]),
        "environment.json": (declared_of(environment), journal.declared["environment"]),
    }
    for name, (here, noted) in pairs.items():
        differences = list(_unequal(here, noted))
        for key, is_, was in differences[:_NAMED]:
            here_it, there_it = ("is not there" if v is _MISSING else f"is {quoted(v)}" for v in (is_, was))
            yield Finding("differs", f"{name}: {key} {here_it}; in the journal it {there_it}.")
        if len(differences) > _NAMED:
            yield Finding("differs", f"{name}: {len(differences) - _NAMED} more places differ from the journal.")
        if not differences:
            yield Finding("ok", f"{name} is what the journal notes.")


_MISSING = object()


def _unequal(here: Any, noted: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted key of each value that is not the same, with both values."""
    if isinstance(here, dict) and isinstance(noted, dict):
        for name in dict.fromkeys([*here, *noted]):
            yield from _unequal(here.get(name, _MISSING), noted.get(name, _MISSING), f"{key}.{name}" if key else name)
    elif type(here) is not type(noted) or (here != noted and not (here != here and noted != noted)):
        yield key, here, noted


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    return content


def _planned_again(results: Results, scratch: Path, allow_modules: Sequence[str]) -> _Again:
    """Plan the runs again from experiment.json, with the winners of its sweeps."""
    specification = load_specification(results.folder / "experiment.json", allow_modules=allow_modules)
    data = load_data(specification)
    winners = _winners(specification, results)
    runs = plan(specification, data, winners)
    if specification.sweep is None:
        return _Again(specification, data, runs, [])
    if not any((results.folder / name).is_file() for name in ("study.jsonl", "study.log")):
        why = "The trials are kept elsewhere; the folder has no study.jsonl."
        return _Again(specification, data, runs, [], why)
    for path in results.folder.glob("study*"):  # a copy: opening a study may mend it
        if path.is_file():
            shutil.copy(path, scratch)
    try:
        return _Again(specification, data, runs, sweeps_of(specification, data, open_store(scratch)))
    except ExpectedError as error:  # such as one of another version
        return _Again(specification, data, runs, [], f"The studies cannot be read as they are: {error}")


def _check_tables(results: Results, journal: JournalContent, again: _Again | None, scratch: Path) -> Iterator[Finding]:
    """Compare the tables with those that the journal gives."""
    folder = results.folder
    if again is None:
        cells = _against_journal(folder / "runs.csv", journal)
        yield from _first(cells)
        if not cells:
            yield Finding("ok", f"{len(results.runs)} rows of runs.csv are what the journal has.")
        yield Finding("unknown", "They follow from the plan, which cannot be made here.", "tables but runs.csv")
        return
    made = scratch / "made"
    made.mkdir()
    write_tables_of(made, records_of(again.runs, journal, again.specification), again.specification, again.data)
    names = ["runs", "curves", "times", *DETAIL_TABLES, *SWEEP_TABLES]
    if again.sweeps:
        write_sweep_tables(made, again.sweeps)
    elif again.without_sweeps:
        names = names[: -len(SWEEP_TABLES)]
        yield Finding("unknown", again.without_sweeps.replace(str(scratch), str(folder)), "tables of the sweeps")
    same = 0
    for name in names:
        here, there = folder / f"{name}.csv", made / f"{name}.csv"
        if not (here.is_file() or there.is_file()):
            continue
        if not here.is_file() or not there.is_file():
            is_it = "missing; the journal gives it" if there.is_file() else "there; the journal gives none"
            yield Finding("differs", f"{name}.csv is {is_it}.")
        elif here.read_bytes() == there.read_bytes():
            same += 1
        else:
            yield from _first(_cells_that_differ(name, here, there))
    yield (
        Finding("ok", f"{same} tables are what the journal gives, to the byte.")
        if same
        else Finding("differs", "No table is what the journal gives.")
    )


def _first(texts: Sequence[str]) -> Iterator[Finding]:
    """Name the first differences, and how many there are more."""
    for text in texts[:_NAMED]:
        yield Finding("differs", text)
    if len(texts) > _NAMED:
        yield Finding("differs", f"{len(texts) - _NAMED} more cells differ so.")


def _cells_that_differ(name: str, here: Path, there: Path) -> list[str]:
    try:
        ours, given = text_table(here), text_table(there)
    except (OSError, ValueError) as error:
        return [f"{name}.csv is no table: {reason(error)}."]
    if list(ours.columns) != list(given.columns):
        return [f"{name}.csv has other columns than the journal gives: {', '.join(ours.columns)}."]
    if name == "runs" and not ours.duplicated(RUN_KEYS).any():  # then a row that was dropped is named
        keys = [tuple(row) for row in given[RUN_KEYS].to_numpy()]
        lost = [key for key in keys if key not in {tuple(row) for row in ours[RUN_KEYS].to_numpy()}]
        if lost:
            return [f"runs.csv lacks {_place(key)}, which the journal has." for key in lost]
    if len(ours) != len(given):
        return [f"{name}.csv has {len(ours)} rows; the journal gives {len(given)}."]
    places = np.argwhere(ours.to_numpy() != given.to_numpy())
    where = [f"{_place(tuple(row))}" for row in ours[RUN_KEYS].to_numpy()] if set(RUN_KEYS) <= set(ours) else None
    return [
        f"{name}.csv, line {row + 2}: {ours.columns[column]}{f' of {where[row]}' if where else ''} is "
        f"{quoted(ours.iloc[row, column])}; the journal has {quoted(given.iloc[row, column])}."
        for row, column in places
    ] or [f"{name}.csv is written in another way than nnexp writes tables."]


def _check_files(folder: Path, environment: dict[str, Any]) -> Iterator[Finding]:
    """Compare the tables with their hashes in environment.json."""
    known = environment.get("files")
    if not known:
        yield Finding(
            "unknown",
            "environment.json records no hashes: the results are of an earlier version, or the run was killed.",
            "hashes of the tables",
        )
        return
    changed = 0
    tables = [f"{name}.csv" for name in ("runs", "curves", "times", *DETAIL_TABLES, *SWEEP_TABLES)]
    for name, value in known.items():
        path = folder / name
        if name not in ("experiment.json", *tables):
            changed += 1
            yield Finding("differs", f"environment.json records {quoted(name)}, which no run writes.")
        elif not path.is_file():
            changed += 1
            yield Finding("differs", f"{name} is missing; environment.json records it.")
        elif hash_of(path) != value:
            changed += 1
            yield Finding(
                "differs", f"{name} is not what the run wrote: its SHA-256 differs from the one in environment.json."
            )
            blocks = _changed_blocks(folder, environment) if name == "runs.csv" else []
            if blocks and not (folder / "journal.jsonl").is_file():  # which tells the cells
                yield Finding("differs", f"runs.csv: changed are rows of {', '.join(blocks[:_NAMED])}.")
    recorded = environment.get("blocks")
    if recorded and not changed and recorded != _blocks_here(folder):
        changed += 1
        yield Finding(
            "differs", "environment.json: blocks, the hashes of parts of runs.csv, are not those of the file."
        )
    for name in [name for name in tables if name not in known and (folder / name).is_file()]:
        changed += 1
        yield Finding("differs", f"{name} is not recorded in environment.json.")
    if not changed:
        yield Finding("ok", f"{len(known)} files are what the run wrote, by their SHA-256.")


def _blocks_here(folder: Path) -> dict[str, str]:
    try:
        return blocks_of(folder / "runs.csv")
    except (OSError, ValueError, KeyError):  # it is no table of runs
        return {}


def _changed_blocks(folder: Path, environment: dict[str, Any]) -> list[str]:
    recorded, here = environment.get("blocks", {}), _blocks_here(folder)
    if not here:
        return []
    return [name for name in {**recorded, **here} if recorded.get(name) != here.get(name)]


def _against_journal(table: Path, journal: JournalContent) -> list[str]:
    """Name the cells of runs.csv that no record of the journal has at that place."""
    records: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for record in [*journal.deaths.values(), *journal.records.values()]:
        row = record["row"]
        records.setdefault(tuple(str(row[key]) for key in RUN_KEYS), []).append(row)
    sentences = []
    for number, row in enumerate(text_table(table).to_dict("records"), start=2):
        key = tuple(str(row[name]) for name in RUN_KEYS)
        known = records.get(key, [])
        differences = [
            [name for name in known_row if name in row and not _same(row[name], known_row[name])] for known_row in known
        ]
        if not known:
            sentences.append(f"runs.csv, line {number}: the journal has no {_place(key)}.")
        elif all(differences):
            sentences += [
                f"runs.csv, line {number}: {name} of {_place(key)} is {quoted(row[name])}; the journal has "
                f"{quoted(known[-1][name])}."
                for name in min(differences, key=len)
            ]
    return sentences


def _same(text: Any, value: Any) -> bool:
    """Whether a cell of a table is a value, to the bit."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return str(text) == ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(text) == float(value)
        except ValueError:
            return False
    return str(text) == str(value)


def _check_data(results: Results, data: dict[str, DataSet]) -> Iterator[Finding]:
    recorded = results.environment["data"]
    other = [
        name for name, data_set in data.items() if recorded.get(name, {}).get("fingerprint") != data_set.fingerprint
    ]
    for name in other:
        yield Finding(
            "differs",
            f"The data set {name} is not the one that was used: its fingerprint differs from environment.json.",
        )
    if not other:
        yield Finding("ok", f"{len(data)} data sets have the fingerprints that were recorded.")


def _check_plan(results: Results, planned: list[Run]) -> Iterator[Finding]:
    """Compare the rows of runs.csv with the runs that experiment.json leads to: seeds, splits, sizes."""
    from nnexp.experiment.runs import split_of

    table = text_table(results.folder / "runs.csv")
    rows = {tuple(str(row[key]) for key in RUN_KEYS): row for row in table.to_dict("records")}
    wanted = {(run.data, run.model.name, str(run.repeat), str(run.fold)): run for run in planned}
    problems = []
    for key, run in wanted.items():
        row = rows.get(key)
        if row is None:
            continue  # the report says what is unfinished
        facts = {"seed": run.seed, "split": split_of(run.test), "fingerprint": run.fingerprint,
                 "n_train": len(run.training), "n_test": len(run.test), "task": run.task}  # fmt: skip
        for name, value in facts.items():
            if name in row and not _same(row[name], value):
                problems.append(f"{name} of {_place(key)} is {row[name]}; experiment.json leads to {value}")
    problems += [f"{_place(key)} is no run of experiment.json" for key in rows if key not in wanted]
    twice = len(table) - len(rows)
    if twice:
        problems.append(f"{twice} runs stand there more than once")
    if not problems:
        yield Finding("ok", f"{len(rows)} runs have the seeds, splits and sizes that experiment.json leads to.")
    for problem in problems[:_NAMED]:
        yield Finding("differs", f"runs.csv: {problem}.")
    if len(problems) > _NAMED:
        yield Finding("differs", f"runs.csv: {len(problems) - _NAMED} more cells differ so.")


def _place(key: tuple[str, ...]) -> str:
    return f"{key[1]} on {key[0]}, repeat {key[2]}, fold {key[3]}"


def _winners(specification: Specification, results: Results) -> dict[Any, ModelSpecification | None]:
    """Return the tuned models as the sweep chose them, from tuned.csv."""
    models = {model.name: model for model in specification.models}
    winners: dict[Any, ModelSpecification | None] = {}
    for row in results.tuned.to_dict("records"):
        model = models.get(row["model"])
        if model is None:
            continue
        place = (-1, -1) if pd.isna(row["fold"]) else (int(row["repeat"]), int(row["fold"]))
        if pd.isna(row["best"]):
            winners[row["data"], model.name, *place] = None
        else:
            chosen = json.loads(row["parameters"])
            if not set(chosen) <= set(model.space):
                raise ResultsError(f"tuned.csv: {quoted(row['parameters'])} sets what does not vary.")
            winners[row["data"], model.name, *place] = replace(
                model, parameters={**model.parameters, **chosen}, space={}
            )
    return winners


def _check_report(results: Results) -> Iterator[Finding]:
    """Write the report again in memory, and compare it with the files word for word."""
    page, twin = render(results)
    drawn_alike = _installed("matplotlib") == results.environment["versions"].get(
        "matplotlib", _installed("matplotlib")
    )
    for name, text in (("report.html", page), ("report.md", twin)):
        path = results.folder / name
        if not path.is_file():
            yield Finding("unknown", f"{name} is not there; `nnexp report` writes it.", name)
            continue
        written = path.read_text(encoding="utf-8", errors="replace")
        if not drawn_alike and "<svg" in written:
            drawn = results.environment["versions"].get("matplotlib")
            yield Finding(
                "unknown",
                f"matplotlib {drawn} drew them, and here is {_installed('matplotlib')}, which draws otherwise.",
                f"figures of {name}",
            )
        if not drawn_alike:  # another matplotlib draws otherwise; what the figures show is compared by their data
            written, text = (
                "".join(outside for outside, _ in _apart(whole, _SVG, "</svg>")) for whole in (written, text)
            )
        foreign = _foreign(path.read_text(encoding="utf-8", errors="replace")) if not drawn_alike else []
        for element in foreign[:_NAMED]:
            yield Finding("differs", f"{name}: a figure has {element}, which no figure of nnexp has.")
        if foreign:
            continue
        if written == text:
            yield Finding(
                "ok",
                f"{name} says what the tables say: computed again, it is the same{'' if drawn_alike else ' but for drawings'}.",
            )
            continue
        differences = list(_differences(written, text))
        for difference in differences[:_NAMED]:
            yield Finding("differs", f"{name}: {difference}")
        if len(differences) > _NAMED:
            yield Finding("differs", f"{name}: {len(differences) - _NAMED} more places differ.")


# What matplotlib writes into a figure.
_DRAWN = {
    "svg", "g", "path", "defs", "use", "text", "tspan", "clippath", "rect", "style", "metadata", "title", "desc", "image",
    "polygon", "polyline", "line", "circle", "ellipse", "pattern", "lineargradient", "stop", "marker", "filter", "fecolormatrix",
    "rdf:rdf", "cc:work", "dc:type", "dc:date", "dc:format", "dc:creator", "cc:agent", "dc:title",
}  # fmt: skip


def _foreign(page: str) -> list[str]:
    """Name what stands in the figures of a page and is not drawn: elements that run or load something."""
    elements = []
    for _, inner in _apart(page, _SVG, "</svg>"):
        for tag in re.finditer(r"<\s*([a-zA-Z][\w:.-]*)([^>]*)", inner[1] if inner else ""):
            name, attributes = tag[1].lower(), tag[2]
            if name not in _DRAWN:
                elements.append(f"an element <{tag[1]}>")
            elements += [f"an attribute {a}" for a in re.findall(r"\b(on[a-z]+)\s*=", attributes, re.IGNORECASE)]
            for link in re.findall(r"\bhref\s*=\s*[\"']?([^\"'\s>]*)", attributes):
                if not link.startswith(("#", "data:image/png")):
                    elements.append(f"a link to {quoted(link)}")
    return list(dict.fromkeys(elements))


def _differences(written: str, computed: str) -> Iterator[str]:
    """Name where a report differs from the one that the tables give: claims by their ids, other lines by their section."""
    here, there = (
        {begin[1]: text for _, inner in _apart(whole, _CLAIM, "</span>") if inner for begin, text in [inner]}
        for whole in (written, computed)
    )
    for name in {**there, **here}:
        if here.get(name) != there.get(name):
            yield f"claim {name} says {_said(here.get(name))}; the tables give {_said(there.get(name))}"
    # What follows from another claim or table, such as a link, is no difference of its own.
    old, new = (
        "".join(outside for outside, _ in _apart(text, _CLAIM, "</span>")).splitlines() for text in (written, computed)
    )
    section = ""
    for line in (
        difflib.unified_diff(new, old, lineterm="", n=0) if len(old) + len(new) < 40_000 else _plain_diff(new, old)
    ):
        if line.startswith(("---", "+++", "@@")):
            if line.startswith("@@"):
                section = _section_of(new, int(re.split(r"[ ,]", line[4:])[0]))
            continue
        text = _said(line[1:])
        if line.startswith("+"):
            yield f"{section}the file has {text}"
        else:
            yield f"{section}the tables give {text}"


_CLAIM, _SVG = re.compile(r'<span class="claim" id="([^"]+)">'), re.compile("<svg")


def _apart(text: str, begin: re.Pattern[str], end: str) -> Iterator[tuple[str, tuple[re.Match[str], str] | None]]:
    """Yield what is outside of some elements, each with the beginning and the inside of the element behind it."""
    place = 0
    while (match := begin.search(text, place)) is not None and (stop := text.find(end, match.end())) >= 0:
        yield text[place : match.start()], (match, text[match.end() : stop])
        place = stop + len(end)
    yield text[place:], None


def _plain_diff(new: list[str], old: list[str]) -> Iterator[str]:
    for number, (a, b) in enumerate(zip(new, old, strict=False)):
        if a != b:
            yield f"@@ -{number + 1} @@"
            yield f"+{b}"
    if len(new) != len(old):
        yield f"+{len(old)} lines instead of {len(new)}"


def _section_of(lines: list[str], number: int) -> str:
    for line in reversed(lines[:number]):
        if heading := re.match(r"<h[12][^>]*>(.*?)</h|#+ (.*)", line):
            return f"in {quoted(html.unescape(heading[1] or heading[2]))}, "
    return ""


def _said(text: str | None) -> str:
    if text is None:
        return "nothing"
    plain = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())
    return repr(plain if len(plain) <= 300 else f"{plain[:299]}…")


def _installed(package: str) -> str:
    return importlib.metadata.version(package)


def _other_versions(results: Results) -> list[str]:
    decides = ("nnexp", "numpy", "scipy", "scikit-learn", "pandas")
    recorded = results.environment["versions"]
    other = [
        f"{name} {recorded[name]} then, {_installed(name)} here"
        for name in decides
        if name in recorded and recorded[name] != _installed(name)
    ]
    if results.environment.get("blas", blas()) != blas():
        other.append(f"{results.environment['blas']} then, {blas()} here")
    return other


def _rerun(results: Results, again: _Again | None, number: int | str, seed: int | None) -> Iterator[Finding]:
    """Do a sample of runs again from scratch, and compare their rows bit for bit."""
    planned, data = ([], {}) if again is None else (again.runs, again.data)
    table = text_table(results.folder / "runs.csv")
    rows = {tuple(str(row[key]) for key in RUN_KEYS): row for row in table.to_dict("records")}
    there = {run.key: rows.get((run.data, run.model.name, str(run.repeat), str(run.fold))) for run in planned}
    kept = sum(bool((there[run.key] or {}).get(MADE_WITH)) for run in planned)
    if kept:
        text = f"{kept} runs were made with other versions and kept; they are not done again here."
        yield Finding("unknown", text, "scores done again")
    candidates = [run for run in planned if (row := there[run.key]) is not None and not row.get(MADE_WITH)]
    if not candidates:
        yield Finding("unknown", "No run can be done again.", "scores done again")
        return
    rng = np.random.default_rng(seed)
    order = [candidates[i] for i in rng.permutation(len(candidates))]
    changed = set(_changed_blocks(results.folder, results.environment)) if results.environment.get("blocks") else set()
    order.sort(key=lambda run: f"{run.data} / {run.model.name}" not in changed)
    number = len(order) if number == "all" else int(number)
    number = max(number, sum(f"{run.data} / {run.model.name}" in changed for run in order[: 4 * number]))
    done: dict[Any, dict[str, Any]] = {}
    other, differs, compared = _other_versions(results), [], 0
    largest = 0.0
    for run in order[:number]:
        key = (run.data, run.model.name, str(run.repeat), str(run.fold))
        if key not in done:  # what trained as one stack trains as one stack again
            stacks = not run.problem and run.model.stacks(run.task)
            unit = [
                planned_run
                for planned_run in planned
                if planned_run.data == run.data
                and planned_run.model.name == run.model.name
                and planned_run.repeat == run.repeat
            ]
            for record in execute(unit if stacks else [run], data[run.data]):
                row = record["row"]
                done[row["data"], row["model"], str(row["repeat"]), str(row["fold"])] = row
        compared += 1
        for name, value in done[key].items():
            if name in ("warnings", "problem") or name not in rows[key] or _same(rows[key][name], value):
                continue
            differs.append(f"{name} of {_place(key)} is {rows[key][name]}; done again it is {value}")
            if isinstance(value, float) and rows[key][name]:
                largest = max(largest, abs(float(rows[key][name]) - value))
    if not differs:
        text = f"{compared} of {len(rows)} runs were done again from scratch: equal to the last bit."
        yield Finding("ok", text, done_again=compared)
        return
    if other:
        yield Finding(
            "unknown",
            f"{len(differs)} cells of {compared} runs done again differ, by at most {largest:.3g}; but the "
            "versions are not the same, and bits "
            f"need not be: {', '.join(other)}.",
            "scores done again",
        )
        return
    for text in differs[:_NAMED]:
        yield Finding("differs", f"Done again: {text}.")
    if len(differs) > _NAMED:
        yield Finding("differs", f"Done again: {len(differs) - _NAMED} more cells differ.")
