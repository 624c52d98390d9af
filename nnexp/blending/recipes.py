"""What `TabularMLP` tries: kinds of networks that are good at different things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np

Recipe = Mapping[str, Any]

# Decay instead of a penalty, and a rate that falls.
_DECAY = {"activation": "silu", "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.01, "l2": 0.0}
# Parameters of `BackpropMLP`, an encoding as those of `TableEncoder`. Chosen among some thirty on cuts of 15 tables to 200, 600,
# 2,000 and 4,000 rows, two seeds: those whose blend has the lowest loss for what they cost.
RECIPES: Mapping[str, Recipe] = {
    "scaled": {},
    "16 pieces": {
        "encoding": {"pieces": 16, "clip": True},
        "hidden_layer_sizes": (32, 32),
        "dropout": 0.1,
        "n_iter_no_change": 10,
        **_DECAY,
    },
    "8 pieces, one small layer": {"encoding": {"pieces": 8, "clip": True}, "hidden_layer_sizes": (16,), **_DECAY},
}

_PIECES = (0, 8, 16, 32)
_SCALES = ("standard", "robust")
_HIDDEN = ((), (16,), (32,), (32, 32), (64, 64), (128,), (48, 48, 48))
_ACTIVATIONS = ("silu", "silu", "tanh")
_CONNECTIONS = ("full", "full", 0.3)
_DROPOUT = (0.0, 0.1, 0.2, 0.3)


def draw(rng: np.random.Generator) -> Iterator[tuple[str, Recipe]]:
    """Yield further recipes without end, drawn at random, each with a name."""
    for number in count(1):
        pieces, scale = int(rng.choice(_PIECES)), str(rng.choice(_SCALES))
        hidden = _HIDDEN[rng.integers(len(_HIDDEN))]
        recipe = {
            "encoding": {"pieces": pieces, "clip": True, "scale": scale},
            "hidden_layer_sizes": hidden,
            "activation": str(rng.choice(_ACTIVATIONS)),
            "connections": _CONNECTIONS[rng.integers(len(_CONNECTIONS))],
            "optimizer": "adamw",
            "learning_rate": float(np.exp(rng.uniform(np.log(0.004), np.log(0.02)))),
            "weight_decay": float(np.exp(rng.uniform(np.log(0.003), np.log(0.1)))),
            "l2": 0.0,
            "dropout": float(rng.choice(_DROPOUT)),
            "n_iter_no_change": 10,
        }
        yield f"drawn {number}", recipe
