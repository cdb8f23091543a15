"""Evaluation: ways to test an attribution before believing it.

*Randomisation* asks whether a method looks at the network at all, *deletion and insertion* whether the pixels
it names move the network's answer, and *pointing* whether they lie on the object. None of them proves a
map right; each can show it wrong. Maps are of shape (N, H, W), as `attribution.saliency_map` returns them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid
from scipy.ndimage import correlate1d, gaussian_filter1d
from scipy.special import softmax
from scipy.stats import rankdata

from cs231n import session
from cs231n.attribution import Method, saliency_map
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.image_utils import blur_image
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
)
from cs231n.weights import TENSOR_SHAPES

LAYERS = tuple(reversed(dict.fromkeys(name.rsplit("/", 1)[0].split("/fire")[0] for name in TENSOR_SHAPES)))
"""The ten layers that have weights, from the classifier down to the first convolution."""

_INSERTION_BLUR = 5  # pixels; the authors' code cuts the same Gaussian off at 5 pixels from its centre
_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5  # Wang et al.'s window, 11x11
_SSIM_K = (0.01, 0.03)


@dataclass(frozen=True)
class Randomization:
    """What became of N maps while a network's layers were re-initialised, one after the other.

    Attributes
    ----------
    layers : sequence of L str
        Row l of the arrays is with these layers re-initialised up to and including number l, and all
        layers above them.
    original : ndarray of float32, shape (N, H, W)
        The maps of the trained network.
    maps : ndarray of float32, shape (L, N, H, W)
        The maps of the randomised networks.
    rank_correlation, ssim : ndarray of float64, shape (L, N)
        How like the original they are; NaN where the label's score has become zero whatever the image, so
        that there was nothing to explain and the map is the same everywhere.
    """

    layers: Sequence[str]
    original: np.ndarray
    maps: np.ndarray
    rank_correlation: np.ndarray
    ssim: np.ndarray


@dataclass(frozen=True)
class Curve:
    """How the probabilities of N labels change while pixels are exchanged.

    Attributes
    ----------
    fractions : ndarray of float64, shape (K + 1,)
        The pixels exchanged, from 0 to 1.
    probabilities : ndarray of float64, shape (N, K + 1)
    """

    fractions: np.ndarray
    probabilities: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """The area under each image's curve, from 0 to 1, shape (N,)."""
        return trapezoid(self.probabilities, self.fractions, axis=1)


