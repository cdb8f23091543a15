"""Time a class visualisation against its gradient alone: what the ascent around it costs.

Run it with `python benchmarks/class_visualization.py`. Both make a hundred runs of the session, in turn and
in one process; printed are the medians in milliseconds per iteration, and the share of the gradient's rate.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import image_gradient
from cs231n.net_visualization import create_class_visualization

ITERATIONS = 100
ROUNDS = 7
TARANTULA = 76


def milliseconds(function) -> float:
    """Return how long an iteration of `function` takes."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start) / ITERATIONS


def main() -> None:
    """Measure and print."""
    X = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    with SqueezeNet.pretrained() as model:
        gradient = image_gradient(model).gradient

        def bare() -> None:
            for _ in range(ITERATIONS):
                model.sess.run(gradient, {model.image: X, model.labels: [TARANTULA]})

        def visualization() -> None:
            create_class_visualization(TARANTULA, model, num_iterations=ITERATIONS, seed=0)

        bare()
        visualization()
        alone, whole = [], []
        for _ in range(ROUNDS):
            alone.append(milliseconds(bare))
            whole.append(milliseconds(visualization))
    fast, slow = statistics.median(alone), statistics.median(whole)
    print(f"gradient {fast:.1f} ms, class visualisation {slow:.1f} ms: {fast / slow:.0%} of its rate.")


if __name__ == "__main__":
    main()
