"""What `TabularMLP` tries: kinds of networks that are good at different things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np

Recipe = Mapping[str, Any]

# Decay instead of a penalty, and a rate that falls.
_DECAY = {"activation": "silu", "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.01, "l2": 0.0}
# Parameters of `BackpropMLP`, an encoding as those of `TableEncoder`.
RECIPES: Mapping[str, Recipe] = {
    "scaled": {},
    "16 pieces": {"encoding": {"pieces": 16, "clip": True}, **_DECAY},
    "32 pieces": {"encoding": {"pieces": 32, "clip": True}},
}

_PIECES = (0, 8, 16, 32, 64)
_HIDDEN = ((), (32,), (64, 64), (64, 64), (128, 128), (256,), (64, 64, 64))
_ACTIVATIONS = ("tanh", "silu", "relu")


def draw(rng: np.random.Generator) -> Iterator[tuple[str, Recipe]]:
    """Yield further recipes without end, drawn at random, each with a name."""
    for number in count(1):
        hidden = _HIDDEN[rng.integers(len(_HIDDEN))]
        recipe = {
            "encoding": {
                "pieces": int(rng.choice(_PIECES)),
                "clip": True,
                "scale": str(rng.choice(["standard", "robust"])),
            },
            "hidden_layer_sizes": hidden,
            "activation": str(rng.choice(_ACTIVATIONS)),
            "optimizer": "adamw",
            "learning_rate": float(np.exp(rng.uniform(np.log(0.002), np.log(0.03)))),
            "weight_decay": float(np.exp(rng.uniform(np.log(0.001), np.log(0.2)))),
            "l2": 0.0,
            "dropout": float(rng.choice([0.0, 0.1, 0.2, 0.4])),
        }
        yield f"drawn {number}", recipe
