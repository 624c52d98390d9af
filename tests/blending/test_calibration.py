"""Calibration of averaged probabilities, against what is known of them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from nnexp.blending.calibration import Calibration


def test_who_rules_out_what_happens_in_one_case_of_20_is_believed_in_19():
    """The lowest loss of one who says 0 or 1 and errs in 5 % of cases is the entropy of 5 %."""
    y = np.arange(400) % 2
    values = np.eye(2)[np.where(np.arange(400) < 20, 1 - y, y)]
    calibration = Calibration.fit(values, np.eye(2)[y], None, True)
    entropy = -(0.05 * np.log(0.05) + 0.95 * np.log(0.95))
    assert log_loss(y, calibration.apply(values)) == pytest.approx(entropy, rel=1e-3)
    assert log_loss(y, values) > 1.5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(temperature):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (20_000, 3))
    y = (z / temperature + rng.gumbel(size=z.shape)).argmax(axis=1)
    calibration = Calibration.fit(softmax(z, axis=1), np.eye(3)[y], None, True)
    assert calibration.temperature == pytest.approx(temperature, rel=0.05)


def test_probabilities_add_up_to_1_and_keep_their_order():
    p = np.random.default_rng(0).dirichlet(np.full(4, 0.05), 200)
    out = Calibration(2.0, 1e-4, True).apply(p)
    np.testing.assert_allclose(out.sum(axis=1), 1.0)
    assert (out.argmax(axis=1) == p.argmax(axis=1)).all()
    assert out.min() > 0


def test_labels_are_calibrated_one_by_one_also_where_they_add_up_to_1():
    """Two labels of probability 0.2 and 0.8: at temperature 2 the odds are 1 : 2 and 2 : 1."""
    out = Calibration(2.0, 1e-12, False).apply(np.array([[0.2, 0.8]]))
    np.testing.assert_allclose(out, [[1 / 3, 2 / 3]])
    out = Calibration(2.0, 1e-12, False).apply(np.array([[0.2, 0.2]]))
    np.testing.assert_allclose(out, [[1 / 3, 1 / 3]])
