"""Figures of images and their maps, side by side, laid over each other, in grids of any kind; animations.

Figures are made without pyplot: no display is needed, and nothing keeps them in memory once they are
dropped. A notebook shows one that is a cell's last value, or is passed to `display`. To use `plt.show()`,
or to draw into a figure of one's own, pass `fig=plt.figure()`.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from cs231n.image_utils import SQUEEZENET_STD, deprocess_image
from cs231n.paths import whole_file
from cs231n.validation import (
    as_array,
    check_images,
    check_positive_integer,
    check_positive_number,
    check_raw_images,
)

Prediction = tuple[str, float]
"""Name and probability (0 to 1) of the class that the network puts first."""

# Lengths in inches. At 100 dots per inch a panel is 224 dots wide, so that the network's images are shown
# pixel for pixel, and all others are multiples of 0.01, so that panels begin at whole pixels.
_PANEL = 2.24
_LARGE_PANEL = 3.36  # for one or two columns
_SMALL_PANEL = 1.12  # for many columns
_WIDTH = 14.0  # of all panels, where they need not be smaller than that for it
_MIN_PANEL = 0.3  # in a figure that is given
_GAP = 0.08
_MARGIN = 0.08
_TITLE_PAD = 0.06
_BAR_HEIGHT = 0.12
_BAR_TICKS = 0.18
_BAR_WIDTH = 5.0
_FONT_SIZE = 10.0  # points; smaller for panels narrower than
_FULL_FONT_PANEL = 1.4
_MIN_FONT_SIZE = 7.0
_LINE = 1.2 / 72  # distance from line to line, for each point of the font's size
_MAX_LINES = 3

_SUFFIXES = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".webp")
# Okabe and Ito's palette, which the colour-blind can tell apart, without its yellow.
_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = ("-", "--", ":")
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


@dataclass(frozen=True)
class ColorScale:
    """How the values of maps become colours.

    Each map is scaled by itself: its values are divided by the given percentile of their magnitudes, and
    what is beyond is clipped. Zero, which means "no influence", therefore always has the same colour,
    and the few extreme pixels that gradients have do not leave all others dark. Capping at the 99th
    percentile for display is what Smilkov et al. (2017), SmoothGrad, section 3.1, do.

    Attributes
    ----------
    cmap : str or Colormap, optional
        Default: "inferno", and "RdBu_r" for signed maps; both keep their order for the colour-blind and
        the first one in print. The course used "hot".
    signed : bool
        Whether maps may be negative. Then the scale is symmetric, with zero at its centre.
    percentile : float
        In (0, 100]; 100 is the maximum. Of maps that are mostly zero, whose percentile is zero, the
        maximum is taken.
    """

    cmap: str | Colormap | None = None
    signed: bool = False
    percentile: float = 99

    def __post_init__(self) -> None:
        if isinstance(self.cmap, str) and self.cmap not in matplotlib.colormaps:
            raise ValueError(
                f"cmap is {self.cmap!r}; expected a matplotlib colour map, like inferno, hot or RdBu_r."
            )
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}; expected a number above 0 and up to 100.")

    @property
    def label(self) -> str:
        """What the numbers on the colour bar are."""
        limit = "maximum" if self.percentile == 100 else f"{self.percentile:g} % quantile"
        return (
            f"relative to the {limit} of each map's magnitude"
            if self.signed
            else f"relative to each map's {limit}"
        )

    def mappable(self) -> ScalarMappable:
        """Return what matplotlib makes a colour bar of: the colour map, from 0 or -1 to 1."""
        cmap = self.cmap or ("RdBu_r" if self.signed else "inferno")
        return ScalarMappable(Normalize(-1 if self.signed else 0, 1), cmap)

    def normalize(self, maps: npt.ArrayLike) -> np.ndarray:
        """Return maps of shape (N, H, W) on the scale from 0 (signed: -1) to 1, clipped.

        Raises
        ------
        ValueError
            If `maps` has another shape, is not finite, or is negative though the scale is not signed.
        """
        maps = _check_maps(maps)
        if not self.signed and maps.min() < 0:
            raise ValueError(
                "maps holds negative values; take their magnitude first, or pass signed=True for a scale "
                "with zero at its centre."
            )
        magnitude = np.abs(maps)
        maximum = magnitude.max(axis=(1, 2), keepdims=True)
        limit = np.percentile(magnitude, self.percentile, axis=(1, 2), keepdims=True)
        limit = np.where(limit > 0, limit, np.where(maximum > 0, maximum, 1))
        return np.clip(maps / limit, -1, 1)

    def rgb(self, maps: npt.ArrayLike) -> np.ndarray:
        """Return maps of shape (N, H, W) as pictures: uint8, shape (N, H, W, 3)."""
        mappable = self.mappable()
        return mappable.cmap(mappable.norm(self.normalize(maps)), bytes=True)[..., :3]

    def overlay(self, X: npt.ArrayLike, maps: npt.ArrayLike, alpha: float = 0.5) -> np.ndarray:
        """Return raw images without their colours and with their maps laid over them.

        Parameters
        ----------
        X : array_like of uint8, shape (N, H, W, 3)
            Raw images.
        maps : array_like of float, shape (N, H, W)
        alpha : float
            The maps' share in the result, from 0 (the grey image only) to 1 (the map only).

        Returns
        -------
        ndarray of uint8, shape (N, H, W, 3)
        """
        X = check_raw_images(X)
        _check_same_shape(X, maps := _check_maps(maps))
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha is {alpha}; expected a number from 0 to 1.")
        grey = (X @ _LUMA)[..., None]
        return np.rint((1 - alpha) * grey + alpha * self.rgb(maps)).astype(np.uint8)


def plot_saliency(
    X: npt.ArrayLike,
    maps: npt.ArrayLike,
    titles: Sequence[str] | None = None,
    predictions: Sequence[Prediction] | None = None,
    *,
    cmap: str | Colormap | None = None,
    signed: bool = False,
    percentile: float = 99,
    columns: int = 5,
    colorbar: bool = False,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show images in one row and their maps in the row below.

    Parameters
    ----------
    X : array_like of uint8, shape (N, H, W, 3)
        Raw images.
    maps : array_like of float, shape (N, H, W)
        A map of each image, as `compute_saliency_maps` returns them.
    titles : sequence of N str, optional
        The classes explained; of synonyms ("tench, Tinca tinca") the first is shown.
    predictions : sequence of N (str, float), optional
        Name and probability of the class that the network puts first.
    cmap, signed, percentile
        See `ColorScale`.
    columns : int
        More images than this go to further pairs of rows.
    colorbar : bool
        Whether to show what the colours mean.
    fig : Figure or SubFigure, optional
        Where to draw, as large as fits. Default: a new figure of the right size.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    X = check_raw_images(X)
    scale = ColorScale(cmap, signed, percentile)
    _check_same_shape(X, maps := _check_maps(maps))
    columns = check_positive_integer(columns, "columns")
    captions = _captions(len(X), titles, predictions)
    pictures = scale.rgb(maps)
    rows, row_titles = [], []
    for start in range(0, len(X), columns):
        chunk = slice(start, start + columns)
        rows += [X[chunk], pictures[chunk]]
        row_titles += [captions[chunk], []]
    return image_grid(rows, titles=row_titles, colorbar=scale if colorbar else None, fig=fig)


def plot_overlay(
    X: npt.ArrayLike,
    maps: npt.ArrayLike,
    titles: Sequence[str] | None = None,
    predictions: Sequence[Prediction] | None = None,
    *,
    alpha: float = 0.5,
    cmap: str | Colormap | None = None,
    signed: bool = False,
    percentile: float = 99,
    columns: int = 5,
    colorbar: bool = False,
    ax: Axes | Sequence[Axes] | None = None,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show each image in grey with its map laid over it.

    Parameters
    ----------
    X, maps, titles, predictions, cmap, signed, percentile, columns, colorbar, fig
        As for `plot_saliency`.
    alpha : float
        The maps' share in the result, from 0 to 1.
    ax : Axes or sequence of N Axes, optional
        Where to draw, instead of a grid in `fig`.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    scale = ColorScale(cmap, signed, percentile)
    pictures = scale.overlay(X, maps, alpha)
    captions = _captions(len(pictures), titles, predictions)
    if ax is not None:
        return _draw_in_axes(ax, pictures, captions, scale if colorbar else None)
    columns = check_positive_integer(columns, "columns")
    starts = range(0, len(pictures), columns)
    return image_grid(
        [pictures[start : start + columns] for start in starts],
        titles=[captions[start : start + columns] for start in starts],
        colorbar=scale if colorbar else None,
        fig=fig,
    )


def plot_images(
    X: npt.ArrayLike,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 5,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show images side by side: a data set's, or one image's steps.

    Parameters
    ----------
    X : array_like of uint8, shape (N, H, W, 3)
        Raw images.
    titles : sequence of N str, optional
    columns : int
        More images than this go to further rows.
    fig : Figure or SubFigure, optional
        Where to draw, as large as fits. Default: a new figure of the right size.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    X = check_raw_images(X)
    columns = check_positive_integer(columns, "columns")
    titles = _check_count(titles, len(X), "titles", "images") or [""] * len(X)
    starts = range(0, len(X), columns)
    return image_grid(
        [X[start : start + columns] for start in starts],
        titles=[titles[start : start + columns] for start in starts],
        fig=fig,
    )


def plot_fooling(
    X: npt.ArrayLike,
    fooling: npt.ArrayLike,
    predictions: Sequence[Prediction] | None = None,
    fooling_predictions: Sequence[Prediction] | None = None,
    *,
    magnification: float = 10,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show images, the images that fool the network, their difference, and the difference magnified.

    A difference of zero is shown as mid-grey. Above it stand its length (the 2-norm, of preprocessed
    pixels) and the largest change of a pixel's channel, in the 256 levels of a raw image.

    Parameters
    ----------
    X, fooling : array_like of float, shape (N, H, W, 3)
        Preprocessed images, before and after; a row for each.
    predictions, fooling_predictions : sequence of N (str, float), optional
        Name and probability of the class that the network puts first, before and after.
    magnification : float
        Factor of the magnified difference, above 0.
    fig : Figure or SubFigure, optional
        Where to draw, as large as fits. Default: a new figure of the right size.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    X, fooling = check_images(X, min_size=1), check_images(fooling, "fooling", min_size=1)
    if X.shape != fooling.shape:
        raise ValueError(f"X has shape {X.shape}, fooling {fooling.shape}; expected the same.")
    magnification = check_positive_number(magnification, "magnification")
    before, after = _captions(len(X), None, predictions), _captions(len(X), None, fooling_predictions)
    lengths = np.linalg.norm((fooling - X).reshape(len(X), -1), axis=1)
    levels = (fooling - X) * SQUEEZENET_STD * 255
    largest = np.abs(levels).max(axis=(1, 2, 3))
    changes = [f"length {length:.3g}" for length in lengths]
    magnified = [f"at most {level:.2g} of 255 levels" for level in largest]
    pictures = [deprocess_image(X), deprocess_image(fooling)]
    pictures += [difference_pictures(X, fooling, factor) for factor in (1, magnification)]
    return image_grid(
        list(zip(*pictures, strict=True)),
        column_titles=["image", "fooling image", "difference", f"difference × {magnification:g}"],
        titles=list(zip(before, after, changes, magnified, strict=True)),
        fig=fig,
    )


def difference_pictures(X: npt.ArrayLike, others: npt.ArrayLike, magnification: float = 1) -> np.ndarray:
    """Return how images differ from others, as pictures in which no difference is mid-grey.

    Parameters
    ----------
    X, others : array_like of float, shape (N, H, W, 3)
        Preprocessed images. A channel that is greater in `others` is brighter than grey.
    magnification : float
        Factor of the difference, above 0; what is beyond black and white is clipped.

    Returns
    -------
    ndarray of uint8, shape (N, H, W, 3)
    """
    levels = (np.asarray(others) - np.asarray(X)) * SQUEEZENET_STD * 255
    return np.rint(np.clip(127.5 + magnification * levels, 0, 255)).astype(np.uint8)


def plot_methods(
    X: npt.ArrayLike,
    maps: Mapping[str, npt.ArrayLike],
    titles: Sequence[str] | None = None,
    *,
    cmap: str | Colormap | None = None,
    percentile: float = 99,
    colorbar: bool = False,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show the maps of several methods: images down, each in the first column, and methods across.

    Parameters
    ----------
    X : array_like of uint8, shape (N, H, W, 3)
        Raw images.
    maps : mapping of str to array_like of float, shape (N, H, W)
        For each method's name its maps, not negative.
    titles : sequence of N str, optional
        The classes explained; of synonyms the first is shown.
    cmap, percentile, colorbar, fig
        As for `plot_saliency`.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    X = check_raw_images(X)
    scale = ColorScale(cmap, percentile=percentile)
    for one in maps.values():
        _check_same_shape(X, _check_maps(one))
    columns = [X, *(scale.rgb(one) for one in maps.values())]
    return image_grid(
        list(zip(*columns, strict=True)),
        row_labels=None if titles is None else [_first_synonym(title) for title in titles],
        column_titles=["image", *(name.replace("_", " ") for name in maps)],
        colorbar=scale if colorbar else None,
        fig=fig,
    )


def plot_lines(
    x: Sequence[float] | Sequence[str],
    lines: Mapping[str, npt.ArrayLike],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] = (0, 1),
) -> Figure:
    """Show measurements as lines, told apart by colour and by dashes, with their names at the right.

    Parameters
    ----------
    x : sequence of float or str, length K
        Numbers, or names of stages at equal distances.
    lines : mapping of str to array_like of float, shape (K,)
        NaN leaves a gap.
    x_label, y_label : str
    y_range : (float, float)

    Returns
    -------
    Figure
    """
    fig = _NotebookFigure(figsize=(7.6, 3.6), layout="constrained")
    ax = fig.add_subplot()
    styles = itertools.product(_DASHES, _COLORS)
    for (name, y), (dashes, color) in zip(lines.items(), styles, strict=False):
        ax.plot(x, y, color=color, linestyle=dashes, linewidth=1.8, label=name.replace("_", " "))
    ax.set(xlabel=x_label, ylabel=y_label, ylim=y_range)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    if isinstance(x[0], str):
        ax.tick_params(axis="x", labelrotation=45)
    fig.legend(loc="outside right center", frameon=False)
    return fig


def image_grid(
    rows: Sequence[Sequence[npt.ArrayLike | None]],
    *,
    row_labels: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
    titles: Sequence[Sequence[str]] | None = None,
    colorbar: ColorScale | None = None,
    fig: FigureBase | None = None,
) -> FigureBase:
    """Show pictures in rows and columns, with text that never runs into its neighbours.

    Each line of text is broken to fit its panel, into three at most; what is longer ends in an ellipsis.

    Parameters
    ----------
    rows : sequence of sequences of array_like of uint8, shape (H, W, 3)
        The pictures, from the top; None leaves a place empty, and rows may differ in length.
        `ColorScale` makes pictures of maps.
    row_labels : sequence of str, optional
        One for each row, at its left, upwards.
    column_titles : sequence of str, optional
        One for each column, at the top.
    titles : sequence of sequences of str, optional
        For each row the titles above its pictures; an empty sequence for none.
    colorbar : ColorScale, optional
        The scale that the colours of maps are from, to be shown below.
    fig : Figure or SubFigure, optional
        Where to draw, as large as fits. Default: a new figure of the right size.

    Returns
    -------
    Figure or SubFigure
        The one drawn in.

    Raises
    ------
    ValueError
        If there is no picture, one is no raw image, the numbers do not match, or `fig` is too small.
    """
    rows = [[_check_picture(image, r, c) for c, image in enumerate(row)] for r, row in enumerate(rows)]
    if all(image is None for row in rows for image in row):
        raise ValueError("rows holds no pictures; expected at least one.")
    columns = max(len(row) for row in rows)
    row_labels = _check_count(row_labels, len(rows), "row_labels", "rows")
    column_titles = _check_count(column_titles, columns, "column_titles", "columns")
    titles = _check_count(titles, len(rows), "titles", "rows") or [[]] * len(rows)
    titles = [
        _check_count(row, len(rows[r]), f"titles[{r}]", "pictures") if len(row) else []
        for r, row in enumerate(titles)
    ]
    content = _Content(rows, row_labels, column_titles, titles, colorbar)
    if fig is None:
        grid = _Grid(content, _panel_width(columns))
        fig = _NotebookFigure(figsize=(grid.width, grid.height))
    else:
        grid = _fit(content, *_size(fig))
    grid.draw(fig)
    return fig


def image_title(label: str | None = None, prediction: Prediction | None = None) -> str:
    r"""Return an image's title: the first of the label's synonyms, and below what the network says.

    Parameters
    ----------
    label : str, optional
        The class explained, like "tench, Tinca tinca".
    prediction : (str, float), optional
        Name and probability of the class that the network puts first.

    Returns
    -------
    str
        Like "tench\npredicted: tench, 98 %", or the one line there is.
    """
    lines = [] if label is None else [_first_synonym(label)]
    if prediction is not None:
        name, probability = prediction
        lines.append(f"predicted: {_first_synonym(name)}, {_percent(probability)}")
    return "\n".join(lines)


def check_figure_path(path: str | os.PathLike) -> Path:
    """Return `path` as a Path, or raise ValueError if its suffix is none that a figure can be saved under."""
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        kind = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise ValueError(f"{path} has {kind}; a figure can be saved as {', '.join(_SUFFIXES)}.")
    return path


def save_figure(fig: Figure, path: str | os.PathLike, dpi: float = 100) -> None:
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    fig : Figure
    path : path
        Its suffix says the format: .png, .pdf, .svg, .jpg or .webp.
    dpi : float
        Pixels per inch. At 100 the network's images are saved pixel for pixel (in grids of three to
        six columns); 200 gives sharper text and a file three times as large.

    Raises
    ------
    ValueError
        If the suffix is none of these.
    OSError
        If the file can't be written.
    """
    path = check_figure_path(path)
    with whole_file(path) as temporary:
        fig.savefig(temporary, format=path.suffix[1:].lower(), dpi=dpi)


