"""The tab *Style*: the photograph in the style of a drawing."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import gradio as gr
import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo.live import Shelf, Stage
from cs231n.demo.markup import Picture
from cs231n.demo.photographs import Photograph
from cs231n.demo.recording import Frame, Recording
from cs231n.demo.words import spoken
from cs231n.image_utils import deprocess_image, resize_shorter_side
from cs231n.sample_pictures import PICTURES
from cs231n.style_presets import PRESETS
from cs231n.style_transfer import NUM_ITERATIONS, style_transfer_steps

TEXT = (
    "The photograph is changed until the network finds the drawing's colours and strokes in it, while its "
    "features still say what it shows. The gradient is that of the other tabs; only the score is another."
)

SIZE = 192
_DRAWINGS = ("swirls", "shapes", "waves")
_SHOWN_EVERY = 2  # steps; more could not be seen, and take time from the steps themselves


def build(model: SqueezeNet, shelf: Shelf, photograph: gr.State) -> None:
    """Build the tab in the current layout."""
    stage = Stage(shelf, "style", "Choose a photograph above, a drawing and a preset, then press Start.")
    gr.HTML(f'<p class="text">{TEXT}</p>')
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            drawing = gr.Radio(list(_DRAWINGS), value="swirls", label="Drawing")
            presets = [(spoken(name), name) for name in PRESETS]
            preset = gr.Dropdown(presets, value="starry_night", label="Preset")
            stage.controls()
        with gr.Column(scale=7, min_width=320):
            stage.view()
    stage.connect(functools.partial(record, model), [photograph, drawing, preset])


def record(model: SqueezeNet, photograph: Photograph, drawing: str, preset: str) -> Iterator[Recording]:
    """Yield the recording after every other step of the descent."""
    if drawing not in _DRAWINGS or preset not in PRESETS:
        raise ValueError("There is no such drawing or preset; choose one of those listed.")
    style = _drawing(drawing)
    shown = Picture.of(resize_shorter_side(style, SIZE), alt=f"The drawing: {drawing}", caption="Drawing")
    recording = Recording(["content", "style", "total variation"], f"steps, by {_SHOWN_EVERY}", "log₁₀ loss")
    steps = style_transfer_steps(
        photograph.pixels, style, **{**PRESETS[preset], "image_size": SIZE}, model=model, seed=0
    )
    for step, (image, losses) in enumerate(steps):
        if step % _SHOWN_EVERY:
            continue
        picture = Picture.of(
            deprocess_image(image[0], rescale=True),
            alt=f"The photograph in the style of the drawing, after {step} steps",
            caption=f"After {step} steps",
        )
        text = f"Step {step} of {NUM_ITERATIONS}: the loss is {sum(losses):,.0f}."
        logarithms = tuple(math.log10(loss) if loss > 0 else math.nan for loss in losses)
        recording.frames.append(Frame((picture, shown), logarithms, text))
        yield recording


@functools.cache
def _drawing(name: str) -> np.ndarray:
    return PICTURES[name]()
