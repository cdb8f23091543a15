"""Saliency maps, fooling images, class visualisation: the three techniques of the assignment."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import image_gradient, label_score, max_abs
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE
from cs231n.validation import check_images, check_labels, check_positive_integer


def compute_saliency_maps(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return how strongly each pixel moves the score of the image's label.

    The map of image i is ``max_c |d score[y_i] / d X[i, h, w, c]|``. The score is the unnormalised one;
    neither the softmax nor the loss is differentiated, for they mix the other classes in.

    Parameters
    ----------
    X : array_like of float, shape (N, H, W, 3)
        Preprocessed images.
    y : array_like of int, shape (N,)
        The classes to explain, in [0, 1000).
    model : SqueezeNet
    sess : tf.Session, optional
        Default: the model's session, else the default session.
    batch_size : int
        Images per run of the session; the result does not depend on it.

    Returns
    -------
    ndarray of float32, shape (N, H, W)
        Not negative, not normalised.

    Raises
    ------
    ValueError
        If `X` or `y` is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks. ICLR workshop 2014, section 3.
    """
    X = check_images(X)
    y = check_labels(y, len(X))
    batch_size = check_positive_integer(batch_size, "batch_size")
    # Built at the first call with this model, and only run in later ones:
    #     score = tf.gather_nd(model.classifier, [[0, y[0]], [1, y[1]], ...])   label_score, at less cost
    #     gradient = tf.gradients(score, model.image)                           image_gradient
    #     maps = tf.reduce_max(tf.abs(gradient), axis=3)                        max_abs
    saliency = image_gradient(model, label_score, reduce=max_abs)
    return saliency(X, y, sess=sess or model.sess, batch_size=batch_size)