def figure_pixels(fig: Figure, dpi: float = 100) -> np.ndarray:
    """Return a figure as a raw image, uint8 (H, W, 3): a frame for `save_animation`."""
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=dpi)
    return np.array(Image.open(file).convert("RGB"))


def check_animation_path(path: str | os.PathLike) -> Path:
    """Return `path` as a Path, or raise ValueError if it is not the name of a GIF file."""
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"{path} does not end in .gif; animations are saved as GIF files.")
    return path


def save_animation(
    frames: npt.ArrayLike, path: str | os.PathLike, frame_seconds: float = 0.2, last_seconds: float = 2
) -> None:
    """Write pictures as an animation that starts over at its end, whole or not at all.

    Parameters
    ----------
    frames, frame_seconds, last_seconds
        As for `animation_bytes`.
    path : path
        A GIF file.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    OSError
        If the file can't be written.
    """
    path = check_animation_path(path)
    content = animation_bytes(frames, frame_seconds, last_seconds)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def animation_bytes(frames: npt.ArrayLike, frame_seconds: float = 0.2, last_seconds: float = 2) -> bytes:
    """Return the content of a GIF file that shows pictures one after the other, over and over.

    Parameters
    ----------
    frames : array_like of uint8, shape (N, H, W, 3)
        Raw images.
    frame_seconds, last_seconds : float
        How long each frame and the last one stay, above 0.

    Raises
    ------
    ValueError
        If one of the arguments is not what is said above.
    """
    frames = [Image.fromarray(frame) for frame in check_raw_images(frames, "frames")]
    frame_seconds = check_positive_number(frame_seconds, "frame_seconds")
    last_seconds = check_positive_number(last_seconds, "last_seconds")
    durations = [*[1000 * frame_seconds] * (len(frames) - 1), 1000 * last_seconds]  # milliseconds
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()


