"""The same training in PyTorch and JAX, where they are installed: Adam, tanh, cross-entropy, shuffled batches, float32."""

import importlib.util
import itertools

import numpy as np


def available():
    """Return the function that makes a training loop, by the name of each peer that can be imported."""
    found = {}
    for name, module, make in (("PyTorch", "torch", with_torch), ("JAX", "jax", with_jax)):
        if importlib.util.find_spec(module) is not None:
            try:
                importlib.import_module(module)
            except Exception as error:  # an installation without its libraries
                print(f"{name} is installed but cannot be imported: {error}")
                continue
            found[name] = make
    return found


def with_torch(X, y, hidden, batch, epochs):
    import torch

    torch.set_num_threads(1)
    inputs, target = torch.from_numpy(X), torch.from_numpy(y)
    sizes = (X.shape[1], *hidden, int(y.max()) + 1)

    def fit():
        torch.manual_seed(0)
        layers = []
        for a, b in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(a, b), torch.nn.Tanh()]
        network = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
        for _ in range(epochs):
            order = torch.randperm(len(inputs))
            for first in range(0, len(inputs), batch):
                rows = order[first : first + batch]
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(inputs[rows]), target[rows]).backward()
                optimizer.step()

    return fit


def with_jax(X, y, hidden, batch, epochs):
    import jax
    import jax.numpy as jnp

    sizes = (X.shape[1], *hidden, int(y.max()) + 1)
    inputs, target = jnp.asarray(X), jnp.asarray(y)
    n_batches = len(X) // batch  # a scan needs batches of one size; the few samples left over are skipped

    def error(weights, rows):
        a = inputs[rows]
        for w, b in weights[:-1]:
            a = jnp.tanh(a @ w + b)
        z = a @ weights[-1][0] + weights[-1][1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(rows)), target[rows]])

    def update(carry, rows):
        weights, first, second, t = carry
        gradient = jax.grad(error)(weights, rows)
        t = t + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, first, second)
        return (weights, first, second, t), 0.0

    @jax.jit
    def epoch(carry, key):
        rows = jax.random.permutation(key, len(X))[: n_batches * batch].reshape(n_batches, batch)
        return jax.lax.scan(update, carry, rows)[0]

    rng = np.random.default_rng(0)
    start = [
        (jnp.asarray(rng.normal(size=(a, b)).astype(np.float32) * (2 / (a + b)) ** 0.5), jnp.zeros(b, jnp.float32))
        for a, b in itertools.pairwise(sizes)
    ]

    def fit():
        zeros = jax.tree.map(jnp.zeros_like, start)
        carry = (start, zeros, zeros, jnp.zeros((), jnp.float32))
        key = jax.random.key(0)
        for _ in range(epochs):
            key, own = jax.random.split(key)
            carry = epoch(carry, own)
        jax.block_until_ready(carry)

    return fit