def randomization_test(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    method: Method,
    *,
    layers: Sequence[str] = LAYERS,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Randomization:
    """Return how a method's maps change while the network forgets what it learnt, from the top down.

    A map that stays the same does not depend on what was learnt, and explains the image at best. The
    control is `edge_detector`, which never sees the network.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `attribution.gradient`. The model stays as it is: a copy in a session of its own is randomised.
    method : function f(X, y, model, *, batch_size)
        Of `attribution.METHODS`, a `functools.partial` of one, or one's own. Its maps are compared without
        their signs, as `saliency_map` makes them.
    layers : sequence of str
        After which layers to compare, of `LAYERS` and in its order. Those between are re-initialised, too.
    seed : int
        Draws the new weights; the same for every method and batch size.

    Raises
    ------
    ValueError
        If an argument is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps. NeurIPS 2018, sections
    3.1 and 4.1: the cascading randomisation.
    """
    X, y, batch_size = check_images(X), as_array(y, "y"), check_positive_integer(batch_size, "batch_size")

    def maps_of(network: SqueezeNet) -> np.ndarray:
        return saliency_map(method(X, y, network, batch_size=batch_size))

    sess = session.choose_session(model.graph, sess, model.sess)
    layers = _check_layers(layers)
    with sess.as_default():
        original = maps_of(model)
    maps = []
    with progress_bar(len(layers), "layer", "randomisation") as bar:
        for layer, network in randomized_models(model, seed=seed, sess=sess):
            if layer in layers:
                maps.append(maps_of(network))
                bar.update()
            if layer == layers[-1]:
                break
    return Randomization(
        layers=layers,
        original=original,
        maps=np.stack(maps),
        rank_correlation=np.stack([rank_correlation(original, changed) for changed in maps]),
        ssim=np.stack([_ssim_of_maps(original, changed) for changed in maps]),
    )


def randomized_models(
    model: SqueezeNet, *, seed: int = 0, sess: tf.Session | None = None
) -> Iterator[tuple[str, SqueezeNet]]:
    """Yield each of `LAYERS` with the network in which it and all layers above it are re-initialised.

    Kernels are drawn from a normal distribution of variance 2 / fan-in (He et al. 2015) and biases are zero.

    Parameters
    ----------
    model : SqueezeNet
        Stays as it is. What is yielded is a copy in a graph and session of its own, always the same one:
        be done with it before asking for the next layer. Its session ends with the iterator.
    seed : int
        Draws the new weights.
    sess : tf.Session, optional
        Where the model's weights are. Default: the model's session, else the default session.

    Raises
    ------
    ValueError
        If there is no session with the weights loaded, or `seed` is no whole number from 0 on.
    """
    rng = np.random.default_rng(check_not_negative_integer(seed, "seed"))
    weights = session.run(session.choose_session(model.graph, sess, model.sess), model.variables, {})
    graph = tf.Graph()
    # Not `with tf.Session`: that is the default session of one thread, and each step may be another one's.
    with contextlib.closing(tf.Session(graph=graph)) as own_session:
        with graph.as_default():
            copy = SqueezeNet(sess=own_session)
        for layer in LAYERS:
            for name in (name for name in weights if name.startswith(f"{layer}/")):
                weights[name] = _initial_value(rng, weights[name].shape)
            copy.load(weights)
            yield layer, copy


def edge_detector(
    X: npt.ArrayLike, y: object = None, model: object = None, *, batch_size: int = DEFAULT_BATCH_SIZE
) -> np.ndarray:
    """Return the strength of the image's edges: the control of all tests, for it never sees the network.

    Parameters
    ----------
    X : array_like of float, shape (N, H, W, 3)
        Preprocessed images.
    y, model, batch_size
        Not used; they are here so that it can stand where a method does.

    Returns
    -------
    ndarray of float32, shape (N, H, W)
        The magnitude of Sobel's gradient, the largest of the three channels.
    """
    X = check_images(X)
    down, right = (
        correlate1d(correlate1d(X, [-1, 0, 1], axis=along), [1, 2, 1], axis=across)
        for along, across in ((1, 2), (2, 1))
    )
    return np.hypot(down, right).max(axis=-1)


def rank_correlation(maps: npt.ArrayLike, others: npt.ArrayLike) -> np.ndarray:
    """Return Spearman's rank correlation between the pixels of each two maps.

    Parameters
    ----------
    maps, others : array_like of float, shape (N, H, W)

    Returns
    -------
    ndarray of float64, shape (N,)
        From -1 to 1; NaN where one of the two maps is the same everywhere and has no ranks.
    """
    maps, others = _check_pair(maps, others)
    a, b = (rankdata(m.reshape(len(m), -1), axis=1) for m in (maps, others))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), norms, out=np.full(len(a), np.nan), where=norms > 0)


def structural_similarity(maps: npt.ArrayLike, others: npt.ArrayLike, value_range: float = 1) -> np.ndarray:
    """Return the mean structural similarity (SSIM) of each two maps.

    ``(2 μ_a μ_b + c₁) (2 σ_ab + c₂) / ((μ_a² + μ_b² + c₁) (σ_a² + σ_b² + c₂))``, with means, variances and
    covariance under a Gaussian window (σ 1.5, 11 x 11 pixels), c₁ = (0.01 r)² and c₂ = (0.03 r)² for the
    range r; averaged over all places where the window lies wholly inside the image.

    Parameters
    ----------
    maps, others : array_like of float, shape (N, H, W)
        H and W at least 11.
    value_range : float
        r, the difference between the largest and the smallest possible value.

    Returns
    -------
    ndarray of float64, shape (N,)

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural
    Similarity. IEEE Transactions on Image Processing 13(4), 2004, section III.
    """
    a, b = _check_pair(maps, others)
    if min(a.shape[1:]) < 2 * _SSIM_RADIUS + 1:
        raise ValueError(f"The maps have {a.shape[1]}x{a.shape[2]} pixels; SSIM needs at least 11x11.")
    c1, c2 = ((k * value_range) ** 2 for k in _SSIM_K)
    mean_a, mean_b = _local_mean(a), _local_mean(b)
    var_a = _local_mean(a * a) - mean_a**2
    var_b = _local_mean(b * b) - mean_b**2
    cov = _local_mean(a * b) - mean_a * mean_b
    similarity = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return similarity.mean(axis=(1, 2))


