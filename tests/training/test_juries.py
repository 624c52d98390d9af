"""Juries: whose rows decide about a member."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnexp.training.juries import Juries


@pytest.mark.parametrize(
    ("n", "sizes"), [(2, [2]), (3, [3]), (4, [4]), (7, [7]), (8, [4, 4]), (10, [5, 5]), (13, [5, 4, 4])]
)
def test_folds_are_judged_by_juries_of_four_to_seven(n, sizes):
    juries = Juries.of_folds(n)
    assert np.bincount(juries.numbers).tolist() == sizes
    assert [len(part) for part in juries.apart()] == sizes


def test_the_mean_of_the_others_by_hand():
    juries = Juries(np.array([0, 0, 0, -1, 1, 1, 2]))
    values = np.array([1.0, 2.0, 6.0, 5.0, 7.0, np.nan, 4.0])
    got = juries.mean_of_the_others(values)
    np.testing.assert_array_equal(got, [4.0, 3.5, 1.5, np.nan, np.nan, 7.0, np.nan])


def test_a_value_that_is_large_costs_the_others_no_digits():
    values = np.array([0.1, 1e30, 0.2, 0.3])
    assert Juries.of_folds(4).mean_of_the_others(values)[1] == pytest.approx(0.2, rel=1e-15)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_the_mean_of_the_others_is_that_of_numpy_and_the_same_bits_in_any_company(sizes, seed):
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(len(sizes)), sizes)
    values = np.where(rng.random(len(numbers)) < 0.2, np.nan, rng.normal(size=len(numbers)))
    got = Juries(numbers).mean_of_the_others(values)
    for member, jury in enumerate(numbers):
        others = values[(numbers == jury) & (np.arange(len(numbers)) != member)]
        others = others[~np.isnan(others)]
        if others.size:
            assert got[member] == pytest.approx(others.mean(), rel=1e-12, abs=1e-12)
        else:
            assert np.isnan(got[member])
    for jury in range(len(sizes)):
        inside = numbers == jury
        np.testing.assert_array_equal(
            got[inside], Juries(np.zeros(sizes[jury], dtype=int)).mean_of_the_others(values[inside])
        )


def test_juries_of_several_trainings_stay_apart():
    joined = Juries.join([Juries.of_folds(8), Juries(np.array([-1, -1])), Juries.of_folds(2)])
    assert joined.numbers.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, -1, -1, 2, 2]
    assert [part.tolist() for part in joined.apart()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8], [9], [10, 11]]
    assert joined.of(6).tolist() == [4, 5, 6, 7]
    waiting = joined.that_wait(np.array([5, 8]))
    assert np.flatnonzero(waiting).tolist() == [4, 5, 6, 7]
