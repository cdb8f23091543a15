"""The tab *Believe?*: which maps change when the network forgets what it has learnt."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import gradio as gr
import numpy as np

from cs231n.attribution import METHODS, saliency_map
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo.live import Shelf, Stage
from cs231n.demo.markup import Picture
from cs231n.demo.photographs import Photograph
from cs231n.demo.recording import Frame, Recording
from cs231n.demo.words import short_name, spoken
from cs231n.evaluation import LAYERS, edge_detector, randomized_models, rank_correlation
from cs231n.plotting import ColorScale

TEXT = (
    "Layer by layer, from the answer down, what the network has learnt is replaced by random numbers. A map "
    "that stays as it was does not show what was learnt. The edge detector never sees the network at all."
)

EDGES = "edge_detector"
# Those that take one run of the network, or few: each is computed eleven times.
_NAMES = (
    "gradient",
    "gradient_times_input",
    "guided_backprop",
    "deconvnet",
    "grad_cam",
    "guided_grad_cam",
    EDGES,
)
_CHOSEN = ["gradient", "guided_backprop", "grad_cam", EDGES]
_MAX_METHODS = 5


def build(model: SqueezeNet, shelf: Shelf, photograph: gr.State) -> None:
    """Build the tab in the current layout."""
    stage = Stage(shelf, "believe", "Choose a photograph above and up to five methods, then press Start.")
    gr.HTML(f'<p class="text">{TEXT}</p>')
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            names = gr.CheckboxGroup(
                [(spoken(name), name) for name in _NAMES], value=_CHOSEN, label="Methods, up to five"
            )
            stage.controls()
        with gr.Column(scale=7, min_width=320):
            stage.view()
    stage.connect(functools.partial(record, model), [photograph, names])


def record(model: SqueezeNet, photograph: Photograph, names: Sequence[str]) -> Iterator[Recording]:
    """Yield the recording with the trained network, then after each layer that has become random."""
    if not 1 <= len(names) <= _MAX_METHODS or not set(names) <= set(_NAMES):
        raise ValueError(f"{len(names)} methods are chosen; choose one to five of those listed.")
    X = photograph.X
    label = int(model.compute_scores(X)[0].argmax())

    def maps_of(network: SqueezeNet) -> dict[str, np.ndarray]:
        methods = METHODS | {EDGES: edge_detector}
        return {name: saliency_map(methods[name](X, [label], network)) for name in names}

    recording = Recording([spoken(name) for name in names], "layers made random", "likeness")
    original = maps_of(model)
    text = f"The trained network, which sees {short_name(label)}."
    recording.frames.append(_frame(original, original, text))
    yield recording
    for layer, network in randomized_models(model):
        changed = maps_of(network)
        number = len(recording.frames)
        text = f"{number} of {len(LAYERS)} layers with weights are random, down to {_layer_name(layer)}."
        recording.frames.append(_frame(original, changed, text))
        yield recording


def _frame(original: dict[str, np.ndarray], changed: dict[str, np.ndarray], text: str) -> Frame:
    likeness = {name: float(rank_correlation(original[name], changed[name])[0]) for name in original}
    pictures = []
    for name, value in likeness.items():
        says = "nothing left to explain" if np.isnan(value) else f"likeness {value:.2f}".replace("-", "−")
        pictures.append(
            Picture.of(
                ColorScale().rgb(changed[name])[0],
                alt=f"Map of {spoken(name)}; {says}",
                caption=f"{spoken(name)}: {says}",
            )
        )
    return Frame(tuple(pictures), tuple(likeness.values()), text)


def _layer_name(layer: str) -> str:
    """Return "the classifier" of "classifier/layer1", "feature layer 12" of "features/layer12"."""
    return "the classifier" if layer.startswith("classifier") else f"feature layer {layer.split('layer')[1]}"
