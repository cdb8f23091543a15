"""What can be done to gradients before they become a map.

A modifier is a function of a gradient, an ndarray, that returns one of the same shape. Gradients are signed:
positive where more of the pixel raises what is differentiated. The channels are still there; the maximum
over them is taken afterwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GradModifier = Callable[[np.ndarray], np.ndarray]

EPSILON = 1e-7
"""Keeps divisions away from zero; the value that Keras, and so keras-vis, has."""


def negate(grads: np.ndarray) -> np.ndarray:
    """Return -g: large where more of the pixel lowers the output."""
    return -grads


def absolute(grads: np.ndarray) -> np.ndarray:
    """Return abs(g): large where the pixel matters, in either direction."""
    return np.abs(grads)


def invert(grads: np.ndarray) -> np.ndarray:
    """Return 1 / (g + 1e-7): large where the gradient is small and positive.

    In float64, where no float32 gradient is exactly -1e-7.
    """
    return (1 / (grads.astype(np.float64) + EPSILON)).astype(grads.dtype)


def relu(grads: np.ndarray) -> np.ndarray:
    """Return max(g, 0): only what raises the output."""
    return np.maximum(grads, 0)


def small_values(grads: np.ndarray) -> np.ndarray:
    """Return abs(1 / (g + 1e-7)): large where the output hardly reacts to the pixel."""
    return absolute(invert(grads))


_BY_NAME: dict[str, GradModifier] = {
    function.__name__: function for function in (negate, absolute, invert, relu, small_values)
}


def get(identifier: str | GradModifier | None) -> GradModifier | None:
    """Return the modifier of that name; a function is returned as it is, and so is None, for no change.

    Raises
    ------
    ValueError
        If there is no modifier of that name.
    """
    if identifier is None or callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]
    raise ValueError(
        f"grad_modifier is {identifier!r}; expected {', '.join(_BY_NAME)}, a function of the gradient, "
        "or None."
    )
