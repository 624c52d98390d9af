"""From tables to a page that answers the question."""

from nnexp.report.page import leaderboard_table, map_table, write_report
from nnexp.report.statistics import Comparison, compare
from nnexp.report.tuning import tuning_cautions, tuning_tables

__all__ = [
    "Comparison",
    "compare",
    "leaderboard_table",
    "map_table",
    "tuning_cautions",
    "tuning_tables",
    "write_report",
]
