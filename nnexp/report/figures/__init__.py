"""The figures of a report, each with its data, its caption and its words for those who cannot see it."""

import warnings

from nnexp.experiment.results import Results
from nnexp.report.figures import curves, models, scores, search
from nnexp.report.figures.drawing import Figure
from nnexp.report.tables import Comparison

__all__ = ["Figure", "figures_of"]


def figures_of(results: Results, comparison: Comparison) -> dict[str, Figure]:
    """Draw all figures that the tables have something for, by name, in the order of the page."""
    if not comparison.models:
        return {}
    import matplotlib

    # A matplotlibrc of whichever folder this is has no say; what a font cannot draw is in the figure's data.
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        matplotlib.rcdefaults()
        return _drawn(results, comparison)


def _drawn(results: Results, comparison: Comparison) -> dict[str, Figure]:
    figures = [
        scores.scores(comparison),
        scores.ranks(comparison),
        scores.differences(comparison),
        scores.critical_difference(comparison),
        scores.cost(comparison, "evaluations"),
        scores.cost(comparison, "seconds"),
        curves.score_curves(results, comparison),
        curves.learning_curves(results, comparison),
        curves.populations(results, comparison),
        models.confusion(results, comparison),
        models.calibration(results, comparison),
        models.residuals(results, comparison),
        models.boundaries(results, comparison),
        models.networks(results, comparison),
        search.inner_outer(results, comparison),
        search.trials_front(results),
        search.search_history(results),
        search.importances(results),
        search.pairs(results),
        search.parallel_coordinates(results),
        search.slices(results),
    ]
    return {figure.name: figure for figure in figures if figure is not None}
