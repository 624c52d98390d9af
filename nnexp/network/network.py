"""Network: the description of a network. It holds no weights.

The weights of a *stack* of P networks are one array ``parameters`` of shape (P, D), so that an optimiser is a few operations
on one array. The matrices of a network are views of its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from nnexp._errors import quoted
from nnexp._names import check_number
from nnexp.network.activations import ACTIVATIONS, Activation, OneOf, PerNeuron, resolve_activation
from nnexp.network.connections import MOST_LAYERS, layer_names, resolve_connections
from nnexp.network.error_functions import (
    ErrorFunction,
    SquaredError,
    make_objective,
    resolve_error_function,
)
from nnexp.network.initializers import INITIALIZERS, Initializer
from nnexp.network.passes import OutputsThemselves
from nnexp.network.pieces import PiecewisePass, part_of

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Block:
    """Where the weights of the connections from one layer to another stand in a network's row of parameters.

    Attributes
    ----------
    source, target : int
        Numbers of the layers; 0 is the input.
    start : int
        Where the block begins in the row.
    n_source, n_target : int
        Neurons of the two layers.
    has_bias : bool
        Whether a last row holds the weights of the bias neuron. Of the blocks that lead to one layer, the one
        from the nearest layer has it.
    mask : array of bool, shape (n_source, n_target), or None
        Which connections exist; None for all.
    """

    source: int
    target: int
    start: int
    n_source: int
    n_target: int
    has_bias: bool
    mask: Array | None

    @property
    def rows(self) -> int:
        """Rows of the matrix: one for each source neuron, and the bias neuron's."""
        return self.n_source + self.has_bias

    @property
    def stop(self) -> int:
        """Where the block ends in the row."""
        return self.start + self.rows * self.n_target

    def transposed(self, parameters: Array) -> Array:
        """Return the matrix as it stands in memory, shape (..., n_target, rows), as a view of parameters, (..., D).

        The weights into a neuron stand together: that way both the product with the inputs and the gradient by
        the matrix read contiguous rows.
        """
        shape = (*parameters.shape[:-1], self.n_target, self.rows)
        return parameters[..., self.start : self.stop].reshape(shape)

    def view(self, parameters: Array) -> Array:
        """Return the matrix, shape (..., rows, n_target), as a view of parameters, shape (..., D)."""
        return self.transposed(parameters).swapaxes(-1, -2)


