"""Style transfer, feature inversion and texture synthesis: descending a loss of features on the image.

The four losses are TensorFlow tensors with the names and arguments of the CS231N assignment of 2017.
`style_transfer` minimises their sum with respect to the pixels.
"""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import psutil

from cs231n import session
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import ImageGradient, build_once
from cs231n.image_utils import preprocess_image, read_rgb, resize_shorter_side
from cs231n.progress import progress_bar
from cs231n.quiet_tensorflow import tf
from cs231n.validation import (
    as_array,
    check_not_negative,
    check_not_negative_integer,
    check_positive_integer,
    check_raw_images,
)

NUM_FEATURE_LAYERS = 13
"""Layers that losses can be made of: `model.layers[0]` to `[12]`, what `extract_features` returns."""

MIN_TRANSFER_SIZE = 32
"""Least length of an image's shorter side, in pixels."""

NUM_ITERATIONS = 200
INITIAL_LEARNING_RATE = 3.0
DECAYED_LEARNING_RATE = 0.1
DECAY_STEP = 180
"""From this step on, counted from 0, the learning rate is the decayed one and pixels are not clamped."""
CLAMP = 1.5
"""Greatest magnitude of a preprocessed pixel until then, about two thirds of the way to black or white."""

BYTES_PER_PIXEL = 1000
"""Memory that one step takes for each pixel of the image."""

Picture = str | os.PathLike | npt.ArrayLike
"""A path of an image file, or a raw image: uint8, shape (H, W, 3)."""


class Losses(NamedTuple):
    """The three terms of the loss, each with its weight, so that they add up to what is minimised."""

    content: float
    style: float
    tv: float


def content_loss(content_weight: float, content_current: tf.Tensor, content_original: tf.Tensor) -> tf.Tensor:
    """Return how far the features of the current image are from those of the content image.

    ``content_weight * sum_{h,w,c} (F - P)^2``: the sum, neither the mean nor, as in the paper, half of it.

    Parameters
    ----------
    content_weight : float or tensor, shape ()
    content_current, content_original : tensor or array, shape (1, H, W, C)
        One layer's features F of the image being made, and P of the content image.

    Returns
    -------
    tensor, shape ()

    References
    ----------
    Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks. CVPR 2016, section 2.1.
    """
    return content_weight * tf.reduce_sum(tf.math.squared_difference(content_current, content_original))


def gram_matrix(features: tf.Tensor, normalize: bool = True) -> tf.Tensor:
    """Return the products of each two channels, summed over all positions.

    ``G[i, j] = sum_{h,w} F[h, w, i] F[h, w, j]``: which channels are active together, wherever that is.

    Parameters
    ----------
    features : tensor, shape (1, H, W, C)
        One layer's features F of one image.
    normalize : bool
        Divide by H * W * C, so that layers and images of different sizes compare.

    Returns
    -------
    tensor, shape (C, C)

    References
    ----------
    Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks. CVPR 2016, section 2.2.
    The paper normalises in the loss, not here.
    """
    positions = tf.reshape(features, [-1, tf.shape(features)[-1]])
    gram = tf.matmul(positions, positions, transpose_a=True)
    return gram / tf.cast(tf.size(features), gram.dtype) if normalize else gram


def style_loss(
    feats: Sequence[tf.Tensor],
    style_layers: Sequence[int],
    style_targets: Sequence[tf.Tensor],
    style_weights: Sequence[float],
) -> tf.Tensor:
    """Return how far the Gram matrices of the current image are from those of the style image.

    ``sum_l style_weights[l] * sum_{i,j} (G_l - A_l)^2`` over the style layers l, G normalised.

    Parameters
    ----------
    feats : sequence of tensors, shape (1, H_l, W_l, C_l)
        All feature layers of the image being made, as `SqueezeNet.extract_features` returns them.
    style_layers : sequence of int
        Numbers of the layers to use.
    style_targets : sequence of tensors or arrays, shape (C_l, C_l)
        For each of `style_layers` the Gram matrix A of the style image.
    style_weights : sequence of float or tensors, shape ()
        For each of `style_layers` its weight.

    Returns
    -------
    tensor, shape ()

    Raises
    ------
    ValueError
        If the three lists differ in length.
    """
    _check_same_length(style_layers=style_layers, style_targets=style_targets, style_weights=style_weights)
    losses = [
        weight * tf.reduce_sum(tf.math.squared_difference(gram_matrix(feats[layer]), target))
        for layer, target, weight in zip(style_layers, style_targets, style_weights, strict=True)
    ]
    return tf.add_n(losses) if losses else tf.constant(0.0)


