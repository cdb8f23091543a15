"""Attribution: which pixels speak for a class, by methods that repeat, average or bend the image gradient.

Every method is a function `f(X, y, model, *, batch_size=…, …)` of preprocessed images and their labels, and
explains the unnormalised score F of the label, as `compute_saliency_maps` does. Positive values raise the
score. `METHODS` holds all of them by name; `saliency_map` makes one value per pixel of their results.
No result depends on the batch size, nor on which other images are explained in the same call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from scipy.fft import dctn, idctn
from scipy.ndimage import zoom

from cs231n import session
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import (
    ImageGradient,
    ReLURule,
    build_once,
    gathered_label_score,
    guided,
    image_gradient,
    label_score,
    rectified,
)
from cs231n.image_utils import SQUEEZENET_MEAN, SQUEEZENET_STD
from cs231n.progress import progress_bar
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE, in_batches, run_ahead
from cs231n.validation import (
    as_array,
    check_images,
    check_labels,
    check_not_negative,
    check_not_negative_integer,
    check_positive_integer,
    check_positive_number,
)

Method = Callable[..., np.ndarray]
_Variants = Callable[[slice], Iterator[tuple[np.ndarray, np.ndarray]]]

BLACK = (0 - SQUEEZENET_MEAN) / SQUEEZENET_STD
"""A black pixel as the network takes it, per channel: a baseline for integrated gradients."""

QUADRATURES = ("geometric", "gauss-legendre", "riemann")
REDUCTIONS = ("max_abs", "sum", "positive")

_GROWTH = 6.0  # of the geometric quadrature: its points' distances grow from first to last e^6-fold


def gradient(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the signed gradient ``∂F / ∂x`` of the label's score.

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
    ndarray of float32, shape (N, H, W, 3)

    Raises
    ------
    ValueError
        If an argument is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks. ICLR workshop 2014, section 3.
    `saliency_map` of it is their map, and `compute_saliency_maps`.
    """
    return _gradient(X, y, model, None, sess, batch_size)


def gradient_times_input(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return ``x · ∂F / ∂x``: the first-order share of each pixel in the score.

    The zero of a preprocessed image is ImageNet's mean colour, so a pixel of that colour gets nothing
    whatever its gradient.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)

    References
    ----------
    Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box. arXiv:1605.01713, 2016.
    """
    return check_images(X) * gradient(X, y, model, sess=sess, batch_size=batch_size)


def guided_backprop(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the gradient with every ReLU passing only positive gradients, only where it was active.

    Backwards through ``r = max(z, 0)``: ``R_z = R_r · [R_r > 0] · [z > 0]``.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)
        Signed, although nothing negative passes a ReLU: the first convolution comes after the last of them.

    References
    ----------
    Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity. ICLR workshop 2015, section 3.4.
    They explain single neurons; practice, and this function, starts at a class's score.
    """
    return _gradient(X, y, model, guided, sess, batch_size)


def deconvnet(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the gradient with every ReLU passing only positive gradients, wherever they arrive.

    Backwards through ``r = max(z, 0)``: ``R_z = R_r · [R_r > 0]``. Convolutions are transposed and max
    pools lead back to their winners, as in the gradient.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)

    References
    ----------
    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks. ECCV 2014, section 2.1. They start
    at a feature map's strongest activation and keep its value; practice, and this function, starts with
    one at a class's score.
    """
    return _gradient(X, y, model, rectified, sess, batch_size)


def smoothgrad(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the mean gradient over noisy copies of the image.

    The mean is ``1/n Σ_k ∂F / ∂x (x + σ ε_k)``, each ε_k drawn from the standard normal distribution.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.
    samples : int
        n, the noisy copies of each image.
    noise : float
        The noise level σ / (max x − min x), as a fraction of each image's own range. With 0 the result is
        the gradient, exactly.
    seed : int
        The draws depend on it alone and are the same for all images.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)
        Signed; the authors take the absolute value for display, as `saliency_map` does.

    Raises
    ------
    ValueError
        As `gradient`, or if `samples`, `noise` or `seed` is not what is said above.

    References
    ----------
    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad. arXiv:1706.03825, 2017. They find noise of 10 % to
    20 % best, and little change beyond 50 samples.
    """
    return _noisy_mean(X, y, model, np.positive, samples, noise, seed, sess, batch_size).astype(np.float32)


