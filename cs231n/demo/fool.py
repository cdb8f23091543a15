"""The tab *Fool*: a photograph, changed until the network sees another class in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import gradio as gr
import numpy as np
from scipy.special import softmax

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo.live import Shelf, Stage
from cs231n.demo.markup import Picture
from cs231n.demo.photographs import Photograph
from cs231n.demo.recording import Frame, Recording
from cs231n.demo.words import class_choices, percent, short_name
from cs231n.image_utils import deprocess_image
from cs231n.net_visualization import fooling_steps
from cs231n.plotting import difference_pictures
from cs231n.validation import check_label

TEXT = (
    "Each step changes the photograph a little, in the direction that raises the score of the class you "
    "choose. Soon the network sees that class, where we still see the same photograph."
)

GOLDFISH = 1
MAX_STEPS = 100
_MAGNIFICATION = 30


def build(model: SqueezeNet, shelf: Shelf, photograph: gr.State) -> None:
    """Build the tab in the current layout."""
    stage = Stage(shelf, "fool", "Choose a photograph above and a target class, then press Start.")
    gr.HTML(f'<p class="text">{TEXT}</p>')
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            target = gr.Dropdown(
                class_choices(), value=GOLDFISH, label="Target class (type to search)", elem_id="target"
            )
            length = gr.Slider(0.25, 5, 0.5, step=0.25, label="Length of a step")
            stage.controls()
        with gr.Column(scale=7, min_width=320):
            stage.view()
    stage.connect(functools.partial(record, model), [photograph, target, length])


def record(model: SqueezeNet, photograph: Photograph, target: int, length: float) -> Iterator[Recording]:
    """Yield the recording after each step of the ascent."""
    target = check_label(target, "The target class")
    X = photograph.X
    first = int(model.compute_scores(X)[0].argmax())
    if target == first:
        raise ValueError(f"The network sees {short_name(target)} already; choose another target class.")
    recording = Recording([short_name(first), short_name(target)], "step", "score")
    for image, scores in fooling_steps(X, target, model, length, MAX_STEPS):
        recording.frames.append(_frame(X, image, scores, len(recording.frames), first, target))
        yield recording


def _frame(X: np.ndarray, image: np.ndarray, scores: np.ndarray, step: int, first: int, target: int) -> Frame:
    top = int(scores.argmax())
    probability = percent(softmax(scores.astype(np.float64))[top])
    says = f"the network sees {short_name(top)} ({probability})"
    pictures = (
        Picture.of(
            deprocess_image(image[0]),
            alt=f"The photograph after {step} steps; {says}",
            caption="Photograph" if step == 0 else f"After {step} steps",
        ),
        Picture.of(
            difference_pictures(X, image, _MAGNIFICATION)[0],
            alt=f"The change so far, {_MAGNIFICATION} times as strong, on grey",
            caption=f"Difference × {_MAGNIFICATION}",
        ),
    )
    text = f"Fooled after {step} steps: {says}." if top == target else f"Step {step}: {says}."
    return Frame(pictures, (float(scores[first]), float(scores[target])), text)
