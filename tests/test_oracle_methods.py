"""The oracle's methods against laws that hold whatever the weights are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter1d

from tests import oracle, oracle_methods

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

LOWEST, HIGHEST = (
    [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
    [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225],
)
"""What a black and a white pixel are after preprocessing."""


@pytest.fixture(scope="module")
def weights() -> oracle.Weights:
    """Return random weights of the whole network."""
    return oracle.random_weights(seed=0)


@pytest.fixture(scope="module")
def target(weights: oracle.Weights, X: np.ndarray) -> int:
    """Return the network's second choice for the image, close enough to be reached by ascent."""
    return int(oracle.scores(weights, X)[0].argsort()[-2])


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    """Return one small image of valid pixels."""
    return np.random.default_rng(231).uniform(LOWEST, HIGHEST, size=(1, 40, 47, 3))


def blurred(X: np.ndarray) -> np.ndarray:
    """Blur rows, then columns."""
    return gaussian_filter1d(gaussian_filter1d(X, 0.5, axis=1), 0.5, axis=2)


# --- Ascent on the image ---


def test_a_fooling_step_has_its_length_and_points_uphill(weights, X, target):
    """A step of length ε raises the score by ε · ‖g‖₂, more than any other step of this length could."""
    length = 1e-5  # short enough to cross no kink, so that the score is linear
    stepped, trace = oracle_methods.fooling_image(weights, X, target, learning_rate=length, max_iterations=1)
    assert_allclose(np.linalg.norm(stepped - X), length, rtol=1e-9)  # rounding of X is 1e-16 · 1e5
    assert_array_equal(trace, oracle.scores(weights, X)[:, target])
    rise = oracle.scores(weights, stepped)[0, target] - trace[0]
    assert_allclose(rise / length, np.linalg.norm(oracle.gradient(weights, X, [target])), rtol=1e-7)


def test_fooling_stops_once_it_has_fooled(weights, X, target):
    """The last image is taken for the target, the one before it was not, and X is as it was."""
    original = X.copy()
    fooled, trace = oracle_methods.fooling_image(weights, X, target, learning_rate=0.1)
    assert oracle.scores(weights, fooled).argmax() == target
    steps = len(trace) - 1
    assert 1 < steps < 99
    before, shorter = oracle_methods.fooling_image(weights, X, target, 0.1, max_iterations=steps - 1)
    assert shorter == trace[: steps - 1]
    assert oracle.scores(weights, before).argmax() != target
    assert_array_equal(X, original)


def test_an_image_that_is_the_target_is_left_alone(weights, X):
    """No step is made when the network says the target already."""
    fooled, trace = oracle_methods.fooling_image(weights, X, oracle.scores(weights, X).argmax())
    assert_array_equal(fooled, X)
    assert len(trace) == 1


def test_class_visualization_without_a_score_is_decay_and_blur(weights, X):
    """With scores all 0, −l2_reg · ‖X‖² shrinks X by 1 − 2 · learning_rate · l2_reg, whatever the jitter."""
    weights = {name: 0 * value for name, value in weights.items()}
    jitters = [(3, -5), (0, 2), (-16, 16)]
    result = oracle_methods.class_visualization(
        weights, 7, X, jitters, learning_rate=25, l2_reg=1e-3, blur_every=2
    )
    decay = 1 - 2 * 25 * 1e-3
    assert_allclose(result, blurred(decay * decay * blurred(decay * X)), rtol=1e-12, atol=1e-12)  # rounding


def test_class_visualization_clips_to_black_and_white_and_then_blurs(weights, X, target):
    """An endless step takes pixels to the lightest where the gradient is positive, else to the darkest."""
    result = oracle_methods.class_visualization(weights, target, X, [(0, 0)], learning_rate=1e12, l2_reg=0)
    g = oracle.gradient(weights, X, [target])
    assert_array_equal(result, blurred(np.where(g > 0, HIGHEST, np.where(g < 0, LOWEST, X))))


