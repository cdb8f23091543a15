"""The saliency calls: values by hand, the oracle, and laws about batches, weights, rules and the graph."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.vis import GraphModel, backprop_modifiers, num_overridden_relus
from cs231n.vis.grad_modifiers import EPSILON
from cs231n.vis.losses import ActivationMaximization, Loss, TotalVariation
from cs231n.vis.visualization import visualize_saliency, visualize_saliency_with_losses
from tests import oracle

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others

RAW = {"grad_modifier": None, "normalize": False, "keepdims": True}
"""The signed gradient itself."""


def assert_close(computed, expected, tolerance):
    """Hold a result to within a share of the largest expected value."""
    np.testing.assert_allclose(computed, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# --- Two networks that fit on paper ---

SIGNAL = np.array([[1.0], [2.0], [3.0]])


@pytest.fixture
def dense(graph):
    """Return y = 2 h1 - 3 h2 + 5 h3 of a signal x, with three ReLUs h; 3 pixels of 1 channel.

    Before the ReLUs: x1 + x2, x2 + x3, x1 - x3. At x = (1, 2, 3) that is 3, 5, -2: the third is not active.
    The second output is x1 alone, without a ReLU.
    """
    x = tf.placeholder(tf.float32, [None, 3, 1], name="signal")
    flat = tf.reshape(x, [-1, 3])
    hidden = tf.nn.relu(tf.matmul(flat, tf.constant([[1.0, 0, 1], [1, 1, 0], [0, 1, -1]])), name="hidden")
    y = tf.matmul(hidden, tf.constant([[2.0], [-3], [5]]))
    output = tf.concat([y, flat[:, :1]], axis=1, name="output")
    with tf.Session() as sess:
        yield GraphModel(x, [hidden, output], sess=sess)


@pytest.fixture
def conv(graph):
    """Return a 3 x 3 convolution of 4 x 4 pixels with 2 channels, and minus its ReLU.

    Filter 0 adds up the first channel and takes the second one times -2, filter 1 takes 10 times the second;
    the bias is -0.5.
    """
    x = tf.placeholder(tf.float32, [None, 4, 4, 2], name="image")
    kernel = np.zeros((3, 3, 2, 2), np.float32)
    kernel[..., 0, 0], kernel[..., 1, 0], kernel[..., 1, 1] = 1, -2, 10
    convolution = tf.nn.conv2d(x, kernel, strides=1, padding="VALID") - 0.5
    relu = tf.nn.relu(convolution)
    with tf.Session() as sess:
        yield GraphModel(x, {"conv": convolution, "relu": relu, "minus": -relu}, sess=sess)


COVERAGE = np.outer([1, 2, 2, 1], [1, 2, 2, 1])
"""How many of the four 3 x 3 windows each of 4 x 4 pixels is in."""

CORNER = np.zeros((4, 4, 2))
CORNER[0, 0, 0] = 1
"""Only the window at the top left sees the one pixel, so only there filter 0 is above its bias."""

TOP_LEFT = np.zeros((4, 4))
TOP_LEFT[:3, :3] = 1


# dy/dh = (2, -3, 5). Plain lets through h1 and h2, which are active; guided h1 alone, active and positive;
# rectified h1 and h3, the positive ones. Then dy/dx1 = h1 + h3, dy/dx2 = h1 + h2, dy/dx3 = h2 - h3.
@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        (None, [2, -1, -3]),
        ("guided", [2, 2, 0]),
        ("rectified", [7, 2, -5]),
        ("relu", [7, 2, -5]),
        ("deconv", [7, 2, -5]),
        (backprop_modifiers.guided, [2, 2, 0]),
    ],
)
def test_two_layer_network_by_hand(dense, modifier, expected):
    """Plain, guided and rectified gradients of a two-layer ReLU network are those of pencil and paper."""
    computed = visualize_saliency(dense, -1, 0, SIGNAL, backprop_modifier=modifier, **RAW)
    np.testing.assert_array_equal(computed, np.reshape(expected, (3, 1)))


# g = (2, -1, -3), then scaled from its minimum and maximum to [0, 1].
@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        ("absolute", [1 / 2, 0, 1]),  # 2, 1, 3
        ("negate", [0, 3 / 5, 1]),  # -2, 1, 3
        ("relu", [1, 0, 0]),  # 2, 0, 0
        ("invert", [1, 0, 4 / 9]),  # 1/2, -1, -1/3
        ("small_values", [1 / 4, 1, 0]),  # 1/2, 1, 1/3
        (None, [1, 2 / 5, 0]),
        (np.square, [3 / 8, 0, 1]),  # 4, 1, 9
    ],
)
def test_gradient_modifiers_by_hand(dense, modifier, expected):
    """Each modifier, by name or as a function, makes the map that pencil and paper make, scaled to [0, 1]."""
    computed = visualize_saliency(dense, -1, 0, SIGNAL, grad_modifier=modifier)
    # Float32, and the 1e-7 in the denominators.
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-6)


# A filter's mean over the 4 windows has the gradient COVERAGE / 4 times the kernel, if all windows count.
@pytest.mark.parametrize(
    ("layer", "modifier", "expected"),
    [
        ("conv", None, COVERAGE / 4),
        ("relu", None, TOP_LEFT / 4),
        ("relu", "guided", TOP_LEFT / 4),
        ("relu", "rectified", COVERAGE / 4),
        ("minus", None, -TOP_LEFT / 4),
        ("minus", "guided", 0 * COVERAGE),
        ("minus", "rectified", 0 * COVERAGE),
    ],
)
def test_convolution_by_hand(conv, layer, modifier, expected):
    """A filter is averaged over its positions; the rule sees the sign of what arrives from above."""
    computed = visualize_saliency(conv, layer, 0, CORNER, backprop_modifier=modifier, **RAW)
    np.testing.assert_array_equal(computed, np.stack([expected, -2 * expected], axis=-1))


def test_maximum_over_channels_is_taken_after_the_modifier(conv):
    """The channels' gradients are c and -2c; the maximum of their magnitudes is 2c, of themselves it is c."""
    absolute = visualize_saliency(conv, "conv", 0, CORNER, normalize=False)
    np.testing.assert_array_equal(absolute, COVERAGE / 2)
    signed = visualize_saliency(conv, "conv", 0, CORNER, grad_modifier=None, normalize=False)
    np.testing.assert_array_equal(signed, COVERAGE / 4)
    # 1/2, 1 and 2, from the corner to the centre, scaled to [0, 1].
    scaled = visualize_saliency(conv, "conv", 0, CORNER)
    np.testing.assert_allclose(scaled, (COVERAGE / 2 - 0.5) / 1.5, rtol=0, atol=1e-6)


