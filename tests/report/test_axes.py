"""Where trials stand on the axes of parameters."""

import numpy as np
import pandas as pd
import pytest

from nnexp.report.figures.axes import ABSENT, axis_of, lines_of
from nnexp.sweep.space import Leaf


def column(*values):
    return pd.Series(values, dtype=object if any(isinstance(v, str | bool) for v in values) else None)


def test_a_declared_logarithm_is_one_whatever_the_ratio():
    leaf = Leaf("learning_rate", "float", 0.01, 0.04, log=True)
    axis = axis_of(column(0.01, 0.02), "learning_rate", leaf)
    np.testing.assert_allclose(axis.place(column(0.01, 0.02, 0.04)), [0, 0.5, 1])
    assert axis.ticks == [(0.0, "0.01"), (pytest.approx(0.5), "0.02"), (pytest.approx(1.0), "0.04")]
    plain = axis_of(column(0.001, 0.1), "rate", Leaf("rate", "float", 0.0, 0.1))  # nor is one where none was declared
    np.testing.assert_allclose(plain.place(column(0.05)), [0.5])


def test_whole_numbers_have_whole_ticks():
    axis = axis_of(column(1, 4), "layers", Leaf("layers", "int", 1, 4))
    assert [text for _, text in axis.ticks] == ["1", "2", "4"]
    assert axis.ticks[1][0] == pytest.approx(1 / 3)
    assert [text for _, text in axis_of(column(1, 2), "layers", Leaf("layers", "int", 1, 2)).ticks] == ["1", "2"]


def test_what_took_no_part_has_a_place_of_its_own():
    axis = axis_of(column(8.0, np.nan, 64.0), "neurons_2", Leaf("neurons_2", "int", 8, 64, log=True))
    assert axis.place(column(8.0, np.nan, 64.0)).tolist() == [0.0, ABSENT, 1.0]
    assert axis.ticks[0] == (ABSENT, "not there")
    words = axis_of(column("a", None, "b"), "w", None)
    assert words.place(column("b", None)).tolist() == [1.0, ABSENT]


def test_choices_stand_in_the_order_in_which_they_were_declared():
    leaf = Leaf("activation", "choice", choices=("tanh", "relu", "sigmoid"))
    axis = axis_of(column("relu", "tanh"), "activation", leaf)
    assert axis.ticks == [(0.0, "tanh"), (1.0, "relu")]
    numbers = axis_of(column(4, 16, 64), "batch_size", Leaf("batch_size", "choice", choices=(4, 64, 16)))
    assert numbers.place(column(4, 64, 16)).tolist() == [0.0, 0.5, 1.0]
    flags = axis_of(column(True, False), "shuffle", None)
    assert flags.place(column(False, True)).tolist() == [0.0, 1.0]


def test_without_a_space_the_values_decide():
    assert axis_of(column(0.001, 1.0), "x", None).is_log
    assert not axis_of(column(0.5, 1.0), "x", None).is_log
    assert axis_of(column(1, 30), "x", None).is_whole
    one = axis_of(column(3.0, 3.0), "x", None)
    assert one.ticks == [(0.0, "3")]
    assert one.place(column(3.0)).tolist() == [0.0]


def test_names_are_whole_and_broken_into_lines():
    name = "hidden_layer_sizes.neurons_2"
    assert lines_of(name).replace("\n", "") == name
    assert max(map(len, lines_of(name).splitlines())) <= 16
    assert lines_of("layers") == "layers"
