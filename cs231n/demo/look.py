"""The tab *Look*: what the network sees in a photograph, and where it looks for it."""

from __future__ import annotations

import functools
import io

import gradio as gr
import numpy as np
from PIL import Image
from scipy.special import softmax

from cs231n.attribution import METHODS, find_method, saliency_map
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo import markup
from cs231n.demo.live import DOWNLOAD
from cs231n.demo.markup import Picture
from cs231n.demo.photographs import Photograph
from cs231n.demo.words import class_choices, in_words, short_name, spoken
from cs231n.image_utils import preprocess_image
from cs231n.plotting import ColorScale, figure_pixels, image_grid
from cs231n.validation import check_label

TEXT = (
    "The bars are the network's five best guesses. Click one: the bright pixels are those that would change "
    "this guess's score the most."
)

ALONE, CLASSES, METHODS_TOO = "One map", "Two classes", "Two methods"

_CACHED_MAPS = 64  # of 200 kB each, with as much for the photograph


class Look:
    """The tab and what it computes."""

    def __init__(self, model: SqueezeNet) -> None:
        self.model = model
        # Many visitors look at the same few photographs, and the overlay's slider asks for the same map.
        self._cached_map = functools.lru_cache(_CACHED_MAPS)(self._compute_map)

    def build(self, photograph: gr.State) -> None:
        """Build the tab in the current layout; it begins with the map of the photograph's best guess."""
        bars, pictures, label = self.show(photograph.value, None, "gradient", 0.6, ALONE, 0, "gradient")
        methods = [(spoken(name), name) for name in METHODS]
        gr.HTML(f'<p class="text">{TEXT}</p>')
        self.label = gr.State(label)
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                self.bars = gr.HTML(bars, elem_id="bars", js_on_load=_BARS_JS)
                with gr.Row():
                    self.method = gr.Dropdown(methods, value="gradient", label="Method", min_width=140)
                    self.strength = gr.Slider(0, 1, 0.6, step=0.05, label="Overlay strength", min_width=140)
            with gr.Column(scale=7, min_width=320):
                self.pictures = gr.HTML(pictures, elem_id="maps")
                with gr.Row():
                    self.comparison = gr.Radio(
                        [ALONE, CLASSES, METHODS_TOO], value=ALONE, label="Side by side", min_width=300
                    )
                    self.other_label = gr.Dropdown(
                        class_choices(), value=label, label="Second class (type to search)", visible=False
                    )
                    self.other_method = gr.Dropdown(
                        methods, value="guided_backprop", label="Second method", visible=False
                    )
                    self.save = gr.Button("Save PNG", size="md", scale=0, min_width=130)
        self.file = gr.Textbox(visible="hidden")
        self.file_name = gr.Textbox("look.png", visible="hidden")

    def connect(self, photograph: gr.State) -> tuple:
        """Connect the controls; return what is to be called when another photograph is chosen."""
        choice = [self.method, self.strength, self.comparison, self.other_label, self.other_method]
        inputs, outputs = [photograph, self.label, *choice], [self.bars, self.pictures, self.label]
        settings = {"concurrency_limit": 2, "concurrency_id": "look", "show_progress": "minimal"}
        self.bars.select(self._choose, inputs, outputs, **settings)
        for changed in (self.method.input, self.strength.input, self.other_label.input):
            changed(self.show, inputs, outputs, trigger_mode="always_last", **settings)
        self.other_method.input(self.show, inputs, outputs, **settings)
        compared = self.comparison.input(
            self._compare,
            [photograph, self.label, self.comparison],
            [self.other_label, self.other_method],
            **settings,
        )
        compared.success(self.show, inputs, outputs, **settings)
        saved = self.save.click(self._png, inputs, self.file, **settings)
        saved.success(None, [self.file, self.file_name], None, js=DOWNLOAD)
        return self._show_first, [photograph, *choice], outputs

    def show(
        self,
        photograph: Photograph,
        label: int | None,
        method: str,
        strength: float,
        comparison: str,
        other_label: int,
        other_method: str,
    ) -> tuple[str, str, int]:
        """Return the bars, the pictures, and the class explained: if none is given, the best guess."""
        with in_words():
            guesses = self.guesses(photograph)
            label = guesses[0][0] if label is None else check_label(label, "The class")
            maps = self.maps(photograph, label, method, comparison, other_label, other_method)
            pictures = [photograph.picture, *overlays(photograph, maps, strength)]
        return markup.bars(guesses, label), markup.row(pictures), label

    def guesses(self, photograph: Photograph) -> list[tuple[int, str, float]]:
        """Return the five best guesses: label, name, probability."""
        probabilities = softmax(self.model.compute_scores(photograph.X)[0].astype(np.float64))
        best = probabilities.argsort()[::-1][:5]
        return [(int(label), short_name(label), float(probabilities[label])) for label in best]

    def maps(
        self,
        photograph: Photograph,
        label: int,
        method: str,
        comparison: str,
        other_label: int,
        other_method: str,
    ) -> list[tuple[str, np.ndarray]]:
        """Return one or two maps, shape (224, 224), with their captions."""
        asked = [(method, label)]
        if comparison == CLASSES:
            asked.append((method, check_label(other_label, "The second class")))
        elif comparison == METHODS_TOO:
            asked.append((other_method, label))
        return [
            (f"{spoken(name)} for {short_name(k)}", self._cached_map(photograph.pixels.tobytes(), k, name))
            for name, k in asked
        ]

    def _compute_map(self, pixels: bytes, label: int, method: str) -> np.ndarray:
        X = preprocess_image(np.frombuffer(pixels, np.uint8).reshape(1, 224, 224, 3))
        return saliency_map(find_method(method)(X, [label], self.model))[0]

    def _choose(self, event: gr.EventData, photograph: Photograph, label: int, *choice: object) -> tuple:
        label = event._data.get("label") if isinstance(event._data, dict) else None
        return self.show(photograph, label, *choice)

    def _compare(self, photograph: Photograph, label: int, comparison: str) -> tuple[dict, dict]:
        """Show the control that is needed; the second class begins as the best guess besides the first."""
        other = next(guess for guess, _, _ in self.guesses(photograph) if guess != label)
        return (
            gr.update(visible=comparison == CLASSES, value=other),
            gr.update(visible=comparison == METHODS_TOO),
        )

    def _show_first(self, photograph: Photograph, *choice: object) -> tuple:
        return self.show(photograph, None, *choice)

    def _png(self, photograph: Photograph, label: int, method: str, strength: float, *others: object) -> str:
        with in_words():
            maps = self.maps(photograph, label, method, *others)
            laid_over = [ColorScale().overlay(photograph.pixels[None], m[None], strength)[0] for _, m in maps]
        titles = ["photograph", *(caption for caption, _ in maps)]
        figure = image_grid([[photograph.pixels, *laid_over]], titles=[titles])
        file = io.BytesIO()
        Image.fromarray(figure_pixels(figure, dpi=200)).save(file, "PNG")
        return markup.data_uri(file.getvalue(), "image/png")


