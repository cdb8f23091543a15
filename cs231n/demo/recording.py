"""The steps of a run, kept so that one can go back through them and save them as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from cs231n.demo import markup
from cs231n.plotting import animation_bytes

_MAX_ANIMATION_FRAMES = 50


@dataclass(frozen=True)
class Frame:
    """One step: its pictures, a number for each curve, and what is to be said."""

    pictures: tuple[markup.Picture, ...]
    values: tuple[float, ...]
    text: str


@dataclass
class Recording:
    """The frames so far of one visitor's run.

    Attributes
    ----------
    curves : sequence of str
        Names of the curves that the frames' values make.
    x_label, y_label : str
        What the axes are.
    first : int
        The number of the first step.
    frames : list of Frame
    """

    curves: Sequence[str]
    x_label: str
    y_label: str
    first: int = 0
    frames: list[Frame] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The number of the last frame."""
        return len(self.frames) - 1

    def html(self, step: int) -> str:
        """Return one frame with the curves up to the last."""
        frame = self.frames[step]
        values = zip(*(frame.values for frame in self.frames), strict=True)
        lines = dict(zip(self.curves, values, strict=True))
        chart = markup.curves(lines, x_label=self.x_label, y_label=self.y_label, at=step, first=self.first)
        return (
            f'<div class="stage" data-step="{step}"><p class="said">{escape(frame.text)}</p>'
            f'<div class="seen">{markup.row(frame.pictures)}{chart}</div></div>'
        )

    def gif(self) -> bytes:
        """Return the pictures as the content of a GIF file, at most fifty of the frames."""
        count = min(len(self.frames), _MAX_ANIMATION_FRAMES)
        chosen = np.linspace(0, self.last, count).round().astype(int)
        return animation_bytes(
            [np.hstack([picture.pixels for picture in self.frames[k].pictures]) for k in chosen]
        )
