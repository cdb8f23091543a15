"""The stored reference outputs: what was computed once still comes out."""

import h5py
import numpy as np
import pytest

from cs231n.net_visualization import compute_saliency_maps
from cs231n.weights import fingerprint
from tests.make_references import REFERENCES, sha256


@pytest.fixture(scope="module")
def references():
    """Return the open file of references."""
    with h5py.File(REFERENCES) as file:
        yield file


def test_references_are_of_these_images_and_weights(references, sample, weights):
    """The stored outputs belong to the images and weights that are installed, told by their hashes."""
    X, y = sample
    assert references.attrs["X_sha256"] == sha256(X)
    assert references.attrs["y_sha256"] == sha256(y)
    assert references.attrs["weights_fingerprint"] == fingerprint(weights)


def test_scores_are_the_stored_ones(references, model, photographs):
    """The scores of the photographs are within the stored tolerance."""
    stored = references["scores"]
    atol = stored.attrs["tolerance"] * np.max(stored)
    np.testing.assert_allclose(model.compute_scores(photographs[0]), stored, rtol=0, atol=atol)


def test_maps_are_the_stored_ones(references, model, photographs):
    """The saliency maps of the photographs are within the stored tolerance, but for the share exempt."""
    stored = references["maps"]
    stride, maximum = stored.attrs["stride"], stored.attrs["maximum"][:, None, None]
    maps = compute_saliency_maps(*photographs, model)[:, ::stride, ::stride]
    off = np.abs(maps - stored[()]) > stored.attrs["tolerance"] * maximum
    assert (off.mean(axis=(1, 2)) <= stored.attrs["exempt"]).all(), off.mean(axis=(1, 2))
