"""Models and checkpoints as one file of arrays and JSON. Nothing that is read back can run code.

The file is a ZIP archive without compression: ``header.json``, and one ``.npy`` file for each array. Anyone can look
into it with `zipfile` and NumPy.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import ExpectedError, quoted, reason
from nnexp._files import as_path, parse_json, replacing
from nnexp._version import __version__
from nnexp.encoding import TableEncoder, encoder_named
from nnexp.encoding.files import described
from nnexp.encoding.files import read as read_encoder
from nnexp.fitting.settings import Settings
from nnexp.model import Model, OutOfFold
from nnexp.network import ERROR_FUNCTIONS, Network
from nnexp.network.activations import Activation, OneOf, PerNeuron
from nnexp.network.connections import MOST_LAYERS, MOST_PAIRS
from nnexp.parts import REGISTRIES
from nnexp.targets import Classes, Labels, Numbers, Target
from nnexp.training import GeneticAlgorithm, Memetic, Training
from nnexp.training.history import History

Array = NDArray[Any]

FORMAT = "nnexp"
VERSION = 1
# How the fits of checkpoints are told apart.
_KEYS = 3
_TARGETS: dict[str, type[Target]] = {"numbers": Numbers, "classes": Classes, "labels": Labels}
_ARRAYS = ["parameters_", "oof_prediction_"]
# Parameters that may hold code of the user's and that no prediction needs.
_LEFT_OUT = ["callbacks", "scoring", "fitness", "random_state", "checkpoint"]


class SavingError(ExpectedError, ValueError):
    """A model cannot be written to a file, or a file cannot be read as one; the message says why."""


class Writer:
    """Turns values into JSON and arrays."""

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def array(self, values: Any) -> dict[str, Any]:
        """Keep an array and return what stands for it; one of objects becomes a list of its values."""
        array = np.asarray(values)
        if array.dtype.kind == "O":
            return {"!objects": [self.value(item, "an array") for item in array.ravel()], "shape": list(array.shape)}
        name = f"{len(self.arrays)}.npy"
        self.arrays[name] = array
        return {"!array": name}

    def value(self, value: Any, what: str) -> Any:
        """Return what stands for a value of a parameter."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return self.value(value.item(), what)
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, list):
            return [self.value(item, what) for item in value]
        if isinstance(value, tuple):
            return {"!tuple": [self.value(item, what) for item in value]}
        if isinstance(value, Mapping):
            return {"!mapping": [[self.value(k, what), self.value(v, what)] for k, v in value.items()]}
        if isinstance(value, type) and issubclass(value, np.generic):
            return {"!dtype": np.dtype(value).name}
        if isinstance(value, np.dtype):
            return {"!dtype": value.name}
        return self.part(value, what)

    def part(self, part: Any, what: str) -> dict[str, Any]:
        """Return what stands for an activation, an algorithm and so on: its kind, name and settings."""
        if isinstance(part, TableEncoder):
            settings = part.get_params(deep=False)
            return {"!encoder": {key: self.value(setting, f"{what}.{key}") for key, setting in settings.items()}}
        if isinstance(part, PerNeuron):
            return {"!neurons": [self.part(activation, what) for activation in part.activations]}
        if isinstance(part, OneOf):
            return {"!one_of": [self.part(activation, what) for activation in part.activations]}
        for kind, registry in REGISTRIES.items():
            described = registry.describe(part)
            if described is not None:
                name, settings = described
                return {
                    "!part": [
                        kind,
                        name,
                        {key: self.value(setting, f"{what}.{key}") for key, setting in settings.items()},
                    ]
                }
        raise SavingError(
            f"{what} holds {quoted(getattr(part, 'name', part))}, code of your own that a file without code cannot hold. "
            "Declare it as a plug-in by an entry point, or pickle the model."
        )