def overlays(photograph: Photograph, maps: list[tuple[str, np.ndarray]], strength: float) -> list[Picture]:
    """Return maps laid over the photograph."""
    return [
        Picture.of(
            ColorScale().overlay(photograph.pixels[None], map_[None], strength)[0],
            alt=f"{caption}, laid over the photograph in grey: strongest {place(map_)}",
            caption=caption,
        )
        for caption, map_ in maps
    ]


def place(map_: np.ndarray) -> str:
    """Return in words where a map of shape (H, W) has its weight: "at the upper left" for example."""
    height, width = map_.shape
    total = map_.sum()
    if total == 0:
        return "nowhere"
    row = (map_.sum(axis=1) @ np.arange(height)) / total / height
    column = (map_.sum(axis=0) @ np.arange(width)) / total / width
    down = "upper" if row < 0.42 else "lower" if row > 0.58 else ""
    across = "left" if column < 0.42 else "right" if column > 0.58 else ""
    return f"at the {down} {across}".replace("  ", " ").rstrip() if down or across else "around the centre"


# The markup is made anew with each answer, so the button that had the keyboard's focus must get it back.
_BARS_JS = """
let focused = null;
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-label]");
  if (!button) return;
  focused = button.dataset.label;
  trigger("select", { label: Number(focused) });
});
watch("value", () => {
  if (focused !== null) element.querySelector(`[data-label="${focused}"]`)?.focus();
  focused = null;
});
"""
