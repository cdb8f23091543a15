"""Losses: what `visualize_saliency_with_losses` and `visualize_cam_with_losses` differentiate.

A loss is one of

- an object of a class derived from `Loss`, like `ActivationMaximization`;
- a function of the image's tensor that returns a tensor;
- a tensor.

Its tensor has shape (N,), a value for each image, or shape (), a value for all images together; then the
images are computed one at a time, so that each gets the gradient of its own value. The sign is that of
something to be minimised: `ActivationMaximization` is the *negative* activation, and a weight of -1 turns it
back, so that positive gradients mean "more of this pixel, more activation".

The weighted sum of the losses is built once and the weights are fed. What is built is known by what the
losses are: the class of a `Loss` and its attributes, the function, the tensor. New objects that are equal in
that sense, in a loop for example, add nothing to the graph; a new lambda in each round does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cs231n.gradients import operations_between
from cs231n.quiet_tensorflow import tf
from cs231n.validation import as_array
from cs231n.vis.graph_model import check_tensor


class Loss:
    """A loss to derive from.

    Write `build_loss`, and keep all that it uses in attributes: two losses of one class with equal attributes
    count as the same loss.

    Attributes
    ----------
    name : str, optional
        For error messages; by default the class's.

    Examples
    --------
    >>> class Contrast(Loss):
    ...     def __init__(self, scores, a, b):
    ...         self.scores, self.a, self.b = scores, a, b
    ...
    ...     def build_loss(self):
    ...         return self.scores[:, self.b] - self.scores[:, self.a]
    """

    def __str__(self) -> str:
        return getattr(self, "name", type(self).__name__)

    def build_loss(self) -> tf.Tensor:
        """Return the loss, to be minimised: a tensor of shape (N,) or ()."""
        raise NotImplementedError(f"The loss {self} has no build_loss; write one that returns a tensor.")


class ActivationMaximization(Loss):
    """The negative activation of some filters of a layer.

    For image n it is ``-sum_k mean_p layer[n, p, k]``, over the filters k, each averaged over its positions.

    Parameters
    ----------
    layer : tensor of float, shape (N, ..., K)
        A layer with K filters: a convolution, or N x K scores or outputs.
    filter_indices : int, sequence of int, array of shape (N, M), or None
        Which filters, in [0, K). An int or a sequence holds for all images; an array of shape (N, M) has a
        row for each image, as ``y[:, None]`` has for labels `y`. None: all filters. One that is given twice
        counts twice.

    Raises
    ------
    ValueError
        If `layer` is no such tensor, or a filter does not exist.
    """

    def __init__(
        self, layer: tf.Tensor, filter_indices: int | Sequence[int] | npt.ArrayLike | None = None
    ) -> None:
        self.layer = check_tensor(layer, "layer")
        self.name = f"ActivationMaximization of {layer.name}"
        rank = layer.shape.rank
        if rank is None or rank < 2 or layer.shape.as_list()[-1] is None:
            raise ValueError(
                f"The layer {layer.name} has shape {layer.shape}; expected (N, ..., filters), with a known "
                "number of filters."
            )
        self.num_filters = layer.shape.as_list()[-1]
        self.filter_indices = _check_filter_indices(filter_indices, self.num_filters, layer.name)

    def build_loss(self) -> tf.Tensor:
        """Return the loss, shape (N,)."""
        return -tf.reduce_sum(self.filter_means() * self._constant_counts(), axis=1)

    def filter_means(self) -> tf.Tensor:
        """Return each filter's mean over its positions, shape (N, K)."""
        positions = list(range(1, self.layer.shape.rank - 1))
        return tf.reduce_mean(self.layer, axis=positions) if positions else self.layer

    def counts(self, n: int) -> np.ndarray:
        """Return how often each filter counts for each of `n` images, shape (n, K).

        Raises
        ------
        ValueError
            If the filters were given for another number of images.
        """
        counts = np.zeros((n, self.num_filters))
        indices = self.filter_indices
        if indices is None:
            return counts + 1
        if isinstance(indices, np.ndarray) and indices.ndim == 1 and len(indices) == n > 1:
            raise ValueError(
                f"filter_indices is an array of {n} numbers for {n} images, which can be meant in two ways; "
                "pass filter_indices[:, None] for one per image, or list(filter_indices) for all of them "
                "with each image."
            )
        if np.ndim(indices) == 2 and len(indices) != n:
            raise ValueError(
                f"filter_indices has {len(indices)} rows for {n} images; expected one per image."
            )
        rows = np.broadcast_to(indices, (n, np.shape(indices)[-1]))
        np.add.at(counts, (np.arange(n)[:, None], rows), 1)
        return counts

    def _constant_counts(self) -> np.ndarray:
        n = len(self.filter_indices) if np.ndim(self.filter_indices) == 2 else 1
        return self.counts(n).astype(self.layer.dtype.as_numpy_dtype)