class Reader:
    """Turns JSON and arrays back into values."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays = arrays

    def value(self, value: Any) -> Any:
        """Return the value that was written."""
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "!array" in value:
            return self.arrays[value["!array"]]
        if "!objects" in value:
            array = np.empty(len(value["!objects"]), dtype=object)
            array[:] = [self.value(item) for item in value["!objects"]]
            return array.reshape(value["shape"])
        if "!tuple" in value:
            return tuple(self.value(item) for item in value["!tuple"])
        if "!mapping" in value:
            made = {self.value(k): self.value(v) for k, v in value["!mapping"]}
            return _as_now(made.get("name"), made)
        if "!dtype" in value:
            return np.dtype(value["!dtype"]).type
        if "!encoder" in value:
            return TableEncoder(**{key: self.value(setting) for key, setting in value["!encoder"].items()})
        if "!neurons" in value:
            return PerNeuron(self._activations(value["!neurons"]))
        if "!one_of" in value:
            return OneOf(self._activations(value["!one_of"]))
        kind, name, settings = value["!part"]
        named = _as_now(name, {key: self.value(setting) for key, setting in settings.items()})
        return REGISTRIES[kind].resolve({"name": name, **named}, kind)

    def _activations(self, given: Any) -> tuple[Activation, ...]:
        among = tuple(self.value(item) for item in given)
        if not among or not all(
            isinstance(name, Activation) and not isinstance(name, PerNeuron | OneOf) for name in among
        ):
            raise ValueError("the activations of its neurons are none")
        return among


def _as_now(name: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a part as they are called today."""
    if name == Memetic.name:  # once it had the settings of its evolution among its own
        evolution = {key: settings.pop(key) for key in GeneticAlgorithm.parameter_names() if key in settings}
        return settings | ({"evolution": evolution} if evolution else {})
    return settings


def save(path: str | Path, estimator: Any) -> None:
    """Write a fitted model to a file; see `BackpropMLP.save`."""
    if not hasattr(estimator, "model_"):
        raise SavingError("The model is not fitted: there is nothing to save.")
    writer = Writer()
    write_file(path, {"kind": "model", **header_of(estimator, writer)}, writer.arrays)


def params_of(estimator: Any, writer: Writer) -> dict[str, Any]:
    """Return what stands for the parameters of an estimator."""
    given = {"task": estimator.task, **estimator.get_params(deep=False)}
    params = {name: writer.value(value, name) for name, value in given.items() if name not in _LEFT_OUT}
    seed = given["random_state"]
    params["random_state"] = int(seed) if isinstance(seed, int | np.integer) else None
    return params | {name: given[name] for name in ("scoring", "fitness") if isinstance(given.get(name), str)}


def header_of(estimator: Any, writer: Writer) -> dict[str, Any]:
    """Return what stands for a fitted `BackpropMLP`."""
    model: Model = estimator.model_
    facts = {name: getattr(estimator, name) for name in _PLAIN if hasattr(estimator, name)}
    names = model.feature_names
    return {
        "class": type(estimator).__name__,
        "params": params_of(estimator, writer),
        "network": _network_to_json(model.network, writer),
        "target": target_to_json(model.target, writer),
        "plain": facts,
        "arrays": {name: writer.array(getattr(estimator, name)) for name in _ARRAYS if hasattr(estimator, name)},
        "history": [
            {name: writer.array(values) for name, values in model.history(i).items()} for i in range(model.n_networks)
        ],
        "encoder": None if model.encoder is None else described(model.encoder, writer.array),
        "n_features": model.n_features,
        "features": None if names is None else list(names),
        "multilabel": model.target.has_labels,
    }


def estimator_of(header: dict[str, Any], reader: Reader, make: Callable[[str, dict[str, Any]], Any]) -> Any:
    """Return the `BackpropMLP` that a header stands for; make returns one by the name of its class and its parameters."""
    _check_limits(header, sum(array.size for array in reader.arrays.values()))
    params = {name: reader.value(value) for name, value in header["params"].items()}
    if "encoder" not in header:  # networks of earlier versions saw X as it is
        params["encoding"] = "none"
    estimator = make(str(header.get("class", "")), params)  # earlier versions had one class
    given = {"task": estimator.task, **estimator.get_params(deep=False)}
    return estimator.with_model(_model_of(header, reader, Settings.of(given)))


