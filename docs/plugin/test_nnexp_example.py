"""What every part of its kind must do, checked for each part; add tests of what makes yours special."""

import nnexp_example as example

from nnexp.testing import parametrize_with_checks


@parametrize_with_checks(
    [
        example.Snake(),
        example.Fair(),
        example.Orthodox(),
        example.Sign(),
        example.InverseRoot(),
        example.HillClimbing(population_size=8),
        example.ExponentialRank(),
        example.Layers(),
        example.Cauchy(),
        example.TWO_MOONS,
    ]
)
def test_parts_keep_the_promises_of_their_kind(part, check):
    check(part)