class _NotebookFigure(Figure):
    """A figure that Jupyter shows even if pyplot, which teaches it to show figures, was never used."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


@dataclass(frozen=True)
class _Content:
    """What a grid shows; its fields are the arguments of `image_grid`, checked."""

    rows: list[list[np.ndarray | None]]
    row_labels: list[str]
    column_titles: list[str]
    titles: list[list[str]]
    colorbar: ColorScale | None


class _Grid:
    """Places of a grid's panels and texts for one width of panel; all lengths in inches."""

    def __init__(self, content: _Content, panel: float) -> None:
        self.content = content
        self.panel = panel
        size = min(max(_FONT_SIZE * panel / _FULL_FONT_PANEL, _MIN_FONT_SIZE), _FONT_SIZE)
        self.font = FontProperties(size=size)
        self.bold = FontProperties(size=size, weight="bold")
        self.columns = max(len(row) for row in content.rows)
        self.panel_heights = [_round(panel * _aspect(row)) for row in content.rows]
        self.titles = [[_wrap(title, panel, self.font) for title in row] for row in content.titles]
        self.title_heights = [_text_height(row, self.font) for row in self.titles]
        self.column_titles = [_wrap(title, panel, self.bold) for title in content.column_titles]
        self.row_labels = [
            _wrap(label, height, self.font)
            for label, height in zip(content.row_labels, self.panel_heights, strict=False)
        ]
        self.left = _MARGIN + _text_height(self.row_labels, self.font)
        self.top = _MARGIN + _text_height(self.column_titles, self.bold)
        self.bottom = _MARGIN
        if content.colorbar:
            self.bar_label = _wrap(content.colorbar.label, self._panels_width(), self.font)
            self.bottom += 2 * _GAP + _BAR_HEIGHT + _BAR_TICKS + _text_height([self.bar_label], self.font)
        self.width = self.left + self._panels_width() + _MARGIN
        self.height = self.top + sum(self.panel_heights) + self._between_rows() + self.bottom

    def draw(self, fig: FigureBase) -> None:
        """Draw everything in the middle of `fig`."""
        width, height = _size(fig)
        left, bottom = (width - self.width) / 2, (height - self.height) / 2

        def text(x: float, y: float, string: str, font: FontProperties, **style: str) -> None:
            x, y = (left + x) / width, (bottom + y) / height
            fig.text(x, y, string, fontproperties=font, parse_math=False, **style)

        def axes(x: float, y: float, w: float, h: float) -> Axes:
            return fig.add_axes(((left + x) / width, (bottom + y) / height, w / width, h / height))

        y = self.height - self.top
        for c, title in enumerate(self.column_titles):
            text(self._x(c) + self.panel / 2, y + _TITLE_PAD, title, self.bold, ha="center", va="bottom")
        for r, row in enumerate(self.content.rows):
            y -= self.title_heights[r] + self.panel_heights[r]
            if self.row_labels:
                text(
                    self.left - _TITLE_PAD,
                    y + self.panel_heights[r] / 2,
                    self.row_labels[r],
                    self.font,
                    rotation="vertical",
                    ha="right",
                    va="center",
                    multialignment="center",
                )
            for c, image in enumerate(row):
                if image is not None:
                    title = self.titles[r][c] if self.titles[r] else ""
                    panel = axes(self._x(c), y, self.panel, self.panel_heights[r])
                    _show(panel, image, title, self.font)
            y -= self._gap_below(r)
        if self.content.colorbar:
            bar_width = min(_BAR_WIDTH, self._panels_width() - 4 * _GAP)  # room for the outermost numbers
            x = self.left + (self._panels_width() - bar_width) / 2
            bar = axes(x, self.bottom - 2 * _GAP - _BAR_HEIGHT, bar_width, _BAR_HEIGHT)
            _draw_colorbar(fig, self.content.colorbar, self.bar_label, self.font, cax=bar)

    def _x(self, column: int) -> float:
        """Return where a column's panels begin."""
        return self.left + column * (self.panel + _GAP)

    def _panels_width(self) -> float:
        """Return the width of all panels in a row and the gaps between them."""
        return self.columns * self.panel + (self.columns - 1) * _GAP

    def _gap_below(self, row: int) -> float:
        """Return the gap between a row and the next: wider where a new group, with titles, begins."""
        if row + 1 == len(self.content.rows):
            return 0
        return 2 * _GAP if self.title_heights[row + 1] else _GAP

    def _between_rows(self) -> float:
        """Return the height of all titles and of all gaps between rows."""
        return sum(self.title_heights) + sum(self._gap_below(r) for r in range(len(self.content.rows)))


