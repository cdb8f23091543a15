"""Methods that repeat or average image gradients, on the oracle's: float64 NumPy and no code of the kit."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from tests import oracle

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""Of pixels in [0, 1], red, green, blue: a preprocessed image is (pixels − MEAN) / STD."""


# --- Ascent on the image ---


def fooling_image(
    weights: oracle.Weights, X: np.ndarray, target: int, learning_rate: float = 1, max_iterations: int = 100
) -> tuple[np.ndarray, list[float]]:
    """Raise the target's score by steps of length `learning_rate` until no score is higher.

    X is one image, 1×H×W×3. Returns the last image, and the target's score at the start of each iteration;
    the iteration that finds the network fooled is the last one and makes no step.
    """
    trace = []
    for _ in range(max_iterations):
        passed = oracle.forward(weights, X)
        trace.append(passed.scores[0, target])
        if passed.scores.argmax() == target:
            break
        g = passed.gradient(oracle.d_score(passed.scores, [target]))
        X = X + learning_rate * g / np.linalg.norm(g)
    return X, trace


def class_visualization(
    weights: oracle.Weights,
    target: int,
    start: np.ndarray,
    jitters: list[tuple[int, int]],
    learning_rate: float = 25,
    l2_reg: float = 1e-3,
    blur_every: int = 10,
) -> np.ndarray:
    """Ascend score − l2_reg · ‖image‖₂² from `start`, 1×H×W×3 preprocessed, one iteration per jitter.

    An iteration rolls the image down and right by its jitter, makes the step, rolls back, and clips to what
    pixels can be. Iterations 0, blur_every, 2·blur_every, … end with a blur of σ = 0.5 pixels.
    References: Simonyan et al. 2014, section 2; Yosinski et al. 2015, section 3.
    """
    X = np.asarray(start, np.float64)
    for t, (down, right) in enumerate(jitters):
        X = np.roll(X, (down, right), axis=(1, 2))
        X = X + learning_rate * (oracle.gradient(weights, X, [target]) - 2 * l2_reg * X)
        X = np.roll(X, (-down, -right), axis=(1, 2))
        X = np.clip(X, (0 - MEAN) / STD, (1 - MEAN) / STD)
        if t % blur_every == 0:
            X = gaussian_filter(X, sigma=(0, 0.5, 0.5, 0))
    return X


# --- Attribution ---


def grad_cam(weights: oracle.Weights, X: np.ndarray, y: np.ndarray, layer: int) -> np.ndarray:
    """Return max(0, Σ_c α_c · A_c), N×h×w in the layer's own size (Selvaraju et al. 2017, section 3).

    A is the layer's activation, and α_c the mean of ∂ score_y / ∂ A_c over all positions.
    """
    passed = oracle.forward(weights, X)
    A = passed.activations[layer]
    alpha = passed.gradient(oracle.d_score(passed.scores, y), wrt=layer).mean(axis=(1, 2), keepdims=True)
    return np.maximum(0, (alpha * A).sum(axis=-1))


def integrated_gradients(
    weights: oracle.Weights, X: np.ndarray, y: np.ndarray, baseline: np.ndarray, steps: int
) -> np.ndarray:
    """Return (X − baseline) · ∫₀¹ ∂ score_y / ∂ image dt, N×H×W×3, at the images baseline + t (X − baseline).

    By Gauss–Legendre quadrature with `steps` nodes. Reference: Sundararajan et al. 2017, section 3.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(steps)  # for [−1, 1], so the weights add up to 2
    mean_gradient = sum(
        weight / 2 * oracle.gradient(weights, baseline + (node + 1) / 2 * (X - baseline), y)
        for node, weight in zip(nodes, node_weights, strict=True)
    )
    return (X - baseline) * mean_gradient
