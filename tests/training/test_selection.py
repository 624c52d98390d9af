import numpy as np
import pytest
from scipy import stats

from nnexp.training import SELECTIONS
from nnexp.training.selection import Rank, Roulette, StochasticUniversal, Tournament, Truncation

SIZE = 20
ERRORS = np.sort(np.random.default_rng(3).exponential(size=SIZE))


def linear(pressure):
    # Baker 1985: the expected count falls linearly from pressure to 2 − pressure.
    return np.linspace(pressure, 2 - pressure, SIZE) / SIZE


def by_tournament(k):
    # The best of k drawn has a rank of at least r with probability ((size − r) / size)^k.
    return -np.diff(((SIZE - np.arange(SIZE + 1)) / SIZE) ** k)


PROBABILITIES = [
    (Truncation(0.2), np.where(np.arange(SIZE) < 4, 0.25, 0.0)),
    (Truncation(0.001), np.where(np.arange(SIZE) < 1, 1.0, 0.0)),
    (Tournament(1), np.full(SIZE, 1 / SIZE)),
    (Tournament(3), by_tournament(3)),
    (Rank(2.0), linear(2.0)),
    (Rank(1.3), linear(1.3)),
    (StochasticUniversal(1.7), linear(1.7)),
    (Roulette(), (ERRORS[-1] - ERRORS) / (ERRORS[-1] - ERRORS).sum()),
]


@pytest.mark.parametrize(("selection", "expected"), PROBABILITIES, ids=lambda own: repr(own)[:30])
def test_parents_are_drawn_with_their_probabilities(selection, expected):
    drawn = selection.draw(ERRORS, 50_000, np.random.default_rng(0))
    assert drawn.shape == (50_000, 2)
    counts = np.bincount(drawn.ravel(), minlength=SIZE)
    possible = expected > 0
    assert not counts[~possible].any()
    if possible.sum() > 1:
        assert stats.chisquare(counts[possible], expected[possible] * counts.sum()).pvalue > 1e-3
    # Both parents, and each from the other independently.
    first, second = (np.bincount(drawn[:, i], minlength=SIZE) / len(drawn) for i in (0, 1))
    np.testing.assert_allclose(first, second, atol=0.02)


def test_every_selection_of_the_table_is_tested():
    assert {type(selection).name for selection, _ in PROBABILITIES} == set(SELECTIONS)


@pytest.mark.parametrize("n", [7, 40, 333])
def test_stochastic_universal_sampling_draws_each_as_often_as_it_is_due_give_or_take_less_than_one(n):
    selection = StochasticUniversal(2.0)
    for seed in range(20):
        drawn = selection.draw(ERRORS, n, np.random.default_rng(seed))
        counts = np.bincount(drawn.ravel(), minlength=SIZE)
        assert (np.abs(counts - 2 * n * linear(2.0)) < 1).all()


@pytest.mark.parametrize("name", SELECTIONS)
def test_networks_with_an_infinite_error_are_no_parents_where_the_error_decides(name):
    errors = np.r_[ERRORS[:10], np.full(10, np.inf)]
    drawn = SELECTIONS[name].draw(errors, 500, np.random.default_rng(0))
    if name in ("roulette", "truncation"):
        assert drawn.max() < 10


@pytest.mark.parametrize("errors", [np.ones(8), np.full(8, np.inf), np.r_[1.0, np.full(7, np.inf)]])
@pytest.mark.parametrize("name", SELECTIONS)
def test_equal_and_hopeless_populations_have_parents_too(name, errors):
    drawn = SELECTIONS[name].draw(errors, 30, np.random.default_rng(0))
    assert drawn.shape == (30, 2)
    assert drawn.min() >= 0
    assert drawn.max() < 8
    if name == "roulette" and not np.isfinite(errors).any():
        assert len(set(drawn.ravel())) == 8


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Truncation(0.0), "Truncation(share=...) must be in (0, 1]"),
        (lambda: Truncation(1.5), "Truncation(share=...)"),
        (lambda: Tournament(0), "Tournament(size=...)"),
        (lambda: Tournament(2**62), "Tournament(size=...)"),
        (lambda: Rank(1.0), "Rank(pressure=...) must be in (1, 2]"),
        (lambda: StochasticUniversal(2.1), "StochasticUniversal(pressure=...)"),
    ],
)
def test_impossible_settings_are_named(make, said):
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)
