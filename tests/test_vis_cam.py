"""Grad-CAM: values by hand, the oracle's Grad-CAM, and its laws."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.vis import GraphModel, visualize_cam, visualize_cam_with_losses, visualize_saliency
from cs231n.vis.losses import ActivationMaximization, TotalVariation
from tests import oracle, oracle_methods

pytestmark = pytest.mark.slow  # many small laws, not under a minute together with all others


@pytest.fixture
def pooled(graph):
    """Return two 1 x 2 feature maps of 4 x 8 pixels: means of each half; y = 3 mean(F0) - 4 mean(F1)."""
    x = tf.placeholder(tf.float32, [None, 4, 8, 2], name="image")
    features = tf.nn.avg_pool2d(x, 4, 4, "VALID", name="features")
    y = tf.matmul(tf.reduce_mean(features, axis=[1, 2]), tf.constant([[3.0], [-4]]))
    with tf.Session() as sess:
        yield GraphModel(x, {"features": features, "score": tf.concat([y, -y], axis=1)}, sess=sess)


def halves(first, second):
    """Return an image whose left and right half have these values, one in each channel."""
    image = np.zeros((4, 8, 2))
    image[:, :4], image[:, 4:] = first, second
    return image


IMAGE = np.ones((4, 8, 2))

# dy/dF = (3, -4) / 2 at both positions, so w = (3, -4) / 2. Left F = (8, 2), right F = (2, 1):
# w F = 12 - 4 = 8 and 3 - 2 = 1. Enlarged by four along the width, the centres are 1.5 and 5.5: between
# them the values go from 8 to 1 in steps of 7/4, and beyond them they stay.
ROW = np.array([8, 8, 8 - 7 / 8, 8 - 21 / 8, 1 + 21 / 8, 1 + 7 / 8, 1, 1])


def test_cam_by_hand(pooled):
    """Weights are the mean gradients, maps are enlarged bilinearly."""
    image = halves((8, 2), (2, 1))
    raw = visualize_cam(pooled, "score", 0, image, normalize=False)
    np.testing.assert_allclose(raw, np.tile(ROW, (4, 1)), rtol=1e-6)
    scaled = visualize_cam(pooled, "score", 0, image)
    np.testing.assert_allclose(scaled, np.tile((ROW - 1) / 7, (4, 1)), rtol=0, atol=1e-6)


def test_what_speaks_against_the_score_is_left_out(pooled):
    """For -y the sums are -8 and -1: the map is 0 everywhere; where y is lowered it is positive for -y."""
    np.testing.assert_array_equal(visualize_cam(pooled, "score", 1, halves((8, 2), (2, 1))), np.zeros((4, 8)))
    # F = (2, 4) on the left: w F = 3 - 8 = -5, so 5 for -y; on the right (8, 2): -8 for -y, so 0.
    raw = visualize_cam(pooled, "score", 1, halves((2, 4), (8, 2)), normalize=False)
    np.testing.assert_allclose(raw[:, [0, -1]], np.tile([5, 0], (4, 1)), rtol=1e-6)


def test_modifier_is_applied_to_the_gradients(pooled):
    """With "relu" w = (3, 0) / 2, with "negate" w = (-3, 4) / 2."""
    image = halves((8, 2), (2, 20))
    for modifier, left, right in [("relu", 12, 3), ("negate", 0, 37)]:
        raw = visualize_cam(pooled, "score", 0, image, grad_modifier=modifier, normalize=False)
        np.testing.assert_allclose(raw[:, [0, -1]], np.tile([left, right], (4, 1)), rtol=1e-6)


def test_map_does_not_depend_on_the_gradients_size_nor_change_its_sign(pooled):
    """A factor of an image's gradients changes nothing, however small; all of them negative leave nothing."""
    image = halves((8, 2), (2, 1))
    factors = iter([1, 1e-9])
    usual, tiny = visualize_cam(
        pooled, "score", 0, [image, image], grad_modifier=lambda grad: next(factors) * grad
    )
    np.testing.assert_allclose(tiny, usual, rtol=0, atol=1e-5)  # the 1e-7 in the denominators
    nothing = visualize_cam(pooled, "score", 0, image, grad_modifier=lambda grad: -np.abs(grad))
    np.testing.assert_array_equal(nothing, np.zeros((4, 8)))


def enlarge(maps, size):
    """Return maps at the centres of `size` tiles, interpolated between the centres of their own tiles."""
    for axis, new in enumerate(size, start=1):
        old = maps.shape[axis]
        at = (np.arange(new) + 0.5) * old / new - 0.5
        maps = np.apply_along_axis(lambda line, at=at: np.interp(at, np.arange(len(line)), line), axis, maps)
    return maps


@pytest.fixture
def images():
    """Return noise images that leave layers 9 to 15 a size of 4 x 3."""
    return np.random.default_rng(0).normal(size=(2, 79, 63, 3)).astype(np.float32)


@pytest.mark.parametrize("layer", [6, "features/layer12"])
def test_cam_equals_the_oracle(random_model, images, layer):
    """Grad-CAM of a fire module is the float64 computation, enlarged from its size to the image's."""
    model, weights = random_model
    y = np.array([3, 999])
    computed = visualize_cam(model, -1, y[:, None], images, layer, normalize=False)
    index = layer if isinstance(layer, int) else 12
    expected = enlarge(oracle_methods.grad_cam(weights, images, y, index), images.shape[1:3])
    # Float32, through sums of many terms of both signs.
    np.testing.assert_allclose(computed, expected, rtol=0, atol=2e-5 * expected.max())


