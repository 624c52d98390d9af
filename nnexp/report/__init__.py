"""From tables to a page that answers the question."""

from nnexp.report.comparison import compare
from nnexp.report.content import claim_of, leaderboard_table, map_table
from nnexp.report.page import render, report_json, write_report
from nnexp.report.tables import Claim, Comparison
from nnexp.report.tuning import sweep_sentences, tuning_tables

__all__ = [
    "Claim",
    "Comparison",
    "claim_of",
    "compare",
    "leaderboard_table",
    "map_table",
    "render",
    "report_json",
    "sweep_sentences",
    "tuning_tables",
    "write_report",
]