def smoothgrad_squared(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the mean squared gradient over noisy copies of the image: ``1/n Σ_k (∂F / ∂x (x + σ ε_k))²``.

    Parameters
    ----------
    X, y, model, samples, noise, seed, sess, batch_size
        As for `smoothgrad`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)
        Not negative.

    References
    ----------
    Hooker, Erhan, Kindermans, Kim: A Benchmark for Interpretability Methods. NeurIPS 2019, section 4.
    """
    return _noisy_mean(X, y, model, np.square, samples, noise, seed, sess, batch_size).astype(np.float32)


def vargrad(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return the variance of the gradient over noisy copies of the image.

    Parameters
    ----------
    X, y, model, samples, noise, seed, sess, batch_size
        As for `smoothgrad`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)
        ``1/n Σ_k g_k² − (1/n Σ_k g_k)²``, not negative: the square of SmoothGrad is what
        `smoothgrad_squared` has more.

    References
    ----------
    Adebayo, Gilmer, Goodfellow, Kim: Local Explanation Methods for Deep Neural Networks Lack Sensitivity to
    Parameter Values. ICLR workshop 2018.
    """
    moments = _noisy_mean(X, y, model, _itself_and_square, samples, noise, seed, sess, batch_size)
    mean, mean_square = moments[:, 0], moments[:, 1]
    return np.maximum(mean_square - mean**2, 0).astype(np.float32)


