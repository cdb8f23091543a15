"""Checks of what users pass in, made before TensorFlow sees it, each with one sentence of its own."""

from __future__ import annotations

import numbers

import numpy as np
import numpy.typing as npt

NUM_CLASSES = 1000
MIN_SIZE = 31
"""Smallest height and width, in pixels, that leaves a position after SqueezeNet's VALID pools."""


def check_images(X: npt.ArrayLike, name: str = "X", min_size: int = MIN_SIZE) -> np.ndarray:
    """Return preprocessed images as float32, the same array if it is that already.

    Parameters
    ----------
    X : array_like, shape (N, H, W, 3)
        Preprocessed images, a floating type, all values finite, N at least 1.
    name : str
        The argument's name, for the message.
    min_size : int
        Smallest H and W, in pixels.

    Returns
    -------
    ndarray of float32, shape (N, H, W, 3)
        Shares memory with `X` where it can; never write to it.

    Raises
    ------
    ValueError
        One sentence: what was wrong, what was expected, what to do.
    """
    X = as_array(X, name)
    if X.dtype == np.uint8:
        raise ValueError(f"{name} holds raw pixels (uint8); pass it through preprocess_image first.")
    if not np.issubdtype(X.dtype, np.floating):
        raise ValueError(f"{name} has dtype {X.dtype}; expected floats, as preprocess_image returns them.")
    if X.ndim == 3 and X.shape[-1] == 3:
        raise ValueError(f"{name} has shape {X.shape}, a single image; add the batch axis: {name}[None].")
    if X.ndim != 4 or X.shape[-1] != 3:
        raise ValueError(f"{name} has shape {X.shape}; expected (N, height, width, 3), the channels last.")
    if X.shape[0] == 0:
        raise ValueError(f"{name} holds no images; expected at least one.")
    if min(X.shape[1:3]) < min_size:
        raise ValueError(
            f"{name} has images of {X.shape[1]}x{X.shape[2]} pixels; expected at least {min_size}x{min_size}."
        )
    with np.errstate(over="ignore"):  # what is beyond float32's range becomes infinite, and is refused
        X = X.astype(np.float32, copy=False)
    if not np.isfinite(X).all():
        first = int(np.flatnonzero(~np.isfinite(X).all(axis=(1, 2, 3)))[0])
        raise ValueError(f"{name}[{first}] holds NaN or infinity; every value must be finite.")
    return X


def check_raw_images(X: npt.ArrayLike, name: str = "X") -> np.ndarray:
    """Return raw images as an array, after checking that they are a batch of 8-bit RGB pixels.

    Parameters
    ----------
    X : array_like of uint8, shape (N, H, W, 3)
        Raw images, N, H and W at least 1.
    name : str
        The argument's name, for the message.

    Returns
    -------
    ndarray of uint8, shape (N, H, W, 3)
        Shares memory with `X` where it can; never write to it.

    Raises
    ------
    ValueError
        One sentence: what was wrong, what was expected, what to do.
    """
    X = as_array(X, name)
    if np.issubdtype(X.dtype, np.floating):
        raise ValueError(
            f"{name} holds floats; expected raw pixels (uint8): keep the images from before "
            "preprocess_image, or pass these through deprocess_image."
        )
    if X.dtype != np.uint8:
        raise ValueError(f"{name} has dtype {X.dtype}; expected raw pixels, uint8 from 0 to 255.")
    if X.ndim == 3 and X.shape[-1] == 3:
        raise ValueError(f"{name} has shape {X.shape}, a single image; add the batch axis: {name}[None].")
    if X.ndim != 4 or X.shape[-1] != 3:
        raise ValueError(f"{name} has shape {X.shape}; expected (N, height, width, 3), the channels last.")
    if X.size == 0:
        raise ValueError(f"{name} has shape {X.shape}, which holds no pixels; expected at least one image.")
    return X


def check_labels(y: npt.ArrayLike, n: int, name: str = "y", num_classes: int = NUM_CLASSES) -> np.ndarray:
    """Return labels as int32, after checking that there are `n` and that all are classes.

    Parameters
    ----------
    y : array_like of int, shape (n,)
        Labels in [0, num_classes).
    n : int
        How many images they belong to.
    name : str
        The argument's name, for the message.
    num_classes : int
        Number of classes.

    Returns
    -------
    ndarray of int32, shape (n,)

    Raises
    ------
    ValueError
        One sentence: what was wrong, what was expected, what to do.
    """
    y = as_array(y, name)
    if not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"{name} has dtype {y.dtype}; labels are whole numbers from 0 to {num_classes - 1}.")
    if y.ndim != 1:
        raise ValueError(f"{name} has shape {y.shape}; expected one label per image, shape ({n},).")
    if len(y) != n:
        raise ValueError(f"{name} holds {len(y)} labels for {n} images; expected one per image.")
    outside = y[(y < 0) | (y >= num_classes)]
    if len(outside):
        raise ValueError(f"{name} holds the label {outside[0]}; labels go from 0 to {num_classes - 1}.")
    return y.astype(np.int32, copy=False)


def check_not_negative(value: float, name: str) -> float:
    """Return a finite number of at least 0, or raise ValueError with a sentence."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value!r}; expected a number of at least 0.")
    return value


def check_positive_number(value: float, name: str) -> float:
    """Return a finite number above 0, or raise ValueError with a sentence."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; expected a number above 0.")
    return value


def check_positive_integer(value: int, name: str) -> int:
    """Return `value` as an int, or raise ValueError with a sentence if it is not a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1.")
    return int(value)


def check_not_negative_integer(value: int, name: str) -> int:
    """Return `value` as an int, or raise ValueError with a sentence if it is not a whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name} is {value!r}; expected a whole number of at least 0.")
    return int(value)


def as_array(value: npt.ArrayLike, name: str) -> np.ndarray:
    """Return `value` as an array; what NumPy can't make one of (a Tensor, ragged lists) gets a sentence."""
    if type(value).__module__.startswith("tensorflow"):
        raise ValueError(
            f"{name} is a TensorFlow object; expected a NumPy array: run it in the session first."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} can't be read as one array (rows of unequal length?).") from error
    if array.dtype.kind in "OSU":
        raise ValueError(f"{name} is {type(value).__name__}, not an array of numbers.")
    return array