def test_class_visualization_ascends(weights, X, target):
    """Its steps raise the target's score over what clipping and blurring alone make of it."""
    jitters = [(1, 2), (-3, 0), (2, 2)]
    ascended = oracle_methods.class_visualization(weights, target, X, jitters)
    still = oracle_methods.class_visualization(weights, target, X, jitters, learning_rate=0)
    assert oracle.scores(weights, ascended)[0, target] > 1.5 * oracle.scores(weights, still)[0, target]


def test_jitter_moves_the_image_down_and_right(weights, X, target):
    """A jitter is the same as a start moved down and right, but for the blur's edges."""
    jittered = oracle_methods.class_visualization(weights, target, X, [(3, -5)])
    moved = np.roll(np.roll(X, 3, axis=1), -5, axis=2)
    unjittered = oracle_methods.class_visualization(weights, target, moved, [(0, 0)])
    inner = np.zeros((40, 47), bool)
    inner[2:-5, 7:-2] = True  # two pixels, the blur's reach, from the edges of either
    expected = np.roll(np.roll(unjittered, -3, axis=1), 5, axis=2)
    assert_allclose(jittered[:, inner], expected[:, inner], rtol=1e-12, atol=1e-12)  # rounding
    without = oracle_methods.class_visualization(weights, target, X, [(0, 0)])
    assert not np.allclose(jittered, without, atol=1e-3)


# --- Attribution ---


def test_grad_cam_of_the_last_map_is_the_labels_channel(weights, X, target):
    """The score is one channel's mean over the classifier's ReLU, so there the map adds up to the score."""
    X = np.tile(X, (1, 2, 2, 1))
    cam = oracle_methods.grad_cam(weights, X, [target], layer=15)
    assert cam.shape == (1, 4, 4)
    assert_allclose(cam.sum(axis=(1, 2)), oracle.scores(weights, X)[:, target], rtol=1e-12)  # rounding


def test_grad_cam_weighs_channels_by_their_effect_on_the_score(weights, X):
    """Raising a channel by t everywhere changes the score by t · α · (number of positions)."""
    X = np.tile(X, (1, 2, 2, 1))
    A = oracle.forward(weights, X).activations[12]
    target = oracle.scores(weights, X)[0].argsort()[
        500
    ]  # a middling label: parts of the image speak against it
    positions, t = A.shape[1] * A.shape[2], 1e-5

    def score(A: np.ndarray) -> float:
        for layer in oracle.layers(weights)[13:]:
            A, _ = layer(A)
        return A[0, target]

    raised = t * np.eye(A.shape[-1])
    alpha = np.array([score(A + one) - score(A - one) for one in raised]) / (2 * t) / positions
    cam = oracle_methods.grad_cam(weights, X, [target], layer=12)
    assert (A @ alpha).min() < -0.1 < 0.1 < cam.max()
    assert_allclose(cam, np.maximum(0, A @ alpha), rtol=1e-7, atol=1e-8)  # scores' rounding, 1e-15, over 2t


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(weights, X, target):
    """Completeness: attributions add up to score(X) − score(baseline), but for the quadrature's error."""
    baseline = np.full_like(X, 0.2)
    difference = (oracle.scores(weights, X) - oracle.scores(weights, baseline))[:, target]
    sums = oracle_methods.integrated_gradients(weights, X, [target], baseline, steps=100).sum(axis=(1, 2, 3))
    # The gradient jumps where the path crosses a kink, so the error falls only as 1 / steps.
    assert_allclose(sums, difference, rtol=0.01)


def test_integrated_gradients_from_zero_without_biases_are_gradient_times_input(weights, X, target):
    """If scores(t · X) = t · scores(X), the gradient is the same all along the path from zero."""
    weights = {name: value * (not name.endswith("bias")) for name, value in weights.items()}
    expected = X * oracle.gradient(weights, X, [target])
    attribution = oracle_methods.integrated_gradients(weights, X, [target], 0 * X, steps=3)
    assert_allclose(attribution, expected, rtol=0, atol=1e-12 * np.abs(expected).max())  # rounding