def _model_of(header: dict[str, Any], reader: Reader, settings: Settings) -> Model:
    network = _network_from_json(header["network"], reader)
    target = target_from_json(header["target"], reader)
    _check_target(target, network, settings["task"])
    facts = header["plain"]
    for name, is_right in _PLAIN.items():
        if name in facts and not is_right(facts[name]):
            raise ValueError(f"its {name} is {quoted(facts[name])}")
        if name not in facts and name in _NEEDED:
            raise ValueError(f"it has no {name}")
    arrays = {name: reader.value(values) for name, values in header["arrays"].items()}
    shape = len(header["history"]), network.n_parameters
    weights = arrays["parameters_"]
    fits = weights.shape == shape and weights.dtype in (np.float32, np.float64) and len(weights) > 0
    if not fits or not np.isfinite(weights).all():
        raise ValueError(f"its weights do not fit its network, which needs an array of shape {shape}")
    if network.mask is not None and np.any(weights[:, ~network.mask]):
        raise ValueError("connections that its network does not have weigh something")
    if isinstance(target, Numbers) and target.mean.ndim == 3 and len(target.mean) != shape[0]:
        raise ValueError("its target does not fit its networks")
    if not is_whole(header["n_features"], 1):
        raise ValueError("its number of features is no number")
    if header["multilabel"] is not target.has_labels:
        raise ValueError("its target does not fit its labels")
    encoder = None if header.get("encoder") is None else read_encoder(header["encoder"], reader.value)
    if network.n_inputs != (header["n_features"] if encoder is None else encoder.n_inputs):
        raise ValueError("its number of features does not fit its network")
    if encoder is not None and len(encoder.layout.columns) != header["n_features"]:
        raise ValueError("its number of features does not fit its encoder")
    if (encoder is None) is not (encoder_named(settings["encoding"]) is None):
        raise ValueError("its encoder does not fit its parameters")
    return Model(
        network=network,
        parameters=weights,
        target=target,
        algorithm=settings.algorithm.choose(network),
        log=_history_from_json(header["history"], reader),
        n_iter=facts["n_iter_"],
        evaluations=facts["evaluations_"],
        stop_reasons=(facts["stop_reason_"],),
        feature_names=names_from_json(header["features"], header["n_features"]),
        encoder=encoder,
        temperature=facts.get("temperature_"),
        out_of_fold=_out_of_fold_from_json(facts, arrays),
        known_best=(facts["best_error_"], facts.get("best_validation_score_")),
    )


def names_from_json(names: Any, n: int) -> Array | None:
    """Return the names of n features, or None where there are none."""
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != n or not all(isinstance(name, str) for name in names):
        raise ValueError("its names of features do not fit its network")
    return np.array(names, dtype=object)


def _out_of_fold_from_json(facts: dict[str, Any], arrays: dict[str, Array]) -> OutOfFold | None:
    if "oof_prediction_" not in arrays:
        return None
    prediction = arrays["oof_prediction_"]
    if prediction.dtype.kind != "f" or prediction.ndim > 2:
        raise ValueError("its predictions are no numbers")
    return OutOfFold(prediction, facts["oof_score_"], facts["oof_score_error_"])


def save_training(path: str | Path, key: str, training: Training) -> None:
    """Write a training as it is after its last step; see `Checkpoint`."""
    writer = Writer()
    state = {name: writer.array(values) for name, values in training.state.arrays.items()}
    generators = [rng.bit_generator.state for rng in training.state.rngs]
    training.log.close()
    log = [
        [writer.array(members), {name: writer.array(values) for name, values in block.items()}]
        for members, block in training.log.blocks
    ]
    header = {
        "kind": "checkpoint",
        "key": key,
        "keys": _KEYS,
        "state": state,
        "updates": writer.array(training.state.updates),
        "generators": generators,
        "fields": {_in_file(name): writer.array(values) for name, values in training.members.arrays().items()},
        "stop_reason": training.stop_reason,
        "seconds": training.seconds,
        "log": log,
    }
    write_file(path, header, writer.arrays)