class Network:
    """An immutable description of a network: layers, activations, connections, bias neurons. It holds no weights.

    Parameters
    ----------
    layer_sizes : sequence of int
        Neurons of each layer: inputs, hidden layers, outputs.
    activation : str, Activation, mapping or list, default="tanh"
        Of all hidden layers, or a list with one entry for each hidden layer. An entry is a name, an
        `Activation`, a mapping of names to numbers of neurons (``{"tanh": 16, "relu": 16}``), or a list with one
        name for each neuron.
    output_activation : str or Activation, default="identity"
        Of the output layer.
    connections : "full", "skip", float or mapping, default="full"
        ``"full"`` connects each layer to the next one, ``"skip"`` to every later one. A density in (0, 1] keeps
        each connection between consecutive layers with that probability and leaves no neuron without input.
        A mapping goes from pairs of layers, such as ``"input -> hidden_1"`` or ``(0, 1)``, to ``"full"``, a
        density or a mask of shape (neurons of the first, neurons of the second).
    bias : bool, default=True
        Whether each layer is also fed by a bias neuron, whose output is 1.
    initializer : str or Initializer, default="auto"
        How the first weights are drawn.
    random_state : int, default=0
        Draws the connections that a density keeps, and nothing else.

    Attributes
    ----------
    n_parameters : int
        The length D of a network's row of parameters. An absent connection has a place too, and is always 0.
    blocks : tuple of Block
        The connection blocks, by target layer and then by source layer.
    zero_is_absent : bool
        Whether a weight of 0 is a connection that does not exist; see `evolvable`.

    Examples
    --------
    >>> import numpy as np
    >>> network = Network((2, 3, 1), activation="tanh")
    >>> network.n_parameters
    13
    >>> parameters = network.initialize(5, np.random.default_rng(0))
    >>> parameters.shape
    (5, 13)
    >>> [matrix.shape for matrix in network.weights(parameters)]
    [(5, 3, 3), (5, 4, 1)]
    >>> network.forward(parameters, np.zeros((7, 2))).shape
    (5, 7, 1)
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: Any = "tanh",
        output_activation: Any = "identity",
        connections: Any = "full",
        bias: bool = True,
        initializer: Any = "auto",
        random_state: int = 0,
    ) -> None:
        sizes = _check_layer_sizes(layer_sizes)
        self.layer_sizes = sizes
        self.activations = (
            *resolve_hidden_activations(activation, sizes[1:-1]),
            resolve_activation(output_activation, sizes[-1], "output_activation"),
        )
        if not isinstance(bias, bool | np.bool_):
            raise TypeError(f"bias must be True or False. Got {quoted(bias)}.")
        self.bias = bool(bias)
        self.initializer: Initializer = INITIALIZERS.resolve(initializer, "initializer")
        made = resolve_connections(connections, sizes, np.random.default_rng(random_state))
        self.blocks = _lay_out(made, sizes, self.bias)
        self.n_parameters = self.blocks[-1].stop
        self.zero_is_absent = False
        # For each hidden layer whose neurons choose their activation, where in the row their choices stand.
        self.choices: dict[int, slice] = {}
        for layer, function in enumerate(self.activations[:-1], start=1):
            if isinstance(function, OneOf):
                self.choices[layer] = slice(self.n_parameters, self.n_parameters + sizes[layer])
                self.n_parameters += sizes[layer]

    @property
    def n_inputs(self) -> int:
        """Neurons of the input layer."""
        return self.layer_sizes[0]

    @property
    def n_outputs(self) -> int:
        """Neurons of the output layer."""
        return self.layer_sizes[-1]

    @property
    def n_layers(self) -> int:
        """Layers, the input included."""
        return len(self.layer_sizes)

    @property
    def is_evolvable(self) -> bool:
        """Whether activations or connections are a part of the parameters; see `evolvable`."""
        return bool(self.choices) or self.zero_is_absent

    @cached_property
    def mask(self) -> Array | None:
        """Which of the D parameters exist, shape (D,), or None if all do."""
        if all(block.mask is None for block in self.blocks):
            return None
        mask = np.ones(self.n_parameters, dtype=bool)
        for block in self.blocks:
            if block.mask is not None:
                block.view(mask)[: block.n_source] = block.mask
        return mask

    @cached_property
    def bias_mask(self) -> Array:
        """Which of the D parameters are weights of a bias neuron, shape (D,)."""
        mask = np.zeros(self.n_parameters, dtype=bool)
        for block in self.blocks:
            if block.has_bias:
                block.view(mask)[-1] = True
        return mask

    @cached_property
    def penalty_mask(self) -> Array:
        """Which of the D parameters weight decay and penalties act on, shape (D,): all but those of bias neurons."""
        mask = ~self.bias_mask
        for place in self.choices.values():
            mask[place] = False
        return mask

    @cached_property
    def neuron_of_parameter(self) -> Array:
        """For each of the D parameters the neuron that it leads into, numbered from 0, shape (D,)."""
        neurons = np.empty(self.n_parameters, dtype=np.intp)
        first = np.cumsum((0, *self.layer_sizes[1:]))
        for block in self.blocks:
            block.view(neurons)[...] = first[block.target - 1] + np.arange(block.n_target)
        for layer, place in self.choices.items():
            neurons[place] = first[layer - 1] + np.arange(self.layer_sizes[layer])
        return neurons

    @cached_property
    def initial_scale(self) -> Array:
        """The standard deviation of each first weight, shape (D,); a bias weight has that of its neuron.

        It is 0 for absent connections, and for what is no weight.
        """
        scale = np.zeros(self.n_parameters)
        for target in range(1, self.n_layers):
            blocks = [block for block in self.blocks if block.target == target]
            masks = [np.ones((b.n_source, b.n_target)) if b.mask is None else b.mask for b in blocks]
            present = np.concatenate(masks, axis=0)
            scales = self.initializer.scale(
                np.maximum(present.sum(axis=0), 1),
                float(present.sum(axis=1).mean()),
                self.activations[target - 1],
            )
            for block in blocks:
                block.view(scale)[...] = scales
        return scale if self.mask is None else scale * self.mask

    def initialize(
        self,
        n_networks: int,
        rng: np.random.Generator | Sequence[np.random.Generator],
        dtype: DTypeLike = np.float64,
    ) -> Array:
        """Draw the first weights of a stack.

        Parameters
        ----------
        n_networks : int
            How many networks, P.
        rng : numpy.random.Generator, or a sequence of P of them
            One generator is asked for P children, so that network i is the same in a stack of any size.
        dtype : dtype, default=float64
            Of the weights. They are drawn in float64 and rounded.

        Returns
        -------
        array of shape (P, D)
            Bias weights are 0.
        """
        check_number("n_networks", n_networks, low=1, integer=True)
        rngs = rng.spawn(n_networks) if isinstance(rng, np.random.Generator) else list(rng)
        if len(rngs) != n_networks:
            raise ValueError(f"rng must be one generator or one for each network. Got {len(rngs)} for {n_networks}.")
        parameters = np.empty((n_networks, self.n_parameters), dtype=dtype)
        scale = np.where(self.bias_mask, 0.0, self.initial_scale)
        for row, generator in zip(parameters, rngs, strict=True):
            if self.initializer.uniform:
                row[...] = generator.uniform(-(3**0.5), 3**0.5, self.n_parameters) * scale
            else:
                row[...] = generator.standard_normal(self.n_parameters) * scale
            for layer, place in self.choices.items():
                among = self.activations[layer - 1]
                assert isinstance(among, OneOf)
                row[place] = generator.integers(len(among.activations), size=self.layer_sizes[layer])
        return parameters

    def evolvable(self, hidden: Activation | None = None, connections: bool = False) -> Network:
        """Return this network with room for what evolution chooses besides the weights.

        Parameters
        ----------
        hidden : Activation, default=None
            Of all hidden neurons, such as `OneOf`; None leaves theirs.
        connections : bool, default=False
            Whether a weight of 0 means that the connection does not exist, so that descent leaves it at 0.
        """
        network = Network(
            self.layer_sizes,
            list(self.activations[:-1]) if hidden is None else [hidden] * (self.n_layers - 2),
            self.activations[-1],
            {(b.source, b.target): "full" if b.mask is None else b.mask for b in self.blocks},
            self.bias,
            self.initializer,
        )
        network.zero_is_absent = self.zero_is_absent or connections
        return network

    def present(self, parameters: Array) -> Array:
        """Return 1 for what exists in parameters of shape (..., D) and 0 for connections whose weight is 0."""
        return ((parameters != 0) | ~self.penalty_mask).astype(parameters.dtype)

    def plain(self, parameters: ArrayLike) -> tuple[Network, Array]:
        """Return the ordinary network that a row of parameters stands for, and its own row.

        What evolution has chosen becomes a part of the description: the activation of each neuron, and as connections those
        whose weight is not 0. (A neuron that has lost all of them keeps one, of weight 0.)

        Parameters
        ----------
        parameters : array of shape (D,)

        Returns
        -------
        network : Network
        parameters : array of shape (its own D,)
        """
        row = self._check_parameters(parameters)
        activations: list[Any] = list(self.activations[:-1])
        for layer, place in self.choices.items():
            among = activations[layer - 1]
            activations[layer - 1] = [among.activations[number] for number in among.numbers(row[place])]
        masks = {(b.source, b.target): b.view(row)[: b.n_source] != 0 for b in self.blocks}
        for layer in range(1, self.n_layers):
            into = [mask for (_, target), mask in masks.items() if target == layer]
            into[0][0, ~np.concatenate(into).any(axis=0)] = True
        network = Network(self.layer_sizes, activations, self.activations[-1], masks, self.bias, self.initializer)
        part = np.zeros(network.n_parameters, dtype=row.dtype)
        for there, here in zip(network.blocks, self.blocks, strict=True):
            there.view(part)[...] = here.view(row)
        return network, part

    def architecture(self, parameters: ArrayLike) -> dict[str, int]:
        """Count the connections of a network whose weight is not 0, and its hidden neurons of each activation.

        Parameters
        ----------
        parameters : array of shape (D,)

        Returns
        -------
        dict
            ``connections``, and the number of neurons by the name of each activation.
        """
        row = self._check_parameters(parameters)
        counts = {"connections": sum(int(np.count_nonzero(b.view(row)[: b.n_source])) for b in self.blocks)}
        for layer, activation in enumerate(self.activations[:-1], start=1):
            activations: Sequence[Activation] = [activation] * self.layer_sizes[layer]
            if isinstance(activation, OneOf):
                counts |= {each.name: counts.get(each.name, 0) for each in activation.activations}
                activations = [
                    activation.activations[number] for number in activation.numbers(row[self.choices[layer]])
                ]
            elif isinstance(activation, PerNeuron):
                activations = activation.activations
            for each in activations:
                counts[each.name] = counts.get(each.name, 0) + 1
        return counts

    def weights(self, parameters: Array) -> tuple[Array, ...]:
        """Return the weight matrices, one for each connection block, as views of the parameters.

        Parameters
        ----------
        parameters : array of shape (P, D) or (D,)

        Returns
        -------
        tuple of arrays of shape (P, n_source + 1, n_target) or (n_source + 1, n_target)
            Entry [i, j] weighs what neuron i sends to neuron j; the last row holds the weights of the bias
            neuron. Where several layers feed one layer, the nearest one's block has that row.
        """
        parameters = self._check_parameters(parameters)
        return tuple(block.view(parameters) for block in self.blocks)

    def forward(self, parameters: ArrayLike, X: ArrayLike) -> Array:
        """Compute the outputs of each network for each sample.

        Parameters
        ----------
        parameters : array of shape (P, D) or (D,)
        X : array of shape (n, n_inputs), or (P, n, n_inputs) with samples of its own for each network

        Returns
        -------
        array of shape (P, n, n_outputs)
            Without the first axis if the parameters are (D,).
        """
        stack, inputs, single = self._check_inputs(parameters, X)
        outputs = np.empty((stack.shape[0], inputs.shape[-2], self.n_outputs), dtype=stack.dtype)
        sweep = PiecewisePass(self, make_objective(self.activations[-1], SquaredError()), inputs)
        for networks, samples, workspace in sweep.forward(stack):
            outputs[networks, samples] = workspace.outputs[0].swapaxes(-1, -2)
        return outputs[0] if single else outputs

    def error_and_gradient(
        self,
        parameters: ArrayLike,
        X: ArrayLike,
        Y: ArrayLike,
        error_function: str | ErrorFunction,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Array, Array]:
        """Compute the error of each network and its derivative by each parameter.

        Parameters
        ----------
        parameters : array of shape (P, D) or (D,)
        X : array of shape (n, n_inputs) or (P, n, n_inputs)
        Y : array of shape (n, n_outputs) or (P, n, n_outputs)
            The expected outputs.
        error_function : str or ErrorFunction
        sample_weight : array of shape (n,) or (P, n), default=None
            A weight of 2 equals the sample twice, 0 its absence.

        Returns
        -------
        error : array of shape (P,)
            The weighted mean over the samples of the error summed over the outputs.
        gradient : array of shape (P, D)
            Zero for absent connections. Both lose the first axis if the parameters are (D,).
        """
        stack, inputs, single = self._check_inputs(parameters, X)
        n_networks, n_samples = stack.shape[0], inputs.shape[-2]
        objective = make_objective(self.activations[-1], resolve_error_function(error_function))
        expected = _check_expected(Y, n_networks, n_samples, self.n_outputs, stack.dtype)
        low, high = objective.error_function.targets
        if expected.min() < low or expected.max() > high:
            raise ValueError(
                f"error_function={objective.error_function.name!r} needs Y in [{low:g}, {high:g}]. Got values from "
                f"{expected.min():g} to {expected.max():g}."
            )
        weight = _check_weight(sample_weight, n_networks, n_samples, stack.dtype)
        error = np.zeros(n_networks, dtype=stack.dtype)
        gradient = np.zeros_like(stack)
        sweep = PiecewisePass(self, objective, inputs, gradient=True)
        for networks, samples, workspace in sweep.forward(stack):
            y, w = part_of(expected, networks, samples), part_of(weight, networks, samples)
            error[networks] += (workspace.errors(y) * w[..., 0, :]).sum(axis=-1)
            workspace.backward(sweep.part(networks, samples), y, w)
            gradient[networks] += workspace.gradient
        return (error[0], gradient[0]) if single else (error, gradient)

    def jacobian(self, parameters: ArrayLike, X: ArrayLike) -> Array:
        """Compute the derivative of each output by each input, for each network and sample.

        Parameters
        ----------
        parameters : array of shape (P, D) or (D,)
        X : array of shape (n, n_inputs), or (P, n, n_inputs) with samples of its own for each network

        Returns
        -------
        array of shape (P, n, n_outputs, n_inputs)
            Without the first axis if the parameters are (D,).

        Examples
        --------
        >>> network = Network((2, 1), output_activation="identity", bias=False)
        >>> network.jacobian(np.array([3.0, 4.0]), [[0.5, 0.5]])
        array([[[3., 4.]]])
        """
        stack, inputs, single = self._check_inputs(parameters, X)
        objective = OutputsThemselves(self.activations[-1], SquaredError())
        slopes = np.empty((len(stack), inputs.shape[-2], self.n_outputs, self.n_inputs), dtype=stack.dtype)
        sweep = PiecewisePass(self, objective, inputs, gradient=True, by_inputs=True)
        for networks, samples, workspace in sweep.forward(stack):
            for output in range(self.n_outputs):
                one = np.zeros_like(workspace.outputs[0])
                one[..., output, :] = 1.0
                workspace.backward(sweep.part(networks, samples), one, 1.0)
                slopes[networks, samples, output] = workspace.input_gradient.swapaxes(-1, -2)
        return slopes[0] if single else slopes

    def _check_parameters(self, parameters: ArrayLike) -> Array:
        array = np.asarray(parameters)
        if array.ndim == 0 or array.shape[-1] != self.n_parameters:
            raise ValueError(
                f"parameters must have the shape (P, {self.n_parameters}) or ({self.n_parameters},). Got {array.shape}."
            )
        return array

    def _check_inputs(self, parameters: ArrayLike, X: ArrayLike) -> tuple[Array, Array, bool]:
        array = self._check_parameters(parameters)
        if not np.issubdtype(array.dtype, np.floating):
            array = array.astype(np.float64)
        if array.ndim > 2:
            raise ValueError(f"parameters must be (P, {self.n_parameters}) or flat. Got {array.shape}.")
        stack = np.atleast_2d(array)
        inputs = np.asarray(X)
        allowed = inputs.ndim == 2 or (inputs.ndim == 3 and inputs.shape[0] == stack.shape[0])
        if not allowed or inputs.shape[-1] != self.n_inputs:
            raise ValueError(
                f"X must have the shape (n, {self.n_inputs}), or ({stack.shape[0]}, n, {self.n_inputs}) with samples "
                f"for each of the {stack.shape[0]} networks. Got {inputs.shape}."
            )
        if inputs.shape[-2] == 0:
            raise ValueError("X holds no sample.")
        return stack, self.with_ones(inputs, stack.dtype), array.ndim == 1

    def with_ones(self, X: Array, dtype: DTypeLike) -> Array:
        """Return a copy of X, shape (..., n, n_inputs), with a column of ones for the bias neuron if there is one."""
        inputs = np.ones((*X.shape[:-1], self.n_inputs + self.bias), dtype=dtype)
        inputs[..., : self.n_inputs] = X
        return inputs

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What tells this network from another."""
        masks = tuple((b.source, b.target, None if b.mask is None else b.mask.tobytes()) for b in self.blocks)
        return self.layer_sizes, self.activations, masks, self.bias, self.initializer, self.zero_is_absent

    def __getstate__(self) -> dict[str, Any]:
        # What is derived from the description is derived again: a pickle holds no array of the parameters' size.
        return {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(Network, name, None), cached_property)
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        sizes = "-".join(str(size) for size in self.layer_sizes)
        names = ", ".join(activation.name for activation in self.activations)
        lines = layer_names(self.n_layers)
        pairs = [(b.source, b.target) for b in self.blocks]
        full = pairs == [(i, i + 1) for i in range(self.n_layers - 1)] and self.mask is None
        wiring = "full" if full else ", ".join(f"{lines[i]} -> {lines[j]}" for i, j in pairs)
        bias = "" if self.bias else ", no bias neurons"
        return f"<Network {sizes}: {names}; connections {wiring}{bias}; {self.n_parameters} parameters>"