def tv_loss(img: tf.Tensor, tv_weight: float) -> tf.Tensor:
    """Return the total variation: the squared differences of all neighbours, across and down.

    Parameters
    ----------
    img : tensor, shape (1, H, W, 3)
    tv_weight : float or tensor, shape ()

    Returns
    -------
    tensor, shape ()
        ``tv_weight * sum (img[h+1, w] - img[h, w])^2 + (img[h, w+1] - img[h, w])^2``.

    References
    ----------
    Mahendran, Vedaldi: Understanding Deep Image Representations by Inverting Them. CVPR 2015, section 2,
    with beta = 2.
    """
    down = tf.math.squared_difference(img[:, 1:], img[:, :-1])
    across = tf.math.squared_difference(img[:, :, 1:], img[:, :, :-1])
    return tv_weight * (tf.reduce_sum(down) + tf.reduce_sum(across))


def style_transfer(
    content_image: Picture,
    style_image: Picture,
    image_size: int,
    style_size: int,
    content_layer: int,
    content_weight: float,
    style_layers: Sequence[int],
    style_weights: Sequence[float],
    tv_weight: float,
    init_random: bool = False,
    *,
    model: SqueezeNet,
    sess: tf.Session | None = None,
    seed: int | None = None,
    num_iterations: int = NUM_ITERATIONS,
    callback: Callable[[int, np.ndarray, Losses], None] | None = None,
) -> np.ndarray:
    """Return an image with the content of one image in the style of another.

    Adam takes `num_iterations` steps down `content_loss` + `style_loss` + `tv_loss`, with the course's
    schedule: learning rate 3 and pixels clamped to +-1.5, then, from step 180 on, 0.1 and no clamp. (The
    course's TensorFlow code takes step 180 itself with the rate 3 and without the clamp.) All style weights 0
    and a random start make it feature inversion (Mahendran & Vedaldi 2015); a content weight of 0 and a
    random start make it texture synthesis (Gatys et al. 2015).

    Ctrl-C, or the notebook's stop button, ends it early; the image so far is returned.

    Parameters
    ----------
    content_image, style_image : path or array_like of uint8, shape (H, W, 3)
        Image files as `read_rgb` reads them, or raw images.
    image_size, style_size : int
        Length in pixels to which the shorter side of the content and of the style image is scaled, at
        least 32. The result has the content image's size.
    content_layer : int
        Feature layer of the content loss, 0 to 12.
    content_weight : float
        Weight of the content loss, not negative.
    style_layers : sequence of int
        Feature layers of the style loss, 0 to 12; may be empty.
    style_weights : sequence of float
        Weight of each of them, not negative.
    tv_weight : float
        Weight of the total variation, not negative.
    init_random : bool
        Start from noise, uniform in [0, 1), and not from the content image.
    model : SqueezeNet
    sess : tf.Session, optional
        Default: the model's session, else the default session.
    seed : int, optional
        Makes the noise reproducible; without `init_random` nothing is random.
    num_iterations : int
        Number of steps.
    callback : function (step, image, losses), optional
        Called after each number of steps, 0 to `num_iterations`, with the preprocessed image, shape
        (1, H, W, 3), and its `Losses`.

    Returns
    -------
    ndarray of float32, shape (1, H, W, 3)
        Preprocessed; the course shows it as ``deprocess_image(image[0], rescale=True)``.

    Raises
    ------
    ValueError, OSError
        If an argument is not what is said above, an image can't be read, there is too little memory for its
        size (the sentence says how much it takes), or the loss overflows.
    """
    num_iterations = check_positive_integer(num_iterations, "num_iterations")
    steps = style_transfer_steps(
        content_image,
        style_image,
        image_size,
        style_size,
        content_layer,
        content_weight,
        style_layers,
        style_weights,
        tv_weight,
        init_random,
        model=model,
        sess=sess,
        seed=seed,
        num_iterations=num_iterations,
    )
    img = None
    try:
        with progress_bar(num_iterations, "step", "style transfer") as bar:
            for step, (img, losses) in enumerate(steps):
                if callback is not None:
                    callback(step, img.copy(), losses)
                bar.set_postfix(loss=f"{sum(losses):.3g}", refresh=False)
                bar.update(step - bar.n)
    except KeyboardInterrupt:
        if img is None:
            raise
    return img