def _in_file(name: str) -> str:
    """Return what an array of a training is called in a checkpoint."""
    return f"_{name}" if name in ("lowest", "mark", "mark_step", "out_of_patience", "good") else name


def load_training(path: str | Path, key: str, first: Training) -> Training:
    """Fill a training that has not begun with what a checkpoint holds.

    Raises
    ------
    SavingError
        If the checkpoint was written by a fit with other parameters or data, or is damaged.
    """
    header, arrays = read_file(path, "checkpoint")
    if header.get("keys") != _KEYS:
        raise SavingError(
            f"{path} was written by a version of nnexp that tells fits apart in another way. Remove the file to start anew."
        )
    if header.get("key") != key:
        raise SavingError(
            f"{path} was written by a fit with other parameters or other data. Use them, or remove the file to start anew. Where "
            "many fits share their callbacks, as in a search, name a folder: each has a file of its own there."
        )
    with as_saving_error(path):
        reader = Reader(arrays)
        restored = first.select(np.arange(len(first.stop_reason)))
        if set(header["state"]) != set(restored.state.arrays):
            raise ValueError("its state is that of another algorithm")
        for name, values in header["state"].items():
            _fill(restored.state.arrays[name], reader.value(values))
        _fill(restored.state.updates, reader.value(header["updates"]))
        for rng, state in zip(restored.state.rngs, header["generators"], strict=True):
            rng.bit_generator.state = state
        for name, values in restored.members.arrays().items():
            _fill(values, reader.value(header["fields"][_in_file(name)]))
        if len(header["stop_reason"]) != len(restored.stop_reason):
            raise ValueError("its reasons to stop do not fit its networks")
        restored.stop_reason = [str(reason) for reason in header["stop_reason"]]
        if not (is_real(header["seconds"]) and header["seconds"] >= 0):
            raise ValueError("its seconds are no number")
        restored.seconds = float(header["seconds"])
        restored.log = History(
            (reader.value(members), {name: reader.value(values) for name, values in block.items()})
            for members, block in header["log"]
        )
        steps = np.zeros(len(restored.stop_reason), dtype=int)
        for members, block in restored.log.blocks:
            shape = block["step"].shape
            fits = members.ndim == 1 and members.dtype.kind in "iu" and shape[1:] == members.shape
            fits = fits and len(members) > 0 and members.min() >= 0 and members.max() < len(steps)
            if not fits or any(values.shape != shape or values.dtype.kind not in "iuf" for values in block.values()):
                raise ValueError("its history does not fit its networks")
            steps[members] += shape[0]
        if (steps != restored.n_iter).any():
            raise ValueError("its history is not complete")
    return restored


def _network_to_json(network: Network, writer: Writer) -> dict[str, Any]:
    return {
        "layer_sizes": list(network.layer_sizes),
        "activations": [writer.part(activation, "activation") for activation in network.activations],
        "blocks": [
            [block.source, block.target, None if block.mask is None else writer.array(block.mask)]
            for block in network.blocks
        ],
        "bias": network.bias,
        "zero_is_absent": network.zero_is_absent,
        "initializer": writer.part(network.initializer, "initializer"),
    }


def _fill(array: Array, values: Any) -> None:
    """Take over values of the same shape and kind."""
    if not isinstance(values, np.ndarray) or values.shape != array.shape or values.dtype != array.dtype:
        raise ValueError(f"an array of shape {array.shape} and {array.dtype} is missing")
    array[...] = values


def _history_from_json(histories: list[dict[str, Any]], reader: Reader) -> History:
    blocks = []
    for member, columns in enumerate(histories):
        history = {str(name): reader.value(values) for name, values in columns.items()}
        lengths = {values.shape for values in history.values() if values.dtype.kind in "iuf" and values.ndim == 1}
        if (
            "step" not in history
            or len(lengths) != 1
            or any(values.shape not in lengths for values in history.values())
        ):
            raise ValueError("its history is no table of numbers")
        blocks.append((np.array([member]), {name: values[:, np.newaxis] for name, values in history.items()}))
    return History(blocks)


