"""The faster gradient of a convolution is the gradient: TensorFlow's own rule says the same."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.classifiers.fast_convolution import fast_convolution_gradients
from cs231n.gradients import ImageGradient, gathered_label_score, label_score, max_abs
from cs231n.net_visualization import compute_saliency_maps

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others


@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(1, 1, "VALID"), (1, 2, "VALID"), (3, 2, "VALID"), (3, 2, "SAME"), (3, 1, "SAME")],
)
@pytest.mark.parametrize(("height", "width"), [(5, 6), (6, 5), (31, 32), (47, 46)])
def test_gradients_equal_tensorflows(graph, size, stride, padding, height, width):
    """Both gradients, of input and kernel, equal those of TensorFlow's rule, at odd and even sizes."""
    rng = np.random.default_rng(0)
    image = tf.constant(rng.normal(size=(2, height, width, 3)))
    kernel = tf.constant(rng.normal(size=(size, size, 3, 5)))
    plain = tf.nn.conv2d(image, kernel, stride, padding)
    with fast_convolution_gradients(graph):
        fast = tf.nn.conv2d(image, kernel, stride, padding)
    # Squared, so that the incoming gradient differs from place to place.
    expected, computed = (tf.gradients(y**2, [image, kernel]) for y in (plain, fast))
    with tf.Session() as sess:
        for theirs, ours in zip(*sess.run([expected, computed]), strict=True):
            # float64 sums of up to 10,000 terms
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@pytest.mark.parametrize(("n", "height", "width"), [(1, 224, 224), (7, 224, 224), (3, 135, 98)])
def test_fast_maps_equal_the_plain_ones(model, photographs, n, height, width):
    """Label's column, faster rule, several callers: the maps of gather_nd and tf.gradients, to 1e-5.

    The plain path has its own rule for the convolutions' gradients: the override is taken out of the copy.
    """
    X, y = photographs[0][:n, :height, :width], photographs[1][:n]
    definition = model.graph.as_graph_def()
    for node in definition.node:
        node.attr.pop("_gradient_op_type", None)
    values = model.sess.run(list(model.variables.values()))
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.import_graph_def(definition, name="")
        copy = type("Plain", (), {})()
        copy.image, copy.labels = (graph.get_tensor_by_name(t.name) for t in (model.image, model.labels))
        copy.classifier = graph.get_tensor_by_name(model.classifier.name)
        for variable, value in zip(model.variables.values(), values, strict=True):
            sess.run(
                graph.get_operation_by_name(variable.initializer.name), {variable.initial_value.name: value}
            )
        gradient = ImageGradient(gathered_label_score(copy), copy.image, labels=copy.labels, reduce=max_abs)
        plain = gradient(X, y, sess=sess)
    maps = compute_saliency_maps(X, y, model)
    off = np.abs(maps - plain) > 1e-5 * plain.max(axis=(1, 2), keepdims=True)
    assert off.mean() == 0


def test_label_score_is_the_gathered_score(random_model, small_images, live_labels):
    """The label's column alone gives the number that gather_nd picks out of all scores."""
    model, _ = random_model
    feed = {model.image: small_images, model.labels: live_labels}
    column, gathered = model.sess.run([label_score(model), gathered_label_score(model)], feed)
    np.testing.assert_allclose(column, gathered, rtol=1e-5)


def test_new_weights_take_effect_at_once(random_model, small_images, live_labels):
    """Maps follow the weights that the session holds when they are asked for."""
    model, weights = random_model
    before = compute_saliency_maps(small_images, live_labels, model)
    kernel, bias = "classifier/layer1/weights", "classifier/layer1/bias"
    model.load({**weights, kernel: 3 * weights[kernel], bias: 3 * weights[bias]})
    # Three times the classifier is three times the score, and so the gradient.
    np.testing.assert_allclose(
        compute_saliency_maps(small_images, live_labels, model), 3 * before, rtol=0, atol=1e-5 * before.max()
    )
