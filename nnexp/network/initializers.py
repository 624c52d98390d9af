"""Initializers: how large the first weights are, and how they are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp._names import Registry
from nnexp.network.activations import Activation, PerNeuron

Array = NDArray[Any]


class Initializer:
    """The scale (standard deviation) of a layer's first weights by its fans, and their distribution.

    Attributes
    ----------
    uniform : bool
        Whether the weights are uniform on ±√3 · scale instead of normal. Bias neurons start with weight 0.
    """

    name: ClassVar[str]
    uniform: ClassVar[bool] = False

    def scale(self, fan_in: Array, fan_out: float, activation: Activation) -> Array:
        """Return the standard deviation of the weights into each neuron of a layer.

        Parameters
        ----------
        fan_in : array, shape (neurons,)
            How many connections lead into each neuron.
        fan_out : float
            How many connections to this layer leave a neuron of the layers before, on average.
        activation : Activation
            The layer's activation.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class GlorotUniform(Initializer):
    """Variance 2 / (fan_in + fan_out), uniform (Glorot and Bengio 2010)."""

    name: ClassVar[str] = "glorot_uniform"
    uniform = True

    def scale(self, fan_in: Array, fan_out: float, activation: Activation) -> Array:
        return np.sqrt(2.0 / (fan_in + fan_out))


@dataclass(frozen=True)
class GlorotNormal(GlorotUniform):
    """Variance 2 / (fan_in + fan_out), normal (Glorot and Bengio 2010)."""

    name: ClassVar[str] = "glorot_normal"
    uniform = False


@dataclass(frozen=True)
class HeUniform(Initializer):
    """Variance 2 / fan_in, uniform (He et al. 2015), for rectifiers."""

    name: ClassVar[str] = "he_uniform"
    uniform = True

    def scale(self, fan_in: Array, fan_out: float, activation: Activation) -> Array:
        return np.sqrt(2.0 / fan_in)


@dataclass(frozen=True)
class HeNormal(HeUniform):
    """Variance 2 / fan_in, normal (He et al. 2015), for rectifiers."""

    name: ClassVar[str] = "he_normal"
    uniform = False


@dataclass(frozen=True)
class LeCunNormal(Initializer):
    """Variance 1 / fan_in, normal (LeCun et al. 1998), for selu."""

    name: ClassVar[str] = "lecun_normal"

    def scale(self, fan_in: Array, fan_out: float, activation: Activation) -> Array:
        return np.sqrt(1.0 / fan_in)


@dataclass(frozen=True)
class Auto(Initializer):
    """He for rectifiers, LeCun for selu, Glorot for the rest; neuron by neuron where activations are mixed."""

    name: ClassVar[str] = "auto"
    _RECTIFIERS: ClassVar[frozenset[str]] = frozenset(["relu", "leaky_relu", "elu", "gelu", "silu", "softplus"])

    def scale(self, fan_in: Array, fan_out: float, activation: Activation) -> Array:
        if isinstance(activation, PerNeuron):
            neurons = enumerate(activation.activations)
            return np.array([self.scale(fan_in[i], fan_out, neurons_of) for i, neurons_of in neurons])
        if activation.name in self._RECTIFIERS:
            return HeNormal().scale(fan_in, fan_out, activation)
        if activation.name == "selu":
            return LeCunNormal().scale(fan_in, fan_out, activation)
        return GlorotNormal().scale(fan_in, fan_out, activation)


INITIALIZERS: Registry[Initializer] = Registry(
    "initializer",
    Initializer,
    [Auto, GlorotUniform, GlorotNormal, HeUniform, HeNormal, LeCunNormal],
    "nnexp.initializers",
)