def is_whole(value: Any, low: int) -> bool:
    """Whether a value is a whole number of at least ``low``."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= 2**62


def is_real(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_error(value: Any) -> bool:
    """Whether a value may be an error or a score, which NaN says is not there or has diverged."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


# Fitted attributes, and what each of them may be.
_PLAIN: dict[str, Callable[[Any], bool]] = {
    "n_iter_": lambda value: is_whole(value, 0),
    "stop_reason_": lambda value: isinstance(value, str),
    "evaluations_": lambda value: is_whole(value, 0),
    "best_error_": _is_error,
    "best_validation_score_": _is_error,
    "temperature_": lambda value: is_real(value) and value > 0,
    "oof_score_": _is_error,
    "oof_score_error_": _is_error,
}
_NEEDED = ("n_iter_", "stop_reason_", "evaluations_", "best_error_")


def _check_limits(header: dict[str, Any], n_values: int) -> None:
    """Raise a ValueError if a network is larger than what a file of this size can hold; before anything is built."""
    content = header["network"]
    sizes, blocks, activations = content["layer_sizes"], content["blocks"], content["activations"]
    if not isinstance(sizes, list) or not isinstance(blocks, list) or not isinstance(activations, list):
        raise ValueError("its network is no network")
    if not 2 <= len(sizes) <= MOST_LAYERS or not all(is_whole(size, 1) for size in sizes):
        raise ValueError(f"its network has no 2 to {MOST_LAYERS:,} layers of neurons, or is larger than its weights")
    pairs = [(source, target) for source, target, _ in blocks]
    if len(pairs) > min(MOST_PAIRS, len(sizes) ** 2) or len(set(pairs)) < len(pairs):
        raise ValueError("its network connects more pairs of layers than there are")
    if not all(is_whole(layer, 0) and layer < len(sizes) for pair in pairs for layer in pair):
        raise ValueError("its network connects layers that are not there")
    if sum(sizes[source] * sizes[target] for source, target in pairs) > n_values:
        raise ValueError("its network is larger than its weights")
    if len(activations) != len(sizes) - 1:
        raise ValueError("its network does not have an activation for each layer")
    for size, activation in zip(sizes[1:], activations, strict=True):
        neurons = activation.get("!neurons", activation.get("!one_of", [])) if isinstance(activation, dict) else None
        if not isinstance(neurons, list) or len(neurons) > max(size, MOST_LAYERS):
            raise ValueError("its network has an activation that is none")


def _check_target(target: Target, network: Network, task: str) -> None:
    """Raise a ValueError unless a target fits the network's outputs, and what they are answers the task."""
    outputs, last = network.n_outputs, network.activations[-1]
    if target.is_numeric is not (task == "regression"):
        raise ValueError(f"its target does not fit its task, {task}")
    if not isinstance(target, Numbers):
        assert isinstance(target, Classes | Labels)
        thresholds = (
            [0.5] if last.limits == (0.0, 1.0) else [function.threshold for function in ERROR_FUNCTIONS.values()]
        )
        if target.threshold not in thresholds or target.probabilistic is not (last.name in ("softmax", "sigmoid")):
            raise ValueError("its target does not fit its output activation")
        one = getattr(target, "one_output", None)
        if (one is None and last.name == "softmax") or (one and last.name == "softmax"):
            raise ValueError("its target does not fit its output activation")
    if isinstance(target, Numbers):
        for values in (target.mean, target.scale):
            shapes = values.shape == (outputs,) or (values.ndim == 3 and values.shape[1:] == (1, outputs))
            if not shapes or values.dtype.kind != "f" or not np.isfinite(values).all():
                raise ValueError("its target does not fit its network")
        fits = target.mean.shape == target.scale.shape and (target.scale > 0).all() and isinstance(target.flat, bool)
        fits = fits and (outputs == 1 or not target.flat)
    else:
        assert isinstance(target, Classes | Labels)
        classes = target.classes
        one = isinstance(target, Classes) and target.one_output
        fits = isinstance(classes, np.ndarray) and classes.ndim == 1 and classes.dtype.kind in "biufUO"
        fits = fits and len(classes) == (2 if one else outputs) and (outputs == 1 or not one)
        fits = fits and isinstance(target.threshold, float) and isinstance(target.probabilistic, bool)
        fits = fits and isinstance(getattr(target, "one_output", False), bool)
        fits = fits and len(np.unique(classes)) == len(classes) and (np.unique(classes) == classes).all()
    if not fits:
        raise ValueError("its target does not fit its network")


