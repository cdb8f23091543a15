"""Pictures to work on that need no download: a photograph, and three styles drawn by code.

The photograph, Commodore Grace M. Hopper by James S. Davis, 1984, is a work of the United States Navy and as
such in the public domain; it comes with Matplotlib. The drawings are the kit's own, under its licence.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib import cbook
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from cs231n.image_utils import read_rgb

SIZE = 512
"""Height and width of the drawings, in pixels."""

_NIGHT_BLUES = (
    (18, 32, 84),
    (34, 70, 140),
    (58, 110, 170),
    (110, 160, 190),
    (30, 90, 120),
    (70, 130, 140),
    (170, 195, 190),
)
_STARLIGHT = ((250, 220, 90), (245, 190, 50), (255, 240, 170), (230, 160, 40))
_STARS = np.array(  # x, y, radius, in units of the picture's width, from its upper left corner
    [
        (0.85, 0.15, 0.07),
        (0.30, 0.35, 0.06),
        (0.10, 0.10, 0.05),
        (0.55, 0.12, 0.045),
        (0.68, 0.50, 0.05),
        (0.15, 0.80, 0.04),
        (0.90, 0.75, 0.05),
        (0.50, 0.62, 0.03),
    ]
)
_VORTICES = (  # x, y, radius, strength
    (0.30, 0.35, 0.16, 1.0),
    (0.68, 0.50, 0.14, -1.1),
    (0.85, 0.15, 0.10, 0.8),
    (0.15, 0.80, 0.13, -0.8),
    (0.55, 0.85, 0.12, 0.9),
)
_INK = (20, 20, 24)
_POSTER_COLOURS = (
    *((200, 40, 40), (20, 60, 140), (240, 180, 30), (30, 120, 90), _INK),
    (230, 110, 50),
    (120, 60, 130),
    (150, 200, 215),
    (250, 240, 225),
)
_SKY = ((214, 82, 32), (236, 132, 44), (246, 178, 70), (198, 52, 30), (240, 150, 60), (230, 190, 110))
_FJORD = (
    (120, 130, 120),
    (60, 90, 110),
    (30, 52, 80),
    (50, 70, 60),
    (90, 60, 50),
    (25, 30, 45),
    (80, 100, 110),
    (160, 90, 50),
)


def load_picture(name: str | os.PathLike) -> np.ndarray:
    """Return an image file, or one of `PICTURES` by its name if there is no such file.

    Parameters
    ----------
    name : path or str

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ValueError, OSError
        As `read_rgb`.
    """
    if str(name) in PICTURES and not Path(name).exists():
        return PICTURES[str(name)]()
    return read_rgb(name)


def hopper() -> np.ndarray:
    """Return a portrait of Grace Hopper in front of a flag, uint8, shape (600, 512, 3)."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return read_rgb(file)