def test_channels_are_kept_if_so_asked(conv):
    """With keepdims the channels stay, and are scaled together."""
    kept = visualize_saliency(conv, "conv", 0, CORNER, keepdims=True)
    assert kept.shape == (4, 4, 2)
    magnitudes = np.stack([COVERAGE / 4, COVERAGE / 2], axis=-1)
    np.testing.assert_allclose(kept, (magnitudes - 0.25) / 1.75, rtol=0, atol=1e-6)


def test_gradient_with_respect_to_an_inner_tensor_by_hand(dense):
    """Dy/dh = (2, -3, 5), whatever lies between the image and h."""
    computed = visualize_saliency(dense, -1, 0, SIGNAL, wrt_tensor=dense.layers[0], **RAW)
    np.testing.assert_array_equal(computed, [2, -3, 5])


def test_filters_add_up(conv):
    """Several filters are the sum, one that is given twice counts twice, and None means all."""
    first, second = (visualize_saliency(conv, "conv", k, CORNER, **RAW) for k in (0, 1))
    for filters, expected in [
        ([0, 1], first + second),
        ((1, 0), first + second),
        (None, first + second),
        ([0, 0], 2 * first),
        ([1], second),
        (np.array([1, 1, 0]), first + 2 * second),
    ]:
        np.testing.assert_array_equal(visualize_saliency(conv, "conv", filters, CORNER, **RAW), expected)


def test_layers_by_index_from_the_end_and_by_name_are_the_same(conv):
    """A layer may be asked for in three ways."""
    maps = [visualize_saliency(conv, layer, 0, CORNER, **RAW) for layer in (0, -3, "conv", np.int64(0))]
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


