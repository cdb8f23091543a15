"""Time style transfer at 192 pixels, against the bare loop of gradient and Adam step.

Run it with `python benchmarks/style_transfer.py`. The bare loop takes the same 200 steps with the same
gradient, fed and run by hand: no checks, losses, clamp, padding or progress bar. Both run in turn, five
times in one process; printed are the shortest times in seconds, and their ratio.
"""

from __future__ import annotations

import time

import numpy as np

from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.gradients import build_once
from cs231n.image_utils import preprocess_image, resize_shorter_side
from cs231n.sample_pictures import shapes, swirls
from cs231n.style_presets import PRESETS
from cs231n.style_transfer import NUM_ITERATIONS, Adam, TransferLoss, style_transfer

REPEATS = 5


def bare(model: SqueezeNet, preset: dict, img: np.ndarray, style: np.ndarray) -> None:
    """Take the steps with nothing around them, on preprocessed images."""
    layers = preset["content_layer"], preset["style_layers"]
    loss = build_once(
        model.graph,
        (TransferLoss, model, *layers),
        lambda: TransferLoss(model, *layers),
    )
    weights = preset["content_weight"], preset["style_weights"], preset["tv_weight"]
    feed = loss.feed(model.sess, img, style, *weights)
    adam = Adam(img.shape)
    for _ in range(NUM_ITERATIONS):
        img = img - adam.step(model.sess.run(loss.gradient, {**feed, model.image: img}), 0.1)


def seconds(function, *arguments, **keywords) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function(*arguments, **keywords)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    preset = PRESETS["starry_night"]
    content, style = shapes(), swirls()
    scaled = [preprocess_image(resize_shorter_side(picture, 192))[None] for picture in (content, style)]
    with SqueezeNet.pretrained() as model:
        style_transfer(content, style, **preset, model=model, num_iterations=5)
        whole, loops = [], []
        for _ in range(REPEATS):
            whole.append(seconds(style_transfer, content, style, **preset, model=model))
            loops.append(seconds(bare, model, preset, *scaled))
    a, b = min(whole), min(loops)
    print(f"{NUM_ITERATIONS} steps: style_transfer {a:.1f} s, the bare loop {b:.1f} s, ratio {a / b:.2f}.")


if __name__ == "__main__":
    main()
