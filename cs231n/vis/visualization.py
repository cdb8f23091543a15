"""Saliency maps and Grad-CAM of one or several outputs, as keras-vis offers them, for batches of images.

What `visualize_saliency` computes for an image x, step by step:

1. the mean of each chosen filter over its positions, summed over the chosen filters: A(x);
2. the signed gradient dA/dx: positive where more of the pixel raises A. With a `backprop_modifier` ReLUs pass
   something else back than their derivative;
3. the `grad_modifier`, for each channel of each pixel;
4. the maximum over the channels, unless `keepdims`;
5. the map scaled to [0, 1], from its own minimum and maximum, unless ``normalize=False``.

An image without a batch axis gives a map without one. A batch of N gives N maps, also for N = 1, each scaled
by itself; keras-vis drops all but the first. All functions add operations to the graph at their first call
for the given layer or losses, and none after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cs231n.classifiers.squeezenet import IMAGES, SqueezeNet
from cs231n.gradients import ImageGradient, ReLURule, build_once, operations_between
from cs231n.image_utils import upsample_maps
from cs231n.quiet_tensorflow import tf
from cs231n.session import DEFAULT_BATCH_SIZE
from cs231n.validation import as_array, check_images, check_positive_integer
from cs231n.vis import backprop_modifiers, grad_modifiers
from cs231n.vis.grad_modifiers import EPSILON, GradModifier
from cs231n.vis.graph_model import GraphModel, check_tensor, find_layer
from cs231n.vis.losses import ActivationMaximization, WeightedLosses


def visualize_saliency(
    model: SqueezeNet | GraphModel,
    layer_idx: int | str,
    filter_indices: int | Sequence[int] | npt.ArrayLike | None,
    seed_input: npt.ArrayLike,
    wrt_tensor: tf.Tensor | None = None,
    backprop_modifier: str | ReLURule | None = None,
    grad_modifier: str | GradModifier | None = "absolute",
    keepdims: bool = False,
    *,
    normalize: bool = True,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return how strongly each pixel moves the activation of some filters or outputs of a layer.

    Parameters
    ----------
    model : SqueezeNet or GraphModel
    layer_idx : int or str
        The layer, by its index in `model.layers` (negative: from the end) or by its name.
    filter_indices : int, sequence of int, array of shape (N, M), or None
        Filters of a convolution; classes, or outputs, of a last layer. Several add up. A sequence holds for
        all images; an array of shape (N, M) has a row for each image, so ``y[:, None]`` gives each image the
        class of its own label. None: all.
    seed_input : array_like, shape (..., C) or (N, ..., C)
        An image or a batch, as the model takes them: preprocessed for SqueezeNet.
    wrt_tensor : tensor, shape (N, ..., C'), optional
        With respect to what to differentiate; the map has its size. Default: the image.
    backprop_modifier : str or function, optional
        What ReLUs pass back: "guided", "rectified" (also called "relu" and "deconv"), or a function of
        (op, gradient). Default: their derivative.
    grad_modifier : str or function, optional
        What is made of the signed gradient g: "absolute" (abs(g)), "negate" (-g), "relu" (max(g, 0)),
        "invert" (1 / (g + 1e-7)), "small_values" (abs(1 / (g + 1e-7))), a function, or None for nothing. A
        function gets the gradient of one image at a time, shape (1, ..., C).
        For a regression output: None or "relu" show what raises it, "negate" what lowers it,
        "small_values" what it hardly depends on.
    keepdims : bool
        Keep the channels instead of taking their maximum.
    normalize : bool
        Scale each map to [0, 1]: ``(s - min) / (max - min + 1e-7)``. False returns s itself.
    sess : tf.Session, optional
        Default: the model's session, else the default session.
    batch_size : int
        Images per run of the session; the result does not depend on it.

    Returns
    -------
    ndarray of float, shape (...), or (N, ...) for a batch
        With `keepdims` (..., C) or (N, ..., C).

    Raises
    ------
    ValueError
        If an argument is not what is said above; if the layer does not depend on `wrt_tensor`; if there is
        no ReLU that `backprop_modifier` could hold for; if there is no session with the weights loaded.

    References
    ----------
    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks. ICLR workshop 2014, section 3.
    Springenberg et al.: Striving for Simplicity. ICLR workshop 2015, section 3.4 (guided).
    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks. ECCV 2014, section 2.1 (rectified).
    """
    X, is_single = _check_seed_input(seed_input, model.image)
    layer = model.layers[find_layer(model, layer_idx)]
    gradient = _LossGradient(
        model.image,
        [(ActivationMaximization(layer, filter_indices), -1)],
        wrt_tensor,
        backprop_modifiers.get(backprop_modifier),
    )
    (grads,) = gradient.run(X, sess or model.sess, batch_size)
    maps = _saliency(grads, grad_modifier, keepdims, normalize)
    return maps[0] if is_single else maps


