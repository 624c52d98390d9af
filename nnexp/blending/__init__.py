"""Blends: several predictors as one, weighted by what they say of samples that they have not learnt from."""

from nnexp.blending.blend import Blend
from nnexp.blending.coverage import coverage_by_group
from nnexp.blending.tabular import TabularMLP

__all__ = ["Blend", "TabularMLP", "coverage_by_group"]
