"""The ways to compute saliency maps that are compared, each as its users would call it.

A contender is made from a file of weights, in a process of its own. All take the same arrays: images
(N, H, W, 3) as the kit's network takes them, labels (N,). TensorFlow's contenders run the kit's own
graph, so that they differ in how it is run and not in the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cs231n.image_utils import load_image, preprocess_image
from cs231n.weights import read_weights


class _TensorFlow:
    """The kit's network in a session of its own."""

    def __init__(self, weights: Path) -> None:
        from cs231n.classifiers.squeezenet import SqueezeNet

        self.model = SqueezeNet.pretrained(weights)


class Kit(_TensorFlow):
    """The kit, as its README shows it."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        from cs231n import attribution
        from cs231n.net_visualization import compute_saliency_maps

        self._attribution, self._compute_saliency_maps = attribution, compute_saliency_maps

    def saliency(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return saliency maps, (N, H, W)."""
        return self._compute_saliency_maps(X, y, self.model)

    def saliency_of_files(self, files: Sequence[Path], y: np.ndarray) -> np.ndarray:
        """Return the maps of image files."""
        return self.saliency(_read(files), y)

    def smoothgrad(self, X: np.ndarray, y: np.ndarray, samples: int, noise: float) -> np.ndarray:
        """Return SmoothGrad, (N, H, W, 3)."""
        return self._attribution.smoothgrad(X, y, self.model, samples=samples, noise=noise)

    def integrated_gradients(self, X: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
        """Return integrated gradients from the mean colour, (N, H, W, 3), by Riemann's sum of `nodes`."""
        baseline = np.zeros_like(X)
        return self._attribution.integrated_gradients(
            X, y, self.model, baseline=baseline, steps=steps, quadrature="riemann"
        )

    def nodes(self, steps: int) -> np.ndarray:
        """Return where on the way from the baseline to the image the gradients are taken."""
        return np.arange(1, steps + 1) / steps


class Rebuilt(_TensorFlow):
    """The textbook mistake: new operations for the same gradient in every call."""

    def saliency(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return saliency maps, (N, H, W)."""
        from cs231n.quiet_tensorflow import tf

        model = self.model
        with model.graph.as_default():
            rows = tf.range(len(X))
            score = tf.gather_nd(model.classifier, tf.stack([rows, model.labels], axis=1))
            (gradient,) = tf.gradients(score, model.image)
        signed = model.sess.run(gradient, {model.image: X, model.labels: y})
        return np.abs(signed).max(axis=3)


class Pair(_TensorFlow):
    """PAIR's `saliency.tf1`, one image at a time, as it takes them."""

    BATCH = 10
    """Points of a path per run, where the library runs several: it wants a divisor of the steps."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        from saliency import tf1

        from cs231n.gradients import gathered_label_score

        with self.model.graph.as_default():
            score = gathered_label_score(self.model)
            where = (self.model.graph, self.model.sess, score, self.model.image)
            self._gradient, self._path = tf1.GradientSaliency(*where), tf1.IntegratedGradients(*where)

    def saliency(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return saliency maps, (N, H, W)."""
        maps = [self._gradient.GetMask(x, self._labels(label)) for x, label in zip(X, y, strict=True)]
        return np.abs(maps).max(axis=3)

    def smoothgrad(self, X: np.ndarray, y: np.ndarray, samples: int, noise: float) -> np.ndarray:
        """Return SmoothGrad, (N, H, W, 3)."""
        return np.stack(
            [
                self._gradient.GetSmoothedMask(x, self._labels(label), noise, samples, magnitude=False)
                for x, label in zip(X, y, strict=True)
            ]
        )

    def integrated_gradients(self, X: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
        """Return integrated gradients from the mean colour, (N, H, W, 3)."""
        return np.stack(
            [
                self._path.GetMask(x, self._labels(label, self.BATCH), None, steps, self.BATCH)
                for x, label in zip(X, y, strict=True)
            ]
        )

    def nodes(self, steps: int) -> np.ndarray:
        """Return where on the way from the baseline to the image the gradients are taken."""
        return np.linspace(0, 1, steps)

    def _labels(self, label: int, n: int = 1) -> dict:
        return {self.model.labels: np.full(n, label)}


class Torch:
    """PyTorch without gradients for the parameters."""

    channels_last = False

    def __init__(self, weights: Path) -> None:
        import torch

        from benchmarks.torch_squeezenet import TorchSqueezeNet

        self._torch = torch
        self._format = torch.channels_last if self.channels_last else torch.contiguous_format
        self.model = TorchSqueezeNet(read_weights(weights)).to(memory_format=self._format).eval()

    def saliency(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return saliency maps, (N, H, W)."""
        return self._gradient(X, y).abs().amax(1).numpy()

    def saliency_of_files(self, files: Sequence[Path], y: np.ndarray) -> np.ndarray:
        """Return the maps of image files."""
        return self.saliency(_read(files), y)

    def path_gradient(self, X: np.ndarray, y: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Return the mean gradient at ``t · X`` for the t in `nodes`, times `X`: what the others should."""
        total = sum(self._gradient(np.float32(t) * X, y).double() for t in nodes)
        return X * total.permute(0, 2, 3, 1).numpy() / len(nodes)

    def _tensor(self, X: np.ndarray):
        return self._torch.from_numpy(X).permute(0, 3, 1, 2).contiguous(memory_format=self._format)

    def _gradient(self, X: np.ndarray, y: np.ndarray):
        image, labels = self._tensor(X).requires_grad_(), self._torch.from_numpy(y)
        score = self.model(image).gather(1, labels[:, None]).sum()
        return self._torch.autograd.grad(score, image)[0]


class TorchChannelsLast(Torch):
    """PyTorch without gradients for the parameters, images and kernels stored channels last."""

    channels_last = True


class Captum(Torch):
    """captum on PyTorch."""

    BATCH = 10
    """Noisy images or points of a path per pass."""

    def __init__(self, weights: Path) -> None:
        super().__init__(weights)
        from captum import attr

        self._saliency, self._path = attr.Saliency(self.model), attr.IntegratedGradients(self.model)
        self._noisy = attr.NoiseTunnel(self._saliency)

    def saliency(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return saliency maps, (N, H, W)."""
        return self._saliency.attribute(*self._inputs(X, y)).amax(1).numpy()

    def smoothgrad(self, X: np.ndarray, y: np.ndarray, samples: int, noise: float) -> np.ndarray:
        """Return SmoothGrad, (N, H, W, 3), for images of about the same range of values."""
        x, labels = self._inputs(X, y)
        result = self._noisy.attribute(
            x,
            target=labels,
            nt_samples=samples,
            nt_samples_batch_size=self.BATCH,
            stdevs=noise * float(np.ptp(X)),
            abs=False,
        )
        return result.permute(0, 2, 3, 1).detach().numpy()

    def integrated_gradients(self, X: np.ndarray, y: np.ndarray, steps: int) -> np.ndarray:
        """Return integrated gradients from the mean colour, (N, H, W, 3), by Riemann's sum of `nodes`."""
        x, labels = self._inputs(X, y)
        result = self._path.attribute(
            x, target=labels, n_steps=steps, method="riemann_right", internal_batch_size=self.BATCH
        )
        return result.permute(0, 2, 3, 1).detach().numpy()

    def nodes(self, steps: int) -> np.ndarray:
        """Return where on the way from the baseline to the image the gradients are taken."""
        return np.arange(1, steps + 1) / steps

    def _inputs(self, X: np.ndarray, y: np.ndarray):
        return self._tensor(X).requires_grad_(), self._torch.from_numpy(y)


def _read(files: Sequence[Path]) -> np.ndarray:
    return preprocess_image(np.stack([load_image(file, 224) for file in files]))
