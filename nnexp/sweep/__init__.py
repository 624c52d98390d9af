"""Sweeps: which parameters train best, sought by Optuna's samplers and kept whatever happens."""

from nnexp._choices import MODES
from nnexp.sweep.callback import OptunaPruning
from nnexp.sweep.samplers import SAMPLERS, SamplerError
from nnexp.sweep.search import SweepCV
from nnexp.sweep.space import Space, SpaceError
from nnexp.sweep.store import StoreError
from nnexp.sweep.study import StudyError
from nnexp.sweep.sweep import Sweep, SweepResult

__all__ = [
    "MODES",
    "SAMPLERS",
    "OptunaPruning",
    "SamplerError",
    "Space",
    "SpaceError",
    "StoreError",
    "StudyError",
    "Sweep",
    "SweepCV",
    "SweepResult",
]