def style_transfer_steps(
    content_image: Picture,
    style_image: Picture,
    image_size: int,
    style_size: int,
    content_layer: int,
    content_weight: float,
    style_layers: Sequence[int],
    style_weights: Sequence[float],
    tv_weight: float,
    init_random: bool = False,
    *,
    model: SqueezeNet,
    sess: tf.Session | None = None,
    seed: int | None = None,
    num_iterations: int = NUM_ITERATIONS,
) -> Iterator[tuple[np.ndarray, Losses]]:
    """Yield the images of `style_transfer` one by one: for loops that show them while they are made.

    Parameters
    ----------
    content_image, style_image, image_size, style_size, content_layer, content_weight, style_layers, \
    style_weights, tv_weight, init_random, model, sess, seed, num_iterations
        As for `style_transfer`.

    Yields
    ------
    image : ndarray of float32, shape (1, H, W, 3)
        After 0, 1, ..., `num_iterations` steps.
    losses : Losses
        Of this image.

    Raises
    ------
    ValueError, OSError
        As `style_transfer`, when an image is asked for.
    """
    content_layer, style_layers, style_weights = _check_terms(
        content_layer, content_weight, style_layers, style_weights, tv_weight
    )
    num_iterations = check_positive_integer(num_iterations, "num_iterations")
    rng = np.random.default_rng(None if seed is None else check_not_negative_integer(seed, "seed"))
    sess = session.choose_session(model.graph, sess, model.sess)
    content = _read_picture(content_image, "content_image", "image_size", image_size)
    style = _read_picture(style_image, "style_image", "style_size", style_size)

    height, width = content.shape[1:3]
    content = _pad(content)
    loss = build_once(
        model.graph,
        (TransferLoss, model, content_layer, style_layers),
        lambda: TransferLoss(model, content_layer, style_layers),
    )
    feed = loss.feed(sess, content, style, content_weight, style_weights, tv_weight)
    img = rng.random(content.shape, np.float32) if init_random else content
    adam = Adam(img.shape)
    for step in range(num_iterations + 1):
        gradient, losses = loss(sess, img, feed)
        yield img[:, :height, :width].copy(), losses
        if step < DECAY_STEP:
            img = np.clip(img - adam.step(gradient, INITIAL_LEARNING_RATE), -CLAMP, CLAMP)
        else:
            img = img - adam.step(gradient, DECAYED_LEARNING_RATE)


class Adam:
    """Steps of adaptive length along the gradient (Kingma & Ba, ICLR 2015, algorithm 1).

    Parameters
    ----------
    shape : tuple of int
        Shape of what is optimised.
    beta1, beta2 : float
        Decay of the running means of the gradient and of its square.
    epsilon : float
        Keeps the division from failing where the gradient has always been zero.
    """

    def __init__(
        self, shape: tuple[int, ...], beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
    ) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.m, self.v = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.t = 0

    def step(self, gradient: np.ndarray, learning_rate: float) -> np.ndarray:
        """Return what to subtract for this gradient, about `learning_rate` in each entry."""
        self.t += 1
        self.m += (1 - self.beta1) * (gradient - self.m)
        self.v += (1 - self.beta2) * (gradient * gradient - self.v)
        m_unbiased = self.m / (1 - self.beta1**self.t)
        v_unbiased = self.v / (1 - self.beta2**self.t)
        return learning_rate * m_unbiased / (np.sqrt(v_unbiased) + self.epsilon)


