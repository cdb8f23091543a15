"""Time a saliency map with the gradient built once, against building it anew in every call.

Run it with `python benchmarks/rebuilt_gradient.py`. Both compute the map of one photograph at a time, in
turn in one process; printed are the medians in milliseconds, their ratio, and the graph's operations.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.gradients import ImageGradient, label_score, max_abs
from cs231n.image_utils import preprocess_image
from cs231n.net_visualization import compute_saliency_maps

CALLS = 30


def rebuilt(X: np.ndarray, y: np.ndarray, model: SqueezeNet) -> np.ndarray:
    """Return saliency maps as the textbook mistake does: with new operations for the same gradient."""
    with model.graph.as_default():
        gradient = ImageGradient(label_score(model), model.image, labels=model.labels, reduce=max_abs)
    return gradient(X, y, sess=model.sess)


def milliseconds(function, *arguments) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    raw, y, _ = load_imagenet_val(1)
    X = preprocess_image(raw)
    with SqueezeNet.pretrained() as model:
        np.testing.assert_array_equal(compute_saliency_maps(X, y, model), rebuilt(X, y, model))
        once, anew = [], []
        for _ in range(CALLS):
            once.append(milliseconds(compute_saliency_maps, X, y, model))
            anew.append(milliseconds(rebuilt, X, y, model))
        operations = len(model.graph.get_operations())
    fast, slow = statistics.median(once), statistics.median(anew)
    print(f"built once {fast:.1f} ms, built in every call {slow:.1f} ms: {slow / fast:.1f} times as long.")
    print(f"After {CALLS + 1} calls each the graph has {operations} operations.")


if __name__ == "__main__":
    main()
