"""Notebooks of 2017 and 2018 run on the kit, and what they compute is what the kit computes."""

from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest

from cs231n.net_visualization import compute_saliency_maps, create_class_visualization, make_fooling_image
from cs231n.paths import datasets_dir
from notebooks import build

FOLDER = Path(__file__).parent / "course_notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("year", ["2017", "2018"])
def test_notebook_runs_and_agrees_with_the_kit(year, tmp_path, monkeypatch, model, photographs):
    """Only the TensorFlow import and the checkpoint's path are the kit's; all three results agree with it."""
    monkeypatch.setenv("CS231N_DATASETS", str(datasets_dir()))
    notebook = jupytext.read(FOLDER / f"year_{year}.py", fmt="py:percent")
    last = "np.savez('results.npz', saliency=saliency, fooling=X_fooling, visualization=visualization)"
    notebook.cells.append(nbformat.v4.new_code_cell(last))
    build.execute(notebook, tmp_path)
    results = np.load(tmp_path / "results.npz")

    X, y = photographs
    saliency = compute_saliency_maps(X[:5], y[:5], model)
    off = np.abs(results["saliency"] - saliency) > 1e-4 * saliency.max()
    assert off.mean() < 1e-3  # ties in the max pools, decided by rounding
    fooling = make_fooling_image(X[:1], 113, model)
    # Ties, again: a pixel's derivative may move to its neighbour, over five steps of length 1.
    assert np.linalg.norm(results["fooling"] - fooling) < 0.05 * np.linalg.norm(fooling - X[:1])
    visualization = create_class_visualization(76, model, num_iterations=3, seed=0)
    np.testing.assert_allclose(results["visualization"], visualization, rtol=0, atol=1e-2)
