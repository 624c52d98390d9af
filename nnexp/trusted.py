"""What a model is made of, by the names of its types, for formats that ask whom they may trust."""

from __future__ import annotations

from nnexp.blending import Blend, TabularMLP
from nnexp.blending.blended import Blended, ByFold, Member
from nnexp.blending.calibration import Calibration
from nnexp.by_task import BackpropMLPClassifier, BackpropMLPRegressor
from nnexp.encoding import ColumnLayout, Encoder, Layout, Rules, TableEncoder
from nnexp.estimator import BackpropMLP
from nnexp.fitting.plan import Left
from nnexp.intervals import Unseen
from nnexp.model import Model, OutOfFold
from nnexp.network.activations import OneOf, PerNeuron
from nnexp.network.network import Block, Network
from nnexp.network.samples import Pieces
from nnexp.parts import REGISTRIES
from nnexp.targets import Classes, Labels, Numbers
from nnexp.training.algorithm import State
from nnexp.training.history import History
from nnexp.training.loop import Members, Training

_TYPES = [
    BackpropMLP,
    BackpropMLPClassifier,
    BackpropMLPRegressor,
    TabularMLP,
    Blend,
    Blended,
    ByFold,
    Calibration,
    Member,
    Unseen,
    Left,
    Model,
    OutOfFold,
    TableEncoder,
    Encoder,
    Layout,
    ColumnLayout,
    Rules,
    Pieces,
    Network,
    Block,
    PerNeuron,
    OneOf,
    Classes,
    Labels,
    Numbers,
    History,
    Training,
    Members,
    State,
    *(cls for registry in REGISTRIES.values() for cls in registry.types()),
]

TRUSTED_TYPES = sorted(
    {f"{cls.__module__}.{cls.__qualname__}" for cls in _TYPES} | {"numpy.random.bit_generator.SeedSequence"}
)
"""The types that a saved model may hold, for ``skops.io.load(file, trusted=TRUSTED_TYPES)`` and MLflow's ``skops_trusted_types``.

They are nnexp's own and NumPy's; parts of other packages and functions of one's own are not among them.
"""
