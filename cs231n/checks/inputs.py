"""Images and classes to check with."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from cs231n.image_utils import preprocess_image


def draw_images(rng: np.random.Generator, n: int, height: int, width: int) -> np.ndarray:
    """Return random images with structure at two scales, preprocessed.

    No two pixels of a pool are equal, except where the contrast is cut off at black and white, so that
    the gradient has one right value; and some pixels are black or white, so that clipping shows.

    Returns
    -------
    ndarray of float32, shape (n, height, width, 3)
    """
    fine = rng.normal(size=(n, height, width, 3))
    coarse = gaussian_filter(rng.normal(size=fine.shape), (0, 4, 4, 0))
    raw = 128 + 20 * fine + 70 * coarse / coarse.std()
    return preprocess_image(np.clip(raw, 0, 255))


def choose_labels(scores: np.ndarray) -> np.ndarray:
    """Return a class for each image: high in its scores, all different, and nobody's first choice.

    Parameters
    ----------
    scores : ndarray, shape (N, K)

    Returns
    -------
    ndarray of int64, shape (N,)
    """
    taken = set(scores.argmax(axis=1))
    labels = []
    for ranking in np.argsort(-scores, axis=1):
        labels.append(next(label for label in ranking if label not in taken))
        taken.add(labels[-1])
    return np.array(labels)
