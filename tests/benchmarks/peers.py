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


def generations_available():
    """Return the function that makes a loop of generations, by the name of each peer that can be imported.

    Each is given X, y, the neurons of the hidden layer, the networks and the samples of a batch, and returns a function that
    does a number of generations: tanh, cross-entropy, crossover, Gaussian mutation, float32.
    """
    found = {}
    for name, module, make in (
        ("PyGAD", "pygad", evolve_with_pygad),
        ("EvoTorch", "evotorch", evolve_with_evotorch),
        ("JAX", "jax", evolve_with_jax),
    ):
        if importlib.util.find_spec(module) is not None:
            try:
                importlib.import_module(module)
            except Exception as error:
                print(f"{name} is installed but cannot be imported: {error}")
                continue
            found[name] = make
    return found


def evolve_with_pygad(X, y, hidden, population, batch):
    """PyGAD, whose fitness function is given one network at a time, here a forward pass in NumPy."""
    import pygad

    a, b, c = X.shape[1], hidden, int(y.max()) + 1
    rng = np.random.default_rng(0)
    rows = np.arange(len(X))

    def fitness(ga, genes, index):
        first, second = genes[: (a + 1) * b].reshape(a + 1, b), genes[(a + 1) * b :].reshape(b + 1, c)
        out = np.tanh(X[rows] @ first[:-1] + first[-1])
        z = out @ second[:-1] + second[-1]
        z = z - z.max(axis=1, keepdims=True)
        return float((z[np.arange(len(rows)), y[rows]] - np.log(np.exp(z).sum(axis=1))).mean())

    def redraw(ga):
        nonlocal rows
        rows = np.arange(len(X)) if batch == len(X) else rng.choice(len(X), batch, replace=False)

    def evolve(generations):
        redraw(None)
        pygad.GA(
            num_generations=generations, num_parents_mating=10, sol_per_pop=population, num_genes=(a + 1) * b + (b + 1) * c,
            fitness_func=fitness, gene_type=np.float32, init_range_low=-0.3, init_range_high=0.3, parent_selection_type="sss",
            keep_elitism=4, crossover_type="uniform", mutation_type="random", mutation_probability=0.3,
            random_mutation_min_val=-0.03, random_mutation_max_val=0.03, on_generation=redraw, suppress_warnings=True,
            random_seed=0,
        ).run()  # fmt: skip

    return evolve


def evolve_with_evotorch(X, y, hidden, population, batch):
    """EvoTorch's genetic algorithm with a vectorised fitness: batched matrix products of all networks."""
    import logging

    import torch
    from evotorch import Problem
    from evotorch.algorithms import GeneticAlgorithm
    from evotorch.operators import GaussianMutation, OnePointCrossOver

    logging.getLogger("evotorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    inputs, target = torch.from_numpy(X), torch.from_numpy(y)
    a, b, c = X.shape[1], hidden, int(y.max()) + 1

    def errors(genes):
        rows = slice(None) if batch == len(X) else torch.randperm(len(X))[:batch]
        own, expected = inputs[rows], target[rows]
        first = genes[:, : (a + 1) * b].reshape(-1, a + 1, b)
        second = genes[:, (a + 1) * b :].reshape(-1, b + 1, c)
        out = torch.tanh(own @ first[:, :-1] + first[:, -1:])
        z = torch.bmm(out, second[:, :-1]) + second[:, -1:]
        log_p = torch.log_softmax(z, dim=2)
        return -log_p[:, torch.arange(len(expected)), expected].mean(dim=1)

    def evolve(generations):
        torch.manual_seed(0)
        problem = Problem(
            "min", errors, solution_length=(a + 1) * b + (b + 1) * c, initial_bounds=(-0.3, 0.3), dtype=torch.float32,
            vectorized=True,
        )  # fmt: skip
        operators = [OnePointCrossOver(problem, tournament_size=4), GaussianMutation(problem, stdev=0.03)]
        searcher = GeneticAlgorithm(problem, operators=operators, popsize=population)
        for _ in range(generations):
            searcher.step()

    return evolve


def evolve_with_jax(X, y, hidden, population, batch):
    """A generation in one jit-compiled function: vmap over the networks, truncation, uniform crossover, mutation."""
    import jax
    import jax.numpy as jnp

    inputs, target = jnp.asarray(X), jnp.asarray(y)
    a, b, c = X.shape[1], hidden, int(y.max()) + 1
    d, elite, parents = (a + 1) * b + (b + 1) * c, 4, 10

    def error(genes, own, expected):
        first, second = genes[: (a + 1) * b].reshape(a + 1, b), genes[(a + 1) * b :].reshape(b + 1, c)
        z = jnp.tanh(own @ first[:-1] + first[-1]) @ second[:-1] + second[-1]
        return -jnp.mean(jax.nn.log_softmax(z)[jnp.arange(len(expected)), expected])

    @jax.jit
    def generation(networks, key):
        rows_key, one_key, coin_key, noise_key, where_key = jax.random.split(key, 5)
        rows = jnp.arange(len(X)) if batch == len(X) else jax.random.choice(rows_key, len(X), (batch,), replace=False)
        errors = jax.vmap(error, in_axes=(0, None, None))(networks, inputs[rows], target[rows])
        best = networks[jnp.argsort(errors)[:parents]]
        both = jax.random.randint(one_key, (2, population - elite), 0, parents)
        coins = jax.random.bernoulli(coin_key, 0.5, (population - elite, d))
        children = jnp.where(coins, best[both[0]], best[both[1]])
        mutates = jax.random.bernoulli(where_key, 0.3, children.shape)
        children += 0.03 * jax.random.normal(noise_key, children.shape) * mutates
        return jnp.concatenate([best[:elite], children])

    def evolve(generations):
        key = jax.random.key(0)
        networks = 0.2 * jax.random.normal(key, (population, d))
        for own in jax.random.split(key, generations):
            networks = generation(networks, own)
        jax.block_until_ready(networks)

    return evolve