def _check_layer_sizes(layer_sizes: Any) -> tuple[int, ...]:
    if isinstance(layer_sizes, str) or not isinstance(layer_sizes, Sequence | np.ndarray):
        raise TypeError(f"layer_sizes must be a sequence of integers, inputs first. Got {quoted(layer_sizes)}.")
    if len(layer_sizes) < 2:
        raise ValueError(f"layer_sizes must name at least the inputs and the outputs. Got {quoted(layer_sizes)}.")
    if len(layer_sizes) > MOST_LAYERS:
        raise ValueError(f"layer_sizes must name at most {MOST_LAYERS:,} layers. Got {len(layer_sizes):,}.")
    for size in layer_sizes:
        check_number("Each of layer_sizes", size, low=1, integer=True)
    return tuple(int(size) for size in layer_sizes)


def resolve_hidden_activations(activation: Any, sizes: Sequence[int]) -> list[Activation]:
    """Make the activation of each hidden layer from what a user gave for all of them."""
    if isinstance(activation, list | tuple):
        if len(activation) != len(sizes):
            raise ValueError(
                f"activation as a list needs one entry for each hidden layer: {len(sizes)}. Got {len(activation)}. "
                "(For one hidden layer with an activation for each neuron, put that list into a list.)"
            )
        return [
            resolve_activation(entry, size, f"activation[{i}]")
            for i, (entry, size) in enumerate(zip(activation, sizes, strict=True))
        ]
    if not sizes:
        ACTIVATIONS.resolve(activation, "activation") if isinstance(activation, str) else None
    return [resolve_activation(activation, size, "activation") for size in sizes]


