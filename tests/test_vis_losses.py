"""Losses by hand, and what makes two losses the same."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from cs231n.vis import regularizers
from cs231n.vis.losses import ActivationMaximization, Loss, LPNorm, TotalVariation, WeightedLosses


@pytest.fixture
def image(graph):
    """Return a placeholder for images of one channel, with a default session."""
    with tf.Session():
        yield tf.placeholder(tf.float64, [None, None, None, 1], name="image")


def value(loss, image, X):
    """Return the loss of images X, shape (N, H, W)."""
    return loss.build_loss().eval({image: np.asarray(X, float)[..., None]})


# Differences downwards and to the right: 3 and 4 at the top left; 1 and 0 beside it; 9 pixels.
STEPS = [[0, 4, 4], [3, 5, 9], [1, 2, 3]]


def test_total_variation_by_hand(image):
    """All 2 x 2 pixels that have a neighbour below and to the right count, divided by all 9."""
    # (down, right): (3, 4), (1, 0), (-2, 2), (-3, 4)
    squares = np.array([25, 1, 8, 25])
    for beta in (2, 1, 1.5):
        expected = (squares ** (beta / 2)).sum() / 9
        computed = value(TotalVariation(image, beta), image, [STEPS, np.multiply(STEPS, -2)])
        np.testing.assert_allclose(computed, [expected, 2**beta * expected], rtol=1e-12)


def test_p_norm_by_hand(image):
    """The 2-norm of (3, -4, 0, 0) is 5, its 1-norm 7 and its maximum 4, each divided by the 4 pixels."""
    X = [[[3, -4], [0, 0]], [[0, 0], [0, 1]]]
    for p, expected in [(2, [5, 1]), (1, [7, 1]), (np.inf, [4, 1]), (6, [(3**6 + 4**6) ** (1 / 6), 1])]:
        np.testing.assert_allclose(value(LPNorm(image, p), image, X), np.divide(expected, 4), rtol=1e-12)


@pytest.mark.parametrize("loss", [TotalVariation, lambda image: TotalVariation(image, 1), LPNorm])
def test_regularisers_have_a_gradient_on_flat_images(image, loss):
    """Where all pixels are 0 the derivative is 0 and not 0 / 0."""
    (gradient,) = tf.gradients(loss(image).build_loss(), image)
    np.testing.assert_array_equal(gradient.eval({image: np.zeros((1, 3, 3, 1))}), np.zeros((1, 3, 3, 1)))


def test_total_variation_of_a_signal(graph):
    """Images of one dimension have neighbours in one direction: 1 + 4 over 3 pixels."""
    signal = tf.placeholder(tf.float64, [None, None, 1])
    with tf.Session():
        computed = TotalVariation(signal).build_loss().eval({signal: [[[0], [1], [3]]]})
    np.testing.assert_allclose(computed, [5 / 3], rtol=1e-12)


def test_activation_maximisation_by_hand(graph):
    """Minus the sum of the filters' means: of 1 x 2 positions: 2 and 5, and 0 and 1."""
    layer = tf.constant([[[[1.0, 4.0], [3.0, 6.0]]], [[[0.0, 1.0], [0.0, 1.0]]]])
    with tf.Session():
        for filters, expected in [
            (0, [-2, 0]),
            ([0, 1], [-7, -1]),
            (None, [-7, -1]),
            ([1, 1], [-10, -2]),
            ([[0], [1]], [-2, -1]),
        ]:
            computed = ActivationMaximization(layer, filters).build_loss().eval()
            np.testing.assert_array_equal(computed, expected, err_msg=str(filters))


class Custom(Loss):
    """A loss with attributes of all kinds."""

    def __init__(self, image, **attributes):
        self.image = image
        vars(self).update(attributes)

    def build_loss(self):
        """Return the loss, shape (N,)."""
        return tf.reduce_sum(self.image, axis=[1, 2, 3])


def function(image):
    """Return a loss."""
    return tf.reduce_sum(image)


def test_what_makes_losses_the_same(image):
    """Weights and filters are fed; class, tensors, attributes and functions make a loss what it is."""
    twice = tf.identity(2 * image)

    def key(*losses):
        return WeightedLosses(losses, image).key

    def maximization(layer, filters):
        return ActivationMaximization(layer, filters)

    assert key((maximization(image, 0), 1)) == key((maximization(image, [0, 0]), -3))
    assert key((maximization(image, 0), 1)) != key((maximization(twice, 0), 1))
    assert key((TotalVariation(image), 1)) == key((TotalVariation(image, beta=2), 4))
    assert key((TotalVariation(image), 1)) != key((TotalVariation(image, beta=1), 1))
    assert key((TotalVariation(image), 1)) != key((LPNorm(image), 1))
    assert key((function, 1)) == key((function, 2)) != key((np.sum, 1))
    assert key((twice, 1)) == key((twice, 2)) != key((image, 1))
    assert key((function, 1), (twice, 0)) == key((function, 1))

    same = {"layers": [image, twice], "options": {"a": np.arange(3)}, "name": "n"}
    assert key((Custom(image, **same), 1)) == key((Custom(image, **same), 2))
    for other in ({"layers": [twice, image]}, {"options": {"a": np.arange(4)}}, {"name": "m"}):
        assert key((Custom(image, **same), 1)) != key((Custom(image, **(same | other)), 1))


def test_names_of_keras_vis():
    """The regularisers are also where keras-vis has them."""
    assert regularizers.TotalVariation is TotalVariation
    assert regularizers.LPNorm is LPNorm


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda image: TotalVariation(image, beta=0), r"beta is 0; expected a number above 0"),
        (
            lambda image: TotalVariation(image[:, 0, 0]),
            r"img_input has shape .*expected \(N, ..., channels\)",
        ),
        (lambda image: LPNorm(image, p=0.5), r"p is 0.5; expected a number of at least 1"),
        (lambda image: LPNorm(3), r"img_input is int; expected a tensor"),
        (lambda image: ActivationMaximization("conv", 0), r"layer is str; expected a tensor"),
        (lambda image: ActivationMaximization(image[0, 0, 0], 0), r"expected \(N, ..., filters\)"),
        (
            lambda image: WeightedLosses([(Custom(image, a={1, 2}), 1)], image),
            r"attribute that cannot be compared",
        ),
    ],
)
def test_bad_losses_get_a_sentence(image, make, sentence):
    """What can't be a loss is refused where it is made."""
    with pytest.raises(ValueError, match=sentence):
        make(image)


def test_loss_without_a_tensor_says_what_to_write(image):
    """A class that forgot `build_loss` is named."""

    class Forgetful(Loss):
        pass

    with pytest.raises(NotImplementedError, match="Forgetful has no build_loss"):
        Forgetful().build_loss()
