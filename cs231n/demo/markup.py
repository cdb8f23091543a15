"""Pieces of HTML: pictures with their alternative texts, bars, curves.

Pictures go to the browser inside the page, as data URIs: no file is written, and none has to be served.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from cs231n.demo.words import percent

# Okabe and Ito's blue, vermilion, green and purple: the colour-blind can tell them apart, and all four are
# dark enough for lines on white. The dashes tell them apart in print.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#AA4499", "#000000")
_DASHES = ("", "9 5", "3 4", "12 4 3 4", "1 5")

_CHART_WIDTH, _CHART_HEIGHT = 480, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 10, 12, 40
_LINE = 20


@dataclass(frozen=True)
class Picture:
    """A picture to show: a JPEG file's content, and what is said of it."""

    jpeg: bytes
    alt: str
    caption: str

    @classmethod
    def of(cls, pixels: np.ndarray, alt: str, caption: str = "") -> Picture:
        """Return the picture of a raw image, uint8 (H, W, 3)."""
        file = io.BytesIO()
        # Full colour resolution: a saliency map's single bright pixels would be smeared otherwise.
        Image.fromarray(pixels).save(file, "JPEG", quality=92, subsampling=0)
        return cls(file.getvalue(), alt, caption)

    @property
    def pixels(self) -> np.ndarray:
        """The raw image, uint8 (H, W, 3), up to the JPEG's losses."""
        return np.array(Image.open(io.BytesIO(self.jpeg)))

    @property
    def img(self) -> str:
        """The picture alone."""
        return f'<img src="{data_uri(self.jpeg, "image/jpeg")}" alt="{escape(self.alt)}">'

    @property
    def figure(self) -> str:
        """The picture with its caption below."""
        return f"<figure>{self.img}<figcaption>{escape(self.caption)}</figcaption></figure>"


def data_uri(content: bytes, media_type: str) -> str:
    """Return a file's content as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def row(pictures: Iterable[Picture]) -> str:
    """Return pictures side by side; on a narrow screen they go below each other."""
    figures = [picture.figure for picture in pictures]
    return f'<div class="pictures{" many" if len(figures) > 3 else ""}">{"".join(figures)}</div>'


def bars(classes: Sequence[tuple[int, str, float]], chosen: int) -> str:
    """Return classes as buttons with bars.

    Parameters
    ----------
    classes : sequence of (int, str, float)
        Label, name, and probability from 0 to 1.
    chosen : int
        The label whose button is pressed.
    """
    buttons = "".join(
        f'<li><button type="button" data-label="{label}" aria-pressed="{str(label == chosen).lower()}">'
        f'<span class="fill" style="width:{100 * probability:.1f}%"></span>'
        f'<span class="name">{escape(name)}</span> <span class="share">{escape(percent(probability))}</span>'
        "</button></li>"
        for label, name, probability in classes
    )
    return f'<ol class="bars" aria-label="The network\'s five best guesses">{buttons}</ol>'


def curves(
    lines: Mapping[str, Sequence[float]], *, x_label: str, y_label: str, at: int, first: int = 0
) -> str:
    """Return numbers over steps as lines, with a mark at one step.

    Parameters
    ----------
    lines : mapping of str to sequence of K float
        For each line's name its K values, one per step; NaN leaves a gap.
    x_label, y_label : str
    at : int
        The value to mark, from 0.
    first : int
        The number of the first step.
    """
    steps = max(map(len, lines.values()))
    known = [v for values in lines.values() for v in values if np.isfinite(v)] or [0.0]
    low, high = min(known), max(known)
    if low > 0 and low < high / 2:
        low = 0.0
    high = high if high > low else low + 1
    plot_width, plot_height = _CHART_WIDTH - _LEFT - _RIGHT, _CHART_HEIGHT - _TOP - _BOTTOM

    def x(step: int) -> float:
        return _LEFT + plot_width * step / max(steps - 1, 1)

    def y(value: float) -> float:
        return _TOP + plot_height * (high - value) / (high - low)

    drawn, legend, told = [], [], []
    for (name, values), color, dashes in zip(lines.items(), _COLORS, _DASHES, strict=False):
        points = [f"{x(k):.1f},{y(v):.1f}" for k, v in enumerate(values) if np.isfinite(v)]
        style = f'stroke="{color}" stroke-dasharray="{dashes}"'
        drawn.append(f'<polyline points="{" ".join(points)}" class="line" {style}/>')
        if at < len(values) and np.isfinite(values[at]):
            drawn.append(f'<circle cx="{x(at):.1f}" cy="{y(values[at]):.1f}" r="6" fill="{color}"/>')
            told.append(f"{name}: {values[at]:.3g}")
        sample = f'<svg viewBox="0 0 36 8" aria-hidden="true"><path d="M0 4H36" class="line" {style}/></svg>'
        legend.append(f"<span>{sample}{escape(name)}</span>")
    ticks = "".join(
        f'<text x="{_LEFT - 8}" y="{y(value) + 6:.1f}" text-anchor="end">{_short(value)}</text>'
        for value in {low, 0.0, high}
        if value in (low, high) or (value < high and y(low) - y(value) > _LINE)
    )
    last = steps - 1
    ticks += f'<text x="{_LEFT}" y="{_CHART_HEIGHT - 16}" text-anchor="middle">{first}</text>'
    if last:
        ticks += f'<text x="{x(last):.1f}" y="{_CHART_HEIGHT - 16}" text-anchor="end">{first + last}</text>'
    middle = _LEFT + plot_width / 2
    axes = (
        f'<path d="M{_LEFT} {_TOP}V{_TOP + plot_height}H{_CHART_WIDTH - _RIGHT}" class="axis"/>'
        f'<path d="M{x(at):.1f} {_TOP}V{_TOP + plot_height}" class="mark"/>'
        f'<text x="{middle}" y="{_CHART_HEIGHT - 12}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(16 {_TOP + plot_height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    alt = escape(f"{y_label} by {x_label}. At {first + at}: {'; '.join(told)}.")
    return (
        f'<div class="chart"><p class="legend">{"".join(legend)}</p>'
        f'<svg viewBox="0 0 {_CHART_WIDTH} {_CHART_HEIGHT}" role="img" aria-label="{alt}">'
        f"{axes}{ticks}{''.join(drawn)}</svg></div>"
    )


def _short(value: float) -> str:
    """Return a number in three digits, with a minus sign and no hyphen."""
    return f"{value:.3g}".replace("-", "−")
