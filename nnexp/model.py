"""A fitted network, or a stack of them, with all that is known of it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnexp._errors import quoted
from nnexp._threads import one_thread
from nnexp.encoding import Encoder
from nnexp.network import Network
from nnexp.network.samples import Pieces
from nnexp.targets import Target
from nnexp.training import Algorithm
from nnexp.training.history import History

Array = NDArray[Any]

# What a prediction works on at a time, in rows and in bytes of their inputs, so that its memory does not grow with them.
MOST_ROWS, _MOST_BYTES = 8192, 1 << 24


def chunks(n: int, n_inputs: int) -> Iterator[slice]:
    """Cut n rows into chunks that predictions work on one after the other."""
    size = max(1, min(MOST_ROWS, _MOST_BYTES // (8 * n_inputs)))
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))


def rows_of(table: Any, rows: Array | slice) -> Any:
    """Return some rows of an array, a sparse array or a data frame."""
    return table.iloc[rows] if hasattr(table, "iloc") else table[rows]


def dense(array: Any) -> Any:
    """Return an array that may be sparse as a dense one."""
    return array.toarray() if hasattr(array, "toarray") else array


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The predictions of all samples, each by the network that has not learnt from it.

    Attributes
    ----------
    prediction : array of shape (n_samples,) or (n_samples, n_outputs)
    score, score_error : float
        Accuracy or R², and half the width of its 95 % interval.
    """

    prediction: Array
    score: float
    score_error: float


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted network, or a stack of them, with all that is known of it.

    Attributes
    ----------
    network : Network
    parameters : array of shape (n_networks, D)
    target : Target
        What the outputs stand for.
    algorithm : Algorithm
        What trained it.
    log : History
        What happened in each step.
    n_iter : int
        Steps done; the most of all networks.
    evaluations : int
        What training cost, of all networks.
    stop_reasons : tuple of str
        Why each network stopped; or one sentence for all.
    judged_from : tuple of int
        For each network the step after which its errors are those on the data that it was last trained on.
    by_score : bool
        Whether the highest score chose the parameters, and not the lowest error.
    validated : bool
        Whether there were validation samples.
    feature_names : array of str, or None
        The names of the columns of X, where it had any.
    encoder : Encoder or None
        What makes inputs of X; None where X is the inputs.
    temperature : float or None
        What calibrated the probabilities.
    out_of_fold : OutOfFold or None
        With cross-fitting.
    known_best : pair of float and (float or None), or None
        The error and the score of the chosen step, where the history does not tell them.
    answer : pair of X and values, or None
        What it gives for an X that it has been asked before: scorers ask networks whose outputs are known.
    """

    network: Network
    parameters: Array
    target: Target
    algorithm: Algorithm
    log: History
    n_iter: int = 0
    evaluations: int = 0
    stop_reasons: tuple[str, ...] = ("",)
    judged_from: tuple[int, ...] = ()
    by_score: bool = False
    validated: bool = False
    feature_names: Array | None = None
    encoder: Encoder | None = None
    temperature: float | None = None
    out_of_fold: OutOfFold | None = None
    known_best: tuple[float, float | None] | None = None
    answer: tuple[Any, Array] | None = None

    @property
    def n_networks(self) -> int:
        """How many networks there are."""
        return len(self.parameters)

    @property
    def n_features(self) -> int:
        """How many columns X has."""
        return self.network.n_inputs if self.encoder is None else len(self.encoder.layout.columns)

    def values(self, X: Any) -> Array:
        """Return the average of the networks' outputs, as probabilities or in the units of y.

        Parameters
        ----------
        X : array, sparse array or data frame of n rows
            As scikit-learn or the encoder has checked it.

        Returns
        -------
        array of shape (n, n_outputs)

        Raises
        ------
        ValueError
            If the numbers are too large for the precision of the parameters.
        """
        return self._mean_and_spread(X, self.encoder, spread=False)[0]

    def values_of(self, features: Any) -> Array:
        """Return what `values` does, for what the encoder has made of X."""
        if self.encoder is None:
            return self._mean_and_spread(features, None, spread=False)[0]
        return self._mean_and_spread(
            features[:, : self.encoder.n_columns], None, spread=False, pieces=self.encoder.pieces
        )[0]

    def values_of_each(self, X: Any) -> Array:
        """Return what each network says, shape (n_networks, n, n_outputs); see `values`."""
        shape = self.n_networks, X.shape[0], self.network.n_outputs
        values = np.empty(shape, dtype=self.target.dtype_of_values(self.parameters.dtype))
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            for here in chunks(X.shape[0], self.network.n_inputs):
                values[:, here] = self._values_of_block(rows_of(X, here), self.encoder, None)
        return values

    def _values_of_block(self, block: Any, encoder: Encoder | None, pieces: Pieces | None) -> Array:
        """Return what each network says of some rows."""
        block = block if encoder is None else encoder.inputs(block)
        if pieces is not None:
            block = pieces.expand(block, np.empty((len(block), pieces.n_inputs), dtype=block.dtype))
        inputs = dense(block).astype(self.parameters.dtype, copy=False)
        return self.target.values(self.network.forward(self.parameters, inputs))

    def spread(self, X: Any) -> tuple[Array, Array]:
        """Return what `values` does, and the standard deviation of the networks' values around it."""
        return self._mean_and_spread(X, self.encoder, spread=True)

    def _mean_and_spread(
        self, X: Any, encoder: Encoder | None, spread: bool, pieces: Pieces | None = None
    ) -> tuple[Array, Array]:
        dtype, network = self.parameters.dtype, self.network
        n, several = X.shape[0], self.n_networks > 1
        mean = np.empty((n, network.n_outputs), dtype=self.target.dtype_of_values(dtype))
        deviation = np.zeros((n if spread else 0, network.n_outputs), dtype=mean.dtype)
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            for here in chunks(n, network.n_inputs):
                values = self._values_of_block(rows_of(X, here), encoder, pieces)
                mean[here] = values.mean(axis=0) if several else values[0]
                if spread and several:
                    deviation[here] = values.std(axis=0)
        if np.isnan(mean).any():
            raise ValueError(f"X holds values too large for dtype={quoted(dtype.name)}; rescale them.")
        if self.target.is_numeric and np.isinf(mean).any():
            count = int(np.isinf(mean).any(axis=1).sum())
            warnings.warn(
                f"{count} of {n} predictions are infinite: larger than a number can be. Training ended so: {self.stop_reason}",
                RuntimeWarning,
                stacklevel=4,
            )
        return mean, deviation

    def history(self, member: int) -> dict[str, list[Any]]:
        """Return what happened in each step of a network: a list for each column."""
        return self.log.columns(member)

    def member(self, number: int) -> Model:
        """Return one of the networks by itself; it shares its weights."""
        network, parameters = self.network, self.parameters[number : number + 1]
        if network.is_evolvable:  # each has become a network of its own
            network, row = network.plain(self.parameters[number])
            parameters = row[np.newaxis]
        log = self.log.select(np.array([number]))
        columns = log.columns(0)
        return replace(
            self,
            network=network,
            parameters=parameters,
            target=self.target.of(number),
            log=log,
            n_iter=len(columns["step"]),
            evaluations=columns["evaluations"][-1],
            stop_reasons=self.stop_reasons[number : number + 1] or self.stop_reasons,
            judged_from=self.judged_from[number : number + 1],
            out_of_fold=None,
        )

    def architecture(self) -> list[dict[str, Any]]:
        """Return for each network its connections whose weight is not 0, how many there could be, and its hidden neurons."""
        possible = sum(b.n_source * b.n_target if b.mask is None else int(b.mask.sum()) for b in self.network.blocks)
        networks = []
        for parameters in self.parameters:
            architecture = self.network.architecture(parameters)
            networks.append(
                {"connections": architecture.pop("connections"), "possible_connections": possible, **architecture}
            )
        return networks

    def answering(self, parameters: Array, X: Any, values: Array) -> Model:
        """Return a network with other parameters, shape (D,), whose values for X are known; made often, and so quickly."""
        model = object.__new__(Model)
        model.__dict__.update(self.__dict__, parameters=parameters[np.newaxis], answer=(X, values))
        model.__dict__.pop("best", None)
        return model

    def calibrated(self, temperature: float) -> Model:
        """Return a model whose outputs' inputs are divided by a temperature."""
        parameters = self.parameters.copy()
        for into in self.network.blocks:
            if into.target == self.network.n_layers - 1:
                into.view(parameters)[...] /= temperature
        return replace(self, parameters=parameters, temperature=temperature)

    @property
    def stop_reason(self) -> str:
        """Why training stopped, in a sentence."""
        counts, n = Counter(self.stop_reasons), len(self.stop_reasons)
        if n == 1:
            return self.stop_reasons[0]
        if len(counts) == 1:
            return f"All {n} networks: {self.stop_reasons[0]}"
        return " ".join(f"{count} of {n} networks: {reason}" for reason, count in counts.most_common())

    def coefs(self) -> list[Array]:
        """Return the weights between consecutive layers, each of shape (n_source, n_target).

        Raises
        ------
        AttributeError
            Where there are other weights too, or several networks.
        """
        coefs = [weights[: block.n_source] for block, weights in self._consecutive()]
        if self.encoder is not None:
            coefs[0] = (coefs[0] / self._scaling().scale[:, np.newaxis]).astype(self.parameters.dtype)
        return coefs

    def intercepts(self) -> list[Array]:
        """Return the weights of the bias neurons, each of shape (n_target,); see `coefs`."""
        intercepts = [
            weights[-1] if block.has_bias else np.zeros(block.n_target, weights.dtype)
            for block, weights in self._consecutive()
        ]
        if self.encoder is not None:
            scaling, into = self._scaling(), self._consecutive()[0][1][: self.network.n_inputs]
            intercepts[0] = (intercepts[0] - (scaling.center / scaling.scale) @ into).astype(self.parameters.dtype)
        return intercepts

    def _scaling(self) -> Encoder:
        """Return the encoder where it does no more than to bring columns on a scale."""
        assert self.encoder is not None
        if not self.encoder.layout.is_plain or self.encoder.layout.rules.clip:
            raise AttributeError(
                "coefs_ and intercepts_ are of the columns of X, and the encoder makes other inputs of them: see encoder_ for "
                "these, and network_.weights(parameters_[0]) for their weights."
            )
        return self.encoder

    def _consecutive(self) -> list[tuple[Any, Array]]:
        if self.n_networks > 1:
            raise AttributeError("coefs_ and intercepts_ are those of one network: see members_.")
        blocks = self.network.blocks
        if any(block.target != block.source + 1 for block in blocks):
            raise AttributeError(
                "coefs_ and intercepts_ need connections between consecutive layers only; "
                "network_.weights(parameters_) has the weights of all blocks."
            )
        return list(zip(blocks, self.network.weights(self.parameters[0]), strict=True))

    @cached_property
    def best(self) -> tuple[float, float | None]:
        """The error and the score of the chosen step, the mean over the networks; no score without validation samples."""
        if self.known_best is not None:
            return self.known_best
        first = self.judged_from or (0,) * self.n_networks
        chosen = [_best_of(self.history(i), self.by_score, first[i]) for i in range(self.n_networks)]
        error, score = (float(np.mean([step[i] for step in chosen])) for i in range(2))
        return error, score if self.validated else None


def _best_of(columns: dict[str, list[Any]], by_score: bool, first: int) -> tuple[float, float]:
    """Return the error and the score of the chosen step of one network, among those after the first ones."""
    if first < len(columns["step"]):
        columns = {name: values[first:] for name, values in columns.items()}
    validation, scores = columns["validation_error"], columns["validation_score"]
    if by_score and not np.isnan(scores).all():
        best = int(np.nanargmax(scores))
        return validation[best], scores[best]
    errors = columns["error"] if np.isnan(validation).all() else validation
    best = int(np.nanargmin(errors)) if not np.isnan(errors).all() else 0
    return errors[best], scores[best]