def _fit(content: _Content, width: float, height: float) -> _Grid:
    """Return the grid with the largest panels that fits into the given inches."""
    panel = width
    while panel >= _MIN_PANEL:
        grid = _Grid(content, panel)
        # Narrower panels never need fewer lines of text, so no step goes below the largest that fits.
        over_width = (grid.width - width) / grid.columns
        over_height = (grid.height - height) * panel / sum(grid.panel_heights)
        if max(over_width, over_height) < 1e-6:
            return grid
        panel -= max(over_width, over_height)
    raise ValueError(
        f"fig is {width:.1f}x{height:.1f} inches, too small for {len(content.rows)} rows with their "
        "text; make it larger, or leave fig out."
    )


def _draw_in_axes(
    ax: Axes | Sequence[Axes], pictures: np.ndarray, captions: list[str], scale: ColorScale | None
) -> FigureBase:
    """Draw pictures into axes of the caller's."""
    axes = _check_count(np.ravel(np.asarray(ax, dtype=object)), len(pictures), "ax", "images")
    font = FontProperties(size=_FONT_SIZE)
    for one, picture, caption in zip(axes, pictures, captions, strict=True):
        width = one.get_position().width * _size(one.figure)[0]
        _show(one, picture, _wrap(caption, width, font), font)
    if scale:
        _draw_colorbar(axes[0].figure, scale, scale.label, font, ax=axes, aspect=40)
    return axes[0].figure


