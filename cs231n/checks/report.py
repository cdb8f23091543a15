"""A verdict as text, and in a notebook as coloured text with a picture."""

from __future__ import annotations

import base64
import html
import io
import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from cs231n.checks.task import Verdict
from cs231n.image_utils import deprocess_image
from cs231n.plotting import ColorScale, image_grid

# Blue and vermilion of Okabe and Ito's palette, which the colour-blind tell apart; a sign stands beside them.
_RIGHT, _WRONG = ("✓", "#0072B2"), ("✗", "#D55E00")
_ROWS = ["yours", "reference", "difference"]
_MAX_PICTURES = 4
_WIDTH = 96


@dataclass(frozen=True)
class Report:
    """What a check says: `print` it, or let it be a notebook cell's last value.

    Attributes
    ----------
    verdict : Verdict
    """

    verdict: Verdict

    @property
    def passed(self) -> bool:
        """Whether the function is right."""
        return self.verdict.passed

    def __str__(self) -> str:
        paragraphs = [self._headline(), self.verdict.explanation]
        paragraphs += [f"Remark: {remark}" for remark in self.verdict.remarks]
        return "\n".join(textwrap.fill(paragraph, _WIDTH) for paragraph in paragraphs if paragraph)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        colour = (_RIGHT if self.passed else _WRONG)[1]
        lines = [f'<b style="color:{colour}">{html.escape(self._headline())}</b>']
        lines.append(html.escape(self.verdict.explanation))
        lines += [f"<i>Remark:</i> {html.escape(remark)}" for remark in self.verdict.remarks]
        picture = self.draw()
        if picture is not None:
            lines.append(f'<img alt="yours, reference, difference" src="{_data_url(picture)}">')
        body = "<br>".join(filter(None, lines))
        return f'<div style="border-left:4px solid {colour};padding-left:0.8em;max-width:60em">{body}</div>'

    def draw(self) -> Figure | None:
        """Return the picture *yours, reference, difference*; None if all is right or can't be drawn."""
        yours, reference = self.verdict.result, self.verdict.expected
        if self.passed or yours is None or yours.shape != reference.shape or not np.isfinite(yours).all():
            return None
        if reference.ndim not in (3, 4):
            return None
        yours, reference = yours[:_MAX_PICTURES], reference[:_MAX_PICTURES]
        difference = yours.astype(np.float64) - reference
        signed = self.verdict.task.signed
        if reference.ndim == 4:
            difference = difference.sum(axis=-1)
        if reference.ndim == 4 and not signed:
            rows = [deprocess_image(yours), deprocess_image(reference)]
        else:
            maps = [one.sum(axis=-1) if signed else one for one in (yours, reference)]
            # One scale for both: a map that is only too weak is to look too weak.
            size = np.percentile(np.abs(maps[1]), 99, axis=(1, 2), keepdims=True)
            rows = [_colour(one, size, signed) for one in maps]
        rows.append(ColorScale(signed=True).rgb(difference))
        if len(reference) == 1:
            return image_grid([[row[0] for row in rows]], column_titles=_ROWS)
        return image_grid(rows, row_labels=_ROWS)

    def _headline(self) -> str:
        sign = (_RIGHT if self.passed else _WRONG)[0]
        return f"{sign} {self.verdict.task.function}: {self.verdict.headline}"


def _colour(maps: np.ndarray, size: np.ndarray, signed: bool) -> np.ndarray:
    """Return maps as pictures in which `size` is the strongest colour."""
    mappable = ColorScale(signed=signed).mappable()
    return mappable.cmap(mappable.norm(np.clip(maps / size, mappable.norm.vmin, 1)), bytes=True)[..., :3]


def _data_url(figure: Figure) -> str:
    """Return a figure as an address that holds the picture itself."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=70)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
