"""Activations: what a neuron puts out for its input, paired with the derivative of that.

Inside the core an array of neurons is ``(..., neurons, samples)``: one row a neuron, so that the neurons of a
layer are one contiguous block beside the row of ones that is the bias neuron.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nnexp._errors import quoted
from nnexp._names import Registry, check_number

Array = NDArray[Any]


class OnnxGraph(Protocol):
    """Where an activation puts its ONNX form."""

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant and return its name."""

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""

    def scaled(self, value: str, factor: float) -> str:
        """Add a product with a number."""

    def as_numbers(self, value: str) -> str:
        """Add what makes numbers of truth values."""

    def columns(self, value: str, numbers: Any) -> str:
        """Add what takes some of the columns."""


class Activation(ABC):
    """A function of a neuron's input ``z``, paired with its derivative.

    A subclass is a frozen dataclass with a ``name`` and two methods. Both write their result into ``out``.
    For an activation made of two plain functions see `Activation.from_functions`.

    Attributes
    ----------
    name : str
        The name in tables and files.
    in_place : bool
        Whether ``out`` may be ``z`` itself in `forward`, and `backward` works without ``z``. It saves a buffer.
    elementwise : bool
        Whether a neuron's output depends on its own input alone.
    differentiable : bool
        Whether descent can use it.
    limits : tuple of float
        What the outputs lie between; an error function may need it.
    """

    name: str
    in_place: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True
    limits: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    @abstractmethod
    def forward(self, z: Array, out: Array) -> None:
        """Write the outputs for the inputs z, shape (..., neurons, samples), into out."""

    @abstractmethod
    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        """Write the gradient with respect to z into out, given the gradient with respect to the outputs a.

        ``gradient`` and ``z`` are not used again and may be overwritten; ``a`` may not.
        """

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        """Add the nodes that compute the outputs from the inputs named z to an ONNX graph; return the name of their result.

        An activation without this is not exported.
        """
        raise NotImplementedError

    @property
    def has_onnx(self) -> bool:
        """Whether it can be written to a graph: its form there is as new as what it computes."""
        for cls in type(self).__mro__:
            if "onnx" in vars(cls) or "forward" in vars(cls):
                return cls is not Activation and "onnx" in vars(cls)
        return False

    @staticmethod
    def from_functions(
        name: str,
        function: Callable[[Array], Array],
        derivative: Callable[[Array, Array], Array],
        limits: tuple[float, float] = (-np.inf, np.inf),
    ) -> Activation:
        """Make an elementwise activation of two plain functions.

        Parameters
        ----------
        name : str
            Its name in tables.
        function : callable
            ``function(z)`` returns the outputs, in the shape of z.
        derivative : callable
            ``derivative(z, a)`` returns the derivative at the input z, where the output was a.
        limits : (float, float), default=(-inf, inf)
            What the outputs lie between.

        Returns
        -------
        Activation
            Functions of a module can be pickled; lambdas cannot.

        Raises
        ------
        ValueError
            If the derivative is not that of the function, checked by finite differences.

        Examples
        --------
        >>> import numpy as np
        >>> softsign = Activation.from_functions(
        ...     "softsign", lambda z: z / (1 + np.abs(z)), lambda z, a: (1 - np.abs(a)) ** 2, limits=(-1, 1)
        ... )
        >>> Activation.from_functions("cube", lambda z: z**3, lambda z, a: z**2)
        Traceback (most recent call last):
            ...
        ValueError: The derivative of activation 'cube' is wrong: at z = 1.7 it gives 2.89, finite differences 8.67.
        """
        activation = FromFunctions(name, function, derivative, limits)
        check_activation(activation)
        return activation


def read_only(array: Array) -> Array:
    """Return a view that a function of a user's cannot overwrite: the core needs the array again."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class FromFunctions(Activation):
    """An activation made of a user's function and derivative."""

    name: str
    function: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    limits: tuple[float, float]  # type: ignore[misc]

    def forward(self, z: Array, out: Array) -> None:
        out[...] = self.function(read_only(z))

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.multiply(self.derivative(read_only(z), read_only(a)), gradient, out=out)


