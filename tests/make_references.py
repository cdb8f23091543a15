"""Write tests/references/sample.h5 anew: scores and saliency maps of the sample photographs.

Run it with `python -m tests.make_references`, and only when the sample or the default weights change. The
oracle computes them, in float64, so they do not depend on TensorFlow or on the kit's network.
"""

import hashlib
import platform
from pathlib import Path

import numpy as np

from cs231n.data_utils import load_imagenet_val
from cs231n.hdf5 import new_hdf5
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix
from cs231n.weights import describe, fingerprint, read_checkpoint
from tests import oracle

REFERENCES = Path(__file__).parent / "references" / "sample.h5"
STRIDE = 7


def sha256(array: np.ndarray) -> str:
    """Return the hash of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def main() -> None:
    """Compute and write."""
    weights = read_checkpoint(checkpoint_prefix())
    raw, y, _ = load_imagenet_val()
    X = preprocess_image(raw)
    scores = np.concatenate([oracle.scores(weights, x[None]) for x in X])
    maps = np.concatenate([oracle.saliency(weights, x[None], [label]) for x, label in zip(X, y, strict=True)])
    with new_hdf5(REFERENCES) as file:
        file.create_dataset("scores", data=scores.astype(np.float32), compression="gzip")
        file["scores"].attrs["tolerance"] = 1e-4
        file["scores"].attrs["tolerance_of"] = "the largest score; float32 is right to 1e-6 of it"
        thinned = maps[:, ::STRIDE, ::STRIDE].astype(np.float32)
        file.create_dataset("maps", data=thinned, compression="gzip")
        file["maps"].attrs["stride"] = STRIDE
        file["maps"].attrs["maximum"] = maps.max(axis=(1, 2))
        file["maps"].attrs["tolerance"] = 1e-4
        file["maps"].attrs["tolerance_of"] = "each map's maximum, for all but `exempt` of its pixels"
        file["maps"].attrs["exempt"] = 0.02
        file["maps"].attrs["exempt_why"] = (
            "a ReLU or max pool within rounding of its kink switches the other way in float32 and changes "
            "the map in its receptive field; up to 1.8 % of a map's pixels were seen to"
        )
        file.attrs["X_sha256"] = sha256(raw)
        file.attrs["y_sha256"] = sha256(y)
        file.attrs["weights"] = describe(weights)
        file.attrs["weights_fingerprint"] = fingerprint(weights)
        file.attrs["generator"] = "python -m tests.make_references: tests/oracle.py, float64"
        file.attrs["versions"] = f"Python {platform.python_version()}, NumPy {np.__version__}"
    print(f"Wrote {REFERENCES}")


if __name__ == "__main__":
    main()
