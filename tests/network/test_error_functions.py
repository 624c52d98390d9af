import numpy as np
import pytest
from scipy import special
from sklearn import metrics

from nnexp import ErrorFunction, Network
from nnexp.network import ERROR_FUNCTIONS
from nnexp.network.activations import ACTIVATIONS
from nnexp.network.error_functions import Huber, Quantile, ZeroOne, make_objective, resolve_error_function

RNG = np.random.default_rng(0)
ACTUAL = RNG.uniform(0.05, 0.95, (3, 50))
EXPECTED = RNG.uniform(0.05, 0.95, (3, 50))
YES = (RNG.uniform(size=(3, 50)) > 0.5).astype(float)


def total(name, expected):
    return resolve_error_function(name).value(ACTUAL, expected).sum(axis=0).mean()


def each(metric, expected, **settings):
    return sum(metric(y, a, **settings) for y, a in zip(expected, ACTUAL, strict=True))


@pytest.mark.parametrize(
    ("name", "expected", "oracle"),
    [
        ("squared_error", EXPECTED, lambda y: 0.5 * each(metrics.mean_squared_error, y)),
        ("absolute_error", EXPECTED, lambda y: each(metrics.mean_absolute_error, y)),
        ("quantile", EXPECTED, lambda y: each(metrics.mean_pinball_loss, y, alpha=0.5)),
        ({"name": "quantile", "quantile": 0.9}, EXPECTED, lambda y: each(metrics.mean_pinball_loss, y, alpha=0.9)),
        ("poisson", EXPECTED, lambda y: 0.5 * each(metrics.mean_poisson_deviance, y)),
        ("huber", EXPECTED, lambda y: special.huber(1.0, ACTUAL - y).sum(axis=0).mean()),
        ({"name": "huber", "delta": 0.2}, EXPECTED, lambda y: special.huber(0.2, ACTUAL - y).sum(axis=0).mean()),
        ("log_cosh", EXPECTED, lambda y: np.log(np.cosh(ACTUAL - y)).sum(axis=0).mean()),
        ("binary_cross_entropy", YES, lambda y: each(metrics.log_loss, y)),
        ("hinge", YES, lambda y: each(metrics.hinge_loss, y)),
    ],
)  # fmt: skip
def test_value_equals_that_of_another_library(name, expected, oracle):
    assert total(name, expected) == pytest.approx(oracle(expected), rel=1e-12)


def test_cross_entropy_equals_log_loss():
    probabilities = ACTUAL / ACTUAL.sum(axis=0)
    classes = RNG.integers(0, 3, 50)
    one_hot = np.eye(3)[classes].T
    value = ERROR_FUNCTIONS["cross_entropy"].value(probabilities, one_hot).sum(axis=0).mean()
    assert value == pytest.approx(metrics.log_loss(classes, probabilities.T))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_with_cross_entropy_is_exact_at_inputs_of_1000(dtype):
    z = np.array([[1000.0, -1000.0, 0.0, 1000.0], [-1000.0, 1000.0, 0.0, 1000.0]], dtype=dtype)
    y = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]], dtype=dtype)
    objective = make_objective(ACTIVATIONS["softmax"], ERROR_FUNCTIONS["cross_entropy"])
    a, gradient = np.empty_like(z), np.empty_like(z)
    objective.activation.forward(z, a)
    np.testing.assert_allclose(objective.error(z, a, y), [0, 2000, np.log(2), np.log(2)], rtol=1e-6)
    objective.gradient(z, a, y, gradient, np.empty_like(z))
    np.testing.assert_allclose(gradient, a - y)
    np.testing.assert_allclose(gradient[:, 1], [-1, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_with_binary_cross_entropy_is_exact_at_inputs_of_1000(dtype):
    z = np.array([[1000.0, 1000.0, -1000.0, -1000.0, 0.0]], dtype=dtype)
    y = np.array([[1.0, 0.0, 1.0, 0.0, 1.0]], dtype=dtype)
    objective = make_objective(ACTIVATIONS["sigmoid"], ERROR_FUNCTIONS["binary_cross_entropy"])
    a, gradient = np.empty_like(z), np.empty_like(z)
    objective.activation.forward(z, a)
    np.testing.assert_allclose(objective.error(z, a, y), [0, 1000, 1000, 0, np.log(2)], rtol=1e-6)
    objective.gradient(z, a, y, gradient, np.empty_like(z))
    np.testing.assert_allclose(gradient, [[0, 1, -1, 0, -0.5]])


def test_an_error_function_that_does_not_fit_the_output_names_the_one_that_does():
    network = Network((2, 2), output_activation="identity")
    with pytest.raises(ValueError, match="Use output_activation='softmax'"):
        network.error_and_gradient(np.zeros(6), [[0, 0]], [[1, 0]], "cross_entropy")


@pytest.mark.parametrize(
    ("value", "gradient", "sentence"),
    [
        (lambda a, y: (a - y) ** 2, lambda a, y: a - y, "The gradient of error function 'mine' is wrong"),
        (lambda a, y: np.log(a - a), lambda a, y: a - y, "is not finite"),
        (lambda a, y: np.sum((a - y) ** 2), lambda a, y: 2 * (a - y), "must have the shape of the outputs"),
        (lambda a, y: (a - y) ** 2, lambda a, y: np.zeros(4), "fails on arrays"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_an_error_function_of_the_users_is_checked(value, gradient, sentence):
    with pytest.raises(ValueError) as caught:
        ErrorFunction.from_functions("mine", value, gradient)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error"),
    [(lambda: Quantile(1.0), ValueError), (lambda: Huber(0), ValueError), (lambda: Huber("1"), TypeError)],
)
def test_impossible_parameters_are_refused(make, error):
    with pytest.raises(error, match="must be"):
        make()


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'cross_entropy'"):
        resolve_error_function("crossentropy")


@pytest.mark.parametrize(
    ("actual", "expected", "each", "error"),
    [
        # one column a sample: the highest output is the class
        ([[0.6, 0.2, 0.1], [0.3, 0.5, 0.4], [0.1, 0.3, 0.5]], [[1, 1, 0], [0, 0, 0], [0, 0, 1]], False, [0, 1, 0]),
        # one output: above the half or not
        ([[0.6, 0.4, 0.7, 0.1]], [[1, 1, 0, 0]], False, [0, 1, 1, 0]),
        # labels, each by itself: the errors add up
        ([[0.6, 0.4, 0.7], [0.2, 0.8, 0.9]], [[1, 1, 0], [0, 1, 0]], True, [0, 1, 2]),
        # what is no number is neither right nor wrong
        ([[np.nan, 0.4], [0.3, 0.6]], [[1, 1], [0, 0]], False, [np.nan, 1]),
        ([[np.nan, 0.4]], [[1, 1]], False, [np.nan, 1]),
    ],
)
def test_the_zero_one_error_counts_mistakes(actual, expected, each, error):
    function = ZeroOne(each=each)
    got = function.value(np.array(actual, dtype=float), np.array(expected, dtype=float)).sum(axis=-2)
    np.testing.assert_array_equal(got, error)
    stacked = function.value(np.array([actual, actual], dtype=float), np.array(expected, dtype=float)).sum(axis=-2)
    np.testing.assert_array_equal(stacked, [error, error])


def test_the_zero_one_error_has_no_gradient():
    with pytest.raises(ValueError, match="minimise it by evolution"):
        ZeroOne().gradient(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3)))