def visualize_saliency_with_losses(
    input_tensor: tf.Tensor,
    losses: Sequence[tuple[object, float]],
    seed_input: npt.ArrayLike,
    wrt_tensor: tf.Tensor | None = None,
    grad_modifier: str | GradModifier | None = "absolute",
    keepdims: bool = False,
    *,
    normalize: bool = True,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return how strongly each pixel moves a weighted sum of losses.

    The gradient is that of ``sum of weight * loss``. `ActivationMaximization` is a *negative* activation, so
    give it the weight -1 for positive gradients where more of the pixel raises the activation.

    Parameters
    ----------
    input_tensor : tensor of float, shape (N, ..., C)
        What the images are fed to, `model.image` for example.
    losses : sequence of (loss, weight)
        Objects of classes derived from `Loss`, functions of `input_tensor`, or tensors; see `losses`. Those
        of weight 0 are left out.
    seed_input, wrt_tensor, grad_modifier, keepdims, normalize, batch_size
        As for `visualize_saliency`.
    sess : tf.Session, optional
        Default: the default session.

    Returns
    -------
    ndarray of float, shape (...), or (N, ...) for a batch
        With `keepdims` (..., C) or (N, ..., C).

    Raises
    ------
    ValueError
        If an argument is not what is said above; if all weights are 0; if a loss does not depend on the
        image and on `wrt_tensor`; if there is no session with the weights loaded.
    """
    X, is_single = _check_seed_input(seed_input, check_tensor(input_tensor, "input_tensor"))
    gradient = _LossGradient(input_tensor, losses, wrt_tensor)
    (grads,) = gradient.run(X, sess, batch_size)
    maps = _saliency(grads, grad_modifier, keepdims, normalize)
    return maps[0] if is_single else maps


def visualize_cam(
    model: SqueezeNet | GraphModel,
    layer_idx: int | str,
    filter_indices: int | Sequence[int] | npt.ArrayLike | None,
    seed_input: npt.ArrayLike,
    penultimate_layer_idx: int | str | None = None,
    backprop_modifier: str | ReLURule | None = None,
    grad_modifier: str | GradModifier | None = None,
    *,
    normalize: bool = True,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return Grad-CAM: where the penultimate layer's feature maps speak for the chosen outputs of a layer.

    With F the feature maps and A the mean activation of the chosen filters, it is ``max(0, sum_k w_k F_k)``,
    where w_k is the mean of dA/dF_k over all positions, enlarged to the image's size.

    Parameters
    ----------
    model, layer_idx, filter_indices, seed_input
        As for `visualize_saliency`.
    penultimate_layer_idx : int or str, optional
        The layer whose feature maps are taken, by index or name. Default: the nearest layer before
        `layer_idx` that has positions, as convolutions and pools have them.
    backprop_modifier, grad_modifier
        As for `visualize_saliency`; `grad_modifier` is applied to dA/dF before it is averaged.
    normalize, sess, batch_size
        As for `visualize_saliency`. Unlike keras-vis, which divides by the largest gradient even if that is
        negative, a map never changes its sign.

    Returns
    -------
    ndarray of float, shape (...), or (N, ...) for a batch
        Not negative, in the size of the image.

    Raises
    ------
    ValueError
        As `visualize_saliency`, and if the penultimate layer has no positions or is not before the layer.

    References
    ----------
    Selvaraju et al.: Grad-CAM. ICCV 2017, section 3.
    """
    X, is_single = _check_seed_input(seed_input, model.image)
    index = find_layer(model, layer_idx)
    gradient = _LossGradient(
        model.image,
        [(ActivationMaximization(model.layers[index], filter_indices), -1)],
        _penultimate_layer(model, index, penultimate_layer_idx),
        backprop_modifiers.get(backprop_modifier),
        with_activations=True,
    )
    maps = _grad_cam(gradient, X, grad_modifier, normalize, sess or model.sess, batch_size)
    return maps[0] if is_single else maps


def visualize_cam_with_losses(
    input_tensor: tf.Tensor,
    losses: Sequence[tuple[object, float]],
    seed_input: npt.ArrayLike,
    penultimate_layer: tf.Tensor,
    grad_modifier: str | GradModifier | None = None,
    *,
    normalize: bool = True,
    sess: tf.Session | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> np.ndarray:
    """Return Grad-CAM of a weighted sum of losses.

    Parameters
    ----------
    input_tensor, losses
        As for `visualize_saliency_with_losses`, with the same signs: give `ActivationMaximization` a weight
        below 0.
    seed_input, grad_modifier, normalize, batch_size
        As for `visualize_cam`.
    penultimate_layer : tensor of float, shape (N, ..., K)
        The layer whose feature maps are taken.
    sess : tf.Session, optional
        Default: the default session.

    Returns
    -------
    ndarray of float, shape (...), or (N, ...) for a batch
        Not negative, in the size of the image.

    Raises
    ------
    ValueError
        As `visualize_saliency_with_losses`, and if the penultimate layer has no positions.
    """
    X, is_single = _check_seed_input(seed_input, check_tensor(input_tensor, "input_tensor"))
    check_tensor(penultimate_layer, "penultimate_layer", input_tensor.graph)
    _check_feature_maps(penultimate_layer, input_tensor)
    gradient = _LossGradient(input_tensor, losses, penultimate_layer, with_activations=True)
    maps = _grad_cam(gradient, X, grad_modifier, normalize, sess, batch_size)
    return maps[0] if is_single else maps


def num_overridden_relus(
    model: SqueezeNet | GraphModel,
    layer_idx: int | str,
    backprop_modifier: str | ReLURule = "guided",
    wrt_tensor: tf.Tensor | None = None,
) -> int:
    """Return how many ReLUs follow the modifier in `visualize_saliency` with the same arguments.

    They are those between `wrt_tensor`, or the image, and the layer. ReLUs inside of functions, like those of
    `tf.function`, are out of reach.

    Raises
    ------
    ValueError
        If there are none.
    """
    layer = model.layers[find_layer(model, layer_idx)]
    rule = backprop_modifiers.get(backprop_modifier)
    losses = [(ActivationMaximization(layer), -1)]
    return _LossGradient(model.image, losses, wrt_tensor, rule).built.gradient.num_relus


class _Built(NamedTuple):
    """What is kept with the graph."""

    gradient: ImageGradient
    one_at_a_time: bool
    """Whether a loss is a value for all images together."""


class _LossGradient:
    """The gradient of weighted losses: built at most once in a graph, whatever the weights and filters."""

    def __init__(
        self,
        image: tf.Tensor,
        losses: Sequence[tuple[object, float]],
        wrt: tf.Tensor | None = None,
        relu_rule: ReLURule | None = None,
        with_activations: bool = False,
    ) -> None:
        self.losses = WeightedLosses(losses, image)
        wrt = image if wrt is None else check_tensor(wrt, "wrt_tensor", image.graph)

        def build() -> _Built:
            _check_wrt(wrt, image)
            score, coefficients, may_batch = self.losses.build(wrt)
            gradient = ImageGradient(
                score,
                image,
                wrt=wrt,
                labels=coefficients,
                relu_rule=relu_rule,
                outputs=[wrt] if with_activations else [],
            )
            return _Built(gradient, one_at_a_time=not may_batch or image.shape.as_list()[0] == 1)

        key = (image.name, self.losses.key, wrt.name, relu_rule, with_activations)
        self.built = build_once(image.graph, key, build)

    def run(self, X: np.ndarray, sess: tf.Session | None, batch_size: int) -> tuple[np.ndarray, ...]:
        """Return the gradient for each image, and the activations if so asked."""
        batch_size = check_positive_integer(batch_size, "batch_size")
        results = self.built.gradient(
            X,
            self.losses.coefficients(len(X)),
            sess=sess,
            batch_size=1 if self.built.one_at_a_time else batch_size,
        )
        return results if isinstance(results, tuple) else (results,)


def _check_seed_input(seed_input: npt.ArrayLike, image: tf.Tensor) -> tuple[np.ndarray, bool]:
    """Return images as a batch of what `image` takes, and whether there was one without a batch axis."""
    X = as_array(seed_input, "seed_input")
    shape = image.shape.as_list()
    is_single = X.ndim == len(shape) - 1
    if is_single:
        X = X[None]
    if any(image is other for other in image.graph.get_collection(IMAGES)):
        return check_images(X, "seed_input"), is_single
    sizes = ["any" if size is None else str(size) for size in shape[1:]]
    fits = X.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(X.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"seed_input has shape {np.shape(seed_input)}; expected an image of size {' x '.join(sizes)}, "
            "the channels last, or a batch of such images."
        )
    if X.size == 0:
        raise ValueError(f"seed_input has shape {X.shape}, which holds nothing; expected at least one image.")
    if X.dtype.kind not in "fiu":
        raise ValueError(f"seed_input has dtype {X.dtype}; expected numbers.")
    if not np.isfinite(X).all():
        raise ValueError("seed_input holds NaN or infinity; every value must be finite.")
    converted = X.astype(image.dtype.as_numpy_dtype, copy=False)
    if image.dtype.is_integer and not np.array_equal(converted, X):
        raise ValueError(f"seed_input holds values that are no {image.dtype.name}, which the graph expects.")
    return converted, is_single


def _check_wrt(wrt: tf.Tensor, image: tf.Tensor) -> None:
    """Raise ValueError unless there can be a gradient with respect to `wrt` for each image."""
    if not wrt.dtype.is_floating:
        raise ValueError(
            f"{wrt.name} has dtype {wrt.dtype.name}, for which there are no gradients; pass what it is "
            "converted to floats as wrt_tensor."
        )
    if wrt is not image and not operations_between(image, wrt):
        raise ValueError(f"wrt_tensor {wrt.name} does not depend on the image {image.name}.")


def _penultimate_layer(
    model: SqueezeNet | GraphModel, index: int, penultimate_layer_idx: int | str | None
) -> tf.Tensor:
    """Return the layer whose feature maps Grad-CAM takes for the layer of this index."""
    if penultimate_layer_idx is not None:
        layer = model.layers[find_layer(model, penultimate_layer_idx, "penultimate_layer_idx")]
        return _check_feature_maps(layer, model.image)
    for layer in reversed(model.layers[:index]):
        if layer.shape.rank == model.image.shape.rank:
            return layer
    raise ValueError(
        f"No layer before {model.layer_names[index]} has positions like the image; name one that has, with "
        "penultimate_layer_idx."
    )


def _check_feature_maps(layer: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Return `layer`, or raise ValueError if it has no positions that could be laid over the image."""
    if layer.shape.rank != image.shape.rank:
        raise ValueError(
            f"The penultimate layer {layer.name} has shape {layer.shape}; expected positions like those of "
            f"the image, {image.shape}: take an earlier layer."
        )
    return layer


def _saliency(
    grads: np.ndarray, grad_modifier: str | GradModifier | None, keepdims: bool, normalize: bool
) -> np.ndarray:
    """Return the maps that gradients make."""
    maps = _modify(grads, grad_modifier)
    if not keepdims:
        maps = maps.max(axis=-1)
    return _normalize(maps) if normalize else maps


def _grad_cam(
    gradient: _LossGradient,
    X: np.ndarray,
    grad_modifier: str | GradModifier | None,
    normalize: bool,
    sess: tf.Session | None,
    batch_size: int,
) -> np.ndarray:
    """Return Grad-CAM for each image."""
    grads, features = gradient.run(X, sess, batch_size)
    grads = _modify(grads, grad_modifier)
    positions = tuple(range(1, grads.ndim - 1))
    if normalize:
        # A common factor of a map does not change it; without it the smallest would drown in EPSILON.
        grads = grads / (np.abs(grads).max(axis=(*positions, -1), keepdims=True) + EPSILON)
    weights = grads.mean(axis=positions, keepdims=True)
    maps = upsample_maps(np.maximum((weights * features).sum(axis=-1), 0), X.shape[1:-1])
    return _normalize(maps) if normalize else maps


def _modify(grads: np.ndarray, grad_modifier: str | GradModifier | None) -> np.ndarray:
    """Return the gradients after the modifier, which gets those of one image at a time."""
    modifier = grad_modifiers.get(grad_modifier)
    if modifier is None:
        return grads
    modified = [as_array(modifier(grad[None]), "The result of grad_modifier") for grad in grads]
    for result in modified:
        if result.shape != (1, *grads.shape[1:]):
            raise ValueError(
                f"grad_modifier returned shape {result.shape} for a gradient of shape "
                f"{(1, *grads.shape[1:])}; expected the same shape."
            )
        if not np.isfinite(result).all():
            raise ValueError("grad_modifier returned NaN or infinity; every value must be finite.")
    return np.concatenate(modified)


def _normalize(maps: np.ndarray) -> np.ndarray:
    """Return each map scaled from its minimum and maximum to [0, 1]; one of equal values becomes 0."""
    axes = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=axes, keepdims=True), maps.max(axis=axes, keepdims=True)
    return (maps - low) / (high - low + EPSILON)
