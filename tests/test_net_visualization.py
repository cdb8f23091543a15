"""Saliency maps: right against the oracle, the same however they are batched, and nothing left behind."""

import numpy as np
import psutil
import pytest
import tensorflow.compat.v1 as tf

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.net_visualization import compute_saliency_maps
from tests import oracle
from tests.switches import network_switches


@pytest.mark.slow
def test_maps_of_the_photographs_equal_the_oracle(model, weights, photographs):
    """Every pixel is within 1e-5 of its map's maximum of the float64 map with the same switches."""
    X, y = photographs
    maps = compute_saliency_maps(X, y, model)
    for i in range(len(X)):
        passed = oracle.forward(weights, X[i : i + 1], decide=network_switches(model, X[i : i + 1]))
        expected = np.abs(passed.gradient(oracle.d_score(passed.scores, y[i : i + 1]))).max(axis=-1)[0]
        np.testing.assert_allclose(
            maps[i], expected, rtol=0, atol=1e-5 * expected.max(), err_msg=f"image {i}"
        )


def test_maps_equal_the_oracle_at_another_size(random_model, small_images, live_labels):
    """On noise there are no ties: every pixel is within 1e-5 of the map's maximum."""
    model, weights = random_model
    y = live_labels
    expected = oracle.saliency(weights, small_images, y)
    maps = compute_saliency_maps(small_images, y, model)
    assert maps.dtype == np.float32
    assert maps.shape == (3, 47, 39)
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * expected.max())


def test_each_map_belongs_to_its_image_and_label(random_model, small_images, live_labels):
    """Permuting images with their labels permutes the maps; the same image twice, two labels, two maps."""
    model, _ = random_model
    y = live_labels
    maps = compute_saliency_maps(small_images, y, model)
    permuted = compute_saliency_maps(small_images[[2, 0, 1]], y[[2, 0, 1]], model)
    np.testing.assert_allclose(permuted, maps[[2, 0, 1]], rtol=0, atol=1e-6 * maps.max())
    twice = compute_saliency_maps(small_images[[0, 0]], y[:2], model)
    np.testing.assert_allclose(twice[0], maps[0], rtol=0, atol=1e-6 * maps.max())
    assert np.abs(twice[0] - twice[1]).max() > 0.1 * maps.max()


def test_arguments_are_not_changed(random_model, small_images):
    """X and y are the caller's: afterwards they are what they were, even if read-only."""
    model, _ = random_model
    y = np.array([3, 999, 0])
    X_before, y_before = small_images.copy(), y.copy()
    small_images.flags.writeable = y.flags.writeable = False
    compute_saliency_maps(small_images, y, model)
    np.testing.assert_array_equal(small_images, X_before)
    np.testing.assert_array_equal(y, y_before)


def test_session_may_be_the_models_the_default_or_given(random_model, small_images, live_labels):
    """The maps come from whichever session is named: the argument, else the model's, else the default one."""
    model, weights = random_model
    expected = compute_saliency_maps(small_images, live_labels, model)
    bare = SqueezeNet()
    assert bare.sess is not None, "built inside `with sess:`, so the session was taken over"
    bare.sess = None
    np.testing.assert_array_equal(compute_saliency_maps(small_images, live_labels, bare), expected)
    with tf.Session() as other:
        doubled = {name: 2 * array for name, array in weights.items()}
        model.load(doubled, sess=other)
        given = compute_saliency_maps(small_images, live_labels, model, sess=other)
        np.testing.assert_array_equal(
            compute_saliency_maps(small_images, live_labels, bare, sess=other), given
        )
    assert np.abs(given - expected).max() > 0.1 * expected.max()


@pytest.mark.slow
def test_a_thousand_calls_leave_no_trace(random_model):
    """A thousand calls add no operation to the graph and no memory to the process."""
    model, _ = random_model
    X = np.random.default_rng(0).normal(size=(1, 31, 31, 3)).astype(np.float32)
    for _ in range(100):  # allocators and thread pools reach their working size
        compute_saliency_maps(X, [7], model)
    process = psutil.Process()
    operations, memory = len(model.graph.get_operations()), process.memory_info().rss
    for _ in range(1000):
        compute_saliency_maps(X, [7], model)
    assert len(model.graph.get_operations()) == operations
    # A gradient built anew keeps 100 kB a call and more, 100 MB in all; the allocators' noise stays below 10.
    assert process.memory_info().rss - memory < 10e6


X = np.zeros((2, 40, 40, 3), np.float32)
NAN = X.copy()
NAN[1, 3, 3, 0] = np.nan


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (X[0], [1], r"shape \(40, 40, 3\), a single image; add the batch axis: X\[None\]"),
        (X[..., 0], [1, 2], r"shape \(2, 40, 40\); expected \(N, height, width, 3\)"),
        (X.transpose(0, 3, 1, 2), [1, 2], r"shape \(2, 3, 40, 40\).*channels last"),
        (X[:, :30], [1, 2], r"30x40 pixels; expected at least 31x31"),
        (X[:0], [], r"no images"),
        (X.astype(np.uint8), [1, 2], r"raw pixels \(uint8\).*preprocess_image"),
        (X.astype(np.int64), [1, 2], r"dtype int64; expected floats"),
        (X.astype(str), [1, 2], r"X is ndarray, not an array of numbers"),
        (NAN, [1, 2], r"X\[1\] holds NaN or infinity"),
        (X.astype(np.float64) + 1e39, [1, 2], r"X\[0\] holds NaN or infinity"),
        ([X[0], X[0][:-1]], [1, 2], r"rows of unequal length"),
        (None, [1], r"X is NoneType"),
        (X, [1, 1000], r"the label 1000; labels go from 0 to 999"),
        (X, [-1, 1], r"the label -1"),
        (X, [1], r"1 labels for 2 images"),
        (X, 1, r"shape \(\); expected one label per image"),
        (X, [[1], [2]], r"shape \(2, 1\)"),
        (X, [1.0, 2.0], r"dtype float64; labels are whole numbers"),
        (X, [True, False], r"dtype bool; labels are whole numbers"),
    ],
)
def test_bad_input_gets_a_sentence(model, images, labels, sentence):
    """Each kind of bad image or label is named before TensorFlow sees it, in one sentence."""
    with pytest.raises(ValueError, match=sentence) as caught:
        compute_saliency_maps(images, labels, model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch_size", [0, -3, 1.5, True, "8"])
def test_bad_batch_size_gets_a_sentence(model, batch_size):
    """A batch size is a whole number of at least 1."""
    with pytest.raises(ValueError, match=r"batch_size is .*; expected a whole number of at least 1"):
        compute_saliency_maps(X, [1, 2], model, batch_size=batch_size)


def test_tensor_in_place_of_an_array_gets_a_sentence(model):
    """A TensorFlow tensor is not an array; the message says how to get one."""
    with pytest.raises(ValueError, match=r"X is a TensorFlow object.*run it in the session"):
        compute_saliency_maps(model.image, [1], model)