def test_guided_cam_equals_the_oracle(random_model, images):
    """With a rule the weights are the means of the gradients under that rule."""
    model, weights = random_model
    computed = visualize_cam(model, -1, 3, images, 9, "guided", normalize=False)
    passed = oracle.forward(weights, images, "guided")
    upstream = oracle.d_score(passed.scores, [3, 3])
    alpha = passed.gradient(upstream, wrt=9).mean(axis=(1, 2), keepdims=True)
    expected = enlarge(np.maximum((alpha * passed.activations[9]).sum(axis=-1), 0), images.shape[1:3])
    np.testing.assert_allclose(computed, expected, rtol=0, atol=2e-5 * expected.max())


def test_nearest_layer_with_positions_is_the_default(random_model, images):
    """The scores have no positions, layer 15 has: it is taken, and its map is the class's own activation."""
    model, _ = random_model
    default = visualize_cam(model, -1, 3, images, normalize=False)
    np.testing.assert_array_equal(default, visualize_cam(model, -1, 3, images, 15, normalize=False))
    activation = model.sess.run(model.layers[15], {model.image: images})[..., 3]
    positions = activation[0].size
    # The score is the mean, so each position's gradient is 1 / positions, and so is their mean.
    expected = enlarge(activation / positions, images.shape[1:3])
    np.testing.assert_allclose(default, expected, rtol=0, atol=1e-6 * expected.max())


def test_batch_equals_one_by_one(random_model, images):
    """A batch gives what its images give alone, for any batch size."""
    model, _ = random_model
    alone = np.stack([visualize_cam(model, -1, 3, image, 12) for image in images])
    assert alone.shape == images.shape[:3]
    for batch_size in (1, 2, 16):
        batch = visualize_cam(model, -1, 3, images, 12, batch_size=batch_size)
        # Another batch size may sum in another order: the last digits of float32.
        np.testing.assert_allclose(batch, alone, rtol=0, atol=1e-5)


def test_cam_with_losses(pooled):
    """`visualize_cam` is the loss with weight -1; losses add up before the negative part is dropped."""
    image = halves((8, 2), (2, 1))
    loss = ActivationMaximization(pooled.layers[1], 0)

    def cam(*losses):
        return visualize_cam_with_losses(
            pooled.image, losses, image, pooled.layers[0], normalize=False, sess=pooled.sess
        )

    expected = visualize_cam(pooled, -1, 0, image, normalize=False)
    np.testing.assert_array_equal(cam((loss, -1)), expected)
    np.testing.assert_allclose(
        cam((loss, -3), (ActivationMaximization(pooled.layers[1], 1), -1)), 2 * expected
    )


def test_cam_and_saliency_of_one_layer_do_not_mix(pooled):
    """Both differentiate with respect to the same tensor, but Grad-CAM needs its activations, too."""
    features = pooled.layers[0]
    for _ in range(2):
        saliency = visualize_saliency(pooled, "score", 0, IMAGE, features, keepdims=True, normalize=False)
        np.testing.assert_array_equal(saliency, np.tile([1.5, 2], (1, 2, 1)))
        assert visualize_cam(pooled, "score", 0, IMAGE, "features").shape == (4, 8)


def test_graph_does_not_grow(pooled):
    """Fifty calls with new weights and filters add no operation after the first."""

    def calls(i):
        visualize_cam(pooled, "score", i % 2, IMAGE)
        losses = [(ActivationMaximization(pooled.layers[1], i % 2), i + 1)]
        visualize_cam_with_losses(pooled.image, losses, IMAGE, pooled.layers[0], sess=pooled.sess)

    calls(0)
    operations = len(pooled.graph.get_operations())
    for i in range(1, 51):
        calls(i)
    assert len(pooled.graph.get_operations()) == operations


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"penultimate_layer_idx": 7},
            r"penultimate_layer_idx is 7; the model has the layers 0 features",
        ),
        ({"penultimate_layer_idx": "pool"}, r"penultimate_layer_idx is 'pool'; the model has the layers"),
        (
            {"penultimate_layer_idx": 1},
            r"layer concat.* has shape .*, 2\).*take an earlier layer",
        ),
        ({"layer_idx": 0}, r"No layer before features has positions like the image"),
        ({"layer_idx": 0, "penultimate_layer_idx": 0}, r"no ReLU between"),
        ({"seed_input": np.zeros((4, 4, 2))}, r"expected an image of size 4 x 8 x 2"),
        ({"backprop_modifier": "guide"}, r"'guide'; expected guided, rectified"),
    ],
)
def test_bad_input_gets_a_sentence(pooled, arguments, sentence):
    """Each kind of bad argument is named in one sentence, with what was expected."""
    good = {
        "layer_idx": 1,
        "filter_indices": 0,
        "seed_input": IMAGE,
        "backprop_modifier": "guided",
    }
    with pytest.raises(ValueError, match=sentence):
        visualize_cam(pooled, **(good | arguments))


def test_loss_that_ignores_the_features_is_named(pooled):
    """A regulariser of the image does not depend on a layer behind it."""
    losses = [(TotalVariation(pooled.image), 1)]
    with pytest.raises(ValueError, match=r"The loss TotalVariation does not depend on features:0"):
        visualize_cam_with_losses(pooled.image, losses, IMAGE, pooled.layers[0], sess=pooled.sess)