def deletion_curve(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    maps: npt.ArrayLike,
    model: SqueezeNet,
    *,
    steps: int = 224,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Curve:
    """Return how the label's probability falls while pixels turn grey, those highest in the map first.

    The smaller the area, the better does the map name the pixels that the network needs.

    Parameters
    ----------
    X, y, model, sess, batch_size
        As for `attribution.gradient`.
    maps : array_like of float, shape (N, H, W)
        The higher, the earlier a pixel goes.
    steps : int
        K: the network sees each image with 0, 1/K, 2/K, …, 1 of its pixels grey. The paper's 224 for images
        of 224 x 224 are one row's worth of pixels a step.
    seed : int
        Draws the order of pixels whose values are equal, as most are in a map with a flat ground.

    Returns
    -------
    Curve

    Raises
    ------
    ValueError
        If an argument is not what is said above, or there is no session with the weights loaded.

    References
    ----------
    Petsiuk, Das, Saenko: RISE. BMVC 2018, section 4.1. Probabilities are the softmax's; grey is
    ImageNet's mean.
    """
    X = check_images(X)
    return _exchange(X, np.zeros_like(X), y, maps, model, steps, seed, sess, batch_size)


def insertion_curve(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    maps: npt.ArrayLike,
    model: SqueezeNet,
    *,
    steps: int = 224,
    seed: int = 0,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> Curve:
    """Return how the label's probability rises while a blurred image gets its pixels back.

    Those highest in the map come first. The larger the area, the better does the map name the pixels that
    suffice.

    Parameters
    ----------
    X, y, maps, model, steps, seed, sess, batch_size
        As for `deletion_curve`.

    Returns
    -------
    Curve

    References
    ----------
    Petsiuk, Das, Saenko: RISE. BMVC 2018, section 4.1. The blur is a Gaussian of σ 5 pixels; on grey, a few
    pixels would be sharp edges that are evidence of their own.
    """
    X = check_images(X)
    return _exchange(blur_image(X, _INSERTION_BLUR), X, y, maps, model, steps, seed, sess, batch_size)


def pointing_game(
    maps: npt.ArrayLike, boxes: Sequence[npt.ArrayLike], *, tolerance: float = 15
) -> np.ndarray:
    """Return whether each map's highest pixel lies on the object; the mean is the pointing score.

    Parameters
    ----------
    maps : array_like of float, shape (N, H, W)
        Of equal pixels the first in reading order counts.
    boxes : sequence of N array_like, shape (4,) or (B, 4)
        Where the objects of the class are in each image: left, top, right, bottom in pixels, from 0; a box
        ends before its right column and its bottom row.
    tolerance : float
        How many pixels beside a box still count.

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ValueError
        If an argument is not what is said above.

    References
    ----------
    Zhang, Lin, Brandt, Shen, Sclaroff: Top-down Neural Attention by Excitation Backprop. ECCV 2016,
    section 4.2.
    """
    maps = _check_maps(maps)
    tolerance = check_not_negative(tolerance, "tolerance")
    if len(boxes) != len(maps):
        raise ValueError(f"boxes holds {len(boxes)} entries for {len(maps)} maps; expected one per map.")
    hits = []
    for i, single in enumerate(maps):
        left, top, right, bottom = _check_boxes(boxes[i], i).T
        row, column = np.unravel_index(single.argmax(), single.shape)
        beside = np.maximum(0, np.maximum(left - column, column - (right - 1)))
        above = np.maximum(0, np.maximum(top - row, row - (bottom - 1)))
        hits.append(bool((np.hypot(beside, above) <= tolerance).any()))
    return np.array(hits)


def _exchange(
    first: np.ndarray,
    last: np.ndarray,
    y: npt.ArrayLike,
    maps: npt.ArrayLike,
    model: SqueezeNet,
    steps: int,
    seed: int,
    sess: tf.Session | None,
    batch_size: int,
) -> Curve:
    """Return the labels' probabilities while pixels of `first` give way to those of `last`."""
    y, batch_size = check_labels(y, len(first)), check_positive_integer(batch_size, "batch_size")
    maps = _check_maps(maps)
    if maps.shape != first.shape[:3]:
        raise ValueError(f"maps has shape {maps.shape}; expected one of {first.shape[:3]}, as X has.")
    steps = check_positive_integer(steps, "steps")
    sess = session.choose_session(model.graph, sess, model.sess)
    fractions = np.linspace(0, 1, steps + 1)
    places = _places(maps, check_not_negative_integer(seed, "seed"))
    counts = np.rint(fractions * maps[0].size)

    def images() -> Iterator[tuple[int, np.ndarray]]:
        for i, count in itertools.product(range(len(first)), counts):
            yield i, np.where((places[i] < count)[..., None], last[i], first[i])

    def compute(batch: list[tuple[int, np.ndarray]]) -> np.ndarray:
        rows, mixed = zip(*batch, strict=True)
        scores = session.run(sess, model.classifier, {model.image: np.stack(mixed)})
        return softmax(scores.astype(np.float64), axis=1)[np.arange(len(rows)), y[list(rows)]]

    probabilities = []
    with progress_bar(len(first) * len(counts), "run") as bar:
        for batch, p in run_ahead(compute, in_batches(images(), batch_size)):
            probabilities.append(p)
            bar.update(len(batch))
    return Curve(fractions, np.concatenate(probabilities).reshape(len(first), -1))


def _places(maps: np.ndarray, seed: int) -> np.ndarray:
    """Return each pixel's place in its map's order from high to low, equal ones in an order by chance."""
    flat = maps.reshape(len(maps), -1)
    shuffle = np.random.default_rng(seed).permutation(flat.shape[1])
    order = shuffle[np.argsort(-flat[:, shuffle], axis=1, kind="stable")]
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(flat.shape[1])[None], axis=1)
    return places.reshape(maps.shape)


def _initial_value(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return new weights for a kernel (H, W, in, out), or zeros for a bias."""
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    fan_in = np.prod(shape[:3])
    return (np.sqrt(2 / fan_in) * rng.standard_normal(shape)).astype(np.float32)


def _ssim_of_maps(original: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return the SSIM of maps as figures show them, relative to their 99 % quantiles; NaN for flat ones."""
    ssim = structural_similarity(_as_shown(original), _as_shown(changed))
    flat = [np.ptp(maps, axis=(1, 2)) == 0 for maps in (original, changed)]
    return np.where(np.logical_or(*flat), np.nan, ssim)


def _as_shown(maps: np.ndarray) -> np.ndarray:
    limit = np.percentile(maps, 99, axis=(1, 2), keepdims=True)
    limit = np.where(limit > 0, limit, np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-30))
    return np.minimum(maps / limit, 1)


def _local_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean under SSIM's window, where the window lies wholly inside."""
    for axis in (1, 2):
        values = gaussian_filter1d(values, _SSIM_SIGMA, axis=axis, radius=_SSIM_RADIUS)
    inside = slice(_SSIM_RADIUS, -_SSIM_RADIUS)
    return values[:, inside, inside]


def _check_layers(layers: Sequence[str]) -> list[str]:
    """Return `layers` after checking that they are some of `LAYERS`, in its order."""
    layers = [layers] if isinstance(layers, str) else list(layers)
    unknown = [layer for layer in layers if layer not in LAYERS]
    if unknown:
        raise ValueError(f"There is no layer {unknown[0]!r} with weights; they are {', '.join(LAYERS)}.")
    if not layers or layers != sorted(set(layers), key=LAYERS.index):
        raise ValueError(f"layers is {layers}; expected at least one, each once, from the classifier down.")
    return layers


def _check_maps(maps: npt.ArrayLike, name: str = "maps") -> np.ndarray:
    """Return maps as float64, after checking that they are a batch and finite."""
    maps = as_array(maps, name)
    if maps.ndim != 3 or maps.size == 0:
        raise ValueError(
            f"{name} has shape {maps.shape}; expected (N, height, width), as saliency_map returns them."
        )
    if not np.isfinite(maps).all():
        raise ValueError(f"{name} holds NaN or infinity; every value must be finite.")
    return maps.astype(np.float64)


def _check_pair(maps: npt.ArrayLike, others: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return two batches of maps as float64, after checking that they are of one shape."""
    maps, others = _check_maps(maps), _check_maps(others, "others")
    if maps.shape != others.shape:
        raise ValueError(f"maps has shape {maps.shape} and others {others.shape}; expected the same.")
    return maps, others


def _check_boxes(boxes: npt.ArrayLike, i: int) -> np.ndarray:
    """Return the boxes of image i, shape (B, 4)."""
    boxes = np.atleast_2d(as_array(boxes, f"boxes[{i}]"))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or boxes.size == 0:
        raise ValueError(f"boxes[{i}] has shape {boxes.shape}; expected (4,) or (B, 4), B at least 1.")
    if not ((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])).all():
        raise ValueError(f"boxes[{i}] holds an empty box; expected left < right and top < bottom.")
    return boxes
