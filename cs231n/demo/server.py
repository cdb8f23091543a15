"""Starting and stopping the demo's server."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from gradio.themes.utils import sizes
from starlette.middleware import Middleware

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.demo.app import build_app
from cs231n.demo.guard import Guard

MAX_WAITING = 100
"""Visitors' requests that wait at most; who comes then is told to try again."""

_MAX_SESSIONS = 300

# Light in a lecture room, whatever the computer's own setting is. Who types into a list, to search it, means
# to replace what is there; Gradio would append. And who finds nothing there is told so; Gradio would put the
# old choice back without a word.
_HEAD = """<script>
const lighten = () => document.body?.classList.contains("dark") && document.body.classList.remove("dark");
new MutationObserver(lighten).observe(document.documentElement, {
  attributes: true, subtree: true, attributeFilter: ["class"],
});
for (const kind of ["focusin", "click"]) {
  document.addEventListener(kind, ({ target }) => target.matches("[role=combobox]") && target.select());
}
const sayWhatFits = ({ type, target }) => {
  const fits = type === "focusout" || !target.value || document.querySelector("[role=option]");
  target.setCustomValidity(fits ? "" : "Nothing in the list has these letters; try fewer or others.");
  target.reportValidity();
};
for (const kind of ["input", "focusout"]) {  // a little later, when the list has been narrowed
  document.addEventListener(kind, (event) => {
    if (event.target.matches("[role=combobox]")) setTimeout(sayWhatFits, 50, event);
  });
}
</script>"""


@contextlib.contextmanager
def running(model: SqueezeNet, host: str = "127.0.0.1", port: int | None = None) -> Iterator[gr.Blocks]:
    """Serve the demo while the block runs; `.local_url` of what is given is its address.

    Parameters
    ----------
    model : SqueezeNet
    host : str
        Address to listen on. Other than loopback it can be seen from other computers.
    port : int, optional
        Default: a free one.

    Raises
    ------
    FileNotFoundError
        If there are no sample photographs; the sentence says which command to run.
    OSError
        If the port is in use, or the host is none of this computer's addresses.
    """
    X, y, _ = load_imagenet_val()
    app = build_app(model, X, y)
    app.queue(max_size=MAX_WAITING, default_concurrency_limit=2)
    try:
        app.launch(
            server_name=host,
            server_port=port,
            share=False,
            prevent_thread_lock=True,
            quiet=True,
            inbrowser=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            run_history=False,  # it would write what visitors do to disk
            show_error=False,
            footer_links=[],
            allowed_paths=[],
            state_session_capacity=_MAX_SESSIONS,
            app_kwargs={"middleware": [Middleware(Guard)], "docs_url": None, "redoc_url": None},
            theme=_theme(),
            css_paths=Path(__file__).parent / "page.css",
            head=_HEAD,
        )
    except OSError as error:
        raise OSError(
            f"The demo can't listen on {host}, port {port}: it is in use, or not an address of this "
            "computer; choose another with --port or --host."
        ) from error
    try:
        yield app
    finally:
        app.close(verbose=False)


def serve(host: str, port: int, weights: str | os.PathLike | None = None) -> None:
    """Serve the demo until Ctrl-C."""
    with SqueezeNet.pretrained(weights) as model, running(model, host, port) as app:
        if not is_loopback(host):
            print(
                f"Warning: on {host} everyone in the network can use the demo; end it after the lecture.",
                flush=True,
            )
        print(f"The demo is at {app.local_url} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


def is_loopback(host: str) -> bool:
    """Tell whether only this computer can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _theme() -> gr.themes.Base:
    """Return a theme with large type, the system's own fonts and colours of high contrast."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    return gr.themes.Base(
        primary_hue=gr.themes.colors.blue,
        text_size=sizes.text_lg,
        font=fonts,
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="#ffffff",
        body_background_fill_dark="#ffffff",  # before the page's script has run
        body_text_color="#111111",
        body_text_color_dark="#111111",
        block_title_text_color="#111111",
        block_label_text_color="#111111",
        block_info_text_color="#333333",
        input_background_fill="#ffffff",
        input_border_color="#8495A1",
        input_border_width="1px",
        layout_gap="8px",
        button_primary_background_fill="#0072B2",
        button_primary_background_fill_hover="#005A8D",
        button_primary_text_color="#ffffff",
        slider_color="#0072B2",
    )
