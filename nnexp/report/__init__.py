"""From tables to a page that answers the question."""

from nnexp.report.page import leaderboard_table, map_table, write_report
from nnexp.report.statistics import Comparison, compare

__all__ = ["Comparison", "compare", "leaderboard_table", "map_table", "write_report"]
