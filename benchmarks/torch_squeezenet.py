"""SqueezeNet 1.1 in PyTorch, with the kit's weights: as one would write it there, the channels second."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


class Fire(nn.Module):
    """A fire module: squeeze to few channels, expand by 1x1 and 3x3 side by side."""

    def __init__(self, channels_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeezed, 1)
        self.e11 = nn.Conv2d(squeezed, expanded, 1)
        self.e33 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the expanded halves, one behind the other."""
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.e11(x)), self.relu(self.e33(x))], 1)


class TorchSqueezeNet(nn.Module):
    """SqueezeNet 1.1; the modules have the names of the kit's variables.

    Parameters
    ----------
    weights : mapping of name to ndarray
        As `cs231n.weights.read_weights` returns them. No gradients are computed for them.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {
                "layer0": nn.Conv2d(3, 64, 3, stride=2),
                "layer1": nn.ReLU(),
                "layer2": nn.MaxPool2d(3, 2),
                "layer3": Fire(64, 16, 64),
                "layer4": Fire(128, 16, 64),
                "layer5": nn.MaxPool2d(3, 2),
                "layer6": Fire(128, 32, 128),
                "layer7": Fire(256, 32, 128),
                "layer8": nn.MaxPool2d(3, 2),
                "layer9": Fire(256, 48, 192),
                "layer10": Fire(384, 48, 192),
                "layer11": Fire(384, 64, 256),
                "layer12": Fire(512, 64, 256),
            }
        )
        self.classifier = nn.ModuleDict({"layer1": nn.Conv2d(512, 1000, 1), "relu": nn.ReLU()})
        self.load_state_dict({_torch_name(name): _torch_layout(array) for name, array in weights.items()})
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the unnormalised scores, (N, 3, H, W) to (N, 1000)."""
        for layer in self.features.values():
            x = layer(x)
        for layer in self.classifier.values():
            x = layer(x)
        return x.mean((2, 3))


def _torch_name(name: str) -> str:
    return name.replace("/fire/", "/").replace("/", ".").replace("weights", "weight")


def _torch_layout(array: np.ndarray) -> torch.Tensor:
    """Return a kernel H x W x in x out as out x in x H x W, a bias as it is."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array))
