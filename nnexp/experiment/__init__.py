"""From an experiment file to tables."""

from nnexp.experiment.datasets import BUNDLED, Bundled, DataError
from nnexp.experiment.results import Results, ResultsError, load_results
from nnexp.experiment.runs import Beginning, Observer, Summary, run_experiment
from nnexp.experiment.specification import Specification, SpecificationError, load_specification

__all__ = [
    "BUNDLED",
    "Beginning",
    "Bundled",
    "DataError",
    "Observer",
    "Results",
    "ResultsError",
    "Specification",
    "SpecificationError",
    "Summary",
    "load_results",
    "load_specification",
    "run_experiment",
]
