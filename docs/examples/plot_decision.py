"""
What a hidden layer changes
===========================

Two half circles cannot be told apart by a line. A network without a hidden layer draws one; a few hidden neurons bend it, whether they
are trained by gradient or bred by evolution.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from nnexp import BackpropMLP

X, y = make_moons(200, noise=0.15, random_state=0)
free = {"l2": 0.0, "random_state": 0}  # nothing holds the weights back: the border may be as sharp as it likes
models = {
    "no hidden layer": BackpropMLP(hidden_layer_sizes=(), **free),
    "8 hidden neurons, descent": BackpropMLP(hidden_layer_sizes=(8,), learning_rate=0.05, dropout=0.0, **free),
    "8 hidden neurons, evolution": BackpropMLP(hidden_layer_sizes=(8,), algorithm="snes", **free),
}

# %%
# The shade is the probability of the second class, the line where both are as probable.

east, north = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.2, 1.7, 120))
grid = np.column_stack([east.ravel(), north.ravel()])
figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), sharex=True, sharey=True, layout="constrained")
for panel, (name, model) in zip(panels, models.items(), strict=True):
    model.fit(X, y)
    probability = model.predict_proba(grid)[:, 1].reshape(east.shape)
    panel.contourf(east, north, probability, levels=11, cmap="cividis", alpha=0.7)
    panel.contour(east, north, probability, levels=[0.5], colors="black")
    panel.scatter(*X.T, c=y, cmap="cividis", edgecolors="white", s=18)
    panel.set_title(f"{name}: {model.score(X, y):.2f}")
plt.show()

# %%
# What it cost, in evaluations: a forward pass of a network over a sample is one, a pass there and back three.

for name, model in models.items():
    print(f"{name:30} {model.evaluations_:>12,}")