def integrated_gradients(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    baseline: npt.ArrayLike | None = None,
    steps: int = 50,
    quadrature: str = "geometric",
    return_error: bool = False,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Return ``(x − b) · ∫₀¹ ∂F / ∂x (b + t (x − b)) dt``: what each pixel adds on the way from b to x.

    The attributions of an image add up to F(x) − F(b), which the paper calls completeness.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.
    baseline : array_like of float, shape (3,), (H, W, 3) or (N, H, W, 3), optional
        b, preprocessed: one colour, one image, or one for each image. Default: 0, ImageNet's mean colour,
        so that t is the contrast of the image on the way. The paper takes `BLACK`, which leaves dark
        objects without attribution. Pixels of the baseline's colour never get any.
    steps : int
        Points at which the gradient is computed; the paper finds 20 to 300 enough.
    quadrature : {"geometric", "gauss-legendre", "riemann"}
        Where the points are and how they are weighted. Riemann, the paper's: t = 1/steps, 2/steps, …, 1.
        Gauss–Legendre: closer to the integral for smooth functions. Geometric: Gauss–Legendre with
        ``t = (e^6u − 1) / (e^6 − 1)`` for u in [0, 1], for the score changes with the logarithm of the
        contrast, nearly all of it at low ones.
        That holds on the way from the mean colour: there 50 steps miss completeness by at most 0.4 % on the
        sample, where Gauss–Legendre misses it by up to 5 % and Riemann by up to 10 %. From `BLACK` geometric
        misses it by up to 5 %, too.
    return_error : bool
        Return the completeness error as well.

    Returns
    -------
    attributions : ndarray of float32, shape (N, H, W, 3)
    error : ndarray of float64, shape (N,)
        Only with `return_error`: ``Σ attributions − (F(x) − F(b))``, in units of the score.

    Raises
    ------
    ValueError
        As `gradient`, or if `baseline`, `steps` or `quadrature` is not what is said above.

    References
    ----------
    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks. ICML 2017, sections 3 and 5.
    """
    X, y, batch_size = _check(X, y, batch_size)
    baseline = _check_baseline(np.zeros(3) if baseline is None else baseline, X)
    nodes, weights = _nodes(quadrature, check_positive_integer(steps, "steps"))
    difference = X - baseline

    def path(part: slice) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for t, weight in zip(nodes, weights, strict=True):
            yield baseline[part] + np.float32(t) * difference[part], np.full(len(X[part]), weight)

    mean_gradient = _sum_over_variants(X, y, model, path, steps, sess, batch_size)
    attributions = difference * mean_gradient
    if not return_error:
        return attributions.astype(np.float32)
    gain = np.subtract(*(_label_scores(x, y, model, sess, batch_size) for x in (X, baseline)))
    return attributions.astype(np.float32), attributions.sum(axis=(1, 2, 3)) - gain


def blur_integrated_gradients(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    max_sigma: float = 50,
    steps: int = 50,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return integrated gradients along a path from the blurred image to the sharp one.

    With L(σ) the image under a Gaussian blur, and m_k midway between σ_k and σ_{k+1}, it is
    ``Σ_k (L(σ_k) − L(σ_{k+1})) · ∂F / ∂x (L(m_k))`` for 0 = σ_0 < … < σ_steps = `max_sigma`, and adds up to
    F(x) − F(L(max_sigma)). No colour serves as a baseline, so no colour is invisible to it.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.
    max_sigma : float
        Standard deviation of the strongest blur, in pixels, above 0.
    steps : int
        Points at which the gradient is computed. They are dense where the blur is weak: σ_k grows with k²,
        for there the image changes most. (The authors' code takes 100 steps, evenly spaced.)

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)

    Raises
    ------
    ValueError
        As `gradient`, or if `max_sigma` or `steps` is not what is said above.

    References
    ----------
    Xu, Venugopalan, Sundararajan: Attribution in Scale and Space. CVPR 2020, section 3.
    """
    X, y, batch_size = _check(X, y, batch_size)
    steps = check_positive_integer(steps, "steps")
    sigmas = check_positive_number(max_sigma, "max_sigma") * np.linspace(0, 1, steps + 1) ** 2

    def path(part: slice) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        spectrum = dctn(X[part], axes=(1, 2), norm="ortho")
        sharper = X[part]
        for low, high in itertools.pairwise(sigmas):
            blurrier = _blur(spectrum, high)
            yield _blur(spectrum, (low + high) / 2), sharper - blurrier
            sharper = blurrier

    return _sum_over_variants(X, y, model, path, steps, sess, batch_size).astype(np.float32)


def grad_cam(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    layer: int = 12,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return a layer's channels, added up by how much each raises the score: ``max(0, Σ_c α_c A_c)``.

    A_c is channel c of the layer, and ``α_c`` the mean of ``∂F / ∂A_c`` over all its positions.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`.
    layer : int
        Index into `model.layers`, from 0 to 15. Default: the last feature layer. The paper takes the last
        convolution; in SqueezeNet that one has a channel for each class, and there would be nothing to add.

    Returns
    -------
    ndarray of float32, shape (N, H, W)
        Stretched to the image's size by bilinear interpolation, as is the practice; not negative.

    Raises
    ------
    ValueError
        As `gradient`, or if there is no such layer.

    References
    ----------
    Selvaraju et al.: Grad-CAM. ICCV 2017, section 3.
    """
    X, y, batch_size = _check(X, y, batch_size)
    tensor = _find_layer(model, layer)

    def build() -> ImageGradient:
        # The score of one label alone does not pass through the layers that hold all classes, 14 and 15.
        score = (label_score if layer <= 13 else gathered_label_score)(model)
        return ImageGradient(score, model.image, wrt=tensor, labels=model.labels, outputs=[tensor])

    gradient_and_layer = build_once(model.graph, ("grad_cam", model.image.name, tensor.name), build)
    maps = []
    for start in range(0, len(X), batch_size):  # a layer's activations of all images could be gigabytes
        part = slice(start, start + batch_size)
        gradients, A = gradient_and_layer(X[part], y[part], sess=sess or model.sess, batch_size=batch_size)
        alpha = gradients.mean(axis=(1, 2), keepdims=True)
        maps.append(_stretch(np.maximum((alpha * A).sum(axis=-1), 0), X.shape[1:3]))
    return np.concatenate(maps)


def guided_grad_cam(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    layer: int = 12,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return guided backpropagation times Grad-CAM: the fine structure where the class is.

    Parameters
    ----------
    X, y, model, layer, sess, batch_size
        As for `grad_cam`.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)

    References
    ----------
    Selvaraju et al.: Grad-CAM. ICCV 2017, section 3.1.
    """
    coarse = grad_cam(X, y, model, layer=layer, sess=sess, batch_size=batch_size)
    return guided_backprop(X, y, model, sess=sess, batch_size=batch_size) * coarse[..., None]


def occlusion(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    *,
    window: int | None = None,
    stride: int | None = None,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return how far the score falls when a grey square covers the pixel.

    For each pixel, the mean of ``F(x) − F(x with the square)`` over the squares that cover it.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `gradient`. The model runs once for each image and each place of the square.
    window : int, optional
        Side of the square, in pixels. Default: a seventh of the image's shorter side, 32 at 224 x 224.
    stride : int, optional
        From one place of the square to the next, in pixels, at most `window`. Default: half the window. The
        last place in each row and column is at the edge, be it a full stride away or not.

    Returns
    -------
    ndarray of float32, shape (N, H, W)

    Raises
    ------
    ValueError
        As `gradient`, or if `window` or `stride` is not what is said above.

    References
    ----------
    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks. ECCV 2014, section 4.2. They show
    the score at each place of the square; practice gives the fall to the pixels. Grey is ImageNet's mean.
    """
    X, y, batch_size = _check(X, y, batch_size)
    patches = _patches(X.shape[1:3], window, stride)
    sess = session.choose_session(model.graph, sess, model.sess)
    scores = _label_scores(X, y, model, sess, batch_size)
    fall = np.zeros(X.shape[:3])
    covered = np.zeros(X.shape[1:3])
    for patch in patches:
        covered[patch] += 1

    def covered_images() -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
        for i, patch in itertools.product(range(len(X)), patches):
            image = X[i].copy()
            image[patch] = 0
            yield i, patch, image

    def compute(batch: list[tuple[int, tuple[slice, slice], np.ndarray]]) -> np.ndarray:
        rows, _, images = zip(*batch, strict=True)
        feed = {model.image: np.stack(images), model.labels: y[list(rows)]}
        return session.run(sess, label_score(model), feed)

    with progress_bar(len(X) * len(patches), "run", "occlusion") as bar:
        for batch, left in run_ahead(compute, in_batches(covered_images(), batch_size)):
            for (i, patch, _), score in zip(batch, left, strict=True):
                fall[i][patch] += scores[i] - score
            bar.update(len(batch))
    return (fall / covered).astype(np.float32)


METHODS: dict[str, Method] = {
    method.__name__: method
    for method in (
        gradient,
        gradient_times_input,
        guided_backprop,
        deconvnet,
        smoothgrad,
        smoothgrad_squared,
        vargrad,
        integrated_gradients,
        blur_integrated_gradients,
        grad_cam,
        guided_grad_cam,
        occlusion,
    )
}
"""All attribution methods by their names."""


def find_method(name: str) -> Method:
    """Return the method of that name, or raise ValueError with a sentence that lists all names."""
    if name not in METHODS:
        raise ValueError(f"There is no method {name!r}; the methods are {', '.join(METHODS)}.")
    return METHODS[name]


def saliency_map(attribution: npt.ArrayLike, reduction: str = "max_abs") -> np.ndarray:
    """Return one value per pixel of an attribution.

    Parameters
    ----------
    attribution : array_like of float, shape (N, H, W, 3) or (N, H, W)
        What one of the methods returned; without channels it is reduced as if it had one.
    reduction : {"max_abs", "sum", "positive"}
        ``max_c |a_c|``, how strong the influence is; ``Σ_c a_c``, signed; or ``max(0, Σ_c a_c)``, what speaks
        for the class.

    Returns
    -------
    ndarray of float32, shape (N, H, W)

    Raises
    ------
    ValueError
        If `attribution` has another shape or is not finite, or the reduction is unknown.
    """
    attribution = as_array(attribution, "attribution")
    if attribution.ndim not in (3, 4) or (attribution.ndim == 4 and attribution.shape[-1] != 3):
        raise ValueError(
            f"attribution has shape {attribution.shape}; expected (N, height, width, 3), or without the 3."
        )
    if not np.isfinite(attribution).all():
        raise ValueError("attribution holds NaN or infinity; every value must be finite.")
    channels = attribution if attribution.ndim == 4 else attribution[..., None]
    if reduction == "max_abs":
        reduced = np.abs(channels).max(axis=-1)
    elif reduction in ("sum", "positive"):
        reduced = channels.sum(axis=-1)
    else:
        raise ValueError(f"reduction is {reduction!r}; expected one of {', '.join(REDUCTIONS)}.")
    return (np.maximum(reduced, 0) if reduction == "positive" else reduced).astype(np.float32)


def _gradient(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    relu_rule: ReLURule | None,
    sess: tf.Session | None,
    batch_size: int,
) -> np.ndarray:
    X, y, batch_size = _check(X, y, batch_size)
    return image_gradient(model, relu_rule=relu_rule)(X, y, sess=sess or model.sess, batch_size=batch_size)


def _noisy_mean(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    of: Callable[[np.ndarray], np.ndarray],
    samples: int,
    noise: float,
    seed: int,
    sess: tf.Session | None,
    batch_size: int,
) -> np.ndarray:
    """Return the mean over noisy copies of each image of what `of` makes of the gradient, float64."""
    X, y, batch_size = _check(X, y, batch_size)
    samples, seed = check_positive_integer(samples, "samples"), check_not_negative_integer(seed, "seed")
    if check_not_negative(noise, "noise") == 0:  # all copies are the image
        gradients = _gradient(X, y, model, None, sess, batch_size).astype(np.float64)
        return np.stack([of(g) for g in gradients])
    sigma = np.float32(noise) * np.ptp(X, axis=(1, 2, 3), keepdims=True)

    def noisy(part: slice) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for k in range(samples):
            epsilon = np.random.default_rng([seed, k]).standard_normal(X.shape[1:], dtype=np.float32)
            yield X[part] + sigma[part] * epsilon, np.full(len(X[part]), 1 / samples)

    return _sum_over_variants(X, y, model, noisy, samples, sess, batch_size, of)


def _sum_over_variants(
    X: np.ndarray,
    y: np.ndarray,
    model: SqueezeNet,
    variants: _Variants,
    num_variants: int,
    sess: tf.Session | None,
    batch_size: int,
    of: Callable[[np.ndarray], np.ndarray] = np.positive,
) -> np.ndarray:
    """Return Σ_k weight_k · of(gradient at variant k) for each image, in float64.

    `variants` takes a slice of the images and yields their variants, one after the other, with the weight of
    each. Batches are filled with images and variants alike, so that one image with fifty variants is as
    fast as fifty images; no more than one group of `batch_size` images and a few batches are in memory. An
    image's terms are added in the order of k, whatever the batch size. By default `of` is the gradient.
    """
    gradient_of = image_gradient(model)
    sess = session.choose_session(model.graph, sess, model.sess)

    def compute(batch: list[tuple[int, np.ndarray, np.ndarray]]) -> np.ndarray:
        rows, points, _ = zip(*batch, strict=True)
        feed = {model.image: np.stack(points), model.labels: y[list(rows)]}
        return session.run(sess, gradient_of.gradient, feed).astype(np.float64)

    def terms() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for start in range(0, len(X), batch_size):
            part = slice(start, start + batch_size)
            for points, weights in variants(part):
                yield from zip(range(start, start + len(points)), points, weights, strict=True)

    sums: list[np.ndarray | float] = [0.0] * len(X)
    with progress_bar(len(X) * num_variants, "gradient") as bar:
        for batch, gradients in run_ahead(compute, in_batches(terms(), batch_size)):
            for (i, _, weight), g in zip(batch, gradients, strict=True):
                sums[i] = sums[i] + weight * of(g)
            bar.update(len(batch))
    return np.stack(sums)


def _itself_and_square(g: np.ndarray) -> np.ndarray:
    return np.stack([g, g**2])


def _nodes(quadrature: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where between 0 and 1 to compute the integrand, and the weights of its values, float64."""
    if quadrature == "riemann":
        return np.arange(1, steps + 1) / steps, np.full(steps, 1 / steps)
    if quadrature not in QUADRATURES:
        raise ValueError(f"quadrature is {quadrature!r}; expected one of {', '.join(QUADRATURES)}.")
    nodes, weights = np.polynomial.legendre.leggauss(steps)  # for the integral from -1 to 1
    u, weights = (nodes + 1) / 2, weights / 2
    if quadrature == "gauss-legendre":
        return u, weights
    return np.expm1(_GROWTH * u) / np.expm1(_GROWTH), weights * _GROWTH * np.exp(_GROWTH * u) / np.expm1(
        _GROWTH
    )


def _blur(spectrum: np.ndarray, sigma: float) -> np.ndarray:
    """Return images under a Gaussian blur, from their cosine transform; the edges reflect.

    This takes the same time for every sigma, where convolution would take minutes for the large ones.
    """
    decay = [
        np.exp(-0.5 * (sigma * np.pi * np.arange(n, dtype=np.float32) / n) ** 2) for n in spectrum.shape[1:3]
    ]
    return idctn(spectrum * np.outer(*decay)[:, :, None], axes=(1, 2), norm="ortho").astype(np.float32)


def _stretch(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps of shape (N, h, w) at another size, by bilinear interpolation between pixel centres."""
    factors = (1, size[0] / maps.shape[1], size[1] / maps.shape[2])
    return zoom(maps, factors, order=1, mode="nearest", grid_mode=True)


def _patches(size: tuple[int, int], window: int | None, stride: int | None) -> list[tuple[slice, slice]]:
    """Return all places of the occluding square."""
    window = check_positive_integer(max(min(size) // 7, 1) if window is None else window, "window")
    stride = check_positive_integer(max(window // 2, 1) if stride is None else stride, "stride")
    if window > min(size):
        raise ValueError(
            f"window is {window}, larger than the images of {size[0]}x{size[1]} pixels; take a smaller one."
        )
    if stride > window:
        raise ValueError(
            f"stride is {stride}, over the window's {window}, so that pixels between would never be covered; "
            "take a smaller one."
        )
    tops, lefts = ([*range(0, length - window, stride), length - window] for length in size)
    return [(slice(top, top + window), slice(left, left + window)) for top in tops for left in lefts]


def _label_scores(
    X: np.ndarray, y: np.ndarray, model: SqueezeNet, sess: tf.Session | None, batch_size: int
) -> np.ndarray:
    """Return the unnormalised score of each image's label, float64, shape (N,)."""
    sess = session.choose_session(model.graph, sess, model.sess)
    feeds = {model.image: X, model.labels: y}
    return session.run_in_batches(sess, [label_score(model)], feeds, batch_size)[0].astype(np.float64)


def _find_layer(model: SqueezeNet, layer: int) -> tf.Tensor:
    """Return a layer that has positions, or raise ValueError with a sentence."""
    last = len(model.layers) - 2
    whole = isinstance(layer, int | np.integer) and not isinstance(layer, bool)
    if not whole or not 0 <= layer <= last:
        raise ValueError(
            f"There is no layer {layer!r} with positions; expected a whole number from 0 to {last}, an index "
            "into model.layers."
        )
    return model.layers[layer]


def _check_baseline(baseline: npt.ArrayLike, X: np.ndarray) -> np.ndarray:
    """Return the baseline as float32 of the shape of `X`."""
    baseline = as_array(baseline, "baseline")
    if baseline.shape not in ((3,), X.shape[1:], X.shape):
        raise ValueError(
            f"baseline has shape {baseline.shape}; expected a colour (3,), an image {X.shape[1:]}, or one "
            f"for each image {X.shape}."
        )
    if baseline.dtype == np.uint8:
        raise ValueError("baseline holds raw pixels (uint8); pass it through preprocess_image first.")
    with np.errstate(over="ignore"):  # what is beyond float32's range becomes infinite, and is refused
        baseline = baseline.astype(np.float32)
    if not np.isfinite(baseline).all():
        raise ValueError("baseline holds NaN or infinity; every value must be finite.")
    return np.broadcast_to(baseline, X.shape)


def _check(X: npt.ArrayLike, y: npt.ArrayLike, batch_size: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the arguments that all methods share, checked."""
    X = check_images(X)
    return X, check_labels(y, len(X)), check_positive_integer(batch_size, "batch_size")