# --- SqueezeNet against the oracle ---


@pytest.mark.parametrize("rule", ["plain", "guided", "rectified"])
def test_squeezenet_equals_the_oracle(random_model, small_images, rule):
    """Gradients of several classes equal the float64 computation with the rule in place of the derivative."""
    model, weights = random_model
    modifier = None if rule == "plain" else rule
    computed = visualize_saliency(model, -1, [3, 999], small_images, backprop_modifier=modifier, **RAW)
    scores = oracle.forward(weights, small_images).scores
    upstream = np.zeros_like(scores)
    upstream[:, [3, 999]] = 1
    expected = oracle.forward(weights, small_images, rule).gradient(upstream)
    assert_close(computed, expected, 1e-5)  # twenty times what float32 makes of noise images


@pytest.mark.parametrize("rule", ["guided", "rectified"])
def test_pretrained_squeezenet_equals_the_oracle(model, weights, photographs, rule):
    """Guided and rectified saliency of photographs equal the float64 computation to 1e-4 of the maximum."""
    X, y = photographs[0][:2], photographs[1][:2]
    computed = visualize_saliency(model, -1, y[:, None], X, backprop_modifier=rule, normalize=False)
    expected = np.abs(oracle.gradient(weights, X, y, rule=rule)).max(axis=-1)
    wrong = np.abs(computed - expected) > 1e-4 * expected.max(axis=(1, 2), keepdims=True)
    # In flat areas of a photograph the max pools have ties, and any winner is right: 0.1 % may differ.
    assert wrong.mean() < 1e-3


@pytest.mark.parametrize("layer", [0, 6, 12])
def test_filter_saliency_equals_the_oracle(random_model, small_images, layer):
    """The saliency of convolution filters is the gradient of their mean over all positions."""
    model, weights = random_model
    computed = visualize_saliency(model, f"features/layer{layer}", [1, 5], small_images, **RAW)
    assert_close(computed, oracle.filter_gradient(weights, small_images, layer, [1, 5]), 1e-5)


def test_gradient_with_respect_to_a_fire_module_equals_the_oracle(random_model, small_images):
    """Guided, with respect to layer 9: the gradient stops there, and has its shape."""
    model, weights = random_model
    wrt = model.layers[9]
    computed = visualize_saliency(model, 16, 7, small_images, wrt, backprop_modifier="guided", **RAW)
    expected = oracle.gradient(weights, small_images, np.full(3, 7), wrt=9, rule="guided")
    assert_close(computed, expected, 1e-5)


# --- Batches ---