@dataclass(frozen=True)
class Identity(Activation):
    """z itself; the output of a regression."""

    name = "identity"
    in_place = True

    def forward(self, z: Array, out: Array) -> None:
        if out is not z:
            np.copyto(out, z)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.copyto(out, gradient)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Identity", z)


@dataclass(frozen=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-z)), the logistic function, between 0 and 1."""

    name = "sigmoid"
    in_place = True
    limits = (0.0, 1.0)

    def forward(self, z: Array, out: Array) -> None:
        special.expit(z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.multiply(a, a, out=out)
        np.subtract(a, out, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Sigmoid", z)


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(z), between -1 and 1."""

    name = "tanh"
    in_place = True
    limits = (-1.0, 1.0)

    def forward(self, z: Array, out: Array) -> None:
        np.tanh(z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # g (1 − a²) without a scalar operand: g − g a²
        np.multiply(a, a, out=out)
        np.multiply(out, gradient, out=out)
        np.subtract(gradient, out, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Tanh", z)


@dataclass(frozen=True)
class ReLU(Activation):
    """max(z, 0), the rectifier."""

    name = "relu"
    in_place = True
    limits = (0.0, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        np.maximum(z, 0.0, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.sign(a, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Relu", z)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """z where it is positive, slope · z elsewhere.

    Parameters
    ----------
    slope : float, default=0.01
        The slope for negative inputs, in [0, 1).
    """

    name = "leaky_relu"
    slope: float = 0.01

    def __post_init__(self) -> None:
        check_number("LeakyReLU(slope=...)", self.slope, low=0, high=1, open_high=True)

    def forward(self, z: Array, out: Array) -> None:
        np.multiply(z, self.slope, out=out)
        np.maximum(z, out, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.sign(z, out=out)
        np.maximum(out, self.slope, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("LeakyRelu", z, alpha=float(self.slope))


@dataclass(frozen=True)
class ELU(Activation):
    """z where it is positive, exp(z) - 1 elsewhere (Clevert et al. 2016)."""

    name = "elu"
    limits = (-1.0, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        np.minimum(z, 0.0, out=out)
        np.expm1(out, out=out)
        np.maximum(z, out, out=out)  # exp(z) − 1 ≥ z, and it is 0 where z is positive

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.minimum(a, 0.0, out=out)
        np.add(out, 1.0, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Elu", z)


@dataclass(frozen=True)
class SELU(Activation):
    """The scaled exponential unit that keeps mean 0 and variance 1 (Klambauer et al. 2017)."""

    name = "selu"
    scale: ClassVar[float] = 1.0507009873554805
    alpha: ClassVar[float] = 1.6732632423543772
    limits = (-1.7580993408473766, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        np.minimum(z, 0.0, out=out)
        np.expm1(out, out=out)
        np.multiply(out, self.scale * self.alpha, out=out)
        np.multiply(z, self.scale, out=out, where=np.greater(z, 0.0))

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # scale where z is positive, a + scale · alpha elsewhere
        np.add(a, self.scale * self.alpha, out=out)
        np.copyto(out, self.scale, where=np.greater(a, 0.0))
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Selu", z)


@dataclass(frozen=True)
class GELU(Activation):
    """z · Φ(z) with the normal distribution function Φ (Hendrycks and Gimpel 2016), not its approximation."""

    name = "gelu"
    limits = (-0.17, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        special.ndtr(z, out=out)
        np.multiply(out, z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # Φ(z) + z φ(z); the gradient joins the first term so that z can serve as scratch for the second
        special.ndtr(z, out=out)
        np.multiply(out, gradient, out=out)
        np.multiply(gradient, z, out=gradient)
        np.multiply(z, z, out=z)
        np.multiply(z, -0.5, out=z)
        np.exp(z, out=z)
        np.multiply(z, 0.3989422804014327, out=z)  # 1/√(2π)
        np.multiply(z, gradient, out=z)
        np.add(out, z, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        # z Φ(z), with Φ(z) = ½ (1 + erf(z / √2))
        share = graph.node("Add", graph.node("Erf", graph.scaled(z, 2**-0.5)), graph.constant(1.0))
        return graph.node("Mul", graph.scaled(z, 0.5), share)


def _sigmoid(z: Array, out: Array) -> None:
    """Write ½ (1 + tanh(z / 2)) into out: several times as fast as expit, and as exact unless it is nearly 0."""
    np.multiply(z, 0.5, out=out)
    np.tanh(out, out=out)
    np.multiply(out, 0.5, out=out)
    np.add(out, 0.5, out=out)


@dataclass(frozen=True)
class SiLU(Activation):
    """z · sigmoid(z), also known as swish (Elfwing et al. 2018)."""

    name = "silu"
    limits = (-0.2785, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        _sigmoid(z, out)
        np.multiply(out, z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # s + a (1 − s) = s (1 − a) + a, with s = sigmoid(z)
        _sigmoid(z, out)
        np.subtract(1.0, a, out=z)
        np.multiply(out, z, out=out)
        np.add(out, a, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Mul", z, graph.node("Sigmoid", z))


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(z)), a smooth rectifier."""

    name = "softplus"
    in_place = True
    limits = (0.0, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        np.logaddexp(0.0, z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # sigmoid(z) = 1 − exp(−a)
        np.negative(a, out=out)
        np.expm1(out, out=out)
        np.negative(out, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Softplus", z)


@dataclass(frozen=True)
class Sine(Activation):
    """sin(z), a periodic neuron (Sitzmann et al. 2020)."""

    name = "sine"
    limits = (-1.0, 1.0)

    def forward(self, z: Array, out: Array) -> None:
        np.sin(z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.cos(z, out=out)
        np.multiply(out, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Sin", z)


@dataclass(frozen=True)
class Exponential(Activation):
    """exp(z), positive; the output of a Poisson regression."""

    name = "exponential"
    in_place = True
    limits = (0.0, np.inf)

    def forward(self, z: Array, out: Array) -> None:
        np.exp(z, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        np.multiply(a, gradient, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Exp", z)


@dataclass(frozen=True)
class Step(Activation):
    """1 where z is positive, 0 elsewhere (McCulloch and Pitts 1943); only evolution can train it."""

    name = "step"
    in_place = True
    differentiable = False
    limits = (0.0, 1.0)

    def forward(self, z: Array, out: Array) -> None:
        np.greater(z, 0.0, out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        raise ValueError("The step activation has no useful derivative: train it by evolution.")

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.as_numbers(graph.node("Greater", z, graph.constant(0.0)))


@dataclass(frozen=True)
class Softmax(Activation):
    """exp(z) divided by its sum over the neurons of the layer: probabilities that add up to 1."""

    name = "softmax"
    elementwise = False
    limits = (0.0, 1.0)

    def forward(self, z: Array, out: Array) -> None:
        np.subtract(z, np.maximum.reduce(z, axis=-2, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, np.add.reduce(out, axis=-2, keepdims=True), out=out)

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        # the vector-Jacobian product a (g − Σ a g)
        np.multiply(a, gradient, out=out)
        np.subtract(gradient, np.add.reduce(out, axis=-2, keepdims=True), out=out)
        np.multiply(out, a, out=out)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Softmax", z, axis=1)


@dataclass(frozen=True)
class PerNeuron(Activation):
    """An activation of its own for each neuron of a layer.

    Parameters
    ----------
    activations : tuple of Activation
        One for each neuron, in the order of the neurons.
    """

    activations: tuple[Activation, ...]

    def __post_init__(self) -> None:
        groups: dict[Activation, list[int]] = {}
        for neuron, activation in enumerate(self.activations):
            groups.setdefault(activation, []).append(neuron)
        # A run of neurons is a slice, and so a view; scattered neurons are gathered.
        parts = tuple((activation, _slice_or_rows(neurons)) for activation, neurons in groups.items())
        object.__setattr__(self, "_groups", parts)

    @property
    def name(self) -> str:  # type: ignore[override]
        """The neurons of each activation, such as 'tanh×16 + relu×16'."""
        counts: dict[str, int] = {}
        for activation in self.activations:
            counts[activation.name] = counts.get(activation.name, 0) + 1
        return " + ".join(f"{name}×{count}" for name, count in counts.items())

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether all of them are."""
        return all(activation.differentiable for activation in self.activations)

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The widest of theirs."""
        lows, highs = zip(*(activation.limits for activation in self.activations), strict=True)
        return min(lows), max(highs)

    def forward(self, z: Array, out: Array) -> None:
        for activation, rows in self._groups:  # type: ignore[attr-defined]
            part = out[..., rows, :]
            activation.forward(z[..., rows, :], part)
            if not isinstance(rows, slice):
                out[..., rows, :] = part

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        for activation, rows in self._groups:  # type: ignore[attr-defined]
            part = out[..., rows, :]
            activation.backward(gradient[..., rows, :], z[..., rows, :], a[..., rows, :], part)
            if not isinstance(rows, slice):
                out[..., rows, :] = part

    @property
    def has_onnx(self) -> bool:
        """Whether all of them can be written to a graph."""
        return all(activation.has_onnx for activation in self.activations)

    def onnx(self, graph: OnnxGraph, z: str) -> str:
        # each kind of neuron by itself, then all back in their places
        kinds = list(dict.fromkeys(self.activations))
        places = [[i for i, activation in enumerate(self.activations) if activation == kind] for kind in kinds]
        parts = [kind.onnx(graph, graph.columns(z, rows)) for kind, rows in zip(kinds, places, strict=True)]
        return graph.columns(graph.node("Concat", *parts, axis=1), np.argsort(np.concatenate(places)))


@dataclass(frozen=True)
class OneOf(Activation):
    """One of several activations for each neuron; which one is a part of a network's row of parameters.

    So the networks of a stack may differ in it, and evolution can choose. `Network.plain` makes an ordinary network of
    the outcome.

    Parameters
    ----------
    activations : tuple of Activation
        What there is to choose from; their numbers from 0 stand in the row of parameters.
    """

    activations: tuple[Activation, ...]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as 'tanh|relu'."""
        return "|".join(activation.name for activation in self.activations)

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """Whether all of them are."""
        return all(activation.differentiable for activation in self.activations)

    @property
    def limits(self) -> tuple[float, float]:  # type: ignore[override]
        """The widest of theirs."""
        lows, highs = zip(*(activation.limits for activation in self.activations), strict=True)
        return min(lows), max(highs)

    def numbers(self, parameters: Array) -> Array:
        """Return the numbers of the activations, shape (..., neurons), that parameters of that shape stand for."""
        return np.clip(np.rint(parameters), 0, len(self.activations) - 1).astype(np.intp)

    def chosen(self, parameters: Array) -> Chosen:
        """Return the activation of a stack's layer by its parameters, shape (..., neurons)."""
        return Chosen(self, self.numbers(parameters))

    def forward(self, z: Array, out: Array) -> None:
        raise ValueError("OneOf is known only with a network's parameters: see OneOf.chosen.")

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        raise ValueError("OneOf is known only with a network's parameters: see OneOf.chosen.")


class Chosen(Activation):
    """What `OneOf` is for a stack whose choices are known."""

    def __init__(self, among: OneOf, numbers: Array) -> None:
        self.name = among.name
        masks = [(activation, numbers == number) for number, activation in enumerate(among.activations)]
        self._parts = [(activation, mask) for activation, mask in masks if mask.any()]

    def forward(self, z: Array, out: Array) -> None:
        for activation, mask in self._parts:
            inside = z[mask]  # (neurons of this kind, samples)
            result = np.empty_like(inside)
            activation.forward(inside, result)
            out[mask] = result

    def backward(self, gradient: Array, z: Array, a: Array, out: Array) -> None:
        for activation, mask in self._parts:
            result = np.empty_like(gradient[mask])
            activation.backward(gradient[mask], z[mask], a[mask], result)
            out[mask] = result


def _slice_or_rows(neurons: list[int]) -> slice | Array:
    if neurons == list(range(neurons[0], neurons[-1] + 1)):
        return slice(neurons[0], neurons[-1] + 1)
    return np.array(neurons)


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    Activation,
    [
        Identity,
        Sigmoid,
        Tanh,
        ReLU,
        LeakyReLU,
        ELU,
        SELU,
        GELU,
        SiLU,
        Softplus,
        Sine,
        Exponential,
        Step,
        Softmax,
    ],
    "nnexp.activations",
)


def resolve_activation(entry: Any, n_neurons: int, parameter: str) -> Activation:
    """Make the activation of one layer of n_neurons from what a user gave for it.

    A name, an Activation, a mapping of names to numbers of neurons (``{"tanh": 16, "relu": 16}``), or a list
    with one name for each neuron.
    """
    if isinstance(entry, Mapping) and "name" not in entry:
        neurons: list[Activation] = []
        for name, count in entry.items():
            check_number(f"{parameter}[{quoted(name)}]", count, low=0, integer=True)
            if count > n_neurons:
                raise ValueError(
                    f"{parameter}[{quoted(name)}] is more than the {n_neurons} neurons of its layer. Got {count}."
                )
            neurons += [ACTIVATIONS.resolve(name, parameter)] * int(count)
        entry = neurons
    if isinstance(entry, Sequence) and not isinstance(entry, str):
        if len(entry) != n_neurons:
            raise ValueError(f"{parameter} names activations for {len(entry)} neurons, but the layer has {n_neurons}.")
        activations = tuple(ACTIVATIONS.resolve(name, parameter) for name in entry)
        if len(set(activations)) > 1:
            return PerNeuron(activations)
        entry = activations[0]
    activation = ACTIVATIONS.resolve(entry, parameter)
    if isinstance(activation, PerNeuron) and len(activation.activations) != n_neurons:
        raise ValueError(
            f"{parameter} names activations for {len(activation.activations)} neurons, but the layer has {n_neurons}."
        )
    if type(activation).__module__ != __name__:
        check_activation(activation)
    return activation


def _outputs(activation: Activation, z: Array) -> Array:
    inputs = z.copy()
    out = inputs if activation.in_place else np.empty_like(z)
    activation.forward(inputs, out)
    return out


# Points without a kink of the usual piecewise activations, on both sides of 0.
_CHECK_POINTS = np.array([1.7, 0.31, -0.45, -2.3, 0.9, -1.1, 4.2, -4.6, 8.3, -7.9])


def check_activation(activation: Activation) -> None:
    """Raise a ValueError unless the activation keeps shapes, is finite and its derivative is right.

    The derivative is compared with central finite differences at a few points in float64.
    """
    name = f"activation {quoted(activation.name)}"
    z = np.tile(_CHECK_POINTS, (3, 1)) + np.array([[0.0], [0.07], [-0.13]])
    try:
        a = _outputs(activation, z)
    except Exception as error:
        raise ValueError(f"The function of {name} fails on an array of shape {z.shape}: {error}") from error
    if not np.isfinite(a).all():
        raise ValueError(f"The function of {name} is not finite at z = {z[~np.isfinite(a)][0]:g}.")
    if not activation.differentiable:
        return
    weights = np.cos(np.arange(z.size, dtype=float)).reshape(z.shape) + 1.5  # some gradient from above
    got = np.empty_like(z)
    try:
        # As the core does: one buffer for z and a where the activation says that it may write over its input.
        activation.backward(weights.copy(), a if activation.in_place else z.copy(), a, got)
    except Exception as error:
        raise ValueError(f"The derivative of {name} fails on an array of shape {z.shape}: {error}") from error
    step = 1e-6
    for row in range(z.shape[0]):
        shifted = np.zeros_like(z)
        shifted[row] = step
        rise = _outputs(activation, z + shifted) - _outputs(activation, z - shifted)
        expected = np.sum(weights * rise, axis=0) / (2 * step)
        wrong = ~np.isclose(got[row], expected, rtol=1e-4, atol=1e-6)
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            scale = weights[row, at] if activation.elementwise else 1.0
            raise ValueError(
                f"The derivative of {name} is wrong: at z = {z[row, at]:g} it gives {got[row, at] / scale:.3g}, "
                f"finite differences {expected[at] / scale:.3g}."
            )