class TotalVariation(Loss):
    """Total variation of the image: small for images of even areas.

    ``sum_{p,c} (sum_d (x[p + 1 in direction d, c] - x[p, c])^2)^(beta / 2) / size``, over all positions p but
    the last ones in each direction and all channels c; `size` is the number of values in an image.

    Parameters
    ----------
    img_input : tensor of float, shape (N, ..., C)
    beta : float
        Above 0; 2 is smooth, 1 keeps edges.

    Raises
    ------
    ValueError
        If the tensor has no positions, or `beta` is not above 0.

    References
    ----------
    Mahendran, Vedaldi: Understanding Deep Image Representations by Inverting Them. CVPR 2015, section 3.
    """

    def __init__(self, img_input: tf.Tensor, beta: float = 2.0) -> None:
        self.img = check_tensor(img_input, "img_input")
        if img_input.shape.rank is None or img_input.shape.rank < 3:
            raise ValueError(f"img_input has shape {img_input.shape}; expected (N, ..., channels).")
        if not beta > 0:
            raise ValueError(f"beta is {beta}; expected a number above 0.")
        self.beta = float(beta)

    def build_loss(self) -> tf.Tensor:
        """Return the loss, shape (N,)."""
        directions = range(1, self.img.shape.rank - 1)
        here = [slice(None), *(slice(-1) for _ in directions)]
        squares = 0
        for direction in directions:
            there = list(here)
            there[direction] = slice(1, None)
            squares += tf.square(self.img[tuple(there)] - self.img[tuple(here)])
        return _sum_of_image(_power(squares, self.beta / 2)) / _size_of_image(self.img)


class LPNorm(Loss):
    """The p-norm of the image: small for images without extreme values.

    ``(sum_i abs(x_i)^p)^(1/p) / size``, over all values of an image; `size` is their number. For infinite p
    it is ``max_i abs(x_i) / size``; keras-vis leaves out the abs there.

    Parameters
    ----------
    img_input : tensor of float, shape (N, ...)
    p : float
        At least 1; `float("inf")` for the maximum.

    Raises
    ------
    ValueError
        If `p` is less than 1.

    References
    ----------
    Mahendran, Vedaldi: Understanding Deep Image Representations by Inverting Them. CVPR 2015, section 3.
    """

    def __init__(self, img_input: tf.Tensor, p: float = 6.0) -> None:
        self.img = check_tensor(img_input, "img_input")
        if not p >= 1:
            raise ValueError(f"p is {p}; expected a number of at least 1, or infinity.")
        self.p = float(p)

    def build_loss(self) -> tf.Tensor:
        """Return the loss, shape (N,)."""
        if math.isinf(self.p):
            norm = tf.reduce_max(tf.abs(self.img), axis=list(range(1, self.img.shape.rank)))
        else:
            norm = _power(_sum_of_image(_power(tf.abs(self.img), self.p)), 1 / self.p)
        return norm / _size_of_image(self.img)


class WeightedLosses:
    """A weighted sum of losses as a sum of terms, built once, with coefficients, fed at each run.

    Each filter of an `ActivationMaximization`'s layer is a term, and its coefficient is the weight times the
    number of times that the filter is asked for; any other loss is one term with its weight. So one built
    gradient serves all filters and all weights.

    Parameters
    ----------
    losses : sequence of (loss, weight)
        Losses as the module describes them; those of weight 0 are left out.
    image : tensor
        What the images are fed to.

    Attributes
    ----------
    key : hashable
        Equal for losses that have the same terms.

    Raises
    ------
    ValueError
        If `losses` is not such a sequence, or all weights are 0.
    """

    def __init__(self, losses: Sequence[tuple[object, float]], image: tf.Tensor) -> None:
        self._image = image
        self._summands = [_summand(loss, weight) for loss, weight in _check_losses(losses)]
        self.key = tuple(summand.key for summand in self._summands)

    def coefficients(self, n: int) -> np.ndarray:
        """Return what is fed for `n` images, shape (n, number of terms)."""
        return np.concatenate([summand.coefficients(n) for summand in self._summands], axis=1)

    def build(self, wrt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, bool]:
        """Return the sum, shape (N,), its coefficients' placeholder, and whether images may be batched.

        Raises
        ------
        ValueError
            If a loss is no tensor of this graph of shape (N,) or (), or does not depend on the image or on
            `wrt`.
        """
        tensors = [self._tensor(summand, wrt) for summand in self._summands]
        widths = [summand.width or 1 for summand in self._summands]
        dtype = wrt.dtype.base_dtype
        coefficients = tf.placeholder(dtype, [None, sum(widths)], name="coefficients")
        score, start = 0, 0
        for tensor, width in zip(tensors, widths, strict=True):
            terms = tf.cast(tf.reshape(tensor, [-1, width]), dtype)
            score += tf.reduce_sum(coefficients[:, start : start + width] * terms, axis=1)
            start += width
        return score, coefficients, all(tensor.shape.rank > 0 for tensor in tensors)

    def _tensor(self, summand: _Summand, wrt: tf.Tensor) -> tf.Tensor:
        tensor = check_tensor(summand.build(self._image), f"The loss {summand.name}", self._image.graph)
        per_image = ([], [None], self._image.shape.as_list()[:1])
        if summand.width is None and (tensor.shape.rank is None or tensor.shape.as_list() not in per_image):
            raise ValueError(
                f"The loss {summand.name} has shape {tensor.shape}; expected (N,), a value per image, or ()."
            )
        for source, name in (self._image, f"the image {self._image.name}"), (wrt, wrt.name):
            if source is not tensor and not operations_between(source, tensor):
                raise ValueError(f"The loss {summand.name} does not depend on {name}; there is no gradient.")
        return tensor