class TransferLoss:
    """The loss of one choice of layers and its gradient; the targets and weights are fed."""

    def __init__(self, model: SqueezeNet, content_layer: int, style_layers: tuple[int, ...]) -> None:
        feats = model.layers[:NUM_FEATURE_LAYERS]
        self.image, self.content = model.image, feats[content_layer]
        self.grams = [gram_matrix(feats[layer]) for layer in style_layers]
        self.content_target = tf.placeholder(tf.float32, self.content.shape)
        self.style_targets = [tf.placeholder(tf.float32, gram.shape) for gram in self.grams]
        self.content_weight, self.tv_weight = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])
        self.style_weights = [tf.placeholder(tf.float32, []) for _ in style_layers]
        self.losses = Losses(
            content_loss(self.content_weight, self.content, self.content_target),
            style_loss(feats, style_layers, self.style_targets, self.style_weights),
            tv_loss(self.image, self.tv_weight),
        )
        self.gradient = ImageGradient(tf.add_n(self.losses), self.image).gradient

    def feed(
        self,
        sess: tf.Session,
        content: np.ndarray,
        style: np.ndarray,
        content_weight: float,
        style_weights: Sequence[float],
        tv_weight: float,
    ) -> dict:
        """Return all that is to be fed besides the image; the targets are computed from the two images."""
        content_target = session.run(sess, self.content, {self.image: content})
        style_targets = session.run(sess, self.grams, {self.image: style})
        return {
            self.content_target: content_target,
            self.content_weight: content_weight,
            self.tv_weight: tv_weight,
            **dict(zip(self.style_targets, style_targets, strict=True)),
            **dict(zip(self.style_weights, style_weights, strict=True)),
        }

    def __call__(self, sess: tf.Session, img: np.ndarray, feed: dict) -> tuple[np.ndarray, Losses]:
        """Return the gradient with respect to the image, and the losses."""
        gradient, losses = session.run(sess, [self.gradient, self.losses], {**feed, self.image: img})
        losses = Losses(*map(float, losses))
        # Adam squares the gradient.
        if not (math.isfinite(sum(losses)) and np.isfinite(np.vdot(gradient, gradient))):
            raise ValueError("The loss or its gradient is too large for float32; choose smaller weights.")
        return gradient, losses


def _read_picture(picture: Picture, name: str, size_name: str, size: int) -> np.ndarray:
    """Return an image as a preprocessed batch of one, its shorter side `size` long, if memory allows that."""
    if check_positive_integer(size, size_name) < MIN_TRANSFER_SIZE:
        raise ValueError(f"{size_name} is {size}; expected at least {MIN_TRANSFER_SIZE} pixels.")
    if isinstance(picture, str | os.PathLike):
        raw = read_rgb(picture)
    else:
        raw = check_raw_images(as_array(picture, name)[None], name)[0]
    needed = BYTES_PER_PIXEL * size**2 * max(raw.shape[:2]) / min(raw.shape[:2])
    available = psutil.virtual_memory().available
    if needed > available:
        largest = math.floor(size * math.sqrt(available / needed))
        raise ValueError(
            f"{size_name} is {size}, which takes about {needed / 1e9:.3g} GB of memory for this image; "
            f"{available / 1e9:.3g} GB are available: choose {largest} or less."
        )
    return preprocess_image(resize_shorter_side(raw, size))[None]


def _pad(img: np.ndarray) -> np.ndarray:
    """Return an image with up to three mirrored rows and columns at its lower and right edge.

    Where the height is not 3 more than a multiple of 4, the windows of the first convolution and pool leave
    out the last rows, or only layers 0 and 1 see them. With no content loss to hold them, they would become
    a bright line.
    """
    height, width = img.shape[1:3]
    return np.pad(img, [(0, 0), (0, (3 - height) % 4), (0, (3 - width) % 4), (0, 0)], "symmetric")


def _check_terms(
    content_layer: int,
    content_weight: float,
    style_layers: Sequence[int],
    style_weights: Sequence[float],
    tv_weight: float,
) -> tuple[int, tuple[int, ...], tuple[float, ...]]:
    """Return the content layer, the style layers and their weights, after checking all layers and weights."""
    content_layer = _check_layer(content_layer, "content_layer")
    style_layers = tuple(
        _check_layer(layer, "style_layers") for layer in _items(style_layers, "style_layers")
    )
    style_weights = tuple(_items(style_weights, "style_weights"))
    _check_same_length(style_layers=style_layers, style_weights=style_weights)
    check_not_negative(content_weight, "content_weight")
    check_not_negative(tv_weight, "tv_weight")
    for i, weight in enumerate(style_weights):
        check_not_negative(weight, f"style_weights[{i}]")
    return content_layer, style_layers, style_weights


def _items(values: Iterable, name: str) -> Iterable:
    """Return `values`, or raise ValueError with a sentence if it is no list of numbers."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {values!r}; expected a list with one entry for each layer.")
    return values


def _check_same_length(**lists: Sequence) -> None:
    """Raise ValueError with a sentence if the lists, given by name, differ in length."""
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{counts} entries; expected one of each for each layer.")


def _check_layer(layer: int, name: str) -> int:
    """Return a layer's number as an int, or raise ValueError with a sentence if there is no such layer."""
    is_integer = isinstance(layer, numbers.Integral) and not isinstance(layer, bool)
    if not is_integer or not 0 <= layer < NUM_FEATURE_LAYERS:
        raise ValueError(
            f"{name} names the layer {layer!r}; the feature layers are 0 to {NUM_FEATURE_LAYERS - 1}."
        )
    return int(layer)
