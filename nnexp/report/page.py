"""One page that answers the experiment's question: report.html, offline in one file, its twin report.md, and the same as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd

from nnexp.experiment.results import Results, write_atomically
from nnexp.report.comparison import compare
from nnexp.report.content import (
    NOTES,
    Table,
    design_sentences,
    evidence_of,
    method_of,
    problem_tables,
    settings_of,
    tables_of,
)
from nnexp.report.figures import Figure, figures_of
from nnexp.report.markdown import code, plain
from nnexp.report.tables import Claim, Comparison
from nnexp.report.tuning import sweep_sentences, tuning_tables

_TEMPLATES = Path(__file__).parent
# Tables of more rows than this are folded away, and can be filtered.
FOLDED, FILTERED = 40, 8
# More sweeps than this are told of in a table.
_MOST_SWEEPS = 6
# Characters that need no % in the address of a figure's data.
_SAFE = "!*'(),;:@=+$/?[]~ "


def write_report(results: Results) -> Path:
    """Write report.html and report.md into the results' folder.

    Parameters
    ----------
    results : Results
        See `load_results`.

    Returns
    -------
    Path
        Of report.html.
    """
    page, twin = render(results)
    write_atomically(results.folder / "report.html", page)
    write_atomically(results.folder / "report.md", twin)
    return results.folder / "report.html"


def render(results: Results) -> tuple[str, str]:
    """Return the text of report.html and of report.md."""
    comparison = compare(results)
    content = _content(results, comparison)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = plain
    environment.filters["code"] = code
    environment.filters["cell"] = _cell
    environment.filters["csv_address"] = csv_address
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = environment.get_template("page.html.jinja").render(**content, style=style, script=script)
    twin = environment.get_template("page.md.jinja").render(**content)
    return page, twin


def _cell(cell: Any) -> str:
    """Return a cell of a table as Markdown has it."""
    if not isinstance(cell, dict):
        return plain(cell)
    text = plain(cell["text"])
    if cell.get("note"):
        text = f"{text} ({plain(cell['note'])})" if "shade" not in cell else f"{text}, {plain(cell['note'])}"
    return f"**{text}**" if cell.get("best") else text


def csv_address(table: pd.DataFrame) -> str:
    """Return a table as the address of a CSV file that needs no server."""
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    return f"data:text/csv;charset=utf-8,{quote(text, safe=_SAFE)}"


def _content(results: Results, comparison: Comparison) -> dict[str, Any]:
    experiment, environment = results.experiment, results.environment
    tuning = tuning_tables(results, comparison)
    says_of_sweeps = sweep_sentences(results)
    in_a_table = [
        ["" if i else says.data, "" if i else says.model, line]
        for says in says_of_sweeps
        for i, line in enumerate([*says.lines, *([says.as_toml.replace("\n", "; ")] if says.settings else [])])
        if len(says_of_sweeps) > _MOST_SWEEPS
    ]
    tuned = [
        Table("sweeps", "What the sweeps say", ["data set", "model", "answer"], in_a_table, kind="text"),
        Table(
            "tuning", "Tuning: what was promised, and what was kept", tuning["head"], tuning["rows"], NOTES["tuning"]
        ),
        Table("winners", "The winners of all studies", tuning["chosen_head"], tuning["chosen"], kind="text"),
    ]
    return {
        "name": experiment["name"],
        "question": experiment["question"],
        "sweeps": says_of_sweeps if len(says_of_sweeps) <= _MOST_SWEEPS else [],
        "answer": comparison.answer,
        "cautions": comparison.cautions,
        "tables": tables_of(results, comparison),
        "tuning": {table.name: table for table in tuned if table.rows},
        "problems": problem_tables(results),
        "figures": figures_of(results, comparison),
        "design": design_sentences(results, comparison) if comparison.models else [],
        "method": method_of(results, comparison),
        "evidence": evidence_of(results, comparison),
        "models": {name: settings_of(model) for name, model in experiment["model"].items()},
        "data": environment.get("data", {}),
        "environment": environment,
        "n_runs": len(results.runs),
        "folded": FOLDED,
        "filtered": FILTERED,
    }


def report_json(results: Results) -> str:
    """Return what the report says as JSON, for other programs: claims with their numbers, tables unrounded, figures' data."""
    comparison = compare(results)
    tables = ("cells", "differences", "across", "friedman", "design")
    content = {
        "name": results.experiment["name"],
        "question": results.experiment["question"],
        "answer": [_claim(claim) for claim in comparison.answer],
        "cautions": [_claim(claim) for claim in comparison.cautions],
        "best": comparison.best,
        "second": comparison.second,
        "metric": comparison.metric,
        "equivalence": comparison.rope,
        "design": design_sentences(results, comparison) if comparison.models else [],
        "method": method_of(results, comparison),
        "tables": {
            "leaderboard": _records(comparison.leaderboard.reset_index()),
            **{name: _records(getattr(comparison, name)) for name in tables},
            **{table.name: {"head": table.head, "rows": table.rows} for table in problem_tables(results)},
            **({"tuned": _records(results.tuned)} if len(results.tuned) else {}),
        },
        "figures": {name: _figure(figure) for name, figure in figures_of(results, comparison).items()},
        "experiment": results.experiment,
        "environment": results.environment,
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False, default=str)


def _claim(claim: Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in ("id", "text", "test", "data", "models", "numbers")}


def _figure(figure: Figure) -> dict[str, Any]:
    rows = figure.data.astype(object).to_numpy().tolist()
    return {
        "title": figure.title,
        "caption": figure.caption,
        "alt": figure.alt,
        "columns": list(figure.data.columns),
        "rows": rows,
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _finite(value: Any) -> Any:
    """Return the value with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
