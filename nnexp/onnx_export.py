"""A fitted network as an ONNX graph, for programs without Python; needs the extra ``nnexp[onnx]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._files import as_path, replacing
from nnexp.encoding import ColumnLayout, Encoder
from nnexp.network import ACTIVATIONS
from nnexp.targets import Classes, Labels, Numbers, Target

Array = NDArray[Any]

# The operators of this version of ONNX: as old as allows them all, so that many runtimes read the graph.
_OPSET = 18


class _Graph:
    """The nodes and the constants of a graph, made one after the other."""

    def __init__(self, onnx: Any, dtype: Any) -> None:
        self.onnx = onnx
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add a constant and return its name."""
        name = f"c{len(self.constants)}"
        array = np.asarray(values, dtype=dtype or self.dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def scaled(self, value: str, factor: float) -> str:
        """Add a product with a number."""
        return self.node("Mul", value, self.constant(factor))

    def as_numbers(self, value: str) -> str:
        """Add what makes numbers of truth values."""
        return self.node("Cast", value, to=int(self.onnx.helper.np_dtype_to_tensor_dtype(self.dtype)))

    def columns(self, value: str, numbers: Any) -> str:
        """Add what takes some of the columns."""
        return self.node("Gather", value, self.constant(numbers, np.int64), axis=1)


def _network(g: _Graph, model: Any, number: int, inputs: str) -> str:
    """Add one network and return the name of its outputs."""
    network, parameters = model.network_, model.parameters_[number]
    if network.is_evolvable:
        network, parameters = network.plain(parameters)
    for activation in network.activations:
        if not activation.has_onnx:
            known = [name for name, activation in ACTIVATIONS.items() if activation.has_onnx]
            raise ValueError(
                f"The activation {quoted(activation.name)} has no counterpart in ONNX. Known: {', '.join(known)}."
            )
    outputs = [inputs]
    for layer in range(1, network.n_layers):
        z = ""
        for block in network.blocks:
            if block.target != layer:
                continue
            matrix = block.view(parameters)
            part = g.node("MatMul", outputs[block.source], g.constant(matrix[: block.n_source]))
            if block.has_bias:
                part = g.node("Add", part, g.constant(matrix[-1]))
            z = g.node("Add", z, part) if z else part
        outputs.append(network.activations[layer - 1].onnx(g, z))
    return outputs[-1]


def _encoded(g: _Graph, encoder: Encoder) -> str:
    """Add what makes the inputs of networks of a table; return their name. Numbers are scaled in double."""
    layout, double = encoder.layout, g.onnx.TensorProto.DOUBLE
    blocks: list[str] = []
    behind: list[str] = []
    numeric = categories = pieces = 0
    if layout.is_plain and not layout.rules.clip:  # as one block
        scaled = g.node("Sub", g.node("Cast", "X", to=double), g.constant(encoder.center, np.float64))
        return g.as_numbers(g.node("Div", scaled, g.constant(encoder.scale, np.float64)))
    for i, column in enumerate(layout.columns):
        given = g.columns("X", [i]) if layout.is_numbers else f"X{i}"
        if column.kind == "category" and not column.hashed:
            blocks += _one_hot(g, column, encoder.seen[categories], given)
            categories += 1
            continue
        if column.kind not in ("number", "duration", "boolean"):
            what = "is a time" if column.kind == "time" else "has hashed levels"
            raise ValueError(f"Column {quoted(column.name)} {what}, which a graph of ONNX cannot encode.")
        missing = g.node("IsNaN", given)
        fill = 0.5 if column.kind == "boolean" else encoder.fill[numeric]
        value = g.node("Where", missing, g.constant(fill, np.float64), g.node("Cast", given, to=double))
        if column.is_numeric:
            blocks.append(_scaled(g, value, encoder.center[numeric], encoder.scale[numeric], layout.rules.clip))
            if column.pieces:
                behind.append(_in_pieces(g, value, encoder.edges[pieces]))
                pieces += 1
            numeric += 1
        else:
            blocks.append(g.as_numbers(value))
        if column.gaps:
            blocks.append(g.as_numbers(missing))
    return g.node("Concat", *blocks, *behind, axis=1)


def _scaled(g: _Graph, value: str, center: float, scale: float, clip: bool) -> str:
    scaled = g.node("Div", g.node("Sub", value, g.constant(center, np.float64)), g.constant(scale, np.float64))
    if clip:
        third = g.node("Div", scaled, g.constant(3.0, np.float64))
        below = g.node("Sqrt", g.node("Add", g.constant(1.0, np.float64), g.node("Mul", third, third)))
        scaled = g.node("Div", scaled, below)
    return g.as_numbers(scaled)


def _in_pieces(g: _Graph, value: str, edges: Array) -> str:
    width = np.diff(edges)
    is_there = width > 0
    width[~is_there] = 1.0
    share = g.node(
        "Div",
        g.node("Sub", value, g.constant(edges[:-1], np.float64)),
        g.constant(width, np.float64),
    )
    clipped = g.node("Clip", share, g.constant(0.0, np.float64), g.constant(1.0, np.float64))
    clipped = g.node("Mul", clipped, g.constant(is_there, np.float64))
    return g.as_numbers(g.node("Sub", g.node("Mul", clipped, g.constant(2.0, np.float64)), g.constant(1.0, np.float64)))


def _one_hot(g: _Graph, column: ColumnLayout, seen: Array, given: str) -> list[str]:
    """Add 0 or 1 for each level of a column of words, in which the empty word is a gap."""
    words = [*column.levels, ""]
    known = g.node("OneHotEncoder", given, domain="ai.onnx.ml", cats_strings=words, zeros=1)
    known = g.node("Reshape", known, g.constant([-1, len(words)], np.int64))
    hits = g.node("Mul", g.columns(known, range(len(column.levels))), g.constant(seen))
    blocks = [hits] if column.levels else []
    if column.more:
        axes = g.constant([1], np.int64)
        blocks.append(g.node("Sub", g.constant(1.0), g.node("ReduceSum", known, axes, keepdims=1)))
    if column.gaps:
        blocks.append(g.columns(known, [len(column.levels)]))
    return blocks


def _classes(classes: Array, onnx: Any) -> tuple[Array, int]:
    """Return the classes as a graph gives them, and ONNX's number of their type: whole numbers, numbers, or else words."""
    kind = classes.dtype.kind
    if kind in "iub":
        return classes.astype(np.int64), int(onnx.TensorProto.INT64)
    if kind == "f":
        return classes.astype(np.float64), int(onnx.TensorProto.DOUBLE)
    return classes.astype(str).astype(object), int(onnx.TensorProto.STRING)


def to_onnx(model: Any, path: str | Path | None = None) -> Any:
    """Make the graph of a fitted model; see `BackpropMLP.to_onnx`."""
    onnx = _onnx()
    if not hasattr(model, "model_"):
        raise ValueError("The model is not fitted: there is no network to export.")
    g = _Graph(onnx, np.float32)  # runtimes have few operators in float64
    return _finished(g, _average(g, model), model.model_.target, model.model_.encoder, model.n_features_in_, path)


def to_onnx_of_blend(
    members: Sequence[tuple[float, Any]],
    target: Target,
    calibration: tuple[float, float] | None,
    path: str | Path | None = None,
) -> Any:
    """Make the graph of fitted models whose weighted average, calibrated, is the answer.

    Parameters
    ----------
    members : sequence of pairs of a weight and a fitted BackpropMLP
    target : Target
        Of the blend: a column for each class.
    calibration : pair of float, or None
        The temperature, and the lowest probability.
    path : str or Path, default=None
    """
    g = _Graph(_onnx(), np.float32)
    total = ""
    for weight, model in members:
        value = _average(g, model)
        if isinstance(target, Numbers):
            value = g.node("Mul", value, g.constant(weight, np.float64))
        else:
            if isinstance(target, Classes) and model.model_.target.one_output:
                value = g.node("Concat", g.node("Sub", g.constant(1.0), value), value, axis=1)
            value = g.scaled(value, weight)
        total = g.node("Add", total, value) if total else value
    if calibration is not None:
        temperature, lowest = calibration
        rest = 1.0 - lowest * (target.n_outputs if target.is_exclusive else 2)
        total = g.node("Add", g.scaled(total, rest), g.constant(lowest))
        logit = g.node("Log", total)
        if isinstance(target, Classes):
            total = g.node("Softmax", g.scaled(logit, 1 / temperature), axis=1)
        else:
            other = g.node("Log", g.node("Sub", g.constant(1.0), total))
            total = g.node("Sigmoid", g.scaled(g.node("Sub", logit, other), 1 / temperature))
        total = g.node("Add", g.scaled(total, rest), g.constant(lowest))
    encoder, n_features = members[0][1].model_.encoder, members[0][1].n_features_in_
    return _finished(g, total, target, encoder, n_features, path)


def _onnx() -> Any:
    """Return the package, or say how to get it."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx: pip install 'nnexp[onnx]'.") from error
    return onnx


def _average(g: _Graph, model: Any) -> str:
    """Add what a fitted model predicts: the average of its networks."""
    onnx, target, encoder = g.onnx, model.model_.target, model.model_.encoder
    values = []
    inputs = "X" if encoder is None else _encoded(g, encoder)
    for number in range(len(model.parameters_)):
        output = _network(g, model, number, inputs)
        if isinstance(target, Numbers):
            # In the units of y, for which float32 may have no room.
            each, double = target.of(number), onnx.TensorProto.DOUBLE
            scaled = g.node("Mul", g.node("Cast", output, to=double), g.constant(each.scale, np.float64))
            output = g.node("Add", scaled, g.constant(each.mean, np.float64))
        elif isinstance(target, Classes) and target.probabilistic and not target.one_output:
            axes = g.constant([1], np.int64)
            output = g.node("Div", output, g.node("ReduceSum", output, axes, keepdims=1))
        values.append(output)
    average = g.node("Mean", *values) if len(values) > 1 and not target.is_numeric else values[0]
    if len(values) > 1 and target.is_numeric:  # runtimes have no mean in double
        for value in values[1:]:
            average = g.node("Add", average, value)
        average = g.node("Mul", average, g.constant(1 / len(values), np.float64))
    return average


def _finished(
    g: _Graph, average: str, target: Target, encoder: Encoder | None, n_features: int, path: str | Path | None
) -> Any:
    """Add what is put out, and return the graph as a model."""
    onnx = g.onnx
    kind = int(onnx.helper.np_dtype_to_tensor_dtype(g.dtype))
    outputs = []

    def put_out(name: str, element: int, *shape: int) -> None:
        outputs.append(onnx.helper.make_tensor_value_info(name, element, [None, *shape]))

    n_outputs = target.n_outputs
    if isinstance(target, Numbers):
        g.node("Identity", average, output="prediction")
        put_out("prediction", onnx.TensorProto.DOUBLE, n_outputs)
    elif isinstance(target, Labels):
        g.node("Identity", average, output="probabilities")
        above = g.node("Greater", average, g.constant(target.threshold))
        g.node("Cast", above, output="labels", to=onnx.TensorProto.INT64)
        put_out("labels", onnx.TensorProto.INT64, n_outputs)
        put_out("probabilities", kind, n_outputs)
    else:
        assert isinstance(target, Classes)
        code = g.node("ArgMax", average, axis=1, keepdims=0)
        if target.one_output:
            above = g.node("Greater", average, g.constant(target.threshold))
            code = g.node("Squeeze", g.node("Cast", above, to=onnx.TensorProto.INT64), g.constant([1], np.int64))
        classes, element = _classes(target.classes, onnx)
        g.node("Gather", g.constant(classes, classes.dtype), code, output="label")
        put_out("label", element)
        scores = average
        if target.one_output and target.probabilistic:
            scores = g.node("Concat", g.node("Sub", g.constant(1.0), average), average, axis=1)
        name = "probabilities" if target.probabilistic else "scores"
        g.node("Identity", scores, output=name)
        put_out(name, kind, len(target.classes) if target.probabilistic else n_outputs)
    given = [onnx.helper.make_tensor_value_info("X", kind, [None, n_features])]
    if encoder is not None and not encoder.layout.is_numbers:
        given = [
            onnx.helper.make_tensor_value_info(
                f"X{i}", onnx.TensorProto.STRING if column.kind == "category" else kind, [None, 1], column.name
            )
            for i, column in enumerate(encoder.layout.columns)
        ]
    graph = onnx.helper.make_graph(g.nodes, "BackpropMLP", given, outputs, g.constants)
    versions = [onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    made = onnx.helper.make_model(graph, opset_imports=versions, producer_name="nnexp")
    made.ir_version = 9
    onnx.checker.check_model(made)
    if path is not None:
        with replacing(as_path(path), follow=True) as file:
            file.write(made.SerializeToString())
    return made
