"""Runs that are shown step by step while they are made: start, stop, back through the steps, save."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import gradio as gr
from gradio.components import Component

from cs231n.demo.markup import data_uri
from cs231n.demo.recording import Recording
from cs231n.demo.words import in_words

MAX_RUNS = 32
"""Runs that are kept to go back through: of the visitors who started one last. A run takes up to 10 MB."""

AT_ONCE = 4
"""Runs that go on at once; who starts another waits for one of them to end."""

FRAME_SECONDS = 0.08
"""Least time between two steps shown: eyes can follow, and a room's network, too."""

_LONGEST_STEP = 10.0
"""Seconds that Stop waits for the step that is being computed."""

DOWNLOAD = """async (uri, name) => {
    if (!uri) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await (await fetch(uri)).blob());
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
}"""
"""The page's side of saving: the browser makes a file of a data URI, and the server has none to keep."""


@dataclass(frozen=True)
class _Going:
    """A run that goes on: whether it is to stop, and whether it has ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Shelf:
    """The runs of all visitors, by visitor and tab; the oldest make room for new ones."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str], Recording] = OrderedDict()
        self._going: dict[tuple[str, str], _Going] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, visitor: str, tab: str, recording: Recording) -> None:
        """Keep a run in place of the visitor's last one in this tab."""
        with self._lock:
            self._runs[visitor, tab] = recording
            self._runs.move_to_end((visitor, tab))
            while len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)

    def get(self, visitor: str, tab: str) -> Recording:
        """Return a visitor's run, or raise ValueError with a sentence if it is not kept."""
        with self._lock:
            recording = self._runs.get((visitor, tab))
        if recording is None or not recording.frames:
            raise ValueError("There is no run to show; press Start.")
        return recording

    @contextlib.contextmanager
    def going(self, visitor: str, tab: str) -> Iterator[threading.Event]:
        """Give the event that tells a visitor's run to stop, while the block runs."""
        going = _Going()
        with self._lock:
            self._going[visitor, tab] = going
        try:
            yield going.stop
        finally:
            with self._lock:
                if self._going.get((visitor, tab)) is going:
                    del self._going[visitor, tab]
            going.ended.set()

    def stop(self, visitor: str, tab: str) -> bool:
        """End a visitor's run, if one goes on, and return whether one did when it has ended."""
        with self._lock:
            going = self._going.get((visitor, tab))
        if going is not None:
            going.stop.set()
            going.ended.wait(_LONGEST_STEP)
        return going is not None

    def forget(self, visitor: str) -> None:
        """End and drop all runs of a visitor who has left."""
        with self._lock:
            for key, going in self._going.items():
                if key[0] == visitor:
                    going.stop.set()
            for key in [key for key in self._runs if key[0] == visitor]:
                del self._runs[key]


class Stage:
    """The part of a tab in which a run is shown.

    Build it in two places of a layout: `controls` makes what steers it, `view` the pictures.
    """

    def __init__(self, shelf: Shelf, tab: str, invitation: str) -> None:
        self.shelf, self.tab, self.invitation = shelf, tab, invitation

    def controls(self) -> None:
        """Build the buttons and the slider."""
        with gr.Row(elem_classes="buttons"):
            self.start = gr.Button(
                "Start", variant="primary", elem_id=f"start-{self.tab}", size="md", min_width=80
            )
            self.stop = gr.Button("Stop", variant="stop", size="md", min_width=80)
            self.save = gr.Button("Save GIF", size="md", min_width=80)

        self.back = gr.Slider(0, 1, 0, step=1, label="Back through the steps", interactive=False)

    def view(self) -> None:
        """Build the pictures."""
        self.pictures = gr.HTML(f'<div class="stage"><p class="said">{self.invitation}</p></div>')
        self.given_up = gr.Textbox(visible="hidden")
        self.file = gr.Textbox(visible="hidden")
        self.file_name = gr.Textbox(f"{self.tab}.gif", visible="hidden")

    def connect(self, record: Callable[..., Iterator[Recording]], inputs: Sequence[Component]) -> None:
        """Connect all of them.

        Parameters
        ----------
        record : function of the inputs' values
            Yields the same recording after each frame that it got; ends by itself.
        inputs : sequence of Component
        """

        def run(request: gr.Request, *values: object) -> Iterator[str]:
            visitor, due = request.session_hash, time.monotonic()
            with in_words(), self.shelf.going(visitor, self.tab) as stop:
                for recording in record(*values):
                    self.shelf.put(visitor, self.tab, recording)
                    stop.wait(max(due - time.monotonic(), 0))
                    due = time.monotonic() + FRAME_SECONDS
                    yield recording.html(recording.last)
                    if stop.is_set():
                        return

        started = self.start.click(
            run, inputs, self.pictures, concurrency_limit=AT_ONCE, concurrency_id="runs"
        )
        quiet = {"concurrency_id": "look", "show_progress": "hidden"}
        started.then(self._settle, None, self.back, **quiet)
        self.stop.click(self._end, None, [self.back, self.given_up], **quiet)
        # Only a run that waits is cancelled: the page may take a cancelled one that goes on for an error.
        self.given_up.change(None, None, None, cancels=[started])
        self.back.input(self._show, self.back, self.pictures, trigger_mode="always_last", **quiet)
        saved = self.save.click(self._gif, None, self.file, concurrency_id="look", show_progress="minimal")
        saved.success(None, [self.file, self.file_name], None, js=DOWNLOAD)

    def _end(self, request: gr.Request) -> tuple[dict, dict | str]:
        """End the run and give the slider its steps; if none goes on, give up the one that may wait."""
        was_going = self.shelf.stop(request.session_hash, self.tab)
        return self._settle(request), gr.skip() if was_going else str(time.monotonic_ns())

    def _settle(self, request: gr.Request) -> dict:
        """Give the slider the steps that there are."""
        try:
            recording = self.shelf.get(request.session_hash, self.tab)
        except ValueError:
            return gr.skip()
        first, last = recording.first, recording.last
        return gr.update(
            minimum=first, maximum=first + max(last, 1), value=first + last, interactive=last > 0
        )

    def _show(self, step: float, request: gr.Request) -> str:
        with in_words():
            recording = self.shelf.get(request.session_hash, self.tab)
        return recording.html(min(max(int(step) - recording.first, 0), recording.last))

    def _gif(self, request: gr.Request) -> str:
        with in_words():
            recording = self.shelf.get(request.session_hash, self.tab)
        return data_uri(recording.gif(), "image/gif")
