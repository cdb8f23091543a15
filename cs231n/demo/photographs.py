"""The photograph that a visitor looks at: one of the sample, a file, or what the camera sees.

A file comes as part of an event, inside the message that tells of it. So it is only ever in memory: decoded
by `image_utils`, cut to the network's square, and gone.
"""

from __future__ import annotations

import base64
import binascii
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr
import numpy as np

from cs231n.demo.markup import Picture
from cs231n.demo.words import in_words, short_name
from cs231n.image_utils import preprocess_image, read_rgb, resize, square_image

MAX_MEGABYTES = 20
"""Largest file that is taken."""

_THUMBNAIL = 112  # pixels; shown at half that size, for screens of double density

_MARK_NONE = """() => {
    for (const sample of document.querySelectorAll("#strip [data-sample]")) {
        sample.setAttribute("aria-pressed", "false");
    }
}"""
"""The page's side of a photograph of one's own, once it is taken: no thumbnail is the one shown."""

# One at a time: a large photograph takes a gigabyte while it is decoded.
_decoding = threading.Lock()


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph as the network sees it: raw, uint8 (224, 224, 3), and what to call it."""

    pixels: np.ndarray
    name: str

    @property
    def X(self) -> np.ndarray:
        """The preprocessed batch of one."""
        return preprocess_image(self.pixels)[None]

    @property
    def picture(self) -> Picture:
        """The photograph to show."""
        return Picture.of(self.pixels, alt=self.name, caption="Photograph")


def sample_photographs(X: np.ndarray, y: np.ndarray) -> list[Photograph]:
    """Return labelled raw images as photographs with names."""
    return [
        Photograph(pixels, f"Sample photograph {i}: {short_name(label)}")
        for i, (pixels, label) in enumerate(zip(X, y, strict=True), start=1)
    ]


def read_data_uri(uri: object) -> Photograph:
    """Return the photograph that a page sends as a data URI.

    Raises
    ------
    ValueError
        If it is no data URI, too large, or no image that `read_rgb` reads.
    """
    if not isinstance(uri, str) or not uri.startswith("data:") or ";base64," not in uri[:200]:
        raise ValueError("What was sent is no file; choose a photograph, a JPEG or PNG file for example.")
    encoded = uri.partition(";base64,")[2]
    if len(encoded) > MAX_MEGABYTES * 1e6 * 4 / 3:
        raise ValueError(f"The file is larger than {MAX_MEGABYTES} MB; choose a smaller one.")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("The file was damaged on its way; send it again.") from error
    file = io.BytesIO(content)
    file.name = "The file"  # what the sentences about it call it
    with _decoding:
        return Photograph(square_image(read_rgb(file)), "Your photograph")


class Chooser:
    """The page's head: its title, a button for files and one for the camera, thumbnails of the sample.

    Attributes
    ----------
    photograph : gr.State
        The `Photograph` chosen; the first of the sample to begin with.
    """

    def __init__(self, title: str, samples: Sequence[Photograph]) -> None:
        self.samples = samples
        self.photograph = gr.State(samples[0])
        with gr.Row(elem_id="chooser", equal_height=True):
            self.current = gr.HTML(_current(samples[0]), elem_id="current", min_width=100)
            self.strip = gr.HTML(
                _strip(title, samples),
                elem_id="strip",
                js_on_load=(Path(__file__).parent / "chooser.js")
                .read_text(encoding="utf-8")
                .replace("MAX_MEGABYTES", str(MAX_MEGABYTES)),
            )

    def connect(self, *followers: tuple) -> None:
        """Say what to call, after another photograph was chosen: (function, inputs, outputs) each."""
        outputs = [self.photograph, self.current]
        settings = {"concurrency_id": "look", "show_progress": "hidden"}
        chosen = self.strip.select(self._choose_sample, None, outputs, **settings)
        uploaded = self.strip.upload(_choose_file, None, outputs, **settings)
        uploaded.success(None, None, None, js=_MARK_NONE)
        for event in (chosen, uploaded):
            for function, inputs, follower_outputs in followers:
                event.success(function, inputs, follower_outputs, **settings)

    def _choose_sample(self, event: gr.EventData) -> tuple[Photograph, str]:
        number = event._data.get("sample") if isinstance(event._data, dict) else None
        with in_words():
            if not isinstance(number, int) or not 0 <= number < len(self.samples):
                raise ValueError("There is no such sample photograph; choose one of those shown.")
        photograph = self.samples[number]
        return photograph, _current(photograph)


def _choose_file(event: gr.EventData) -> tuple[Photograph, str]:
    uri = event._data.get("file") if isinstance(event._data, dict) else None
    with in_words():
        photograph = read_data_uri(uri)
    return photograph, _current(photograph)


def _current(photograph: Photograph) -> str:
    return photograph.picture.img


def _strip(title: str, samples: Sequence[Photograph]) -> str:
    buttons = []
    for number, sample in enumerate(samples):
        thumbnail = Picture.of(resize(sample.pixels, _THUMBNAIL, _THUMBNAIL), alt=sample.name)
        pressed = str(number == 0).lower()
        buttons.append(
            f'<button type="button" data-sample="{number}" aria-pressed="{pressed}" '
            f'title="{escape(sample.name)}">{thumbnail.img}</button>'
        )
    return f"""
        <div class="own">
          <h1>{escape(title)}</h1>
          <label class="file">Your own photo<input type="file" accept="image/*"></label>
          <button type="button" class="camera">Camera</button>
          <span role="alert" class="trouble"></span>
        </div>
        <div class="thumbnails" role="group" aria-label="Sample photographs">{"".join(buttons)}</div>
        <div class="viewfinder" hidden>
          <video autoplay playsinline muted aria-label="What the camera sees"></video>
          <button type="button" class="take">Take the picture</button>
          <button type="button" class="close">Close the camera</button>
        </div>"""
