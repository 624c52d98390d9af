"""Backpropagation with the three descent modes (Rumelhart, Hinton and Williams 1986).

An epoch is cut into pieces that all networks of the stack go through in step. The rows of several pieces are
gathered at once, and their errors computed at once, so that a piece costs little more than its matrix products.
A batch too large for the cache is several pieces whose gradients add up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnexp.network.network import Network
from nnexp.network.passes import Workspace
from nnexp.network.pieces import PiecewisePass
from nnexp.training.algorithm import Algorithm, State, Step, StepReport
from nnexp.training.optimizers import as_factor
from nnexp.training.problem import Descent, Problem

Array = NDArray[Any]


class Backprop(Algorithm):
    """Gradient descent by backpropagation, set by descent, batch_size, optimizer and learning_rate."""

    name: ClassVar[str] = "backprop"
    stacks = True
    uses_gradient = True
    advice = "A lower learning_rate or standardised inputs help."

    def __init__(self) -> None:
        pass

    def start(self, problem: Problem, descent: Descent, parameters: Array, rngs: list[np.random.Generator]) -> State:
        members = len(parameters)
        moments = {f"moment_{i}": np.zeros_like(parameters) for i in range(descent.optimizer.n_moments)}
        arrays = {
            "parameters": parameters.copy(),
            **moments,
            "steps": np.zeros(members, dtype=np.int64),
            **descent.schedule.start(members),
        }
        return State(rngs, arrays, np.zeros(members, dtype=np.int64))

    def bind(self, problem: Problem, descent: Descent, state: State) -> Step:
        return Epoch(problem, descent, state)

    def accept(self, problem: Problem, descent: Descent, state: State, parameters: Array) -> None:
        """Go on from another network, with the moments of the gradient and the schedule as they are."""
        state.arrays["parameters"][:] = parameters

    def resume(self, problem: Problem, descent: Descent, state: State) -> None:
        for name, values in descent.schedule.start(problem.n_members).items():
            state.arrays.setdefault(name, values)  # where training began under another schedule

    def forget(self, problem: Problem, descent: Descent, state: State) -> None:
        descent.schedule.forget(state.arrays)

    def memory(self, problem: Problem, descent: Descent) -> int:
        # weights and moments, with a copy while they are at work; gradients, strengths, the best and the last good ones
        networks = problem.n_members * (2 * (1 + descent.optimizer.n_moments) + 6)
        return networks * problem.network.n_parameters * problem.dtype.itemsize

    def default_steps(self, updates: int) -> int:
        return max(100, -(-1000 // updates))

    def observe(self, problem: Problem, descent: Descent, state: State, watched: Array, each: Array) -> None:
        descent.schedule.observe(state.arrays, watched)


@dataclass
class _Chunk:
    """Pieces of one size, gathered together.

    Attributes
    ----------
    start, stop : int
        Which part of the epoch's order of rows they are.
    n_pieces, size : int
    closes : list of bool
        For each piece whether it is the last of its batch, so that an update follows.
    """

    start: int
    n_pieces: int
    size: int
    closes: list[bool]

    @property
    def stop(self) -> int:
        return self.start + self.n_pieces * self.size


class _Buffers:
    """Room for a chunk of pieces: their rows, expected outputs and weights, and the workspace they go through."""

    def __init__(self, problem: Problem, descent: Descent, leading: tuple[int, ...], n_pieces: int, size: int) -> None:
        network, dtype = problem.network, problem.dtype
        self.dropout = _Dropout(problem, descent, leading, size) if descent.dropout.any() else None
        self.workspace = Workspace(
            network, problem.objective, (*leading, size), dtype, gradient="parameters", slots=n_pieces,
            dropout=self.dropout is not None,
        )  # fmt: skip
        self.inputs = np.empty((n_pieces, *leading, size, problem.samples.width), dtype=dtype)
        self.gathered = np.empty((n_pieces, *leading, size, network.n_outputs), dtype=dtype)
        self.expected = np.empty((n_pieces, *leading, network.n_outputs, size), dtype=dtype)
        self.weight = np.ones((n_pieces, *leading, 1, size), dtype=dtype)
        self._shift = problem.shift.reshape((*leading, 1)) if problem.shift.any() else None
        # Weights count in units of their mean over a member's rows, so that weights that are all equal change nothing
        # and a weight of 2 counts twice in a batch of any size, also of one sample.
        if problem.weight is not None:
            rows = problem.training_rows + problem.shift[:, np.newaxis]
            mean = problem.weight[rows].mean(axis=1)
            self._unit = (1.0 / mean).astype(dtype).reshape((*leading, 1, 1))
        smoothing = descent.label_smoothing
        self._smooths = bool(smoothing.any())
        if self._smooths:
            share = (1.0 - smoothing).astype(dtype).reshape((*leading, 1, 1))
            even = smoothing.astype(dtype).reshape((*leading, 1, 1)) / (
                network.n_outputs if _one_of_all(network) else 2
            )
            self._share, self._even = share, even.astype(dtype)
        self.pieces = [
            (slot, x.swapaxes(-1, -2), y, w)
            for slot, (x, y, w) in enumerate(zip(self.inputs, self.expected, self.weight, strict=True))
        ]

    def gather(self, problem: Problem, rows: Array) -> None:
        """Copy the rows of the pieces, shape (pieces, ..., size), into place."""
        n = len(rows)
        problem.samples.take(rows, self.inputs[:n])
        if self._shift is not None:
            rows = rows + self._shift
        # mode="clip" because the default of numpy.take buffers its output; the rows are valid anyway
        np.take(problem.expected, rows, axis=0, out=self.gathered[:n], mode="clip")
        expected = self.expected[:n]
        np.copyto(expected, self.gathered[:n].swapaxes(-1, -2))
        if self._smooths:
            np.multiply(expected, self._share, out=expected)
            np.add(expected, self._even, out=expected)
        if problem.weight is not None:
            np.take(problem.weight, rows, out=self.weight[:n, ..., 0, :], mode="clip")
            np.multiply(self.weight[:n], self._unit, out=self.weight[:n])


def _one_of_all(network: Network) -> bool:
    """Whether the outputs are probabilities that add up to 1, so that a smoothed class is shared among them."""
    return network.activations[-1].name == "softmax" and network.n_outputs > 1


class _Dropout:
    """Draws which outputs of hidden neurons take part in a pass, from each member's own random numbers."""

    # A probability is a number of 65536ths: two bytes of random bits decide.
    UNIT = 1 << 16

    def __init__(self, problem: Problem, descent: Descent, leading: tuple[int, ...], size: int) -> None:
        sizes = problem.network.layer_sizes[1:-1]
        self._cuts = np.cumsum([0, *sizes])
        # Each sample takes the same number of words, so that what a sample draws does not depend on how a batch is
        # cut into pieces, and with that on the stack.
        self._words = -(-int(self._cuts[-1]) // 4)
        self._size = size
        self._dtype, self._descent, self._stacked = problem.dtype, descent, bool(leading)
        self.refresh()

    def refresh(self) -> None:
        """Read the probabilities, which may have changed."""
        dropped = np.minimum(np.round(self._descent.dropout * self.UNIT), self.UNIT - 1)
        self._limits = dropped.astype(np.uint32)  # below it an output is dropped
        self._factors = (1.0 / (1.0 - dropped / self.UNIT)).astype(self._dtype)
        self._random = [bool(limit.any()) for limit in self._limits]

    def draw(self, workspace: Workspace, rngs: list[np.random.Generator]) -> None:
        """Fill `Workspace.keep` for one pass."""
        for member, rng in enumerate(rngs):
            if not self._random[member]:  # nor may it draw: its random numbers must not depend on the stack
                continue
            bits = rng.bit_generator.random_raw(self._size * self._words).view(np.uint16).reshape(self._size, -1)
            for layer, (start, stop) in enumerate(itertools.pairwise(self._cuts)):
                keep = workspace.keep[layer + 1]
                kept = np.greater_equal(bits[:, start:stop].T, self._limits[member, layer])
                np.multiply(kept, self._factors[member, layer], out=keep[member] if self._stacked else keep)


class Epoch:
    """One epoch of a stack, with everything allocated before the first; or a part of one.

    Parameters
    ----------
    problem : Problem
    descent : Descent
    state : State
        As `Backprop.start` makes it; it is changed in place.
    samples : int or None, default=None
        How many of each member's rows, drawn anew, a call goes over; None for all.
    """

    # Rows gathered at once, together with their outputs, should stay in the second-level cache.
    CHUNK_BYTES = 1 << 18
    # Updates, about, between two searches for moments that have become too small.
    FLUSH_UPDATES = 128

    def __init__(self, problem: Problem, descent: Descent, state: State, samples: int | None = None) -> None:
        self._problem, self._descent, self._state = problem, descent, state
        members, rows = problem.training_rows.shape
        self._n = n = rows if samples is None else samples
        network = problem.network
        self._batch = descent.samples_per_update(rows)
        self._shuffles = n < rows or (descent.shuffle and self._batch < n)
        self._order = problem.training_rows[:, :n].copy()
        # A stack of one does without the leading axis.
        self._leading = leading = (members,) if members > 1 else ()
        place: Any = slice(None) if leading else 0
        self._parameters = state.arrays["parameters"][place]
        self._gradient = np.zeros_like(self._parameters)
        self._piece_gradient = self._gradient
        self._scratch = np.empty_like(self._parameters)
        self._moments = [values for name, values in state.arrays.items() if name.startswith("moment_")]
        self._t: Any = 0
        self.resume()
        moments = [values[place] for values in self._moments]
        self._update = descent.optimizer.bind(self._parameters, self._gradient, moments)
        self._n_updates = -(-n // self._batch)

        per_sample = problem.dtype.itemsize * max(1, members) * (sum(network.layer_sizes) + 2)
        self._chunks = _plan(n, self._batch, per_sample, self.CHUNK_BYTES, PiecewisePass.PIECE_BYTES)
        if not all(all(chunk.closes) for chunk in self._chunks):
            self._piece_gradient = np.zeros_like(self._parameters)
        self._decayed, self._strengths = network.penalty_mask.astype(problem.dtype), dict[str, Array]()
        self._buffers: dict[int, _Buffers] = {}
        for chunk in self._chunks:
            if chunk.size not in self._buffers:
                self._buffers[chunk.size] = _Buffers(problem, descent, leading, chunk.n_pieces, chunk.size)
        self.refresh()

    def resume(self) -> None:
        """Read the counts of updates, which may have changed."""
        # All members are at the same update unless some went on alone before; then each has its own count.
        updates = self._state.updates
        same = bool((updates == updates[0]).all())
        self._t = int(updates[0]) if same else updates[:, np.newaxis].copy()

    def refresh(self) -> None:
        """Read the settings, and the structures that are a part of the parameters, which may have changed."""
        problem, descent = self._problem, self._descent
        network, dtype = problem.network, problem.dtype
        decay = descent.weight_decay + getattr(descent.optimizer, "weight_decay", 0.0)
        self._l1, self._l2 = self._of_weights("l1", problem.l1), self._of_weights("l2", problem.l2)
        self._decay = self._of_weights("decay", decay)
        clip = descent.clip_norm
        self._clip = clip.astype(dtype).reshape((*self._leading, 1)) if np.isfinite(clip).any() else None
        self._present: Array | None = None
        if network.zero_is_absent:
            self._present = network.present(self._parameters)
            for values in self._moments:  # else what they remember would bring an absent connection back
                np.multiply(values, self._present.reshape(values.shape), out=values)
        parts = (self._l1, self._l2, self._clip, self._present)
        self._changes_gradient = any(part is not None for part in parts)
        for buffers in self._buffers.values():
            buffers.workspace.bind(self._parameters, self._piece_gradient)
            if buffers.dropout is not None:
                buffers.dropout.refresh()

    def _of_weights(self, name: str, strength: Array) -> Array | None:
        """Return a strength for each parameter, 0 for bias weights, or None if all are 0; in the same place each time."""
        if not strength.any():
            return None
        if name not in self._strengths:
            self._strengths[name] = np.empty_like(self._parameters)
        out = self._strengths[name]
        return np.multiply(self._decayed, strength.astype(out.dtype).reshape((*self._leading, 1)), out=out)

    def __call__(self) -> StepReport:
        problem, state, n = self._problem, self._state, self._n
        members = problem.n_members
        if self._shuffles:
            for row, rng, rows in zip(self._order, state.rngs, problem.training_rows, strict=True):
                row[:] = rng.permutation(rows)[:n]
        error = np.zeros(members)
        opens, total = True, self._gradient
        accumulates = self._piece_gradient is not total
        rates = iter(self._rates())
        for chunk in self._chunks:
            buffers = self._buffers[chunk.size]
            workspace, dropout = buffers.workspace, buffers.dropout
            buffers.gather(problem, self._rows(chunk))
            for (slot, inputs, expected, weight), closes in zip(buffers.pieces, chunk.closes, strict=False):
                if dropout is not None:
                    dropout.draw(workspace, state.rngs)
                workspace.forward(inputs, slot)
                batch = chunk.size if not accumulates else self._size_of_batch(chunk, slot)
                scale = 1.0 / batch if problem.weight is None else weight * (1.0 / batch)
                workspace.backward(inputs, expected, scale, slot)
                if accumulates:
                    if opens:
                        np.copyto(total, self._piece_gradient)
                    else:
                        np.add(total, self._piece_gradient, out=total)
                    opens = closes
                if closes:
                    rate = next(rates)
                    if self._changes_gradient:
                        self._change_gradient()
                    if self._decay is not None:
                        np.multiply(self._parameters, self._decay, out=self._scratch)
                        np.multiply(self._scratch, as_factor(rate, self._scratch), out=self._scratch)
                        np.subtract(self._parameters, self._scratch, out=self._parameters)
                    self._t += 1
                    self._update(rate, self._t)
            error += self._chunk_error(buffers, chunk.n_pieces)
        before = state.updates // self.FLUSH_UPDATES
        state.updates[:] = self._t if np.ndim(self._t) == 0 else np.ravel(self._t)
        self._flush(before < state.updates // self.FLUSH_UPDATES)
        state.arrays["steps"] += 1
        parameters = state.arrays["parameters"]
        return StepReport(parameters[:, np.newaxis], error / n, evaluations=3 * n)

    def _flush(self, due: Array) -> None:
        """Set to 0 the moments that are on their way to subnormal numbers, with which a processor is slow.

        They are those of weights whose gradient is 0, such as from a pixel that is always black.
        """
        if due.any():
            for moments in self._moments:
                small = np.abs(moments) < np.finfo(moments.dtype).tiny * 1e8
                small &= due[:, np.newaxis]
                moments[small] = 0.0

    def _change_gradient(self) -> None:
        """Add what l1 and l2 pull, and shorten what is longer than clip_norm."""
        gradient, scratch = self._gradient, self._scratch
        if self._l2 is not None:
            np.multiply(self._parameters, self._l2, out=scratch)
            np.add(gradient, scratch, out=gradient)
        if self._l1 is not None:
            np.sign(self._parameters, out=scratch)
            np.multiply(scratch, self._l1, out=scratch)
            np.add(gradient, scratch, out=gradient)
        if self._present is not None:
            np.multiply(gradient, self._present, out=gradient)
        if self._clip is not None:
            norm = np.sqrt(np.einsum("...d,...d->...", gradient, gradient))[..., np.newaxis]
            np.multiply(gradient, np.minimum(1.0, self._clip / norm), out=gradient)  # ∞ where there is no limit

    def _rates(self) -> list[Any]:
        """Return the learning rate of each update of this epoch: a number, or an array (members, 1) where they differ."""
        descent, state = self._descent, self._state
        base, steps = descent.learning_rate, state.arrays["steps"]
        scale = descent.schedule.scale(state.arrays)
        if scale is not None:
            base = base * scale
        u = self._n_updates
        same = not self._leading or bool((base == base[0]).all() and (steps == steps[0]).all())
        if descent.schedule.is_constant:
            rates = [base] * u
        else:
            at = steps if not same else steps[:1]
            t = (at[:, np.newaxis] + np.arange(u) / u) / descent.horizon
            factors = descent.schedule.factors(t, 1.0 / (u * descent.horizon))
            rates = list((factors * base[: len(at), np.newaxis]).T)
        if same:
            return [float(rate[0]) for rate in rates]
        return [rate[:, np.newaxis] for rate in rates]

    def _size_of_batch(self, chunk: _Chunk, slot: int) -> int:
        n = self._n
        first = (chunk.start + slot * chunk.size) // self._batch * self._batch
        return min(self._batch, n - first)

    def _rows(self, chunk: _Chunk) -> Array:
        rows = self._order[:, chunk.start : chunk.stop].reshape(-1, chunk.n_pieces, chunk.size)
        return rows.swapaxes(0, 1) if self._leading else rows[0]

    def _chunk_error(self, buffers: _Buffers, n: int) -> Array:
        """Return the weighted sum of the errors of all pieces of a chunk, for each member."""
        workspace = buffers.workspace
        errors = workspace.objective.error(
            workspace.all_z[:n], workspace.all_outputs[:n], buffers.expected[:n]
        )  # (pieces, ..., size)
        if self._problem.weight is not None:
            errors = errors * buffers.weight[:n, ..., 0, :]
        by_member = errors.reshape(n, -1, errors.shape[-1])
        return by_member.sum(axis=(0, 2), dtype=np.float64)


def _plan(n: int, batch: int, per_sample: int, chunk_bytes: int, piece_bytes: int) -> list[_Chunk]:
    """Cut an epoch of n rows into chunks of pieces of one size."""
    largest = max(64, piece_bytes // per_sample)
    chunks: list[_Chunk] = []
    if batch <= largest:  # a batch is a piece; several make a chunk
        at_once = max(1, chunk_bytes // (per_sample * batch))
        full = n // batch
        for first in range(0, full, at_once):
            pieces = min(at_once, full - first)
            chunks.append(_Chunk(first * batch, pieces, batch, [True] * pieces))
        if n % batch:
            chunks.append(_Chunk(full * batch, 1, n % batch, [True]))
        return chunks
    for start in range(0, n, batch):
        stop = min(start + batch, n)
        for first in range(start, stop, largest):
            size = min(largest, stop - first)
            chunks.append(_Chunk(first, 1, size, [first + size == stop]))
    return chunks
