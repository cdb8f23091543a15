"""Comparison: all attribution methods on the same images, by the tests of `evaluation`, in one table."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cs231n import __version__, session
from cs231n.attribution import METHODS, Method, saliency_map
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.evaluation import (
    LAYERS,
    deletion_curve,
    edge_detector,
    insertion_curve,
    randomization_test,
    rank_correlation,
)
from cs231n.paths import whole_file
from cs231n.session import DEFAULT_BATCH_SIZE
from cs231n.validation import check_images
from cs231n.weights import describe

_STEPS = 50  # of deletion and insertion: more would not change the second digit of the areas
_STAGES = (LAYERS[0], LAYERS[-1])


_REPORT = """\
# The attribution methods, compared

Written by `python -m cs231n compare-methods --out docs/methods.md` (kit {kit}): {num} images of the sample,
seed {seed}; {minutes:.0f} minutes on {processors} processors, {busy:.0f} minutes of their time.
Weights: {weights}.

Every method has its default settings and explains the image's own label; its map is the largest
magnitude over the channels, as `saliency_map` makes it. Figures are means over the images.

{table}

- **Deletion**: area under the curve of the label's probability while pixels turn grey, those highest in the
  map first; lower is better. **Insertion**: the same while a blurred image gets its pixels back; higher is
  better. Both in {steps} steps (Petsiuk et al. 2018); compare them with `random_map`.
- **Classifier random, all layers random**: rank correlation between the maps, without signs, of the trained
  network and of one whose classifier, or all of whose layers, were re-initialised; **SSIM**: the structural
  similarity in the second case, of maps capped at their 99 % quantile (Adebayo et al. 2018). A method that
  stays near 1 does not show what the network learnt. Left out are images whose label the randomised network
  scores zero whatever the picture.
- **Like edges**: rank correlation of the maps with the strength of the image's edges.
- **ms per image**: all images in one call.

`edge_detector` and `random_map` are controls that never see the network, not methods. No column says that
a map is right: deletion and insertion show the network images unlike any it was trained on, and a map that
changes with the weights can still be wrong.
"""


@dataclass(frozen=True)
class Comparison:
    """What the tests say of one method: means over all images.

    Attributes
    ----------
    method : str
    deletion, insertion : float
        Areas under the curves.
    top_randomized, all_randomized : float
        Rank correlation of the maps with those of the network whose classifier, or all of whose layers are
        re-initialised.
    ssim_all_randomized : float
        SSIM in the second case.
    edges : float
        Rank correlation of the maps with the image's edges.
    milliseconds : float
        Per image, all images in one call, on a graph that is built.
    """

    method: str
    deletion: float
    insertion: float
    top_randomized: float
    all_randomized: float
    ssim_all_randomized: float
    edges: float
    milliseconds: float


def random_map(
    X: npt.ArrayLike, y: object = None, model: object = None, *, batch_size: int = DEFAULT_BATCH_SIZE
) -> np.ndarray:
    """Return noise, always the same, shape (N, H, W): the control for deletion and insertion."""
    return np.random.default_rng(0).random(check_images(X).shape[:3], dtype=np.float32)


CONTROLS: dict[str, Method] = {"edge_detector": edge_detector, "random_map": random_map}
"""Maps that never see the network, by their names."""


def compare_methods(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    methods: Mapping[str, Method] = METHODS | CONTROLS,
    *,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH_SIZE,
) -> list[Comparison]:
    """Return the results of all tests for each method.

    Parameters
    ----------
    X, y, model, batch_size
        As for `attribution.gradient`.
    methods : mapping of name to function f(X, y, model, *, batch_size)
    seed : int
        Draws the new weights of the randomised network and the order of pixels of equal value.
    """
    edges = edge_detector(X)
    return [
        _compare(name, functools.partial(method, batch_size=batch_size), X, y, model, edges, seed, batch_size)
        for name, method in methods.items()
    ]


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Return the results as a table in Markdown."""
    header = [
        "method",
        "deletion ↓",
        "insertion ↑",
        "classifier random ↓",
        "all layers random ↓",
        "… SSIM ↓",
        "like edges",
        "ms per image",
    ]
    rows = [
        [
            f"`{one.method}`",
            f"{one.deletion:.3f}",
            f"{one.insertion:.3f}",
            f"{one.top_randomized:.2f}",
            f"{one.all_randomized:.2f}",
            f"{one.ssim_all_randomized:.2f}",
            f"{one.edges:.2f}",
            f"{one.milliseconds:.0f}" if one.milliseconds >= 1 else "< 1",
        ]
        for one in comparisons
    ]
    alignment = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, alignment, *rows])


def write_comparison(
    path: str | os.PathLike, X: npt.ArrayLike, y: npt.ArrayLike, model: SqueezeNet, *, seed: int = 0
) -> None:
    """Write the table of all methods and controls as a Markdown file that says how it was made.

    Parameters
    ----------
    path : path
    X, y, model, seed
        As for `compare_methods`.

    Raises
    ------
    ValueError, OSError
        As `compare_methods`, and if the file can't be written.
    """
    with whole_file(path) as temporary:  # opened first: better no place to write to now than in ten minutes
        start, start_busy = time.perf_counter(), time.process_time()
        table = comparison_table(compare_methods(X, y, model, seed=seed))
        text = _REPORT.format(
            table=table,
            num=len(X),
            seed=seed,
            steps=_STEPS,
            weights=describe(session.run(model.sess, model.variables, {})),
            minutes=(time.perf_counter() - start) / 60,
            busy=(time.process_time() - start_busy) / 60,
            processors=os.cpu_count(),
            kit=__version__,
        )
        temporary.write_text(text, encoding="utf-8")


def _compare(
    name: str,
    method: Method,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    model: SqueezeNet,
    edges: np.ndarray,
    seed: int,
    batch_size: int,
) -> Comparison:
    method(X[:1], y[:1], model)  # builds what the method needs in the graph, outside the time
    start = time.perf_counter()
    attribution = method(X, y, model)
    seconds = time.perf_counter() - start
    maps = saliency_map(attribution)
    deletion, insertion = (
        curve(X, y, maps, model, steps=_STEPS, seed=seed, batch_size=batch_size).areas.mean()
        for curve in (deletion_curve, insertion_curve)
    )
    randomized = randomization_test(X, y, model, method, layers=_STAGES, seed=seed, batch_size=batch_size)
    top, bottom = map(_mean_of_defined, randomized.rank_correlation)
    return Comparison(
        method=name,
        deletion=deletion,
        insertion=insertion,
        top_randomized=top,
        all_randomized=bottom,
        ssim_all_randomized=_mean_of_defined(randomized.ssim[-1]),
        edges=_mean_of_defined(rank_correlation(maps, edges)),
        milliseconds=1e3 * seconds / len(maps),
    )


def _mean_of_defined(values: np.ndarray) -> float:
    """Return the mean of all that are not NaN; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan
