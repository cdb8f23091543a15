"""Hold the attributions of the sample photographs against captum's, on the same weights.

Run it with `.venv-bench/bin/python -m benchmarks.captum_agreement` after `make bench` has made that
environment. A ReLU or max pool within rounding of its kink may switch the other way, in either network;
for the worst photographs that is what is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from captum import attr

from benchmarks.torch_squeezenet import TorchSqueezeNet
from cs231n import attribution
from cs231n.classifiers.squeezenet import SqueezeNet
from cs231n.data_utils import load_imagenet_val
from cs231n.image_utils import preprocess_image
from cs231n.paths import checkpoint_prefix
from cs231n.weights import read_weights

STEPS = 50

Attribute = Callable[[np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    """Compute all and print a line per method."""
    raw, y, _ = load_imagenet_val()
    X = preprocess_image(raw)
    network = TorchSqueezeNet(read_weights(checkpoint_prefix())).eval()
    with SqueezeNet.pretrained() as model:
        for name, ours, theirs in _pairs(model, network):
            expected = theirs(X, y)
            axes = tuple(range(1, expected.ndim))
            off = np.abs(ours(X, y) - expected).max(axis=axes) / np.abs(expected).max(axis=axes)
            print(
                f"{name}: of the maximum, {np.median(off):.1e} off at the median photograph's worst pixel, "
                f"{off.max():.1e} at all photographs' worst; {(off <= 1e-4).sum()} of {len(X)} within 1e-4"
            )


def _pairs(model: SqueezeNet, network: TorchSqueezeNet) -> Iterator[tuple[str, Attribute, Attribute]]:
    """Yield each method's name, the kit's function and captum's."""

    def kit(method: Callable[..., np.ndarray], **options: object) -> Attribute:
        return lambda X, y: method(X, y, model, **options)

    def captum(theirs: attr.Attribution, /, **options: object) -> Attribute:
        def attribute(X: np.ndarray, y: np.ndarray) -> np.ndarray:
            image = torch.from_numpy(X).permute(0, 3, 1, 2).contiguous().requires_grad_()
            result = theirs.attribute(image, target=torch.from_numpy(y), **options)
            if result.shape[2:] != image.shape[2:]:
                result = attr.LayerAttribution.interpolate(result, image.shape[2:], "bilinear")
            result = result.detach().permute(0, 2, 3, 1).numpy()
            return result[..., 0] if result.shape[-1] == 1 else result

        return attribute

    yield "gradient", kit(attribution.gradient), captum(attr.Saliency(network), abs=False)
    yield "gradient times input", kit(attribution.gradient_times_input), captum(attr.InputXGradient(network))
    yield "guided backpropagation", kit(attribution.guided_backprop), captum(attr.GuidedBackprop(network))
    yield "deconvnet", kit(attribution.deconvnet), captum(attr.Deconvolution(network))
    yield (
        "integrated gradients",
        kit(attribution.integrated_gradients, steps=STEPS, quadrature="riemann"),
        captum(
            attr.IntegratedGradients(network), n_steps=STEPS, method="riemann_right", internal_batch_size=20
        ),
    )
    grad_cam = attr.LayerGradCam(network, network.features["layer12"])
    yield "Grad-CAM", kit(attribution.grad_cam), captum(grad_cam, relu_attributions=True)


if __name__ == "__main__":
    main()
