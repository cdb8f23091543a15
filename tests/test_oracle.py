"""The oracle against brute force, finite differences and laws that hold for any network of its kind.

Scores are piecewise linear in the image, so a central difference is the exact derivative unless a kink (a
ReLU at zero, a tie in a pool) lies within the step. Steps are so short that this is rare; seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests import oracle

# float64 rounds scores of size 1 to 1e-15 or so and thus slopes, over the step 1e-5, to 1e-10; the gradients'
# length is above 0.01.
STEP, SLOPE_TOLERANCE = 1e-5, 1e-7
# The same sums in another order differ by rounding alone: 1e-16 for each of some hundred terms.
ROUNDING = 1e-12


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator of random numbers, the same in each test."""
    return np.random.default_rng(231)


@pytest.fixture(scope="module")
def weights() -> oracle.Weights:
    """Return random weights of the whole network."""
    return oracle.random_weights(seed=0)


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    """Return two small images, of a height and a width that differ."""
    return rng.normal(size=(2, 35, 47, 3))


@pytest.fixture
def y(weights: oracle.Weights, X: np.ndarray) -> np.ndarray:
    """Return two labels whose scores are not 0 and so do depend on the image: a first and a second choice."""
    return oracle.scores(weights, X).argsort(axis=1)[[0, 1], [-1, -2]]


def without_biases(weights: oracle.Weights) -> oracle.Weights:
    """Return the weights with all biases zero, which makes scores(t · X) = t · scores(X) for t ≥ 0."""
    return {name: value * (not name.endswith("bias")) for name, value in weights.items()}


def slope(f: Callable[[np.ndarray], float], X: np.ndarray, V: np.ndarray) -> float:
    """Return df(X + t · V)/dt at t = 0, by a central difference."""
    return (f(X + STEP * V) - f(X - STEP * V)) / (2 * STEP)


def assert_gradient(g: np.ndarray, f: Callable[[np.ndarray], float], X: np.ndarray) -> None:
    """Assert that g is the gradient of f at X: that ⟨g, V⟩ is the slope of f in random directions V.

    The directions leave zeros in X alone: those of closed ReLUs tie in a pool's windows, and ties are kinks.
    """
    rng = np.random.default_rng(2)
    assert np.linalg.norm(g) > 0.01, "a gradient this short tests nothing"
    for _ in range(3):
        V = rng.normal(size=X.shape) * (X != 0)
        V /= np.linalg.norm(V)
        assert_allclose(np.vdot(g, V), slope(f, X, V), rtol=0, atol=SLOPE_TOLERANCE * np.linalg.norm(g))


# --- Layers ---


