"""From the tables of an experiment to its comparison: the numbers, the cautions, the answer."""

from __future__ import annotations

from dataclasses import replace

from nnexp.experiment.results import Results
from nnexp.report.answer import answer_of
from nnexp.report.guards import cautions_of
from nnexp.report.tables import Comparison, numbers_of


def compare(results: Results) -> Comparison:
    """Compute the comparison of an experiment's models from its tables.

    Parameters
    ----------
    results : Results
        See `load_results`.

    Returns
    -------
    Comparison
    """
    comparison, runs = numbers_of(results)
    return replace(
        comparison,
        answer=answer_of(comparison, bool(results.environment.get("quick", False))),
        cautions=cautions_of(results, runs, comparison),
    )
