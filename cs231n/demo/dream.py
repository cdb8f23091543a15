"""The tab *Dream*: a picture of what the network looks for, grown from noise."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterator

import gradio as gr

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo.live import Shelf, Stage
from cs231n.demo.markup import Picture
from cs231n.demo.recording import Frame, Recording
from cs231n.demo.words import class_choices, short_name
from cs231n.image_utils import deprocess_image
from cs231n.net_visualization import class_visualization_steps
from cs231n.validation import check_label

TEXT = (
    "Starting from noise, each step changes the picture so that the score of the class rises: what appears "
    "is what the network looks for. The penalty, blur and jitter hold back glaring and grainy pixels."
)

TARANTULA = 76
MAX_STEPS = 200


def build(model: SqueezeNet, shelf: Shelf) -> None:
    """Build the tab in the current layout."""
    stage = Stage(shelf, "dream", "Choose a class, then press Start.")
    gr.HTML(f'<p class="text">{TEXT}</p>')
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            target = gr.Dropdown(
                class_choices(), value=TARANTULA, label="Class (type to search)", elem_id="dreamt"
            )
            stage.controls()
        with gr.Column(scale=7, min_width=320, elem_classes="single"):
            stage.view()
            with gr.Row():
                steps = gr.Slider(10, MAX_STEPS, 100, step=10, label="Steps", min_width=150)
                learning_rate = gr.Slider(5, 50, 25, step=5, label="Step size", min_width=150)
                l2_reg = gr.Slider(0, 0.01, 0.001, step=0.0005, label="Penalty", min_width=150)
                blur_every = gr.Slider(1, 50, 10, step=1, label="Blur every", min_width=150)
                max_jitter = gr.Slider(0, 32, 16, step=1, label="Jitter", min_width=150)
    inputs = [target, steps, learning_rate, l2_reg, blur_every, max_jitter]
    stage.connect(functools.partial(record, model), inputs)


def record(
    model: SqueezeNet,
    target: int,
    steps: float,
    learning_rate: float,
    l2_reg: float,
    blur_every: float,
    max_jitter: float,
) -> Iterator[Recording]:
    """Yield the recording after each step of the ascent, from a start of its own."""
    name = short_name(check_label(target, "The class"))
    recording = Recording([name], "step", "score", first=1)
    iterations = class_visualization_steps(
        target,
        model,
        l2_reg=l2_reg,
        learning_rate=learning_rate,
        num_iterations=min(int(steps), MAX_STEPS),
        blur_every=int(blur_every),
        max_jitter=int(max_jitter),
        seed=secrets.randbelow(2**31),
    )
    for step, iteration in enumerate(iterations):
        picture = Picture.of(
            deprocess_image(iteration.image[0]),
            alt=f"What raises the score of {name}, after {step + 1} steps from noise",
            caption=f"After {step + 1} steps",
        )
        text = f"Step {step + 1} of {int(steps)}: the score of {name} was {iteration.score:.1f}."
        recording.frames.append(Frame((picture,), (iteration.score,), text))
        yield recording