def _lay_out(connections: list[Any], sizes: tuple[int, ...], bias: bool) -> tuple[Block, ...]:
    blocks: list[Block] = []
    start = 0
    for position, connection in enumerate(connections):
        following = connections[position + 1].target if position + 1 < len(connections) else None
        block = Block(
            connection.source,
            connection.target,
            start,
            sizes[connection.source],
            sizes[connection.target],
            bias and following != connection.target,
            connection.mask,
        )
        blocks.append(block)
        start = block.stop
    return tuple(blocks)


def _check_expected(Y: ArrayLike, n_networks: int, n_samples: int, n_outputs: int, dtype: DTypeLike) -> Array:
    expected = np.asarray(Y, dtype=dtype)
    shape = (n_samples, n_outputs)
    if expected.shape not in (shape, (n_networks, *shape)):
        raise ValueError(f"Y must have the shape {shape}, or {(n_networks, *shape)}. Got {expected.shape}.")
    return np.ascontiguousarray(expected.swapaxes(-1, -2))


def _check_weight(sample_weight: ArrayLike | None, n_networks: int, n_samples: int, dtype: DTypeLike) -> Array:
    """Return each sample's share of the mean, shape (1, n) or (P, 1, n)."""
    if sample_weight is None:
        return np.full((1, n_samples), 1.0 / n_samples, dtype=dtype)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape not in ((n_samples,), (n_networks, n_samples)):
        raise ValueError(
            f"sample_weight must have the shape ({n_samples},), or ({n_networks}, {n_samples}). Got {weight.shape}."
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight must be finite and not negative.")
    return shares(weight)[..., np.newaxis, :].astype(dtype)


def shares(weight: Array) -> Array:
    """Return each weight's share of the sum over the last axis; 0 where all weights are 0.

    The mean over samples is taken with these shares, here and nowhere else but in mini-batches (`Backprop`).
    """
    total = weight.sum(axis=-1, keepdims=True)
    return np.divide(weight, total, out=np.zeros(weight.shape), where=total > 0)