@pytest.mark.parametrize(("size", "stride", "pad"), [(1, 1, 0), (3, 1, 0), (3, 1, 1), (3, 2, 0)])
@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (1, 8, 7, 2)])
def test_convolution_is_its_definition(rng, shape, size, stride, pad):
    """Each output is the bias plus the sum of pixel × kernel over its window; pixels outside are 0."""
    X = rng.normal(size=shape)
    kernel, bias = rng.normal(size=(size, size, shape[3], 4)), rng.normal(size=4)
    Y, _ = oracle.convolution(X, kernel, bias, stride, pad)

    N, H, W, _ = shape
    expected = np.zeros((N, (H + 2 * pad - size) // stride + 1, (W + 2 * pad - size) // stride + 1, 4))
    for n, i, j, out in np.ndindex(*expected.shape):
        expected[n, i, j, out] = bias[out]
        for h, w, c in np.ndindex(kernel.shape[:3]):
            row, column = i * stride + h - pad, j * stride + w - pad
            if 0 <= row < H and 0 <= column < W:
                expected[n, i, j, out] += X[n, row, column, c] * kernel[h, w, c, out]
    assert_allclose(Y, expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("shape", [(2, 3, 3, 1), (1, 7, 9, 2), (1, 8, 6, 2)])
def test_max_pool_is_its_definition(rng, shape):
    """Each output is the largest pixel of its 3×3 window; what is left over at the end fills no window."""
    X = rng.normal(size=shape)
    Y, _ = oracle.max_pool(X)
    N, H, W, C = shape
    expected = np.zeros((N, (H - 1) // 2, (W - 1) // 2, C))
    for n, i, j, c in np.ndindex(*expected.shape):
        expected[n, i, j, c] = max(X[n, 2 * i + h, 2 * j + w, c] for h in range(3) for w in range(3))
    assert_array_equal(Y, expected)


def test_of_equal_pixels_the_first_wins_in_the_max_pool():
    """Of pixels that tie, the whole gradient goes to the first in row-major order."""
    X = np.array([[0, 0, 5], [5, 0, 5], [0, 0, 0]], float)[None, :, :, None]
    _, backward = oracle.max_pool(X)
    assert_array_equal(backward(np.full((1, 1, 1, 1), 3.0))[0, :, :, 0], [[0, 0, 3], [0, 0, 0], [0, 0, 0]])


def test_fire_puts_the_1x1_expand_first(rng, weights):
    """A fire module's first half is ReLU(1×1 · ReLU(squeeze · X)), per pixel."""
    X = rng.normal(size=(2, 4, 5, 64))
    name = "features/layer3/fire"
    Y, _ = oracle.fire(X, weights, name, oracle.RULES["plain"])
    expected = X
    for part in ("squeeze", "e11"):
        kernel, bias = weights[f"{name}/{part}/weights"][0, 0], weights[f"{name}/{part}/bias"]
        expected = np.maximum(np.einsum("nijc,cd->nijd", expected, kernel) + bias, 0)
    assert_allclose(Y[..., :64], expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("k", range(17))
def test_backward_of_each_layer_is_its_derivative(rng, weights, X, k):
    """For f = ⟨G, layer(X)⟩ the backward pass of G gives the slope of f in any direction."""
    inputs = [X, *oracle.forward(weights, X).activations]
    layer = oracle.layers(weights)[k]
    A = rng.normal(size=inputs[k].shape)
    Y, backward = layer(A)
    G = rng.normal(size=Y.shape)
    assert_gradient(backward(G), lambda A: np.vdot(G, layer(A)[0]), A)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("plain", [0, 3, 0, -3]), ("guided", [0, 3, 0, 0]), ("rectified", [3, 3, 0, 0])],
)
def test_rules_by_hand(rule, expected):
    """Plain asks whether the ReLU was open, rectified whether the gradient is positive, guided both."""
    _, backward = oracle.relu(np.array([-1.0, 2, -1, 2]), oracle.RULES[rule])
    assert_array_equal(backward(np.array([3.0, 3, -3, -3])), expected)


# --- Network ---


def test_the_network_has_squeezenets_size(weights):
    """SqueezeNet 1.1 has 52 variables, 1,235,496 parameters, and at 224×224 maps of 111, 55, 27 and 13."""
    assert len(weights) == 52
    assert sum(value.size for value in weights.values()) == 1_235_496
    activations = oracle.forward(weights, np.zeros((1, 224, 224, 3))).activations
    assert [A.shape[1] for A in activations[:16]] == [111] * 2 + [55] * 3 + [27] * 3 + [13] * 8
    channels = [64] * 3 + [128] * 3 + [256] * 3 + [384] * 2 + [512] * 3 + [1000] * 3
    assert [A.shape[-1] for A in activations] == channels


def test_a_score_is_the_mean_over_all_positions(weights, X):
    """The scores are the mean of the classifier's ReLU over every position, whatever the image's size."""
    activations = oracle.forward(weights, X).activations
    assert activations[15].shape == (2, 1, 2, 1000)
    assert_allclose(
        oracle.scores(weights, X), np.maximum(activations[14], 0).mean(axis=(1, 2)), rtol=ROUNDING
    )


@pytest.mark.parametrize("shape", [(1, 31, 31, 3), (2, 35, 47, 3), (1, 47, 40, 3)])
def test_gradient_is_the_slope_of_the_score(rng, weights, shape):
    """The gradient gives the slope of the labels' scores in any direction of the image, also at odd sizes."""
    X = rng.normal(size=shape)
    y = oracle.scores(weights, X).argmax(axis=1)
    g = oracle.gradient(weights, X, y)
    assert_gradient(g, lambda X: oracle.scores(weights, X)[range(len(X)), y].sum(), X)


def log_probability(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return log p_y, written otherwise than in the oracle."""
    return scores[range(len(y)), y] - np.logaddexp.reduce(scores, axis=1)


@pytest.mark.parametrize(
    ("of", "f"),
    [
        (oracle.d_log_probability, lambda scores, y: log_probability(scores, y).sum()),
        (oracle.d_probability, lambda scores, y: np.exp(log_probability(scores, y)).sum()),
        (oracle.d_loss, lambda scores, y: -log_probability(scores, y).mean()),
    ],
)
def test_gradient_of_softmax_and_loss(weights, X, y, of, f):
    """The gradient of the (log-)probability and of the mean cross-entropy is their slope in any direction."""
    assert_gradient(oracle.gradient(weights, X, y, of), lambda X: f(oracle.scores(weights, X), y), X)


@pytest.mark.parametrize("k", range(16))
def test_gradient_with_respect_to_a_layer(weights, X, y, k):
    """The gradient with respect to layer k is the slope of the score when that layer's output is changed."""

    def score_from(A: np.ndarray) -> float:
        for layer in oracle.layers(weights)[k + 1 :]:
            A, _ = layer(A)
        return A[range(2), y].sum()

    A = oracle.forward(weights, X).activations[k]
    assert_gradient(oracle.gradient(weights, X, y, wrt=k), score_from, A)


@pytest.mark.parametrize("k", range(17))
def test_gradient_of_a_filter(weights, X, k):
    """A filter's gradient is the slope of its mean activation; that of several is the sum of theirs."""

    def mean_activation(X: np.ndarray, channel: int) -> float:
        A = oracle.forward(weights, X).activations[k].reshape(2, -1, widths[k])
        return A[:, :, channel].mean(axis=1).sum()

    activations = oracle.forward(weights, X).activations
    widths = [A.shape[-1] for A in activations]
    first, second = np.argsort(activations[k].reshape(-1, widths[k]).mean(axis=0))[-2:]  # surely not dead
    g = oracle.filter_gradient(weights, X, k, first)
    assert_gradient(g, lambda X: mean_activation(X, first), X)
    both = oracle.filter_gradient(weights, X, k, [first, second])
    assert_allclose(both, g + oracle.filter_gradient(weights, X, k, second), rtol=ROUNDING, atol=ROUNDING)


def test_saliency_is_the_largest_slope_of_a_pixels_channels(weights, X, y):
    """The saliency of a pixel is how fast the score changes, at most, with one of its three channels."""
    maps = oracle.saliency(weights, X, y)
    assert maps.shape == X.shape[:3]
    for n, h, w in [(0, 0, 0), (0, 17, 20), (1, 30, 5), (1, 20, 40)]:
        slopes = []
        for c in range(3):
            V = np.zeros_like(X)
            V[n, h, w, c] = 1
            slopes.append(slope(lambda X, n=n: oracle.scores(weights, X)[n, y[n]], X, V))
        assert_allclose(maps[n, h, w], np.abs(slopes).max(), rtol=0, atol=SLOPE_TOLERANCE * maps.max())


def test_without_biases_gradient_times_image_is_the_score(weights, X, y):
    """Euler's law: scores(t · X) = t · scores(X) for t > 0 implies ⟨X, ∂ score / ∂ X⟩ = score."""
    weights = without_biases(weights)
    sums = (X * oracle.gradient(weights, X, y)).sum(axis=(1, 2, 3))
    assert_allclose(sums, oracle.scores(weights, X)[range(2), y], rtol=ROUNDING)


def test_gradient_is_linear_in_what_is_differentiated(rng, weights, X):
    """The gradient of 2f − 3g is twice that of f minus thrice that of g, from any layer to any before it."""
    passed = oracle.forward(weights, X)
    for layer, wrt in [(16, oracle.IMAGE), (9, oracle.IMAGE), (12, 4)]:
        F, G = rng.normal(size=(2, *passed.activations[layer].shape))
        expected = 2 * passed.gradient(F, layer, wrt) - 3 * passed.gradient(G, layer, wrt)
        g = passed.gradient(2 * F - 3 * G, layer, wrt)
        assert_allclose(g, expected, rtol=0, atol=ROUNDING * np.abs(expected).max())


@pytest.mark.parametrize("rule", oracle.RULES)
def test_images_do_not_see_each_other(weights, X, y, rule):
    """A batch's gradients are those of its images one by one."""
    one_by_one = [oracle.gradient(weights, X[n : n + 1], y[n : n + 1], rule=rule)[0] for n in range(2)]
    g = oracle.gradient(weights, X, y, rule=rule)
    assert_allclose(g, one_by_one, rtol=0, atol=ROUNDING * np.abs(g).max())


def test_all_rules_agree_where_everything_is_positive(weights, X, y):
    """Positive weights and images open all ReLUs and make all gradients positive: no rule stops anything."""
    positive = {name: np.abs(value) for name, value in weights.items()}
    plain, guided, rectified = (oracle.gradient(positive, np.abs(X), y, rule=rule) for rule in oracle.RULES)
    assert np.all(plain >= 0)
    assert plain.max() > 0
    assert_array_equal(guided, plain)
    assert_array_equal(rectified, plain)


@pytest.mark.parametrize("rule", ["guided", "rectified"])
def test_only_what_raises_the_score_passes_guided_and_rectified(weights, X, y, rule):
    """For −score the first ReLU on the way back gets no positive gradient, and both rules stop the others."""
    g = oracle.gradient(weights, X, y, of=lambda scores, y: -oracle.d_score(scores, y), rule=rule)
    assert_array_equal(g, 0 * X)


def test_a_rule_of_ones_own(weights, X, y):
    """A function of (output, gradient) serves as a rule, and meets each of the 26 ReLUs once."""
    met = []

    def rule(Y: np.ndarray, G: np.ndarray) -> np.ndarray:
        met.append(Y.shape)
        return np.where(Y > 0, G, 0)

    assert_array_equal(oracle.gradient(weights, X, y, rule=rule), oracle.gradient(weights, X, y))
    assert len(met) == 26