def swirls() -> np.ndarray:
    """Return a night sky of short brush strokes that swirl, in the manner of van Gogh."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    stream = 0.35 * y
    for x0, y0, radius, strength in _VORTICES:
        stream += strength * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * radius**2))
    down, right = np.gradient(stream)
    flow = np.stack([down, -right], axis=-1)  # along the lines on which `stream` is constant
    flow /= np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-9
    shade = np.abs(np.sin(14 * stream))

    image = Image.new("RGB", (SIZE, SIZE), (24, 44, 92))
    draw = ImageDraw.Draw(image)
    for _ in range(9000):
        point = rng.random(2) * SIZE
        distance = (np.linalg.norm(point / SIZE - _STARS[:, :2], axis=1) / _STARS[:, 2]).min()
        if rng.random() < 1.9 - distance:
            colour = _STARLIGHT[rng.integers(len(_STARLIGHT))]
        elif rng.random() < 0.75:
            colour = _NIGHT_BLUES[int(shade[_pixel(point)] * len(_NIGHT_BLUES)) % len(_NIGHT_BLUES)]
        else:
            colour = _NIGHT_BLUES[rng.integers(len(_NIGHT_BLUES))]
        stroke = [tuple(point)]
        for _ in range(rng.integers(4, 12)):
            point = point + 2 * flow[_pixel(point)]
            stroke.append(tuple(point))
        uneven = np.clip(colour + rng.normal(0, 9, 3), 0, 255).astype(int)
        draw.line(stroke, fill=tuple(uneven), width=int(rng.integers(3, 7)), joint="curve")
    return np.array(image)


def shapes() -> np.ndarray:
    """Return circles, triangles, arcs, lines and chequers on cream, in the manner of Kandinsky."""
    rng = np.random.default_rng(5)
    size = 2 * SIZE  # to be halved: Pillow draws without antialiasing
    image = Image.new("RGB", (size, size), (240, 226, 196))
    for _ in range(26):
        (x, y), r = rng.random(2) * size, rng.uniform(0.08, 0.22) * size
        veil = Image.new("L", (size, size))
        ImageDraw.Draw(veil).ellipse((x - r, y - r, x + r, y + r), fill=int(rng.integers(60, 160)))
        image.paste(_poster_colour(rng), mask=veil)
    draw = ImageDraw.Draw(image)
    forms = (_draw_target, _draw_triangle, _draw_arc, _draw_line, _draw_chequers)
    for _ in range(90):
        (x, y), r = rng.random(2) * size, rng.uniform(0.02, 0.09) * size
        forms[rng.integers(len(forms))](draw, rng, x, y, r)
    return np.array(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def waves() -> np.ndarray:
    """Return long wavy bands, a red sky above a dark fjord, in the manner of Munch."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    height = (
        y
        + 0.05 * np.sin(2 * np.pi * (1.1 * x + 0.3 * y))
        + 0.025 * np.sin(2 * np.pi * (2.7 * x - 0.8 * y) + 1)
    )
    height += 0.3 * np.exp(-((x - 0.75) ** 2 + (y - 0.6) ** 2) / 0.05)
    height += 0.09 * gaussian_filter(rng.normal(size=(SIZE, SIZE)), (1.2, 12))
    sky, fjord = rng.integers(len(_SKY), size=18), rng.integers(len(_FJORD), size=40)
    bands = np.concatenate([np.array(_SKY)[sky], np.array(_FJORD)[fjord]])
    image = bands[np.clip(26 * height, 0, len(bands) - 1).astype(int)]
    grain = 60 * gaussian_filter(rng.normal(size=image.shape), (0.7, 5, 0))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


PICTURES = {"hopper": hopper, "swirls": swirls, "shapes": shapes, "waves": waves}
"""Functions that return a picture, uint8, shape (H, W, 3), by its name."""


def _pixel(point: np.ndarray) -> tuple[int, int]:
    """Return row and column of the pixel at a point (x, y); beyond the edge it goes on at the other one."""
    return int(point[1]) % SIZE, int(point[0]) % SIZE


def _poster_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    return _POSTER_COLOURS[rng.integers(len(_POSTER_COLOURS))]


def _draw_target(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    for radius in (r, 0.7 * r, 0.4 * r):
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=_poster_colour(rng), outline=_INK, width=4)


def _draw_triangle(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    angles = rng.uniform(0, 2 * np.pi) + np.array([0, 2.1, 4.0])
    corners = zip(x + 1.5 * r * np.cos(angles), y + 1.5 * r * np.sin(angles), strict=True)
    draw.polygon(list(corners), fill=_poster_colour(rng), outline=_INK)


def _draw_arc(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    start = rng.uniform(0, 360)
    draw.arc((x - r, y - r, x + r, y + r), start, start + 200, fill=_INK, width=8)


def _draw_line(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    angle = rng.uniform(0, 2 * np.pi)
    dx, dy = 4 * r * np.cos(angle), 4 * r * np.sin(angle)
    draw.line((x - dx, y - dy, x + dx, y + dy), fill=_INK, width=int(rng.integers(4, 12)))


def _draw_chequers(draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, r: float) -> None:
    colours, side = (_poster_colour(rng), _INK), r / 2.2
    for i, j in np.ndindex(4, 4):
        left, top = x + (i - 2) * side, y + (j - 2) * side
        draw.rectangle((left, top, left + side, top + side), fill=colours[(i + j) % 2])