def _network_from_json(content: dict[str, Any], reader: Reader) -> Network:
    sizes = content["layer_sizes"]
    activations = [reader.value(content_of) for content_of in content["activations"]]
    if not all(isinstance(activation, Activation) for activation in activations):
        raise ValueError("its network has an activation that is none")
    connections = {
        (source, target): "full" if mask is None else reader.value(mask) for source, target, mask in content["blocks"]
    }
    initializer = reader.value(content["initializer"])
    network = Network(sizes, activations[:-1], activations[-1], connections, content["bias"], initializer)
    return network.evolvable(connections=True) if content.get("zero_is_absent") else network


def target_to_json(target: Target, writer: Writer) -> dict[str, Any]:
    """Return what stands for a target."""
    kind = next(name for name, cls in _TARGETS.items() if isinstance(target, cls))
    return {"kind": kind, "fields": {name: writer.value(value_of, name) for name, value_of in vars(target).items()}}


def target_from_json(content: dict[str, Any], reader: Reader) -> Target:
    """Return the target that was written."""
    return _TARGETS[content["kind"]](**{name: reader.value(value_of) for name, value_of in content["fields"].items()})


def write_file(path: str | Path, header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file beside its place and move it there, so that a kill leaves the old one or the new one."""
    target = as_path(path)
    content = {"format": FORMAT, "version": VERSION, "nnexp": __version__, **header}
    try:
        with replacing(target, follow=True) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("header.json", json.dumps(content))
            for name, values in arrays.items():
                with archive.open(name, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)
    except OSError as error:
        raise SavingError(f"{path} cannot be written: {reason(error)}.") from error


def read_file(path: str | Path, *kinds: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header and the arrays of a file of one of these kinds; believe nothing in it."""
    source = as_path(path)
    if not source.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not source.is_file():
        raise SavingError(f"{path} is no file.")
    with as_saving_error(path):
        size = source.stat().st_size
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("it is compressed, which no file of nnexp is")
            if sum(member.file_size for member in members) > size:
                raise ValueError("its parts are larger than the whole")
            names = [member.filename for member in members]
            if len(set(names)) < len(names):
                raise ValueError("two of its parts have one name")
            header = parse_json(archive.read("header.json"))
            if not isinstance(header, dict) or header.get("format") != FORMAT:
                raise ValueError("it is no file of nnexp")
            version = header.get("version")
            if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
                raise ValueError(f"it was written by a later version of nnexp, {header.get('nnexp')}; update nnexp")
            if header.get("kind") not in kinds:
                raise ValueError(f"it is a {header.get('kind')}, and a {kinds[0]} is wanted")
            arrays = {}
            for member in members:
                if member.filename != "header.json":
                    arrays[member.filename] = _read_array(archive.read(member))
    return header, arrays


def _read_array(content: bytes) -> Array:
    """Read an .npy file that may claim to be larger than it is."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    lengths = [int(length) for length in shape]
    if dtype.itemsize == 0 or min(lengths, default=0) < 0 or max(lengths, default=0) > len(content):
        raise ValueError("an array is no array")
    if int(np.prod(lengths, dtype=object)) * dtype.itemsize > len(content):
        raise ValueError("an array is cut")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


class as_saving_error:  # noqa: N801 - used as a statement
    """Turns whatever a damaged or hostile file provokes into one error with a sentence."""

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, SavingError):
            message = str(error).rstrip(".") or type(error).__name__
            if isinstance(error, zipfile.BadZipFile):
                message = "it is no file of nnexp, or damaged"
            elif isinstance(error, KeyError | TypeError | AttributeError | IndexError):
                message = f"something in it is missing or wrong ({message})"
            raise SavingError(f"{self._path} cannot be read: {message}.") from error