@dataclass(frozen=True)
class _Summand:
    """One loss of a weighted sum."""

    name: str
    key: Hashable
    build: Callable[[tf.Tensor], tf.Tensor]
    coefficients: Callable[[int], np.ndarray]
    width: int | None = None
    """Number of terms, if the tensor has shape (N, terms) and not (N,) or ()."""


def _summand(loss: object, weight: float) -> _Summand:
    def same_for_all(n: int) -> np.ndarray:
        return np.full((n, 1), weight, float)

    if type(loss) is ActivationMaximization:
        return _Summand(
            loss.name,
            (ActivationMaximization, loss.layer.name),
            lambda image: -loss.filter_means(),
            lambda n: weight * loss.counts(n),
            loss.num_filters,
        )
    if isinstance(loss, Loss):
        return _Summand(str(loss), _key(loss), lambda image: loss.build_loss(), same_for_all)
    if isinstance(loss, tf.Tensor):
        return _Summand(loss.name, loss.name, lambda image: loss, same_for_all)
    return _Summand(getattr(loss, "__name__", repr(loss)), loss, loss, same_for_all)


def _check_losses(losses: Sequence[tuple[object, float]]) -> list[tuple[object, float]]:
    """Return the (loss, weight) pairs whose weight is not 0."""
    try:
        pairs = [(loss, weight) for loss, weight in losses]
    except (TypeError, ValueError) as error:
        raise ValueError("losses is not a list of (loss, weight) pairs, like [(loss, 1)].") from error
    for loss, weight in pairs:
        if not (isinstance(loss, Loss | tf.Tensor) or callable(loss)) or isinstance(loss, type):
            raise ValueError(
                f"losses holds {loss!r}; expected an object of a class derived from Loss, a function of the "
                "image's tensor, or a tensor."
            )
        if not isinstance(weight, int | float | np.number) or not np.isfinite(weight):
            raise ValueError(f"The loss {loss} has the weight {weight!r}; expected a finite number.")
    if not pairs:
        raise ValueError("losses is empty; expected at least one (loss, weight) pair.")
    weighted = [(loss, weight) for loss, weight in pairs if weight != 0]
    if not weighted:
        raise ValueError("The weights in losses are all zero; expected at least one other.")
    return weighted


def _check_filter_indices(
    filter_indices: int | Sequence[int] | npt.ArrayLike | None, num_filters: int, layer: str
) -> np.ndarray | list[int] | None:
    """Return the indices: None, a list, or an array of two axes; one of one axis only where one was given."""
    if filter_indices is None:
        return None
    indices = as_array(filter_indices, "filter_indices")
    expected = f"expected whole numbers from 0 to {num_filters - 1}, the filters of {layer}"
    if indices.size == 0 or indices.ndim > 2 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(
            f"filter_indices has shape {indices.shape} and dtype {indices.dtype}; {expected}, "
            "or an array of them with a row per image."
        )
    outside = indices[(indices < 0) | (indices >= num_filters)]
    if outside.size:
        raise ValueError(f"filter_indices holds {outside.flat[0]}; {expected}.")
    if indices.ndim == 2 or (indices.ndim == 1 and isinstance(filter_indices, np.ndarray)):
        return indices
    return np.atleast_1d(indices).tolist()


def _key(loss: Loss) -> Hashable:
    """Return what a loss is: its class and its attributes."""
    try:
        key = (type(loss), _frozen(vars(loss)))
        hash(key)
    except TypeError as error:
        raise ValueError(
            f"The loss {loss} has an attribute that cannot be compared; expected tensors, numbers, strings, "
            "arrays, functions, and lists and dicts of them."
        ) from error
    return key


def _frozen(value: object) -> Hashable:
    """Return a hashable stand-in for an attribute; equal for equal attributes."""
    if isinstance(value, tf.Tensor | tf.Variable):
        return tf.Tensor, value.name
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, Mapping):
        return tuple((name, _frozen(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return value


def _power(x: tf.Tensor, exponent: float) -> tf.Tensor:
    """Return x^exponent for x >= 0, with the derivative 0 at 0, where the true one may be infinite."""
    positive = x > 0
    return tf.where(positive, tf.pow(tf.where(positive, x, tf.ones_like(x)), exponent), tf.zeros_like(x))


def _sum_of_image(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def _size_of_image(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reduce_prod(tf.shape(x)[1:]), x.dtype)
