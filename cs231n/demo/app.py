"""The page: the photograph above, the tabs below."""

from __future__ import annotations

import gradio as gr
import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.demo import believe, dream, fool, style
from cs231n.demo.live import Shelf
from cs231n.demo.look import Look
from cs231n.demo.photographs import Chooser, sample_photographs

TITLE = "What does the network see?"


def build_app(model: SqueezeNet, X: np.ndarray, y: np.ndarray) -> gr.Blocks:
    """Return the app for one model, which all visitors share.

    Parameters
    ----------
    model : SqueezeNet
        With a session of its own, as `SqueezeNet.pretrained` makes it.
    X : ndarray of uint8, shape (N, 224, 224, 3)
        The photographs to choose from.
    y : ndarray of int, shape (N,)
        Their labels.
    """
    shelf = Shelf()
    look = Look(model)
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as app:
        chooser = Chooser(TITLE, sample_photographs(X, y))
        with gr.Tab("Look"):
            look.build(chooser.photograph)
        with gr.Tab("Fool"):
            fool.build(model, shelf, chooser.photograph)
        with gr.Tab("Dream"):
            dream.build(model, shelf)
        with gr.Tab("Believe?"):
            believe.build(model, shelf, chooser.photograph)
        with gr.Tab("Style"):
            style.build(model, shelf, chooser.photograph)
        chooser.connect(look.connect(chooser.photograph))

        def leave(request: gr.Request) -> None:
            shelf.forget(request.session_hash)

        app.unload(leave)
    return app
