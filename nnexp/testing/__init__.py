"""Checks for parts of one's own: what every part of a kind must do, as tests to run.

A test file of a plug-in is three lines long::

    @parametrize_with_checks([MyAlgorithm(), MyActivation()])
    def test_my_parts(part, check):
        check(part)

nnexp's own parts are tested in the same way.
"""

from nnexp.testing.algorithms import check_algorithm
from nnexp.testing.collect import check_part, checks_of, parametrize_with_checks

__all__ = ["check_algorithm", "check_part", "checks_of", "parametrize_with_checks"]
