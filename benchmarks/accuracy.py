"""Hold the maps of the sample photographs against the float64 oracle and print how far they are off.

Run it with `python -m benchmarks.accuracy` in the checkout. A ReLU or max pool within rounding of its
kink may switch the other way in float32; `tests/test_net_visualization.py` compares with equal switches.
"""

from __future__ import annotations

import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.net_visualization import compute_saliency_maps
from cs231n.paths import checkpoint_prefix
from cs231n.weights import read_checkpoint
from tests import oracle


def main() -> None:
    """Compute both and print."""
    weights = read_checkpoint(checkpoint_prefix())
    raw, y, _ = load_imagenet_val()
    X = preprocess_image(raw)
    with SqueezeNet.pretrained() as model:
        maps = compute_saliency_maps(X, y, model)
    shares = []
    for i in range(len(X)):
        expected = oracle.saliency(weights, X[i : i + 1], y[i : i + 1])[0]
        off = np.abs(maps[i] - expected) / expected.max()
        shares.append((off > 1e-4).mean())
        print(
            f"image {i:2}: {shares[-1]:.2%} of the pixels off by more than 1e-4, the worst by {off.max():.1e}"
        )
    shares = np.array(shares)
    everywhere, almost = (shares == 0).sum(), (shares <= 1e-3).sum()
    print(f"{everywhere} of {len(X)} maps are within 1e-4 everywhere, {almost} at all but 0.1 %")
    print(f"all maps together: {shares.mean():.2%} of the pixels off by more than 1e-4 of the map's maximum")


if __name__ == "__main__":
    main()