def _show(ax: Axes, image: np.ndarray, title: str, font: FontProperties) -> None:
    """Draw one picture without a frame; when it shrinks or grows, pixels are averaged."""
    ax.imshow(image, interpolation="antialiased")
    ax.set_axis_off()
    ax.set_title(title, fontproperties=font, pad=72 * _TITLE_PAD, parse_math=False)


def _draw_colorbar(
    fig: FigureBase, scale: ColorScale, label: str, font: FontProperties, **place: object
) -> None:
    """Draw the colour bar of `scale`, with tips where values beyond it are clipped."""
    extend = "neither" if scale.percentile == 100 else "both" if scale.signed else "max"
    bar = fig.colorbar(
        scale.mappable(),
        orientation="horizontal",
        extend=extend,
        ticks=[-1, 0, 1] if scale.signed else [0, 0.5, 1],
        **place,
    )
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=font.get_size() - 1, length=2, pad=2)
    bar.set_label(label, fontproperties=font, labelpad=2)


def _wrap(text: str, width: float, font: FontProperties) -> str:
    """Return `text` with each of its lines broken into at most `_MAX_LINES` of at most `width` inches."""
    return "\n".join(_wrap_line(line, width, font) for line in text.split("\n"))


def _wrap_line(text: str, width: float, font: FontProperties) -> str:
    """Return one line broken at its spaces; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in text.split(" "):  # unlike split(), this keeps no-break spaces
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if len(lines) == _MAX_LINES or not lines[-1] or _text_width(longer, font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return "\n".join(_cut(line, width, font) for line in lines)


def _cut(line: str, width: float, font: FontProperties) -> str:
    """Return `line` if it fits into `width` inches, else its start and an ellipsis."""
    if _text_width(line, font) <= width:
        return line
    lengths = range(1, len(line))
    fitting = bisect_right(lengths, width, key=lambda length: _text_width(line[:length] + "…", font))
    return line[: max(fitting, 1)].rstrip() + "…"


@functools.lru_cache(maxsize=4096)
def _text_width(text: str, font: FontProperties) -> float:
    """Return the width of a line of text in inches, and a little more, for hinting."""
    return 1.04 * text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _text_height(texts: Sequence[str], font: FontProperties) -> float:
    """Return the height in inches of the tallest of these texts and the distance to its panel, 0 for none."""
    lines = max((text.count("\n") + 1 for text in texts if text), default=0)
    return _round(lines * _LINE * font.get_size() + _TITLE_PAD) if lines else 0


def _panel_width(columns: int) -> float:
    """Return how wide panels are in a figure that is made for them."""
    if columns <= 2:
        return _LARGE_PANEL
    return _round(min(max(_WIDTH / columns, _SMALL_PANEL), _PANEL))


def _aspect(row: Sequence[np.ndarray | None]) -> float:
    """Return the greatest ratio of height to width in a row, at most 2 lest panels become too tall."""
    return min(max((image.shape[0] / image.shape[1] for image in row if image is not None), default=0), 2)


def _round(length: float) -> float:
    """Return a length in inches that is a whole number of dots."""
    return round(length, 2)


def _size(fig: FigureBase) -> tuple[float, float]:
    """Return width and height of a figure, or of a part of one, in inches."""
    return fig.bbox.width / fig.dpi, fig.bbox.height / fig.dpi


def _captions(n: int, titles: Sequence[str] | None, predictions: Sequence[Prediction] | None) -> list[str]:
    """Return the titles of `n` images, made of what is given."""
    labels = _check_count(titles, n, "titles", "images") or [None] * n
    predictions = _check_count(predictions, n, "predictions", "images") or [None] * n
    return [image_title(*pair) for pair in zip(labels, predictions, strict=True)]


def _first_synonym(name: str) -> str:
    """Return "tench" of "tench, Tinca tinca"."""
    return name.split(",")[0].strip()


def _percent(probability: float) -> str:
    """Return a probability in words that do not claim certainty: "98 %", "> 99 %", "< 1 %"."""
    if not 0 <= probability <= 1.001:  # float32 softmax may exceed 1 in the last digits
        raise ValueError(f"A prediction has the probability {probability}; expected a number from 0 to 1.")
    if probability > 0.995:
        text = "> 99 %"
    else:
        text = "< 1 %" if probability < 0.005 else f"{100 * probability:.0f} %"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _check_maps(maps: npt.ArrayLike) -> np.ndarray:
    """Return maps as an array of floats, after checking that they are a batch and finite."""
    maps = as_array(maps, "maps")
    if maps.ndim == 4:
        raise ValueError(
            f"maps has shape {maps.shape}; expected (N, height, width): reduce the channels first."
        )
    if maps.ndim != 3 or maps.size == 0:
        raise ValueError(f"maps has shape {maps.shape}; expected (N, height, width), one map for each image.")
    if maps.dtype.kind not in "fiu":
        raise ValueError(f"maps has dtype {maps.dtype}; expected floats.")
    if not np.isfinite(maps).all():
        raise ValueError("maps holds NaN or infinity; every value must be finite.")
    return maps.astype(float)


def _check_same_shape(X: np.ndarray, maps: np.ndarray) -> None:
    """Raise ValueError unless there is a map of each image's size."""
    if maps.shape != X.shape[:3]:
        raise ValueError(
            f"maps has shape {maps.shape} and X {X.shape}; expected a map of each image's height and width."
        )


def _check_picture(image: npt.ArrayLike | None, row: int, column: int) -> np.ndarray | None:
    """Return a grid's picture as an array, after checking that it is a raw image or nothing."""
    if image is None:
        return None
    return check_raw_images(as_array(image, f"rows[{row}][{column}]")[None], f"rows[{row}][{column}]")[0]


def _check_count(values: Sequence[Any] | None, n: int, name: str, of_what: str) -> list[Any]:
    """Return `values` as a list after checking that there are `n`, or an empty one for None.

    A string is a sequence too, but never meant as one here.
    """
    if values is None:
        return []
    if isinstance(values, str):
        raise ValueError(f"{name} is one string; expected a list of {n}, one for each of the {of_what}.")
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} entries for {n} {of_what}; expected one for each.")
    return list(values)