def test_batch_equals_one_by_one(random_model, small_images):
    """A batch gives what its images give alone, each scaled by itself, for any batch size."""
    model, _ = random_model
    alone = np.stack([visualize_saliency(model, -1, 3, image) for image in small_images])
    assert alone.shape == (3, 47, 39)
    np.testing.assert_allclose(alone.max(axis=(1, 2)), 1, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(alone.min(axis=(1, 2)), 0)
    for batch_size in (1, 2, 16):
        batch = visualize_saliency(model, -1, 3, small_images, batch_size=batch_size)
        # Another batch size may sum in another order: the last digits of float32.
        np.testing.assert_allclose(batch, alone, rtol=0, atol=1e-5)
    assert visualize_saliency(model, -1, 3, small_images[:1]).shape == (1, 47, 39)


def test_permuting_a_batch_permutes_the_maps(random_model, small_images):
    """The order of the images, with their classes, is the order of the maps and changes nothing else."""
    model, _ = random_model
    y, order = np.array([[3], [999], [0]]), [2, 0, 1]
    maps = visualize_saliency(model, -1, y, small_images, normalize=False)
    permuted = visualize_saliency(model, -1, y[order], small_images[order], normalize=False)
    assert_close(permuted, maps[order], 1e-6)


def test_a_row_of_classes_for_each_image(random_model, small_images):
    """An array of shape (N, M) holds each image's own classes."""
    model, _ = random_model
    classes = np.array([[3, 7], [999, 0], [5, 5]])
    together = visualize_saliency(model, -1, classes, small_images)
    for image, row, map_ in zip(small_images, classes, together, strict=True):
        np.testing.assert_allclose(visualize_saliency(model, -1, row, image), map_, rtol=0, atol=1e-5)


def test_map_of_equal_values_is_zero(dense):
    """Where all gradients are equal there is nothing to see: 0, not NaN."""
    maps = visualize_saliency(dense, -1, 0, np.zeros((2, 3, 1)))  # all ReLUs are off
    np.testing.assert_array_equal(maps, np.zeros((2, 3)))


def test_scaling_is_that_of_keras_vis(dense):
    """(s - min) / (max - min + 1e-7), so that maps of tiny gradients stay below 1."""
    tiny = visualize_saliency(dense, -1, 0, SIGNAL, grad_modifier=lambda grad: 1e-7 * grad)
    s = 1e-7 * np.array([2, -1, -3])
    np.testing.assert_allclose(tiny, (s + 3e-7) / (5e-7 + EPSILON), rtol=1e-5)


def test_modifier_sees_one_image_at_a_time(dense):
    """A function that compares pixels can't mix the images of a batch."""
    images = np.stack([SIGNAL, -5 * SIGNAL, 3 * SIGNAL])

    def relative(grad):
        assert grad.shape == (1, 3, 1)
        return grad / np.abs(grad).max()

    options = {"grad_modifier": relative, "normalize": False}
    batch = visualize_saliency(dense, -1, 0, images, **options)
    alone = [visualize_saliency(dense, -1, 0, image, **options) for image in images]
    np.testing.assert_array_equal(batch, alone)


# --- Losses and weights ---


def test_saliency_is_minus_the_activation_loss(random_model, small_images):
    """`visualize_saliency` is the loss `ActivationMaximization` with the weight -1."""
    model, _ = random_model
    losses = [(ActivationMaximization(model.layers[-1], [3, 4]), -1)]
    computed = visualize_saliency_with_losses(model.image, losses, small_images, sess=model.sess)
    np.testing.assert_array_equal(computed, visualize_saliency(model, -1, [3, 4], small_images))


def test_gradient_is_linear_in_the_weights(random_model, small_images):
    """The gradient of a weighted sum is the weighted sum of the gradients."""
    model, _ = random_model
    first = ActivationMaximization(model.layers[-1], 3)
    second = ActivationMaximization(model.layers[9], [1, 2])
    third = TotalVariation(model.image)

    def gradient(*losses):
        return visualize_saliency_with_losses(model.image, losses, small_images, sess=model.sess, **RAW)

    single = [gradient((loss, 1)) for loss in (first, second, third)]
    for a, b, c in [(1, 1, 1), (-2, 0.5, 30), (7, 0, -1)]:
        expected = a * single[0] + b * single[1] + c * single[2]
        assert_close(gradient((first, a), (second, b), (third, c)), expected, 1e-5)  # float32 sums


def margin(image):
    """Return the second output minus the first one, of the network that `image` belongs to."""
    output = image.graph.get_tensor_by_name("output:0")
    return output[:, 1] - output[:, 0]


class Margin(Loss):
    """Minus the margin between two outputs."""

    def __init__(self, output, better, worse):
        self.output, self.better, self.worse = output, better, worse

    def build_loss(self):
        """Return the loss, shape (N,)."""
        return self.output[:, self.worse] - self.output[:, self.better]


def test_custom_losses_by_hand(dense):
    """A class, a function and a tensor serve as loss; d(x1 - y)/dx = (1, 0, 0) - (2, -1, -3) = (-1, 1, 3)."""
    tensor = margin(dense.image)
    for loss, weight in [(Margin(dense.layers[-1], 1, 0), -1), (margin, 1), (tensor, 1)]:
        computed = visualize_saliency_with_losses(
            dense.image, [(loss, weight)], SIGNAL, sess=dense.sess, **RAW
        )
        np.testing.assert_array_equal(computed, [[-1], [1], [3]], err_msg=str(loss))


def test_attributes_of_a_loss_tell_losses_apart(dense):
    """Two losses of one class with different attributes are different losses."""
    output = dense.layers[-1]
    one, other = (
        visualize_saliency_with_losses(
            dense.image, [(Margin(output, *outputs), 1)], SIGNAL, sess=dense.sess, **RAW
        )
        for outputs in ((0, 1), (1, 0))
    )
    np.testing.assert_array_equal(one, -other)
    assert np.abs(one).max() > 0


def test_scalar_loss_gives_each_image_its_own_gradient(dense):
    """A loss that averages over the batch, as in keras-vis, is computed for one image at a time."""

    def mean_of_outputs(image):
        return tf.reduce_mean(image.graph.get_tensor_by_name("output:0")[:, 0] ** 2)

    images = np.stack([SIGNAL, 2 * SIGNAL])
    computed = visualize_saliency_with_losses(
        dense.image, [(mean_of_outputs, 1)], images, sess=dense.sess, **RAW
    )
    # y = 2 * 3 - 3 * 5 = -9 at the signal, and -18 at its double; dy^2/dx = 2 y dy/dx.
    dy = np.array([[2], [-1], [-3]])
    np.testing.assert_array_equal(computed, [2 * -9 * dy, 2 * -18 * dy])


# --- ReLU rules ---


def test_rule_of_ones_own(dense):
    """A function of (op, gradient) is a rule: twice the derivative at one ReLU doubles the gradient."""

    def doubled(op, gradient):
        return 2 * tf.raw_ops.ReluGrad(gradients=gradient, features=op.outputs[0])

    plain = visualize_saliency(dense, -1, 0, SIGNAL, **RAW)
    np.testing.assert_array_equal(
        visualize_saliency(dense, -1, 0, SIGNAL, backprop_modifier=doubled, **RAW), 2 * plain
    )


def test_rule_shares_the_variables(random_model, small_images):
    """A rule adds no variable, and sees new weights; the plain gradient stays what it is."""
    model, weights = random_model
    plain = visualize_saliency(model, -1, 3, small_images)
    visualize_saliency(model, -1, 3, small_images, backprop_modifier="guided")
    np.testing.assert_array_equal(visualize_saliency(model, -1, 3, small_images), plain)
    assert len(tf.global_variables()) == 52

    other = oracle.random_weights(seed=2)
    model.load(other)
    computed = visualize_saliency(model, -1, 3, small_images, backprop_modifier="guided", **RAW)
    model.load(weights)
    assert_close(computed, oracle.gradient(other, small_images, np.full(3, 3), rule="guided"), 1e-5)


def test_number_of_overridden_relus(random_model, dense):
    """SqueezeNet has 26 ReLUs: one, three in each of eight fire modules, and the classifier's."""
    model, _ = random_model
    assert num_overridden_relus(model, -1) == 26
    assert num_overridden_relus(model, "features/layer4", "rectified") == 1 + 2 * 3
    assert num_overridden_relus(model, -1, wrt_tensor=model.layers[11]) == 3 + 1
    assert num_overridden_relus(dense, -1) == 1


# --- The graph ---


def test_graph_does_not_grow(dense, conv):
    """Two hundred calls with new losses, weights and filters add no operation after each one's first."""

    def calls(i):
        options = {"sess": conv.sess, "grad_modifier": lambda grad: grad + i}
        visualize_saliency(conv, "minus", [i % 2, i % 2], np.full((4, 4, 2), i))
        visualize_saliency(conv, "minus", i % 2, CORNER, backprop_modifier="guided")
        losses = [
            (ActivationMaximization(conv.layers[0], i % 2), i + 1),
            (TotalVariation(conv.image, beta=1.5), 1 / (i + 1)),
        ]
        visualize_saliency_with_losses(conv.image, losses, CORNER, **options)
        losses = [(Margin(dense.layers[-1], 0, 1), i + 1), (margin, i - 500)]
        visualize_saliency_with_losses(dense.image, losses, SIGNAL, sess=dense.sess)

    calls(0)
    operations = len(conv.graph.get_operations())
    for i in range(1, 51):  # four calls in each round
        calls(i)
    assert len(conv.graph.get_operations()) == operations


def test_arguments_are_not_changed(conv):
    """Images, filters and losses are the caller's."""
    image, filters = CORNER.copy(), np.array([[0]])
    losses = [(ActivationMaximization(conv.layers[0], filters), -1)]
    visualize_saliency(conv, 0, filters, image[None], grad_modifier="relu")
    visualize_saliency_with_losses(conv.image, losses, image[None], sess=conv.sess)
    np.testing.assert_array_equal(image, CORNER)
    np.testing.assert_array_equal(filters, [[0]])
    assert len(losses) == 1


def test_sessions_in_order_of_preference(graph):
    """The session given wins over the model's, and the default one is the last resort."""
    x, w = tf.placeholder(tf.float32, [None, 1]), tf.get_variable("w", [])
    sessions = [tf.Session() for _ in range(3)]
    for value, sess in enumerate(sessions):
        sess.run(w.initializer, {w.initial_value: value})
    without, own = GraphModel(x, [w * x]), GraphModel(x, [w * x], sess=sessions[1])

    def gradient(model, **options):
        return visualize_saliency(model, 0, 0, [[1.0]], **options, **RAW).item()

    with pytest.raises(ValueError, match=r"No session to run in"):
        gradient(without)
    with sessions[0].as_default():
        assert gradient(without) == 0
        assert gradient(own) == 1
        assert gradient(own, sess=sessions[2]) == 2
    for sess in sessions:
        sess.close()


def test_graph_for_one_image_takes_batches(graph):
    """A placeholder with room for one image gets one at a time."""
    x = tf.placeholder(tf.float32, [1, 3])
    with tf.Session():
        model = GraphModel(x, [tf.reshape(tf.reduce_sum(x**2), [1, 1])])
        X = np.arange(6).reshape(2, 3)
        np.testing.assert_array_equal(visualize_saliency(model, 0, 0, X, **RAW), 2 * X)


# --- Bad input ---


def saliency(model, layer_idx=-1, filter_indices=0, seed_input=CORNER, **options):
    """Call with good arguments where none are given."""
    return visualize_saliency(model, layer_idx, filter_indices, seed_input, **options)


def without_relu(x):
    """Return a tensor that no ReLU leads to."""
    return tf.reduce_sum(x, axis=[1, 2], name="sums")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"layer_idx": 3}, r"layer_idx is 3; the model has the layers 0 conv, 1 relu, 2 minus"),
        ({"layer_idx": -4}, r"layer_idx is -4; the model has the layers 0 conv"),
        ({"layer_idx": "pool"}, r"layer_idx is 'pool'; the model has the layers 0 conv, 1 relu, 2 minus"),
        ({"layer_idx": 0.5}, r"layer_idx is 0.5; the model has the layers"),
        ({"filter_indices": 2}, r"filter_indices holds 2; expected whole numbers from 0 to 1"),
        ({"filter_indices": [0, -1]}, r"filter_indices holds -1; expected whole numbers from 0 to 1"),
        ({"filter_indices": []}, r"filter_indices has shape \(0,\).*expected whole numbers"),
        ({"filter_indices": 0.5}, r"filter_indices has .* dtype float64; expected whole numbers"),
        ({"filter_indices": [[0], [1]]}, r"filter_indices has 2 rows for 1 images; expected one per image"),
        (
            {"filter_indices": np.array([0, 1]), "seed_input": np.stack([CORNER, CORNER])},
            r"2 numbers for 2 images.*filter_indices\[:, None\] for one per image",
        ),
        ({"seed_input": np.zeros((5, 4, 2))}, r"shape \(5, 4, 2\); expected an image of size 4 x 4 x 2"),
        ({"seed_input": np.zeros((4, 4))}, r"shape \(4, 4\); expected an image of size 4 x 4 x 2"),
        ({"seed_input": np.zeros((0, 4, 4, 2))}, r"shape \(0, 4, 4, 2\).*at least one image"),
        ({"seed_input": np.full((4, 4, 2), np.nan)}, r"seed_input holds NaN or infinity"),
        ({"seed_input": np.zeros((4, 4, 2), complex)}, r"seed_input has dtype complex128"),
        (
            {"grad_modifier": "abs"},
            r"'abs'; expected negate, absolute, invert, relu, small_values, a f",
        ),
        ({"backprop_modifier": "guide"}, r"'guide'; expected guided, rectified, relu, deconv, a function"),
        ({"grad_modifier": np.max}, r"grad_modifier returned shape \(\)"),
        ({"grad_modifier": lambda grad: grad / 0}, r"grad_modifier returned NaN or infinity"),
        ({"batch_size": 0}, r"batch_size is 0; expected a whole number"),
        ({"layer_idx": "conv", "backprop_modifier": "guided"}, r"no ReLU between image:0 and"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the division by zero
def test_bad_input_gets_a_sentence(conv, arguments, sentence):
    """Each kind of bad argument is named in one sentence, with what was expected."""
    with pytest.raises(ValueError, match=sentence) as caught:
        saliency(conv, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make_losses", "sentence"),
    [
        (lambda model: [], r"losses is empty"),
        (lambda model: [(ActivationMaximization(model.layers[0], 0), 0)], r"weights in losses are all zero"),
        (lambda model: [ActivationMaximization(model.layers[0], 0)], r"not a list of \(loss, weight\) pairs"),
        (lambda model: [(3, 1)], r"losses holds 3; expected an object of a class derived from Loss"),
        (lambda model: [(Loss, 1)], r"expected an object of a class derived from Loss"),
        (lambda model: [(without_relu, "1")], r"has the weight '1'; expected a finite number"),
        (lambda model: [(without_relu, np.nan)], r"has the weight nan; expected a finite number"),
        (lambda model: [(without_relu, 1)], r"The loss without_relu has shape \(.*, 2\); expected \(N,\)"),
        (lambda model: [(lambda image: 3.0, 1)], r"is float; expected a tensor of a static graph"),
        (
            lambda model: [(TotalVariation(model.image), 1), (tf.constant(1.0, name="one"), 1)],
            r"The loss one:0 does not depend on the image image:0",
        ),
    ],
)
def test_bad_losses_get_a_sentence(conv, make_losses, sentence):
    """Losses that are none, or do not depend on the image, are named."""
    with pytest.raises(ValueError, match=sentence):
        visualize_saliency_with_losses(conv.image, make_losses(conv), CORNER, sess=conv.sess)


def test_loss_that_does_not_depend_on_the_tensor_is_named(conv):
    """With respect to a layer, a loss before it has no gradient; the message says which loss and tensor."""
    losses = [(ActivationMaximization(conv.layers[2], 0), 1), (TotalVariation(conv.image), 1)]
    with pytest.raises(ValueError, match=r"The loss TotalVariation does not depend on Relu:0"):
        visualize_saliency_with_losses(conv.image, losses, CORNER, conv.layers[1], sess=conv.sess)
    with pytest.raises(ValueError, match=r"ActivationMaximization of sub:0 does not depend on Relu:0"):
        saliency(conv, layer_idx="conv", wrt_tensor=conv.layers[1])


def test_tensor_that_does_not_depend_on_the_image_is_refused(conv):
    """There is no gradient per image with respect to a constant, or to a tensor of another graph."""
    with pytest.raises(ValueError, match=r"wrt_tensor .* does not depend on the image image:0"):
        saliency(conv, wrt_tensor=tf.constant([1.0]))
    with tf.Graph().as_default():
        elsewhere = tf.constant([1.0])
    with pytest.raises(ValueError, match=r"wrt_tensor is a tensor of another graph"):
        saliency(conv, wrt_tensor=elsewhere)
    with pytest.raises(ValueError, match=r"wrt_tensor is str; expected a tensor"):
        saliency(conv, wrt_tensor="conv")


def test_rule_behind_all_relus_is_refused(random_model, small_images):
    """Between the last ReLU and the scores there is none to override: an error, not a plain gradient."""
    model, _ = random_model
    with pytest.raises(ValueError, match=r"no ReLU between"):
        visualize_saliency(model, -1, 3, small_images, model.layers[15], backprop_modifier="guided")


def test_squeezenets_images_are_checked(random_model):
    """Raw pixels and images that are too small for SqueezeNet are named as everywhere else."""
    model, _ = random_model
    with pytest.raises(ValueError, match=r"seed_input holds raw pixels"):
        saliency(model, seed_input=np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ValueError, match=r"seed_input has images of 20x20 pixels; expected at least 31x31"):
        saliency(model, seed_input=np.zeros((20, 20, 3)))
    losses = [(ActivationMaximization(model.layers[-1], 0), 1)]
    with pytest.raises(ValueError, match=r"images of 9x9 pixels; expected at least 31x31"):
        visualize_saliency_with_losses(model.image, losses, np.zeros((9, 9, 3)), sess=model.sess)


def test_images_that_do_not_fit_the_network_get_a_sentence(graph):
    """What only the graph itself can tell, when it runs, becomes a sentence, too."""
    x = tf.placeholder(tf.float32, [None, None, None, 1])
    layer = tf.nn.conv2d(x, np.ones((5, 5, 1, 1), np.float32), strides=1, padding="VALID")
    with tf.Session() as sess:
        model = GraphModel(x, [layer], sess=sess)
        with pytest.raises(ValueError, match=r"cannot compute this .*check what is fed") as caught:
            visualize_saliency(model, 0, 0, np.ones((3, 3, 1)))
    assert "\n" not in str(caught.value)


def test_integer_image_is_refused(graph):
    """There is no gradient with respect to integers; the message says what to differentiate instead."""
    x = tf.placeholder(tf.uint8, [None, 3])
    floats = tf.cast(x, tf.float32)
    with tf.Session() as sess:
        model = GraphModel(x, [floats**2], sess=sess)
        with pytest.raises(ValueError, match=r"dtype uint8.*converted to floats as wrt_tensor"):
            visualize_saliency(model, 0, 1, np.arange(3))
        with pytest.raises(ValueError, match=r"seed_input holds values that are no uint8"):
            visualize_saliency(model, 0, 1, [0.5, 1, 256], floats)
        np.testing.assert_array_equal(visualize_saliency(model, 0, 1, [1, 2, 3], floats, **RAW), [0, 4, 0])


def test_uninitialised_variable_is_named(graph):
    """A variable without a value is named in a sentence, for resource variables and for those of old."""
    x = tf.placeholder(tf.float32, [None, 3])
    for is_resource in (True, False):
        w = tf.get_variable(f"w{is_resource}", [3, 2], use_resource=is_resource)
        with tf.Session() as sess:
            model = GraphModel(x, [tf.matmul(x, w)], sess=sess)
            with pytest.raises(
                ValueError, match=rf"no weights in this session \(.*w{is_resource}\)"
            ) as caught:
                visualize_saliency(model, 0, 1, np.ones(3))
            assert "\n" not in str(caught.value)


def test_placeholder_that_is_not_fed_is_named(graph):
    """A network with a further placeholder can't run; the message names it."""
    x, keep = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [], name="keep_prob")
    with tf.Session() as sess:
        model = GraphModel(x, [keep * x**2], sess=sess)
        with pytest.raises(ValueError, match=r"placeholder tensor 'keep_prob'"):
            visualize_saliency(model, 0, 1, np.ones(3))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda x, y: GraphModel(np.zeros(3), [y]), r"image is ndarray; expected a tensor of a static graph"),
        (lambda x, y: GraphModel(x, []), r"layers is empty"),
        (lambda x, y: GraphModel(x, ["y"]), r"layer 'y' is str; expected a tensor"),
        (lambda x, y: GraphModel(x, {"y": 3}), r"layer y is int; expected a tensor"),
        (lambda x, y: GraphModel(y[0, 0], [y]), r"image has shape \(\)"),
        (lambda x, y: GraphModel(x, [y], sess=tf.Session(graph=tf.Graph())), r"another graph"),
        (lambda x, y: visualize_saliency(GraphModel(x, [y[0]]), 0, 0, [1, 2]), r"shape \(2,\); expected \(N"),
    ],
)
def test_bad_models_get_a_sentence(graph, make, sentence):
    """What is no tensor of this graph is named."""
    x = tf.placeholder(tf.float32, [None, 2])
    with pytest.raises(ValueError, match=sentence):
        make(x, 2 * x)
